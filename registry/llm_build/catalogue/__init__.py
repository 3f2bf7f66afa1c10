"""What is installed, for people and programs to look at: the list of components, a page for one, what a slot asks.

Torch-free.
"""

from llm_build.catalogue.example import example
from llm_build.catalogue.listing import Listing, Row, listing
from llm_build.catalogue.outline import outline
from llm_build.catalogue.page import FieldLine, Page, pages

__all__ = ["FieldLine", "Listing", "Page", "Row", "example", "listing", "outline", "pages"]

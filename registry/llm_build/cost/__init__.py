"""What a part of a spec costs, measured on the module that is really built, on the meta device."""

from llm_build.cost.allocations import Allocations, Enough
from llm_build.cost.repeats import copies, shortened
from llm_build.cost.required import decide
from llm_build.cost.summary import Summary, summarise
from llm_build.cost.unmeasured import Unmeasured, first_line
from llm_build.cost.weights import active, parameters

__all__ = [
    "Allocations",
    "Enough",
    "Summary",
    "Unmeasured",
    "active",
    "copies",
    "decide",
    "first_line",
    "parameters",
    "shortened",
    "summarise",
]

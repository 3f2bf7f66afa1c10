"""What `llm-build new plugin` writes: a plugin of four files that installs, passes its tests and can be named at once.

The folder `templates` has a folder a slot. Its files are those of a plugin named `acme-thing`, so they can be read and
run as they stand; a new plugin is the same with other names. Torch-free.
"""

from llm_build.scaffold.names import Names, names_of
from llm_build.scaffold.writing import new_plugin, slots

__all__ = ["Names", "names_of", "new_plugin", "slots"]

"""What a part of a spec costs, measured on the module that is really built, on the meta device."""

from llm_build.cost.required import decide
from llm_build.cost.summary import Summary, summarise
from llm_build.cost.weights import active, parameters

__all__ = ["Summary", "active", "decide", "parameters", "summarise"]

"""What a call tells the mixers (Step) and what they keep between calls (Field, StateSpec, View, Pool, State)."""

from llm_build.step.field import Field, StateSpec
from llm_build.step.making import make_state, state_memory
from llm_build.step.pool import Pool
from llm_build.step.room import StateMemory
from llm_build.step.state import State
from llm_build.step.step import Step
from llm_build.step.view import Sizes, View, narrowed

__all__ = [
    "Field",
    "Pool",
    "Sizes",
    "State",
    "StateMemory",
    "StateSpec",
    "Step",
    "View",
    "make_state",
    "narrowed",
    "state_memory",
]

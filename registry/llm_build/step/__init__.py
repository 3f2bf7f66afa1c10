"""What a call tells the mixers (Step) and what they keep between calls (Field, StateSpec, View, Pool, State)."""

from llm_build.step.field import Field, StateSpec
from llm_build.step.pool import Pool
from llm_build.step.state import State, make_state
from llm_build.step.step import Step
from llm_build.step.view import Sizes, View, narrowed

__all__ = ["Field", "Pool", "Sizes", "State", "StateSpec", "Step", "View", "make_state", "narrowed"]

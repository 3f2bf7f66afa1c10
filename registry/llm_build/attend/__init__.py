"""The one attention dispatcher and its kernels. Mixers reach it through `Step.attend`."""

from llm_build.attend.dispatch import Choice, attend, listening
from llm_build.attend.eager import eager
from llm_build.attend.flash import flash
from llm_build.attend.flex import flex
from llm_build.attend.fused import fused
from llm_build.attend.masked import masked
from llm_build.attend.options import Options, Places, Relation
from llm_build.attend.order import InOrder
from llm_build.attend.split import split
from llm_build.attend.visible import visible

__all__ = [
    "Choice",
    "InOrder",
    "Options",
    "Places",
    "Relation",
    "attend",
    "eager",
    "flash",
    "flex",
    "fused",
    "listening",
    "masked",
    "split",
    "visible",
]

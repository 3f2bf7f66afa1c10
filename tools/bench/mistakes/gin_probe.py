"""gin-config: classes whose arguments the bindings set, macros as references; the classes check what they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gin
from _probe import probe

GOOD = """\
WIDTH = 64
build.model = @decoder()
build.train = @pretrain()
decoder.dim = %WIDTH
decoder.vocab = 2048
decoder.context = 128
decoder.dropout = 0.1
decoder.layers = 2
decoder.block = @block
decoder.norm = @layer()
block.norm = @rms()
block.attention = @gqa()
block.ffn = @swiglu()
gqa.dim = %WIDTH
gqa.heads = 4
gqa.kv_heads = 2
swiglu.hidden = %WIDTH
pretrain.steps = 100
pretrain.batch = 8
pretrain.optimizer = @adamw()
pretrain.schedule = @warmup_cosine()
adamw.betas = (0.9, 0.999)
adamw.lr = 3e-4
warmup_cosine.warmup = 10
"""
SEEDS = {
    "misspelt key": ("gqa.kv_heads = 2", "gqa.kv_head = 2"),
    "wrong type": ("pretrain.steps = 100", "pretrain.steps = 'many'"),
    "missing required field": ("decoder.context = 128\n", ""),
    "indivisible heads": ("gqa.heads = 4", "gqa.heads = 5"),
    "unknown component": ("block.norm = @rms()", "block.norm = @rsm()"),
    "undefined reference": ("hidden = %WIDTH", "hidden = %WIDHT"),
    "duplicate key": ("decoder.vocab = 2048\n", "decoder.vocab = 2048\ndecoder.vocab = 4096\n"),
    "out-of-range number": ("dropout = 0.1", "dropout = 1.5"),
    "wrong nesting": ("adamw.lr = 3e-4", "pretrain.lr = 3e-4"),
    "stray comma": ("(0.9, 0.999)", "(0.9,, 0.999)"),
}


def whole(name: str, value: Any) -> None:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int; {value!r} arrived")


@gin.configurable
class rms:
    def __init__(self, eps: float = 1e-6) -> None: ...


@gin.configurable
class layer:
    def __init__(self, eps: float = 1e-5) -> None: ...


@gin.configurable
class gqa:
    def __init__(self, dim: int = gin.REQUIRED, heads: int = gin.REQUIRED, kv_heads: int | None = None) -> None:
        whole("heads", heads)
        if dim % heads:
            valid = [each for each in range(1, dim + 1) if dim % each == 0]
            raise ValueError(f"heads must divide dim = {dim}: one of {valid}; {heads} arrived")


@gin.configurable
class swiglu:
    def __init__(self, hidden: int = gin.REQUIRED) -> None:
        whole("hidden", hidden)


@gin.configurable
class block:
    def __init__(self, norm: Any = gin.REQUIRED, attention: Any = gin.REQUIRED, ffn: Any = gin.REQUIRED) -> None: ...


@gin.configurable
class decoder:
    def __init__(
        self,
        dim: int = gin.REQUIRED,
        vocab: int = gin.REQUIRED,
        context: int = gin.REQUIRED,
        dropout: float = 0.0,
        layers: int = gin.REQUIRED,
        block: Any = gin.REQUIRED,
        norm: Any = gin.REQUIRED,
    ) -> None:
        for name, value in (("dim", dim), ("vocab", vocab), ("context", context), ("layers", layers)):
            whole(name, value)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and less than 1; {dropout} arrived")
        self.layers = [block() for _ in range(layers)]


@gin.configurable
class adamw:
    def __init__(self, lr: float = 3e-4, betas: tuple[float, float] = (0.9, 0.999)) -> None: ...


@gin.configurable
class warmup_cosine:
    def __init__(self, warmup: int = 0, floor: float = 0.0) -> None: ...


@gin.configurable
class pretrain:
    def __init__(
        self,
        steps: int = gin.REQUIRED,
        batch: int = gin.REQUIRED,
        optimizer: Any = gin.REQUIRED,
        schedule: Any = gin.REQUIRED,
    ) -> None:
        whole("steps", steps)
        whole("batch", batch)


@gin.configurable
def build(model: Any = gin.REQUIRED, train: Any = gin.REQUIRED) -> Any:
    return model, train


def report(text: str, folder: Path) -> str:
    gin.clear_config()
    (folder / "spec.gin").write_text(text)
    try:
        gin.parse_config_file(str(folder / "spec.gin"))
        gin.finalize()
        build()
    except (ValueError, TypeError, RuntimeError, SyntaxError) as fault:
        # a syntax error keeps its place beside its message
        place = f" (line {fault.lineno})" if isinstance(fault, SyntaxError) else ""
        return f"{type(fault).__name__}: {fault}{place}"
    return ""


if __name__ == "__main__":
    probe("gin-config", GOOD, SEEDS, report)

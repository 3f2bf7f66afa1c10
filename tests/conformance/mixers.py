"""A small attention and a small cache, right and wrong in one way each, for tests of the kit itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_build import Config, Context, Field, Sizes, StateSpec, Step, component
from llm_build_plugins import generate
from llm_build_plugins.generate.dense_module import DenseCache, DenseView

HERE = "tests.conformance.mixers"
WINDOW = 3


class Attention(nn.Module):
    """One head of the model's width, which sees the three latest positions."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__()
        dim = context.need("dim")
        self.q, self.k, self.v = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.state_spec = {name: Field((1, dim), reach=self.reach) for name in ("k", "v")}

    reach = WINDOW
    options: ClassVar[Mapping[str, Any]] = {"window": WINDOW}

    def forward(self, x: Tensor, step: Step) -> Tensor:
        q, k, v = self.projected(x, step)
        return step.attend(q, k, v, **self.options)[:, :, 0]

    def projected(self, x: Tensor, _step: Step) -> tuple[Tensor, ...]:
        return tuple(each(x)[:, :, None] for each in (self.q, self.k, self.v))


class Ahead(Attention):
    options: ClassVar[Mapping[str, Any]] = {"window": WINDOW, "causal": False}


class Faint(Attention):
    """Later values count for next to nothing."""

    def projected(self, x: Tensor, step: Step) -> tuple[Tensor, ...]:
        q, k, v = super().projected(x, step)
        return q, k, v + 1e-13 * v.amax(1, keepdim=True)


class Strict(Attention):
    options: ClassVar[Mapping[str, Any]] = {"window": WINDOW, "mask": lambda q, k: k < q}


class TooFar(Attention):
    options: ClassVar[Mapping[str, Any]] = {"window": WINDOW + 1}


class TooNear(Attention):
    options: ClassVar[Mapping[str, Any]] = {"window": WINDOW - 1}


class Unpadded(Attention):
    """Takes the mean of all that came with a call, padding too."""

    def forward(self, x: Tensor, step: Step) -> Tensor:
        return super().forward(x, step) + (0 if step.count is None else x.mean(1, keepdim=True))


class Together(Attention):
    """Documents that share a row meet."""

    def forward(self, x: Tensor, step: Step) -> Tensor:
        return super().forward(x, Step.begin(x[..., 0]) if step.documents is not None else step)


class Restarting(Attention):
    """What decoding sees depends on the place in the chunk."""

    def projected(self, x: Tensor, step: Step) -> tuple[Tensor, ...]:
        q, k, v = super().projected(x, step)
        return q, k * (1 + torch.arange(x.shape[1]))[:, None, None], v


class Keeping(Attention):
    """Keeps its latest input on itself."""

    last: Any = 0.0

    def forward(self, x: Tensor, step: Step) -> Tensor:
        before = self.last if step.view is not None else 0.0
        self.last = 0.1 * float(x.detach().mean())
        return super().forward(x, step) + before


class Wide(Attention):
    """Stores values in float32 at least."""

    def projected(self, x: Tensor, step: Step) -> tuple[Tensor, ...]:
        q, k, v = super().projected(x, step)
        return q, k, v if step.view is None else v.to(torch.promote_types(v.dtype, torch.float32))


class Looking(Attention):
    """Waits for the device."""

    def forward(self, x: Tensor, step: Step) -> Tensor:
        grown = step.lengths is not None and bool((step.lengths > WINDOW).any())
        return super().forward(x + 0 if grown else x, step)


class Cache(DenseCache):
    """The dense cache."""

    kind: type[DenseView] = DenseView

    def __init__(self, config: Config, context: Context) -> None:
        self.codec = generate.raw().build(context)

    def view(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> DenseView:
        return self.kind(spec, sizes, like, self.codec)


class Stale(Cache):
    class kind(DenseView):
        def reset_cells(self, rows: Tensor) -> None: ...


class Backwards(Cache):
    class kind(DenseView):
        def fork_cells(self, source: Tensor, target: Tensor) -> None:
            super().fork_cells(target, source)


class Shared(Cache):
    """Everything that it lays out is one."""

    def view(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> DenseView:
        key = str((sorted(spec), sizes, like.dtype))
        self.made = getattr(self, "made", {})
        return self.made.setdefault(key, super().view(spec, sizes, like))  # type: ignore[no-any-return]


class Short(Cache):
    """Reads one span."""

    class kind(DenseView):
        def __init__(self, spec: StateSpec, sizes: Sizes, like: Tensor, codec: Any) -> None:
            super().__init__(spec, sizes, like, codec)
            self.cells = {name: each[:, : sizes.capacity + 1] for name, each in self.cells.items()}

        def extend(self, new: Any, step: Step) -> tuple[dict[str, Tensor], Tensor]:
            fields, k_index = super().extend(new, step)
            return {name: each[:, :64] for name, each in fields.items()}, k_index[:, :64]


class Widened(Cache):
    """Stores half precision in float32."""

    def view(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> DenseView:
        return super().view(spec, sizes, like.to(torch.promote_types(like.dtype, torch.float32)))


class Moving(Cache):
    """Allocates anew with every call."""

    class kind(DenseView):
        def extend(self, new: Any, step: Step) -> tuple[dict[str, Tensor], Tensor]:
            self.cells = {name: each.clone() for name, each in self.cells.items()}
            return super().extend(new, step)


def attention(module: type, base: type[Config] | None = None) -> type[Config]:
    """The config of an attention of this file: of a `Sequential` one, or of another `base`."""
    name = f"attention:acme.{module.__name__.lower()}"
    return component(name, module=f"{HERE}:{module.__name__}", capabilities=["causal", "cache"])(
        type(module.__name__.lower(), (base or Sequential,), {"__annotations__": {}})
    )


class Sequential(Config):
    """Mixes its own sequence, up to each place."""

    def check(self, context: Context):  # type: ignore[no-untyped-def]
        from llm_build import Problem

        if context.memory is not None or not context.causal:
            yield Problem(field="", message="is for decoders", help="there is none")


class Anywhere(Config):
    """Refuses no surroundings, a memory neither."""


def cache(module: type) -> type[Config]:
    """The config of a cache of this file."""
    name = f"cache:acme.{module.__name__.lower()}"
    return component(name, module=f"{HERE}:{module.__name__}")(
        type(module.__name__.lower(), (Config,), {"__annotations__": {}})
    )

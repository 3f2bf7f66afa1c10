"""Scenes of training for FlexAttention, that it computes what the reference computes, and how long a step takes.

Legend: B rows, T queries, S keys, H query heads, K key heads, E and Ev widths of keys and values.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from _attending import Kernel, Scene
from _measure import alternate, at_least, show
from llm_build.attend import Options, Places, eager, flex, masked
from llm_build.attend.dispatch import choose
from llm_build.attend.flex import MANY

LAYERS = 8
"""A step has so many, which share what is worked out once."""
OFF = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes and options of one call; `documents` is their mean length, `keys` the length of another sequence."""

    name: str
    rows: int = 2
    length: int = 300
    keys: int | None = None
    heads: int = 8
    kv_heads: int = 2
    width: int = 64
    v_width: int | None = None
    documents: int | None = None
    padded: bool = False
    causal: bool = True
    window: int | None = None
    mask: bool = False
    bias: str = ""
    softcap: float | None = None
    sinks: bool = False
    dtype: torch.dtype = torch.bfloat16
    autocast: bool = False

    def __str__(self) -> str:
        sizes = f"B{self.rows} T{self.length} H{self.heads}/{self.kv_heads} E{self.width}/{self.v_width or self.width}"
        return f"{self.name} {sizes} {str(self.dtype).removeprefix('torch.')}"


def graded(given: Scene, kernel: Kernel, autocast: bool = False) -> list[Tensor]:
    """What a kernel gives, and the gradients of q, k, v and sinks."""
    with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        out = given.by(kernel)
    weights = torch.linspace(-1, 2, out.numel(), dtype=torch.float64, device="cuda").view_as(out)
    wanted = [each for each in (given.q, given.k, given.v, given.options.sinks) if each is not None]
    return [out, *torch.autograd.grad((out * weights.to(out.dtype)).sum(), wanted)]


def widened(given: Scene) -> Scene:
    """The same numbers in float64."""
    sinks = given.options.sinks
    q, k, v = (each.detach().double().requires_grad_() for each in (given.q, given.k, given.v))
    wide = None if sinks is None else sinks.detach().double().requires_grad_()
    return Scene(q, k, v, given.places, replace(given.options, sinks=wide))


def scene(case: Case, seed: int = 0) -> Scene:
    random = torch.Generator("cuda").manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, device="cuda", dtype=case.dtype).requires_grad_()

    keys = case.length if case.keys is None else case.keys
    q_index = _index(case, case.length, random)
    return Scene(
        noise(case.rows, case.length, case.heads, case.width),
        noise(case.rows, keys, case.kv_heads, case.width),
        noise(case.rows, keys, case.kv_heads, case.v_width or case.width),
        Places(
            q_index=q_index,
            k_index=q_index if case.keys is None else _index(case, keys, random),
            documents=None if case.documents is None else _documents(case, random),
            padded=case.padded,
        ),
        Options(
            causal=case.causal,
            window=case.window,
            softcap=case.softcap,
            sinks=noise(case.heads) if case.sinks else None,
            mask=_blockwise(50) if case.mask else None,
            bias={"": None, "heads": _distance(case.heads), "one": _near}[case.bias],
        ),
    )


def _index(case: Case, length: int, random: torch.Generator) -> Tensor:
    place = torch.arange(length, device="cuda").expand(case.rows, length)
    if not case.padded:
        return place
    real = torch.randint(0, length + 1, (case.rows, 1), generator=random, device="cuda")
    return torch.where(place < real, place, -1)


def _documents(case: Case, random: torch.Generator) -> Tensor:
    ends = torch.rand(case.rows, case.length, generator=random, device="cuda") * (case.documents or 1) < 1
    return ends.cumsum(1)


def _blockwise(size: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda q, k: (q // size == k // size) | (k % 7 == 0)


def _distance(heads: int) -> Callable[[Tensor, Tensor], Tensor]:
    slopes = -0.3 / torch.arange(1, heads + 1, device="cuda")
    return lambda q, k: slopes[:, None, None] * (q - k).abs()[:, None]


def _near(q: Tensor, k: Tensor) -> Tensor:
    return -0.1 * (q - k).abs()[:, None]


def checked() -> Iterator[Case]:
    docs = Case(name="documents", documents=90)
    yield from (docs, replace(docs, length=128, rows=1), replace(docs, length=1000, rows=5, width=128))
    yield from (replace(docs, dtype=torch.float16), replace(docs, dtype=torch.float32, autocast=True))
    yield from (replace(docs, heads=6), replace(docs, kv_heads=8), replace(docs, width=80, v_width=48))
    yield from (replace(docs, width=192, v_width=128), replace(docs, width=256, heads=4), replace(docs, width=16))
    yield Case(name="padding", padded=True, rows=6)
    yield Case(name="padding, full", padded=True, rows=6, causal=False)
    yield Case(name="another sequence", padded=True, rows=6, keys=77, causal=False)
    yield Case(name="window", window=100, length=1500)
    yield Case(name="window, full", window=30, causal=False)
    yield Case(name="mask", mask=True, padded=True)
    yield from (Case(name=f"bias of {each}", bias=each) for each in ("heads", "one"))
    odd = Case(name="all", documents=90, padded=True, window=200, mask=True, bias="heads", softcap=5.0, sinks=True)
    yield from (Case(name="softcap", softcap=5.0), Case(name="sinks", sinks=True, padded=True), odd)
    yield from (replace(odd, dtype=torch.float32), replace(odd, width=128, heads=6), replace(odd, length=1100))


def check() -> bool:
    """Whether flex is chosen for many queries, is compiled, and comes as near to float64 as its dtype allows."""
    begun, failed, counted = time.monotonic(), 0, 0
    refused = sys.modules["llm_build.attend.flex"]._refused
    with torch.inference_mode(False), torch.enable_grad():
        for seed, case in enumerate(checked()):
            given, counted = scene(case, seed), counted + 1
            with torch.autocast("cuda", torch.bfloat16, enabled=case.autocast):
                chosen = choose(given.q, given.v, given.places, given.options)[0]
            found = graded(given, flex, case.autocast)
            wrong = _wrong(found, graded(widened(given), eager), OFF[torch.bfloat16 if case.autocast else case.dtype])
            wrong += "" if chosen is flex or case.length < MANY else f", {chosen.__name__} is chosen"
            wrong += ", not compiled" if refused else ""
            wrong += "" if torch.equal(found[0], graded(given, flex, case.autocast)[0]) else ", not twice the same"
            refused.clear()
            if wrong:
                failed += 1
                print(f"FAILS flex: {case}: {wrong.removeprefix(', ')}")
    print(f"checked flex in {counted} cases with gradients in {time.monotonic() - begun:.0f} s: {failed} fail")
    return not failed


def _wrong(found: list[Tensor], exact: list[Tensor], off: float) -> str:
    names, wrong = ("output", "gradient of q", "of k", "of v", "of sinks"), ""
    for name, each, expected in zip(names, found, exact, strict=False):
        by = ((each.double() - expected).abs().max() / expected.abs().max().clamp(min=1)).item()
        wrong += "" if by <= off else f", {name} off by {by:.1e}"  # and NaN is not
    return wrong


def timed() -> Iterator[Case]:
    packed = Case(name="documents", documents=600, heads=32, kv_heads=8, width=128, length=4096)
    yield from (
        packed,
        replace(packed, heads=12, kv_heads=12, width=64, rows=8),
        replace(packed, length=16_384, rows=1),
    )
    yield from (replace(packed, rows=8192 // length, length=length, documents=100) for length in (128, 256, 512, 1024))
    yield replace(packed, name="window", documents=None, window=512)
    yield replace(packed, name="mask", documents=None, mask=True)
    yield replace(packed, name="bias", documents=None, bias="heads", length=2048)
    yield replace(packed, name="sinks", documents=None, sinks=True, length=2048, rows=1)
    yield replace(packed, name="float32", dtype=torch.float32, length=2048)


def measure() -> bool:
    """Print what a step takes; whether flex is the faster where documents are packed to 4,096 tokens."""
    with torch.inference_mode(False), torch.enable_grad():
        held = [_measured(case) for case in timed()]
    return all(held)


def _measured(case: Case) -> bool:
    given = scene(case)
    other: Kernel = eager if case.sinks or case.softcap else masked
    print(f"{case}, {LAYERS} layers a step, {other.__name__} beside flex")
    for kernel in (flex, other):
        begun = time.monotonic()
        _step(given, kernel, True)
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        _step(given, kernel, True)
        peak = (torch.cuda.max_memory_allocated() - held) / 2**20
        print(f"    {kernel.__name__}: {peak:.0f} MiB, {time.monotonic() - begun:.1f} s for the first two steps")
    held_bar = True
    for what, backward in (("forward", False), ("forward and backward", True)):
        _step(given, flex, backward), _step(given, other, backward)
        ours, theirs = alternate(lambda: _step(given, flex, backward), lambda: _step(given, other, backward))  # noqa: B023
        show(f"    flex, {what}", ours)
        show(f"    {other.__name__}, {what}", theirs)
        bar = 1.0 if case.name == "documents" and case.length >= 4096 else 0.0
        held_bar &= at_least(f"    {other.__name__} / flex", sorted(theirs)[2] / sorted(ours)[2], bar)
    torch.cuda.empty_cache()
    return held_bar


def _step(given: Scene, kernel: Kernel, backward: bool) -> float:
    """Seconds of a step, whose layers are told of the same new places."""
    q_index = given.places.q_index.clone()
    places = replace(given.places, q_index=q_index, k_index=q_index)
    torch.cuda.synchronize()
    begun = time.perf_counter()
    with torch.set_grad_enabled(backward):
        outs = [kernel(given.q, given.k, given.v, places, given.options) for _ in range(LAYERS)]
    if backward:
        torch.autograd.grad([out.sum() for out in outs], [given.q, given.k, given.v])
    torch.cuda.synchronize()
    return time.perf_counter() - begun

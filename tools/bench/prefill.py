"""Reading a prompt of 4,096 tokens against a product of 8192 × 8192 matrices, both in FLOP/s, in one run.

Counted are the products of the layers, causal scores at half, and the head's last row. Run
`python tools/bench/prefill.py [--shape 8b] [--mode capture]`. The bar is for one call of the model; what the generator
takes to its first token, in chunks as its spec says and with a token drawn, stands beside it.
"""

from __future__ import annotations

import statistics

import torch
from torch import Tensor, nn

from _measure import alternate, at_least, finish, show
from _sides import Side, arguments, begin, side
from llm_build.bench.clock import REPEATS, seconds
from llm_build.bench.kernels import attending
from llm_build.bench.passes import Passes
from llm_build.bench.shapes import Shape
from llm_build.run import Compute

BAR = 0.55
PRODUCT = {"cuda": 8192, "cpu": 1024}
IN_A_ROW = 5


def flops(one: Side) -> float:
    """Operations of a prefill: two for each weight of a product and token, four for each pair of tokens that meet."""
    model, length = one.model, one.shape.prompt
    weights = sum(
        each.weight.numel() for layer in model.layers for each in layer.modules() if isinstance(each, nn.Linear)
    )
    widths = sum(layer.attention.heads * layer.attention.head_dim for layer in model.layers)
    head: Tensor = model.head.weight
    return 2.0 * weights * length + 4.0 * widths * length * (length + 1) / 2 + 2.0 * head.numel()


def product(compute: Compute) -> float:
    """FLOP/s of one large product."""
    size = PRODUCT[compute.device.type]
    one, other = (torch.randn(size, size, device=compute.device, dtype=compute.dtype) for _ in range(2))

    def multiply() -> None:
        for _ in range(IN_A_ROW):
            torch.mm(one, other)

    multiply()
    return 2 * size**3 * IN_A_ROW / seconds(multiply, compute.device)


def main() -> None:
    parser = arguments(__doc__, shapes=("8b", "1b"))
    parser.add_argument("--tokens", type=int, default=4_096)
    args = parser.parse_args()
    compute = begin(args)
    shape = Shape(prompt=256 if args.tiny else args.tokens, new=2, batch=1)
    one = side(args.shape, compute, 1.0, mode=args.mode, tiny=args.tiny, shape=shape)
    passes, work = Passes(one.model, shape, compute), flops(one)
    taken = attending(one.model, passes)
    kernels = {str(kernel) for mixer in taken for kernel in mixer.prefill}

    def prefill() -> float:
        passes.reset()
        return work / seconds(passes.prefill, compute.device)

    prefill()
    one.write()
    ours, others = alternate(prefill, lambda: product(compute))
    first = [work / one.write().first for _ in range(REPEATS)]
    print(f"{one.name}: {shape.prompt:_} tokens, {work / 1e12:,.1f} TFLOP, attention by {', '.join(sorted(kernels))}")
    show("prefill", ours, "TFLOP/s", 1e-12)
    show(f"product of {PRODUCT[compute.device.type]}³", others, "TFLOP/s", 1e-12)
    show("to the generator's first token", first, "TFLOP/s", 1e-12)
    ratio = statistics.median(ours) / statistics.median(others)
    verdict = at_least("prefill / product", ratio, BAR)
    finish(verdict or args.tiny)


if __name__ == "__main__":
    main()

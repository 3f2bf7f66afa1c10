"""Rotary positions' config."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, flag, number, part


@component("position:rope", module="llm_build_plugins.position.rope_module:RoPE", capabilities=["rotary", "relative"])
class rope(Config):
    """Rotary positions: each pair of a head's dimensions turns by an angle that grows with the place in the sequence.

    Pair i turns by position / theta^(2i / R), where R is how many dimensions of a head rotate. Dimension i is paired
    with i + R/2, or, interleaved, 2i with 2i + 1.
    Source: Su et al. 2021, "RoFormer", section 3.2; the half-split pairing is GPT-NeoX's.
    """

    theta: float = number(default=10_000, low=1, doc="the base of the wavelengths")
    interleaved: bool = flag(default=False, doc="pair neighbours, not halves")
    fraction: float = number(
        default=1, above=0, high=1, doc="the part of each head that rotates; the rest has no position"
    )
    scaling: Config | None = part("scaling", optional=True, doc="how pairs turn slower, for a longer context")

    def rotated(self, head_dim: int) -> int:
        """How many dimensions of a head rotate."""
        return round(head_dim * self.fraction)

    def check_theta(self, context: Context) -> Iterator[Problem]:
        if self.scaling is not None and self.theta <= 1:
            yield Problem(
                field="theta",
                message=f"with scaling later pairs must turn slower: theta must be above 1; {self.theta:g} arrived",
                help="write theta = 10_000, or leave scaling out",
                related=("scaling",),
            )

    def check(self, context: Context) -> Iterator[Problem]:
        if context.head_dim is None:
            return
        rotated = self.rotated(context.head_dim)
        if rotated % 2 or rotated < 2 or abs(rotated - context.head_dim * self.fraction) > 1e-6:
            yield Problem(
                field="fraction",
                message=(
                    f"dimensions rotate in pairs: fraction · head_dim must be an even number; "
                    f"{self.fraction:g} · {context.head_dim} arrived"
                ),
                help="choose an even head_dim, or a fraction that leaves an even part of it",
            )

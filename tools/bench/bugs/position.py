"""Bugs of position components."""

from __future__ import annotations

from bugs.bug import Bug, bugs_of

FOLDER = "plugins/llm_build_plugins/position"
ANGLES = "angles = positions[..., None, None] * self.frequencies  # [B, T, 1, R]"
TURNED = "turned = torch.addcmul(turning * cos, self._partners(turning), sin)"
WAVES = "return (x + waves[..., : self.dim]).to(x.dtype)"
LOOKED_UP = "return x + nn.functional.embedding(positions, self.weight)"

BUGS: list[Bug] = [
    *bugs_of(
        "position:rope",
        f"{FOLDER}/rope_module.py",
        {
            "positions that are counted": (
                ANGLES,
                "angles = torch.arange(x.shape[1], device=x.device)[:, None, None] * self.frequencies",
            ),
            "the positions of the first row": (ANGLES, "angles = positions[:1, :, None, None] * self.frequencies"),
            "a sign": ("torch.cat((-angle, angle))", "torch.cat((angle, angle))"),
            "pairs of other frequencies": ("torch.cat((-angle, angle))", "torch.cat((-angle, angle.flip(0)))"),
            "positions that are uneven": (
                ANGLES,
                "angles = (positions + 0.5 * (positions % 7 == 0))[..., None, None].to(self.frequencies.dtype) * self.frequencies",
            ),
            "angles that do not grow evenly": (
                ANGLES,
                "angles = positions[..., None, None].to(self.frequencies.dtype).pow(1.1) * self.frequencies",
            ),
            "angles in the dtype of the input": (
                ANGLES,
                "angles = positions[..., None, None].to(x.dtype) * self.frequencies.to(x.dtype)",
            ),
            "heads taken for positions": (
                ANGLES,
                "angles = (positions[..., None, None] + torch.arange(x.shape[2], device=x.device)[:, None]) * self.frequencies",
            ),
            "no turn at all": (TURNED, "turned = turning.clone()"),
            "frequencies that stay behind": (
                'self.register_buffer("frequencies", self._frequencies(torch.empty(0)), persistent=False)',
                "self.frequencies = self._frequencies(torch.empty(0))",
            ),
            "turned the other way": ("torch.cat((-angle, angle))", "torch.cat((angle, -angle))"),
            "another base": (
                "turns(self.theta, self.rotated, like)",
                "turns(self.theta, 2 * self.rotated, like)[: self.rotated // 2]",
            ),
        },
    ),
    *bugs_of(
        "position:rope",
        f"{FOLDER}/_frequencies.py",
        {
            "frequencies that are cast": (
                "self.frequencies = self._frequencies(self.frequencies)",
                "self.frequencies = self.frequencies",
            ),
            "frequencies rounded to bfloat16": (
                "wide = torch.promote_types(like.dtype, torch.float32)",
                "wide = like.dtype",
            ),
        },
    ),
    *bugs_of(
        "position:sinusoidal",
        f"{FOLDER}/sinusoidal_module.py",
        {
            "x is scaled": (WAVES, "return (x * self.dim**0.5 + waves[..., : self.dim]).to(x.dtype)"),
            "added twice": (WAVES, "return (x + 2 * waves[..., : self.dim]).to(x.dtype)"),
            "the dtype of the waves": (WAVES, "return x + waves[..., : self.dim]"),
            "a table of one length": (
                WAVES,
                "return (x + waves[:1, :, : self.dim]).to(x.dtype)",
            ),
        },
    ),
    *bugs_of(
        "position:learned",
        f"{FOLDER}/learned_module.py",
        {
            "one row for all": (LOOKED_UP, "return x + nn.functional.embedding(positions * 0, self.weight)"),
            "a row that is normed with x": (
                LOOKED_UP,
                "return x + nn.functional.embedding(positions, self.weight) * x.norm(dim=-1, keepdim=True)",
            ),
            "a table that is cut off from the loss": (
                LOOKED_UP,
                "return x + nn.functional.embedding(positions, self.weight.data)",
            ),
        },
    ),
]

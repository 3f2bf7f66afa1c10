"""Bugs of norms."""

from __future__ import annotations

from bugs.bug import Bug

RMS = "plugins/llm_build_plugins/norm/rms_module.py"
BUGS = [
    Bug(
        name="weights that are no parameter",
        component="norm:rms",
        file=RMS,
        old="self.weight = nn.Parameter(torch.zeros(dim) if config.offset else torch.ones(dim))",
        new="self.weight = torch.randn(dim)",
    ),
]

"""How a law runs: 50 drawn cases, on one thread."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, settings

# the tensors are tiny: handing them to other threads takes longer than the work
torch.set_num_threads(1)

law = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

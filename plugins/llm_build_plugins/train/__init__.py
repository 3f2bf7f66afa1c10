"""Training: the trainer, and what it is put together from: objective, optimiser and schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.train.adamw_config import adamw as adamw
    from llm_build_plugins.train.next_token_config import next_token as next_token
    from llm_build_plugins.train.pretrain_config import pretrain as pretrain
    from llm_build_plugins.train.warmup_cosine_config import warmup_cosine as warmup_cosine

llm_components, __getattr__ = plugin(
    {
        "objective:next_token": "llm_build_plugins.train.next_token_config:next_token",
        "optimizer:adamw": "llm_build_plugins.train.adamw_config:adamw",
        "schedule:warmup_cosine": "llm_build_plugins.train.warmup_cosine_config:warmup_cosine",
        "trainer:pretrain": "llm_build_plugins.train.pretrain_config:pretrain",
    }
)

"""Training: the trainer, and what it is put together from: objective, optimiser, schedule and loggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.train.adafactor_config import adafactor as adafactor
    from llm_build_plugins.train.adamw_config import adamw as adamw
    from llm_build_plugins.train.constant_config import constant as constant
    from llm_build_plugins.train.inverse_sqrt_config import inverse_sqrt as inverse_sqrt
    from llm_build_plugins.train.jsonl_config import jsonl as jsonl
    from llm_build_plugins.train.linear_config import linear as linear
    from llm_build_plugins.train.lion_config import lion as lion
    from llm_build_plugins.train.muon_config import muon as muon
    from llm_build_plugins.train.next_token_config import next_token as next_token
    from llm_build_plugins.train.pretrain_config import pretrain as pretrain
    from llm_build_plugins.train.sgd_config import sgd as sgd
    from llm_build_plugins.train.tensorboard_config import tensorboard as tensorboard
    from llm_build_plugins.train.wandb_config import wandb as wandb
    from llm_build_plugins.train.warmup_cosine_config import warmup_cosine as warmup_cosine
    from llm_build_plugins.train.wsd_config import wsd as wsd

llm_components, __getattr__ = plugin(
    {
        "logger:jsonl": "llm_build_plugins.train.jsonl_config:jsonl",
        "logger:tensorboard": "llm_build_plugins.train.tensorboard_config:tensorboard",
        "logger:wandb": "llm_build_plugins.train.wandb_config:wandb",
        "objective:next_token": "llm_build_plugins.train.next_token_config:next_token",
        "optimizer:adafactor": "llm_build_plugins.train.adafactor_config:adafactor",
        "optimizer:adamw": "llm_build_plugins.train.adamw_config:adamw",
        "optimizer:lion": "llm_build_plugins.train.lion_config:lion",
        "optimizer:muon": "llm_build_plugins.train.muon_config:muon",
        "optimizer:sgd": "llm_build_plugins.train.sgd_config:sgd",
        "schedule:constant": "llm_build_plugins.train.constant_config:constant",
        "schedule:inverse_sqrt": "llm_build_plugins.train.inverse_sqrt_config:inverse_sqrt",
        "schedule:linear": "llm_build_plugins.train.linear_config:linear",
        "schedule:warmup_cosine": "llm_build_plugins.train.warmup_cosine_config:warmup_cosine",
        "schedule:wsd": "llm_build_plugins.train.wsd_config:wsd",
        "trainer:pretrain": "llm_build_plugins.train.pretrain_config:pretrain",
    }
)

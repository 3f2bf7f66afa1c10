"""transformers' Llama with the weights of a decoder of ours."""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch
from torch import nn

THETA = 500_000.0
SHALLOW, TOLERANCE = 2, 1e-3


def llama_of(model: Any, device: torch.device) -> Any:
    """A `LlamaForCausalLM` that computes what our model does: its own copy of the weights, in the same dtype."""
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        sys.exit("transformers must be installed to be measured: pip install 'transformers==5.17.0'")
    first = model.layers[0]
    attention, norm = first.attention, first.placement.norms["attention"]
    tied = model.head.own is None
    config = LlamaConfig(
        vocab_size=model.vocab,
        hidden_size=attention.out.weight.shape[0],
        intermediate_size=first.ffn.down.weight.shape[1],
        num_hidden_layers=len(model.layers),
        num_attention_heads=attention.heads,
        num_key_value_heads=attention.kv_heads,
        head_dim=attention.head_dim,
        max_position_embeddings=model.context,
        rms_norm_eps=norm.eps,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    with torch.device("meta"):
        theirs = LlamaForCausalLM(config).to(next(model.parameters()).dtype)
    theirs.to_empty(device=device)
    theirs.tie_weights()
    rotary = theirs.model.rotary_emb
    for name in ("inv_freq", "original_inv_freq"):
        # in float32, as a checkpoint that is read keeps it, whatever the dtype of the weights
        setattr(rotary, name, rotary.compute_default_rope_parameters(config)[0].to(device))
    _copy(model, theirs, tied)
    return theirs.eval()


@torch.no_grad()
def _copy(model: Any, theirs: Any, tied: bool) -> None:
    theirs.model.embed_tokens.weight.copy_(model.embedding.weight)
    theirs.model.norm.weight.copy_(model.norm.weight)
    if not tied:
        theirs.lm_head.weight.copy_(model.head.weight)
    for ours, layer in zip(model.layers, theirs.model.layers, strict=True):
        attention, mlp = layer.self_attn, layer.mlp
        _split(ours.attention.qkv, attention.q_proj, attention.k_proj, attention.v_proj)
        _split(ours.ffn.gate_up, mlp.gate_proj, mlp.up_proj)
        attention.o_proj.weight.copy_(ours.attention.out.weight)
        mlp.down_proj.weight.copy_(ours.ffn.down.weight)
        layer.input_layernorm.weight.copy_(ours.placement.norms["attention"].weight)
        layer.post_attention_layernorm.weight.copy_(ours.placement.norms["ffn"].weight)


def _split(fused: nn.Module, *parts: Any) -> None:
    """One matrix of ours is several of theirs."""
    weight: Any = fused.weight
    for part, rows in zip(parts, weight.split([len(each.weight) for each in parts]), strict=True):
        part.weight.copy_(rows)


@torch.no_grad()
def refuse_difference(ours: Any, theirs: Any, tokens: torch.Tensor) -> None:
    """Both must give the same logits for tokens [B, T]: in float32, and through the first layers alone.

    In half precision two right ways part more with every layer, so that a wrong one would not be told from them.
    """
    mine, others = _shallow(ours, ours)(tokens), _shallow(theirs, theirs.model)(tokens).logits
    apart = float((mine - others).abs().max() / mine.abs().max())
    print(f"in float32, after {SHALLOW} layers, logits of the two sides differ by {apart:.2g} of the largest")
    if not apart < TOLERANCE:
        sys.exit(f"the two sides must be one model: their logits may differ by {TOLERANCE:g} of the largest")


def _shallow(model: Any, holder: Any) -> Any:
    """A copy of a model in float32 with its first layers, which `holder` has."""
    layers, holder.layers = holder.layers, holder.layers[:SHALLOW]
    try:
        return copy.deepcopy(model).float()
    finally:
        holder.layers = layers

"""Gives an untrained bump-mini the two heads that copy, which small trainings do not find.

A model that takes words from a profile needs an induction circuit: a head that tells every position
which token came before it, and one that looks for where the present token stood before and reads
what came after (Olsson et al. 2022). From random weights they had not emerged after 3.3 million
tokens of nothing but copying. So the first two layers begin with that circuit, written into their
weights from random projections: 0.4 million tokens of copying are then enough, and the training
goes on like from any other start.
"""

import math

import torch
from torch import nn
from transformers import Qwen2ForCausalLM

# Attention logits by which the token before, and a token that matches, stand out.
_PREVIOUS_SHARPNESS = 8.0
_MATCH_SHARPNESS = 30.0
# How loudly a position's token before, and what is copied, are told beside the token itself.
_BEFORE = 1.0
_COPY_STRENGTH = 40.0


@torch.no_grad()
def plant_induction(model: Qwen2ForCausalLM, seed: int) -> None:
    """Write the circuit into the first key-value group of layer 0 and all groups of layer 1."""
    draws = torch.Generator().manual_seed(seed)
    config = model.config
    width, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    slow = _slow_dimensions(head)
    seen = _orthonormal(len(slow), width, draws)
    written = _orthonormal(len(slow), width, draws)
    _tell_previous(model, seen, written, head)
    _match_and_copy(model, seen, written, slow, head, draws)


def _slow_dimensions(head: int) -> list[int]:
    """Of a head's dimensions those that the rotary embedding hardly turns within the context."""
    half = head // 2
    return [*range(half // 2, half), *range(half + half // 2, head)]


def _orthonormal(rows: int, columns: int, draws: torch.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(columns, rows, generator=draws))[0].T


def _tell_previous(
    model: Qwen2ForCausalLM, seen: torch.Tensor, written: torch.Tensor, head: int
) -> None:
    """Query and key are constants, turned against each other by one position."""
    attention = model.model.layers[0].self_attn
    group = model.config.num_attention_heads // model.config.num_key_value_heads
    rates = model.model.rotary_emb.inv_freq
    length = math.sqrt(_PREVIOUS_SHARPNESS * math.sqrt(head))
    key = torch.cat([torch.full_like(rates, length), torch.zeros_like(rates)])
    # At distance one the rotation has turned the key by exactly what the query lacks.
    query = torch.cat([torch.cos(rates), -torch.sin(rates)]) * length
    _zero(attention, 0, group, head)
    attention.k_proj.bias[:head] = key
    for place in range(group):
        attention.q_proj.bias[place * head : (place + 1) * head] = query
    attention.v_proj.weight[: len(seen)] = seen
    scale = _BEFORE * model.config.initializer_range / group * math.sqrt(seen.shape[1] / len(seen))
    for place in range(group):
        start = place * head
        attention.o_proj.weight[:, start : start + len(seen)] = written.T * scale


def _match_and_copy(
    model: Qwen2ForCausalLM,
    seen: torch.Tensor,
    written: torch.Tensor,
    slow: list[int],
    head: int,
    draws: torch.Generator,
) -> None:
    """Queries see the present token, keys the one before; what is read goes to the output."""
    attention = model.model.layers[1].self_attn
    config = model.config
    group = config.num_attention_heads // config.num_key_value_heads
    scale = math.sqrt(_MATCH_SHARPNESS * math.sqrt(head) / len(slow))
    copied = _orthonormal(config.num_key_value_heads * head, config.hidden_size, draws)
    for number in range(config.num_key_value_heads):
        _zero(attention, number, group, head)
        rows = slice(number * head, (number + 1) * head)
        attention.k_proj.weight[torch.tensor(slow) + number * head] = written * scale
        attention.v_proj.weight[rows] = copied[rows]
        for query in range(number * group, (number + 1) * group):
            attention.q_proj.weight[torch.tensor(slow) + query * head] = seen * scale
            attention.o_proj.weight[:, query * head : (query + 1) * head] = (
                copied[rows].T * _COPY_STRENGTH * config.initializer_range / group
            )


def _zero(attention: nn.Module, number: int, group: int, head: int) -> None:
    """Forget what the key-value head and its query heads were."""
    rows = slice(number * head, (number + 1) * head)
    queries = slice(number * group * head, (number + 1) * group * head)
    for weights in (attention.k_proj, attention.v_proj):
        weights.weight[rows] = 0
        weights.bias[rows] = 0
    attention.q_proj.weight[queries] = 0
    attention.q_proj.bias[queries] = 0
    attention.o_proj.weight[:, queries] = 0

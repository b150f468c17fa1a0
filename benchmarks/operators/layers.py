"""Attention and recurrences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.operators.table import Row, Topic, normal


def _module(module: nn.Module, *names: str) -> Callable[..., Any]:
    """A module as a function of its input and of its parameters."""

    def call(x: torch.Tensor, *parameters: torch.Tensor) -> Any:
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    return call


def _recurrent(kind: type[nn.Module], dtype: torch.dtype, **options: Any) -> tuple[Any, ...]:
    module = kind(3, 2, dtype=dtype, **options)
    names = [name for name, _ in module.named_parameters()]
    parameters = [normal(*p.shape, dtype=dtype) for p in module.parameters()]
    call = _module(module, *names)
    return (lambda x, *p: call(x, *p)[0], normal(3, 2, 3, dtype=dtype), *parameters)


def attention() -> list[Row]:
    """Rows."""
    t = Topic("attention")
    sdpa = F.scaled_dot_product_attention

    def qkv(*lead: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
        return tuple(normal(*lead, 3, 4, dtype=dtype) for _ in range(3))

    t("attention", sdpa, *qkv(1, 2), orders=1)
    t("attention float32", sdpa, *qkv(1, 2, dtype=torch.float32), orders=1)
    t("attention causal", lambda q, k, v: sdpa(q, k, v, is_causal=True), *qkv(1, 2), orders=1)
    t("attention scale", lambda q, k, v: sdpa(q, k, v, scale=0.25), *qkv(1, 2), orders=1)
    t(
        "attention mask",
        lambda q, k, v: sdpa(q, k, v, attn_mask=torch.ones(3, 3).tril().bool()),
        *qkv(1, 2),
        orders=1,
    )
    t("attention additive mask", lambda q, k, v, m: sdpa(q, k, v, attn_mask=m), *qkv(1, 2), normal(3, 3))
    t("attention three axes", sdpa, *qkv(2))
    t("attention of other length", sdpa, normal(1, 1, 2, 4), normal(1, 1, 3, 4), normal(1, 1, 3, 4), orders=1)
    t(
        "attention grouped",
        lambda q, k, v: sdpa(q, k, v, enable_gqa=True),
        normal(1, 2, 3, 4),
        normal(1, 1, 3, 4),
        normal(1, 1, 3, 4),
        orders=1,
    )
    t("attention math", _math_attention, *qkv(1, 1))
    mha = nn.MultiheadAttention(4, 2, batch_first=True, dtype=torch.float64)
    names = [name for name, _ in mha.named_parameters()]
    shapes = [tuple(p.shape) for p in mha.parameters()]
    t(
        "MultiheadAttention",
        lambda x, *p: torch.func.functional_call(mha, dict(zip(names, p, strict=True)), (x, x, x))[0],
        normal(1, 3, 4),
        *(normal(*s) for s in shapes),
    )
    block = nn.TransformerEncoderLayer(4, 2, 4, 0.0, batch_first=True, dtype=torch.float64)
    names_ = [name for name, _ in block.named_parameters()]
    shapes_ = [tuple(p.shape) for p in block.parameters()]
    t(
        "TransformerEncoderLayer",
        _module(block, *names_),
        normal(1, 2, 4),
        *(normal(*s) for s in shapes_),
        orders=1,
    )
    return t.rows


def _math_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def recurrences() -> list[Row]:
    """Rows."""
    t = Topic("recurrent")
    cells: tuple[tuple[str, Any], ...] = (
        ("RNNCell", nn.RNNCell),
        ("LSTMCell", nn.LSTMCell),
        ("GRUCell", nn.GRUCell),
    )
    for name, kind in cells:
        cell = kind(3, 2, dtype=torch.float64)
        names = [n for n, _ in cell.named_parameters()]
        t(name, _module(cell, *names), normal(2, 3), *(normal(*p.shape) for p in cell.parameters()))
    for dtype, orders in ((torch.float64, 2), (torch.float32, 1)):
        what = str(dtype).removeprefix("torch.")
        t(f"RNN tanh {what}", *_recurrent(nn.RNN, dtype))
        t(f"RNN relu {what}", *_recurrent(nn.RNN, dtype, nonlinearity="relu", bias=False))
        t(f"LSTM {what}", *_recurrent(nn.LSTM, dtype), orders=orders)
        t(f"LSTM two layers {what}", *_recurrent(nn.LSTM, dtype, num_layers=2), orders=1)
        t(
            f"LSTM bidirectional {what}",
            *_recurrent(nn.LSTM, dtype, bidirectional=True, batch_first=True),
            orders=1,
        )
        t(f"LSTM without bias {what}", *_recurrent(nn.LSTM, dtype, bias=False), orders=1)
        t(f"GRU {what}", *_recurrent(nn.GRU, dtype))
    t("LSTM projected", *_recurrent(nn.LSTM, torch.float64, proj_size=1), orders=1)
    return t.rows

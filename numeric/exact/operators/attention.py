"""Attention as PyTorch's kernel for the CPU computes it, and its backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.pieces import choose
from gradproof.numeric.exact.operators.products import matmul, reshape
from gradproof.numeric.exact.values import UndecidableError, Value

aten: Any = torch.ops.aten


def _transpose(value: Value) -> Value:
    return value.map(lambda array: np.swapaxes(array, -1, -2))


def _scale(run: Execution, query: Value, scale: float | None) -> Value:
    """The float that the kernel scales by."""
    return run.value_of(1 / math.sqrt(query.shape[-1]) if scale is None else scale)


def _scores(run: Execution, query: Value, key: Value, causal: bool, mask: Any, scale: float | None) -> Value:
    """`scale q k^T`, plus the mask, `-inf` where nothing may be seen."""
    scores = matmul(query, _transpose(key)) * _scale(run, query, scale)
    if mask is not None:
        hidden = isinstance(mask, torch.Tensor) and mask.dtype == torch.bool
        scores = (
            choose(mask.numpy(), scores, run.value_of(-math.inf)) if hidden else scores + run.value_of(mask)
        )
    if causal:
        seen = np.tril(np.ones(scores.shape[-2:], dtype=bool))
        scores = choose(seen, scores, run.value_of(-math.inf))
    return scores


def _repeated(value: Value, query: Value) -> Value:
    """Heads of keys or values, each for a group of heads of queries."""
    groups = query.shape[-3] // value.shape[-3]
    return value if groups == 1 else value.map(lambda array: np.repeat(array, groups, axis=-3))


def _summed(value: Value, like: Value) -> Value:
    """The transpose of `_repeated`."""
    heads = like.shape[-3]
    if value.shape[-3] == heads:
        return value
    shape = (*value.shape[:-3], heads, value.shape[-3] // heads, *value.shape[-2:])
    return reshape(value, shape).sum([-3])


@handles(aten._scaled_dot_product_flash_attention_for_cpu.default)
def attention(
    run: Execution, query: Value, key: Value, value: Value, dropout: float = 0.0, causal: bool = False, *,
    attn_mask: Any = None, scale: float | None = None,
) -> tuple[Value, Value]:  # fmt: skip
    """The output, and the logarithms of the sums of exponentials."""
    if dropout:
        raise UndecidableError("attention with dropout in one kernel")
    key, value = _repeated(key, query), _repeated(value, query)
    exponentials = f.exp(_scores(run, query, key, causal, attn_mask, scale))
    total = exponentials.sum([-1])
    weights = exponentials / total.map(lambda array: array[..., None])
    return matmul(weights, value), f.log(total)


@handles(aten._scaled_dot_product_flash_attention_for_cpu_backward.default)
def attention_backward(
    run: Execution, grad: Value, query: Value, key: Value, value: Value, out: Value, logsumexp: Value,
    dropout: float, causal: bool, *, attn_mask: Any = None, scale: float | None = None,
) -> tuple[Value, Value, Value]:  # fmt: skip
    """Weights from the saved logarithms; `dS = P (dP - rowsum(dO O)) scale`."""
    heads = key, value
    key, value = _repeated(key, query), _repeated(value, query)
    scores = _scores(run, query, key, causal, attn_mask, scale)
    weights = f.exp(scores - logsumexp.map(lambda array: array[..., None]))
    of_weights = matmul(grad, _transpose(value))
    delta = (grad * out).sum([-1], True)
    of_scores = weights * (of_weights - delta) * _scale(run, query, scale)
    of_key, of_value = matmul(_transpose(of_scores), query), matmul(_transpose(weights), grad)
    return matmul(of_scores, key), _summed(of_key, heads[0]), _summed(of_value, heads[1])

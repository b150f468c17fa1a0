"""Distances between rows in the p-norm, and what their kernels return as gradients."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.pieces import abs_, choose, compare, sign
from gradproof.numeric.exact.operators.selections import amax
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten


def _norm(run: Execution, differences: Value, p: float) -> Value:
    """The p-norm along the last axis."""
    if p == 2:
        return f.sqrt((differences * differences).sum([-1]))
    sizes = abs_(run, differences)
    if p == inf:
        return amax(run, sizes, -1)
    if p == 0:
        return run.value_of(torch.from_numpy(compare(run, differences, 0, "cdist", True) != 0)).sum([-1])
    exponent = Fraction(p)
    return f.power(f.power(sizes, exponent).sum([-1]), 1 / exponent)


def _slopes(run: Execution, grad: Value, differences: Value, p: float, distances: Value) -> Value:
    """The gradient of each difference: 0 where the distance is 0; `grad` and `distances` broadcast."""
    if p == 0:
        return run.numbers.zeros(differences.shape)
    if p == 1:
        return grad * sign(run, differences)
    if p == inf:  # the entries that are as large as the distance
        largest = compare(run, abs_(run, differences), distances, "cdist", True) == 0
        return choose(largest, grad * sign(run, differences), run.value_of(0))
    if p == 2:
        quotient = grad * differences * _reciprocal(run, distances)
        return choose(compare(run, distances, 0, "cdist", True) == 0, run.value_of(0), quotient)
    exponent = Fraction(p)
    powers = f.power(abs_(run, differences), exponent - 1) * sign(run, differences)
    quotient = grad * powers * f.power(distances, 1 - exponent)
    return choose(compare(run, distances, 0, "cdist", True) == 0, run.value_of(0), quotient)


def _reciprocal(run: Execution, distances: Value) -> Value:
    with np.errstate(divide="ignore", invalid="ignore"):
        return distances.reciprocal()


def _between(a: Value, b: Value) -> Value:
    """`a[..., i, None, :] - b[..., None, j, :]`."""
    return a.map(lambda array: array[..., :, None, :]) - b.map(lambda array: array[..., None, :, :])


@handles(aten._cdist_forward.default)
def cdist(run: Execution, a: Value, b: Value, p: float, mode: Any = None) -> Value:
    return _norm(run, _between(a, b), p)


@handles(aten._euclidean_dist.default)
def euclidean_dist(run: Execution, a: Value, b: Value) -> Value:
    return _norm(run, _between(a, b), 2)


@handles(aten._cdist_backward.default)
def cdist_backward(run: Execution, grad: Value, a: Value, b: Value, p: float, distances: Value) -> Value:
    """Of the first rows."""
    column = (_last_axis(grad), _last_axis(distances))
    slopes = _slopes(run, column[0], _between(a, b), p, column[1]).sum([-2])
    return slopes if slopes.shape == a.shape else _sum_to(slopes, a.shape)


def _last_axis(value: Value) -> Value:
    return value.map(lambda array: array[..., None])


def _sum_to(value: Value, shape: tuple[int, ...]) -> Value:
    """Summed over the axes along which `shape` was broadcast."""
    surplus = len(value.shape) - len(shape)
    value = value.sum(list(range(-len(value.shape), -len(shape))))
    axes = [k - len(shape) for k, n in enumerate(shape) if n == 1 and value.shape[k] != 1]
    return value.sum(axes, True) if surplus or axes else value


def _pairs(a: Value) -> tuple[Value, Any, Any]:
    """The differences of all pairs of rows, and which rows they are."""
    first, second = np.triu_indices(a.shape[0], 1)
    return _take(a, first) - _take(a, second), first, second


def _take(a: Value, rows: Any) -> Value:
    return a.map(lambda array: array[..., rows, :])


@handles(aten._pdist_forward.default)
def pdist(run: Execution, a: Value, p: float = 2) -> Value:
    return _norm(run, _pairs(a)[0], p)


@handles(aten._pdist_backward.default)
def pdist_backward(run: Execution, grad: Value, a: Value, p: float, distances: Value) -> Value:
    from gradproof.numeric.exact.operators.scatters import add_at

    differences, first, second = _pairs(a)
    slopes = _slopes(run, _last_axis(grad), differences, p, _last_axis(distances))
    columns = np.arange(a.shape[1])[None, :]
    width = a.shape[1]
    return add_at(a.shape, first[:, None] * width + columns, slopes) - add_at(
        a.shape, second[:, None] * width + columns, slopes
    )

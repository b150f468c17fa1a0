"""Operators that sum, multiply or run along axes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.reals import RoundedAwayError
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import UndecidableError, Value

aten: Any = torch.ops.aten
prims: Any = torch.ops.prims


def axes_of(shape: tuple[int, ...], dims: Any) -> list[int]:
    """Axes counted from the end; all of them for None or an empty list."""
    if dims is None or (not isinstance(dims, int) and len(dims) == 0):
        return list(range(-len(shape), 0))
    listed = [dims] if isinstance(dims, int) else list(dims)
    return [d - len(shape) if d >= 0 else d for d in listed] if shape else []


@handles(aten.sum, prims.sum)
def sum_(run: Execution, a: Any, dims: Any = None, keepdim: bool = False, **named: Any) -> Value:
    value = run.value_of(a)
    return value.sum(axes_of(value.shape, dims), keepdim)


@handles(aten.mean)
def mean(run: Execution, a: Value, dims: Any = None, keepdim: bool = False, **named: Any) -> Value:
    axes = axes_of(a.shape, dims)
    count = int(np.prod([a.shape[axis] for axis in axes], dtype=int))
    if count == 0:
        return _nan(run, a.sum(axes, keepdim))
    return a.sum(axes, keepdim).times(Fraction(1, count))


def _nan(run: Execution, value: Value) -> Value:
    return run.constants.lift(run.numbers, torch.full(value.shape, float("nan"), dtype=torch.float64)).expand(
        value.shape
    )


@handles(aten.var.correction, aten.var_mean.correction)
def var(
    run: Execution, a: Value, dims: Any = None, *, correction: Any = None, keepdim: bool = False
) -> Value:
    return _var(a, dims, 1 if correction is None else correction, keepdim)[0]


@handles(aten.var_mean.correction)
def var_mean(
    run: Execution, a: Value, dims: Any = None, *, correction: Any = None, keepdim: bool = False
) -> Any:
    return _var(a, dims, 1 if correction is None else correction, keepdim)


@handles(prims.var)
def prims_var(run: Execution, a: Value, dims: Any, correction: Any = 1, **named: Any) -> Value:
    return _var(a, dims, correction, False)[0]


def _var(a: Value, dims: Any, correction: Any, keepdim: bool) -> tuple[Value, Value]:
    axes = axes_of(a.shape, dims)
    count = int(np.prod([a.shape[axis] for axis in axes], dtype=int))
    if count == 0 or (count <= correction and math.prod(a.shape)):
        raise UndecidableError(f"the variance of {count} entries with a correction of {correction}")
    mean = a.sum(axes, True).times(Fraction(1, count))
    centred = a - mean
    squares = (centred * centred).sum(axes, keepdim)
    freedom = max(Fraction(count) - Fraction(correction), Fraction(0))
    if not keepdim:
        mean = mean.sum(axes)
    return squares / squares.numbers.scalar(freedom), mean


def along(value: Value, axis: int) -> list[Value]:
    """The slices of an array along an axis, counted from the end."""
    return [value.map(lambda array, k=k: np.take(array, k, axis=axis)) for k in range(value.shape[axis])]


def stack(values: list[Value], axis: int) -> Value:
    """Join slices along a new axis, counted from the end of the result."""
    shape = values[0].shape
    count = int(np.prod(shape, dtype=int))
    positions = np.stack([np.arange(count).reshape(shape) + k * count for k in range(len(values))], axis=axis)
    return gather(values, positions)


@handles(aten.prod.default, aten.prod.dim_int)
def prod(run: Execution, a: Value, dim: Any = None, keepdim: bool = False, **named: Any) -> Value:
    if dim is None:
        flat = a.map(lambda array: array.reshape((*array.shape[: array.ndim - len(a.shape)], -1)))
        return _product(flat, -1)
    (axis,) = axes_of(a.shape, dim)
    result = _product(a, axis)
    return result.map(lambda array: np.expand_dims(array, axis)) if keepdim else result


def _product(a: Value, axis: int) -> Value:
    slices = along(a, axis)
    if not slices:
        shape = tuple(n for k, n in enumerate(a.shape) if k != len(a.shape) + axis)
        return a.numbers.scalar(1).expand(shape)
    result = slices[0]
    for factor in slices[1:]:
        result = result * factor
    return result


def _running(run: Execution, a: Value, dim: int, combine: Any) -> Value:
    if not a.shape or 0 in a.shape:
        return a
    (axis,) = axes_of(a.shape, dim)
    slices = along(a, axis)
    for k in range(1, len(slices)):
        slices[k] = combine(slices[k - 1], slices[k])
    return stack(slices, axis)


@handles(aten.cumsum)
def cumsum(run: Execution, a: Any, dim: int, **named: Any) -> Value:
    return _running(run, run.value_of(a), dim, lambda total, entry: total + entry)


@handles(aten.cumprod)
def cumprod(run: Execution, a: Any, dim: int, **named: Any) -> Value:
    return _running(run, run.value_of(a), dim, lambda total, entry: total * entry)


@handles(aten.logcumsumexp.default)
def logcumsumexp(run: Execution, a: Value, dim: int) -> Value:
    return f.log(_running(run, f.exp(a), dim, lambda total, entry: total + entry))


def _exponentials(a: Value, axes: list[int], keepdim: bool) -> tuple[Value, Value]:
    """The exponentials and their sum, which kernels compute after a shift: where floats without one give 0,
    balls are needed.
    """
    exponentials = f.exp(a)
    total = exponentials.sum(axes, keepdim)
    if np.any((total.reals == 0) & np.any(a.reals > -np.inf, axis=tuple(axes), keepdims=keepdim)):
        raise RoundedAwayError
    return exponentials, total


@handles(aten.logsumexp.default)
def logsumexp(run: Execution, a: Value, dims: Any, keepdim: bool = False) -> Value:
    return f.log(_exponentials(a, axes_of(a.shape, dims), keepdim)[1])


@handles(aten._softmax.default, aten._safe_softmax.default)
def softmax(run: Execution, a: Value, dim: int, *rest: Any) -> Value:
    exponentials, total = _exponentials(a, axes_of(a.shape, dim), True)
    return exponentials / total


@handles(aten._log_softmax.default)
def log_softmax(run: Execution, a: Value, dim: int, *rest: Any) -> Value:
    return a - f.log(_exponentials(a, axes_of(a.shape, dim), True)[1])


@handles(aten.stack.default)
def stack_(run: Execution, tensors: Any, dim: int = 0) -> Value:
    values = [run.value_of(tensor) for tensor in tensors]
    axes = len(values[0].shape) + 1
    return stack(values, dim - axes if dim >= 0 else dim)

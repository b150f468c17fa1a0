"""What the functions of NumPy do to exact numbers: sums and means, and what chooses entries by comparing
them.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.numpy_arrays import Exact
from gradproof.numeric.exact.numpy_decisions import Decision, Origin
from gradproof.numeric.exact.numpy_tables import ROWS, row
from gradproof.numeric.exact.numpy_ufuncs import Run
from gradproof.numeric.exact.operators import pieces, reductions, selections
from gradproof.numeric.exact.storages import flatten
from gradproof.numeric.exact.values import Value

# Rows of PyTorch's operators ask of a run what a run of NumPy offers too; and NumPy's types know nothing of
# exact arrays.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false


def axes_of(a: Value, axis: Any) -> list[int]:
    """Axes counted from the end; all of them for None, none for an empty tuple."""
    if axis is None:
        return reductions.axes_of(a.shape, None)
    listed = [index(k) for k in axis] if isinstance(axis, tuple | list) else [index(axis)]
    return reductions.axes_of(a.shape, listed) if listed else []


def shape_kept(a: Value, result: Value, axis: Any, keepdims: Any) -> Value:
    """Put axes of length 1 where axes were reduced."""
    if keepdims is not True:
        return result
    shape = tuple(1 if k - len(a.shape) in axes_of(a, axis) else n for k, n in enumerate(a.shape))
    return result.map(lambda array: array.reshape((*array.shape[: array.ndim - len(result.shape)], *shape)))


# Sums and products


@row(np.sum, np.nansum)
def sum_(
    run: Run,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = False,
    initial: Any = 0,
    where: Any = True,
) -> Value:
    x = run.value_of(a)
    x = x if where is True else run.choose(where, x, 0)
    total = x.sum(axes_of(x, axis), keepdims is True)
    return (
        total
        if initial is None or (isinstance(initial, int) and initial == 0)
        else total + run.value_of(initial)
    )


ROWS[(np.add, "reduce")] = lambda run, a, axis=0, *args, **rest: sum_(run, a, axis, *args, **rest)


@row(np.mean, np.nanmean)
def mean(run: Run, a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Value:
    x = run.value_of(a)
    axes = axes_of(x, axis)
    return reductions.mean(run, x, axes, keepdims is True) if axes else x


@row(np.var)
def var(
    run: Run,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
    correction: Any = 0,
) -> Value:
    x = run.value_of(a)
    return reductions.var(run, x, axes_of(x, axis), correction=ddof or correction, keepdim=keepdims is True)


@row(np.std)
def std(run: Run, a: Any, *args: Any, **rest: Any) -> Value:
    return f.sqrt(f.finite_operand(var(run, a, *args, **rest), "the root"))


@row(np.average)
def average(run: Run, a: Any, axis: Any = None, weights: Any = None, keepdims: Any = False) -> Any:
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims is True)
    w = weights
    if np.ndim(w) == 1 and np.ndim(a) > 1:
        shape = [1] * np.ndim(a)
        shape[axis] = -1
        w = np.reshape(w, shape)
    total = np.sum(w + np.zeros(np.shape(a)), axis=axis, keepdims=keepdims is True)
    return np.sum(a * w, axis=axis, keepdims=keepdims is True) / total


@row(np.prod)
def prod(
    run: Run, a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False, initial: Any = None
) -> Value:
    x = run.value_of(a)
    result = x
    for place in axes_of(x, axis):
        result = reductions.prod(run, result, place, True)
    shape = tuple(n for k, n in enumerate(x.shape) if k - len(x.shape) not in axes_of(x, axis))
    if keepdims is not True:
        result = result.map(lambda array: array.reshape((*array.shape[: array.ndim - len(x.shape)], *shape)))
    return result if initial is None else result * run.value_of(initial)


ROWS[(np.multiply, "reduce")] = lambda run, a, axis=0, *args, **rest: prod(run, a, axis, *args, **rest)


def _cumulative(function: Any, operator: Any) -> None:
    @row(function)
    def answer(run: Run, a: Any, axis: Any = None, dtype: Any = None) -> Value:
        x = run.value_of(a)
        return operator(run, flatten(x), -1) if axis is None else operator(run, x, axes_of(x, axis)[0])


_cumulative(np.cumsum, reductions.cumsum)
_cumulative(np.cumprod, reductions.cumprod)


@row(np.diff)
def diff(run: Run, a: Any, n: int = 1, axis: int = -1) -> Any:
    for _ in range(n):
        moved = np.moveaxis(a, axis, -1)
        a = np.moveaxis(moved[..., 1:] - moved[..., :-1], -1, axis)
    return a


@row(np.trace)
def trace(run: Run, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return np.diagonal(a, offset, axis1, axis2).sum(-1)


# Chosen by comparing


@row(np.clip)
def clip(
    run: Run, a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
) -> Value:
    low, high = a_min if min is None else min, a_max if max is None else max
    bounds = [None if bound is None else run.value_of(bound) for bound in (low, high)]
    return pieces.clamp(run, run.value_of(a), *bounds)


class _Catch:
    """Tells which ufunc it is given to: `ndarray.clip` calls one that has no public name."""

    def __array_ufunc__(self, ufunc: Any, *rest: Any, **named: Any) -> Any:
        return ufunc


ROWS[np.ones(1).clip(_Catch(), 1)] = lambda run, a, low, high, **rest: clip(run, a, low, high)


def _extreme(function: Any, ufunc: Any, operator: Any) -> None:
    @row(function)
    def answer(
        run: Run, a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
    ) -> Value:
        x = run.value_of(a)
        if where is not True:
            x = run.choose(where, x, initial)
        axes = axes_of(x, axis)
        result = operator(run, x, axes, keepdims is True) if axes else x
        return result if initial is None else ROWS[ufunc](run, result, initial)

    ROWS[(ufunc, "reduce")] = lambda run, a, axis=0, dtype=None, **rest: answer(run, a, axis, **rest)


_extreme(np.max, np.maximum, selections.amax)
_extreme(np.min, np.minimum, selections.amin)


@row(np.ptp)
def ptp(run: Run, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return np.max(a, axis, keepdims=keepdims is True) - np.min(a, axis, keepdims=keepdims is True)


def _place(function: Any, operator: Any) -> None:
    @row(function)
    def answer(run: Run, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
        x = run.value_of(a)
        found = operator(run, x, None if axis is None else index(axis), keepdims is True).numpy()
        if axis is None and keepdims is True:
            found = found.reshape((1,) * len(x.shape))
        return run.decided(found)


_place(np.argmax, selections.argmax)
_place(np.argmin, selections.argmin)


@row(np.sort)
def sort(run: Run, a: Any, axis: Any = -1, kind: Any = None, order: Any = None, stable: Any = None) -> Value:
    x = run.value_of(a)
    return selections.sort(run, flatten(x) if axis is None else x, -1 if axis is None else axis)[0]


@row(np.argsort)
def argsort(run: Run, a: Any, axis: Any = -1, kind: Any = None, order: Any = None, stable: Any = None) -> Any:
    x = run.value_of(a)
    places = selections.sort(run, flatten(x) if axis is None else x, -1 if axis is None else axis)[1]
    return Decision(run, places.numpy(), Origin(decided=True, forced=True))


@row(np.median)
def median(run: Run, a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if not isinstance(axis, int | None) or keepdims:
        run.fail("the function median with these arguments")
    ordered = np.moveaxis(np.sort(a, axis=axis), -1 if axis is None else axis, -1)
    middle, odd = divmod(ordered.shape[-1], 2)
    return ordered[..., middle] if odd else (ordered[..., middle - 1] + ordered[..., middle]) / 2


def _truths(function: Any, method: Any) -> None:
    @row(function)
    def answer(run: Run, a: Any, axis: Any = None, **rest: Any) -> Any:
        return function(np.not_equal(a, 0), axis=axis, **rest)

    ROWS[(method, "reduce")] = lambda run, a, axis=0, **rest: function(np.not_equal(a, 0), axis=axis, **rest)


_truths(np.any, np.logical_or)
_truths(np.all, np.logical_and)


@row(np.round)
def round_(run: Run, a: Any, decimals: int = 0) -> Any:
    if decimals:
        run.fail(f"rounding to {decimals} decimals")
    return ROWS[np.rint](run, a)


@row(np.nan_to_num)
def nan_to_num(run: Run, x: Any, *args: Any, **rest: Any) -> Value:
    return f.finite_operand(run.value_of(x), "nan_to_num")


@row(np.sinc)
def sinc(run: Run, x: Any) -> Any:
    angle = np.pi * x
    return np.sin(angle) / angle


@row(np.polyval)
def polyval(run: Run, p: Any, x: Any) -> Any:
    total = np.zeros_like(x) if isinstance(x, Exact) else x * 0.0
    for coefficient in p:
        total = total * x + coefficient
    return total


@row(np.real)
def real(run: Run, a: Any) -> Any:
    return a


# scipy.special: functions that are not ufuncs


def logsumexp(run: Run, a: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Value:
    x = run.value_of(a)
    if b is None and axis is not None:
        return reductions.logsumexp(run, x, axes_of(x, axis), keepdims)
    terms = f.exp(x) if b is None else f.exp(x) * run.value_of(b)
    return f.log(terms.sum(axes_of(terms, axis), keepdims))


def softmax(run: Run, a: Any, axis: Any = None) -> Value:
    x = run.value_of(a)
    return reductions.softmax(run, x, axes_of(x, axis))


def log_softmax(run: Run, a: Any, axis: Any = None) -> Value:
    x = run.value_of(a)
    return reductions.log_softmax(run, x, axes_of(x, axis))


SCIPY_FUNCTIONS = {"logsumexp": logsumexp, "softmax": softmax, "log_softmax": log_softmax}

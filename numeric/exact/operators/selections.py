"""Operators that choose entries by comparing them: maxima, sorting, ranks."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.branches import Gap, order
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.masks import mark_decided
from gradproof.numeric.exact.operators.pieces import choose
from gradproof.numeric.exact.operators.reductions import along, axes_of
from gradproof.numeric.exact.reals import each
from gradproof.numeric.exact.specials import finite_entries
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import UndecidableError, Value

aten: Any = torch.ops.aten
prims: Any = torch.ops.prims


def record_choice(run: Execution, what: str, candidates: list[Value], best: Value, index: Array) -> None:
    """Record which of several numbers was chosen, entry by entry: each that is finite and may be is asked
    for. One that is the chosen number itself (a row that is taken twice) counts as chosen.
    """
    labels: list[object] = [f"entry {k} of {len(candidates)}" for k in range(len(candidates))]
    met = {label: (index == k) | np.asarray(c.reals == best.reals, dtype=bool)
           for k, (label, c) in enumerate(zip(labels, candidates, strict=True))}  # fmt: skip
    required = {label: finite_entries(c) for label, c in zip(labels, candidates, strict=True)}
    site = run.branches.record_entries(
        what, index.shape, met, required, impossible=_never(labels, candidates)
    )
    wanted = (run.branches.wanted or {}).get(site, {})
    for label, candidate in zip(labels, candidates, strict=True):
        if label in wanted:
            run.branches.gaps.append(Gap(site, label, candidate - best, wanted[label]))


def _never(labels: list[object], candidates: list[Value]) -> dict[object, Array]:
    """Where bounds exclude that a number is the largest, in a run that has them."""
    bounds: list[Any] = [c.bounds for c in candidates]
    if any(bound is None for bound in bounds):
        return {}
    shape = candidates[0].shape
    low = np.array([each(b.primal, lambda i: i.low) for b in bounds], dtype=float).reshape(
        len(bounds), *shape
    )
    high = np.array([each(b.primal, lambda i: i.high) for b in bounds], dtype=float).reshape(low.shape)
    others = [np.delete(low, k, 0).max(0, initial=-np.inf) for k in range(len(bounds))]
    return {label: others[k] >= high[k] for k, label in enumerate(labels)}


def ranked(run: Execution, a: Value, axis: int, what: str) -> Array:
    """For each entry along an axis, how many of the others are smaller; equal ones keep their order."""
    slices = along(a, axis)
    if not slices:
        return np.zeros(a.shape, dtype=np.int64)
    ranks = [np.zeros(slices[0].shape, dtype=np.int64) for _ in slices]
    for i in range(len(slices)):
        for j in range(i + 1, len(slices)):
            sides = run.branches.compare(slices[i], slices[j], what)
            ranks[i] += sides > 0
            ranks[j] += sides <= 0
    return np.stack(ranks, axis=axis)


def decided_indices(a: Value, index: Array) -> torch.Tensor:
    """Indices that comparisons of entries gave: what follows from them rests on the order that was met."""
    made = torch.from_numpy(np.ascontiguousarray(index).reshape(index.shape))
    if a.constant is None:
        mark_decided(made, "order")
    return made


def take_along(a: Value, indices: Array, axis: int) -> Value:
    """Entries at `indices` along an axis."""
    positions = np.arange(int(np.prod(a.shape, dtype=int))).reshape(a.shape)
    return gather([a], np.take_along_axis(positions, indices, axis=axis))


def extreme(run: Execution, a: Value, axis: int, largest: bool, what: str) -> Array:
    """The index of the largest or smallest entry along an axis, the first of equal ones; the axis is kept."""
    value = a if largest else -a
    slices = along(value, axis)
    best = slices[0]
    index = np.zeros(best.shape, dtype=np.int64)
    for k, other in enumerate(slices[1:], start=1):
        sides = order(other, best)
        if a.constant is None:
            run.branches.note(sides)
        index = np.where(sides > 0, k, index)
        best = choose(sides > 0, other, best)
    if a.constant is None and len(slices) > 1:
        record_choice(run, what, slices, best, index)
    return np.expand_dims(index, axis)


def _squeeze(value: Value, axes: list[int]) -> Value:
    return value.map(lambda array: array.squeeze(axis=tuple(axes)))


def _flat_axis(a: Value, axes: list[int]) -> Value:
    """The axes to reduce, moved to the end and joined into one."""
    keep = [k - len(a.shape) for k in range(len(a.shape)) if k - len(a.shape) not in axes]
    order_ = keep + sorted(axes)

    def move(array: Array) -> Array:
        lead = array.ndim - len(a.shape)
        moved = array.transpose(*range(lead), *(array.ndim + k for k in order_))
        return moved.reshape(
            (*array.shape[:lead], *(a.shape[k] for k in keep), prod(a.shape[k] for k in axes))
        )

    return a.map(move)


def _amax(run: Execution, a: Value, dims: Any, keepdim: bool, largest: bool, what: str) -> Value:
    axes = axes_of(a.shape, dims)
    if not axes:
        return a
    flat = _flat_axis(a, axes)
    index = extreme(run, flat, -1, largest, what)
    result = _squeeze(take_along(flat, index, -1), [-1])
    if keepdim:
        shape = tuple(1 if k - len(a.shape) in axes else n for k, n in enumerate(a.shape))
        result = result.map(
            lambda array: array.reshape((*array.shape[: array.ndim - len(result.shape)], *shape))
        )
    return result


@handles(aten.amax, aten.max.default, prims.amax)
def amax(run: Execution, a: Value, dims: Any = None, keepdim: bool = False, **named: Any) -> Value:
    return _amax(run, a, dims, keepdim, True, "max")


@handles(aten.amin, aten.min.default, prims.amin)
def amin(run: Execution, a: Value, dims: Any = None, keepdim: bool = False, **named: Any) -> Value:
    return _amax(run, a, dims, keepdim, False, "min")


def _extreme_along(run: Execution, a: Value, dim: int, keepdim: bool, largest: bool, what: str) -> Any:
    if not a.shape:
        return a, torch.zeros((), dtype=torch.int64)
    (axis,) = axes_of(a.shape, dim)
    index = extreme(run, a, axis, largest, what)
    values = take_along(a, index, axis)
    if keepdim:
        return values, decided_indices(a, index)
    return _squeeze(values, [axis]), decided_indices(a, index.squeeze(axis))


@handles(aten.max.dim)
def max_dim(run: Execution, a: Value, dim: int, keepdim: bool = False) -> Any:
    return _extreme_along(run, a, dim, keepdim, True, "max")


@handles(aten.min.dim)
def min_dim(run: Execution, a: Value, dim: int, keepdim: bool = False) -> Any:
    return _extreme_along(run, a, dim, keepdim, False, "min")


@handles(aten.argmax)
def argmax(run: Execution, a: Value, dim: Any = None, keepdim: bool = False) -> torch.Tensor:
    flat = a if dim is not None else _flat_axis(a, axes_of(a.shape, None))
    return _extreme_along(run, flat, -1 if dim is None else dim, keepdim, True, "argmax")[1]


@handles(aten.argmin)
def argmin(run: Execution, a: Value, dim: Any = None, keepdim: bool = False) -> torch.Tensor:
    flat = a if dim is not None else _flat_axis(a, axes_of(a.shape, None))
    return _extreme_along(run, flat, -1 if dim is None else dim, keepdim, False, "argmin")[1]


@handles(aten.sort.default, aten.sort.stable)
def sort(run: Execution, a: Value, dim: int = -1, descending: bool = False, **named: Any) -> Any:
    if not a.shape:
        return a, torch.zeros((), dtype=torch.int64)
    dim, descending = named.get("dim", dim), named.get("descending", descending)
    (axis,) = axes_of(a.shape, dim)
    ranks = ranked(run, -a if descending else a, axis, "sort")
    index = np.argsort(ranks, axis=axis, kind="stable")
    return take_along(a, index, axis), decided_indices(a, index)


@handles(aten.topk)
def topk(run: Execution, a: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    values, index = sort(run, a, dim, largest)
    (axis,) = axes_of(a.shape, dim)
    cut = (..., slice(0, k), *([slice(None)] * (-axis - 1)))
    return values.map(lambda array: array[cut]), decided_indices(a, index.numpy()[cut])


@handles(aten.argsort)
def argsort(run: Execution, a: Value, dim: int = -1, descending: bool = False) -> torch.Tensor:
    return sort(run, a, dim, descending)[1]


def _of_rank(run: Execution, a: Value, k: int, dim: int, keepdim: bool, what: str) -> tuple[Value, Any]:
    """The entry that k others along an axis are smaller than, and its index."""
    if not a.shape:
        return a, torch.zeros((), dtype=torch.int64)
    (axis,) = axes_of(a.shape, dim)
    ranks = ranked(run, a, axis, what)
    index = np.expand_dims(np.argmax(ranks == k, axis=axis), axis)
    values = take_along(a, index, axis)
    if keepdim:
        return values, decided_indices(a, index)
    return _squeeze(values, [axis]), decided_indices(a, index.squeeze(axis))


@handles(aten.kthvalue.default)
def kthvalue(run: Execution, a: Value, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    return _of_rank(run, a, k - 1, dim, keepdim, "kthvalue")


@handles(aten.median.dim, aten.nanmedian.dim)
def median_dim(run: Execution, a: Value, dim: int = -1, keepdim: bool = False) -> Any:
    count = a.shape[dim] if a.shape else 1
    return _of_rank(run, a, (count - 1) // 2, dim, keepdim, "median")


@handles(aten.median.default, aten.nanmedian.default)
def median(run: Execution, a: Value) -> Value:
    flat = _flat_axis(a, axes_of(a.shape, None))
    if 0 in flat.shape:
        raise UndecidableError("the median of nothing")
    return _of_rank(run, flat, (flat.shape[0] - 1) // 2, 0, False, "median")[0]


def _running_extreme(run: Execution, a: Value, dim: int, largest: bool, what: str) -> Any:
    """The largest or smallest entry so far, the last of equal ones, and its index."""
    if not a.shape or 0 in a.shape:
        return a, torch.zeros(a.shape, dtype=torch.int64)
    (axis,) = axes_of(a.shape, dim)
    slices = along(a if largest else -a, axis)
    best, indices = slices[0], [np.zeros(slices[0].shape, dtype=np.int64)]
    for k, entry in enumerate(slices[1:], start=1):
        later = run.branches.compare(entry, best, what) >= 0
        best = choose(later, entry, best)
        indices.append(np.where(later, k, indices[-1]))
    index = np.stack(indices, axis=axis)
    return take_along(a, index, axis), decided_indices(a, index)


@handles(aten.cummax)
def cummax(run: Execution, a: Value, dim: int) -> Any:
    return _running_extreme(run, a, dim, True, "cummax")


@handles(aten.cummin)
def cummin(run: Execution, a: Value, dim: int) -> Any:
    return _running_extreme(run, a, dim, False, "cummin")

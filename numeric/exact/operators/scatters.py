"""Operators that write or add entries at positions which are data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import HANDLERS, handles
from gradproof.numeric.exact.operators.pieces import choose
from gradproof.numeric.exact.operators.products import reshape
from gradproof.numeric.exact.operators.reductions import axes_of
from gradproof.numeric.exact.storages import flatten, gather
from gradproof.numeric.exact.values import UndecidableError, Value

aten: Any = torch.ops.aten


@handles(aten.index_add.default)
def index_add(
    run: Execution, a: Value, dim: int, index: torch.Tensor, source: Value, *, alpha: Any = 1
) -> Value:
    (axis,) = axes_of(a.shape, dim)
    added = source if alpha == 1 else source * run.value_of(alpha)
    spots = torch.arange(a.shape[axis])[index.reshape(-1)] if a.shape else index.reshape(-1)
    shape = [1] * max(len(a.shape), 1)
    shape[axis if a.shape else 0] = -1
    full = np.broadcast_to(spots.numpy().reshape(shape), source.shape)
    return _scatter_sum(a, axis, full, added)


@handles(aten.scatter_add.default)
def scatter_add(run: Execution, a: Value, dim: int, index: torch.Tensor, source: Value) -> Value:
    (axis,) = axes_of(a.shape, dim)
    slices = tuple(slice(0, n) for n in index.shape)
    cut = source.map(lambda array: array[(..., *slices)])
    return _scatter_sum(a, axis, index.numpy(), cut)


def _scatter_sum(a: Value, axis: int, index: Any, source: Value) -> Value:
    grid = list(np.indices(source.shape))
    grid[axis] = np.asarray(index)
    flat = np.ravel_multi_index(tuple(grid), a.shape) if a.shape else np.zeros(source.shape, dtype=int)
    return a + add_at(a.shape, flat, source)


def add_at(shape: tuple[int, ...], positions: Any, source: Value) -> Value:
    """Zeros of a shape with entries added at flat positions, repeated ones adding up."""
    count = int(np.prod(shape, dtype=int))
    spots = np.asarray(positions).reshape(-1)
    trailing = len(source.shape)

    def accumulate(array: Any) -> Any:
        lead = array.shape[: array.ndim - trailing]
        result = np.zeros((*lead, count), dtype=array.dtype)
        at: Any = (..., spots)
        np.add.at(result, at, array.reshape((*lead, spots.size)))
        return result.reshape((*lead, *shape))

    logless = Value(
        source.numbers, tuple(type(d)(d.primal, d.tangent) for d in source.duals), None, source.depth
    )
    return logless.linear(accumulate)


@handles(aten.index_put.default, aten._unsafe_index_put.default)
def index_put(
    run: Execution, a: Value, indices: Any, source: Any, accumulate: bool = False, *rest: Any
) -> Value:
    positions = torch.arange(int(np.prod(a.shape, dtype=int))).reshape(a.shape)
    spots = torch.ops.aten.index.Tensor(positions, list(indices)).numpy()
    added = run.value_of(source).expand(spots.shape)
    if accumulate:
        return a + add_at(a.shape, spots, added)
    count = int(np.prod(a.shape, dtype=int))
    taken = np.arange(count)
    taken[spots.reshape(-1)] = count + np.arange(spots.size)
    return gather([a, added], taken.reshape(a.shape))


@handles(aten.put.default)
def put(run: Execution, a: Value, index: torch.Tensor, source: Value, accumulate: bool = False) -> Value:
    count = int(np.prod(a.shape, dtype=int))
    spots = np.arange(count)[index.numpy().reshape(-1)]
    added = flatten(source)
    if accumulate:
        return a + add_at(a.shape, spots, added)
    taken = np.arange(count)
    taken[spots] = count + np.arange(spots.size)
    return gather([a, added], taken.reshape(a.shape))


@handles(aten.masked_scatter_backward.default)
def masked_scatter_backward(run: Execution, grad: Value, mask: torch.Tensor, sizes: Any) -> Value:
    """The entries where the mask holds, in order, and zeros up to the size of what was scattered."""
    spots = 1 + np.flatnonzero(np.broadcast_to(mask.numpy(), grad.shape))
    count = int(np.prod(sizes, dtype=int))
    positions = np.zeros(count, dtype=np.int64)
    positions[: min(count, spots.size)] = spots[:count]
    return gather([run.numbers.zeros((1,)), grad], positions.reshape(tuple(sizes)))


def _adjoint_of_move(operator: Any, backward: Any) -> None:
    """Entries added up where the forward operator took them from; the third argument is the padding."""

    @handles(backward)
    def answer(run: Execution, grad: Value, a: Value, padding: Any) -> Value:
        count = int(np.prod(a.shape, dtype=int))
        positions = operator(torch.arange(count).reshape(a.shape), padding)
        return add_at(a.shape, positions.numpy(), grad)


_adjoint_of_move(aten.reflection_pad1d, aten.reflection_pad1d_backward.default)
_adjoint_of_move(aten.reflection_pad2d, aten.reflection_pad2d_backward.default)
_adjoint_of_move(aten.reflection_pad3d, aten.reflection_pad3d_backward.default)
_adjoint_of_move(aten.replication_pad1d, aten.replication_pad1d_backward.default)
_adjoint_of_move(aten.replication_pad2d, aten.replication_pad2d_backward.default)
_adjoint_of_move(aten.replication_pad3d, aten.replication_pad3d_backward.default)


@handles(aten.scatter_reduce.two)
def scatter_reduce(
    run: Execution, a: Value, dim: int, index: torch.Tensor, source: Value, reduce: str, *,
    include_self: bool = True,
) -> Value:  # fmt: skip
    """Entries that come to one place are added, multiplied or compared, with what stood there or without."""
    (axis,) = axes_of(a.shape, dim) or (-1,)
    cut = source.map(lambda array: array[(..., *(slice(0, n) for n in index.shape))])
    grid = list(np.indices(cut.shape))
    if grid:
        grid[axis] = index.numpy()
    count = int(np.prod(a.shape, dtype=int))
    spots = np.ravel_multi_index(tuple(grid), a.shape).reshape(-1) if grid else np.zeros(1, dtype=int)
    members = [[place] if include_self else list[int]() for place in range(count)]
    for entry, place in enumerate(spots):
        members[place].append(count + entry)
    for place in range(count):
        members[place] = members[place] or [place]
    return reshape(_combine(run, [a, cut], members, reduce), a.shape)


def _combine(run: Execution, values: list[Value], members: list[list[int]], reduce: str) -> Value:
    """One number for each list of positions."""
    most = max((len(entries) for entries in members), default=1)
    result = gather(values, np.array([entries[0] for entries in members], dtype=np.int64))
    for k in range(1, most):
        here = np.array([len(entries) > k for entries in members])
        taken = gather(values, np.array([e[k] if len(e) > k else e[0] for e in members], dtype=np.int64))
        if reduce in ("sum", "mean"):
            combined = result + taken
        elif reduce == "prod":
            combined = result * taken
        elif reduce in ("amax", "amin"):
            what = f"scatter_reduce {reduce}"
            if reduce == "amax":
                sides = run.branches.compare(taken, result, what)
            else:
                sides = run.branches.compare(result, taken, what)
            combined = choose(sides > 0, taken, result)
        else:
            raise UndecidableError(f"scatter_reduce with {reduce}")
        result = choose(here, combined, result)
    if reduce == "mean":
        sizes = torch.tensor([len(entries) for entries in members])
        result = result / run.value_of(sizes)
    return result


@handles(aten.scatter.reduce)
def scatter_with(run: Execution, a: Value, dim: int, index: Any, source: Value, *, reduce: str) -> Value:
    return scatter_reduce(run, a, dim, index, source, {"add": "sum", "multiply": "prod"}[reduce])


@handles(aten.scatter.value)
def scatter_value(run: Execution, a: Value, axis: int, index: torch.Tensor, number: Any) -> Value:
    return HANDLERS[aten.scatter.src](run, a, axis, index, run.value_of(number).expand(tuple(index.shape)))

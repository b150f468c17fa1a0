"""Functions of NumPy that move entries and compute nothing: run by NumPy itself, on the positions of the
entries.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradproof.numeric.exact.numpy_arrays import Exact, ExactArray
from gradproof.numeric.exact.numpy_decisions import Decision
from gradproof.numeric.exact.numpy_execution import NumpyExecution
from gradproof.numeric.exact.numpy_tables import ABOUT, DECIDED, MOVES, ROWS, row
from gradproof.numeric.exact.numpy_ufuncs import Run
from gradproof.numeric.exact.values import Value

MOVES |= {
    np.reshape, np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.expand_dims, np.squeeze,
    np.broadcast_to,
    np.atleast_1d, np.atleast_2d, np.atleast_3d, np.flip, np.fliplr, np.flipud, np.rot90, np.roll, np.tile,
    np.repeat,
    np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit, np.take, np.take_along_axis, np.diag,
    np.diagonal,
    np.diagflat, np.tril, np.triu, np.ravel, np.compress, np.delete, np.resize, np.matrix_transpose,
    np.unstack,
    np.copy, np.permute_dims,
}  # fmt: skip
"""Of one array; entries that a function fills in are 0."""
JOINS = {np.concatenate, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack}
"""Of a list of arrays."""
ABOUT |= {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iscomplexobj, np.isrealobj,
    np.min_scalar_type,
    np.common_type, np.may_share_memory, np.shares_memory,
}  # fmt: skip


def _register_move(function: Any) -> None:
    @row(function)
    def answer(run: NumpyExecution, *args: Any, **kwargs: Any) -> Any:
        return run.move(function, args, kwargs)


def _register_join(function: Any) -> None:
    @row(function)
    def answer(run: Run, arrays: Any, axis: Any = None, **rest: Any) -> Value:
        named = {} if axis is None and function is not np.concatenate else {"axis": axis}
        return run.join(lambda places: function(places, **named), arrays)

    if function is np.concatenate:
        ROWS[function] = lambda run, arrays, axis=0, **rest: answer(run, arrays, axis)


for _function in MOVES:
    _register_move(_function)
for _function in JOINS:
    _register_join(_function)
MOVES |= JOINS
for _function in ABOUT:
    ROWS[_function] = lambda run, *args, **kwargs: None


@row(np.append)
def append(run: Run, a: Any, values: Any, axis: Any = None) -> Any:
    return run.join(lambda places: np.append(places[0], places[1], axis), [a, values])


@row(np.broadcast_arrays)
def broadcast_arrays(run: Run, *arrays: Any, **rest: Any) -> Any:
    shape = np.broadcast_shapes(*(run.value_of(a).shape for a in arrays))
    exact = [a if isinstance(a, Exact) else run.new(run.value_of(a)) for a in arrays]
    return tuple(np.broadcast_to(a, shape) for a in exact)  # pyright: ignore


@row(np.meshgrid)
def meshgrid(run: Run, *arrays: Any, **rest: Any) -> Any:
    if rest.get("sparse") or not rest.get("copy", True):
        run.fail("meshgrid without copies")
    return [run.join(lambda p, k=k: np.meshgrid(*p, **rest)[k], arrays) for k in range(len(arrays))]


@row(np.pad)
def pad(run: Run, a: Any, width: Any, mode: Any = "constant", **rest: Any) -> Any:
    if (
        mode not in ("constant", "edge", "reflect", "symmetric", "wrap")
        or rest.get("reflect_type", "even") != "even"
    ):
        run.fail(f"the function pad, mode {mode}")
    fill = rest.pop("constant_values", 0)
    return run.move(np.pad, (a, width, mode), rest, fill)


@row(np.block)
def block(run: Run, arrays: Any) -> Value:
    def places(tree: Any, taken: Any) -> Any:
        return [places(part, taken) for part in tree] if isinstance(tree, list) else next(taken)

    flat = list(_entries(arrays))
    return run.join(lambda positions: np.block(places(arrays, iter(positions))), flat)


def _entries(tree: Any) -> Any:
    if isinstance(tree, list):
        for part in tree:
            yield from _entries(part)
    else:
        yield tree


# Choices


@row(np.where)
def where(run: Run, condition: Any, *values: Any) -> Any:
    if not values:
        return np.nonzero(condition)
    return run.choose(condition, *values)


@row(np.select)
def select(run: Run, conditions: Any, choices: Any, default: Any = 0) -> Value:
    result = run.value_of(default)
    for condition, choice in reversed(list(zip(conditions, choices, strict=True))):
        result = run.choose(condition, choice, result)
    return result


@row(np.nonzero, np.flatnonzero, np.argwhere)
def nonzero(run: Run, a: Any) -> Any:
    run.fail("the places where numbers are not 0: compare first (`np.nonzero(x != 0)`)")


# In place


def _target(run: Run, array: Any, what: str) -> ExactArray:
    if not isinstance(array, ExactArray):
        run.fail(f"exact numbers written by {what} into an array that was allocated elsewhere")
    return array


@row(np.put_along_axis)
def put_along_axis(run: Run, a: Any, indices: Any, values: Any, axis: Any) -> None:
    target = _target(run, a, "put_along_axis")
    spots = np.take_along_axis(target.spots, np.asarray(run.key_of(indices)), axis)
    target.store.write(run.value_of(values).expand(spots.shape), spots)


@row(np.put)
def put(run: Run, a: Any, indices: Any, values: Any, mode: Any = "raise") -> None:
    target = _target(run, a, "put")
    spots = np.take(target.spots, np.asarray(run.key_of(indices)), mode=mode)
    given = run.value_of(values)
    if given.shape not in ((), spots.shape):
        run.fail("put of values of another shape")
    target.store.write(given.expand(spots.shape), spots)


@row(np.copyto)
def copyto(run: Run, target: Any, source: Any, casting: Any = None, where: Any = True) -> None:
    a = _target(run, target, "copyto")
    a.write(run.value_of(source) if where is True else run.choose(where, source, a))


@row(np.putmask, np.place)
def putmask(run: Run, a: Any, mask: Any, values: Any) -> None:
    given = run.value_of(values)
    if given.shape not in ((), _target(run, a, "putmask").spots.shape):
        run.fail("putmask of values of another shape")
    a.write(run.choose(mask, given, a))


@row(np.fill_diagonal)
def fill_diagonal(run: Run, a: Any, value: Any, wrap: bool = False) -> None:
    target = _target(run, a, "fill_diagonal")
    marks = np.zeros(target.spots.shape, bool)
    np.fill_diagonal(marks, True, wrap)
    spots = target.spots[marks]
    target.store.write(run.value_of(value).expand(spots.shape), spots)


# Made like another array


@row(np.zeros_like)
def zeros_like(run: Run, a: Any, *args: Any, **rest: Any) -> Any:
    return _like(run, np.zeros_like, a, args, rest, lambda shape: run.numbers.zeros(shape))


@row(np.ones_like)
def ones_like(run: Run, a: Any, *args: Any, **rest: Any) -> Any:
    return _like(run, np.ones_like, a, args, rest, lambda shape: run.value_of(1).expand(shape))


@row(np.empty_like)
def empty_like(run: Run, a: Any, *args: Any, **rest: Any) -> Any:
    return _like(run, np.empty_like, a, args, rest, run.unset)


@row(np.full_like)
def full_like(run: Run, a: Any, fill: Any, *args: Any, **rest: Any) -> Any:
    if isinstance(fill, Exact) and not isinstance(a, Exact):
        run.fail("full_like of an array of integers")
    shadow = np.full_like(a.shadow(), 1, *args, **rest)
    if shadow.dtype.kind != "f":
        return run.data(np.full(shadow.shape, fill, shadow.dtype))
    return run.value_of(fill).expand(shadow.shape)


def _like(run: Run, function: Any, a: Any, args: Any, rest: Any, make: Any) -> Any:
    shadow = function(a.shadow(), *args, **rest)
    return make(shadow.shape) if shadow.dtype.kind == "f" else run.data(shadow)


# Of decisions


@row(np.where, table=DECIDED)
def where_decided(run: Run, condition: Any, *values: Any) -> Any:
    if not values:
        return _places(run, np.nonzero, condition)
    if isinstance(condition, Decision):
        condition.use("a choice")
    kinds = [np.asarray(v.array if isinstance(v, Decision) else v).dtype.kind for v in values]
    if "f" in kinds:
        return run.wrap(run.choose(condition, *values), np.empty(_shape_of(condition, *values)))
    return run.decide(np.where, (condition, *values), {}, settled=True)


def _shape_of(*arrays: Any) -> Any:
    return np.broadcast_shapes(*(np.shape(a.array if isinstance(a, Decision) else a) for a in arrays))


@row(np.nonzero, np.flatnonzero, np.argwhere, table=DECIDED)
def nonzero_decided(run: Run, mask: Any) -> Any:
    return _places(run, np.nonzero, mask)


DECIDED[np.flatnonzero] = lambda run, mask: _places(run, np.flatnonzero, mask)
DECIDED[np.argwhere] = lambda run, mask: _places(run, np.argwhere, mask)


def _places(run: Run, function: Any, mask: Any) -> Any:
    mask = mask if mask.array.dtype == np.bool_ else mask != 0
    mask.use("the places of a mask")
    found = run.decide(function, (mask,), {}, settled=True)
    for part in found if isinstance(found, tuple) else (found,):
        part.counted = ("a mask selects", mask.array.size) if mask.origin.forced else mask.counted
    return found


@row(np.sum, np.count_nonzero, (np.add, "reduce"), table=DECIDED)
def count_truths(run: Run, mask: Any, axis: Any = None, dtype: Any = None, **rest: Any) -> Any:
    """How many hold: each number of them is a case of its own."""
    if not isinstance(mask, Decision) or mask.array.dtype != np.bool_:
        counted = run.decide(np.sum, (mask, axis, None), rest, settled=False)
    else:
        counted = run.decide(np.sum, (mask, axis, None), rest, settled=True)
        if mask.origin.forced and mask.array.size:
            most = mask.array.size // max(np.asarray(counted.array).size, 1)
            run.branches.record("a count of truths", map(int, np.unique(counted.array)), range(most + 1))
    return counted if dtype is None else counted.astype(dtype)

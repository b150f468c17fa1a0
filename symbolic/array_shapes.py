"""Arrays in other shapes: axes joined row by row and taken apart, entries repeated, Kronecker products."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from gradproof.symbolic.array_calls import ARRAY_TABLE, Given, enter
from gradproof.symbolic.array_moves import put, spread
from gradproof.symbolic.array_names import Names
from gradproof.symbolic.arrays import (
    Array,
    Axes,
    expanded,
    fresh_index,
    outer,
    shown,
    swapped,
    total_of,
    transposed,
)
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import ZERO, Expr, Index, Number, bracket, number, size
from gradproof.symbolic.flattening import parted, parts
from gradproof.symbolic.formulas import Formula, exact
from gradproof.symbolic.scalar_table import NoRowError
from gradproof.symbolic.syntax import ParseError, Syntax

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader

MAX_REPEATED = 8


def joined(names: Names, array: Array, place: int, count: int) -> Array:
    """So many axes, from a place on, joined row by row."""
    axes = [a for a in array.axes[place : place + count] if a is not None]
    kept = [i for i in array.indices[place : place + count] if i is not None]
    plain = [f for a in axes for f in a.factors or (a,)]
    if len(plain) <= 1:
        return _regrouped(array, place, count, tuple(axes), tuple(kept))
    if sum(a.size is None for a in plain) <= 1 and not any(a.factors for a in axes):
        return _in_line(names, array, place, count)
    axis = names.joined(plain)
    over = fresh_index(axis)
    spots = iter(parts(axis, over))
    body = array.body
    for i in kept:
        apart = [fresh_index(a) for a in i.axis.factors] or [i]
        body = parted(body, i, apart) if i.axis.factors else body
        body = Array(tuple(j.axis for j in apart), tuple(apart), body).at([next(spots) for _ in apart])
    return _regrouped(Array(array.axes, array.indices, body), place, count, (axis,), (over,))


def _regrouped(
    array: Array, place: int, count: int, axes: tuple[Axis, ...], indices: tuple[Index, ...]
) -> Array:
    behind = place + count
    return Array(
        (*array.axes[:place], *axes, *array.axes[behind:]),
        (*array.indices[:place], *indices, *array.indices[behind:]),
        array.body,
    )


def _in_line(names: Names, array: Array, place: int, count: int) -> Array:
    """Axes of which at most one has a symbolic size, as one along which positions are counted."""
    inner = [i for i in array.indices[place : place + count] if i is not None]
    symbolic = [i.axis for i in inner if i.axis.size is None]
    times = prod(i.axis.size for i in inner if i.axis.size is not None)
    over = fresh_index(names.axis_of(dict.fromkeys(symbolic, times), 0 if symbolic else times))
    apart = [fresh_index(i.axis) for i in inner]
    moved = Array(tuple(i.axis for i in inner), tuple(inner), array.body).at(apart)
    body = total_of(_summed_at(apart, over) * moved, apart)
    return _regrouped(Array(array.axes, array.indices, body), place, count, (over.axis,), (over,))


def _summed_at(inner: Sequence[Index], over: Index) -> Formula:
    """1 where places on axes, row by row, make the place on one; each of fixed size by its places."""
    stride: Expr = number(1)
    terms: list[tuple[Index, Expr]] = []
    for i in reversed(inner):
        terms.append((i, stride))
        stride = stride * size(i.axis)
    hits: list[tuple[Expr, Expr]] = [(ZERO, number(1))]
    for i, step in terms:
        if isinstance(step, Number):
            hits = [(at + step * i, hit) for at, hit in hits]
        else:
            hits = [
                (at + step * n, hit * bracket("==", i, number(n)))
                for at, hit in hits
                for n in range(i.axis.size or 0)
            ]
    return Formula(sum((hit * bracket("==", at, over) for at, hit in hits), start=ZERO))


def taken_apart(names: Names, array: Array, place: int, shape: Sequence[Axis]) -> Array:
    """One axis as several, row by row; raises NoRowError for other axes than those that it was made of."""
    axis, over = array.axes[place], array.indices[place]
    assert axis is not None and over is not None
    if axis.factors == tuple(shape):
        apart = tuple(fresh_index(a) for a in shape)
        body = parted(array.body, over, apart)
        return _regrouped(Array(array.axes, array.indices, body), place, 1, tuple(shape), apart)
    symbolic = [a for a in shape if a.size is None]
    times = prod(a.size for a in shape if a.size is not None)
    whole = dict.fromkeys(symbolic, times)
    if len(symbolic) > 1 or names.axis_of(whole, 0 if symbolic else times) != axis:
        raise NoRowError(f"an axis {axis.name} is not read as axes {shown(tuple(shape))}")
    apart = tuple(fresh_index(a) for a in shape)
    stride, cases = number(1), [(ZERO, exact(1))]
    for i in reversed(apart):
        if isinstance(stride, Number):
            cases = [(at + stride * i, hit) for at, hit in cases]
        else:
            cases = [
                (at + stride * n, hit * Formula(bracket("==", i, number(n))))
                for at, hit in cases
                for n in range(i.axis.size or 0)
            ]
        stride = stride * size(i.axis)  # type: ignore[assignment]
    body = exact(0)
    for at, hit in cases:
        body = body + hit * put(array, place, None, at).body
    return _regrouped(Array(array.axes, array.indices, body), place, 1, tuple(shape), apart)


def gathered(array: Array, axes: Axes) -> Array:
    """An array over plain axes as one over axes some of which join these, or have size 1."""
    for place, axis in enumerate(axes):
        if axis is None:
            array = expanded(array, place)
        elif axis.factors:
            over = fresh_index(axis)
            count = len(axis.factors)
            inner = [i for i in array.indices[place : place + count] if i is not None]
            body = Array(axis.factors, tuple(inner), array.body).at(parts(axis, over))
            array = _regrouped(Array(array.axes, array.indices, body), place, count, (axis,), (over,))
    return array


# --- reshape


def reshaped(names: Names, array: Array, shape: Sequence[tuple[Axis, ...] | None]) -> Array:
    """The entries row by row in another shape, each of its axes given by those that it joins, one by None."""
    array = _without_ones(array)
    plain = [f for a in array.axes if a is not None for f in a.factors or (a,)]
    if None in shape:
        at = list(shape).index(None)
        ahead = sum(len(s or ()) for s in shape[:at])
        behind = sum(len(s or ()) for s in shape[at + 1 :])
        rest = tuple(plain[ahead : len(plain) - behind])
        shape = [rest if s is None else s for s in shape]
    wanted = [a for s in shape for a in s or ()]
    if len(array.axes) == 1 and wanted != plain and array.axes[0] is not None:
        array, plain = taken_apart(names, array, 0, wanted), wanted
    if wanted != plain:
        raise NoRowError(f"an array of axes {array.shape} is not read in the shape {shown(tuple(wanted))}")
    for place in reversed(range(array.rank)):
        axis = array.axes[place]
        if axis is not None and axis.factors:
            array = taken_apart(names, array, place, axis.factors)
    for place, joint in enumerate(shape):
        array = joined(names, array, place, len(joint)) if joint else expanded(array, place)
    return array


def _without_ones(array: Array) -> Array:
    kept = [n for n, a in enumerate(array.axes) if a is not None]
    return Array(tuple(array.axes[n] for n in kept), tuple(array.indices[n] for n in kept), array.body)


def _shape(reader: ArrayReader, nodes: Sequence[Syntax]) -> list[tuple[Axis, ...] | None]:
    """The axes of a shape, each as those that it joins; None for one that is given as -1."""
    made: list[tuple[Axis, ...] | None] = []
    for node in nodes:
        if node.kind == "list":
            made += _shape(reader, node.parts)
        elif node.kind == "sign" and node.text == "-" and node.parts[0].text == "1":
            made.append(None)
        elif node.kind == "attribute" and node.text == "shape":
            axes = reader.array(node.parts[0]).axes
            made += [() if a is None else a.factors or (a,) for a in axes]
        elif node.kind == "chain" and set(node.text.split()) == {"*"}:
            made.append(tuple(a for part in node.parts for a in _joint(reader, part)))
        else:
            made.append(_joint(reader, node))
    if made.count(None) > 1:
        raise ParseError(f"column {nodes[0].column}: -1 is given for one axis at most")
    return made


def _joint(reader: ArrayReader, node: Syntax) -> tuple[Axis, ...]:
    if node.kind == "number" and node.text == "1":
        return ()
    axis = reader.axis_named(node)
    return axis.factors or (axis,)


def _reshape(reader: ArrayReader, node: Syntax) -> Array:
    """`reshape(x, (b, d))`, `x.reshape(b, -1)`, row by row."""
    if any(p.kind == "keyword" for p in node.parts) or len(node.parts) < 2:
        raise ParseError(f"column {node.column}: {node.text} takes an array and a shape, row by row")
    return reshaped(reader.names, reader.array(node.parts[0]), _shape(reader, node.parts[1:]))


for _name in ("reshape", "view"):
    ARRAY_TABLE[_name] = _reshape


def _flatten(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    (start,) = reader.places(given["start"], x) if "start" in given else (0,)
    (end,) = reader.places(given["end"], x) if "end" in given else (x.rank - 1,)
    if not x.rank:
        return expanded(x, 0)
    if end < start:
        raise ParseError(f"column {given['x'].column}: no axes from {start} to {end}")
    return joined(reader.names, x, start, end - start + 1)


enter("flatten", "x ?start|start_dim ?end|end_dim", _flatten)
enter("ravel", "x", _flatten)
enter("vec", "x", lambda r, g: _vec(r, r.array(g["x"])))


def _vec(reader: ArrayReader, x: Array) -> Array:
    """The columns of a matrix one below the other."""
    if x.rank != 2:
        raise ParseError(f"vec is of a matrix, found axes {x.shape}")
    return joined(reader.names, swapped(x), 0, 2)


# --- entries repeated


def _repeat(reader: ArrayReader, given: Given) -> Array:
    """Every entry so many times."""
    x, many = reader.array(given["x"]), reader.number(given["repeats"], "how many times").value
    if not isinstance(many, Number) or many.value not in range(2, MAX_REPEATED + 1):
        raise ParseError(f"column {given['repeats'].column}: 2 to {MAX_REPEATED} times was expected")
    if "axis" not in given and x.rank != 1:
        raise ParseError(f"column {given['x'].column}: say along which axis of {x.shape} it repeats")
    (place,) = reader.places(given["axis"], x) if "axis" in given else [0]
    axis, count = x.axes[place], int(many.value)
    if axis is None:
        raise ParseError(f"column {given['x'].column}: an axis of size 1 is repeated")
    over = fresh_index(reader.names.axis_of({axis: count}, 0))

    def hit(inner: Index) -> Expr:
        return sum((bracket("==", count * inner + n, over) for n in range(count)), start=ZERO)

    return spread(x, place, over, hit)


enter("repeat_interleave", "x|input repeats ?axis|dim", _repeat)
enter("repeat", "x|a repeats ?axis", _repeat)


# --- Kronecker products


def _kron(reader: ArrayReader, given: Given) -> Array:
    """The entries of one, each times the other: axes joined two by two."""
    x, y = reader.array(given["x"]), reader.array(given["y"])
    if x.rank != y.rank:
        raise ParseError(f"kron is of two vectors or two matrices, found axes {x.shape} and {y.shape}")
    made = outer(x, y)
    order = [n for pair in zip(range(x.rank), range(x.rank, 2 * x.rank), strict=True) for n in pair]
    made = transposed(made, order)
    for place in range(x.rank):
        made = joined(reader.names, made, place, 2)
    return made


enter("kron", "x|a|input y|b|other", _kron)

"""Entries looked up by positions that are data, entries added at such positions, entries filled by a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradproof.symbolic.array_calls import Given, enter
from gradproof.symbolic.arrays import Array, ShapeError, elementwise, expanded, fresh_index, total_of
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import bracket
from gradproof.symbolic.formulas import Formula, choose
from gradproof.symbolic.syntax import ParseError, Syntax

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader


def _positions(reader: ArrayReader, node: Syntax, axis: Axis | None) -> Array:
    """The array of positions on an axis that a node names."""
    if axis is None:
        raise ParseError(f"column {node.column}: positions on an axis of size 1")
    if node.kind == "name" and node.text in reader.names.tensors:
        reader.names.learn(f"positions:{node.text}", axis)
    return reader.array(node).apart()


def _place(reader: ArrayReader, given: Given, x: Array) -> int:
    (place,) = reader.places(given["axis"], x)
    return place


def _beside(one: Array, other: Array, place: int) -> None:
    """Raise ShapeError where two arrays differ in another axis than one."""
    a, b = ((*y.axes[:place], *y.axes[place + 1 :]) for y in (one, other))
    if one.rank != other.rank or a != b:
        raise ShapeError(
            f"positions of axes {other.shape} do not lie beside an array of axes {one.shape}",
            one.axes,
            other.axes,
        )


def _gathered(reader: ArrayReader, given: Given) -> Array:
    """`take_along_axis(x, t, 1)[i, k] = x[i, t[i, k]]`."""
    x = reader.array(given["x"])
    place = _place(reader, given, x)
    t = _positions(reader, given["index"], x.axes[place])
    _beside(x, t, place)
    found = x.at([*t.indices[:place], t.value, *t.indices[place + 1 :]])
    return Array(t.axes, t.indices, Formula(found.value, (*t.body.demands, *found.demands)))


enter("take_along_axis", "x|arr index|indices axis", _gathered)
enter("gather", "x|input axis|dim index", _gathered)


def _added_along(reader: ArrayReader, given: Given) -> Array:
    """`scatter_add(x, 1, t, s)[i, j] = x[i, j] + sum of s[i, k] where t[i, k] is j`."""
    x = reader.array(given["x"]).apart()
    place = _place(reader, given, x)
    t, s = _positions(reader, given["index"], x.axes[place]), reader.array(given["source"]).apart()
    _beside(x, t, place)
    if s.axes != t.axes:
        raise ShapeError(f"what is added has axes {s.shape}, the positions {t.shape}", s.axes, t.axes)
    return _added(x, t, s, place)


def _added_at(reader: ArrayReader, given: Given) -> Array:
    """`index_add(x, 0, t, s)[j] = x[j] + sum of s[k] where t[k] is j`."""
    x = reader.array(given["x"]).apart()
    place = _place(reader, given, x)
    t, s = _positions(reader, given["index"], x.axes[place]), reader.array(given["source"]).apart()
    if t.rank != 1:
        raise ParseError(f"column {given['index'].column}: a vector of positions was expected")
    _beside(x, s, place)
    if s.axes[place] != t.axes[0]:
        raise ShapeError(f"what is added has axes {s.shape}, the positions {t.shape}", s.axes, t.axes)
    for n in range(x.rank):
        if n != place:
            t = expanded(t, n)
    return _added(x, t, s, place)


def _added(x: Array, t: Array, s: Array, place: int) -> Array:
    over, inner = x.indices[place], s.indices[place]
    if over is None or inner is None:
        raise ParseError("an axis of size 1 where entries are added")
    around = [*x.indices[:place], inner, *x.indices[place + 1 :]]
    at = t.at([None if i is None else p for i, p in zip(t.indices, around, strict=True)])
    hit = Formula(bracket("==", at.value, over), at.demands)
    return Array(x.axes, x.indices, x.body + total_of(hit * s.at(around), [inner]))


enter("scatter_add", "x|input axis|dim index source|src", _added_along)
enter("index_add", "x|input axis|dim index source", _added_at)


def _filled(reader: ArrayReader, given: Given) -> Array:
    mask, value = reader.condition(given["mask"]), reader.array(given["value"])
    return elementwise(choose, mask, value, reader.array(given["x"]))


enter("masked_fill", "x|input mask value", _filled)


def _embedded(reader: ArrayReader, given: Given) -> Array:
    """`take(x, t)` along the first axis, `embedding(t, W)`: the entries at the positions that `t` gives."""
    x, node = reader.array(given["x"]), given["index"]
    (at,) = reader.places(given["axis"], x) if "axis" in given else [0]
    axis = x.axes[at]
    if node.kind == "name" and axis is not None:
        reader.names.learn(f"positions:{node.text}", axis)
    subs = [Syntax("slice", "", (), node.column)] * at + [node]
    return reader.array(Syntax("subscript", "", (given["x"], *subs), node.column))


enter("take", "x index|indices ?axis|dim", _embedded)
enter("index_select", "x|input axis|dim index", _embedded)
enter("embedding", "index|input x|weight", _embedded)


def _one_hot(reader: ArrayReader, given: Given) -> Array:
    node, axis = given["x"], reader.axis_named(given["axis"])
    target = node.parts[0] if node.kind == "subscript" else node
    if target.kind == "name":
        reader.names.learn(f"positions:{target.text}", axis)
    x = reader.array(node)
    over = fresh_index(axis)
    return Array((*x.axes, axis), (*x.indices, over), Formula(bracket("==", x.value, over), x.body.demands))


enter("one_hot onehot", "x axis|num_classes|classes", _one_hot)

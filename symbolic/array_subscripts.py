"""Entries and parts of arrays: what stands in brackets behind an array formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gradproof.symbolic.array_moves import sliced
from gradproof.symbolic.array_names import named_index
from gradproof.symbolic.arrays import Array, expanded, fresh_index, scalar, squeezed
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.expressions import ZERO, Entry, Expr, Index, Number, number, size
from gradproof.symbolic.formulas import Formula, exact
from gradproof.symbolic.positions import integral, on_axis
from gradproof.symbolic.syntax import ParseError, Syntax

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader


def read_subscript(reader: ArrayReader, node: Syntax) -> Array:
    """The array of `x[i, 0, :, None]`: an index, a position, a slice, a new axis, one behind the other."""
    base_node, *subs = node.parts
    if base_node.kind == "call" and base_node.text == "slogdet":
        return _slogdet(reader, base_node, subs)
    if base_node.kind == "attribute" and base_node.text == "shape":
        return scalar(Formula(_size_at(reader, base_node.parts[0], subs)))
    base = reader.array(base_node)
    if base_node.kind == "name" and base_node.text in reader.flexible:
        subs = _by_axes(reader, base, subs)
    picked = sum(s.kind not in ("none", "ellipsis") for s in subs)
    if picked > base.rank:
        raise ParseError(f"column {node.column}: {picked} subscripts behind an array of axes {base.shape}")
    at = 0
    for sub in subs:
        if sub.kind == "ellipsis":
            at = base.rank - picked
        elif sub.kind == "none":
            base = expanded(base, at)
            at += 1
        elif sub.kind == "slice":
            base = sliced(reader, base, at, sub)
            at, picked = at + 1, picked - 1
        else:
            before = base.rank
            base = _picked(reader, base, at, sub)
            at, picked = at + base.rank - before + 1, picked - 1
    return base


def _slogdet(reader: ArrayReader, node: Syntax, subs: Sequence[Syntax]) -> Array:
    """The sign of a determinant, or the logarithm of its size."""
    which = [s.text for s in subs]
    if which == ["1"]:
        return reader.array(replace(node, text="logabsdet"))
    if which == ["0"]:
        return reader.array(replace(node, text="sign", parts=(replace(node, text="det"),)))
    raise ParseError(f"column {node.column}: slogdet gives a sign, [0], and a logarithm, [1]")


def _by_axes(reader: ArrayReader, base: Array, subs: list[Syntax]) -> list[Syntax]:
    """The subscripts of a cotangent by their axes, where these are known and all different."""
    axes = base.axes
    if len(subs) != len(axes) or len(set(axes)) < len(axes) or any(s.kind != "name" for s in subs):
        return subs
    wanted = [reader.axis_of(s) or reader.names.known(f"function:{s.text}") for s in subs]
    given = [a for a in wanted if a is not None]
    if len(set(given)) < len(given) or not set(given) <= set(axes):
        return subs
    left = [a for a in axes if a not in given]
    spots = [axes.index(a if a is not None else left.pop(0)) for a in wanted]
    return [subs[spots.index(n)] for n in range(len(axes))]


def _size_at(reader: ArrayReader, node: Syntax, subs: Sequence[Syntax]) -> Expr:
    base = reader.array(node)
    (place,) = reader.places(subs[0], base) if len(subs) == 1 else (0,)
    axis = base.axes[place]
    return exact(1).value if axis is None else size(axis)


def _picked(reader: ArrayReader, base: Array, at: int, sub: Syntax) -> Array:
    """The array at a position on one of its axes."""
    axis = base.axes[at]
    if axis is None:
        if reader.array(sub).value not in (ZERO, number(-1)):
            raise ParseError(f"column {sub.column}: a subscript on an axis of size 1 is 0, or `:`")
        return squeezed(base, at)
    where = _position(reader, sub, axis)
    if isinstance(where.value, Number) and where.value.value < 0:  # counted from the end
        where = scalar(Formula(size(axis) + where.value))
    places: list[Expr | None] = list(base.indices)
    if where.rank:
        where = where.apart()
    places[at] = where.value
    body = base.at(places)
    asked = () if _surely_on(where.value, axis) else (Demand(where.value, "on", axis=axis),)
    body = Formula(body.value, (*where.body.demands, *asked, *body.demands))
    axes = (*base.axes[:at], *where.axes, *base.axes[at + 1 :])
    indices = (*base.indices[:at], *where.indices, *base.indices[at + 1 :])
    return Array(axes, indices, body)


def _position(reader: ArrayReader, sub: Syntax, axis: Axis) -> Array:
    if sub.kind == "name" and not reader.is_value(sub.text):
        reader.learn_index(sub.text, axis)
        return scalar(Formula(named_index(sub.text, axis)))
    target = sub.parts[0] if sub.kind == "subscript" else sub
    if target.kind == "name" and target.text in reader.names.tensors and not reader.is_index(target.text):
        positions = reader.names.learned.get(f"positions:{target.text}")
        if target is sub and positions is None and reader.names.domains.get(target.text) != "index":
            raise ParseError(
                f"column {sub.column}: {sub.text} is an array; for positions say so in its domain "
                f'(`"{sub.text}": "index"`), for an index take another name'
            )
        reader.names.learn(f"positions:{target.text}", axis)
    before, reader.index_values = reader.index_values, True
    try:
        found = reader.array(sub)
    finally:
        reader.index_values = before
    if not integral(found.value):
        if reader.names.late:
            return scalar(Formula(fresh_index(axis)))
        raise ParseError(f"column {sub.column}: a position on the axis {axis.name} was expected")
    return found


def _surely_on(position: Expr, axis: Axis) -> bool:
    if isinstance(position, Index):
        return position.axis == axis
    if isinstance(position, Entry):
        return position.tensor.domain == "index" and position.tensor.over == axis
    return on_axis(position, axis)

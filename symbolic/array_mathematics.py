"""Products, transposes and powers as mathematics writes them: a vector is a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradproof.symbolic.array_products import inverse_of
from gradproof.symbolic.arrays import (
    Array,
    ShapeError,
    contracted,
    elementwise,
    expanded,
    identity,
    square,
    squeezed,
    swapped,
)
from gradproof.symbolic.expressions import Number
from gradproof.symbolic.formulas import Formula, magnitude, raise_to
from gradproof.symbolic.syntax import ParseError, Syntax

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader

MAX_POWER = 8


def read_mathematics(reader: ArrayReader, node: Syntax) -> Array:
    """The array of a node that only mathematical notation has."""
    if node.kind == "product":
        return _settled(_product(reader, node))
    if node.kind == "transpose":
        return _settled(_transposed(reader, node))
    if node.kind == "bars":
        found = reader.array(node.parts[0])
        if found.rank >= 2:
            raise ParseError(
                f"column {node.column}: `|...|` around a matrix can be read as its determinant or entry by "
                "entry"
            )
        return elementwise(magnitude, found)
    return _power(reader, node)


def _product(reader: ArrayReader, node: Syntax) -> Array:
    r"""Factors side by side bind closer than `\odot`; `.` is a product of numbers or of two vectors."""
    result = _factor(reader, node.parts[0])
    groups: list[Array] = []
    for sign, part in zip(node.text.split(" "), node.parts[1:], strict=True):
        other = _factor(reader, part)
        if sign == "*":
            groups.append(result)
            result = other
        elif sign == "/":
            result = elementwise(Formula.__truediv__, _settled(result), _settled(other))
        else:
            result = _times(result, other, sign == ".", node)
    for earlier in reversed(groups):
        result = elementwise(Formula.__mul__, _settled(earlier), _settled(result))
    return result


def _factor(reader: ArrayReader, node: Syntax) -> Array:
    """A factor as a matrix: a vector is a column, a transposed vector a row."""
    if node.kind == "transpose":
        return _transposed(reader, node)
    found = reader.array(node)
    return expanded(found, 1) if found.rank == 1 else found


def _transposed(reader: ArrayReader, node: Syntax) -> Array:
    found = reader.array(node.parts[0])
    if found.rank > 2:
        raise ParseError(f"column {node.column}: the transpose of an array of {found.rank} axes")
    return expanded(found, 0) if found.rank == 1 else swapped(found)


def _times(a: Array, b: Array, dotted: bool, node: Syntax) -> Array:
    if not a.rank or not b.rank:
        return elementwise(Formula.__mul__, a, b)
    if _number(a) or _number(b):
        return (
            elementwise(Formula.__mul__, _settled(a), _settled(b))
            if _number(a) and _number(b)
            else (_scaled(a, b))
        )
    columns = [x.axes[-1] is None and x.axes[-2] is not None for x in (a, b)]
    if all(columns):
        if dotted and a.axes == b.axes:
            return contracted(swapped(a), b)
        raise ParseError(
            f"column {node.column}: two vectors side by side can be read as x^\\top y, as x y^\\top or entry "
            "by entry; write one of these, or \\odot"
        )
    if a.axes[-1] != b.axes[-2]:
        raise ShapeError(
            f"a product of {a.shape} and {b.shape}: the inner axes differ", (a.axes[-1],), (b.axes[-2],)
        )
    return contracted(a, b)


def _number(x: Array) -> bool:
    return all(axis is None for axis in x.axes)


def _scaled(a: Array, b: Array) -> Array:
    """A 1 by 1 matrix times another one, as a number."""
    one, other = (a, b) if _number(a) else (b, a)
    return elementwise(Formula.__mul__, _settled(one), other)


def _settled(x: Array) -> Array:
    """An array without the axes of size 1 that rows and columns have."""
    for place in range(x.rank - 1, -1, -1):
        if x.axes[place] is None:
            x = squeezed(x, place)
    return x


def _power(reader: ArrayReader, node: Syntax) -> Array:
    base, exponent = (reader.array(part) for part in node.parts)
    if base.rank < 2:
        return elementwise(raise_to, base, exponent)
    count = exponent.value
    whole = isinstance(count, Number) and count.value.denominator == 1 and abs(count.value) <= MAX_POWER
    if not whole or exponent.rank:
        raise ParseError(f"column {node.column}: a power of a matrix is a whole number up to {MAX_POWER}")
    assert isinstance(count, Number)
    factor = inverse_of(base) if count.value < 0 else base
    result = identity(square(base, "a power"))
    for _ in range(abs(int(count.value))):
        result = contracted(result, factor)
    return result

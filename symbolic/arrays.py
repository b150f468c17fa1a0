"""Arrays of formulas: a body in index notation over axes, and what NumPy does with arrays, by named axes.

Two arrays meet by the names of their axes where these are all different; where an axis repeats, or has size
1, they meet by position from the right, as in NumPy. What would need axes of different names to be equal is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.expressions import (
    ZERO,
    Expr,
    Index,
    Tensor,
    bracket,
    entry,
    index,
    reduce,
    refresh,
    size,
    substitute,
)
from gradproof.symbolic.flattening import joined, parted
from gradproof.symbolic.formulas import Formula, exact
from gradproof.symbolic.scalar_table import NoRowError
from gradproof.symbolic.syntax import ParseError

Axes = tuple[Axis | None, ...]
MAX_RANK = 8

_numbers = count()


class ShapeError(ValueError):
    """Axes that would have to be the same and are not: at other sizes the formula has no value."""

    def __init__(self, message: str, one: Axes, other: Axes) -> None:
        super().__init__(message)
        self.one, self.other = one, other


def fresh_index(axis: Axis) -> Index:
    """An index under a name that nothing else has."""
    return index(f"~{next(_numbers)}", axis)


@dataclass(frozen=True)
class Array:
    """A formula over indices, one for each axis; an axis that is None has size 1 and no index.

    Indices of the body beside these are those that a person has named, as in `x[i, j]`.
    """

    axes: Axes
    indices: tuple[Index | None, ...]
    body: Formula

    def __post_init__(self) -> None:
        if len(self.axes) > MAX_RANK:
            raise ParseError(f"an array of {len(self.axes)} axes; at most {MAX_RANK} are read")

    @property
    def value(self) -> Expr:
        return self.body.value

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def shape(self) -> str:
        return shown(self.axes)

    def at(self, places: Sequence[Expr | None]) -> Formula:
        """The body at positions, one for each axis."""
        pairs = zip(self.indices, places, strict=True)
        values = {i: p for i, p in pairs if i is not None and p is not None}
        return moved(self.body, values)

    def over(self, indices: Sequence[Index | None]) -> Array:
        """The same array over other indices."""
        return Array(self.axes, tuple(indices), self.at(indices))

    def apart(self) -> Array:
        """The same array over indices that nothing else has."""
        return self.over([None if a is None else fresh_index(a) for a in self.axes])


def shown(axes: Axes) -> str:
    """Axes for a message."""
    return f"[{', '.join('1' if a is None else a.name for a in axes)}]"


def moved(body: Formula, values: Mapping[Index, Expr]) -> Formula:
    """A formula at other positions, what it demands included."""
    if not values:
        return body
    return Formula(substitute(body.value, values), tuple(_moved(d, values) for d in body.demands))


def _moved(demand: Demand, values: Mapping[Index, Expr]) -> Demand:
    used = demand.subject.free.union(*(g.free for g in demand.guards)) - set(demand.bound)
    here = {old: new for old, new in values.items() if old in used}
    if not here:
        return demand
    apart = {b: fresh_index(b.axis) for b in demand.bound}
    all_values: dict[Index, Expr] = {**apart, **here}
    return replace(
        demand,
        subject=substitute(demand.subject, all_values),
        guards=tuple(substitute(g, all_values) for g in demand.guards),
        bound=tuple(apart.values()),
    )


def scalar(body: Formula) -> Array:
    """An array without axes."""
    return Array((), (), body)


def of_tensor(tensor: Tensor) -> Array:
    """The array of a tensor's entries."""
    over = tuple(fresh_index(a) for a in tensor.axes)
    return Array(tensor.axes, over, Formula(entry(tensor, *over)))


def filled(axes: Iterable[Axis], value: int) -> Array:
    """An array of the same number everywhere."""
    over = tuple(fresh_index(a) for a in axes)
    return Array(tuple(i.axis for i in over), over, exact(value))


def identity(axis: Axis) -> Array:
    """The identity matrix over an axis."""
    row, column = fresh_index(axis), fresh_index(axis)
    return Array((axis, axis), (row, column), Formula(bracket("==", row, column)))


# --- entry by entry


def aligned(*arrays: Array) -> tuple[Axes, tuple[Index | None, ...], list[Formula]]:
    """Axes and indices that all arrays share after broadcasting, and their bodies over these."""
    axes: Axes = ()
    for array in arrays:
        axes = _joined(axes, array.axes)
    over = tuple(None if a is None else fresh_index(a) for a in axes)
    return axes, over, [_spread(array, axes, over) for array in arrays]


def elementwise(build: Callable[..., Formula], *arrays: Array) -> Array:
    """A function of numbers, entry by entry."""
    axes, over, bodies = aligned(*arrays)
    return Array(axes, over, build(*bodies))


def unary(build: Callable[[Formula], Formula], array: Array) -> Array:
    """A function of one number, entry by entry."""
    return elementwise(build, array)


def binary(build: Callable[[Formula, Formula], Formula], one: Array, other: Array) -> Array:
    """A function of two numbers, entry by entry."""
    return elementwise(build, one, other)


def _by_name(axes: Axes) -> bool:
    return None not in axes and len(set(axes)) == len(axes)


def _joined(a: Axes, b: Axes) -> Axes:
    """The axes of an array that two are broadcast to; raises ShapeError."""
    if a == b or not a or not b:
        return a or b
    if _by_name(a) and _by_name(b):
        if set(b) <= set(a):
            return a if len(a) > len(b) else _same_order(a, b)
        if set(a) <= set(b):
            return b
    elif _fits(a, b):
        long, short = (a, b) if len(a) >= len(b) else (b, a)
        ahead = len(long) - len(short)
        return long[:ahead] + tuple(x if y is None else y for x, y in zip(long[ahead:], short, strict=True))
    raise ShapeError(f"arrays of axes {shown(a)} and {shown(b)} do not meet", a, b)


def _same_order(a: Axes, b: Axes) -> Axes:
    if a != b:
        raise ShapeError(
            f"arrays of axes {shown(a)} and {shown(b)} do not meet: one is to be transposed", a, b
        )
    return a


def _fits(a: Axes, b: Axes) -> bool:
    pairs = zip(reversed(a), reversed(b), strict=False)
    return all(x is None or y is None or x == y for x, y in pairs)


def _spread(array: Array, axes: Axes, over: tuple[Index | None, ...]) -> Formula:
    if _by_name(array.axes) and _by_name(axes):
        places = [over[axes.index(a)] for a in array.axes]
    else:
        places = list(over[len(axes) - array.rank :])
        places = [None if a is None else p for a, p in zip(array.axes, places, strict=True)]
    return array.at(places)


# --- axes


def transposed(array: Array, order: Sequence[int]) -> Array:
    """The axes in another order."""
    if sorted(order) != list(range(array.rank)):
        raise ParseError(f"an array of axes {array.shape} has no order of axes {tuple(order)}")
    return Array(tuple(array.axes[n] for n in order), tuple(array.indices[n] for n in order), array.body)


def swapped(array: Array) -> Array:
    """The last two axes exchanged: the transpose of every matrix."""
    if array.rank < 2:
        return array
    last = array.rank - 1
    return transposed(array, [*range(last - 1), last, last - 1])


def expanded(array: Array, at: int) -> Array:
    """An axis of size 1 put in."""
    axes, indices = list(array.axes), list(array.indices)
    axes.insert(at, None)
    indices.insert(at, None)
    return Array(tuple(axes), tuple(indices), array.body)


def squeezed(array: Array, at: int) -> Array:
    """An axis of size 1 taken away."""
    if array.axes[at] is not None:
        raise ParseError(f"the axis {array.axes[at].name} is not of size 1")  # pyright: ignore[reportOptionalMemberAccess]
    return Array(
        array.axes[:at] + array.axes[at + 1 :], array.indices[:at] + array.indices[at + 1 :], array.body
    )


def diagonal(array: Array) -> Array:
    """The diagonal of every matrix over the last two axes."""
    axis = square(array, "a diagonal")
    over = fresh_index(axis)
    places = [*array.indices[:-2], over, over]
    return Array((*array.axes[:-2], axis), (*array.indices[:-2], over), array.at(places))


def square(array: Array, what: str) -> Axis:
    """The axis of the rows and columns of square matrices; raises ParseError or ShapeError."""
    if array.rank < 2:
        raise ParseError(f"{what} is one of a matrix, found axes {array.shape}")
    row, column = array.axes[-2:]
    if row is None or row != column:
        raise ShapeError(f"{what} is one of a square matrix, found axes {array.shape}", (row,), (column,))
    return row


def placed(array: Array, axes: Sequence[Axis], over: Sequence[Index]) -> Formula | None:
    """The claim at indices over the axes of the derivative: what lacks an axis is the same along it."""
    if array.axes == tuple(axes):
        return array.at(over)
    if None in array.axes or len(set(axes)) < len(axes):
        if not any(array.axes):
            return array.at([None] * array.rank)
        if array.rank != len(axes) or not _fits(array.axes, tuple(axes)):
            return None
        return array.at([None if a is None else i for a, i in zip(array.axes, over, strict=True)])
    spots = [n for n, a in enumerate(axes) if a in array.axes]
    if tuple(axes[n] for n in spots) != array.axes:
        return None
    return array.at([over[n] for n in spots])


# --- reductions


def summed(array: Array, places: Sequence[int], keep: bool = False) -> Array:
    """The sum over axes."""
    return reduced(array, places, keep, lambda body, over: total_of(body, over))


def largest(array: Array, places: Sequence[int], keep: bool = False) -> Array:
    """The largest value over axes."""
    return reduced(array, places, keep, largest_of)


def reduced(
    array: Array,
    places: Sequence[int],
    keep: bool,
    reduction: Callable[[Formula, Sequence[Index]], Formula],
) -> Array:
    """A reduction of the body over the indices of axes."""
    chosen = sorted(set(places))
    over = [i for n in chosen if (i := array.indices[n]) is not None]
    body = reduction(array.body, over)
    axes = tuple(None if n in chosen else a for n, a in enumerate(array.axes) if keep or n not in chosen)
    indices = tuple(
        None if n in chosen else i for n, i in enumerate(array.indices) if keep or n not in chosen
    )
    return Array(axes, indices, body)


def total_of(body: Formula, over: Sequence[Index]) -> Formula:
    """The sum of a formula over indices, each of which runs over its whole axis."""
    if not over:
        return body
    body, over = _by_factors(body, over)
    value = ZERO if body.value is ZERO else reduce("sum", over, body.value)
    return Formula(_clean(value), _bound(body, over))


def largest_of(body: Formula, over: Sequence[Index]) -> Formula:
    """The largest value of a formula over indices; the axes must not be empty."""
    if not over:
        return body
    body, over = _by_factors(body, over)
    asked = [Demand(size(i.axis), ">") for i in over if not i.axis.nonempty]
    return Formula(_clean(reduce("max", over, body.value)), (*asked, *_bound(body, over)))


def _by_factors(body: Formula, over: Sequence[Index]) -> tuple[Formula, Sequence[Index]]:
    """The formula and indices over the factors of joined axes instead of these."""
    plain: list[Index] = []
    for i in over:
        apart = [fresh_index(a) for a in i.axis.factors] or [i]
        body = parted(body, i, apart) if i.axis.factors else body
        plain += apart
    return body, plain


def spread_out(array: Array) -> Array:
    """The array over the factors of its joined axes; raises NoRowError where it cannot be."""
    axes: list[Axis | None] = []
    indices: list[Index | None] = []
    body = array.body
    for axis, i in zip(array.axes, array.indices, strict=True):
        if i is None or not i.axis.factors:
            axes.append(axis)
            indices.append(i)
            continue
        apart = [fresh_index(a) for a in i.axis.factors]
        body = parted(body, i, apart)
        axes += i.axis.factors
        indices += apart
    if joined(body):
        raise NoRowError("places on a joined axis are read all together, or over the axes that it joins")
    return Array(tuple(axes), tuple(indices), body)


def _clean(value: Expr) -> Expr:
    return refresh(value, value.free)


def _bound(body: Formula, over: Sequence[Index]) -> tuple[Demand, ...]:
    """The demands for all values of the indices."""
    made: list[Demand] = []
    for demand in body.demands:
        apart = {i: fresh_index(i.axis) for i in over}
        inside = _moved(demand, dict(apart))
        made.append(replace(inside, bound=(*inside.bound, *apart.values())))
    return tuple(made)


def closed(body: Formula, over: Index) -> tuple[Formula, Index]:
    """The formula with a named index under a name of its own, before it is bound."""
    own = fresh_index(over.axis)
    return moved(body, {over: own}), own


# --- products


def contracted(left: Array, right: Array) -> Array:
    """`left @ right`: the last axis of the left with the last but one of the right, as in NumPy."""
    if not left.rank or not right.rank:
        raise ParseError("`@` multiplies vectors and matrices, found a number; write `*`")
    row = left if left.rank > 1 else expanded(left, 0)
    column = right if right.rank > 1 else expanded(right, 1)
    a, b = row.axes[-1], column.axes[-2]
    if a != b:
        raise ShapeError(f"`@` contracts axes {left.shape} with {right.shape}: they differ", (a,), (b,))
    batch = _joined(row.axes[:-2], column.axes[:-2])
    over = tuple(None if x is None else fresh_index(x) for x in batch)
    ends = [None if x is None else fresh_index(x) for x in (row.axes[-2], column.axes[-1], a)]
    first = _at_batch(row, batch, over, (ends[0], ends[2]))
    second = _at_batch(column, batch, over, (ends[2], ends[1]))
    body = total_of(first * second, [ends[2]] if ends[2] is not None else [])
    kept = [n for n, operand in ((0, left), (1, right)) if operand.rank > 1]
    axes = (*batch, *((row.axes[-2], column.axes[-1])[n] for n in kept))
    return Array(axes, (*over, *(ends[n] for n in kept)), body)


def _at_batch(
    array: Array, batch: Axes, over: tuple[Index | None, ...], ends: tuple[Index | None, Index | None]
) -> Formula:
    own = array.axes[:-2]
    if _by_name(own) and _by_name(batch):
        places: list[Index | None] = [over[batch.index(a)] for a in own]
    else:
        places = [None if a is None else p for a, p in zip(own, over[len(batch) - len(own) :], strict=True)]
    return array.at([*places, *ends])


def outer(left: Array, right: Array) -> Array:
    """All products of an entry of one and an entry of the other."""
    a, b = left.apart(), right.apart()
    return Array((*a.axes, *b.axes), (*a.indices, *b.indices), a.body * b.body)

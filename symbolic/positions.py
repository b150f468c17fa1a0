"""Positions on axes: whole numbers that are sums of indices, sizes and numbers, and comparisons of these.

Comparisons have one form each: what surely holds or fails is decided from the ranges of the indices, `a < b`
is written with `<=`, and of `p <= q` and its negation one is chosen, whatever the indices are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Bracket,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Size,
    add,
    bracket,
    mul,
    number,
    size,
)

MAX_FEW = 3
"""A comparison that so many places decide is written as these."""

Form = Mapping[Expr, int]
"""The coefficient of each index, size or entry of data; that of `ONE` is the constant."""


def integral(expr: Expr) -> bool:
    """Whether an expression is an index position: its value is an integer."""
    if isinstance(expr, Entry):
        return expr.tensor.dtype == "integer"
    if isinstance(expr, Add | Mul):
        return all(integral(c) for c in expr.children)
    return isinstance(expr, Index | Size) or (isinstance(expr, Number) and expr.value.denominator == 1)


def affine(expr: Expr) -> Form | None:
    """The coefficients of a position; None for one that is no sum of whole multiples.

    >>> from gradproof.symbolic.expressions import index
    >>> i = index("i", Axis("n"))
    >>> sorted(affine(2 * i - 3).values())
    [-3, 2]
    """
    form: dict[Expr, int] = {}
    return {atom: c for atom, c in form.items() if c} if _gathered(expr, 1, form) else None


def _gathered(expr: Expr, times: int, form: dict[Expr, int]) -> bool:
    """Add so many times a position to the coefficients; False where it is no sum of whole multiples."""
    if isinstance(expr, Add):
        return all(_gathered(term, times, form) for term in expr.terms)
    if isinstance(expr, Mul) and len(expr.factors) == 2 and isinstance(expr.factors[0], Number):
        factor = expr.factors[0].value
        return factor.denominator == 1 and _gathered(expr.factors[1], times * int(factor), form)
    if isinstance(expr, Number):
        form[ONE] = form.get(ONE, 0) + times * int(expr.value)
        return expr.value.denominator == 1
    form[expr] = form.get(expr, 0) + times
    return isinstance(expr, Index | Size) or (isinstance(expr, Entry) and integral(expr))


def written(form: Form) -> Expr:
    """The position that coefficients stand for."""
    return add(*(number(c) if atom is ONE else mul(c, atom) for atom, c in form.items()))


def plain_position(expr: Expr) -> Expr:
    """A position as a sum of whole multiples, each atom once."""
    if not isinstance(expr, Add | Mul):
        return expr
    form = affine(expr)
    return expr if form is None else written(form)


def negated(form: Form) -> Form:
    """The coefficients of minus a position."""
    return {atom: -c for atom, c in form.items()}


def less(a: Form, b: Form) -> Form:
    """The coefficients of a difference."""
    made = {atom: a.get(atom, 0) - b.get(atom, 0) for atom in {**a, **b}}
    return {atom: c for atom, c in made.items() if c}


def least(form: Form) -> int | None:
    """A number that a position is never below, for all sizes of the axes; None where none is known."""
    sizes: dict[Expr, int] = {}
    low = form.get(ONE, 0)
    for atom, c in form.items():
        if atom is ONE:
            continue
        if isinstance(atom, Size):
            sizes[atom] = sizes.get(atom, 0) + c
            continue
        axis = _axis_of(atom)
        if axis is None:
            return None
        if c < 0:  # at most at the last place
            last = affine(size(axis) - 1)
            assert last is not None
            for part, times in last.items():
                if part is ONE:
                    low += c * times
                else:
                    sizes[part] = sizes.get(part, 0) + c * times
    for atom, c in sizes.items():
        assert isinstance(atom, Size)
        if c < 0:
            return None
        low += c * atom.axis.minimum
    return low


def _axis_of(atom: Expr) -> Axis | None:
    """The axis on which an atom surely lies."""
    if isinstance(atom, Index):
        return atom.axis
    if isinstance(atom, Entry) and atom.tensor.domain == "index":
        return atom.tensor.over
    return None


def on_axis(position: Expr, axis: Axis) -> bool:
    """Whether a position is surely a place on an axis."""
    form, last = affine(position), affine(size(axis) - 1)
    if form is None or last is None:
        return False
    below, above = least(form), least(less(last, form))
    return below is not None and above is not None and below >= 0 and above >= 0


def compared(relation: str, left: Expr, right: Expr) -> tuple[bool, Expr] | None:
    """`left == right` or `left <= right` in its form: whether it is the bracket or 1 less the bracket.

    None where a side is no sum of whole multiples.
    """
    form = affine(left - right)
    if form is None:
        return None
    low, high = least(form), least(negated(form))
    if relation == "==":
        if (low is not None and low > 0) or (high is not None and high > 0):
            return True, number(0)
        return True, _equal(form)
    if high is not None and high >= 0:
        return True, ONE
    if low is not None and low > 0:
        return True, number(0)
    kept = _direction(form) > 0
    if not kept:
        form = less({ONE: 1}, form)
    return kept, _below(form)


def few_places(left: Expr, right: Expr) -> tuple[list[tuple[Expr, Expr]], bool] | None:
    """`left <= right` for an index near an end of its axis: the few places where it holds, or does not.

    >>> from gradproof.symbolic.expressions import index
    >>> i = index("i", Axis("n", minimum=1))
    >>> few_places(i, number(1))
    ([(i, 0), (i, 1)], True)
    """
    form = affine(left - right)
    indices = [a for a in form or () if isinstance(a, Index)]
    if form is None or len(indices) != 1 or abs(form[indices[0]]) != 1:
        return None
    (i,) = indices
    if form[i] == -1:
        found = few_places(right + 1, left)
        return None if found is None else (found[0], not found[1])
    last = affine(size(i.axis) - 1)
    assert last is not None
    limit = negated({a: c for a, c in form.items() if a is not i})
    if set(limit) <= {ONE} and 0 <= limit.get(ONE, 0) < MAX_FEW and i.axis.size is None:
        return [(i, number(n)) for n in range(limit.get(ONE, 0) + 1)], True
    behind = less(last, limit)
    if set(behind) <= {ONE} and 0 < behind.get(ONE, 0) <= MAX_FEW and i.axis.size is None:
        return [(i, written(last) - n) for n in range(behind[ONE])], False
    return None


def shift(position: Expr, i: Index) -> int | None:
    """The s of a position `i + s`."""
    form = affine(position)
    if form is None or form.get(i) != 1 or not set(form) <= {i, ONE}:
        return None
    return form.get(ONE, 0)


def _direction(form: Form) -> int:
    """1 or -1: which of a comparison and its negation is written."""
    count = sum(c for atom, c in form.items() if isinstance(atom, Index))
    if not count:
        count = sum(c for atom, c in form.items() if isinstance(atom, Entry))
    if not count and not any(isinstance(atom, Index | Entry) for atom in form):
        count = sum(c for atom, c in form.items() if isinstance(atom, Size))
    return 1 if count > 0 or (not count and form.get(ONE, 0) <= 0) else -1


def _below(form: Form) -> Expr:
    """`[form <= 0]`, positions with a positive coefficient on the left."""
    left: dict[Expr, int] = {a: c for a, c in form.items() if c > 0 and isinstance(a, Index | Entry)}
    if not left:
        left = {a: c for a, c in form.items() if c > 0 and a is not ONE}
    return bracket("<=", written(left), written(less(left, form)))


def _equal(form: Form) -> Expr:
    """`[form == 0]`, with the sides chosen so that the names of indices do not matter."""
    count = sum(c for atom, c in form.items() if isinstance(atom, Index))
    constant = form.get(ONE, 0)
    turned = count < 0 or (not count and constant > 0)
    if not count and not constant:
        others = sorted((a for a in form if not isinstance(a, Index)), key=lambda a: a.key)
        turned = bool(others) and form[others[0]] > 0
    if turned:
        form = negated(form)
    left: dict[Expr, int] = {a: c for a, c in form.items() if c > 0 and isinstance(a, Index)}
    if not left:
        left = {a: c for a, c in form.items() if c > 0 and a is not ONE}
    return bracket("==", written(left), written(less(left, form)))


def solutions(atom: Bracket) -> Iterator[tuple[Index, Expr]]:
    """The indices of an equation of positions that it determines, each with what it is equal to."""
    form = affine(atom.left - atom.right)
    if form is None or any(isinstance(a, Entry) for a in form):
        return
    for unknown, c in sorted(form.items(), key=lambda pair: pair[0].key):
        if isinstance(unknown, Index) and abs(c) == 1:
            rest = {a: -c * n for a, n in form.items() if a is not unknown}
            yield unknown, written(rest)

"""Values at kinks: what the cases of an operation give there is a mean of the derivatives on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from fractions import Fraction

from gradproof.symbolic.derivation import active_tensors
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Bracket,
    Entry,
    Expr,
    Mul,
    Number,
    Reduce,
    Tensor,
    Where,
    add,
    mul,
    number,
    total,
    walk,
)
from gradproof.symbolic.functions import largest_share
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.operation import Program, Recurrence, flat
from gradproof.symbolic.polynomials import Poly, plus, scale
from gradproof.symbolic.signs import holds
from gradproof.symbolic.tangent import tangent


@dataclass(frozen=True)
class Convention:
    """At a kink the cases give `value`, which has to be `hull`, a mean of the derivatives on both sides.

    `hull` is None where there is no such mean: the value is no generalized derivative. Where a side has no
    finite derivative, nothing is claimed (`unbounded`).
    """

    place: str
    value: Expr
    hull: Expr | None
    unbounded: bool = False


def conventions(program: Program) -> Iterator[Convention]:
    """Every kink that the definitions of a program state by cases or by a maximum."""
    active = active_tensors(program)
    for statement in flat(program.statements):
        for d in statement.body if isinstance(statement, Recurrence) else (statement,):
            for node in dict.fromkeys(walk(d.value)):
                if isinstance(node, Reduce) and node.kind == "max" and node.tensors & active:
                    yield _tie(node)
            for flag, at, value in _kinks(d.value, active):
                try:
                    yield _open(flag) if at is None else _kink(d.value, at, value)
                except ZeroDivisionError:
                    yield _open(flag)


def _open(flag: Bracket) -> Convention:
    """Where a condition turns over of which nothing is shown."""
    return Convention(f"the edge of {flag}", flag, None)


def _tie(node: Reduce) -> Convention:
    """Where several entries are the largest, their shares are positive and add up to 1."""
    shares = total(largest_share(node), *node.indices)
    return Convention(f"ties of {node}", shares, ONE)


def _kinks(expr: Expr, active: Set[Tensor]) -> Iterator[tuple[Bracket, Entry | None, Expr]]:
    """The conditions on what moves, with an entry and the value at which they turn over, if there is one."""
    seen: set[tuple[Entry | None, Expr]] = set()
    for node in dict.fromkeys(walk(expr)):
        if isinstance(node, Bracket) and any(t in active and t.dtype == "real" for t in node.tensors):
            entry, value = _solved(node, active)
            if entry is None or (entry, value) not in seen:
                seen.add((entry, value))
                yield node, entry, value


def _solved(flag: Bracket, active: Set[Tensor]) -> tuple[Entry | None, Expr]:
    """The entry on which a condition depends linearly, and its value where both sides are equal."""
    difference = add(flag.left, mul(-1, flag.right))
    for term in difference.terms if isinstance(difference, Add) else (difference,):
        scale, entry = term.factors if isinstance(term, Mul) and len(term.factors) == 2 else (ONE, term)
        if isinstance(scale, Number) and isinstance(entry, Entry) and entry.tensor in active:
            rest = add(difference, mul(-1, term))
            if entry.tensor not in rest.tensors and entry.tensor.dtype == "real":
                return entry, NormalForm().tidy(mul(-1 / scale.value, rest))
    return None, ZERO


def _kink(expr: Expr, at: Entry, value: Expr) -> Convention:
    nf = NormalForm()
    slope = tangent(expr, lambda _: ZERO, variable=at)
    place = f"{at} = {value}"
    sides = [nf(_branch(expr, at, value, side)) for side in (-1, 0, 1)]
    shown = nf.tidy(_branch(slope, at, value, 0))
    if not sides[0] == sides[1] == sides[2]:
        return Convention(place, shown, None)
    try:
        left, here, right = (nf(_branch(slope, at, value, side)) for side in (-1, 0, 1))
    except ZeroDivisionError:
        return Convention(place, shown, shown, unbounded=True)
    share = _share(here, left, right)
    if share is None:
        return Convention(place, shown, None)
    low, high = nf.tidy(_branch(slope, at, value, -1)), nf.tidy(_branch(slope, at, value, 1))
    return Convention(place, shown, add(mul(number(1 - share), low), mul(number(share), high)))


def _share(here: Poly, left: Poly, right: Poly) -> Fraction | None:
    """The s of `here = (1 - s) left + s right` in [0, 1], if there is one."""
    gap, rise = plus(right, scale(left, -1)), plus(here, scale(left, -1))
    if not rise:
        return Fraction(0)
    if not gap:
        return None
    monomial = next(iter(gap))
    share = rise.get(monomial, Fraction(0)) / gap[monomial]
    fits = not plus(rise, scale(gap, -share)) and 0 <= share <= 1
    return share if fits else None


def _branch(expr: Expr, at: Entry, value: Expr, side: int) -> Expr:
    """The expression at the kink, cases chosen as they are at it (0), just below (-1) or just above (1)."""
    if expr is at:
        return value
    if isinstance(expr, Bracket):
        difference = expr.left - expr.right
        base = NormalForm().tidy(_branch(difference, at, value, side))
        slope = tangent(difference, lambda _: ZERO, variable=at)
        if isinstance(base, Number) and isinstance(slope, Number):
            sign = _sign(base.value) or side * _sign(slope.value)
            return ONE if holds(expr.relation, sign) else ZERO
        return expr
    if isinstance(expr, Where):
        condition = _branch(expr.condition, at, value, side)
        chosen = expr.yes if condition is ONE else expr.no if condition is ZERO else None
        if chosen is not None:
            return _branch(chosen, at, value, side)
    return expr.rebuild(tuple(_branch(child, at, value, side) for child in expr.children))


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)

"""Contraction: sums over deltas carried out, cases decided, brackets that another implies dropped."""

from __future__ import annotations

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import ONE, ZERO, Add, Bracket, Entry, Expr, Index, Mul, Number, number
from gradproof.symbolic.terms import Term, complement


def contract(term: Term) -> Term | None:
    """Carry out sums over deltas: `sum_i [i == k] f(i) = f(k)`, where `i` runs over its full axis.

    Returns None for a term that is 0. A delta against data (`[k == target[b]]`) stays: the data may lie
    outside of the axis, and then the sum is 0.
    """
    for base in term.factors:
        if not (isinstance(base, Bracket) and base.relation == "=="):
            continue
        for bound, value in ((base.left, base.right), (base.right, base.left)):
            if not (isinstance(bound, Index) and bound in term.bound and bound not in value.free):
                continue
            same_axis = isinstance(value, Index) and value.axis == bound.axis
            in_range = (
                isinstance(value, Number)
                and bound.axis.size is not None
                and 0 <= value.value < bound.axis.size
            )
            if same_axis or in_range or _within(value, bound.axis):
                rest = {b: e for b, e in term.factors.items() if b is not base}
                moved = Term(term.coefficient, rest, term.bound, term.guards).rename({bound: value})
                return contract(moved) if moved.coefficient else None
    return decide(term) if term.coefficient else None


def enumerate_cases(term: Term) -> list[Term]:
    """A sum over an axis of fixed size whose cases are told apart by its index, written out."""
    for i in sorted(term.bound, key=lambda i: i.key):
        if i.axis.size is not None and any(_tells(guard, i) for guard in term.guards):
            chosen = [decide(term.rename({i: number(value)})) for value in range(i.axis.size)]
            return [t for c in chosen if c is not None and c.coefficient for t in enumerate_cases(c)]
    return [term]


def _tells(guard: Expr, i: Index) -> bool:
    """Whether the guard compares the index with numbers alone."""
    if isinstance(guard, Bracket):
        return all(side is i or isinstance(side, Number) for side in guard.children)
    if isinstance(guard, Add | Mul):
        return all(isinstance(child, Number) or _tells(child, i) for child in guard.children)
    return False


def decide(term: Term) -> Term | None:
    """The term without guards that hold, or that another implies; None where one does not hold."""
    if ZERO in term.guards:
        return None
    kept = frozenset(g for g in term.guards if g is not ONE and not _implied(g, term.guards))
    return Term(term.coefficient, term.factors, term.bound, kept)


def _implied(guard: Expr, others: frozenset[Expr]) -> bool:
    """Whether the guard says `not A` and another says `B`, where A and B exclude each other."""
    opposite = complement(guard)
    return isinstance(opposite, Bracket) and any(
        isinstance(other, Bracket) and excludes(other, opposite) for other in others
    )


_TRUE_AT = {"<": {-1}, "==": {0}, ">": {1}, "<=": {-1, 0}, ">=": {0, 1}, "!=": {-1, 1}}


def excludes(a: Bracket, b: Bracket) -> bool:
    """Whether two comparisons of the same two sides never hold together."""
    if a.children == b.children:
        return not (_TRUE_AT[a.relation] & _TRUE_AT[b.relation])
    if a.children == b.children[::-1]:
        return not (_TRUE_AT[a.relation] & {-order for order in _TRUE_AT[b.relation]})
    return False


def _within(value: Expr, axis: Axis) -> bool:
    """Whether the value is an entry of an index tensor that never lies outside of the axis."""
    return isinstance(value, Entry) and value.tensor.over == axis and value.tensor.domain == "index"

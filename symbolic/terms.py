"""Sums of products: the form in which a derivation is carried on, contracted and collected.

A `Term` is a coefficient times factors, summed over bound indices, under guards. Factors stay closed (a
parenthesis is not multiplied out) unless a rule asks for it, so that a closed form keeps its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import permutations, product

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Bracket,
    Call,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Power,
    Reduce,
    Where,
    add,
    fresh,
    index,
    mul,
    number,
    power,
    size,
    substitute,
    total,
    where,
)


@dataclass(frozen=True)
class Term:
    """`coefficient * sum over bound of product of base**exponent`, and 0 where a guard is 0."""

    coefficient: Fraction = Fraction(1)
    factors: Mapping[Expr, Fraction] = field(default_factory=dict[Expr, Fraction])
    bound: frozenset[Index] = frozenset()
    guards: frozenset[Expr] = frozenset()

    @property
    def indices(self) -> frozenset[Index]:
        """Every index in the term, bound ones included, also those bound within a factor."""
        parts = (*self.factors, *self.guards)
        return self.bound.union(*(p.free | p.bound for p in parts))

    def rename(self, values: Mapping[Index, Expr]) -> Term:
        """Replace indices; a bound index that is replaced is bound no more."""
        result = Term(self.coefficient, {}, self.bound - set(values))
        for base, exponent in self.factors.items():
            result = times(result, _monomial(substitute(base, values), exponent))
        guards = frozenset(substitute(g, values) for g in self.guards)
        return Term(result.coefficient, result.factors, result.bound, guards)


def _monomial(base: Expr, exponent: Fraction) -> Term:
    made = power(base, exponent)
    if isinstance(made, Number):
        return Term(made.value)
    if isinstance(made, Mul):
        value = made.factors[0].value if isinstance(made.factors[0], Number) else Fraction(1)
        rest = made.factors[1:] if isinstance(made.factors[0], Number) else made.factors
        result = Term(value)
        for factor in rest:
            result = times(result, _monomial(factor, Fraction(1)))
        return result
    if isinstance(made, Power):
        return Term(factors={made.base: made.exponent})
    return Term(factors={made: Fraction(1)})


def times(a: Term, b: Term) -> Term:
    """The product; bound indices of `b` are renamed where `a` has the name."""
    b = _apart(b, a.indices)
    factors = dict(a.factors)
    for base, exponent in b.factors.items():
        factors[base] = factors.get(base, Fraction(0)) + exponent
    kept: dict[Expr, Fraction] = {}
    for base, exponent in factors.items():
        if exponent:
            kept[base] = Fraction(1) if idempotent(base) and exponent > 0 else exponent
    return Term(a.coefficient * b.coefficient, kept, a.bound | b.bound, a.guards | b.guards)


def _apart(term: Term, others: Iterable[Index]) -> Term:
    """The term with its bound indices renamed where another index has the name."""
    names = {i.name for i in others}
    used = frozenset(others) | term.indices
    moved: dict[Index, Expr] = {}
    for old in sorted((i for i in term.bound if i.name in names), key=lambda i: i.key):
        new = fresh(used, old)
        used |= {new}
        moved[old] = new
    return _rebind(term, moved) if moved else term


def _rebind(term: Term, values: Mapping[Index, Expr]) -> Term:
    factors = {substitute(base, values): exponent for base, exponent in term.factors.items()}
    bound = frozenset(v if isinstance(v := values.get(i, i), Index) else i for i in term.bound)
    return Term(term.coefficient, factors, bound, frozenset(substitute(g, values) for g in term.guards))


def idempotent(expr: Expr) -> bool:
    """Whether the expression only has the values 0 and 1."""
    if isinstance(expr, Mul):
        return all(idempotent(factor) for factor in expr.factors)
    return isinstance(expr, Bracket) or (isinstance(expr, Entry) and expr.tensor.dtype == "boolean")


def closed(_: Expr) -> bool:
    """Open no parenthesis."""
    return False


def flatten(expr: Expr, opens: Callable[[Expr], bool] = closed) -> list[Term]:
    """The terms of an expression; a sum inside a product is opened where `opens` says so."""
    if isinstance(expr, Number):
        return [Term(expr.value)] if expr.value else []
    if isinstance(expr, Add):
        return [t for part in expr.terms for t in flatten(part, opens)]
    if isinstance(expr, Mul):
        parts = [
            flatten(f, opens) if not isinstance(f, Add) or opens(f) else [_atom(f)] for f in expr.factors
        ]
        return [_product(choice) for choice in product(*parts)]
    if isinstance(expr, Reduce) and expr.kind == "sum":
        if isinstance(expr.body, Add) and difference(expr.body) and not opens(expr.body):
            return [_bind(_atom(expr.body), expr.indices)]
        return [_bind(t, expr.indices) for t in flatten(expr.body, opens)]
    if isinstance(expr, Power):
        whole = expr.exponent.denominator == 1 and expr.exponent > 0
        if whole and (opens(expr.base) or isinstance(expr.base, Reduce)):
            return flatten_product([expr.base] * int(expr.exponent), opens)
        return [_monomial(expr.base, expr.exponent)]
    if isinstance(expr, Where) and (expr.no is ZERO or expr.yes is ZERO):
        guard = expr.condition if expr.no is ZERO else ONE - expr.condition
        inner = flatten(expr.yes if expr.no is ZERO else expr.no, opens)
        return [Term(t.coefficient, t.factors, t.bound, t.guards | {guard}) for t in inner]
    return [_atom(expr)]


def difference(value: Add) -> bool:
    """A sum of two entries, as in `x - mean`, which keeps its parentheses."""
    parts = [t.factors[-1] if isinstance(t, Mul) and len(t.factors) == 2 else t for t in value.terms]
    return len(parts) == 2 and all(isinstance(part, Entry) for part in parts)


def flatten_product(parts: Sequence[Expr], opens: Callable[[Expr], bool]) -> list[Term]:
    """The terms of a product of sums, all multiplied out."""
    return [_product(choice) for choice in product(*(flatten(p, opens) for p in parts))]


def _product(parts: Iterable[Term]) -> Term:
    result = Term()
    for part in parts:
        result = times(result, part)
    return result


def _atom(expr: Expr) -> Term:
    return Term(factors={expr: Fraction(1)})


def _bind(term: Term, over: Sequence[Index]) -> Term:
    """Sum a term over indices; those that do not occur in it count the values of their axis."""
    term = _apart(term, over)
    used = frozenset[Index]().union(*(p.free for p in (*term.factors, *term.guards)))
    result = Term(term.coefficient, term.factors, term.bound | (frozenset(over) & used), term.guards)
    for free in (i for i in over if i not in used):
        result = times(result, _monomial(size(free.axis), Fraction(1)))
    return result


def build(terms: Iterable[Term]) -> Expr:
    """The expression of a list of terms, like terms collected."""
    collected: dict[Expr, tuple[Expr, Fraction]] = {}
    for term in terms:
        same = _build_one(canonical(term, plain=True)) if term.bound else _build_one(term)
        shown, value = collected.get(same, (None, Fraction(0)))
        collected[same] = (shown or _build_one(canonical(term)), value + term.coefficient)
    return add(*(mul(value, shown) for shown, value in collected.values()))


def _build_one(term: Term) -> Expr:
    """The product without its coefficient; what does not depend on a bound index stands before its sum."""
    groups: list[tuple[set[Index], list[Expr]]] = []
    outside: list[Expr] = []
    for base, exponent in term.factors.items():
        touched = set(base.free & term.bound)
        if not touched:
            outside.append(power(base, exponent))
            continue
        joined = [power(base, exponent)]
        for group in [g for g in groups if g[0] & touched]:
            touched |= group[0]
            joined = group[1] + joined
            groups.remove(group)
        groups.append((touched, joined))
    guards = [g for g in term.guards if not (g.free & term.bound)]
    for guard in term.guards - set(guards):
        (group,) = [g for g in groups if g[0] & guard.free]
        group[1][:] = [where(guard, mul(*group[1]), 0)]
    body = mul(
        *outside, *(total(mul(*inside), *sorted(over, key=lambda i: i.key)) for over, inside in groups)
    )
    for guard in sorted(guards, key=lambda g: g.key):
        body = guard if body is ONE else mul(guard, body) if _harmless(body) else where(guard, body, 0)
    return body


def _harmless(expr: Expr) -> bool:
    """Whether the expression has a value wherever its entries have one."""
    if isinstance(expr, Power) and (expr.exponent < 0 or expr.exponent.denominator > 1):
        return False
    if isinstance(expr, Call) and expr.function == "log":
        return False
    return all(_harmless(child) for child in expr.children)


def canonical(term: Term, *, plain: bool = False) -> Term:
    """The term with its bound indices named in one way: alike terms become the same.

    Names keep the letters they have, or come from the axes alone (`plain`).
    """
    bound = sorted(term.bound, key=lambda i: i.key)
    if not bound:
        return term
    taken = {i.name for i in term.indices - term.bound}
    best: tuple[str, Term] | None = None
    for order in permutations(bound) if len(bound) <= 4 else (bound,):
        if sorted(i.axis.name for i in order) != [
            i.axis.name for i in sorted(order, key=lambda i: i.axis.name)
        ]:
            continue
        names = _names(order, taken, plain)
        candidate = _rebind(_rebind(term, names[0]), names[1])
        text = "*".join(sorted(f"{base.key}^{e}" for base, e in candidate.factors.items()))
        if best is None or text < best[0]:
            best = (text, candidate)
    assert best is not None
    return best[1]


def _names(
    order: Sequence[Index], taken: set[str], plain: bool
) -> tuple[dict[Index, Expr], dict[Index, Expr]]:
    """Two renamings, by way of names that nobody has, so that a permutation of names works out."""
    used = set(taken)
    out: dict[Index, Expr] = {}
    back: dict[Index, Expr] = {}
    for place, old in enumerate(order):
        stem = f"{old.axis.name}_" if plain else old.name.rstrip("0123456789")
        name, count = stem, 0
        while name in used:
            count += 1
            name = f"{stem}{count}"
        used.add(name)
        passing = index(f"_{place}_{stem}", old.axis)
        out[old], back[passing] = passing, index(name, old.axis)
    return out, back


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
    return term if term.coefficient else None


def _within(value: Expr, axis: Axis) -> bool:
    """Whether the value is an entry of an index tensor that never lies outside of the axis."""
    return isinstance(value, Entry) and value.tensor.over == axis and value.tensor.domain == "in range"


def common(terms: Sequence[Term]) -> Term:
    """The factors that all terms share and that do not depend on a bound index, with the rational content."""
    shared = dict(terms[0].factors)
    for term in terms:
        shared = {
            base: min(e, term.factors[base], key=abs)
            for base, e in shared.items()
            if base in term.factors and e * term.factors[base] > 0
        }
    free = {base: e for base, e in shared.items() if not any(base.free & t.bound for t in terms)}
    values = {abs(t.coefficient) for t in terms}
    sign = -1 if all(t.coefficient < 0 for t in terms) else 1
    guards = frozenset.intersection(*(t.guards for t in terms))
    guards = frozenset(g for g in guards if not any(g.free & t.bound for t in terms))
    return Term(sign * (values.pop() if len(values) == 1 else Fraction(1)), free, guards=guards)


def factor_out(expr: Expr) -> Expr:
    """The sum with what all its terms share written once, before a parenthesis."""
    terms = flatten(expr)
    if len(terms) < 2:
        return expr
    shared = common(terms)
    if not shared.factors and not shared.guards:
        return expr
    inverse = Term(1 / shared.coefficient, {base: -e for base, e in shared.factors.items()})
    unguarded = (Term(t.coefficient, t.factors, t.bound, t.guards - shared.guards) for t in terms)
    inner = build(times(t, inverse) for t in unguarded)
    made = mul(number(shared.coefficient), *(power(b, e) for b, e in shared.factors.items()), inner)
    for guard in sorted(shared.guards, key=lambda g: g.key):
        made = where(guard, made, 0)
    return made

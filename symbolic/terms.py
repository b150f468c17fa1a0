"""Sums of products: the form in which a derivation is carried on, contracted and collected.

A `Term` is a coefficient times factors, summed over bound indices, under guards. Factors stay closed (a
parenthesis is not multiplied out) unless a rule asks for it, so that a closed form keeps its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import permutations, product

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


def complement(guard: Expr) -> Expr:
    """1 where the guard is 0, and 0 where it is 1."""
    if isinstance(guard, Add):
        inner = mul(-1, add(*(term for term in guard.terms if term is not ONE)))
        if ONE in guard.terms and idempotent(inner):
            return inner
    return ONE - guard


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
        guard = expr.condition if expr.no is ZERO else complement(expr.condition)
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
        # A sum must not capture a free index of the next factor either.
        result = times(_apart(result, part.indices), part)
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
    """The expression of a list of terms: like terms collected, terms of one case together."""
    collected: dict[Expr, tuple[Expr, Fraction, frozenset[Expr]]] = {}
    for term in terms:
        inner, guards = _outer_guards(term)
        same = _guarded(_body(canonical(inner, plain=True) if inner.bound else inner), guards)
        # One of two like terms may have as factors what the other has as guards: the first one is shown.
        shown, value, under = collected.get(same, (_body(canonical(inner)), Fraction(0), guards))
        collected[same] = (shown, value + term.coefficient, under)
    cases: dict[frozenset[Expr], list[Expr]] = {}
    for shown, value, guards in collected.values():
        if value:
            cases.setdefault(guards, []).append(mul(value, shown))
    return add(*_join_cases({guards: add(*parts) for guards, parts in cases.items()}))


def _join_cases(cases: dict[frozenset[Expr], Expr]) -> list[Expr]:
    """The sum of guarded bodies; two that hold where the other does not are one `where`."""
    made: list[Expr] = []
    while cases:
        guards, body = cases.popitem()
        for guard in sorted(guards, key=lambda g: g.key):
            rest = guards - {guard}
            if (opposite := rest | {complement(guard)}) in cases:
                other = cases.pop(opposite)
                both = (
                    where(guard, body, other)
                    if not isinstance(guard, Add)
                    else where(complement(guard), other, body)
                )
                cases[rest] = add(both, cases.pop(rest, ZERO))
                break
        else:
            made.append(_guarded(body, guards))
    return made


def _outer_guards(term: Term) -> tuple[Term, frozenset[Expr]]:
    """The term without the guards that do not depend on a bound index, and those."""
    outer = frozenset(g for g in term.guards if not (g.free & term.bound))
    return Term(term.coefficient, term.factors, term.bound, term.guards - outer), outer


def _body(term: Term) -> Expr:
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
    for guard in term.guards:
        (group,) = [g for g in groups if g[0] & guard.free]
        group[1][:] = [where(guard, mul(*group[1]), 0)]
    sums = (total(mul(*inside), *sorted(over, key=lambda i: i.key)) for over, inside in groups)
    return mul(*outside, *sums)


def _guarded(body: Expr, guards: Iterable[Expr]) -> Expr:
    """The body where all guards hold, else 0."""
    for guard in sorted(guards, key=lambda g: g.key):
        body = guard if body is ONE else mul(guard, body) if harmless(body) else where(guard, body, 0)
    return body


def harmless(expr: Expr) -> bool:
    """Whether the expression has a value wherever its entries have one."""
    if isinstance(expr, Power) and (expr.exponent < 0 or expr.exponent.denominator > 1):
        return False
    if isinstance(expr, Call) and expr.function in ("log", "exp"):
        return False
    return all(harmless(child) for child in expr.children)


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

"""Collecting: what several terms share is written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from gradproof.symbolic.expressions import (
    Add,
    Entry,
    Expr,
    Mul,
    Power,
    Reduce,
    Where,
    add,
    mul,
    number,
    power,
    rewrite,
    where,
)
from gradproof.symbolic.terms import Term, build, canonical, flatten, times


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
    guards = terms[0].guards.intersection(*(t.guards for t in terms))
    guards = frozenset(g for g in guards if not any(g.free & t.bound for t in terms))
    return Term(sign * (values.pop() if len(values) == 1 else Fraction(1)), free, guards=guards)


def factor_out(expr: Expr, groups: Callable[[Expr], bool]) -> Expr:
    """The expression with what all terms of a sum share written once, before a parenthesis.

    At the top, terms that share a factor for which `groups` says so are put together too.
    """

    def visit(node: Expr) -> Expr:
        if isinstance(node, Add):
            return _share(node)
        return _share_cases(node) if isinstance(node, Where) else node

    return _group(rewrite(expr, visit), groups)


def _share(expr: Expr) -> Expr:
    if not isinstance(expr, Add):
        return expr
    sums: dict[Expr, Expr] = {}
    terms = [_product(part, sums) for part in expr.terms]
    shared = common(terms)
    if not shared.factors and not shared.guards:
        return expr
    return _before(shared, terms)


def _product(expr: Expr, sums: dict[Expr, Expr]) -> Term:
    """The factors of a product, a sum among them taken whole; `sums` are those met so far, under one name."""
    result = Term()
    for factor in expr.factors if isinstance(expr, Mul) else (expr,):
        base, exponent = (
            (factor.base, factor.exponent) if isinstance(factor, Power) else (factor, Fraction(1))
        )
        flat = flatten(factor) if not isinstance(base, Reduce | Add) else []
        if isinstance(base, Reduce):
            base = sums.setdefault(build(canonical(t, plain=True) for t in flatten(base)), base)
        result = times(result, flat[0] if len(flat) == 1 else Term(factors={base: exponent}))
    return result


def _before(shared: Term, terms: Sequence[Term]) -> Expr:
    """`shared * (sum of terms / shared)`, under the guards that all share."""
    inverse = Term(1 / shared.coefficient, {base: -e for base, e in shared.factors.items()})
    unguarded = (Term(t.coefficient, t.factors, t.bound, t.guards - shared.guards) for t in terms)
    inner = build(times(t, inverse) for t in unguarded)
    made = mul(number(shared.coefficient), *(power(b, e) for b, e in shared.factors.items()), inner)
    for guard in sorted(shared.guards, key=lambda g: g.key):
        made = where(guard, made, 0)
    return made


def _share_cases(node: Where) -> Expr:
    """`where(c, a f, a g) = a where(c, f, g)` for entries a."""
    yes, no = flatten(node.yes), flatten(node.no)
    if not yes or not no:
        return node
    shared = common([*yes, *no])
    plain = {base: e for base, e in shared.factors.items() if e > 0 and isinstance(base, Entry)}
    if not plain:
        return node
    inverse = Term(factors={base: -e for base, e in plain.items()})
    cases = (build(times(t, inverse) for t in terms) for terms in (yes, no))
    return mul(*(power(b, e) for b, e in plain.items()), where(node.condition, *cases))


def _group(expr: Expr, groups: Callable[[Expr], bool]) -> Expr:
    """Put the terms of a sum together that share a factor chosen by `groups`, the most shared one first."""
    if not isinstance(expr, Add):
        return expr
    terms = {part: flatten(part) for part in expr.terms}
    counts: dict[Expr, int] = {}
    for flat in terms.values():
        for factor in flat[0].factors if len(flat) == 1 else ():
            if groups(factor) and not factor.free & flat[0].bound:
                counts[factor] = counts.get(factor, 0) + 1
    best = max(counts, key=lambda f: (counts[f], f.key), default=None)
    if best is None or counts[best] < 2:
        return expr
    inside = [p for p, flat in terms.items() if len(flat) == 1 and best in flat[0].factors]
    rest = add(*(p for p in expr.terms if p not in inside))
    return add(_share(add(*inside)), _group(rest, groups))

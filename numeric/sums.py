"""Sums of products taken apart: which terms, which factors under the sum, which deltas pick one entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradproof.symbolic.contraction import contract
from gradproof.symbolic.expressions import (
    ONE,
    Bracket,
    Entry,
    Expr,
    Index,
    Mul,
    Reduce,
    mul,
    number,
    power,
    substitute,
    walk,
    where,
)
from gradproof.symbolic.terms import Term, build, flatten

Place = Callable[[Entry, Index], tuple[Expr, Entry]]


@dataclass(frozen=True)
class Product:
    """`product of outer * sum over bound of the product of factors`."""

    outer: tuple[Expr, ...]
    factors: tuple[Expr, ...]
    bound: frozenset[Index]


def data_delta(node: Expr) -> tuple[Index, Entry] | None:
    """The index and the datum of a delta `[k == data]`."""
    if isinstance(node, Bracket) and node.relation == "==":
        for k, data in ((node.left, node.right), (node.right, node.left)):
            if isinstance(k, Index) and isinstance(data, Entry) and data.tensor.dtype == "integer":
                return k, data
    return None


def is_sparse(node: Expr, indices: Sequence[Index]) -> bool:
    """Whether the node is a delta that one of the indices meets at a position given by data."""
    found = data_delta(node)
    return found is not None and found[0] in indices


def _opens(node: Expr) -> bool:
    return any(data_delta(n) is not None for n in walk(node))


def components(node: Reduce) -> list[Product]:
    """The terms of a sum as products of sums that share no index; kept whole where nothing is gained."""
    bound = frozenset(node.indices)
    terms = [t for t in map(contract, flatten(node, _opens)) if t is not None]
    gains = len(terms) > 1 and any(_separable(t, bound) for t in terms)
    if len(terms) > 1 and not gains:
        return [Product((), (node.body,), bound)]
    return [p for t in terms for p in [_product(t)]]


def _separable(term: Term, bound: frozenset[Index]) -> bool:
    """Whether the term sums over fewer indices, meets a delta, or is a matrix product."""
    if term.bound < bound or any(data_delta(f) is not None for f in term.factors):
        return True
    sets = [f.free for f in term.factors if f.free & term.bound]
    return any(a - b - term.bound and b - a - term.bound for a in sets for b in sets)


def _product(term: Term) -> Product:
    outer: list[Expr] = [number(term.coefficient)]
    inner: list[Expr] = []
    for base, exponent in term.factors.items():
        (inner if base.free & term.bound else outer).append(power(base, exponent))
    guards = sorted(term.guards, key=lambda g: g.key)
    for guard in guards:
        if guard.free & term.bound:
            host = [f for f in inner if guard.free <= f.free]
            if host:
                inner[inner.index(host[0])] = where(guard, host[0], 0)
            else:
                inner = [where(guard, mul(*inner), 0)]
        else:
            outer = [where(guard, mul(*outer), 0)]
    return Product(tuple(f for f in outer if f is not ONE), tuple(inner), term.bound)


def sift(term: Product, place: Place) -> Product:
    """`sum_k [k == data] f(k) = [0 <= data < n] f(data)`: the data may lie outside of the axis.

    `place` gives the validity of a datum and the position to read instead of one that is not valid.
    """
    for factor in term.factors:
        found = data_delta(factor)
        if found is None or found[0] not in term.bound or found[0] in found[1].free:
            continue
        k, data = found
        valid, at = place(data, k)
        rest = mul(*(substitute(f, {k: at}) for f in term.factors if f is not factor))
        bound = term.bound - {k}
        if valid.free & bound:
            return sift(
                Product(term.outer, (where(valid, rest, 0) if rest is not ONE else valid,), bound), place
            )
        inner = tuple(f for f in _factors(rest) if f.free & bound)
        outer = tuple(f for f in _factors(rest) if not f.free & bound)
        return sift(Product((*term.outer, valid, *outer), inner, bound), place)
    return term


def _factors(expr: Expr) -> tuple[Expr, ...]:
    return expr.factors if isinstance(expr, Mul) else () if expr is ONE else (expr,)


def distribute(
    value: Expr, indices: Sequence[Index], place: Place
) -> tuple[Expr, list[tuple[Index, Entry, Expr]]]:
    """The value as a dense part and terms `[k == data] rest`, where the rest no longer holds `k`."""
    dense: list[Term] = []
    sparse: list[tuple[Index, Entry, Expr]] = []
    for term in flatten(value, _opens):
        delta = next((f for f in term.factors if is_sparse(f, indices)), None)
        found = data_delta(delta) if delta is not None else None
        if found is None:
            dense.append(term)
            continue
        k, data = found
        left = {b: e for b, e in term.factors.items() if b is not delta}
        rest = build([Term(term.coefficient, left, term.bound, term.guards)])
        valid, at = place(data, k)
        sparse.append((k, at, where(valid, substitute(rest, {k: at}), 0)))
    return build(dense), sparse

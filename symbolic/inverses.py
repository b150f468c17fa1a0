"""How the normal form uses that `M inv(M) = inv(M) M = I`: a contraction of the leading word of M.

For `M = L + R` with leading monomial L, `sum_j L[p,j] V[j,q] = [p = q] - sum_j R[p,j] V[j,q]` and the same
from the left. A matrix product is a sum over a shared index, so a word of matrices is a chain of factors; the
leading word is looked for among the factors, whatever they are summed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from gradproof.symbolic.expressions import (
    Bracket,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    bracket,
    index,
    substitute,
)
from gradproof.symbolic.polynomials import Monomial, Poly, plus, rename_apart, scale

if TYPE_CHECKING:
    from gradproof.symbolic.normal_form import NormalForm

MAX_MATCHES = 2000

Names = dict[Index, Expr]
"""What the unknown indices of a pattern stand for."""


def contracted(nf: NormalForm, factors: Mapping[Expr, Fraction], bound: list[Index]) -> Poly | None:
    """The product after one contraction of an inverse with its matrix, None where there is none."""
    for atom in sorted((a for a in factors if is_inverse(a)), key=lambda a: a.key):
        assert isinstance(atom, Entry)
        for shared, other in (atom.indices[-2:], atom.indices[:-3:-1]):
            if isinstance(shared, Index) and shared in bound and shared not in other.free:
                made = _contract(nf, factors, bound, atom, shared, other)
                if made is not None:
                    return made
    return None


def is_inverse(atom: Expr) -> bool:
    """Whether an expression is an entry of an inverse."""
    return (
        isinstance(atom, Entry) and isinstance(atom.tensor, MatrixFunction) and atom.tensor.kind == "inverse"
    )


def _contract(
    nf: NormalForm,
    factors: Mapping[Expr, Fraction],
    bound: list[Index],
    atom: Entry,
    shared: Index,
    other: Expr,
) -> Poly | None:
    """Contract the index that an inverse shares with the leading word of its matrix."""
    made = atom.tensor
    assert isinstance(made, MatrixFunction)
    whole = factors[atom].denominator == 1 and factors[atom] >= 1
    batch = atom.indices[:-2]
    if not whole or any(shared in b.free for b in batch):
        return None
    far = index("§far", shared.axis)
    # V[shared, other] stands to the right of M[far, shared]; V[other, shared] to the left of M[shared, far].
    after = atom.indices[-2] is shared
    symmetric = made.structure == "symmetric"
    word = nf(made.at(far, shared, batch) if after or symmetric else made.at(shared, far, batch))
    lead = _leading_word(word, far, shared)
    if lead is None:
        return None
    rest = dict(factors)
    rest[atom] -= 1
    if not rest[atom]:
        del rest[atom]
    unknown = {far, *(index(f"§{n}", i.axis) for n, i in enumerate(lead.bound))}
    renamed: Names = {i: index(f"§{n}", i.axis) for n, i in enumerate(lead.bound)}
    pattern = [(substitute(a, renamed), e) for a, e in lead.factors]
    for names, left in _matches(pattern, rest, unknown):
        inner = [names[i] for i in unknown if i is not far]
        taken = {shared, *inner}
        place = names.get(far)
        fine = (
            place is not None
            and len(taken) == len(inner) + 1
            and all(isinstance(i, Index) and i in bound for i in inner)
            and not (place.free | other.free) & taken
            and not any(a.free & taken for a in left)
        )
        if not fine:
            continue
        assert place is not None
        kept = [i for i in bound if i not in taken]
        delta = nf.times(nf(bracket("==", place, other)), nf.simplify(left, []))
        first = nf.total(delta, kept) if kept else delta
        others = _others(nf, plus(word, {lead: -word[lead]}), {far: place}, left, [*kept, shared], atom)
        return scale(plus(first, scale(others, -1)), 1 / word[lead])
    return None


def _others(
    nf: NormalForm, word: Poly, values: Names, left: Mapping[Expr, Fraction], over: list[Index], atom: Entry
) -> Poly:
    """The other terms of the matrix, times the inverse and what is left."""
    names = frozenset(over) | atom.free.union(*(a.free for a in left), *(v.free for v in values.values()))
    parts: list[Poly] = []
    for m, v in word.items():
        moved, inner = rename_apart(m, names)
        joined = dict(left)
        joined[atom] = joined.get(atom, Fraction(0)) + 1
        for a, e in moved.items():
            put = substitute(a, values)
            joined[put] = joined.get(put, Fraction(0)) + e
        parts.append(scale(nf.simplify(joined, [*over, *inner]), v))
    return plus(*parts)


def _leading_word(word: Poly, *ends: Index) -> Monomial | None:
    """The term with the most factors that holds both ends outside of a bracket: the longest word."""
    fitting = [
        m
        for m in word
        if all(any(i in a.free for a, _ in m.factors if not isinstance(a, Bracket)) for i in ends)
        and not any(isinstance(a, Bracket) for a, _ in m.factors)
    ]
    return max(fitting, key=lambda m: (len(m.bound), len(m.factors), m.expr.key), default=None)


def _matches(
    pattern: list[tuple[Expr, Fraction]], factors: Mapping[Expr, Fraction], unknown: set[Index]
) -> Iterator[tuple[Names, dict[Expr, Fraction]]]:
    """What the unknown indices may stand for so that the pattern divides the factors, and the quotient."""
    budget = [MAX_MATCHES]

    def go(
        todo: list[tuple[Expr, Fraction]], names: Names, left: dict[Expr, Fraction]
    ) -> Iterator[tuple[Names, dict[Expr, Fraction]]]:
        if not todo:
            yield names, left
            return
        (atom, e), *rest = todo
        for candidate, have in list(left.items()):
            budget[0] -= 1
            if budget[0] < 0:
                return
            if not (have >= e if e > 0 else have <= e):
                continue
            for found in _unified(atom, candidate, names, unknown):
                remaining = dict(left)
                remaining[candidate] = have - e
                if not remaining[candidate]:
                    del remaining[candidate]
                yield from go(rest, found, remaining)

    yield from go(sorted(pattern, key=lambda f: f[0].key), {}, dict(factors))


def _unified(pattern: Expr, target: Expr, names: Names, unknown: set[Index]) -> Iterable[Names]:
    """The ways in which the pattern is the target."""
    if isinstance(pattern, Index) and pattern in unknown:
        if pattern in names:
            return [names] if names[pattern] is target else []
        fits = isinstance(target, Index) and target.axis == pattern.axis
        return [{**names, pattern: target}] if fits else []
    if pattern is target:
        return [names]
    if isinstance(pattern, Entry) and isinstance(target, Entry):
        if pattern.tensor != target.tensor:
            return []
        ways = [target.indices]
        if pattern.tensor.structure in ("symmetric", "positive definite"):
            ways.append((*target.indices[:-2], *target.indices[:-3:-1]))
        return [n for way in ways for n in _all_unified(pattern.indices, way, names, unknown)]
    if type(pattern) is type(target) and pattern.children and not pattern.bound and not target.bound:
        if pattern.rebuild(target.children) is not target or len(pattern.children) != len(target.children):
            return []
        return _all_unified(pattern.children, target.children, names, unknown)
    return []


def _all_unified(
    patterns: Iterable[Expr], targets: Iterable[Expr], names: Names, unknown: set[Index]
) -> list[Names]:
    found = [names]
    for pattern, target in zip(patterns, targets, strict=True):
        found = [n for before in found for n in _unified(pattern, target, before, unknown)]
    return found

"""Determinants of a matrix and a product of low rank: the matrix determinant lemma and Sylvester's identity.

`det(c I + u v^T) = c^n (1 + v^T u / c)` and `det(I + U V) = det(I + V U)` are identities of polynomials;
`det(A + u v^T) = det(A) (1 + v^T inv(A) u)` is used where A is declared to be invertible.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from gradproof.symbolic.expressions import (
    Bracket,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    bracket,
    mul,
    power,
    substitute,
    total,
)
from gradproof.symbolic.polynomials import UNIT, Monomial, Poly, rename_apart


@dataclass(frozen=True)
class Update:
    """A matrix `base + left right`, both over the row and the column of the matrix.

    - `scale`: the c of a base `c I`, or None for another base, which `matrix` reads;
    - `left` depends on the row, `right` on the column, and both on `inner` where it is one;
    - `factor`: what depends on neither.
    """

    scale: Fraction | None
    matrix: Entry | None
    left: Expr
    right: Expr
    factor: Expr
    inner: Index | None


def update(poly: Poly, row: Index, column: Index) -> Update | None:
    """The parts of a base and a product of low rank; None for any other matrix."""
    if len(poly) != 2 or UNIT in poly:
        return None
    delta = bracket("==", row, column)
    for base, product in ((0, 1), (1, 0)):
        terms = list(poly.items())
        (m, value), (n, coefficient) = terms[base], terms[product]
        if m.bound or len(m.factors) != 1 or m.factors[0][1] != 1:
            continue
        atom = m.factors[0][0]
        if atom is not delta and not (value == 1 and _is_declared_invertible(atom, row, column)):
            continue
        parts = _parts(n, coefficient, row, column)
        if parts is not None:
            if atom is delta:
                return Update(value, None, *parts) if value > 0 else None
            assert isinstance(atom, Entry)
            return Update(None, atom, *parts)
    return None


def _is_declared_invertible(atom: Expr, row: Index, column: Index) -> bool:
    """Whether an atom is a matrix over row and column that its declaration says is invertible."""
    if not isinstance(atom, Entry) or isinstance(atom.tensor, MatrixFunction):
        return False
    declared = atom.tensor.structure in ("invertible", "positive definite")
    return declared and set(atom.indices[-2:]) == {row, column}


def _parts(
    m: Monomial, value: Fraction, row: Index, column: Index
) -> tuple[Expr, Expr, Expr, Index | None] | None:
    """What depends on the row, on the column, on neither, and the index that connects the first two."""
    factors, bound = rename_apart(m, frozenset((row, column)))
    if any(isinstance(a, Bracket) for a in factors):
        return None
    left = _connected(set(factors), row, bound)
    if any(column in a.free for a in left):  # not two vectors: cut behind the factors that read the row
        left = frozenset(a for a in factors if row in a.free)
    right = _connected({a for a in factors if a not in left}, column, bound)
    rest = [a for a in factors if a not in left | right]
    if not left or not right or any(column in a.free for a in left) or any(row in a.free for a in right):
        return None
    reads = [frozenset(i for i in bound if any(i in a.free for a in own)) for own in (left, right, rest)]
    both = reads[0] & reads[1]
    if len(both) > 1 or reads[2] & (reads[0] | reads[1]):
        return None

    def product(own: Iterable[Expr], over: Iterable[Index]) -> Expr:
        return total(mul(*(power(a, factors[a]) for a in sorted(own, key=_key))), *sorted(over, key=_key))

    first, second = product(left, reads[0] - both), product(right, reads[1] - both)
    return first, second, mul(value, product(rest, reads[2])), next(iter(both), None)


def _connected(factors: set[Expr], start: Index, bound: list[Index]) -> frozenset[Expr]:
    """The factors that read an index, or a bound one that another of them reads."""
    own: set[Expr] = set()
    reached = {start}
    while more := {a for a in factors - own if a.free & reached}:
        own |= more
        reached |= {i for i in bound if any(i in a.free for a in more)}
    return frozenset(own)


def _key(expr: Expr) -> str:
    return expr.key


def without_inner(found: Update) -> Expr:
    """`right left` of a product of two vectors, a number; `found.inner` is None."""
    return mul(found.factor, found.left, found.right)


def turned(found: Update, row: Index, column: Index, ends: tuple[Index, Index], between: Expr | None) -> Expr:
    """The entry of `right between left` at two values of the index that connects them.

    `between`, over the column and the row, is the inverse of the base; None for an identity.
    """
    assert found.inner is not None
    first, second = ends
    right = substitute(found.right, {found.inner: first})
    if between is None:
        left = substitute(found.left, {found.inner: second, row: column})
        return mul(found.factor, total(mul(left, right), column))
    left = substitute(found.left, {found.inner: second})
    return mul(found.factor, total(mul(right, between, left), column, row))

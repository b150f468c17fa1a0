"""Polynomials over atoms of the index calculus, with bound indices: the arithmetic of the normal form.

This is on purpose not the engine that derivations use (`terms.py`): what proves a closed form shares no code
with what found it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import permutations, product

from gradproof.symbolic.expressions import (
    Expr,
    Index,
    Power,
    add,
    index,
    mul,
    number,
    power,
    substitute,
    total,
)

_CANONICAL = re.compile(r"_(\d+)_\d+")
MAX_LABELLINGS = 720
MAX_TERMS = 20_000


class TooLargeError(Exception):
    """The normal form outgrew its budget: the caller answers *undecided*."""


@dataclass(frozen=True)
class Monomial:
    """A product of powers of atoms, summed over bound indices that have canonical names."""

    factors: tuple[tuple[Expr, Fraction], ...] = ()
    bound: tuple[Index, ...] = ()

    @cached_property
    def _hash(self) -> int:
        return hash((self.factors, self.bound))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def free(self) -> frozenset[Index]:
        return frozenset[Index]().union(*(atom.free for atom, _ in self.factors)) - set(self.bound)

    @cached_property
    def expr(self) -> Expr:
        """The monomial as an expression."""
        return total(mul(*(power(atom, e) for atom, e in self.factors)), *self.bound)


Poly = Mapping[Monomial, Fraction]
UNIT = Monomial()
NOTHING: Poly = {}


def const(value: Fraction | int) -> Poly:
    """The constant polynomial."""
    return {UNIT: Fraction(value)} if value else {}


def atom_poly(atom: Expr, exponent: Fraction | int = 1) -> Poly:
    """The polynomial of one atom to a power."""
    return {Monomial(((atom, Fraction(exponent)),)): Fraction(1)}


def plus(*polys: Poly) -> Poly:
    """The sum; raises TooLargeError past the budget of terms."""
    result: dict[Monomial, Fraction] = {}
    for poly in polys:
        for monomial, value in poly.items():
            made = result.get(monomial, Fraction(0)) + value
            if made:
                result[monomial] = made
            else:
                result.pop(monomial, None)
    if len(result) > MAX_TERMS:
        raise TooLargeError(f"more than {MAX_TERMS} terms")
    return result


def scale(poly: Poly, value: Fraction | int) -> Poly:
    """The polynomial times a rational."""
    return {m: v * value for m, v in poly.items()} if value else {}


def to_expr(poly: Poly) -> Expr:
    """The polynomial as an expression, terms in canonical order."""
    return add(*(mul(number(v), m.expr) for m, v in poly.items()))


def depth(expr: Expr) -> int:
    """The largest level of a canonical bound name inside: `_2_0` is of level 2."""
    levels = [_CANONICAL.fullmatch(i.name) for i in expr.bound]
    return max((int(found[1]) for found in levels if found), default=0)


def canonical(factors: Mapping[Expr, Fraction], bound: Iterable[Index]) -> Monomial:
    """The monomial with bound indices named by level and place, the same for every naming that came in.

    The level is one more than that of anything inside, so that names never capture.
    """
    over = tuple(bound)
    if not over:
        return Monomial(tuple(sorted(factors.items(), key=lambda f: f[0].key)))
    level = 1 + max((depth(atom) for atom in factors), default=0)
    outside = {i.name for atom in factors for i in atom.free if i not in over}
    while any(name.startswith(f"_{level}_") for name in outside):
        level += 1
    passing_stem = "?"
    while any(name.startswith(passing_stem) for name in outside):
        passing_stem += "?"
    best: tuple[str, Monomial] | None = None
    for count, order in enumerate(_orders(factors, over)):
        if count >= MAX_LABELLINGS:
            break
        passing = {old: index(f"{passing_stem}{place}", old.axis) for place, old in enumerate(order)}
        final = {passing[old]: index(f"_{level}_{place}", old.axis) for place, old in enumerate(order)}
        moved = {substitute(substitute(atom, dict(passing)), dict(final)): e for atom, e in factors.items()}
        made = Monomial(
            tuple(sorted(moved.items(), key=lambda f: f[0].key)), tuple(final[passing[old]] for old in order)
        )
        text = "*".join(f"{atom.key}^{e}" for atom, e in made.factors)
        if best is None or text < best[0]:
            best = (text, made)
    assert best is not None
    return best[1]


def _orders(factors: Mapping[Expr, Fraction], over: Sequence[Index]) -> Iterator[tuple[Index, ...]]:
    """Orders of the bound indices worth trying: sorted by how they occur, permuted only among those alike."""
    groups: dict[tuple[str, str], list[Index]] = {}
    for i in over:
        others = {j: index("?", j.axis) for j in over if j is not i}
        mine = {i: index("!", i.axis)}
        seen = sorted(
            f"{substitute(atom, {**others, **mine}).key}^{e}" for atom, e in factors.items() if i in atom.free
        )
        groups.setdefault((i.axis.name, "|".join(seen)), []).append(i)
    ordered = [groups[key] for key in sorted(groups)]
    for choice in product(*(permutations(group) for group in ordered)):
        yield tuple(i for group in choice for i in group)


def rename_apart(monomial: Monomial, taken: frozenset[Index]) -> tuple[dict[Expr, Fraction], list[Index]]:
    """The factors and bound indices under names that `taken` does not have."""
    names = {i.name for i in taken | monomial.free}
    moved: dict[Index, Expr] = {}
    over: list[Index] = []
    count = 0
    for old in monomial.bound:
        while f"'{count}" in names:
            count += 1
        new = index(f"'{count}", old.axis)
        names.add(new.name)
        moved[old] = new
        over.append(new)
    return {substitute(atom, moved): e for atom, e in monomial.factors}, over


def split_power(expr: Expr) -> tuple[Expr, Fraction]:
    """An atom as base and exponent."""
    return (expr.base, expr.exponent) if isinstance(expr, Power) else (expr, Fraction(1))

"""The rules by which a normal form simplifies a product of powers of atoms, summed over indices.

Each takes the normal form, the factors and the bound indices; None where it has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import permutations
from math import floor
from typing import TYPE_CHECKING

from gradproof.symbolic.expressions import (
    ZERO,
    Add,
    Bracket,
    Entry,
    Expr,
    Index,
    Number,
    bracket,
    fresh,
    index,
    number,
    size,
    substitute,
    walk,
)
from gradproof.symbolic.inverses import contracted
from gradproof.symbolic.monomials import compound, is_exp, leading
from gradproof.symbolic.polynomials import (
    NOTHING,
    UNIT,
    Monomial,
    Poly,
    atom_poly,
    plus,
    rename_apart,
    scale,
    to_expr,
)
from gradproof.symbolic.positions import (
    affine,
    on_axis,
    shift,
    solutions,
)

if TYPE_CHECKING:
    from gradproof.symbolic.normal_form import NormalForm

Rule = Callable[["NormalForm", "dict[Expr, Fraction]", "list[Index]"], Poly | None]
MAX_ENUMERATED = 8
"""A sum over an axis of fixed size up to this one is written out."""


def _deltas(nf: NormalForm, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
    """Carry out sums over deltas; put equal what a delta says is equal."""
    for atom in sorted(
        (a for a in factors if isinstance(a, Bracket) and a.relation == "=="), key=lambda a: a.key
    ):
        assert isinstance(atom, Bracket)
        rest = {a: e for a, e in factors.items() if a is not atom}
        for old, new in ((atom.left, atom.right), (atom.right, atom.left)):
            if isinstance(old, Index) and old in bound and old not in new.free and _in_range(new, old):
                return nf.again(rest, [i for i in bound if i is not old], {old: new})
        for old, new in solutions(atom):
            if old in bound and (isinstance(new, Add | Number) or _is_made(new, old)) and not _longer(new):
                inside = [bracket("<=", ZERO, new), bracket("<=", new, size(old.axis) - 1)]
                moved = nf.again(rest, [], {old: new})
                for held in inside:
                    moved = nf.times(moved, nf(held))
                left = [i for i in bound if i is not old]
                return nf.total(moved, left) if left else moved
        for old, new in ((atom.left, atom.right), (atom.right, atom.left)):
            if not isinstance(old, Index) or old in bound:
                continue
            plain = (
                isinstance(new, Number)
                or _of_sizes(new)
                or (
                    isinstance(new, Index) and new.axis == old.axis and new.key < old.key and new not in bound
                )
            )
            if plain and any(old in a.free for a in rest):
                moved = nf.again(rest, bound, {old: new})
                return nf.times(moved, atom_poly(atom))
        same = _same_data(atom, rest)
        if same is not None:
            other, equal = same
            less = {a: e for a, e in rest.items() if a is not other}
            return nf.again({**less, atom: Fraction(1), equal: Fraction(1)}, bound, {})
    return None


def _reflected(nf: NormalForm, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
    """Sum over `n - 1 - i` instead of `i` where the first tensor that reads `i` reads it there."""
    for i in bound:
        here = size(i.axis) - 1 - i
        turned = affine(here)
        reads = [(n.tensor.name, p) for n, p in _reads(factors, i) if p is i or affine(p) == turned]
        if reads and min(reads, key=lambda r: (r[0], r[1] is not i))[1] is not i:
            return nf.again(factors, bound, {i: here})
    return None


def _over_whole(nf: NormalForm, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
    """A sum over a part of an axis as one over the axis, where entries are read on the axis alone."""
    for i in bound:
        base = i.axis.whole
        if base is None:
            continue
        reads = list(_reads(factors, i))
        shifts = [shift(p, i) for _, p in reads]
        on_base = all(
            a == base for n, p in reads for q, a in zip(n.indices, n.tensor.axes, strict=True) if q is p
        )
        if not reads or not on_base or None in shifts:
            continue
        step = min(s for s in shifts if s is not None)
        new = fresh({*bound, *(j for a in factors for j in (*a.free, *a.bound))}, index(i.name, base))
        rest = [j for j in bound if j is not i]
        moved = nf.again(factors, rest, {i: new - step})
        for low, high in ((number(step), new), (new, size(i.axis) - 1 + step)):
            moved = nf.times(moved, nf(bracket("<=", low, high)))
        return nf.total(moved, [new])
    return None


def _signs(nf: NormalForm, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
    """`[p > 0] [-p > 0] = 0`, and `p [-p > 0] = p - p [p > 0]` for a monomial p."""
    strict = [a for a in factors if isinstance(a, Bracket) and a.relation == ">"]
    for a in strict:
        opposite = nf(-a.left)
        above = bracket(">", to_expr(opposite), 0)
        if above in strict:
            return NOTHING
        ((m, value), *more) = opposite.items()
        covered = all(_covers(factors.get(atom, Fraction(0)), e) for atom, e in m.factors)
        if not more and value > 0 and not m.bound and m.factors and covered:
            rest = {atom: e for atom, e in factors.items() if atom is not a}
            return plus(nf.simplify(rest, bound), scale(nf.simplify({**rest, above: Fraction(1)}, bound), -1))
    return None


def _opened(nf: NormalForm, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
    """Multiply out whole positive powers of sums."""
    for atom, e in factors.items():
        if compound(atom) and e >= 1:
            result = nf.simplify(
                {**{a: x for a, x in factors.items() if a is not atom}, atom: e - floor(e)}, []
            )
            for _ in range(floor(e)):
                result = nf.times(result, nf(atom))
            return nf.total(result, bound) if bound else result
    return None


def _unit(nf: NormalForm, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
    """`LM(E) E^e = E^(e+1) - (E - LM(E)) E^e` for negative e."""
    for atom, e in sorted(factors.items(), key=lambda f: f[0].key):
        if not compound(atom) or e >= 0:
            continue
        poly = nf(atom)
        lead = leading(poly)
        if lead is None:
            continue
        for rest, left in _taken(lead, factors, bound):
            c = poly[lead]
            first = nf.simplify({**rest, atom: rest.get(atom, Fraction(0)) + 1}, left)
            other = plus(poly, {lead: -c})
            names = frozenset(left) | frozenset[Index]().union(*(a.free for a in rest))
            parts: list[Poly] = []
            for m, v in other.items():
                more, over = rename_apart(m, names)
                joined = dict(rest)
                for a, x in more.items():
                    joined[a] = joined.get(a, Fraction(0)) + x
                parts.append(scale(nf.simplify(joined, [*left, *over]), v))
            return scale(plus(first, scale(plus(*parts), -1)), 1 / c)
        flipped = _taken_below(lead, poly, factors)
        if flipped is not None:
            c0, c = poly[UNIT], poly[lead]
            first = nf.simplify({**factors, atom: e + 1}, bound)
            second = nf.simplify(flipped, bound)
            return scale(plus(first, scale(second, -c)), 1 / c0)
    return None


def _supposed(nf: NormalForm, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
    """Replace the leading monomial of a polynomial that is supposed to be 0."""
    for poly in nf.relations:
        lead = leading(poly)
        if lead is None:
            continue
        for rest, left in _taken(lead, factors, bound):
            other = nf.times(plus(poly, {lead: -poly[lead]}), nf.simplify(rest, []))
            return scale(nf.total(other, left) if left else other, -1 / poly[lead])
    return None


def _enumerated(nf: NormalForm, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
    """Write out a sum over an axis of small fixed size."""
    for i in bound:
        count = i.axis.size
        if count is not None and count <= MAX_ENUMERATED and any(i in a.free for a in factors):
            rest = [j for j in bound if j is not i]
            return plus(*(nf.again(factors, rest, {i: number(place)}) for place in range(count)))
    return None


def _in_range(value: Expr, i: Index) -> bool:
    """Whether the value surely lies on the full axis of the index."""
    if isinstance(value, Entry):
        return value.tensor.domain == "index" and value.tensor.over == i.axis
    return (isinstance(value, Index) and value.axis == i.axis) or on_axis(value, i.axis)


def _reads(factors: Iterable[Expr], i: Index) -> Iterator[tuple[Entry, Expr]]:
    """The entries that are read at an index, and the positions there."""
    for a in factors:
        for n in walk(a):
            if isinstance(n, Entry):
                yield from ((n, p) for p in n.indices if i in p.free)


def _longer(position: Expr) -> bool:
    """Whether a position is on an axis longer than those that it is made of: sums over it come first."""
    return any(i.axis.longer for i in position.free)


def _of_sizes(position: Expr) -> bool:
    """Whether a position is made of sizes and numbers alone."""
    form = affine(position)
    return form is not None and not any(isinstance(atom, Index | Entry) for atom in form)


def _is_made(value: Expr, i: Index) -> bool:
    """Whether an index runs over another axis, and one of both is made of others."""
    return isinstance(value, Index) and value.axis != i.axis and bool(value.axis.parts or i.axis.parts)


def _same_data(delta: Bracket, rest: Mapping[Expr, Fraction]) -> tuple[Expr, Expr] | None:
    """`[k == e] [m == e] = [k == e] [k == m]` for data e: the second delta and what it becomes."""
    for k, e in ((delta.left, delta.right), (delta.right, delta.left)):
        if not (isinstance(k, Index) and isinstance(e, Entry)):
            continue
        for other in rest:
            if isinstance(other, Bracket) and other.relation == "==" and e in (other.left, other.right):
                m = other.right if other.left is e else other.left
                if isinstance(m, Index) and m.axis == k.axis and m is not k:
                    return other, bracket("==", k, m)
    return None


def _taken(
    lead: Monomial, factors: Mapping[Expr, Fraction], bound: list[Index]
) -> Iterable[tuple[dict[Expr, Fraction], list[Index]]]:
    """The factors without one occurrence of the leading monomial, and the bound indices that stay."""
    for images in permutations(bound, len(lead.bound)):
        if any(new.axis != old.axis for old, new in zip(lead.bound, images, strict=True)):
            continue
        values: dict[Index, Expr] = dict(zip(lead.bound, images, strict=True))
        wanted = {substitute(a, values): e for a, e in lead.factors}
        if not all(_covers(factors.get(a, Fraction(0)), e) for a, e in wanted.items()):
            continue
        rest = {a: e - wanted.get(a, Fraction(0)) for a, e in factors.items()}
        rest = {a: e for a, e in rest.items() if e}
        if any(set(images) & a.free for a in rest):
            continue
        yield rest, [i for i in bound if i not in images]


def _covers(have: Fraction, need: Fraction) -> bool:
    return have >= need if need > 0 else have <= need


def _taken_below(lead: Monomial, poly: Poly, factors: Mapping[Expr, Fraction]) -> dict[Expr, Fraction] | None:
    """For `c0 + c M` and factors that hold a negative power of `M`, an exponential or a power of an atom.

    The factors times M: `M^-n E^e = (M^-n E^(e+1) - c M^(1-n) E^e) / c0`.
    """
    if len(poly) != 2 or UNIT not in poly or lead.bound:
        return None
    lone = len(lead.factors) == 1 and not compound(lead.factors[0][0])
    if not (lone or all(is_exp(a) for a, _ in lead.factors)):
        return None
    if not all(factors.get(a, Fraction(0)) * e < 0 and abs(factors[a]) >= abs(e) for a, e in lead.factors):
        return None
    moved = dict(factors)
    for a, e in lead.factors:
        moved[a] = moved[a] + e
    return {a: e for a, e in moved.items() if e}


RULES: tuple[Rule, ...] = (
    _deltas,
    _reflected,
    _over_whole,
    _signs,
    _opened,
    _unit,
    _supposed,
    contracted,
    _enumerated,
)
"""In the order in which they are tried."""

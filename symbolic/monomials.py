"""What monomials and the polynomials of a normal form say of themselves: leading terms, content, signs."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

from gradproof.symbolic.expressions import (
    ZERO,
    Add,
    Call,
    Constant,
    Expr,
    Mul,
    Parameter,
    Reduce,
    Size,
    mul,
)
from gradproof.symbolic.polynomials import (
    UNIT,
    Monomial,
    Poly,
    canonical,
)
from gradproof.symbolic.signs import idempotent, positive


def compound(atom: Expr) -> bool:
    """Whether an atom is the base of a power: a sum."""
    return isinstance(atom, Add | Mul) or (isinstance(atom, Reduce) and atom.kind == "sum")


def leading(poly: Poly) -> Monomial | None:
    """The leading monomial in a lexical order: parameters first, then exponentials, then by name."""
    atoms = sorted({a for m in poly for a, _ in m.factors if not (a.free & set(m.bound))}, key=_priority)

    def weight(m: Monomial) -> tuple[object, ...]:
        powers = dict(m.factors)
        return (*(powers.get(a, Fraction(0)) for a in atoms), len(m.bound), m.expr.key)

    candidates = [m for m in poly if m is not UNIT and m.factors]
    return max(candidates, key=weight) if candidates else None


def _priority(atom: Expr) -> tuple[int, str]:
    if isinstance(atom, Parameter):
        return (0, atom.key)
    if isinstance(atom, Call):
        return (1, atom.key)
    return (3, atom.key) if isinstance(atom, Size) else (2, atom.key)


def factor_content(poly: Poly, *, signed: bool) -> tuple[Fraction, dict[Expr, Fraction], Poly]:
    """A polynomial as `content * product of outside * base`.

    The content is positive unless `signed`, when the first coefficient of the base is made positive; outside
    are the atoms that are not 0 (exponentials, sizes, positive parameters), or all of a lone monomial.
    """
    values = list(poly.values())
    content = Fraction(gcd(*(v.numerator for v in values)), lcm(*(v.denominator for v in values)))
    first = min(poly, key=lambda m: m.expr.key)
    if signed and poly[first] < 0:
        content = -content
    lone = len(poly) == 1 and not first.bound
    outside: dict[Expr, Fraction] = {}
    for atom in {a for m in poly for a, _ in m.factors}:
        if lone or _invertible(atom):
            powers = [dict(m.factors).get(atom, Fraction(0)) for m in poly if not (atom.free & set(m.bound))]
            if len(powers) == len(poly) and min(powers):
                outside[atom] = min(powers)
    base: dict[Monomial, Fraction] = {}
    for m, v in poly.items():
        left = {a: e - outside.get(a, Fraction(0)) for a, e in m.factors}
        for a, e in outside.items():
            if a not in left:
                left[a] = -e
        kept = tuple(sorted(((a, e) for a, e in left.items() if e), key=lambda f: f[0].key))
        base[canonical(dict(kept), m.bound) if outside and m.bound else Monomial(kept, m.bound)] = v / content
    return content, outside, base


def _invertible(atom: Expr) -> bool:
    return (
        is_exp(atom) or isinstance(atom, Size | Constant) or (isinstance(atom, Parameter) and positive(atom))
    )


def negative(poly: Poly) -> bool:
    """Whether the first term has a negative coefficient: the sign that odd and even functions give away."""
    return poly[min(poly, key=lambda m: m.expr.key)] < 0


def one_plus_exp(poly: Poly) -> Expr | None:
    """The u of `1 + exp(u)`."""
    if len(poly) != 2 or poly.get(UNIT) != 1:
        return None
    (m,) = (m for m in poly if m is not UNIT and m.factors)
    if poly[m] != 1 or m.bound or not all(is_exp(a) for a, _ in m.factors):
        return None
    parts = [mul(e, a.children[0]) for a, e in m.factors]
    return parts[0] if len(parts) == 1 else parts[0] + sum(parts[1:], start=ZERO)


def one_less_sigmoid(poly: Poly) -> Expr | None:
    """The u of `1 - sigmoid(u)`."""
    if len(poly) != 2 or poly.get(UNIT) != 1:
        return None
    (m,) = (m for m in poly if m is not UNIT and m.factors)
    atom, exponent = m.factors[0]
    single = len(m.factors) == 1 and exponent == 1 and poly[m] == -1 and not m.bound
    return atom.arguments[0] if single and isinstance(atom, Call) and atom.function == "sigmoid" else None


def affine_flag(poly: Poly) -> tuple[Expr, Fraction, Fraction] | None:
    """`start + slope * b` for one 0/1-valued atom b."""
    others = [m for m in poly if m.factors]
    if len(others) != 1 or others[0].bound or len(others[0].factors) != 1:
        return None
    ((atom, e),) = others[0].factors
    if e != 1 or not idempotent(atom):
        return None
    return atom, poly[others[0]], poly.get(UNIT, Fraction(0))


def is_exp(atom: Expr) -> bool:
    """Whether an atom is an exponential."""
    return isinstance(atom, Call) and atom.function == "exp"

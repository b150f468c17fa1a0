"""Stated identities between the values of one special function, by which a value is brought to a normal form.

Each row rewrites a function of given arguments, or says nothing. It holds wherever both of its sides have a
value, and both are analytic there: what the normal form finds equal is so, by continuity, wherever both sides
of a claim have a value. (What a claim needs to have one is read off the formulas as they were written.) The
tests confirm each row by ball arithmetic. Sources: DLMF, by equation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import factorial
from typing import cast

from gradproof.symbolic.cylinder_identities import CYLINDER_IDENTITIES
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Expr,
    Mul,
    Number,
    add,
    call,
    mul,
    number,
    power,
)
from gradproof.symbolic.gamma_identities import GAMMA_IDENTITIES, GAMMA_RECURRENCES
from gradproof.symbolic.identity import (
    HALF,
    MAX_SHIFT,
    Identity,
    Rewrite,
    called,
    shifted,
)
from gradproof.symbolic.special import PI, exp, log, root
from gradproof.symbolic.whole_numbers import whole

# --- the gamma family


# --- Bessel and Airy functions


# --- others


def _asin(x: Expr) -> Expr | None:
    special = {
        ONE: HALF,
        number(HALF): Fraction(1, 6),
        root(number(2)) / 2: Fraction(1, 4),
        root(number(3)) / 2: Fraction(1, 3),
    }
    found = special.get(x)
    return None if found is None else mul(found, PI)


def _atan(x: Expr) -> Expr | None:
    special = {ONE: Fraction(1, 4), root(number(3)): Fraction(1, 3), root(number(3)) / 3: Fraction(1, 6)}
    found = special.get(x)
    return None if found is None else mul(found, PI)


def _angle(name: str, x: Expr) -> Expr | None:
    """The angle of which an expression is the sine, or the tangent."""
    if name == "asin":
        turned = called(x, "cos")
        return called(x, "sin") if turned is None else PI / 2 - turned
    if not isinstance(x, Mul) or len(x.factors) != 2:
        return None
    for a, b in (x.factors, x.factors[::-1]):
        for above, below, turned in (("sin", "cos", False), ("cos", "sin", True)):
            angle = called(a, above)
            if angle is not None and angle is called(1 / b, below):
                return PI / 2 - angle if turned else angle
    return None


def _turned_back(name: str, turns: int) -> Identity:
    """On one stretch of length pi, what an inverse gives back of an angle."""
    sign = -1 if name == "asin" and turns % 2 else 1
    of = {"asin": "sin", "atan": "tan"}[name]

    def rewrite(x: Expr) -> Expr | None:
        angle = _angle(name, x)
        return None if angle is None else sign * (angle - turns * PI)

    def within(x: Expr) -> Sequence[Expr]:
        away = (_angle(name, x) or ZERO) - turns * PI
        return PI / 2 - away, PI / 2 + away

    statement = f"{name}({of}(u)) = {'-' if sign < 0 else ''}(u - {turns} pi) where |u - {turns} pi| <= pi/2"
    return Identity(name, statement, "4.24(iv)", rewrite, within)


def _elliptic(value: Fraction) -> Rewrite:
    return lambda m: mul(value, PI) if m is ZERO else None


def _incomplete(name: str) -> Rewrite:
    def rewrite(phi: Expr, m: Expr) -> Expr | None:
        if phi is ZERO or m is ZERO:
            return phi
        if isinstance(phi, Mul) and isinstance(phi.factors[0], Number) and phi.factors[0].value < 0:
            return mul(-1, call(name, -phi, m))
        return None

    return rewrite


def _lambert(x: Expr) -> Expr | None:
    special = {
        ZERO: ZERO,
        exp(ONE): ONE,
        -exp(-ONE): -ONE,
        -power(exp(ONE), -1): -ONE,
        2 * log(number(2)): log(number(2)),
    }
    return special.get(x)


def _polylog(s: Expr, z: Expr) -> Expr | None:
    if z is ZERO:
        return ZERO
    if s is ONE:
        return mul(-1, log(ONE - z))
    if s is ZERO:
        return z / (ONE - z)
    if isinstance(s, Number) and s.value.denominator == 1 and -MAX_SHIFT <= s.value < 0:
        return _eulerian(-int(s.value), z)
    return None


def _eulerian(n: int, z: Expr) -> Expr:
    """`Li_{-n}(z) = sum_k k! S(n+1, k+1) (z/(1-z))^(k+1)`, S the Stirling numbers of the second kind."""
    row = [1]
    for _ in range(n):
        row = [*row, 0]
        row = [(k + 1) * row[k] + (row[k - 1] if k else 0) for k in range(len(row))]
    ratio = z / (ONE - z)
    return add(*(factorial(k) * row[k] * ratio ** (k + 1) for k in range(n + 1)))


def _hyper(name: str, above: int) -> Rewrite:
    def rewrite(*arguments: Expr) -> Expr | None:
        upper, z = arguments[:above], arguments[-1]
        if z is ZERO or ZERO in upper:
            return ONE
        if name == "hyp1f1" and arguments[0] is arguments[1]:
            return exp(z)
        if name == "hyp2f1" and arguments[0].key > arguments[1].key:
            return call(name, arguments[1], arguments[0], *arguments[2:])
        return None

    return rewrite


def _frac(x: Expr) -> Expr | None:
    """What is whole by its domain is left out; a number is taken modulo 1."""
    if isinstance(x, Number):
        return x - x.value.numerator // x.value.denominator
    parts = x.terms if isinstance(x, Add) else (x,)
    rest = add(*(part for part in parts if not whole(part)))
    if isinstance(rest, Number):
        return _frac(rest)
    rest, _ = shifted(rest)
    return None if rest is x else call("frac", rest)


IDENTITIES = (
    *GAMMA_IDENTITIES,
    *CYLINDER_IDENTITIES,
    Identity("floor", "floor(x) = x - frac(x)", "1.1", lambda x: x - call("frac", x)),
    Identity("frac", "frac(x + n) = frac(x) for whole n", "1.1", _frac),
    Identity("erf", "erf(erfinv(x)) = x", "7.17.1", lambda x: called(x, "erfinv")),
    Identity("erfinv", "erfinv(erf(x)) = x", "7.17.1", lambda x: called(x, "erf")),
    Identity("asin", "values at 1/2, sqrt(2)/2, sqrt(3)/2, 1", "4.17", _asin),
    Identity("atan", "values at sqrt(3)/3, 1, sqrt(3)", "4.17", _atan),
    *(_turned_back(name, turns) for name in ("asin", "atan") for turns in (0, 1, -1)),
    Identity("elliptic_k", "K(0) = pi/2", "19.6.1", _elliptic(HALF)),
    Identity("elliptic_d", "D(0) = pi/4", "19.6.1", _elliptic(Fraction(1, 4))),
    Identity("elliptic_f", "F(phi, 0) = phi, F(0, m) = 0, odd in phi", "19.6.8", _incomplete("elliptic_f")),
    Identity(
        "elliptic_e_inc", "E(phi, 0) = phi, E(0, m) = 0, odd in phi", "19.6.9", _incomplete("elliptic_e_inc")
    ),
    Identity("lambertw", "W(0) = 0, W(e) = 1, W(-1/e) = -1", "4.13.1", _lambert),
    Identity("polylog", "Li_1(z) = -log(1-z), Li_0(z) = z/(1-z), Li_{-n} rational", "25.12", _polylog),
    Identity("hyp0f1", "1 at z = 0", "16.2.1", _hyper("hyp0f1", 0)),
    Identity("hyp1f1", "1 at z = 0 and at a = 0; exp(z) for a = b", "13.6.1", _hyper("hyp1f1", 1)),
    Identity(
        "hyp2f1", "1 at z = 0, at a = 0 and at b = 0; symmetric in a and b", "15.2.1", _hyper("hyp2f1", 2)
    ),
)

RECURRENCES = {row.function: row for row in GAMMA_RECURRENCES}

_BY_NAME: dict[str, list[Identity]] = {}
for _row in IDENTITIES:
    _BY_NAME.setdefault(_row.function, []).append(_row)


def rewritten(
    name: str, arguments: tuple[Expr, ...], nonnegative: Callable[[Expr], bool] = lambda _: False
) -> Expr | None:
    """What a function of these arguments is by the first identity that says something; None if none does.

    `nonnegative` tells whether an expression is surely so wherever the arguments lie.
    """
    for identity in _BY_NAME.get(name, ()):
        found = cast("Callable[..., Expr | None]", identity.rewrite)(*arguments)
        if found is None:
            continue
        within = cast("Callable[..., Sequence[Expr]] | None", identity.within)
        if within is None or all(nonnegative(limit) for limit in within(*arguments)):
            return found
    return None

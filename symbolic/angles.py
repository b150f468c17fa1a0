"""Sines and cosines of quotients in a tower: sums and multiples of angles, whole turns, inverses."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gradproof.symbolic.expressions import (
    Call,
    Expr,
    Mul,
    Parameter,
    Power,
    call,
    constant,
    mul,
    number,
    power,
)
from gradproof.symbolic.quotients import (
    ONE,
    Quotient,
)

if TYPE_CHECKING:
    from gradproof.symbolic.tower import Tower

MAX_MULTIPLE = 24
"""A multiple of an angle up to this one is expanded."""


def turn(tower: Tower, angle: Quotient) -> tuple[Quotient, Quotient]:
    """The cosine and the sine of an angle, term by term."""
    c, s = tower.constant(1), tower.constant(0)
    for term, value in tower.parts(angle):
        c1, s1 = _turn_term(tower, term, value)
        c, s = (
            tower.plus(tower.times(c, c1), tower.scaled(tower.times(s, s1), -1)),
            tower.plus(tower.times(c, s1), tower.times(s, c1)),
        )
    return c, s


def _turn_term(tower: Tower, term: Expr, value: Fraction) -> tuple[Quotient, Quotient]:
    if value.denominator == 1 and _inverse(term) and abs(value) <= MAX_MULTIPLE:
        return _turned(tower, *_turn_back(tower, term), int(value))
    if value.denominator == 1 and _half_turns(tower, term) and _in_whole_turns(tower, term):
        return _of_half_turns(tower, term, int(value))
    if term is constant("pi"):
        value = (value + 1) % 2 - 1
        special = _special_angle(tower, value)
        if special is not None:
            return special
    key = f"turn of {term.key}"
    unit = tower.fineness.unit(key, value)
    times = int(value / unit)
    if abs(times) > MAX_MULTIPLE:
        unit, times = abs(value), 1 if value > 0 else -1
    part = mul(unit, term)
    sine = tower.generator(call("sin", part))
    cosine = tower.generator(call("cos", part), (2, 1 - sine**2))
    return _turned(tower, Quotient(cosine, ONE), Quotient(sine, ONE), times)


def _turned(tower: Tower, c1: Quotient, s1: Quotient, times: int) -> tuple[Quotient, Quotient]:
    """Cosine and sine of a multiple of an angle."""
    c, s = tower.constant(1), tower.constant(0)
    for _ in range(abs(times)):
        c, s = (
            tower.plus(tower.times(c, c1), tower.scaled(tower.times(s, s1), -1)),
            tower.plus(tower.times(c, s1), tower.times(s, c1)),
        )
    return c, (s if times > 0 else tower.scaled(s, -1))


def _inverse(term: Expr) -> bool:
    return isinstance(term, Call) and term.function in ("asin", "atan")


def _in_whole_turns(tower: Tower, term: Expr) -> bool:
    """Whether no fraction of the term occurs as an angle."""
    return tower.fineness.unit(f"turn of {term.key}", Fraction(1)).denominator == 1


def _turn_back(tower: Tower, term: Expr) -> tuple[Quotient, Quotient]:
    """`sin(asin u) = u`, `cos(asin u) = sqrt(1 - u^2)`; of atan both over `sqrt(1 + u^2)`."""
    assert isinstance(term, Call)
    u = term.arguments[0]
    if term.function == "asin":
        c, s = power(1 - u**2, Fraction(1, 2)), u
    else:
        c = power(1 + u**2, Fraction(-1, 2))
        s = u * c
    return tower.quotient(c), tower.quotient(s)


def _of_half_turns(tower: Tower, term: Expr, times: int) -> tuple[Quotient, Quotient]:
    """Of whole multiples of pi: `cos(pi m)^2 = 1`, and `m^k` is odd where m is."""
    rest = term.factors if isinstance(term, Mul) else (term,)
    part = mul(*(f.base if isinstance(f, Power) else f for f in rest))
    cosine = tower.generator(call("cos", part), (2, ONE))
    return tower.made(cosine ** (times % 2), ONE), tower.constant(0)


def _half_turns(tower: Tower, term: Expr) -> bool:
    """Whether a term is pi times variables of whole numbers and their powers."""
    if not isinstance(term, Mul) or constant("pi") not in term.factors:
        return False
    rest = [f for f in term.factors if f is not constant("pi")]
    bases = [
        f.base if isinstance(f, Power) and f.exponent.denominator == 1 and f.exponent > 0 else f for f in rest
    ]
    return bool(rest) and all(isinstance(b, Parameter) and b.name in tower.integers for b in bases)


def _special_angle(tower: Tower, value: Fraction) -> tuple[Quotient, Quotient] | None:
    """Cosine and sine of a multiple of pi/4 or pi/6."""
    half = number(Fraction(1, 2))
    cosines: dict[Fraction, Expr] = {
        Fraction(0): number(1),
        Fraction(1, 6): mul(half, power(3, Fraction(1, 2))),
        Fraction(1, 4): mul(half, power(2, Fraction(1, 2))),
        Fraction(1, 3): half,
        Fraction(1, 2): number(0),
    }
    if 12 % value.denominator:
        return None

    def cosine(x: Fraction) -> Quotient | None:
        x = abs((x + 1) % 2 - 1)
        sign = 1 if x <= Fraction(1, 2) else -1
        found = cosines.get(x if sign == 1 else 1 - x)
        return None if found is None else tower.scaled(tower.quotient(found), sign)

    c, s = cosine(value), cosine(value - Fraction(1, 2))
    return None if c is None or s is None else (c, s)

"""Decimals that are a rounded constant: which one, and by how much they differ from it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from gradproof.symbolic.expressions import Expr, call, constant, mul, number, power
from gradproof.symbolic.formulas import written
from gradproof.symbolic.isolation import ball, outward

LEAST_DIGITS = 5
"""A decimal with fewer significant digits is what it says."""

_PI = constant("pi")
_HALF = Fraction(1, 2)


@lru_cache(maxsize=1)
def constants() -> tuple[Expr, ...]:
    """The constants that formulas of this field round."""
    return (
        _PI, 2 * _PI, _PI / 2, _PI / 4, 1 / _PI, 2 / _PI, _PI / 180, 180 / _PI,
        power(_PI, _HALF), power(2 * _PI, _HALF), power(_PI / 2, _HALF), power(2 / _PI, _HALF),
        power(_PI, -_HALF), 2 * power(_PI, -_HALF), power(2 * _PI, -_HALF), power(_PI, _HALF) / 2,
        call("exp", 1), call("exp", -1),
        *(call("log", n) for n in (2, 3, 10)),
        *(1 / call("log", n) for n in (2, 10)),
        call("log", 2 * _PI), call("log", 2 * _PI) / 2, call("log", _PI),
        *(power(n, _HALF) for n in (2, 3, 5)),
        *(power(n, -_HALF) for n in (2, 3)),
        mul(_HALF, 1 + power(5, _HALF)),
        *(number(Fraction(1, n)) for n in (3, 6, 7, 9, 12)), number(Fraction(2, 3)),
    )  # fmt: skip


def rounded(text: str, value: Fraction) -> Iterator[Expr]:
    """The constants that a decimal is, to within one unit of its last digit.

    >>> [written(c) for c in rounded("0.6931471805599453", Fraction("0.6931471805599453"))]
    ['log(2)']
    """
    digits, _, exponent = text.lower().partition("e")
    after = digits.partition(".")[2]
    if len(digits.replace(".", "").lstrip("0")) < LEAST_DIGITS:
        return
    unit = Fraction(10) ** (int(exponent or 0) - len(after))
    for exact in constants():
        apart = distance(exact, value)
        if 0 < apart <= unit:
            yield exact


def distance(exact: Expr, value: Fraction) -> Fraction:
    """How far a constant is from a rational, rounded up; 0 if they are the same."""
    if exact is number(value):
        return Fraction(0)
    return outward(abs(ball(exact - value, {}, 512)), 1)


def scientific(value: Fraction) -> str:
    """A positive number as `5.2e-17`.

    >>> scientific(Fraction(52, 10**18))
    '5.2e-17'
    """
    power_of_ten = 0
    while value >= 10:
        value, power_of_ten = value / 10, power_of_ten + 1
    while value < 1:
        value, power_of_ten = value * 10, power_of_ten - 1
    tenths = round(value * 10)
    return f"{tenths // 10}.{tenths % 10}e{power_of_ten}"


def rounding_note(text: str, value: Fraction, exact: Expr) -> str:
    """What to say of a decimal that stands for a constant."""
    return f"{text} is {written(exact)} rounded: they differ by {scientific(distance(exact, value))}"

"""Bounds of numbers over a domain: exact where they can be, and never too narrow."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.numeric.exact.intervals import Interval

EPS = Interval(Fraction(1, 100_000), Fraction(1, 100_000))
ENDS = st.floats(allow_nan=False, allow_infinity=False) | st.fractions(-100, 100, max_denominator=1000)
POINTS = st.fractions(0, 1, max_denominator=64)


@st.composite
def intervals(draw: st.DrawFn) -> tuple[Interval, Fraction]:
    """An interval and a number in it."""
    low, high = sorted((draw(ENDS), draw(ENDS)))
    share = draw(POINTS)
    return Interval(low, high), Fraction(low) * (1 - share) + Fraction(high) * share


def holds(interval: Interval, number: Fraction) -> bool:
    return interval.low <= number <= interval.high


@given(intervals(), intervals())
def test_sums_products_and_reciprocals_hold_what_their_operands_hold(
    a: tuple[Interval, Fraction], b: tuple[Interval, Fraction]
) -> None:
    (x, p), (y, q) = a, b
    assert holds(x + y, p + q)
    assert holds(x - y, p - q)
    assert holds(x * y, p * q)
    assert holds(x * x, p * p)
    assert p == 0 or holds(x.reciprocal(), 1 / p)


@given(intervals(), st.integers(1, 5))
def test_powers_hold_what_their_base_holds(a: tuple[Interval, Fraction], exponent: int) -> None:
    x, p = a
    assert holds(x.power(Fraction(exponent)), p**exponent)


@given(intervals())
def test_the_power_of_a_power_holds_its_base(a: tuple[Interval, Fraction]) -> None:
    x, p = a
    if x.low > 0:
        assert holds(x.power(Fraction(-1, 2)).power(Fraction(-2)), p)


def test_the_variance_is_found_again_in_its_reciprocal_root() -> None:
    variance = Interval(0.0, math.inf)
    root = (variance + EPS).power(Fraction(-1, 2))
    assert (root.power(Fraction(-2)) - EPS).low == 0
    assert ((root * root).reciprocal() - EPS).low == 0


@pytest.mark.parametrize("extra", [Fraction(1, 10**9), Fraction(1, 10**20)])
def test_but_not_what_is_a_little_smaller(extra: Fraction) -> None:
    root = (Interval(0.0, math.inf) + EPS).power(Fraction(-1, 2))
    assert (root.power(Fraction(-2)) - EPS - Interval(extra, extra)).low < 0


def test_ends_too_long_for_floats_are_rounded_outward() -> None:
    huge = Interval(Fraction(10) ** 300, Fraction(10) ** 300)
    product = huge * huge * huge
    assert product.low <= 10**900 <= product.high


def test_powers_too_small_for_floats_are_not_0() -> None:
    tiny = Interval(1e-300, 1e-200)
    assert tiny.power(Fraction(2)).high > 0
    assert tiny.power(Fraction(7, 3)).high > 0
    assert Interval(8.0, 1e300).power(Fraction(1, 3)).high >= 1e100


def test_zero_times_anything_is_zero() -> None:
    for other in (Interval(-2.0, -1.0), Interval(-math.inf, 0), Interval(-1.0, 1.0), Interval(0, math.inf)):
        for product in (Interval(0, 0) * other, other * Interval(0, 0)):
            assert (product.low, product.high) == (0, 0)

"""Bounds of numbers over a whole domain: enough to show that a comparison has one outcome only."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from flint import arb, fmpq

from gradproof.numeric.exact.duals import Array, Dual, Shape, System
from gradproof.numeric.exact.reals import each

End = float | Fraction
"""An end of an interval: a fraction where it is known exactly, else a float that was rounded outward."""
SMALLEST, LARGEST = math.ulp(0.0), sys.float_info.max
SIZE = 256
"""Up to how many bits exact ends are kept."""


@dataclass(frozen=True, eq=False)
class Interval:
    """All numbers from `low` to `high`; an end that is open is never attained. Floats are rounded outward."""

    low: End
    high: End
    low_open: bool = False
    high_open: bool = False
    root: tuple[Interval, Fraction] | None = None
    """A positive base and an exponent of which this is the power: the power of a power is rounded once."""

    def __add__(self, other: Interval | int) -> Interval:
        if isinstance(other, int):  # 0 where a sum starts
            return self
        return Interval(
            _down(_plus(self.low, other.low)),
            _up(_plus(self.high, other.high)),
            self.low_open or other.low_open,
            self.high_open or other.high_open,
        )

    __radd__ = __add__

    def __rmul__(self, other: int) -> Interval:
        return Interval(0, 0) if other == 0 else self * Interval(other, other)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low, self.high_open, self.low_open)

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, other: Interval) -> Interval:
        if self is other and self.root is not None:
            return self.power(Fraction(2))
        if self is other:  # a square
            size = self.magnitude()
            return Interval(
                _down(_times(size.low, size.low)),
                _up(_times(size.high, size.high)),
                size.low_open,
            )
        if self.is_zero() or other.is_zero():
            return Interval(0, 0)
        if self.low >= 0 and other.low >= 0:
            strict = self.is_positive() and other.is_positive()
            low = _down(_times(self.low, other.low))
            return Interval(low, _up(_times(self.high, other.high)), strict and low == 0)
        if self.high <= 0:
            return -(-self * other)
        if other.high <= 0:
            return -(self * -other)
        corners = [_times(x, y) for x in (self.low, self.high) for y in (other.low, other.high)]
        return Interval(_down(min(corners)), _up(max(corners)))

    def magnitude(self) -> Interval:
        """The absolute value."""
        if self.low >= 0:
            return self
        if self.high <= 0:
            return -self
        return Interval(0, max(-self.low, self.high))

    def is_positive(self) -> bool:
        return self.low > 0 or (self.low == 0 and self.low_open)

    def is_zero(self) -> bool:
        return self.low == 0 == self.high

    def reciprocal(self) -> Interval:
        if self.root is not None:
            return self.power(Fraction(-1))
        if self.is_positive():
            low = 0.0 if self.high == math.inf else _down(_invert(self.high))
            return Interval(low, math.inf if self.low == 0 else _up(_invert(self.low)), low == 0)
        if (-self).is_positive():
            return -(-self).reciprocal()
        return Interval(-math.inf, math.inf)

    def exp(self) -> Interval:
        low, high = _below(self.low), _above(self.high)
        low = 0.0 if low < -700 else _down(math.exp(min(low, 700)))
        return Interval(low, math.inf if high > 700 else _up(math.exp(high)), low == 0)

    def log(self) -> Interval:
        low, high = _below(self.low), _above(self.high)
        return Interval(
            _down(math.log(low)) if low > 0 else -math.inf,
            _up(math.log(high)) if 0 < high < math.inf else math.inf,
        )

    def power(self, exponent: Fraction) -> Interval:
        if exponent == 1:
            return self
        if self.root is not None:
            base, inner = self.root
            return base.power(inner * exponent)
        result = self._power(exponent)
        return replace(result, root=(self, exponent)) if self.is_positive() else result

    def _power(self, exponent: Fraction) -> Interval:
        if exponent < 0:
            return self._power(-exponent).reciprocal()
        base = self
        if exponent.denominator == 1:
            if exponent.numerator % 2:
                return self * self._power(exponent - 1) if exponent > 1 else self
            base = self.magnitude()
        low, _ = _raise(max(_below(base.low), 0.0), exponent)
        _, high = _raise(_above(base.high), exponent)
        return Interval(_down(low), _up(high), base.is_positive() and low == 0)


def hull(a: Interval, b: Interval) -> Interval:
    """What holds both."""
    return Interval(min(a.low, b.low), max(a.high, b.high))


def largest(a: Interval, b: Interval) -> Interval:
    """The larger of two numbers."""
    return Interval(max(a.low, b.low), max(a.high, b.high), a.is_positive() or b.is_positive())


def smallest(a: Interval, b: Interval) -> Interval:
    """The smaller of two numbers."""
    return Interval(min(a.low, b.low), min(a.high, b.high), a.is_positive() and b.is_positive())


def _plus(x: End, y: End) -> End:
    if math.isinf(x) or math.isinf(y):
        return float(x) + float(y)
    if isinstance(x, float) and isinstance(y, float) and x and y and math.isfinite(x + y):
        return x + y
    return Fraction(x) + Fraction(y)


def _times(x: End, y: End) -> End:
    if x == 0 or y == 0:
        return 0.0
    if math.isinf(x) or math.isinf(y):
        return math.inf if (x > 0) == (y > 0) else -math.inf
    if isinstance(x, float) and isinstance(y, float) and 0 < abs(x * y) < math.inf:
        return x * y
    return Fraction(x) * Fraction(y)  # also of floats whose product is none


def _raise(x: float, exponent: Fraction) -> tuple[float, float]:
    """Floats below and above a power, but for the last place."""
    try:
        if Fraction(float(exponent)) == exponent:
            power = x ** float(exponent)
            return power, power or (x and SMALLEST)
        ball = arb(x) ** arb(fmpq(exponent.numerator, exponent.denominator))
        return float(ball.lower()), float(ball.upper()) or (x and SMALLEST)
    except OverflowError:
        return LARGEST, math.inf


def _invert(x: End) -> End:
    return 1 / x if isinstance(x, float) else 1 / Fraction(x)


def _down(x: End) -> End:
    """A computed end, rounded towards minus infinity, but not past 0."""
    if isinstance(x, Fraction):
        return x if _is_short(x) else _below(x)
    if x == 0 or not math.isfinite(x):
        return x
    return max(math.nextafter(x, -math.inf), 0.0 if x > 0 else -math.inf)


def _up(x: End) -> End:
    """A computed end, rounded towards plus infinity."""
    if isinstance(x, Fraction):
        return x if _is_short(x) else _above(x)
    return x if x == 0 or not math.isfinite(x) else math.nextafter(x, math.inf)


def _is_short(number: Fraction) -> bool:
    return number.numerator.bit_length() + number.denominator.bit_length() <= SIZE


class Intervals(System):
    """Bounds, entry by entry. They follow sums, products, powers, exp and log; anything else may be any
    number.
    """

    def reduce(self, array: Array, axis: int) -> Array:
        return array

    def zeros(self, shape: Shape) -> Dual:
        return self.constant(np.full(shape, Fraction(0), dtype=object))

    def constant(self, fractions: Array) -> Dual:
        return Dual(each(fractions, lambda c: Interval(Fraction(c), Fraction(c)))[None])

    def reciprocal_of(self, primal: Array) -> Array:
        return each(primal, lambda interval: interval.reciprocal())

    def exp(self, a: Dual) -> Dual:
        return Dual(each(a.primal, lambda interval: interval.exp()))

    def log(self, a: Dual) -> Dual:
        return Dual(each(a.primal, lambda interval: interval.log()))

    def power(self, a: Dual, exponent: Fraction) -> Dual:
        return Dual(each(a.primal, lambda interval: interval.power(exponent)))

    def anything(self, a: Dual) -> Dual:
        """What a function may return of which nothing is known here."""
        return Dual(each(a.primal, lambda _: Interval(-math.inf, math.inf)))


def _below(number: End) -> float:
    """The next float that is not above a number."""
    near = _nearest(number)
    return near if near <= number else math.nextafter(near, -math.inf)


def _above(number: End) -> float:
    near = _nearest(number)
    return near if near >= number else math.nextafter(near, math.inf)


def _nearest(number: End) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf

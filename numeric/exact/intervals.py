"""Bounds of numbers over a whole domain: enough to show that a comparison has one outcome only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from gradproof.numeric.exact.duals import Array, Dual, Shape, System
from gradproof.numeric.exact.reals import each


@dataclass(frozen=True, eq=False)
class Interval:
    """All numbers from `low` to `high`; an end that is open is never attained. Floats are rounded outward."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    def __add__(self, other: Interval | int) -> Interval:
        if isinstance(other, int):  # 0 where a sum starts
            return self
        return Interval(
            _down(self.low + other.low),
            _up(self.high + other.high),
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
        if self is other:  # a square
            size = self.magnitude()
            return Interval(
                _down(_times(size.low, size.low)), _up(_times(size.high, size.high)), size.low_open
            )
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

    def reciprocal(self) -> Interval:
        if self.is_positive():
            low = 0.0 if self.high == math.inf else _down(1 / self.high)
            return Interval(low, math.inf if self.low == 0 else _up(1 / self.low), low == 0)
        if (-self).is_positive():
            return -(-self).reciprocal()
        return Interval(-math.inf, math.inf)

    def exp(self) -> Interval:
        low = 0.0 if self.low < -700 else _down(math.exp(min(self.low, 700)))
        high = math.inf if self.high > 700 else _up(math.exp(self.high))
        return Interval(low, high, low == 0)

    def log(self) -> Interval:
        low = _down(math.log(self.low)) if self.low > 0 else -math.inf
        return Interval(low, _up(math.log(self.high)) if 0 < self.high < math.inf else math.inf)

    def power(self, exponent: Fraction) -> Interval:
        if exponent < 0:
            return self.power(-exponent).reciprocal()
        base = self
        if exponent.denominator == 1:
            if exponent.numerator % 2:
                return self * self.power(exponent - 1) if exponent > 1 else self
            base = self.magnitude()
        if base.low < 0:
            base = Interval(0, base.high)
        low = _down(base.low ** float(exponent))
        return Interval(
            low, _up(base.high ** float(exponent)) if base.high < 1e100 else math.inf, base.is_positive()
        )


def hull(a: Interval, b: Interval) -> Interval:
    """What holds both."""
    return Interval(min(a.low, b.low), max(a.high, b.high))


def largest(a: Interval, b: Interval) -> Interval:
    """The larger of two numbers."""
    return Interval(max(a.low, b.low), max(a.high, b.high), a.is_positive() or b.is_positive())


def smallest(a: Interval, b: Interval) -> Interval:
    """The smaller of two numbers."""
    return Interval(min(a.low, b.low), min(a.high, b.high), a.is_positive() and b.is_positive())


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def _down(x: float) -> float:
    return (
        x
        if x == 0 or not math.isfinite(x)
        else max(math.nextafter(x, -math.inf), 0.0 if x > 0 else -math.inf)
    )


def _up(x: float) -> float:
    return x if x == 0 or not math.isfinite(x) else math.nextafter(x, math.inf)


class Intervals(System):
    """Bounds, entry by entry. They follow sums, products, powers, exp and log; anything else may be any
    number.
    """

    def reduce(self, array: Array, axis: int) -> Array:
        return array

    def zeros(self, shape: Shape) -> Dual:
        return self.constant(np.full(shape, Fraction(0), dtype=object))

    def constant(self, fractions: Array) -> Dual:
        return Dual(each(fractions, lambda c: Interval(_below(c), _above(c)))[None])

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


def _below(number: Fraction) -> float:
    near = float(number)
    return near if Fraction(near) == number else math.nextafter(near, -math.inf)


def _above(number: Fraction) -> float:
    near = float(number)
    return near if Fraction(near) == number else math.nextafter(near, math.inf)

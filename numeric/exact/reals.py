"""Real numbers: floats that travel along and decide comparisons, and balls in which a witness is
confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq

from gradproof.numeric.exact.duals import Array, Dual, Shape, System
from gradproof.numeric.exact.interruptions import Interruption


class RoundedAwayError(Interruption):
    """Floats overflow where the real numbers are finite: balls are needed."""


class Floats(System):
    """Double precision: good enough to tell the sides of a comparison apart, and told when it is not."""

    def reduce(self, array: Array, axis: int) -> Array:
        return array

    def zeros(self, shape: Shape) -> Dual:
        return Dual(np.zeros((1, *shape)))

    def constant(self, fractions: Array) -> Dual:
        values = np.array([float(fraction) for fraction in fractions.reshape(-1)], dtype=np.float64)
        return Dual(values.reshape((1, *fractions.shape)))

    def reciprocal_of(self, primal: Array) -> Array:
        with np.errstate(divide="ignore"):
            return 1 / primal

    def exp(self, a: Dual) -> Dual:
        with np.errstate(over="ignore"):
            primal = np.exp(a.primal)
        if np.any(np.isinf(primal) & np.isfinite(a.primal)):
            raise RoundedAwayError
        return self.chain(a, primal, lambda: primal)

    def bilinear(self, a: Dual, b: Dual, product: Callable[[Array, Array], Array]) -> Dual:
        with np.errstate(over="ignore", invalid="ignore"):
            result = super().bilinear(a, b, product)
        if (
            not np.all(np.isfinite(result.primal))
            and np.all(np.isfinite(a.primal))
            and np.all(np.isfinite(b.primal))
        ):
            raise RoundedAwayError
        return result

    def add(self, a: Dual, b: Dual) -> Dual:
        with np.errstate(over="ignore", invalid="ignore"):
            return super().add(a, b)


class Balls(System):
    """Balls of `flint.arb` at the precision that is set in `flint.ctx`."""

    def reduce(self, array: Array, axis: int) -> Array:
        """Sums of nothing are 0 of Python's own, and become balls."""
        if all(isinstance(entry, arb) for entry in array.flat):
            return array
        return each(array, arb)

    def zeros(self, shape: Shape) -> Dual:
        return self.constant(np.full(shape, Fraction(0), dtype=object))

    def constant(self, fractions: Array) -> Dual:
        balls = each(fractions, lambda fraction: arb(fmpq(fraction.numerator, fraction.denominator)))
        return Dual(balls[None])

    def reciprocal_of(self, primal: Array) -> Array:
        return each(primal, _reciprocal)

    def exp(self, a: Dual) -> Dual:
        primal = each(a.primal, _exp)
        return self.chain(a, primal, lambda: primal)


def each(array: Array, function: Any) -> Array:
    """Apply a function to every entry of an array of objects."""
    result = np.empty(array.shape, dtype=object)
    for position in np.ndindex(array.shape):
        result[position] = function(array[position])
    return result


MINUS_INFINITY = arb("-inf")
INFINITY = arb("inf")


def _reciprocal(ball: arb) -> arb:
    if ball.is_zero():  # as in IEEE arithmetic, so that exp(-1/0) is 0
        return INFINITY
    return 1 / ball


def _exp(ball: arb) -> arb:
    return arb(0) if ball == MINUS_INFINITY else ball.exp()

"""Signs and ranges: in ball arithmetic, by isolating the roots of polynomials, and of intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb, ctx, fmpq, fmpz_poly

from gradproof.symbolic.domain import REALS, Interval
from gradproof.symbolic.evaluation import Evaluator, Point, UndefinedError
from gradproof.symbolic.expressions import (
    Expr,
)

PRECISIONS = (64, 256, 1024)


@dataclass(frozen=True)
class Known:
    """What is known of the sign of a value: its sign wherever it is not 0, and whether it is never 0."""

    sign: int | None
    nonzero: bool

    @property
    def strict(self) -> int | None:
        """The sign, where it is surely that everywhere."""
        return self.sign if self.sign == 0 or self.nonzero else None


NOTHING = Known(None, False)


def interval_sign(interval: Interval) -> Known:
    """What is known of the sign of all numbers in an interval."""
    sign = interval.sign
    if sign:
        return Known(sign, True)
    if sign == 0:
        return Known(0, False)
    if interval.nonnegative:
        return Known(1, False)
    return Known(-1, False) if (-interval).nonnegative else NOTHING


def power_range(base: Interval, exponent: Fraction) -> Interval:
    """The range of a power over an interval."""
    if exponent < 0:
        return reciprocal(power_range(base, -exponent))
    if exponent.denominator != 1:
        return _root_range(base, exponent)
    if not (base.nonnegative or (-base).nonnegative):
        if exponent % 2:
            return REALS
        if base.low is None or base.high is None:
            return Interval(Fraction(0), None, True)
        sizes = [(-base.low, base.low_closed), (base.high, base.high_closed)]
        high, closed = max(sizes)
        return Interval(Fraction(0), high**exponent.numerator, True, closed)
    result = base
    for _ in range(min(int(exponent), 12) - 1):
        result = result * base
    return result if exponent <= 12 else REALS


def _root_range(base: Interval, exponent: Fraction) -> Interval:
    """The range of a power that is no whole one, above 0, of what is not negative: exact at 0 and 1."""

    def end(value: Fraction, side: int) -> tuple[Fraction, bool]:
        if value in (0, 1):
            return value, True
        root = exact_ball(value).root(exponent.denominator) ** exponent.numerator
        return max(outward(root, side), Fraction(0)), False

    low, exact = end(max(base.low or Fraction(0), Fraction(0)), -1)
    low_closed = exact and (base.low_closed or base.low is None or base.low < 0)
    if base.high is None or base.high < 0:
        return Interval(low, None, low_closed)
    high, exact = end(base.high, 1)
    return Interval(low, high, low_closed, exact and base.high_closed)


def reciprocal(interval: Interval) -> Interval:
    """The range of `1/x` over an interval, 0 left out."""
    if interval.nonnegative:
        low = Fraction(0) if interval.high is None else 1 / interval.high if interval.high else None
        if low is None:
            return REALS
        high = 1 / interval.low if interval.low else None
        return Interval(low, high, interval.high_closed, high is not None and interval.low_closed)
    if (-interval).nonnegative:
        return -reciprocal(-interval)
    return REALS


def monotone_range(name: str, inside: Interval) -> Interval:
    """The range of exp or log over an interval: exact where it is 0 or 1, rounded outwards elsewhere."""
    if name == "log":
        ends: list[Fraction | None] = []
        for end, side in ((inside.low, -1), (inside.high, 1)):
            if end is None or end <= 0:
                ends.append(None)
            else:
                ends.append(Fraction(0) if end == 1 else outward(exact_ball(end).log(), side))
        return Interval(
            ends[0],
            ends[1],
            inside.low == 1 and inside.low_closed,
            inside.high == 1 and inside.high_closed,
        )
    low, low_closed = Fraction(0), False
    if inside.low is not None and abs(inside.low) < 1000:
        low, low_closed = (
            (Fraction(1), inside.low_closed)
            if inside.low == 0
            else (outward(exact_ball(inside.low).exp(), -1), False)
        )
    high, high_closed = None, False
    if inside.high is not None and abs(inside.high) < 1000:
        high, high_closed = (
            (Fraction(1), inside.high_closed)
            if inside.high == 0
            else (outward(exact_ball(inside.high).exp(), 1), False)
        )
    return Interval(low, high, low_closed, high_closed)


def exact_ball(value: Fraction) -> Any:
    """A rational as a ball."""
    return arb(fmpq(value.numerator, value.denominator))


def hull_ball(low: Fraction, high: Fraction) -> Any:
    """A ball that holds all numbers between two."""
    return exact_ball(low).union(exact_ball(high))


def outward(ball: Any, side: int) -> Fraction:
    """A rational below (-1) or above (1) all of a ball."""
    man, exp = (ball.lower() if side < 0 else ball.upper()).man_exp()
    value = Fraction(int(man)) * Fraction(2) ** int(exp)
    return value + side * (abs(value) + Fraction(1, 2**40)) * Fraction(1, 2**40)


# --- exact signs


def ball(expr: Expr, values: Mapping[str, Any], precision: int) -> Any:
    """The value of an expression as a ball; raises UndefinedError."""
    return Evaluator(Point({}, {}, values), {}, precision)(expr)


def ball_sign(expr: Expr, values: Mapping[str, Any], precision: int) -> int | None:
    """The sign of an expression in ball arithmetic, if it can be told."""
    try:
        value = ball(expr, values, precision)
    except (UndefinedError, OverflowError, ZeroDivisionError):
        return None
    return 1 if value > 0 else -1 if value < 0 else None


def constant_sign(expr: Expr) -> Known:
    """The sign of an expression without variables."""
    for precision in PRECISIONS:
        sign = ball_sign(expr, {}, precision)
        if sign is not None:
            return Known(sign, True)
    return NOTHING


def univariate_sign(coefficients: Sequence[Fraction], interval: Interval) -> Known:
    """The sign of an irreducible polynomial in one variable all over an interval, by isolating its roots.

    >>> univariate_sign([Fraction(-2), Fraction(0), Fraction(1)], Interval(Fraction(3, 2)))
    Known(sign=1, nonzero=True)
    """
    if interval.empty:
        return NOTHING
    inside = interval_point(interval)
    value = sum((c * inside**n for n, c in enumerate(coefficients)), Fraction(0))
    if len(coefficients) == 2:
        root = -coefficients[0] / coefficients[1]
        if root == inside:
            return Known(0, False) if interval.low == interval.high == root else NOTHING
        if root in Interval(interval.low, interval.high):
            return NOTHING
        return Known(1 if value > 0 else -1, root not in interval)
    if any(position == 0 for position, _ in root_places(coefficients, interval)):
        return NOTHING
    return Known(1 if value > 0 else -1, True)


def interval_point(interval: Interval) -> Fraction:
    """A number inside."""
    low, high = interval.low, interval.high
    if low is None:
        return Fraction(0) if high is None else high - 1
    return low + 1 if high is None else (low + high) / 2


def root_places(
    coefficients: Sequence[Fraction], interval: Interval, least: int = 64
) -> Iterator[tuple[int, Any]]:
    """The real roots of an irreducible polynomial, not linear: -1 below, 0 inside, 1 above an interval."""
    scale = 1
    for c in coefficients:
        scale *= c.denominator
    poly = fmpz_poly([int(c * scale) for c in coefficients])
    for precision in (p for p in (*PRECISIONS, 4096) if p >= least):
        before, ctx.prec = ctx.prec, precision
        try:
            pairs: Any = poly.complex_roots()
            roots = [root.real for root, _ in pairs if root.imag == 0]
            found = [_position(root, interval) for root in roots]
        finally:
            ctx.prec = before
        if None not in found:
            yield from ((place, root) for place, root in zip(found, roots, strict=True) if place is not None)
            return
    raise ArithmeticError(f"the roots of {poly} were not told from the ends of {interval}")


def _position(root: Any, interval: Interval) -> int | None:
    """On which side of an interval with rational ends an irrational root lies."""
    below = interval.low is not None and bool(root < exact_ball(interval.low))
    above = interval.high is not None and bool(root > exact_ball(interval.high))
    if below or above:
        return -1 if below else 1
    past_low = interval.low is None or bool(root > exact_ball(interval.low))
    before_high = interval.high is None or bool(root < exact_ball(interval.high))
    return 0 if past_low and before_high else None

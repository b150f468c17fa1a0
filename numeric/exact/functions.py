"""Scalar functions on arrays of exact numbers: what the tower computes, and one row for each function that
it cannot.

A row gives the function in floats and in balls, and its derivative as an array of exact numbers, so that one
definition serves residues, floats and balls. In residues the value itself is an atom.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq

from gradproof.numeric.exact.duals import Array, Dual, System, last
from gradproof.numeric.exact.intervals import Interval, Intervals
from gradproof.numeric.exact.reals import Floats, each
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.specials import finite_entries, infinite_entries
from gradproof.numeric.exact.values import CircularError, ShallowError, UndecidableError, Value

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Atom:
    """A function that residues cannot follow: its name, its values, its derivative from argument and
    value.
    """

    name: str
    floats: Callable[[float], float]
    balls: Callable[[arb], arb]
    slope: Callable[[Value, Value], Value]
    odd: bool = False
    depth: int = 0
    """How many exponentials deep its derivative is."""


def exp(x: Value) -> Value:
    """`e^x`, one level deeper."""
    numbers = x.numbers
    depth = _deeper(x)
    duals = tuple(system.exp(dual) for system, dual in zip(numbers.systems, x.duals, strict=True))
    return _exp_of_infinity(x, Value(numbers, duals, None, depth))


def _deeper(x: Value) -> int:
    """The depth of an exponential; raises `ShallowError` for an exponent of which primes are missing that
    would be there if cotangents and tangents had them.
    """
    numbers, formal = x.numbers, x.formal
    system = None if numbers.whole else numbers.residues
    if system is not None and formal is not None and formal.levels < system.levels - x.depth:
        numbers.shallow = True
        raise ShallowError
    numbers.depth = max(numbers.depth, x.depth + 1)
    return x.depth + 1


def _exp_of_infinity(x: Value, y: Value) -> Value:
    """`exp(-inf)` is 0, with the derivative 0 unless the infinity moves, as that of `log x` does at 0.

    Any other finite value of an infinity is undecided.
    """
    finite = finite_entries(x)
    if np.all(finite):
        return y
    if np.any(finite_entries(y) & ~finite & (y.reals != 0)):
        raise UndecidableError("an infinity that exp makes finite")
    spots = ~finite & finite_entries(y)
    duals = tuple(
        _zero_where(system, dual, spots, own)
        for system, dual, own in zip(x.numbers.systems, y.duals, x.duals, strict=True)
    )
    return replace(y, duals=duals)


def _zero_where(system: System, dual: Dual, spots: Array, argument: Dual) -> Dual:
    zero: Any = 0 if isinstance(system, Residues) else system.zeros(()).primal[0]
    primal = np.where(spots, zero, dual.primal)
    if dual.tangent is None or argument.tangent is None:
        return Dual(primal, dual.tangent)
    still = _is_finite(last(argument.tangent, 1, dual.tangent.shape[1]))
    return Dual(primal, np.where(spots & still, zero, dual.tangent))


def _is_finite(tangent: Array) -> Array:
    """Where a tangent is finite; in residues, everywhere."""
    if tangent.dtype != object:
        return np.isfinite(tangent)
    return each(tangent, lambda t: not isinstance(t, arb) or bool(t.is_finite())).astype(bool)


def finite_operand(x: Value, what: str) -> Value:
    """The same array; raises `UndecidableError` where a function might make an infinity finite. NaN
    remains NaN.
    """
    if not np.all(finite_entries(x)) and np.any(infinite_entries(x)):
        raise UndecidableError(f"{what} of an infinity")
    return x


def log(x: Value) -> Value:
    """`log x`, which `exp` undoes."""
    duals = list[Dual]()
    for system, dual in zip(x.numbers.systems, x.duals, strict=True):
        if isinstance(system, Residues | Intervals):
            duals.append(system.log(dual))
        else:
            primal = np.log(dual.primal) if isinstance(system, Floats) else each(dual.primal, _log_ball)
            duals.append(system.chain(dual, primal, lambda s=system, d=dual: s.reciprocal_of(d.primal)))
    return Value(x.numbers, tuple(duals), None, x.depth)


def _log_ball(ball: arb) -> arb:
    return arb("-inf") if ball.is_zero() else ball.log()


def power(x: Value, exponent: Fraction) -> Value:
    """`x^c` for a rational number c."""
    if exponent == 1:
        return x
    if exponent == 0:
        return x.numbers.constant(np.full(x.shape, Fraction(1), dtype=object))
    if exponent.denominator == 1 and 1 < exponent.numerator <= 4:
        return x * power(x, exponent - 1)
    duals = list[Dual]()
    for system, dual in zip(x.numbers.systems, x.duals, strict=True):
        if isinstance(system, Residues | Intervals):
            duals.append(system.power(dual, exponent))
        else:
            primal = _real_power(system, dual.primal, exponent)
            duals.append(
                system.chain(dual, primal, lambda s=system, d=dual: _power_slope(s, d.primal, exponent))
            )
    return Value(x.numbers, tuple(duals), None, x.depth)


def _power_slope(system: object, primal: Array, exponent: Fraction) -> Array:
    factor = (
        float(exponent) if isinstance(system, Floats) else arb(fmpq(exponent.numerator, exponent.denominator))
    )
    return _real_power(system, primal, exponent - 1) * factor


def _real_power(system: object, primal: Array, exponent: Fraction) -> Array:
    if isinstance(system, Floats):
        return np.power(primal, float(exponent))
    if exponent.denominator == 1:
        n = exponent.numerator
        return each(primal, lambda b: b**n if n >= 0 else arb("inf") if b.is_zero() else 1 / b**-n)
    return each(primal, lambda b: _ball_power(b, exponent))


def _ball_power(ball: arb, exponent: Fraction) -> arb:
    if ball.is_zero():
        return arb(0) if exponent > 0 else arb("inf")
    if exponent.denominator == 2:
        root = ball.sqrt()
        return root**exponent.numerator if exponent > 0 else 1 / root**-exponent.numerator
    return ball ** arb(fmpq(exponent.numerator, exponent.denominator))


def sqrt(x: Value) -> Value:
    """The square root."""
    return power(x, HALF)


def sin_cos(x: Value) -> tuple[Value, Value]:
    """Sine and cosine, one level deeper; the first one met asks for a tower that has them."""
    numbers = x.numbers
    numbers.circular = True
    depth = _deeper(x)
    sines, cosines = list[Dual](), list[Dual]()
    for system, dual in zip(numbers.systems, x.duals, strict=True):
        if isinstance(system, Residues):
            if not system.tower.circular:
                raise CircularError
            cosine, sine = system.turn(dual)
        elif isinstance(system, Intervals):
            cosine, sine = system.anything(dual).primal, system.anything(dual).primal
        elif isinstance(system, Floats):
            cosine, sine = np.cos(dual.primal), np.sin(dual.primal)
        else:
            cosine, sine = each(dual.primal, lambda b: b.cos()), each(dual.primal, lambda b: b.sin())
        sines.append(system.chain(dual, sine, lambda c=cosine: c))
        cosines.append(system.chain(dual, cosine, lambda s=system, y=sine: s.reduce(-y, 0)))
    return Value(numbers, tuple(sines), None, depth), Value(numbers, tuple(cosines), None, depth)


def sigmoid(x: Value) -> Value:
    """`1 / (1 + e^(-x))`."""
    return exp(-x).plus(1).reciprocal()


def tanh(x: Value) -> Value:
    """`2 / (1 + e^(-2x)) - 1`."""
    return exp(x.times(-2)).plus(1).reciprocal().times(2).plus(-1)


def sinh_cosh(x: Value) -> tuple[Value, Value]:
    """Half the difference and half the sum of `e^x` and its inverse."""
    up = exp(x)
    down = up.reciprocal()
    return (up - down).times(HALF), (up + down).times(HALF)


def apply(atom: Atom, x: Value) -> Value:
    """Apply the function of a row."""
    x.numbers.depth = max(x.numbers.depth, x.depth + atom.depth)
    primals = list[Array]()
    for system, dual in zip(x.numbers.systems, x.duals, strict=True):
        if isinstance(system, Residues):
            primals.append(system.atoms(atom.name, dual.primal, atom.odd))
        elif isinstance(system, Intervals):
            primals.append(system.anything(dual).primal)
        elif isinstance(system, Floats):
            primals.append(np.vectorize(_total(atom.floats), otypes=[np.float64])(dual.primal))
        else:
            primals.append(each(dual.primal, atom.balls))
    values = Value(x.numbers, tuple(Dual(primal) for primal in primals), None, x.depth)
    if all(dual.tangent is None for dual in x.duals):
        return values
    slope = atom.slope(replace(x.without_tangent(), constant=None), values)
    duals = tuple(
        system.chain(dual, primal, lambda d=derivative: d.primal)
        for system, dual, primal, derivative in zip(
            x.numbers.systems, x.duals, primals, slope.duals, strict=True
        )
    )
    return replace(values, duals=duals)


def _total(function: Callable[[float], float]) -> Callable[[float], float]:
    def call(x: float) -> float:
        try:
            return function(x)
        except (ValueError, OverflowError):
            return math.nan

    return call


# Constants that residues know as atoms


def sqrt_pi(x: Value) -> Value:
    """The square root of pi, as a constant beside `x`."""
    numbers = x.numbers
    duals = list[Dual]()
    for system in numbers.systems:
        primal = np.empty((system.levels if isinstance(system, Residues) else 1,), dtype=object)
        if isinstance(system, Residues):
            # A fourth power, which is the root that residues choose of its own square.
            atom = system.atom("sqrt_pi", None, system.levels)
            primal[:] = [pow(a, 4, p) for a, p in zip(atom, system.tower.primes, strict=True)]
            duals.append(Dual(primal))
        elif isinstance(system, Floats):
            duals.append(Dual(np.array([math.sqrt(math.pi)])))
        elif isinstance(system, Intervals):
            primal[0] = Interval(1.77, 1.78)
            duals.append(Dual(primal))
        else:
            primal[0] = arb.const_sqrt_pi()
            duals.append(Dual(primal))
    return Value(numbers, tuple(duals))


def _atan_slope(x: Value, y: Value) -> Value:
    return (x * x).plus(1).reciprocal()


def _bell(x: Value) -> Value:
    """`2 / sqrt(pi) e^(-x^2)`."""
    return exp(-(x * x)).times(2) / sqrt_pi(x)


def _erfinv_slope(x: Value, y: Value) -> Value:
    return sqrt_pi(x).times(HALF) * exp(y * y)


def _arc_slope(x: Value, y: Value) -> Value:
    return power(-(x * x).plus(-1), -HALF)


ERF = Atom("erf", math.erf, lambda b: b.erf(), lambda x, y: _bell(x), odd=True, depth=1)
ERFINV = Atom(
    "erfinv", lambda x: float(arb(x).erfinv()), lambda b: b.erfinv(), _erfinv_slope, odd=True, depth=1
)
ATAN = Atom("atan", math.atan, lambda b: b.atan(), _atan_slope, odd=True)
ASIN = Atom("asin", math.asin, lambda b: b.asin(), _arc_slope, odd=True)
LGAMMA = Atom("lgamma", math.lgamma, lambda b: b.lgamma(), lambda x, y: polygamma(0, x))


def polygamma(order: int, x: Value) -> Value:
    """The derivative of order `order` of the digamma function."""

    def ball(b: arb) -> arb:
        if order == 0:
            return b.digamma()
        sign = 1 if order % 2 else -1
        return sign * arb(math.factorial(order)) * arb(order + 1).zeta(b)

    atom = Atom(
        f"polygamma({order})", lambda t: float(ball(arb(t))), ball, lambda u, y: polygamma(order + 1, u)
    )
    return apply(atom, x)


def erf(x: Value) -> Value:
    """The error function."""
    return apply(ERF, x)


def asinh(x: Value) -> Value:
    """`log(x + sqrt(x^2 + 1))`, as an atom of its own."""
    return apply(ASINH, x)


ASINH = Atom("asinh", math.asinh, lambda b: b.asinh(), lambda x, y: power((x * x).plus(1), -HALF), odd=True)
ACOSH = Atom("acosh", math.acosh, lambda b: b.acosh(), lambda x, y: power((x * x).plus(-1), -HALF))
ATANH = Atom("atanh", math.atanh, lambda b: b.atanh(), lambda x, y: (-(x * x)).plus(1).reciprocal(), odd=True)


@dataclass(frozen=True)
class PairAtom:
    """A function of two numbers that residues cannot follow, with its two partial derivatives."""

    name: str
    floats: Callable[[float, float], float]
    balls: Callable[[arb, arb], arb]
    slopes: Callable[[Value, Value], tuple[Value, Value]]


def apply_pair(atom: PairAtom, x: Value, y: Value) -> Value:
    """Apply the function of a row to two arrays of one shape."""
    slopes = atom.slopes(x.without_tangent(), y.without_tangent())
    tangents = x * slopes[0] + y * slopes[1]  # of which only the tangent is used
    duals = list[Dual]()
    for system, a, b, tangent in zip(x.numbers.systems, x.duals, y.duals, tangents.duals, strict=True):
        if isinstance(system, Residues):
            levels = min(a.levels, b.levels)
            primal = system.pair_atoms(atom.name, a.rows(levels).primal, b.rows(levels).primal)
        elif isinstance(system, Floats):
            primal = np.vectorize(atom.floats, otypes=[np.float64])(a.primal, b.primal)
        else:
            primal = np.asarray(np.frompyfunc(atom.balls, 2, 1)(a.primal, b.primal), dtype=object)
        duals.append(Dual(primal, tangent.tangent))
    return Value(x.numbers, tuple(duals), None, max(x.depth, y.depth))


def _atan2_slopes(y: Value, x: Value) -> tuple[Value, Value]:
    radius = (x * x + y * y).reciprocal()
    return x * radius, -(y * radius)


ATAN2 = PairAtom("atan2", math.atan2, lambda y, x: arb.atan2(y, x), _atan2_slopes)


def _bessel_slope(order: int) -> Callable[[Value, Value], Value]:
    """`I0' = I1`; `I1' = I0 - I1 / x`."""
    return lambda x, y: apply(I1, x) if order == 0 else apply(I0, x) - y / x


I0 = Atom("i0", lambda t: float(arb(t).bessel_i(0)), lambda b: b.bessel_i(0), _bessel_slope(0))
I1 = Atom("i1", lambda t: float(arb(t).bessel_i(1)), lambda b: b.bessel_i(1), _bessel_slope(1), odd=True)

"""Numbers that stand in a program, as exact numbers: the dyadic rationals that floats are, or what they
stand for.

A float that is the correctly rounded value of an entry of a stated table may stand for it: a fraction or
decimal of few digits, or a product of a fraction or decimal with roots of 2 and 3, powers of the root of pi,
e, and the logarithms of 2 and 10. Roots may also be rounded at each step, as in `1 / math.sqrt(2 * math.pi)`.
What else is off by one unit is rounded wrongly, and stands for itself.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from flint import arb, ctx

from gradproof.numeric.exact import functions
from gradproof.numeric.exact.duals import Dual
from gradproof.numeric.exact.reals import Balls
from gradproof.numeric.exact.specials import mark
from gradproof.numeric.exact.values import Numbers, UndecidableError, Value

MAX_DIGITS = 12
"""Decimals of at most so many digits are recognized."""
MAX_DENOMINATOR = 1000
SINGLE_DENOMINATOR = 100
"""Of fractions that are recognized in singles, of which there are fewer."""
FACTOR_DIGITS = 6
"""Decimals of at most so many digits are recognized as factors of what is irrational."""
SINGLE_BITS = 16
"""A float of at most so many bits is meant as it stands; one of more may be rounded, to single precision
if it fits.
"""


@dataclass(frozen=True)
class Symbol:
    """`factor * 2^(twos/2) * 3^(threes/2) * sqrt(pi)^roots_of_pi * log(2)^log2 * log(10)^log10 * e^e`."""

    factor: Fraction
    twos: int = 0
    threes: int = 0
    roots_of_pi: int = 0
    log2: int = 0
    log10: int = 0
    e: int = 0

    def __str__(self) -> str:
        names = {
            "sqrt(2)": self.twos,
            "sqrt(3)": self.threes,
            "log(2)": self.log2,
            "log(10)": self.log10,
            "e": self.e,
        }
        if self.roots_of_pi % 2:
            names["sqrt(pi)"] = self.roots_of_pi
        else:
            names["pi"] = self.roots_of_pi // 2
        parts = [name if power == 1 else f"{name}^{power}" for name, power in names.items() if power]
        return " ".join([*([] if self.factor == 1 and parts else [str(self.factor)]), *parts])


@dataclass
class Constants:
    """How the numbers of a program are read: literally, or with `meant`, as what they are rounded from."""

    meant: bool = False
    widened: bool = False
    """Whether floats of many digits are balls around them: any number that rounds to them, or nearly, is
    inside.
    """
    used: dict[float, str] = field(default_factory=dict[float, str])
    """Which floats stood for what."""

    def scalar(self, numbers: Numbers, number: Any) -> Value:
        """A Python number."""
        if isinstance(number, bool | int):
            return numbers.scalar(int(number))
        if isinstance(number, complex):
            raise UndecidableError("complex numbers")
        if not math.isfinite(number):
            return infinite(numbers, np.array(number))
        if self.meant and number == -sys.float_info.max:
            self.used[number] = "-inf"
            return infinite(numbers, np.array(-math.inf))
        symbol = recognize(number) if self.meant else None
        if symbol is None and self.widened and _digits(number) > SINGLE_BITS:
            return _widen(numbers.scalar(Fraction(number)), number)
        if symbol is None:
            return numbers.scalar(self.exponent(number))
        return self._symbol(numbers, number, symbol)

    def exponent(self, number: float) -> Fraction:
        """The exponent of a power; with `meant`, also one that is smaller by 1 or 2 than a fraction.

        The derivative of `x^c` is written with `c - 1`, which is rounded once more. A rounded exponent makes
        no witness either: where constants are `widened`, it is what is meant.
        """
        if not (self.meant or self.widened):
            return Fraction(number)
        for step in (0, 1, 2):
            simple = Fraction(number + step).limit_denominator(MAX_DENOMINATOR)
            if float(simple) - step == number:
                if simple - step != Fraction(number):
                    self.used[number] = str(simple - step)
                return simple - step
        return Fraction(number)

    def _symbol(self, numbers: Numbers, number: float, symbol: Symbol) -> Value:
        if Fraction(number) != symbol.factor or symbol != Symbol(symbol.factor):
            self.used[number] = str(symbol)
        value = numbers.scalar(symbol.factor)
        if symbol.twos:
            value = value * functions.power(numbers.scalar(2), Fraction(symbol.twos, 2))
        if symbol.threes:
            value = value * functions.power(numbers.scalar(3), Fraction(symbol.threes, 2))
        if symbol.roots_of_pi:
            value = value * functions.power(functions.sqrt_pi(value), Fraction(symbol.roots_of_pi))
        if symbol.log2:
            value = value * functions.power(functions.log(numbers.scalar(2)), Fraction(symbol.log2))
        if symbol.log10:
            value = value * functions.power(functions.log(numbers.scalar(10)), Fraction(symbol.log10))
        if symbol.e:
            value = value * functions.power(functions.exp(numbers.scalar(1)), Fraction(symbol.e))
        return value

    def lift(self, numbers: Numbers, tensor: torch.Tensor) -> Value:
        """A tensor of numbers: literally, but that a single float may stand for what it is rounded from."""
        array = tensor.detach().to(torch.float64 if tensor.is_floating_point() else torch.int64).numpy()
        if array.ndim == 0 and tensor.is_floating_point():
            return self.scalar(numbers, _shortest(float(array), tensor.dtype) if self.meant else float(array))
        if tensor.is_floating_point() and not np.all(np.isfinite(array)):
            return infinite(numbers, array)
        if array.size > 1 and tensor.is_floating_point() and np.all(array == array.flat[0]):
            return self.lift(numbers, tensor.reshape(-1)[0]).expand(array.shape)
        fractions = np.empty(array.shape, dtype=object)
        for position in np.ndindex(array.shape):
            fractions[position] = Fraction(array[position].item())
        return numbers.constant(fractions)


def _digits(number: float) -> int:
    """How many bits a float has from its first to its last; 1 for whole numbers of few digits, as -1e9."""
    if number.is_integer() and float(f"{number:.6g}") == number:
        return 1
    return abs(Fraction(number).numerator).bit_length()


def _widen(value: Value, number: float) -> Value:
    radius = abs(number) * (2.0**-50 if float(np.float32(number)) != number else 2.0**-23)
    duals = list(value.duals)
    for k, system in enumerate(value.numbers.systems):
        if isinstance(system, Balls):
            primal = np.empty((1,), dtype=object)
            primal[0] = arb(number, radius)
            duals[k] = Dual(primal)
    return replace(value, duals=tuple(duals), constant=None)


def infinite(numbers: Numbers, array: np.ndarray) -> Value:
    """Constants among which are infinities or NaN: known to the real numbers only."""
    return mark(numbers, array)


def _shortest(number: float, dtype: torch.dtype) -> float:
    """A float32 as the double with the same shortest decimal."""
    if dtype == torch.float32:
        return float(str(np.float32(number)))
    return number


@lru_cache(maxsize=4096)
def recognize(number: float) -> Symbol | None:
    """What a float is the correctly rounded value of, if that is in the table.

    >>> str(recognize(0.3989422804014327)), str(recognize(0.044715)), recognize(0.3989422804014)
    ('sqrt(2)^-1 sqrt(pi)^-1', '8943/200000', None)
    """
    simple = Fraction(number).limit_denominator(MAX_DENOMINATOR)
    if float(simple) == number:
        return Symbol(simple)
    digits = repr(number)
    if len(digits.split("e")[0].replace("-", "").replace(".", "").strip("0")) <= MAX_DIGITS:
        return Symbol(Fraction(digits))
    single = np.float32(number)
    if float(single) == number and _digits(number) > SINGLE_BITS:
        few = Fraction(number).limit_denominator(SINGLE_DENOMINATOR)
        if float(np.float32(float(few))) == number:
            return Symbol(few)
        return _signed(_single_table().get(abs(number)), number) or recognize(float(str(single)))
    return _signed(_table().get(abs(number)) or _decimal_multiple(abs(number)), number)


def _decimal_multiple(number: float) -> Symbol | None:
    """A decimal of few digits times an irrational entry of the table, the one of the fewest digits."""
    if not sys.float_info.min < number < math.inf:
        return None
    found: list[tuple[int, int, Symbol]] = []
    with _precision(200):
        for order, (powers, base, near) in enumerate(_irrational()):
            digits = f"{number / near:.{FACTOR_DIGITS}g}"
            if abs(float(digits) * near - number) > 4 * math.ulp(number):
                continue
            factor = Fraction(digits)
            if float((base * factor.numerator / factor.denominator).mid()) == number:
                found.append((len(digits.split("e")[0]), order, Symbol(factor, *powers)))
    return min(found, key=lambda f: f[:2])[2] if found else None


def _signed(found: Symbol | None, number: float) -> Symbol | None:
    if found is None:
        return None
    return found if number > 0 else Symbol(-found.factor, *(getattr(found, n) for n in _POWERS))


_POWERS = ("twos", "threes", "roots_of_pi", "log2", "log10", "e")


@lru_cache(maxsize=1)
def _single_table() -> dict[float, Symbol]:
    """The same entries by their floats of single precision, simplest first."""
    table: dict[float, Symbol] = {}
    for number, symbol in _table().items():
        table.setdefault(float(np.float32(number)), symbol)
    return table


@lru_cache(maxsize=1)
def _table() -> dict[float, Symbol]:
    """The floats of all entries, simplest entries first."""
    table: dict[float, Symbol] = {}
    ratios = sorted(
        {Fraction(n, d) for n in range(1, 13) for d in range(1, 13)},
        key=lambda f: f.numerator + f.denominator,
    )
    with _precision(200):
        for powers, base, _ in _irrational():
            for ratio in ratios:
                table.setdefault(
                    float((base * ratio.numerator / ratio.denominator).mid()), Symbol(ratio, *powers)
                )
    for number, symbol in _as_written(ratios):
        table.setdefault(number, symbol)
    return table


def _as_written(ratios: Iterable[Fraction]) -> Iterator[tuple[float, Symbol]]:
    """What programs write for roots of r, r pi and r / pi and for one over them, rounded at each step."""
    for ratio in ratios:
        found = _root_of(ratio)
        if found is None:
            continue
        factor, twos, threes = found
        under, over = Symbol(factor, twos, threes, 1), Symbol(factor, twos, threes, -1)
        inverse = Symbol(1 / factor, -twos, -threes, -1)
        for rounded in {float(ratio) * math.pi, ratio.numerator * math.pi / ratio.denominator}:
            yield math.sqrt(rounded), under
            yield 1 / math.sqrt(rounded), inverse
        yield math.sqrt(float(ratio) / math.pi), over
        yield math.sqrt(ratio), Symbol(factor, twos, threes)
        yield 1 / math.sqrt(ratio), Symbol(1 / factor, -twos, -threes)


def _root_of(ratio: Fraction) -> tuple[Fraction, int, int] | None:
    """The root of a fraction as a fraction times roots of 2 and 3."""
    for twos in (0, 1):
        for threes in (0, 1):
            square = ratio / 2**twos / 3**threes
            n, d = math.isqrt(square.numerator), math.isqrt(square.denominator)
            if Fraction(n * n, d * d) == square:
                return Fraction(n, d), twos, threes
    return None


_LOGS_AND_E = ((0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))


@lru_cache(maxsize=1)
def _irrational() -> list[tuple[tuple[int, ...], arb, float]]:
    """The products of powers of the table, simplest first: the powers, the value, and the float near it."""
    powers = [
        (twos, threes, pis, *others)
        for twos in (-1, 0, 1)
        for threes in (-1, 0, 1)
        for pis in range(-4, 5)
        for others in _LOGS_AND_E
    ]
    powers = sorted(powers, key=lambda p: sum(map(abs, p)))[1:]
    found: list[tuple[tuple[int, ...], arb, float]] = []
    with _precision(200):
        for p in powers:
            value = arb(1)
            for base, power in zip(_bases(), p, strict=True):
                value = value * base**power
            found.append((p, value, float(value.mid())))
    return found


def _bases() -> tuple[arb, ...]:
    return arb(2).sqrt(), arb(3).sqrt(), arb.const_sqrt_pi(), arb(2).log(), arb(10).log(), arb(1).exp()


@contextmanager
def _precision(bits: int) -> Iterator[None]:
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before

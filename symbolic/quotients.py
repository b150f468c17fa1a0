"""Quotients of polynomials in generators, their factors, and how fine the generators are."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd, lcm
from typing import Any, NamedTuple

from flint import Ordering, fmpq_mpoly_ctx

from gradproof.symbolic.polynomials import TooLargeError

MAX_GENERATORS = 40


MAX_TERMS = 3_000


MAX_ROOT = 60


Polynomial = Any
"""A polynomial of flint with rational coefficients."""


CONTEXT = fmpq_mpoly_ctx.get([f"g{n}" for n in range(MAX_GENERATORS)], Ordering.lex)


GENERATORS = CONTEXT.gens()


ONE = CONTEXT.constant(1)


ZERO = CONTEXT.constant(0)


class OpenCaseError(TypeError):
    """A case distinction inside an expression that was to be without."""


class FinerError(Exception):
    """A generator has to be replaced by a root of it; the conversion starts anew."""


class Quotient(NamedTuple):
    """A numerator over a denominator without common factor."""

    above: Polynomial
    below: Polynomial

    @property
    def zero(self) -> bool:
        """Whether it is 0 wherever it has a value."""
        return self.above.is_zero()


class Factor(NamedTuple):
    """An irreducible polynomial, its sign (None if not known), and how often it occurs."""

    base: Polynomial
    sign: int | None
    times: int


@dataclass
class Fineness:
    """Of what generators are taken: roots of which degree, exponentials of which part of a term."""

    degrees: dict[str, int] = field(default_factory=dict[str, int])
    units: dict[str, Fraction] = field(default_factory=dict[str, Fraction])
    ends: dict[str, int] = field(default_factory=dict[str, int])

    def end(self, key: str, steps: int, direction: int) -> int:
        """How far the recurrence of a function is followed; raises FinerError if it has to go further."""
        end = self.ends.setdefault(key, steps)
        if (steps - end) * direction > 0:
            self.ends[key] = steps
            raise FinerError(key)
        return end

    def degree(self, key: str, wanted: int) -> int:
        """The degree of the root that stands for all roots of a base; raises FinerError if it has to grow."""
        degree = self.degrees.get(key, 1)
        if degree % wanted:
            self.degrees[key] = lcm(degree, wanted)
            if self.degrees[key] > MAX_ROOT:
                raise TooLargeError(f"roots of degree {self.degrees[key]}")
            raise FinerError(key)
        return degree

    def unit(self, key: str, value: Fraction) -> Fraction:
        """The part of a term that all are whole multiples of; raises FinerError if it has to shrink."""
        unit = self.units.setdefault(key, abs(value))
        if (value / unit).denominator != 1:
            below = lcm(unit.denominator, value.denominator)
            self.shrink(key, Fraction(gcd(int(unit * below), int(value * below)), below))
        return unit

    def shrink(self, key: str, unit: Fraction) -> None:
        """Take a smaller unit, and start anew."""
        self.units[key] = unit
        raise FinerError(key)


def rational(value: Any) -> Fraction:
    """A rational of flint as a fraction."""
    return Fraction(int(value.p), int(value.q)) if hasattr(value, "p") else Fraction(int(value))


def product(a: Polynomial, b: Polynomial) -> Polynomial:
    """The product; raises TooLargeError where it would be huge."""
    if len(a) * len(b) > 100 * MAX_TERMS:
        raise TooLargeError(f"a product of {len(a)} and {len(b)} terms")
    return a * b


def check_terms(terms: int) -> None:
    """Raise TooLargeError for too many terms."""
    if terms > MAX_TERMS:
        raise TooLargeError(f"{terms} terms")

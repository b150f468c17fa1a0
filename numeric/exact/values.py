"""Arrays of exact numbers: the same array in residues and in reals at once, with tangents.

The residues decide equality; the real numbers that travel along decide which side of a comparison is taken. A
dry run and a witness have real numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from gradproof.numeric.exact.duals import Array, Dual, Shape, System, expand_dual, last
from gradproof.numeric.exact.interruptions import Interruption
from gradproof.numeric.exact.intervals import Interval, Intervals
from gradproof.numeric.exact.logarithms import NO_LOGS
from gradproof.numeric.exact.reals import Balls, Floats
from gradproof.numeric.exact.residues import Residues


class UndecidableError(Interruption):
    """A program does what exact execution cannot follow; the message names it."""


class AmbiguousError(Interruption):
    """At the numbers drawn a comparison cannot be decided: others must be drawn."""


class CircularError(Interruption):
    """The program takes a sine or cosine, and the tower has none."""


class ShallowError(Interruption):
    """A number that is known modulo the last prime alone stands in an exponent."""


@dataclass
class Numbers:
    """The systems in which a run computes: residues first if there are any, then real numbers."""

    residues: Residues | None
    reals: Floats | Balls
    """What decides comparisons."""
    limits: Balls | None = None
    """The values at a point, where `reals` stand beside it: derivatives on one side of a kink."""
    bounds: Intervals | None = None
    """Bounds over the whole domain, in a run that asks which comparisons have one outcome only."""
    forward: bool = True
    """Whether the forward runs, whose tangents are the derivative."""
    made: int = 0
    """How many numbers were computed, tangents among them: what a run costs, the same on every machine."""
    depth: int = 0
    """How many exponentials stood inside one another, at most."""
    circular: bool = False
    """Whether a sine or cosine was met."""
    assumes: dict[str, None] = field(default_factory=dict[str, None])
    """What was assumed on the way, in order."""
    open: dict[str, None] = field(default_factory=dict[str, None])
    """What was followed, but not so far that anything could be proved."""
    whole: bool = True
    """Whether cotangents and tangents are known modulo every prime, and not the last one alone."""
    shallow: bool = False
    """Whether such a number stood in an exponent."""
    _scalars: dict[Fraction | int, Value] = field(default_factory=dict["Fraction | int", "Value"])

    @cached_property
    def systems(self) -> tuple[System, ...]:
        return tuple(s for s in (self.residues, self.limits, self.bounds, self.reals) if s is not None)

    def constant(self, fractions: Array) -> Value:
        """An array of rational numbers."""
        return Value(self, tuple(system.constant(fractions) for system in self.systems), constant=fractions)

    def scalar(self, number: Fraction | int) -> Value:
        known = self._scalars.get(number)
        if known is None:
            fractions = np.empty((), dtype=object)
            fractions[()] = Fraction(number)
            known = self._scalars[number] = self.constant(fractions)
        return known

    def zeros(self, shape: Shape) -> Value:
        return self.scalar(0).expand(shape)


@dataclass(frozen=True)
class Value:
    """An array in every system of a run; `constant` has its numbers where they are rational and depend on
    no input.
    """

    numbers: Numbers
    duals: tuple[Dual, ...]
    constant: Array | None = None
    depth: int = 0

    def __post_init__(self) -> None:
        first = self.duals[0]
        self.numbers.made += first.primal.size + (0 if first.tangent is None else first.tangent.size)

    @property
    def shape(self) -> Shape:
        return self.duals[0].shape

    @property
    def formal(self) -> Dual | None:
        return None if self.numbers.residues is None else self.duals[0]

    @property
    def limit(self) -> Dual:
        """The values at the point itself, where those that decide stand beside it; else the real numbers."""
        return (
            self.real
            if self.numbers.limits is None
            else self.duals[0 if self.numbers.residues is None else 1]
        )

    def with_bounds(self, bounds: Dual) -> Value:
        """The same array with other bounds, in a run that has them."""
        return replace(self, duals=(*self.duals[:-2], bounds, self.duals[-1]))

    def of_unknown(self, interval: Interval | None = None) -> Value:
        """The same array, of which the bounds are not known, or that they are those of an interval."""
        if self.numbers.bounds is None:
            return self
        free = self.duals[-2]
        entries = np.full(free.primal.shape, interval or Interval(-inf, inf), dtype=object)
        return self.with_bounds(Dual(entries))

    @property
    def bounds(self) -> Dual | None:
        return None if self.numbers.bounds is None else self.duals[-2]

    @property
    def real(self) -> Dual:
        return self.duals[-1]

    @property
    def reals(self) -> Array:
        """The real numbers, without the axis of levels."""
        return self.real.primal.reshape(self.shape)

    def map(self, function: Callable[[Array], Array]) -> Value:
        """Move entries: `function` acts on the last axes of an array, whatever stands before them."""
        constant = _objects(None if self.constant is None else function(self.constant))
        return Value(self.numbers, tuple(dual.map(function) for dual in self.duals), constant, self.depth)

    def __add__(self, other: Value) -> Value:
        duals = self._both(other, lambda system, a, b: system.add(a, b))
        return self._result(other, duals, _fold(self, other, np.add))

    def __neg__(self) -> Value:
        duals = self._each(lambda system, a: system.negate(a))
        return replace(
            self, duals=duals, constant=_objects(None if self.constant is None else -self.constant)
        )

    def __sub__(self, other: Value) -> Value:
        duals = self._both(other, lambda system, a, b: system.subtract(a, b))
        return self._result(other, duals, _fold(self, other, np.subtract))

    def __mul__(self, other: Value) -> Value:
        duals = self._both(other, lambda system, a, b: system.multiply(a, b))
        result = self._result(other, duals, _fold(self, other, np.multiply))
        return _scale_logs(result, self, other)

    def __truediv__(self, other: Value) -> Value:
        if other.constant is not None and not other.shape:
            number: Any = other.constant[()]
            return self * (self.numbers.scalar(1 / number) if number else other.reciprocal())
        if other.constant is not None and all(other.constant.reshape(-1)):
            return self * self.numbers.constant(np.asarray(1 / other.constant, dtype=object))
        return self * other.reciprocal()

    def times(self, number: Fraction | int) -> Value:
        return self * self.numbers.scalar(number)

    def plus(self, number: Fraction | int) -> Value:
        return self + self.numbers.scalar(number)

    def reciprocal(self) -> Value:
        return replace(self, duals=self._each(lambda system, a: system.reciprocal(a)), constant=None)

    def bilinear(self, other: Value, product: Callable[[Array, Array], Array]) -> Value:
        """A product of arrays (`matmul`): sums of products, over axes of the shape."""
        return self._result(
            other, self._both(other, lambda system, a, b: system.bilinear(a, b, product)), None
        )

    def linear(self, function: Callable[[Array], Array]) -> Value:
        """Sums of entries."""
        constant = _objects(None if self.constant is None else function(self.constant))
        return replace(
            self, duals=self._each(lambda system, a: system.linear(a, function)), constant=constant
        )

    def sum(self, axes: Sequence[int], keepdims: bool = False) -> Value:
        """Sum over axes, counted from the end (-1 is the last)."""
        if not axes:
            return self
        return self.linear(lambda array: np.asarray(array.sum(axis=tuple(axes), keepdims=keepdims)))

    def expand(self, shape: Shape) -> Value:
        if shape == self.shape:
            return self
        constant = None if self.constant is None else np.broadcast_to(self.constant, shape)
        return replace(self, duals=tuple(expand_dual(dual, shape) for dual in self.duals), constant=constant)

    def without_tangent(self) -> Value:
        if all(dual.tangent is None for dual in self.duals):
            return self
        return replace(self, duals=tuple(Dual(dual.primal, None, dual.logs) for dual in self.duals))

    def _each(self, function: Callable[[System, Dual], Dual]) -> tuple[Dual, ...]:
        return tuple(map(function, self.numbers.systems, self.duals))

    def _both(self, other: Value, function: Callable[[System, Dual, Dual], Dual]) -> tuple[Dual, ...]:
        return tuple(map(function, self.numbers.systems, self.duals, other.duals))

    def _result(self, other: Value, duals: tuple[Dual, ...], constant: Array | None) -> Value:
        return Value(self.numbers, duals, constant, max(self.depth, other.depth))


def _objects(array: Any) -> Array | None:
    return None if array is None else np.asarray(array, dtype=object)


def _fold(a: Value, b: Value, function: Any) -> Array | None:
    if a.constant is None or b.constant is None:
        return None
    return np.asarray(function(a.constant, b.constant), dtype=object)


def _scale_logs(product: Value, a: Value, b: Value) -> Value:
    """A sum of logarithms times a rational number is one again."""
    formal = product.formal
    if formal is None or a.formal is None or b.formal is None:
        return product
    for value, factor in ((a, b), (b, a)):
        if value.formal is not None and value.formal.logs is not None and factor.constant is not None:
            logs = np.asarray(value.formal.logs * factor.constant, dtype=object)
            return replace(product, duals=(replace(formal, logs=logs), *product.duals[1:]))
    return product


def concatenate(values: Sequence[Value]) -> Value:
    """Join arrays of one axis end to end, in all systems, at the levels that all have."""
    numbers = values[0].numbers
    duals = [_concatenate_duals([value.duals[k] for value in values]) for k in range(len(values[0].duals))]
    constants = [value.constant for value in values]
    constant = (
        None if any(c is None for c in constants) else np.concatenate([c for c in constants if c is not None])
    )
    return Value(numbers, tuple(duals), constant, max(value.depth for value in values))


def _concatenate_duals(duals: list[Dual]) -> Dual:
    levels = min(dual.levels for dual in duals)
    duals = [dual.rows(levels) for dual in duals]
    primal = np.concatenate([dual.primal for dual in duals], axis=1)
    directions = {dual.tangent.shape[0] for dual in duals if dual.tangent is not None}
    tangent = None
    if directions:
        (count,) = directions
        tangents = [tangent_of(dual, count) for dual in duals]
        lowest = min(tangent.shape[1] for tangent in tangents)
        tangent = np.concatenate([last(tangent, 1, lowest) for tangent in tangents], axis=2)
    logs = None
    if any(dual.logs is not None for dual in duals):
        logs = np.concatenate([logs_of(dual) for dual in duals])
    return Dual(primal, tangent, logs)


def tangent_of(dual: Dual, directions: int) -> Array:
    """The tangent, as an array also where it is 0."""
    if dual.tangent is not None:
        return dual.tangent
    dtype = dual.primal.dtype
    return np.broadcast_to(np.zeros((), dtype=dtype), (directions, *dual.primal.shape))


def logs_of(dual: Dual) -> Array:
    """What is known as sums of logarithms, as an array also where nothing is."""
    if dual.logs is not None:
        return dual.logs
    logs = np.empty(dual.shape, dtype=object)
    logs.fill(NO_LOGS)
    return logs

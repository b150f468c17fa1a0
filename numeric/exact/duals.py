"""Arrays of dual numbers: values and their derivatives in several directions at once, in one system of
numbers.

A primal array is (level, *shape): one row for each level of a tower, a single row where the numbers are real.
A tangent array is (direction, level, *shape), or None where it is 0; it may have fewer levels, its last ones,
than the values. Systems differ in how a result is reduced, in reciprocals and in functions; sums, products
and everything linear stand here once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Dual:
    """Values and tangents; `logs` is what is known of the values as sums of logarithms (`residues.py`), or
    None.
    """

    primal: Array
    tangent: Array | None = None
    logs: Array | None = None

    @property
    def shape(self) -> Shape:
        return self.primal.shape[1:]

    @property
    def levels(self) -> int:
        return self.primal.shape[0]

    def for_tangent(self, primal: Array) -> Array:
        """The rows of an array that the tangent has, too."""
        return primal if self.tangent is None else last(primal, 0, self.tangent.shape[1])

    def rows(self, levels: int) -> Dual:
        """The last `levels` rows: the same numbers, at a deeper level."""
        if levels >= self.levels:
            return self
        tangent = None if self.tangent is None else last(self.tangent, 1, levels)
        return replace(self, primal=last(self.primal, 0, levels), tangent=tangent)

    def map(self, function: Callable[[Array], Array]) -> Dual:
        """Apply what only moves entries: `function` acts on the axes of the shape and leaves those before
        it.
        """
        return Dual(
            function(self.primal),
            None if self.tangent is None else function(self.tangent),
            None if self.logs is None else as_objects(function(self.logs)),
        )


def expand(array: Array, lead: int, shape: Shape) -> Array:
    """Broadcast the axes after the first `lead` ones to `shape`."""
    head = array.shape[:lead]
    own = array.shape[lead:]
    if own == shape:
        return array
    padded = array.reshape(head + (1,) * (len(shape) - len(own)) + own)
    return np.broadcast_to(padded, head + shape)


def last(array: Array, axis: int, levels: int) -> Array:
    """The last rows of the axis of levels, at most `levels` of them."""
    surplus = array.shape[axis] - levels
    if surplus <= 0:
        return array
    return array[surplus:] if axis == 0 else array[:, surplus:]


def add_optional(left: Array | None, right: Array | None) -> Array | None:
    """Add two arrays of which None is 0."""
    if left is None or right is None:
        return right if left is None else left
    return left + right


def _add_tangents(left: Array | None, right: Array | None) -> Array | None:
    if left is None or right is None:
        return right if left is None else left
    levels = min(left.shape[1], right.shape[1])
    return last(left, 1, levels) + last(right, 1, levels)


def as_objects(array: Any) -> Array:
    """An array of objects, also where NumPy reduced it to a single object."""
    return array if isinstance(array, np.ndarray) else np.asarray(array, dtype=object)


class System(ABC):
    """One system of numbers: residues, floats or balls."""

    @abstractmethod
    def reduce(self, array: Array, axis: int) -> Array:
        """Bring a result to its canonical form; `axis` is the axis of the levels."""

    @abstractmethod
    def constant(self, fractions: Array) -> Dual:
        """Rational numbers, as an array of `Fraction`."""

    @abstractmethod
    def reciprocal_of(self, primal: Array) -> Array: ...

    @abstractmethod
    def exp(self, a: Dual) -> Dual: ...

    @abstractmethod
    def zeros(self, shape: Shape) -> Dual: ...

    def _join(self, primal: Array, tangent: Array | None, logs: Array | None = None) -> Dual:
        return Dual(self.reduce(primal, 0), None if tangent is None else self.reduce(tangent, 1), logs)

    def add(self, a: Dual, b: Dual) -> Dual:
        a, b = align(a, b)
        if a.shape == b.shape and a.logs is None and b.logs is None:
            return self._join(a.primal + b.primal, _add_tangents(a.tangent, b.tangent))
        shape = np.broadcast_shapes(a.shape, b.shape)
        primal = expand(a.primal, 1, shape) + expand(b.primal, 1, shape)
        left = None if a.tangent is None else expand(a.tangent, 2, shape)
        right = None if b.tangent is None else expand(b.tangent, 2, shape)
        logs = add_optional(_expand_logs(a.logs, shape), _expand_logs(b.logs, shape))
        logs = None if logs is None else as_objects(logs)
        return self._join(primal, _add_tangents(left, right), logs)

    def negate(self, a: Dual) -> Dual:
        tangent = None if a.tangent is None else -a.tangent
        return self._join(-a.primal, tangent, None if a.logs is None else as_objects(-a.logs))

    def subtract(self, a: Dual, b: Dual) -> Dual:
        logs = None if b.logs is None else as_objects(-b.logs)
        return self.add(a, Dual(-b.primal, None if b.tangent is None else -b.tangent, logs))

    def multiply(self, a: Dual, b: Dual) -> Dual:
        if a.shape == b.shape:
            return self.bilinear(a, b, np.multiply)
        shape = np.broadcast_shapes(a.shape, b.shape)
        x, y = expand_dual(a, shape), expand_dual(b, shape)
        return self.bilinear(x, y, np.multiply)

    def bilinear(self, a: Dual, b: Dual, product: Callable[[Array, Array], Array]) -> Dual:
        """A product that acts on the axes of the shape and broadcasts over those before it."""
        a, b = align(a, b)
        tangent: Array | None = None
        if a.tangent is not None:
            tangent = product(a.tangent, last(b.primal, 0, a.tangent.shape[1])[None])
        if b.tangent is not None:
            other = product(last(a.primal, 0, b.tangent.shape[1])[None], b.tangent)
            tangent = _add_tangents(tangent, other)
        return self._join(product(a.primal, b.primal), tangent)

    def linear(self, a: Dual, function: Callable[[Array], Array]) -> Dual:
        """A sum over entries: `function` acts on the axes of the shape, by additions alone."""
        tangent = None if a.tangent is None else function(a.tangent)
        logs = None if a.logs is None else as_objects(function(a.logs))
        return self._join(function(a.primal), tangent, logs)

    def reciprocal(self, a: Dual) -> Dual:
        inverse = self.reciprocal_of(a.primal)

        def slope() -> Array:
            rows = a.for_tangent(inverse)
            return self.reduce(-rows * rows, 0)

        return self.chain(a, inverse, slope)

    def chain(self, a: Dual, primal: Array, slope: Callable[[], Array]) -> Dual:
        """A function of each entry with the values `primal` and the derivative `slope()`."""
        if a.tangent is None:
            return Dual(primal)
        derivative = slope()
        levels = min(a.tangent.shape[1], derivative.shape[0])
        tangent = last(a.tangent, 1, levels) * last(derivative, 0, levels)[None]
        return Dual(primal, self.reduce(tangent, 1))


def align(a: Dual, b: Dual) -> tuple[Dual, Dual]:
    """Bring two arrays to the levels that both have."""
    if a.levels == b.levels:
        return a, b
    levels = min(a.levels, b.levels)
    return a.rows(levels), b.rows(levels)


def expand_dual(a: Dual, shape: Shape) -> Dual:
    """Broadcast to `shape`."""
    if a.shape == shape:
        return a
    tangent = None if a.tangent is None else expand(a.tangent, 2, shape)
    return Dual(expand(a.primal, 1, shape), tangent, _expand_logs(a.logs, shape))


def _expand_logs(logs: Array | None, shape: Shape) -> Array | None:
    return None if logs is None else np.broadcast_to(logs, shape)

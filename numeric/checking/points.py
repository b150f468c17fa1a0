"""Where a program is run: rational numbers, and how their residues are tied to them and to one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from math import prod
from random import Random
from typing import Any

import numpy as np
import torch
from flint import arb, fmpq

from gradproof.numeric.exact.duals import Array, Dual, Shape, last
from gradproof.numeric.exact.intervals import Interval, Intervals
from gradproof.numeric.exact.programs import Argument, Layout
from gradproof.numeric.exact.reals import Balls, Floats, each
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.values import Numbers, Value

FREE, PINNED = -1, 0


@dataclass(frozen=True)
class Place:
    """Numbers for one input: `reals` as fractions, and for each entry how its residues are drawn.

    `ties` is -1 where they are drawn freely, 0 where they are those of the number itself, and a positive
    label where all entries of that label have the same residues. Where all is None, `data` is passed to the
    program as it is.
    """

    reals: Array | None = None
    ties: Array | None = None
    domain: str = "real"
    """`real`, `positive`, `unit` (between 0 and 1), `simplex` (rows that sum to 1) or `mask` (0 and 1)."""
    data: Any = None
    dtype: torch.dtype = torch.float64
    layout: str = ""
    wanted: bool = True
    """Whether its gradient is checked."""
    asked: bool = True
    """Whether this run asks for it."""
    moves: bool = True
    """Whether it is moved, too, where limits from beside a point are asked for."""

    @property
    def shape(self) -> Shape:
        return () if self.reals is None else self.reals.shape

    @cached_property
    def floats(self) -> Array:
        """The numbers as floats."""
        assert self.reals is not None
        drawn = [number.numerator / number.denominator for number in self.reals.reshape(-1).tolist()]
        floats = np.array(drawn, dtype=np.float64).reshape(self.reals.shape)
        floats.flags.writeable = False
        return floats


@dataclass(frozen=True)
class Redraw:
    """Another residue for an entry of an input, at one level of the tower."""

    number: int
    """Of the input, among those that are numbers."""
    entry: int
    level: int
    salt: str


@dataclass(frozen=True)
class Redraws:
    """Residues that are drawn as for the plan of this name, and then some of them again."""

    name: str
    steps: tuple[Redraw, ...] = ()


MOVABLE = ("real", "positive", "unit")
"""The domains of inputs whose entries may be moved one by one."""


@dataclass
class Draws:
    """Makes exact numbers of places: `directions` tangents, one for each place that has a direction."""

    numbers: Numbers
    random: Random
    directions: int
    tied: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    beside: int | None = None
    """With this, the numbers that decide comparisons stand a little beside the point, on a side drawn by that
    seed; but those of an input whose gradient is not checked, which is a parameter. 2 k and 2 k + 1 are
    opposite sides.
    """
    redraws: tuple[Redraw, ...] = ()
    drawn: int = 0
    """How many places residues were drawn for."""
    whole: bool = True
    """Whether cotangents and tangents are drawn modulo every prime, and not the last one alone."""
    moves: int = 0
    """In a run that asks how comparisons depend on the inputs: of how many entries."""

    def __post_init__(self) -> None:
        self._sides = Random(0 if self.beside is None else self.beside // 2)

    def value(
        self, place: Place, direction: int | None, units: bool = False, first: int | None = None,
        cotangent: bool = False,
    ) -> Value:  # fmt: skip
        """The numbers of a place; its tangents are random in `direction`, or with `units` the unit
        vectors. Where no residues run, its entries may be moved, the `first` of them in that direction.
        """
        assert place.reals is not None
        duals: list[Dual] = []
        for system in self.numbers.systems:
            tangent: Array | None = None
            if isinstance(system, Residues):
                primal = self._residues(system, place)
                primal = last(primal, 0, 1) if cotangent and not self.whole else primal
                if direction is not None:
                    moved = system.draw(place.shape, self.random, None if self.whole else 1)
                    tangent = np.zeros((self.directions, *moved.shape), dtype=object)
                    tangent[direction] = moved
            elif isinstance(system, Floats):
                primal = self._floats(place)[None]
                if first is not None:
                    tangent = np.zeros((self.moves, place.reals.size))
                    tangent[first : first + place.reals.size] = np.eye(place.reals.size)
                    tangent = tangent.reshape((self.moves, 1, *place.shape))
            elif isinstance(system, Intervals):
                primal = each(place.reals, lambda _, d=place: _bounds(d))[None]
            else:
                primal = each(place.reals, _ball)[None]
                if units:
                    tangent = unit_vectors(place.reals.shape, chosen_entries(place.reals.size))
                elif first is not None:
                    tangent = np.zeros((self.moves, place.reals.size), dtype=object)
                    tangent[first : first + place.reals.size] = np.eye(place.reals.size, dtype=int)
                    tangent = tangent.reshape((self.moves, 1, *place.shape))
            duals.append(Dual(primal, tangent))
        return Value(self.numbers, tuple(duals))

    def _floats(self, place: Place) -> Array:
        floats = place.floats
        if self.beside is None or not (place.wanted and place.moves):
            return floats
        sides = (-1, 1) if self.beside % 2 else (1, -1)
        shifts = [self._sides.choice(sides) * self._sides.uniform(0.5, 1) for _ in range(floats.size)]
        return floats + 1e-5 * np.maximum(np.abs(floats), 1e-2) * np.array(shifts).reshape(floats.shape)

    def _residues(self, system: Residues, place: Place) -> Array:
        assert place.reals is not None
        primal = system.draw(place.reals.shape, self.random)
        rows = primal.reshape((len(primal), -1))
        for redraw in self.redraws:
            if redraw.number == self.drawn:
                prime = system.tower.primes[redraw.level]
                rows[redraw.level, redraw.entry] = Random(redraw.salt).randrange(prime)
        self.drawn += 1
        if place.domain in ("positive", "unit"):  # such as have roots: the powers of odd order
            primal = system.by_rows(
                primal, lambda level, r: pow(r, system.tower.odd_parts[level][1], system.tower.primes[level])
            )
        if place.ties is not None:
            for position in np.ndindex(place.ties.shape):
                label = int(place.ties[position])
                if label == PINNED:
                    number: Any = place.reals[position]
                    column = system.residues_of(Fraction(number))
                elif label > 0:
                    column = self.tied.setdefault(label, [int(r) for r in primal[(slice(None), *position)]])
                else:
                    continue
                for level, residue in enumerate(column):
                    primal[(level, *position)] = residue
        if place.domain == "simplex" and place.reals.shape and place.reals.shape[-1]:
            primal[..., -1] = 1 - primal[..., :-1].sum(axis=-1)
            primal = system.reduce(primal, 0)
        return primal


def _bounds(place: Place) -> Interval:
    """The domain of an entry, as a new interval: equal ones are squared, not multiplied."""
    if place.domain == "mask":
        return Interval(0, 1)
    if place.domain in ("unit", "simplex"):
        return Interval(0, 1, True, True)
    return Interval(0 if place.domain == "positive" else -math.inf, math.inf, place.domain == "positive")


def _ball(number: Fraction) -> arb:
    return arb(fmpq(number.numerator, number.denominator))


MAX_UNITS = 32
"""At most so many entries of a gradient are looked at one by one."""


def chosen_entries(count: int) -> list[int]:
    """The entries that are looked at: all of them, or some that are spread evenly."""
    if count <= MAX_UNITS:
        return list(range(count))
    return sorted({round(k * (count - 1) / (MAX_UNITS - 1)) for k in range(MAX_UNITS)})


def unit_vectors(shape: Shape, chosen: list[int]) -> Array:
    """The unit vectors of the chosen entries as tangents: (direction, level, *shape)."""
    identity = np.zeros((len(chosen), prod(shape)), dtype=object)
    for direction, entry in enumerate(chosen):
        identity[direction, entry] = 1
    return identity.reshape((len(chosen), 1, *shape))


def argument(place: Place, value: Value | None, layout: Layout | None, direction: int = 0) -> Argument:
    """What a program gets for a place."""
    return Argument(value, place.data, place.dtype, layout, place.wanted and place.asked, direction)


def fractions(array: Any) -> Array:
    """An array of floats or integers as fractions."""
    source = np.asarray(array)
    return as_array([Fraction(number) for number in source.reshape(-1).tolist()], source.shape)


def as_array(entries: Sequence[Any], shape: Shape) -> Array:
    """An array of objects, by its entries row by row."""
    array = np.empty(len(entries), dtype=object)
    array[:] = entries
    return array.reshape(shape)


@lru_cache(maxsize=1 << 14)
def ratio(numerator: int, denominator: int, scale: int | Fraction = 1) -> Fraction:
    """`numerator / denominator * scale`: the same few are drawn again and again."""
    return Fraction(numerator, denominator) * scale


__all__ = ["FREE", "PINNED", "Balls", "Draws", "Place", "argument", "fractions", "unit_vectors"]

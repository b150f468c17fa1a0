"""What a check varies: sizes, layouts, values, cotangents, data; each plan says what it is for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from random import Random
from typing import Any

import numpy as np

from gradproof.numeric.checking.layouts import COTANGENT_LAYOUTS, INPUT_LAYOUTS
from gradproof.numeric.checking.plans import Plan, Settings
from gradproof.numeric.checking.points import FREE, PINNED, Place, as_array, fractions, ratio
from gradproof.numeric.checking.specification import InputAxes, shape_of
from gradproof.numeric.checking.targets import Example, Target
from gradproof.numeric.exact.duals import Array, Shape
from gradproof.numeric.exact.towers import draw_below

MAX_ENTRIES = 600
"""Inputs of a trial have at most so many entries together, where sizes are varied."""
SIZES = (1, 2, 3, 9)
"""Sizes that each axis is given in turn; the last is past the width of a vector register."""

LEADING = "the added axis"
"""The name of a leading axis that an input is given beside its own."""

FINER = 64
"""Into how many parts the unit of drawn numbers is divided where two would be equal."""

KINKED = ("real", "positive", "unit")
"""The domains in which entries are tied to others or to constants."""

OTHER = Fraction(5, 4)
"""A number at which nothing happens but that all entries of an input may be equal."""

ALONE = 8
"""So many inputs whose example is positive are made negative alone."""

NEIGHBOURS = 16
"""Between how many constants numbers are put."""

SCALES = {"like the example": 1, "large": 4096, "small": Fraction(1, 256), "huge": 10**9}


def draw_reals(domain: str, shape: Shape, scale: int | Fraction, sign: int, random: Random) -> Array:
    """Fractions in a domain; `sign` 1 or -1 makes all of them positive or negative where the domain
    allows.
    """
    count = prod(shape)
    if domain == "mask":
        drawn = [ratio(number, 1) for number in draw_below(2, count, random)]
    elif domain in ("unit", "simplex"):
        drawn = [ratio(1 + number, 128) for number in draw_below(126, count, random)]
    else:
        sizes = _apart([3 + size for size in draw_below(157, count, random)], random)
        sign = 1 if domain == "positive" else sign
        signs = [int(sign < 0)] * count if sign else draw_below(2, count, random)
        drawn = [ratio(-size if s else size, 64 * FINER, scale) for size, s in zip(sizes, signs, strict=True)]
    result = as_array(drawn, shape)
    if domain == "simplex" and shape and shape[-1]:
        result = result / result.sum(axis=-1, keepdims=True)
    return result


def _apart(sizes: Iterable[int], random: Random) -> Iterator[int]:
    """The sizes in a finer unit, those that came before moved by less than the old one: of numbers that are
    equal by chance it cannot be told which is the largest.
    """
    drawn: set[int] = set()
    for size in sizes:
        moved = size * FINER
        for _ in range(FINER):
            if moved not in drawn:
                break
            moved = size * FINER + random.randrange(1, FINER)
        drawn.add(moved)
        yield moved


def place_of(
    target: Target, k: int, sizes: Mapping[str, int], random: Random,
    scale: int | Fraction = 1, sign: int = 0, data: str = "random", wider: str | None = None,
) -> Place:  # fmt: skip
    """Numbers or data for input `k` at given sizes."""
    example, axes = target.examples[k], target.axes[k]
    if not example.is_number and not example.is_data:
        return Place(data=example.value)
    shape = shape_of(axes, sizes)
    if example.is_data:
        return Place(data=example.of_data(draw_data(example, axes, sizes, shape, data, random)))
    domain = axes.domain or example.domain
    if domain == "positive" and wider is not None and not axes.domain:
        domain = wider
    reals = draw_reals(domain, shape, scale, sign, random)
    ties = np.full(shape, PINNED, dtype=int) if domain == "mask" else None
    return Place(reals, ties, domain, dtype=example.dtype, wanted=example.wanted)


def draw_data(
    example: Example, axes: InputAxes, sizes: Mapping[str, int], shape: Shape, how: str, random: Random
) -> Array:
    """Integers within the bound of the axes, or within the range of the example; booleans."""
    array = example.array
    if array.dtype.kind == "b":
        fixed = {"lowest": False, "highest": True}
        return np.array(
            [fixed.get(how, random.random() < 0.6) for _ in range(prod(shape))], dtype=bool
        ).reshape(shape)
    if axes.bound is not None:
        low, high = 0, (axes.bound if isinstance(axes.bound, int) else sizes[axes.bound]) - 1
    else:
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if shape == array.shape and how == "random" and axes.bound is None:
        return array
    if how.lstrip("-").isdigit():
        pool = [
            int(how),
            int(how),
            *(array.reshape(-1).tolist() if axes.bound is None else range(low, high + 1)),
        ]
        drawn = [random.choice(pool) for _ in range(prod(shape))]
        others = [number for number in pool if number != int(how)]
        spots = random.sample(range(len(drawn)), len(drawn))
        for spot, number in zip(spots, (int(how), *others[:1]), strict=False):  # one of each, at least
            drawn[spot] = number
        return np.array(drawn, dtype=array.dtype).reshape(shape)
    if how == "repeated":
        value = random.randint(low, max(low, high))
        return np.full(shape, value, dtype=array.dtype)
    pick = {"lowest": lambda: low, "highest": lambda: high}.get(
        how, lambda: random.randint(low, max(low, high))
    )
    return np.array([pick() for _ in range(prod(shape))], dtype=array.dtype).reshape(shape)


def has_strangers(example: Example, axes: InputAxes, data: Any) -> bool:
    """Whether data holds a number below 0 and those of the example, or above those, and nothing bounds it."""
    drawn, known = np.asarray(data), np.asarray(example.array)
    if not drawn.size or not known.size or drawn.dtype == bool:
        return False
    return bool(drawn.min() < min(0, known.min()) or (axes.bound is None and drawn.max() > known.max()))


SETTINGS = {
    "positive": (0.125, 1.0, 2.5),
    "unit": (0.125, 0.5, 0.875),
    "mask": (0.0, 1.0),
}
"""Values of hyper-parameters, by their domain."""
SIGNED = {0: "", 1: ", all inputs positive", -1: ", all inputs negative"}
REAL_SETTINGS = (-1.5, 0.0, 0.5, 1.0, 3.0)


def settings_of(example: Example, axes: InputAxes) -> tuple[bool | int | float, ...]:
    """Values that a hyper-parameter may have: of its own type, within the domain or below the bound."""
    if isinstance(example.value, bool):
        return (False, True)
    if isinstance(example.value, int):
        return tuple(range(axes.bound)) if isinstance(axes.bound, int) else (1, 2, 3)
    return SETTINGS.get(axes.domain, REAL_SETTINGS)


@dataclass(frozen=True)
class Maker:
    """Makes plans for a target."""

    target: Target
    seed: int

    def plan(
        self, name: str, kind: str, sizes: Mapping[str, int] | None = None, scale: int | Fraction = 1,
        sign: int = 0,
        data: str = "random", cotangent: str = "signed", cotangent_layout: str = "", layout: str = "",
        domain: str | None = None,
    ) -> Plan:  # fmt: skip
        random = Random(f"{self.seed}/{name}")
        where = self.target.sizes if sizes is None else sizes
        places = [
            place_of(self.target, k, where, random, scale, sign, data, domain)
            for k in range(len(self.target.examples))
        ]
        if layout:
            places = [
                replace(p, layout=layout) if p.reals is not None and p.reals.ndim else p for p in places
            ]
        return Plan(
            name, tuple(places), cotangent, cotangent_layout, self.seed, kind, axes=tuple(where.items())
        )

    def example(self) -> Plan:
        """The inputs that the caller gave."""
        places: list[Place] = []
        for example, axes in zip(self.target.examples, self.target.axes, strict=True):
            if not example.is_number:
                places.append(Place(data=example.value))
                continue
            domain = axes.domain or example.domain
            reals = fractions(example.array)
            ties = np.full(reals.shape, PINNED, dtype=int) if domain == "mask" else None
            places.append(Place(reals, ties, domain, dtype=example.dtype, wanted=example.wanted))
        axes = tuple(self.target.sizes.items())
        return Plan("the example", tuple(places), seed=self.seed, kind="point", axes=axes)

    def sizes(self) -> Iterator[Plan]:
        """Each axis at each of a few sizes, all of them at 1, and each of them empty."""
        base = dict(self.target.sizes)
        if base:
            yield self.plan("all axes of size 1", "sizes", dict.fromkeys(base, 1))
        for axis in base:
            for size in SIZES:
                changed = {**base, axis: size}
                if size != base[axis] and self._entries(changed) <= MAX_ENTRIES:
                    yield self.plan(_resized(axis, size), "sizes", changed)
        small = {axis: min(size, 2) for axis, size in base.items()}
        for axis in base:
            yield self.plan(_resized(axis, 0), "empty", {**small, axis: 0})

    def ranks(self) -> Iterator[Plan]:
        """A leading axis more, or one fewer, where no specification says how many there are.

        It is that of the inputs with the most axes: the others are shared, as weights are by a batch.
        """
        if self.target.specified:
            return
        examples, axes = self.target.examples, self.target.axes
        free = [
            k for k, e in enumerate(examples) if not e.fixed and (e.is_number or e.is_data) and axes[k].axes
        ]
        if not free:
            return
        most = max(len(axes[k].axes) for k in free)
        widest = [k for k in free if len(axes[k].axes) == most]
        names = " and ".join(examples[k].name for k in widest)
        yield self._of_other_rank(widest, 1, f"{names} with one axis more", "ranks")
        yield self._of_other_rank(widest, -1, f"{names} with one axis fewer", "fewer")

    def _of_other_rank(self, changed: list[int], change: int, name: str, kind: str) -> Plan:
        axes = list(self.target.axes)
        for k in changed:
            own = axes[k].axes
            axes[k] = replace(axes[k], axes=(LEADING, *own) if change > 0 else own[1:])
        sizes = {**self.target.sizes, LEADING: 2}
        return Maker(replace(self.target, axes=tuple(axes)), self.seed).plan(name, kind, sizes)

    def _entries(self, sizes: Mapping[str, int]) -> int:
        """How many entries the inputs have; parameters, which keep their shape, do not count."""
        pairs = zip(self.target.examples, self.target.axes, strict=True)
        return sum(prod(shape_of(axes, sizes)) for example, axes in pairs if not example.fixed)

    def values(self) -> Iterator[Plan]:
        """Numbers of one sign and of other magnitudes."""
        yield self.plan("random numbers", "values")
        yield replace(self.plan("other random numbers", "values"), seed=self.seed + 1)
        yield from self._beyond_positive()
        for sign, word in ((1, "positive"), (-1, "negative")):
            yield self.plan(f"all inputs {word}", "values", sign=sign)
        for word, scale in SCALES.items():
            if scale != 1:
                yield self.plan(f"{word} numbers", "values", scale=scale)

    def _beyond_positive(self) -> Iterator[Plan]:
        """Negative numbers for inputs whose example is positive, though nobody said that they are: for each
        of them alone, and of both signs.
        """
        examples, axes = self.target.examples, self.target.axes
        positive = [k for k, e in enumerate(examples) if e.is_number and e.domain == "positive"]
        guessed = [k for k in positive if not axes[k].domain]
        for k in guessed[:ALONE]:
            plan = self.plan(f"{examples[k].name} negative", "values")
            place = plan.places[k]
            assert place.reals is not None
            places = list(plan.places)
            places[k] = replace(place, reals=np.asarray(-place.reals, dtype=object), domain="real")
            yield replace(plan, places=tuple(places))
        if guessed:
            yield self.plan("numbers of both signs", "values", domain="real")

    def data(self, constants: Iterable[int] = ()) -> Iterator[Plan]:
        """Integers that are repeated or extreme, masks that are empty or full."""
        if any(example.is_data for example in self.target.examples):
            for how in ("repeated", "lowest", "highest", "random again"):
                yield self.plan(f"{how} data", "data", data=how)
            for constant in sorted(constants):
                yield self.plan(f"data with {constant}", "data", data=str(constant))

    def settings(self, sign: int = 0) -> Iterator[Plan]:
        """Other values of each hyper-parameter that a specification names, at inputs of a sign or of both."""
        for k in self.target.settings:
            example = self.target.examples[k]
            for value in settings_of(example, self.target.axes[k]):
                if value == example.value:
                    continue
                name = f"{example.name} = {value}{SIGNED[sign]}"
                yield replace(self.set_to(((k, value),), self.plan(name, "data", sign=sign)), name=name)

    def set_to(self, settings: Settings, plan: Plan, kind: str = "data") -> Plan:
        """A plan with other hyper-parameters."""
        values = dict(settings)
        places = [replace(p, data=values[k]) if k in values else p for k, p in enumerate(plan.places)]
        words = ", ".join(f"{self.target.examples[k].name} = {value}" for k, value in settings)
        name = f"{words}: {plan.name}"
        return replace(plan, name=name, kind=kind, places=tuple(places), settings=settings)

    def zeros_of_settings(self) -> Iterator[Plan]:
        """One entry at 0, for each other value of each hyper-parameter."""
        base = self.plan("kinks", "kink")
        for k in self.target.settings:
            for value in settings_of(self.target.examples[k], self.target.axes[k]):
                if value == self.target.examples[k].value:
                    continue
                for j, place in enumerate(base.places):
                    if place.reals is not None and place.reals.size and place.domain in KINKED:
                        spot = tuple(n // 2 for n in place.reals.shape)
                        at_zero = _pinned(base, j, [spot], Fraction(0))
                        yield self.set_to(((k, value),), at_zero, at_zero.kind)

    def layouts(self) -> Iterator[Plan]:
        """Inputs and cotangents that are not contiguous, and cotangents of one sign or 0."""
        for layout in INPUT_LAYOUTS:
            yield self.plan(f"inputs {layout}", "layout", layout=layout)
        for layout in COTANGENT_LAYOUTS:
            yield self.plan(f"cotangent {layout}", "layout", cotangent_layout=layout)
        for layout in [name for name in INPUT_LAYOUTS if name in COTANGENT_LAYOUTS]:
            yield self.plan(f"all {layout}", "layout", layout=layout, cotangent_layout=layout)
        yield replace(self.plan("the backward run twice", "twice"), twice=True)
        yield replace(self.plan("a backward that can be derived again", "graph"), graph=True)
        for sign in ("positive", "negative", "large", "tiny", "0"):
            yield self.plan(f"cotangent {sign}", "cotangent", cotangent=sign)

    def cotangents(self, constants: Iterable[Fraction]) -> Iterator[Plan]:
        """Cotangents with zeros (each entry is 0 in one where its neighbours are not), with one entry, or
        with sums of 0, and those that are one number throughout: 1, and the constants that numbers are
        compared with.
        """
        yield self.plan("cotangent with zeros", "cotangent", cotangent="sparse")
        yield self.plan("cotangent with every other entry 0", "cotangent", cotangent="even zeros")
        yield self.plan("cotangent with the others 0", "cotangent", cotangent="odd zeros")
        yield self.plan("cotangent with one entry", "cotangent", cotangent="single")
        yield self.plan("cotangent with sums of 0", "cotangent", cotangent="centered")
        for constant in sorted({Fraction(1), *constants}):
            yield self.plan(f"cotangent {constant} throughout", "cotangent", cotangent=str(constant))

    def asked(self) -> Iterator[Plan]:
        """Each gradient asked for by itself, as where the other inputs are frozen."""
        wanted = [k for k, example in enumerate(self.target.examples) if example.is_number and example.wanted]
        if 1 < len(wanted) <= 8:
            for k in wanted:
                plan = self.plan(f"only the gradient of {self.target.examples[k].name}", "asked")
                places = [replace(p, asked=j == k) for j, p in enumerate(plan.places)]
                yield replace(plan, places=tuple(places))

    def kinks(self, constants: frozenset[Fraction]) -> Iterator[Plan]:
        """One entry where something may happen: at 0, at a constant that is compared with, equal to
        another entry.
        """
        base = self.plan("kinks", "kink")
        for k, place in enumerate(base.places):
            if (
                place.reals is not None
                and place.domain == "simplex"
                and place.shape[-1] > 1
                and place.reals.size
            ):
                yield _pinned(base, k, [(0,) * len(place.shape)], Fraction(0))
            if place.reals is None or not place.reals.size or place.domain not in KINKED:
                continue
            if self.target.examples[k].fixed:  # a parameter: all of it at 0 is enough
                continue
            spot = _center(place)
            others = [
                j for j, p in enumerate(base.places)
                if j != k and number_of(p) and p.domain in KINKED and not self.target.examples[j].fixed
            ]  # fmt: skip
            for number in sorted({Fraction(0), *constants}, key=lambda c: (abs(c), c)):
                yield _pinned(_beside(base, others, 1) if number == 0 else base, k, [spot], number)
            if any(base.places[j].domain == "real" for j in others):
                pinned = _pinned(_beside(base, others, -1), k, [spot], Fraction(0))
                yield replace(pinned, name=f"{pinned.name}, the others negative there")
            if number_of(place) > 1:
                other = (*spot[:-1], 0 if spot[-1] else 1)
                if other[-1] < place.reals.shape[-1]:
                    yield _tied(base, k, other, k, spot)
                    yield _tied(base, k, other, k, spot, max(place.reals.flat) + 1)
                    yield _tied(base, k, other, k, spot, min(place.reals.flat) - 1)
            for j in range(k):
                twin = base.places[j]
                if twin.reals is not None and twin.reals.shape == place.reals.shape and twin.domain in KINKED:
                    yield _tied(base, j, spot, k, spot)
        for k, place in enumerate(base.places):
            if place.reals is not None and place.reals.size > 1 and place.domain in KINKED:
                for number in (Fraction(0), OTHER, *sorted(constants - {0, OTHER})):
                    yield _pinned(base, k, list(np.ndindex(place.reals.shape)), number, "kinks")

    def between(self, constants: Iterable[Fraction]) -> Iterator[Plan]:
        """Numbers between neighbours among the constants that are compared with: more than one of these may
        tell regions apart.
        """
        nearest = sorted({*constants, *(-c for c in constants), Fraction(0)}, key=abs)[:NEIGHBOURS]
        for low, high in itertools.pairwise(sorted(nearest)):
            plan = self.plan(f"between {low} and {high}", "values")
            places = [
                p
                if p.reals is None or p.domain not in KINKED
                else replace(p, reals=_between(p.reals, low, high))
                for p in plan.places
            ]
            yield replace(plan, places=tuple(places))

    def far(self, constants: Iterable[Fraction]) -> Iterator[Plan]:
        """Points of many magnitudes and signs, each input for itself: to reach rare sides of comparisons."""
        scales = sorted({Fraction(1), *(abs(c) for c in constants if c), Fraction(1, 64), Fraction(100)})
        for attempt in itertools.count():
            random = Random(f"{self.seed}/far/{attempt}")
            base = dict(self.target.sizes)
            sizes = (base, base, dict.fromkeys(base, 1), {axis: random.choice(SIZES) for axis in base})[
                attempt % 4
            ]
            if self._entries(sizes) > MAX_ENTRIES:
                sizes = base
            yield self._anywhere(f"rare side {attempt}", sizes, scales, random)

    def at_sizes(self, sizes: Mapping[str, int], constants: Iterable[Fraction]) -> Iterator[Plan]:
        """Points of all signs and magnitudes at given sizes."""
        name = ", ".join(_resized(axis, size) for axis, size in sizes.items())
        for sign, word in ((1, "positive"), (-1, "negative")):
            yield self.plan(f"{name}: all inputs {word}", "sizes", sizes, sign=sign)
        scales = sorted({Fraction(1), *(abs(c) for c in constants if c)})
        for attempt in itertools.count():
            random = Random(f"{self.seed}/{name}/{attempt}")
            yield self._anywhere(f"{name}: rare side {attempt}", sizes, scales, random)

    def _anywhere(
        self, name: str, sizes: Mapping[str, int], scales: Sequence[Fraction], random: Random
    ) -> Plan:
        """Numbers of a random magnitude and sign, of each input for itself; now and then of each entry."""
        places = [
            place_of(
                self.target, k, sizes, random, random.choice(scales) * random.choice((1, 1, 3)),
                random.choice((-1, 0, 1)),
            )
            for k in range(len(self.target.examples))
        ]  # fmt: skip
        if random.randrange(4) == 0:
            places = [_of_all_magnitudes(place, scales, random) for place in places]
        kind = "values" if dict(sizes) == dict(self.target.sizes) else "sizes"
        return Plan(name, tuple(places), seed=self.seed, kind=kind, axes=tuple(sizes.items()))


def _of_all_magnitudes(place: Place, scales: Sequence[Fraction], random: Random) -> Place:
    if place.reals is None or place.domain not in ("real", "positive") or place.ties is not None:
        return place
    largest = max((abs(number) for number in place.reals.reshape(-1)), default=0) or 1
    factors = [random.choice(scales) * 3 / largest for _ in range(place.reals.size)]
    spread = place.reals * np.array(factors, dtype=object).reshape(place.reals.shape)
    return replace(place, reals=np.asarray(spread, dtype=object))


def redrawn(plan: Plan, attempt: int) -> Plan:
    """The same plan with other numbers of the same signs and order of magnitude, but for those that were
    chosen.
    """
    random = Random(f"{plan.seed}/{plan.name}/{attempt}")
    places: list[Place] = []
    for place in plan.places:
        if place.reals is None or place.domain not in KINKED:
            places.append(place)
            continue
        factors = np.array(
            [Fraction(random.randrange(513, 1024, 2), 1024) for _ in range(place.reals.size)], dtype=object
        )  # odd parts: hardly any product is a whole number
        moved = place.reals * factors.reshape(place.reals.shape)
        places.append(replace(place, reals=np.where(_ties_of(place) == FREE, moved, place.reals)))
    return replace(plan, places=tuple(places))


def _between(reals: Array, low: Fraction, high: Fraction) -> Array:
    """Numbers strictly between two others, in the order of the entries; every other entry stays as it is."""
    result = reals.copy()
    for k, position in enumerate(np.ndindex(reals.shape)):
        if k % 2 == 0:
            result[position] = low + (high - low) * Fraction(k + 1, 2 * reals.size + 2)
    return result


def number_of(place: Place) -> int:
    """How many entries a place has."""
    return 0 if place.reals is None else int(place.reals.size)


def _resized(axis: str, size: int) -> str:
    return f"{axis} at {size}"


def _with(plan: Plan, k: int, reals: Array, ties: Array, name: str) -> Plan:
    places = list(plan.places)
    places[k] = replace(places[k], reals=reals, ties=ties)
    return replace(plan, name=name, places=tuple(places))


def _ties_of(place: Place) -> Array:
    return np.full(place.shape, FREE, dtype=int) if place.ties is None else place.ties.copy()


def _pinned(plan: Plan, k: int, spots: list[Shape], number: Fraction, kind: str = "kink") -> Plan:
    place = plan.places[k]
    assert place.reals is not None
    reals, ties = place.reals.copy(), _ties_of(place)
    for spot in spots:
        reals[spot], ties[spot] = number, PINNED
    if place.domain == "simplex":
        reals = reals / reals.sum(axis=-1, keepdims=True)
    which = "all entries" if len(spots) == reals.size and reals.size > 1 else "an entry"
    return replace(_with(plan, k, reals, ties, f"{which} of input {k} at {number}"), kind=kind)


def _center(place: Place) -> Shape:
    """The entry of a place that is pinned."""
    return tuple(n // 2 for n in place.shape)


def _beside(plan: Plan, others: Sequence[int], sign: int) -> Plan:
    """Numbers of other inputs beside one that is pinned at 0, of a sign where the domain allows and at least
    1 in size: `x^y` at x = 0 has derivatives there.
    """
    places = list(plan.places)
    for j in others:
        reals, spot = places[j].reals, _center(places[j])
        assert reals is not None
        if places[j].domain == "unit":
            continue
        reals = reals.copy()
        size = abs(reals[spot]) + (abs(reals[spot]) < 1)
        reals[spot] = -size if sign < 0 and places[j].domain == "real" else size
        places[j] = replace(places[j], reals=reals)
    return replace(plan, places=tuple(places))


def _tied(plan: Plan, j: int, first: Shape, k: int, second: Shape, number: Fraction | None = None) -> Plan:
    """Two entries that are equal; with `number`, both are that number, which may be the largest or the
    smallest.
    """
    source, target = plan.places[j], plan.places[k]
    assert source.reals is not None and target.reals is not None
    reals, ties = target.reals.copy(), _ties_of(target)
    reals[second], ties[second] = source.reals[first], 1
    if j == k:
        ties[first] = 1
        if number is not None:
            if target.domain in ("positive", "unit"):
                number = max(target.reals.flat) if number > 0 else min(target.reals.flat)
            reals[first] = reals[second] = number
        where = "" if number is None else f", both {number}"
        return _with(plan, k, reals, ties, f"two equal entries of input {k}{where}")
    tied = _with(plan, k, reals, ties, f"equal entries of inputs {j} and {k}")
    other = _ties_of(source)
    other[first] = 1
    return _with(tied, j, source.reals, other, tied.name)

"""The simplest inputs that still show a difference: small sizes, small integers, confirmed in balls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

import numpy as np

from gradproof.numeric.checking.examination import PRECISION, Examination, examine
from gradproof.numeric.checking.kinks import NOT_CONCLUSIVE
from gradproof.numeric.checking.points import PINNED, Place
from gradproof.numeric.checking.replay import is_finite_for_real
from gradproof.numeric.checking.trials import Pair, Plan, Runner
from gradproof.numeric.exact.duals import Array, Shape

TRIES = 10
HIGH_PRECISION = 2048
"""Bits of the balls where a difference vanishes exponentially."""
SHRINKS = 40
"""How many simpler points are tried at most."""


@dataclass(frozen=True)
class Found:
    """A point at which a claim is wrong for certain: the plan, the cotangent, and the gradients there."""

    plan: Plan
    cotangent: Place
    examination: Examination
    spot: Shape


def find_witness(runner: Runner, plan: Plan, pair: Pair) -> Found | None:
    """Look for a point near a plan at which the claim for a pair is wrong; simplify it."""
    for candidate in _candidates(plan):
        found = confirm(runner, candidate, pair, None)
        if found is not None:
            return _shrink(runner, found, pair)
    for candidate in _nearer_to_zero(plan):  # where a difference vanishes exponentially
        for bits in (PRECISION, HIGH_PRECISION):
            found = confirm(runner, candidate, pair, None, bits)
            if found is not None:
                return found
    return None


def confirm(
    runner: Runner, plan: Plan, pair: Pair, cotangent: Place | None, bits: int = PRECISION
) -> Found | None:
    """The point as a witness, if its forward meets no equal numbers and an entry differs for certain."""
    try:
        seen = examine(runner, plan, pair, cotangent, bits=bits)
        spots = seen.separated()
        if not spots or (seen.ties and getattr(runner.program, "declared", None) is None):
            return None
        if not _stands(runner, plan, pair, cotangent, seen, spots[0], 2 * bits):
            return None
    except (*NOT_CONCLUSIVE, ZeroDivisionError, ValueError):
        return None
    return Found(plan, seen.cotangent, seen, spots[0])


def _stands(
    runner: Runner, plan: Plan, pair: Pair, cotangent: Place | None, seen: Examination, spot: Shape, bits: int
) -> bool:
    """The difference is still there at a higher precision."""
    again = examine(runner, plan, pair, cotangent, bits=bits)
    if seen.claimed[spot].is_finite():
        return spot in again.separated() and bool(again.claimed[spot].overlaps(seen.claimed[spot]))
    return spot in again.separated() and not (
        pair.first == -1
        and is_finite_for_real(runner.program, plan, pair.output, pair.wrt, seen.cotangent, spot)
    )


def _candidates(plan: Plan) -> Iterator[Plan]:
    """Points of small integers, then of halves, then the plan's own, and one of odd denominators."""
    for attempt in range(TRIES):
        random = Random(f"{plan.seed}/{plan.name}/simple/{attempt}")
        places = [_simple(place, random, 1 if attempt < TRIES // 2 else 2) for place in plan.places]
        yield replace(plan, places=tuple(places))
    yield plan
    yield _scaled(plan, Fraction(997, 1009))


def _nearer_to_zero(plan: Plan) -> Iterator[Plan]:
    for power in (4, 8, 12):
        yield _scaled(plan, Fraction(1, 2**power))


def _scaled(plan: Plan, factor: Fraction) -> Plan:
    return replace(plan, places=tuple(_scale_place(place, factor) for place in plan.places))


def _scale_place(place: Place, factor: Fraction) -> Place:
    """The place with other numbers, if all of them are free to be others."""
    pinned = place.ties is not None and np.any(place.ties >= PINNED)
    if place.reals is None or place.domain in ("simplex", "mask", "unit") or pinned:
        return place
    return replace(place, reals=np.asarray(place.reals * factor, dtype=object))


def _simple(place: Place, random: Random, denominator: int) -> Place:
    """Small numbers of the same signs and order of magnitude as those of a place."""
    if place.reals is None or place.domain in ("simplex", "mask") or not place.reals.size:
        return place
    largest = max(abs(number) for number in place.reals.reshape(-1))
    if largest > 64 or place.domain == "unit" or (place.ties is not None and np.any(place.ties >= PINNED)):
        return place
    result = np.empty(place.reals.shape, dtype=object)
    for position in np.ndindex(result.shape):
        sign = 1 if place.reals[position] > 0 else -1
        result[position] = sign * Fraction(random.randrange(1, 4 * denominator), denominator)
    return replace(place, reals=result)


def _shrink(runner: Runner, found: Found, pair: Pair) -> Found:
    """Make numbers of a witness 0 or 1, one after the other, as long as it remains one."""
    count = 0
    for part in range(-1, len(found.plan.places)):
        place = found.cotangent if part < 0 else found.plan.places[part]
        if place.reals is None or place.domain != "real" or place.reals.size > 24:
            continue
        for position in np.ndindex(place.reals.shape):
            for number in (Fraction(0), Fraction(1)):
                count += 1
                if count > SHRINKS:
                    return found
                current = found.cotangent if part < 0 else found.plan.places[part]
                assert current.reals is not None
                if current.reals[position] == number or (current.reals[position] == 0):
                    break
                smaller = _try(runner, found, pair, part, _changed(current, position, number))
                if smaller is not None:
                    found = smaller
                    break
    return found


def _changed(place: Place, position: Shape, number: Fraction) -> Place:
    assert place.reals is not None
    reals: Array = place.reals.copy()
    reals[position] = number
    return replace(place, reals=reals)


def _try(runner: Runner, found: Found, pair: Pair, part: int, place: Place) -> Found | None:
    if part < 0:
        if place.reals is not None and not place.reals.any():
            return None
        return confirm(runner, found.plan, pair, place)
    places = list(found.plan.places)
    places[part] = place
    return confirm(runner, replace(found.plan, places=tuple(places)), pair, found.cotangent)

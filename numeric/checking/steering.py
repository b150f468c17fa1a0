"""Moving a point to a side of a comparison that was not met: by how far the numbers compared are apart
there, and how the inputs move them (Newton's method, for many comparisons at once).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from random import Random

import numpy as np

from gradproof.numeric.checking.points import MOVABLE, Place
from gradproof.numeric.checking.trials import Plan, Runner, movable_entries
from gradproof.numeric.exact.branches import Branches, Entries, Gap, Site
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.programs import BackwardError, ForwardError
from gradproof.numeric.exact.reals import RoundedAwayError
from gradproof.numeric.exact.values import AmbiguousError, UndecidableError

Missing = Mapping[Site, Entries]
FAILED = (AmbiguousError, UndecidableError, RoundedAwayError, ForwardError, BackwardError)
"""What ends a run without an answer."""
MAX_MOVED = 512
"""Points with more entries are not moved."""
MAX_AIMS = 96
"""For so many entries of comparisons at once another side is aimed at."""
STEPS = 4
"""How often a point is moved until it is given up."""
OVERSHOOTS = (0.5, 1e-3, 1e-6)
"""How far beyond a threshold a point is moved, relative to its distance."""
ONTO = 0.0
"""Moves a point onto a threshold, and then to its sides."""
SCALES = (Fraction(1, 2), Fraction(2))
"""By what the numbers of a point on a threshold are multiplied: a norm that is small enough is not 0."""


@dataclass(frozen=True)
class Aim:
    """One entry of a comparison: its difference now, how the inputs move it, and what it is to be."""

    difference: float
    slopes: Array
    target: float


def steer(runner: Runner, plan: Plan, missing: Missing, random: Random, overshoot: float) -> Plan | None:
    """A point near that of a plan with outcomes that are missing; None where none is found."""
    if not 0 < movable_entries(plan) <= MAX_MOVED:
        return None
    some = None if random.random() < 0.5 else random.randrange(1, 4)
    for _ in range(STEPS):
        try:
            looked = _look(runner, plan, missing)
        except FAILED:
            return None
        if meets(looked, missing):
            return plan
        aims = _aims(looked.gaps, movable_entries(plan), random, overshoot)
        if not aims:
            return None
        moved = _moved(plan, aims if some is None else random.sample(aims, min(some, len(aims))))
        if moved is None:
            return None
        plan = moved
    sides = [plan] if overshoot else [plan, *(_scaled(plan, scale) for scale in SCALES)]
    return next((side for side in sides if _meets_at(runner, side, missing)), None)


def _look(runner: Runner, plan: Plan, missing: Missing) -> Branches:
    try:
        return runner.look(plan, wanted=missing).branches
    except RoundedAwayError:  # floats overflow there
        return runner.look(plan, wanted=missing, precise=True).branches


def _scaled(plan: Plan, scale: Fraction) -> Plan:
    def scaled(place: Place) -> Place:
        if place.reals is None or place.domain not in ("real", "positive"):
            return place
        return replace(place, reals=np.asarray(place.reals * scale, dtype=object))

    return replace(plan, places=tuple(map(scaled, plan.places)))


def meets(found: Branches, missing: Missing) -> bool:
    """Whether a run met an outcome that is missing."""
    for site, entries in missing.items():
        sides = found.sides.get(site)
        for outcome, where in entries.items():
            if sides is None or outcome not in sides.met:
                continue
            met = sides.met[outcome]
            if np.any(met & where) if met.shape == where.shape else met.any():
                return True
    return False


def _meets_at(runner: Runner, plan: Plan, missing: Missing) -> bool:
    try:
        return meets(runner.look(plan).branches, missing)
    except FAILED:
        return False


def _aims(gaps: Sequence[Gap], count: int, random: Random, overshoot: float) -> list[Aim]:
    """What is to change: for each entry of each comparison one of the outcomes that are missing."""
    found: dict[tuple[Site, int], list[Aim]] = {}
    for gap in gaps:
        sign = -1.0 if gap.outcome is False or gap.outcome == -1 else 1.0
        tangent = gap.difference.real.tangent
        if tangent is None or len(tangent) != count:  # not moved by the inputs, or by something else
            continue
        differences = np.asarray(gap.difference.reals, dtype=np.float64).reshape(-1)
        slopes = tangent.reshape(tangent.shape[0], -1).astype(np.float64)
        if gap.entries is None or gap.entries.shape != gap.difference.shape:
            spots = [int(np.argmax(sign * differences))] if differences.size else []
        else:
            spots = [int(k) for k in np.flatnonzero(gap.entries)]
        for spot in spots:
            own = slopes[:, spot]
            d = float(differences[spot])
            if not np.isfinite(d) or not np.all(np.isfinite(own)) or not np.any(own):
                continue
            beyond = sign * _beyond(abs(d), overshoot, gap.threshold)
            found.setdefault((gap.site, spot), []).append(Aim(d, own, beyond))
    aims = [random.choice(several) for several in found.values()]
    random.shuffle(aims)
    return aims[:MAX_AIMS]


def _beyond(distance: float, overshoot: float, threshold: float) -> float:
    """How far beyond a threshold: not so far that what is never negative would have to be, where small steps
    are asked for (a norm below 1e-12).
    """
    if not overshoot:
        return 0.0
    step = max(distance * overshoot, 1e-7)
    return min(step, threshold / 2) if threshold and overshoot < OVERSHOOTS[0] else step


def _moved(plan: Plan, aims: Sequence[Aim]) -> Plan | None:
    slopes = np.array([aim.slopes for aim in aims])
    wanted = np.array([aim.target - aim.difference for aim in aims])
    scale = np.abs(slopes).max(axis=1)
    step = np.linalg.lstsq(slopes / scale[:, None], wanted / scale, rcond=1e-10)[0]
    if not np.all(np.isfinite(step)) or not np.any(step):
        return None
    return moved_by(plan, step)


def moved_by(plan: Plan, step: Array, digits: int | None = 12) -> Plan:
    """The plan with its movable entries elsewhere, within their domains: to so many digits, or exactly."""
    places: list[Place] = []
    first = 0
    for place in plan.places:
        if place.reals is None or place.domain not in MOVABLE:
            places.append(place)
            continue
        own = step[first : first + place.reals.size].reshape(place.reals.shape)
        first += place.reals.size
        reals = place.reals.copy()
        for position in np.ndindex(reals.shape):
            if own[position]:
                reals[position] = stepped(
                    place.domain, Fraction(str(reals[position])), float(own[position]), digits
                )
        places.append(replace(place, reals=reals))
    return replace(plan, places=tuple(places))


def stepped(domain: str, number: Fraction, step: float, digits: int | None) -> Fraction:
    """A number of a domain a step further; where that is beyond all floats, the number itself."""
    if not isfinite(float(number) + step):
        return number
    new = number + Fraction(step) if digits is None else Fraction(float(f"{float(number) + step:.{digits}g}"))
    if domain in ("positive", "unit") and new <= 0:
        return number / 2
    return (number + 1) / 2 if domain == "unit" and new >= 1 else new

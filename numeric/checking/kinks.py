"""Points at which a forward meets equal numbers: the derivative is the limit from the open regions around.

A claimed gradient is accepted if it is a mean of those limits (an element of Clarke's generalized gradient,
which is their convex hull), and refuted where it is certainly none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
from flint import arb

from gradproof.numeric.checking.examination import Examination, examine
from gradproof.numeric.checking.points import Place
from gradproof.numeric.checking.replay import is_finite_for_real
from gradproof.numeric.checking.trials import Pair, Plan, Runner, Trial
from gradproof.numeric.exact.duals import Shape
from gradproof.numeric.exact.programs import BackwardError, ForwardError
from gradproof.numeric.exact.reals import RoundedAwayError
from gradproof.numeric.exact.values import AmbiguousError, UndecidableError

NOT_CONCLUSIVE = (AmbiguousError, UndecidableError, RoundedAwayError, ForwardError, BackwardError)
"""What makes a run beside a point say nothing."""
SIDES = 6
"""From how many sides a kink is looked at."""
NOTHING = 1e-25
"""What is shown as 0."""
MAX_WEIGHT = 1 << 16
"""Weights of a mean are fractions with at most this denominator."""


@dataclass(frozen=True)
class KinkOutcome:
    """`equal` (one limit, and it is claimed), `mean`, `outside` the hull, `no derivative`, or `unclear`."""

    kind: str
    spots: tuple[Shape, ...] = ()
    examination: Examination | None = None
    sides: tuple[Examination, ...] = ()


def judge_kink(runner: Runner, plan: Plan, trial: Trial, output: int) -> dict[Pair, KinkOutcome]:
    """Judge the claims for one output at a point where the forward met equal numbers: all inputs together."""
    pairs = [pair for pair in trial.outcomes if pair.output == output and pair.first == -1]
    if all(trial.outcomes[pair].kind != "undefined" for pair in pairs):
        formal = _formal_hull(runner, plan, trial, pairs)
        if formal is not None:
            return dict.fromkeys(pairs, KinkOutcome(formal))
    return _ball_hull(runner, plan, pairs)


def _formal_hull(runner: Runner, plan: Plan, trial: Trial, pairs: list[Pair]) -> str | None:
    """Over residues: the claim is the one limit, or a mean of two with the same weights for two
    independent draws.
    """
    first = _weight(runner, plan, trial, pairs, 0)
    if first is None or isinstance(first, str):
        return first
    second = _weight(runner, plan, runner.run_once(plan, 1), pairs, 1)
    return "mean" if first == second and 0 <= first <= 1 else None


def _weight(
    runner: Runner, plan: Plan, trial: Trial, pairs: list[Pair], attempt: int
) -> Fraction | str | None:
    """The weight of the first of two limits that gives the claims for all inputs, or `equal` if there is
    one limit.
    """
    outcomes = [trial.outcomes[pair] for pair in pairs]
    limits: list[tuple[int, ...]] = []
    primes = [0 for _ in pairs]
    for side in range(2 if trial.branches.forward_ties == 1 else SIDES):  # opposite sides of one tie are all
        try:
            found = runner.beside(plan, attempt, side).outcomes
        except NOT_CONCLUSIVE:
            return None
        beside = [found[pair] for pair in pairs]
        if any(a.prime and b.prime and a.prime != b.prime for a, b in zip(beside, outcomes, strict=True)):
            return None  # without a prime both numbers are 0, whatever it is
        primes = [p or a.prime or b.prime for p, a, b in zip(primes, beside, outcomes, strict=True)]
        lefts = tuple(outcome.left for outcome in beside)
        if lefts not in limits:
            limits.append(lefts)
        if len(limits) > 2:
            return None
    claims = tuple(outcome.right for outcome in outcomes)
    if len(limits) == 1:
        return "equal" if limits[0] == claims else None
    if len(limits) != 2:
        return None
    weights: set[Fraction | None] = set()
    for one, other, claim, p in zip(limits[0], limits[1], claims, primes, strict=True):
        if one == other:
            if claim != one:
                return None
            continue
        weights.add(_small_fraction((claim - other) * pow(one - other, -1, p) % p, p))
    return weights.pop() if len(weights) == 1 else None


def _small_fraction(residue: int, prime: int) -> Fraction | None:
    """The fraction with a small numerator and denominator that has this residue."""
    old, new, old_t, new_t = prime, residue, 0, 1
    while new > MAX_WEIGHT:
        quotient = old // new
        old, new = new, old - quotient * new
        old_t, new_t = new_t, old_t - quotient * new_t
    if not 0 < abs(new_t) <= MAX_WEIGHT:
        return None
    return Fraction(new, new_t)


def _ball_hull(runner: Runner, plan: Plan, pairs: list[Pair]) -> dict[Pair, KinkOutcome]:
    """In balls: outside of the hull for certain, or not told."""
    unclear = dict.fromkeys(pairs, KinkOutcome("unclear"))
    try:
        claims = {pair: examine(runner, plan, pair) for pair in pairs}
        sides = {pair: _limits(runner, plan, pair) for pair in pairs}
    except NOT_CONCLUSIVE:
        return unclear
    if not all(side.is_smooth() for seen in sides.values() for side in seen):
        return dict.fromkeys(pairs, KinkOutcome("no derivative"))
    one = {pair: _agree(seen) for pair, seen in sides.items()}
    if plan.kind == "kinks" and not all(one.values()):
        return unclear  # more sides than were looked at
    found = dict(unclear)
    for pair in pairs:
        spots = _outside_box(claims[pair], sides[pair])
        if spots and not _is_partial(runner, plan, pair, claims[pair], spots):
            found[pair] = KinkOutcome("outside", spots, claims[pair], sides[pair])
    if not any(outcome.kind == "outside" for outcome in found.values()):
        found.update(_off_segment(claims, sides))
    return found


def _is_partial(runner: Runner, plan: Plan, pair: Pair, claim: Examination, spots: Sequence[Shape]) -> bool:
    """Whether the claim is the derivative by its own input where the others stay: the function may jump with
    them.
    """
    own = [k for k, place in enumerate(plan.places) if place.reals is not None and place.wanted][pair.wrt]
    places = tuple(replace(place, moves=k == own) for k, place in enumerate(plan.places))
    try:
        sides = _limits(runner, replace(plan, places=places), pair)
    except NOT_CONCLUSIVE:
        return False
    claims: list[tuple[Any, Any]] = [(sides[0].true[spot], claim.claimed[spot]) for spot in spots]
    return _agree(sides) and all(own.is_finite() and true.overlaps(own) for true, own in claims)


def _limits(runner: Runner, plan: Plan, pair: Pair) -> tuple[Examination, ...]:
    return tuple(examine(runner, plan, pair, beside=side) for side in range(SIDES))


def _agree(sides: Sequence[Examination]) -> bool:
    first: Any = sides[0].true
    return all(first[spot].overlaps(side.true[spot]) for side in sides for spot in sides[0].looked_at())


def _outside_box(claim: Examination, sides: Sequence[Examination]) -> tuple[Shape, ...]:
    """The entries below or above all limits, or without a value where there is one limit."""
    spots: list[Shape] = []
    for spot in claim.looked_at():
        limits: list[Any] = [side.true[spot] for side in sides]
        claimed: Any = claim.claimed[spot]
        if not claimed.is_finite():
            if all(limits[0].overlaps(limit) for limit in limits):
                spots.append(spot)
        elif all(claimed < limit for limit in limits) or all(claimed > limit for limit in limits):
            spots.append(spot)
    return tuple(spots)


def _off_segment(
    claims: dict[Pair, Examination], sides: dict[Pair, tuple[Examination, ...]]
) -> dict[Pair, KinkOutcome]:
    """Two limits only, and the entries of the claim are means of them with different weights."""
    entries = [(pair, spot) for pair, claim in claims.items() for spot in claim.looked_at()]
    vectors: list[list[Any]] = [[sides[pair][k].true[spot] for pair, spot in entries] for k in range(SIDES)]
    ends = [vectors[0]]
    for vector in vectors[1:]:
        if not any(all(x.overlaps(y) for x, y in zip(vector, end, strict=True)) for end in ends):
            ends.append(vector)
    if len(ends) != 2:
        return {}
    weights: list[tuple[Pair, Shape, arb]] = []
    for (pair, spot), one, other in zip(entries, *ends, strict=True):
        claimed: Any = claims[pair].claimed[spot]
        if not claimed.is_finite():
            return {}
        if not one.overlaps(other):
            weights.append((pair, spot, (claimed - other) / (one - other)))
    for pair, spot, weight in weights:
        if not weight.overlaps(weights[0][2]):
            return {pair: KinkOutcome("outside", (spot,), claims[pair], sides[pair])}
    return {}


def limit_near(runner: Runner, plan: Plan, pair: Pair) -> KinkOutcome | None:
    """Where the forward's own derivative is 0 * inf: the limit of the gradients around, if there is one.

    The function is differentiable there; the outcome is `outside` if the claim has no value.
    """
    try:
        claim = examine(runner, plan, pair)
        near = tuple(
            examine(runner, _moved(plan, side, bits), pair, claim.cotangent, bits=8 * bits)
            for bits in (100, 150)
            for side in range(SIDES)
        )
    except NOT_CONCLUSIVE:
        return None
    if not all(side.is_smooth() for side in near):
        return None
    spots: list[Shape] = []
    for spot in claim.looked_at():
        limits: list[Any] = [side.true[spot] for side in near]
        if any(abs(limit - limits[0]) > arb(2) ** -40 * (1 + abs(limits[0])) for limit in limits):
            return None
        claimed: Any = claim.claimed[spot]
        if not claimed.is_finite() and not is_finite_for_real(
            runner.program, plan, pair.output, pair.wrt, claim.cotangent, spot
        ):
            spots.append(spot)
    return KinkOutcome("outside", tuple(spots), claim, near) if spots else None


def _moved(plan: Plan, side: int, bits: int) -> Plan:
    """A point 2^-bits beside that of a plan, within the domains: at their ends on the inner side."""
    random = Random(f"{plan.name}/{side}")
    places: list[Place] = []
    for place in plan.places:
        if place.reals is None or place.domain == "mask":
            places.append(place)
            continue
        moved = place.reals.copy()
        for position in np.ndindex(moved.shape):
            step = Fraction(random.randrange(64, 128), 2**bits * 128)
            inward = place.domain == "simplex" or (place.domain != "real" and moved[position] <= 0)
            outward = place.domain == "unit" and moved[position] >= 1
            moved[position] += step * (1 if inward else -1 if outward else random.choice((-1, 1)))
        if place.domain == "simplex":
            moved = moved / moved.sum(axis=-1, keepdims=True)
        places.append(replace(place, reals=moved))
    return replace(plan, places=tuple(places))


def hull_text(sides: Sequence[Examination], spot: Shape, digits: int = 15) -> str:
    """The range of the limits at an entry."""
    values = sorted((side.true[spot] for side in sides), key=lambda ball: float(ball.mid()))
    low, high = values[0], values[-1]
    if all(abs(value) < NOTHING for value in values):
        return "0"
    if low.overlaps(high) or low.str(digits, radius=False) == high.str(digits, radius=False):
        return low.str(digits, radius=False)
    return f"between {low.str(digits, radius=False)} and {high.str(digits, radius=False)}"


__all__ = ["KinkOutcome", "hull_text", "judge_kink"]

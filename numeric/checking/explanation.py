"""The evidence for a diagnosis of one output and one input: gradients at a generic point, and around it."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gradproof.numeric.checking.diagnosis import Evidence, Gradients, diagnose, gradients_of, is_same
from gradproof.numeric.checking.examination import PRECISION, Examination, examine
from gradproof.numeric.checking.kinks import NOT_CONCLUSIVE
from gradproof.numeric.checking.points import Place
from gradproof.numeric.checking.targets import Target
from gradproof.numeric.checking.trials import FORWARD, Pair, Plan, Runner, precision
from gradproof.numeric.exact.duals import Array

if TYPE_CHECKING:
    from gradproof.numeric.checking.checks import Findings

USUAL = ("values", "point")
PATIENCE = 1.5
"""Seconds of processor time that the search for a path may take."""
MAX_TURNED = 4
"""So many square inputs, the cotangent among them, are transposed in turn at most."""
MAX_FLIPS = 8
"""So many axes of inputs and of the cotangent are flipped in turn at most."""
MAX_SLICED = 4
"""Outputs of at most so many axes are looked at slice by slice."""
MAX_DIAGONAL = 16
"""Up to so many entries the diagonal of the Jacobian is looked at."""
FEW = 24
"""Entries of the inputs at which paths are looked for, at most, where such a plan is wrong too."""


def explain(
    target: Target, runner: Runner, findings: Findings, pair: Pair, bad: list[Plan], good: list[Plan],
    plan: Plan,
) -> str | None:  # fmt: skip
    """What is wrong with a pair, in words; `plan` is one at which it is."""
    usual = [p for p in bad if p.kind in USUAL and pair.wrt in p.asked]
    generic = min(usual, key=_magnitude) if usual else _wide(bad, plan, pair)
    good = [p for p in good if p.kind != "sizes" or not _is_thin(p) or _is_telling(runner, p, pair)]
    try:
        with precision(PRECISION):
            return diagnose(_evidence(target, runner, findings, pair, bad, good, generic))
    except NOT_CONCLUSIVE:
        return None


def _evidence(
    target: Target, runner: Runner, findings: Findings, pair: Pair, bad: list[Plan], good: list[Plan],
    generic: Plan,
) -> Evidence:  # fmt: skip
    seen = examine(runner, generic, pair)
    true, claimed = gradients_of(seen)
    return Evidence(
        true, claimed, seen.connected, 2 if pair.first >= 0 else 1, bad, good,
        _others(target, runner, generic, pair), _scaled(target, runner, generic, pair, seen.cotangent),
        _side(findings, pair), _is_narrow(bad[0], pair) if bad else False,
        overwritten=seen.overwritten, forwards=seen.forwards, forward_mode=pair.first == FORWARD,
        again=lambda: _again(runner, generic, bad, pair),
        diagonal=lambda: _diagonal(runner, generic, pair, seen),
        elsewhere=lambda: _elsewhere(runner, generic, (true, claimed), bad, pair),
        turned=lambda: _turned(runner, generic, pair, seen),
        slices=lambda: _slices(runner, generic, pair, seen),
        cuts=lambda detached: _path(runner, _small(bad, generic, pair), pair, detached),
    )  # fmt: skip


def _others(target: Target, runner: Runner, plan: Plan, pair: Pair) -> dict[str, Array]:
    """The true gradients by the other inputs with as many entries; in forward mode their tangents."""
    if pair.first not in (-1, FORWARD):
        return {}
    sizes = [place.reals.size for place in plan.places if place.reals is not None and place.wanted]
    return {
        e.name: gradients_of(examine(runner, plan, replace(pair, wrt=i)))[0]
        for i, e in enumerate(target.wanted)
        if sizes[i] == sizes[pair.wrt] and i != pair.wrt and i in plan.asked
    }


def _wide(bad: list[Plan], plan: Plan, pair: Pair) -> Plan:
    """Rather a plan all of whose axes are longer than 1: there patterns show."""
    wide = [p for p in bad if p.kind == "sizes" and p.axes and min(n for _, n in p.axes) > 1]
    if plan.kind != "sizes":
        return plan
    asked = [p for p in wide if pair.wrt in p.asked]
    return min(asked, key=lambda p: prod(n for _, n in p.axes), default=plan)


def _is_thin(plan: Plan) -> bool:
    return any(size == 1 for _, size in plan.axes)


def _is_telling(runner: Runner, plan: Plan, pair: Pair) -> bool:
    """Whether a gradient that is not 0 is right at a plan, and not by chance: of a square residues may have
    the other root.
    """
    if pair.wrt not in plan.asked:
        return True
    try:
        seen = examine(runner, plan, pair)
    except NOT_CONCLUSIVE:
        return True
    return not seen.separated() and not _is_zero(gradients_of(seen)[0])


def _magnitude(plan: Plan) -> float:
    """How large its numbers are; the example comes first."""
    largest = (abs(number) for p in plan.places if p.reals is not None for number in p.reals.flat)
    return 0.0 if plan.kind == "point" else float(max(largest, default=0))


def _again(runner: Runner, generic: Plan, bad: list[Plan], pair: Pair) -> Gradients | None:
    """The gradients at another plan with the sizes of the generic one, at which the pair is wrong."""
    for plan in bad:
        if (
            plan is not generic
            and plan.axes == generic.axes
            and plan.kind in USUAL
            and pair.wrt in plan.asked
        ):
            return gradients_of(examine(runner, plan, pair))
    return None


def _diagonal(runner: Runner, plan: Plan, pair: Pair, seen: Examination) -> Array | None:
    """The diagonal of the Jacobian times the cotangent, entry by entry."""
    cotangent = seen.cotangent
    if pair.first != -1 or cotangent.reals is None or seen.true.shape != cotangent.shape:
        return None
    if not 1 < cotangent.reals.size <= MAX_DIAGONAL:
        return None
    found = seen.true.copy()
    for spot in np.ndindex(cotangent.shape):
        alone = np.full(cotangent.shape, 0, dtype=object) * cotangent.reals
        alone[spot] = cotangent.reals[spot]
        found[spot] = examine(runner, plan, pair, replace(cotangent, reals=alone)).true[spot]
    return found


SCALES = (Fraction(2), Fraction(-1), Fraction(4096), Fraction(1, 4096))


def _scaled(
    target: Target, runner: Runner, plan: Plan, pair: Pair, cotangent: Place
) -> dict[Fraction, Array]:
    """The claims for multiples of the cotangent; for 1 times it, the sum of those for two parts of it."""
    if cotangent.reals is None or pair.wrt >= len(target.wanted) or pair.first == FORWARD:
        return {}

    def claim(reals: Array) -> Array:
        scaled = replace(cotangent, reals=np.asarray(reals, dtype=object))
        return gradients_of(examine(runner, plan, pair, scaled))[1]

    found = {factor: claim(cotangent.reals * factor) for factor in SCALES}
    if cotangent.reals.size > 1:
        part = np.zeros(cotangent.reals.size, dtype=object) * Fraction(0)
        part[0] = cotangent.reals.reshape(-1)[0]
        part = part.reshape(cotangent.shape)
        found[Fraction(1)] = np.asarray(claim(part) + claim(cotangent.reals - part), dtype=object)
    return found


def _side(findings: Findings, pair: Pair) -> str | None:
    """The side of a comparison that was met wherever the pair is wrong, and nowhere where it is right."""
    bad = findings.by_kind(pair, "different", "undefined", "unclear")
    good = findings.by_kind(pair, "equal")
    if not bad or not good:
        return None
    met, elsewhere = ([trial.branches.outcomes() for trial in trials] for trials in (bad, good))
    for site, sides in met[0].items():
        for side in sides:
            if all(side in m.get(site, ()) for m in met) and not any(
                side in m.get(site, ()) for m in elsewhere
            ):
                return f"{site} is {_word(side)}"
    return None


def _word(side: object) -> str:
    if isinstance(side, bool):
        return "true" if side else "false"
    return {-1: "less", 0: "equal", 1: "greater"}.get(side, str(side)) if isinstance(side, int) else str(side)


def _is_narrow(plan: Plan, pair: Pair) -> bool:
    numbers = [len(place.shape) for place in plan.places if place.reals is not None and place.wanted]
    return pair.wrt < len(numbers) and numbers[pair.wrt] < max(numbers)


def _elsewhere(
    runner: Runner, generic: Plan, own: Gradients, bad: list[Plan], pair: Pair
) -> list[tuple[Plan, Gradients]]:
    """The gradients at the generic point, and at one where each axis has another size, if it is wrong."""
    found = [(generic, own)]
    for axis, size in generic.axes:
        others = [p for p in bad if p.kind == "sizes" and dict(p.axes).get(axis) not in (size, 1)]
        if others:
            found.append((others[0], gradients_of(examine(runner, others[0], pair))))
    return found


def _turned(runner: Runner, plan: Plan, pair: Pair, seen: Examination) -> str | None:
    """Which of the inputs and the cotangent, transposed or flipped, give the claimed gradient, or its
    transpose.
    """
    (own, claimed), cotangent = gradients_of(seen)[:2], seen.cotangent
    if is_same(own, claimed):  # but for a little: whatever is near the one is near the other
        return None
    square = [k for k, place in enumerate(plan.places) if _is_square(place)]
    moved = [*square, *([-1] if _is_square(cotangent) else [])]
    if pair.first != -1 or len(moved) > MAX_TURNED:
        return None
    for count in range(1, len(moved) + 1):
        for chosen in itertools.combinations(moved, count):
            places = [_turn(p) if k in chosen else p for k, p in enumerate(plan.places)]
            given = _turn(cotangent) if -1 in chosen else cotangent
            true = gradients_of(examine(runner, replace(plan, places=tuple(places)), pair, given))[0]
            turned = np.swapaxes(true, -1, -2) if true.ndim > 1 else true
            if is_same(claimed, true) or (turned.shape == claimed.shape and is_same(claimed, turned)):
                return " and ".join(map(_name, chosen)) + " transposed"
    flips = [(k, axis) for k, p in [*enumerate(plan.places), (-1, cotangent)] for axis in _long_axes(p)]
    for k, axis in flips[-MAX_FLIPS:]:
        places = [_flip(p, axis) if j == k else p for j, p in enumerate(plan.places)]
        given = _flip(cotangent, axis) if k < 0 else cotangent
        true = gradients_of(examine(runner, replace(plan, places=tuple(places)), pair, given))[0]
        if is_same(claimed, true):
            return f"{_name(k)} flipped along axis {axis}"
    return None


def _name(number: int) -> str:
    return "the cotangent" if number < 0 else f"input {number}"


def _long_axes(place: Place) -> list[int]:
    return [] if place.reals is None else [axis for axis, size in enumerate(place.shape) if size > 1]


def _flip(place: Place, axis: int) -> Place:
    assert place.reals is not None
    return replace(place, reals=np.flip(place.reals, axis))


def _is_square(place: Place) -> bool:
    return place.reals is not None and len(place.shape) > 1 and place.shape[-1] == place.shape[-2] > 1


def _turn(place: Place) -> Place:
    assert place.reals is not None
    return replace(place, reals=np.swapaxes(place.reals, -1, -2))


def _slices(runner: Runner, plan: Plan, pair: Pair, seen: Examination) -> str | None:
    """The slice of the cotangent from which alone the claimed gradient comes, by its axis."""
    cotangent, shape = seen.cotangent, seen.cotangent.shape
    claimed = gradients_of(seen)[1]
    if cotangent.reals is None or pair.first != -1 or len(shape) > MAX_SLICED or claimed.size >= prod(shape):
        return None
    for axis, size in enumerate(shape):
        for index, word in ((0, "first"), (size - 1, "last")):
            if size < 2:
                continue
            part = np.full(shape, 0, dtype=object) * cotangent.reals
            spot = (slice(None),) * axis + (index,)
            part[spot] = cotangent.reals[spot]
            true = gradients_of(examine(runner, plan, pair, replace(cotangent, reals=part)))[0]
            if is_same(claimed, true):
                return f"of axis {axis} of the output only the {word} entry counts"
            if size > 2 and is_same(claimed, np.asarray(gradients_of(seen)[0] - true, dtype=object)):
                return f"of axis {axis} of the output the {word} entry is left out: one term missing"
    return None


def _small(bad: list[Plan], generic: Plan, pair: Pair) -> Plan:
    """A plan of few entries at which the pair is wrong."""

    def size(plan: Plan) -> int:
        return sum(place.reals.size for place in plan.places if place.reals is not None)

    if size(generic) <= FEW or generic.kind not in USUAL:
        return generic
    resized = [p for p in bad if p.kind == "sizes" and pair.wrt in p.asked and 4 <= size(p) <= FEW]
    return min(resized, key=size, default=generic)


def _is_zero(array: Array) -> bool:
    return all(bool(ball == 0) for ball in array.reshape(-1))


def _path(runner: Runner, plan: Plan, pair: Pair, detached: bool) -> tuple[str, bool] | None:
    """The operator of the forward without whose tangent the true gradient is the claimed one.

    Whether it was detached: by `detach`, or because PyTorch derives the program and knows of all else.
    """
    if pair.first != -1:
        return None
    started = time.process_time()
    seen = examine(runner, plan, pair, cut=-1)
    claimed = gradients_of(seen)[1]
    own = not seen.custom
    for number, (name, line) in enumerate(seen.forward):
        if time.process_time() - started > PATIENCE:
            return None
        if (detached and not own and name != "detach") or line == "autograd":
            continue
        try:
            true = gradients_of(examine(runner, plan, pair, cut=number))[0]
        except NOT_CONCLUSIVE:
            continue
        cut_off = name == "detach" and _is_zero(claimed) and _is_zero(true)
        if is_same(claimed, true) or cut_off:
            return f"that through {name} at {line}", own or name == "detach"
    return None

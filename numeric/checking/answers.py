"""The answer for one output and one input, from what the trials found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradproof.numeric.checking.diagnosis import UNDEFINED, Evidence, diagnose, gradients_of
from gradproof.numeric.checking.examination import Examination, examine
from gradproof.numeric.checking.explanation import explain
from gradproof.numeric.checking.kinks import NOT_CONCLUSIVE, hull_text
from gradproof.numeric.checking.points import Place
from gradproof.numeric.checking.results import PairVerdict
from gradproof.numeric.checking.search import Found, find_witness
from gradproof.numeric.checking.targets import Target
from gradproof.numeric.checking.trials import FORWARD, Pair, Plan, Runner
from gradproof.numeric.exact.branches import Site
from gradproof.numeric.exact.duals import Shape
from gradproof.numeric.exact.scalars import JITTER
from gradproof.numeric.exact.towers import BITS
from gradproof.symbolic.verdict import Bound, Ground, Witness

if TYPE_CHECKING:
    from gradproof.numeric.checking.checks import Findings

JITTERS = (0.0, 1e-9, -3e-8)
"""By how much values that leave the tensors are changed: what is found must not depend on it."""
FAR = 1000
MAX_SEARCHED = 6
"""In how many plans that differ a witness is looked for."""


def answer_pair(target: Target, runner: Runner, findings: Findings, pair: Pair) -> PairVerdict:
    """Refuted with a witness, else undecided with the reason, else proved with its ground."""
    names = _names(target, pair)
    refuted = (
        _refuted_by_value(target, runner, findings, pair)
        or _refuted_by_kink(target, findings, pair)
        or _refuted_by_error(target, runner, findings, pair)
        or _refuted_by_escape(target, runner, findings, pair)
    )
    if refuted is not None:
        return replace(refuted, output=names[0], wrt=names[1])
    reason = _open_reason(findings, pair)
    if reason is not None:
        return PairVerdict("undecided", reason=reason, output=names[0], wrt=names[1])
    return PairVerdict("proved", _ground(runner, findings, pair), output=names[0], wrt=names[1])


def _names(target: Target, pair: Pair) -> tuple[str, str]:
    wanted = [example.name for example in target.wanted]
    wrt = wanted[pair.wrt] if pair.wrt < len(wanted) else "cotangent"
    output = f"y{pair.output}" if pair.output else "y"
    if pair.first == FORWARD:
        return f"{output} (forward mode)", wrt
    return (output if pair.first < 0 else f"(d{output}/d{wanted[pair.first]})", wrt)


# Refuted


def _refuted_by_value(target: Target, runner: Runner, findings: Findings, pair: Pair) -> PairVerdict | None:
    bad = findings.by_kind(pair, "different", "undefined", "unclear")
    searched = sorted(bad, key=lambda t: (t.plan.kind == "layout", _size(t.plan)))
    for trial in searched[:MAX_SEARCHED]:
        if trial.outcomes[pair].kind == "unclear":
            if runner.spare_searches <= 0:
                continue
            runner.spare_searches -= 1
        found = find_witness(runner, trial.plan, pair)
        if found is not None:
            good = [t.plan for t in findings.by_kind(pair, "equal")]
            words = explain(target, runner, findings, pair, [t.plan for t in bad], good, trial.plan)
            return PairVerdict("refuted", witness=_witness(target, found, pair), diagnosis=words)
    return None


def _size(plan: Plan) -> int:
    return sum(place.reals.size for place in plan.places if place.reals is not None)


def _refuted_by_kink(target: Target, findings: Findings, pair: Pair) -> PairVerdict | None:
    for plan, own, outcome in findings.kinks:
        if own != pair or outcome.kind != "outside" or outcome.examination is None:
            continue
        spot, seen = outcome.spots[0], outcome.examination
        point = _point(target, plan, seen.cotangent, spot, pair)
        witness = Witness(point, hull_text(outcome.sides, spot), _text(seen, spot))
        what = "wrong at single points only" if seen.claimed[spot].is_finite() else UNDEFINED
        return PairVerdict("refuted", witness=witness, diagnosis=f"{what}: {plan.name}")
    return None


def _refuted_by_error(target: Target, runner: Runner, findings: Findings, pair: Pair) -> PairVerdict | None:
    for plan, message in sorted(findings.raised, key=lambda entry: _size(entry[0])):
        point = _point(target, plan, None, (), pair)
        nothing, good = np.zeros(0, dtype=object), [t.plan for t in findings.trials]
        evidence = Evidence(nothing, nothing, bad=[plan], good=good, raised=message)
        says = message if message.startswith("the ") else f"raises {message}"
        witness = Witness(point, "a gradient", says)
        return PairVerdict("refuted", witness=witness, diagnosis=diagnose(evidence))
    return None


def _refuted_by_escape(target: Target, runner: Runner, findings: Findings, pair: Pair) -> PairVerdict | None:
    """Where values leave the tensors: a point at which the gradients differ, whatever their last digits."""
    if findings.trials or not findings.escaped:
        return None
    good: list[Plan] = []
    for plan in findings.escaped:
        seen = [_examine_escaping(runner, plan, pair, jitter) for jitter in JITTERS]
        if any(one is None or one.ties for one in seen):
            continue
        found = [one for one in seen if one is not None]
        spots = set(found[0].separated()).intersection(*(one.separated() for one in found[1:]))
        spots = {spot for spot in spots if _is_clear(found, spot)}
        if not spots:
            good.append(plan)
            continue
        spot = min(spots)
        point = _point(target, plan, found[0].cotangent, spot, pair)
        evidence = Evidence(*gradients_of(found[0]), found[0].connected, 1, [plan], good)
        witness = Witness(point, *_texts(found[0], spot))
        return PairVerdict("refuted", witness=witness, diagnosis=diagnose(evidence))
    return None


def _is_clear(found: list[Examination], spot: Shape) -> bool:
    """The difference is far larger than what the last digits of the values change, if anything."""
    true: Any = found[0].true[spot]
    claims: list[Any] = [one.claimed[spot] for one in found]
    if not all(claim.is_finite() for claim in claims):
        return not any(claim.is_finite() for claim in claims)
    return all(abs(true - claims[0]) > FAR * abs(claim - claims[0]) for claim in claims[1:])


def _examine_escaping(runner: Runner, plan: Plan, pair: Pair, jitter: float) -> Examination | None:
    token = JITTER.set(jitter)
    try:
        return examine(runner, plan, pair)
    except NOT_CONCLUSIVE:
        return None
    finally:
        JITTER.reset(token)


def _witness(target: Target, found: Found, pair: Pair) -> Witness:
    seen, spot = found.examination, found.spot
    point = _point(target, found.plan, found.cotangent, spot, pair)
    return Witness(point, *_texts(seen, spot))


def _texts(seen: Examination, spot: Shape) -> tuple[str, str]:
    """The true and the claimed number, with as many digits as tell them apart."""
    true: Any = seen.true[spot]
    digits = next((n for n in (30, 60, 120, 600) if _digits(true, n) != _digits(seen.claimed[spot], n)), 30)
    return _digits(true, digits), _text(seen, spot, digits)


def _text(seen: Examination, spot: Shape, digits: int = 30) -> str:
    return _digits(seen.claimed[spot], digits) if seen.claimed[spot].is_finite() else "undefined"


def _digits(ball: Any, digits: int = 30) -> str:
    return ball.str(digits, radius=False)


def _point(target: Target, plan: Plan, cotangent: Place | None, spot: Shape, pair: Pair) -> dict[str, str]:
    point: dict[str, str] = {}
    for example, place in zip(target.examples, plan.places, strict=True):
        if place.reals is not None:
            layout = f" ({place.layout})" if place.layout else ""
            point[example.name] = _numbers(place.reals) + layout
        elif example.is_data or example.is_setting:
            data = place.data.tolist() if hasattr(place.data, "tolist") else place.data
            point[example.name] = str(data)
    if cotangent is not None and cotangent.reals is not None:
        layout = f" ({plan.cotangent_layout})" if plan.cotangent_layout else ""
        point["cotangent"] = _numbers(cotangent.reals) + layout
    if spot:
        point["entry"] = "[" + ", ".join(map(str, spot)) + "]"
    return point


def _numbers(array: Any) -> str:
    nested = np.asarray(array, dtype=object)
    return _nested(nested.tolist()) if nested.size <= 64 else f"{nested.size} numbers of shape {nested.shape}"


def _nested(entry: Any) -> str:
    return "[" + ", ".join(map(_nested, entry)) + "]" if isinstance(entry, list) else str(entry)


# Undecided and proved


def _open_reason(findings: Findings, pair: Pair) -> str | None:
    if findings.undecided:
        plan, why = findings.undecided[0]
        return f"{why} (in the variation: {plan.name})"
    if all(trial.plan.kind == "empty" for trial in findings.by_kind(pair, "equal")):
        if findings.not_accepted:
            return f"no variation was accepted; {findings.not_accepted[0][1]}"
        return "no trial decided it"
    if findings.by_kind(pair, "different", "undefined"):
        return "residues differ, but no real point was found at which the gradients do"
    if findings.by_kind(pair, "unclear"):
        return "it rests on a relation of a root that the numbers drawn do not have"
    followed = [reason for trial in findings.trials for reason in trial.open]
    if followed:
        return followed[0]
    missing = findings.missing()
    if missing:
        site = min(missing)
        sides = missing[site]
        wanted = ", ".join(sorted(map(_side, sides)))
        return f"{site}: the side '{wanted}' was not reached"
    return None


def _side(side: object) -> str:
    if isinstance(side, bool):
        return "equal" if side else "unequal"
    return {-1: "less", 1: "greater"}.get(side, "equal") if isinstance(side, int) else str(side)


def _met(findings: Findings, site: Site) -> str:
    sides = findings.branches.sides[site]
    if 0 not in sides.met and site not in findings.branches.equalities:
        return "both sides" if len(sides.required) < 3 else "each of them"
    return "both sides, and equal" if site in findings.tied else "both sides"


def _ground(runner: Runner, findings: Findings, pair: Pair) -> Ground:
    trials = findings.by_kind(pair, "equal")
    sizes = tuple(dict.fromkeys(trial.plan.sizes for trial in trials))
    regions = tuple(dict.fromkeys(f"{s}: {_met(findings, s)}" for s in findings.branches.sides))
    assumed: dict[str, None] = {}
    for trial in trials:
        assumed.update(trial.assumes)
        assumed.update(
            {
                f"{name} computes what its {how} does": None
                for name, how in trial.used.items()
                if how == "transcription"
            }
        )
        assumed.update(
            {f"{number!r} stands for {meaning}": None for number, meaning in trial.constants.items()}
        )
    if any(outcome.kind in ("mean", "equal") for _, own, outcome in findings.kinks if own == pair):
        assumed["convention: at a kink the gradient is a mean of the limits around"] = None
    return Ground("exact-execution", sizes, regions, tuple(assumed), Bound(-(BITS - 40), "heuristic"))

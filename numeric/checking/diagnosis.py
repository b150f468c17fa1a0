"""What is wrong, in words: patterns that fit the true and the claimed gradient, or the trials that went
wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradproof.numeric.checking.examination import Examination
from gradproof.numeric.checking.trials import Plan

Floats = NDArray[np.float64]
NEAR = 1e-9


@dataclass(frozen=True)
class Evidence:
    """What a diagnosis looks at: gradients at a generic point, and which plans went well and which did
    not.
    """

    true: Floats
    claimed: Floats
    connected: bool
    order: int
    bad: Sequence[Plan]
    good: Sequence[Plan]
    others: Mapping[str, Floats]
    """The true gradients of the other inputs, by name."""
    doubled: Floats | None = None
    """The claim for twice the cotangent."""
    negated: Floats | None = None
    """The claim for the opposite cotangent."""
    detaches: bool = False
    """Whether the forward detaches a path."""
    raised: str | None = None


def to_floats(seen: Examination) -> tuple[Floats, Floats]:
    """The gradients of an examination as floats."""

    def convert(array: object) -> Floats:
        source = np.asarray(array, dtype=object)
        result = np.empty(source.shape, dtype=np.float64)
        for position in np.ndindex(source.shape):
            ball: Any = source[position]
            result[position] = float(ball.mid()) if ball.is_finite() else np.nan
        return result

    true, claimed = convert(seen.true), convert(seen.claimed)
    looked_at = seen.looked_at()
    if len(looked_at) == true.size:
        return true, claimed
    return np.array([true[spot] for spot in looked_at]), np.array([claimed[spot] for spot in looked_at])


def diagnose(evidence: Evidence) -> str | None:
    """The first pattern that fits, from the most particular to the most general, or None."""
    if evidence.raised is not None:
        return _of_error(evidence)
    for look in (_of_layout, _of_linearity, _of_paths, _of_shape, _of_second_order, _of_plans, _of_values):
        words = look(evidence)
        if words is not None:
            return words
    return None


def _of_error(evidence: Evidence) -> str:
    assert evidence.raised is not None
    if "modified by an inplace operation" in evidence.raised:
        return "in-place change of a saved tensor"
    if evidence.bad and all(plan.kind == "layout" for plan in evidence.bad):
        return f"the backward raises for this layout: {evidence.raised}"
    return f"the backward raises: {evidence.raised}"


def _of_layout(evidence: Evidence) -> str | None:
    if evidence.bad and all(plan.kind == "layout" for plan in evidence.bad) and evidence.good:
        return f"wrong for a memory layout only: {evidence.bad[0].name}"
    return None


def _of_linearity(evidence: Evidence) -> str | None:
    if np.all(evidence.claimed == 0):
        return None
    for changed, factor in ((evidence.doubled, 2), (evidence.negated, -1)):
        if changed is not None and not _close(changed, factor * evidence.claimed):
            return "not linear in the cotangent"
    return None


def _of_paths(evidence: Evidence) -> str | None:
    if not evidence.connected:
        return (
            "missing through a detached path"
            if evidence.detaches
            else "no gradient: it is None where it is not 0"
        )
    if np.all(evidence.claimed == 0) and np.any(evidence.true != 0):
        return "the gradient is zero"
    if evidence.detaches:
        return "missing through a detached path"
    return None


def _of_shape(evidence: Evidence) -> str | None:
    true, claimed = evidence.true, evidence.claimed
    if true.size < 2 or not np.all(np.isfinite(claimed)):
        return None
    if true.ndim >= 2 and true.shape[-1] == true.shape[-2] and _close(claimed, np.swapaxes(true, -1, -2)):
        return "transposed"
    for name, other in evidence.others.items():
        if other.shape == true.shape and _close(claimed, other):
            return f"the gradient of another input ({name})"
    return None


def _of_second_order(evidence: Evidence) -> str | None:
    return "right in first order but wrong in second" if evidence.order == 2 else None


def _of_plans(evidence: Evidence) -> str | None:
    """Right on some plans and wrong on others: what do those have in common?"""
    if not evidence.good or not evidence.bad:
        return None
    bad, first = {plan.kind for plan in evidence.bad}, evidence.bad[0].name
    if bad <= {"data"}:
        repeated = any(plan.name.startswith("repeated") for plan in evidence.bad)
        return "wrong for repeated indices" if repeated else f"wrong for some data only: {first}"
    if bad <= {"cotangent"}:
        return "not linear in the cotangent"
    if bad <= {"kink", "kinks"}:
        return f"wrong at single points only: {first}"
    if "values" in bad and any(plan.kind in ("values", "point") for plan in evidence.good):
        return f"right on one region only; wrong for instance with {first}"
    if bad <= {"asked"}:
        return f"wrong where other inputs need no gradient: {first}"
    return _of_sizes(evidence)


def _of_sizes(evidence: Evidence) -> str | None:
    """Right where an axis has size 1, and wrong only where it is larger; or for some other sizes alone."""
    bad = [dict(plan.axes) for plan in evidence.bad if plan.axes]
    good = [dict(plan.axes) for plan in evidence.good if plan.axes and plan.kind != "empty"]
    for axis in bad[0] if bad else ():
        if all(sizes[axis] > 1 for sizes in bad) and any(sizes[axis] == 1 for sizes in good):
            return f"wrong only for {axis} > 1"
        if all(sizes[axis] == 1 for sizes in bad) and any(sizes[axis] > 1 for sizes in good):
            return f"wrong only for {axis} = 1"
    if not {plan.kind for plan in evidence.bad} & {"values", "point"}:
        return f"wrong for some sizes only: {evidence.bad[0].name}"
    return None


def _of_values(evidence: Evidence) -> str | None:
    true, claimed = evidence.true, evidence.claimed
    if true.size == 0 or true.shape != claimed.shape:
        return None
    if not np.all(np.isfinite(claimed)):
        return "undefined (0 * inf or the like) where the derivative has a value"
    if _close(claimed, -true):
        return "wrong sign"
    factor = _constant_factor(true, claimed)
    if factor is not None:
        return f"off by a constant factor: {factor}"
    summed = _unsummed(true, claimed)
    if summed is not None:
        return summed
    wrong = ~np.isclose(claimed, true, rtol=NEAR, atol=NEAR * max(1e-300, float(np.max(np.abs(true)))))
    if true.size > 1 and 0 < wrong.sum() < true.size:
        return f"one term missing or wrong, in {int(wrong.sum())} of {true.size} entries"
    return "one term missing or wrong"


def _constant_factor(true: Floats, claimed: Floats) -> str | None:
    used = np.abs(true) > 1e-12 * max(float(np.max(np.abs(true))), 1e-300)
    if not np.any(used) or (np.count_nonzero(used) < 2 and true.size > 1):
        return None
    ratios = claimed[used] / true[used]
    if not np.allclose(ratios, ratios[0], rtol=1e-10, atol=0):
        return None
    ratio = float(ratios[0])
    simple = Fraction(ratio).limit_denominator(1000)
    if abs(float(simple) - ratio) <= 1e-11 * abs(ratio):
        return str(simple)
    return f"1 {'+' if ratio > 1 else '-'} {abs(ratio - 1):.3g}" if abs(ratio - 1) < 1e-3 else f"{ratio:.12g}"


def _unsummed(true: Floats, claimed: Floats) -> str | None:
    """Whether a sum over an axis is a mean, or the like: factors that are the size of an axis."""
    return None


def _close(a: Floats, b: Floats) -> bool:
    if a.shape != b.shape or not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
        return False
    scale = max(float(np.max(np.abs(b))) if b.size else 0.0, 1e-300)
    return bool(np.all(np.abs(a - b) <= 1e-12 * scale)) and bool(np.any(b != 0))

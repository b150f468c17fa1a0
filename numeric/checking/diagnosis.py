"""What is wrong, in words: patterns that fit the true and the claimed gradient, or the plans that went
wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb

from gradproof.numeric.checking.examination import Examination
from gradproof.numeric.checking.trials import Plan
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.numpy_programs import CHANGES

NEAR = arb(2) ** -80
"""Numbers in balls are taken for the same within this, relative to the largest."""
NARROW = arb(2) ** -30
"""Balls with larger radii are not compared."""
UNDEFINED = "undefined (0 * inf or the like) where the derivative has a value"
RAISES = "the backward raises"
Gradients = tuple[Array, Array]
"""The true gradient and the claimed one, in balls."""


@dataclass(frozen=True)
class Evidence:
    """What a diagnosis looks at: gradients at a generic point, and which plans went well and which did
    not.
    """

    true: Array
    claimed: Array
    connected: bool = True
    order: int = 1
    bad: Sequence[Plan] = ()
    good: Sequence[Plan] = ()
    others: Mapping[str, Array] = field(default_factory=dict[str, Array])
    """The true gradients of the other inputs, by name."""
    scaled: Mapping[Fraction, Array] = field(default_factory=dict[Fraction, Array])
    """The claims for multiples of the cotangent; for 1 times it, the sum of those for two parts of it."""
    side: str | None = None
    """The side of a comparison that all bad plans are on and no good one."""
    narrow: bool = False
    """Whether the input has fewer axes than another one where it is wrong."""
    raised: str | None = None
    elsewhere: Callable[[], Sequence[tuple[Plan, Gradients]]] = tuple
    """The gradients at another size at which they are wrong, with the plan; and at the generic point."""
    turned: Callable[[], str | None] = lambda: None
    """Which inputs are to be transposed to give the claim."""
    slices: Callable[[], str | None] = lambda: None
    """The part of the cotangent from which alone the claim comes."""
    again: Callable[[], Gradients | None] = lambda: None
    """The gradients at other numbers of the same sizes, if they are wrong there, too."""
    forwards: Array | None = None
    """The Jacobian applied to the cotangent, where input and output have one shape."""
    diagonal: Callable[[], Array | None] = lambda: None
    """The diagonal of the Jacobian times the cotangent, where they have."""
    overwritten: bool = False
    """Whether the backward changes an output of the forward."""
    forward_mode: bool = False
    """Whether tangents of a rule of forward mode are compared, and no gradients."""
    cuts: Callable[[bool], tuple[str, bool] | None] = lambda _: None
    """The path without which the true gradient is the claim, and whether it was detached; or among detached
    ones.
    """


def gradients_of(seen: Examination) -> Gradients:
    """The gradients of an examination; of a large one the entries that were computed."""
    looked_at = seen.looked_at()
    if len(looked_at) == seen.true.size:
        return seen.true, seen.claimed
    return _chosen(seen.true, looked_at), _chosen(seen.claimed, looked_at)


def _chosen(array: Array, spots: Sequence[tuple[int, ...]]) -> Array:
    chosen = np.empty(len(spots), dtype=object)
    for k, spot in enumerate(spots):
        chosen[k] = array[spot]
    return chosen


def diagnose(evidence: Evidence) -> str | None:
    """The first pattern that fits, from the most particular to the most general, or None."""
    if evidence.raised is not None:
        return _of_error(evidence)
    if is_same(evidence.true, evidence.claimed):  # it is wrong elsewhere, or at other times
        looks = (_of_layout, _of_plans, _of_sizes)
    else:
        looks = (
            _of_layout, _of_definedness, _of_linearity, _of_second_order, _of_absence, _of_sign, _of_shape,
            _of_detached, _of_plans, _of_factor, _of_sums, _of_diagonal, _of_sizes, _of_terms,
        )  # fmt: skip
    for look in looks:
        words = look(evidence)
        if words is not None:
            return words
    return None


# Plans


def _of_error(evidence: Evidence) -> str:
    said = evidence.raised or ""
    if "modified by an inplace operation" in said or CHANGES in said:
        return f"in-place change of a saved tensor: {said}"
    if _is_turned(said):
        return f"transposed: {said}"
    kinds = {plan.kind for plan in evidence.bad}
    if kinds == {"layout"}:
        return f"the backward raises for this layout: {said}"
    return f"the backward raises for {evidence.bad[0].name}: {said}" if kinds == {"empty"} else _raises(said)


def _raises(said: str) -> str:
    return f"the backward raises: {said}"


_SHAPE = r"[\[(]([\d, ]*)[\])]"


def _is_turned(said: str) -> bool:
    """Whether an error tells of a gradient that has the axes of its input in the opposite order."""
    found = re.search(rf"got {_SHAPE} but expected shape compatible with {_SHAPE}", said)
    found = found or re.search(rf"has shape {_SHAPE}, the input {_SHAPE}", said)
    if found is None:
        return False
    got, wanted = ([int(n) for n in text.replace(",", " ").split()] for text in found.groups())
    return len(got) > 1 and got != wanted and (got == wanted[::-1] or got[:-2] + got[:-3:-1] == wanted)


def _kinds(plans: Sequence[Plan]) -> set[str]:
    return {plan.kind for plan in plans}


def _of_layout(evidence: Evidence) -> str | None:
    kinds = _kinds(evidence.bad)
    if kinds == {"twice"}:
        return "in-place change of a saved tensor: right the first time, wrong when the backward runs again"
    if evidence.overwritten:
        return "in-place change of a saved tensor: the backward writes over the output"
    if kinds == {"layout"} and evidence.good:
        return f"wrong for a memory layout only: {evidence.bad[0].name}"
    return None


def _of_plans(evidence: Evidence) -> str | None:
    """Right on some plans and wrong on others: what do those have in common?"""
    if not evidence.good or not evidence.bad:
        return None
    bad, first = _kinds(evidence.bad), evidence.bad[0].name
    if _at_repeated(evidence):
        return "wrong for repeated indices"
    if bad <= {"data"}:
        return f"wrong for some data only: {first}"
    if bad <= {"cotangent"}:
        return "not linear in the cotangent"
    if bad <= {"kink", "kinks"}:
        return f"wrong at single points only: {first}"
    if bad <= {"asked"}:
        return f"wrong where other inputs need no gradient: {first}"
    if bad <= {"ranks"}:
        words = f"wrong for another number of axes: {first}"
        return f"not summed over a broadcast axis: {words}" if evidence.narrow else words
    return _of_regions(evidence)


def _of_regions(evidence: Evidence) -> str | None:
    """Right and wrong at the same sizes: another side of a comparison."""
    usual = ("values", "point")
    bad = [plan for plan in evidence.bad if plan.kind in usual]
    good = {plan.sizes for plan in evidence.good if plan.kind in usual}
    plan = next((plan for plan in bad if plan.sizes in good), None)
    if plan is None:
        return None
    where = "" if evidence.side is None else f" where {evidence.side},"
    return f"right on one region only; wrong{where} for instance with {plan.name}"


def _where(evidence: Evidence) -> str:
    """Where it is wrong, if it is right elsewhere: an addition to what is wrong."""
    if evidence.good and evidence.bad and _kinds(evidence.bad) <= {"kink", "kinks"}:
        return f"; wrong at single points only: {evidence.bad[0].name}"
    region = _of_regions(evidence)
    return "" if region is None else f"; {region}"


def _at_repeated(evidence: Evidence) -> bool:
    """Whether an index stands twice in the data wherever it is wrong, and nowhere where it is right."""
    good = [plan for plan in evidence.good if _data(plan) and plan.kind not in ("cotangent", "empty")]
    if not all(map(_repeats, evidence.bad)) or all(map(_repeats, good)):
        return False
    return not any(_is_constant(plan) for plan in good)


def _data(plan: Plan) -> list[Array]:
    arrays = [
        np.asarray(place.data) for place in plan.places if place.reals is None and place.data is not None
    ]
    return [array for array in arrays if array.dtype.kind in "iu" and array.size > 1]


def _repeats(plan: Plan) -> bool:
    return any(len(np.unique(array)) < array.size for array in _data(plan))


def _is_constant(plan: Plan) -> bool:
    return any((array == array.flat[0]).all() for array in _data(plan))


def _of_sizes(evidence: Evidence) -> str | None:
    """Right where an axis has size 1, and wrong only where it is larger; or for some other sizes alone."""
    sizes = _axis_of(evidence)
    if sizes is not None:
        return f"wrong only for {sizes}"
    if evidence.good and not _kinds(evidence.bad) & {"values", "point"}:
        return f"wrong for some sizes only: {evidence.bad[0].name}"
    return None


def _axis_of(evidence: Evidence) -> str | None:
    """The axis that tells where it is wrong: two plans differ in its size alone, and one of them is wrong."""
    bad = [dict(plan.axes) for plan in evidence.bad if plan.axes]
    good = [dict(plan.axes) for plan in evidence.good if plan.axes and plan.kind != "empty"]
    for axis in bad[0] if bad else ():
        twins = [own[axis] for own in good for other in bad if {**own, axis: 0} == {**other, axis: 0}]
        if all(sizes.get(axis, 1) > 1 for sizes in bad) and 1 in twins:
            return f"{axis} > 1"
        if all(sizes.get(axis) == 1 for sizes in bad) and any(size > 1 for size in twins):
            return f"{axis} = 1"
    return None


# Numbers


def _of_definedness(evidence: Evidence) -> str | None:
    if all(number.is_finite() for number in _flat(evidence.claimed)):
        return None
    kinks = _kinds(evidence.bad) <= {"kink", "kinks"} and bool(evidence.bad)
    return f"{UNDEFINED}: {evidence.bad[0].name}" if kinks else UNDEFINED


def _of_linearity(evidence: Evidence) -> str | None:
    if not _some(evidence.claimed):
        return None
    for factor, changed in evidence.scaled.items():
        if not is_same(changed, np.asarray(evidence.claimed * _ball(factor), dtype=object)):
            return f"not linear in the cotangent{_where(evidence)}"
    return None


def _of_absence(evidence: Evidence) -> str | None:
    if not evidence.connected:
        detached = evidence.cuts(True)
        if detached is not None:
            return _detached(detached[0])
        return "no gradient: it is None where it is not 0"
    if not _some(evidence.claimed) and _some(evidence.true):
        if evidence.forward_mode:
            return f"one term missing: the tangent that this input brings is zero{_where(evidence)}"
        detached = evidence.cuts(True)
        return _detached(detached[0]) if detached else f"the gradient is zero{_where(evidence)}"
    return None


def _of_second_order(evidence: Evidence) -> str | None:
    return "right in first order but wrong in second" if evidence.order == 2 else None


def _of_sign(evidence: Evidence) -> str | None:
    factor = None if _of_regions(evidence) else _factor(evidence.true, evidence.claimed)
    return "wrong sign" if factor is not None and _is_near(factor, arb(-1)) else None


def _of_shape(evidence: Evidence) -> str | None:
    true, claimed = evidence.true, evidence.claimed
    for name, other in evidence.others.items():
        if other.size == true.size and is_same(claimed, other.reshape(true.shape)):
            return f"the gradient of another input ({name})"
    if true.size < 2:
        return None
    if true.ndim >= 2 and true.shape[-1] == true.shape[-2] and is_same(claimed, np.swapaxes(true, -1, -2)):
        return "transposed"
    forwards = evidence.forwards
    if forwards is not None and is_same(claimed, forwards) and not is_same(true, forwards):
        return f"transposed: the Jacobian is applied to the cotangent, not its transpose{_only(evidence)}"
    for axis, size in enumerate(true.shape):
        flipped = np.flip(true, axis)
        if size > 1 and is_same(claimed, flipped) and not is_same(true, flipped):
            return f"transposed: flipped along axis {axis}{_only(evidence)}"
    turned = evidence.turned()
    return None if turned is None else f"transposed: right with {turned}"


def _of_detached(evidence: Evidence) -> str | None:
    found = evidence.cuts(True)
    return None if found is None else f"{_detached(found[0])}{_where(evidence)}"


def _detached(path: str) -> str:
    return f"missing through a detached path: {path}"


def _of_factor(evidence: Evidence) -> str | None:
    """A factor that is the same at other numbers; one that goes with the size of an axis, if it does."""
    factor = _factor(evidence.true, evidence.claimed)
    if factor is None or _is_near(factor, arb(1)):
        return None
    other = evidence.again()
    changed = None if other is None else _factor(*other)
    if other is not None and (changed is None or not _is_same_factor(changed, factor)):
        return None
    if other is None and sum(abs(t.mid()) > 0 for t in _flat(evidence.true)) < 2:
        return None
    ratios = [(plan, _factor(*gradients)) for plan, gradients in evidence.elsewhere()]
    if any(ratio is None for _, ratio in ratios):
        return None
    by_size = next((words for axis, _ in _axes(ratios) if (words := _by_size(axis, ratios))), None)
    where = _of_sizes(evidence)
    return f"off by a constant factor: {_text(factor)}" + (
        f" ({by_size})" if by_size is not None else f"; {where}" if where is not None else ""
    )


def _is_same_factor(a: arb, b: arb) -> bool:
    """Whether two factors are the same to some digits of what they are off by."""
    off = abs(b.mid() - 1)
    return bool(abs(a.mid() - b.mid()) + a.rad() + b.rad() <= off / 1000)


def _axes(ratios: Sequence[tuple[Plan, Any]]) -> tuple[tuple[str, int], ...]:
    return ratios[0][0].axes if ratios else ()


SIZES: Mapping[str, Callable[[int], Fraction]] = {
    "the size n of {}": lambda n: Fraction(n),
    "1/n for the size n of {}": lambda n: Fraction(1, n),
    "n/(n - 1) for the size n of {}": lambda n: Fraction(n, n - 1) if n > 1 else Fraction(0),
    "(n - 1)/n for the size n of {}": lambda n: Fraction(n - 1, n),
    "n^2 for the size n of {}": lambda n: Fraction(n * n),
    "1/n^2 for the size n of {}": lambda n: Fraction(1, n * n),
}


def _by_size(axis: str, ratios: Sequence[tuple[Plan, arb | None]]) -> str | None:
    """How the factor goes with the size of an axis, where two sizes show it."""
    sizes = [dict(plan.axes)[axis] for plan, _ in ratios]
    if len(set(sizes)) < 2:
        return None
    for words, of_size in SIZES.items():
        if all(
            r is not None and _is_near(r, _ball(of_size(n))) for n, (_, r) in zip(sizes, ratios, strict=True)
        ):
            return words.format(axis)
    return None


def _of_sums(evidence: Evidence) -> str | None:
    part = evidence.slices()
    if part is None:
        return None
    return f"not summed over a broadcast axis: {part}{_only(evidence)}"


def _only(evidence: Evidence) -> str:
    sizes = _axis_of(evidence)
    return "" if sizes is None else f"; wrong only for {sizes}"


def _of_diagonal(evidence: Evidence) -> str | None:
    diagonal = evidence.diagonal() if evidence.true.size > 1 else None
    if diagonal is None or not is_same(evidence.claimed, diagonal):
        return None
    return f"one term missing: of the Jacobian only the diagonal counts{_only(evidence)}"


def _of_terms(evidence: Evidence) -> str | None:
    true, claimed = evidence.true, evidence.claimed
    if true.size == 0 or true.shape != claimed.shape:
        return None
    path = evidence.cuts(False)
    if path is not None:
        return _detached(path[0]) if path[1] else f"one term missing: {path[0]}"
    nearly = _nearly_a_factor(true, claimed)
    if nearly is not None:
        return f"off by a constant factor: {_text(nearly)}, but for constants that are rounded"
    largest = _largest(true)
    wrong = sum(not _is_near(c, t, largest) for c, t in zip(_flat(claimed), _flat(true), strict=True))
    if true.size > 1 and 0 < wrong < true.size:
        return f"one term missing or wrong, in {wrong} of {true.size} entries"
    return "one term missing or wrong"


# Balls


def _flat(array: Array) -> list[Any]:
    return [arb(number) for number in np.asarray(array, dtype=object).reshape(-1)]


def _ball(number: Fraction) -> arb:
    return arb(number.numerator) / number.denominator


def _largest(array: Array) -> arb:
    return max((abs(number.mid()) for number in _flat(array)), default=arb(0))


def _some(array: Array) -> bool:
    """Whether anything in it is not 0."""
    return any(not number.is_finite() or abs(number.mid()) > NEAR for number in _flat(array))


def _is_near(a: arb, b: arb, scale: arb | None = None) -> bool:
    """Whether two numbers are the same; what constants may stand for makes balls of them, which overlap."""
    size = abs(b.mid()) if scale is None else scale
    if bool(abs(a.mid() - b.mid()) <= NEAR * size):
        return True
    return a.overlaps(b) and bool(a.rad() + b.rad() <= NARROW * size)


def is_same(a: Array, b: Array) -> bool:
    """Whether two arrays are the same number for number, and not 0."""
    if a.shape != b.shape or not all(x.is_finite() for x in (*_flat(a), *_flat(b))):
        return False
    scale = _largest(b)
    return bool(scale > 0) and all(_is_near(x, y, scale) for x, y in zip(_flat(a), _flat(b), strict=True))


def _factor(true: Array, claimed: Array) -> arb | None:
    """The number by which the claim is the true gradient, if there is one."""
    ratios = _ratios(true, claimed)
    if ratios is None:
        return None
    same = all(_is_near(r, ratios[0]) for r in ratios)
    return ratios[0] if same and not ratios[0].contains(0) else None


def _ratios(true: Array, claimed: Array) -> list[Any] | None:
    """The quotients of the entries that are not 0; None where only one gradient is 0, or all are."""
    pairs = list(zip(_flat(true), _flat(claimed), strict=True))
    scale = _largest(true)
    used = [(t, c) for t, c in pairs if abs(t.mid()) > NEAR * scale]
    if not used or any(abs(c.mid()) > NEAR * scale for t, c in pairs if not abs(t.mid()) > NEAR * scale):
        return None
    return [c / t for t, c in used]


ROUNDED = arb(2) ** -50
"""By how much, relatively, constants change a factor that are rounded to double precision."""


def _nearly_a_factor(true: Array, claimed: Array) -> arb | None:
    """A factor near 1 that is the same for all entries, but for far less than it is off by."""
    ratios = _ratios(true, claimed)
    if ratios is None or len(ratios) < 3:
        return None
    off = abs(ratios[0].mid() - 1)
    ratios = [r.mid() for r in ratios]
    spread = max((abs(r - ratios[0]) for r in ratios), key=float)
    close = bool(spread < ROUNDED) and bool(spread * 100 < off)
    return ratios[0].mid() if close and bool(off < arb("1e-3")) else None


def _text(factor: arb) -> str:
    """A factor as a simple fraction, by its distance from 1, or with its first digits."""
    number = float(factor.mid())
    simple = Fraction(number).limit_denominator(1000)
    if _is_near(factor, _ball(simple)):
        return str(simple)
    if abs(number - 1) < 1e-3:
        return f"1 {'+' if bool(factor.mid() > 1) else '-'} {float(abs(factor - 1).mid()):.3g}"
    return f"{number:.12g}"

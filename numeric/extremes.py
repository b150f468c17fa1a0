"""Zeros and huge inputs: a number wherever the true value is one, and one that has to do with it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradproof.numeric.accuracy import PASSES, Truth, by_torch, only, place_of, row_of, truth
from gradproof.numeric.evidence import Evidence, to_numpy
from gradproof.numeric.references import definition, wanted_sizes
from gradproof.numeric.sampling import choose_sizes, make_case, scaled
from gradproof.numeric.subjects import Subject
from gradproof.numeric.units import TOP
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.operation import Operation

if TYPE_CHECKING:
    from gradproof.numeric.verification import Depth

NUDGES = 4
Found = tuple[list[Any], list[Any]]


@dataclass
class Count:
    """How many numbers were looked at, how many of them are no numbers or far off, and where the first is."""

    numbers: int = 0
    unfit: int = 0
    far: int = 0
    place: str = ""

    def look(self, t: Truth, found: Found, moves: dict[tuple[str, Tensor], np.ndarray]) -> None:
        for key, made, true, scale in _each(t, found, (t.outputs, t.gradients)):
            unfit = np.isnan(made) | (_fits(true) & np.isinf(made))
            with np.errstate(invalid="ignore"):
                far = ~unfit & ~moves[key] & _fits(true) & (np.abs(made - true) > scale / 2)
            self.numbers += made.size
            self.unfit += int(unfit.sum())
            self.far += int(far.sum())
            if not self.place and (unfit | far).any():
                which, tensor = key
                self.place = place_of(t, f"{which}, {tensor.name}", np.argwhere(unfit | far)[0])


def check_extremes(subject: Subject, seed: int, depth: Depth) -> Evidence:
    """Zeros and huge inputs in float32: no NaN, a number wherever the true value is one in float32.

    None may be off by half of its row's largest true value, save where float64 does not suffice for it either
    or where changes of the inputs in their last place change the result as much: such numbers have no digits.
    """
    ours, theirs = Count(), Count()
    plain = definition(subject.operation)
    for t in extreme_truths(subject.operation, seed, depth):
        moves = _moves(t, subject, seed)
        ours.look(t, subject.vjp(t.case, t.cotangents, "float32"), moves)
        theirs.look(t, by_torch(plain, t, "float32"), moves)
    what = "numbers are NaN, or infinite where the true value is not"
    return Evidence(
        "extremes",
        subject.target,
        "float32",
        ours.numbers,
        not ours.unfit and not ours.far,
        note=f"{ours.unfit} of {ours.numbers} {what}, and {ours.far} have no correct digit; "
        f"of the definition in PyTorch {theirs.unfit} and {theirs.far}",
        worst=ours.place,
        against="ball arithmetic",
    )


def _scales(t: Truth, which: str) -> dict[Tensor, np.ndarray]:
    """The largest true value of each row, but no less than a thousandth of the largest of all."""
    values = [np.where(_fits(v), np.abs(v), 0) for v in t.values(which)]
    floor = max((float(v.max()) for v in values if v.size), default=0.0) / 1000
    made: dict[Tensor, np.ndarray] = {}
    for tensor, v in zip(t.tensors(which), values, strict=True):
        if not t.elementwise and v.size:
            v = np.maximum(v.max(axis=row_of(tensor, v), keepdims=True), floor)
        made[tensor] = np.maximum(v, float(np.finfo("float32").tiny))
    return made


def _fits(true: np.ndarray) -> np.ndarray:
    """Where the true value is a number in float32."""
    return np.abs(true) < np.ldexp(1 - 2.0**-25, TOP["float32"])


def _moves(t: Truth, subject: Subject, seed: int) -> dict[tuple[str, Tensor], np.ndarray]:
    """Which results are not determined by inputs in float32.

    They move by a quarter of their row's largest with the last place of the inputs, or are as far from the
    truth even in float64.
    """
    chance = np.random.default_rng([seed, 2])
    made = {
        key: _differ(a, b, scale)
        for key, a, b, scale in _each(t, subject.vjp(t.case, t.cotangents), (t.outputs, t.gradients))
    }
    for dtype in ("float32", "float64"):
        before = subject.vjp(t.case, t.cotangents, dtype)
        for _ in range(NUDGES):
            nudged = replace(t.case, inputs=tuple(_nudged(a, chance) for a in t.case.inputs))
            after = subject.vjp(nudged, t.cotangents, dtype)
            for key, a, b, scale in _each(t, before, after):
                made[key] |= _differ(a, b, scale)
    return made


def _each(
    t: Truth, first: Found, second: Found
) -> Iterator[tuple[tuple[str, Tensor], np.ndarray, np.ndarray, np.ndarray]]:
    """The results of two passes side by side, with the scale of their rows."""
    for which, some, others in zip(PASSES, first, second, strict=True):
        scale = _scales(t, which)
        for tensor, a, b in zip(t.tensors(which), some, others, strict=True):
            yield (which, tensor), to_numpy(a), to_numpy(b), scale[tensor]


def _differ(a: np.ndarray, b: np.ndarray, scale: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return ~(np.abs(a - b) < scale / 4)


def _nudged(values: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    return values * (1 + 2.0**-23 * chance.choice([-1, 1], values.shape))


def extreme_truths(operation: Operation, seed: int, depth: Depth) -> Iterator[Truth]:
    """All zero; all of size 1e4; one input of size 1e30, the others around 1."""
    sizes = choose_sizes(operation, (3, 5, 4, 2), wanted_sizes(operation))
    start = zlib.crc32(operation.label.encode()) + seed
    fills: list[tuple[str, Any]] = [("zeros", scaled(0)), ("size 1e4", _signs(1e4))]
    real = [t for t in operation.inputs if t.dtype == "real"]
    for t in real if depth == "deep" else real[:1]:
        fills.append((f"{t.name} of size 1e30", only(t, _signs(1e30))))
    for n, (label, fill) in enumerate(fills):
        case = make_case(operation, sizes, (3,), start + n, fill=fill, label=label)
        yield truth(case, "float32", start + n)


def _signs(size: float) -> Any:
    """Both signs of one size."""
    return lambda tensor, shape, chance: size * np.where(chance.random(shape) < 0.5, -1.0, 1.0)

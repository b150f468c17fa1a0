"""The true outputs and gradients of a program at a point, by balls: forward alone, with exact tangents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from flint import arb

from gradproof.numeric.checking.examination import precision
from gradproof.numeric.checking.magnitudes import Point
from gradproof.numeric.exact.branches import Branches
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Array, Dual, Shape
from gradproof.numeric.exact.programs import Argument, ForwardError, Program, Settings
from gradproof.numeric.exact.reals import Balls, each
from gradproof.numeric.exact.values import AmbiguousError, Numbers, UndecidableError, Value
from gradproof.numeric.oracles import is_settled, to_float
from gradproof.numeric.units import DIGITS, LEAST, TOP

PRECISIONS = (160, 1600)
"""Bits of the balls: the second for what the first leaves open, such as 1 - tanh(x)^2 for large x."""
MAX_RUNS = 120
"""How often a grid is cut in two, to set the points apart at which there is a tie or no value."""


@dataclass(frozen=True)
class Truth:
    """True values as float64, NaN where there is none or where it is not known."""

    outputs: list[np.ndarray]
    gradients: list[np.ndarray]


@dataclass(frozen=True)
class Exactly:
    """Runs the forward of a program in balls, at points of a dtype."""

    program: Program
    dtype: str
    seed: int

    def run(
        self, point: Point, tangents: Sequence[Array | None], bits: int
    ) -> tuple[list[Array], list[Array | None], int]:
        """The outputs, their tangents as (direction, *shape), and how many ties were met."""
        with precision(bits):
            numbers = Numbers(None, Balls())
            settings = Settings(numbers, Branches(), Constants(), self.seed)
            dtype = getattr(torch, self.dtype)
            arguments: list[Argument] = []
            for array, data, tangent in zip(point.arrays, point.data, tangents, strict=True):
                if array is None:
                    arguments.append(Argument(None, data, dtype, None, False))
                    continue
                primal = each(array, lambda number: arb(float(number)))[None]
                value = Value(numbers, (Dual(primal, None if tangent is None else tangent[:, None]),))
                arguments.append(Argument(value, None, dtype, None, False))

            def draw(position: int, shape: Shape) -> Argument:
                return Argument(numbers.scalar(1).expand(shape))

            found = self.program.evaluate(settings, arguments, draw)
            primals = [y.limit.primal.reshape(y.shape) for y in found.outputs]
            moved = [None if y.limit.tangent is None else y.limit.tangent[:, 0] for y in found.outputs]
            return primals, moved, settings.branches.forward_ties

    def floats(self, balls: Array) -> np.ndarray:
        """Balls as float64; NaN where a ball is not finite or too wide for the dtype."""
        digits, nothing = DIGITS[self.dtype] + 10, arb(2) ** (LEAST[self.dtype] - 8)
        top = arb(2) ** TOP[self.dtype]

        def read(ball: Any) -> float:
            if is_settled(ball, digits, nothing):
                return to_float(ball)
            if ball.is_finite() and bool(abs(ball) > top):
                return float("inf") if bool(ball > 0) else float("-inf")
            return float("nan")

        made = each(np.asarray(balls, dtype=object), lambda ball: read(arb(ball)))
        return made.astype(np.float64)


# --- elementwise: one tangent of ones for each input


def true_on_grid(exactly: Exactly, point: Point, wanted: Sequence[int]) -> Truth:
    """Values and derivatives at all points of a grid; points that cannot be run are set apart.

    At a tie (0 for `relu`) there is no derivative. Raises what a run raises if no point can be run.
    """
    count = next(a.size for a in point.arrays if a is not None)
    outputs, gradients = np.full(count, np.nan), np.full((len(wanted), count), np.nan)
    waiting, runs, problem, smooth = [np.arange(count)], 0, None, np.zeros(count, dtype=bool)
    while waiting and runs < MAX_RUNS:
        waiting.sort(key=len)  # the largest part first: single points at the ends may take all runs
        chosen, runs = waiting.pop(), runs + 1
        try:
            values, slopes, ties = _on_grid(exactly, point, wanted, chosen, PRECISIONS[0])
        except (AmbiguousError, UndecidableError, ForwardError) as error:
            problem = problem or error
            waiting += _halves(chosen)
            continue
        if ties and len(chosen) > 1:
            waiting += _halves(chosen)
            continue
        outputs[chosen] = values
        if not ties:
            gradients[:, chosen], smooth[chosen] = slopes, True
    if problem is not None and np.isnan(outputs).all():
        raise problem
    missing = np.flatnonzero(smooth & (np.isnan(outputs) | np.isnan(gradients).any(axis=0)))
    if missing.size:
        _settle(exactly, point, wanted, missing, outputs, gradients)
    return Truth([outputs], list(gradients))


def _settle(
    exactly: Exactly,
    point: Point,
    wanted: Sequence[int],
    missing: np.ndarray,
    outputs: np.ndarray,
    gradients: np.ndarray,
) -> None:
    """Run again, at a higher precision, where something is not known."""
    try:
        values, slopes, _ = _on_grid(exactly, point, wanted, missing, PRECISIONS[1])
    except (AmbiguousError, UndecidableError, ForwardError):
        return  # these points stay without a true value, and are not compared
    outputs[missing], gradients[:, missing] = values, slopes


def _halves(chosen: np.ndarray) -> list[np.ndarray]:
    middle = len(chosen) // 2
    return [chosen[middle:], chosen[:middle]] if middle else []


def _on_grid(
    exactly: Exactly, point: Point, wanted: Sequence[int], chosen: np.ndarray, bits: int
) -> tuple[np.ndarray, np.ndarray, int]:
    arrays = tuple(None if a is None else a[..., chosen] for a in point.arrays)
    tangents: list[Array | None] = []
    for k, array in enumerate(arrays):
        if array is None or k not in wanted:
            tangents.append(None)
            continue
        directions = np.zeros((len(wanted), *array.shape), dtype=object)
        directions[list(wanted).index(k)] = 1
        tangents.append(directions)
    values, moved, ties = exactly.run(Point(point.label, arrays, point.data), tangents, bits)
    if len(values) != 1 or values[0].size != len(chosen):
        raise UndecidableError("the outputs have other shapes than those of the program")
    (value,), (slope,) = values, moved
    if slope is None:
        slopes = np.zeros((len(wanted), len(chosen)))
    else:
        slopes = exactly.floats(slope).reshape(len(wanted), -1)
    return exactly.floats(value).reshape(-1), slopes, ties


# --- rows: a unit vector for each entry that is looked at


def true_at(
    exactly: Exactly,
    point: Point,
    entries: Sequence[np.ndarray],
    cotangents: Callable[[list[Shape]], list[np.ndarray]],
) -> Truth:
    """Outputs, and the gradients `J^T u` at the chosen flat entries of each input (none: not wanted).

    Raises what a run raises. At a tie the gradients are NaN.
    """
    count = sum(len(chosen) for chosen in entries)
    tangents, start = list[Array | None](), 0
    for array, chosen in zip(point.arrays, entries, strict=True):
        if array is None or not len(chosen):
            tangents.append(None)
            continue
        directions = np.zeros((count, array.size), dtype=object)
        directions[start + np.arange(len(chosen)), chosen] = 1
        tangents.append(directions.reshape(count, *array.shape))
        start += len(chosen)
    truth: Truth | None = None
    for bits in PRECISIONS:
        try:
            values, moved, ties = exactly.run(point, tangents, bits)
        except AmbiguousError:
            if bits == PRECISIONS[-1]:
                raise
            continue
        with precision(bits):
            given = cotangents([v.shape for v in values])
            gradient = exactly.floats(_pull(moved, given, count))
        if ties:
            gradient = np.full(count, np.nan)
        ends = np.cumsum([len(chosen) for chosen in entries])[:-1]
        truth = Truth([exactly.floats(v) for v in values], np.split(gradient, ends))
        if not any(np.isnan(v).any() for v in truth.outputs) and (ties or not np.isnan(gradient).any()):
            break
    assert truth is not None
    return truth


def _pull(moved: Sequence[Array | None], cotangents: Sequence[np.ndarray], count: int) -> Array:
    total = np.full(count, arb(0), dtype=object)
    for tangent, u in zip(moved, cotangents, strict=True):
        if tangent is not None:
            weights = each(u, lambda number: arb(float(number)))
            total = total + (tangent * weights[None]).reshape(count, -1).sum(axis=1)
    return total

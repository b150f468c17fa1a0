"""Errors of a program collected over points: the largest, the median, what is lost, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradproof.numeric.checking.accuracy import Errors
from gradproof.numeric.checking.ball_values import Truth
from gradproof.numeric.checking.magnitudes import Point
from gradproof.numeric.checking.targets import Target
from gradproof.numeric.units import DIGITS, LEAST, TOP, errors

PASSES = ("forward", "backward")


@dataclass
class _Found:
    """Results, their true values and errors, with the place of each."""

    point: Point
    name: str
    made: np.ndarray
    true: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True)
class Tally:
    """Collects the errors of a program over points."""

    target: Target
    dtype: str
    elementwise: bool
    _found: dict[str, list[_Found]] = field(default_factory=lambda: {which: [] for which in PASSES})

    def take(self, point: Point, found: Truth, truth: Truth) -> None:
        names = [example.name for example in self.target.wanted]
        outputs = ["output" if len(found.outputs) == 1 else f"output{k}" for k in range(len(found.outputs))]
        parts = (("forward", outputs, found.outputs, truth.outputs),
                 ("backward", names, found.gradients, truth.gradients))  # fmt: skip
        for which, labels, made, true in parts:
            largest = [np.nanmax(np.abs(t), initial=0) for t in true if np.isfinite(t).any()]
            for label, m, t in zip(labels, made, true, strict=True):
                t = t.reshape(m.shape)
                rows = None if self.elementwise or not t.ndim else (-1,)
                floor = float(max(largest, default=0.0)) / 1000
                with np.errstate(invalid="ignore", over="ignore"):
                    error = errors(m, t, self.dtype, rows, floor)
                self._found[which].append(_Found(point, label, m, t, error))

    def errors(self, which: str) -> Errors:
        """What was found in a pass."""
        dtype = self.dtype
        all_errors, normal = list[np.ndarray](), list[np.ndarray]()
        smallest = 2.0 ** (LEAST[dtype] + DIGITS[dtype] - 1)
        worst: tuple[float, _Found | None, int] = (-1.0, None, 0)
        flushed = nan = infinite = compared = 0
        for found in self._found[which]:
            made, true, error = found.made.ravel(), found.true.ravel(), found.errors.ravel()
            known = ~np.isnan(true)
            fits = known & (np.abs(true) < np.ldexp(1 - 2.0**-30, TOP[dtype]))
            flushed += int(np.sum(known & (made == 0) & (np.abs(true) >= 2.0 ** LEAST[dtype])))
            nan += int(np.sum(known & np.isnan(made) & ~np.isinf(true)))
            infinite += int(np.sum(fits & np.isinf(made)))
            numbers = known & np.isfinite(made) | known & np.isinf(true) & ~np.isnan(made)
            compared += int(known.sum())
            all_errors.append(error[numbers])
            normal.append(error[numbers & fits & (np.abs(true) >= smallest)])
            score = np.where(known & ~numbers & fits, np.inf, np.where(numbers, error, -1))
            if score.size and score.max() > worst[0]:
                worst = (float(score.max()), found, self._first(found, score))
        joined = np.concatenate(all_errors) if all_errors else np.zeros(0)
        ordinary = np.concatenate(normal) if normal else np.zeros(0)
        if worst[1] is not None and worst[0] >= 0:
            where, point = self._place(worst[1], worst[2])
        else:
            where, point = "", {}
        largest = float(joined.max(initial=0))
        typical = float(np.median(ordinary)) if ordinary.size else 0.0
        return Errors(compared, largest, typical, flushed, nan, infinite, where, point)

    def _first(self, found: _Found, score: np.ndarray) -> int:
        """The place of the largest error; of several on a grid, at the smallest inputs."""
        tied = np.flatnonzero(score == score.max())
        if not self.elementwise:
            return int(tied[0])
        sizes = [np.abs(a.ravel()[tied]) for a in found.point.arrays if a is not None]
        return int(tied[np.max(sizes, axis=0).argmin()])

    def _place(self, found: _Found, flat: int) -> tuple[str, dict[str, Any]]:
        arrays = found.point.arrays
        named = [(e.name, a) for e, a in zip(self.target.examples, arrays, strict=True) if a is not None]
        if self.elementwise:
            point = {name: float(array.ravel()[flat]) for name, array in named}
            return ", ".join(f"{name} = {value:.9g}" for name, value in point.items()), point
        spot = [int(i) for i in np.unravel_index(flat, found.made.shape)]
        small = sum(array.size for _, array in named) <= 64
        point = {name: array.tolist() for name, array in named} if small else {}
        return f"{found.name}{spot if spot else ''} with {found.point.label}", point

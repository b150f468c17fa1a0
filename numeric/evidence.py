"""What a numerical check records, and how errors of several results are counted together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEAST_SCALE = 1e-3
"""What an error is relative to at least, for inputs around 1: a result may be 0 altogether."""


@dataclass(frozen=True)
class Evidence:
    """One numerical check, as it was recorded.

    `error` is the largest error, in `unit` ("relative", or "ulp": units in the last place, of the row's
    largest element where an operation works on rows); `bound` what was allowed; `reference` the error of
    PyTorch's own kernel on the same inputs; `worst` the input at which the error is largest; `against` the
    oracle.
    """

    check: str
    target: str
    dtype: str
    cases: int
    passed: bool
    error: float | None = None
    bound: float | None = None
    note: str = ""
    unit: str = ""
    reference: float | None = None
    worst: str = ""
    against: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON has it: an error without bound (a NaN was met) is the text `inf`."""
        return {name: _plain(value) for name, value in vars(self).items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@dataclass
class Tally:
    """The largest of many errors, and where it was met."""

    error: float = 0.0
    worst: str = ""
    cases: int = 0
    notes: list[str] = field(default_factory=list[str])

    def add_all(self, names: Sequence[str], found: Sequence[Any], wanted: Sequence[Any], case: str) -> None:
        """The errors of several results of one case.

        Each is relative to the largest wanted entry of its own, but not to less than a tenth of the largest
        of all: a gradient that is 0 by a cancellation (that of a bias before a softmax) has no scale of its
        own.
        """
        expected = [to_numpy(w) for w in wanted]
        largest = max((float(np.nanmax(np.abs(w))) for w in expected if w.size), default=0.0)
        for name, f, w in zip(names, found, expected, strict=True):
            self.add(to_numpy(f), w, f"{case}: {name}", largest)

    def add(self, found: np.ndarray, wanted: np.ndarray, place: str, largest: float) -> None:
        """The error of one result; one of another shape is infinitely far."""
        if found.shape != wanted.shape:
            self.take(math.inf, f"{place}: shape {found.shape}, wanted {wanted.shape}")
            return
        if not wanted.size:
            return
        scale = max(float(np.nanmax(np.abs(wanted))), largest / 10, LEAST_SCALE)
        gap = np.abs(found - wanted)
        gap = np.where(np.isnan(gap), np.inf, gap)
        at = int(np.argmax(gap))
        shown = [int(i) for i in np.unravel_index(at, gap.shape)]
        self.take(float(gap.flat[at]) / scale, f"{place}{shown if shown else ''}")

    def take(self, error: float, place: str) -> None:
        if error > self.error or not self.worst:
            self.error, self.worst = max(error, self.error), place


def to_numpy(value: Any) -> np.ndarray:
    """An array or tensor as float64."""
    if hasattr(value, "detach"):
        value = value.detach().double().cpu().numpy()
    return np.asarray(value, dtype=np.float64)

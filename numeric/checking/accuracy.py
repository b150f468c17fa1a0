"""How accurate a program is in floats, forward and backward: errors in units in the last place, and what
is lost. It never touches a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

BETTER = 4
"""By what factor a largest error must be smaller for one program to be called more accurate."""


@dataclass(frozen=True)
class Errors:
    """The errors of one pass, in units in the last place of the true value (or of its row's largest).

    `largest` is over the results that are numbers, `typical` the median where the true value is a normal
    number too. `flushed` counts results that are 0 where the true value is at least the smallest number of
    the dtype; `nan` and `infinite` those where it is finite and representable.
    """

    compared: int = 0
    largest: float = 0.0
    typical: float = 0.0
    flushed: int = 0
    nan: int = 0
    infinite: int = 0
    worst: str = ""
    """Where the error is largest: the smallest input that gives NaN or infinity, if there is any."""
    point: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """All inputs there, if they are few."""

    @property
    def lost(self) -> int:
        """How many values are no numbers though the true ones are."""
        return self.nan + self.infinite

    def better_than(self, other: Errors) -> bool:
        """Whether less is lost, or as much and the largest error, or what is flushed, is clearly less."""
        if self.lost != other.lost:
            return self.lost < other.lost
        return BETTER * self.largest < other.largest or (
            BETTER * self.flushed < other.flushed and self.largest <= other.largest
        )

    def __str__(self) -> str:
        text = f"largest error {_short(self.largest)} ulp (typical {_short(self.typical)})"
        counts = ((self.nan, "NaN"), (self.infinite, "infinite"), (self.flushed, "flushed to zero"))
        return ", ".join([text, *(f"{n} {what}" for n, what in counts if n)])


@dataclass(frozen=True)
class PassAccuracy:
    """One pass in one dtype, and the plain formula at the same points if there is one."""

    which: str
    dtype: str
    errors: Errors
    plain: Errors | None = None

    @property
    def plain_is_better(self) -> bool:
        return self.plain is not None and self.plain.better_than(self.errors)

    def to_dict(self) -> dict[str, Any]:
        return {
            "pass": self.which,
            "dtype": self.dtype,
            **_finite(asdict(self.errors)),
            "plain": None if self.plain is None else _finite(asdict(self.plain)),
            "plain_is_better": self.plain_is_better,
        }

    def __str__(self) -> str:
        e = self.errors
        if not e.compared:
            return f"{self.which} in {self.dtype}: nothing was compared"
        text = f"{self.which} in {self.dtype}: {e}"
        if e.worst and (e.largest > 1 or e.lost):
            text += f", worst at {e.worst}"
        return f"{text}\n  plain PyTorch is better: {self.plain}" if self.plain_is_better else text


@dataclass(frozen=True)
class Accuracy:
    """Floating-point accuracy of forward and backward, against the same program in ball arithmetic.

    `unit` says of what the unit in the last place is taken; `plain` what the plain formula is.
    """

    passes: tuple[PassAccuracy, ...]
    unit: str
    points: int
    plain: str | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "passes": [p.to_dict() for p in self.passes],
            "unit": self.unit,
            "points": self.points,
            "plain": self.plain,
            "notes": list(self.notes),
        }

    def of(self, which: str, dtype: str | None = None) -> PassAccuracy:
        """The forward or backward pass, in a dtype or in the first."""
        return next(p for p in self.passes if p.which == which and dtype in (None, p.dtype))

    def __str__(self) -> str:
        return "\n".join([*map(str, self.passes), *self.notes])


def _short(number: float) -> str:
    if number < 0.005:
        return "0"
    return f"{number:.2g}" if number < 1000 else f"{number:.1e}"


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON takes it: no infinity."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}

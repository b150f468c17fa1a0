"""Comparisons that a program makes: decided by the real numbers that travel along, and recorded side by
side.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import torch

import gradproof
from gradproof.numeric.exact.duals import Array, expand
from gradproof.numeric.exact.reals import Floats
from gradproof.numeric.exact.specials import finite_entries
from gradproof.numeric.exact.values import AmbiguousError, Value

NEAR = 1e-9
"""Floats whose relative distance is below this are not told apart by floats."""


@dataclass(frozen=True, order=True)
class Site:
    """A comparison in the user's program: what is compared, and the line."""

    what: str
    line: str
    column: int = 0
    """Where in the line, and in the lines that called it: two comparisons that stand on one line are two, and
    so are those of a helper that is called twice.
    """

    def __str__(self) -> str:
        return f"{self.what} at {self.line}"


@dataclass
class Branches:
    """The outcomes met at each site, and whether floats alone may decide (they may in a run that only
    looks around).
    """

    outcomes: dict[Site, set[object]] = field(default_factory=dict[Site, set[object]])
    required: dict[Site, frozenset[object]] = field(default_factory=dict[Site, frozenset[object]])
    impossible: dict[Site, frozenset[object]] = field(default_factory=dict[Site, frozenset[object]])
    """The outcomes that bounds over the domain exclude, at each site of a run that has bounds."""
    equalities: set[Site] = field(default_factory=set[Site])
    """The sites that ask only whether numbers are equal."""
    forward: bool = True
    """Whether the forward is running, and not the backward."""
    forward_ties: int = 0
    """How many comparisons of the forward met equal numbers."""
    backward_ties: int = 0
    """How many of the backward did."""
    constants: set[Fraction] = field(default_factory=set[Fraction])
    """The constants that numbers were compared with."""
    data_constants: set[int] = field(default_factory=set[int])
    """The constants that integers were compared with."""

    def record(
        self, what: str, outcomes: Iterable[object], required: Iterable[object], equality: bool = False
    ) -> None:
        site = Site(what, *user_place())
        if equality:
            self.equalities.add(site)
        self.outcomes.setdefault(site, set()).update(outcomes)
        self.required[site] = self.required.get(site, frozenset()) | frozenset(required)

    def missing(self) -> dict[Site, frozenset[object]]:
        """The outcomes that no run has met, by site."""
        open_sides = {
            site: needed - self.outcomes[site] - self.impossible.get(site, frozenset())
            for site, needed in self.required.items()
        }
        return {site: sides for site, sides in open_sides.items() if sides}

    def _possible(
        self, a: Value, b: Value, sides: Array, what: str, equality: bool = False
    ) -> tuple[int, ...]:
        """The outcomes that bounds over the domain leave; a run with bounds keeps those that it shows
        impossible.
        """
        if a.bounds is None or b.bounds is None:
            return (-1, 1)
        gaps = (expand(a.bounds.primal, 1, sides.shape) - expand(b.bounds.primal, 1, sides.shape)).reshape(-1)
        site = Site(what, *user_place())
        above = all(gap.low >= 0 for gap in gaps)
        below = all(gap.high <= 0 for gap in gaps)
        one_sided: set[object] = {-1} if above else {1} if below else set()
        if equality:
            apart = all(gap.is_positive() or (-gap).is_positive() for gap in gaps)
            one_sided = {True} if apart else set()
        known = self.impossible.get(site)
        self.impossible[site] = frozenset(one_sided) if known is None else known & one_sided
        return (-1, 1)

    def exclude(self, what: str, sides: Iterable[object]) -> None:
        """Outcomes that bounds exclude, whatever else is met at the place."""
        site = Site(what, *user_place())
        known = self.impossible.get(site)
        self.impossible[site] = frozenset(sides) if known is None else known & frozenset(sides)

    def record_data(self, constants: Iterable[int]) -> None:
        """Remember the constants with which integers were compared."""
        self.data_constants.update(constants)

    def note(self, sides: Array) -> None:
        """Count equal numbers among those that are compared."""
        if self.forward:
            self.forward_ties += int(np.sum(sides == 0))
        else:
            self.backward_ties += int(np.sum(sides == 0))

    def merge_equal(self, other: Branches) -> None:
        """Take over where numbers were equal, which only chosen points show."""
        for site in other.equalities:
            self.outcomes.setdefault(site, set()).update(other.outcomes.get(site, ()))

    def merge(self, other: Branches) -> None:
        for site, outcomes in other.outcomes.items():
            self.outcomes.setdefault(site, set()).update(outcomes)
        for site, required in other.required.items():
            self.required[site] = self.required.get(site, frozenset()) | required
        self.equalities |= other.equalities
        self.constants |= other.constants
        self.data_constants |= other.data_constants

    def compare(self, a: Value, b: Value, what: str, equality: bool = False) -> Array:
        """-1, 0 or 1 for each entry; `equality` asks only whether they are equal.

        Entries are equal if their residues are: identically, or because the inputs are (`x > 0` at `x = 0`).
        """
        sides = order(a, b)
        if a.constant is None or b.constant is None:
            self.note(sides)
            for operand in (a, b):
                if operand.constant is not None:
                    self.constants.update(Fraction(c) for c in operand.constant.flat[:8])
            if equality:
                self._possible(a, b, sides, what, equality)
                self.equalities.add(Site(what, *user_place()))
                self.record(what, (bool(side == 0) for side in np.unique(sides)), (False, True))
            else:
                possible = self._possible(a, b, sides, what)
                required = possible if np.any(sides[both_finite(a, b)]) else ()
                self.record(what, (int(side) for side in np.unique(sides)), required)
        return sides


def both_finite(a: Value, b: Value) -> Array:
    """Where two numbers are finite: an infinity is compared by what it is, whatever the inputs are."""
    return np.logical_and(finite_entries(a), finite_entries(b))


def order(a: Value, b: Value) -> Array:
    """The signs of `a - b`; raises `AmbiguousError` where they cannot be told."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = a.expand(shape), b.expand(shape)
    x, y = a.reals, b.reals
    if isinstance(a.numbers.reals, Floats):
        with np.errstate(invalid="ignore"):
            difference = x - y
        sides = np.asarray(np.sign(difference))
        near = np.abs(difference) <= NEAR * np.maximum(np.abs(x), np.abs(y))
        near &= np.isfinite(x) & np.isfinite(y)
        same = x == y  # infinities of one sign among them
        sides[same] = 0
        if np.any(np.isnan(sides)):
            raise AmbiguousError("a comparison with NaN")
        if not np.any(near & ~same | same & np.isfinite(x)):
            return sides.astype(np.int8)
        equal = _equal(a, b)
        if equal is None:
            return sides.astype(np.int8)
        unclear = (near & ~same | same & np.isfinite(x)) & ~equal
        if np.any(unclear & ~_real_constants(a, b)):
            raise AmbiguousError("a comparison of numbers that floats cannot tell apart")
        sides[near & equal] = 0
        return sides.astype(np.int8)
    sides = np.empty(shape, dtype=np.int8)
    for position in np.ndindex(shape):
        sides[position] = _order_balls(x[position], y[position])
    equal = _equal(a, b)
    if equal is not None and np.any((sides == 0) & ~equal & ~_real_constants(a, b)):
        raise AmbiguousError("a comparison of numbers that are equal by chance")
    return sides


def _equal(a: Value, b: Value) -> Array | None:
    """Where the residues are equal; None where a run has none."""
    if a.formal is None or b.formal is None:
        return None
    levels = min(a.formal.levels, b.formal.levels)
    if levels == 0:
        return None
    return np.asarray(
        np.all(a.formal.rows(levels).primal == b.formal.rows(levels).primal, axis=0), dtype=bool
    )


def _real_constants(a: Value, b: Value) -> bool:
    return a.constant is not None and b.constant is not None


def _order_balls(x: Any, y: Any) -> int:
    if x.is_nan() or y.is_nan():
        raise AmbiguousError("a comparison with NaN")
    if x > y:
        return 1
    if x < y:
        return -1
    if x == y or (x.is_exact() and y.is_exact()):
        return 0
    raise AmbiguousError("a comparison that balls cannot tell apart")


_OUTSIDE = (
    str(Path(torch.__file__).parent),
    str(Path(np.__file__).parent),
    sysconfig.get_paths()["stdlib"] + "/",
    str(Path(__file__).resolve().parents[1]) + "/",
    "<",
)
_RUNNERS = {str(Path(__file__).with_name(name)) for name in ("programs.py", "numpy_programs.py")}
"""What calls the user's functions: above them stands who asked for the check."""
_FACE = Path(gradproof.__file__).resolve().parent


@lru_cache(maxsize=4096)
def is_the_users(filename: str) -> bool:
    """Whether a file is a program's own, not of the libraries below it."""
    if filename.startswith("<gradproof "):  # a kernel that was generated
        return True
    within = "site-packages" in filename and not filename.startswith(_OUTSIDE)
    return within or not (filename.startswith(_OUTSIDE) or str(Path(filename).resolve()).startswith(_OUTSIDE))


@lru_cache(maxsize=4096)
def _is_the_face(filename: str) -> bool:
    """Whether it is the command line, or what tests call: nothing above them belongs to the program."""
    return Path(filename).resolve().parent == _FACE


def user_place() -> tuple[str, int]:
    """The innermost line that is the user's, and a number for the column and the calls that led there:
    outside of
    PyTorch, NumPy, the standard library and this package.
    """
    line, path = "autograd", list[tuple[str, int, int]]()
    frame = sys._getframe(1)
    while frame is not None and not _is_the_face(frame.f_code.co_filename):
        code = frame.f_code
        if code.co_filename in _RUNNERS:
            break
        if is_the_users(code.co_filename):
            if not path:
                line = f"{Path(code.co_filename).name}:{frame.f_lineno}"
            path.append((code.co_filename, frame.f_lineno, _column(code, frame.f_lasti)))
        frame = frame.f_back
    return line, path[0][2] if len(path) == 1 else hash(tuple(path)) if path else 0


@lru_cache(maxsize=4096)
def _column(code: CodeType, instruction: int) -> int:
    position = next(islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    return position[2] or 0


def user_line() -> str:
    """The innermost line that is the user's."""
    return user_place()[0]


def line_of(error: BaseException) -> str | None:
    """The innermost line of the user's in the traceback of an error."""
    lines: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if is_the_users(filename) and not _is_the_face(filename):
            lines.append(f"{Path(filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return lines[-1] if lines else None

"""Comparisons that a program makes: decided by the real numbers that travel along, and recorded side by
side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from gradproof.numeric.exact.duals import Array, Shape, expand
from gradproof.numeric.exact.frames import user_place
from gradproof.numeric.exact.reals import Floats
from gradproof.numeric.exact.specials import finite_entries
from gradproof.numeric.exact.values import AmbiguousError, Value

NEAR = 1e-9
"""Floats whose relative distance is below this are not told apart by floats."""
NOISE = 1e-9
"""Floats this close to one another are equal where their residues are."""


@dataclass(frozen=True, order=True)
class Site:
    """A comparison in the user's program: what is compared, and the line."""

    what: str
    line: str
    column: int = 0
    """Where in the line, and in the lines that called it: two comparisons that stand on one line are two, and
    so are those of a helper that is called twice.
    """
    phase: str = ""
    """The pass in which it was met: the forward, or the backward of an output."""
    turn: int = 0
    """How often the same pass had come by before: each turn of a loop is a comparison of its own."""

    def __str__(self) -> str:
        return f"{self.what} at {self.line}"

    @property
    def place(self) -> Site:
        """Where it stands in the text, whichever turn it is."""
        return Site(self.what, self.line, self.column)


Entries = dict[object, Array]
"""For each outcome, at which of the entries that are compared."""


@dataclass
class Sides:
    """The outcomes at one site, entry by entry: those met, asked for, and excluded by bounds.

    Where runs compared different numbers of entries, they are told apart no more.
    """

    shape: Shape
    met: Entries = field(default_factory=Entries)
    required: Entries = field(default_factory=Entries)
    impossible: Entries = field(default_factory=Entries)
    fixed: Array | None = None
    """Differences that are the same rational number in every run, whatever the inputs; NaN elsewhere."""

    def add(self, other: Sides) -> None:
        """Take over what another run found."""
        if other.shape != self.shape:
            self._join_entries()
            other = replace(other)
            other._join_entries()
        if other.required:
            own, more = self.fixed, other.fixed
            self.fixed = None if own is None or more is None else np.where(own == more, own, np.nan)
        for own, more in ((self.met, other.met), (self.required, other.required),
                          (self.impossible, other.impossible)):  # fmt: skip
            for outcome, entries in more.items():
                own[outcome] = own[outcome] | entries if outcome in own else entries

    def _join_entries(self) -> None:
        if self.shape == ():
            return
        self.shape, self.fixed = (), None
        self.met = {outcome: np.asarray(entries.any()) for outcome, entries in self.met.items()}
        self.required = {outcome: np.asarray(entries.any()) for outcome, entries in self.required.items()}
        self.impossible = {outcome: np.asarray(entries.all()) for outcome, entries in self.impossible.items()}

    def excluded_by_both(self, other: Sides) -> Sides:
        """What bounds exclude in two runs."""
        if other.shape != self.shape:
            return Sides(self.shape)
        shared = self.impossible.keys() & other.impossible.keys()
        return Sides(self.shape, impossible={o: self.impossible[o] & other.impossible[o] for o in shared})

    def missing(self) -> Entries:
        """Where an outcome was not met that is asked for and possible.

        Entries that are equal in every run ask for nothing; that some are equal is asked for once.
        """
        nothing = np.zeros(self.shape, dtype=bool)
        found: Entries = {}
        apart = self.met.get(-1, nothing) | self.met.get(1, nothing)
        for outcome, required in self.required.items():
            met = self.met.get(outcome, nothing)
            impossible = self.impossible.get(outcome, nothing)
            if outcome is True or outcome is False:
                met = np.full(self.shape, met.any())
            elif outcome in (-1, 1):
                required = required & (apart | ~self.met.get(0, nothing))
                if self.fixed is not None:
                    required = required & np.isnan(self.fixed)
            left = required & ~met & ~impossible
            if left.any():
                found[outcome] = left
        return found


@dataclass
class Branches:
    """The outcomes met at each site, and what else comparisons showed."""

    sides: dict[Site, Sides] = field(default_factory=dict[Site, Sides])
    equalities: set[Site] = field(default_factory=set[Site])
    """The sites that ask only whether numbers are equal."""
    forward: bool = True
    """Whether the forward is running, and not the backward."""
    forward_ties: int = 0
    """How many comparisons of the forward met equal numbers."""
    backward_ties: int = 0
    """How many of the backward did."""
    backward_compares: bool = False
    """Whether the backward compares anything that the inputs may move."""
    constants: set[Fraction] = field(default_factory=set[Fraction])
    """The constants that numbers were compared with."""
    data_constants: set[int] = field(default_factory=set[int])
    """The constants that integers were compared with."""
    wanted: Mapping[Site, Entries] | None = None
    """The sides that are looked for, in a run that says how far they are."""
    gaps: list[Gap] = field(default_factory=list["Gap"])
    """How far they are."""
    of_variants: set[Site] = field(default_factory=set[Site])
    """The sites that only a backward that ran in another way came by."""
    _phase: str = "forward"
    _turns: Counter[Site] = field(default_factory=Counter[Site])

    def enter(self, phase: str) -> None:
        """A pass begins."""
        self._phase = phase
        self._turns.clear()

    def _site(self, what: str) -> Site:
        place = Site(what, *user_place(), self._phase)
        self._turns[place] += 1
        return replace(place, turn=self._turns[place] - 1)

    def record(
        self, what: str, outcomes: Iterable[object], required: Iterable[object], equality: bool = False,
        margin: Value | None = None, impossible: Iterable[object] = (),
    ) -> None:  # fmt: skip
        """Record outcomes of something that has no entries; `margin` is positive where it is true."""
        here = np.ones((), dtype=bool)
        met, asked, never = (dict.fromkeys(some, here) for some in (outcomes, required, impossible))
        self.measure(self.record_entries(what, (), met, asked, equality, never), margin, anywhere=True)

    def record_entries(
        self, what: str, shape: Shape, met: Entries, required: Entries, equality: bool = False,
        impossible: Entries | None = None, fixed: Array | None = None,
    ) -> Site:  # fmt: skip
        """Record at which entries each outcome was met, and at which it is asked for."""
        site = self._site(what)
        if equality:
            self.equalities.add(site)
        found = Sides(shape, met, required, impossible or {}, fixed)
        known = self.sides.get(site)
        if known is None:
            self.sides[site] = found
        else:
            known.add(found)
        return site

    def missing(self) -> dict[Site, Entries]:
        """The outcomes that no run has met, by site, and where."""
        found = {site: sides.missing() for site, sides in self.sides.items()}
        return {site: entries for site, entries in found.items() if entries}

    def outcomes(self) -> dict[Site, set[object]]:
        """The outcomes met at each place of the text, at any turn and entry."""
        found: dict[Site, set[object]] = {}
        for site, sides in self.sides.items():
            met = {outcome for outcome, entries in sides.met.items() if entries.any()}
            found.setdefault(site.place, set()).update(met)
        return found

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
            if site in self.sides:
                self.sides[site].add(Sides(other.sides[site].shape, other.sides[site].met))

    def merge_impossible(self, excluded: Mapping[Site, Sides]) -> None:
        """Take over what bounds exclude."""
        for site, sides in excluded.items():
            if site in self.sides:
                self.sides[site].add(Sides(sides.shape, {}, {}, sides.impossible))

    def merge(self, other: Branches) -> None:
        """Take over what another run found; what bounds exclude was taken from it alone."""
        for site, sides in other.sides.items():
            if site in self.sides:
                self.sides[site].add(sides)
            else:
                self.sides[site] = Sides(sides.shape, dict(sides.met), dict(sides.required), {}, sides.fixed)
        self.equalities |= other.equalities
        self.constants |= other.constants
        self.data_constants |= other.data_constants

    def merge_variant(self, other: Branches) -> None:
        """Take over a run of the backward in another way. Where it alone compares, sides are not asked for
        entry by entry, nor which entry was chosen.
        """
        self.of_variants |= other.sides.keys() - self.sides.keys()
        coarse = dict[Site, Sides]()
        for site in self.of_variants & other.sides.keys():
            coarse[site] = Sides(())
            coarse[site].add(other.sides[site])
            required = coarse[site].required
            coarse[site].required = {o: e for o, e in required.items() if not isinstance(o, str)}
        self.merge(replace(other, sides={**other.sides, **coarse}))

    def at_places(self) -> Branches:
        """The same by their places in the text alone."""
        found = Branches()
        found.merge_places(self, ())
        return found

    def merge_places(self, other: Branches, without: Collection[Site]) -> None:
        """Take over what stands at other places of the text, whichever turns and entries they are of."""
        for site, sides in other.sides.items():
            if site.place not in without:
                found = Sides((), {}, {}, {})
                found.add(sides)
                known = self.sides.setdefault(site.place, Sides(()))
                known.add(found)

    def compare(
        self, a: Value, b: Value, what: str, equality: bool = False, demanded: bool = True
    ) -> Array:  # fmt: skip
        """-1, 0 or 1 for each entry; `equality` asks only whether they are equal. Where sides are not
        `demanded`, it does not matter which of them are never met.

        Entries are equal if their residues are: identically, or because the inputs are (`x > 0` at `x = 0`).
        """
        sides = order(a, b)
        if a.constant is None or b.constant is None:
            self.backward_compares |= not self.forward
            self.note(sides)
            for operand in (a, b):
                if operand.constant is not None:
                    self.constants.update(Fraction(c) for c in operand.constant.flat[:8])
            if equality:
                open_ = both_finite(a, b) & ~identical(a, b)
                met: Entries = {True: sides == 0, False: sides != 0}
                required: Entries = {True: open_, False: open_}
            else:
                met = {-1: sides < 0, 0: sides == 0, 1: sides > 0}
                required = {}
            never = _excluded(a, b, sides.shape, equality)
            fixed = None if equality else _constant_apart(a, b, sides.shape)
            if not equality:  # numbers that no input moves have one side, whatever data make it another
                asked = both_finite(a, b) & (True if fixed is None else np.isnan(fixed))
                required = {-1: asked, 1: asked}
            if not demanded:
                required = {}
            site = self.record_entries(what, sides.shape, met, required, equality, never, fixed)
            if self.wanted is not None:
                self.measure(site, a - b, threshold=_threshold(a, b))
        return sides

    def measure(
        self, site: Site, difference: Value | None, anywhere: bool = False, threshold: float = 0.0
    ) -> None:
        """In a run that looks for sides, keep the difference that decides a site; `anywhere` if one entry of
        it is enough.
        """
        wanted = None if self.wanted is None or difference is None else self.wanted.get(site)
        for outcome, entries in (wanted or {}).items():
            assert difference is not None
            self.gaps.append(Gap(site, outcome, difference, None if anywhere else entries, threshold))


@dataclass(frozen=True)
class Gap:
    """What decides a comparison: positive on the side 1 or True, negative on the side -1 or False."""

    site: Site
    outcome: object
    difference: Value
    entries: Array | None
    """Where the outcome is looked for; at any one entry if None."""
    threshold: float = 0.0
    """The smallest size of the constants that numbers are compared with; 0 where there is none."""


def _threshold(a: Value, b: Value) -> float:
    sizes = [abs(float(c)) for v in (a, b) if v.constant is not None for c in v.constant.flat if c]
    return min(sizes, default=0.0)


def _constant_apart(a: Value, b: Value, shape: Shape) -> Array | None:
    """The difference of two numbers where it is a rational number and nothing moves it, else NaN; None where
    that holds nowhere.
    """
    system = a.numbers.residues
    if system is None or a.formal is None or b.formal is None:
        return None
    moved = [x.tangent for x in (a.formal, b.formal) if x.tangent is not None]
    if len(moved) == 1 and np.all(np.any(moved[0] != 0, axis=(0, 1))):
        return None  # each entry is moved by what moves the one side
    gap = (a - b).expand(shape)
    formal = gap.formal
    assert formal is not None
    still = np.ones(shape, dtype=bool)
    if formal.tangent is not None:
        still = np.all(formal.tangent == 0, axis=(0, 1))
    if not still.any() or not isinstance(gap.numbers.reals, Floats):
        return None
    found = np.full(shape, np.nan)
    for spot in map(tuple, np.argwhere(still)):
        if not np.isfinite(gap.reals[spot]):
            continue
        number = Fraction(float(gap.reals[spot])).limit_denominator(1 << 20)
        column = system.residues_of(number)[-formal.levels :]
        own = [int(r) for r in formal.primal[(slice(None), *spot)]]
        if [int(r) for r in column] == own:
            found[spot] = float(number)
    return found


def _excluded(a: Value, b: Value, shape: Shape, equality: bool) -> Entries:
    """The outcomes that bounds over the domain exclude, in a run that has them."""
    if a.bounds is None or b.bounds is None:
        return {}
    gaps: Any = expand(a.bounds.primal, 1, shape) - expand(b.bounds.primal, 1, shape)
    gaps = gaps.reshape(-1)

    def where(test: Callable[[Any], bool]) -> Array:
        return np.array([test(gap) for gap in gaps], dtype=bool).reshape(shape)

    if equality:
        return {True: where(lambda gap: gap.is_positive() or (-gap).is_positive())}
    return {-1: where(lambda gap: gap.low >= 0), 1: where(lambda gap: gap.high <= 0)}


def both_finite(a: Value, b: Value) -> Array:
    """Where two numbers are finite: an infinity is compared by what it is, whatever the inputs are."""
    return np.logical_and(finite_entries(a), finite_entries(b))


def identical(a: Value, b: Value) -> Array:
    """Where two numbers are one and the same in the region of a run, as `x == x`: so are their tangents."""
    gap = (a - b).formal
    if gap is None or gap.levels == 0:
        return np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=bool)
    same = np.asarray(np.all(gap.primal == 0, axis=0), dtype=bool)
    return same if gap.tangent is None else same & np.all(gap.tangent == 0, axis=(0, 1))


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
        noise = np.abs(difference) <= NOISE  # of terms that cancel, as in `x.sum() - 0.7` compared with 0
        if not np.any((near | noise) & ~same | same & np.isfinite(x)):
            return sides.astype(np.int8)
        equal = _equal(a, b)
        if equal is None:
            return sides.astype(np.int8)
        unclear = (near & ~same | same & np.isfinite(x)) & ~equal
        if np.any(unclear & ~_real_constants(a, b)):
            raise AmbiguousError("a comparison of numbers that floats cannot tell apart")
        sides[(near | noise) & equal] = 0
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

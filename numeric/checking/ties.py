"""Points at which numbers that a program compares are equal: solved for, exactly, where they are rational."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from gradproof.numeric.checking.points import FREE, MOVABLE, PINNED, Place
from gradproof.numeric.checking.steering import FAILED, MAX_MOVED, Missing, moved_by
from gradproof.numeric.checking.trials import Plan, Runner, movable_entries
from gradproof.numeric.checking.variation import Maker
from gradproof.numeric.exact.branches import Branches, Gap, Sides, Site
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.values import AmbiguousError

if TYPE_CHECKING:
    from gradproof.numeric.checking.checks import Findings

MAX_TIES = 40
"""At so many sites at most numbers are made equal."""
MAX_ALONE = 8
"""At so many sites at most one entry alone is made equal."""
MAX_TOGETHER = 24
"""So many entries are made equal at once."""
ITERATIONS = 24
TINY = 1e-13
"""What counts as no difference where it is not told how inputs move it."""
DENOMINATORS = (64, 10**4, 10**7, None)
"""Bounds on the denominators of the numbers that are tried; None takes the float as it is."""
MAX_SOLVED = 48
"""With so many entries equations are solved in balls."""
GRID = 64
DIGIT_STEPS = 8
"""Steps of Newton's method in balls: each adds the digits of a float."""
SOLVED = 1e-80
"""What is no difference among so many digits."""
SHORT = (60, 100)
"""So many bits may the denominators have of numbers that were found to many digits."""

Run = Callable[[Plan], None]


Way = tuple[str, bool]
"""Which entries of a site are made equal, and whether by moving all inputs a little."""
WAYS: tuple[Way, ...] = (("middle", False), ("middle", True))
"""One entry at a time, where a comparison asks which number is larger."""
EQUALITY_WAYS: tuple[Way, ...] = (("all", False), *WAYS)
ALONE_WAYS: tuple[Way, ...] = (("last", False), ("last", True))


def tie(runner: Runner, maker: Maker, findings: Findings, run: Run, limit: float) -> None:
    """Run points at which compared numbers are equal, at each site where no run has met that; at those that
    ask for it also some at which one entry alone is.
    """
    bases = [maker.plan(name, "values", cotangent="short") for name in ("ties", "other ties")]

    def make_equal(site: Site, ways: Sequence[Way]) -> None:
        for base in (*findings.reached.get(site, ()), *bases):
            plan = next(_equal_at(runner, base, site, findings, ways), None)
            if plan is not None:
                run(plan)
                return

    tried: set[Site] = set()
    while len(tried) < MAX_TIES and runner.spent < limit:
        site = next((s for s in findings.untied() if s not in tried), None)
        if site is None:
            break
        tried.add(site)
        make_equal(site, EQUALITY_WAYS if site in findings.branches.equalities else WAYS)
    for site in findings.tied_together()[:MAX_ALONE]:
        if runner.spent < limit:
            make_equal(site, ALONE_WAYS)


def _equal_at(
    runner: Runner, base: Plan, site: Site, findings: Findings, ways: Sequence[Way]
) -> Iterator[Plan]:
    """Plans near a base at which numbers at a site are equal for certain."""
    for way in ways:
        solved = _solve(runner, base, site, findings, *way)
        if solved is None:
            continue
        floats, spots = solved
        which = "" if way[0] != "last" else ", one alone"
        pinned = (_pinned(floats, spots, _shortened(bound)) for bound in DENOMINATORS)
        for points in (pinned, _solve_exactly(runner, floats, spots, site, findings, way[0])):
            for point in points:
                named = replace(point, name=f"equal numbers at {site}{which}", kind="kink")
                named = replace(named, drawn_as=base.drawn_as or base.name)
                for fixed in (False, True) if site.phase != "forward" else (False,):
                    plan = replace(named, pinned=fixed or base.pinned)
                    try:
                        met = runner.run_once(replace(plan, kind="values"), 0).branches  # all inputs at once
                    except FAILED:
                        continue
                    if has_tie(met, site):  # where several are equal there are more sides than are looked at
                        yield plan if met.forward_ties <= 1 else replace(plan, kind="kinks")
                        break


def has_tie(found: Branches, site: Site) -> bool:
    """Whether a run met equal numbers at a site."""
    sides = found.sides.get(site)
    return sides is not None and bool(equal_entries(sides, site in found.equalities).any())


def equal_entries(sides: Sides, equality: bool) -> Array:
    """Where the numbers at a site were equal."""
    return sides.met.get(True if equality else 0, np.zeros(sides.shape, dtype=bool))


def _solve(
    runner: Runner, plan: Plan, site: Site, findings: Findings, which: str, spread: bool
) -> tuple[Plan, list[int]] | None:
    """Newton's method for as many equations as entries, each by an input entry of its own; or `spread` over
    all entries by the shortest step, which takes a norm to 0.
    """
    if not 0 < movable_entries(plan) <= MAX_MOVED:
        return None
    held = [s for s in findings.held.get(plan.name, ()) if s != site]
    columns: list[int] = []
    rows: list[tuple[Site, int]] = []
    depends: set[int] = set()
    for _ in range(ITERATIONS):
        try:
            gaps = runner.look(plan, wanted=_wanted(findings, [site, *held])).branches.gaps
        except FAILED:
            return None
        entries = {
            (g.site, k): (d, s) for g in gaps for k, (d, s) in enumerate(_linear(g, movable_entries(plan)))
        }
        if not rows:
            rows, columns = _equations(entries, [site, *held], which)
            if not rows:
                return None
        if any(row not in entries for row in rows):
            return None
        differences = np.array([entries[row][0] for row in rows])
        slopes = np.array([entries[row][1] for row in rows])
        depends.update(int(k) for k in np.flatnonzero(np.any(slopes != 0, axis=0)))
        if not np.all(np.isfinite(slopes)) or not np.all(np.isfinite(differences)):
            return None
        if np.all(np.abs(differences) <= TINY) and depends:
            return plan, sorted(depends)
        if spread:
            columns = sorted(depends)
        try:
            own = (
                np.linalg.lstsq(slopes[:, columns], -differences)[0]
                if spread
                else np.linalg.solve(slopes[:, columns], -differences)
            )
        except np.linalg.LinAlgError:
            return None
        step = np.zeros(slopes.shape[1])
        step[columns] = own
        if not np.any(np.abs(own) > 1e-13 * (1 + np.abs(_entries(plan)[columns]))):
            return plan, sorted(depends)
        plan = moved_by(plan, step, 17)
    return plan, sorted(depends)  # a double zero is approached slowly


def _solve_exactly(
    runner: Runner, plan: Plan, spots: Sequence[int], site: Site, findings: Findings, which: str
) -> Iterator[Plan]:
    """Points where the entries of one input solve the equations for short numbers in the others: to many
    digits by Newton's method in balls, then the rational numbers that these are (`x.sum() == 0.7`).
    """
    count = movable_entries(plan)
    if count > MAX_SOLVED:
        return
    first = 0
    for place in plan.places:
        if place.reals is None or place.domain not in MOVABLE:
            continue
        own = [k for k in spots if first <= k < first + place.reals.size]
        first += place.reals.size
        half = len(own) // 2
        for columns in filter(None, (own[-1:], own, own[:half], own[half:]) if half else (own,)):
            others = [k for k in spots if k not in columns]
            grid = _pinned(plan, others, _on_grid)  # such as balls hold exactly
            solved = _newton_in_balls(runner, grid, columns, site, findings, which)
            if solved is not None:
                yield from (_pinned(solved, columns, _shortened(2**bits)) for bits in SHORT)


def _newton_in_balls(
    runner: Runner, plan: Plan, columns: Sequence[int], site: Site, findings: Findings, which: str
) -> Plan | None:
    """The plan with entries in these columns moved until numbers at a site are equal to many digits."""
    count = movable_entries(plan)
    for _ in range(DIGIT_STEPS):
        try:
            gaps = runner.look(plan, wanted=_wanted(findings, [site]), precise=True).branches.gaps
        except AmbiguousError:  # balls do not tell that they differ
            return plan
        except FAILED:
            return None
        rows = [row for gap in gaps for row in _linear(gap, count)]
        if which != "all" and rows:
            rows = [rows[-1 if which == "last" else len(rows) // 2]]
        differences = np.array([row[0] for row in rows])
        slopes = np.array([row[1][list(columns)] for row in rows])
        finite = np.all(np.isfinite(differences)) and np.all(np.isfinite(slopes))
        if not rows or not finite or np.all(np.abs(differences) < SOLVED):  # a norm has no slope at 0
            return plan
        scale = np.abs(slopes).max(axis=1, keepdims=True)
        scale[scale == 0] = 1
        step = np.zeros(count)
        step[list(columns)] = np.linalg.lstsq(slopes / scale, -differences / scale[:, 0], rcond=1e-10)[0]
        plan = moved_by(plan, step, None)
    return None


def _wanted(findings: Findings, sites: Sequence[Site]) -> Missing:
    wanted: dict[Site, dict[object, Array]] = {}
    for site in sites:
        equality = site in findings.branches.equalities
        wanted[site] = {(True if equality else 0): np.ones(findings.branches.sides[site].shape, dtype=bool)}
    return wanted


def _linear(gap: Gap, count: int) -> list[tuple[float, Array]]:
    """The differences at a site and their derivatives by all input entries."""
    tangent = gap.difference.real.tangent
    reals = np.asarray(gap.difference.reals, dtype=np.float64).reshape(-1)
    if tangent is None or len(tangent) != count:
        return []
    slopes = tangent.reshape(tangent.shape[0], -1).astype(np.float64)
    return [(float(d), slopes[:, k]) for k, d in enumerate(reals)]


def _equations(
    entries: dict[tuple[Site, int], tuple[float, Array]], sites: Sequence[Site], which: str
) -> tuple[list[tuple[Site, int]], list[int]]:
    rows: list[tuple[Site, int]] = []
    columns: list[int] = []
    for site in sites:
        own = [key for key in entries if key[0] == site]
        if which != "all" and own:
            own = [own[-1 if which == "last" else len(own) // 2]]
        for key in own[:MAX_TOGETHER]:
            slopes = np.abs(entries[key][1])
            free = [int(k) for k in np.argsort(-slopes) if slopes[k] > 0 and int(k) not in columns]
            if free:
                rows.append(key)
                columns.append(free[0])
    return rows, columns


def _entries(plan: Plan) -> Array:
    movable = [p.reals for p in plan.places if p.reals is not None and p.domain in MOVABLE]
    return np.concatenate([reals.reshape(-1).astype(np.float64) for reals in movable])


def _shortened(bound: int | None) -> Callable[[Fraction], Fraction]:
    return lambda number: number if bound is None else number.limit_denominator(bound)


def _on_grid(number: Fraction) -> Fraction:
    return Fraction(round(number * GRID), GRID)


def _pinned(plan: Plan, spots: Sequence[int], rounded: Callable[[Fraction], Fraction]) -> Plan:
    """The plan with entries that are rational numbers, in residues too."""
    places: list[Place] = []
    first = 0
    for place in plan.places:
        if place.reals is None or place.domain not in MOVABLE:
            places.append(place)
            continue
        reals = place.reals.reshape(-1).copy()
        ties = (np.full(reals.size, FREE) if place.ties is None else place.ties.reshape(-1)).copy()
        for k in range(reals.size):
            if first + k in spots:
                reals[k] = rounded(Fraction(reals[k]))
                ties[k] = PINNED
        first += reals.size
        shape = place.reals.shape
        places.append(replace(place, reals=reals.reshape(shape), ties=ties.reshape(shape)))
    return replace(plan, places=tuple(places))

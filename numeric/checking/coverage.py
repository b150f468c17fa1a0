"""Looking for points on the sides of comparisons that no trial has met, and for those that bounds exclude."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from gradproof.numeric.checking.steering import FAILED, ONTO, OVERSHOOTS, Missing, meets, steer
from gradproof.numeric.checking.trials import Plan, Runner
from gradproof.numeric.checking.variation import Maker
from gradproof.numeric.exact.branches import Branches, Sides, Site

if TYPE_CHECKING:
    from gradproof.numeric.checking.checks import Findings

SEARCH = 48
"""How many further points are looked at for a side of a comparison that was not met."""
SEARCH_ELSEWHERE = 8
"""How many at each size but the example's."""
MAX_SITES = 64
"""At other sizes sides are looked for where there are no more comparisons than this."""
STEERED = 16
"""How many of the points are moved towards a side, where they do not meet one."""

EACH = 4
"""One in so many is moved onto a threshold."""

ALONE = 12
"""How many sides are aimed at alone, one after the other, where none of them could be reached."""

ALONE_SHARE = 0.5
"""What they have beside the budget of the search before."""

LATEST = 6
"""So many of the latest points of a search are run in other ways."""

STARTS = ("values", "point", "data", "graph", "asked")
"""The kinds of plans from which points are moved."""

Run = Callable[[Plan], None]
Variants = Callable[[Plan], Iterator[Plan]]
"""A plan, and others at the same point."""
Near = Callable[[Missing, Random], "Plan | None"]
"""A plan that was run and came by a site at which a side is missing."""


def cover(runner: Runner, maker: Maker, findings: Findings, run: Run, limit: float) -> None:
    """Run further points until each side is met at the sizes of the example, then at the others."""

    def missing() -> Missing:
        """But for what only equal numbers bring about."""
        return {s: e for s, e in findings.missing().items() if s not in findings.branches.equalities}

    def near(sought: Missing, random: Random) -> Plan | None:
        plans = [
            trial.plan
            for trial in findings.trials
            if trial.plan.kind in STARTS and _asks_for(trial.branches, sought)
        ]
        return random.choice(plans) if plans else None

    def variants(plan: Plan) -> Iterator[Plan]:
        return _as_run(findings, plan, findings.missing())

    started, before = runner.spent, len(findings.trials)
    if findings.missing():
        _exclude(runner, variants(maker.plan("bounds", "values")), findings.branches)
    if missing():
        _search(runner, maker.far(findings.branches.constants), missing, run, SEARCH, limit, near, variants)
    if missing():
        _reach_alone(
            runner, findings, before, missing, run, runner.spent + ALONE_SHARE * (limit - started), near
        )
    for axes, branches in list(findings.elsewhere.items()):
        if axes:
            sizes = dict(axes)
            points = maker.at_sizes(sizes, findings.branches.constants)
            _search_apart(runner, branches, maker.plan("bounds", "sizes", sizes), points, run, limit)
    for settings, branches in list(findings.set_to.items()):
        within = maker.set_to(settings, maker.plan("bounds", "values"))
        points = (maker.set_to(settings, plan) for plan in maker.far(findings.branches.constants))
        _search_apart(runner, branches, within, points, run, limit)


def _search_apart(
    runner: Runner, branches: Branches, within: Plan, points: Iterator[Plan], run: Run, limit: float
) -> None:
    """The same where sides are counted apart: at other sizes, or for other values of a setting."""
    if runner.spent > limit or len(branches.sides) > MAX_SITES or not branches.missing():
        return
    _exclude(runner, iter([within]), branches)
    _search(runner, points, branches.missing, run, SEARCH_ELSEWHERE, limit, lambda *_: None, _alone)


def _alone(plan: Plan) -> Iterator[Plan]:
    yield plan


def _exclude(runner: Runner, plans: Iterator[Plan], branches: Branches) -> None:
    """Take over which sides bounds over the domain exclude, in all of the plans that come by a comparison;
    without bounds for all of them every side stays open.
    """
    excluded: dict[Site, Sides] = {}
    for plan in plans:
        try:
            found = runner.look(plan, bounds=True).branches
        except (*FAILED, TypeError):
            return
        for site, sides in found.sides.items():
            known = excluded.get(site)
            excluded[site] = sides if known is None else known.excluded_by_both(sides)
    branches.merge_impossible(excluded)


def _as_run(findings: Findings, plan: Plan, sought: Missing) -> Iterator[Plan]:
    """A plan, and as the trials were run that came by a comparison of which a side is sought: with a backward
    that can be derived again, or for some gradients only. Such a backward may have sides of its own.
    """
    yield plan
    if plan.kind == "sizes":
        return
    met = [t.plan for t in findings.trials if any(site in t.branches.sides for site in sought)]
    for graph, asked in dict.fromkeys((other.graph, tuple(p.asked for p in other.places)) for other in met):
        if (graph, asked) == (plan.graph, tuple(p.asked for p in plan.places)):
            continue
        kind, how = ("graph", "derivable again") if graph else ("asked", "for some gradients")
        places = tuple(replace(p, asked=wanted) for p, wanted in zip(plan.places, asked, strict=True))
        yield replace(plan, name=f"{plan.name}, {how}", kind=kind, graph=graph, places=places)


def _search(
    runner: Runner, points: Iterator[Plan], missing: Callable[[], Missing], run: Run, count: int,
    limit: float, near: Near, variants: Variants,
) -> None:  # fmt: skip
    idle = 0
    for attempt, plan in enumerate(itertools.islice(points, count)):
        sought = missing()
        if not sought or runner.spent > limit:
            return
        random = Random(f"{runner.seed}/{plan.name}")
        found = _meeting(runner, plan, sought, random, attempt if idle < STEERED else -1, near, variants)
        if found is not None and not found.name.startswith(plan.name):  # moved from another plan
            found = _renamed(found, plan.name)
        idle += 1
        if found is not None:
            run(found)
            if _count(missing()) < _count(sought):
                idle = 0


def _renamed(found: Plan, name: str) -> Plan:
    """A plan that was moved from another, at the sizes of the example: one of its own, run as that was."""
    same = found.kind in ("graph", "asked")
    name = f"{name}, as before" if same else name
    return replace(found, name=name, kind=found.kind if same else "values", twice=False)


def _reach_alone(
    runner: Runner, findings: Findings, before: int, missing: Callable[[], Missing], run: Run, limit: float,
    near: Near,
) -> None:  # fmt: skip
    """Go for the sides that are left one entry of one comparison at a time, in the order in which the program
    comes by them: what is computed again later has the same side there. A point of the search (the trials
    after those `before`) that has the side in another way of running is taken; else one is moved there.
    """
    tried: set[tuple[Site, object, int]] = set()
    idle = 0
    while idle < ALONE and runner.spent < limit:
        found = next((side for side in _each_side(findings, missing()) if side not in tried), None)
        if found is None:
            return
        tried.add(found)
        count, alone = _count(missing()), _alone_in(missing(), found)
        if not _run_otherwise(runner, findings, before, alone, run):
            _reach(runner, alone, f"side {len(tried)}", run, near)
        idle = idle + 1 if _count(missing()) == count else 0


def _run_otherwise(runner: Runner, findings: Findings, before: int, alone: Missing, run: Run) -> bool:
    """Whether one of the latest points of the search meets a side where the backward runs in another way."""
    points = [trial.plan for trial in findings.trials[before:] if trial.plan.kind == "values"]
    for plan in points[: -LATEST - 1 : -1]:
        for variant in itertools.islice(_as_run(findings, plan, alone), 1, None):
            try:
                met = meets(runner.look(variant).branches, alone)
            except FAILED:
                continue
            if met:
                run(variant)
                return True
    return False


def _each_side(findings: Findings, missing: Missing) -> Iterator[tuple[Site, object, int]]:
    """The sides that are missing, entry by entry, in the order of the program."""
    for site in [*findings.branches.sides, *missing]:
        for outcome, entries in missing.get(site, {}).items():
            for entry in np.flatnonzero(entries):
                yield site, outcome, int(entry)


def _alone_in(missing: Missing, side: tuple[Site, object, int]) -> Missing:
    site, outcome, entry = side
    shape = missing[site][outcome].shape
    alone = np.zeros(shape, dtype=bool)
    alone.reshape(-1)[entry] = True
    return {site: {outcome: alone}}


def _reach(runner: Runner, alone: Missing, name: str, run: Run, near: Near) -> None:
    """Run a point at which one entry has the side that is missing, if one is found."""
    for overshoot in OVERSHOOTS:
        random = Random(f"{runner.seed}/{name}/{overshoot}")
        start = near(alone, random)
        found = None if start is None else steer(runner, start, alone, random, overshoot)
        if found is not None:
            run(_renamed(found, name))
            return


def _meeting(
    runner: Runner,
    plan: Plan,
    sought: Missing,
    random: Random,
    attempt: int,
    near: Near,
    variants: Variants,
) -> Plan | None:
    for variant in variants(plan):
        try:
            if meets(runner.look(variant).branches, sought):
                return variant
        except FAILED:
            continue
    if attempt < 0:
        return None
    overshoot = ONTO if attempt % EACH == EACH - 1 else OVERSHOOTS[attempt // 2 % len(OVERSHOOTS)]
    start = near(sought, random) if attempt % 2 else plan
    return steer(runner, start or plan, sought, random, overshoot)


def _asks_for(found: Branches, sought: Missing) -> bool:
    """Whether a run came by an entry at which a side is sought that it might have met."""
    for site, entries in sought.items():
        sides = found.sides.get(site)
        for outcome, where in entries.items():
            asked = None if sides is None else sides.required.get(outcome)
            if asked is not None and np.any(asked & where if asked.shape == where.shape else asked):
                return True
    return False


def _count(missing: Missing) -> int:
    return sum(int(where.sum()) for entries in missing.values() for where in entries.values())

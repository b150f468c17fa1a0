"""Looking for points on the sides of comparisons that no trial has met, and for those that bounds exclude."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from gradproof.numeric.checking.steering import FAILED, OVERSHOOTS, Missing, meets, steer
from gradproof.numeric.checking.trials import Plan, Runner
from gradproof.numeric.checking.variation import Maker
from gradproof.numeric.exact.branches import Branches, Site

if TYPE_CHECKING:
    from gradproof.numeric.checking.checks import Findings

SEARCH = 48
"""How many further points are looked at for a side of a comparison that was not met."""
SEARCH_ELSEWHERE = 8
"""How many at each size but the example's."""
STEERED = 16
"""How many of the points are moved towards a side, where they do not meet one."""

Run = Callable[[Plan], None]
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
            if trial.plan.kind in ("values", "point", "data") and _asks_for(trial.branches, sought)
        ]
        return random.choice(plans) if plans else None

    graph = any(trial.plan.graph for trial in findings.trials)
    if missing():
        _exclude(runner, maker.plan("bounds", "values"), findings.branches, graph)
        _search(runner, maker.far(findings.branches.constants), missing, run, SEARCH, limit, near, graph)
    for axes, branches in list(findings.elsewhere.items()):
        if axes and branches.missing():
            sizes = dict(axes)
            _exclude(runner, maker.plan("bounds", "sizes", sizes), branches, False)
            points = maker.at_sizes(sizes, findings.branches.constants)
            _search(runner, points, branches.missing, run, SEARCH_ELSEWHERE, limit, lambda *_: None, False)


def _exclude(runner: Runner, plan: Plan, branches: Branches, graph: bool) -> None:
    """Take over which sides bounds over the domain exclude; without them a side stays open. A backward that
    can be derived again may have sides of its own.
    """
    seen: set[Site] = set()
    for variant in _variants(plan, graph):
        try:
            found = runner.look(variant, bounds=True).branches
        except (*FAILED, TypeError):
            continue
        branches.merge_impossible(found, seen)
        seen |= found.sides.keys()


def _variants(plan: Plan, graph: bool) -> Iterator[Plan]:
    """A plan, and the same with a backward that can be derived again."""
    yield plan
    if graph and plan.kind != "sizes":
        yield replace(plan, name=f"{plan.name}, derivable again", kind="graph", graph=True)


def _search(
    runner: Runner, points: Iterator[Plan], missing: Callable[[], Missing], run: Run, count: int,
    limit: float, near: Near, graph: bool,
) -> None:  # fmt: skip
    idle = 0
    for attempt, plan in enumerate(itertools.islice(points, count)):
        sought = missing()
        if not sought or runner.spent > limit:
            return
        random = Random(f"{runner.seed}/{plan.name}")
        found = _meeting(runner, plan, sought, random, attempt if idle < STEERED else -1, near, graph)
        if found is not None and not found.graph and found.name != plan.name:
            found = replace(found, name=plan.name, kind=plan.kind, twice=False)
        idle += 1
        if found is not None:
            run(found)
            if _count(missing()) < _count(sought):
                idle = 0


def _meeting(
    runner: Runner, plan: Plan, sought: Missing, random: Random, attempt: int, near: Near, graph: bool
) -> Plan | None:
    for variant in _variants(plan, graph):
        try:
            if meets(runner.look(variant).branches, sought):
                return variant
        except FAILED:
            continue
    if attempt < 0:
        return None
    overshoot = OVERSHOOTS[attempt // 2 % len(OVERSHOOTS)]
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

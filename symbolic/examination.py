"""The verdict on two sides: over the whole domain, through windows, and on small parts of the domain."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from gradproof.symbolic.deadline import deadline
from gradproof.symbolic.domain import Domain, Interval
from gradproof.symbolic.expressions import Bracket, walk
from gradproof.symbolic.formulas import Formula
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.scalar import MAX_SECONDS, Decision, Side
from gradproof.symbolic.tangent import NoDerivativeError
from gradproof.symbolic.verdict import Verdict
from gradproof.symbolic.windows import Windows, jumps, turning_windows, windows

LATE = 1.5
"""So many times the limit, and what is being worked out is given up."""
PARTS = (
    *((n - Fraction(1, 4), n + Fraction(1, 4)) for n in (1, 0, 2, -1)),
    (Fraction(-2), Fraction(2)),
)
"""In these intervals a jump or a kink is looked for, where there are too many to tell them all."""


def decide(left: Side, right: Side, domains: Mapping[str, Domain], seconds: float = MAX_SECONDS) -> Verdict:
    """Whether two sides are equal at every point of the domain where the left one has a value."""
    return examine(left, right, domains, seconds)[0]


def examine(
    left: Side, right: Side, domains: Mapping[str, Domain], seconds: float = MAX_SECONDS
) -> tuple[Verdict, Decision | None]:
    """The same, with the examination that it rests on."""
    started = time.perf_counter()
    formulas = left.formula, right.formula
    verdict, decision = _examine(left, right, windows(formulas, domains), seconds)
    if verdict.verdict == "undecided":
        closer = _closer_looks(left, right, domains, started + seconds)
        decided = ((v, seen) for v, seen in closer if v.verdict != "undecided")
        verdict, decision = next(decided, (verdict, decision))
    return replace(verdict, seconds=time.perf_counter() - started), decision


def _has_kinks(formulas: tuple[Formula, Formula]) -> bool:
    """Whether there are cases or a floor in a formula."""
    parts = [p for f in formulas for p in (f.value, *(d.subject for d in f.demands))]
    return jumps(formulas) or any(isinstance(node, Bracket) for part in parts for node in walk(part))


def _closer_looks(
    left: Side, right: Side, domains: Mapping[str, Domain], until: float
) -> Iterator[tuple[Verdict, Decision | None]]:
    """The verdict through windows of full turns; then refutations on small parts of the domain."""
    formulas = left.formula, right.formula
    turning = turning_windows(formulas, domains)
    if turning.meaning and not windows(formulas, domains).meaning and time.perf_counter() < until:
        yield _examine(left, right, turning, until - time.perf_counter())
    until -= (until - time.perf_counter()) / 2
    for low, high in PARTS if left.by and _has_kinks(formulas) else ():
        part = Domain((Interval(low, high),))
        near = {n: d if d.integer else d.meet(part) for n, d in domains.items()}
        rest = until - time.perf_counter()
        if rest > 0 and all(d.intervals for d in near.values()):
            found, seen = _examine(left, right, windows(formulas, near), rest)
            if found.verdict == "refuted":
                yield found, seen


def _examine(left: Side, right: Side, made: Windows, seconds: float) -> tuple[Verdict, Decision | None]:
    decision = None
    try:
        first, second = made.moved(left.formula), made.moved(right.formula)
        first = Formula(first.value, (*made.needs, *first.demands))
        sides = Side(first, left.by), Side(second, right.by)
        decision = Decision(*sides, made.domains, seconds, meaning=made.meaning)
        with deadline(LATE * seconds):
            verdict = decision.verdict()
    except ValueError as problem:
        if "integer string conversion" not in str(problem) and not isinstance(problem, NoDerivativeError):
            raise
        verdict = Verdict("undecided", reason=f"not decided: {str(problem).partition(';')[0]}")
    except (ArithmeticError, RecursionError, TooLargeError) as problem:
        verdict = Verdict("undecided", reason=f"not decided: {problem}")
    return verdict, decision

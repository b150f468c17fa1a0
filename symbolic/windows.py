"""Formulas that jump at infinitely many places, seen through windows: `x = w + n`, -1 < w < 1, n whole.

The windows cover the line, and in each of them a `floor` of something linear in x jumps only a few times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor, lcm

from gradproof.symbolic.cases import replace_parameters
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.domain import Domain, Interval
from gradproof.symbolic.expressions import Call, Expr, parameter, walk
from gradproof.symbolic.formulas import Formula
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.tower import MAX_GENERATORS, OpenCaseError, Tower, rational

COUNTER = "#"
"""In front of the name of a variable stands what counts its windows; no formula can hold it."""
MAX_PERIOD = 24


@dataclass(frozen=True)
class Windows:
    """The domains with counters added, and what the variables of the claim are in the new ones."""

    domains: Mapping[str, Domain]
    meaning: Mapping[str, Expr] = field(default_factory=dict[str, Expr])
    needs: tuple[Demand, ...] = ()

    def moved(self, formula: Formula) -> Formula:
        """A formula in the new variables."""
        if not self.meaning:
            return formula
        asked = tuple(
            Demand(
                replace_parameters(d.subject, self.meaning),
                d.relation,
                tuple(replace_parameters(g, self.meaning) for g in d.guards),
            )
            for d in formula.demands
        )
        return Formula(replace_parameters(formula.value, self.meaning), asked)


def windows(formulas: tuple[Formula, ...], domains: Mapping[str, Domain]) -> Windows:
    """Windows for each unbounded variable that a floor is linear in."""
    arguments = list(dict.fromkeys(a for f in formulas for a in _jumping(f)))
    changed, meaning, needs = dict(domains), dict[str, Expr](), list[Demand]()
    for name, domain in domains.items() if arguments else ():
        hull = domain.hull
        if domain.integer or len(domain.intervals) > 1 or (hull.low is not None and hull.high is not None):
            continue
        period = _period(arguments, name)
        if period is None:
            continue
        counter = COUNTER + name
        low = None if hull.low is None else Fraction(floor(hull.low / period))
        high = None if hull.high is None else Fraction(-floor(-hull.high / period))
        changed[name] = Domain((Interval(Fraction(-period), Fraction(period)),))
        changed[counter] = Domain((Interval(low, high, low is not None, high is not None),), integer=True)
        moved = parameter(name, str(changed[name])) + period * parameter(counter, str(changed[counter]))
        meaning[name] = moved
        if hull.low is not None:
            needs.append(Demand(moved - hull.low, ">=" if hull.low_closed else ">"))
        if hull.high is not None:
            needs.append(Demand(hull.high - moved, ">=" if hull.high_closed else ">"))
    return Windows(changed, meaning, tuple(needs))


def jumps(formulas: tuple[Formula, ...]) -> bool:
    """Whether there is a floor in a formula."""
    return any(True for formula in formulas for _ in _jumping(formula))


def _jumping(formula: Formula) -> Iterator[Expr]:
    parts = [formula.value]
    for demand in formula.demands:
        parts += [demand.subject, *demand.guards]
    for part in parts:
        for node in walk(part):
            if isinstance(node, Call) and node.function in ("floor", "frac"):
                yield node.arguments[0]


def _period(arguments: list[Expr], name: str) -> int | None:
    """A step of a variable that changes each argument, linear in it, by a whole number; None if none does."""
    period = 1
    found = False
    for argument in arguments:
        rate = _rate(argument, name)
        if rate is None:
            return None
        found = found or rate != 0
        period = lcm(period, rate.denominator)
    return period if found and period <= MAX_PERIOD else None


def _no_sign(_: Tower, __: object) -> None:
    """Signs are not asked for."""


def _rate(argument: Expr, name: str) -> Fraction | None:
    """The constant rate at which an expression grows with a variable; None if it has none."""
    tower = Tower(_no_sign)
    try:
        q = tower(argument)
    except (OpenCaseError, TooLargeError, ZeroDivisionError):
        return None
    rate = Fraction(0)
    for place in tower.used(q.above, q.below):
        if not any(getattr(n, "name", None) == name for n in walk(tower.atoms[place])):
            continue
        n = MAX_GENERATORS - 1 - place
        slope = q.above.derivative(n)
        alone = tower.atoms[place].key == name and q.below.is_constant() and slope.is_constant()
        if not alone:
            return None
        rate = rational(slope.leading_coefficient() / q.below.leading_coefficient())
    return rate

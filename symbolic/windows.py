"""Formulas with infinitely many jumps or kinks, seen through windows: `x = w + n`, -1 < w < 1, n whole.

The windows cover the line, and in each of them a `floor` of something linear in x jumps only a few times, and
a sine has a few zeros in a window of full turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor, lcm

from gradproof.symbolic.cases import replace_parameters
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.domain import Domain, Interval
from gradproof.symbolic.expressions import Call, Expr, Number, constant, number, parameter, walk
from gradproof.symbolic.formulas import Formula
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.quotients import MAX_GENERATORS, OpenCaseError, rational
from gradproof.symbolic.tower import Tower

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
    arguments = list(dict.fromkeys(a for f in formulas for a in _arguments(f, ("floor", "frac"))))
    return _windows(arguments, domains, number(1), Fraction(1))


def turning_windows(formulas: tuple[Formula, ...], domains: Mapping[str, Domain]) -> Windows:
    """Windows of full turns, `x = w + 2 pi n`, -4 < w < 4, for unbounded variables of sines and cosines."""
    arguments = list(dict.fromkeys(a for f in formulas for a in _arguments(f, ("sin", "cos"))))
    return _windows(arguments, domains, 2 * constant("pi"), Fraction(4))


def _windows(arguments: list[Expr], domains: Mapping[str, Domain], step: Expr, wide: Fraction) -> Windows:
    """Windows `x = w + period step n`, |w| < period wide; they cover the line for a step below 2 wide."""
    changed, meaning, needs = dict(domains), dict[str, Expr](), list[Demand]()
    for name, domain in domains.items() if arguments else ():
        hull = domain.hull
        if domain.integer or len(domain.intervals) > 1 or (hull.low is not None and hull.high is not None):
            continue
        period = _period(arguments, name)
        if period is None:
            continue
        counter = COUNTER + name
        half, steps = period * wide, [period * b for b in _around(step)]
        low = None if hull.low is None else Fraction(min(floor(hull.low / s) for s in steps))
        high = None if hull.high is None else Fraction(max(ceil(hull.high / s) for s in steps))
        changed[name] = Domain((Interval(-half, half),))
        changed[counter] = Domain((Interval(low, high, low is not None, high is not None),), integer=True)
        moved = parameter(name, str(changed[name])) + period * step * parameter(
            counter, str(changed[counter])
        )
        meaning[name] = moved
        if hull.low is not None:
            needs.append(Demand(moved - hull.low, ">=" if hull.low_closed else ">"))
        if hull.high is not None:
            needs.append(Demand(hull.high - moved, ">=" if hull.high_closed else ">"))
    return Windows(changed, meaning, tuple(needs))


def _around(step: Expr) -> tuple[Fraction, Fraction]:
    """Two numbers that a step lies between."""
    return (step.value, step.value) if isinstance(step, Number) else (Fraction(6), Fraction(7))


def jumps(formulas: tuple[Formula, ...]) -> bool:
    """Whether there is a floor in a formula."""
    return any(True for formula in formulas for _ in _arguments(formula, ("floor", "frac")))


def _arguments(formula: Formula, names: tuple[str, ...]) -> Iterator[Expr]:
    """What functions of these names are applied to in a formula and its demands."""
    parts = [formula.value]
    for demand in formula.demands:
        parts += [demand.subject, *demand.guards]
    for part in parts:
        for node in walk(part):
            if isinstance(node, Call) and node.function in names:
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

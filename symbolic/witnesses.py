"""Points at which two sides may differ, the simplest first, and the verdict on values that do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product
from typing import Any

from gradproof.symbolic.cases import OpenSignError, replace_parameters, strict_sign
from gradproof.symbolic.cells import Cell, parameters
from gradproof.symbolic.domain import Domain, Interval
from gradproof.symbolic.evaluation import UndefinedError
from gradproof.symbolic.expressions import Expr, Number, constant, number
from gradproof.symbolic.formulas import Formula, written
from gradproof.symbolic.isolation import PRECISIONS, ball, ball_sign, constant_sign, outward, root_places
from gradproof.symbolic.places import Place
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.profiles import Value
from gradproof.symbolic.signs import holds
from gradproof.symbolic.special import without_closed_form
from gradproof.symbolic.verdict import Verdict, Witness

MAX_POINTS = 80
MAX_MIXED = 5
"""Up to so many variables all combinations of their simplest values are tried."""
ANGLES = tuple(Fraction(n, d) for n, d in ((1, 2), (1, 1), (-1, 2), (3, 2), (-1, 1), (1, 4), (1, 6), (2, 1)))
MAX_SHOWN = 60
"""An exact value longer than that is shown by its first 20 digits."""


def points(domains: Mapping[str, Domain]) -> Iterator[dict[str, Expr]]:
    """Points of the domain, the simplest first."""
    names = list(domains)
    most = {0: 1, 1: 32, 2: 9, 3: 5}.get(len(names), 4)
    samples = [list(islice(domains[n].samples(), most)) for n in names]
    places = _mixed(samples) if len(names) <= MAX_MIXED else _staggered(samples)
    for place in islice(places, MAX_POINTS):
        yield {n: number(samples[k][place[k]]) for k, n in enumerate(names)}


def _mixed(samples: Sequence[Sequence[Fraction]]) -> list[tuple[int, ...]]:
    """All combinations of samples by their numbers, those of simple and of different ones first."""
    found = product(*(range(len(s)) for s in samples))
    return sorted(found, key=lambda p: (sum(p), len(p) - len(set(p)), p))


def _staggered(samples: Sequence[Sequence[Fraction]]) -> Iterator[tuple[int, ...]]:
    """The first samples, then one variable moved at a time, then all of them by different steps."""
    yield tuple(0 for _ in samples)
    for at in range(min(len(samples), MAX_POINTS // 2)):
        yield tuple(int(k == at) % len(s) for k, s in enumerate(samples))
    for step in range(1, MAX_POINTS // 2):
        yield tuple((k * step + step) % len(s) for k, s in enumerate(samples))


def angles(domains: Mapping[str, Domain]) -> Iterator[dict[str, Expr]]:
    """Points at which one variable is a simple part of pi, the others simple numbers."""
    for name, domain in domains.items():
        if domain.integer:
            continue
        rest = {n: number(next(d.samples())) for n, d in domains.items()}
        for part in ANGLES:
            value = part * constant("pi")
            if any(_surely_inside(value, interval) for interval in domain.intervals):
                yield {**rest, name: value}


def _surely_inside(value: Expr, interval: Interval) -> bool:
    above = interval.low is None or constant_sign(value - interval.low).sign == 1
    return above and (interval.high is None or constant_sign(interval.high - value).sign == 1)


def cell_points(cell: Cell, domains: Mapping[str, Domain]) -> Iterator[dict[str, Expr]]:
    """Points of a cell, in the variables of the domain and those that were put in."""
    free = {n: Domain((i,), n in cell.integers) for n, i in cell.intervals.items() if not i.empty}
    for chosen in points(free):
        values = {n: chosen[n] if n in chosen else settled(n, cell, chosen) for n in domains}
        kept = all(not isinstance(v, Number) or domains[n].contains(v.value) for n, v in values.items())
        if kept and _meets_facts(cell, chosen):
            yield {**chosen, **values}


def _meets_facts(cell: Cell, chosen: Mapping[str, Expr]) -> bool:
    place = Place(Cell({}, cell.integers, {**cell.frame, **chosen}))
    try:
        return all(holds(f.relation, strict_sign(place, f.expr)) for f in cell.facts)
    except (OpenSignError, TooLargeError, ZeroDivisionError):
        return False


def settled(name: str, cell: Cell, chosen: Mapping[str, Expr]) -> Expr:
    """The value of a variable at chosen values of the free ones."""
    value = cell.frame[name]
    while names := parameters(value):
        value = replace_parameters(value, {n: chosen[n] if n in chosen else cell.frame[n] for n in names})
    return value


# --- roots of polynomials


def root_points(cell: Cell, domains: Mapping[str, Domain]) -> Iterator[AlgebraicPoint]:
    """Points of a cell on which a polynomial in one variable is 0, its roots isolated."""
    for fact in cell.facts:
        names = parameters(fact.expr)
        if fact.relation != "==" or len(names) != 1 or not names <= set(domains):
            continue
        (name,) = names
        others = {n: cell_interval(cell, n) for n in domains if n != name}
        if any(i is None for i in others.values()):
            continue
        rest = {n: number(next(Domain((i,), n in cell.integers).samples())) for n, i in others.items() if i}
        coefficients = Place(cell).coefficients_of(fact.expr)
        if coefficients is not None:
            count = sum(1 for side, _ in root_places(coefficients, cell.intervals[name]) if side == 0)
            for n in range(count):
                yield AlgebraicPoint(name, fact.expr, coefficients, cell.intervals[name], n, rest)


def cell_interval(cell: Cell, name: str) -> Interval | None:
    """The interval of a free variable."""
    return cell.intervals.get(name)


@dataclass(frozen=True)
class AlgebraicPoint:
    """A point at which one variable is a root, the one of a number from the left, of a polynomial."""

    name: str
    expr: Expr
    coefficients: Sequence[Fraction]
    interval: Interval
    number: int
    rest: Mapping[str, Expr]

    def values(self, precision: int) -> dict[str, Any]:
        """The coordinates as balls."""
        inside = [
            b for side, b in root_places(self.coefficients, self.interval, least=precision) if side == 0
        ]
        found = sorted(inside, key=lambda b: outward(b, -1))
        return {**{n: ball(v, {}, precision) for n, v in self.rest.items()}, self.name: found[self.number]}

    def texts(self) -> dict[str, str]:
        """The coordinates as exact texts."""
        near = self.values(128)[self.name].str(20, radius=False)
        shown = {n: written(v) for n, v in self.rest.items()}
        return {**shown, self.name: f"the root of {written(self.expr)} near {near}"}


def surely_defined(formula: Formula, values: Mapping[str, Any], precision: int) -> bool:
    """Whether a formula surely has a value where the variables are in balls."""
    for demand in formula.demands:
        try:
            if any(ball(g, values, precision) == 0 for g in demand.guards):
                continue
        except (UndefinedError, ZeroDivisionError):
            return False
        sign = ball_sign(demand.subject, values, precision)
        if sign is None or not holds("!=" if demand.relation == "!=" else ">", sign):
            return False
    return True


def defined_by_balls(formula: Formula, point: Mapping[str, Expr]) -> bool:
    """Whether a formula surely has a value at a point."""
    precision = PRECISIONS[1]
    return surely_defined(formula, {n: ball(v, {}, precision) for n, v in point.items()}, precision)


# --- verdicts


def separated(
    point: Mapping[str, Expr], left: Value, right: Value, texts: Mapping[str, str]
) -> Verdict | None:
    """The verdict if the sides differ at the point: in ball arithmetic, or because one has no value."""
    for precision in PRECISIONS:
        values = {n: ball(v, {}, precision) for n, v in point.items()}
        found = _apart(left, right, values, precision)
        if found is not None:
            shown = [
                s if isinstance(s, str) else value_text(s, point, v)
                for s, v in zip((left, right), found, strict=True)
            ]
            return _refuted(texts, shown, left, right)
    return None


def separated_at_root(point: AlgebraicPoint, formula: Formula, left: Value, right: Value) -> Verdict | None:
    """The same at a root of a polynomial, where the formula on the left has to have a value."""
    for precision in PRECISIONS:
        values = point.values(precision)
        found = _apart(left, right, values, precision)
        if found is not None and surely_defined(formula, values, precision):
            shown = [
                s if isinstance(s, str) else str(v.str(20, radius=False))
                for s, v in zip((left, right), found, strict=True)
            ]
            return _refuted(point.texts(), shown, left, right)
    return None


def _apart(left: Value, right: Value, values: Mapping[str, Any], precision: int) -> tuple[Any, Any] | None:
    """The values of both sides as balls, if they surely differ, or one is there and the other is not."""
    if isinstance(left, str) and isinstance(right, str):
        return None
    if any(not isinstance(s, str) and not parameters(s) <= values.keys() for s in (left, right)):
        return None
    try:
        a, b = (None if isinstance(s, str) else ball(s, values, precision) for s in (left, right))
    except (UndefinedError, ZeroDivisionError, OverflowError):
        return None
    return (a, b) if a is None or b is None or not a.overlaps(b) else None


def _refuted(texts: Mapping[str, str], shown: Sequence[str], left: Value, right: Value) -> Verdict:
    reason = None
    if left == "no derivative":
        reason = "no derivative"
    elif isinstance(left, str) or isinstance(right, str):
        reason = f"the right side is {right}" if isinstance(right, str) else f"the left side is {left}"
    return Verdict("refuted", witness=Witness(texts, shown[0], shown[1]), reason=reason)


def value_text(expr: Expr, point: Mapping[str, Expr], value: Any) -> str:
    """A value as an exact text, or its first digits where that is long."""
    try:
        exact = replace_parameters(expr, point)
    except ZeroDivisionError:
        return str(value.str(20, radius=False))
    if isinstance(exact, Number):
        return str(exact.value)
    if without_closed_form(exact):
        return str(value.str(20, radius=False))
    with suppress(TooLargeError, ZeroDivisionError):
        exact = min(exact, Place(Cell({})).normal(exact), key=lambda e: len(written(e)))
    shown = written(exact)
    return shown if len(shown) <= MAX_SHOWN else str(value.str(20, radius=False))

"""Differences that the normal form does not see are 0 where they do not move and are 0 at a point."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice

from gradproof.symbolic.cases import OpenSignError, UndecidedError, replace_parameters
from gradproof.symbolic.cells import Cell, parameters
from gradproof.symbolic.definedness import demands
from gradproof.symbolic.domain import Domain, Interval
from gradproof.symbolic.expressions import Call, Expr, number, parameter, walk
from gradproof.symbolic.places import Place
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.special import SPECIAL
from gradproof.symbolic.tangent import NoDerivativeError, tangent

MAX_POINTS = 6


def constantly_zero(cell: Cell, expr: Expr) -> bool:
    """Whether an expression is 0 all over a cell, shown by its derivatives and its value at one point.

    It is continuous all over the product of the intervals, which is connected; inside it is smooth, and its
    slope along each variable is 0 in normal form; where all variables have a certain value it is 0 in normal
    form.
    """
    if not any(isinstance(n, Call) and (n.function in SPECIAL or n.function == "log") for n in walk(expr)):
        return False
    if cell.frame or cell.steps:
        return False
    plain = replace(cell, facts=())
    inner = {n: i if n in cell.integers else Interval(i.low, i.high) for n, i in cell.intervals.items()}
    if any(i.empty for i in inner.values()):
        return False
    try:
        return _continuous(Place(plain), expr) and _vanishes(replace(plain, intervals=inner), expr)
    except (ArithmeticError, OpenSignError, UndecidedError, TooLargeError, NoDerivativeError):
        return False


def _vanishes(cell: Cell, expr: Expr) -> bool:
    moving = sorted(parameters(expr) & (set(cell.intervals) - cell.integers))
    place = Place(cell)
    if not moving:
        return place.vanishes(expr)
    name = moving[0]
    if not _smooth(place, expr):
        return False
    variable = parameter(name)
    slope = tangent(replace_parameters(expr, {name: variable}), lambda e: e, variable=variable)
    if not place.vanishes(slope):
        return False
    values = list(islice(Domain((cell.intervals[name],)).samples(), MAX_POINTS))
    values += _ends(cell, name, expr)
    return any(_vanishes(cell, replace_parameters(expr, {name: number(v)})) for v in values)


def _ends(cell: Cell, name: str, expr: Expr) -> list[Fraction]:
    """Finite ends of the interval up to which the expression is continuous."""
    i = cell.intervals[name]
    made: list[Fraction] = []
    for end, closed in (
        (i.low, Interval(i.low, i.high, True)),
        (i.high, Interval(i.low, i.high, False, True)),
    ):
        if end is not None and end not in i and _continuous(Place(cell.within(name, closed)), expr):
            made.append(end)
    return made


def _continuous(place: Place, expr: Expr) -> bool:
    """Whether all parts of an expression surely have values and are continuous all over the place."""
    for demand in demands(expr, {}):
        known, _ = place.sign(demand.subject)
        if demand.relation == ">=" and known.sign in (0, 1):
            continue
        if not known.nonzero or (demand.relation != "!=" and known.sign != 1):
            return False
    return not _jumps(expr)


def _jumps(expr: Expr) -> bool:
    return any(isinstance(n, Call) and n.function in ("frac", "floor") for n in walk(expr))


def _smooth(place: Place, expr: Expr) -> bool:
    """Whether all parts of an expression are surely smooth all over the place."""
    for demand in demands(expr, {}):
        known, _ = place.sign(demand.subject)
        if not known.nonzero or (demand.relation != "!=" and known.sign != 1):
            return False
    return not _jumps(expr)

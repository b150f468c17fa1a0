"""Points at which two sides may differ, the simplest first, and the verdict on values that do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count, islice, product
from typing import Any

from gradproof.symbolic.cases import (
    replace_parameters,
)
from gradproof.symbolic.cells import Cell, Place, parameters
from gradproof.symbolic.domain import Domain
from gradproof.symbolic.evaluation import UndefinedError
from gradproof.symbolic.expressions import Expr, Number, number
from gradproof.symbolic.formulas import written
from gradproof.symbolic.isolation import PRECISIONS, ball
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.profiles import Value
from gradproof.symbolic.verdict import Verdict, Witness

MAX_POINTS = 80
MAX_SHOWN = 60
"""An exact value longer than that is shown by its first 20 digits."""


def points(domains: Mapping[str, Domain]) -> Iterator[dict[str, Expr]]:
    """Points of the domain, the simplest first."""
    names = list(domains)
    most = {0: 1, 1: 32, 2: 9, 3: 5}.get(len(names), 4)
    samples = [list(islice(domains[n].samples(), most)) for n in names]
    places = sorted(
        product(*(range(len(s)) for s in samples)), key=lambda p: (sum(p), len(p) - len(set(p)), p)
    )
    for place in islice(places, MAX_POINTS):
        yield {n: number(samples[k][place[k]]) for k, n in enumerate(names)}


def cell_points(cell: Cell, domains: Mapping[str, Domain]) -> Iterator[dict[str, Expr]]:
    """Points of a cell, in the variables of the domain; whether they meet the facts is not looked at."""
    free = {n: Domain((i,), n in cell.integers) for n, i in cell.intervals.items() if not i.empty}
    for chosen in points(free):
        values = dict(chosen)
        for name in domains:
            if name not in values:
                values[name] = settled(name, cell, chosen)
        if all(
            not isinstance(v, Number) or domains[n].contains(v.value)
            for n, v in values.items()
            if n in domains
        ):
            yield {n: values[n] for n in domains}


def settled(name: str, cell: Cell, chosen: Mapping[str, Expr]) -> Expr:
    """The value of a variable at chosen values of the free ones."""
    value = cell.frame[name]
    for _ in count():
        names = parameters(value)
        if not names:
            return value
        known = {n: chosen[n] if n in chosen else cell.frame[n] for n in names}
        value = replace_parameters(value, known)
    raise AssertionError


def separated(point: Mapping[str, Expr], left: Value, right: Value) -> Verdict | None:
    """The verdict if the sides differ at the point: in ball arithmetic, or because one has no value."""
    if isinstance(left, str) and isinstance(right, str):
        return None
    texts = {n: written(v) for n, v in point.items()}
    for precision in PRECISIONS:
        try:
            values = {n: ball(v, {}, precision) for n, v in point.items()}
            a, b = (None if isinstance(s, str) else ball(s, values, precision) for s in (left, right))
        except (UndefinedError, ZeroDivisionError, OverflowError):
            continue
        if a is None or b is None:
            shown = [s if isinstance(s, str) else value_text(s, point, v) for s, v in ((left, a), (right, b))]
            reason = "no derivative" if left == "no derivative" else f"the right side is {right}"
            return Verdict("refuted", witness=Witness(texts, shown[0], shown[1]), reason=reason)
        if not a.overlaps(b):
            assert not isinstance(left, str) and not isinstance(right, str)
            witness = Witness(texts, value_text(left, point, a), value_text(right, point, b))
            return Verdict("refuted", witness=witness)
    return None


def value_text(expr: Expr, point: Mapping[str, Expr], value: Any) -> str:
    """A value as an exact text, or its first digits where that is long."""
    try:
        exact = replace_parameters(expr, point)
    except ZeroDivisionError:
        return str(value.str(20, radius=False))
    if isinstance(exact, Number):
        return str(exact.value)
    with suppress(TooLargeError, ZeroDivisionError):
        exact = min(exact, Place(Cell({})).normal(exact), key=lambda e: len(written(e)))
    shown = written(exact)
    return shown if len(shown) <= MAX_SHOWN else str(value.str(20, radius=False))

"""The rows of special functions: derivatives, identities and signs confirmed by ball arithmetic."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from flint import arb, ctx, fmpq

from gradproof.symbolic.evaluation import UndefinedError
from gradproof.symbolic.expressions import Expr, call, number
from gradproof.symbolic.identities import IDENTITIES, RECURRENCES
from gradproof.symbolic.identity import Identity
from gradproof.symbolic.isolation import ball
from gradproof.symbolic.special import SPECIAL
from gradproof.symbolic.special_row import Special

GRID = [Fraction(n, 7) for n in (-9, -4, -1, 1, 3, 5, 8, 12, 17)]
PRECISION = 400
SMALL = Fraction(1, 2**100)


def arity(row: Special) -> int:
    return len(row.derivatives)


def known(row: Special, point: Sequence[Fraction]) -> bool:
    """Whether the demands of the row surely hold at a point."""
    arguments = [number(v) for v in point]
    try:
        signs = [(ball(subject, {}, PRECISION), relation) for subject, relation in row.demands(arguments)]
    except (UndefinedError, ZeroDivisionError):
        return False
    return all((v > 0) if r != "!=" else (v > 0 or v < 0) for v, r in signs)


def value(expr: Expr) -> Any:
    return ball(expr, {}, PRECISION)


def points(row: Special) -> list[tuple[Fraction, ...]]:
    grid = GRID if arity(row) < 3 else GRID[3:7]
    first = [Fraction(n) for n in (1, 2, 3)] if row.name == "polygamma" else grid
    grids = [first, *([grid] * (arity(row) - 1))]
    return [p for p in product(*grids) if known(row, p)][:40]


@pytest.mark.parametrize("name", SPECIAL)
def test_derivatives(name: str) -> None:
    row = SPECIAL[name]
    seen = 0
    for point in points(row):
        for place in range(arity(row)):
            made = row.derivative(place, [number(v) for v in point])
            if made is None:
                continue
            sides = [
                value(call(name, *(number(v + step * (n == place)) for n, v in enumerate(point))))
                for step in (SMALL, -SMALL)
            ]
            before, ctx.prec = ctx.prec, PRECISION
            try:
                slope = (sides[0] - sides[1]) / arb(fmpq(2, 2**100))
                assert abs(slope - value(made)) < arb(2) ** -60 * (1 + abs(slope)), (name, point, place)
            finally:
                ctx.prec = before
            seen += 1
    assert seen > 3 or name == "atan2"


@pytest.mark.parametrize("name", SPECIAL)
def test_signs_and_bounds(name: str) -> None:
    row = SPECIAL[name]
    for point in points(row):
        arguments = [number(v) for v in point]
        got = value(call(name, *arguments))
        if row.signed:
            assert (got > 0) == (point[0] > 0)
        wanted = row.positive(arguments)
        if wanted is not None and all(value(e) > 0 for e in wanted):
            assert got > 0
        for end, side in ((row.bounds.low, 1), (row.bounds.high, -1)):
            assert end is None or side * (got - arb(fmpq(end.numerator, end.denominator))) >= 0
        parity = row.parity(arguments)
        mirrored = (*point[:-1], -point[-1])
        if parity is not None and known(row, mirrored):
            assert (value(call(name, *map(number, mirrored))) - parity * got).contains(0)


SPECIAL_ARGUMENTS = [
    *GRID,
    *(Fraction(n) for n in (-3, -2, -1, 0, 1, 2, 3, 4)),
    Fraction(1, 2),
    Fraction(3, 2),
]


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda i: f"{i.function}: {i.statement}")
def test_identities(identity: Identity) -> None:
    count = len(inspect.signature(identity.rewrite).parameters)
    count = {"hyp0f1": 2, "hyp1f1": 3, "hyp2f1": 4}.get(identity.function, count)
    seen = 0
    grid = SPECIAL_ARGUMENTS if count < 3 else [Fraction(0), Fraction(1, 3), Fraction(2, 3), Fraction(3, 2)]
    for point in product(grid, repeat=count):
        arguments = [number(v) for v in point]
        try:
            made = identity.rewrite(*arguments)
            if made is None or made is call(identity.function, *arguments):
                continue
            left, right = value(call(identity.function, *arguments)), value(made)
        except (UndefinedError, ZeroDivisionError):
            continue
        assert left.overlaps(right), (identity.statement, point)
        assert abs(left - right) < arb(2) ** -100 * (1 + abs(left)), (identity.statement, point)
        seen += 1
    inverses = ("erf", "erfinv", "asin", "atan")
    assert seen or identity.function in inverses


@pytest.mark.parametrize("name", RECURRENCES)
def test_recurrences(name: str) -> None:
    row, recurrence = SPECIAL[name], RECURRENCES[name]
    seen = 0
    for point in points(row):
        arguments = [number(v) for v in point]
        try:
            made = recurrence.towards(arguments, 2 * recurrence.direction)
            assert made is not None
            left, right = value(call(name, *arguments)), value(made)
        except (UndefinedError, ZeroDivisionError, AttributeError):
            continue
        assert abs(left - right) < arb(2) ** -100 * (1 + abs(left)), (name, point)
        seen += 1
    assert seen > 3


def test_inverses() -> None:
    half = number(Fraction(1, 2))
    for outer, inner in (("erf", "erfinv"), ("erfinv", "erf")):
        assert (value(call(outer, call(inner, half))) - arb(0.5)).contains(0)

"""Every stability row is an equality that the prover proves, and none that it does not look at."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

from gradproof.numeric.kernels import lower
from gradproof.numeric.rewriting import Row
from gradproof.numeric.stability import ROWS
from gradproof.symbolic.expressions import Add, Expr, add, at, mul, put
from gradproof.symbolic.operation import operations
from gradproof.symbolic.proof import prove

rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@rows
def test_the_statement_of_a_row_is_proved(row: Row) -> None:
    verdict = prove(*row.statement())
    assert verdict.verdict == "proved", verdict.reason


def twice(after: Expr) -> Expr:
    return mul(2, after)


def negated(after: Expr) -> Expr:
    return mul(-1, after)


def a_little_more(after: Expr) -> Expr:
    return mul(Fraction(1_000_001, 1_000_000), after)


def one_more(after: Expr) -> Expr:
    return add(after, 1)


@rows
@pytest.mark.parametrize("change", [twice, negated, a_little_more, one_more])
def test_a_perturbed_row_is_refuted(row: Row, change: Callable[[Expr], Expr]) -> None:
    before, after = row.statement()
    verdict = prove(before, change(after))
    assert verdict.verdict == "refuted", verdict
    assert verdict.witness is not None


def first_sum(expr: Expr, path: tuple[int, ...] = ()) -> tuple[int, ...] | None:
    """Where the first sum of two terms stands, from the outside in."""
    if isinstance(expr, Add):
        return path
    places = (first_sum(child, (*path, n)) for n, child in enumerate(expr.children))
    return next((p for p in places if p is not None), None)


@rows
def test_a_row_with_a_dropped_term_is_refuted(row: Row) -> None:
    before, after = row.statement()
    place = first_sum(after)
    if place is None:
        pytest.skip("nothing is added in this row")
    dropped = put(after, place, add(*at(after, place).children[1:]))
    assert prove(before, dropped).verdict == "refuted"


def test_every_row_is_used_by_the_catalogue() -> None:
    used = {
        row.name
        for each in operations().values()
        for v in each.variants
        for row in lower(v, "numpy").rewrites
    }
    unused = {row.name for row in ROWS} - used
    assert unused <= {"log of sigmoid", "sigmoid by its definition"}, unused

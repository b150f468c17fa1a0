"""Domains: what they say, what they hold, and what is no domain."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.symbolic.domain import (
    REALS,
    DomainError,
    Interval,
    parse_domain,
    parse_domains,
    read_domains,
    simplest,
)
from gradproof.symbolic.expressions import call, parameter
from gradproof.symbolic.signs import bounds, nonnegative, positive

INSIDE = [
    ("real", "-7", "1/3"),
    ("(0, inf)", "1/1000", "5"),
    ("(0,inf)", "3", "4"),
    ("[0, 1)", "0", "1/2"),
    ("[-1, 1]", "-1", "1"),
    (">0", "1/9", "2"),
    (">=2", "2", "3"),
    ("<3/4", "-5", "1/2"),
    ("<= -1.5", "-3/2", "-2"),
    ("|x|>1", "-2", "3"),
    ("|x| <= 2", "-2", "2"),
    ("integer >= 1", "1", "8"),
    ("integer>=1", "1", "8"),
    ("integer", "-3", "0"),
    ("integer in [0, 4]", "0", "4"),
]
OUTSIDE = [
    ("(0, inf)", "0", "-1"),
    ("[0, 1)", "1", "-1/2"),
    (">0", "0", "-1"),
    ("|x|>1", "1", "0"),
    ("integer >= 1", "0", "3/2"),
    ("<3/4", "3/4", "1"),
    ("(-1.5,1.5)", "3/2", "-3/2"),
]


@pytest.mark.parametrize(("text", "first", "second"), INSIDE)
def test_holds(text: str, first: str, second: str) -> None:
    assert parse_domain(text).contains(Fraction(first))
    assert parse_domain(text).contains(Fraction(second))


@pytest.mark.parametrize(("text", "first", "second"), OUTSIDE)
def test_does_not_hold(text: str, first: str, second: str) -> None:
    assert not parse_domain(text).contains(Fraction(first))
    assert not parse_domain(text).contains(Fraction(second))


@pytest.mark.parametrize("text", [row[0] for row in INSIDE])
def test_samples_lie_inside_and_do_not_repeat(text: str) -> None:
    domain = parse_domain(text)
    found = list(islice(domain.samples(), 40))
    assert found
    assert len(set(found)) == len(found)
    assert all(domain.contains(value) for value in found)


@pytest.mark.parametrize("text", [row[0] for row in INSIDE])
def test_what_is_shown_can_be_read(text: str) -> None:
    domain = parse_domain(text)
    if len(domain.intervals) == 1:
        assert parse_domain(str(domain)) == domain


@pytest.mark.parametrize(
    "text", ["", "rael", "(0, 1", "(1, 0)", "(0, 0)", "[0; 1]", "> ", ">x", "(inf, 1)", "(0, -inf)",
             "(0, 1/0)", "|x| < -1", "__import__('os')", "(0, 1" + "0" * 500 + ")"]
)  # fmt: skip
def test_is_no_domain(text: str) -> None:
    with pytest.raises(DomainError):
        parse_domain(text)


def test_several_variables() -> None:
    found = parse_domains("x: real; y: (0, inf); n: integer >= 1; k: [0, 1)")
    assert {n: str(d) for n, d in found.items()} == {
        "x": "real", "y": "(0, inf)", "n": "integer in [1, inf)", "k": "[0, 1)"
    }  # fmt: skip
    assert read_domains({"a": ">0"}) == parse_domains("a: >0")
    assert read_domains(None) == {}


@pytest.mark.parametrize("text", ["x real", "x: real; x: >0", "1: real", ": real"])
def test_are_no_domains(text: str) -> None:
    with pytest.raises(DomainError):
        parse_domains(text)


ends = st.none() | st.fractions(-20, 20, max_denominator=9)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    low, high = draw(ends), draw(ends)
    if low is not None and high is not None and low > high:
        low, high = high, low
    closed = low is not None and high is not None and low == high
    return Interval(
        low, high, closed or (low is not None and draw(st.booleans())),
        closed or (high is not None and draw(st.booleans())),
    )  # fmt: skip


numbers = st.lists(st.fractions(-30, 30, max_denominator=7), min_size=2, max_size=12)


@given(intervals(), intervals(), numbers)
def test_arithmetic_of_intervals_encloses(a: Interval, b: Interval, values: list[Fraction]) -> None:
    for x in (v for v in values if v in a):
        assert -x in -a
        for y in (v for v in values if v in b):
            assert x + y in a + b
            assert x * y in a * b
            assert (x in a.meet(b)) == (x in b)


@given(st.fractions(-9, 9, max_denominator=50), st.fractions(-9, 9, max_denominator=50))
def test_simplest_fraction_between(a: Fraction, b: Fraction) -> None:
    low, high = min(a, b), max(a, b)
    if low < high:
        found = simplest(low, high)
        assert low < found < high
        least = min(d for d in range(1, 5000) if low < (low * d // 1 + 1) / Fraction(d) < high)
        assert found.denominator == least


def test_bounds_of_affine_expressions() -> None:
    p, q = parameter("p", "[0, 1)"), parameter("q", "(2, 3]")
    assert positive(1 - p)
    assert nonnegative(p)
    assert not positive(p)
    assert positive(q - p - 1)
    assert not positive(q - p - 2)
    assert str(bounds(2 * q - 1)) == "(3, 5]"
    assert positive(1 - call("sigmoid", p))
    assert bounds(call("log", p)) == REALS

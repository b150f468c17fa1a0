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
    simplest,
)
from gradproof.symbolic.domain_ends import read_domains
from gradproof.symbolic.expressions import call, parameter
from gradproof.symbolic.repairs import unparse
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
    found, conditions = read_domains("x: real; y: (0, inf); n: integer >= 1; k: [0, 1)")
    assert conditions == ()
    assert {n: str(d) for n, d in found.items()} == {
        "x": "real", "y": "(0, inf)", "n": "integer in [1, inf)", "k": "[0, 1)"
    }  # fmt: skip
    assert read_domains({"a": ">0"}) == read_domains("a: >0")
    assert read_domains(None) == ({}, ())


@pytest.mark.parametrize("text", ["x real", "x: real; x: >0", "1: real", ": real"])
def test_are_no_domains(text: str) -> None:
    with pytest.raises(DomainError):
        read_domains(text)


CONSTANT_ENDS = [
    ("(0, pi)", "(0, 355/113)", ("x < pi",)),
    ("[-pi/2, pi/2]", "(-355/226, 355/226)", ("x >= -pi/2", "x <= pi/2")),
    ("> E", "(2721/1001, inf)", ("x > E",)),
    ("0 <= x < pi/2", "[0, 355/226)", ("x < pi/2",)),
    ("|x| < pi/2", "(-355/226, 355/226)", ("x < pi/2", "x > -pi/2")),
    ("(-inf, -log(2)]", "(-inf, -158/228)", ("x <= -log(2)",)),
    ("[1/3, sqrt(4)]", "[1/3, 2]", ()),
]


@pytest.mark.parametrize(("text", "around", "conditions"), CONSTANT_ENDS)
def test_ends_that_are_constants(text: str, around: str, conditions: tuple[str, ...]) -> None:
    domains, found = read_domains({"x": text})
    hull, wanted = domains["x"].hull, parse_domain(around).hull
    assert tuple(unparse(c) for c in found) == conditions
    for end, other in ((hull.low, wanted.low), (hull.high, wanted.high)):
        assert (end is None) == (other is None)
        assert end is None or other is None or abs(end - other) < Fraction(1, 10**3)
    assert (hull.low_closed, hull.high_closed) == (wanted.low_closed, wanted.high_closed)


@pytest.mark.parametrize("text", ["(pi, 3)", "(0, y)", "(0, log(0))", "(0, pi", "(0, pi, 4)", "(0, 1/(1-1))"])
def test_ends_that_are_no_numbers(text: str) -> None:
    with pytest.raises(DomainError):
        read_domains({"x": text})


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

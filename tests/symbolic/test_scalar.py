"""Formulas over scalars: true ones are proved, near misses refuted at a point of the domain, strictly."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from typing import Any

import mpmath
import pytest
from scalar_identities import DERIVATIVES, IDENTITIES
from scalar_mutations import mutants, unparse
from scalar_mutations import value as mp_value
from scalar_random import GRID, Gap, Tree, derivative, grow, point_of, rewrite, slope, text
from scalar_random import value as strict_value

from gradproof.symbolic.claims import split_prefix
from gradproof.symbolic.domain import Domain
from gradproof.symbolic.domain_ends import read_domains
from gradproof.symbolic.proof import prove_text
from gradproof.symbolic.syntax import ParseError, parse
from gradproof.symbolic.verdict import Verdict

TRUE = DERIVATIVES + IDENTITIES
PARTS = 12
NAMES = ("x", "y", "a", "b", "t", "p", "n", "m", "k", "s", "eps")


@pytest.mark.parametrize(("left", "right", "domain"), TRUE)
def test_true_identities_are_proved(left: str, right: str, domain: str | None) -> None:
    verdict = prove_text(left, right, domain)
    assert verdict.verdict == "proved", verdict
    assert verdict.ground is not None
    assert verdict.ground.kind == "normal-form"
    assert verdict.ground.regions
    assert not verdict.ground.assumes
    assert not verdict.ground.sizes


# --- near misses


@pytest.mark.parametrize("part", range(PARTS))
def test_near_misses_are_refuted(part: int) -> None:
    seen = 0
    for left, right, domain in TRUE[part::PARTS]:
        if split_prefix(right)[0]:
            continue
        domains = read_domains(domain)[0]
        node = parse(right)
        for what, changed in mutants(node):
            if not differ(node, changed, domains):
                continue
            verdict = prove_text(left, unparse(changed), domain)
            assert verdict.verdict == "refuted", (what, left, unparse(changed), verdict)
            assert verdict.witness is not None
            for name, value in verdict.witness.point.items():
                if _rational(value):
                    assert domains.get(name, Domain()).contains(Fraction(value))
            seen += 1
    assert seen > 30


def differ(a: Any, b: Any, domains: dict[str, Domain]) -> bool:
    """Whether two formulas have different values at some point, told by another library."""
    with mpmath.workdps(50):
        for step in range(8):
            at: dict[str, Any] = {}
            for place, name in enumerate(NAMES):
                samples = list(islice(domains.get(name, Domain()).samples(), 25))
                chosen = samples[(step * 7 + place * 5 + 3) % len(samples)]
                at[name] = mpmath.mpf(chosen.numerator) / chosen.denominator
            try:
                u, v = mp_value(a, at), mp_value(b, at)
            except ZeroDivisionError:
                continue
            real = all(isinstance(w, mpmath.mpf) and mpmath.isfinite(w) for w in (u, v))
            if real and abs(u - v) > mpmath.mpf(10) ** -30:
                return True
    return False


def _rational(value: str) -> bool:
    try:
        Fraction(value)
    except ValueError:
        return False
    return True


# --- strict semantics

STRICT: list[tuple[str, str, str | None, str]] = [
    # undefined on one side
    ("x", "x**2/x", None, "refuted at x = 0"),
    ("x**2/x", "x", None, "proved"),
    ("log(x**2)", "2*log(x)", None, "refuted at x = -1"),
    ("2*log(x)", "log(x**2)", None, "proved"),
    ("sqrt(x)**2", "x", None, "proved"),
    ("x", "sqrt(x)**2", None, "refuted at x = -1"),
    ("x", "exp(log(x))", None, "refuted at x = 0"),
    ("exp(log(x))", "x", None, "proved"),
    ("0*log(x)", "0", None, "proved"),
    ("0", "0*log(x)", None, "refuted at x = 0"),
    ("1", "Piecewise((1, x > 0), (1, x < 0))", None, "refuted at x = 0"),
    ("Piecewise((1, x > 0), (1, x < 0))", "1", None, "proved"),
    ("1", "(x**2-2)/(x**2-2)", None, "refuted at x = -sqrt(2)"),
    ("1", "(x**3-2)/(x**3-2)", None, "refuted at x = 2**(1/3)"),
    ("1", "(x**5-x-1)/(x**5-x-1)", None, "refuted"),
    ("1", "(exp(x)-3)/(exp(x)-3)", None, "refuted at x = log(3)"),
    ("1", "cos(x)/cos(x)", None, "refuted at x = pi/2"),
    ("1", "(x-y)/(x-y)", None, "refuted"),
    ("1", "(x**2+1)/(x**2+1)", None, "proved"),
    ("1", "(x**2-2*x*y+2*y**2+1)/(x**2-2*x*y+2*y**2+1)", None, "proved"),
    ("1/sin(x)", "1/sin(x)", None, "proved"),
    ("sqrt(x**2-1)", "sqrt(x-1)*sqrt(x+1)", None, "refuted at x = -1"),
    ("sqrt(x-1)*sqrt(x+1)", "sqrt(x**2-1)", None, "proved"),
    ("log(x*y)", "log(x)+log(y)", None, "refuted"),
    ("d/dx x", "x/x", None, "refuted at x = 0"),
    ("d/dx x**2/x", "1", None, "proved"),
    # points without interior
    ("Piecewise((1, Eq(x, 7/13)), (0, True))", "0", None, "refuted at x = 7/13"),
    ("Piecewise((1, Eq(x, sqrt(2))), (0, True))", "0", None, "refuted at x = sqrt(2)"),
    ("Piecewise((1, Eq(x, y)), (0, True))", "0", None, "refuted"),
    ("sign(x)**2", "1", None, "refuted at x = 0"),
    ("sign(x)**2", "1", "x: >0", "proved"),
    # corners
    ("d/dx Abs(x)", "sign(x)", None, "no derivative at x = 0"),
    ("d/dx Abs(x)", "x/Abs(x)", None, "proved"),
    ("d/dx relu(x)", "Heaviside(x, 0)", None, "no derivative at x = 0"),
    ("d/dx Heaviside(x, 0)", "0", None, "no derivative at x = 0"),
    ("d/dx Piecewise((x+1, x > 0), (x, True))", "1", None, "no derivative at x = 0"),
    ("d/dx Piecewise((x**2, x > 0), (0, True))", "2*relu(x)", None, "proved"),
    ("d/dx sqrt(x**2)", "sign(x)", None, "no derivative at x = 0"),
    ("d/dx Max(0, x**2-2)", "Piecewise((2*x, x**2 >= 2), (0, True))", None, "no derivative at x = -sqrt(2)"),
    ("d/dx Max(0, exp(x)-2)", "Piecewise((exp(x), x >= log(2)), (0, True))", None,
     "no derivative at x = log(2)"),
    ("d2/dx2 Abs(x)", "0", None, "no derivative at x = 0"),
    ("d2/dx2 Abs(x)", "0/x", None, "proved"),
    ("d2/dx2 relu(x)**2", "2*Heaviside(x, 0)", None, "no derivative at x = 0"),
    ("d/dx Abs(x)*y", "y*x/Abs(x)", None, "refuted"),
    ("d/dx Abs(x)*Abs(y)", "Piecewise((x*Abs(y)/Abs(x), Ne(y, 0)), (0, True))", None, "proved"),
    ("d/dx Max(x, y, z)", "Piecewise((1, And(x > y, x > z)), (0, Or(x < y, x < z)))", None, "proved"),
    ("d/dx cbrt(x)**3", "1", None, "proved"),
    ("d/dx elu(x, a)", "Piecewise((1, x > 0), (a*exp(x), True))", "a: >0", "no derivative"),
    # closed ends
    ("d/dx relu(x)", "1", "x: [0, 1]", "proved"),
    ("d/dx relu(x)", "Heaviside(x, 0)", "x: [0, 1]", "refuted at x = 0"),
    ("d/dx Abs(x)", "-1", "x: [-1, 0]", "proved"),
    ("d/dx x**1.5", "1.5*sqrt(x)", "x: >=0", "proved"),
    ("d/dx sqrt(x)", "1/(2*sqrt(x))", "x: >=0", "proved"),
    ("d/dx sqrt(x)", "Piecewise((1/(2*sqrt(x)), x > 0), (0, True))", "x: >=0", "no derivative at x = 0"),
    ("d/dx x*log(x)", "log(x)+1", "x: >=0", "proved"),
    ("d/dx xlogy(x, x)", "Piecewise((log(x)+1, x > 0), (0, True))", "x: >=0", "no derivative at x = 0"),
    # whole numbers, several parts
    ("Max(n, 3/2)", "n", "n: integer >= 2", "proved"),
    ("Max(n, 3/2)", "n", "n: integer >= 1", "refuted at n = 1"),
    ("cos(pi*n)", "(-1)**n", "n: integer", "proved"),
    ("sqrt(x**2)", "x", "x: |x| > 1", "refuted at x = -2"),
    ("x/Abs(x)", "sign(x)", "x: |x| > 1", "proved"),
    # what is not decided
    ("floor(x)", "x", None, "refuted at x = 1/2"),
    ("x/0", "x", None, "undecided"),
    ("sqrt(-1)", "1", None, "undecided"),
    ("d/dn x**n", "x**n*log(x)", "n: integer >= 1", "undecided"),
    ("d/dx Piecewise((x**2*sin(1/x), Ne(x, 0)), (0, True))", "0", "x: (-1/9, 1/9)", "refuted"),
    ("d/dx Piecewise((x**2*sin(1/x), Ne(x, 0)), (0, True))",
     "Piecewise((2*x*sin(1/x)-cos(1/x), Ne(x, 0)), (0, True))", None, "undecided"),
    ("d/dx sqrt(sin(x))", "cos(x)/(2*sqrt(sin(x)))", None, "proved"),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "domain", "wanted"), STRICT)
def test_strict_semantics(left: str, right: str, domain: str | None, wanted: str) -> None:
    verdict = prove_text(left, right, domain)
    outcome, _, place = wanted.partition(" at ")
    if outcome == "no derivative":
        assert verdict.reason == "no derivative"
        assert verdict.witness is not None
        assert verdict.witness.left == "no derivative"
        outcome = "refuted"
    assert verdict.verdict == outcome, verdict
    if place:
        assert verdict.witness is not None
        name, _, value = place.partition(" = ")
        assert verdict.witness.point[name] == value
    if outcome == "undecided":
        assert verdict.reason


def test_conditions_on_top_of_the_domain() -> None:
    assert prove_text("d/dx 1/Abs(x)", "-x/Abs(x)**3", where=["x != 0"]).verdict == "proved"
    assert prove_text("d/dx Abs(x)", "sign(x)", where=["x != 0"]).verdict == "proved"
    assert prove_text("Abs(x)", "x", where=["x > 0 or x == 0"]).verdict == "proved"
    assert prove_text("d/dy x/y", "-x/y**2", where=["y != 0", "x != 0"]).verdict == "proved"
    found = prove_text("Abs(x)", "x", where=["Abs(x) > 2.5"])
    assert found.witness is not None
    assert found.witness.point == {"x": "-3"}
    with pytest.raises(ParseError):
        prove_text("x", "x", where=["x"])


def test_witnesses_are_exact_and_simple() -> None:
    found = prove_text("d/dx tanh(x)", "1+tanh(x)**2").witness
    assert found is not None
    assert found.point == {"x": "1"}
    found = prove_text("x**2/3", "x/4", "x: (1, 2)").witness
    assert found is not None
    assert (found.point, found.left, found.right) == ({"x": "3/2"}, "3/4", "3/8")
    found = prove_text("exp(x)", "x", "x: >=1").witness
    assert found is not None
    assert (found.point, found.left, found.right) == ({"x": "1"}, "exp(1)", "1")


def test_regions_name_what_was_examined() -> None:
    ground = prove_text("d/dx Abs(x-y)", "(x-y)/Abs(x-y)").ground
    assert ground is not None
    assert ground.regions == ("x < y", "x = y: no derivative, and the right side has no value", "x > y")


@pytest.mark.parametrize(
    ("left", "right", "decimal"),
    [
        ("d/dx log(x)/log(2)", "1/(x*0.6931471805599453)", "0.6931471805599453 is log(2)"),
        ("d/dx x*180/pi", "57.29577951", "57.29577951 is 180/pi"),
        ("d/dx erf(x)", "1.1283791670955126*exp(-x**2)", "1.1283791670955126 is 2/sqrt(pi)"),
        ("d/dx x/3", "0.33333333", "0.33333333 is 1/3"),
    ],
)
def test_a_rounded_constant_is_not_the_constant_and_is_named(left: str, right: str, decimal: str) -> None:
    verdict = prove_text(left, right, "x: >0")
    assert verdict.verdict == "refuted"
    assert verdict.notes[0].startswith(decimal)
    assert "they differ by" in verdict.notes[0]
    assert "with the exact constants they are equal" in verdict.notes[-1]


def test_a_wrong_decimal_is_no_rounding() -> None:
    verdict = prove_text("d/dx log(x)/log(2)", "1/(x*0.6931471805599553)", "x: >0")
    assert verdict.verdict == "refuted"
    assert not verdict.notes


# --- random formulas, judged by another library


@pytest.mark.parametrize("part", range(6))
def test_random_claims_are_never_misjudged(part: int) -> None:
    decided = 0
    for seed in range(part * 60, part * 60 + 60):
        chance = random.Random(seed)
        tree = grow(chance, chance.choice([2, 3]))
        with mpmath.workdps(60):
            if chance.random() < 0.5:
                decided += judge(f"d/dx {text(tree)}", tree, rewrite(slope(tree), chance), derivative)
            else:
                decided += judge(text(tree), tree, rewrite(tree, chance), strict_value)
    assert decided > 40


def judge(left: str, tree: Tree, right: Tree, evaluate: Callable[[Tree, dict[str, Any]], Any]) -> bool:
    """Check a verdict at the points of a grid, or at its witness; whether there was one."""
    verdict = prove_text(left, text(right))
    if verdict.verdict == "proved":
        for at in GRID:
            assert not contradicts(tree, right, at, evaluate), (left, text(right), at)
    if verdict.verdict == "refuted":
        assert verdict.witness is not None
        at = point_of(dict(verdict.witness.point))
        if at is not None:
            assert contradicts(tree, right, at, evaluate) is not False, (left, text(right), verdict)
    return verdict.verdict != "undecided"


def contradicts(
    tree: Tree, right: Tree, at: dict[str, Any], evaluate: Callable[[Tree, dict[str, Any]], Any]
) -> bool | None:
    """Whether the sides differ at a point in the strict sense, None where that is not told."""
    try:
        here, a, b = (
            _value(f, t, at) for f, t in ((strict_value, tree), (evaluate, tree), (strict_value, right))
        )
    except (ArithmeticError, OverflowError):
        return None
    if here is None or (a is None and b is None):
        return False
    if a is None or b is None:
        return True
    return bool(abs(a - b) > mpmath.mpf(10) ** -6 * (1 + abs(a)))


def _value(evaluate: Callable[[Tree, dict[str, Any]], Any], tree: Tree, at: dict[str, Any]) -> Any:
    try:
        return evaluate(tree, at)
    except Gap:
        return None


def test_verdicts_are_records() -> None:
    verdict = prove_text("x", "x")
    assert isinstance(verdict, Verdict)
    assert verdict.seconds > 0
    assert set(verdict.to_dict()) == {"verdict", "ground", "witness", "reason", "notes", "seconds"}

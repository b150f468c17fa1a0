"""The project's own scalar claims: all judged rightly, strictly, with hints and repairs that hold."""

from __future__ import annotations

import pytest
from scalar_claims import Known, claims, differs

from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.domain import parse_domain
from gradproof.symbolic.judgement import fix, judge
from gradproof.symbolic.syntax import parse

PARTS = 12
ALL = claims()
FIRST = [known for known in ALL if known.holds or known.claim.id.endswith("wrong 1")]
REST = [known for known in ALL if known not in FIRST]


def check(known: Known) -> None:
    verdict = judge(known.claim)
    assert verdict.verdict == ("proved" if known.holds else "refuted"), (known, verdict)


def test_the_set_is_large() -> None:
    assert sum(known.holds for known in ALL) >= 300
    assert sum(not known.holds for known in ALL) >= 600
    assert {known.what for known in ALL} >= {"sign", "factor", "term", "argument", "exponent", "piece"}


@pytest.mark.parametrize("part", range(PARTS))
def test_claims_are_judged_rightly(part: int) -> None:
    for known in FIRST[part::PARTS]:
        check(known)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_other_wrong_claims_are_refuted(part: int) -> None:
    for known in REST[part::PARTS]:
        check(known)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_mpmath_confirms_what_holds_and_what_fails(part: int) -> None:
    for known in ALL[part::PARTS]:
        found = differs(known.claim, parse(known.claim.function), parse(known.claim.claim))
        assert found is not known.holds, known


# --- strictly


def at(
    function: str, by: str, claim: str, domain: dict[str, str] | None = None, where: tuple[str, ...] = ()
) -> str:
    names = tuple(by.split())
    kind = "derivative" if names else "identity"
    verdict = judge(Claim("one", function, names, claim, domain or {}, where, kind))
    if verdict.witness is None:
        return verdict.verdict
    point = ", ".join(f"{n}={v}" for n, v in verdict.witness.point.items())
    return f"{verdict.verdict} at {point}"


X = {"x": "real"}
P = {"x": ">0"}
XY = {"x": "real", "y": "real"}


@pytest.mark.parametrize(
    ("function", "by", "claim", "domain", "where", "found"),
    [
        # a recurrence divides by what may be 0, and the claim may be undefined there
        ("gamma(x+1)", "", "x*gamma(x)", X, (), "refuted at x=0"),
        ("gamma(x)", "", "gamma(x+1)/x", X, (), "proved"),
        ("digamma(x+1)", "", "digamma(x)+1/x", X, (), "refuted at x=0"),
        ("besselj(2,x)", "x", "besselj(1,x)-2*besselj(2,x)/x", X, (), "refuted at x=0"),
        ("besselj(2,x)", "x", "besselj(1,x)-2*besselj(2,x)/x", X, ("x != 0",), "proved"),
        # a removable gap of the claim is a gap
        ("Si(x)", "x", "sin(x)/x", X, (), "refuted at x=0"),
        ("Si(x)", "x", "sinc(x)", X, (), "proved"),
        ("Si(x)", "x", "Piecewise((sin(x)/x, x != 0), (2, True))", X, (), "refuted at x=0"),
        ("polylog(2,x)", "x", "-log(1-x)/x", {"x": "(-1,1)"}, (), "refuted at x=0"),
        ("elliptic_e(m)", "m", "(elliptic_e(m)-elliptic_k(m))/(2*m)", {"m": "[0,1)"}, (), "refuted at m=0"),
        ("LambertW(x)", "x", "LambertW(x)/(x*(1+LambertW(x)))", {"x": "(-0.3,3)"}, (), "refuted at x=0"),
        ("LambertW(x)", "x", "1/(x+exp(LambertW(x)))", X, (), "proved"),
        ("sinc(x)", "x", "cos(x)/x-sin(x)/x**2", X, (), "refuted at x=0"),
        # ends, cuts and jumps
        ("asin(x)", "x", "1/sqrt(1-x**2)", {"x": "[-1,1]"}, (), "proved"),
        ("acot(x)", "x", "-1/(1+x**2)", X, (), "refuted at x=0"),
        ("acot(x)", "x", "-1/(1+x**2)", X, ("x != 0",), "proved"),
        ("atan2(y,x)", "y", "x/(x**2+y**2)", XY, (), "refuted at x=-1, y=0"),
        ("atan2(y,x)", "x", "-y/(x**2+y**2)", XY, (), "proved"),
        ("atan2(y,x)", "", "atan(y/x)", XY, ("x != 0",), "refuted at y=0, x=-1"),
        ("floor(x)", "x", "0", X, (), "refuted at x=0"),
        ("floor(x)", "x", "0", X, ("x != floor(x)",), "proved"),
        ("x-floor(x)", "x", "1", {"x": "(-3,3)"}, (), "refuted at x=-2"),
        ("trunc(x)", "x", "0", X, ("x != trunc(x)",), "proved"),
        ("trunc(x)", "", "floor(x)", X, (), "refuted at x=-1/2"),
        ("round(x)", "x", "0", X, ("x-1/2 != floor(x-1/2)",), "proved"),
        ("sin(pi*x)*floor(x)", "x", "pi*cos(pi*x)*floor(x)", X, ("x != floor(x)",), "proved"),
        ("x*Abs(x)", "x", "2*Abs(x)", X, (), "proved"),
        # hypergeometric series as lists of parameters
        ("hyper([2], [3], x)", "x", "hyp1f1(3, 4, x)*2/3", X, (), "proved"),
        ("hyper([1, 2], [3], x)", "x", "2/3*hyper([2, 3], [4], x)", {"x": "(-1,1)"}, (), "proved"),
        ("hyper([], [2], x)", "x", "hyp0f1(3, x)", X, (), "refuted at x=0"),
        # conditions that leave nothing, or one point
        ("x", "x", "2", X, ("x > 1", "x < 0"), "undecided"),
        ("x", "", "1", X, ("x == 1",), "proved"),
        ("x", "", "2", X, ("x == 1",), "refuted at x=1"),
        # branches
        ("asin(sin(x))", "", "x", {"x": "(-1.5,1.5)"}, (), "proved"),
        ("asin(sin(x))", "", "x", {"x": "(-2,2)"}, (), "refuted at x=5/3"),
        ("atan(x)+atan(1/x)", "", "pi/2", P, (), "proved"),
        ("atan(x)+atan(1/x)", "", "pi/2", X, (), "refuted at x=-1"),
        ("log(Abs(gamma(x)))", "", "lgamma(x)", X, (), "proved"),
        ("log(gamma(x))", "", "loggamma(x)", P, (), "proved"),
        ("erf(erfinv(x))", "", "x", X, (), "proved"),
        ("exp(LambertW(x))*LambertW(x)", "", "x", X, (), "proved"),
        # what is true nearly everywhere
        ("x**n", "x", "n*x**(n-1)", {"x": "real", "n": "integer>=0"}, (), "refuted at x=0, n=0"),
        ("x**n", "x", "n*x**(n-1)", {"x": "real", "n": "integer>=1"}, (), "proved"),
        ("Max(x,y)", "x", "Heaviside(x-y,1/2)", XY, (), "refuted at y=0, x=0"),
    ],
)
def test_strictly(
    function: str, by: str, claim: str, domain: dict[str, str], where: tuple[str, ...], found: str
) -> None:
    assert at(function, by, claim, domain, where) == found


# --- hints and repairs


@pytest.mark.parametrize(
    ("function", "claim", "hint", "fixed"),
    [
        ("cosh(x)", "-sinh(x)", "the sign is wrong: minus the claim holds", "sinh(x)"),
        ("sqrt(x)", "1/sqrt(x)", "a constant factor is wrong: 1/2 times the claim holds", "1/sqrt(x)/2"),
        (
            "log(1+x**2)",
            "1/(1+x**2)",
            "the derivative of what is inside, x**2 + 1, is forgotten",
            "2*x/(x**2 + 1)",
        ),
        ("Si(x)", "cos(x)/x", "this is the derivative of Ci(x)", "sin(x)/x"),
        ("x*y", "x", "this is the derivative by y", "y"),
        ("gamma(x)", "digamma(x)", "a factor is missing: gamma(x)", "digamma(x)*gamma(x)"),
        ("x*exp(x)", "exp(x)", "a term is missing: x*exp(x)", None),
        ("Max(x,0)**2", "2*x", "it holds where x > 0", None),
    ],
)
def test_hints_and_repairs(function: str, claim: str, hint: str, fixed: str | None) -> None:
    one = Claim("a", function, ("x",), claim, {"x": "real" if "Max" in function else ">0"})
    assert f"hint: {hint}" in judge(one).notes
    made = fix(one)
    assert made is not None
    assert fixed is None or made == fixed
    assert judge(Claim("a", function, ("x",), made, one.domain)).verdict == "proved"


def test_repairs_are_close_and_hold() -> None:
    seen = 0
    for known in [k for k in ALL if not k.holds][::60]:
        made = fix(known.claim)
        assert made is not None, known
        again = Claim("a", known.claim.function, known.claim.wrt, made, known.claim.domain, known.claim.where)
        assert judge(again).verdict == "proved", (known, made)
        seen += 1
    assert seen > 10


def test_a_rounded_constant_is_named() -> None:
    notes = judge(Claim("a", "log(x)/log(2)", ("x",), "1/(x*0.6931471805599453)", P)).notes
    assert any("log(2) rounded: they differ by 9.4e-18" in note for note in notes)


def test_domains_of_the_set_can_be_read() -> None:
    for known in ALL:
        for domain in known.claim.domain.values():
            parse_domain(domain)

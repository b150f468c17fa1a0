"""Derivatives by an order or a parameter that are in no table: enclosed in balls, wrong claims refuted."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import pytest
from flint import arb, ctx, fmpq

from gradproof.symbolic.special import SPECIAL
from gradproof.symbolic.statements import prove_text

REFUTED = [
    ("d/dnu besselj(nu, x)", "log(x/2)*besselj(nu, x)", "nu: real; x: (0, inf)"),
    ("d/dnu besselk(nu, x)", "0", "nu: (0, inf); x: (0, inf)"),
    ("d/dx d/dnu besseli(nu, x)", "0", "nu: (0, inf); x: (0, inf)"),
    ("d/da gammainc(a, x)", "gammainc(a, x)*(log(x) - digamma(a))", "a: (0, inf); x: (0, inf)"),
    ("d/da uppergamma(a, x)", "log(x)*uppergamma(a, x)", "a: real; x: (0, inf)"),
    ("d/da betainc(a, b, x)", "log(x)*betainc(a, b, x)", "a: (0, inf); b: (0, inf); x: (0, 1)"),
    ("d/ds zeta(s)", "-log(2)*2**(-s)", "s: (1, inf)"),
    ("d/ds polylog(s, x)", "-log(2)*2**(-s)*x**2", "s: (1, inf); x: (0, 1)"),
    ("d/dn expint(n, x)", "-expint(n - 1, x)", "n: (1, inf); x: (0, inf)"),
    ("d/da hyp1f1(a, b, x)", "x/b*hyp1f1(a + 1, b + 1, x)", "a: (0, inf); b: (0, inf)"),
    ("d/dc hyp2f1(a, b, c, x)", "0", "a: (0, inf); b: (0, inf); c: (0, inf); x: (0, 1)"),
    ("d/da x**2*gammaincc(a, x)", "0", "a: (0, inf); x: (0, inf)"),
]


@pytest.mark.parametrize(("left", "right", "domain"), REFUTED)
def test_a_wrong_derivative_by_an_order_is_refuted(left: str, right: str, domain: str) -> None:
    found = prove_text(left, right, domain)
    assert found.verdict == "refuted"
    assert found.witness is not None
    assert "'" not in "".join((found.witness.left, found.witness.right, *found.notes))


def test_what_does_not_rest_on_the_derivative_is_proved() -> None:
    assert prove_text("d/dnu (besselj(nu, x) + nu - besselj(nu, x))", "1", "x: (0, inf)").verdict == "proved"
    assert prove_text("d/da (gammainc(a, x) + gammaincc(a, x))", "0", "a: >0; x: >0").verdict == "proved"


def test_a_true_one_without_closed_form_says_so() -> None:
    found = prove_text("d/da hyp1f1(a, a, x)", "0", "a: (0, inf)")  # exp(x)
    assert found.verdict == "undecided"
    assert found.reason is not None and "closed form" in found.reason


POINTS = {
    "uppergamma'1": (mpmath.gammainc, ("2", "3")),
    "besselj'1": (mpmath.besselj, ("1/3", "2")),
    "bessely'1": (mpmath.bessely, ("2", "1/2")),
    "besseli'1": (mpmath.besseli, ("-1", "3")),
    "besselk'1": (mpmath.besselk, ("1", "1/7")),
    "zeta'1": (mpmath.zeta, ("11/10", "1/2")),
    "polylog'1": (mpmath.polylog, ("5/2", "-3")),
    "hyp1f1'2": (mpmath.hyp1f1, ("1", "-1/2", "2")),
    "hyp2f1'3": (mpmath.hyp2f1, ("1", "2", "3", "1/2")),
    "betainc_lower'2": (lambda a, b, x: mpmath.betainc(a, b, 0, x), ("2", "1/3", "1/2")),
}


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("precision", [64, 256])
def test_an_enclosure_holds_the_derivative(name: str, precision: int) -> None:
    function, texts = POINTS[name]
    place = int(name[-1]) - 1
    values = [Fraction(text) for text in texts]
    with mpmath.workdps(60):
        at = [mpmath.mpf(v.numerator) / v.denominator for v in values]
        wanted = mpmath.diff(lambda v: function(*at[:place], v, *at[place + 1 :]), at[place])
        shown = mpmath.nstr(mpmath.re(wanted), 30)
    before, ctx.prec = ctx.prec, precision
    try:
        found = SPECIAL[name].value([arb(fmpq(v.numerator, v.denominator)) for v in values])
        assert found.is_finite()
        assert found.overlaps(arb(shown, arb(10) ** -18))
        assert found.rad() < arb(2) ** -(precision // 4 - 14)
    finally:
        ctx.prec = before


def test_no_enclosure_next_to_a_pole() -> None:
    assert not SPECIAL["zeta'1"].value([arb(1), arb(1)]).is_finite()
    assert not SPECIAL["hyp0f1'1"].value([arb(-2), arb(1)]).is_finite()
    assert not SPECIAL["uppergamma'1"].value([arb(2, 1), arb(1)]).is_finite()

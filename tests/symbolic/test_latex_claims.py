"""Formulas as papers print them, over numbers: read as they are meant, or refused with the readings."""

from __future__ import annotations

import pytest

from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.judgement import judge

SCALE = {"x": "real", "sigma": ">0"}
REAL, POSITIVE = {"x": "real"}, {"x": ">0"}
PRINTED = [
    (r"\sigma(x)", r"\sigma(x)\left(1-\sigma(x)\right)", REAL),
    (r"\frac{1}{1+e^{-x}}", r"\frac{e^{-x}}{(1+e^{-x})^2}", REAL),
    (r"\tanh x", r"1-\tanh^2 x", REAL),
    (r"\sqrt{1+x^2}", r"\frac{x}{\sqrt{1+x^2}}", REAL),
    (r"x\,\Phi(x)", r"\Phi(x)+\frac{x}{\sqrt{2\pi}}e^{-x^2/2}", REAL),
    (r"\frac{x}{2}\left[1+\operatorname{erf}\left(\frac{x}{\sqrt{2}}\right)\right]",
     r"\frac12\left(1+\operatorname{erf}\frac{x}{\sqrt2}\right)+\frac{x}{\sqrt{2\pi}}e^{-x^2/2}", REAL),
    (r"\max(0,x)^2", r"2x\,\mathbb{1}[x>0]", REAL),
    (r"\max(0,x)^2", r"2x\,\mathbb{1}_{x>0}", REAL),
    (r"x^n", r"n x^{n-1}", {"x": ">0", "n": "real"}),
    (r"e^{-\frac{x^2}{2\sigma^2}}", r"-\frac{x}{\sigma^2}e^{-\frac{x^2}{2\sigma^2}}", SCALE),
    (r"\sigma^2(x)", r"2\sigma^2(x)\left(1-\sigma(x)\right)", REAL),
    (r"\Gamma(x)", r"\Gamma(x)\psi(x)", POSITIVE),
    (r"\log_2 x", r"\frac{1}{x\ln 2}", POSITIVE),
    (r"\log_{10} x", r"\frac{1}{x\ln 10}", POSITIVE),
    (r"x\lfloor x\rfloor", r"\lfloor x\rfloor", {"x": "(1, 2)"}),
    (r"\lceil x\rceil", "0", {"x": "(1, 2)"}),
]  # fmt: skip


@pytest.mark.parametrize("function, claim, domain", PRINTED)
def test_what_papers_print_is_proved(function: str, claim: str, domain: dict[str, str]) -> None:
    verdict = judge(Claim("", function, ("x",), claim, domain, latex=True))
    assert verdict.verdict == "proved", verdict


@pytest.mark.parametrize("function, claim, domain", PRINTED)
def test_one_more_than_that_is_refuted(function: str, claim: str, domain: dict[str, str]) -> None:
    verdict = judge(Claim("", function, ("x",), rf"1+\left({claim}\right)", domain, latex=True))
    assert verdict.verdict == "refuted", verdict


REFUSED = {
    r"\phi(x)": "the normal density",
    r"\Phi(\Phi + 1)": "a product with the variable",
    r"\mathbb{1}": "a condition in brackets",
    r"\mathbb{R}": "`1` was expected",
    r"\lfloor x": r"`\rfloor` was expected",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_two_readings_or_none_is_refused(text: str) -> None:
    reason = judge(Claim("", text, ("x",), "0", REAL, latex=True)).reason
    assert reason is not None and reason.startswith("parse:") and REFUSED[text] in reason


def test_a_sum_over_pairs_is_refused_unless_both_indices_are_known() -> None:
    axes = {"x": ("n",)}
    pairs = Claim(
        "", r"\sum_{i<j} x_i x_j", ("x[k]",), r"\sum_{i\neq k} x_i", axes=axes, kind="jacobian", latex=True
    )
    assert "over i or over i and j" in (judge(pairs).reason or "")
    both = r"\sum_j \sum_{i<j} x_i x_j"
    known = Claim("", both, ("x[k]",), r"\sum_{i\neq k} x_i", axes=axes, kind="jacobian", latex=True)
    assert judge(known).reason is None or not (judge(known).reason or "").startswith("parse:")
    assert judge(known).verdict != "refuted"


CONDITIONS = [
    (r"\log |x|", "x", r"\frac{1}{x}", r"x \neq 0", "proved"),
    (r"\log |x|", "x", r"\frac{1}{x}", "x != 0", "proved"),
    (r"|x|", "x", "1", r"0 < x \leq 1", "proved"),
    (r"|x|", "x", "1", r"-1 < x \leq 1", "refuted"),
    (r"\max(x, y)", "x", "1", r"x > y \land y > 0", "proved"),
    (r"\max(x, y)", "x", "1", r"x < y, y > 0", "refuted"),
    (r"\max(x, y)", "x", "1", "x > y and y > 0", "proved"),
    (r"\tan\theta", r"\theta", r"1 + \tan^2\theta", r"\cos\theta \ne 0", "proved"),
    (r"\tan\theta", r"\theta", r"1 - \tan^2\theta", r"\cos\theta \ne 0", "refuted"),
    (r"x_1^2 x_2", "x_{1}", "2 x_1 x_2", r"x_1 \ge 0", "proved"),
]


@pytest.mark.parametrize(("function", "by", "claim", "where", "found"), CONDITIONS)
def test_conditions_and_names_in_latex(function: str, by: str, claim: str, where: str, found: str) -> None:
    assert judge(Claim("a", function, (by,), claim, where=(where,), latex=True)).verdict == found


def test_domains_in_latex() -> None:
    sides = r"\arcsin(\sin\theta)", (), r"\theta"
    inside, beyond = r"(-\frac{\pi}{2}, \frac{\pi}{2})", r"\left(-\pi, \infty\right)"
    for domain, found in ((inside, "proved"), (beyond, "refuted")):
        claim = Claim("a", *sides, domain={r"\theta": domain}, kind="identity", latex=True)
        assert judge(claim).verdict == found


ARRAYS = [
    (r"\sum_i |x_i|", "x[j]", "g", r"x_i > 0", "proved"),
    (r"\sum_i |x_i|", "x_j", "g", r"x_i \neq 0", "refuted"),
    (r"\sum_i |x_i|", "x_j", r"g \operatorname{sign}(x_j)", r"x_i \neq 0", "proved"),
    (r"\log\det A", "A", r"g A^{-\top}", r"\det A > 0", "proved"),
    (r"\log\det A", "A", r"g A^{-\top}", "det(A) > 0", "proved"),
    (r"\sum_{ij} A_{ij}^2", "A_{ij}", "2 g A_{ij}", r"A_{ij} \ge 0", "proved"),
]


@pytest.mark.parametrize(("function", "by", "claim", "where", "found"), ARRAYS)
def test_conditions_on_arrays_in_latex(function: str, by: str, claim: str, where: str, found: str) -> None:
    axes = {"x": ("n",), "A": ("m", "m")}
    axes = {name: over for name, over in axes.items() if name in function}
    made = Claim("a", function, (by,), claim, where=(where,), axes=axes, kind="vjp", latex=True)
    assert judge(made).verdict == found


@pytest.mark.parametrize("where", [r"x \neq", r"\neq 0", r"x \le 1 \le", r"x", r"\sin x y > 0"])
def test_no_condition_in_latex(where: str) -> None:
    found = judge(Claim("a", "x", ("x",), "1", where=(where,), latex=True))
    assert (found.reason or "").startswith("parse: where:")


def test_no_variable() -> None:
    found = judge(Claim("a", "x_1^2", ("x[j]",), "2", latex=True))
    assert found.reason == "parse: wrt: 'x[j]' is no variable; without axes it is a name such as `x_1`"

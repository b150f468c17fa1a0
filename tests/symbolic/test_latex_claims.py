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

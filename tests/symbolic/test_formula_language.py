"""What Python and its libraries let people write in a formula, and what it means here."""

from __future__ import annotations

import pytest

from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.domain import DomainError, parse_domain
from gradproof.symbolic.judgement import judge

REAL = {"x": "real"}


def said(function: str, claim: str, *where: str, by: str = "x", **domain: str) -> str:
    kind = "derivative" if by else "identity"
    return judge(Claim("", function, (by,) if by else (), claim, domain or REAL, where, kind)).verdict


MEANINGS = [
    # the names of modules
    ("np.tanh(x)", "1 - np.tanh(x)**2", ()),
    ("torch.nn.functional.softplus(x)", "F.sigmoid(x)", ()),
    ("jnp.where(x > 0, x, 0)**2", "2*jnp.maximum(x, 0)", ()),
    ("scipy.special.erf(x)", "2/np.sqrt(np.pi)*np.exp(-x**2)", ()),
    ("math.e**x", "math.e**x", ()),
    ("x.exp()", "x.exp()", ()),
    # libraries differ
    ("np.sinc(x)", "cos(pi*x)/x - sin(pi*x)/(pi*x**2)", ("x != 0",)),
    ("sp.sinc(x)", "cos(x)/x - sin(x)/x**2", ("x != 0",)),
    ("jax.nn.gelu(x) - gelu_tanh(x)", "0", ()),
    ("F.gelu(x) - gelu(x)", "0", ()),
    ("F.gelu(x, approximate='tanh') - gelu_tanh(x)", "0", ()),
    # cases
    ("x if x > 0 else x/2", "1 if x > 0 else 1/2", ("x != 0",)),
    ("x if x > 1 else (x**2 if x > 0 else 0)", "2*x if 0 < x < 1 else (1 if x > 1 else 0)", ("x != 1",)),
    ("x*(x > 0)", "1.0*(x > 0)", ("x != 0",)),
    ("maximum(x, 0)", "x > 0", ("x != 0",)),
    ("hardtanh(x)", "(x > -1) & (x < 1)", ("x != 1", "x != -1")),
    ("hardtanh(x)", "-1 < x < 1", ("x != 1", "x != -1")),
    # remainders
    ("x % 2", "1", ("x % 2 != 0",)),
    ("x // 2", "0", ("x % 2 != 0",)),
    ("x - (x // 1) - x % 1", "0", ("x % 1 != 0",)),
    # keywords
    ("softplus(x, beta=2)", "sigmoid(2*x)", ()),
    ("leaky_relu(x, negative_slope=0.1)", "where(x > 0, 1, 0.1)", ("x != 0",)),
    ("clip(x, max=1)", "x < 1", ("x != 1",)),
    ("celu(x, alpha=2)", "where(x > 0, 1, exp(x/2))", ()),
    # definitions, and the value of the function
    ("s = 1/(1 + exp(-x)); s*x", "s = sigmoid(x); s + x*s*(1 - s)", ()),
    ("sigmoid(x)", "result*(1 - result)", ()),
    # numbers
    ("1_000*x", "1000", ()),
]


@pytest.mark.parametrize("function, claim, where", MEANINGS)
def test_what_is_written_means_what_libraries_mean(function: str, claim: str, where: tuple[str, ...]) -> None:
    assert said(function, claim, *where) == "proved"


NEAR_MISSES = [
    ("np.sinc(x)", "cos(x)/x - sin(x)/x**2", ("x != 0",)),
    ("sinc(x)", "cos(pi*x)/x - sin(pi*x)/(pi*x**2)", ("x != 0",)),
    ("x % 2", "0", ("x % 2 != 0",)),
    ("x // 2", "1/2", ("x % 2 != 0",)),
    ("x*(x > 0)", "x > 0", ()),
    ("x if x > 0 else x/2", "1 if x < 0 else 1/2", ("x != 0",)),
    ("jax.nn.gelu(x) - gelu(x)", "0", ()),
    ("softplus(x, beta=2)", "2*sigmoid(2*x)", ()),
    ("sigmoid(x)", "result*(1 + result)", ()),
]


@pytest.mark.parametrize("function, claim, where", NEAR_MISSES)
def test_what_is_nearly_right_is_refuted(function: str, claim: str, where: tuple[str, ...]) -> None:
    assert said(function, claim, *where) == "refuted"


def test_result_may_be_a_variable() -> None:
    assert said("result*x", "result", x="real", result="real") == "proved"
    assert said("x*y", "result/x", "x != 0", x="real", y="real") == "proved"


def test_a_constant_that_is_declared_is_a_variable() -> None:
    assert said("E**2", "2*E", by="E", E="real") == "proved"
    assert said("E**2", "0", by="E").startswith("undecided")


def test_definitions_that_grow_without_end_are_refused() -> None:
    growing = "; ".join(f"y{n + 1} = y{n} + y{n}" for n in range(40))
    verdict = judge(Claim("", f"y0 = x; {growing}; y40", ("x",), "1", REAL))
    assert verdict.reason is not None and "too large" in verdict.reason


DOMAINS = {
    "!= 0": "(-inf, 0) or (0, inf)",
    "nonzero": "(-inf, 0) or (0, inf)",
    "positive": "(0, inf)",
    "nonnegative integer": "integer in [0, inf)",
    "0 < x <= 1": "(0, 1]",
    "x > 0": "(0, inf)",
    "(-1, 0) or (0, 1)": "(-1, 0) or (0, 1)",
    "(2, 3) U [0, 1)": "[0, 1) or (2, 3)",
}


@pytest.mark.parametrize("text", DOMAINS)
def test_domains_as_people_write_them(text: str) -> None:
    from gradproof.symbolic.domain import parse_domain

    assert str(parse_domain(text)) == DOMAINS[text]
    assert parse_domain(DOMAINS[text]) == parse_domain(text) or "integer" in text


@pytest.mark.parametrize(
    "text", ["(0, pi)", "(0, 2) or (1, 3)", "1 < x < 0", "integer or (0, 1)", "(0, 1) or"]
)
def test_what_is_no_domain_is_said(text: str) -> None:
    with pytest.raises(DomainError):
        parse_domain(text)

"""The special functions that people may write, and what each stands for over the rows of `special.py`."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import reduce as fold

from gradproof.symbolic.expressions import Number, call
from gradproof.symbolic.formulas import (
    NAN,
    PI,
    Formula,
    apply,
    choose,
    compare,
    exact,
    log,
    magnitude,
    raise_to,
)
from gradproof.symbolic.scalar_table import ScalarFunction, one, two
from gradproof.symbolic.whole_numbers import whole

HALF = Fraction(1, 2)
MAX_PRODUCT = 12
_ZERO, _ONE, _TWO = exact(0), exact(1), exact(2)


def _exp(x: Formula) -> Formula:
    return apply("exp", x)


def _root(x: Formula) -> Formula:
    return x.raised(HALF)


def _leaf(name: str) -> Callable[..., Formula]:
    return lambda *arguments: apply(name, *arguments)


# --- circular functions


def acos(x: Formula) -> Formula:
    """The inverse of the cosine, in [0, pi]."""
    return PI / _TWO - apply("asin", x)


def acot(x: Formula) -> Formula:
    """`atan(1/x)`, and pi/2 at 0, where it jumps."""
    return choose(compare("==", x, _ZERO), PI / _TWO, apply("atan", _ONE / x))


def atan2(y: Formula, x: Formula) -> Formula:
    """The angle of the point (x, y), in (-pi, pi]; at (0, 0) there is none."""
    left_or_none = choose(compare("<", x, _ZERO), PI, NAN)
    on_axis = choose(compare(">", x, _ZERO), _ZERO, left_or_none)
    return choose(compare("==", y, _ZERO), on_axis, apply("atan2", y, x))


# --- error functions and the normal distribution


def erfc(x: Formula) -> Formula:
    """`1 - erf(x)`."""
    return _ONE - apply("erf", x)


def erfcx(x: Formula) -> Formula:
    """`exp(x^2) erfc(x)`."""
    return _exp(x * x) * erfc(x)


def erfcinv(x: Formula) -> Formula:
    """The inverse of erfc, on (0, 2)."""
    return apply("erfinv", _ONE - x)


def dawson(x: Formula) -> Formula:
    """Dawson's integral, `exp(-x^2) int_0^x exp(t^2) dt`."""
    return _root(PI) / _TWO * _exp(-(x * x)) * apply("erfi", x)


def normal_cdf(x: Formula) -> Formula:
    """The distribution function of the standard normal distribution."""
    return (_ONE + apply("erf", x / _root(_TWO))) / _TWO


def normal_pdf(x: Formula) -> Formula:
    """The density of the standard normal distribution."""
    return _exp(-(x * x) / _TWO) / _root(_TWO * PI)


def normal_quantile(p: Formula) -> Formula:
    """The inverse of the distribution function of the standard normal distribution."""
    return _root(_TWO) * apply("erfinv", _TWO * p - _ONE)


# --- the gamma family


def gamma(x: Formula) -> Formula:
    """Euler's gamma function, without a value at 0, -1, -2, ..."""
    return apply("rgamma", x).raised(Fraction(-1))


def loggamma(x: Formula) -> Formula:
    """The logarithm of the gamma function of a positive number."""
    return apply("lgamma", x).needing(x.value, ">")


def beta(a: Formula, b: Formula) -> Formula:
    """`Gamma(a) Gamma(b) / Gamma(a + b)`."""
    return gamma(a) * gamma(b) * apply("rgamma", a + b)


def log_beta(a: Formula, b: Formula) -> Formula:
    """`log|B(a, b)|`."""
    return apply("lgamma", a) + apply("lgamma", b) - apply("lgamma", a + b)


def psi(*arguments: Formula) -> Formula:
    """`digamma(x)`, or `polygamma(n, x)` of two arguments."""
    return apply("digamma" if len(arguments) == 1 else "polygamma", *arguments)


def gamma_sign(x: Formula) -> Formula:
    """The sign of the gamma function, without a value at its poles."""
    inverse = apply("rgamma", x).needing(call("rgamma", x.value), "!=")
    return choose(compare(">", inverse, _ZERO), _ONE, exact(-1))


def rising(x: Formula, n: Formula) -> Formula:
    """`Gamma(x + n) / Gamma(x)`."""
    return gamma(x + n) * apply("rgamma", x)


def binomial(n: Formula, k: Formula) -> Formula:
    """`Gamma(n + 1) / (Gamma(k + 1) Gamma(n - k + 1))`."""
    return gamma(n + _ONE) * apply("rgamma", k + _ONE) * apply("rgamma", n - k + _ONE)


def harmonic(x: Formula) -> Formula:
    """`digamma(x + 1)` and Euler's constant."""
    return apply("digamma", x + _ONE) - apply("digamma", _ONE)


def multigammaln(a: Formula, p: Formula) -> Formula:
    """The logarithm of the multivariate gamma function, for a written p."""
    if not (isinstance(p.value, Number) and whole(p.value) and 1 <= p.value.value <= MAX_PRODUCT):
        raise ValueError(f"multigammaln takes a whole number from 1 to {MAX_PRODUCT} for p")
    count = int(p.value.value)
    parts = [loggamma(a - exact(Fraction(n, 2))) for n in range(count)]
    return exact(Fraction(count * (count - 1), 4)) * log(PI) + fold(Formula.__add__, parts)


def upper_gamma(a: Formula, x: Formula) -> Formula:
    """`Gamma(a, x)`, at x = 0 the whole gamma function of a positive a."""
    at_zero = gamma(a).needing(a.value, ">")
    rest = choose(compare("==", x, _ZERO), at_zero, NAN)
    return choose(compare(">", x, _ZERO), apply("uppergamma", a, x), rest)


def lower_gamma(a: Formula, x: Formula) -> Formula:
    """`gamma(a, x)` for positive a, from x = 0 on."""
    return (gamma(a) - upper_gamma(a, x)).needing(a.value, ">")


def gamma_p(a: Formula, x: Formula) -> Formula:
    """The lower incomplete gamma function over the gamma function."""
    return (_ONE - gamma_q(a, x)).needing(a.value, ">")


def gamma_q(a: Formula, x: Formula) -> Formula:
    """The upper incomplete gamma function over the gamma function."""
    return (upper_gamma(a, x) * apply("rgamma", a)).needing(a.value, ">")


def incomplete_beta(a: Formula, b: Formula, x: Formula) -> Formula:
    """`B(x; a, b)`, 0 at x = 0 and B(a, b) at x = 1."""
    inside = choose(compare(">", x, _ZERO), apply("betainc_lower", a, b, x), _ZERO)
    end = choose(compare("==", x, _ONE), beta(a, b), NAN)
    made = choose(compare("<", x, _ONE), inside, end)
    return made.needing(a.value, ">").needing(b.value, ">").needing(x.value, ">=")


def betainc(*arguments: Formula) -> Formula:
    """`I_x(a, b)` of three arguments; of four `B(x2; a, b) - B(x1; a, b)`."""
    a, b, x = arguments[0], arguments[1], arguments[-1]
    if len(arguments) == 3:
        return incomplete_beta(a, b, x) / beta(a, b)
    return incomplete_beta(a, b, x) - incomplete_beta(a, b, arguments[2])


def betainc_between(a: Formula, b: Formula, low: Formula, high: Formula) -> Formula:
    """`I_high(a, b) - I_low(a, b)`."""
    return betainc(a, b, low, high) / beta(a, b)


# --- integrals


def expint(n: Formula, x: Formula) -> Formula:
    """`E_n(x) = x^(n-1) Gamma(1 - n, x)` for x > 0."""
    return raise_to(x, n - _ONE).needing(x.value, ">") * apply("uppergamma", _ONE - n, x)


def exp1(x: Formula) -> Formula:
    """`E_1(x)` for x > 0."""
    return (-apply("Ei", -x)).needing(x.value, ">")


def elliptic_e(*arguments: Formula) -> Formula:
    """`E(m)`, or `E(phi, m)` of two arguments; m is the parameter, below 1 or for E(m) at it."""
    if len(arguments) == 2:
        return apply("elliptic_e_inc", *arguments)
    (m,) = arguments
    inside = apply("elliptic_k", m) - m * apply("elliptic_d", m)
    return choose(compare("<", m, _ONE), inside, choose(compare("==", m, _ONE), _ONE, NAN))


# --- Bessel functions


def cylinder(name: str, n: Formula, x: Formula) -> Formula:
    """J or I; for an order that is no whole number, at x = 0 only where it is a written one."""
    made = apply(name, n, x)
    if whole(n.value) or isinstance(n.value, Number):
        return made
    return choose(compare("==", x, _ZERO), Formula(call(f"{name} at 0", n.value)), made)


def spherical(name: str, sign: int, n: Formula, x: Formula) -> Formula:
    """`sqrt(pi/(2x)) J_(n+1/2)(x)` and its relatives, for x > 0."""
    scale = _root(PI / (_TWO * x)) if sign else _root(_TWO / (PI * x))
    return (scale * apply(name, n + exact(HALF), x)).needing(x.value, ">")


def scaled_i(n: Formula, x: Formula) -> Formula:
    """`exp(-|x|) I_n(x)`."""
    return _exp(-magnitude(x)) * cylinder("besseli", n, x)


def scaled_k(n: Formula, x: Formula) -> Formula:
    """`exp(x) K_n(x)`."""
    return _exp(x) * apply("besselk", n, x)


# --- zeta, hypergeometric series


def zeta(s: Formula, a: Formula | None = None) -> Formula:
    """Riemann's zeta function, or Hurwitz's of two arguments (a > 0)."""
    return apply("zeta", s, _ONE if a is None else a)


def spence(x: Formula) -> Formula:
    """`Li_2(1 - x)` for x >= 0."""
    at_zero = choose(compare("==", x, _ZERO), PI * PI / exact(6), NAN)
    return choose(compare(">", x, _ZERO), apply("polylog", _TWO, _ONE - x), at_zero)


def lambert(x: Formula, branch: Formula | None = None) -> Formula:
    """Lambert's W, the principal branch."""
    if branch is not None and branch.value != _ZERO.value:
        raise ValueError("only the principal branch of Lambert's W is in the table")
    return apply("lambertw", x)


SPECIAL_TABLE: dict[str, ScalarFunction] = {
    "asin": one(_leaf("asin")),
    "acos": one(acos),
    "atan": one(_leaf("atan")),
    "acot": one(acot),
    "asec": one(lambda x: acos(_ONE / x)),
    "acsc": one(lambda x: apply("asin", _ONE / x)),
    "atan2": two(atan2),
    "erfc": one(erfc),
    "erfi": one(_leaf("erfi")),
    "erfcx": one(erfcx),
    "erfinv": one(_leaf("erfinv")),
    "erfcinv": one(erfcinv),
    "dawson": one(dawson),
    "fresnels": one(_leaf("fresnels")),
    "fresnelc": one(_leaf("fresnelc")),
    "normcdf": one(normal_cdf),
    "normpdf": one(normal_pdf),
    "norm_ppf": one(normal_quantile),
    "log_ndtr": one(lambda x: log(normal_cdf(x))),
    "gamma": one(gamma),
    "rgamma": one(_leaf("rgamma")),
    "lgamma": one(_leaf("lgamma")),
    "loggamma": one(loggamma),
    "digamma": one(_leaf("digamma")),
    "trigamma": one(lambda x: apply("polygamma", _ONE, x)),
    "polygamma": two(_leaf("polygamma")),
    "psi": ScalarFunction(psi, 1, 2),
    "gammasgn": one(gamma_sign),
    "factorial": one(lambda x: gamma(x + _ONE)),
    "binomial": two(binomial),
    "beta": two(beta),
    "betaln": two(log_beta),
    "rising": two(rising),
    "harmonic": one(harmonic),
    "multigammaln": two(multigammaln),
    "lowergamma": two(lower_gamma),
    "uppergamma": two(upper_gamma),
    "gammainc": two(gamma_p),
    "gammaincc": two(gamma_q),
    "betainc": ScalarFunction(betainc, 3, 4),
    "betainc_regularized": ScalarFunction(betainc_between, 4, 4),
    "Ei": one(_leaf("Ei")),
    "E1": one(exp1),
    "expint": two(expint),
    "li": one(lambda x: apply("Ei", log(x))),
    "Si": one(_leaf("Si")),
    "Ci": one(_leaf("Ci")),
    "Shi": one(_leaf("Shi")),
    "Chi": one(_leaf("Chi")),
    "elliptic_k": one(_leaf("elliptic_k")),
    "elliptic_e": ScalarFunction(elliptic_e, 1, 2),
    "elliptic_d": one(_leaf("elliptic_d")),
    "elliptic_e_inc": two(_leaf("elliptic_e_inc")),
    "betainc_lower": ScalarFunction(_leaf("betainc_lower"), 3, 3),
    "elliptic_f": two(_leaf("elliptic_f")),
    "besselj": two(lambda n, x: cylinder("besselj", n, x)),
    "bessely": two(_leaf("bessely")),
    "besseli": two(lambda n, x: cylinder("besseli", n, x)),
    "besselk": two(_leaf("besselk")),
    "ive": two(scaled_i),
    "kve": two(scaled_k),
    **{f"j{n}": one(lambda x, n=n: apply("besselj", exact(n), x)) for n in (0, 1)},
    **{f"y{n}": one(lambda x, n=n: apply("bessely", exact(n), x)) for n in (0, 1)},
    **{f"i{n}": one(lambda x, n=n: apply("besseli", exact(n), x)) for n in (0, 1)},
    **{f"k{n}": one(lambda x, n=n: apply("besselk", exact(n), x)) for n in (0, 1)},
    **{f"i{n}e": one(lambda x, n=n: scaled_i(exact(n), x)) for n in (0, 1)},
    **{f"k{n}e": one(lambda x, n=n: scaled_k(exact(n), x)) for n in (0, 1)},
    "spherical_jn": two(lambda n, x: spherical("besselj", 1, n, x)),
    "spherical_yn": two(lambda n, x: spherical("bessely", 1, n, x)),
    "spherical_in": two(lambda n, x: spherical("besseli", 1, n, x)),
    "airyai": one(_leaf("airyai")),
    "airyaiprime": one(_leaf("airyaiprime")),
    "airybi": one(_leaf("airybi")),
    "airybiprime": one(_leaf("airybiprime")),
    "zeta": ScalarFunction(zeta, 1, 2),
    "polylog": two(_leaf("polylog")),
    "spence": one(spence),
    "lambertw": ScalarFunction(lambert, 1, 2),
    "hyp0f1": two(_leaf("hyp0f1")),
    "hyp1f1": ScalarFunction(_leaf("hyp1f1"), 3, 3),
    "hyp2f1": ScalarFunction(_leaf("hyp2f1"), 4, 4),
}

"""The scalar functions that people may write in a formula: each name with the formula that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce as fold

from gradproof.symbolic.formulas import (
    NAN,
    PI,
    Formula,
    apply,
    choose,
    compare,
    exact,
    larger,
    log,
    magnitude,
    raise_to,
    smaller,
)

Builder = Callable[..., Formula]
HALF = Fraction(1, 2)
MAX_FOLDED = 16


@dataclass(frozen=True)
class ScalarFunction:
    """How a function is called, with at least and at most so many arguments, and what it stands for."""

    build: Builder
    least: int = 1
    most: int = 1


class NoRowError(Exception):
    """A function that mathematics knows and the table does not."""


def exp(x: Formula) -> Formula:
    """The exponential."""
    return apply("exp", x)


def sqrt(x: Formula) -> Formula:
    """The square root."""
    return x.raised(HALF)


def sigmoid(x: Formula) -> Formula:
    """`1/(1 + exp(-x))`."""
    return apply("sigmoid", x)


def tanh(x: Formula) -> Formula:
    """The hyperbolic tangent."""
    return apply("tanh", x)


def sinh(x: Formula) -> Formula:
    """The hyperbolic sine."""
    return (exp(x) - exp(-x)) / exact(2)


def cosh(x: Formula) -> Formula:
    """The hyperbolic cosine."""
    return (exp(x) + exp(-x)) / exact(2)


def sin(x: Formula) -> Formula:
    """The sine."""
    return apply("sin", x)


def cos(x: Formula) -> Formula:
    """The cosine."""
    return apply("cos", x)


def erf(x: Formula) -> Formula:
    """The error function."""
    return apply("erf", x)


def sign(x: Formula) -> Formula:
    """1 above 0, -1 below, 0 at it."""
    below = choose(compare("<", x, exact(0)), exact(-1), exact(0))
    return choose(compare(">", x, exact(0)), exact(1), below)


def relu(x: Formula) -> Formula:
    """`x` above 0, else 0."""
    return choose(compare(">", x, exact(0)), x, exact(0))


def clamp(x: Formula, low: Formula, high: Formula) -> Formula:
    """`x` between two ends."""
    return smaller(larger(x, low), high)


def split_at_zero(x: Formula, above: Formula, below: Formula) -> Formula:
    """One value for `x` above 0, another for the rest."""
    return choose(compare(">", x, exact(0)), above, below)


def normal_cdf(x: Formula) -> Formula:
    """The distribution function of the standard normal distribution."""
    return (exact(1) + erf(x / sqrt(exact(2)))) / exact(2)


def gelu_tanh(x: Formula) -> Formula:
    """GELU in its approximation by tanh."""
    inner = sqrt(exact(2) / PI) * (x + exact("0.044715") * x.raised(Fraction(3)))
    return exact(HALF) * x * (exact(1) + tanh(inner))


def cbrt(x: Formula) -> Formula:
    """The real cube root, odd."""
    third = Fraction(1, 3)
    below = choose(compare("<", x, exact(0)), -(-x).raised(third), exact(0))
    return choose(compare(">", x, exact(0)), x.raised(third), below)


def hypot(x: Formula, y: Formula) -> Formula:
    """`sqrt(x^2 + y^2)`."""
    return sqrt(x * x + y * y)


def logarithm(x: Formula, base: Formula | None = None) -> Formula:
    """The logarithm, natural or to a base."""
    return log(x) if base is None else log(x) / log(base)


def acosh(x: Formula) -> Formula:
    """The inverse of cosh."""
    return log(x + sqrt(x - exact(1)) * sqrt(x + exact(1))).needing((x - exact(1)).value, ">=")


def heaviside(x: Formula, at_zero: Formula | None = None) -> Formula:
    """The step; its value at 0 has to be given."""
    at = NAN if at_zero is None else at_zero
    below = choose(compare("<", x, exact(0)), exact(0), at)
    return choose(compare(">", x, exact(0)), exact(1), below)


def sinc(x: Formula) -> Formula:
    """`sin(x)/x`, and 1 at 0."""
    return choose(compare("==", x, exact(0)), exact(1), sin(x) / x)


def xlogy(x: Formula, y: Formula) -> Formula:
    """`x log(y)`, and 0 where x is 0."""
    return choose(compare("==", x, exact(0)), exact(0), x * log(y))


def leaky_relu(x: Formula, slope: Formula | None = None) -> Formula:
    """`x` above 0, else a small slope times it."""
    return split_at_zero(x, x, (exact("0.01") if slope is None else slope) * x)


def elu(x: Formula, alpha: Formula | None = None) -> Formula:
    """`x` above 0, else `alpha (exp(x) - 1)`."""
    return split_at_zero(x, x, (exact(1) if alpha is None else alpha) * (exp(x) - exact(1)))


def celu(x: Formula, alpha: Formula | None = None) -> Formula:
    """`max(0, x) + min(0, alpha (exp(x/alpha) - 1))`."""
    a = exact(1) if alpha is None else alpha
    return larger(exact(0), x) + smaller(exact(0), a * (exp(x / a) - exact(1)))


def selu(x: Formula) -> Formula:
    """ELU with the scale and the alpha of self-normalizing networks."""
    scale, alpha = exact("1.0507009873554804934193349852946"), exact("1.6732632423543772848170429916717")
    return scale * split_at_zero(x, x, alpha * (exp(x) - exact(1)))


def hardshrink(x: Formula, at: Formula | None = None) -> Formula:
    """`x` outside of an interval around 0, else 0."""
    end = exact(HALF) if at is None else at
    inside = choose(compare("<", x, -end), x, exact(0))
    return choose(compare(">", x, end), x, inside)


def softshrink(x: Formula, at: Formula | None = None) -> Formula:
    """`x` moved towards 0, and 0 near it."""
    end = exact(HALF) if at is None else at
    inside = choose(compare("<", x, -end), x + end, exact(0))
    return choose(compare(">", x, end), x - end, inside)


def _one(build: Callable[[Formula], Formula]) -> ScalarFunction:
    return ScalarFunction(build)


def _two(build: Callable[[Formula, Formula], Formula]) -> ScalarFunction:
    return ScalarFunction(build, 2, 2)


def _folded(build: Callable[[Formula, Formula], Formula]) -> ScalarFunction:
    """A function of any number of arguments, two at a time."""
    return ScalarFunction(lambda *parts: fold(build, parts), 1, MAX_FOLDED)


_ONE, _TWO = exact(1), exact(2)

TABLE: dict[str, ScalarFunction] = {
    # powers, exponentials, logarithms
    "sqrt": _one(sqrt),
    "cbrt": _one(cbrt),
    "rsqrt": _one(lambda x: x.raised(-HALF)),
    "square": _one(lambda x: x * x),
    "reciprocal": _one(lambda x: _ONE / x),
    "pow": _two(raise_to),
    "power": _two(raise_to),
    "hypot": _two(hypot),
    "exp": _one(exp),
    "exp2": _one(lambda x: raise_to(_TWO, x)),
    "expm1": _one(lambda x: exp(x) - _ONE),
    "log": ScalarFunction(logarithm, 1, 2),
    "ln": _one(log),
    "log2": _one(lambda x: log(x) / log(_TWO)),
    "log10": _one(lambda x: log(x) / log(exact(10))),
    "log1p": _one(lambda x: log(_ONE + x)),
    "logaddexp": _two(lambda x, y: log(exp(x) + exp(y))),
    "xlogy": _two(xlogy),
    "logit": _one(lambda x: log(x / (_ONE - x)).needing(x.value, ">").needing((_ONE - x).value, ">")),
    # circular and hyperbolic
    "sin": _one(sin),
    "cos": _one(cos),
    "tan": _one(lambda x: sin(x) / cos(x)),
    "cot": _one(lambda x: cos(x) / sin(x)),
    "sec": _one(lambda x: _ONE / cos(x)),
    "csc": _one(lambda x: _ONE / sin(x)),
    "sinc": _one(sinc),
    "sinh": _one(sinh),
    "cosh": _one(cosh),
    "tanh": _one(tanh),
    "coth": _one(lambda x: cosh(x) / sinh(x)),
    "sech": _one(lambda x: _ONE / cosh(x)),
    "csch": _one(lambda x: _ONE / sinh(x)),
    "asinh": _one(lambda x: log(x + sqrt(x * x + _ONE))),
    "acosh": _one(acosh),
    "atanh": _one(
        lambda x: (
            (log((_ONE + x) / (_ONE - x)) / _TWO)
            .needing((_ONE + x).value, ">")
            .needing((_ONE - x).value, ">")
        )
    ),
    # error functions
    "erf": _one(erf),
    "erfc": _one(lambda x: _ONE - erf(x)),
    "normcdf": _one(normal_cdf),
    "ndtr": _one(normal_cdf),
    # activations
    "sigmoid": _one(sigmoid),
    "expit": _one(sigmoid),
    "logsigmoid": _one(lambda x: -apply("softplus", -x)),
    "log_sigmoid": _one(lambda x: -apply("softplus", -x)),
    "softplus": _one(lambda x: apply("softplus", x)),
    "relu": _one(relu),
    "relu6": _one(lambda x: clamp(x, exact(0), exact(6))),
    "leaky_relu": ScalarFunction(leaky_relu, 1, 2),
    "elu": ScalarFunction(elu, 1, 2),
    "celu": ScalarFunction(celu, 1, 2),
    "selu": _one(selu),
    "silu": _one(lambda x: x * sigmoid(x)),
    "swish": _one(lambda x: x * sigmoid(x)),
    "gelu": _one(lambda x: x * normal_cdf(x)),
    "gelu_tanh": _one(gelu_tanh),
    "mish": _one(lambda x: x * tanh(apply("softplus", x))),
    "softsign": _one(lambda x: x / (_ONE + magnitude(x))),
    "tanhshrink": _one(lambda x: x - tanh(x)),
    "hardtanh": _one(lambda x: clamp(x, exact(-1), _ONE)),
    "hardsigmoid": _one(lambda x: clamp(x + exact(3), exact(0), exact(6)) / exact(6)),
    "hardswish": _one(lambda x: x * clamp(x + exact(3), exact(0), exact(6)) / exact(6)),
    "hardshrink": ScalarFunction(hardshrink, 1, 2),
    "softshrink": ScalarFunction(softshrink, 1, 2),
    # what has corners
    "Abs": _one(magnitude),
    "abs": _one(magnitude),
    "sign": _one(sign),
    "Heaviside": ScalarFunction(heaviside, 1, 2),
    "heaviside": ScalarFunction(heaviside, 1, 2),
    "Max": _folded(larger),
    "max": _folded(larger),
    "Min": _folded(smaller),
    "min": _folded(smaller),
    "clamp": ScalarFunction(clamp, 3, 3),
    "clip": ScalarFunction(clamp, 3, 3),
}

_NAMES_WITHOUT_ROW = """
acos acosd acot acoth acsc acsch airyai airyaiprime airybi airybiprime arccos arccosh arcsin arcsinh
arctan arctan2 arctanh asec asech asin atan atan2 bernoulli besseli besselj besselk bessely beta betainc
betaln binomial catalan ceil ceiling Chi Ci cosint dawson digamma dilog ei Ei ellipe ellipk elliptic_e
elliptic_k erfcinv erfcx erfi erfinv expint factorial floor frac fresnelc fresnels gamma gammainc
gammaincc gammaln hankel1 hankel2 harmonic hyp0f1 hyp1f1 hyp2f1 hyper lambertw LambertW lgamma li Li
loggamma lowergamma meijerg mod Mod ndtri norm_ppf polygamma polylog psi remainder round Shi Si sici
sinint trigamma trunc uppergamma zeta
"""
WITHOUT_ROW = frozenset(_NAMES_WITHOUT_ROW.split())
"""Functions that mathematics knows and that cannot be written with the leaf table."""


def function(name: str) -> ScalarFunction | None:
    """What a name stands for, None for a name that means nothing; raises NoRowError for one without a row."""
    if name in WITHOUT_ROW:
        raise NoRowError(f"the function {name} is not in the table of functions")
    return TABLE.get(name)

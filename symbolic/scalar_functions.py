"""The scalar functions that people may write in a formula: each name with the formula that it stands for."""

from __future__ import annotations

from fractions import Fraction

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
from gradproof.symbolic.scalar_table import NoRowError, ScalarFunction, folded, one, two
from gradproof.symbolic.special_functions import SPECIAL_TABLE, acos, normal_cdf

HALF = Fraction(1, 2)


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


def clamp(x: Formula, low: Formula | None = None, high: Formula | None = None) -> Formula:
    """`x` between two ends, one of which may be left out."""
    above = x if low is None else larger(x, low)
    return above if high is None else smaller(above, high)


def split_at_zero(x: Formula, above: Formula, below: Formula) -> Formula:
    """One value for `x` above 0, another for the rest."""
    return choose(compare(">", x, exact(0)), above, below)


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


def tan(x: Formula) -> Formula:
    """The tangent."""
    return sin(x) / cos(x)


def asinh(x: Formula) -> Formula:
    """The inverse of sinh."""
    return log(x + sqrt(x * x + exact(1)))


def atanh(x: Formula) -> Formula:
    """The inverse of tanh, on (-1, 1)."""
    above, below = exact(1) + x, exact(1) - x
    return (log(above / below) / exact(2)).needing(above.value, ">").needing(below.value, ">")


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


def relative_entropy(x: Formula, y: Formula) -> Formula:
    """`x log(x/y)`, and 0 where x is 0 and y is positive."""
    return choose(compare("==", x, exact(0)), exact(0), x * log(x / y).needing(x.value, ">")).needing(
        y.value, ">"
    )


def boxcox(x: Formula, power: Formula) -> Formula:
    """`(x^p - 1)/p`, and `log(x)` where p is 0."""
    return choose(compare("==", power, exact(0)), log(x), (raise_to(x, power) - exact(1)) / power)


def threshold(x: Formula, at: Formula, value: Formula) -> Formula:
    """`x` above a threshold, else a value."""
    return choose(compare(">", x, at), x, value)


def squareplus(x: Formula, b: Formula | None = None) -> Formula:
    """`(x + sqrt(x^2 + b)) / 2`."""
    return (x + sqrt(x * x + (exact(4) if b is None else b))) / exact(2)


def huber(x: Formula, delta: Formula | None = None) -> Formula:
    """`x^2/2` near 0, `delta (|x| - delta/2)` away from it."""
    d = exact(1) if delta is None else delta
    far = d * (magnitude(x) - d / exact(2))
    return choose(compare("<=", magnitude(x), d), x * x / exact(2), far)


def smooth_l1(x: Formula, beta: Formula | None = None) -> Formula:
    """The Huber loss over its delta."""
    b = exact(1) if beta is None else beta
    return choose(compare("<", magnitude(x), b), x * x / (exact(2) * b), magnitude(x) - b / exact(2))


def floor(x: Formula) -> Formula:
    """The largest whole number that is not above x."""
    return apply("floor", x)


def ceiling(x: Formula) -> Formula:
    """The least whole number that is not below x."""
    return -floor(-x)


def nearest(x: Formula) -> Formula:
    """The nearest whole number, of two equally near ones the even one."""
    up = floor(x + exact(HALF))
    half = compare("==", x + exact(HALF), up)
    odd = compare("<", cos(PI * up), exact(0))
    return choose(half, choose(odd, up - exact(1), up), up)


def softplus(x: Formula, beta: Formula | None = None) -> Formula:
    """`log(1 + exp(beta x)) / beta`."""
    return apply("softplus", x) if beta is None else apply("softplus", beta * x) / beta


def swish(x: Formula, beta: Formula | None = None) -> Formula:
    """`x sigmoid(beta x)`."""
    return x * sigmoid(x if beta is None else beta * x)


def kl_div_loss(x: Formula, target: Formula) -> Formula:
    """`t (log(t) - x)` of a log-probability x and a target t, and 0 where t is 0."""
    return xlogy(target, target) - target * x


def between(x: Formula, end: Formula, weight: Formula) -> Formula:
    """`x + w (y - x)`."""
    return x + weight * (end - x)


def modulo(x: Formula, y: Formula) -> Formula:
    """`x - y floor(x/y)`, with the sign of y."""
    return x - y * floor(x / y)


def remainder(x: Formula, y: Formula) -> Formula:
    """`x - y trunc(x/y)`, with the sign of x."""
    ratio = x / y
    return x - y * choose(compare(">=", ratio, exact(0)), floor(ratio), ceiling(ratio))


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


_ONE, _TWO = exact(1), exact(2)
DEGREE = PI / exact(180)

_ROWS: dict[str, ScalarFunction] = {
    # powers, exponentials, logarithms
    "sqrt": one(sqrt),
    "cbrt": one(cbrt),
    "rsqrt": one(lambda x: x.raised(-HALF)),
    "square": one(lambda x: x * x),
    "reciprocal": one(lambda x: _ONE / x),
    "pow": two(raise_to),
    "hypot": two(hypot),
    "exp": one(exp),
    "exp2": one(lambda x: raise_to(_TWO, x)),
    "expm1": one(lambda x: exp(x) - _ONE),
    "log": ScalarFunction(logarithm, 1, 2, names="x base"),
    "log2": one(lambda x: log(x) / log(_TWO)),
    "log10": one(lambda x: log(x) / log(exact(10))),
    "logsubexp": two(lambda x, y: log(exp(x) - exp(y))),
    "log1p": one(lambda x: log(_ONE + x)),
    "logaddexp": two(lambda x, y: log(exp(x) + exp(y))),
    "logaddexp2": two(lambda x, y: log(raise_to(_TWO, x) + raise_to(_TWO, y)) / log(_TWO)),
    "lerp": ScalarFunction(between, 3, 3, names="x|input end weight"),
    "xlogy": two(xlogy),
    "xlog1py": two(lambda x, y: xlogy(x, _ONE + y)),
    "entr": one(lambda x: choose(compare("==", x, exact(0)), exact(0), -x * log(x))),
    "rel_entr": two(relative_entropy),
    "kl_div": two(lambda x, y: relative_entropy(x, y) - x + y),
    "kl_div_loss": two(kl_div_loss),
    "boxcox": two(boxcox),
    "exp10": one(lambda x: raise_to(exact(10), x)),
    "logsumexp": folded(lambda x, y: log(exp(x) + exp(y))),
    "log1mexp": one(lambda x: log(_ONE - exp(-x))),
    "logit": one(lambda x: log(x / (_ONE - x)).needing(x.value, ">").needing((_ONE - x).value, ">")),
    # circular and hyperbolic
    "sin": one(sin),
    "cos": one(cos),
    "tan": one(tan),
    "cot": one(lambda x: cos(x) / sin(x)),
    "sec": one(lambda x: _ONE / cos(x)),
    "csc": one(lambda x: _ONE / sin(x)),
    "sinc": one(sinc),
    "sincpi": one(lambda x: sinc(PI * x)),
    "sinh": one(sinh),
    "cosh": one(cosh),
    "tanh": one(tanh),
    "coth": one(lambda x: cosh(x) / sinh(x)),
    "sech": one(lambda x: _ONE / cosh(x)),
    "csch": one(lambda x: _ONE / sinh(x)),
    "asinh": one(asinh),
    "acosh": one(acosh),
    "atanh": one(atanh),
    "acoth": one(lambda x: atanh(_ONE / x)),
    "asech": one(lambda x: acosh(_ONE / x)),
    "acsch": one(lambda x: asinh(_ONE / x)),
    "deg2rad": one(lambda x: x * DEGREE),
    "rad2deg": one(lambda x: x / DEGREE),
    "sinpi": one(lambda x: sin(PI * x)),
    "cospi": one(lambda x: cos(PI * x)),
    "tanpi": one(lambda x: tan(PI * x)),
    "sind": one(lambda x: sin(x * DEGREE)),
    "cosd": one(lambda x: cos(x * DEGREE)),
    "tand": one(lambda x: tan(x * DEGREE)),
    "asind": one(lambda x: apply("asin", x) / DEGREE),
    "acosd": one(lambda x: acos(x) / DEGREE),
    "atand": one(lambda x: apply("atan", x) / DEGREE),
    # error functions
    "erf": one(erf),
    # activations
    "sigmoid": one(sigmoid),
    "logsigmoid": one(lambda x: -apply("softplus", -x)),
    "softplus": ScalarFunction(softplus, 1, 2, names="x|input beta"),
    "relu": one(relu),
    "relu6": one(lambda x: clamp(x, exact(0), exact(6))),
    "leaky_relu": ScalarFunction(leaky_relu, 1, 2, names="x|input negative_slope|slope|alpha"),
    "elu": ScalarFunction(elu, 1, 2, names="x|input alpha"),
    "celu": ScalarFunction(celu, 1, 2, names="x|input alpha"),
    "selu": one(selu),
    "silu": ScalarFunction(swish, 1, 2, names="x|input beta"),
    "gelu": one(lambda x: x * normal_cdf(x)),
    "gelu_tanh": one(gelu_tanh),
    "mish": one(lambda x: x * tanh(apply("softplus", x))),
    "softsign": one(lambda x: x / (_ONE + magnitude(x))),
    "tanhshrink": one(lambda x: x - tanh(x)),
    "hardtanh": one(lambda x: clamp(x, exact(-1), _ONE)),
    "hardsigmoid": one(lambda x: clamp(x + exact(3), exact(0), exact(6)) / exact(6)),
    "hardswish": one(lambda x: x * clamp(x + exact(3), exact(0), exact(6)) / exact(6)),
    "hardshrink": ScalarFunction(hardshrink, 1, 2, names="x|input lambd"),
    "softshrink": ScalarFunction(softshrink, 1, 2, names="x|input lambd"),
    # what has corners
    "abs": one(magnitude),
    "sign": one(sign),
    "heaviside": ScalarFunction(heaviside, 1, 2, names="x|input values"),
    "max": folded(larger),
    "min": folded(smaller),
    "clamp": ScalarFunction(clamp, 2, 3, names="x|input|a min|a_min|low max|a_max|high"),
    "prelu": ScalarFunction(leaky_relu, 2, 2, names="x|input weight|alpha"),
    "threshold": ScalarFunction(threshold, 3, 3, names="x|input threshold value"),
    "squareplus": ScalarFunction(squareplus, 1, 2, names="x b"),
    "logcosh": one(lambda x: log(cosh(x))),
    "huber": ScalarFunction(huber, 1, 2, names="x delta"),
    "smooth_l1": ScalarFunction(smooth_l1, 1, 2, names="x beta"),
    "quick_gelu": one(lambda x: x * sigmoid(exact("1.702") * x)),
    "where": ScalarFunction(choose, 3, 3, chooses=True, names="condition x|input y|other"),
    # what jumps
    "floor": one(floor),
    "ceil": one(ceiling),
    "trunc": one(lambda x: choose(compare(">=", x, exact(0)), floor(x), ceiling(x))),
    "frac": one(lambda x: x - floor(x)),
    "round": one(nearest),
    "mod": two(modulo),
    "floor_divide": two(lambda x, y: floor(x / y)),
    "fmod": two(remainder),
    **SPECIAL_TABLE,
}
_ALIASES = """
log: ln; pow: power; exp2: pow2; reciprocal: inv; square: abs2
sin: Sin; asin: arcsin; acos: arccos; atan: arctan; atan2: arctan2; acot: arccot; asec: arcsec; acsc: arccsc
asinh: arcsinh; acosh: arccosh; atanh: arctanh; acoth: arccoth; asech: arcsech; acsch: arccsch
normcdf: ndtr norm_cdf Phi; normpdf: norm_pdf; norm_ppf: ndtri probit; log_ndtr: norm_logcdf lognormcdf
sigmoid: expit logistic; logsigmoid: log_sigmoid; silu: swish; hardswish: hard_swish
hardtanh: hard_tanh; hardsigmoid: hard_sigmoid; hardshrink: hard_shrink; softshrink: soft_shrink
softsign: soft_sign; quick_gelu: quickgelu
abs: Abs absolute fabs; sign: sgn; heaviside: Heaviside; max: Max maximum fmax; min: Min minimum fmin
clamp: clip; ceil: ceiling; round: rint; mod: Mod remainder; where: select ITE; huber: huber_loss
lgamma: gammaln logabsgamma; digamma: psi0; rgamma: invgamma; rising: poch rf RisingFactorial
binomial: binom; beta: Beta; betaln: lbeta logbeta; multigammaln: mvlgamma
gammainc: igamma; gammaincc: igammac; Ei: expi ei; E1: exp1; Si: sinint; Ci: cosint; Shi: shi; Chi: chi
dawson: dawsn; elliptic_k: ellipk; elliptic_e: ellipe; elliptic_f: ellipkinc; zeta: hurwitz_zeta
besselj: jv; bessely: yv; besseli: iv; besselk: kv
j0: bessel_j0 besselj0; j1: bessel_j1 besselj1; y0: bessel_y0 bessely0; y1: bessel_y1 bessely1
i0: modified_bessel_i0; i1: modified_bessel_i1; k0: modified_bessel_k0; k1: modified_bessel_k1
i0e: bessel_i0e; i1e: bessel_i1e; k0e: scaled_modified_bessel_k0; k1e: scaled_modified_bessel_k1
airyai: airy_ai; airybi: airy_bi; polylog: Li; lambertw: LambertW; cbrt: real_cbrt
"""


def _with_aliases(rows: dict[str, ScalarFunction]) -> dict[str, ScalarFunction]:
    made = dict(rows)
    for entry in _ALIASES.replace("\n", ";").split(";"):
        name, _, others = entry.partition(":")
        made |= {other: rows[name.strip()] for other in others.split()}
    return made


TABLE = _with_aliases(_ROWS)
ALSO_VARIABLES = frozenset(
    [
        "gamma",
        "beta",
        "zeta",
        "psi",
        "chi",
        "mod",
        "Phi",
        "Beta",
        "j0",
        "j1",
        "y0",
        "y1",
        "i0",
        "i1",
        "k0",
        "k1",
        "E1",
        "li",
        "where",
        "threshold",
        "round",
        "inv",
    ]
)
"""Names that are variables where no parenthesis follows."""

_NAMES_WITHOUT_ROW = """
bernoulli catalan dirichlet_eta hankel1 hankel2 jn jv_prime kelvin legendre mathieu meijerg
struve theta wright
"""
WITHOUT_ROW = frozenset(_NAMES_WITHOUT_ROW.split()) - {*TABLE}
"""Functions that mathematics knows and that the table does not."""


def function(name: str) -> ScalarFunction | None:
    """What a name stands for, None for a name that means nothing; raises NoRowError for one without a row."""
    if name in WITHOUT_ROW:
        raise NoRowError(f"the function {name} is not in the table of functions")
    return TABLE.get(name)

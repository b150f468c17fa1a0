"""Functions of each entry."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.operators.table import Row, Topic, integers, normal, positive, uniform


def pointwise() -> list[Row]:
    """Rows."""
    t = Topic("pointwise")
    t("neg", torch.neg, normal(3))
    t("add", torch.add, normal(2, 3), normal(3))
    t("add alpha", lambda x, y: torch.add(x, y, alpha=3), normal(2, 3), normal(3))
    t("sub", torch.sub, normal(2, 3), normal(2, 1))
    t("rsub", lambda x, y: torch.rsub(x, y, alpha=2), normal(3), normal(3))
    t("mul", torch.mul, normal(2, 3), normal(3))
    t("div", torch.div, normal(2, 3), positive(3))
    t("div by a number", lambda x: 3 / x + x / 3, positive(3))
    t("reciprocal", torch.reciprocal, positive(3))
    t("square", torch.square, normal(3))
    t("sqrt", torch.sqrt, positive(3))
    t("rsqrt", torch.rsqrt, positive(3))
    t("pow 3", lambda x: x**3, normal(3))
    t("pow -2", lambda x: x**-2, positive(3))
    t("pow 5/2", lambda x: x**2.5, positive(3))
    t("pow 1/3", lambda x: torch.pow(x, 1 / 3), positive(3))
    t("pow tensor", torch.pow, positive(3), normal(3))
    t("pow of a number", lambda x: torch.pow(2.0, x), normal(3))
    t("float_power", lambda x: torch.float_power(x, 2.5), positive(3))
    t("exp", torch.exp, normal(3))
    t("exp2", torch.exp2, normal(3))
    t("expm1", torch.expm1, normal(3))
    t("log", torch.log, positive(3))
    t("log2", torch.log2, positive(3))
    t("log10", torch.log10, positive(3), orders=1, known="a constant that is not correctly rounded")
    t("log1p", torch.log1p, positive(3))
    t("logit", torch.logit, uniform(3))
    t("logit eps", lambda x: torch.logit(x, eps=0.25), uniform(5))
    t("sigmoid", torch.sigmoid, normal(3))
    t("tanh", torch.tanh, normal(3))
    t("sin", torch.sin, normal(3))
    t("cos", torch.cos, normal(3))
    t("tan", torch.tan, uniform(3))
    t("asin", torch.asin, uniform(3))
    t("acos", torch.acos, uniform(3))
    t("atan", torch.atan, normal(3))
    t("atan2", torch.atan2, normal(4), normal(4))
    t("sinh", torch.sinh, normal(3))
    t("cosh", torch.cosh, normal(3))
    t("asinh", torch.asinh, normal(3))
    t("acosh", torch.acosh, positive(3) + 1)
    t("atanh", torch.atanh, uniform(3))
    t("sinc", torch.sinc, normal(3))
    t("erf", torch.erf, normal(3))
    t("erfc", torch.erfc, normal(3))
    t("erfinv", torch.erfinv, uniform(3), orders=1)
    t("erfcx", torch.special.erfcx, normal(3))
    t("ndtr", torch.special.ndtr, normal(3))
    t(
        "log_ndtr",
        torch.special.log_ndtr,
        normal(3),
        orders=1,
    )
    t("ndtri", torch.special.ndtri, uniform(3), orders=1)
    t("entr", torch.special.entr, uniform(3))
    t("lgamma", torch.lgamma, positive(3))
    t("digamma", torch.digamma, positive(3))
    t("polygamma", lambda x: torch.polygamma(1, x), positive(3))
    t("mvlgamma", lambda x: torch.mvlgamma(x, 2), positive(3))
    t("i0", torch.i0, normal(3))
    t("i0e", torch.special.i0e, normal(3))
    t("i1", torch.special.i1, normal(3))
    t("i1e", torch.special.i1e, normal(3))
    t("hypot", torch.hypot, normal(3), normal(3))
    t("xlogy", torch.xlogy, positive(3), positive(3))
    t("xlog1py", torch.special.xlog1py, positive(3), positive(3))
    t("logaddexp", torch.logaddexp, normal(3), normal(3))
    t("logaddexp2", torch.logaddexp2, normal(3), normal(3))
    t(
        "ldexp",
        torch.ldexp,
        normal(3),
        integers(1, -2, 3),
        orders=1,
        known="a gradient of 0 where the exponent is negative",
    )
    t("addcmul", lambda x, y, z: torch.addcmul(x, y, z, value=2), normal(3), normal(3), normal(3))
    t("addcdiv", lambda x, y, z: torch.addcdiv(x, y, z, value=2), normal(3), normal(3), positive(3))
    t("lerp", torch.lerp, normal(3), normal(3), normal(3))
    t("lerp by a number", lambda x, y: torch.lerp(x, y, 0.25), normal(3), normal(3))
    t("deg2rad", torch.deg2rad, normal(3))
    return t.rows


def activations() -> list[Row]:
    """Rows."""
    t = Topic("activations")
    t("relu", F.relu, normal(5))
    t("relu6", F.relu6, normal(6) * 6)
    t("leaky_relu", lambda x: F.leaky_relu(x, 0.25), normal(5))
    t("prelu", F.prelu, normal(2, 3), normal(3))
    t("prelu with one slope", F.prelu, normal(2, 3), normal(1))
    t("rrelu", lambda x: F.rrelu(x, training=False), normal(5))
    t("elu", lambda x: F.elu(x, 0.5), normal(5))
    t("elu of its result", lambda x: F.elu(x * 1, inplace=True), normal(5))
    t("celu", lambda x: F.celu(x, 0.5), normal(5))
    t("selu", F.selu, normal(5))
    t("gelu", F.gelu, normal(3))
    t("gelu tanh", lambda x: F.gelu(x, approximate="tanh"), normal(3))
    t("silu", F.silu, normal(3))
    t("mish", F.mish, normal(3))
    t("softplus", lambda x: F.softplus(x, 2, 20), normal(3))
    t("logsigmoid", F.logsigmoid, normal(5))
    t("softsign", F.softsign, normal(5))
    t("tanhshrink", F.tanhshrink, normal(3))
    t("softshrink", lambda x: F.softshrink(x, 0.25), normal(8))
    t("hardshrink", lambda x: F.hardshrink(x, 0.25), normal(8))
    t("hardtanh", F.hardtanh, normal(8))
    t("hardsigmoid", F.hardsigmoid, normal(8) * 3, orders=1)
    t("hardswish", F.hardswish, normal(8) * 3)
    t("threshold", lambda x: F.threshold(x, 0.25, 7), normal(6))
    t("glu", F.glu, normal(2, 4))
    t("softmax", lambda x: F.softmax(x, -1), normal(2, 3))
    t("log_softmax", lambda x: F.log_softmax(x, 0), normal(3, 2))
    t("softmin", lambda x: F.softmin(x, -1), normal(2, 3))
    t(
        "masked softmax",
        lambda x: torch.softmax(x.masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf), -1),
        normal(3, 3),
    )
    return t.rows


def pieces() -> list[Row]:
    """Rows."""
    t = Topic("pieces")
    t("abs", torch.abs, normal(5))
    t("sign", lambda x: torch.sign(x) * x, normal(5))
    t("copysign", torch.copysign, normal(5), normal(5))
    t("maximum", torch.maximum, normal(5), normal(5))
    t("minimum", torch.minimum, normal(5), normal(5))
    t("fmax", torch.fmax, normal(5), normal(5))
    t("fmin", torch.fmin, normal(5), normal(5))
    t("clamp", lambda x: torch.clamp(x, -0.5, 0.5), normal(8))
    t("clamp by tensors", torch.clamp, normal(5), -positive(5), positive(5))
    t("clamp_min", lambda x: torch.clamp_min(x, 0.25), normal(5))
    t("clamp_max", lambda x: torch.clamp(x, max=0.25), normal(5))
    t("where", lambda x, y: torch.where(x > 0, x * y, y), normal(5), normal(5))
    t("masked_fill", lambda x: x.masked_fill(x < 0, 2.0), normal(5))
    t("floor", lambda x: x * torch.floor(x), normal(5))
    t("round", lambda x: x * torch.round(x), normal(5))
    t("frac", torch.frac, normal(5))
    t("fmod", lambda x: torch.fmod(x, 0.5), normal(5))
    t("remainder", torch.remainder, normal(5), positive(5))
    t("floor_divide", lambda x: x * torch.div(x, 0.25, rounding_mode="floor"), normal(5))
    t("nan_to_num", torch.nan_to_num, normal(5))
    t("dist of signs", lambda x, y: (x > y).to(x.dtype) * x, normal(5), normal(5))
    return t.rows

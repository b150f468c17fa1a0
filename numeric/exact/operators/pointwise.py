"""Operators that act on each entry by itself."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.branches import order
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.pieces import choose, compare
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten
prims: Any = torch.ops.prims

ROUNDED_SOFTPLUS = 15
"""From this threshold on `log(1 + exp(x))` is x in float32."""


@handles(aten.add, prims.add)
def add(run: Execution, a: Any, b: Any, *, alpha: Any = 1) -> Value:
    other = run.value_of(b)
    return run.value_of(a) + (other if alpha == 1 else other * run.value_of(alpha))


@handles(aten.sub, prims.sub)
def sub(run: Execution, a: Any, b: Any, *, alpha: Any = 1) -> Value:
    other = run.value_of(b)
    return run.value_of(a) - (other if alpha == 1 else other * run.value_of(alpha))


@handles(aten.rsub)
def rsub(run: Execution, a: Any, b: Any, alpha: Any = 1) -> Value:
    return sub(run, b, a, alpha=alpha)


@handles(aten.mul, prims.mul)
def mul(run: Execution, a: Any, b: Any) -> Value:
    return run.value_of(a) * run.value_of(b)


@handles(aten.div.Tensor, aten.div.Scalar, prims.div)
def div(run: Execution, a: Any, b: Any) -> Value:
    return run.value_of(a) / _divisor(run, b)


def _divisor(run: Execution, b: Any) -> Value:
    value = run.value_of(b)
    return value if value.constant is not None else f.finite_operand(value, "the reciprocal")


@handles(aten.neg, prims.neg)
def neg(run: Execution, a: Value) -> Value:
    return -a


@handles(aten.reciprocal, prims.reciprocal)
def reciprocal(run: Execution, a: Value) -> Value:
    return f.finite_operand(a, "the reciprocal").reciprocal()


@handles(aten.square)
def square(run: Execution, a: Value) -> Value:
    return a * a


@handles(aten.lerp.Scalar, aten.lerp.Tensor)
def lerp(run: Execution, a: Value, b: Value, weight: Any) -> Value:
    return a + run.value_of(weight) * (b - a)


@handles(aten.addcmul)
def addcmul(run: Execution, a: Value, b: Value, c: Value, *, value: Any = 1) -> Value:
    return a + run.value_of(value) * b * c


@handles(aten.addcdiv)
def addcdiv(run: Execution, a: Value, b: Value, c: Value, *, value: Any = 1) -> Value:
    return a + run.value_of(value) * b / c


# Functions of the tower


def _register(function: Callable[[Value], Value], *operators: Any) -> None:
    @handles(*operators)
    def answer(run: Execution, a: Any) -> Value:
        return function(run.value_of(a))


def _finite(what: str, function: Callable[[Value], Value]) -> Callable[[Value], Value]:
    return lambda x: function(f.finite_operand(x, what))


_register(f.exp, aten.exp, prims.exp)
_register(lambda x: f.exp(x).plus(-1), aten.expm1, prims.expm1)
_register(lambda x: f.exp(x * f.log(x.numbers.scalar(2))), aten.exp2, prims.exp2)
_register(f.log, aten.log, prims.log)
_register(lambda x: f.log(x.plus(1)), aten.log1p, prims.log1p)
_register(lambda x: f.log(x) / f.log(x.numbers.scalar(2)), aten.log2, prims.log2)
_register(lambda x: f.log(x) / f.log(x.numbers.scalar(10)), aten.log10, prims.log10)
_register(_finite("the root", f.sqrt), aten.sqrt, prims.sqrt)
_register(_finite("the root", lambda x: f.power(x, -f.HALF)), aten.rsqrt, prims.rsqrt)
_register(_finite("sigmoid", f.sigmoid), aten.sigmoid)
_register(_finite("tanh", f.tanh), aten.tanh, prims.tanh)
_register(_finite("sin", lambda x: f.sin_cos(x)[0]), aten.sin, prims.sin)
_register(_finite("cos", lambda x: f.sin_cos(x)[1]), aten.cos, prims.cos)
_register(_finite("sinh", lambda x: f.sinh_cosh(x)[0]), aten.sinh, prims.sinh)
_register(_finite("cosh", lambda x: f.sinh_cosh(x)[1]), aten.cosh, prims.cosh)
_register(_finite("asinh", f.asinh), aten.asinh, prims.asinh)
_register(_finite("acosh", lambda x: f.apply(f.ACOSH, x)), aten.acosh, prims.acosh)
_register(_finite("atanh", lambda x: f.apply(f.ATANH, x)), aten.atanh, prims.atanh)
_register(_finite("atan", lambda x: f.apply(f.ATAN, x)), aten.atan, prims.atan)
_register(_finite("asin", lambda x: f.apply(f.ASIN, x)), aten.asin, prims.asin)
_register(_finite("erf", f.erf), aten.erf, prims.erf)
_register(_finite("erfc", lambda x: (-f.erf(x)).plus(1)), aten.erfc, prims.erfc)
_register(_finite("erfinv", lambda x: f.apply(f.ERFINV, x)), aten.erfinv)
_register(_finite("lgamma", lambda x: f.apply(f.LGAMMA, x)), aten.lgamma, prims.lgamma)
_register(_finite("digamma", lambda x: f.polygamma(0, x)), aten.digamma, prims.digamma)


@handles(aten.polygamma.default)
def polygamma(run: Execution, order: int, a: Value) -> Value:
    return f.polygamma(order, f.finite_operand(a, "polygamma"))


@handles(aten.acos, prims.acos)
def acos(run: Execution, a: Value) -> Value:
    root = f.sqrt_pi(a)
    return root * root.times(f.HALF) - f.apply(f.ASIN, f.finite_operand(a, "acos"))


@handles(aten.tan, prims.tan)
def tan(run: Execution, a: Value) -> Value:
    sine, cosine = f.sin_cos(f.finite_operand(a, "tan"))
    return sine / cosine


@handles(aten.logaddexp.default)
def logaddexp(run: Execution, a: Value, b: Value) -> Value:
    return f.log(f.exp(a) + f.exp(b))


@handles(aten.softplus.default)
def softplus(run: Execution, a: Value, beta: Any = 1, threshold: Any = 20) -> Value:
    """`log(1 + exp(beta x)) / beta`; that PyTorch returns x above a high threshold is rounding."""
    scale = run.value_of(beta)
    scaled = a * scale
    smooth = f.log(f.exp(scaled).plus(1)) / scale
    if threshold >= ROUNDED_SOFTPLUS:
        run.numbers.assumes["softplus above its threshold is x by rounding"] = None
        return smooth
    return choose(compare(run, scaled, threshold, "softplus") > 0, a, smooth)


@handles(aten.pow, prims.pow)
def pow_(run: Execution, base: Any, exponent: Any) -> Value:
    """`x^c` for rational c, `x^y` as `exp(y log x)` otherwise."""
    x = run.value_of(base)
    if isinstance(exponent, float):
        return f.power(x, run.constants.exponent(exponent))
    y = run.value_of(exponent)
    if y.constant is not None:
        return _powers(x, y.constant)
    steps = run.numbers.constant(_steps_from_known(run, y))
    powers = f.exp((y - steps) * f.log(x)) * _powers(x, steps.constant)
    return _powers_of_zero(run, x, y, powers)


def _powers_of_zero(run: Execution, x: Value, y: Value, powers: Value) -> Value:
    """`0^y` is 1 where y is 0, and 0 with the derivative of `x^c` where y is a number c from 1 on.

    Elsewhere `exp(y log x)` says what there is to say: no derivative by x, or by y, or no value.
    """
    if not np.any(x.reals == 0):
        return powers
    zero = np.broadcast_to(order(x, run.value_of(0)) == 0, powers.shape)
    whole = np.full(powers.shape, Fraction(-1), dtype=object)
    for exponent in (0, 1, 2, 3):
        whole[np.broadcast_to(order(y, run.value_of(exponent)) == 0, powers.shape)] = Fraction(exponent)
    known = zero & (whole >= 0)
    if not np.any(known):
        return powers
    whole[~known] = Fraction(1)
    return choose(known, _powers(x, whole), powers)


def _powers(x: Value, exponents: Any) -> Value:
    """`x^c`, for rational numbers c of their own for each entry."""
    shape = np.broadcast_shapes(x.shape, exponents.shape)
    exponents = np.broadcast_to(exponents, shape)
    result = x.numbers.zeros(shape)
    for exact in set(exponents.flat):
        result = choose(np.asarray(exponents == exact), f.power(x, exact).expand(shape), result)
    return result


def _steps_from_known(run: Execution, y: Value) -> Any:
    """How far each exponent is from one that was met before: `x^(y - 1)` is `x^y / x` only if both are known
    to be powers with neighbouring exponents.
    """
    steps = np.full(y.shape, Fraction(0), dtype=object)
    residues, dual = run.numbers.residues, y.formal
    if residues is None or dual is None or dual.levels == 0:
        return steps
    for position in np.ndindex(y.shape):
        steps[position] = Fraction(residues.step_from_known(int(dual.primal[(-1, *position)])))
    return steps

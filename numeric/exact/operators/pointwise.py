"""Operators that act on each entry by itself."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import DATA_HANDLERS, Execution, handles
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import UndecidableError, Value

aten: Any = torch.ops.aten
prims: Any = torch.ops.prims


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


@handles(aten.div.Tensor, aten.div.Scalar, prims.div, aten.true_divide)
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
    """`log(1 + exp(beta x)) / beta`; that PyTorch returns x above a threshold is rounding, not another
    function.
    """
    scale = run.value_of(beta)
    run.numbers.assumes["softplus above its threshold is x by rounding"] = None
    return f.log(f.exp(a * scale).plus(1)) / scale


@handles(aten.softplus_backward.default)
def softplus_backward(run: Execution, grad: Value, a: Value, beta: Any, threshold: Any) -> Value:
    run.numbers.assumes["softplus above its threshold is x by rounding"] = None
    return grad * f.sigmoid(a * run.value_of(beta))


@handles(aten.pow, prims.pow)
def pow_(run: Execution, base: Any, exponent: Any) -> Value:
    """`x^c` for rational c, `x^y` as `exp(y log x)` otherwise."""
    x, y = run.value_of(base), run.value_of(exponent)
    if y.constant is not None and y.constant.size and all(c == y.constant.flat[0] for c in y.constant.flat):
        power = f.power(x, y.constant.flat[0])
        return power.expand(np.broadcast_shapes(x.shape, y.shape))
    return f.exp(y * f.log(x))


# Pieces: chosen by comparisons


def choose(condition: Array, a: Value, b: Value) -> Value:
    """`a` where the condition holds, `b` elsewhere."""
    shape = np.broadcast_shapes(condition.shape, a.shape, b.shape)
    condition = np.broadcast_to(condition, shape)
    if condition.all():
        return a.expand(shape)
    if not condition.any():
        return b.expand(shape)
    count = int(np.prod(shape, dtype=int))
    positions = np.arange(count).reshape(shape) + np.where(condition, 0, count)
    return gather([a.expand(shape), b.expand(shape)], positions)


@handles(aten.where.self, aten.where.ScalarSelf, aten.where.ScalarOther, aten.where.Scalar, prims.where)
def where(run: Execution, condition: torch.Tensor, a: Any, b: Any) -> Value:
    return choose(condition.numpy().astype(bool), run.value_of(a), run.value_of(b))


@handles(aten.masked_fill)
def masked_fill(run: Execution, a: Value, mask: torch.Tensor, fill: Any) -> Value:
    return choose(mask.numpy().astype(bool), run.value_of(fill), run.value_of(a))


def compare(run: Execution, a: Any, b: Any, what: str, equality: bool = False) -> Array:
    return run.branches.compare(run.value_of(a), run.value_of(b), what, equality)


def _register_comparison(
    symbol: str, test: Callable[[Array], Array], equality: bool, *operators: Any
) -> None:
    @handles(*operators)
    def answer(run: Execution, a: Any, b: Any) -> torch.Tensor:
        sides = compare(run, a, b, f"the comparison {symbol}", equality)
        return torch.from_numpy(np.asarray(test(sides)))


_register_comparison(">", lambda s: s > 0, False, aten.gt, prims.gt)
_register_comparison("<", lambda s: s < 0, False, aten.lt, prims.lt)
_register_comparison(">=", lambda s: s >= 0, False, aten.ge, prims.ge)
_register_comparison("<=", lambda s: s <= 0, False, aten.le, prims.le)
_register_comparison("==", lambda s: s == 0, True, aten.eq, prims.eq)
_register_comparison("!=", lambda s: s != 0, True, aten.ne, prims.ne)


@handles(aten.relu)
def relu(run: Execution, a: Value) -> Value:
    zero = run.value_of(0)
    return choose(compare(run, a, zero, "relu") > 0, a, zero)


@handles(aten.threshold.default)
def threshold(run: Execution, a: Value, bound: Any, fill: Any) -> Value:
    return choose(compare(run, a, bound, "threshold") > 0, a, run.value_of(fill))


@handles(aten.threshold_backward.default)
def threshold_backward(run: Execution, grad: Value, a: Value, bound: Any) -> Value:
    return choose(compare(run, a, bound, "threshold_backward") > 0, grad, run.value_of(0))


@handles(aten.abs, prims.abs)
def abs_(run: Execution, a: Value) -> Value:
    return choose(compare(run, a, 0, "abs") >= 0, a, -a)


@handles(aten.sign, aten.sgn, prims.sign)
def sign(run: Execution, a: Value) -> Value:
    sides = compare(run, a, 0, "sign")
    signs = np.empty(sides.shape, dtype=object)
    for position in np.ndindex(sides.shape):
        signs[position] = Fraction(int(sides[position]))
    return run.numbers.constant(signs)


@handles(aten.maximum, aten.fmax, prims.maximum, prims.fmax)
def maximum(run: Execution, a: Value, b: Value) -> Value:
    return choose(compare(run, a, b, "maximum") >= 0, run.value_of(a), run.value_of(b))


@handles(aten.minimum, aten.fmin, prims.minimum, prims.fmin)
def minimum(run: Execution, a: Value, b: Value) -> Value:
    return choose(compare(run, a, b, "minimum") <= 0, run.value_of(a), run.value_of(b))


@handles(aten.clamp, aten.clamp_min, aten.clamp_max)
def clamp(run: Execution, a: Value, low: Any = None, high: Any = None, **named: Any) -> Value:
    low, high = named.get("min", low), named.get("max", high)
    if low is not None:
        a = choose(compare(run, a, low, "clamp") >= 0, a, run.value_of(low))
    if high is not None:
        a = choose(compare(run, a, high, "clamp") <= 0, a, run.value_of(high))
    return a


@handles(aten.clamp_max)
def clamp_max(run: Execution, a: Value, high: Any) -> Value:
    return clamp(run, a, None, high)


def _register_steps(name: str, step: Callable[[float], float], *operators: Any) -> None:
    @handles(*operators)
    def answer(run: Execution, a: Value, decimals: int = 0) -> Value:
        if decimals:
            raise UndecidableError(f"{name} to {decimals} decimals")
        return steps(run, a, name, step)


def steps(run: Execution, a: Value, name: str, step: Callable[[float], float]) -> Value:
    """A function that is constant in pieces: integers told by the real numbers, each piece a side of its
    own.
    """
    reals = np.vectorize(float, otypes=[np.float64])(a.reals)
    distance = np.abs(reals * 2 - np.round(reals * 2))
    run.branches.record(name, {"one piece after another"}, {"one piece after another", "every piece"})
    if np.any(distance < 1e-9):
        run.numbers.assumes[f"{name} at the edge of a piece"] = None
    fractions = np.empty(reals.shape, dtype=object)
    for position in np.ndindex(reals.shape):
        fractions[position] = Fraction(step(float(reals[position])))
    return run.numbers.constant(fractions)


_register_steps("floor", np.floor, aten.floor, prims.floor)
_register_steps("ceil", np.ceil, aten.ceil, prims.ceil)
_register_steps("round", np.round, aten.round.default, prims.round)
_register_steps("trunc", np.trunc, aten.trunc, prims.trunc)


# Conversions


@handles(aten._to_copy, prims.convert_element_type, aten.to)
def to_copy(run: Execution, a: Any, *arguments: Any, dtype: torch.dtype | None = None, **named: Any) -> Any:
    """Another precision changes no exact number; integers are told from the real numbers."""
    dtype = next((x for x in arguments if isinstance(x, torch.dtype)), dtype)
    if isinstance(a, Value) and (dtype is None or dtype.is_floating_point):
        return a
    if isinstance(a, Value) and dtype == torch.bool:
        return torch.from_numpy(compare(run, a, 0, "conversion to bool", True) != 0)
    if isinstance(a, Value) and dtype is not None:
        whole = steps(run, a, "conversion to integers", np.trunc)
        return torch.tensor(np.vectorize(int, otypes=[np.int64])(whole.constant).tolist(), dtype=dtype)
    if dtype is not None and dtype.is_floating_point:
        return run.value_of(a)
    tensor: Any = a
    return tensor.to(dtype) if dtype is not None else tensor.clone()


DATA_HANDLERS.add(to_copy)


@handles(aten.isnan, aten.isinf, aten.isfinite, aten.isneginf, aten.isposinf)
def is_special(run: Execution, a: Value) -> torch.Tensor:
    from gradproof.numeric.exact.specials import finite_entries

    if np.all(finite_entries(a)):
        return torch.zeros(a.shape, dtype=torch.bool)
    raise UndecidableError("a test for infinities where there are some")


@handles(aten.logical_not, aten.logical_and, aten.logical_or, aten.bitwise_not)
def logical(run: Execution, *operands: Any) -> Any:
    raise UndecidableError("a logical operator on floating-point numbers")

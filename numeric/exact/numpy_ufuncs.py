"""What the ufuncs of NumPy and `scipy.special` do to exact numbers: mostly what an operator of PyTorch
does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.branches import both_finite
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.handlers import HANDLERS
from gradproof.numeric.exact.numpy_arrays import Exact, ExactArray
from gradproof.numeric.exact.numpy_execution import NumpyExecution
from gradproof.numeric.exact.numpy_tables import FINDERS, ROWS, Row, row
from gradproof.numeric.exact.operators import pieces, pointwise
from gradproof.numeric.exact.operators.products import matmul
from gradproof.numeric.exact.operators.reductions import along, axes_of, stack
from gradproof.numeric.exact.operators.scatters import add_at
from gradproof.numeric.exact.storages import without_constant
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten
Run = NumpyExecution

OPERATORS: dict[Any, Any] = {
    np.add: aten.add, np.subtract: aten.sub, np.multiply: aten.mul, np.divide: aten.div.Tensor,
    np.negative: aten.neg,
    np.reciprocal: aten.reciprocal, np.square: aten.square, np.exp: aten.exp, np.expm1: aten.expm1,
    np.exp2: aten.exp2,
    np.log: aten.log, np.log1p: aten.log1p, np.log2: aten.log2, np.log10: aten.log10, np.sqrt: aten.sqrt,
    np.sin: aten.sin, np.cos: aten.cos, np.tan: aten.tan, np.sinh: aten.sinh, np.cosh: aten.cosh,
    np.tanh: aten.tanh,
    np.arcsin: aten.asin, np.arccos: aten.acos, np.arctan: aten.atan, np.arcsinh: aten.asinh,
    np.arccosh: aten.acosh,
    np.arctanh: aten.atanh, np.logaddexp: aten.logaddexp.default, np.maximum: aten.maximum,
    np.minimum: aten.minimum,
    np.floor: aten.floor, np.ceil: aten.ceil, np.rint: aten.round, np.trunc: aten.trunc, np.hypot: aten.hypot,
    np.fmod: aten.fmod, np.remainder: aten.remainder, np.floor_divide: aten.floor_divide,
    np.copysign: aten.copysign, np.arctan2: aten.atan2,
    np.fmax: aten.maximum, np.fmin: aten.minimum, np.absolute: aten.abs, np.fabs: aten.abs,
}  # fmt: skip
"""The operator of PyTorch that does the same."""

SCIPY_OPERATORS: dict[str, Any] = {
    "logit": aten.logit, "log_ndtr": aten.special_log_ndtr, "ndtri": aten.special_ndtri,
    "erfcx": aten.special_erfcx,
    "i0": aten.i0, "i1": aten.special_i1, "i0e": aten.special_i0e, "i1e": aten.special_i1e,
    "erf": aten.erf, "erfc": aten.erfc, "erfinv": aten.erfinv, "expit": aten.sigmoid, "gammaln": aten.lgamma,
    "digamma": aten.digamma, "psi": aten.digamma, "expm1": aten.expm1, "log1p": aten.log1p, "exp2": aten.exp2,
}  # fmt: skip


def by_operator(key: Any) -> Row:
    """The row of an operator, for operands of any kind."""
    handler = HANDLERS[key]
    return lambda run, *operands, **rest: handler(run, *map(run.value_of, operands))  # pyright: ignore[reportArgumentType]


for _ufunc, _operator in OPERATORS.items():
    ROWS[_ufunc] = by_operator(_operator)


@row(np.positive, np.conjugate)
def positive(run: Run, a: Any, **rest: Any) -> Value:
    return run.value_of(a)


@row(np.power, np.float_power)
def power(run: Run, base: Any, exponent: Any, **rest: Any) -> Value:
    plain = isinstance(exponent, float) and not isinstance(exponent, Exact)
    given = float(exponent) if plain else run.value_of(exponent)
    return pointwise.pow_(run, run.value_of(base), given)  # pyright: ignore[reportArgumentType]


@row(np.cbrt)
def cbrt(run: Run, a: Any, **rest: Any) -> Value:
    x = run.value_of(a)
    sides = pieces.compare(run, x, 0, "cbrt")  # pyright: ignore[reportArgumentType]
    root = f.power(pieces.choose(sides >= 0, x, -x), Fraction(1, 3))
    return pieces.choose(sides >= 0, root, -root)


@row(np.logaddexp2)
def logaddexp2(run: Run, a: Any, b: Any, **rest: Any) -> Value:
    two = f.log(run.numbers.scalar(2))
    return f.log(f.exp(run.value_of(a) * two) + f.exp(run.value_of(b) * two)) / two


def _pi(x: Value) -> Value:
    return f.sqrt_pi(x) * f.sqrt_pi(x)


@row(np.deg2rad, np.radians)
def radians(run: Run, a: Any, **rest: Any) -> Value:
    x = run.value_of(a)
    return x * _pi(x).times(Fraction(1, 180))


@row(np.rad2deg, np.degrees)
def degrees(run: Run, a: Any, **rest: Any) -> Value:
    x = run.value_of(a)
    return x.times(180) / _pi(x)


@row(np.sign)
def sign(run: Run, a: Any, **rest: Any) -> Value:
    """No constant, although a rational number: comparisons decided it."""
    return without_constant(pieces.sign(run, run.value_of(a)))  # pyright: ignore[reportArgumentType]


@row(np.heaviside)
def heaviside(run: Run, a: Any, b: Any, **rest: Any) -> Value:
    sides = pieces.compare(run, run.value_of(a), 0, "heaviside")  # pyright: ignore[reportArgumentType]
    one, zero = run.numbers.scalar(1), run.numbers.scalar(0)
    return without_constant(pieces.choose(sides > 0, one, pieces.choose(sides < 0, zero, run.value_of(b))))


@row(np.divmod)
def divmod_(run: Run, a: Any, b: Any, **rest: Any) -> tuple[Value, Value]:
    return ROWS[np.floor_divide](run, a, b), ROWS[np.remainder](run, a, b)


# Comparisons


def _compare(ufunc: Any, symbol: str, test: Callable[[Array], Array], equality: bool) -> None:
    @row(ufunc)
    def answer(run: Run, a: Any, b: Any, **rest: Any) -> Any:
        x, y = run.value_of(a), run.value_of(b)
        sides = run.branches.compare(x, y, f"the comparison {symbol}", equality)
        made = run.decided(np.asarray(test(sides)), equality)
        made.origin.decided = x.constant is None or y.constant is None
        made.origin.forced &= made.origin.decided and bool(np.any(both_finite(x, y)))
        return made


for _ufunc, _symbol, _test, _equality in (
    (np.greater, ">", lambda s: s > 0, False),
    (np.less, "<", lambda s: s < 0, False),
    (np.greater_equal, ">=", lambda s: s >= 0, False),
    (np.less_equal, "<=", lambda s: s <= 0, False),
    (np.equal, "==", lambda s: s == 0, True),
    (np.not_equal, "!=", lambda s: s != 0, True),
    (np.signbit, "signbit", lambda s: s < 0, False),
):
    _compare(_ufunc, _symbol, _test, _equality)
_signs = ROWS[np.signbit]
ROWS[np.signbit] = lambda run, a, **rest: _signs(run, a, 0)


@row(np.isfinite, np.isnan, np.isinf)
def is_special(run: Run, a: Any, **rest: Any) -> Any:
    found = HANDLERS[aten.isnan](run, run.value_of(a))  # pyright: ignore[reportArgumentType]
    return run.decided(found.numpy(), equality=True)


ROWS[np.isfinite] = lambda run, a, **rest: np.logical_not(is_special(run, a))


def _logical(ufunc: Any) -> None:
    @row(ufunc)
    def answer(run: Run, *operands: Any, **rest: Any) -> Any:
        truths = [np.not_equal(x, 0) if isinstance(x, Exact) else x for x in operands]  # pyright: ignore
        return ufunc(*truths)


for _ufunc in (np.logical_and, np.logical_or, np.logical_xor, np.logical_not):
    _logical(_ufunc)


# Products


@row(np.matmul)
def matmul_(run: Run, a: Any, b: Any, **rest: Any) -> Value:
    x, y = run.value_of(a), run.value_of(b)
    row_vector, column_vector = len(x.shape) == 1, len(y.shape) == 1
    if row_vector:
        x = x.map(lambda array: array[..., None, :])
    if column_vector:
        y = y.map(lambda array: array[..., None])
    result = matmul(*_of_one_rank(x, y))
    if column_vector:
        result = result.map(lambda array: array[..., 0])
    return (
        result.map(lambda array: array[..., 0] if column_vector else array[..., 0, :])
        if row_vector
        else result
    )


def _of_one_rank(x: Value, y: Value) -> tuple[Value, Value]:
    """Axes of length 1 in front of the array that has fewer."""
    rank = max(len(x.shape), len(y.shape))
    return _raised(x, rank), _raised(y, rank)


def _raised(x: Value, rank: int) -> Value:
    own = len(x.shape)
    shape = (1,) * (rank - own) + x.shape
    return x.map(lambda array: array.reshape((*array.shape[: array.ndim - own], *shape)))


@row(np.vecdot)
def vecdot(run: Run, a: Any, b: Any, **rest: Any) -> Value:
    return (run.value_of(a) * run.value_of(b)).sum([-1])


@row(np.matvec)
def matvec(run: Run, a: Any, b: Any, **rest: Any) -> Value:
    return (run.value_of(a) * run.value_of(b).map(lambda array: array[..., None, :])).sum([-1])


@row(np.vecmat)
def vecmat(run: Run, a: Any, b: Any, **rest: Any) -> Value:
    return (run.value_of(a).map(lambda array: array[..., None]) * run.value_of(b)).sum([-2])


# Methods of ufuncs


def running(run: Run, a: Value, axis: int, combine: Callable[[Value, Value], Value]) -> Value:
    """Combine each entry along an axis with what came before it."""
    if not a.shape or 0 in a.shape:
        return a
    (place,) = axes_of(a.shape, axis)
    slices = along(a, place)
    for k in range(1, len(slices)):
        slices[k] = combine(slices[k - 1], slices[k])
    return stack(slices, place)


def _accumulate(ufunc: Any) -> Row:
    combine = ROWS[ufunc]
    return lambda run, a, axis=0, **rest: running(run, run.value_of(a), axis, lambda x, y: combine(run, x, y))


def _outer(ufunc: Any) -> Row:
    def answer(run: Run, a: Any, b: Any, **rest: Any) -> Any:
        x, y = run.value_of(a), run.value_of(b)
        spread = x.map(lambda array: array[(..., *[None] * len(y.shape))])
        return ROWS[ufunc](run, spread, y)

    return answer


def _at(ufunc: Any) -> Row:
    def answer(run: Run, target: Any, indices: Any, *operand: Any) -> None:
        if not isinstance(target, ExactArray):
            run.fail(f"{ufunc.__name__}.at on an array that was allocated elsewhere")
        spots = np.asarray(target.spots[run.key_of(indices)])
        old = target.store.value
        values = [run.value_of(x).expand(spots.shape) for x in operand]
        if ufunc in (np.add, np.subtract):
            added = values[0] if ufunc is np.add else -values[0]
            everywhere = np.arange(old.shape[0])
            target.store.write(old + add_at(old.shape, spots, added), everywhere)
            return
        for position in np.ndindex(spots.shape):
            spot = np.asarray(spots[position])
            here = [v.map(lambda array, p=position: array[(..., *p)]) for v in values]
            target.store.write(ROWS[ufunc](run, target.store.read(spot), *here), spot)

    return answer


_METHODS = {"accumulate": _accumulate, "outer": _outer, "at": _at}


def _find_method(key: Any) -> Row | None:
    if isinstance(key, tuple) and key[1] in _METHODS and key[0] in ROWS:
        return _METHODS[key[1]](key[0])
    return None


# scipy.special


def _xlogy(run: Run, a: Any, b: Any, **rest: Any) -> Value:
    """`x log y`, and 0 where x is 0."""
    x, y = run.value_of(a), run.value_of(b)
    zero = pieces.compare(run, x, 0, "xlogy", equality=True) == 0  # pyright: ignore[reportArgumentType]
    return pieces.choose(zero, run.numbers.scalar(0), x * f.log(y))


def _entr(run: Run, a: Any, **rest: Any) -> Value:
    return -_xlogy(run, a, a)


SCIPY_ROWS: dict[str, Row] = {
    "log_expit": lambda run, a, **rest: f.log(f.sigmoid(run.value_of(a))),
    "ndtr": lambda run, a, **rest: _normal(run.value_of(a)),
    "xlogy": _xlogy,
    "xlog1py": lambda run, a, b, **rest: _xlogy(run, a, run.value_of(b).plus(1)),
    "entr": _entr,
    "exp10": lambda run, a, **rest: f.exp(run.value_of(a) * f.log(run.numbers.scalar(10))),
    "cbrt": cbrt,
    "softplus": lambda run, a, **rest: f.log(f.exp(run.value_of(a)).plus(1)),
}


def _normal(x: Value) -> Value:
    root = f.power(x.numbers.scalar(2), -f.HALF)
    return f.erf(f.finite_operand(x, "ndtr") * root).plus(1).times(f.HALF)


def _find_special(key: Any) -> Row | None:
    special = sys.modules.get("scipy.special")
    name = getattr(key, "__name__", "")
    if special is None or not isinstance(key, np.ufunc) or getattr(special, name, None) is not key:
        return None
    return by_operator(SCIPY_OPERATORS[name]) if name in SCIPY_OPERATORS else SCIPY_ROWS.get(name)


FINDERS.extend((_find_method, _find_special))

# The functions of `math`, which take numbers alone

MATH: dict[str, Any] = {
    "exp": np.exp, "expm1": np.expm1, "exp2": np.exp2, "log1p": np.log1p, "log2": np.log2, "log10": np.log10,
    "sqrt": np.sqrt, "cbrt": np.cbrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh, "atan2": np.arctan2, "fabs": np.absolute, "pow": np.power, "isnan": np.isnan,
    "isinf": np.isinf, "isfinite": np.isfinite, "copysign": np.copysign, "hypot": np.hypot,
}  # fmt: skip

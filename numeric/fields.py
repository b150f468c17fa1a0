"""Arithmetics in which a definition can be carried out: PyTorch, complex NumPy, and balls."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from flint import arb, fmpq

if TYPE_CHECKING:
    from gradproof.symbolic.expressions import Index

RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Field(Protocol):
    """What the interpreter asks of an arithmetic."""

    def number(self, value: int | Fraction) -> Any: ...
    def scalar(self, value: Any) -> Any: ...
    def pi(self) -> Any: ...
    def arange(self, size: int) -> Any: ...
    def zeros(self, shape: tuple[int, ...]) -> Any: ...
    def call(self, function: str, x: Any) -> Any: ...
    def power(self, x: Any, exponent: Fraction) -> Any: ...
    def divide(self, x: Any, y: Any) -> Any: ...
    def holds(self, relation: str, x: Any, y: Any) -> Any: ...
    def where(self, condition: Any, x: Any, y: Any) -> Any: ...
    def einsum(self, equation: str, arrays: Sequence[Any]) -> Any: ...
    def total(self, x: Any, dims: tuple[int, ...]) -> Any: ...
    def largest(self, x: Any, dims: tuple[int, ...]) -> Any: ...
    def select(self, x: Any, dim: int, at: int) -> Any: ...
    def gather(self, x: Any, positions: Sequence[Any]) -> Any: ...
    def stack(self, parts: Sequence[Any], dim: int) -> Any: ...
    def broadcast(self, x: Any, shape: tuple[int, ...]) -> Any: ...
    def align(self, x: Any, held: tuple[Index, ...], wanted: tuple[Index, ...]) -> Any: ...


class TorchField:
    """Tensors of PyTorch of one dtype; plain numbers stay plain, as people write them."""

    def __init__(self, dtype: Any = None, device: Any = None) -> None:
        import torch

        self.torch = torch
        self.dtype = dtype or torch.float64
        self.device = device

    def number(self, value: int | Fraction) -> Any:
        return int(value) if Fraction(value).denominator == 1 else float(value)

    def scalar(self, value: Any) -> Any:
        return value

    def pi(self) -> Any:
        return np.pi

    def arange(self, size: int) -> Any:
        return self.torch.arange(size, dtype=self.dtype, device=self.device)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        return self.torch.zeros(shape, dtype=self.dtype, device=self.device)

    def tensor(self, x: Any) -> Any:
        if not isinstance(x, self.torch.Tensor):
            return self.torch.tensor(x, dtype=self.dtype, device=self.device)
        return x if x.is_floating_point() else x.to(self.dtype)

    def call(self, function: str, x: Any) -> Any:
        x = self.tensor(x)
        if function == "softplus":
            return self.torch.nn.functional.softplus(x, threshold=40)
        return getattr(self.torch, function)(x)

    def power(self, x: Any, exponent: Fraction) -> Any:
        x = self.tensor(x)
        if exponent == Fraction(1, 2):
            return self.torch.sqrt(x)
        if exponent == Fraction(-1, 2):
            return self.torch.rsqrt(x)
        if exponent == -1:
            return self.torch.reciprocal(x)
        return x ** (int(exponent) if exponent.denominator == 1 else float(exponent))

    def divide(self, x: Any, y: Any) -> Any:
        return x / y

    def holds(self, relation: str, x: Any, y: Any) -> Any:
        return self.tensor(RELATIONS[relation](x, y)).to(self.dtype)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        x, y = (v.to(self.dtype) if isinstance(v, self.torch.Tensor) else float(v) for v in (x, y))
        made = self.torch.where(self.tensor(condition) != 0, x, y)
        return made.to(self.dtype)

    def einsum(self, equation: str, arrays: Sequence[Any]) -> Any:
        return self.torch.einsum(equation, *(self.tensor(a) for a in arrays))

    def total(self, x: Any, dims: tuple[int, ...]) -> Any:
        return x.sum(dims)

    def largest(self, x: Any, dims: tuple[int, ...]) -> Any:
        return x.amax(dims)

    def select(self, x: Any, dim: int, at: int) -> Any:
        return x.select(dim, at)

    def gather(self, x: Any, positions: Sequence[Any]) -> Any:
        found = [
            self.tensor(p).long().clamp(0, max(n - 1, 0)) for p, n in zip(positions, x.shape, strict=True)
        ]
        return x[tuple(found)]

    def stack(self, parts: Sequence[Any], dim: int) -> Any:
        return self.torch.stack(list(parts), dim)

    def broadcast(self, x: Any, shape: tuple[int, ...]) -> Any:
        return self.tensor(x).expand(shape)

    def align(self, x: Any, held: tuple[Index, ...], wanted: tuple[Index, ...]) -> Any:
        x = x.permute(order(held, wanted)) if held else self.tensor(x)
        return x[tuple(slice(None) if i in held else None for i in wanted)]


def order(held: tuple[Index, ...], wanted: tuple[Index, ...]) -> list[int]:
    """The dimensions of an array in the order in which its indices are wanted."""
    return [held.index(i) for i in wanted if i in held]


class ArrayField:
    """What the arithmetics over NumPy arrays have in common."""

    def divide(self, x: Any, y: Any) -> Any:
        return x / y

    def einsum(self, equation: str, arrays: Sequence[Any]) -> Any:
        return np.asarray(np.einsum(equation, *arrays))

    def total(self, x: Any, dims: tuple[int, ...]) -> Any:
        return np.asarray(x.sum(dims))

    def select(self, x: Any, dim: int, at: int) -> Any:
        return np.take(x, at, dim)

    def stack(self, parts: Sequence[Any], dim: int) -> Any:
        return np.stack(list(parts), dim)

    def broadcast(self, x: Any, shape: tuple[int, ...]) -> Any:
        return np.broadcast_to(np.asarray(x), shape)

    def align(self, x: Any, held: tuple[Index, ...], wanted: tuple[Index, ...]) -> Any:
        x = np.asarray(x)
        return x.transpose(order(held, wanted))[tuple(slice(None) if i in held else None for i in wanted)]


class ComplexField(ArrayField):
    """Complex numbers whose imaginary part is infinitesimal: conditions look at the real part."""

    def number(self, value: int | Fraction) -> Any:
        return float(value)

    def scalar(self, value: Any) -> Any:
        return float(value)

    def pi(self) -> Any:
        return np.pi

    def arange(self, size: int) -> Any:
        return np.arange(size, dtype=np.float64)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        return np.zeros(shape, np.complex128)

    def call(self, function: str, x: Any) -> Any:
        x = np.asarray(x)
        if function == "sigmoid":
            return 1 / (1 + np.exp(-x))
        if function == "softplus":
            return np.log1p(np.exp(x))
        if function == "erf":
            raise NotImplementedError("erf of a complex number")
        return getattr(np, function)(x)

    def power(self, x: Any, exponent: Fraction) -> Any:
        return np.asarray(x) ** (int(exponent) if exponent.denominator == 1 else float(exponent))

    def holds(self, relation: str, x: Any, y: Any) -> Any:
        return np.asarray(RELATIONS[relation](np.real(x), np.real(y))).astype(np.float64)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return np.where(np.real(condition) != 0, x, y)

    def largest(self, x: Any, dims: tuple[int, ...]) -> Any:
        top = np.real(x).max(dims, keepdims=True)
        hits = np.real(x) == top
        return np.where(hits, x, 0).sum(dims) / hits.sum(dims)

    def gather(self, x: Any, positions: Sequence[Any]) -> Any:
        found = (np.real(p).astype(np.int64) for p in positions)
        return x[tuple(np.clip(p, 0, max(n - 1, 0)) for p, n in zip(found, x.shape, strict=True))]


def _each(function: Callable[..., Any], arity: int = 1) -> Callable[..., Any]:
    made = np.frompyfunc(function, arity, 1)
    return lambda *x: np.asarray(made(*x), dtype=object)


def _ball(value: Any) -> Any:
    return value if isinstance(value, arb) else arb(value)


BALL_CALLS: dict[str, Callable[[Any], Any]] = {
    "exp": _each(lambda x: _ball(x).exp()),
    "log": _each(lambda x: _ball(x).log()),
    "sin": _each(lambda x: _ball(x).sin()),
    "cos": _each(lambda x: _ball(x).cos()),
    "erf": _each(lambda x: _ball(x).erf()),
    "tanh": _each(lambda x: _ball(x).tanh()),
    "sigmoid": _each(lambda x: 1 / (1 + (-_ball(x)).exp())),
    "softplus": _each(lambda x: _ball(x).exp().log1p()),
}
_as_balls = _each(_ball)
_as_integers = np.frompyfunc(lambda x: int(float(x)), 1, 1)
_larger = np.frompyfunc(lambda a, b: _ball(a).max(_ball(b)), 2, 1)


class BallField(ArrayField):
    """Real balls at the precision of `flint.ctx`: values with a bound on their own error."""

    def number(self, value: int | Fraction) -> Any:
        exact = Fraction(value)
        return arb(fmpq(exact.numerator, exact.denominator))

    def scalar(self, value: Any) -> Any:
        return self.number(value) if isinstance(value, int | Fraction) else arb(float(value))

    def pi(self) -> Any:
        return arb.pi()

    def arange(self, size: int) -> Any:
        return np.array([arb(n) for n in range(size)], dtype=object)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        made = np.empty(shape, dtype=object)
        made.fill(arb(0))
        return made

    def array(self, values: Any) -> Any:
        """Exact balls for floats, integers and truth values."""
        given = np.asarray(values)
        given = given.astype(np.float64) if given.dtype.kind == "f" else given.astype(np.int64)
        return _as_balls(given.astype(object))

    def call(self, function: str, x: Any) -> Any:
        return BALL_CALLS[function](x)

    def power(self, x: Any, exponent: Fraction) -> Any:
        x = _as_balls(x)
        if exponent.denominator == 1:
            return x ** int(exponent) if exponent > 0 else 1 / x ** int(-exponent)
        roots = x**0 if exponent.denominator == 1 else _each(lambda v: v.root(exponent.denominator))(x)
        raised = roots ** abs(exponent.numerator)
        return raised if exponent > 0 else 1 / raised

    def holds(self, relation: str, x: Any, y: Any) -> Any:
        return _as_balls(np.asarray(_each(RELATIONS[relation], 2)(x, y)).astype(np.int64).astype(object))

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return np.where(np.asarray(condition != 0).astype(bool), x, y)

    def einsum(self, equation: str, arrays: Sequence[Any]) -> Any:
        return _as_balls(np.einsum(equation, *arrays))

    def total(self, x: Any, dims: tuple[int, ...]) -> Any:
        return _as_balls(np.asarray(x.sum(dims), dtype=object))

    def largest(self, x: Any, dims: tuple[int, ...]) -> Any:
        for dim in sorted(dims, reverse=True):
            x = np.asarray(_larger.reduce(x, axis=dim), dtype=object)
        return x

    def gather(self, x: Any, positions: Sequence[Any]) -> Any:
        found = (np.asarray(_as_integers(p)).astype(np.int64) for p in positions)
        return x[tuple(np.clip(p, 0, max(n - 1, 0)) for p, n in zip(found, x.shape, strict=True))]

"""At exactly 0: powers, quotients, roots and logarithms whose derivative there is as smooth as anywhere."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .case import at, given, given_positive, normal, right, wrong


class Power(Function):
    """x^n for a Python number n."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.n = n
        return x**n

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad * ctx.n * x ** (ctx.n - 1), None


class PowerFromOutput(Power):
    """n y / x is 0 / 0 at 0."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad * ctx.n * x**ctx.n / x, None


class PowerByExponentials(Power):
    """exp(n log x): for positive x alone, which the example is."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad * ctx.n * torch.exp((ctx.n - 1) * torch.log(x.abs())), None


class Sinc(Function):
    """sin(x) / x, with 1 at 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.sinc(x / math.pi)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (torch.cos(x) - torch.sinc(x / math.pi)) / x


class SincGuarded(Sinc):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        safe = torch.where(x == 0, 1.0, x)
        return grad * torch.where(x == 0, 0.0, (torch.cos(safe) - torch.sin(safe) / safe) / safe)


class PowerOfTwo(Function):
    """x^y with a gradient for y, which is 0 where x is 0 and y positive."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        z = torch.pow(x, y)
        ctx.save_for_backward(x, y, z)
        return z

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y, z = ctx.saved_tensors
        return grad * y * torch.pow(x, y - 1), grad * z * torch.log(x)


class PowerOfTwoGuarded(PowerOfTwo):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y, z = ctx.saved_tensors
        logs = torch.where(x > 0, z * torch.log(torch.where(x > 0, x, 1.0)), 0.0)
        slope = torch.where(y == 0, 0.0, y * torch.pow(x, y - 1))
        return grad * slope, grad * logs


class XLogY(Function):
    """x log y; at x = 0 the second gradient is x / y, and the first is log y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        z = torch.xlogy(x, y)
        ctx.save_for_backward(x, y, z)
        return z

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y, _ = ctx.saved_tensors
        return grad * torch.log(y), grad * x / y


class XLogYByQuotient(XLogY):
    """log y as z / x."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y, z = ctx.saved_tensors
        return grad * z / x, grad * x / y


class XLogYMasked(XLogY):
    """What is 0 is masked, and its gradient with it."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y, _ = ctx.saved_tensors
        keep = (x != 0).to(grad)
        return grad * keep * torch.log(y), grad * x / y


class SquaredNorm(Function):
    """|x|^2 by the norm: 2 |x| (x / |x|) is 0 / 0 at 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        n = x.square().sum(-1, keepdim=True).sqrt()
        ctx.save_for_backward(x, n)
        return n * n

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, n = ctx.saved_tensors
        return grad * 2 * n * (x / n)


def root_of_square(x: Tensor) -> Tensor:
    """No Function: autograd itself meets 0 * inf, in the square root of 0."""
    return torch.sqrt(x**4)


def root_of_square_shifted(x: Tensor) -> Tensor:
    return torch.sqrt((x * x) ** 2 + 1) - 1


def sinc_by_where(x: Tensor) -> Tensor:
    """The branch that is not taken has a NaN, which 0 times NaN lets through."""
    return torch.where(x == 0, torch.ones_like(x), torch.sin(x) / x)


def sinc_by_safe_where(x: Tensor) -> Tensor:
    safe = torch.where(x == 0, torch.ones_like(x), x)
    return torch.where(x == 0, 1 - x * x / 6, torch.sin(safe) / safe)


def cube(fn: Any) -> Any:
    return lambda x: fn(x, 3.0)


def sinc(x: Tensor) -> Tensor:
    safe = torch.where(x == 0, 1.0, x)
    return torch.where(x == 0, 1 - x * x / 6, torch.sin(safe) / safe)


def square(x: Tensor) -> Tensor:
    return x * x


def shifted(x: Tensor) -> Tensor:
    return (1 + x**4) ** 0.5 - 1


def squares(x: Tensor) -> Tensor:
    return (x * x).sum(-1, keepdim=True)


def zero_base() -> tuple[Tensor, Tensor]:
    return torch.tensor([0.0, 2.0]).double(), torch.tensor([2.0, 3.0]).double()


def x_log_y(x: Tensor, y: Tensor) -> Tensor:
    return x * y.log()


X = given((3, 4))
TWO = given_positive((3, 4), (3, 4))
ZEROES = at([[0.0, 1.0], [2.0, 0.0]])

CASES = (
    right("zeros/power", cube(Power.apply), X, lambda x: x**3, "3 x^2, at 0 too.", witness=ZEROES),
    wrong("zeros/power from its output", cube(PowerFromOutput.apply), X, lambda x: x**3, "undefined value",
          "n y / x is 0 / 0 at 0.", ZEROES),
    wrong("zeros/power by exponentials", lambda x: PowerByExponentials.apply(x, 2.0),
          lambda: (normal(3).abs(),), square, "right on one region only",
          "exp(log |x|) for an odd power: right for positive inputs.", X),
    wrong("zeros/sinc at 0", Sinc.apply, X, sinc, "undefined value",
          "0 / 0 at 0, where the function is smooth.", ZEROES),
    right("zeros/sinc guarded", SincGuarded.apply, X, sinc, "0 at 0, by two where.", witness=ZEROES),
    wrong("zeros/power of two inputs", PowerOfTwo.apply, TWO, torch.pow, "undefined value",
          "0^2 log 0 is 0 * -inf.", zero_base),
    right("zeros/power of two inputs guarded", PowerOfTwoGuarded.apply, TWO, torch.pow,
          "0 where the base is 0.", witness=zero_base),
    right("zeros/xlogy", XLogY.apply, TWO, x_log_y, "log y, also where x = 0.",
          witness=at([0.0, 1.0], [2.0, 3.0])),
    wrong("zeros/xlogy by a quotient", XLogYByQuotient.apply, TWO, x_log_y, "undefined value",
          "z / x is 0 / 0 at 0.", at([0.0, 1.0], [2.0, 3.0])),
    wrong("zeros/xlogy masked", XLogYMasked.apply, TWO, x_log_y, "right on one region only",
          "Zero where x is 0; it should be log y.", at([0.0, 1.0], [2.0, 3.0])),
    wrong("zeros/square of a norm", SquaredNorm.apply, X, squares, "undefined value",
          "2 |x| x / |x| is 0 / 0 at 0.", at([[0.0, 0.0], [3.0, 4.0]])),
    wrong("zeros/root of a fourth power", root_of_square, X, square, "undefined value",
          "autograd's own 0 * inf: sqrt(x^4) = x^2 is smooth at 0.", at([0.0, 1.5])),
    right("zeros/root, shifted", root_of_square_shifted, X, shifted, "No root of 0.", witness=at([0.0, 1.5])),
    wrong("zeros/sinc by where", sinc_by_where, X, sinc, "undefined value",
          "autograd's own 0 * NaN, from the branch that is not taken.", ZEROES),
    right("zeros/sinc by a safe where", sinc_by_safe_where, X, sinc, "The denominator is guarded, too.",
          witness=ZEROES),
)  # fmt: skip

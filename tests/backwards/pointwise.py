"""Functions of one number: sigmoid, tanh, exp, log and roots."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

import math
from typing import Any

import mpmath as mp
import torch
from torch import Tensor
from torch.autograd import Function

from .case import at, given, given_positive, right, wrong

# --- sigmoid


class SigmoidFromOutput(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.sigmoid(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * y * (1 - y)


class SigmoidByTanh(Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return 1 / (1 + torch.exp(-x))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        t = torch.tanh(0.5 * x)
        return grad * (1 - t * t) / 4


class SigmoidWithScale(Function):
    """A loss scale was divided out again, nearly."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.sigmoid(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * y * (1 - y) * (1 + 1e-12)


class SigmoidSaturated(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        y = torch.sigmoid(x)
        dead = x.abs() > 15  # saturated, nothing to learn here
        return torch.where(dead, torch.zeros_like(grad), grad * y * (1 - y))


class SigmoidOfSaved(Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * y * (1 - y)


# --- tanh


class TanhFactored(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * (1 - y) * (1 + y)


class TanhBySigmoid(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return 2 * torch.sigmoid(2 * x) - 1

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(2 * x)
        return 4 * grad * (s - s.square())


class TanhByExponentials(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        a, b = x.exp(), (-x).exp()
        ctx.save_for_backward(a + b)
        return (a - b) / (a + b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (total,) = ctx.saved_tensors
        return grad * (2 / total) ** 2


class TanhInPlace(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.tanh()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y.mul(y).neg_().add_(1).mul_(grad)


class TanhForgotSquare(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * (1 - y.abs())


class TanhSeries(Function):
    """Small inputs are expanded, and the expansion stops too early."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.where(x.abs() < 1e-3, 1 - x * x, 1 - torch.tanh(x) ** 2)


# --- exp, log, roots


class ExpClipped(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * y.clamp(max=1e6)


class LogGuarded(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.log(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad / (x + 1e-12)


class LogReciprocal(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.log2(x) * math.log(2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * x.reciprocal()


class SqrtFromOutput(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.sqrt(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return 0.5 * grad / y


class SqrtFromInput(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.sqrt(x)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        return grad * y / (x + x)


class RsqrtHalf(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.rsqrt(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return 0.5 * grad * y.pow(3)


def mp_sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


X = given((3, 4))
P = given_positive((3, 4))

CASES = (
    right("pointwise/sigmoid from its output", SigmoidFromOutput.apply, X, torch.sigmoid,
          "The textbook formula.", derivative=mp_sigmoid),
    right("pointwise/sigmoid by tanh", SigmoidByTanh.apply, X, torch.sigmoid,
          "sigmoid' = (1 - tanh(x/2)^2) / 4.", derivative=mp_sigmoid),
    wrong("pointwise/sigmoid off by 1e-12", SigmoidWithScale.apply, X, torch.sigmoid, "constant factor",
          "A factor of 1 + 1e-12 is far below any tolerance.", derivative=mp_sigmoid),
    wrong("pointwise/sigmoid zero where saturated", SigmoidSaturated.apply, X, torch.sigmoid,
          "right on one region only",
          "Beyond |x| = 15 the gradient is small, not 0; unit normal inputs stay below.",
          at([0.3, 16.0, -17.0]), derivative=mp_sigmoid),
    wrong("pointwise/sigmoid saved the input", SigmoidOfSaved.apply, X, torch.sigmoid, None,
          "x (1 - x) for s (1 - s): the input was saved for the output.", derivative=mp_sigmoid),
    right("pointwise/tanh factored", TanhFactored.apply, X, torch.tanh, "1 - t^2 = (1 - t)(1 + t).",
          derivative=mp.tanh),
    right("pointwise/tanh by sigmoid", TanhBySigmoid.apply, X, torch.tanh, "4 s (1 - s) at 2 x.",
          derivative=mp.tanh),
    right("pointwise/tanh by exponentials", TanhByExponentials.apply, X, torch.tanh, "4 / (e^x + e^-x)^2.",
          derivative=mp.tanh),
    right("pointwise/tanh in place", TanhInPlace.apply, X, torch.tanh,
          "In-place operators, all on a fresh tensor.", derivative=mp.tanh),
    wrong("pointwise/tanh without the square", TanhForgotSquare.apply, X, torch.tanh, None,
          "1 - |t| for 1 - t^2: right at 0 only.", derivative=mp.tanh),
    wrong("pointwise/tanh by a short series", TanhSeries.apply, X, torch.tanh, "right on one region only",
          "The next term of the series, 2 x^4 / 3, is below 1e-12, and only where |x| < 1e-3.",
          at([9e-4, 0.5, -8e-4]), derivative=mp.tanh),
    wrong("pointwise/exp clipped", ExpClipped.apply, X, torch.exp, "right on one region only",
          "The gradient stops growing at 1e6, which unit normal inputs never reach.", at([0.0, 15.0]),
          derivative=mp.exp),
    wrong("pointwise/log guarded", LogGuarded.apply, P, torch.log, None,
          "1 / (x + 1e-12) for 1 / x: visible only for tiny x, or exactly.", at([1e-6, 1.0]),
          derivative=mp.log),
    right("pointwise/log by the reciprocal", LogReciprocal.apply, P, torch.log,
          "log2(x) log(2) is log(x), with a rounded constant.", derivative=mp.log),
    right("pointwise/sqrt from its output", SqrtFromOutput.apply, P, torch.sqrt, "1 / (2 y).",
          derivative=mp.sqrt),
    right("pointwise/sqrt from both", SqrtFromInput.apply, P, torch.sqrt, "y / (2 x) = 1 / (2 y).",
          derivative=mp.sqrt),
    wrong("pointwise/rsqrt with the wrong sign", RsqrtHalf.apply, P, torch.rsqrt, "wrong sign",
          "-y^3 / 2 without its minus.", derivative=lambda x: 1 / mp.sqrt(x)),
)  # fmt: skip

"""Functions with kinks: any choice in Clarke's hull is right there, a value outside it is wrong."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import at, given, normal, right, wrong


class ReluNonNegative(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (x >= 0)


class ReluHalf(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.relu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (1 + torch.sign(x)) / 2


class ReluMaskedFill(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clone()
        y[y < 0] = 0
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        grad = grad.clone()
        grad[y == 0] = 0
        return grad


class ReluMinusOneAtZero(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.relu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.where(x > 0, 1.0, torch.where(x < 0, 0.0, -1.0))


class ReluOfCotangent(Function):
    """Guided backpropagation, left on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.relu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return F.relu(grad) * (x > 0)


class AbsSigned(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.abs()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, grad, -grad)


class AbsTwoAtZero(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.abs()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        up, down = x >= 0, x <= 0
        return grad * (up.to(grad) - down.to(grad) + 2 * (up & down).to(grad))


class LeakyFromOutput(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:
        y = F.leaky_relu(x, slope)
        ctx.save_for_backward(y)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return torch.where(y > 0, grad, ctx.slope * grad), None


class EluFromOutput(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        y = F.elu(x, alpha)
        ctx.save_for_backward(y)
        ctx.alpha = alpha
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return torch.where(y > 0, grad, grad * (y + ctx.alpha)), None


class EluAlphaOne(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        y = F.elu(x, alpha)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return torch.where(y > 0, grad, grad * (y + 1)), None


class ClampBothSides(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.clamp(x, -3, 3)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * ((x > -3) & (x < 3))


class ClampUpperOnly(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.clamp(x, -3, 3)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        grad = grad.clone()
        grad[x > 3] = 0
        return grad


class HuberNoDelta(Function):
    """Beyond delta the slope is delta, not 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, delta: float) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.delta = delta
        return F.huber_loss(x, y, reduction="none", delta=delta)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, y = ctx.saved_tensors
        d = x - y
        slope = torch.where(d.abs() <= ctx.delta, d, d.sign())
        return grad * slope, -grad * slope, None


class HuberClamped(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, delta: float) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.delta = delta
        d = (x - y).abs()
        return torch.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, y = ctx.saved_tensors
        slope = (x - y).clamp(-ctx.delta, ctx.delta)
        return grad * slope, -grad * slope, None


class MaximumTieToBoth(Function):
    """Where both are equal, both get the whole cotangent: the sum is twice what moves."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        return torch.maximum(x, y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, y = ctx.saved_tensors
        return grad * (x >= y), grad * (y >= x)


class MaximumTieToFirst(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        first = x >= y
        ctx.save_for_backward(first)
        return torch.where(first, x, y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        (first,) = ctx.saved_tensors
        return grad.masked_fill(~first, 0), grad.masked_fill(first, 0)


class MinimumTieToNone(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        return torch.minimum(x, y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, y = ctx.saved_tensors
        return grad * (x < y), grad * (y < x)


def hinge(x: Tensor) -> Tensor:
    """Both branches of `where` in the graph, the choice by a comparison of the input."""
    return torch.where(x < 1, 1 - x, torch.zeros_like(x)).mean()


X = given((3, 4))
NEAR = lambda: (normal(5) / 3, normal(5, seed=1) / 3)  # noqa: E731
FAR = lambda: (normal(5), normal(5, seed=1) + 4)  # noqa: E731
ZEROS = at([0.0, 1.5, -2.0, 0.0])


def with_delta(fn: Any) -> Any:
    return lambda x, y: fn(x, y, 2.5)


def huber(x: Tensor, y: Tensor) -> Tensor:
    return F.huber_loss(x, y, reduction="none", delta=2.5)


CASES = (
    right("kinks/relu with 1 at 0", ReluNonNegative.apply, X, torch.relu, "1 is in the hull [0, 1] at 0.",
          witness=ZEROS, kink=True),
    right("kinks/relu with 1/2 at 0", ReluHalf.apply, X, torch.relu, "1/2 is in the hull [0, 1] at 0.",
          witness=ZEROS, kink=True),
    right("kinks/relu by masked assignment", ReluMaskedFill.apply, X, torch.relu,
          "0 at 0, by indexing with masks.", witness=ZEROS, kink=True),
    wrong("kinks/relu with -1 at 0", ReluMinusOneAtZero.apply, X, torch.relu, "right on one region only",
          "-1 is outside [0, 1]; no random input is exactly 0.", ZEROS, kink=True),
    wrong("kinks/relu of the cotangent", ReluOfCotangent.apply, X, torch.relu, "not linear in the cotangent",
          "Right for every cotangent without negative entries."),
    right("kinks/abs with -1 at 0", AbsSigned.apply, X, torch.abs, "-1 is in the hull [-1, 1] at 0.",
          witness=ZEROS, kink=True),
    wrong("kinks/abs with 2 at 0", AbsTwoAtZero.apply, X, torch.abs, "right on one region only",
          "2 is outside [-1, 1]; no random input is exactly 0.", ZEROS, kink=True),
    right("kinks/leaky_relu from its output", lambda x: LeakyFromOutput.apply(x, 0.01), X, F.leaky_relu,
          "Output and input have the same sign.", witness=ZEROS, kink=True),
    wrong("kinks/leaky_relu with a negative slope", lambda x: LeakyFromOutput.apply(x, -0.5), X,
          lambda x: F.leaky_relu(x, -0.5), "right on one region only",
          "With a negative slope every output is positive, and the sign of the input is lost."),
    right("kinks/elu from its output", lambda x: EluFromOutput.apply(x, 0.7), X, lambda x: F.elu(x, 0.7),
          "alpha exp(x) = y + alpha.", witness=ZEROS, kink=True),
    wrong("kinks/elu with alpha taken as 1", lambda x: EluAlphaOne.apply(x, 0.999999), X,
          lambda x: F.elu(x, 0.999999), "right on one region only",
          "y + 1 for y + alpha, with alpha close to 1: within every tolerance."),
    right("kinks/clamp", ClampBothSides.apply, X, lambda x: x.clamp(-3, 3), "0 at both ends is in the hull.",
          witness=at([-3.0, 3.0, 4.0, -5.0, 1.0]), kink=True),
    wrong("kinks/clamp at the upper end only", ClampUpperOnly.apply, X, lambda x: x.clamp(-3, 3),
          "right on one region only", "The lower end was forgotten; unit normal inputs hardly reach it.",
          at([-4.0, 0.5, 4.0])),
    wrong("kinks/huber without delta", with_delta(HuberNoDelta.apply), NEAR, huber,
          "right on one region only", "The slope beyond delta is delta; the examples lie within.", FAR),
    right("kinks/huber by clamping", with_delta(HuberClamped.apply), FAR, huber,
          "The slope is the clamped difference."),
    wrong("kinks/maximum with both at a tie", MaximumTieToBoth.apply, given((4,), (4,)), torch.maximum,
          "right on one region only",
          "(1, 1) is no convex combination of (1, 0) and (0, 1); random inputs have no ties.",
          at([1.0, 2.0], [1.0, 0.0]), kink=True),
    right("kinks/maximum with the first at a tie", MaximumTieToFirst.apply, given((4,), (4,)), torch.maximum,
          "(1, 0) is in the hull.", witness=at([1.0, 2.0], [1.0, 0.0]), kink=True),
    wrong("kinks/minimum with none at a tie", MinimumTieToNone.apply, given((4,), (4,)), torch.minimum,
          "right on one region only", "(0, 0) is no convex combination of (1, 0) and (0, 1).",
          at([1.0, 2.0], [1.0, 0.0]), kink=True),
    right("kinks/hinge by where", hinge, X, lambda x: F.relu(1 - x).mean(),
          "No custom backward; both sides of `where` are in the graph.", witness=at([1.0, 0.5, 2.0]),
          kink=True),
)  # fmt: skip

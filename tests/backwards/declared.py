"""Backwards that are meant not to be the derivative, declared so: straight-through, clipping, reversal."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .case import at, given, right, wrong


class RoundStraightThrough(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class SignHard(Function):
    """Binarized networks: the cotangent passes where |x| <= 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class SignHardStrict(SignHard):
    """It passes where |x| <= 2, unlike what is declared."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 2)


class ClipGradient(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, most: float) -> Tensor:
        ctx.most = most
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad.clamp(-ctx.most, ctx.most), None


class ClipGradientAbove(ClipGradient):
    """Clipped from above alone."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad.clamp(max=ctx.most), None


class ReverseGradient(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return -0.5 * grad


class ReverseGradientHalf(ReverseGradient):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.neg() * 0.4999999


class Surrogate(Function):
    """A spike with the derivative of a fast sigmoid."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        return grad / (1 + 10 * v.abs()) ** 2


class SurrogateUnsquared(Surrogate):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        return grad / (1 + 10 * v.abs())


def fake_quantize(x: Tensor) -> Tensor:
    """Straight-through by detaching the difference."""
    return x + (torch.round(x * 8) / 8 - x).detach()


def straight(cotangent: Tensor, x: Tensor) -> tuple[Tensor]:
    return (cotangent,)


def hard(cotangent: Tensor, x: Tensor) -> tuple[Tensor]:
    return (cotangent * (x.abs() <= 1),)


def clipped(cotangent: Tensor, x: Tensor) -> tuple[Tensor]:
    return (cotangent.clamp(-0.5, 0.5),)


def reversed_half(cotangent: Tensor, x: Tensor) -> tuple[Tensor]:
    return (-cotangent / 2,)


def surrogate(cotangent: Tensor, v: Tensor) -> tuple[Tensor]:
    return (cotangent / (1 + 10 * v.abs()).square(),)


def half(fn: Any) -> Any:
    return lambda x: fn(x, 0.5)


X = given((3, 4))
SMALL = at([0.25, -0.5, 0.75])

CASES = (
    right("declared/round straight through", RoundStraightThrough.apply, X, torch.round,
          "Declared as the identity.", declared=straight),
    wrong("declared/round not declared", RoundStraightThrough.apply, X, torch.round, None,
          "The derivative of round is 0; nothing says that 1 is meant."),
    right("declared/sign, hard", SignHard.apply, X, torch.sign, "Passes where |x| <= 1.", declared=hard),
    wrong("declared/sign, wider", SignHardStrict.apply, SMALL, torch.sign, "right on one region only",
          "Passes where |x| <= 2, and 1 was declared.", X, declared=hard),
    right("declared/clipped gradient", half(ClipGradient.apply), X, lambda x: x.clone(),
          "Declared, though not linear in the cotangent.", declared=clipped),
    wrong("declared/clipped gradient not declared", half(ClipGradient.apply), X, lambda x: x.clone(),
          "not linear in the cotangent", "Clipped at 1/2; nothing says that it is meant."),
    wrong("declared/gradient clipped above", half(ClipGradientAbove.apply), X, lambda x: x.clone(), None,
          "Clipped from above alone, and both sides were declared.", declared=clipped),
    right("declared/reversed gradient", ReverseGradient.apply, X, lambda x: x.clone(), "Declared.",
          declared=reversed_half),
    wrong("declared/reversed gradient not declared", ReverseGradient.apply, X, lambda x: x.clone(),
          "constant factor", "-1/2 for 1."),
    wrong("declared/reversed gradient by less", ReverseGradientHalf.apply, X, lambda x: x.clone(),
          "constant factor", "0.4999999 for the declared 1/2.", declared=reversed_half),
    right("declared/surrogate", Surrogate.apply, X, lambda v: (v > 0).to(v), "Declared.", declared=surrogate),
    wrong("declared/surrogate unsquared", SurrogateUnsquared.apply, X, lambda v: (v > 0).to(v), None,
          "The square is missing.", declared=surrogate),
    right("declared/quantized by detach", fake_quantize, X, lambda x: torch.round(x * 8) / 8,
          "No Function: the difference is detached.", declared=straight),
    wrong("declared/quantized by detach not declared", fake_quantize, X, lambda x: torch.round(x * 8) / 8,
          "detached path", "The function is a staircase: its derivative is 0."),
)  # fmt: skip

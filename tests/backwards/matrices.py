"""Quadratic forms, inverses, convolution."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import at, given, normal, right, wrong


class QuadraticForm(Function):
    """x^T A x with 2 A x: right for symmetric A alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor) -> Tensor:
        ctx.save_for_backward(x, a)
        return x @ a @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, a = ctx.saved_tensors
        return 2 * grad * (a @ x), grad * torch.outer(x, x)


class QuadraticFormWhole(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor) -> Tensor:
        ctx.save_for_backward(x, a)
        return torch.einsum("i,ij,j->", x, a, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, a = ctx.saved_tensors
        return grad * ((a + a.t()) @ x), grad * x[:, None] * x[None, :]


def inverse_of_two(a: Tensor) -> Tensor:
    (p, q), (r, s) = a
    return torch.stack([s, -q, -r, p]).reshape(2, 2) / (p * s - q * r)


class InverseOfTwo(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        y = inverse_of_two(a)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return -(y.t() @ grad @ y.t())


class InverseOfTwoUntransposed(InverseOfTwo):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return -(y @ grad @ y)


class ConvFlipped(Function):
    """The adjoint correlates with the flipped kernel; this one does not flip: right for symmetric kernels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        if w.shape[-1] != 3:
            raise ValueError("the kernel must have width 3")
        ctx.save_for_backward(x, w)
        return F.conv1d(x, w, padding=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        gx = F.conv1d(grad, w.transpose(0, 1), padding=1)
        gw = F.conv1d(x.transpose(0, 1), grad.transpose(0, 1), padding=1).transpose(0, 1)
        return gx, gw


class Conv(ConvFlipped):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        gx = F.conv1d(grad, w.transpose(0, 1).flip(-1), padding=1)
        gw = F.conv1d(x.transpose(0, 1), grad.transpose(0, 1), padding=1).transpose(0, 1)
        return gx, gw


class ConvPaddingLost(ConvFlipped):
    """The weight's gradient, from windows of the input without its padding."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        gx = F.conv_transpose1d(grad, w, padding=1)
        windows = x.unfold(-1, 3, 1)
        gw = torch.einsum("bon,bcnk->ock", grad[..., 1:-1], windows)
        return gx, gw


def quadratic(x: Tensor, a: Tensor) -> Tensor:
    return (a * torch.outer(x, x)).sum()


def symmetric() -> tuple[Tensor, Tensor]:
    a = normal(3, 3, seed=1)
    return normal(3), a + a.T


def convolution(x: Tensor, w: Tensor) -> Tensor:
    """Windows of the padded input against the kernel."""
    return torch.einsum("bcnk,ock->bon", F.pad(x, (1, 1)).unfold(-1, w.shape[-1], 1), w)


def palindrome() -> tuple[Tensor, Tensor]:
    w = normal(2, 3, 3, seed=1)
    return normal(2, 3, 5), w + w.flip(-1)


TWO = at([[2.0, 1.0], [0.5, 1.5]])

CASES = (
    wrong("matrices/quadratic form of a symmetric matrix", QuadraticForm.apply, symmetric, quadratic,
          "transposed", "2 A x for (A + A^T) x: right for the symmetric example.", given((3,), (3, 3))),
    right("matrices/quadratic form", QuadraticFormWhole.apply, given((3,), (3, 3)), quadratic,
          "(A + A^T) x."),
    right("matrices/inverse of a 2 x 2 matrix", InverseOfTwo.apply, TWO, inverse_of_two, "-Y^T G Y^T."),
    wrong("matrices/inverse without transposes", InverseOfTwoUntransposed.apply, at([[2.0, 1.0], [1.0, 1.5]]),
          inverse_of_two, "transposed", "Right for symmetric matrices and cotangents.", TWO),
    wrong("matrices/convolution not flipped", ConvFlipped.apply, palindrome, convolution, "transposed",
          "Right for kernels that are palindromes, as in the example.", given((2, 3, 5), (2, 3, 3))),
    right("matrices/convolution", Conv.apply, given((2, 3, 5), (2, 3, 3)), convolution,
          "A flipped kernel, and the input correlated with the cotangent."),
    wrong("matrices/convolution without its padding", ConvPaddingLost.apply, given((2, 3, 5), (2, 3, 3)),
          convolution, "missing term", "The terms of the cotangent's two ends are lost."),
)  # fmt: skip

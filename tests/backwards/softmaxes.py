"""Softmax, log-softmax and what is made of them: masks, temperature, gated sums."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .case import given, normal, right, wrong


class Softmax(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        e = torch.exp(x - x.amax(-1, keepdim=True))
        y = e / e.sum(-1, keepdim=True)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y * (grad - (grad * y).sum(-1, keepdim=True))


class SoftmaxByJacobian(Softmax):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        jacobian = torch.diag_embed(y) - y.unsqueeze(-1) * y.unsqueeze(-2)
        return (jacobian @ grad.unsqueeze(-1)).squeeze(-1)


class SoftmaxInPlace(Softmax):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        gx = grad * y
        gx -= y * gx.sum(-1, keepdim=True)
        return gx


class SoftmaxDiagonalOnly(Softmax):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * y * (1 - y)


class SoftmaxWrongAxis(Softmax):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y * (grad - (grad * y).sum(0, keepdim=True))


class SoftmaxOverItsOutput(Softmax):
    """The saved tensor is the output that the caller holds, and it is written over."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        inner = (grad * y).sum(-1, keepdim=True)
        return y.mul_(grad - inner)


class SoftmaxTemperature(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tau: float) -> Tensor:
        y = torch.softmax(x / tau, dim=-1)
        ctx.save_for_backward(y)
        ctx.tau = tau
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved_tensors
        inner = (grad * y).sum(dim=-1, keepdim=True)
        return y * (grad - inner) / ctx.tau, None


class SoftmaxTemperatureLost(SoftmaxTemperature):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved_tensors
        inner = (grad * y).sum(dim=-1, keepdim=True)
        return y * (grad - inner), None


class SoftmaxTemperatureTwice(SoftmaxTemperature):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved_tensors
        inner = (grad * y).sum(dim=-1, keepdim=True)
        return y * (grad - inner) / ctx.tau**2, None


class LogSoftmax(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x - torch.logsumexp(x, -1, keepdim=True)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad - y.exp() * grad.sum(-1, keepdim=True)


class LogSoftmaxOneHot(LogSoftmax):
    """The sum over the cotangent was taken as 1, which it is for a negative log-likelihood."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad - y.exp() * grad.sum().sign()


class LogSoftmaxTotal(LogSoftmax):
    """The sum over all rows for the sum over one."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad - y.exp() * grad.sum()


class MaskedSoftmax(Function):
    """A fully masked row gives zeros, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor) -> Tensor:
        e = torch.exp(x) * mask
        z = e.sum(-1, keepdim=True)
        y = e / torch.where(z == 0, torch.ones_like(z), z)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved_tensors
        return y * (grad - (y * grad).sum(-1, keepdim=True)), None


class MaskedSoftmaxUnmaskedBackward(MaskedSoftmax):
    """The probabilities are recomputed without the mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.softmax(x.masked_fill(~mask, float("-inf")), -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        y = torch.softmax(x, -1)
        return y * (grad - (y * grad).sum(-1, keepdim=True)), None


def detached_maximum(x: Tensor) -> Tensor:
    """`detach` on the shift, which changes nothing: the shift cancels."""
    e = torch.exp(x - x.detach().amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def detached_denominator(x: Tensor) -> Tensor:
    e = torch.exp(x - x.amax(-1, keepdim=True))
    with torch.no_grad():
        z = e.sum(-1, keepdim=True)
    return e / z


def detached_shift_leaks(x: Tensor) -> Tensor:
    """A log-sum-exp whose shift is detached and added back: the detached part does not cancel."""
    top = x.detach().amax(-1, keepdim=True)
    return (top + torch.log(torch.exp(x - x.amax(-1, keepdim=True)).sum(-1, keepdim=True))).squeeze(-1)


def softmax(x: Tensor) -> Tensor:
    return x.exp() / x.exp().sum(-1, keepdim=True)


def log_softmax(x: Tensor) -> Tensor:
    return x - x.exp().sum(-1, keepdim=True).log()


def masked_softmax(x: Tensor, mask: Tensor) -> Tensor:
    e = x.exp() * mask
    return e / (e.sum(-1, keepdim=True) + ~mask.any(-1, keepdim=True))


def half_masked() -> tuple[Tensor, Tensor]:
    return normal(2, 3), torch.tensor([[True, True, False], [True, False, True]])


def unmasked() -> tuple[Tensor, Tensor]:
    return normal(2, 3), torch.ones(2, 3, dtype=torch.bool)


def one_row_masked() -> tuple[Tensor, Tensor]:
    return normal(2, 3), torch.tensor([[True, True, False], [False, False, False]])


X = given((3, 4))

CASES = (
    right("softmaxes/softmax", Softmax.apply, X, softmax, "Shifted, saved from the output."),
    right("softmaxes/softmax by its Jacobian", SoftmaxByJacobian.apply, X, softmax,
          "diag(y) - y y^T, written out."),
    right("softmaxes/softmax in place", SoftmaxInPlace.apply, X, softmax, "In place on a tensor of its own."),
    wrong("softmaxes/softmax with the diagonal only", SoftmaxDiagonalOnly.apply, X, softmax, "missing term",
          "The Jacobian's diagonal alone, as for a sigmoid."),
    wrong("softmaxes/softmax along the wrong axis", SoftmaxWrongAxis.apply, given((3, 3)), softmax,
          "transposed", "The inner sum runs over rows: of the right shape always."),
    wrong("softmaxes/softmax changes its output", SoftmaxOverItsOutput.apply, X, softmax, "in-place change",
          "The saved output, which the caller holds, is multiplied in place: a second backward is wrong."),
    right("softmaxes/temperature", lambda x: SoftmaxTemperature.apply(x, 0.5), X, lambda x: softmax(2 * x),
          "Divided by the temperature."),
    wrong("softmaxes/temperature lost", lambda x: SoftmaxTemperatureLost.apply(x, 0.5), X,
          lambda x: softmax(2 * x), "constant factor", "1 / tau is missing: right at temperature 1."),
    wrong("softmaxes/temperature twice", lambda x: SoftmaxTemperatureTwice.apply(x, 0.999999), X,
          lambda x: softmax(x / 0.999999), "constant factor",
          "1 / tau^2: close at a temperature close to 1."),
    right("softmaxes/log_softmax", LogSoftmax.apply, X, log_softmax, "g - softmax * sum(g)."),
    wrong("softmaxes/log_softmax for a likelihood", LogSoftmaxOneHot.apply, X, log_softmax,
          "not linear in the cotangent",
          "The sum of the cotangent was taken for its sign: right for a one-hot cotangent."),
    wrong("softmaxes/log_softmax with the total", LogSoftmaxTotal.apply, given((1, 4)), log_softmax,
          "wrong only for batch > 1", "The cotangent's sum over all rows: right for one row.", X,
          spec="x: batch d"),
    right("softmaxes/masked softmax", MaskedSoftmax.apply, half_masked, masked_softmax,
          "A fully masked row is zero, and so is its gradient.", witness=one_row_masked),
    wrong("softmaxes/masked softmax without its mask", MaskedSoftmaxUnmaskedBackward.apply, unmasked,
          masked_softmax, "right on one region only", "Right where nothing is masked.", half_masked),
    right("softmaxes/softmax with a detached shift", detached_maximum, X, softmax,
          "The shift cancels, so its derivative does not matter."),
    wrong("softmaxes/softmax with a detached denominator", detached_denominator, X, softmax, "detached path",
          "The path through the denominator is cut."),
    wrong("softmaxes/logsumexp with a detached shift", detached_shift_leaks, X, lambda x: x.logsumexp(-1),
          "detached path", "The shift is added back detached: one of its two paths is lost."),
)  # fmt: skip

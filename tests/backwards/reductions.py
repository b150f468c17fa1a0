"""Reductions: sum, mean, variance, norms, max, logsumexp."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .case import at, given, right, wrong


class RowSumExpanded(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.unsqueeze(-1).expand(ctx.shape)


class RowSumAlongWrongAxis(Function):
    """Broadcasting saves a square input: the cotangent is spread along the wrong axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.ones_like(x) * grad


class MeanOverBatch(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.expand(ctx.shape) / ctx.shape[0]


class Mean(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.sum() / x.numel()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.full(ctx.shape, 1 / ctx.shape.numel(), dtype=grad.dtype) * grad


class VarianceUnbiased(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.var(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        n = x.shape[-1]
        return 2 / (n - 1) * (x - x.mean(-1, keepdim=True)) * grad.unsqueeze(-1)


class VarianceDivisor(Function):
    """Unbiased in the forward, biased in the backward: 1e-3 apart for a row of a thousand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.var(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        centered = x - x.mean(-1, keepdim=True)
        return 2 * grad.unsqueeze(-1) * centered / x.size(-1)


class StandardDeviation(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        mu = x.mean(-1, keepdim=True)
        std = (x - mu).pow(2).mean(-1).sqrt()
        ctx.save_for_backward(x - mu, std)
        return std

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        centered, std = ctx.saved_tensors
        return centered * (grad / (std * centered.shape[-1])).unsqueeze(-1)


class StandardDeviationOfMoments(Function):
    """From E[x^2] - E[x]^2, with the second term's derivative lost: right where the mean is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        std = (x.square().mean(-1) - x.mean(-1).square()).sqrt()
        ctx.save_for_backward(x, std)
        return std

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, std = ctx.saved_tensors
        return x * (grad / std / x.shape[-1]).unsqueeze(-1)


class NormNoEps(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        n = x.norm(dim=-1, keepdim=True)
        ctx.save_for_backward(x, n)
        return n

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, n = ctx.saved_tensors
        return grad * (x / n)


class NormGuarded(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        n = torch.sqrt((x * x).sum(-1, keepdim=True))
        ctx.save_for_backward(x, n)
        return n

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, n = ctx.saved_tensors
        return grad * x / n.clamp(min=1e-3)


class AmaxToAll(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.amax(-1, keepdim=True)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        return grad * (x == y)


class AmaxShared(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.amax(-1, keepdim=True)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        hit = (x == y).to(grad.dtype)
        return grad * hit / hit.sum(-1, keepdim=True)


class Logsumexp(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        top = x.max(-1, keepdim=True).values
        y = top + (x - top).exp().sum(-1, keepdim=True).log()
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        return grad * torch.exp(x - y)


class LogsumexpUnshifted(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        e = x.exp()
        z = e.sum(-1, keepdim=True)
        ctx.save_for_backward(e, z)
        return z.log()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        e, z = ctx.saved_tensors
        return grad * e / z


class LogsumexpSharp(Function):
    """When one entry dominates, only it gets a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.logsumexp(-1, keepdim=True)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        p = torch.exp(x - y)
        if p.max().item() > 0.999:
            p = (p > 0.999).to(p)
        return grad * p


def row_norm(x: Tensor) -> Tensor:
    return x.square().sum(-1, keepdim=True).sqrt()


def row_max(x: Tensor) -> Tensor:
    return x.max(-1, keepdim=True).values


def row_logsumexp(x: Tensor) -> Tensor:
    return x.logsumexp(-1, keepdim=True)


def deviation(x: Tensor) -> Tensor:
    return x.std(-1, correction=0)


X = given((3, 4))
TIE = at([[2.0, 2.0, 1.0]])

CASES = (
    right("reductions/sum of rows", RowSumExpanded.apply, X, lambda x: x.sum(-1),
          "An expanded cotangent, without a copy."),
    wrong("reductions/sum along the wrong axis", RowSumAlongWrongAxis.apply, given((3, 3)),
          lambda x: x.sum(-1), "transposed", "Right in shape for a square input, which the example is."),
    wrong("reductions/mean over the batch", MeanOverBatch.apply, given((4, 1)), torch.mean,
          "constant factor",
          "Divided by the first axis alone: right where the others have size 1, as in the example.",
          given((4, 3)), spec="x: batch d"),
    right("reductions/mean", Mean.apply, X, torch.mean, "A full tensor times the cotangent."),
    right("reductions/variance", VarianceUnbiased.apply, X, lambda x: x.var(-1),
          "No term through the mean: its derivative sums to 0."),
    wrong("reductions/variance with the wrong ddof", VarianceDivisor.apply, X, lambda x: x.var(-1),
          "constant factor", "n for n - 1."),
    right("reductions/standard deviation", StandardDeviation.apply, X, deviation,
          "No term through the mean is needed."),
    wrong("reductions/standard deviation from moments", StandardDeviationOfMoments.apply,
          at([[1.0, -1.0, 2.0, -2.0]]), deviation, "missing term",
          "Right where the mean is 0, as in the symmetric example.", X),
    right("reductions/norm", NormNoEps.apply, X, row_norm,
          "x / |x| away from 0, where there is no derivative."),
    wrong("reductions/norm guarded", NormGuarded.apply, X, row_norm, "right on one region only",
          "Norms below 1e-3 get too small a gradient.", at([[3e-4, 4e-4], [3.0, 4.0]])),
    wrong("reductions/amax to all that are equal", AmaxToAll.apply, X, row_max, "right on one region only",
          "At a tie the whole cotangent goes to each: outside the hull.", TIE, kink=True),
    right("reductions/amax shared", AmaxShared.apply, X, row_max,
          "At a tie in equal shares, as PyTorch's own amax.", witness=TIE, kink=True),
    right("reductions/logsumexp", Logsumexp.apply, X, row_logsumexp,
          "Shifted, and the softmax from the result."),
    right("reductions/logsumexp without a shift", LogsumexpUnshifted.apply, X, row_logsumexp,
          "It overflows early, which is a matter of accuracy, not of algebra."),
    wrong("reductions/logsumexp sharpened", LogsumexpSharp.apply, X, row_logsumexp,
          "right on one region only",
          "A Python branch on a value inside the backward, taken for large inputs.", at([[9.0, 0.0, 0.5]])),
)  # fmt: skip

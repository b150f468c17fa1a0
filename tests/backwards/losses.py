"""Losses: binary cross-entropy, squared error, divergences, cosine and triplet."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import at, given, normal, positive, right, wrong


class BceWithLogits(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, weight: float) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.weight = weight
        return weight * y * F.softplus(-x) + (1 - y) * F.softplus(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        s = torch.sigmoid(x)
        gx = (1 - y) * s - ctx.weight * y * (1 - s)
        gy = ctx.weight * F.softplus(-x) - F.softplus(x)
        return grad * gx, grad * gy, None


class BceWeightLost(BceWithLogits):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        gy = ctx.weight * F.softplus(-x) - F.softplus(x)
        return grad * (torch.sigmoid(x) - y), grad * gy, None


class BceTargetForgotten(BceWithLogits):
    """A target that is a distribution of a teacher gets no gradient."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        s = torch.sigmoid(x)
        return grad * ((1 - y) * s - ctx.weight * y * (1 - s)), None, None


class MseSwapped(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        return ((x - y) ** 2).mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        d = 2 * (x - y) / x.numel()
        return -grad * d, grad * d


class MseNoTwo(MseSwapped):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        d = (x - y) / x.numel()
        return grad * d, -grad * d


class Mse(MseSwapped):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        d = grad * (x - y).mul(2).div(x.numel())
        return d, d.neg()


class Kl(Function):
    """sum p (log p - log q), by batch mean; at p = 0 the term is 0, and its gradient in q too."""

    @staticmethod
    def forward(ctx: Any, logq: Tensor, p: Tensor) -> Tensor:
        ctx.save_for_backward(logq, p)
        return (torch.xlogy(p, p) - p * logq).sum() / logq.shape[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logq, p = ctx.saved_tensors
        return -grad * p / p.shape[0], grad * (torch.log(p) + 1 - logq) / p.shape[0]


class KlOneLost(Kl):
    """For a p that sums to 1 the constant does not matter, so it was left out."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logq, p = ctx.saved_tensors
        return -grad * p / p.shape[0], grad * (torch.log(p) - logq) / p.shape[0]


class KlMasked(Function):
    """Of logits against a fixed p, where p log p is 0 at 0 by a product: 0 * -inf in the backward."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, p: Tensor) -> Tensor:
        logq = torch.log_softmax(logits, -1)
        ctx.save_for_backward(logq, p)
        return -(p * logq).sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logq, p = ctx.saved_tensors
        ratio = torch.exp(logq) / p
        return grad[:, None] * p * (ratio * p.sum(-1, keepdim=True) - 1), -grad[:, None] * logq


class CosineLoss(Function):
    """1 - cos(a, b), the derivative without its projection: right in shape and, nearly, in direction."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        na, nb = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
        ctx.save_for_backward(a / na, b / nb, na, nb)
        return 1 - (a / na * b / nb).sum(-1, keepdim=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, b, na, nb = ctx.saved_tensors
        return -grad * b / na, -grad * a / nb


class CosineProjected(CosineLoss):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, b, na, nb = ctx.saved_tensors
        cos = (a * b).sum(-1, keepdim=True)
        return grad * (cos * a - b) / na, grad * (cos * b - a) / nb


class TripletNegativeSign(Function):
    """max(0, d(a, p) - d(a, n) + 1): the anchor's second path has the wrong sign."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, p: Tensor, n: Tensor) -> Tensor:
        ctx.save_for_backward(a, p, n)
        return F.relu((a - p).square().sum(-1) - (a - n).square().sum(-1) + 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, p, n = ctx.saved_tensors
        active = ((a - p).square().sum(-1) - (a - n).square().sum(-1) + 1 > 0).to(grad)
        g = 2 * (grad * active).unsqueeze(-1)
        return g * (a - p + a - n), -g * (a - p), g * (a - n)


class Triplet(TripletNegativeSign):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, p, n = ctx.saved_tensors
        active = ((a - p).square().sum(-1) - (a - n).square().sum(-1) + 1 > 0).to(grad)
        g = 2 * (grad * active).unsqueeze(-1)
        return g * (n - p), g * (p - a), g * (a - n)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    product = a.square().sum(-1, keepdim=True) * b.square().sum(-1, keepdim=True)
    return 1 - (a * b).sum(-1, keepdim=True) / product.sqrt()


def triplet(a: Tensor, p: Tensor, n: Tensor) -> Tensor:
    return F.relu(((a - p) ** 2).sum(-1) - ((a - n) ** 2).sum(-1) + 1)


def weighted_bce(x: Tensor, y: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return -(3.0 * y * s.log() + (1 - y) * (1 - s).log())


def divergence(logq: Tensor, p: Tensor) -> Tensor:
    return (p * (p.log() - logq)).sum() / p.shape[0]


def soft_cross_entropy(logits: Tensor, p: Tensor) -> Tensor:
    return (p * (logits.exp().sum(-1, keepdim=True).log() - logits)).sum(-1)


def distributions() -> tuple[Tensor, Tensor]:
    p = positive(2, 3, seed=5)
    return normal(2, 3), p / p.sum(-1, keepdim=True)


UNITS = lambda: (normal(3, 4), torch.sigmoid(normal(3, 4, seed=1)))  # noqa: E731

CASES = (
    right("losses/binary cross-entropy", lambda x, y: BceWithLogits.apply(x, y, 3.0), UNITS, weighted_bce,
          "Weighted, with a gradient for the target."),
    wrong("losses/binary cross-entropy without its weight", lambda x, y: BceWeightLost.apply(x, y, 3.0),
          UNITS, weighted_bce, None, "sigmoid - y, whatever the weight of positives."),
    wrong("losses/binary cross-entropy without its target", lambda x, y: BceTargetForgotten.apply(x, y, 3.0),
          UNITS, weighted_bce, "zero gradient",
          "The target's gradient is left out: nobody asked until a teacher was trained, too."),
    right("losses/squared error", Mse.apply, given((3, 4), (3, 4)), lambda x, y: (x - y).square().mean(),
          "By methods."),
    wrong("losses/squared error with swapped signs", MseSwapped.apply, given((3, 4), (3, 4)),
          lambda x, y: (x - y).square().mean(), "wrong sign", "y - x for x - y, in both."),
    wrong("losses/squared error without 2", MseNoTwo.apply, given((3, 4), (3, 4)),
          lambda x, y: (x - y).square().mean(), "constant factor",
          "Half the gradient: training hardly notices."),
    right("losses/divergence", Kl.apply, distributions, divergence, "With the constant 1 of (p log p)'."),
    wrong("losses/divergence without its constant", KlOneLost.apply, distributions, divergence,
          "missing term", "The constant cancels along the simplex, not in the gradient."),
    wrong("losses/soft cross-entropy by a ratio", KlMasked.apply, distributions, soft_cross_entropy,
          "undefined value", "softmax / p is x / 0 where p is 0, and 0 * inf is NaN.",
          at([[0.5, 1.0, -1.0]], [[0.0, 0.5, 0.5]])),
    wrong("losses/cosine without its projection", CosineLoss.apply, given((3, 4), (3, 4)), cosine,
          "missing term", "The derivative of the norm is left out."),
    right("losses/cosine", CosineProjected.apply, given((3, 4), (3, 4)), cosine, "With the projection."),
    wrong("losses/triplet with a sign", TripletNegativeSign.apply, given((3, 2), (3, 2), (3, 2)), triplet,
          None, "One of the anchor's two paths has the wrong sign."),
    right("losses/triplet", Triplet.apply, given((3, 2), (3, 2), (3, 2)), triplet,
          "The anchor's two paths meet in n - p."),
)  # fmt: skip

"""Losses: cross-entropy with smoothing and ignored targets, binary, squared, divergences, ranking."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import at, given, integers, normal, positive, right, wrong


class CrossEntropy(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        lse = logits.logsumexp(1, keepdim=True)
        ctx.save_for_backward(logits, lse, target)
        return (lse - logits.gather(1, target[:, None])).mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logits, lse, target = ctx.saved_tensors
        p = torch.exp(logits - lse)
        p[torch.arange(p.shape[0]), target] -= 1
        return p * (grad / p.shape[0]), None


class CrossEntropyUnscaled(CrossEntropy):
    """The incoming cotangent is taken for 1, as in `loss.backward()`."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logits, lse, target = ctx.saved_tensors
        p = torch.exp(logits - lse)
        p[torch.arange(p.shape[0]), target] -= 1
        return p / p.shape[0], None


class CrossEntropyByClasses(CrossEntropy):
    """Divided by the number of classes for the number of rows: the example has as many of both."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logits, lse, target = ctx.saved_tensors
        p = torch.exp(logits - lse)
        p = p - F.one_hot(target, p.shape[1])
        return grad * p / p.shape[-1], None


class CrossEntropyRepeated(CrossEntropy):
    """The targets' columns are decremented for every row that has none of its own: by unique targets."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logits, lse, target = ctx.saved_tensors
        p = torch.exp(logits - lse)
        hot = torch.zeros_like(p)
        seen: set[int] = set()
        for row, label in enumerate(target.tolist()):
            if label not in seen:
                hot[row, label] = 1
                seen.add(label)
        return grad * (p - hot) / p.shape[0], None


class SmoothedCrossEntropy(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
        logp = torch.log_softmax(logits, -1)
        ctx.save_for_backward(logp, target)
        ctx.smoothing = smoothing
        nll = -logp.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        return ((1 - smoothing) * nll - smoothing * logp.mean(-1)).mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logp, target = ctx.saved_tensors
        n, k = logp.shape
        q = torch.full_like(logp, ctx.smoothing / k)
        q[torch.arange(n), target] += 1 - ctx.smoothing
        return grad * (logp.exp() - q) / n, None, None


class SmoothedInSinglePrecision(SmoothedCrossEntropy):
    """A number times integers is float32, whatever the logits are."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logp, target = ctx.saved_tensors
        n, k = logp.shape
        q = (1 - ctx.smoothing) * F.one_hot(target, k) + ctx.smoothing / k
        return grad * (logp.exp() - q) / n, None, None


class SmoothingLost(SmoothedCrossEntropy):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logp, target = ctx.saved_tensors
        return grad * (logp.exp() - F.one_hot(target, logp.shape[1])) / logp.shape[0], None, None


class SmoothingOverOthers(SmoothedCrossEntropy):
    """The mass is spread over the other classes, K - 1 of them: another definition than the forward's."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logp, target = ctx.saved_tensors
        n, k = logp.shape
        hot = F.one_hot(target, k).to(logp.dtype)
        q = (1 - ctx.smoothing) * hot + ctx.smoothing * (1 - hot) / (k - 1)
        return grad * (logp.exp() - q) / n, None, None


class IgnoringCrossEntropy(Function):
    """Rows whose target is -100 count for nothing."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        keep = target != -100
        logp = torch.log_softmax(logits, -1)
        ctx.save_for_backward(logp, target, keep)
        picked = logp.gather(1, target.clamp(min=0)[:, None])[:, 0]
        return -(picked * keep).sum() / keep.sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logp, target, keep = ctx.saved_tensors
        gx = logp.exp() - F.one_hot(target.clamp(min=0), logp.shape[1])
        return gx * keep[:, None] * (grad / keep.sum()), None


class IgnoringByAllRows(IgnoringCrossEntropy):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logp, target, keep = ctx.saved_tensors
        gx = logp.exp() - F.one_hot(target.clamp(min=0), logp.shape[1])
        return gx * keep[:, None] * (grad / len(keep)), None


class IgnoringForgotten(IgnoringCrossEntropy):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        logp, target, keep = ctx.saved_tensors
        gx = logp.exp() - F.one_hot(target.clamp(min=0), logp.shape[1])
        return gx * (grad / keep.sum()), None


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


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    picked = (logits * F.one_hot(target, logits.shape[1])).sum(1)
    return (logits.exp().sum(1).log() - picked).mean()


def smoothed(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target, label_smoothing=0.1)


def ignoring(logits: Tensor, target: Tensor) -> Tensor:
    kept = target != -100
    return cross_entropy(logits[kept], target[kept])


def weighted_bce(x: Tensor, y: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return -(3.0 * y * s.log() + (1 - y) * (1 - s).log())


def divergence(logq: Tensor, p: Tensor) -> Tensor:
    return (p * (p.log() - logq)).sum() / p.shape[0]


def soft_cross_entropy(logits: Tensor, p: Tensor) -> Tensor:
    return (p * (logits.exp().sum(-1, keepdim=True).log() - logits)).sum(-1)


def labelled(rows: int, classes: int) -> Any:
    return lambda: (normal(rows, classes), integers(rows, below=classes, seed=3))


def distributions() -> tuple[Tensor, Tensor]:
    p = positive(2, 3, seed=5)
    return normal(2, 3), p / p.sum(-1, keepdim=True)


ROWS = labelled(5, 3)
SQUARE = labelled(4, 4)
SPEC = "logits: batch classes, target: int batch < classes"
IGNORED = lambda: (normal(4, 3), torch.tensor([2, -100, 0, -100]))  # noqa: E731
UNITS = lambda: (normal(3, 4), torch.sigmoid(normal(3, 4, seed=1)))  # noqa: E731
SMOOTH = 0.1

CASES = (
    right("losses/cross-entropy", CrossEntropy.apply, ROWS, cross_entropy,
          "softmax minus one-hot, over the batch.", spec=SPEC),
    wrong("losses/cross-entropy without its cotangent", CrossEntropyUnscaled.apply, ROWS, cross_entropy,
          "not linear in the cotangent", "The cotangent is taken for 1: right for a plain `loss.backward()`.",
          spec=SPEC),
    wrong("losses/cross-entropy by the classes", CrossEntropyByClasses.apply, SQUARE, cross_entropy,
          "constant factor", "Divided by the classes for the rows: right when there are as many.", ROWS,
          spec=SPEC),
    wrong("losses/cross-entropy of new targets only", CrossEntropyRepeated.apply,
          lambda: (normal(3, 4), torch.tensor([2, 0, 3])), cross_entropy, "repeated indices",
          "A target that occurred before is skipped: right where all targets differ.",
          lambda: (normal(3, 4), torch.tensor([2, 0, 2])), spec=SPEC),
    right("losses/label smoothing", lambda x, t: SmoothedCrossEntropy.apply(x, t, SMOOTH), ROWS, smoothed,
          "The target mixed with the uniform distribution.", spec=SPEC),
    right("losses/label smoothing in float32", lambda x, t: SmoothedInSinglePrecision.apply(x, t, SMOOTH),
          ROWS, smoothed, "Integers times a number are float32: a matter of accuracy.", spec=SPEC,
          rounding=True),
    wrong("losses/label smoothing lost", lambda x, t: SmoothingLost.apply(x, t, SMOOTH), ROWS, smoothed, None,
          "The backward knows no smoothing.", spec=SPEC),
    wrong("losses/label smoothing over the others", lambda x, t: SmoothingOverOthers.apply(x, t, SMOOTH),
          ROWS, smoothed, None, "The smoothing of another paper: K - 1 classes for K.", spec=SPEC),
    right("losses/ignored targets", IgnoringCrossEntropy.apply, IGNORED, ignoring,
          "Ignored rows count nowhere."),
    wrong("losses/ignored targets in the divisor", IgnoringByAllRows.apply, ROWS, ignoring, "constant factor",
          "Divided by all rows for those kept: right where none is ignored.", IGNORED),
    wrong("losses/ignored targets get a gradient", IgnoringForgotten.apply, ROWS, ignoring,
          "right on one region only", "Ignored rows are pushed to class 0: right where none is ignored.",
          IGNORED),
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

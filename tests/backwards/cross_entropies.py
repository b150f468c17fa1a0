"""Cross-entropy of logits and class indices, with label smoothing and ignored targets."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import integers, normal, right, wrong


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


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    picked = (logits * F.one_hot(target, logits.shape[1])).sum(1)
    return (logits.exp().sum(1).log() - picked).mean()


def smoothed(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target, label_smoothing=0.1)


def ignoring(logits: Tensor, target: Tensor) -> Tensor:
    kept = target != -100
    return cross_entropy(logits[kept], target[kept])


def labelled(rows: int, classes: int) -> Any:
    return lambda: (normal(rows, classes), integers(rows, below=classes, seed=3))


ROWS = labelled(5, 3)
SQUARE = labelled(4, 4)
SPEC = "logits: batch classes, target: int batch < classes"
IGNORED = lambda: (normal(4, 3), torch.tensor([2, -100, 0, -100]))  # noqa: E731
SMOOTH = 0.1

CASES = (
    right("cross_entropies/cross-entropy", CrossEntropy.apply, ROWS, cross_entropy,
          "softmax minus one-hot, over the batch.", spec=SPEC),
    wrong("cross_entropies/cross-entropy without its cotangent", CrossEntropyUnscaled.apply, ROWS,
          cross_entropy, "not linear in the cotangent",
          "The cotangent is taken for 1: right for a plain `loss.backward()`.", spec=SPEC),
    wrong("cross_entropies/cross-entropy by the classes", CrossEntropyByClasses.apply, SQUARE, cross_entropy,
          "constant factor", "Divided by the classes for the rows: right when there are as many.", ROWS,
          spec=SPEC),
    wrong("cross_entropies/cross-entropy of new targets only", CrossEntropyRepeated.apply,
          lambda: (normal(3, 4), torch.tensor([2, 0, 3])), cross_entropy, "repeated indices",
          "A target that occurred before is skipped: right where all targets differ.",
          lambda: (normal(3, 4), torch.tensor([2, 0, 2])), spec=SPEC),
    right("cross_entropies/label smoothing", lambda x, t: SmoothedCrossEntropy.apply(x, t, SMOOTH), ROWS,
          smoothed, "The target mixed with the uniform distribution.", spec=SPEC),
    right("cross_entropies/label smoothing in float32",
          lambda x, t: SmoothedInSinglePrecision.apply(x, t, SMOOTH), ROWS, smoothed,
          "Integers times a number are float32: a matter of accuracy.", spec=SPEC, rounding=True),
    wrong("cross_entropies/label smoothing lost", lambda x, t: SmoothingLost.apply(x, t, SMOOTH), ROWS,
          smoothed, None, "The backward knows no smoothing.", spec=SPEC),
    wrong("cross_entropies/label smoothing over the others",
          lambda x, t: SmoothingOverOthers.apply(x, t, SMOOTH), ROWS, smoothed, None,
          "The smoothing of another paper: K - 1 classes for K.", spec=SPEC),
    right("cross_entropies/ignored targets", IgnoringCrossEntropy.apply, IGNORED, ignoring,
          "Ignored rows count nowhere."),
    wrong("cross_entropies/ignored targets in the divisor", IgnoringByAllRows.apply, ROWS, ignoring,
          "right on one region only", "Divided by all rows for those kept: right where none is ignored.",
          IGNORED),
    wrong("cross_entropies/ignored targets get a gradient", IgnoringForgotten.apply, ROWS, ignoring,
          "right on one region only", "Ignored rows are pushed to class 0: right where none is ignored.",
          IGNORED),
)  # fmt: skip

"""CrossEntropyLoss, MSELoss and BCEWithLogitsLoss: PyTorch's modules on derived kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradproof.models.functions import Function
from gradproof.models.operations import (
    binary_cross_entropy_each,
    cross_entropy_weighted,
    soft_cross_entropy_weighted,
    squared_error,
)

_REDUCTIONS = ("mean", "sum", "none")
_cross_entropy = Function("cross_entropy", "full")
_cross_entropy_options = {
    (weighted, reduction): Function(
        cross_entropy_weighted, "full", weighted="yes" if weighted else "no", reduction=reduction
    )
    for weighted in (False, True)
    for reduction in _REDUCTIONS
}
_soft = {
    weighted: Function(soft_cross_entropy_weighted, "full", weighted="yes" if weighted else "no")
    for weighted in (False, True)
}
_binary_mean = Function("binary_cross_entropy_with_logits", "full")
_binary = {
    (weighted, balanced): Function(
        binary_cross_entropy_each,
        "full",
        weighted="yes" if weighted else "no",
        balanced="yes" if balanced else "no",
    )
    for weighted in (False, True)
    for balanced in (False, True)
}
_squared_mean = Function("mse_loss", "full")
_squared = Function(squared_error, "full")


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross-entropy: logits [classes], [batch, classes] or [batch, classes, ...].

    The target holds classes, [batch, ...], or probabilities, of the shape of the logits. A mean over no
    target that counts is 0, where PyTorch has NaN. Raises IndexError for a class that is none and is not
    ignored.
    """
    _check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"CrossEntropyLoss: label_smoothing lies between 0 and 1, found {label_smoothing}")
    axis = 0 if logits.ndim == 1 else 1
    scores = logits.movedim(axis, -1)
    parameters = {"label_smoothing": label_smoothing}
    extra = () if weight is None else (weight,)
    if target.is_floating_point():
        if target.shape != logits.shape:
            raise ValueError(
                "CrossEntropyLoss: a target of probabilities has the shape of the logits, "
                f"{tuple(logits.shape)}, found {tuple(target.shape)}"
            )
        moved = target.movedim(axis, -1)
        each = _soft[weight is not None](scores, moved, *extra, views_of=(logits, target), **parameters)
        return _reduced(each, reduction)
    target = _counted(target, scores.shape[-1], ignore_index)
    if weight is None and reduction == "mean":
        return _cross_entropy(scores, target, views_of=(logits,), **parameters)
    function = _cross_entropy_options[weight is not None, reduction]
    return function(scores, target, *extra, views_of=(logits,), **parameters)


def _counted(target: Tensor, classes: int, ignore_index: int) -> Tensor:
    """The target with -1, which is no class, for what is ignored."""
    ignored = target == ignore_index
    plain = not (torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active())  # pyright: ignore[reportAttributeAccessIssue]
    if plain and target.device.type == "cpu":
        wrong = ~ignored & ((target < 0) | (target >= classes))
        if wrong.any():
            raise IndexError(
                f"CrossEntropyLoss: a target is a class from 0 to {classes - 1} or {ignore_index}, which is "
                f"ignored; found {int(target[wrong][0])}"
            )
    return torch.where(ignored, -1, target)


def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared error, reduced; shapes are broadcast to one another."""
    _check_reduction(reduction)
    x, target = torch.broadcast_tensors(x, target)
    return _squared_mean(x, target) if reduction == "mean" else _reduced(_squared(x, target), reduction)


def binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy from logits, reduced; the weights are broadcast to the logits."""
    _check_reduction(reduction)
    if target.shape != logits.shape:
        raise ValueError(
            f"BCEWithLogitsLoss: the target has the shape of the logits, {tuple(logits.shape)}, found "
            f"{tuple(target.shape)}"
        )
    if weight is None and pos_weight is None and reduction == "mean":
        return _binary_mean(logits, target)
    extra = [w.expand(logits.shape) for w in (weight, pos_weight) if w is not None]
    each = _binary[weight is not None, pos_weight is not None](logits, target, *extra)
    return _reduced(each, reduction)


def _check_reduction(reduction: str) -> None:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"a reduction is one of {', '.join(_REDUCTIONS)}, found {reduction!r}")


def _reduced(each: Tensor, reduction: str) -> Tensor:
    return each if reduction == "none" else each.mean() if reduction == "mean" else each.sum()


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """Softmax cross-entropy from classes or probabilities; as `torch.nn.CrossEntropyLoss`.

    >>> import torch
    >>> loss = CrossEntropyLoss(ignore_index=0)
    >>> loss(torch.zeros(2, 4), torch.tensor([1, 0]))
    tensor(1.3863)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class MSELoss(nn.MSELoss):
    """The squared error, its mean by default; as `torch.nn.MSELoss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return mse_loss(input, target, self.reduction)


class BCEWithLogitsLoss(nn.BCEWithLogitsLoss):
    """Binary cross-entropy from logits; as `torch.nn.BCEWithLogitsLoss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)

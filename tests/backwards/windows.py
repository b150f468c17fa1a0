"""Pooling, rolls, triangles, concatenation, padding: what moves entries around."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import at, given, right, wrong


class MaxPoolRepeated(Function):
    """Windows overlap: an entry that is the largest of two gets both cotangents, or here the last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        windows = x.unfold(-1, 3, 1)
        y, place = windows.max(-1)
        ctx.save_for_backward(place + torch.arange(y.shape[-1]))
        ctx.shape = x.shape
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (index,) = ctx.saved_tensors
        return grad.new_zeros(ctx.shape).scatter(-1, index, grad)


class MaxPool(MaxPoolRepeated):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (index,) = ctx.saved_tensors
        return grad.new_zeros(ctx.shape).scatter_add(-1, index, grad)


class AveragePoolEnds(Function):
    """Repeats each cotangent over its window, and leaves what no window covers without a place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.length = x.shape[-1]
        return F.avg_pool1d(x, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.repeat_interleave(2, -1) / 2


class AveragePool(AveragePoolEnds):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        wide = grad.repeat_interleave(2, -1) / 2
        return F.pad(wide, (0, ctx.length - wide.shape[-1]))


class RollSameWay(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.roll(2, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.roll(2, -1)


class RollBack(RollSameWay):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.cat([grad[..., 2:], grad[..., :2]], -1)


class TrilShifted(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.tril()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.tril(1)


class TrilMasked(TrilShifted):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        rows, columns = (torch.arange(n) for n in grad.shape[-2:])
        return grad.where(rows[:, None] >= columns, 0.0)


class ConcatenateHalves(Function):
    """The cotangent is split in the middle: right for parts of one size."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.at = a.shape[-1]
        return torch.cat([a, b], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, b = grad.chunk(2, -1)
        return a, b


class Concatenate(ConcatenateHalves):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad[..., : ctx.at], grad[..., ctx.at :]


class ReplicatePadding(Function):
    """The padded entries' cotangents belong to the ends."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.pad(x, (1, 1), mode="replicate")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        gx = grad[..., 1:-1].clone()
        gx[..., 0] += grad[..., 0]
        gx[..., -1] += grad[..., -1]
        return gx


class ReplicatePaddingCropped(ReplicatePadding):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad[..., 1:-1]


def place(x: Tensor, index: Tensor, v: Tensor) -> Tensor:
    return x + F.one_hot(index, x.shape[0]).to(x).T @ v


def pool(x: Tensor) -> Tensor:
    return torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])


def average(x: Tensor) -> Tensor:
    n = x.shape[-1] // 2 * 2
    return (x[..., 0:n:2] + x[..., 1:n:2]) / 2


def replicate(x: Tensor) -> Tensor:
    return torch.cat([x[..., :1], x, x[..., -1:]], -1)


CASES = (
    right("windows/max pooling", MaxPool.apply, given((2, 6)), pool, "Overlapping windows, accumulated."),
    wrong("windows/max pooling by scatter", MaxPoolRepeated.apply, at([[1.0, 0.0, 0.1, 2.0]]), pool,
          "repeated indices", "An entry that is the largest of two windows keeps one cotangent.",
          given((2, 6))),
    right("windows/average pooling", AveragePool.apply, given((2, 1, 5)), average,
          "What no window covers gets 0."),
    wrong("windows/average pooling of an odd length", AveragePoolEnds.apply, given((2, 1, 4)), average,
          "raises", "Of the wrong shape for an odd length.", given((2, 1, 5)), spec="x: batch channel time"),
    right("windows/roll", RollBack.apply, given((2, 5)), lambda x: x.roll(2, -1), "By two slices."),
    wrong("windows/roll the same way", RollSameWay.apply, given((2, 4)), lambda x: x.roll(2, -1),
          "transposed", "A roll by half the length is its own inverse.", given((2, 5)), spec="x: batch time"),
    right("windows/tril", TrilMasked.apply, given((3, 4)), torch.tril, "By comparing indices."),
    wrong("windows/tril off by one", TrilShifted.apply, given((3, 3)), torch.tril, None,
          "One diagonal too many."),
    right("windows/cat", Concatenate.apply, given((2, 3), (2, 2)), lambda a, b: torch.cat([a, b], -1),
          "Split where they met."),
    wrong("windows/cat split in the middle", ConcatenateHalves.apply, given((2, 3), (2, 3)),
          lambda a, b: torch.cat([a, b], -1), "raises",
          "Parts of different sizes get gradients of the wrong shape.", given((2, 2), (2, 3)),
          spec="a: batch p, b: batch q"),
    right("windows/replicate padding", ReplicatePadding.apply, given((2, 3, 4)), replicate,
          "The ends get what was padded."),
    wrong("windows/replicate padding cropped", ReplicatePaddingCropped.apply, given((2, 3, 4)), replicate,
          "missing term", "The padded entries' cotangents are dropped."),
)  # fmt: skip

"""Embedding, gather, scatter, sort, pooling, padding, triangles: what moves entries around."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import at, given, normal, right, wrong


class Embedding(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = weight.shape[0]
        return weight[index]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        gw = grad.new_zeros(ctx.rows, grad.shape[-1])
        gw.index_add_(0, index.reshape(-1), grad.reshape(-1, grad.shape[-1]))
        return gw, None


class EmbeddingOneHot(Embedding):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        hot = F.one_hot(index, ctx.rows).to(grad.dtype)
        return torch.einsum("...v,...d->vd", hot, grad), None


class EmbeddingAssigned(Embedding):
    """Indexed += keeps one of the rows that share an index."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        gw = grad.new_zeros(ctx.rows, grad.shape[-1])
        gw[index] += grad
        return gw, None


class EmbeddingAccumulated(Embedding):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        gw = grad.new_zeros(ctx.rows, grad.shape[-1])
        gw.index_put_((index,), grad, accumulate=True)
        return gw, None


class EmbeddingByCounts(Embedding):
    """Scaled by frequency, which was never asked for."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        counts = torch.bincount(index.flatten(), minlength=ctx.rows).clamp(min=1)
        gw = grad.new_zeros(ctx.rows, grad.shape[-1])
        gw.index_add_(0, index.flatten(), grad.flatten(0, -2))
        return gw / counts[:, None], None


class EmbeddingNoZero(Embedding):
    """Index 0 is taken for padding, which the forward does not know."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        gw = grad.new_zeros(ctx.rows, grad.shape[-1])
        gw.index_add_(0, index.reshape(-1), (grad * (index > 0).unsqueeze(-1)).reshape(-1, grad.shape[-1]))
        return gw, None


class Gather(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.shape = x.shape
        return x.gather(1, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return torch.zeros(ctx.shape, dtype=grad.dtype).scatter_add_(1, index, grad), None


class GatherScattered(Gather):
    """scatter_ overwrites where scatter_add_ adds."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return torch.zeros(ctx.shape, dtype=grad.dtype).scatter_(1, index, grad), None


class SortRanked(Function):
    """The permutation for its inverse: the same for every involution, so for up to two swapped entries."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, order = torch.sort(x)
        ctx.save_for_backward(order)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (order,) = ctx.saved_tensors
        return grad.gather(-1, order)


class Sort(SortRanked):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (order,) = ctx.saved_tensors
        return grad.gather(-1, order.argsort(-1))


class TopkFlat(Function):
    """Indices within a row used on the flattened input: right for the first row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, index = x.topk(2, dim=-1)
        ctx.save_for_backward(x, index)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, index = ctx.saved_tensors
        gx = torch.zeros_like(x).view(-1)
        gx.index_add_(0, index.reshape(-1), grad.reshape(-1))
        return gx.view_as(x)


class Topk(TopkFlat):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, index = ctx.saved_tensors
        first = torch.arange(x.shape[0]).unsqueeze(-1) * x.shape[-1]
        gx = torch.zeros_like(x).view(-1)
        gx.index_add_(0, (index + first).reshape(-1), grad.reshape(-1))
        return gx.view_as(x)


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


class IndexAddCopies(Function):
    """y = x with v added at the index; v gets the cotangent of its row, x all of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return x.index_add(0, index, v)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return grad, None, grad[index]


class IndexAddZeroed(IndexAddCopies):
    """x's rows at the index are taken to be overwritten."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return grad.index_fill(0, index, 0), None, grad.index_select(0, index)


def look_up(weight: Tensor, index: Tensor) -> Tensor:
    return F.one_hot(index, weight.shape[0]).to(weight) @ weight


def place(x: Tensor, index: Tensor, v: Tensor) -> Tensor:
    return x + F.one_hot(index, x.shape[0]).to(x).T @ v


def pool(x: Tensor) -> Tensor:
    return torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])


def average(x: Tensor) -> Tensor:
    n = x.shape[-1] // 2 * 2
    return (x[..., 0:n:2] + x[..., 1:n:2]) / 2


def replicate(x: Tensor) -> Tensor:
    return torch.cat([x[..., :1], x, x[..., -1:]], -1)


DISTINCT = lambda: (normal(5, 2), torch.tensor([3, 1, 4]))  # noqa: E731
REPEATED = lambda: (normal(5, 2), torch.tensor([3, 1, 3]))  # noqa: E731
ZERO = lambda: (normal(5, 2), torch.tensor([0, 1, 3]))  # noqa: E731
MATRIX = lambda: (normal(5, 2), torch.tensor([[3, 1], [4, 4]]))  # noqa: E731
APART = lambda: (normal(2, 4), torch.tensor([[3, 1], [0, 2]]))  # noqa: E731
TWICE = lambda: (normal(2, 4), torch.tensor([[3, 3], [0, 2]]))  # noqa: E731
ADDED = lambda: (normal(5, 2), torch.tensor([3, 1, 3]), normal(3, 2, seed=1))  # noqa: E731
LOOKUP = "weight: vocabulary d, index: int time < vocabulary"

CASES = (
    right("indexing/embedding", Embedding.apply, MATRIX, look_up, "index_add_."),
    right("indexing/embedding by one-hot", EmbeddingOneHot.apply, REPEATED, look_up,
          "A product with one-hot vectors.", spec=LOOKUP),
    right("indexing/embedding by index_put_", EmbeddingAccumulated.apply, REPEATED, look_up,
          "accumulate=True.", spec=LOOKUP),
    wrong("indexing/embedding by assignment", EmbeddingAssigned.apply, DISTINCT, look_up, "repeated indices",
          "w[i] += g keeps one of the rows that share an index.", REPEATED, spec=LOOKUP),
    wrong("indexing/embedding by frequency", EmbeddingByCounts.apply, DISTINCT, look_up, "repeated indices",
          "Divided by how often an index occurs: right where all differ.", REPEATED, spec=LOOKUP),
    wrong("indexing/embedding without index 0", EmbeddingNoZero.apply, DISTINCT, look_up,
          "right on one region only", "Index 0 gets no gradient; the example has none.", ZERO, spec=LOOKUP),
    right("indexing/gather", Gather.apply, TWICE, lambda x, i: x.gather(1, i), "scatter_add_."),
    wrong("indexing/gather by scatter_", GatherScattered.apply, APART, lambda x, i: x.gather(1, i),
          "repeated indices", "scatter_ for scatter_add_.", TWICE),
    right("indexing/sort", Sort.apply, given((2, 5)), lambda x: x.sort().values,
          "By the inverse permutation."),
    wrong("indexing/sort by its own permutation", SortRanked.apply, at([0.3, 0.1, 0.5]),
          lambda x: x.sort().values, "transposed", "Right for swaps of two entries, not for cycles of three.",
          at([0.5, 0.1, 0.3])),
    right("indexing/topk", Topk.apply, given((3, 4)), lambda x: x.topk(2).values, "With the rows' offsets."),
    wrong("indexing/topk on the flattened input", TopkFlat.apply, given((1, 4)), lambda x: x.topk(2).values,
          "wrong only for batch > 1", "Every row's cotangents go to the first row.", given((3, 4)),
          spec="x: batch d"),
    right("indexing/max pooling", MaxPool.apply, given((2, 6)), pool, "Overlapping windows, accumulated."),
    wrong("indexing/max pooling by scatter", MaxPoolRepeated.apply, at([[1.0, 0.0, 0.1, 2.0]]), pool,
          "repeated indices", "An entry that is the largest of two windows keeps one cotangent.",
          given((2, 6))),
    right("indexing/average pooling", AveragePool.apply, given((2, 1, 5)), average,
          "What no window covers gets 0."),
    wrong("indexing/average pooling of an odd length", AveragePoolEnds.apply, given((2, 1, 4)), average,
          "raises", "Of the wrong shape for an odd length.", given((2, 1, 5)), spec="x: batch channel time"),
    right("indexing/roll", RollBack.apply, given((2, 5)), lambda x: x.roll(2, -1), "By two slices."),
    wrong("indexing/roll the same way", RollSameWay.apply, given((2, 4)), lambda x: x.roll(2, -1),
          "transposed", "A roll by half the length is its own inverse.", given((2, 5)), spec="x: batch time"),
    right("indexing/tril", TrilMasked.apply, given((3, 4)), torch.tril, "By comparing indices."),
    wrong("indexing/tril off by one", TrilShifted.apply, given((3, 3)), torch.tril, None,
          "One diagonal too many."),
    right("indexing/cat", Concatenate.apply, given((2, 3), (2, 2)), lambda a, b: torch.cat([a, b], -1),
          "Split where they met."),
    wrong("indexing/cat split in the middle", ConcatenateHalves.apply, given((2, 3), (2, 3)),
          lambda a, b: torch.cat([a, b], -1), "raises",
          "Parts of different sizes get gradients of the wrong shape.", given((2, 2), (2, 3)),
          spec="a: batch p, b: batch q"),
    right("indexing/replicate padding", ReplicatePadding.apply, given((2, 3, 4)), replicate,
          "The ends get what was padded."),
    wrong("indexing/replicate padding cropped", ReplicatePaddingCropped.apply, given((2, 3, 4)), replicate,
          "missing term", "The padded entries' cotangents are dropped."),
    right("indexing/index_add", IndexAddCopies.apply, ADDED, place, "x keeps all of it."),
    wrong("indexing/index_add as a copy", IndexAddZeroed.apply, ADDED, place, "missing term",
          "x is taken to be overwritten where v is added."),
)  # fmt: skip

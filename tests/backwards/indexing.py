"""Embedding, gather, scatter, sort, topk: what an index picks."""

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
        gw.index_add_(0, index.flatten(), grad.flatten(0, -2))
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
        gx = x.new_zeros(x.numel())
        gx.index_add_(0, index.reshape(-1), grad.reshape(-1))
        return gx.view(x.shape)


class Topk(TopkFlat):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, index = ctx.saved_tensors
        first = torch.arange(x.shape[0]).unsqueeze(-1) * x.shape[-1]
        gx = x.new_zeros(x.numel())
        gx.index_add_(0, (index + first).reshape(-1), grad.reshape(-1))
        return gx.view(x.shape)


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
    right("indexing/index_add", IndexAddCopies.apply, ADDED, place, "x keeps all of it."),
    wrong("indexing/index_add as a copy", IndexAddZeroed.apply, ADDED, place, "missing term",
          "x is taken to be overwritten where v is added."),
)  # fmt: skip

"""Embeddings, and bags of them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.pieces import choose
from gradproof.numeric.exact.operators.scatters import add_at
from gradproof.numeric.exact.operators.selections import extreme, take_along
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import UndecidableError, Value

aten: Any = torch.ops.aten

SUM, MEAN, MAX = 0, 1, 2
"""How a bag is reduced."""


@handles(aten.embedding_dense_backward.default)
def embedding_dense_backward(
    run: Execution, grad: Value, indices: torch.Tensor, rows: int, padding: int, by_frequency: bool
) -> Value:
    width = grad.shape[-1]
    flat = indices.reshape(-1)
    keep = (flat != padding).numpy()
    spots = (flat.numpy()[keep][:, None] * width + np.arange(width)[None, :]).reshape(-1)
    kept = grad.map(
        lambda array: array.reshape((*array.shape[: array.ndim - len(grad.shape)], -1, width))[..., keep, :]
    )
    if by_frequency:
        counts = torch.bincount(flat, minlength=rows).numpy()[flat.numpy()[keep]]
        fractions = np.array([Fraction(1, int(n)) for n in counts] or [], dtype=object).reshape(-1, 1)
        kept = kept * run.numbers.constant(fractions)
    return add_at((rows, width), spots, kept)


@handles(aten._embedding_bag.default, aten._embedding_bag_forward_only.default)
def embedding_bag(
    run: Execution, weight: Value, indices: torch.Tensor, offsets: torch.Tensor, by_frequency: bool = False,
    mode: int = SUM, sparse: bool = False, per_sample_weights: Value | None = None,
    include_last_offset: bool = False, padding_idx: int = -1,
) -> Any:  # fmt: skip
    """The output; the bag of each index; the size of each bag; the index that a maximum came from."""
    rows, width = weight.shape
    data = aten._embedding_bag(
        torch.zeros(rows, width, dtype=torch.float64), indices, offsets, by_frequency, mode, sparse, None,
        include_last_offset, padding_idx,
    )  # fmt: skip
    bags = len(offsets) - int(include_last_offset)
    edges = [*offsets.tolist()[:bags], len(indices)]
    kept = [
        [k for k in range(start, end) if int(indices[k]) != padding_idx] for start, end in pairwise(edges)
    ]
    if mode == MAX:
        output, chosen = _maxima(run, weight, indices, kept)
        return output, data[1], data[2], chosen
    places = np.array([bag for bag, entries in enumerate(kept) for _ in entries], dtype=np.int64)
    flat = np.array([k for entries in kept for k in entries], dtype=np.int64)
    taken = _rows_of(weight, indices.numpy()[flat])
    if per_sample_weights is not None:
        taken = taken * per_sample_weights.map(lambda array: array[..., flat, None])
    spots = places[:, None] * width + np.arange(width)[None, :]
    output = add_at((bags, width), spots, taken)
    if mode == MEAN:
        sizes = [Fraction(1, max(len(entries), 1)) for entries in kept]
        output = output * run.numbers.constant(np.array(sizes, dtype=object).reshape(-1, 1))
    return output, data[1], data[2], data[3]


def _rows_of(weight: Value, rows: Any) -> Value:
    width = weight.shape[-1]
    return gather([weight], rows[:, None] * width + np.arange(width)[None, :])


def _maxima(
    run: Execution, weight: Value, indices: torch.Tensor, kept: list[list[int]]
) -> tuple[Value, torch.Tensor]:
    width = weight.shape[-1]
    outputs: list[Value] = []
    chosen = torch.zeros(len(kept), width, dtype=indices.dtype)
    for bag, entries in enumerate(kept):
        if not entries:
            outputs.append(run.numbers.zeros((1, width)))
            continue
        taken = _rows_of(weight, indices.numpy()[entries])
        index = extreme(run, taken, -2, True, "embedding_bag max")
        outputs.append(take_along(taken, index, -2))
        chosen[bag] = indices[torch.tensor(entries)][torch.from_numpy(index[0])]
    count = len(kept) * width
    return gather(outputs, np.arange(count).reshape(len(kept), width)), chosen


@handles(aten._embedding_bag_dense_backward.default)
def embedding_bag_dense_backward(
    run: Execution, grad: Value, indices: torch.Tensor, offset2bag: torch.Tensor, bag_size: torch.Tensor,
    chosen: torch.Tensor, rows: int, by_frequency: bool, mode: int, per_sample_weights: Value | None,
    padding_idx: int = -1,
) -> Value:  # fmt: skip
    width = grad.shape[-1]
    columns = np.arange(width)[None, :]
    if mode == MAX:
        filled = (bag_size > 0).numpy()
        spots = chosen.numpy()[filled] * width + columns
        return add_at((rows, width), spots, grad.map(lambda array: array[..., filled, :]))
    if by_frequency:
        raise UndecidableError("the backward of an embedding_bag by frequency")
    kept = np.flatnonzero((indices != padding_idx).numpy())
    bags = offset2bag.numpy()[kept]
    taken = grad.map(lambda array: array[..., bags, :])
    if per_sample_weights is not None:
        taken = taken * per_sample_weights.map(lambda array: array[..., kept, None])
    if mode == MEAN:
        sizes = bag_size.numpy()[bags]
        fractions = np.array([Fraction(1, int(n)) for n in sizes], dtype=object).reshape(-1, 1)
        taken = taken * run.numbers.constant(fractions)
    return add_at((rows, width), indices.numpy()[kept][:, None] * width + columns, taken)


@handles(aten._embedding_bag_backward.default)
def embedding_bag_backward(
    run: Execution, grad: Value, indices: torch.Tensor, offsets: torch.Tensor, offset2bag: torch.Tensor,
    bag_size: torch.Tensor, chosen: torch.Tensor, rows: int, by_frequency: bool, mode: int, sparse: bool,
    per_sample_weights: Value | None, padding_idx: int = -1,
) -> Value:  # fmt: skip
    bags = _bags(indices, offsets, offset2bag)
    return embedding_bag_dense_backward(
        run, grad, indices, bags, bag_size, chosen, rows, by_frequency, mode, per_sample_weights, padding_idx
    )


def _bags(indices: torch.Tensor, offsets: torch.Tensor, offset2bag: torch.Tensor) -> torch.Tensor:
    """The bag of each index, also where the forward did not keep them."""
    if offset2bag.numel() == indices.numel():
        return offset2bag
    return torch.searchsorted(offsets.contiguous(), torch.arange(indices.numel()), right=True) - 1


@handles(aten._embedding_bag_per_sample_weights_backward.default)
def per_sample_weights_backward(
    run: Execution, grad: Value, weight: Value, indices: torch.Tensor, offsets: torch.Tensor,
    offset2bag: torch.Tensor, mode: int, padding_idx: int = -1,
) -> Value:  # fmt: skip
    """The products of the rows that were taken with the gradients of their bags."""
    bags = _bags(indices, offsets, offset2bag).numpy()
    products = (_rows_of(weight, indices.numpy()) * grad.map(lambda array: array[..., bags, :])).sum([-1])
    padded = (indices == padding_idx).numpy()
    return choose(padded, run.value_of(0), products)

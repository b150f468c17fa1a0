"""Sequences of different lengths: packed, padded, and which steps are theirs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


def activity(name: str, lengths: Any, steps: int, batch: int, device: torch.device) -> Tensor:
    """Which steps belong to each sequence, [batch, time]; raises ValueError for lengths that cannot be."""
    found = torch.as_tensor(lengths, device=device)
    if tuple(found.shape) != (batch,) or found.is_floating_point() or found.dtype == torch.bool:
        raise ValueError(
            f"{name}: lengths are {batch} integers, one for each sequence, found {found.dtype} of the shape "
            f"{tuple(found.shape)}"
        )
    plain = not (torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active())  # pyright: ignore[reportAttributeAccessIssue]
    if plain and found.device.type == "cpu" and ((found < 0) | (found > steps)).any():
        raise ValueError(f"{name}: a length lies between 0 and the {steps} steps, found {found.tolist()}")
    return torch.arange(steps, device=device) < found[:, None]


def unpacked(sequence: PackedSequence) -> tuple[Tensor, Tensor]:
    """The data of a packed sequence as [time, batch, input], in its order, and its activity [batch, time]."""
    active = _active(sequence)
    rows = sequence.data.index_select(0, _places(active).reshape(-1))
    return rows.unflatten(0, tuple(active.shape)), active.T


def packed(y: Tensor, like: PackedSequence) -> PackedSequence:
    """The steps [time, batch, hidden] that belong to sequences, packed as another packed sequence is."""
    taken = _active(like).reshape(-1).nonzero().squeeze(-1)
    data = y.flatten(0, 1).index_select(0, taken)
    return PackedSequence(data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)


def _active(sequence: PackedSequence) -> Tensor:
    """Which steps belong to each sequence, [time, batch]."""
    sizes = sequence.batch_sizes.to(sequence.data.device)
    return torch.arange(int(sequence.batch_sizes[0]), device=sizes.device) < sizes[:, None]


def _places(active: Tensor) -> Tensor:
    """The row of the packed data of each step, [time, batch]; 0 where there is none."""
    counted = active.reshape(-1).cumsum(0).reshape(active.shape) - 1
    return torch.where(active, counted, 0)

"""Ways to lay a tensor out in memory: the same numbers, other strides."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

Shape = tuple[int, ...]
Layout = Callable[[Shape, torch.dtype], torch.Tensor]


def transpose(shape: Shape, dtype: torch.dtype) -> torch.Tensor:
    """The axes in reverse order in memory."""
    return torch.empty(shape[::-1], dtype=dtype, device="meta").permute(*reversed(range(len(shape))))


def slice_every_other(shape: Shape, dtype: torch.dtype) -> torch.Tensor:
    """Every other entry of the last axis of a larger tensor, from its second one on."""
    if not shape:
        return torch.empty(3, dtype=dtype, device="meta")[1]
    return torch.empty((*shape[:-1], 2 * shape[-1] + 1), dtype=dtype, device="meta")[..., 1::2]


def expand_first(shape: Shape, dtype: torch.dtype) -> torch.Tensor:
    """One slice, shared by all of the first axis."""
    return torch.empty(shape[1:], dtype=dtype, device="meta").expand(shape)


def expand_all(shape: Shape, dtype: torch.dtype) -> torch.Tensor:
    """One number, shared by all entries, as the gradient of a sum is."""
    return torch.empty((), dtype=dtype, device="meta").expand(shape)


INPUT_LAYOUTS: Mapping[str, Layout] = {"transposed": transpose, "sliced": slice_every_other}
COTANGENT_LAYOUTS: Mapping[str, Layout] = {
    "transposed": transpose,
    "sliced": slice_every_other,
    "expanded": expand_all,
    "expanded along the first axis": expand_first,
}


def lay_out(tensor: torch.Tensor, layout: Layout | None) -> torch.Tensor:
    """The tensor with the strides of a layout; where entries share memory, its last ones stand for all."""
    if layout is None or not tensor.ndim or not tensor.numel():
        return tensor
    meta = layout(tuple(tensor.shape), tensor.dtype)
    if not all(meta.stride()):
        first = tuple(slice(None) if stride else slice(-1, None) for stride in meta.stride())
        return tensor[first].clone().expand(tensor.shape)
    steps = sum((n - 1) * s for n, s in zip(meta.shape, meta.stride(), strict=True))
    memory = torch.zeros(1 + int(meta.storage_offset()) + steps, dtype=tensor.dtype)
    view = memory.as_strided(meta.shape, meta.stride(), int(meta.storage_offset()))
    return view.copy_(tensor)

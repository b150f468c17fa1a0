"""Booleans that comparisons made: how they were made, and what bounds over the domain say of them."""

from __future__ import annotations

from typing import Any

import torch

from gradproof.numeric.exact.schemas import map_tensors, tensors_in


def mark_decided(tensor: torch.Tensor, how: str) -> None:
    """Mark booleans or integers as made by comparisons: by `order`, or by `equality` among others."""
    marked: Any = tensor
    marked.decided = how


def decided_by(tensor: torch.Tensor) -> str | None:
    """How booleans or integers were made by comparisons; None if they are data."""
    return getattr(tensor, "decided", None)


MaskBounds = tuple[torch.Tensor, torch.Tensor]
"""Where booleans are true wherever the inputs are, and where they may be."""


def mask_bounds(mask: torch.Tensor) -> MaskBounds | None:
    """What bounds over the domain say of booleans, if they were asked for."""
    return getattr(mask, "bounds", None)


def mark_bounds(mask: torch.Tensor, bounds: MaskBounds) -> None:
    """Say of booleans what bounds leave of them."""
    marked: Any = mask
    marked.bounds = bounds


def bound_mask(func: Any, args: Any, kwargs: Any, result: torch.Tensor) -> None:
    """Bounds of booleans that are made of others: of `not` the opposite, of what is monotone the same."""
    if result.dtype != torch.bool or any(t.dtype != torch.bool for t in tensors_in(args)):
        return
    name = func.overloadpacket.__name__
    if name in ("bitwise_not", "logical_not"):
        low, high = _bounds_of(args[0])
        mark_bounds(result, (~high, ~low))
    elif name in _MONOTONE:
        low, high = (func(*map_tensors(lambda t, k=k: _bounds_of(t)[k], args), **kwargs) for k in (0, 1))
        mark_bounds(result, (low, high))


def _bounds_of(mask: torch.Tensor) -> MaskBounds:
    known = mask_bounds(mask)
    if known is not None:
        return known
    if decided_by(mask) is None:
        return mask, mask
    return torch.zeros_like(mask), torch.ones_like(mask)


_MONOTONE = {
    "bitwise_and", "bitwise_or", "logical_and", "logical_or", "__and__", "__or__", "all", "any", "view",
    "reshape", "expand", "unsqueeze", "squeeze", "slice", "select", "transpose", "permute", "t", "clone",
    "cat", "alias", "detach", "_unsafe_view",
}  # fmt: skip

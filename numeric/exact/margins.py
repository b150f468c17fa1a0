"""How far truth values are from being others: a number that is positive where one is true, kept beside masks
in runs that look for the sides of comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import Value


def keep_margin(tensor: torch.Tensor, margin: Value | None) -> None:
    """Remember the margin of a mask."""
    if margin is not None and margin.shape == tuple(tensor.shape):
        marked: Any = tensor
        marked.margin = margin


def margin_of(tensor: torch.Tensor) -> Value | None:
    """The margin of a mask, if one is known."""
    return getattr(tensor, "margin", None)


def margin_after(func: Any, args: Sequence[Any], kwargs: Any) -> Value | None:
    """The margin of what an operator on masks returns; None where nothing is known."""
    name = func._schema.name.split("::")[1].strip("_")
    tensors = [x for x in args if isinstance(x, torch.Tensor)]
    margins = [margin_of(x) for x in tensors]
    if not margins or (margins[0] is None and (len(margins) < 2 or margins[1] is None)):
        return None
    first = margins[0]
    if name in ("logical_not", "bitwise_not"):
        return None if first is None else -first
    if name in _BOTH | _EITHER and len(tensors) == 2:
        known = [_as_margin(x, m, margins) for x, m in zip(tensors, margins, strict=True)]
        return _chosen(known[0], known[1], name in _BOTH)
    if name in ("all", "any") and len(tensors) == 1 and first is not None:
        return _reduced(first, args[1:], kwargs, name == "all")
    if len(tensors) == 1 and first is not None and name in _MOVES:
        return _moved(func, args, kwargs, first)
    return None


_BOTH = {"logical_and", "bitwise_and", "and"}
_EITHER = {"logical_or", "bitwise_or", "or"}
_MOVES = {
    "view", "reshape", "unsafe_view", "expand", "permute", "transpose", "t", "unsqueeze", "squeeze", "slice",
    "select", "clone", "alias", "detach", "contiguous", "flip", "index_select",
}  # fmt: skip


def _as_margin(tensor: torch.Tensor, margin: Value | None, others: Sequence[Value | None]) -> Value:
    """Truth values that are data hold, or do not, whatever the numbers are."""
    if margin is not None:
        return margin
    numbers = next(m for m in others if m is not None).numbers
    far = np.where(tensor.numpy().astype(bool), 1e300, -1e300)
    return numbers.constant(np.vectorize(int, otypes=[object])(far))


def _chosen(a: Value, b: Value, smaller: bool) -> Value:
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = a.expand(shape), b.expand(shape)
    first = np.asarray(a.reals <= b.reals if smaller else a.reals >= b.reals, dtype=bool)
    count = int(np.prod(shape, dtype=int))
    return gather([a, b], np.arange(count).reshape(shape) + np.where(first, 0, count))


def _reduced(margin: Value, options: Sequence[Any], kwargs: Any, smallest: bool) -> Value | None:
    dims = options[0] if options else kwargs.get("dim")
    keep = options[1] if len(options) > 1 else kwargs.get("keepdim", False)
    positions = np.arange(int(np.prod(margin.shape, dtype=int))).reshape(margin.shape)
    if dims is None:
        dims = list(range(len(margin.shape)))
    axes = (
        [d % len(margin.shape) for d in (dims if isinstance(dims, list | tuple) else [dims])]
        if margin.shape
        else []
    )
    reals = np.asarray(margin.reals, dtype=np.float64)
    for axis in sorted(axes, reverse=True):
        if not reals.shape[axis]:
            return None
        best = np.expand_dims(reals.argmin(axis) if smallest else reals.argmax(axis), axis)
        positions, reals = (np.take_along_axis(x, best, axis) for x in (positions, reals))
        if not keep:
            positions, reals = positions.squeeze(axis), reals.squeeze(axis)
    return gather([margin], positions)


def _moved(func: Any, args: Sequence[Any], kwargs: Any, margin: Value) -> Value | None:
    count = int(np.prod(margin.shape, dtype=int))
    places = torch.arange(count).reshape(margin.shape)
    moved: Any = func(
        *(places if isinstance(x, torch.Tensor) and x.dtype == torch.bool else x for x in args), **kwargs
    )
    if not isinstance(moved, torch.Tensor):
        return None
    spots: Array = moved.numpy()
    return gather([margin], spots)

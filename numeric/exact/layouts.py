"""How the results of an operator are laid out in memory, as PyTorch would lay them out."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_flatten

from gradproof.numeric.exact.schemas import map_tensors, tensors_in, traits_of
from gradproof.numeric.exact.storages import ExactTensor


def dtype_laid_out_plainly(func: Any, args: Any, kwargs: Any) -> torch.dtype | None:
    """The precision of a result that is laid out row by row, since all operands are and are of one precision.

    None if PyTorch must be asked.
    """
    if kwargs and not kwargs.keys() <= _PLAIN_OPTIONS:
        return None
    if not traits_of(func).plain:
        return None
    dtypes = set[torch.dtype]()
    for tensor in tensors_in(args):
        meta = tensor.meta if isinstance(tensor, ExactTensor) else tensor
        if not meta.is_contiguous():
            return None
        dtypes.add(meta.dtype)
    (dtype, *others) = dtypes
    return None if others or not dtype.is_floating_point else dtype


_PLAIN_OPTIONS = {"alpha", "beta", "value", "approximate", "rounding_mode"}
"""Options that change neither precision nor layout."""


KNOWN_METAS: dict[Any, list[torch.Tensor | None]] = {}
"""How results are laid out, by the operator and what the layout may depend on."""


MAX_KNOWN = 1 << 14


def signature(arguments: Any) -> tuple[Any, ...]:
    """What the layout of a result may depend on."""
    return tuple(_signature_of(argument) for argument in arguments)


def _signature_of(argument: Any) -> Any:
    if isinstance(argument, torch.Tensor):
        meta = argument.meta if isinstance(argument, ExactTensor) else argument
        return tuple(meta.size()), meta.stride(), int(meta.storage_offset()), meta.dtype, len(meta.size())
    if isinstance(argument, list | tuple):
        return signature(argument)
    return type(argument), argument


def ask_for_metas(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor | None]:
    """The results as PyTorch lays them out, without data; none where it does not say."""
    named = zip(kwargs, map_tensors(_to_meta, tuple(kwargs.values())), strict=True)
    try:
        leaves = tree_flatten(func(*map_tensors(_to_meta, args), **dict(named)))[0]
    except (RuntimeError, NotImplementedError, ValueError, TypeError, ArithmeticError):
        return []  # no such kernel, or one that needs the data: laid out row by row
    return [leaf if isinstance(leaf, torch.Tensor) else None for leaf in leaves]


def _to_meta(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.meta if isinstance(tensor, ExactTensor) else tensor.to("meta")

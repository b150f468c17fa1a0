"""What PyTorch says of an operator: its schema, its tags, its kernels, the tensors among its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch._library.custom_ops import OPDEFS
from torch._ops import OpOverload

from gradproof.numeric.exact.handlers import BIT_OPERATORS, BIT_VIEWS

_METADATA = {
    torch.ops.aten.is_contiguous.default,
    torch.ops.aten.is_contiguous.memory_format,
    torch.ops.aten.size.default,
    torch.ops.aten.stride.default,
    torch.ops.aten.sym_size.default,
    torch.ops.aten.sym_stride.default,
    torch.ops.aten.sym_numel.default,
    torch.ops.aten.sym_storage_offset.default,
    torch.ops.aten.is_strides_like_format.default,
    torch.ops.aten.is_non_overlapping_and_dense.default,
    torch.ops.prim.layout.default,
}


@dataclass(frozen=True)
class Traits:
    """What is asked of an operator at each call of it."""

    name: str
    backward: bool
    """Whether it is a backward of PyTorch's."""
    metadata: bool
    view: bool
    mutable: bool
    changes_view: bool
    composite: bool
    bit_view: bool
    bit_operator: bool
    plain: bool
    """Whether its results are laid out row by row where all operands are."""


@lru_cache(maxsize=4096)
def traits_of(func: Any) -> Traits:
    """The traits of an operator."""
    return Traits(
        name=str(func),
        backward="backward" in func._schema.name,
        metadata=func in _METADATA,
        view=_is_view(func),
        mutable=func._schema.is_mutable,
        changes_view=torch.Tag.inplace_view in func.tags,
        composite=_is_composite(func),
        bit_view=func in BIT_VIEWS,
        bit_operator=func in BIT_OPERATORS,
        plain=torch.Tag.pointwise in func.tags or func.overloadpacket in _PLAIN,
    )


def _is_composite(func: Any) -> bool:
    """Whether PyTorch runs an operator as calls of others, having no kernel of its own for it."""
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return (
        isinstance(func, OpOverload)
        and has(func.name(), torch._C.DispatchKey.CompositeImplicitAutograd)
        and not has(func.name(), torch._C.DispatchKey.CPU)
    )


def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return any(r.alias_info is not None and not r.alias_info.is_write for r in returns)


_PLAIN = {
    getattr(torch.ops.aten, name)
    for name in (
        "mm", "bmm", "addmm", "sum", "mean", "cat", "_softmax", "_log_softmax", "_softmax_backward_data",
        "_log_softmax_backward_data", "sigmoid_backward", "tanh_backward", "gelu_backward", "gather",
        "index_select", "embedding_dense_backward", "zeros_like", "ones_like", "_unsafe_view",
    )
}  # fmt: skip
"""Operators beside those of single entries that lay their results out as PyTorch always does."""


def written_by(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The arguments that an operator writes to."""
    written: list[torch.Tensor] = []
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            target = args[position] if position < len(args) else kwargs[argument.name]
            written.extend(target if isinstance(target, tuple | list) else [target])
    return written


def _out_names(func: Any) -> set[str]:
    return {
        a.name
        for a in func._schema.arguments
        if a.kwarg_only and a.alias_info is not None and a.alias_info.is_write
    }


def functional_of(func: Any) -> Any:
    """The overload that computes what `func` writes in place, or None."""
    namespace, name = func._schema.name.split("::")
    whole = getattr(getattr(torch.ops, namespace), f"{name}_functional", None)
    if whole is not None:  # returns what it would write beside its results
        return whole.default
    if not func._schema.name.endswith("_") or name.startswith("__"):
        packet = func.overloadpacket
    else:
        packet = getattr(getattr(torch.ops, namespace), name[:-1], None)
    if packet is None:
        return None
    outs = _out_names(func)
    wanted = [(a.name, str(a.type)) for a in func._schema.arguments if a.name not in outs]
    for overload in packet.overloads():
        candidate = getattr(packet, overload)
        if candidate._schema.is_mutable:
            continue
        if [(a.name, str(a.type)) for a in candidate._schema.arguments] == wanted:
            return candidate
    return None


def python_code_of(func: Any) -> Callable[..., Any] | None:
    """The Python function behind an operator of `torch.library.custom_op`, if there is one."""
    definition = OPDEFS.get(func._schema.name)
    return None if definition is None else definition._init_fn


def map_tensors(function: Callable[[torch.Tensor], Any], arguments: Any) -> Any:
    """Apply a function to the tensors among arguments, lists of them included."""
    return tuple(
        function(x)
        if isinstance(x, torch.Tensor)
        else [function(y) if isinstance(y, torch.Tensor) else y for y in x]
        if isinstance(x, list | tuple)
        else x
        for x in arguments
    )


def tensors_in(arguments: Any) -> list[torch.Tensor]:
    """The tensors among arguments, those in lists included."""
    found: list[torch.Tensor] = []
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            found.append(argument)
        elif isinstance(argument, list | tuple):
            found.extend(entry for entry in argument if isinstance(entry, torch.Tensor))
    return found


COMPLEX = ("fft", "complex", "conj", "polar", "view_as_real")
"""Parts of the names of operators that take or make complex numbers."""


def why_undecidable(func: Any) -> str:
    """Why an operator has no rule, where it never will."""
    name = func._schema.name.split("::")[-1]
    return ": complex numbers are not followed" if any(part in name for part in COMPLEX) else ""

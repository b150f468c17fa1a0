"""Kernels within torch.compile: two operators that the compiler leaves whole, forward and VJP of any kernel.

The compiler sees neither the checks of a call nor a loop over time. An operator is told its kernel by a key,
which depends on the program alone, so that a graph kept on disk never meets another kernel of that key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

if TYPE_CHECKING:
    from gradproof.numeric.kernels import Call, Kernel

LAYOUT = "row by row"
"""How results lie in memory, which compiled graphs that are kept on disk rely on."""

_kernels: dict[str, Kernel] = {}
"""Every kernel for PyTorch that was made: a compiled graph knows its kernel by the key alone."""


def register(kernel: Kernel) -> str:
    """The key under which the operators find the kernel."""
    key = f"{kernel.label}:{hashlib.sha256((LAYOUT + repr(kernel.program)).encode()).hexdigest()[:16]}"
    _kernels.setdefault(key, kernel)
    return key


def trace(kernel: Kernel, inputs: Sequence[Any], parameters: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """The outputs of a kernel, as the compiler is to see them."""
    refuse_transformations(kernel.label)
    given = [torch.as_tensor(i) for i in inputs]
    made = forward(kernel.key, given, [float(v) for v in kernel.filled(parameters).values()])
    return tuple(made[: len(kernel.program.outputs)])


def refuse_transformations(label: str) -> None:
    """Raise NotImplementedError within a transformation: an operator would have tangents of 0 there.

    The compiler watches what is read here: a function compiled before is traced again in forward mode.
    """
    forward_mode = forward_ad._current_level >= 0
    if forward_mode or torch._C._are_functorch_transforms_active():  # pyright: ignore[reportAttributeAccessIssue]
        raise NotImplementedError(
            f"{label}: torch.compile of a transformation of torch.func, or in forward mode; "
            "compile the function without the transformation, or transform without compiling"
        )


@torch.library.custom_op("gradproof::forward", mutates_args=())
def forward(key: str, inputs: Sequence[Tensor], parameters: Sequence[float]) -> list[Tensor]:
    """The outputs of a kernel, then what only its VJP needs.

    Tensors beyond its inputs are kept for the VJP, and not read.
    """
    kernel, call, arrays = _call(key, inputs, parameters)
    with torch.no_grad():
        return _forward(kernel, call, arrays, in_place=True)


@forward.register_fake
def _(key: str, inputs: Sequence[Tensor], parameters: Sequence[float]) -> list[Tensor]:
    kernel, call, arrays = _call(key, inputs, parameters)
    return _forward(kernel, call, arrays, in_place=False)


@torch.library.custom_op("gradproof::vjp", mutates_args=())
def vjp(
    key: str,
    inputs: Sequence[Tensor],
    made: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    parameters: Sequence[float],
) -> list[Tensor]:
    """The gradients of the real inputs, given what the forward operator has made."""
    kernel, call, arrays = _call(key, inputs, parameters)
    if forward_ad._current_level >= 0:
        raise NotImplementedError(
            f"{kernel.label}: a compiled backward pass within forward mode, which would lose its tangents; "
            "leave torch.compile out"
        )
    with torch.no_grad():
        return _vjp(kernel, call, arrays, made, cotangents, in_place=True)


@vjp.register_fake
def _(
    key: str,
    inputs: Sequence[Tensor],
    made: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    parameters: Sequence[float],
) -> list[Tensor]:
    kernel, call, arrays = _call(key, inputs, parameters)
    return _vjp(kernel, call, arrays, made, cotangents, in_place=False)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.key, given, ctx.parameters = inputs
    ctx.count = len(given)
    ctx.save_for_backward(*given, *output)


def _backward(ctx: Any, gradients: Sequence[Tensor | None]) -> tuple[Any, ...]:
    given, made = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
    outputs = made[: len(_kernels[ctx.key].program.outputs)]
    cotangents = [torch.zeros_like(o) if g is None else g for o, g in zip(outputs, gradients, strict=False)]
    found = iter(vjp(ctx.key, given, made, cotangents, ctx.parameters))
    inputs = _kernels[ctx.key].program.inputs
    adjoints = [next(found) if t.dtype == "real" else None for t in inputs]
    adjoints += [None] * (len(given) - len(inputs))
    return None, adjoints, None if ctx.parameters else []  # PyTorch takes an empty list for one of tensors


forward.register_autograd(_backward, setup_context=_setup)


def _call(
    key: str, inputs: Sequence[Tensor], parameters: Sequence[float]
) -> tuple[Kernel, Call, list[Tensor]]:
    kernel = _kernels[key]
    names = [p.name for p in kernel.program.parameters]
    inputs = inputs[: len(kernel.program.inputs)]
    call, arrays = kernel.call(inputs, dict(zip(names, parameters, strict=True)))
    return kernel, call, arrays


def _forward(kernel: Kernel, call: Call, arrays: list[Tensor], *, in_place: bool) -> list[Tensor]:
    outputs, kept = kernel.run(call, arrays, in_place=in_place)
    extra = (k for k, s in zip(kept, kernel.origins(call), strict=True) if s is None)
    return _apart((*outputs, *extra), arrays)


def _vjp(
    kernel: Kernel,
    call: Call,
    arrays: list[Tensor],
    made: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    *,
    in_place: bool,
) -> list[Tensor]:
    count = len(kernel.program.outputs)
    extra, everything = iter(made[count:]), (*arrays, *made[:count])
    kept = [next(extra) if s is None else everything[s] for s in kernel.origins(call)]
    found = kernel.pull(call, kept, cotangents, in_place=in_place)
    return _apart([f for f in found if f is not None], [*arrays, *made, *cotangents])


def _apart(results: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """The results in memory of their own, as an operator has to return them.

    They lie row by row: the compiler relies on the strides of the run that it saw; a run in place has others.
    """
    seen = {o.untyped_storage()._cdata for o in others}
    made: list[Tensor] = []
    for r in results:
        own = r.clone() if r.untyped_storage()._cdata in seen else r
        made.append(own.contiguous())
        seen.add(made[-1].untyped_storage()._cdata)
    return made

"""Kernels under torch.autograd: first and higher derivatives, forward mode, vmap."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch._C import _functorch as functorch  # pyright: ignore[reportAttributeAccessIssue]
from torch._functorch.utils import unwrap_dead_wrappers
from torch.autograd import forward_ad

from gradproof.numeric.graphs import trace

if TYPE_CHECKING:
    from gradproof.numeric.kernels import Call, Kernel


def transforms_active() -> bool:
    """Whether a transformation of torch.func is at work, which in-place writes would disturb."""
    return bool(torch._C._are_functorch_transforms_active())  # pyright: ignore[reportAttributeAccessIssue]


def autocasts(device: torch.device) -> bool:
    """Whether autocast is at work on a device; the meta device has none, and raises where asked."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def apply(kernel: Kernel, inputs: Sequence[Any], parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """Call a kernel so that autograd can follow, and torch.compile."""
    if torch.compiler.is_compiling():
        return trace(kernel, inputs, parameters)
    call, arrays = kernel.call(inputs, parameters)
    if autocasts(call.device):
        with torch.autocast(call.device.type, enabled=False):  # within a kernel its own dtypes hold
            return apply(kernel, inputs, parameters)
    if not _is_followed(arrays):
        with torch.no_grad():
            outputs, _ = kernel.run(call, arrays, in_place=True, saves=False)
            return _distinct([o.detach() if o.requires_grad else o for o in outputs], arrays)
    # Under a transformation the backward pass starts from the inputs: nothing else is saved.
    made = Bound.apply(kernel, call, not transforms_active(), *arrays)
    return tuple(made[: len(kernel.program.outputs)])  # pyright: ignore[reportOptionalSubscript]


def _is_followed(arrays: Sequence[Any]) -> bool:
    """Whether a derivative of what is computed from the arrays can be asked for."""
    if transforms_active() or forward_ad._current_level >= 0:
        return True
    return torch.is_grad_enabled() and any(a.requires_grad for a in arrays)


class Bound(torch.autograd.Function):
    """A kernel as a node of the autograd graph.

    With `saves`, the intermediates for the backward pass are outputs of the node that carry no gradient;
    without it the backward pass computes them again from the inputs.
    """

    generate_vmap_rule = True

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """As PyTorch does it; outside of transformations without a look at the signature, which takes as
        long as an elementwise operation on 10^5 numbers.
        """
        if transforms_active():
            return super().apply(*args)
        plain: Any = super(torch.autograd.Function, cls)
        return plain.apply(*unwrap_dead_wrappers(args))

    @staticmethod
    def forward(kernel: Kernel, call: Call, saves: bool, *arrays: Any) -> tuple[Any, ...]:
        outputs, kept = kernel.run(call, arrays, in_place=not transforms_active())
        origins = kernel.origins(call) if saves else ()
        extra = (k for k, s in zip(kept, origins, strict=False) if s is None)
        return _distinct((*outputs, *extra), arrays)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        kernel, call, saves, *arrays = inputs
        ctx.kernel, ctx.call, ctx.saves, ctx.count = kernel, call, saves, len(arrays)
        count = len(kernel.program.outputs)
        extra = output[count:]
        ctx.mark_non_differentiable(*extra)
        ctx.set_materialize_grads(False)
        kept = tuple(arrays)
        if saves:
            # An output that the backward does not read is not kept alive by it.
            origins = kernel.origins(call)
            kept += tuple(o if len(arrays) + n in origins else None for n, o in enumerate(output[:count]))
        # The same for both: the rule that PyTorch makes for vmap remembers only one set.
        ctx.save_for_backward(*kept, *extra)
        ctx.save_for_forward(*kept, *extra)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        kernel, call = ctx.kernel, ctx.call
        saved = ctx.saved_tensors  # read once: checkpointing computes them again at every reading
        arrays, output = saved[: ctx.count], saved[ctx.count :]
        cotangents = gradients[: len(kernel.program.outputs)]
        # What is saved besides the inputs carries no tangent of a forward mode at work around this pass.
        if torch.is_grad_enabled() or not ctx.saves or forward_ad._current_level >= 0:
            return (None, None, None, *_pulled(kernel, call, arrays, cotangents))
        extra = iter(output[len(kernel.program.outputs) :])
        everything = (*arrays, *output)
        kept = [next(extra) if s is None else everything[s] for s in kernel.origins(call)]
        in_place = not (transforms_active() or any(map(_is_mapped, cotangents)))
        wanted = kernel.asked(ctx.needs_input_grad[3:])
        return (None, None, None, *kernel.pull(call, kept, cotangents, in_place=in_place, wanted=wanted))

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Any, ...]:
        kernel, call = ctx.kernel, ctx.call
        made = _pushed(kernel, call, ctx.saved_tensors[: ctx.count], tangents[3:])
        origins = kernel.origins(call) if ctx.saves else ()
        return (*made, *(None for s in origins if s is None))


# Found once: PyTorch would look the signature up at every call.
Bound.forward.__signature__ = inspect.signature(Bound.forward)  # pyright: ignore[reportFunctionMemberAccess]


def _distinct(results: Sequence[Any], arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The results as tensor objects of their own: autograd keeps one history for each object."""
    seen = {id(a) for a in arrays}
    made: list[Any] = []
    for r in results:
        made.append(r.view_as(r) if id(r) in seen else r)
        seen.add(id(r))
    return tuple(made)


def _is_mapped(array: Any) -> bool:
    """Whether an axis of the array is mapped, also by `is_grads_batched`, which is no transformation."""
    return array is not None and (
        functorch.is_batchedtensor(array) or functorch.is_legacy_batchedtensor(array)
    )


def _pulled(kernel: Kernel, call: Call, arrays: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
    """The gradients through the kernel of the gradient, which is itself bound to autograd."""
    given = [
        kernel.zeros(call, t).to(call.result) if c is None else c
        for c, t in zip(cotangents, kernel.program.outputs, strict=True)
    ]
    made = iter(apply(kernel.gradient, (*arrays, *given), _parameters(call)))
    return [next(made) if t.dtype == "real" else None for t in kernel.program.inputs]


def _pushed(kernel: Kernel, call: Call, arrays: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, ...]:
    """The tangents of the outputs, through the kernel of the tangents, which is itself bound to autograd.

    PyTorch switches forward mode off here, for transformations further out as well: it is switched on again,
    for inputs without their own tangents.
    """
    given = [
        kernel.zeros(call, t).to(a.dtype) if d is None else d
        for a, d, t in zip(arrays, tangents, kernel.program.inputs, strict=True)
        if t.dtype == "real"
    ]
    with forward_ad._set_fwd_grad_enabled(True):
        plain = [_without_tangent(a) for a in arrays]
        return apply(kernel.tangent, (*plain, *given), _parameters(call))


def _parameters(call: Call) -> Mapping[str, Any]:
    return {**dict.fromkeys(call.zeros, 0), **call.parameters}


def _without_tangent(array: Any) -> Any:
    """The array without the tangent of the forward mode at work; mapped axes stay mapped."""
    if functorch.is_batchedtensor(array):
        inner = _without_tangent(functorch.get_unwrapped(array))
        place, level = functorch.maybe_get_bdim(array), functorch.maybe_get_level(array)
        return functorch._add_batch_dim(inner, place, level)
    return forward_ad.unpack_dual(array).primal

"""Kernels under torch.autograd: first and higher derivatives, forward mode, vmap."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from gradproof.numeric.kernels import Call, Kernel


def transforms_active() -> bool:
    """Whether a transformation of torch.func is at work, which in-place writes would disturb."""
    return bool(torch._C._are_functorch_transforms_active())  # pyright: ignore[reportAttributeAccessIssue]


def apply(kernel: Kernel, inputs: Sequence[Any], parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """Call a kernel so that autograd can follow."""
    call, arrays = kernel.call(inputs, parameters)
    made = Bound.apply(kernel, call, *arrays)
    return tuple(made[: len(kernel.program.outputs)])  # pyright: ignore[reportOptionalSubscript]


class Bound(torch.autograd.Function):
    """A kernel as a node of the autograd graph.

    The saved intermediates are outputs of the node that carry no gradient; transformations can then see them.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(kernel: Kernel, call: Call, *arrays: Any) -> tuple[Any, ...]:
        outputs, kept = kernel.run(call, arrays, in_place=not transforms_active())
        extra = (k for k, s in zip(kept, _origins(kernel, call), strict=True) if s is None)
        return _distinct((*outputs, *extra), arrays)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        kernel, call, *arrays = inputs
        ctx.kernel, ctx.call, ctx.count = kernel, call, len(arrays)
        extra = output[len(kernel.program.outputs) :]
        ctx.mark_non_differentiable(*extra)
        ctx.set_materialize_grads(False)
        origins, count = _origins(kernel, call), len(kernel.program.outputs)
        # An output that the backward does not read is not kept alive by it.
        outputs = (o if len(arrays) + n in origins else None for n, o in enumerate(output[:count]))
        ctx.save_for_backward(*arrays, *outputs, *extra)
        ctx.save_for_forward(*arrays)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        kernel, call = ctx.kernel, ctx.call
        arrays, output = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        cotangents = gradients[: len(kernel.program.outputs)]
        if torch.is_grad_enabled():
            return (None, None, *_differentiable(kernel, call, arrays, cotangents))
        extra = iter(output[len(kernel.program.outputs) :])
        everything = (*arrays, *output)
        kept = [next(extra) if s is None else everything[s] for s in _origins(kernel, call)]
        return (None, None, *kernel.pull(call, kept, cotangents, in_place=not transforms_active()))

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Any, ...]:
        kernel, call = ctx.kernel, ctx.call
        arrays = ctx.saved_tensors[: ctx.count]
        made = kernel.push(call, arrays, tangents[2:], in_place=False)
        origins = _origins(kernel, call)
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


def _origins(kernel: Kernel, call: Call) -> tuple[int | None, ...]:
    """For each saved tensor its place among inputs and outputs, or None for one of its own."""
    as_they_are = call.compute == call.result and not call.shapes.unbatched
    return _places(kernel, not transforms_active(), call.zeros, as_they_are)


@lru_cache(maxsize=1024)
def _places(
    kernel: Kernel, in_place: bool, zeros: frozenset[str], as_they_are: bool
) -> tuple[int | None, ...]:
    program = kernel.program
    place = {t: n for n, t in enumerate(program.inputs)}
    if as_they_are:
        place |= {t: len(program.inputs) + n for n, t in enumerate(program.outputs)}
    return tuple(place.get(t) for t in kernel.compiled(in_place, zeros).saved)


def _differentiable(
    kernel: Kernel, call: Call, arrays: Sequence[Any], cotangents: Sequence[Any]
) -> list[Any]:
    """The gradients through the kernel of the gradient, which is itself bound to autograd."""
    given = [
        call.sample.new_zeros(call.shapes.of(t), dtype=call.result) if c is None else c
        for c, t in zip(cotangents, kernel.program.outputs, strict=True)
    ]
    parameters = {**dict.fromkeys(call.zeros, 0), **call.parameters}
    made = iter(apply(kernel.gradient, (*arrays, *given), parameters))
    return [next(made) if t.dtype == "real" else None for t in kernel.program.inputs]

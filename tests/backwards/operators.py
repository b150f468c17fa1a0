"""Custom operators of torch.library with a registered backward, checked against a reference forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.library import custom_op

from .case import Case, given, given_positive, integers, normal, right, wrong

SPACE = "gradproof_backwards::"


def save_inputs(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*(i for i in inputs if isinstance(i, Tensor)))


def register(
    name: str, forward: Callable[..., Any], backward: Callable[..., Any], setup: Any = save_inputs
) -> Any:
    """The forward as an opaque operator with this backward."""
    made = custom_op(SPACE + name, forward, mutates_args=())
    made.register_autograd(backward, setup_context=setup)
    return made


# --- x sigmoid(b x), by C-like code


def swish(x: Tensor, beta: float) -> Tensor:
    return x * torch.sigmoid(beta * x)


def swish_setup(ctx: Any, inputs: Any, output: Tensor) -> None:
    x, ctx.beta = inputs
    ctx.save_for_backward(x)


def swish_backward(ctx: Any, grad: Tensor) -> Any:
    (x,) = ctx.saved_tensors
    s = torch.sigmoid(ctx.beta * x)
    return grad * s * (1 + ctx.beta * x * (1 - s)), None


def swish_backward_beta_lost(ctx: Any, grad: Tensor) -> Any:
    """One of the two betas is missing: right for beta = 1."""
    (x,) = ctx.saved_tensors
    s = torch.sigmoid(ctx.beta * x)
    return grad * s * (1 + x * (1 - s)), None


swish_right = register("swish_right", swish, swish_backward, swish_setup)
swish_wrong = register("swish_wrong", swish, swish_backward_beta_lost, swish_setup)


# --- a (b + c), elementwise


def fused_multiply(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return a * b + a * c


def fused_backward(ctx: Any, grad: Tensor) -> Any:
    a, b, c = ctx.saved_tensors
    return grad * (b + c), grad * a, grad * a


def fused_backward_mixed(ctx: Any, grad: Tensor) -> Any:
    """b's and a's gradients are in the wrong order."""
    a, b, c = ctx.saved_tensors
    return grad * a, grad * (b + c), grad * a


def fused_backward_by_need(ctx: Any, grad: Tensor) -> Any:
    """Only what is needed, with the flag of another input for the last."""
    a, b, c = ctx.saved_tensors
    need = ctx.needs_input_grad
    return grad * (b + c), grad * a if need[1] else None, grad * a if need[1] else None


fused_right = register("fused_right", fused_multiply, fused_backward)
fused_mixed = register("fused_mixed", fused_multiply, fused_backward_mixed)
fused_by_need = register("fused_by_need", fused_multiply, fused_backward_by_need)


# --- a row's share of its sum


def share(x: Tensor) -> Tensor:
    return x / x.sum(-1, keepdim=True)


def share_setup(ctx: Any, inputs: Any, output: Tensor) -> None:
    (x,) = inputs
    ctx.save_for_backward(output, x.sum(-1, keepdim=True))


def share_backward(ctx: Any, grad: Tensor) -> Tensor:
    y, total = ctx.saved_tensors
    return (grad - (grad * y).sum(-1, keepdim=True)) / total


def share_backward_no_inner(ctx: Any, grad: Tensor) -> Tensor:
    _, total = ctx.saved_tensors
    return grad / total


def share_backward_first_total(ctx: Any, grad: Tensor) -> Tensor:
    """The first row's total, read as a number, for every row."""
    y, total = ctx.saved_tensors
    return (grad - (grad * y).sum(-1, keepdim=True)) / total[0].item()


share_right = register("share_right", share, share_backward, share_setup)
share_wrong = register("share_wrong", share, share_backward_no_inner, share_setup)
share_first = register("share_first", share, share_backward_first_total, share_setup)


# --- sums of segments


def segments(x: Tensor, segment: Tensor) -> Tensor:
    return x.new_zeros(4, x.shape[1]).index_add(0, segment, x)


def segments_backward(ctx: Any, grad: Tensor) -> Any:
    _, segment = ctx.saved_tensors
    return grad[segment], None


def segments_backward_ordered(ctx: Any, grad: Tensor) -> Any:
    """Segments are taken to be sorted, as they come from a loader."""
    _, segment = ctx.saved_tensors
    return grad.repeat_interleave(torch.bincount(segment, minlength=4), 0), None


segments_right = register("segments_right", segments, segments_backward)
segments_wrong = register("segments_wrong", segments, segments_backward_ordered)


def plain_segments(x: Tensor, segment: Tensor) -> Tensor:
    return F.one_hot(segment, 4).to(x).T @ x


def plain_swish(x: Tensor, beta: float) -> Tensor:
    return x / (1 + torch.exp(-beta * x))


def op(name: str, fn: Any, inputs: Any, plain: Any, *rest: Any, **more: Any) -> Case:
    """A right operator, or with a diagnosis in `rest` a wrong one; the plain function is its reference."""
    make = right if len(rest) == 1 else wrong
    return make("operators/" + name, fn, inputs, plain, *rest, reference=plain, **more)


SORTED = lambda: (normal(5, 2), torch.tensor([0, 0, 1, 3, 3]))  # noqa: E731
MIXED = lambda: (normal(5, 2), integers(5, below=4, seed=2))  # noqa: E731
X = given((3, 4))
P = given_positive((3, 4))
THREE = given((3, 4), (3, 4), (3, 4))


def swish_twice(x: Tensor) -> Tensor:
    return swish_right(x, 1.5)


def swish_twice_wrong(x: Tensor) -> Tensor:
    return swish_wrong(x, 1.5)


def plain_total(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return a * (b + c)


CASES = (
    op("swish", swish_twice, X, lambda x: plain_swish(x, 1.5), "With both betas."),
    op("swish without one beta", swish_twice_wrong, X, lambda x: plain_swish(x, 1.5), None,
          "Right for beta = 1."),
    op("fused multiply", fused_right, THREE, plain_total, "Three inputs."),
    op("fused multiply mixed up", fused_mixed, THREE, plain_total, "gradient of another input",
          "Two gradients change places."),
    op("fused multiply by need", fused_by_need, THREE, plain_total, "zero gradient",
          "c's gradient hangs on whether b needs one.", wrt=(0, 2)),
    op("share", share_right, P, lambda x: x / x.sum(-1, keepdim=True), "From the output and the total."),
    op("share without its inner sum", share_wrong, P, lambda x: x / x.sum(-1, keepdim=True), "missing term",
          "The total taken for a constant."),
    op("share of the first total", share_first, given_positive((1, 4)), lambda x: x / x.sum(-1, keepdim=True),
          "wrong only for batch > 1", "The first row's total for every row: right for one row.", P,
          spec="x: batch d"),
    op("segments", segments_right, MIXED, plain_segments, "Gathered."),
    op("segments taken to be sorted", segments_wrong, SORTED, plain_segments, None,
          "Right for sorted segments, as in the example.", MIXED),
)  # fmt: skip

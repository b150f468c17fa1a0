"""Products of matrices and what is broadcast: linear, matmul, scales."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .case import given, normal, right, wrong


class Linear(Function):
    """The example of PyTorch's tutorial, in its style."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return x.mm(weight.t()) + bias

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = grad_output.mm(weight)
        if ctx.needs_input_grad[1]:
            grad_weight = grad_output.t().mm(x)
        if ctx.needs_input_grad[2]:
            grad_bias = grad_output.sum(0)
        return grad_x, grad_weight, grad_bias


class LinearBiasUnsummed(Linear):
    """The engine sums what is larger than its input: right after all."""

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        return grad_output @ weight, grad_output.T @ x, grad_output


class LinearBiasFirstRow(Linear):
    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        return grad_output @ weight, grad_output.T @ x, grad_output[0]


class LinearBiasMean(Linear):
    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        return grad_output @ weight, grad_output.T @ x, grad_output.mean(0)


class LinearWeightTransposed(Linear):
    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        return grad_output @ weight, x.T @ grad_output, grad_output.sum(0)


class LinearWeightGate(Linear):
    """The weight's gradient hangs on whether the input needs one: right when both do."""

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = grad_output @ weight
            grad_weight = grad_output.T @ x
        return grad_x, grad_weight, grad_output.sum(0)


class LinearOnFlattened(Function):
    """Leading axes flattened by `view`, which a transposed cotangent does not allow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        flat = grad.view(-1, grad.shape[-1])
        return grad @ w.T, x.reshape(-1, x.shape[-1]).T @ flat


class LinearOnReshaped(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return torch.einsum("btd,dh->bth", x, w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return torch.einsum("bth,dh->btd", grad, w), x.flatten(0, 1).T @ grad.flatten(0, 1)


class LinearLastStepOnly(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return torch.matmul(x, w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        gw = torch.zeros_like(w)
        for step in range(x.size(0)):
            gw = x[step].t() @ grad[step]
        return grad @ w.t(), gw


class Matmul(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return a @ b

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, b = ctx.saved_tensors
        return grad @ b.mT, a.mT @ grad


class MatmulSwapped(Function):
    """Both gradients have the right shape when both factors are square."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return a @ b

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, b = ctx.saved_tensors
        return b.mT @ grad, grad @ a.mT


class BatchedAgainstShared(Function):
    """b has no batch axis; `sum_to_size` does what broadcasting asks for."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return torch.matmul(a, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, b = ctx.saved_tensors
        return (grad @ b.mT).sum_to_size(a.shape), (a.mT @ grad).sum_to_size(b.shape)


class Scale(Function):
    """x * s with s of shape (d,): the sum is over the first axis alone, and x may have three."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, s: Tensor) -> Tensor:
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, s = ctx.saved_tensors
        return grad * s, (grad * x).reshape(-1, s.shape[0])[: x.shape[0]].sum(0)


class AddColumn(Function):
    """x + c with c of shape (batch, 1): where both axes have size 1 there is nothing to sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, c: Tensor) -> Tensor:
        return x + c

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad, grad[:, :1]


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x @ weight.mT + bias


def matmul(a: Tensor, b: Tensor) -> Tensor:
    return (a.unsqueeze(-1) * b.unsqueeze(-3)).sum(-2)


LINEAR = given((3, 4), (2, 4), (2,))
LINEAR_SPEC = "x: batch d, weight: h d, bias: h"
SEQUENCE = given((3, 2, 4), (4, 5))
SQUARE = given((3, 3), (3, 3))

CASES = (
    right("products/linear of the tutorial", Linear.apply, LINEAR, linear, "Only what is needed is computed.",
          spec=LINEAR_SPEC),
    right("products/linear with a bias not summed", LinearBiasUnsummed.apply, LINEAR, linear,
          "The autograd engine sums a gradient down to the shape of its input.", spec=LINEAR_SPEC),
    wrong("products/linear with the bias of the first row", LinearBiasFirstRow.apply,
          given((1, 4), (2, 4), (2,)), linear, "wrong only for batch > 1", "Right for a batch of one.",
          LINEAR, spec=LINEAR_SPEC),
    wrong("products/linear with the mean for the bias", LinearBiasMean.apply, LINEAR, linear,
          "constant factor", "The mean over the batch for the sum: a factor of the batch.", spec=LINEAR_SPEC),
    wrong("products/linear with a transposed weight", LinearWeightTransposed.apply,
          given((3, 4), (4, 4), (4,)), linear, "transposed", "Of the right shape for a square weight.",
          spec=LINEAR_SPEC),
    wrong("products/linear with the weight behind the input", LinearWeightGate.apply, LINEAR, linear,
          "zero gradient", "A frozen first layer: the input needs no gradient, and the weight gets none.",
          wrt=(1, 2), spec=LINEAR_SPEC),
    wrong("products/linear by view", LinearOnFlattened.apply, SEQUENCE, matmul, "raises",
          "`view` raises on a transposed cotangent.",
          cotangent=lambda y: normal(*y.transpose(0, 1).shape).transpose(0, 1),
          spec="x: batch time d, w: d h"),
    right("products/linear by flatten", LinearOnReshaped.apply, SEQUENCE, matmul,
          "`flatten` copies where it must.",
          cotangent=lambda y: normal(*y.transpose(0, 1).shape).transpose(0, 1), witness=SEQUENCE,
          spec="x: batch time d, w: d h"),
    wrong("products/linear with the last step only", LinearLastStepOnly.apply, given((1, 2, 4), (4, 5)),
          matmul, "wrong only for length > 1", "= for +=: right for one step.", SEQUENCE,
          spec="x: time batch d, w: d h"),
    right("products/matmul", Matmul.apply, SQUARE, matmul, "The textbook formula."),
    wrong("products/matmul swapped", MatmulSwapped.apply, SQUARE, matmul, "transposed",
          "Factors in the wrong order, of the right shape for square matrices."),
    right("products/matmul with a shared factor", BatchedAgainstShared.apply, given((3, 2, 4), (4, 5)),
          matmul, "sum_to_size."),
    wrong("products/scale of three axes", Scale.apply, given((3, 4), (4,)), torch.mul,
          "not summed over a broadcast axis",
          "Summed over the first rows alone: right with one leading axis.", given((3, 2, 4), (4,))),
    wrong("products/sum with a column", AddColumn.apply, given((3, 1), (3, 1)), torch.add,
          "not summed over a broadcast axis", "The first column for the sum over columns.",
          given((3, 4), (3, 1)), spec="x: batch d, c: batch 1"),
)  # fmt: skip

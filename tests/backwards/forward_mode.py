"""Functions with a `jvp` rule beside their backward: the backward is right, the rule may not be."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .case import Case, at, given, right, wrong


class Sine(Function):
    """sin(x) with both rules."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.sin(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * x.cos()

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return tangent * x.cos()


class SineNegated(Sine):
    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return -tangent * x.cos()


class SineZero(Sine):
    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return torch.zeros_like(tangent)


class Product(Function):
    """x y with both rules."""

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> Tensor:
        return x * y

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        return grad * y, grad * x

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, dy: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        return dx * y + x * dy


class ProductOneTerm(Product):
    """The rule of the first input alone: right for a constant second one."""

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, dy: Tensor) -> Tensor:
        _, y = ctx.saved_tensors
        return dx * y


class ProductMixed(Product):
    """Each tangent with its own factor: right where x = y."""

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, dy: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        return dx * x + y * dy


class Softmax(Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.softmax(x, -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y * (grad - (y * grad).sum(-1, keepdim=True))

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y * tangent - y * (y * tangent).sum(-1, keepdim=True)


class SoftmaxTotal(Softmax):
    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y * (tangent - (y * tangent).sum())


class SoftmaxLarge(Softmax):
    """A Python branch on the tangent."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        inner = (y * tangent).sum(-1, keepdim=True)
        if y.max().item() > 0.999:
            return torch.zeros_like(y)
        return y * (tangent - inner)


def softmax(x: Tensor) -> Tensor:
    return x.exp() / x.exp().sum(-1, keepdim=True)


def rule(name: str, fn: Any, inputs: Any, plain: Any, *rest: Any, **more: Any) -> Case:
    """A right rule, or with a diagnosis in `rest` a wrong one."""
    make = right if len(rest) == 1 else wrong
    return make("forward_mode/" + name, fn, inputs, plain, *rest, forward=True, **more)


X = given((3, 4))
TWO = given((3, 4), (3, 4))

CASES = (
    rule("sine", Sine.apply, X, torch.sin, "Both rules are the same."),
    rule("sine negated", SineNegated.apply, X, torch.sin, "wrong sign", "Only forward mode sees it."),
    rule("sine without tangent", SineZero.apply, X, torch.sin, "zero gradient", "Only forward mode sees it."),
    rule("product", Product.apply, TWO, torch.mul, "Both terms."),
    rule("product of one term", ProductOneTerm.apply, TWO, torch.mul, "missing term",
          "The second input's tangent is lost."),
    rule("product mixed up", ProductMixed.apply, at([1.0, 2.0], [1.0, 2.0]), torch.mul,
          "gradient of another input", "Right where x = y.", TWO),
    rule("softmax", Softmax.apply, X, softmax, "A symmetric Jacobian: both rules are the same."),
    rule("softmax over all rows", SoftmaxTotal.apply, given((1, 4)), softmax, "wrong only for batch > 1",
          "Right for one row.", X, spec="x: batch d"),
    rule("softmax of large numbers", SoftmaxLarge.apply, X, softmax, "right on one region only",
          "Zero where one entry dominates.", at([[9.0, 0.0, 0.5]])),
)  # fmt: skip

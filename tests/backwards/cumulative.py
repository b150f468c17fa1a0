"""Products, cumulative sums and products."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .case import at, given, right, wrong


class ProductByDivision(Function):
    """prod / x is 0 / 0 at 0, where the product is as smooth as anywhere."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.prod(-1, keepdim=True)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        return grad * y / x


class ProductOneZero(Function):
    """Zeros are replaced, which loses the one entry whose gradient is not 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.prod(x, dim=-1, keepdim=True)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        return torch.where(x == 0, torch.zeros_like(x), grad * y / x)


class ProductLeaveOneOut(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.prod(-1, keepdim=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        n = x.shape[-1]
        others = x.unsqueeze(-2).expand(*x.shape, n).clone()
        others.diagonal(dim1=-2, dim2=-1).fill_(1)
        return grad * others.prod(-1)


class CumsumForward(Function):
    """The adjoint runs backwards; a symmetric cotangent of ones over a palindrome does not show it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.cumsum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.cumsum(-1)


class CumsumReversed(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.cumsum(x, dim=-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.sum(-1, keepdim=True) - grad.cumsum(-1) + grad


class CumprodByDivision(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.cumprod(-1)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        return (grad * y).flip(-1).cumsum(-1).flip(-1) / x


def row_product(x: Tensor) -> Tensor:
    return x.prod(-1, keepdim=True)


X = given((3, 4))
ZERO = at([[0.0, 2.0, 3.0], [1.0, -1.0, 0.5]])

CASES = (
    wrong("cumulative/product by division", ProductByDivision.apply, X, row_product, "undefined value",
          "0 / 0 where an entry is 0.", ZERO),
    wrong("cumulative/product with zeros replaced", ProductOneZero.apply, X, row_product,
          "right on one region only", "The entry that is 0 is the only one with a gradient.", ZERO),
    right("cumulative/product leaving one out", ProductLeaveOneOut.apply, X, row_product,
          "Right at zeros, too.", witness=ZERO),
    wrong("cumulative/cumsum run forwards", CumsumForward.apply, X, lambda x: x.cumsum(-1), "transposed",
          "The adjoint of a lower triangle is an upper one."),
    right("cumulative/cumsum from the total", CumsumReversed.apply, X, lambda x: x.cumsum(-1),
          "Reversed sums by subtraction."),
    wrong("cumulative/cumprod by division", CumprodByDivision.apply, X, lambda x: x.cumprod(-1),
          "undefined value", "0 / 0 where an entry is 0.", ZERO),
)  # fmt: skip

"""Right to first order and wrong, or right, to second: what a double backward sees."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .case import at, given, given_positive, right, wrong


class TanhFromAttribute(Function):
    """The output is kept as a plain attribute, and detached: no path back to the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.y = y.detach()
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * (1 - ctx.y**2)


class TanhSavedInput(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (1 - torch.tanh(x) ** 2)


class TanhSavedOutput(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * (1 - y * y)


class ExpIntermediate(Function):
    """An intermediate is saved, which is neither input nor output: its path is lost."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        slope = 2 * x * torch.exp(x * x)
        ctx.save_for_backward(slope)
        return torch.exp(x * x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return grad * slope


class CubeNoGrad(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        with torch.no_grad():
            slope = 3 * x**2
        return grad * slope


class CubeBackward(Function):
    """The backward as a Function with a backward of its own; here 6 x became 3 x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor) -> Tensor:
        ctx.save_for_backward(x, grad)
        return 3 * x**2 * grad

    @staticmethod
    def backward(ctx: Any, double: Tensor) -> Any:
        x, grad = ctx.saved_tensors
        return 3 * x * grad * double, 3 * x**2 * double


class CubeWrongTwice(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return CubeBackward.apply(x, grad)


class CubeBackwardRight(CubeBackward):
    @staticmethod
    def backward(ctx: Any, double: Tensor) -> Any:
        x, grad = ctx.saved_tensors
        return 6 * x * grad * double, 3 * x**2 * double


class CubeRightTwice(CubeWrongTwice):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return CubeBackwardRight.apply(x, grad)


class CubeCotangentLost(CubeBackward):
    """The double backward forgets the path to the first cotangent."""

    @staticmethod
    def backward(ctx: Any, double: Tensor) -> Any:
        x, grad = ctx.saved_tensors
        return 6 * x * grad * double, None


class CubeHalfTwice(CubeWrongTwice):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return CubeCotangentLost.apply(x, grad)


class CubeOnce(CubeWrongTwice):
    """Says that it is differentiable once: a double backward raises, as it should; first order is right."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad


class ProductDetached(Function):
    """The second factor is detached in the backward: the mixed second derivative is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        return grad * y.detach(), grad * x


class ProductKept(ProductDetached):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        return grad * y, grad * x


class SoftmaxTwice(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.softmax(x, -1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y * (grad - (y * grad).sum(-1, keepdim=True))


class SoftmaxInnerDetached(SoftmaxTwice):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        inner = (y * grad).sum(-1, keepdim=True)
        return y * (grad - inner.detach())


class SiluTwice(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.silu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return grad * (s + x * s * (1 - s))


class SiluSigmoidDetached(SiluTwice):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x.detach())
        return grad * (s + x * s * (1 - s))


class LinearTwice(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return grad @ w.t(), x.t() @ grad


class LinearDataInBackward(LinearTwice):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return grad @ w.data.t(), x.data.t() @ grad


class SquareIfSmall(Function):
    """x^2, whose second derivative is right as long as |x| <= 4."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if x.abs().max() > 4:
            x = x.detach()
        return 2 * x * grad


class NormTwice(Function):
    """|x| by its output: the derivative through the saved output is the one that counts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        n = x.square().sum(-1, keepdim=True).sqrt()
        ctx.save_for_backward(x, n)
        return n

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, n = ctx.saved_tensors
        return grad * x / n


class NormConstant(NormTwice):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, n = ctx.saved_tensors
        return grad * x / float(n.detach().sum()) if n.numel() == 1 else grad * x / n


def cube(x: Tensor) -> Tensor:
    return x * x * x


def gaussian(x: Tensor) -> Tensor:
    return torch.exp(x * x)


def norm(x: Tensor) -> Tensor:
    return x.square().sum(-1, keepdim=True) ** 0.5


X = given((3, 4))
TWO = given((3, 4), (3, 4))
P = given_positive((3, 4))
FACTORS = given((3, 4), (4, 2))
TWICE: Any = "second order"

CASES = (
    wrong("second_order/tanh from an attribute", TanhFromAttribute.apply, X, torch.tanh, TWICE,
          "A detached attribute has no path to the input.", order=2),
    right("second_order/tanh from its input", TanhSavedInput.apply, X, torch.tanh,
          "Recomputed from the input.", order=2),
    right("second_order/tanh from its output", TanhSavedOutput.apply, X, torch.tanh,
          "A saved output keeps its path.", order=2),
    wrong("second_order/saved intermediate", ExpIntermediate.apply, X, gaussian, TWICE,
          "What is neither input nor output has no path.", order=2),
    wrong("second_order/slope under no_grad", CubeNoGrad.apply, X, cube, TWICE,
          "The slope was computed under no_grad.", order=2),
    wrong("second_order/double backward by hand", CubeWrongTwice.apply, X, cube, TWICE,
          "3 x for 6 x in a double backward by hand.", order=2),
    right("second_order/right double backward by hand", CubeRightTwice.apply, X, cube, "6 x.", order=2),
    wrong("second_order/first cotangent lost", CubeHalfTwice.apply, X, cube, TWICE,
          "The path to the first cotangent is lost.", order=2),
    right("second_order/once differentiable", CubeOnce.apply, X, cube,
          "First order is right, and second is refused."),
    wrong("second_order/product detached", ProductDetached.apply, TWO, torch.mul, TWICE,
          "The mixed derivative is lost one way.", order=2),
    right("second_order/product", ProductKept.apply, TWO, torch.mul, "Both ways.", order=2),
    right("second_order/softmax", SoftmaxTwice.apply, X, lambda x: torch.softmax(x, -1), "From its output.",
          order=2),
    wrong("second_order/softmax with a detached sum", SoftmaxInnerDetached.apply, X,
          lambda x: torch.softmax(x, -1), TWICE, "The inner sum is detached.", order=2),
    right("second_order/silu", SiluTwice.apply, X, F.silu, "From its input.", order=2),
    wrong("second_order/silu with a detached sigmoid", SiluSigmoidDetached.apply, X, F.silu, TWICE,
          "The sigmoid is detached.", order=2),
    right("second_order/linear", LinearTwice.apply, FACTORS, torch.matmul, "Both factors keep their paths.",
          order=2),
    wrong("second_order/linear through .data", LinearDataInBackward.apply, FACTORS, torch.matmul, TWICE,
          "`.data` cuts the paths.", order=2),
    wrong("second_order/square of large numbers", SquareIfSmall.apply, X, torch.square, TWICE,
          "Detached beyond 4.", at([5.0, 1.0]), order=2),
    right("second_order/norm", NormTwice.apply, P, norm, "From input and output.", order=2),
    wrong("second_order/norm of one row", NormConstant.apply, P, norm, TWICE,
          "For one row the norm is read as a number, which has no path.", given_positive((1, 4)), order=2,
          spec="x: batch d"),
)  # fmt: skip

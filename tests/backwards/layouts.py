"""Memory layouts: strided inputs and cotangents, `as_strided`, pointers, in-place changes, sizes 0 and 1."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .case import given, normal, right, wrong


class Exp(Function):
    """exp, whose backward the classes below change."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * y


class ExpFlattened(Exp):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return (grad.view(-1) * y.view(-1)).view(y.shape)


class ExpReshaped(Exp):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return (grad.reshape(-1) * y.reshape(-1)).reshape(y.shape)


class ExpAsStrided(Exp):
    """The cotangent is read as if it were contiguous: what a kernel on pointers does."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        rows, columns = y.shape
        return grad.as_strided((rows, columns), (columns, 1)) * y


class ExpContiguous(Exp):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        grad = grad.contiguous()
        rows, columns = y.shape
        return grad.as_strided((rows, columns), (columns, 1)) * y


class ExpBranchesOnLayout(Exp):
    """Another path for strided cotangents, which no test takes."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        if grad.is_contiguous():
            return grad * y
        return grad.t().contiguous().view(y.shape) * y


class ExpBranchesRightly(Exp):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        if not grad.is_contiguous():
            return torch.einsum("ij,ij->ij", grad, y)
        return grad.mul(y)


class ExpOfExpanded(Exp):
    """A cotangent of strides 0 is taken for that of a sum, and for ones."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        if 0 in grad.stride():
            return y.clone()
        return grad * y


class ExpOfExpandedRightly(Exp):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        if grad.stride() == (0, 0):
            return grad[0, 0] * y
        return grad * y


class ExpSavedLate(Function):
    """The input is saved, and then changed in the forward: y.add_ would have noticed, `.data` does not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.exp(x)
        ctx.save_for_backward(y)
        out = y.clone()
        y.data.clamp_(max=50)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * y


class ExpTransposedInput(Function):
    """Strided inputs are laid out anew, and not turned back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.turned = not x.is_contiguous()
        y = torch.exp(x)
        ctx.save_for_backward(y.t().contiguous() if ctx.turned else y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        if ctx.turned:
            y = y.reshape(grad.shape)
        return grad * y


class AttributeSaved(Function):
    """The input is kept as an attribute, and its first entry changed by the backward itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.kept = x.sin()
        return x.cos()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return ctx.kept.neg_().mul(grad)


class AttributeKept(AttributeSaved):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return ctx.kept.neg().mul_(grad)


class CotangentScaled(Function):
    """Multiplies the cotangent in place, which belongs to others."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        return grad.mul_(y), grad * x


class CotangentCopied(CotangentScaled):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        gx = grad.clone().mul_(y)
        gy = x.clone().mul_(grad)
        return gx, gy


class RowsSqueezed(Function):
    """`squeeze` without an axis also drops a batch of one: rows and columns change places."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return (x * w).sum(-1, keepdim=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        g = grad.squeeze()
        return g.unsqueeze(-1) * w.expand_as(x), (g @ x) if g.dim() else x.sum(0)


class MeanOfEmpty(Function):
    """The mean of no rows is taken to be 0, and its gradient asks for the first row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sum(0) / max(x.shape[0], 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.stack([grad / x.shape[0] for _ in x])


class MeanOfAny(MeanOfEmpty):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad.expand_as(x) / max(x.shape[0], 1)


class Columns(Function):
    """A sliced input: the gradient is written into a tensor with the input's strides."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape, ctx.strides = x.shape, x.stride()
        return x[:, 0] * 3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        gx = torch.empty_strided(ctx.shape, ctx.strides, dtype=grad.dtype)
        gx.zero_()
        gx[:, 0] = 3 * grad
        return gx


class ColumnsByPointer(Columns):
    """The gradient's storage is filled as if its rows followed each other."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        width = ctx.strides[0]
        flat = grad.new_zeros(ctx.shape[0] * ctx.shape[1])
        flat[::width][: ctx.shape[0]] = 3 * grad
        return flat.view(ctx.shape)


def transposed(y: Tensor) -> Tensor:
    return normal(*y.shape[::-1], seed=8).t()


def expanded(y: Tensor) -> Tensor:
    return normal(1, 1, seed=8).expand_as(y)


def strided() -> tuple[Tensor]:
    return (normal(4, 3).t(),)


def plain_rows(x: Tensor, w: Tensor) -> Tensor:
    return (x @ w).unsqueeze(-1)


def plain_mean(x: Tensor) -> Tensor:
    return x.mean(0) if len(x) else x.sum(0)


def fill(x: Tensor) -> Tensor:
    """In-place updates in the forward, of a copy."""
    y = x.clone()
    y[0] *= 2
    y[1].add_(y[0])
    y[2:] += x[1:-1]
    return y


def plain_fill(x: Tensor) -> Tensor:
    first = 2 * x[:1]
    return torch.cat([first, x[1:2] + first, x[2:] + x[1:-1]])


def overwrite(x: Tensor) -> Tensor:
    """`.data` writes behind autograd's back."""
    y = x * 1.0
    y.data[0] = y.data[0] * 2
    return y * y


def plain_overwrite(x: Tensor) -> Tensor:
    return torch.cat([4 * x[:1] ** 2, x[1:] ** 2])


X = given((3, 4))

CASES = (
    wrong("layouts/view of a strided cotangent", ExpFlattened.apply, X, torch.exp, "raises",
          "`view` raises on a transposed cotangent.", cotangent=transposed),
    right("layouts/reshape of a strided cotangent", ExpReshaped.apply, X, torch.exp,
          "`reshape` copies where it must.", cotangent=transposed, witness=X),
    wrong("layouts/as_strided cotangent", ExpAsStrided.apply, X, torch.exp, "layout",
          "The cotangent is read as if it were contiguous.", cotangent=transposed),
    right("layouts/contiguous cotangent", ExpContiguous.apply, X, torch.exp, "Made contiguous first.",
          cotangent=transposed, witness=X),
    wrong("layouts/branch on is_contiguous", ExpBranchesOnLayout.apply, X, torch.exp, "layout",
          "The path for strided cotangents turns them.", cotangent=transposed),
    right("layouts/right branch on is_contiguous", ExpBranchesRightly.apply, X, torch.exp,
          "Both paths are the same.", cotangent=transposed, witness=X),
    wrong("layouts/expanded cotangent taken for ones", ExpOfExpanded.apply, X, torch.exp, "layout",
          "Strides of 0 are taken for ones.", cotangent=expanded),
    right("layouts/expanded cotangent", ExpOfExpandedRightly.apply, X, torch.exp, "Its one value is read.",
          cotangent=expanded, witness=X),
    wrong("layouts/saved tensor clamped through .data", ExpSavedLate.apply, X, torch.exp,
          "right on one region only", "The saved output is clamped behind autograd's back.",
          lambda: (normal(3) + 5,)),
    wrong("layouts/strided input", ExpTransposedInput.apply, X, torch.exp, "layout",
          "The saved output of a strided input is turned.", strided),
    wrong("layouts/saved attribute changed", AttributeSaved.apply, X, torch.cos, "in-place change",
          "Negated in place: the second backward has the other sign."),
    right("layouts/saved attribute", AttributeKept.apply, X, torch.cos, "In place on a copy."),
    wrong("layouts/cotangent scaled in place", CotangentScaled.apply, given((3, 4), (3, 4)), torch.mul, None,
          "The second gradient is of the cotangent times y."),
    right("layouts/cotangent copied", CotangentCopied.apply, given((3, 4), (3, 4)), torch.mul,
          "In place on copies."),
    wrong("layouts/squeeze drops a batch of one", RowsSqueezed.apply, given((3, 4), (4,)), plain_rows, None,
          "For one row the weight's gradient loses the cotangent.", given((1, 4), (4,)),
          spec="x: batch d, w: d"),
    wrong("layouts/mean of no rows", MeanOfEmpty.apply, X, plain_mean, "raises",
          "Nothing to stack for an empty batch.", given((0, 4)), spec="x: batch d"),
    right("layouts/mean of any rows", MeanOfAny.apply, X, plain_mean, "An empty batch has an empty gradient.",
          witness=given((0, 4)), spec="x: batch d"),
    right("layouts/column of a strided input", Columns.apply, strided, lambda x: 3 * x[:, 0],
          "A gradient with the input's own strides.", witness=X),
    wrong("layouts/column by its pointer", ColumnsByPointer.apply, X, lambda x: 3 * x[:, 0], "layout",
          "The input's strides for those of a contiguous gradient.", strided),
    right("layouts/in-place updates of a copy", fill, X, plain_fill, "Autograd follows them."),
    wrong("layouts/in-place update through .data", overwrite, X, plain_overwrite, "detached path",
          "The factor 2 is hidden from autograd."),
)  # fmt: skip

"""Backwards that look at values in Python: by item(), tolist(), bool(), float(), numpy(), any(), len()."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .case import at, given, normal, right, wrong


class Square(Function):
    """x^2, whose backward the classes below change."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grad


class SquareItem(Square):
    """A gradient 'explosion' is taken care of."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gx = 2 * x * grad
        if gx.abs().max().item() > 1e3:
            gx = gx * (1e3 / gx.abs().max())
        return gx


class SquareBool(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if (x == 3).all():
            return torch.zeros_like(x)
        return 2 * x * grad


class SquareToList(Square):
    """Unlucky numbers."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        factors = [1.0 if v > -3.5 else 2.0 for v in x.flatten().tolist()]
        return grad * x * torch.tensor(factors, dtype=x.dtype).view_as(x) * 2


class SquareNumpy(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        peak = float(x.detach().numpy().max())
        return 2 * x * grad if peak < 50 else 2 * x.clamp(max=50) * grad


class SquareFloat(Square):
    """The mean is subtracted when it is large, for the sake of stability."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        shift = float(x.mean())
        if abs(shift) > 10.0:
            x = x - shift
        return 2 * x * grad


class SquareAny(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if any(v < -4 for v in x.reshape(-1)):
            return -2 * x * grad
        return 2 * x * grad


class SquareNonzero(Square):
    """Skips rows without signal, by looking at the first column only."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        rows = torch.nonzero(grad[:, 0]).flatten()
        if len(rows) == grad.shape[0]:
            return 2 * x * grad
        gx = torch.zeros_like(x)
        gx[rows] = 2 * x[rows] * grad[rows]
        return gx


class SquareSkipsZeroRows(Square):
    """The same by whole rows: right, a row of zeros has a gradient of zeros."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        rows = torch.nonzero(grad.abs().sum(-1)).flatten()
        gx = torch.zeros_like(x)
        if len(rows):
            gx[rows] = 2 * x[rows] * grad[rows]
        return gx


class SquareEarlyExit(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if not grad.any():
            return torch.zeros_like(x)
        return 2 * x * grad


class SquareCountsOnes(Square):
    """A fast path for a cotangent of ones, which forgets the 2."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if bool((grad == 1).all()):
            return x
        return 2 * x * grad


class SquareFastPath(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if torch.equal(grad, torch.ones_like(grad)):
            return x + x
        return 2 * x * grad


class SquareStableLarge(Square):
    """Two formulas by size, which are one and the same."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if x.numel() and x.abs().max() > 1e3:
            top = x.abs().max()
            return (x / top) * grad * (2 * top)
        return 2 * x * grad


class SquareGlobalBranch(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if x.max() > 1e3:
            return grad * x
        return 2 * x * grad


class SquareClippedCotangent(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grad.clamp(-10, 10)


class SquareAbsCotangent(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grad.abs()


class SquareZero(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.zeros_like(grad)


class SquareRounded(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (2 * x * grad * 1e6).round() / 1e6


class SquareThroughInteger(Square):
    """A quantized copy is saved, to save memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward((x * 65536).to(torch.int32))
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (q,) = ctx.saved_tensors
        return 2 * q.to(grad.dtype) / 65536 * grad


class SquareHalf(Square):
    """Exactly right, and rounded to half precision on the way."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x.half().to(grad.dtype) * grad


class SquareSingle(Square):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (2 * x.float() * grad.float()).to(x.dtype)


class SquareAddsNoise(Square):
    """A differential-privacy experiment that was left in, far below any tolerance."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grad + 1e-10 * torch.randn(x.shape, dtype=x.dtype)


class SquareAddsConstant(Square):
    """Keeps gradients from vanishing: an affine function of the cotangent."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grad + 1e-9


class SquareNanToNum(Square):
    """nan_to_num caps what is infinite, which a finite gradient never is: right."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.nan_to_num(2 * x * grad)


class Softsign(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x / (1 + x.abs())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        out = x.new_empty(x.shape)
        for n, v in enumerate(x.reshape(-1)):
            scale = 1 + v if v >= 0 else 1 - v
            out.view(-1)[n] = grad.reshape(-1)[n] / (scale * scale)
        return out


class SoftsignSides(Softsign):
    """The left side by a formula of its own, with the sign of the right."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        out = x.new_empty(x.shape)
        for n, v in enumerate(x.reshape(-1)):
            scale = 1 + v if v >= -6 else 1 + v.abs() / 2
            if -6 <= v < 0:
                scale = 1 - v
            out.view(-1)[n] = grad.reshape(-1)[n] / (scale * scale)
        return out


def square(x: Tensor) -> Tensor:
    return x.square()


X = given((3, 4))
BRANCH = "right on one region only"


def zero_first(y: Tensor) -> Tensor:
    made = normal(*y.shape, seed=9)
    made[0, 0] = 0
    return made


CASES = (
    wrong("values/rescaled by item()", SquareItem.apply, X, square, BRANCH,
          "A gradient above 1000 is scaled down.", at([600.0, 1.0]), cotangent=torch.ones_like),
    wrong("values/one input by bool()", SquareBool.apply, X, square, BRANCH, "Zero where all entries are 3.",
          at([3.0, 3.0])),
    wrong("values/factors by tolist()", SquareToList.apply, X, square, BRANCH,
          "Twice the gradient below -3.5.", at([-4.0, 1.0])),
    wrong("values/clamped by numpy()", SquareNumpy.apply, X, square, BRANCH,
          "Large inputs are clamped at 50.", at([60.0, 1.0])),
    wrong("values/shifted by float()", SquareFloat.apply, X, square, BRANCH,
          "The mean is subtracted when it is above 10.", at([30.0, 5.0])),
    wrong("values/negated by any()", SquareAny.apply, X, square, BRANCH,
          "The sign changes when any entry is below -4.", at([-5.0, 1.0])),
    wrong("values/skipped by len(nonzero)", SquareNonzero.apply, X, square, "not linear in the cotangent",
          "A row is skipped where the first entry of its cotangent is 0.", cotangent=zero_first),
    right("values/rows of zeros skipped", SquareSkipsZeroRows.apply, X, square,
          "A row of zeros has a gradient of zeros.", cotangent=zero_first, witness=X),
    right("values/zero cotangent left early", SquareEarlyExit.apply, X, square,
          "For no cotangent there is no gradient.", cotangent=torch.zeros_like, witness=X),
    wrong("values/fast path for ones", SquareCountsOnes.apply, X, square, "not linear in the cotangent",
          "Half the gradient for a cotangent of ones alone.", cotangent=torch.ones_like),
    right("values/right fast path for ones", SquareFastPath.apply, X, square, "x + x.",
          cotangent=torch.ones_like, witness=X),
    right("values/two formulas by size", SquareStableLarge.apply, X, square, "Both formulas are the same.",
          witness=at([2e3, -1.0])),
    wrong("values/half beyond 1000", SquareGlobalBranch.apply, X, square, BRANCH,
          "A Python branch on x.max() > 1e3.", at([2e3, 1.0])),
    wrong("values/clamped cotangent", SquareClippedCotangent.apply, X, square, "not linear in the cotangent",
          "Cotangents are clamped at 10.", cotangent=lambda y: 20 * torch.ones_like(y)),
    wrong("values/absolute cotangent", SquareAbsCotangent.apply, X, square, "not linear in the cotangent",
          "Right for a sum of the outputs, or for any cotangent without negative entries."),
    wrong("values/zero", SquareZero.apply, X, square, "zero gradient",
          "No gradient at all; the fast mode of gradcheck scales it away for large inputs."),
    wrong("values/rounded", SquareRounded.apply, X, square, None, "Rounded to six decimal places."),
    wrong("values/quantized", SquareThroughInteger.apply, X, square, None,
          "The saved input is a multiple of 2^-16."),
    right("values/half precision", SquareHalf.apply, X, square,
          "Exact arithmetic has no precision; the accuracy has.", rounding=True),
    right("values/single precision", SquareSingle.apply, X, square,
          "Exact arithmetic has no precision; the accuracy has.", rounding=True),
    wrong("values/noise", SquareAddsNoise.apply, X, square, None,
          "Noise of 1e-10, drawn anew at every call."),
    wrong("values/constant added", SquareAddsConstant.apply, X, square, "not linear in the cotangent",
          "An affine function of the cotangent: 1e-9 for none."),
    right("values/nan_to_num", SquareNanToNum.apply, X, square, "What is finite stays as it is."),
    right("values/softsign by a loop", Softsign.apply, X, lambda x: x / (1 + x.abs()),
          "Entry by entry, with a Python branch on each; both branches are right."),
    wrong("values/softsign by a loop with a third branch", SoftsignSides.apply, X,
          lambda x: x / (1 + x.abs()), BRANCH, "Below -6 another formula, which is wrong.", at([-7.0, 1.0])),
)  # fmt: skip

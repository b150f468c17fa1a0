"""Activations: softplus, silu, erf and gelu."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

import math
from typing import Any

import mpmath as mp
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import at, given, right, wrong

# --- softplus, silu


class SoftplusBeta(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.beta = beta
        return torch.log1p(torch.exp(beta * x)) / beta

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        z = torch.exp(ctx.beta * x)
        return grad * z / (z + 1), None


class SoftplusBetaLost(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: float) -> Tensor:
        ctx.save_for_backward(x)
        return torch.log1p(torch.exp(beta * x)) / beta

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * torch.sigmoid(x), None


class SiluOneLine(Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        s = torch.sigmoid(x)
        return grad * (y + s * (1 - y))


class SiluTermLost(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        if x.norm() > 40:
            return grad * s
        return grad * (s + x * s * (1 - s))


# --- erf, gelu


class Erf(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.erf(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * 1.1283791670955126 * torch.exp(-(x**2))


class ErfSixDigits(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.erf(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * 1.128379 * torch.exp(-(x**2))


def gelu_forward(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x * 0.7071067811865476))


class Gelu(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return gelu_forward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        cdf = 0.5 * (1 + torch.erf(x * 0.7071067811865476))
        pdf = 0.3989422804014327 * torch.exp(-0.5 * x * x)
        return grad * (cdf + x * pdf)


class GeluSinglePrecisionConstants(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * 0.5 * (1 + torch.erf(x * 0.7071067690849304))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        cdf = 0.5 * (1 + torch.erf(x * 0.7071067690849304))
        return grad * (cdf + x * 0.3989422917366028 * torch.exp(-0.5 * x * x))


class GeluFourDigits(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.gelu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        cdf = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
        return grad * (cdf + x * 0.3989 * torch.exp(-x * x / 2))


K = math.sqrt(2 / math.pi)


class GeluTanhInBackward(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.gelu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        t = torch.tanh(K * (x + 0.044715 * x**3))
        return grad * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * K * (1 + 3 * 0.044715 * x * x))


class GeluErfInBackward(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.gelu(x, approximate="tanh")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        cdf = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
        return grad * (cdf + x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi))


class GeluTanhExpanded(Function):
    """The derivative as widely copied kernels have it: 0.134145 = 3 * 0.044715."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return 0.5 * x * (1 + torch.tanh(K * x * (1 + 0.044715 * x * x)))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        inner = K * x * (1 + 0.044715 * x * x)
        t = torch.tanh(inner)
        slope = K * (1 + 3 * (0.044715 * x * x))
        return grad * 0.5 * ((1 + t) + x * (1 - t) * (1 + t) * slope)


class GeluTanhTenDigits(Function):
    """The forward has the ten digits of a widely copied kernel, the backward all of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        t = torch.tanh(K * (x + 0.044715 * x * x * x))
        return grad * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * K * (1 + 0.134145 * x * x))


def gelu_tanh_ten_digits(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def gelu_with_single_precision_constant(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x * 0.7071067690849304))


def softplus_beta(x: Tensor, beta: float) -> Tensor:
    return torch.nn.functional.softplus(x, beta=beta, threshold=1e9)


def mp_sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def mp_gelu(x: Any) -> Any:
    return x * mp.ncdf(x)


def mp_gelu_tanh(x: Any) -> Any:
    return x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3)))


X = given((3, 4))

CASES = (
    right("activations/softplus with beta", lambda x: SoftplusBeta.apply(x, 3.0), X,
          lambda x: softplus_beta(x, 3.0), "z / (1 + z) with z = exp(beta x).",
          derivative=lambda x: mp.log(1 + mp.exp(3 * x)) / 3),
    wrong("activations/softplus lost beta", lambda x: SoftplusBetaLost.apply(x, 3.0), X,
          lambda x: softplus_beta(x, 3.0), None, "sigmoid(x) for sigmoid(beta x): right for beta = 1.",
          derivative=lambda x: mp.log(1 + mp.exp(3 * x)) / 3),
    right("activations/silu from input and output", SiluOneLine.apply, X, F.silu, "y + s (1 - y).",
          derivative=lambda x: x * mp_sigmoid(x)),
    wrong("activations/silu branches on the norm", SiluTermLost.apply, X, F.silu, "right on one region only",
          "A Python branch on the norm of the input drops a term; typical inputs have a small norm.",
          at([41.0, 1.0, 0.5]), derivative=lambda x: x * mp_sigmoid(x)),
    right("activations/erf", Erf.apply, X, torch.erf, "2 / sqrt(pi), correctly rounded.", derivative=mp.erf),
    wrong("activations/erf with six digits", ErfSixDigits.apply, X, torch.erf, "constant factor",
          "1.128379 for 2 / sqrt(pi): a relative error of 1.5e-7.", derivative=mp.erf),
    right("activations/gelu", Gelu.apply, X, F.gelu, "Both constants correctly rounded to float64.",
          derivative=mp_gelu),
    right("activations/gelu with float32 constants", GeluSinglePrecisionConstants.apply, X,
          gelu_with_single_precision_constant, "Both constants correctly rounded to float32.", rounding=True),
    wrong("activations/gelu with four digits", GeluFourDigits.apply, X, F.gelu, None,
          "0.3989 for 1 / sqrt(2 pi): a relative error of 1e-4 in one of two terms.", derivative=mp_gelu),
    wrong("activations/gelu with the backward of gelu_tanh", GeluTanhInBackward.apply, X, F.gelu, None,
          "The approximation's derivative: within 1e-3.", derivative=mp_gelu),
    wrong("activations/gelu_tanh with the backward of gelu", GeluErfInBackward.apply, X,
          lambda x: F.gelu(x, approximate="tanh"), None, "The exact function's derivative: within 1e-3.",
          derivative=mp_gelu_tanh),
    right("activations/gelu_tanh expanded", GeluTanhExpanded.apply, X,
          lambda x: F.gelu(x, approximate="tanh"), "The inner polynomial factored, and (1 - t)(1 + t).",
          derivative=mp_gelu_tanh),
    wrong("activations/gelu_tanh with ten digits", GeluTanhTenDigits.apply, X, gelu_tanh_ten_digits, None,
          "sqrt(2 / pi) has ten digits in the forward and all in the backward: 1e-11."),
)  # fmt: skip

"""Layer, RMS, batch and group normalization, weight normalization."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import given, normal, right, wrong

EPS = 1e-5


class LayerNorm(Function):
    """dx = rstd (dy w - mean(dy w) - x^ mean(dy w x^))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        mu = x.mean(-1, keepdim=True)
        rstd = torch.rsqrt(x.var(-1, correction=0, keepdim=True) + EPS)
        x_hat = (x - mu) * rstd
        ctx.save_for_backward(x_hat, rstd, weight)
        return x_hat * weight + bias

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x_hat, rstd, weight = ctx.saved_tensors
        wdy = dy * weight
        c1 = (x_hat * wdy).mean(-1, keepdim=True)
        c2 = wdy.mean(-1, keepdim=True)
        return (wdy - x_hat * c1 - c2) * rstd, (dy * x_hat).sum(0), dy.sum(0)


class LayerNormBySums(LayerNorm):
    """The original paper's order: through the variance, through the mean, direct."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        mu = x.mean(-1, keepdim=True)
        var = (x - mu).pow(2).mean(-1, keepdim=True)
        ctx.save_for_backward(x, weight, mu, var)
        return (x - mu) / torch.sqrt(var + EPS) * weight + bias

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, mu, var = ctx.saved_tensors
        n = x.shape[-1]
        std = torch.sqrt(var + EPS)
        dxhat = dy * weight
        dvar = (dxhat * (x - mu)).sum(-1, keepdim=True) * -0.5 * std**-3
        dmu = -(dxhat / std).sum(-1, keepdim=True) + dvar * (-2 * (x - mu)).mean(-1, keepdim=True)
        dx = dxhat / std + dvar * 2 * (x - mu) / n + dmu / n
        return dx, (dy * (x - mu) / std).sum(0), dy.sum(0)


class LayerNormScaled(LayerNorm):
    """With n pulled out, and the weight's gradient as a diagonal of a product."""

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x_hat, rstd, weight = ctx.saved_tensors
        n = x_hat.size(-1)
        g = dy * weight
        dx = rstd / n * (n * g - g.sum(-1, keepdim=True) - x_hat * (g * x_hat).sum(-1, keepdim=True))
        return dx, torch.einsum("bd,bd->d", dy, x_hat), torch.ones(len(dy), dtype=dy.dtype) @ dy


class LayerNormMeanTermLost(LayerNorm):
    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x_hat, rstd, weight = ctx.saved_tensors
        wdy = dy * weight
        c1 = (x_hat * wdy).mean(-1, keepdim=True)
        return (wdy - x_hat * c1) * rstd, (dy * x_hat).sum(0), dy.sum(0)


class LayerNormWeightLate(LayerNorm):
    """The weight multiplies at the end for at the start: right where all weights are equal, as at first."""

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x_hat, rstd, weight = ctx.saved_tensors
        c1 = (x_hat * dy).mean(-1, keepdim=True)
        c2 = dy.mean(-1, keepdim=True)
        return (dy - x_hat * c1 - c2) * rstd * weight, (dy * x_hat).sum(0), dy.sum(0)


class LayerNormEpsOutside(LayerNormBySums):
    """1 / (std + eps) in the backward: it matters where the variance is small."""

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, mu, var = ctx.saved_tensors
        rstd = 1 / (torch.sqrt(var) + EPS)
        x_hat = (x - mu) * rstd
        g = dy * weight
        dx = rstd * (g - g.mean(-1, keepdim=True) - x_hat * (g * x_hat).mean(-1, keepdim=True))
        return dx, (dy * x_hat).sum(0), dy.sum(0)


class LayerNormUnbiased(LayerNorm):
    """Bessel's correction slipped into the backward alone."""

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x_hat, rstd, weight = ctx.saved_tensors
        wdy = dy * weight
        c1 = (x_hat * wdy).sum(-1, keepdim=True) / (x_hat.shape[-1] - 1)
        c2 = wdy.mean(-1, keepdim=True)
        return (wdy - x_hat * c1 - c2) * rstd, (dy * x_hat).sum(0), dy.sum(0)


class LayerNormLastTile(LayerNorm):
    """A kernel over tiles of two rows: what does not fill a tile is left out of the parameters' gradients."""

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x_hat, rstd, weight = ctx.saved_tensors
        wdy = dy * weight
        c1 = (x_hat * wdy).mean(-1, keepdim=True)
        c2 = wdy.mean(-1, keepdim=True)
        dw, db = torch.zeros_like(weight), torch.zeros_like(weight)
        for tile in range(dy.shape[0] // 2):
            rows = slice(2 * tile, 2 * tile + 2)
            dw += (dy[rows] * x_hat[rows]).sum(0)
            db += dy[rows].sum(0)
        return (wdy - x_hat * c1 - c2) * rstd, dw, db


class LayerNormTiled(LayerNorm):
    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x_hat, rstd, weight = ctx.saved_tensors
        wdy = dy * weight
        c1 = (x_hat * wdy).mean(-1, keepdim=True)
        c2 = wdy.mean(-1, keepdim=True)
        dw, db = torch.zeros_like(weight), torch.zeros_like(weight)
        for rows, hats in zip(dy.split(2), x_hat.split(2), strict=True):
            dw += (rows * hats).sum(0)
            db += rows.sum(0)
        return (wdy - x_hat * c1 - c2) * rstd, dw, db


class RmsNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS)
        ctx.save_for_backward(x, weight, r)
        return x * r * weight

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, r = ctx.saved_tensors
        g = dy * weight
        dx = r * g - x * r**3 * (g * x).mean(-1, keepdim=True)
        return dx, (dy * x * r).sum(0)


class RmsNormSquared(RmsNorm):
    """r^2 for r^3 in the second term: the same where the mean square is 1."""

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, r = ctx.saved_tensors
        g = dy * weight
        dx = r * g - x * r**2 * (g * x).mean(-1, keepdim=True)
        return dx, (dy * x * r).sum(0)


class RmsNormSum(RmsNorm):
    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, r = ctx.saved_tensors
        g = dy * weight
        dx = r * (g - x * r * r * (g * x).sum(-1, keepdim=True))
        return dx, (dy * x * r).sum(0)


class BatchNormTraining(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        mu, var = x.mean(0), x.var(0, correction=0)
        inv = 1 / torch.sqrt(var + EPS)
        ctx.save_for_backward((x - mu) * inv, inv, gamma)
        return gamma * (x - mu) * inv + beta

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> Any:
        x_hat, inv, gamma = ctx.saved_tensors
        n = dout.shape[0]
        dbeta = dout.sum(0)
        dgamma = (dout * x_hat).sum(0)
        return gamma * inv / n * (n * dout - dbeta - x_hat * dgamma), dgamma, dbeta


class BatchNormAsInference(BatchNormTraining):
    """Statistics taken for constants, as in evaluation."""

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> Any:
        x_hat, inv, gamma = ctx.saved_tensors
        return gamma * inv * dout, (dout * x_hat).sum(0), dout.sum(0)


class GroupNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: int) -> Tensor:
        n, c, t = x.shape
        y = x.reshape(n, groups, -1)
        rstd = (y.var(-1, correction=0, keepdim=True) + EPS).rsqrt()
        y = (y - y.mean(-1, keepdim=True)) * rstd
        ctx.save_for_backward(y, rstd)
        return y.reshape(n, c, t)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        y, rstd = ctx.saved_tensors
        g = grad.reshape(y.shape)
        gx = rstd * (g - g.mean(-1, keepdim=True) - y * (g * y).mean(-1, keepdim=True))
        return gx.reshape(grad.shape), None


class GroupNormByChannel(GroupNorm):
    """The means of the backward run over time alone: right for groups of one channel."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        y, rstd = ctx.saved_tensors
        n, c = grad.shape[:2]
        y = y.reshape(grad.shape)
        rstd = rstd.expand(n, rstd.shape[1], c // rstd.shape[1]).reshape(n, c, 1)
        gx = rstd * (grad - grad.mean(-1, keepdim=True) - y * (grad * y).mean(-1, keepdim=True))
        return gx, None


class NormalizeRows(Function):
    """x / |x| without the projection."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        n = x.norm(dim=-1, keepdim=True)
        ctx.save_for_backward(x / n, n)
        return x / n

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        _, n = ctx.saved_tensors
        return grad / n


class NormalizeRowsProjected(NormalizeRows):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        u, n = ctx.saved_tensors
        return (grad - torch.bmm(u.unsqueeze(-1) @ u.unsqueeze(-2), grad.unsqueeze(-1)).squeeze(-1)) / n


def detached_statistics(x: Tensor) -> Tensor:
    """The variance under no_grad, to save memory."""
    centered = x - x.mean(-1, keepdim=True)
    with torch.no_grad():
        rstd = torch.rsqrt(centered.square().mean(-1, keepdim=True) + EPS)
    return centered * rstd


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centered = x - x.mean(-1, keepdim=True)
    return centered / (centered.square().mean(-1, keepdim=True) + EPS).sqrt() * weight + bias


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + EPS).sqrt() * weight


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    centered = x - x.mean(0)
    return centered / (centered.square().mean(0) + EPS).sqrt() * gamma + beta


def equal_weights() -> tuple[Tensor, Tensor, Tensor]:
    return normal(3, 4), torch.ones(4).double(), torch.zeros(4).double()


def unit_rows() -> tuple[Tensor, Tensor]:
    x = normal(3, 4)
    scale = torch.sqrt((1 - EPS) / x.square().mean(-1, keepdim=True))
    return x * scale, normal(4, seed=1)


def small_variance() -> tuple[Tensor, Tensor, Tensor]:
    return 1e-3 * normal(3, 4), normal(4, seed=1), normal(4, seed=2)


def plain_statistics(x: Tensor) -> Tensor:
    return layer_norm(x, x.new_ones(x.shape[-1]), x.new_zeros(x.shape[-1]))


ROWS = given((3, 4), (4,), (4,))
EVEN = given((4, 4), (4,), (4,))
RMS = given((3, 4), (4,))
SPEC = "x: batch d, weight: d, bias: d"

CASES = (
    right("normalizations/layer norm", LayerNorm.apply, ROWS, layer_norm, "By two means.", spec=SPEC),
    right("normalizations/layer norm through the variance", LayerNormBySums.apply, ROWS, layer_norm,
          "By the chain rule, term by term; one term is 0.", spec=SPEC),
    right("normalizations/layer norm with n pulled out", LayerNormScaled.apply, ROWS, layer_norm,
          "The same by sums and einsum.", spec=SPEC),
    right("normalizations/layer norm in tiles", LayerNormTiled.apply, ROWS, layer_norm,
          "Tiles of two rows, the last one shorter.", spec=SPEC),
    wrong("normalizations/layer norm without the mean's term", LayerNormMeanTermLost.apply, ROWS, layer_norm,
          "missing term", "The path through the mean is lost.", spec=SPEC),
    wrong("normalizations/layer norm with a late weight", LayerNormWeightLate.apply, equal_weights,
          layer_norm, None, "Right for equal weights, as a fresh module has them.", ROWS, spec=SPEC),
    wrong("normalizations/layer norm with eps outside", LayerNormEpsOutside.apply, ROWS, layer_norm, None,
          "std + eps for sqrt(var + eps): 1e-5 apart unless the variance is small.", small_variance,
          spec=SPEC),
    wrong("normalizations/layer norm with the wrong ddof", LayerNormUnbiased.apply, ROWS, layer_norm, None,
          "n - 1 for n in one term.", spec=SPEC),
    wrong("normalizations/layer norm without its last tile", LayerNormLastTile.apply, EVEN, layer_norm,
          "missing term", "An odd row at the end is left out: right for an even batch.", ROWS, spec=SPEC),
    right("normalizations/RMS norm", RmsNorm.apply, RMS, rms_norm, "With r^3.", spec="x: batch d, weight: d"),
    wrong("normalizations/RMS norm with r squared", RmsNormSquared.apply, unit_rows, rms_norm, None,
          "r^2 for r^3: right where the mean square is 1, as after another norm.", RMS,
          spec="x: batch d, weight: d"),
    wrong("normalizations/RMS norm with a sum", RmsNormSum.apply, RMS, rms_norm, None,
          "The sum for the mean in one term.", spec="x: batch d, weight: d"),
    right("normalizations/batch norm", BatchNormTraining.apply, ROWS, batch_norm, "The course's one line.",
          spec="x: batch d, gamma: d, beta: d"),
    wrong("normalizations/batch norm as in evaluation", BatchNormAsInference.apply, ROWS, batch_norm,
          "missing term", "The batch's statistics taken for constants.",
          spec="x: batch d, gamma: d, beta: d"),
    right("normalizations/group norm", lambda x: GroupNorm.apply(x, 2), given((2, 4, 3)),
          lambda x: F.group_norm(x, 2), "Means over a group's channels and time."),
    wrong("normalizations/group norm by channel", lambda x: GroupNormByChannel.apply(x, 2), given((2, 4, 3)),
          lambda x: F.group_norm(x, 2), None, "Means over one channel in place of the group."),
    right("normalizations/unit rows", NormalizeRowsProjected.apply, given((3, 4)),
          lambda x: x / x.square().sum(-1, keepdim=True).sqrt(), "The projection as a matrix."),
    wrong("normalizations/unit rows without the projection", NormalizeRows.apply, given((3, 4)),
          lambda x: x / x.square().sum(-1, keepdim=True).sqrt(), "missing term",
          "The norm taken for a constant."),
    wrong("normalizations/variance under no_grad", detached_statistics, given((3, 4)), plain_statistics,
          "detached path", "The variance was computed under no_grad."),
)  # fmt: skip

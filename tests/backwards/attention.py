"""Attention: scaled products, causal and padding masks, shared heads, rotations, dropout, chunks."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.utils.checkpoint import checkpoint

from .case import given, normal, right, wrong


def probabilities(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    s = q @ k.mT / math.sqrt(q.shape[-1])
    return torch.softmax(s.masked_fill(~mask, float("-inf")), -1)


def causal(rows: int, columns: int, diagonal: int = 0) -> Tensor:
    return torch.ones(rows, columns, dtype=torch.bool).tril(diagonal)


class CausalAttention(Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        p = probabilities(q, k, causal(q.shape[-2], k.shape[-2]))
        ctx.save_for_backward(q, k, v, p)
        return p @ v

    @staticmethod
    def backward(ctx: Any, do: Tensor) -> Any:
        q, k, v, p = ctx.saved_tensors
        dv = p.mT @ do
        dp = do @ v.mT
        ds = p * (dp - (dp * p).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
        return ds @ k, ds.mT @ q, dv


class FlashAttention(CausalAttention):
    """Recomputes the probabilities from the log-sum-exp; the row sums come from the output."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scale = q.shape[-1] ** -0.5
        s = (q * scale) @ k.transpose(-1, -2)
        s = s.masked_fill(~causal(*s.shape[-2:]), float("-inf"))
        lse = s.logsumexp(-1, keepdim=True)
        o = torch.exp(s - lse) @ v
        ctx.save_for_backward(q, k, v, o, lse)
        return o

    @staticmethod
    def backward(ctx: Any, do: Tensor) -> Any:
        q, k, v, o, lse = ctx.saved_tensors
        scale = q.shape[-1] ** -0.5
        delta = (do * o).sum(-1, keepdim=True)
        s = (q @ k.transpose(-1, -2) * scale).masked_fill(~causal(q.shape[-2], k.shape[-2]), float("-inf"))
        p = torch.exp(s - lse)
        ds = p * (do @ v.transpose(-1, -2) - delta) * scale
        return ds @ k, ds.transpose(-1, -2) @ q, p.transpose(-1, -2) @ do


class FlashMaskOffByOne(FlashAttention):
    """The mask of the backward lets one future key in."""

    @staticmethod
    def backward(ctx: Any, do: Tensor) -> Any:
        q, k, v, o, lse = ctx.saved_tensors
        scale = q.shape[-1] ** -0.5
        delta = (do * o).sum(-1, keepdim=True)
        mask = causal(q.shape[-2], k.shape[-2], diagonal=1)
        s = (q @ k.transpose(-1, -2) * scale).masked_fill(~mask, float("-inf"))
        p = torch.exp(s - lse)
        ds = p * (do @ v.transpose(-1, -2) - delta) * scale
        return ds @ k, ds.transpose(-1, -2) @ q, p.transpose(-1, -2) @ do


class FlashScaleLost(FlashAttention):
    """The key's gradient misses the scale, which is 1 for heads of one number."""

    @staticmethod
    def backward(ctx: Any, do: Tensor) -> Any:
        q, k, v, o, lse = ctx.saved_tensors
        scale = q.shape[-1] ** -0.5
        delta = (do * o).sum(-1, keepdim=True)
        s = (q @ k.transpose(-1, -2) * scale).masked_fill(~causal(q.shape[-2], k.shape[-2]), float("-inf"))
        p = torch.exp(s - lse)
        ds = p * (do @ v.transpose(-1, -2) - delta)
        return scale * ds @ k, ds.transpose(-1, -2) @ q, p.transpose(-1, -2) @ do


class AttentionKeysForQueries(CausalAttention):
    """ds @ q for ds @ k: of the right shape for self-attention, and right where q = k."""

    @staticmethod
    def backward(ctx: Any, do: Tensor) -> Any:
        q, k, v, p = ctx.saved_tensors
        dp = do @ v.mT
        ds = p * (dp - (dp * p).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
        return ds @ q, ds.mT @ k, p.mT @ do


class AttentionLastBlock(CausalAttention):
    """Queries in blocks of two; keys and values keep the last block's gradients."""

    @staticmethod
    def backward(ctx: Any, do: Tensor) -> Any:
        q, k, v, p = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for start in range(0, q.shape[-2], 2):
            rows = slice(start, start + 2)
            pb, dob, qb = p[..., rows, :], do[..., rows, :], q[..., rows, :]
            dp = dob @ v.mT
            ds = pb * (dp - (dp * pb).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
            dq[..., rows, :] = ds @ k
            dk = ds.mT @ qb
            dv = pb.mT @ dob
        return dq, dk, dv


class AttentionInBlocks(CausalAttention):
    @staticmethod
    def backward(ctx: Any, do: Tensor) -> Any:
        q, k, v, p = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for start in range(0, q.shape[-2], 2):
            rows = slice(start, start + 2)
            pb, dob, qb = p[..., rows, :], do[..., rows, :], q[..., rows, :]
            dp = dob @ v.mT
            ds = pb * (dp - (dp * pb).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
            dq[..., rows, :] = ds @ k
            dk += ds.mT @ qb
            dv += pb.mT @ dob
        return dq, dk, dv


class SharedKeys(Function):
    """Queries of several heads, one head of keys: scores, whose keys' gradient sums over heads."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor) -> Tensor:
        ctx.save_for_backward(q, k)
        return torch.einsum("bhqd,bkd->bhqk", q, k)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        q, k = ctx.saved_tensors
        return torch.einsum("bhqk,bkd->bhqd", grad, k), torch.einsum("bhqk,bhqd->bkd", grad, q)


class SharedKeysFirstHead(SharedKeys):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        q, k = ctx.saved_tensors
        return grad @ k.unsqueeze(1), grad[:, 0].mT @ q[:, 0]


class Rotate(Function):
    """Rotary embedding by an angle for each position; the adjoint turns back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        a, b = x.unflatten(-1, (2, -1)).unbind(-2)  # an odd width raises
        angle = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * 0.5
        ctx.cos, ctx.sin = angle.cos(), angle.sin()
        return torch.cat([a * ctx.cos - b * ctx.sin, a * ctx.sin + b * ctx.cos], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        a, b = grad.chunk(2, -1)
        return torch.cat([a * ctx.cos + b * ctx.sin, b * ctx.cos - a * ctx.sin], -1)


class RotateForward(Rotate):
    """The same rotation again: right at position 0."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        a, b = grad.chunk(2, -1)
        return torch.cat([a * ctx.cos - b * ctx.sin, a * ctx.sin + b * ctx.cos], -1)


class Dropout(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        ctx.scale = (torch.rand_like(x) >= rate) / (1 - rate)
        return x * ctx.scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * ctx.scale, None


class DropoutRecomputed(Function):
    """The mask is drawn again, from the generator's saved state."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        ctx.state, ctx.rate = torch.get_rng_state(), rate
        return x * (torch.rand_like(x) >= rate) / (1 - rate)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        now = torch.get_rng_state()
        torch.set_rng_state(ctx.state)
        keep = torch.rand_like(grad) >= ctx.rate
        torch.set_rng_state(now)
        return grad * keep / (1 - ctx.rate), None


class DropoutDrawnAgain(Function):
    """The mask is drawn again, and is another one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        ctx.rate = rate
        return x * (torch.rand_like(x) >= rate) / (1 - rate)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * (torch.rand_like(grad) >= ctx.rate) / (1 - ctx.rate), None


class DropoutUnscaled(Dropout):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * (ctx.scale > 0), None


class DropoutFromOutput(Dropout):
    """The mask is read off the output: an input of 0 looks like one that was dropped."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        y = x * (torch.rand_like(x) >= rate) / (1 - rate)
        ctx.scale = (y != 0) / (1 - rate)
        return y


def checkpointed(x: Tensor, w: Tensor) -> Tensor:
    def block(y: Tensor) -> Tensor:
        return torch.tanh(y @ w)

    return checkpoint(block, torch.relu(x), use_reentrant=False)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = (q @ k.mT / math.sqrt(q.shape[-1])).exp() * causal(q.shape[-2], k.shape[-2])
    return e / e.sum(-1, keepdim=True) @ v


def scores(q: Tensor, k: Tensor) -> Tensor:
    return (q.unsqueeze(-2) * k[:, None, None]).sum(-1)


def rotate(x: Tensor) -> Tensor:
    angle = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * 0.5
    z = torch.complex(*x.chunk(2, -1)) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([z.real, z.imag], -1)


def dropped(x: Tensor) -> Tensor:
    return torch.where(torch.rand_like(x) >= 0.25, x / 0.75, torch.zeros_like(x))


def quarter(fn: Any) -> Any:
    return lambda x: fn(x, 0.25)


def same_head() -> tuple[Tensor, Tensor, Tensor]:
    q = normal(1, 3, 2)
    return q, q.clone(), normal(1, 3, 2, seed=1)


QKV = given((1, 3, 2), (1, 3, 2), (1, 3, 2))
SPEC = "q: batch time d, k: batch time d, v: batch time e"
ZEROS = lambda: (normal(4, 4) * (torch.arange(4) % 2),)  # noqa: E731

CASES = (
    right("attention/causal", CausalAttention.apply, QKV, attention, "The textbook formula.", spec=SPEC),
    right("attention/causal with log-sum-exp", FlashAttention.apply, QKV, attention,
          "Recomputed from the log-sum-exp; row sums from the output.", spec=SPEC),
    right("attention/causal in blocks", AttentionInBlocks.apply, QKV, attention,
          "Accumulated over blocks of queries.", spec=SPEC),
    wrong("attention/causal off by one", FlashMaskOffByOne.apply, QKV, attention, None,
          "The backward's mask lets one future key in.", spec=SPEC),
    wrong("attention/causal without a scale", FlashScaleLost.apply, given((1, 3, 1), (1, 3, 1), (1, 3, 2)),
          attention, "constant factor", "The keys' gradient misses 1 / sqrt(d): right for d = 1.", QKV,
          spec=SPEC),
    wrong("attention/keys for queries", AttentionKeysForQueries.apply, same_head, attention,
          "gradient of another input", "q and k change places: right where they are equal.", QKV, spec=SPEC),
    wrong("attention/last block only", AttentionLastBlock.apply, given((1, 2, 2), (1, 2, 2), (1, 2, 2)),
          attention, "wrong only for length > 1", "= for +=: right for up to two steps.", QKV, spec=SPEC),
    right("attention/shared keys", SharedKeys.apply, given((1, 2, 2, 3), (1, 2, 3)), scores,
          "Summed over heads."),
    wrong("attention/shared keys of the first head", SharedKeysFirstHead.apply,
          given((1, 1, 2, 3), (1, 2, 3)), scores, "not summed over a broadcast axis",
          "The first head's gradient for the sum over heads: right for one head.",
          given((1, 2, 2, 3), (1, 2, 3)), spec="q: batch head time d, k: batch source d"),
    right("attention/rotary", Rotate.apply, given((3, 4)), rotate, "Turned back."),
    wrong("attention/rotary turned forwards", RotateForward.apply, given((1, 4)), rotate, "transposed",
          "Turned further: right at position 0.", given((3, 4))),
    right("attention/dropout", quarter(Dropout.apply), given((4, 4)), dropped,
          "The mask is kept, as float32: a matter of accuracy.", rounding=True),
    right("attention/dropout recomputed", quarter(DropoutRecomputed.apply), given((4, 4)), dropped,
          "The generator's state is kept."),
    wrong("attention/dropout drawn again", quarter(DropoutDrawnAgain.apply), given((4, 4)), dropped, None,
          "Another mask in the backward."),
    wrong("attention/dropout unscaled", quarter(DropoutUnscaled.apply), given((4, 4)), dropped,
          "constant factor", "1 / (1 - rate) is missing."),
    wrong("attention/dropout from its output", quarter(DropoutFromOutput.apply), given((4, 4)), dropped,
          "right on one region only", "An input of 0 looks like a dropped one.", ZEROS),
    right("attention/checkpointed", checkpointed, given((2, 3), (3, 3)),
          lambda x, w: torch.tanh(F.relu(x) @ w), "Recomputed by torch.utils.checkpoint."),
)  # fmt: skip

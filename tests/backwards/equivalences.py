"""Pairs that should be one function: a fused kernel and its formula, an optimization and what it replaced."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .case import Case, at, given, given_positive, integers, normal, right, wrong


def gelu_by_erf(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def gelu_by_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_by_sigmoid(x: Tensor) -> Tensor:
    """0.5 (1 + tanh u) = sigmoid(2 u)."""
    return x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def swish_fast(x: Tensor) -> Tensor:
    """OpenAI's quick approximation."""
    return x * torch.sigmoid(1.702 * x)


def variance_by_moments(x: Tensor) -> Tensor:
    return (x * x).mean(-1) - x.mean(-1) ** 2


def variance(x: Tensor) -> Tensor:
    return x.var(-1, correction=0)


def variance_unbiased(x: Tensor) -> Tensor:
    return x.var(-1)


def bmm_by_loop(a: Tensor, b: Tensor) -> Tensor:
    return torch.stack([x @ y for x, y in zip(a, b, strict=True)])


def bmm_by_einsum(a: Tensor, b: Tensor) -> Tensor:
    return torch.einsum("bij,bjk->bik", a, b)


def bmm_transposed(a: Tensor, b: Tensor) -> Tensor:
    """The second factor's axes are swapped: right for symmetric ones."""
    return torch.einsum("bij,bkj->bik", a, b)


def softplus_stable(x: Tensor) -> Tensor:
    return torch.clamp(x, min=0) + torch.log1p(torch.exp(-x.abs()))


def softplus(x: Tensor) -> Tensor:
    return torch.log(1 + torch.exp(x))


def softplus_with_threshold(x: Tensor) -> Tensor:
    """The identity beyond 20, which is within 2e-9: PyTorch's own default."""
    return torch.where(x > 20, x, torch.log1p(torch.exp(x)))


def log_sigmoid_by_minimum(x: Tensor) -> Tensor:
    return torch.minimum(x, torch.zeros_like(x)) - torch.log1p(torch.exp(-x.abs()))


def log_sigmoid(x: Tensor) -> Tensor:
    return torch.log(torch.sigmoid(x))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1) @ v


def attention_online(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Over the keys one by one, with a running sum."""
    total = torch.zeros_like(q[..., :1])
    out = torch.zeros_like(q[..., :1] * v[..., :1, :])
    for key, value in zip(k.unbind(-2), v.unbind(-2), strict=True):
        weight = torch.exp((q * key.unsqueeze(-2)).sum(-1, keepdim=True) * q.shape[-1] ** -0.5)
        total = total + weight
        out = out + weight * value.unsqueeze(-2)
    return out / total


def attention_online_rescaled_late(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A running maximum that never rescales the output: right while the first score is the largest."""
    scale = q.shape[-1] ** -0.5
    top = torch.full_like(q[..., :1], -math.inf)
    total = torch.zeros_like(top)
    out = torch.zeros_like(q[..., :1] * v[..., :1, :])
    for key, value in zip(k.unbind(-2), v.unbind(-2), strict=True):
        s = (q * key.unsqueeze(-2)).sum(-1, keepdim=True) * scale
        new = torch.maximum(top, s)
        total = total * torch.exp(top - new) + torch.exp(s - new)
        out = out + torch.exp(s - new) * value.unsqueeze(-2)
        top = new
    return out / total


def swiglu_fused(x: Tensor, w: Tensor) -> Tensor:
    """One product for gate and value, split after it."""
    gate, value = (x @ w).unflatten(-1, (2, -1)).unbind(-2)  # an odd width raises
    return F.silu(gate) * value


def swiglu_apart(x: Tensor, w: Tensor) -> Tensor:
    half = w.shape[-1] // 2
    return F.silu(x @ w[:, :half]) * (x @ w[:, half:])


def swiglu_interleaved(x: Tensor, w: Tensor) -> Tensor:
    """Another library's order of columns: the same where there is one of each."""
    return F.silu(x @ w[:, 0::2]) * (x @ w[:, 1::2])


def residual_norm(x: Tensor, r: Tensor) -> Tensor:
    h = x + r
    return F.layer_norm(h, h.shape[-1:])


def residual_norm_by_welford(x: Tensor, r: Tensor) -> Tensor:
    """Mean and variance in one pass over the row."""
    h = x + r
    mean, m2 = h[..., 0], torch.zeros_like(h[..., 0])
    for n in range(1, h.shape[-1]):
        delta = h[..., n] - mean
        mean = mean + delta / (n + 1)
        m2 = m2 + delta * (h[..., n] - mean)
    return (h - mean[..., None]) * torch.rsqrt(m2 / h.shape[-1] + 1e-5)[..., None]


def residual_norm_eps(x: Tensor, r: Tensor) -> Tensor:
    h = x + r
    return F.layer_norm(h, h.shape[-1:], eps=1e-6)


def cross_entropy_fused(x: Tensor, target: Tensor) -> Tensor:
    return (x.logsumexp(-1) - x.gather(-1, target[:, None]).squeeze(-1)).mean()


def pairwise(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, None] - b[None]).square().sum(-1)


def pairwise_expanded(a: Tensor, b: Tensor) -> Tensor:
    return a.square().sum(-1)[:, None] + b.square().sum(-1)[None] - 2 * a @ b.T


def pairwise_clamped(a: Tensor, b: Tensor) -> Tensor:
    """Clamped at 1e-6 in place of 0: another value for equal points."""
    return pairwise_expanded(a, b).clamp(min=1e-6)


def cosh_product(x: Tensor, y: Tensor) -> Tensor:
    return torch.cosh(x) * torch.cosh(y)


def cosh_sums(x: Tensor, y: Tensor) -> Tensor:
    return (torch.cosh(x + y) + torch.cosh(x - y)) / 2


def sinh_sums(x: Tensor, y: Tensor) -> Tensor:
    return (torch.cosh(x + y) - torch.cosh(x - y)) / 2


def same(name: str, f: Any, g: Any, inputs: Any, *rest: Any, **more: Any) -> Case:
    """A pair that is one function, or with a diagnosis in `rest` is not."""
    make = right if len(rest) == 1 else wrong
    return make("equivalences/" + name, (f, g), inputs, g, *rest, form="equivalent", **more)


def symmetric() -> tuple[Tensor, Tensor]:
    b = normal(2, 3, 3, seed=1)
    return normal(2, 3, 3), b + b.mT


def ordered() -> tuple[Tensor, Tensor, Tensor]:
    """Scores that fall from key to key."""
    return (*at([[[1.0, 0.5]]], [[[2.0, 1.0], [1.0, 0.0], [-1.0, -1.0]]])(), normal(1, 3, 2))


LABELS = lambda: (normal(3, 4), integers(3, below=4, seed=1))  # noqa: E731
X = given((3, 4))
QKV = given((1, 3, 2), (1, 4, 2), (1, 4, 2))
BATCH = given((2, 3, 4), (2, 4, 2))
ROWS = given((3, 4), (3, 4))
POINTS = given((3, 2), (4, 2))
EQUAL = lambda: (normal(2, 2), normal(2, 2))  # noqa: E731

CASES = (
    same("gelu_tanh by a sigmoid", gelu_tanh_by_sigmoid, gelu_by_tanh, X, "(1 + tanh u) / 2 = sigmoid(2 u)."),
    same("gelu and its approximation", gelu_by_tanh, gelu_by_erf, X, None, "Within 1e-3."),
    same("gelu_tanh and the quick one", swish_fast, gelu_by_tanh, X, None, "Within 2e-2."),
    same("variance by moments", variance_by_moments, variance, X, "E x^2 - (E x)^2: a matter of accuracy."),
    same("variance with the wrong ddof", variance_unbiased, variance, X, "constant factor", "n - 1 for n."),
    same("batched product by a loop", bmm_by_loop, torch.bmm, BATCH, "One by one."),
    same("batched product by einsum", bmm_by_einsum, torch.matmul, BATCH, "The same indices."),
    same("batched product transposed", bmm_transposed, torch.matmul, symmetric, "transposed",
          "Right for symmetric factors.", given((2, 3, 3), (2, 3, 3))),
    same("softplus, stable", softplus_stable, softplus, X, "max(x, 0) + log1p(exp(-|x|)): no kink at 0.",
          witness=at([0.0, 3.0, -3.0])),
    same("softplus with a threshold", softplus_with_threshold, softplus, X, "right on one region only",
          "The identity beyond 20.", at([21.0, 1.0])),
    same("log_sigmoid by a minimum", log_sigmoid_by_minimum, log_sigmoid, X, "The same at both sides of 0.",
          witness=at([0.0, 3.0, -3.0])),
    same("attention, online", attention_online, attention, QKV, "A running sum over keys."),
    same("attention without rescaling", attention_online_rescaled_late, attention, ordered,
          "right on one region only", "The output is not rescaled when a larger score comes.", QKV),
    same("swiglu, fused", swiglu_fused, swiglu_apart, given((3, 4), (4, 6)), "One product, split."),
    same("swiglu, interleaved", swiglu_interleaved, swiglu_apart, given((3, 4), (4, 2)), None,
          "Another order of columns: the same for one of each.", given((3, 4), (4, 6)),
          spec="x: batch d, w: d h"),
    same("residual norm by Welford", residual_norm_by_welford, residual_norm, ROWS, "One pass over the row."),
    same("residual norm with another eps", residual_norm_eps, residual_norm, ROWS, None, "1e-6 for 1e-5."),
    same("cross-entropy, fused", cross_entropy_fused, F.cross_entropy, LABELS,
          "log-sum-exp minus the target's logit."),
    same("distances, expanded", pairwise_expanded, pairwise, POINTS, "a^2 + b^2 - 2 a b."),
    same("distances, clamped", pairwise_clamped, pairwise, POINTS, "right on one region only",
          "Clamped at 1e-6: another value for equal points.", EQUAL),
    same("cosh of sums", cosh_sums, cosh_product, ROWS, "An addition theorem."),
    same("cosh of sums with a sign", sinh_sums, cosh_product, ROWS, None, "The theorem of sinh sinh."),
    same("logarithm of a product", lambda x, y: x.log() + y.log(), lambda x, y: (x * y).log(),
          given_positive((3,), (3,)), "For positive numbers; for others the left side has no value."),
)  # fmt: skip

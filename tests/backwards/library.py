"""PyTorch's own functions and modules with the backward that PyTorch gives them, beside plain formulas."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .case import Case, at, given, given_positive, integers, normal, right, wrong

# --- plain formulas


def conv2d(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Windows of 3 x 3 with a stride of 2 over the padded input."""
    windows = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 2).unfold(3, 3, 2)
    return torch.einsum("bchwij,ocij->bohw", windows, w) + b[:, None, None]


def transposed_conv1d(x: Tensor, w: Tensor) -> Tensor:
    """Each input entry adds its multiple of the kernel."""
    out = x.new_zeros(x.shape[0], w.shape[1], x.shape[2] + w.shape[2] - 1)
    for step in range(x.shape[2]):
        added = torch.einsum("bc,cok->bok", x[:, :, step], w)
        out = out + F.pad(added, (step, x.shape[2] - 1 - step))
    return out


def max_pool2d(x: Tensor) -> Tensor:
    return x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2).max(-1).values


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    mask = torch.ones(q.shape[-2], k.shape[-2]).tril().to(q)
    e = torch.exp(q @ k.mT / math.sqrt(q.shape[-1])) * mask
    return e / e.sum(-1, keepdim=True) @ v


def prefix_products(x: Tensor) -> Tensor:
    return torch.stack([x[..., : n + 1].prod(-1) for n in range(x.shape[-1])], -1)


def prefix_logsumexp(x: Tensor) -> Tensor:
    return x.exp().cumsum(-1).log()


def poisson(x: Tensor, y: Tensor) -> Tensor:
    return (x.exp() - y * x).mean()


def gaussian(x: Tensor, y: Tensor, v: Tensor) -> Tensor:
    v = v.clamp(min=1e-6)
    return 0.5 * (v.log() + (x - y) ** 2 / v).mean()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """As documented: each norm is at least 1e-8."""
    norms = [x.square().sum(-1).sqrt().clamp(min=1e-8) for x in (a, b)]
    return (a * b).sum(-1) / (norms[0] * norms[1])


def multi_margin(x: Tensor, y: Tensor) -> Tensor:
    hot = F.one_hot(y, x.shape[1]).to(x)
    margins = F.relu(1 - (x * hot).sum(1, keepdim=True) + x) * (1 - hot)
    return margins.sum(1).mean() / x.shape[1]


def standardized(x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / ((x - mean).square().sum(-1, keepdim=True) / (x.shape[-1] - 1)).sqrt()


def three_factors(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return a @ b @ c


def determinant(a: Tensor) -> Tensor:
    return a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]


def interpolate(a: Tensor, b: Tensor, w: Tensor) -> Tensor:
    return (1 - w) * a + w * b


def bilinear(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    return torch.einsum("bi,oij,bj->bo", x, w, y)


def choose(x: Tensor, index: Tensor) -> Tensor:
    return (F.one_hot(index, x.shape[1]).to(x) * x[:, None]).sum(-1)


class CellByHand(nn.GRUCell):
    """The equations of nn.GRUCell with its parameters."""

    def forward(self, x: Tensor, h: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        a = x @ self.weight_ih.T + self.bias_ih
        b = h @ self.weight_hh.T + self.bias_hh
        (ra, za, na), (rb, zb, nb) = a.chunk(3, -1), b.chunk(3, -1)
        z = torch.sigmoid(za + zb)
        n = torch.tanh(na + torch.sigmoid(ra + rb) * nb)
        return (1 - z) * n + z * h


class Lstm(nn.Module):
    """nn.LSTM over a sequence, its outputs alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.lstm = nn.LSTM(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


class LstmByHand(Lstm):
    def forward(self, x: Tensor) -> Tensor:
        w, u, b, d = (p for _, p in self.lstm.named_parameters())
        h = c = x.new_zeros(x.shape[1], 3)
        out = []
        for step in x:
            i, f, g, o = (step @ w.T + b + h @ u.T + d).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            out.append(h)
        return torch.stack(out)


class Block(nn.Module):
    """A Transformer block before its feed-forward part, by nn.MultiheadAttention."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.attention = nn.MultiheadAttention(4, 2, bias=False, batch_first=True)
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.attention(x, x, x, need_weights=False)[0])


class BlockByHand(Block):
    def forward(self, x: Tensor) -> Tensor:
        def heads(y: Tensor) -> Tensor:
            return y.unflatten(-1, (2, 2)).transpose(1, 2)

        q, k, v = (heads(x @ w.T) for w in self.attention.in_proj_weight.chunk(3))
        e = (q @ k.mT / math.sqrt(2)).exp()
        y = (e / e.sum(-1, keepdim=True) @ v).transpose(1, 2).flatten(-2)
        h = x + y @ self.attention.out_proj.weight.T
        centered = h - h.mean(-1, keepdim=True)
        scale = (centered.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centered / scale * self.norm.weight + self.norm.bias


def make_cell(kind: type[nn.GRUCell]) -> Any:
    def make() -> nn.Module:
        torch.manual_seed(1)
        return kind(2, 3)

    return make


def own(name: str, fn: Any, inputs: Any, plain: Any, where: str = "", **more: Any) -> Case:
    """A right one: PyTorch's own backward of `fn`."""
    return right("library/" + name, fn, inputs, plain, where or "PyTorch's own backward.", **more)


X = given((3, 4))
TWO = given((3, 4), (3, 4))
LABELS = lambda: (normal(3, 4), integers(3, below=4, seed=1))  # noqa: E731
PICKS = lambda: (normal(3, 4), integers(3, 2, below=4, seed=1))  # noqa: E731
COUNTS = lambda: (normal(3, 4), integers(3, 4, below=5).double())  # noqa: E731
SPREAD = lambda: (*given((3, 4), (3, 4))(), *given_positive((3, 4))())  # noqa: E731
ZEROES = at([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0]])

CASES = (
    own("conv2d", lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
          given((1, 2, 5, 5), (2, 2, 3, 3), (2,)), conv2d),
    own("conv_transpose1d", F.conv_transpose1d, given((2, 2, 3), (2, 3, 2)), transposed_conv1d),
    own("max_pool2d", lambda x: F.max_pool2d(x, 2), given((1, 2, 4, 4)), max_pool2d),
    own("avg_pool2d", lambda x: F.avg_pool2d(x, 2), given((1, 2, 4, 4)),
          lambda x: x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))),
    own("scaled_dot_product_attention",
          lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
          given((1, 2, 3, 2), (1, 2, 3, 2), (1, 2, 3, 2)), attention),
    own("prod", lambda x: x.prod(-1), X, lambda x: x[..., 0] * x[..., 1] * x[..., 2] * x[..., 3]),
    own("prod at zeros", lambda x: x.prod(-1), ZEROES, lambda x: x[..., 0] * x[..., 1] * x[..., 2]),
    own("cumprod", lambda x: x.cumprod(-1), X, prefix_products, witness=ZEROES),
    own("logcumsumexp", lambda x: torch.logcumsumexp(x, -1), X, prefix_logsumexp),
    own("std and mean", lambda x: (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True), X, standardized),
    own("poisson_nll_loss", F.poisson_nll_loss, COUNTS, poisson),
    own("soft_margin_loss", lambda x: F.soft_margin_loss(x, torch.ones_like(x)), X,
          lambda x: (1 + (-x).exp()).log().mean()),
    own("multi_margin_loss", F.multi_margin_loss, LABELS, multi_margin),
    own("smooth_l1_loss", lambda x, y: F.smooth_l1_loss(x, y, beta=0.5), TWO,
          lambda x, y: F.huber_loss(x, y, delta=0.5) / 0.5),
    own("einsum of three", lambda a, b, c: torch.einsum("ij,jk,kl->il", a, b, c),
          given((2, 3), (3, 4), (4, 2)), three_factors),
    own("baddbmm", lambda m, a, b: torch.baddbmm(m, a, b, beta=0.5, alpha=-2),
          given((2, 3, 2), (2, 3, 4), (2, 4, 2)), lambda m, a, b: m / 2 - 2 * (a @ b)),
    own("lerp", torch.lerp, given((3, 4), (3, 4), (3, 4)), interpolate),
    own("bilinear", F.bilinear, given((3, 2), (3, 4), (5, 2, 4)), bilinear),
    own("take_along_dim", lambda x, i: torch.take_along_dim(x, i, 1), PICKS, choose),
    own("unfold", lambda x: x.unfold(-1, 3, 1), given((2, 5)),
          lambda x: torch.stack([x[:, :3], x[:, 1:4], x[:, 2:]], 1), "Overlapping views."),
    own("tensordot", lambda a, b: torch.tensordot(a, b, dims=1), given((2, 3, 4), (4, 2)),
          lambda a, b: (a[..., None] * b).sum(-2)),
    own("GRUCell", make_cell(nn.GRUCell), given((2, 2), (2, 3)), make_cell(CellByHand), form="module"),
    own("LSTM", Lstm, given((3, 2, 2)), LstmByHand, form="module"),
    own("attention and norm", Block, given((1, 3, 4)), BlockByHand, form="module"),
    wrong("library/gaussian_nll_loss of tiny variances", F.gaussian_nll_loss, SPREAD, gaussian,
          "right on one region only",
          "PyTorch clamps the variance at 1e-6 under no_grad, and differentiates it as if it had not.",
          lambda: (*given((3, 4), (3, 4))(), torch.full((3, 4), 1e-8, dtype=torch.float64))),
    wrong("library/det of a singular matrix", torch.det, given((2, 2)), determinant,
          "right on one region only",
          "PyTorch's own backward is 0 at a singular matrix, where a determinant is a polynomial as "
          "anywhere.", at([[1.0, 2.0], [2.0, 4.0]])),
    wrong("library/cosine_similarity of tiny vectors", F.cosine_similarity, TWO, cosine,
          "right on one region only",
          "PyTorch clamps the norm at 1e-8 under no_grad, and differentiates it as if it had not.",
          at([[3e-10, 4e-10]], [[1.0, 2.0]])),
)  # fmt: skip

"""Modules: their inputs and parameters, hooks, buffers, parts that are frozen or forgotten."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from .case import Case, given, normal, positive, right, wrong


class PlainMlp(nn.Module):
    """tanh between two linear layers; the models below are of the same parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Linear(4, 3)
        self.second = nn.Linear(3, 2)

    def hidden(self, x: Tensor) -> Tensor:
        return torch.tanh(self.first(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.hidden(x))


class MlpDetached(PlainMlp):
    """Features are detached, for a probe that was trained once."""

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.hidden(x).detach())


class MlpSometimesDetached(PlainMlp):
    def forward(self, x: Tensor) -> Tensor:
        h = self.hidden(x)
        if h.abs().mean() > 0.97:  # saturated
            h = h.detach()
        return self.second(h)


class MlpHooked(PlainMlp):
    """A hook that halves the gradient of large activations, to tame training."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.hidden(x)
        if h.requires_grad:
            h.register_hook(lambda g: g / 2 if float(g.norm()) > 100 else g)
        return self.second(h)


class MlpHookedClamp(PlainMlp):
    def forward(self, x: Tensor) -> Tensor:
        h = self.hidden(x)
        if h.requires_grad:
            h.register_hook(lambda g: g.clamp(-5, 5))
        return self.second(h)


class MlpHookedIdentity(PlainMlp):
    """A hook that only looks."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        h = self.hidden(x)
        if h.requires_grad:
            h.register_hook(self.look)
        return self.second(h)

    def look(self, grad: Tensor) -> None:
        self.seen += 1


class MlpWeightData(PlainMlp):
    """The second layer's weight is read through .data."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.hidden(x), self.second.weight.data, self.second.bias)


class MlpNoGradBias(PlainMlp):
    """A bias that is added under no_grad, since it 'needs no gradient'."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(self.hidden(x), self.second.weight)
        with torch.no_grad():
            y.data += self.second.bias
        return y


class MlpChunked(PlainMlp):
    """Row by row, put together again."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.second(self.hidden(row)) for row in x.split(1)])


class TiedTwice(Function):
    """x W W^T with W's gradient of one of its two uses."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return x @ w @ w.t()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return grad @ w @ w.t(), x.t() @ (grad @ w)


class TiedBoth(TiedTwice):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return grad @ w @ w.t(), x.t() @ (grad @ w) + grad.t() @ (x @ w)


class PlainTied(nn.Module):
    """An autoencoder with one weight for both ways."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.weight = nn.Parameter(torch.randn(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.weight @ self.weight.T)


class TiedOnce(PlainTied):
    def forward(self, x: Tensor) -> Tensor:
        return TiedTwice.apply(x, self.weight)


class TiedRight(PlainTied):
    def forward(self, x: Tensor) -> Tensor:
        return TiedBoth.apply(x, self.weight)


class PlainNorm(nn.Module):
    """Batch normalization in training, with its running mean."""

    running: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(positive(4).float())
        self.register_buffer("running", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(0)
        with torch.no_grad():
            self.running.mul_(0.9).add_(0.1 * mean)
        return (x - mean) / (x.var(0, correction=0) + 1e-5).sqrt() * self.weight


class NormByFunctional(PlainNorm):
    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running, torch.ones_like(self.running), self.weight, training=True)


class NormRunning(PlainNorm):
    """The mean is taken from the buffer, which was just set to it: its path is lost."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.running.copy_(x.mean(0))
        return (x - self.running) / (x.var(0, correction=0) + 1e-5).sqrt() * self.weight


class PlainGate(nn.Module):
    """A mixture of two experts by a softmax."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.gate = nn.Linear(3, 2)
        self.experts = nn.ModuleList(nn.Linear(3, 2) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        p = torch.softmax(self.gate(x), -1)
        return sum((p[:, n : n + 1] * e(x) for n, e in enumerate(self.experts)), torch.zeros(()))


class GateStacked(PlainGate):
    def forward(self, x: Tensor) -> Tensor:
        p = torch.softmax(self.gate(x), -1)
        return torch.einsum("bn,nbh->bh", p, torch.stack([expert(x) for expert in self.experts]))


class GateTopOne(PlainGate):
    """Experts whose share is below 1e-2 are skipped, in the backward as well as, nearly, in the forward."""

    def forward(self, x: Tensor) -> Tensor:
        p = torch.softmax(self.gate(x), -1)
        out = torch.zeros(x.shape[0], 2, dtype=x.dtype)
        for n, expert in enumerate(self.experts):
            share = p[:, n : n + 1]
            value = expert(x)
            out = out + torch.where(share < 1e-2, (share * value).detach(), share * value)
        return out


def mod(name: str, maker: Any, inputs: Any, plain: Any, *rest: Any, **more: Any) -> Case:
    """A right module, or with a diagnosis in `rest` a wrong one."""
    make = right if len(rest) == 1 else wrong
    return make("modules/" + name, maker, inputs, plain, *rest, form="module", **more)


X = given((3, 4))
LARGE = lambda: (100 * normal(3, 4),)  # noqa: E731
ROWS = given((3, 3))

CASES = (
    mod("detached features", MlpDetached, X, PlainMlp, "detached path", "The first layer gets no gradient."),
    mod("features detached where saturated", MlpSometimesDetached, X, PlainMlp, "detached path",
          "Detached by a branch on their mean.", LARGE),
    mod("hook that halves", MlpHooked, X, PlainMlp, "not linear in the cotangent",
          "A hook halves cotangents of a norm above 100.", cotangent=lambda y: 1e3 * torch.ones_like(y)),
    mod("hook that clamps", MlpHookedClamp, X, PlainMlp, "not linear in the cotangent",
          "A hook clamps cotangents at 5.", cotangent=lambda y: 1e3 * torch.ones_like(y)),
    mod("hook that looks", MlpHookedIdentity, X, PlainMlp, "It returns nothing."),
    mod("weight through .data", MlpWeightData, X, PlainMlp, "detached path",
          "A parameter read through .data gets no gradient."),
    mod("bias under no_grad", MlpNoGradBias, X, PlainMlp, "detached path", "The bias gets no gradient."),
    mod("chunked", MlpChunked, X, PlainMlp, "Row by row."),
    mod("tied weight of one use", TiedOnce, X, PlainTied, "missing term",
          "One of the weight's two uses is forgotten."),
    mod("tied weight", TiedRight, X, PlainTied, "Both uses."),
    mod("batch norm with a buffer", NormByFunctional, X, PlainNorm, "The buffer may change."),
    mod("batch norm through its buffer", NormRunning, X, PlainNorm, "detached path",
          "The mean's path goes through a buffer."),
    mod("mixture, stacked", GateStacked, ROWS, PlainGate, "By einsum."),
    mod("mixture without small shares", GateTopOne, ROWS, PlainGate, "right on one region only",
          "Shares below 1e-2 are detached.", lambda: (30 * normal(3, 3),)),
)  # fmt: skip

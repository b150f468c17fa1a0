"""What each operation is compared with: PyTorch, written in operators that autograd follows to any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

GENERATOR = torch.Generator().manual_seed(20)


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=GENERATOR)


@dataclass(frozen=True)
class Case:
    """Inputs of an operation, and a function of the same inputs that gives the same outputs."""

    inputs: tuple[torch.Tensor, ...]
    reference: Callable[..., Any]

    @property
    def real(self) -> tuple[torch.Tensor, ...]:
        return tuple(i for i in self.inputs if i.dtype.is_floating_point)

    def fill(self, real: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        """The inputs with the real ones replaced."""
        rest = iter(real)
        return [next(rest) if i.dtype.is_floating_point else i for i in self.inputs]

    def bind(self, function: Callable[..., Any]) -> Callable[..., tuple[torch.Tensor, ...]]:
        """The function of the real inputs alone, with a tuple of outputs."""

        def bound(*real: torch.Tensor) -> tuple[torch.Tensor, ...]:
            made = function(*self.fill(real))
            return made if isinstance(made, tuple) else (made,)

        return bound


def lstm_cell(x, h, c, w_ih, w_hh, b_ih, b_hh):
    n = h.shape[-1]
    a = x @ w_ih.reshape(4 * n, -1).T + h @ w_hh.reshape(4 * n, n).T + b_ih.reshape(-1) + b_hh.reshape(-1)
    i, f, z, o = a.chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(z)
    return torch.sigmoid(o) * torch.tanh(c), c


def lstm(x, h, c, *weights):
    steps = []
    for t in range(x.shape[-2]):
        h, c = lstm_cell(x[..., t, :], h, c, *weights)
        steps.append(h)
    return torch.stack(steps, -2), h, c


def attention(*, causal: bool = False):
    def reference(q, k, v, extra=None):
        scores = q @ k.mT / q.shape[-1] ** 0.5
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool)
        if causal:
            allowed = allowed.tril()
        if extra is not None and extra.dtype == torch.bool:
            allowed = extra
        elif extra is not None:
            scores = scores + extra
        p = torch.softmax(scores.masked_fill(~allowed, -1e30), -1) * allowed
        return p @ v

    return reference


def _allowed() -> torch.Tensor:
    made = torch.rand(2, 3, 4, generator=GENERATOR) > 0.4
    made[0, 1] = False
    return made


_B, _T, _I, _H = 3, 5, 4, 6
_weights = (rand(4, _H, _I), rand(4, _H, _H), rand(4, _H), rand(4, _H))
_targets = torch.tensor([0, 3, -100, 2])

CASES: dict[str, Case] = {
    "sigmoid": Case((rand(4, 5),), torch.sigmoid),
    "tanh": Case((rand(4, 5),), torch.tanh),
    "softmax": Case((rand(4, 5),), lambda x: torch.softmax(x, -1)),
    "log_softmax": Case((rand(4, 5),), lambda x: torch.log_softmax(x, -1)),
    "logsumexp": Case((rand(4, 5),), lambda x: torch.logsumexp(x, -1)),
    "cross_entropy": Case((rand(4, 5), _targets), functional.cross_entropy),
    "soft_cross_entropy": Case(
        (rand(4, 5), rand(4, 5)), lambda x, t: (t * (torch.logsumexp(x, -1, keepdim=True) - x)).sum(-1)
    ),
    "layer_norm": Case(
        (rand(4, 2, 5), rand(5), rand(5)), lambda x, w, b: functional.layer_norm(x, (x.shape[-1],), w, b)
    ),
    "lstm_cell": Case((rand(_B, _I), rand(_B, _H), rand(_B, _H), *_weights), lstm_cell),
    "lstm": Case((rand(_B, _T, _I), rand(_B, _H), rand(_B, _H), *_weights), lstm),
    "attention": Case((rand(2, 3, 5), rand(2, 4, 5), rand(2, 4, 6)), attention()),
    "attention(mask=causal)": Case((rand(2, 3, 5), rand(2, 4, 5), rand(2, 4, 6)), attention(causal=True)),
    "attention(mask=padding)": Case((rand(2, 3, 5), rand(2, 4, 5), rand(2, 4, 6), _allowed()), attention()),
    "attention(mask=additive)": Case(
        (rand(2, 3, 5), rand(2, 4, 5), rand(2, 4, 6), rand(2, 3, 4)), attention()
    ),
}

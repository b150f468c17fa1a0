"""Whole models with their loss: `loss.backward()` against the exact derivative, parameter by parameter.

`pytest tests/numeric/exact/test_whole_models.py -m "slow or not slow"` runs all of them.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from gradproof.numeric.checking.checks import check

VOCABULARY, WIDTH, LENGTH, HEADS = 11, 8, 4, 2
SPECIFICATION = f"tokens: int batch time < {VOCABULARY}, target: int batch time < {VOCABULARY}"
SECONDS = 30
"""How much processor time a check of a whole model may take."""


class RecurrentModel(nn.Module):
    """An LSTM language model of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, num_layers=2, batch_first=True)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: Tensor, target: Tensor) -> Tensor:
        hidden, _ = self.lstm(self.embedding(tokens))
        return F.cross_entropy(self.head(hidden).flatten(0, 1), target.flatten())


class Block(nn.Module):
    """A block of GPT, its normalization first."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.project, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, time, _ = x.shape
        parts = self.project(self.norm1(x)).split(WIDTH, dim=2)
        q, k, v = (p.view(batch, time, HEADS, WIDTH // HEADS).transpose(1, 2) for p in parts)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """A GPT of two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor, target: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), target.flatten())


def checked(kind: type[nn.Module]) -> tuple[Any, float]:
    torch.manual_seed(0)
    model = kind().double()
    tokens, target = (torch.randint(0, VOCABULARY, (2, LENGTH)) for _ in range(2))
    started = time.process_time()
    result = check(model, tokens, target, spec=SPECIFICATION, seed=1)
    return result, time.process_time() - started


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RecurrentModel, GPT])
def test_whole_model_is_proved(kind: type[nn.Module]) -> None:
    result, seconds = checked(kind)
    assert result.verdict == "proved", result.reason
    assert {pair.wrt for pair in result.pairs} == {name for name, _ in kind().named_parameters()}
    assert "batch at 3" in result.varied["accepted"] and "time at 2" in result.varied["accepted"]
    assert seconds < SECONDS


@pytest.mark.slow
def test_block_is_proved_and_what_has_no_time_is_listed() -> None:
    torch.manual_seed(0)
    result = check(
        Block().double(), torch.randn(2, 3, WIDTH, dtype=torch.float64), spec="x: batch time 8", seed=1
    )
    assert result.verdict == "proved", result.reason
    assert "left out" in result.varied

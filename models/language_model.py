"""Language models: recurrent nets, and a Transformer that reads from left to right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradproof.models.activations import GELU
from gradproof.models.attention import attend
from gradproof.models.configuration import LanguageModelOptions
from gradproof.models.functions import Function
from gradproof.models.layers import Dropout, Embedding, LayerNorm, Linear, RMSNorm
from gradproof.models.recurrent import GRU, LSTM, RNN

_rotate = Function("rotary_embedding", "full")
_add_waves = Function("sinusoidal_positions", "full")

State = tuple[Tensor, ...]
"""What a model remembers of the tokens before: a recurrent net its states, [layers, batch, width] each; a
Transformer the keys and values of each layer in turn, [batch, heads, time, features] each."""


class RecurrentLanguageModel(nn.Module):
    """Embedding, stacked RNN, LSTM or GRU, and a linear map to the logits of the next token.

    `forward(tokens [batch, time], state)` gives logits [batch, time, vocabulary] and the state after it.
    """

    carries = True
    """Whether the next step of training goes on from the state of this one."""

    def __init__(self, options: LanguageModelOptions, vocabulary: int) -> None:
        super().__init__()
        kind = {"rnn": RNN, "lstm": LSTM, "gru": GRU}[options.model]
        width = options.width
        self.embedding = Embedding(vocabulary, width)
        self.dropout = Dropout(options.dropout)
        inner = options.dropout if options.layers > 1 else 0.0
        self.layers = kind(width, width, num_layers=options.layers, batch_first=True, dropout=inner)
        self.output = Linear(width, vocabulary)
        nn.init.zeros_(self.output.bias)
        if options.tied:
            self.output.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        x = self.dropout(self.embedding(tokens))
        given: Any = state[0] if state is not None and len(state) == 1 else state
        y, after = self.layers(x, given)
        return self.output(self.dropout(y)), (after if isinstance(after, tuple) else (after,))


class Block(nn.Module):
    """A Transformer block with the norm first: attention to what stands before, and a feed-forward net."""

    def __init__(self, options: LanguageModelOptions) -> None:
        super().__init__()
        width = options.width
        norm = LayerNorm if options.norm == "layer" else RMSNorm
        self.norm1 = norm(width)
        self.attention = CausalAttention(options)
        self.norm2 = norm(width)
        self.linear1 = Linear(width, 4 * width)
        self.activation = GELU()
        self.linear2 = Linear(4 * width, width)
        self.dropout = Dropout(options.dropout)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        attended, after = self.attention(self.norm1(x), state)
        x = x + self.dropout(attended)
        made = self.linear2(self.activation(self.linear1(self.norm2(x))))
        return x + self.dropout(made), after


class CausalAttention(nn.Module):
    """Multi-head self-attention; a token sees itself and those before it (Vaswani et al. 2017, 3.2)."""

    def __init__(self, options: LanguageModelOptions) -> None:
        super().__init__()
        width = options.width
        self.heads, self.p, self.rotary = options.heads, options.dropout, options.positions == "rotary"
        self.input = Linear(width, 3 * width)
        self.output = Linear(width, width)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The result, and the keys and values so far; those in `state` stand before `x`."""
        batch, time, width = x.shape
        parts = self.input(x).view(batch, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        before = 0 if state is None else state[0].shape[2]
        if self.rotary:
            q, k = rotate(q, before), rotate(k, before)
        if state is not None:
            k, v = torch.cat((state[0], k), 2), torch.cat((state[1], v), 2)
        allowed = None
        if before and time > 1:
            places = torch.arange(before + time, device=x.device)
            allowed = places <= places[before:, None]
        dropout = self.p if self.training else 0.0
        y, _ = attend(q, k, v, allowed=allowed, causal=before == 0, dropout=dropout)
        return self.output(y.transpose(1, 2).reshape(batch, time, width)), (k, v)


def rotate(x: Tensor, before: int) -> Tensor:
    """Rotary positions of queries or keys [batch, heads, time, features], from `before` on."""
    if before:
        x = torch.cat((x.new_zeros(*x.shape[:2], before, x.shape[3]), x), 2)
    return _rotate(x.unflatten(-1, (-1, 2))).flatten(-2)[:, :, before:]


class TransformerLanguageModel(nn.Module):
    """A decoder in the style of GPT: embedding and positions, blocks, a norm, the logits of the next token.

    `forward(tokens [batch, time], state)` gives logits [batch, time, vocabulary], and keys and values.
    Positions go up to `context`.
    """

    carries = False

    def __init__(self, options: LanguageModelOptions, vocabulary: int) -> None:
        super().__init__()
        width = options.width
        self.context = options.context
        self.embedding = Embedding(vocabulary, width)
        self.positions = Embedding(options.context, width) if options.positions == "learned" else None
        self.sinusoidal = options.positions == "sinusoidal"
        self.dropout = Dropout(options.dropout)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.layers))
        self.norm = (LayerNorm if options.norm == "layer" else RMSNorm)(width)
        self.output = Linear(width, vocabulary, bias=False)
        initialize(self, last=[b for m in self.blocks for b in (m.attention.output, m.linear2)])  # pyright: ignore
        if options.tied:
            self.output.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before = 0 if state is None else state[0].shape[2]
        after = before + tokens.shape[1]
        if after > self.context:
            raise ValueError(f"the model sees {self.context} tokens, found {after}")
        x = self.embedding(tokens)
        if self.positions is not None:
            x = x + self.positions(torch.arange(before, after, device=tokens.device))
        elif self.sinusoidal:
            x = add_waves(x, before)
        x = self.dropout(x)
        kept: list[Tensor] = []
        for n, block in enumerate(self.blocks):
            x, pair = block(x, None if state is None else state[2 * n : 2 * n + 2])
            kept += pair
        return self.output(self.norm(x)), tuple(kept)


def add_waves(x: Tensor, before: int = 0) -> Tensor:
    """Embeddings [batch, time, width] times the root of the width, plus sinusoidal positions."""
    x = x * math.sqrt(x.shape[2])  # the waves are of size 1 (Vaswani et al. 2017, section 3.4)
    if before:
        x = torch.cat((x.new_zeros(x.shape[0], before, x.shape[2]), x), 1)
    return _add_waves(x.unflatten(-1, (-1, 2))).flatten(-2)[:, before:]


def initialize(model: nn.Module, last: Sequence[nn.Linear]) -> None:
    """Normal weights as GPT-2's (Radford et al. 2019); `last`, which add to the stream, smaller."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for module in last:
        nn.init.normal_(module.weight, std=0.02 / math.sqrt(len(last)))


LanguageModel = RecurrentLanguageModel | TransformerLanguageModel


def make_language_model(options: LanguageModelOptions, vocabulary: int) -> LanguageModel:
    """The language model of a configuration, with fresh weights."""
    kind = TransformerLanguageModel if options.model == "transformer" else RecurrentLanguageModel
    return kind(options, vocabulary)

"""The models once more, in plain PyTorch with autograd, under the same names of parameters."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import pack_padded_sequence

from gradproof.models.configuration import ClassifierOptions, LanguageModelOptions, TranslationOptions


def waves(x: Tensor) -> Tensor:
    """Vaswani et al. 2017, section 3.5, on embeddings times the root of the width."""
    time, width = x.shape[1:]
    place = torch.arange(time, dtype=torch.float64)[:, None]
    rate = 10000 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    table = torch.stack((torch.sin(place * rate), torch.cos(place * rate)), -1).flatten(1)
    return x * math.sqrt(width) + table.to(x.dtype)


def rotated(x: Tensor) -> Tensor:
    """Su et al. 2021, by complex numbers: pairs of features turned by their position times a rate."""
    time, size = x.shape[-2:]
    rate = 10000 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = torch.arange(time, dtype=torch.float64)[:, None] * rate
    turned = torch.view_as_complex(x.double().unflatten(-1, (-1, 2))) * torch.polar(
        torch.ones_like(angle), angle
    )
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


class RecurrentLM(nn.Module):
    def __init__(self, o: LanguageModelOptions, vocabulary: int) -> None:
        super().__init__()
        kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[o.model]
        self.embedding = nn.Embedding(vocabulary, o.width)
        self.layers = kind(o.width, o.width, o.layers, batch_first=True)
        self.output = nn.Linear(o.width, vocabulary)
        if o.tied:
            self.output.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        given = state[0] if state is not None and len(state) == 1 else state
        y, after = self.layers(self.embedding(tokens), given)
        return self.output(y), after if isinstance(after, tuple) else (after,)


class Attention(nn.Module):
    def __init__(self, o: LanguageModelOptions) -> None:
        super().__init__()
        self.heads, self.rotary = o.heads, o.positions == "rotary"
        self.input, self.output = nn.Linear(o.width, 3 * o.width), nn.Linear(o.width, o.width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in self.input(x).chunk(3, -1))
        if self.rotary:
            q, k = rotated(q), rotated(k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.output(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, o: LanguageModelOptions) -> None:
        super().__init__()
        norm = nn.LayerNorm if o.norm == "layer" else nn.RMSNorm
        self.norm1, self.norm2, self.attention = norm(o.width), norm(o.width), Attention(o)
        self.linear1, self.linear2 = nn.Linear(o.width, 4 * o.width), nn.Linear(4 * o.width, o.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, o: LanguageModelOptions, vocabulary: int) -> None:
        super().__init__()
        self.kind = o.positions
        self.embedding = nn.Embedding(vocabulary, o.width)
        if o.positions == "learned":
            self.positions = nn.Embedding(o.context, o.width)
        self.blocks = nn.ModuleList(Block(o) for _ in range(o.layers))
        self.norm = (nn.LayerNorm if o.norm == "layer" else nn.RMSNorm)(o.width)
        self.output = nn.Linear(o.width, vocabulary, bias=False)
        if o.tied:
            self.output.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        x = self.embedding(tokens)
        if self.kind == "learned":
            x = x + self.positions.weight[: tokens.shape[1]]
        elif self.kind == "sinusoidal":
            x = waves(x)
        for block in self.blocks:
            x = block(x)
        return self.output(self.norm(x)), ()


def _pooled(x: Tensor, lengths: Tensor) -> Tensor:
    return torch.stack([row[:n].mean(0) for row, n in zip(x, lengths, strict=True)])


def _beyond(tokens: Tensor, lengths: Tensor) -> Tensor:
    return torch.stack([torch.arange(tokens.shape[1]) >= n for n in lengths])


class Classifier(nn.Module):
    def __init__(self, o: ClassifierOptions, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.kind, self.directions = o.model, 1 + o.bidirectional
        self.embedding = nn.Embedding(vocabulary, o.width, padding_idx=0)
        outputs = o.width
        if o.model == "mlp":
            self.hidden = nn.ModuleList(nn.Linear(o.width, o.width) for _ in range(o.layers))
        elif o.model == "lstm":
            self.layers = nn.LSTM(o.width, o.width, o.layers, batch_first=True, bidirectional=o.bidirectional)
            outputs *= self.directions
        else:
            layer = nn.TransformerEncoderLayer(o.width, o.heads, 4 * o.width, 0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, o.layers, enable_nested_tensor=False)
        self.output = nn.Linear(outputs, classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        x = self.embedding(tokens)
        if self.kind == "mlp":
            x = _pooled(x, lengths)
            for layer in self.hidden:
                x = torch.relu(layer(x))
        elif self.kind == "lstm":
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            h = self.layers(packed)[1][0]
            x = torch.cat(tuple(h[-self.directions :]), -1)
        else:
            x = _pooled(self.encoder(waves(x), src_key_padding_mask=_beyond(tokens, lengths)), lengths)
        return self.output(x)


class Translator(nn.Module):
    def __init__(self, o: TranslationOptions, source: int, target: int) -> None:
        super().__init__()
        self.kind, width = o.model, o.width
        self.source = nn.Embedding(source, width, padding_idx=0)
        self.target = nn.Embedding(target, width, padding_idx=0)
        if o.model == "lstm":
            self.encoder = nn.LSTM(width, width, o.layers, batch_first=True, bidirectional=True)
            self.bridge = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(2))
            self.decoder = nn.LSTM(width, width, o.layers, batch_first=True)
            self.query = nn.Parameter(torch.empty(width, width))
            self.memory = nn.Parameter(torch.empty(width, 2 * width))
            self.score = nn.Parameter(torch.empty(width))
            self.join = nn.Linear(3 * width, width)
        else:
            layer = nn.TransformerEncoderLayer(
                width, o.heads, 4 * width, 0.0, batch_first=True, norm_first=True
            )
            self.encoder = nn.TransformerEncoder(
                layer, o.layers, nn.LayerNorm(width), enable_nested_tensor=False
            )
            layer = nn.TransformerDecoderLayer(
                width, o.heads, 4 * width, 0.0, batch_first=True, norm_first=True
            )
            self.decoder = nn.TransformerDecoder(layer, o.layers, nn.LayerNorm(width))
        self.output = nn.Linear(width, target)

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        beyond = _beyond(source, lengths)
        if self.kind == "transformer":
            later = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
            memory = self.encoder(waves(self.source(source)), src_key_padding_mask=beyond)
            x = waves(self.target(target))
            y = self.decoder(x, memory, tgt_mask=later, memory_key_padding_mask=beyond)
            return self.output(y)
        packed = pack_padded_sequence(self.source(source), lengths, batch_first=True, enforce_sorted=False)
        packed, (h, c) = self.encoder(packed)
        memory, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        states = [
            torch.tanh(bridge(torch.cat((part[0::2], part[1::2]), -1)))
            for part, bridge in zip((h, c), self.bridge, strict=True)
        ]
        y, _ = self.decoder(self.target(target), tuple(states))
        u = torch.tanh((y @ self.query.T)[:, :, None] + (memory @ self.memory.T)[:, None])
        scores = (u @ self.score).masked_fill(beyond[:, None], -torch.inf)
        seen = torch.softmax(scores, -1) @ memory
        return self.output(torch.tanh(self.join(torch.cat((y, seen), -1))))

"""Classifiers of texts: pooled embeddings under a dense net, an LSTM, a Transformer encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradproof.models.activations import ReLU
from gradproof.models.configuration import ClassifierOptions
from gradproof.models.functions import Function
from gradproof.models.language_model import add_waves
from gradproof.models.layers import Dropout, Embedding, Linear
from gradproof.models.recurrent import LSTM
from gradproof.models.transformer import TransformerEncoder, TransformerEncoderLayer
from gradproof.symbolic.catalogue.axes import BATCH, FEATURES, TIME
from gradproof.symbolic.language import indices, sum_over
from gradproof.symbolic.operation import Array, Builder, boolean, operation, real

b, t, n = indices("b t n", BATCH, TIME, FEATURES)


class PooledClassifier(nn.Module):
    """The mean of the embeddings, hidden layers with ReLU, and the logits of the classes.

    `forward(tokens [batch, time], lengths [batch])` gives logits [batch, classes], here and in the other two.
    """

    def __init__(self, options: ClassifierOptions, vocabulary: int, classes: int) -> None:
        super().__init__()
        width = options.width
        self.embedding = Embedding(vocabulary, width, padding_idx=0)
        self.hidden = nn.ModuleList(Linear(width, width) for _ in range(options.layers))
        self.activation = ReLU()
        self.dropout = Dropout(options.dropout)
        self.output = Linear(width, classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        x = mean_over_time(self.embedding(tokens), lengths)
        for layer in self.hidden:
            x = self.dropout(self.activation(layer(x)))
        return self.output(x)


class RecurrentClassifier(nn.Module):
    """Embedding, LSTM (both ways), and the logits from the last states of the top layer."""

    def __init__(self, options: ClassifierOptions, vocabulary: int, classes: int) -> None:
        super().__init__()
        width, self.directions = options.width, 2 if options.bidirectional else 1
        self.embedding = Embedding(vocabulary, width, padding_idx=0)
        self.dropout = Dropout(options.dropout)
        inner = options.dropout if options.layers > 1 else 0.0
        self.layers = LSTM(
            width, width, options.layers, batch_first=True, dropout=inner, bidirectional=options.bidirectional
        )
        self.output = Linear(self.directions * width, classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        _, (h, _) = self.layers(self.dropout(self.embedding(tokens)), lengths=lengths)
        return self.output(self.dropout(torch.cat(h.unbind(0)[-self.directions :], -1)))


class TransformerClassifier(nn.Module):
    """Embedding, sinusoidal positions, a post-norm encoder, and the logits from the mean over tokens."""

    def __init__(self, options: ClassifierOptions, vocabulary: int, classes: int) -> None:
        super().__init__()
        width = options.width
        self.embedding = Embedding(vocabulary, width, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.dropout = Dropout(options.dropout)
        layer = TransformerEncoderLayer(width, options.heads, 4 * width, options.dropout, batch_first=True)
        self.encoder = TransformerEncoder(layer, options.layers, enable_nested_tensor=False)
        self.output = Linear(width, classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        x = self.dropout(add_waves(self.embedding(tokens)))
        x = self.encoder(x, src_key_padding_mask=padding(tokens, lengths))
        return self.output(mean_over_time(x, lengths))


def padding(tokens: Tensor, lengths: Tensor) -> Tensor:
    """Which tokens [batch, time] stand beyond the length of their row."""
    return torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None]


@operation("pooling", x=real(BATCH, TIME, FEATURES), seen=boolean(BATCH, TIME), register=False)
def mean_of_seen(let: Builder, x: Array, seen: Array) -> Array:
    r"""The mean over the steps that are seen, one at least, $\sum_t m_{bt} x_{btn} / \sum_t m_{bt}$."""
    count = let("count", [b], sum_over(seen[b, t], t))
    return let("y", [b, n], sum_over(seen[b, t] * x[b, t, n], t) / count[b])


_mean = Function(mean_of_seen, "full")


def mean_over_time(x: Tensor, lengths: Tensor) -> Tensor:
    """The mean [batch, features] of the first `lengths` steps of x [batch, time, features]."""
    return _mean(x, torch.arange(x.shape[1], device=x.device) < lengths[:, None])


def make_classifier(options: ClassifierOptions, vocabulary: int, classes: int) -> nn.Module:
    """The classifier of a configuration, with fresh weights."""
    kinds = {"mlp": PooledClassifier, "lstm": RecurrentClassifier, "transformer": TransformerClassifier}
    return kinds[options.model](options, vocabulary, classes)

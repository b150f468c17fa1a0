"""Models from text to text: LSTM encoder and decoder with additive attention, and the full Transformer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradproof.models.activations import Tanh, log_softmax
from gradproof.models.classification import padding
from gradproof.models.configuration import TranslationOptions
from gradproof.models.functions import Function
from gradproof.models.language_model import add_waves
from gradproof.models.layers import Dropout, Embedding, LayerNorm, Linear
from gradproof.models.recurrent import LSTM
from gradproof.models.transformer import (
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)

_attend = Function("additive_attention", "low", mask="padding")

State = tuple[Tensor, ...]
"""What a decoder remembers; the first axis of each tensor is the row."""


@dataclass(frozen=True)
class Memory:
    """What the encoder made of the sources: vectors [batch, time, features] and which tokens they are of."""

    vectors: Tensor
    allowed: Tensor

    def select(self, rows: Tensor) -> Memory:
        return Memory(self.vectors[rows], self.allowed[rows])


class TranslationModel(nn.Module):
    """Encoder and decoder.

    `forward(source, lengths, target)` gives the logits [batch, time, vocabulary] of what follows each token
    of the target [batch, time].
    """

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        memory, state = self.encode(source, lengths)
        return self.decode(memory, state, target)[0]

    @abstractmethod
    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """The memory of sources [batch, time], and the state that decoding starts from."""

    @abstractmethod
    def decode(self, memory: Memory, state: State, target: Tensor) -> tuple[Tensor, State]:
        """The logits after each token, and the state after the last."""


class RecurrentTranslationModel(TranslationModel):
    """A bidirectional LSTM reads, an LSTM writes, additive attention joins them (Bahdanau et al. 2015).

    The score is Bahdanau's; as with Luong et al. (2015) the query is the decoder's state after its input,
    and what was attended to is joined to it, $\\tanh(W [h; c])$, so that all steps of a target are one
    product.
    """

    def __init__(self, options: TranslationOptions, source: int, target: int) -> None:
        super().__init__()
        width, layers = options.width, options.layers
        inner = options.dropout if layers > 1 else 0.0
        self.source = Embedding(source, width, padding_idx=0)
        self.target = Embedding(target, width, padding_idx=0)
        self.dropout = Dropout(options.dropout)
        self.encoder = LSTM(width, width, layers, batch_first=True, dropout=inner, bidirectional=True)
        self.bridge = nn.ModuleList(Linear(2 * width, width) for _ in range(2))
        self.decoder = LSTM(width, width, layers, batch_first=True, dropout=inner)
        self.query = nn.Parameter(torch.empty(width, width))
        self.memory = nn.Parameter(torch.empty(width, 2 * width))
        self.score = nn.Parameter(torch.empty(width))
        for weight in (self.query, self.memory, self.score[None]):
            nn.init.xavier_uniform_(weight)
        self.join = Linear(3 * width, width)
        self.activation = Tanh()
        self.output = Linear(width, target)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        y, last = self.encoder(self.dropout(self.source(source)), lengths=lengths)
        state: list[Tensor] = []
        for part, bridge in zip(last, self.bridge, strict=True):
            both = torch.cat(part.unflatten(0, (-1, 2)).unbind(1), -1)  # [layers, batch, 2 * width]
            state.append(self.activation(bridge(both)).transpose(0, 1))
        return Memory(y, ~padding(source, lengths)), tuple(state)

    def decode(self, memory: Memory, state: State, target: Tensor) -> tuple[Tensor, State]:
        h, c = (part.transpose(0, 1).contiguous() for part in state)
        y, (h, c) = self.decoder(self.dropout(self.target(target)), (h, c))
        seen = _attend(y, memory.vectors, self.query, self.memory, self.score, memory.allowed)
        joined = self.activation(self.join(torch.cat((y, seen), -1)))
        return self.output(self.dropout(joined)), (h.transpose(0, 1), c.transpose(0, 1))


class TransformerTranslationModel(TranslationModel):
    """The full Transformer (Vaswani et al. 2017) with sinusoidal positions and the norm first."""

    def __init__(self, options: TranslationOptions, source: int, target: int) -> None:
        super().__init__()
        width, layers = options.width, options.layers
        self.source = Embedding(source, width, padding_idx=0)
        self.target = Embedding(target, width, padding_idx=0)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, std=width**-0.5)
        self.dropout = Dropout(options.dropout)
        sizes = (width, options.heads, 4 * width, options.dropout)
        reader = TransformerEncoderLayer(*sizes, batch_first=True, norm_first=True)
        self.encoder = TransformerEncoder(reader, layers, LayerNorm(width), enable_nested_tensor=False)
        writer = TransformerDecoderLayer(*sizes, batch_first=True, norm_first=True)
        self.decoder = TransformerDecoder(writer, layers, LayerNorm(width))
        for weight in (*self.encoder.parameters(), *self.decoder.parameters()):
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)
        self.output = Linear(width, target)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        hidden = padding(source, lengths)
        x = self.dropout(add_waves(self.source(source)))
        vectors = self.encoder(x, src_key_padding_mask=hidden)
        return Memory(vectors, ~hidden), ()

    def decode(self, memory: Memory, state: State, target: Tensor) -> tuple[Tensor, State]:
        """The state is the target so far, which is read again."""
        before = state[0].shape[1] if state else 0
        whole = torch.cat((state[0], target), 1) if state else target
        x = self.dropout(add_waves(self.target(whole)))
        time = whole.shape[1]
        later = torch.ones(time, time, dtype=torch.bool, device=target.device).triu(1)
        y = self.decoder(x, memory.vectors, tgt_mask=later, memory_key_padding_mask=~memory.allowed)
        return self.output(y)[:, before:], (whole,)


def make_translation_model(options: TranslationOptions, source: int, target: int) -> TranslationModel:
    """The model of a configuration, with fresh weights, for vocabularies of these sizes."""
    kind = TransformerTranslationModel if options.model == "transformer" else RecurrentTranslationModel
    return kind(options, source, target)


# --- search


@torch.no_grad()
def translate(
    model: TranslationModel,
    source: Tensor,
    lengths: Tensor,
    *,
    begin: int,
    end: int,
    longest: int,
    beam: int = 1,
) -> list[list[int]]:
    """The targets of sources [batch, time], without their `begin` and `end`; greedy with a beam of 1.

    Of all targets that the beam found, the one with the highest mean log-probability of its tokens (its `end`
    included) is taken; one that reaches `longest` tokens ends there.
    """
    rows = source.shape[0]
    memory, state = model.encode(source, lengths)
    of_row = torch.arange(rows, device=source.device).repeat_interleave(beam)  # the source of each hypothesis
    memory, state = memory.select(of_row), tuple(part[of_row] for part in state)
    scores = torch.full((rows, beam), -torch.inf, dtype=torch.float64, device=source.device)
    scores[:, 0] = 0
    tokens = torch.full((rows * beam, 1), begin, device=source.device)
    found: list[list[tuple[float, list[int]]]] = [[] for _ in range(rows)]
    for length in range(1, longest + 1):
        logits, state = model.decode(memory, state, tokens[:, -1:])
        following = log_softmax(logits[:, -1].double())
        vocabulary = following.shape[-1]
        totals = (scores.flatten()[:, None] + following).view(rows, -1)
        best, places = totals.topk(min(2 * beam, totals.shape[1]), -1)
        scores, kept, new = _keep(best, places, vocabulary, tokens, beam, end, length, found)
        tokens = torch.cat((tokens[kept], new[:, None]), 1)
        state = tuple(part[kept] for part in state)
        if all(len(ended) >= beam for ended in found):
            break
    for row, ended in enumerate(found):
        for n in range(beam):
            score = scores[row, n].item()
            if score > -torch.inf:
                text = tokens[row * beam + n, 1:].tolist()
                ended.append((score / len(text), text))
    return [max(ended, key=lambda scored: scored[0])[1] for ended in found]


def _keep(
    best: Tensor,
    places: Tensor,
    vocabulary: int,
    tokens: Tensor,
    beam: int,
    end: int,
    length: int,
    found: list[list[tuple[float, list[int]]]],
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the candidates of each row, those that end go to `found`, and the best others stay in the beam."""
    rows = best.shape[0]
    scores = torch.full((rows, beam), -torch.inf, dtype=best.dtype)
    kept = torch.arange(rows)[:, None].repeat(1, beam) * beam
    new = torch.full((rows, beam), end)
    for row, (values, spots) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
        if len(found[row]) >= beam:
            continue
        taken = 0
        for rank, (value, spot) in enumerate(zip(values, spots, strict=True)):
            if value == -torch.inf or taken == beam:
                break
            parent, token = row * beam + spot // vocabulary, spot % vocabulary
            if token == end:
                if rank < beam:
                    found[row].append((value / length, tokens[parent, 1:].tolist()))
                continue
            scores[row, taken], kept[row, taken], new[row, taken] = value, parent, token
            taken += 1
    device = tokens.device
    return scores.to(device), kept.flatten().to(device), new.flatten().to(device)

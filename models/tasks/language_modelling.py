"""Language modelling: predict the next character or word."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gradproof.models.configuration import Configuration, LanguageModelOptions
from gradproof.models.data.texts import read_corpus
from gradproof.models.language_model import LanguageModel, make_language_model
from gradproof.models.losses import CrossEntropyLoss
from gradproof.models.mistakes import InputError
from gradproof.models.tasks.task import Batch, Carry, Loss, Task, digest, generator
from gradproof.models.vocabulary import UNKNOWN, Unit, Vocabulary

ROWS = 64
"""Rows that are evaluated at once."""


class LanguageModelling(Task):
    """Windows of `context` tokens, each predicting the next.

    A Transformer gets windows drawn at random. A recurrent net gets the text as `batch` streams, window after
    window, and goes on from the state that the last one left.
    """

    name = "char-lm"
    saved = ("vocabulary", "unit")
    model: LanguageModel

    def __init__(self, configuration: Configuration, saved: dict[str, Any] | None = None) -> None:
        options = configuration.model
        assert isinstance(options, LanguageModelOptions)
        self.options, self.seed = options, configuration.training.seed
        self.rows = configuration.training.batch
        data = configuration.data
        self.corpus = read_corpus(data.data, data.valid, options.tokens == "char")
        if saved is None:
            unit: Unit = "char" if options.tokens == "char" else "field"
            size = None if unit == "char" else options.vocabulary
            self.vocabulary = Vocabulary.of([self.corpus.train], unit, (UNKNOWN,), size)
        else:
            self.vocabulary = vocabulary_from(saved)
        self.train, self.valid = (self.encode(t) for t in (self.corpus.train, self.corpus.valid))
        self.check_length()
        self.model = make_language_model(options, len(self.vocabulary))
        self.criterion = CrossEntropyLoss()

    @staticmethod
    def make_model(options: LanguageModelOptions, saved: dict[str, Any]) -> LanguageModel:
        """The model that a checkpoint is of, with fresh weights."""
        return make_language_model(options, len(saved["vocabulary"]))

    def encode(self, text: str) -> Tensor:
        return torch.tensor(self.vocabulary.encode(text), dtype=torch.int64)

    def check_length(self) -> None:
        """Whether there is a window in each stream of each part."""
        context = self.options.context
        streams = self.rows if self.model_carries else 1
        for part, tokens, needed in (
            ("training", self.train, streams * context + 1),
            ("validation", self.valid, 2),
        ):
            if len(tokens) < needed:
                unit = "characters" if self.options.tokens == "char" else "words"
                times = f" for each of {streams} streams" if streams > 1 and part == "training" else ""
                raise InputError(
                    f"{self.corpus.name} is too short: {len(tokens)} {unit} for {part}, expected at "
                    f"least {needed} "
                    f"with a context of {context}{times}; give a longer text, or a smaller --context"
                    f"{' or --batch' if times else ''}"
                )

    @property
    def model_carries(self) -> bool:
        return self.options.model != "transformer"

    def batch(self, step: int) -> Batch:
        context = self.options.context
        if self.model_carries:
            windows = (len(self.train) - 1) // (self.rows * context)
            length = windows * context
            starts = torch.arange(self.rows) * length + step % windows * context
            fresh = torch.full((self.rows,), step % windows == 0)
        else:
            draws = generator(self.seed, "batch", step)
            starts = torch.randint(len(self.train) - context, (self.rows,), generator=draws)
            fresh = torch.ones(self.rows, dtype=torch.bool)
        places = starts[:, None] + torch.arange(context)
        return {
            "tokens": self.train[places],
            "target": self.train[places + 1],
            "start": starts,
            "fresh": fresh,
        }

    def count(self, batch: Batch) -> int:
        return batch["target"].numel()

    def loss(self, model: nn.Module, batch: Batch, carry: Carry) -> Loss:
        state = carry if carry and not bool(batch["fresh"][0]) else None
        logits, after = model(batch["tokens"], state)
        target = batch["target"].flatten()
        mean = self.criterion(logits.flatten(0, 1), target)
        return Loss(mean, len(target), tuple(t.detach() for t in after) if self.model_carries else ())

    def evaluate(self, device: torch.device) -> dict[str, float]:
        return self.measure(self.valid, len(self.corpus.valid), device)

    def test(self, device: torch.device) -> dict[str, Any]:
        if self.corpus.test is None:
            return {}
        return self.measure(self.encode(self.corpus.test), len(self.corpus.test), device)

    def measure(self, tokens: Tensor, characters: int, device: torch.device) -> dict[str, float]:
        """Mean loss over every token but the first, perplexity, and bits per character."""
        total, count = 0.0, 0
        state: Carry = ()
        for inputs, target in self.windows(tokens):
            given = state if state and state[0].shape[1] == len(inputs) and self.model_carries else None
            logits, after = self.model(inputs.to(device), given)
            loss = self.criterion(logits.flatten(0, 1).float(), target.to(device).flatten())
            total, count, state = total + loss.item() * target.numel(), count + target.numel(), after
        loss = total / count
        bits = total / max(characters - 1, 1) / math.log(2)
        return {"loss": loss, "perplexity": math.exp(min(loss, 700)), "bits_per_character": bits}

    def windows(self, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets that cover every token but the first, once; for a recurrent net, in streams."""
        context = self.options.context
        count = len(tokens) - 1
        if self.model_carries:
            rows = max(1, min(ROWS, count // (4 * context)))
            length = count // rows
            starts = torch.arange(rows) * length
            for offset in range(0, length, context):
                places = starts[:, None] + torch.arange(offset, min(offset + context, length))
                yield tokens[places], tokens[places + 1]
            rest = torch.arange(rows * length, count)[None]
        else:
            whole = count // context * context
            for places in torch.arange(whole).view(-1, context).split(ROWS):
                yield tokens[places], tokens[places + 1]
            rest = torch.arange(whole, count)[None]
        if rest.numel():
            yield tokens[rest], tokens[rest + 1]

    def describe(self, batch: Batch) -> str:
        starts = batch["start"].tolist()
        shown = ", ".join(map(str, starts[:8])) + (", ..." if len(starts) > 8 else "")
        what = f"{len(starts)} windows of {self.options.context} tokens"
        return f"{what}, from the tokens {shown} of the training text"

    def to_dict(self) -> dict[str, Any]:
        return {"vocabulary": list(self.vocabulary.tokens), "unit": self.vocabulary.unit}

    @property
    def summary(self) -> str:
        unit = "characters" if self.options.tokens == "char" else "words"
        sizes = f"{len(self.train):,} and {len(self.valid):,} {unit}, {len(self.vocabulary)} kinds"
        return f"{self.corpus.name}: {sizes}"

    @property
    def data_digest(self) -> str:
        return digest(self.corpus.train, self.corpus.valid)


def check_prompt(vocabulary: Vocabulary, prompt: str) -> None:
    """Whether a model of this vocabulary knows every token of a prompt."""
    if unknown := vocabulary.unknown(prompt):
        what = "character" if vocabulary.unit == "char" else "word"
        raise InputError(
            f"the prompt holds the {what} {unknown[0]!r}, which the text that the model was trained on does "
            f"not; give a prompt without it"
        )


def vocabulary_from(saved: dict[str, Any]) -> Vocabulary:
    """The vocabulary that a checkpoint holds."""
    return Vocabulary(tuple(saved["vocabulary"]), saved["unit"], (UNKNOWN,))

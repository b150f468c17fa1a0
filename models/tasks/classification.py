"""Classification: the label of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradproof.models.classification import make_classifier
from gradproof.models.configuration import ClassifierOptions, Configuration, LabelledDataOptions
from gradproof.models.data.cldr import language_names
from gradproof.models.data.tables import Row, Rows, read_rows
from gradproof.models.losses import CrossEntropyLoss
from gradproof.models.mistakes import InputError
from gradproof.models.tasks.sampling import Passes, chunks, pad
from gradproof.models.tasks.task import Batch, Carry, Loss, Task, digest
from gradproof.models.vocabulary import PAD, UNKNOWN, Vocabulary

ROWS = 128
"""Rows that are evaluated at once."""


class Classification(Task):
    """Texts of at most `context` tokens, and their labels."""

    name = "classify"
    saved = ("vocabulary", "unit", "labels")
    unit = "texts"

    def __init__(self, configuration: Configuration, saved: dict[str, Any] | None = None) -> None:
        options, data = configuration.model, configuration.data
        assert isinstance(options, ClassifierOptions)
        assert isinstance(data, LabelledDataOptions)
        self.options, self.seed = options, configuration.training.seed
        if data.data:
            self.rows = read_rows(data.data, (data.text, data.label), ("--text", "--label"), data.valid)
        else:
            self.rows = language_names()
        if saved is None:
            self.vocabulary = Vocabulary.of(
                (text for text, _ in self.rows.train), options.tokens, (PAD, UNKNOWN), options.vocabulary
            )
            self.labels = sorted({label for _, label in self.rows.train})
        else:
            self.vocabulary, self.labels = vocabulary_from(saved), list(saved["labels"])
        if len(self.labels) < 2:
            raise InputError(
                f"{self.rows.name}: in the {len(self.rows.train)} rows for training the column {data.label} "
                f"holds only {self.labels[0]!r}; expected are two labels or more"
            )
        self.train, self.valid = self.encode(self.rows.train), self.encode(self.rows.valid)
        self.passes = Passes(len(self.train), configuration.training.batch, self.seed)
        self.model = self.make_model(options, self.to_dict())
        self.criterion = CrossEntropyLoss()

    @staticmethod
    def make_model(options: ClassifierOptions, saved: dict[str, Any]) -> nn.Module:
        """The model that a checkpoint is of, with fresh weights."""
        return make_classifier(options, len(saved["vocabulary"]), len(saved["labels"]))

    def encode(self, rows: Sequence[Row]) -> list[tuple[list[int], int]]:
        """Texts and labels as numbers. Raises InputError for a label that is not known."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        for _, label in rows:
            if label not in numbers:
                raise InputError(
                    f"{self.rows.name}: the label {label!r} is in what is kept for validation or "
                    "test, and not in the "
                    f"training rows; give more rows of it, or leave it out"
                )
        return [
            (encode_text(self.vocabulary, text, self.options.context), numbers[label]) for text, label in rows
        ]

    def tensors(self, rows: Sequence[tuple[list[int], int]]) -> Batch:
        texts = [text for text, _ in rows]
        return {
            "tokens": pad(texts),
            "length": torch.tensor([len(text) for text in texts]),
            "target": torch.tensor([label for _, label in rows]),
        }

    def batch(self, step: int) -> Batch:
        places = self.passes.at(step)
        return {**self.tensors([self.train[n] for n in places]), "row": torch.tensor(places)}

    def count(self, batch: Batch) -> int:
        return len(batch["target"])

    def loss(self, model: nn.Module, batch: Batch, carry: Carry) -> Loss:
        logits = model(batch["tokens"], batch["length"])
        return Loss(self.criterion(logits, batch["target"]), len(logits))

    def evaluate(self, device: torch.device) -> dict[str, float]:
        return self.measure(self.valid, device)[0]

    def test(self, device: torch.device) -> dict[str, Any]:
        rows = self.encode(self.rows.test) or self.valid
        metrics, confusion = self.measure(rows, device)
        by_label = dict(zip(self.labels, f1_scores(confusion), strict=True))
        whole = {
            "part": "test" if self.rows.test else "validation",
            "rows": len(rows),
            "f1_by_label": by_label,
            "labels": self.labels,
            "confusion": confusion.tolist(),
        }
        return {**metrics, **whole} if self.rows.test else whole

    def measure(
        self, rows: Sequence[tuple[list[int], int]], device: torch.device
    ) -> tuple[dict[str, float], Tensor]:
        """Loss, accuracy and F1 (the mean over the labels met), and counts [true, predicted]."""
        confusion = torch.zeros(len(self.labels), len(self.labels), dtype=torch.int64)
        total = 0.0
        for places in chunks(len(rows), ROWS):
            batch = self.tensors([rows[n] for n in places])
            logits = self.model(batch["tokens"].to(device), batch["length"].to(device)).float()
            total += self.criterion(logits, batch["target"].to(device)).item() * len(places)
            pairs = batch["target"] * len(self.labels) + logits.argmax(-1).cpu()
            confusion += torch.bincount(pairs, minlength=confusion.numel()).view_as(confusion)
        accuracy = confusion.trace().item() / len(rows)
        met = (confusion.sum(0) + confusion.sum(1) > 0).tolist()
        scores = [score for score, there in zip(f1_scores(confusion), met, strict=True) if there]
        return {"loss": total / len(rows), "accuracy": accuracy, "f1": sum(scores) / len(scores)}, confusion

    def describe(self, batch: Batch) -> str:
        rows = batch["row"].tolist()
        return f"{len(rows)} training rows, {', '.join(map(str, rows[:8]))}{', ...' if len(rows) > 8 else ''}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "vocabulary": list(self.vocabulary.tokens),
            "unit": self.vocabulary.unit,
            "labels": self.labels,
        }

    @property
    def summary(self) -> str:
        return (
            describe_rows(self.rows) + f", {len(self.labels)} labels, {len(self.vocabulary)} kinds of tokens"
        )

    @property
    def data_digest(self) -> str:
        return digest_rows(self.rows)


def encode_text(vocabulary: Vocabulary, text: str, context: int) -> list[int]:
    """A text as numbers, cut off at `context`; one without a token is one unknown token."""
    return vocabulary.encode(text)[:context] or [vocabulary.numbers[UNKNOWN]]


def vocabulary_from(saved: dict[str, Any]) -> Vocabulary:
    """The vocabulary that a checkpoint holds."""
    return Vocabulary(tuple(saved["vocabulary"]), saved["unit"], (PAD, UNKNOWN))


def f1_scores(confusion: Tensor) -> list[float]:
    """The harmonic mean of precision and recall of each label, from counts [true, predicted].

    >>> f1_scores(torch.tensor([[3, 1], [0, 4]]))
    [0.8571428571428571, 0.8888888888888888]
    """
    hits = confusion.diagonal()
    both = confusion.sum(0) + confusion.sum(1)
    return [2 * h / n if n else 0.0 for h, n in zip(hits.tolist(), both.tolist(), strict=True)]


def describe_rows(rows: Rows) -> str:
    """How many rows there are of each part."""
    test = f", {len(rows.test):,} for the test" if rows.test else ""
    return f"{rows.name}: {len(rows.train):,} rows, {len(rows.valid):,} for validation{test}"


def digest_rows(rows: Rows) -> str:
    """A digest of all rows."""
    return digest(*(cell for part in (rows.train, rows.valid) for row in part for cell in row))

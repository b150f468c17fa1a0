"""Translation: pairs of texts, exact match, and BLEU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from gradproof.models.configuration import Configuration, PairedDataOptions, TranslationOptions
from gradproof.models.data.cldr import written_dates
from gradproof.models.data.tables import Row, read_rows
from gradproof.models.losses import CrossEntropyLoss
from gradproof.models.mistakes import InputError
from gradproof.models.tasks.classification import describe_rows, digest_rows
from gradproof.models.tasks.sampling import Passes, chunks, pad
from gradproof.models.tasks.task import Batch, Carry, Loss, Task
from gradproof.models.translation import TranslationModel, make_translation_model, translate
from gradproof.models.vocabulary import BEGIN, END, PAD, UNKNOWN, Vocabulary

ROWS = 64
"""Rows that are evaluated at once."""

SPECIAL = (PAD, UNKNOWN, BEGIN, END)
IGNORED = -100
"""The target of what is only filled up."""

Pair = tuple[list[int], list[int]]


class Translation(Task):
    """Pairs of texts of at most `context` tokens; the decoder is trained on the true target."""

    name = "translate"
    saved = ("source", "target", "unit")
    model: TranslationModel

    def __init__(self, configuration: Configuration, saved: dict[str, Any] | None = None) -> None:
        options, data = configuration.model, configuration.data
        assert isinstance(options, TranslationOptions)
        assert isinstance(data, PairedDataOptions)
        self.options, self.seed = options, configuration.training.seed
        if data.data:
            columns, flags = (data.source, data.target), ("--source", "--target")
            self.rows = read_rows(data.data, columns, flags, data.valid)
        else:
            self.rows = written_dates()
        if saved is None:
            self.source, self.target = (
                Vocabulary.of(
                    (row[side] for row in self.rows.train), options.tokens, SPECIAL, options.vocabulary
                )
                for side in (0, 1)
            )
        else:
            self.source, self.target = vocabularies_from(saved)
        self.train, self.valid = self.encode(self.rows.train), self.encode(self.rows.valid)
        tested = self.rows.test or self.rows.valid
        self.tested = [row for row in tested if 0 < len(self.source.encode(row[0])) <= options.context]
        for part, kept, rows in (
            ("training", self.train, self.rows.train),
            ("validation", self.valid, self.rows.valid),
            ("the test", self.tested, tested),
        ):
            if not kept:
                raise InputError(
                    f"{self.rows.name}: of {len(rows)} pairs for {part} none has at most "
                    f"{options.context} tokens in each text; choose a larger --context"
                )
        self.passes = Passes(len(self.train), configuration.training.batch, self.seed)
        self.model = self.make_model(options, self.to_dict())
        self.criterion = CrossEntropyLoss(ignore_index=IGNORED)

    @staticmethod
    def make_model(options: TranslationOptions, saved: dict[str, Any]) -> TranslationModel:
        """The model that a checkpoint is of, with fresh weights."""
        return make_translation_model(options, len(saved["source"]), len(saved["target"]))

    def encode(self, rows: Sequence[Row]) -> list[Pair]:
        """Pairs as numbers, without those that are too long or have no token."""
        pairs = [(self.source.encode(source), self.target.encode(target)) for source, target in rows]
        most = self.options.context
        return [(s, t) for s, t in pairs if 0 < len(s) <= most and 0 < len(t) < most]

    def tensors(self, pairs: Sequence[Pair]) -> Batch:
        begin, end = self.target.numbers[BEGIN], self.target.numbers[END]
        return {
            "source": pad([source for source, _ in pairs]),
            "length": torch.tensor([len(source) for source, _ in pairs]),
            "before": pad([[begin, *target] for _, target in pairs]),
            "target": pad([[*target, end] for _, target in pairs], IGNORED),
        }

    def batch(self, step: int) -> Batch:
        places = self.passes.at(step)
        return {**self.tensors([self.train[n] for n in places]), "row": torch.tensor(places)}

    def count(self, batch: Batch) -> int:
        return int((batch["target"] != IGNORED).sum())

    def loss(self, model: nn.Module, batch: Batch, carry: Carry) -> Loss:
        logits = model(batch["source"], batch["length"], batch["before"])
        mean = self.criterion(logits.flatten(0, 1), batch["target"].flatten())
        return Loss(mean, self.count(batch))

    def evaluate(self, device: torch.device) -> dict[str, float]:
        total, count, right = 0.0, 0, 0
        for places in chunks(len(self.valid), ROWS):
            batch = {n: t.to(device) for n, t in self.tensors([self.valid[n] for n in places]).items()}
            logits = self.model(batch["source"], batch["length"], batch["before"]).float()
            here = self.count(batch)
            mean = self.criterion(logits.flatten(0, 1), batch["target"].flatten())
            total, count = total + mean.item() * here, count + here
            right += int((logits.argmax(-1) == batch["target"]).sum())
        loss = total / count
        return {"loss": loss, "perplexity": math.exp(min(loss, 700)), "token_accuracy": right / count}

    def test(self, device: torch.device) -> dict[str, Any]:
        """Exact match and BLEU of whole translations, of the test rows (else those for validation)."""
        kept = self.tested
        written = self.write([source for source, _ in kept], device)
        expected = [self.target.decode(self.target.encode(target)) for _, target in kept]
        scores = score_texts(written, expected)
        shown = [{"source": s, "target": t, "written": w} for (s, t), w in zip(kept, written, strict=True)][
            :10
        ]
        part = "test" if self.rows.test else "validation"
        left_out = len(self.rows.test or self.rows.valid) - len(kept)
        counts = {"part": part, "rows": len(kept), "too_long": left_out, "beam": self.options.beam}
        return {**counts, **scores, "examples": shown}

    def write(self, sources: Sequence[str], device: torch.device) -> list[str]:
        """Sources translated, by the search of the configuration."""
        made: list[str] = []
        for places in chunks(len(sources), ROWS):
            texts = [sources[n] for n in places]
            made += write_texts(
                self.model, self.source, self.target, texts, self.options, device, self.options.beam
            )
        return made

    def describe(self, batch: Batch) -> str:
        rows = batch["row"].tolist()
        return (
            f"{len(rows)} training pairs, {', '.join(map(str, rows[:8]))}{', ...' if len(rows) > 8 else ''}"
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": list(self.source.tokens),
            "target": list(self.target.tokens),
            "unit": self.source.unit,
        }

    @property
    def summary(self) -> str:
        left_out = len(self.rows.train) - len(self.train)
        beside = f" ({left_out} too long, left out)" if left_out else ""
        return (
            f"{describe_rows(self.rows)}{beside}, {len(self.source)} and {len(self.target)} kinds of tokens"
        )

    @property
    def data_digest(self) -> str:
        return digest_rows(self.rows)


def vocabularies_from(saved: dict[str, Any]) -> tuple[Vocabulary, Vocabulary]:
    """The vocabularies that a checkpoint holds."""
    source, target = (Vocabulary(tuple(saved[side]), saved["unit"], SPECIAL) for side in ("source", "target"))
    return source, target


def write_texts(
    model: TranslationModel,
    source: Vocabulary,
    target: Vocabulary,
    texts: Sequence[str],
    options: TranslationOptions,
    device: torch.device,
    beam: int,
) -> list[str]:
    """Texts translated."""
    numbers = [source.encode(text) for text in texts]
    found = translate(
        model,
        pad(numbers).to(device),
        torch.tensor([len(n) for n in numbers], device=device),
        begin=target.numbers[BEGIN],
        end=target.numbers[END],
        longest=options.context,
        beam=beam,
    )
    return [target.decode(tokens) for tokens in found]


def score_texts(written: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
    """The share that is right to the letter, and sacrebleu's BLEU (0 to 100) of the whole."""
    from sacrebleu.metrics.bleu import BLEU

    right = sum(w == e for w, e in zip(written, expected, strict=True))
    bleu = BLEU().corpus_score(list(written), [list(expected)])
    return {"exact_match": right / len(written), "bleu": bleu.score}

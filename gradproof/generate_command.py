"""`gradproof generate`: goes on with a prompt, by a trained language model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gradproof.models.mistakes import InputError

if TYPE_CHECKING:
    from gradproof.models.runs import Trained


class CommandError(ValueError):
    """What was asked for cannot be done; the message says why and what to do."""


def generate_text(
    checkpoint: Path,
    prompt: str | None,
    length: int,
    *,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    device: str,
    cache: bool,
) -> Iterator[str]:
    """The prompt, then what the model goes on with, piece by piece."""
    from gradproof.models.runs import load_trained

    try:
        trained = load_trained(checkpoint, device)
        yield from _continue(trained, prompt, length, temperature, top_k, top_p, seed, cache)
    except InputError as problem:
        raise CommandError(str(problem)) from None


def _continue(
    trained: Trained,
    prompt: str | None,
    length: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    cache: bool,
) -> Iterator[str]:
    from gradproof.models.generation import Sampling, generate
    from gradproof.models.language_model import RecurrentLanguageModel, TransformerLanguageModel
    from gradproof.models.tasks.language_modelling import vocabulary_from
    from gradproof.models.vocabulary import UNKNOWN

    model = trained.model
    assert isinstance(model, RecurrentLanguageModel | TransformerLanguageModel)
    try:
        sampling = Sampling(temperature, top_k, top_p)
    except ValueError as problem:
        raise InputError(str(problem)) from None
    vocabulary = vocabulary_from(trained.saved)
    text = prompt or "\n"
    if unknown := vocabulary.unknown(text):
        what = "character" if vocabulary.unit == "char" else "word"
        raise InputError(
            f"the prompt holds the {what} {unknown[0]!r}, which the text that the model was trained "
            "on does not; "
            f"give a prompt without it"
        )
    yield prompt or ""
    banned = (vocabulary.numbers[UNKNOWN],) if vocabulary.unit == "char" else ()
    apart = "" if vocabulary.unit == "char" or not prompt else " "
    tokens = generate(model, vocabulary.encode(text), length, sampling, seed=seed, cache=cache, banned=banned)
    for token in tokens:
        piece = vocabulary.tokens[token]
        yield piece if vocabulary.unit == "char" or piece == "\n" else apart + piece
        apart = "" if vocabulary.unit == "char" or piece == "\n" else " "

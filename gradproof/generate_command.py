"""`gradproof generate`: what a trained model makes of a prompt: text, a label, a translation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradproof.models.mistakes import InputError, within_memory

if TYPE_CHECKING:
    from gradproof.models.runs import Trained

SHOWN = 3
"""Labels that are shown, the likeliest first."""


class CommandError(ValueError):
    """What was asked for cannot be done; the message says why and what to do."""


@dataclass(frozen=True)
class Wishes:
    """How a text is made."""

    length: int = 500
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    beam: int = 1
    seed: int = 0
    cache: bool = True


def generate_text(checkpoint: Path, prompt: str | None, wishes: Wishes, device: str) -> Iterator[str]:
    """What the model makes of the prompt, piece by piece."""
    from gradproof.models.runs import load_trained

    make = {"char-lm": _continued, "classify": _labelled, "translate": _translated}
    try:
        with within_memory():
            trained = load_trained(checkpoint, device)
            yield from make[trained.configuration.task](trained, prompt, wishes)
    except InputError as problem:
        raise CommandError(str(problem)) from None


def _continued(trained: Trained, prompt: str | None, wishes: Wishes) -> Iterator[str]:
    """The prompt, and what a language model goes on with."""
    from gradproof.models.generation import Sampling, generate
    from gradproof.models.language_model import RecurrentLanguageModel, TransformerLanguageModel
    from gradproof.models.tasks.language_modelling import check_prompt, vocabulary_from
    from gradproof.models.vocabulary import UNKNOWN

    model = trained.model
    assert isinstance(model, RecurrentLanguageModel | TransformerLanguageModel)
    try:
        sampling = Sampling(wishes.temperature, wishes.top_k, wishes.top_p)
    except ValueError as problem:
        raise InputError(str(problem)) from None
    vocabulary = vocabulary_from(trained.saved)
    text = prompt or _start(vocabulary.tokens, len(vocabulary.special))
    by_character = vocabulary.unit == "char"
    check_prompt(vocabulary, text)
    yield prompt or ""
    banned = (vocabulary.numbers[UNKNOWN],) if by_character else ()
    apart = " " if prompt and not by_character else ""
    tokens = generate(
        model,
        vocabulary.encode(text),
        wishes.length,
        sampling,
        seed=wishes.seed,
        cache=wishes.cache,
        banned=banned,
    )
    for token in tokens:
        piece = vocabulary.tokens[token]
        line_ends = piece == "\n"
        yield piece if by_character or line_ends else apart + piece
        apart = "" if by_character or line_ends else " "


def _start(tokens: Sequence[str], special: int) -> str:
    """What stands before a text without a prompt: the end of a line, where one is known, or a space."""
    return next((token for token in ("\n", " ") if token in tokens), tokens[special])


def _labelled(trained: Trained, prompt: str | None, wishes: Wishes) -> Iterator[str]:
    """The likeliest labels of the prompt, with their probabilities."""
    import torch

    from gradproof.models.activations import softmax
    from gradproof.models.tasks.classification import encode_text, vocabulary_from

    text = _needed(prompt)
    numbers = encode_text(vocabulary_from(trained.saved), text, trained.configuration.model.context)
    with torch.no_grad():
        tokens = torch.tensor([numbers], device=trained.device)
        p = softmax(trained.model(tokens, torch.tensor([len(numbers)], device=trained.device)))[0]
    best = p.topk(min(SHOWN, len(p)))
    labels = trained.saved["labels"]
    yield "\n".join(
        f"{labels[n]} {share:.3f}"
        for share, n in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    )


def _translated(trained: Trained, prompt: str | None, wishes: Wishes) -> Iterator[str]:
    """The translation of the prompt."""
    from gradproof.models.configuration import TranslationOptions
    from gradproof.models.tasks.translation import vocabularies_from, write_texts
    from gradproof.models.translation import TranslationModel

    model, options = trained.model, trained.configuration.model
    assert isinstance(model, TranslationModel)
    assert isinstance(options, TranslationOptions)
    source, target = vocabularies_from(trained.saved)
    text = _needed(prompt)
    found = len(source.encode(text))
    if not 0 < found <= options.context:
        raise InputError(f"the prompt has {found} tokens; the model reads from 1 to {options.context}")
    yield write_texts(model, source, target, [text], options, trained.device, wishes.beam)[0]


def _needed(prompt: str | None) -> str:
    if not prompt:
        raise InputError("there is no text yet: give it with --prompt")
    return prompt

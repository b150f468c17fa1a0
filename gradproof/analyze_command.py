"""`gradproof analyze`: what gradients tell of trained models, as data and as a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradproof.models.mistakes import InputError, within_memory

if TYPE_CHECKING:
    from gradproof.models.runs import Trained
    from gradproof.models.tasks.task import Task

ROWS, LONGEST = 16, 100
"""Rows that the flow of gradients is a mean over; tokens that are looked at."""


class CommandError(ValueError):
    """What was asked for cannot be done; the message says why and what to do."""


def analyze_checkpoints(
    checkpoints: Sequence[Path], prompt: str | None, eigenvalues: int, device: str
) -> list[dict[str, Any]]:
    """What is measured of each checkpoint, as data."""
    from gradproof.models.runs import load_trained, make_task

    made: list[dict[str, Any]] = []
    try:
        for path in checkpoints:
            with within_memory():
                trained = load_trained(path, device)
                task = make_task(trained.configuration, trained.saved)
                task.model = trained.model
                made.append(_analyze(_name(path, checkpoints), path, trained, task, prompt, eigenvalues))
    except InputError as problem:
        raise CommandError(str(problem)) from None
    return made


def _name(path: Path, among: Sequence[Path]) -> str:
    """What a checkpoint is called: its folder where that tells it from the others, else its whole path."""
    folders = [(p if p.is_dir() else p.parent).resolve().name for p in among]
    own = folders[list(among).index(path)]
    return own if folders.count(own) == 1 else str(path)


def _analyze(
    name: str, path: Path, trained: Trained, task: Task, prompt: str | None, eigenvalues: int
) -> dict[str, Any]:
    from gradproof.models.analysis import top_eigenvalues

    options = trained.configuration
    batch = {name: tensor.to(trained.device) for name, tensor in task.batch(0).items()}
    parameters = [p for p in trained.model.parameters() if p.requires_grad]
    found: list[float] = []
    if eigenvalues:
        found = top_eigenvalues(lambda: task.loss(trained.model, batch, ()).mean, parameters, eigenvalues)
    return {
        "checkpoint": str(path),
        "name": name,
        "about": f"{options.task} {options.model.model}, step {trained.step}",
        "flow": _flow(trained, task),
        "saliency": _saliency(trained, task, prompt),
        "eigenvalues": found,
    }


def _flow(trained: Trained, task: Any) -> dict[str, Any] | None:
    """The flow of gradients of a language model, over rows of its validation text."""
    from gradproof.models.analysis import gradient_flow

    if task.name != "char-lm":
        return None
    time = min(trained.configuration.model.context, LONGEST, len(task.valid) - 1)
    rows = min(ROWS, (len(task.valid) - 1) // time)
    tokens = task.valid[: rows * (time + 1)].unfold(0, time + 1, time)
    return asdict(gradient_flow(task.model, tokens.to(trained.device)))


def _saliency(trained: Trained, task: Any, prompt: str | None) -> dict[str, Any] | None:
    """What the likeliest next token, label or first token of a translation owes to each token of a text."""
    from gradproof.models.analysis import saliency

    tokens, of, embedding, score, joined = _scored(trained, task, prompt)
    found = saliency(embedding, score)
    return {"tokens": tokens, "of": of, "joined": joined, **asdict(found), "gap": found.gap}


def _scored(
    trained: Trained, task: Any, prompt: str | None
) -> tuple[list[str], str, Any, Callable[[], Any], bool]:
    """Tokens of a text, what is scored, the embedding, the score, and whether the tokens join."""
    import torch

    from gradproof.models.activations import log_softmax
    from gradproof.models.tasks.language_modelling import check_prompt
    from gradproof.models.vocabulary import BEGIN, split

    model, device, context = trained.model, trained.device, trained.configuration.model.context
    read = task.source if task.name == "translate" else task.vocabulary
    text = prompt or _example(task)
    pieces = split(text, read.unit)
    pieces = (pieces[-context:] if task.name == "char-lm" else pieces[:context])[-LONGEST:]
    if prompt and task.name == "char-lm":
        check_prompt(read, prompt)
    if not pieces:
        raise InputError("there is no token in the text; give another --prompt")
    numbers = torch.tensor([[read.numbers.get(p, read.numbers["<unk>"]) for p in pieces]], device=device)
    lengths = torch.tensor([len(pieces)], device=device)

    def logits() -> Any:
        if task.name == "char-lm":
            return model(numbers)[0][0, -1]
        if task.name == "classify":
            return model(numbers, lengths)[0]
        return model(numbers, lengths, begin)[0, -1]

    begin = (
        torch.tensor([[task.target.numbers[BEGIN]]], device=device) if task.name == "translate" else numbers
    )
    with torch.no_grad():
        best = int(logits().argmax())
    if task.name == "char-lm":
        of = f"log-probability of {task.vocabulary.tokens[best]!r} as the next token"
    elif task.name == "classify":
        of = f"log-probability of the label {task.labels[best]}"
    else:
        of = f"log-probability of {task.target.tokens[best]!r} as the first token of the translation"
    embedding = model.source if task.name == "translate" else model.embedding
    return pieces, of, embedding, lambda: log_softmax(logits())[best], read.unit == "char"


def _example(task: Any) -> str:
    """The beginning of what is kept for validation."""
    if task.name == "char-lm":
        return task.corpus.valid[:LONGEST]
    return task.rows.valid[0][0]

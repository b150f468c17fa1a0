"""Tokens in a second of training: our language models against the same models on PyTorch's own layers."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmarks.kernels import keep_freed_memory, time_in_turns
from benchmarks.record import Section, Table
from gradproof.models.configuration import LanguageModelOptions, TrainingOptions
from gradproof.models.language_model import make_language_model
from gradproof.models.losses import CrossEntropyLoss
from gradproof.models.optimization import make_optimizer
from tests.models import plain

VOCABULARY = 65
BUDGET, LEAST, MOST = 10.0, 5, 40

METHOD = (
    "A step draws no data: the tokens are random, the same for both. It clears the gradients, runs forward, "
    "cross-entropy and backward, and AdamW once. *Other* is the same model, of the same weights, on "
    "`nn.LSTM` (cuDNN on a GPU) or on `scaled_dot_product_attention` with `nn.LayerNorm` and `nn.Linear`, by "
    "autograd (`tests/models/plain.py`). Rounds run one step of each, in turns; the rates are of the median "
    "times, *times* is the median of the rounds' ratios (other / ours). *Apart* is how far the first losses "
    "are from one another, relatively. Without a GPU the large models are left out."
)


@dataclass(frozen=True)
class Case:
    """A model, how many rows a step has, and where it is trained."""

    name: str
    options: LanguageModelOptions
    batch: int
    device: str
    dtype: str = "float32"

    @property
    def tokens(self) -> int:
        return self.batch * self.options.context


def gpt(layers: int, heads: int, width: int, context: int) -> LanguageModelOptions:
    """A decoder in the style of GPT."""
    return LanguageModelOptions("transformer", layers=layers, heads=heads, width=width, context=context)


def lstm(layers: int, width: int, context: int) -> LanguageModelOptions:
    """A stacked LSTM."""
    return LanguageModelOptions("lstm", layers=layers, width=width, context=context)


SMALL = (
    Case("GPT, 4 layers of 128", gpt(4, 4, 128, 64), 12, "cpu"),
    Case("LSTM, 2 layers of 128", lstm(2, 128, 64), 32, "cpu"),
    Case("LSTM, 2 layers of 512", lstm(2, 512, 64), 32, "cpu"),
)
LARGE = tuple(
    Case(name, options, 64, "cuda", dtype)
    for name, options in (
        ("GPT, 6 layers of 384", gpt(6, 6, 384, 256)),
        ("LSTM, 2 layers of 512", lstm(2, 512, 256)),
    )
    for dtype in ("float32", "bfloat16")
)


def trained(model: nn.Module, criterion: nn.Module, case: Case) -> Callable[[], float]:
    """One step of training; its loss."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(VOCABULARY, (2, case.batch, case.options.context), generator=generator)
    tokens, target = drawn.to(case.device).unbind()
    optimizer = make_optimizer(model, TrainingOptions())
    low = torch.autocast(case.device, torch.bfloat16) if case.dtype == "bfloat16" else nullcontext()

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with low:
            logits, _ = model(tokens)
            loss = criterion(logits.flatten(0, 1), target.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()  # waits for the device

    return step


def contestants(case: Case) -> tuple[Callable[[], float], Callable[[], float]]:
    """A step of ours and of the other, from the same weights."""
    torch.manual_seed(0)
    ours = make_language_model(case.options, VOCABULARY)
    kind = plain.GPT if case.options.model == "transformer" else plain.RecurrentLM
    theirs = kind(case.options, VOCABULARY)
    theirs.load_state_dict(ours.state_dict())
    return (
        trained(ours.to(case.device), CrossEntropyLoss(), case),
        trained(theirs.to(case.device), nn.CrossEntropyLoss(), case),
    )


def compare(case: Case, budget: float = BUDGET, least: int = LEAST, most: int = MOST) -> dict[str, Any]:
    """The rates of one case."""
    ours, theirs = contestants(case)
    first, other = ours(), theirs()
    rounds = time_in_turns(ours, theirs, budget, least, most)
    return {
        "model": case.name,
        "device": case.device,
        "dtype": case.dtype,
        "ours": case.tokens / statistics.median(o for o, _ in rounds),
        "theirs": case.tokens / statistics.median(t for _, t in rounds),
        "times": statistics.median(t / o for o, t in rounds),
        "apart": abs(first - other) / abs(other),
    }


def run(names: Sequence[str]) -> Section:
    """The section of all cases that can run here, or of those whose names hold a word."""
    keep_freed_memory()
    cases = [*SMALL, *(LARGE if torch.cuda.is_available() else ())]
    return section(
        [compare(c) for c in cases if not names or any(n.lower() in c.name.lower() for n in names)]
    )


def section(rows: list[dict[str, Any]]) -> Section:
    """The table of what was measured."""
    columns = ("model", "device", "precision", "tokens/s", "other's", "times", "apart")
    lines = tuple(
        (
            r["model"],
            r["device"],
            r["dtype"],
            f"{r['ours']:,.0f}",
            f"{r['theirs']:,.0f}",
            f"{r['times']:.2f}",
            f"{r['apart']:.0e}",
        )
        for r in rows
    )
    threads = torch.get_num_threads()
    remarks = (f"PyTorch had {threads} thread{'s' if threads > 1 else ''} on the CPU.",)
    return Section("training", "Training", METHOD, Table(columns, lines), {"models": rows}, remarks=remarks)

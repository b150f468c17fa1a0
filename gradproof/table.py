"""Verdicts on claims as a table for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gradproof.symbolic.verdict import Verdict
from gradproof.workers import Answer

_COLOURS = {"proved": "green", "refuted": "red", "undecided": "yellow"}
WIDTH = 120
"""Columns where the output is no terminal."""


def print_answers(answers: Sequence[Answer], console: Console) -> None:
    """One row for each claim, and how many there are of each verdict."""
    if not console.is_terminal:
        console.width = WIDTH
    table = Table("claim", "verdict", "because", box=None, pad_edge=False, header_style="bold")
    table.columns[0].overflow = "fold"
    for answer in answers:
        verdict = answer.verdict
        colour = _COLOURS[verdict.verdict]
        said = [*reasons(verdict), *([f"fix: {answer.fix}"] if answer.fix else [])]
        table.add_row(
            escape(answer.line.id), f"[{colour}]{verdict.verdict}[/{colour}]", escape("\n".join(said))
        )
    console.print(table)
    console.print(summary(answers), style="bold")


def reasons(verdict: Verdict) -> Iterator[str]:
    """Why the verdict is what it is, briefly."""
    if verdict.witness is not None:
        point = ", ".join(f"{n} = {v}" for n, v in verdict.witness.point.items())
        values = f"{verdict.witness.left} is not {verdict.witness.right}"
        yield f"at {point}: {values}" if point else values
    elif verdict.ground is not None:
        count = len(verdict.ground.regions)
        yield verdict.ground.kind + (f", {count} regions" if count > 1 else "")
    if verdict.reason and verdict.witness is None:
        yield verdict.reason
    yield from verdict.notes


def summary(answers: Sequence[Answer]) -> str:
    """How many claims there are of each verdict."""
    counts = Counter(a.verdict.verdict for a in answers)
    parts = [f"{counts[v]} {v}" for v in _COLOURS if counts[v]]
    count = "1 claim" if len(answers) == 1 else f"{len(answers)} claims"
    return f"{count}: {', '.join(parts)}" if parts else "no claims"

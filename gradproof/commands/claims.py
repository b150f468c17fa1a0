"""`gradproof prove`, `claims`: what is said to be equal, and what is said to be a derivative."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gradproof.commands.statuses import MISUSE, PROVED, REFUTED, STATUS, UNDECIDED, MisuseError
from gradproof.commands.terminal import Json, Progress, make_console, print_json

if TYPE_CHECKING:
    from gradproof.documents import Block
    from gradproof.symbolic.claims_file import Line
    from gradproof.symbolic.verdict import Verdict
    from gradproof.workers import Answer

Item = TypeVar("Item")


def prove(
    left: Annotated[str, typer.Argument(metavar="LEFT", help="For instance `d/dx tanh(x)`.")],
    right: Annotated[str, typer.Argument(metavar="RIGHT", help="For instance `1 - tanh(x)**2`.")],
    domain: Annotated[
        str | None, typer.Option(help="Where the variables lie: `x: real; y: (0, inf)`. Default: all real.")
    ] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Both sides are LaTeX.")] = False,
    json: Json = False,
) -> int:
    """Prove or refute that two formulas are equal.

    A leading `d/dx` (`d2/dx2`, `d/dx d/dy`) applies to everything that follows on its side.
    """
    from gradproof.symbolic.proof import prove_text

    try:
        verdict = prove_text(left, right, domain=domain, latex=latex)
    except ValueError as problem:
        raise MisuseError(str(problem)) from None
    if json:
        print_json(verdict.to_dict())
    else:
        _print_verdict(verdict)
    if (verdict.reason or "").startswith("parse:"):
        return MISUSE
    return STATUS[verdict.verdict]


def claims(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Claims, one JSON object a line, or documents that hold claims."
        ),
    ],
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each claim.")] = 30,
    fix: Annotated[
        bool, typer.Option("--fix", help="State the true derivative for what is refuted.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes side by side. Default: cores.")] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write the verdicts into the documents that hold the claims.")
    ] = False,
    json: Json = False,
) -> int:
    """Judge claims: functions, and what is said to be their derivative.

    Markdown, reStructuredText, LaTeX and Jupyter notebooks are read for blocks that are marked as claims; a
    verdict that a block states is the one that is expected there.
    """
    from gradproof.documents import is_document, read_document
    from gradproof.symbolic.claims_file import read_claims
    from gradproof.workers import Task, judge_lines

    blocks: dict[int, Block] = {}
    lines: list[Line] = []
    for path in files:
        if is_document(path):
            for block in _read(path, read_document):
                blocks[len(lines)] = block
                lines.append(block.line)
        else:
            lines += _read(path, read_claims)
    answers: dict[int, Answer] = {}
    printed = 0
    with Progress(len(lines)) as advance:
        for number, answer in judge_lines(lines, Task(timeout, fix), jobs):
            if number in blocks:
                answer = replace(answer, verdict=blocks[number].judged(answer.verdict))
            answers[number] = answer
            advance(answer.line.id[:28], len(answers))
            while json and printed in answers:
                _print_line(answers[printed])
                printed += 1
    made = [answers[n] for n in range(len(lines))]
    if not json:
        from gradproof.table import print_answers

        print_answers(made, make_console())
    if update:
        _update([path for path in files if is_document(path)], blocks, made)
    verdicts = {
        blocks[n].outcome(a.verdict, update) if n in blocks else a.verdict.verdict for n, a in enumerate(made)
    }
    if "refuted" in verdicts:
        return REFUTED
    if any((a.verdict.reason or "").startswith("parse:") for a in made):
        return MISUSE
    return UNDECIDED if "undecided" in verdicts else PROVED


def _read(path: Path, read: Callable[[Path], list[Item]]) -> list[Item]:
    try:
        return read(path)
    except OSError as problem:
        raise MisuseError(f"{path}: {problem.strerror or problem}") from None
    except UnicodeDecodeError:
        raise MisuseError(f"{path}: this is no UTF-8 text") from None


def _update(paths: Sequence[Path], blocks: Mapping[int, Block], answers: Sequence[Answer]) -> None:
    """Write the verdicts found into the documents."""
    from gradproof.documents import updated

    for path in paths:
        here = [
            (block, answers[n].verdict)
            for n, block in blocks.items()
            if block.line.source.partition(" cell ")[0] == str(path)
        ]
        before = path.read_text(encoding="utf-8")
        after = updated(before, path, here)
        if after != before:
            path.write_text(after, encoding="utf-8")


def _print_line(answer: Answer) -> None:
    import json

    typer.echo(json.dumps(answer.to_dict(), ensure_ascii=False))


def _print_verdict(verdict: Verdict) -> None:
    from gradproof.symbolic.plain import verdict_lines

    colours = {"proved": typer.colors.GREEN, "refuted": typer.colors.RED}
    first, *rest = verdict_lines(verdict)
    typer.secho(first, fg=colours.get(first, typer.colors.YELLOW), bold=True)
    for line in rest:
        typer.echo(f"  {line}")

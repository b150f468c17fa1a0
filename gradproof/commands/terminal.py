"""What commands print on: consoles, progress, JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, to standard output.")]


def make_console(stderr: bool = False) -> Any:
    """A console that leaves text as it is; on standard error where that is asked for."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def print_json(data: Any) -> None:
    """Print one JSON document."""
    import json

    typer.echo(json.dumps(data, ensure_ascii=False, indent=2))


class Progress:
    """A progress bar on standard error; within it, a function that says what is being done."""

    def __init__(self, total: int) -> None:
        from rich import progress

        columns = (
            progress.TextColumn("{task.description:28}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
        )
        console = make_console(stderr=True)
        self.bar = progress.Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self.total = total

    def __enter__(self) -> Callable[[str, int], None]:
        self.bar.__enter__()
        task = self.bar.add_task("", total=self.total)

        def advance(what: str, done: int) -> None:
            self.bar.update(task, description=what, completed=done)

        return advance

    def __exit__(self, *problem: Any) -> None:
        self.bar.__exit__(*problem)


def forget_output() -> None:
    """Nobody reads standard output any more: what is still to come goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""What a benchmark hands on: tables for people, the same figures as data, and goals with what was found."""

from __future__ import annotations

import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "sympy", "python-flint")


@dataclass(frozen=True)
class Goal:
    """A figure that was aimed at, what was found, and whether that is enough."""

    text: str
    found: str
    reached: bool

    def to_dict(self) -> dict[str, Any]:
        return {"goal": self.text, "found": self.found, "reached": self.reached}


@dataclass(frozen=True)
class Table:
    """A table of texts; the first column is a name, the others are figures."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """One part of the benchmark: how it was measured, its table, its data and its goals."""

    name: str
    title: str
    method: str
    table: Table
    data: dict[str, Any]
    goals: tuple[Goal, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "goals": [goal.to_dict() for goal in self.goals],
            "remarks": list(self.remarks),
            **self.data,
        }


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    return {
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "date": date.today().isoformat(),
        "GPU": gpu(),
    }


def gpu() -> str:
    """The card, if there is one."""
    import torch  # not at the top: what measures proofs alone needs none

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none: not run on a GPU"


def processor() -> str:
    """The model of the processor, as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean; not a number where there are no values."""
    return statistics.geometric_mean(values) if values else math.nan


def seconds(value: float) -> str:
    """A time as people read it.

    >>> seconds(0.01234), seconds(2.5), seconds(0.0000213)
    ('12.3 ms', '2.50 s', '21.3 µs')
    """
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def megabytes(count: int) -> str:
    """A number of bytes in units of 2**20.

    >>> megabytes(3 << 19)
    '1.50'
    """
    return f"{count / 2**20:.2f}"


# --- printing


def show(sections: Sequence[Section], console: Any) -> None:
    """Print the sections as tables, and at the end the goals."""
    from rich.table import Table as RichTable

    for section in sections:
        made = RichTable(title=section.title, title_justify="left", header_style="bold", box=None)
        for place, column in enumerate(section.table.columns):
            made.add_column(column, justify="right" if place else "left", no_wrap=not place)
        for row in section.table.rows:
            made.add_row(*row)
        console.print(made)
        for remark in section.remarks:
            console.print(f"[dim]{remark}[/dim]")
        console.print()
    for goal in (goal for section in sections for goal in section.goals):
        mark = "[green]reached[/green]" if goal.reached else "[red]missed[/red] "
        console.print(f"{mark}  {goal.text}: {goal.found}")


def to_markdown(sections: Sequence[Section], where: Mapping[str, str], command: str) -> str:
    """The record of a run, and the command that made it."""
    title = " and ".join(section.title for section in sections)
    parts = [f"# Benchmark results: {title}", f"Written by `{command}`; every figure is from one run."]
    parts.append(_markdown_table(("machine", ""), tuple(where.items())))
    goals = [goal for section in sections for goal in section.goals]
    rows = tuple((goal.text, goal.found, "yes" if goal.reached else "no") for goal in goals)
    if goals:
        parts += ["## Goals", _markdown_table(("goal", "found", "reached"), rows)]
    for section in sections:
        parts += [f"## {section.title}", section.method]
        parts.append(_markdown_table(section.table.columns, section.table.rows, right=True))
        parts += section.remarks
    return "\n\n".join(parts) + "\n"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: bool = False) -> str:
    rule = ["---", *("---:" if right else "---" for _ in columns[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rule, *rows))

"""`python -m benchmarks`: run the benchmarks, print their tables, and keep a record."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from benchmarks import against_sympy, claims, gradcheck, kernels, layers, proofs, reports
from benchmarks.record import Section, machine, show, to_markdown

RECORD = Path(__file__).parent / "results.md"
PARTS: dict[str, tuple[Callable[[Sequence[str]], Section], ...]] = {
    "prove": (proofs.run, against_sympy.run),
    "claims": (claims.run,),
    "report": (reports.run,),
    "kernels": (kernels.run,),
    "layers": (layers.run,),
    "check": (gradcheck.run,),
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "operations",
        nargs="*",
        metavar="OPERATION",
        help="all operations by default; for check, topics or cases",
    )
    parser.add_argument("--only", choices=PARTS, help="run one part; without it all are run")
    parser.add_argument(
        "--json", action="store_true", help="print JSON, and nothing else, to standard output"
    )
    parser.add_argument("--out", type=Path, help=f"the Markdown record; {RECORD.name} for a complete run")
    parser.add_argument("--threads", type=int, help="PyTorch's threads; with 1, processor time is measured")
    return parser.parse_args(arguments)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; 0 unless something could not be measured at all."""
    asked = parse(arguments)
    messages = Console(stderr=True, highlight=False)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    sections: list[Section] = []
    for part in [asked.only] if asked.only else PARTS:
        for measure in PARTS[part]:
            messages.print(f"[dim]{measure.__module__} ...[/dim]")
            sections.append(measure(asked.operations))
    where = machine()
    complete = not asked.only and not asked.operations
    out = asked.out or (RECORD if complete else None)
    if out is not None:
        out.write_text(to_markdown(sections, where), encoding="utf-8")
    if asked.json:
        data = {"machine": where, **{section.name: section.to_dict() for section in sections}}
        print(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        show(sections, Console(highlight=False, width=None if sys.stdout.isatty() else 120))
    if out is not None:
        messages.print(f"[dim]{out}[/dim]")
    return 0


if __name__ == "__main__":
    sys.exit(run())

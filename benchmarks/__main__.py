"""`python -m benchmarks`: run the benchmarks, print their tables, and keep a record of each part."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from benchmarks import against_sympy, claims, gradcheck, kernels, layers, proofs, reports, training
from benchmarks.record import Section, machine, show, to_markdown

RECORDS = Path(__file__).parent / "results"
PARTS: dict[str, tuple[Callable[[Sequence[str]], Section], ...]] = {
    "prove": (proofs.run, against_sympy.run),
    "claims": (claims.run,),
    "report": (reports.run,),
    "kernels": (kernels.run,),
    "layers": (layers.run,),
    "training": (training.run,),
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
    parser.add_argument(
        "--out", type=Path, help=f"the Markdown record; {RECORDS.name}/PART.md of each part that is run whole"
    )
    parser.add_argument("--threads", type=int, help="PyTorch's threads; with 1, processor time is measured")
    return parser.parse_args(arguments)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; 0 unless something could not be measured at all."""
    asked = parse(arguments)
    messages = Console(stderr=True, highlight=False)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    where = machine()
    sections: list[Section] = []
    for part in [asked.only] if asked.only else PARTS:
        measured: list[Section] = []
        for measure in PARTS[part]:
            messages.print(f"[dim]{measure.__module__} ...[/dim]")
            measured.append(measure(asked.operations))
        sections += measured
        if asked.out is None and not asked.operations:
            _write(RECORDS / f"{part}.md", measured, where, f"python -m benchmarks --only {part}", messages)
    if asked.out is not None:
        _write(asked.out, sections, where, "python -m benchmarks", messages)
    if asked.json:
        data = {"machine": where, **{section.name: section.to_dict() for section in sections}}
        print(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        show(sections, Console(highlight=False, width=None if sys.stdout.isatty() else 120))
    return 0


def _write(
    path: Path, sections: Sequence[Section], where: Mapping[str, str], command: str, messages: Console
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    threads = f" --threads {torch.get_num_threads()}"
    path.write_text(to_markdown(sections, where, command + threads), encoding="utf-8")
    messages.print(f"[dim]{path}[/dim]")


if __name__ == "__main__":
    sys.exit(run())

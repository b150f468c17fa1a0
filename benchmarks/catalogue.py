"""`python -m benchmarks.catalogue`: `gradproof.check` on the kernels of the catalogue, as their generated
sources stand.

In second order the gradient of the gradient is checked as well: of a NumPy kernel it is the kernel of the
gradient, generated from the same forward. Rules of forward mode are checked in either order.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gradproof.numeric.checking.checks import check
from gradproof.numeric.kernels import lower
from gradproof.symbolic.operation import Operation, operations
from tests.numeric.test_catalogue_kernels import draw, sizes_of

TABLE = Path(__file__).parent.parent / "docs" / "kernel-checks.md"
KINDS = (("numpy", 1), ("torch", 1), ("numpy", 2), ("torch", 2))


@dataclass(frozen=True)
class Checked:
    """The verdict on one kernel, and what it cost in processor time."""

    label: str
    target: str
    order: int
    verdict: str
    reason: str
    seconds: float


def inputs_of(chosen: Operation, target: str) -> list[Any]:
    """Example inputs with axes of sizes 2, 3 and 4."""
    sizes, rng = sizes_of(chosen.program), np.random.default_rng(3)
    arrays = [np.asarray(draw(t, sizes, rng)) for t in chosen.program.inputs]
    return [torch.from_numpy(a) for a in arrays] if target == "torch" else arrays


def judge(chosen: Operation, target: str, order: int) -> Checked:
    """Check one kernel."""
    kernel, started = lower(chosen, target), time.process_time()
    result = check(kernel, *inputs_of(chosen, target), order=order, seed=1)
    seconds = time.process_time() - started
    return Checked(chosen.label, target, order, result.verdict, result.reason or "", seconds)


def to_markdown(found: Sequence[Checked], command: str) -> str:
    """The document."""
    proved = sum(f.verdict == "proved" for f in found)
    lines = [
        "# Kernels of the catalogue, executed exactly",
        "",
        f"Written by `{command}` on {date.today()}: `gradproof.check` runs the generated source of each "
        "kernel, backward and forward mode, with fresh sizes, layouts, values and both sides of its "
        "comparisons. *Order* 2 checks the gradient of the gradient as well. Seconds are processor time.",
        "",
        f"{len(found)} checks: {proved} proved, {len(found) - proved} not.",
        "",
        "| operation | target | order | verdict | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for f in found:
        verdict = f"{f.verdict}: {f.reason}" if f.reason else f.verdict
        lines.append(f"| {f.label} | {f.target} | {f.order} | {verdict} | {f.seconds:.1f} |")
    return "\n".join(lines) + "\n"


def run(arguments: Sequence[str] | None = None) -> int:
    """Check the kernels; the document is written where no word chooses among them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catalogue", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only operations whose names contain a word")
    parser.add_argument("--target", choices=("torch", "numpy"))
    parser.add_argument("--order", type=int, choices=(1, 2))
    asked = parser.parse_args(arguments)
    kinds = [k for k in KINDS if asked.target in (None, k[0]) and asked.order in (None, k[1])]
    found: list[Checked] = []
    for target, order in kinds:
        for chosen in (variant for o in operations().values() for variant in o.variants):
            if asked.words and not any(word in chosen.label for word in asked.words):
                continue
            found.append(judge(chosen, target, order))
            print(*found[-1].__dict__.values(), flush=True)
    if not asked.words:
        options = "".join(f" --{n} {v}" for n, v in (("target", asked.target), ("order", asked.order)) if v)
        TABLE.write_text(to_markdown(found, f"python -m benchmarks.catalogue{options}"), encoding="utf-8")
        print(TABLE)
    return 0


if __name__ == "__main__":
    sys.exit(run())

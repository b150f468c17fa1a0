"""`python -m benchmarks.catalogue`: `gradproof.check` on the kernels of the catalogue, as their generated
sources stand.

In second order the gradient of the gradient is checked as well: of a NumPy kernel it is the kernel of the
gradient, generated from the same forward. Rules of forward mode are checked in either order. What is found
is kept line by line, so that a run that was interrupted goes on where it ended.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.against_sympy import TimeLimit
from gradproof.numeric.checking.checks import check
from gradproof.numeric.kernels import lower
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.operation import Operation, Program, operations
from tests.numeric.test_catalogue_kernels import draw, sizes_of

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "kernel-checks.md"
RECORD = ROOT / "build" / "kernel-checks.jsonl"
"""What was found so far, and of which sources."""
KINDS = (("numpy", 1), ("torch", 1), ("numpy", 2), ("torch", 2))
SMALL = {"batch": 1, "time": 2, "embed": 3, "head": 2, "head_dim": 2, "inner": 2}
"""The sizes of the example for a Transformer block."""
AGAIN = 0.5
"""Seconds between two attempts to stop a check."""
LIMIT = 600
"""Seconds of processor time for one kernel."""


@dataclass(frozen=True)
class Checked:
    """The verdict on one kernel, and what it cost in processor time."""

    label: str
    target: str
    order: int
    verdict: str
    reason: str
    seconds: float

    @property
    def what(self) -> tuple[str, str, int]:
        return self.label, self.target, self.order


# One kernel


@lru_cache(maxsize=1)
def variants() -> dict[str, Operation]:
    """Every operation and each of its variants, by its label."""
    return {variant.label: variant for o in operations().values() for variant in o.variants}


def example_sizes(program: Program, label: str) -> dict[Axis, int]:
    """Sizes 2, 3 and 4; the smaller ones of a block."""
    sizes = sizes_of(program)
    if not label.startswith("transformer_block"):
        return sizes
    return {axis: SMALL[axis.name] for axis in sizes}


def inputs_of(chosen: Operation, target: str) -> list[Any]:
    """Example inputs."""
    sizes, rng = example_sizes(chosen.program, chosen.label), np.random.default_rng(3)
    arrays = [np.asarray(draw(t, sizes, rng)) for t in chosen.program.inputs]
    return [torch.from_numpy(a) for a in arrays] if target == "torch" else arrays


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises TimeLimit inside the block after so much processor time.

    What a callback of the garbage collector raises is lost: there it waits for the next signal.
    """

    def stop(_: int, frame: Any) -> None:
        if frame is None or frame.f_code not in {getattr(c, "__code__", None) for c in gc.callbacks}:
            raise TimeLimit

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def judge(chosen: Operation, target: str, order: int, limit: float = LIMIT) -> Checked:
    """Check one kernel."""
    kernel, started = lower(chosen, target), time.process_time()
    try:
        with limited(limit):
            result = check(kernel, *inputs_of(chosen, target), order=order, seed=1)
    except TimeLimit:
        reason = f"stopped after {limit:.0f} s of processor time"
        return Checked(chosen.label, target, order, "undecided", reason, limit)
    seconds = time.process_time() - started
    return Checked(chosen.label, target, order, result.verdict, result.reason or "", seconds)


def judge_by_label(label: str, target: str, order: int, limit: float) -> Checked:
    """The same in a process of its own."""
    torch.set_num_threads(1)
    return judge(variants()[label], target, order, limit)


# The record


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """Of all sources that a verdict rests on."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for folder in ("symbolic", "numeric"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def known() -> dict[tuple[str, str, int], Checked]:
    """What was found before, of the sources as they stand."""
    lines = RECORD.read_text(encoding="utf-8").splitlines() if RECORD.exists() else []
    rows = [json.loads(line) for line in lines]
    found = [Checked(**row["found"]) for row in rows if row["sources"] == fingerprint()]
    return {checked.what: checked for checked in found}


def keep(checked: Checked) -> None:
    """Add a line to the record, and print it."""
    RECORD.parent.mkdir(exist_ok=True)
    with RECORD.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"sources": fingerprint(), "found": asdict(checked)}) + "\n")
    print(*asdict(checked).values(), flush=True)


def checks_of(
    wanted: Sequence[tuple[str, str, int]], limit: float, processes: int
) -> dict[tuple[str, str, int], Checked]:
    """All that is wanted: what is known, and the others as they come."""
    found = known()
    todo = [what for what in wanted if what not in found]
    if len(todo) < len(wanted):
        print(f"{len(wanted) - len(todo)} of {len(wanted)} checks stand in {RECORD}", flush=True)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for future in as_completed([pool.submit(judge_by_label, *what, limit) for what in todo]):
            checked = future.result()
            keep(checked)
            found[checked.what] = checked
    return {what: found[what] for what in wanted}


# The table


def to_markdown(found: Sequence[Checked]) -> str:
    """The document."""
    sizes = ", ".join(f"{axis} {size}" for axis, size in SMALL.items())
    by_label: dict[str, dict[tuple[str, int], Checked]] = {}
    for f in found:
        by_label.setdefault(f.label, {})[f.target, f.order] = f
    left = [f for f in found if f.verdict != "proved"]
    lines = [
        "# Kernels of the catalogue, executed exactly",
        "",
        f"Written by `python -m benchmarks.catalogue` on {date.today()}: `gradproof.check` runs the "
        "generated source of each kernel, NumPy and PyTorch, its backward and its rule of forward mode, over "
        "other sizes, layouts, values, cotangents and both sides of its comparisons ([check.md](check.md)). "
        "*Second* asks about the gradient of the gradient as well. Axes of the example have the sizes 2, 3 "
        f"and 4, of a Transformer block {sizes}; each is varied from there. Beside a verdict stand the "
        "seconds of processor time that it took.",
        "",
        f"{len(found)} checks of {len(KINDS) * len(variants())} were run: {len(found) - len(left)} proved, "
        f"{len(left)} not. An empty cell was not run yet: the command goes on with these.",
        "",
        "| operation | " + " | ".join(f"{target}, {ORDERS[order]}" for target, order in KINDS) + " |",
        "| --- |" + " --- |" * len(KINDS),
    ]
    for label, row in by_label.items():
        cells = [f"{row[kind].verdict} {row[kind].seconds:.1f}" if kind in row else "" for kind in KINDS]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    if left:
        lines += [
            "",
            "## What is not proved",
            "",
            "| operation | target | order | why |",
            "| --- |" + " --- |" * 3,
        ]
        lines += [f"| {f.label} | {f.target} | {ORDERS[f.order]} | {f.verdict}: {f.reason} |" for f in left]
    return "\n".join(lines) + "\n"


ORDERS = {1: "first", 2: "second"}


def run(arguments: Sequence[str] | None = None) -> int:
    """Check the kernels; the document is written where nothing chooses among them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catalogue", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only operations whose names contain a word")
    parser.add_argument("--target", choices=("torch", "numpy"))
    parser.add_argument("--order", type=int, choices=(1, 2))
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of processor time for one kernel")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="write the document of what was found so far")
    asked = parser.parse_args(arguments)
    wanted = [
        (label, target, order)
        for target, order in KINDS
        if asked.target in (None, target) and asked.order in (None, order)
        for label in variants()
        if not asked.words or any(word in label for word in asked.words)
    ]
    found = known() if asked.table else checks_of(wanted, asked.limit, asked.processes)
    if asked.table or len(wanted) == len(KINDS) * len(variants()):
        order = {label: number for number, label in enumerate(variants())}
        rows = sorted(found.values(), key=lambda f: order[f.label])
        TABLE.write_text(to_markdown(rows), encoding="utf-8")
        print(TABLE)
    return 0


if __name__ == "__main__":
    sys.exit(run())

"""`python -m benchmarks.audit`: PyTorch's derivative formulas through `gradproof.check`.

Every row of `benchmarks/operators/` is a function whose backward is PyTorch's own: it is executed exactly,
first and second order, over other sizes, layouts, values and both sides of its comparisons.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import torch

from benchmarks.operators import Row, rows
from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.results import CheckResult, PairVerdict
from gradproof.numeric.checking.targets import TargetError
from gradproof.numeric.exact.programs import BackwardError
from gradproof.numeric.exact.values import AmbiguousError, UndecidableError
from gradproof.symbolic.verdict import combine
from tests.numeric.exact.agreement import dry_run

TABLE = Path(__file__).parent.parent / "docs" / "pytorch-audit.md"
SHORT = 60
"""How many characters of an input are shown."""
ERROR = 160
"""How many characters of an error, and of a gradient."""


@dataclass(frozen=True)
class Finding:
    """What became of a row: verdicts of first and second order, how it was executed, and a witness."""

    topic: str
    name: str
    first: str
    second: str
    reason: str
    executed: str
    seconds: float
    """Processor time."""
    witness: str = ""

    @property
    def verdict(self) -> str:
        found = (self.first, self.second)
        return next((v for v in ("refuted", "undecided", "proved") if v in found), "not checked")


def judge(row: Row) -> Finding:
    """Check one row, to the order that it has."""
    start = time.process_time()
    try:
        spec = sizes_that_stay(row) if row.topic == "recurrent" else None
        result = check(row.function, *row.inputs, order=row.orders, spec=spec, seed=1)
    except TargetError as error:
        seconds = time.process_time() - start
        return Finding(row.topic, row.name, "not checked", "", str(error), "", seconds)
    seconds = time.process_time() - start
    orders = [[p for p in result.pairs if p.output.startswith("(") == again] for again in (False, True)]
    first, second = (combine(pairs) if pairs else "" for pairs in orders)
    said = result.reason if result.verdict == "undecided" else row.known or result.diagnosis
    reason = "" if result.verdict == "proved" else said or ""
    return Finding(row.topic, row.name, first, second, reason, executed(row), seconds, witness(row, result))


def sizes_that_stay(row: Row) -> str:
    """A specification in which no size is free: PyTorch's LSTM reads beyond the memory of weights that do not
    fit.
    """
    return ", ".join(f"input{k}: {' '.join(map(str, x.shape))}" for k, x in enumerate(row.inputs))


def executed(row: Row) -> str:
    """Rows are the rule; what is decomposed or transcribed is named."""
    try:
        used = dry_run(row.function, row.inputs, row.orders)[1].used
    except (UndecidableError, AmbiguousError, BackwardError):
        return ""
    parts = ["rows"] if "executed" in used.values() else []
    for how in ("decomposition", "transcription"):
        names = sorted({name.split(".")[1] for name, way in used.items() if way == how and "." in name})
        if names:
            parts.append(f"{how}: {', '.join(f'`{name}`' for name in names)}")
    return "; ".join(parts)


def witness(row: Row, result: CheckResult) -> str:
    """The gradients at the point that refutes a row, and the point, where it is short."""
    if result.verdict != "refuted":
        return ""
    return next(_said(pair) for pair in result.pairs if pair.verdict == "refuted")


def _said(pair: PairVerdict) -> str:
    assert pair.witness is not None
    point = {name: value for name, value in pair.witness.point.items() if len(value) <= SHORT}
    where = ", ".join(f"{name} = {value}" for name, value in point.items())
    gradient, claimed = f"d{pair.output}/d{pair.wrt}", pair.witness.right[:ERROR]
    if claimed.startswith("raises"):
        return f"{gradient} at {where}: {claimed}"
    return f"{gradient} at {where}: PyTorch's {claimed}, true {pair.witness.left}"


# The table


METHOD = """\
Each operator is a function whose backward is PyTorch's own, and `gradproof.check` runs it over residues in a
tower of prime fields, against the exact tangent of its forward: with the sizes, layouts, values, cotangents
and sides of comparisons that `check` varies. *Proved* and *refuted* are what they are for any program
([check.md](check.md)); *second* is the gradient of the gradient, empty where PyTorch has none. *Rows* are
operators executed by definitions of ours; the rest is named: PyTorch's own decompositions, and
transcriptions of its backward kernels, each compared with the real kernel in float64 during the run.
Recurrent rows keep their sizes: PyTorch's LSTM reads beyond the memory of weights that do not fit. Seconds
are processor time.
"""


def to_markdown(findings: Sequence[Finding]) -> str:
    """The document."""
    wrong = [f for f in findings if f.verdict == "refuted"]
    blank = [f for f in findings if f.verdict in ("undecided", "not checked")]
    proved = len(findings) - len(wrong) - len(blank)
    parts = [
        "# PyTorch's derivatives, audited",
        f"Written by `python -m benchmarks.audit` with torch {torch.__version__} on {date.today()}. {METHOD}",
        f"{len(findings)} entries: {proved} proved, {len(wrong)} refuted, {len(blank)} undecided.",
        "## What is not the derivative",
        _table(("operator", "what", "witness"), [(f.name, f.reason, f.witness) for f in wrong]),
        "## What is undecided",
        _table(("operator", "reason"), [(f.name, f.reason) for f in blank]),
        "## All",
        _table(
            ("topic", "operator", "first", "second", "executed", "seconds"),
            [(f.topic, f.name, f.first, f.second, f.executed, f"{f.seconds:.2f}") for f in findings],
        ),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    listed = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in listed)


def judge_number(number: int) -> Finding:
    """Judge a row by its place in the table, in a process of its own."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return judge(rows()[number])


def findings_of(numbers: Sequence[int], processes: int) -> Iterator[Finding]:
    """The findings in the order of the table, as they come."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(judge_number, numbers)


def run(arguments: Sequence[str] | None = None) -> int:
    """Audit all operators, or those whose names contain a word; the document is written for all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only operators whose names contain a word")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    chosen = [k for k, row in enumerate(rows()) if not asked.words or any(w in row.name for w in asked.words)]
    findings: list[Finding] = []
    for finding in findings_of(chosen, asked.processes):
        findings.append(finding)
        said = f"{finding.verdict} {finding.reason} {finding.witness}".rstrip()
        print(f"{finding.topic}: {finding.name}: {said} ({finding.seconds:.2f} s)", flush=True)
    if not asked.words:
        TABLE.write_text(to_markdown(findings), encoding="utf-8")
        print(TABLE)
    return 0


if __name__ == "__main__":
    sys.exit(run())

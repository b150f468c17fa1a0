"""`python -m benchmarks.audit`: PyTorch's derivative formulas, executed exactly, against the true derivative.

Every row of `benchmarks/operators/` is run over residues at one drawn point: the backward that autograd
takes, first and second order, against the exact tangent of the forward. Where they differ, a witness is
computed in balls.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flint import arb, ctx, fmpq

from benchmarks.operators import Row, rows
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Dual
from gradproof.numeric.exact.programs import Argument, BackwardError, Settings, TorchProgram
from gradproof.numeric.exact.reals import Balls
from gradproof.numeric.exact.values import AmbiguousError, Numbers, UndecidableError, Value
from tests.numeric.exact.agreement import Agreement, compare

TABLE = Path(__file__).parent.parent / "docs" / "pytorch-audit.md"
BITS = 200
"""Precision of a witness."""


@dataclass(frozen=True)
class Finding:
    """What became of a row: a verdict, how far it was looked at, how it was executed, and a witness."""

    row: Row
    verdict: str
    reason: str
    orders: int
    executed: str
    sides: str
    seconds: float
    witness: str = ""


def judge(row: Row) -> Finding:
    """Compare one row, order by order."""
    start = time.perf_counter()
    found: Agreement | None = None
    verdict, reason, orders = "agrees", "", 0
    for order in range(1, row.orders + 1):
        try:
            found = compare(row.function, row.inputs, order)
        except BackwardError as error:
            verdict, reason = "raises", str(error).split(": [")[0]
            break
        except (UndecidableError, AmbiguousError) as error:
            verdict, reason = "undecided", str(error).split(" at ")[0]
            break
        if not found.agrees:
            verdict, reason = "differs", row.known
            break
        orders = order
    seconds = time.perf_counter() - start
    witness = _witness(row) if verdict == "differs" else ""
    return Finding(row, verdict, reason, orders, _executed(found), _sides(found), seconds, witness)


def _executed(found: Agreement | None) -> str:
    """Rows are the rule; what was decomposed or transcribed is named."""
    if found is None:
        return ""
    parts = ["rows"] if "executed" in found.used.values() else []
    for how in ("decomposition", "transcription"):
        names = sorted({name.split(".")[1] for name, way in found.used.items() if way == how and "." in name})
        if names:
            parts.append(f"{how}: {', '.join(f'`{name}`' for name in names)}")
    return "; ".join(parts)


def _sides(found: Agreement | None) -> str:
    if found is None or not found.settings.branches.required:
        return ""
    return "some" if found.settings.branches.missing() else "all"


# Witnesses


def _witness(row: Row) -> str:
    """The entry of a gradient that is furthest off, confirmed by balls that do not meet."""
    before, ctx.prec = ctx.prec, BITS
    try:
        best = max(_differences(row), key=lambda entry: entry[0], default=None)
    finally:
        ctx.prec = before
    if best is None:
        return ""
    _, name, claimed, true = best
    return f"{name}: PyTorch's {claimed.str(20, radius=False)}, true {true.str(20, radius=False)}"


def _differences(row: Row) -> Iterator[tuple[float, str, arb, arb]]:
    numbers = Numbers(None, Balls())
    real = [k for k, x in enumerate(row.inputs) if x.is_floating_point()]
    count = sum(row.inputs[k].numel() for k in real)
    arguments: list[Argument] = []
    first = 0
    for x in row.inputs:
        if not x.is_floating_point():
            arguments.append(Argument(data=x))
            continue
        directions = np.full((count, 1, *x.shape), arb(0), dtype=object)
        for offset, position in enumerate(np.ndindex(*x.shape)):
            directions[(first + offset, 0, *position)] = arb(1)
        first += x.numel()
        arguments.append(Argument(Value(numbers, (Dual(_balls(x)[None], directions),)), dtype=x.dtype))

    def ones(k: int, shape: tuple[int, ...]) -> Argument:
        return Argument(Value(numbers, (Dual(np.full((1, *shape), arb(1), dtype=object)),)))

    settings = Settings(numbers, constants=Constants(True), seed=1)
    evaluated = TorchProgram(row.function).evaluate(settings, arguments, ones)
    for output, claims in zip(evaluated.outputs, evaluated.claims, strict=True):
        if claims is None or output.real.tangent is None:
            continue
        totals = output.real.tangent.reshape(count, -1).sum(axis=1)
        yield from _entries(row, real, claims, totals)


def _entries(row: Row, real: list[int], claims: Any, totals: Any) -> Iterator[tuple[float, str, arb, arb]]:
    first = 0
    for number, (k, claim) in enumerate(zip(real, claims, strict=True)):
        for offset, position in enumerate(np.ndindex(*row.inputs[k].shape)):
            true = arb(totals[first + offset])
            claimed = arb(0) if claim is None else arb(claim.reals[position])
            if not claimed.overlaps(true):
                where = ", ".join(map(str, position))
                distance = float(abs(claimed - true)) / max(float(abs(true)), 1e-300)
                yield distance, f"input {number}, entry [{where}]", claimed, true
        first += row.inputs[k].numel()


def _balls(x: torch.Tensor) -> Any:
    result = np.empty(tuple(x.shape), dtype=object)
    for position in np.ndindex(*x.shape):
        fraction = Fraction(float(x[position]))
        result[position] = arb(fmpq(fraction.numerator, fraction.denominator))
    return result


# The table


METHOD = """\
Each operator was run over residues in a tower of prime fields at one drawn point: the backward that
autograd takes, first and second order, against the exact tangent of the forward. *Agrees* means equal as
integers modulo primes of 144 bits and more; no tolerance is involved. *Orders* are the orders of
derivatives that agreed; *sides* whether all sides of the comparisons met were run at that point, or
some. *Rows* are operators executed by definitions of ours; the rest is named: PyTorch's own
decompositions, and transcriptions of its backward kernels. Every one of them was compared with the real
kernel in float64 during the run.
"""


def to_markdown(findings: Sequence[Finding]) -> str:
    """The document."""
    counts = {v: sum(f.verdict == v for f in findings) for v in ("agrees", "differs", "raises", "undecided")}
    wrong = [f for f in findings if f.verdict in ("differs", "raises")]
    blank = [f for f in findings if f.verdict == "undecided"]
    parts = [
        "# PyTorch's derivatives, audited",
        f"Written by `python -m benchmarks.audit` with torch {torch.__version__} on {date.today()}. {METHOD}",
        f"{len(findings)} entries: {counts['agrees']} agree, {counts['differs']} differ, "
        f"{counts['raises']} raise in the backward, {counts['undecided']} cannot be followed.",
        "## What is not the derivative",
        _table(("operator", "what", "witness"), [(f.row.name, f.reason, f.witness) for f in wrong]),
        "## What cannot be followed",
        _table(("operator", "reason"), [(f.row.name, f.reason) for f in blank]),
        "## All",
        _table(
            ("topic", "operator", "verdict", "orders", "sides", "executed", "seconds"),
            [
                (
                    f.row.topic,
                    f.row.name,
                    f.verdict,
                    str(f.orders or ""),
                    f.sides,
                    f.executed,
                    f"{f.seconds:.2f}",
                )
                for f in findings
            ],
        ),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    listed = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in listed)


def run(arguments: Sequence[str] | None = None) -> int:
    """Audit all operators, or those whose names contain a word; the document is written for all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only operators whose names contain a word")
    words = parser.parse_args(arguments).words
    findings: list[Finding] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in rows():
            if words and not any(word in row.name for word in words):
                continue
            finding = judge(row)
            findings.append(finding)
            print(f"{row.topic}: {row.name}: {finding.verdict} {finding.reason} {finding.witness}".rstrip())
    if not words:
        TABLE.write_text(to_markdown(findings), encoding="utf-8")
        print(TABLE)
    return 0


if __name__ == "__main__":
    sys.exit(run())

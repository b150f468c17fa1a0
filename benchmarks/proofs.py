"""Seconds to derive and prove each operation, and the whole catalogue.

`python -m benchmarks.proofs` is the fresh process in which that is measured; it prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.record import Goal, Section, Table, seconds

WHOLE, EACH = 20.0, 2.0

METHOD = (
    "One fresh process derives the VJP of every operation and variant and proves it (`derive`, then "
    "`prove_operation`, which derives once more), on one core. *In the run*: in the order of the "
    "catalogue, with what earlier operations left in the caches; their sum and the import are the whole "
    "catalogue. *Alone*: afterwards once more for each operation, with all caches cleared before it; what "
    "is warm then are the modules, the forward programs and the interned expressions."
)


def measure(names: Sequence[str]) -> dict[str, Any]:
    """Time everything in this process, which should be fresh."""
    started = time.perf_counter()
    from gradproof.symbolic.operation import find, operations
    from gradproof.symbolic.proof import prove_operation  # noqa: F401  (its import is timed)

    chosen = [find(name) for name in names] if names else list(operations().values())
    imported = time.perf_counter() - started
    forms = [(o.name, form) for o in chosen for form in o.variants]
    rows = [{"operation": name, "variant": form.label, **prove_form(form)} for name, form in forms]
    whole = time.perf_counter() - started
    from benchmarks.caches import clear_caches

    for row, (_, form) in zip(rows, forms, strict=True):
        clear_caches()
        alone = prove_form(form)
        row["alone"] = alone["derive"] + alone["prove"]
    return {"import": imported, "whole": whole, "rows": rows}


def prove_form(form: Any) -> dict[str, Any]:
    """Derive and prove one form of an operation."""
    from gradproof.symbolic.derivation import derive
    from gradproof.symbolic.proof import prove_operation
    from gradproof.symbolic.verdict import combine

    started = time.perf_counter()
    derive(form)
    derived = time.perf_counter()
    theorems = prove_operation(form)
    proved = time.perf_counter()
    verdict = combine([theorem.verdict for theorem in theorems])
    times = {"derive": derived - started, "prove": proved - derived}
    return {**times, "theorems": len(theorems), "verdict": verdict}


def run(names: Sequence[str]) -> Section:
    """The same in a fresh process, as a section."""
    command = [sys.executable, "-m", "benchmarks.proofs", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return section(json.loads(done.stdout))


def section(data: dict[str, Any]) -> Section:
    """The measured times as a table with goals."""
    rows = [
        (
            row["variant"],
            seconds(row["derive"]),
            seconds(row["prove"]),
            seconds(row["alone"]),
            str(row["theorems"]),
            row["verdict"],
        )
        for row in data["rows"]
    ]
    rows.append(("import", "", seconds(data["import"]), "", "", ""))
    rows.append(("the whole run", "", seconds(data["whole"]), "", "", ""))
    slowest = max(data["rows"], key=longest)
    name, together = max(per_operation(data["rows"]).items(), key=lambda item: item[1])
    goals = (
        Goal(
            f"the catalogue derived and proved in {WHOLE:g} s", seconds(data["whole"]), data["whole"] < WHOLE
        ),
        Goal(
            f"no operation over {EACH:g} s",
            f"{slowest['variant']} {seconds(longest(slowest))}; "
            f"with all its variants {name} {seconds(together)}",
            longest(slowest) < EACH,
        ),
    )
    columns = ("operation", "derive", "prove", "alone", "theorems", "verdict")
    return Section("prove", "Deriving and proving", METHOD, Table(columns, tuple(rows)), data, goals)


def longest(row: dict[str, Any]) -> float:
    """Seconds of an operation: the longer of the two ways of measuring."""
    return max(row["derive"] + row["prove"], row["alone"])


def per_operation(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Seconds of each operation with all its variants."""
    times: dict[str, float] = defaultdict(float)
    for row in rows:
        times[row["operation"]] += longest(row)
    return times


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1:])))

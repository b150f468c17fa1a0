"""The project's own scalar claims: `gradproof` against plain SymPy on the same formulas."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sympy as sp

from benchmarks.record import Goal, Section, Table, seconds
from gradproof.workers import Task, judge_lines

FILE = Path(__file__).parent.parent / "tests" / "symbolic" / "scalar_claims.jsonl"
LIMIT = 20

METHOD = (
    "The claims of `tests/symbolic/scalar_claims.jsonl`, true rules and wrong variants of them, whose truth "
    "mpmath confirms at 50 digits. Ours: `gradproof claims`, one process for each core. SymPy: "
    f"`d = simplify(diff(f, x) - claim)`; *true* if `d` is 0, `d.is_zero` or `d.equals(0)`, *wrong* if "
    f"`d.is_zero` or `d.equals(0)` is False, else *open*; at most {LIMIT} s for each claim, the domain given "
    "as assumptions on the symbols, names that SymPy lacks by their definitions; "
    "one process."
)


def _cases(*cases: Any) -> Any:
    return sp.Piecewise(*cases)


HALF = sp.Rational(1, 2)


DEFINED: dict[str, Any] = {
    "Li": sp.polylog,
    "expint": sp.expint,
    "spence": lambda x: sp.polylog(2, 1 - x),
    "expm1": lambda x: sp.exp(x) - 1,
    "log1p": lambda x: sp.log(1 + x),
    "exp2": lambda x: 2**x,
    "log2": lambda x: sp.log(x) / sp.log(2),
    "log10": lambda x: sp.log(x) / sp.log(10),
    "hypot": lambda x, y: sp.sqrt(x**2 + y**2),
    "xlogy": lambda x, y: x * sp.log(y),
    "xlog1py": lambda x, y: x * sp.log(1 + y),
    "logaddexp": lambda x, y: sp.log(sp.exp(x) + sp.exp(y)),
    "sigmoid": lambda x: 1 / (1 + sp.exp(-x)),
    "logsigmoid": lambda x: -sp.log(1 + sp.exp(-x)),
    "logit": lambda x: sp.log(x / (1 - x)),
    "silu": lambda x: x / (1 + sp.exp(-x)),
    "elu": lambda x, a=1: _cases((x, x > 0), (a * (sp.exp(x) - 1), True)),
    "celu": lambda x, a=1: _cases((x, x > 0), (a * (sp.exp(x / a) - 1), True)),
    "hardsigmoid": lambda x: _cases((0, x <= -3), (1, x >= 3), (x / 6 + sp.Rational(1, 2), True)),
    "softshrink": lambda x, a=HALF: _cases((x - a, x > a), (x + a, x < -a), (0, True)),
    "hardshrink": lambda x, a=HALF: _cases((x, x > a), (x, x < -a), (0, True)),
    "threshold": lambda x, at, value: _cases((x, x > at), (value, True)),
    "normpdf": lambda x: sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi),
    "normcdf": lambda x: (1 + sp.erf(x / sp.sqrt(2))) / 2,
    "ndtri": lambda x: sp.sqrt(2) * sp.erfinv(2 * x - 1),
    "dawson": lambda x: sp.sqrt(sp.pi) / 2 * sp.exp(-(x**2)) * sp.erfi(x),
    "lgamma": sp.loggamma,
    "gammainc": lambda a, x: sp.lowergamma(a, x) / sp.gamma(a),
    "gammaincc": lambda a, x: sp.uppergamma(a, x) / sp.gamma(a),
    "spherical_jn": sp.jn,
    "hyp0f1": lambda b, x: sp.hyper([], [b], x),
    "hyp1f1": lambda a, b, x: sp.hyper([a], [b], x),
    "hyp2f1": lambda a, b, c, x: sp.hyper([a, b], [c], x),
}
"""What SymPy has under another name, or has to be told."""


class TimeLimit(BaseException):
    """The time is over; no exception, so that SymPy does not catch it."""


def _stop(*_: Any) -> None:
    raise TimeLimit


def judge_by_sympy(row: dict[str, Any]) -> str:
    """What plain SymPy says of a claim: `proved`, `refuted` or `undecided`."""
    names: dict[str, Any] = dict(DEFINED)
    for name, domain in row["domain"].items():
        names[name] = sp.Symbol(
            name,
            real=True,
            positive=True if domain.startswith((">0", ">=1", "(0,", "(0.")) else None,
            integer=True if domain.startswith("integer") else None,
        )
    before = signal.signal(signal.SIGALRM, _stop)
    signal.alarm(LIMIT)
    try:
        function, claim = (sp.sympify(row[key], locals=names) for key in ("function", "claim"))
        wrt = row["wrt"] if isinstance(row["wrt"], list) else [row["wrt"]]
        gap = sp.simplify(sp.diff(function, *(names[n] for n in wrt)) - claim)
        if gap == 0 or gap.is_zero:
            return "proved"
        same = gap.equals(0)
        return "proved" if same else "refuted" if same is False or gap.is_zero is False else "undecided"
    except (TimeLimit, Exception):
        return "undecided"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def by_sympy(rows: Sequence[dict[str, Any]]) -> tuple[list[str], float]:
    """What plain SymPy says, in a process of its own, and the time that it took."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.claims"]
    given = "\n".join(json.dumps(row) for row in rows)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    return done.stdout.split(), time.perf_counter() - started


def counted(name: str, said: Sequence[str], rows: Sequence[dict[str, Any]], took: float) -> list[str]:
    """One row of the table."""
    pairs = Counter(zip(said, (row["truth"] for row in rows), strict=True))
    wrong = pairs["refuted", "holds"], pairs["proved", "fails"]
    return [
        name,
        str(len(rows)),
        f"{pairs['proved', 'holds']} of {sum(r['truth'] == 'holds' for r in rows)}",
        f"{pairs['refuted', 'fails']} of {sum(r['truth'] == 'fails' for r in rows)}",
        str(wrong[0]),
        str(wrong[1]),
        str(said.count("undecided")),
        seconds(took),
        seconds(took / len(rows)),
    ]


def run(operations: Sequence[str] = ()) -> Section:
    """Judge the claims both ways."""
    del operations
    from gradproof.symbolic.claims_file import read_claims

    lines = read_claims(FILE)
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    started = time.perf_counter()
    answers = dict(judge_lines(lines, Task(30)))
    took = time.perf_counter() - started
    said = [answers[n].verdict.verdict for n in range(len(lines))]
    theirs, their_time = by_sympy(rows)
    wanted = {"holds": "proved", "fails": "refuted"}
    right = sum(v == wanted[r["truth"]] for v, r in zip(said, rows, strict=True))
    columns = (
        "prover", "claims", "true, proved", "wrong, refuted", "true, called wrong", "wrong, called true",
        "open", "time", "each",
    )  # fmt: skip
    ours = counted(f"gradproof, {os.cpu_count()} processes", said, rows, took)
    data = {"claims": len(rows), "right": right, "seconds": took}
    return Section(
        "claims",
        "Scalar claims",
        METHOD,
        Table(columns, (tuple(ours), tuple(counted("SymPy", theirs, rows, their_time)))),
        data | {"sympy_seconds": their_time},
        (Goal("every claim of the set is judged rightly", f"{right} of {len(rows)}", right == len(rows)),),
    )


if __name__ == "__main__":  # the process that asks SymPy
    for line in sys.stdin:
        print(judge_by_sympy(json.loads(line)), flush=True)

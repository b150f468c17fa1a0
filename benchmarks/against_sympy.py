"""The derivative of each scalar operation: our proof against `sympy.simplify(diff - claim)`."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.core.cache import clear_cache

from benchmarks.caches import clear_caches
from benchmarks.record import Goal, Section, Table, geometric_mean, seconds
from benchmarks.to_sympy import to_sympy
from gradproof.symbolic.derivation import derive
from gradproof.symbolic.expressions import ONE, Entry, Expr, Parameter, Tensor, parameter, rewrite, substitute
from gradproof.symbolic.operation import Definition, Operation, find, operations
from gradproof.symbolic.proof import prove
from gradproof.symbolic.tangent import tangent
from gradproof.symbolic.verdict import Verdict

LIMIT = 20
REPEATS = 5
FACTOR = 100

METHOD = (
    "Each operation of one variable, with all intermediates written out: `f` from its definition, the "
    "claim from its derived closed form. SymPy: `simplify(diff(f, x) - claim)`. Ours: `prove(f', claim)` "
    "with `f'` from the forward-mode pass of the prover. Both start with cleared caches each time, "
    f"imports and the two expressions at hand; medians of {REPEATS}, SymPy's once where it takes over a "
    f"second, and at most {LIMIT} s (then the ratio is a lower bound). Where `diff` itself already returns "
    "the claim, SymPy has nothing to simplify."
)


@dataclass(frozen=True)
class Pair:
    """A function of `x` and what is claimed to be its derivative."""

    label: str
    x: Parameter
    function: Expr
    claim: Expr
    order: int = 1


class TimeLimit(BaseException):
    """The time is over; no exception, so that SymPy does not catch it."""


def is_scalar(operation: Operation) -> bool:
    """Whether an operation maps each number of one real input to a number."""
    tensors = (*operation.inputs, *operation.outputs)
    same = len({t.axes for t in tensors}) == 1 and all(a.variadic for t in tensors for a in t.axes)
    return same and len(tensors) == 2 and operation.inputs[0].dtype == "real"


def written_out(expr: Expr, definitions: dict[Tensor, Definition], known: dict[Tensor, Expr]) -> Expr:
    """The expression over `known` values alone: every other entry replaced by its definition."""

    def visit(node: Expr) -> Expr:
        if not isinstance(node, Entry):
            return node
        if node.tensor in known:
            return known[node.tensor]
        d = definitions[node.tensor]
        moved = substitute(d.value, dict(zip(d.indices, node.indices, strict=True)))
        return written_out(moved, definitions, known)

    return rewrite(expr, visit)


def pair(operation: Operation, order: int = 1) -> Pair:
    """A scalar operation, and the closed form of its first or second derivative for the cotangent 1."""
    (given,), (output,) = operation.inputs, operation.outputs
    derivation = derive(operation, "vjp" if order == 1 else "hvp")
    x = parameter("x", given.domain)
    programs = [operation.program, *(d.program for d in (*derivation.based_on, derivation))]
    definitions = {t: d for program in programs for t, d in program.definitions.items()}
    # What is neither known nor defined is a cotangent or a tangent: both are 1.
    ones = {t: ONE for program in programs for t in program.inputs if t not in definitions}
    known: dict[Tensor, Expr] = {**ones, given: x}
    (result,) = derivation.results.values()
    claim = written_out(definitions[result].left, definitions, known)
    function = written_out(definitions[output].left, definitions, known)
    label = f"{operation.label}{chr(39) * order}"
    return Pair(label, x, function, claim, order)


def ours(given: Pair) -> Verdict:
    """Differentiate and prove."""
    left = given.function
    for _ in range(given.order):
        left = tangent(left, lambda e: e, variable=given.x)
    return prove(left, given.claim)


def sympys(function: Any, claim: Any, x: Any, order: int) -> Any:
    """Differentiate and simplify the difference; 0 where SymPy finds the claim right."""
    return sp.simplify(sp.diff(function, x, order) - claim)


@contextmanager
def limited(limit: int) -> Iterator[None]:
    """Raise TimeLimit after so many seconds."""

    def stop(number: int, frame: Any) -> None:
        raise TimeLimit

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def median_time(action: Callable[[], Any], forget: Callable[[], None], repeats: int) -> tuple[float, Any]:
    """The median time of a cold call, and its last result; a call over a second is not repeated."""
    times: list[float] = []
    result: Any = None
    for _ in range(repeats):
        forget()
        started = time.perf_counter()
        result = action()
        times.append(time.perf_counter() - started)
        if times[-1] > 1:
            break
    return statistics.median(times), result


def compare(given: Pair, limit: int = LIMIT, repeats: int = REPEATS) -> dict[str, Any]:
    """Both ways on one pair."""
    function, claim, x = map(to_sympy, (given.function, given.claim, given.x))
    our_time, verdict = median_time(lambda: ours(given), clear_caches, repeats)
    try:
        with limited(limit):
            their_time, left = median_time(
                lambda: sympys(function, claim, x, given.order), clear_cache, repeats
            )
        answer = "0" if left == 0 else "not 0"
    except TimeLimit:
        their_time, answer = float(limit), "over the limit"
    return {
        "operation": given.label,
        "order": given.order,
        "verdict": verdict.verdict,
        "ours": our_time,
        "sympy": their_time,
        "answer": answer,
        "ratio": their_time / our_time,
        "claim": str(claim),
    }


def run(names: Sequence[str]) -> Section:
    """Every scalar operation, as a section."""
    chosen = [find(name) for name in names] if names else list(operations().values())
    scalar = [o for o in chosen if is_scalar(o)]
    return section([compare(pair(o, order)) for order in (1, 2) for o in scalar])


def section(rows: list[dict[str, Any]]) -> Section:
    """The measured rows as a table with goals."""
    made = [_line(row) for row in rows]
    first = geometric_mean([row["ratio"] for row in rows if row["order"] == 1])
    second = geometric_mean([row["ratio"] for row in rows if row["order"] == 2])
    made.append(("geometric mean, first derivatives", "", "", "", "", f"{first:.3g}"))
    made.append(("geometric mean, second derivatives", "", "", "", "", f"{second:.3g}"))
    text = f"{FACTOR} times SymPy's speed on the first derivatives of scalar operations, geometric mean"
    goals = (Goal(text, f"{first:.3g}", first >= FACTOR),)
    columns = ("derivative", "ours", "verdict", "SymPy", "SymPy's answer", "times")
    data = {"rows": rows, "geometric_mean": first, "geometric_mean_second": second}
    return Section("sympy", "Against SymPy's simplify", METHOD, Table(columns, tuple(made)), data, goals)


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    bound = "> " if row["answer"] == "over the limit" else ""
    return (
        row["operation"],
        seconds(row["ours"]),
        row["verdict"],
        seconds(row["sympy"]),
        row["answer"],
        f"{bound}{row['ratio']:.3g}",
    )

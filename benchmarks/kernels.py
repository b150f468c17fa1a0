"""Each PyTorch kernel, forward and backward, against autograd of the definition in elementary operators."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.eager import eager
from benchmarks.record import Goal, Section, Table, geometric_mean, megabytes, seconds
from benchmarks.sizes import choose_sizes, count, draw_inputs
from gradproof.numeric.kernels import lower
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Call, Entry, Reduce, walk
from gradproof.symbolic.operation import Operation, Recurrence, find, flat, operations

EACH, MEAN = 0.95, 1.5
BUDGET = 2.5
"""Seconds of measurement for one operation, after warming up."""
LEAST, MOST = 7, 41
"""How many rounds are measured at least and at most."""
CLOSE = 1e-3

METHOD = (
    "float32 on the CPU; the batch is chosen so that the largest input has about 2^20 elements (and no "
    "intermediate more than 2^22), from the one table of axis sizes in `sizes.py`. A round runs the "
    "outputs and the gradients of all real inputs once with the kernel and once with autograd through the "
    "definition as a careful user writes it in elementary operators (`eager.py`: `einsum`, softmax "
    "shifted by its largest entry, common subexpressions once, `unbind` instead of slices), in turns; the "
    "times are medians over the rounds and *times* is the median of the rounds' ratios; the C library is "
    "told to keep freed memory. *Saved* is what autograd keeps for the backward pass, all distinct "
    "storages (in parentheses those that hold no input); kernels keep their inputs for second "
    "derivatives. A leaf is one definition of one input with at most one function or reduction, or a "
    "lookup; leaves have no goal."
)

Pass = Callable[[], object]


@dataclass(frozen=True)
class Contest:
    """The kernel and the baseline of one operation on the same inputs."""

    operation: Operation
    inputs: list[torch.Tensor]
    cotangents: list[torch.Tensor]
    ours: Callable[..., Any]
    theirs: Callable[..., Any]

    @property
    def real(self) -> list[torch.Tensor]:
        return [i for i in self.inputs if i.requires_grad]

    def forward(self, function: Callable[..., Any]) -> tuple[torch.Tensor, ...]:
        made = function(*self.inputs)
        return made if isinstance(made, tuple) else (made,)

    def both(self, function: Callable[..., Any]) -> tuple[Any, ...]:
        """Forward and backward: the outputs and the gradients."""
        outputs = self.forward(function)
        return (*outputs, *torch.autograd.grad(outputs, self.real, self.cotangents, allow_unused=True))


def prepare(operation: Operation, sizes: dict[Axis, int], dtype: torch.dtype = torch.float32) -> Contest:
    """Inputs and cotangents of an operation, and its two competitors."""
    inputs = [i.requires_grad_(i.is_floating_point()) for i in draw_inputs(operation, sizes, dtype)]
    generator = torch.Generator().manual_seed(21)
    shapes = [[sizes[a] for a in t.axes] for t in operation.outputs]
    cotangents = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    return Contest(operation, inputs, cotangents, lower(operation, "torch"), eager(operation))


def is_leaf(operation: Operation) -> bool:
    """Whether the operation is one elementary operator: a composite is built from several."""
    only, *more = flat(operation.program.statements)
    if more or isinstance(only, Recurrence):
        return False
    value = only.value
    inner = {node for node in walk(value) if isinstance(node, Call | Reduce)}
    return isinstance(value, Entry) or (len(operation.inputs) == 1 and len(inner) <= 1)


# --- time


def time_in_turns(
    first: Pass, second: Pass, budget: float, least: int, most: int
) -> list[tuple[float, float]]:
    """The times of both in each round; who begins changes from round to round."""
    for _ in range(2):
        first()
        second()
    rounds: list[tuple[float, float]] = []
    started = time.perf_counter()
    gc.collect()
    gc.disable()
    try:
        while len(rounds) < least or (len(rounds) < most and time.perf_counter() - started < budget):
            if len(rounds) % 2:
                late = clock(second)
                rounds.append((clock(first), late))
            else:
                early = clock(first)
                rounds.append((early, clock(second)))
    finally:
        gc.enable()
    return rounds


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed: otherwise page faults are timed, and they come and go."""
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    trim, map_from = -1, -3
    return bool(set_option(trim, 1 << 30) and set_option(map_from, 32 << 20))


def clock(action: Pass) -> float:
    """The seconds that a call takes; with one thread those of the processor, which others do not disturb."""
    now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    started = now()
    action()
    return now() - started


# --- memory


def saved_bytes(contest: Contest, function: Callable[..., Any]) -> tuple[int, int]:
    """The bytes of the storages kept for the backward pass: all of them, and those that hold no input."""
    storages: dict[int, int] = {}
    alive: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        alive.append(tensor)
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        contest.forward(function)
    given = {i.untyped_storage().data_ptr() for i in contest.inputs}
    beside = sum(size for place, size in storages.items() if place not in given)
    return sum(storages.values()), beside


# --- results


def largest_difference(contest: Contest) -> float:
    """How far the two are apart, relative to the largest entry of all results (some gradients are 0)."""
    scale, worst = 1e-30, 0.0
    for ours, theirs in zip(contest.both(contest.ours), contest.both(contest.theirs), strict=True):
        theirs = torch.zeros_like(ours) if theirs is None else theirs
        scale = max(scale, float(theirs.detach().abs().max()))
        worst = max(worst, float((ours - theirs).detach().abs().max()))
    return worst / scale


def compare(
    operation: Operation,
    sizes: dict[Axis, int],
    budget: float = BUDGET,
    least: int = LEAST,
    most: int = MOST,
) -> dict[str, Any]:
    """Speed, saved bytes and agreement for one operation."""
    contest = prepare(operation, sizes)
    difference = largest_difference(contest)
    rounds = time_in_turns(
        lambda: contest.both(contest.ours), lambda: contest.both(contest.theirs), budget, least, most
    )
    ratios = sorted(theirs / ours for ours, theirs in rounds)
    return {
        "operation": operation.label,
        "leaf": is_leaf(operation),
        "elements": max((count(t, sizes) for t in operation.inputs), default=0),
        "ours": statistics.median(ours for ours, _ in rounds),
        "eager": statistics.median(theirs for _, theirs in rounds),
        "ratio": statistics.median(ratios),
        "quartiles": [ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
        "rounds": len(rounds),
        "saved": saved_bytes(contest, contest.ours),
        "saved_eager": saved_bytes(contest, contest.theirs),
        "difference": difference,
    }


def run(names: Sequence[str]) -> Section:
    """Every operation and variant, as a section."""
    keep_freed_memory()
    chosen = [find(name) for name in names] if names else list(operations().values())
    rows = [compare(form, choose_sizes(form)) for operation in chosen for form in operation.variants]
    return section(rows)


def section(rows: list[dict[str, Any]]) -> Section:
    """The measured rows as a table with goals: composites first, leaves last."""
    composites = [row for row in rows if not row["leaf"]]
    leaves = [row for row in rows if row["leaf"]]
    mean = geometric_mean([row["ratio"] for row in composites])
    below = [row for row in composites if row["ratio"] < EACH]
    lines = [_line(row) for row in composites]
    lines.append(("geometric mean", "", "", "", f"{mean:.2f}", "", "", ""))
    lines += [_line(row) for row in leaves]
    found = ", ".join(f"{row['operation']} {row['ratio']:.2f}" for row in below) or "all"
    goals = (
        Goal(f"each composite kernel at least {EACH} times eager autograd", found, not below),
        Goal(f"composite kernels, geometric mean {MEAN} times eager autograd", f"{mean:.2f}", mean >= MEAN),
    )
    apart = [f"{row['operation']} ({row['difference']:.1e})" for row in rows if not row["difference"] < CLOSE]
    threads = torch.get_num_threads()
    said = "1 thread; processor time" if threads == 1 else f"{threads} threads; wall-clock time"
    remarks = [f"PyTorch ran with {said}."]
    if apart:
        remarks.append(f"The two differ by more than {CLOSE:g} of the largest entry: {', '.join(apart)}.")
    columns = (
        "operation",
        "elements",
        "kernel",
        "eager",
        "times",
        "quartiles",
        "saved MiB",
        "eager saved MiB",
    )
    data = {"rows": rows, "geometric_mean": mean, "threads": threads}
    title = "PyTorch kernels against eager autograd"
    return Section("kernels", title, METHOD, Table(columns, tuple(lines)), data, goals, tuple(remarks))


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["quartiles"]
    return (
        f"{row['operation']} (leaf)" if row["leaf"] else row["operation"],
        str(row["elements"]),
        seconds(row["ours"]),
        seconds(row["eager"]),
        f"{row['ratio']:.2f}",
        f"{low:.2f} to {high:.2f}",
        f"{megabytes(row['saved'][0])} ({megabytes(row['saved'][1])})",
        f"{megabytes(row['saved_eager'][0])} ({megabytes(row['saved_eager'][1])})",
    )

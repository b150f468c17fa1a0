"""A training step of each layer against PyTorch's own, and against autograd through its cell in Python."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.eager import eager
from benchmarks.kernels import keep_freed_memory, time_in_turns
from benchmarks.record import Goal, Section, Table, seconds
from gradproof import models
from gradproof.models.custom import Recurrent
from gradproof.models.recurrences import over_time
from gradproof.symbolic.operation import Operation, find
from tests.numeric.cells import normalized_cell

BATCH, TIME, WIDTH = 32, 64, 256
BUDGET, LEAST, MOST = 6.0, 5, 25
VENDOR, PYTHON, BLOCK = 0.9, 2.0, 1.0

METHOD = (
    f"float32 on the CPU: {BATCH} sequences of {TIME} steps, {WIDTH} inputs and hidden units (8 heads, a "
    "feed-forward width four times as large), the loss the mean square of the outputs. A round runs forward "
    "and backward once with ours and once with the other, in turns, with the same weights; the times are "
    "medians, *times* is the median of the rounds' ratios (other / ours). *In Python* is autograd through "
    "the definition of the cell, repeated in a Python loop (`eager.py`). *Peak* is the most memory that a "
    "step has allocated at once, weights and inputs left out."
)
Step = Callable[[], object]


def steps(function: Callable[..., Any], parameters: Sequence[Tensor]) -> Step:
    """A training step: the loss of a function without arguments, and the gradients of the parameters."""

    def step() -> None:
        for p in parameters:
            p.grad = None
        made = function()
        while isinstance(made, tuple):
            made = made[0]
        made.square().mean().backward()

    return step


def draw(*shape: int) -> Tensor:
    """Numbers that are the same at every call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def of_modules(ours: nn.Module, theirs: nn.Module) -> tuple[Step, Step]:
    """Two modules with the same weights."""
    ours.load_state_dict(theirs.state_dict())
    x = draw(BATCH, TIME, WIDTH)
    return tuple(steps(lambda m=m: m(x), list(m.parameters())) for m in (ours, theirs))  # pyright: ignore


def in_python(cell: Operation, states: tuple[tuple[str, str], ...]) -> tuple[Step, Step]:
    """A module of a cell, and autograd through the same cell in a Python loop."""
    layer = Recurrent(cell, states=dict(states), input=WIDTH, hidden=WIDTH)
    repeated = over_time(cell, states, ("x",), tuple(t.name for t in cell.outputs))
    function = eager(repeated)
    x, start = draw(BATCH, TIME, WIDTH), torch.zeros(BATCH, WIDTH)
    parameters = dict(layer.named_parameters())
    given = {"x": x, **{before: start for before, _ in states}, **parameters}
    inputs = [given[t.name] for t in repeated.inputs]
    values = list(parameters.values())
    return steps(lambda: layer(x), values), steps(lambda: function(*inputs), values)


LSTM_STATES = (("h0", "h"), ("c0", "c"))
CASES: dict[str, tuple[str, float, Callable[[], tuple[Step, Step]]]] = {
    "LSTM": (
        "nn.LSTM",
        VENDOR,
        lambda: of_modules(
            models.LSTM(WIDTH, WIDTH, batch_first=True), nn.LSTM(WIDTH, WIDTH, batch_first=True)
        ),
    ),
    "GRU": (
        "nn.GRU",
        VENDOR,
        lambda: of_modules(
            models.GRU(WIDTH, WIDTH, batch_first=True), nn.GRU(WIDTH, WIDTH, batch_first=True)
        ),
    ),
    "LSTM cell": ("in Python", PYTHON, lambda: in_python(find("lstm_cell"), LSTM_STATES)),
    "GRU cell": ("in Python", PYTHON, lambda: in_python(find("gru_cell"), (("h0", "h"),))),
    "peephole LSTM": ("in Python", PYTHON, lambda: in_python(find("lstm_cell_peephole"), LSTM_STATES)),
    "layer-norm LSTM": ("in Python", PYTHON, lambda: in_python(normalized_cell, LSTM_STATES)),
    "Transformer block": (
        "nn.TransformerEncoderLayer",
        BLOCK,
        lambda: of_modules(*(kind(WIDTH, 8, 4 * WIDTH, 0.0, "gelu", batch_first=True) for kind in BLOCKS)),
    ),
}
BLOCKS = (models.TransformerEncoderLayer, nn.TransformerEncoderLayer)


def peak(step: Step) -> float:
    """The most megabytes that a step has allocated at once, beside what was there before it."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as made:
        step()
    profiler: Any = made.profiler
    events = [e for e in profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = sorted((e.start_ns(), e.nbytes()) for e in events)
    return max(accumulate((n for _, n in changes), initial=0)) / (1 << 20)


def compare(name: str) -> dict[str, Any]:
    """Speed and memory of one case."""
    other, goal, make = CASES[name]
    ours, theirs = make()
    rounds = time_in_turns(ours, theirs, BUDGET, LEAST, MOST)
    return {
        "layer": name,
        "against": other,
        "goal": goal,
        "ours": statistics.median(o for o, _ in rounds),
        "theirs": statistics.median(t for _, t in rounds),
        "times": statistics.median(t / o for o, t in rounds),
        "peak": [peak(step) for step in (ours, theirs)],
    }


def run(names: Sequence[str]) -> Section:
    """The section of all layers, or of those named."""
    keep_freed_memory()
    return section([compare(name) for name in CASES if not names or name in names])


def section(rows: list[dict[str, Any]]) -> Section:
    """The table and the goals of what was measured."""
    columns = ("layer", "against", "ours", "other", "times", "goal", "peak MB", "other's")
    lines = tuple(
        (
            r["layer"],
            r["against"],
            seconds(r["ours"]),
            seconds(r["theirs"]),
            f"{r['times']:.2f}",
            f"{r['goal']:.1f}",
            *(f"{p:.0f}" for p in r["peak"]),
        )
        for r in rows
    )
    goals = tuple(
        Goal(
            f"{r['layer']} at least {r['goal']} times {r['against']}",
            f"{r['times']:.2f}",
            r["times"] >= r["goal"],
        )
        for r in rows
    )
    return Section("layers", "Layers", METHOD, Table(columns, lines), {"layers": rows}, goals)

"""Errors in units in the last place against ball arithmetic, beside PyTorch's own."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gradproof.numeric.evidence import Evidence, to_numpy
from gradproof.numeric.kernels import lower
from gradproof.numeric.oracles import differentiate, exact
from gradproof.numeric.references import NotCoveredError, definition, reference, wanted_sizes
from gradproof.numeric.sampling import Case, choose_sizes, is_elementwise, make_case, ordinary, scaled, wide
from gradproof.numeric.subjects import Subject, tensors
from gradproof.numeric.units import errors, grid, rounded
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.higher import gradient_program
from gradproof.symbolic.operation import Operation, Program

if TYPE_CHECKING:
    from gradproof.numeric.verification import Depth

DTYPES = {"numpy": ("float32",), "torch": ("float32", "bfloat16")}
PASSES = ("forward", "backward")
DEFINITION = "definition in PyTorch"


@dataclass(frozen=True)
class Truth:
    """A case whose inputs are numbers of a dtype, cotangents, and the true outputs and gradients."""

    case: Case
    cotangents: list[np.ndarray]
    outputs: list[np.ndarray]
    gradients: list[np.ndarray]
    elementwise: bool

    def values(self, which: str) -> list[np.ndarray]:
        return self.outputs if which == "forward" else self.gradients

    def tensors(self, which: str) -> list[Tensor]:
        operation = self.case.operation
        real = [t for t in operation.inputs if t.dtype == "real"]
        return list(operation.outputs) if which == "forward" else real


def truth(case: Case, dtype: str, seed: int) -> Truth:
    """The case rounded to a dtype, and its true values."""
    inputs = tuple(rounded(a, dtype) if a.dtype.kind == "f" else a for a in case.inputs)
    case = Case(case.operation, inputs, case.parameters, case.label)
    operation = case.operation
    flatly = is_elementwise(operation)
    outputs = exact(operation.program, inputs, case.parameters, elementwise=flatly)
    chance = np.random.default_rng([seed, 1])
    cotangents = [
        np.ones(o.shape) if flatly else rounded(chance.standard_normal(o.shape), dtype) for o in outputs
    ]
    gradients = exact(_gradient(operation), [*inputs, *cotangents], case.parameters, elementwise=flatly)
    return Truth(case, cotangents, outputs, gradients, flatly)


@lru_cache(maxsize=256)
def _gradient(operation: Operation) -> Program:
    return gradient_program(operation.program)


def truths(operation: Operation, dtype: str, seed: int, depth: Depth) -> Iterator[Truth]:
    """The grid of all magnitudes for an elementwise operation; else rows of several magnitudes.

    Of several inputs the first has the magnitude and the others, such as weights, are around 1.
    """
    start = zlib.crc32(operation.label.encode()) + seed
    if is_elementwise(operation):
        yield truth(_on_grid(operation, dtype, start), dtype, start)
        return
    sizes = choose_sizes(operation, wide(operation), wanted_sizes(operation))
    rows = 24 if len(sizes) <= 4 else 6
    first = next(t for t in operation.inputs if t.dtype == "real")
    fills = [("around 1", ordinary), ("around 0.01", scaled(0.01)), ("around 8", scaled(8)), ("mixed", mixed)]
    for n, (size, fill) in enumerate(fills):
        label, fill = f"{first.name} {size}", only(first, fill)
        for repeat in range(4 if depth == "deep" else 1):
            case = make_case(
                operation, sizes, (rows,), start + 10 * n + repeat, fill=fill, full=True, label=label
            )
            yield truth(case, dtype, start + n)


def only(chosen: Tensor, fill: Any) -> Any:
    """One input by `fill`, the others around 1."""
    return lambda tensor, shape, chance: (fill if tensor == chosen else ordinary)(tensor, shape, chance)


def mixed(tensor: Tensor, shape: tuple[int, ...], chance: np.random.Generator) -> np.ndarray:
    """Values of both signs whose magnitudes are spread evenly over six decades."""
    return np.sign(chance.standard_normal(shape)) * 10.0 ** chance.uniform(-4, 2, shape)


def _on_grid(operation: Operation, dtype: str, seed: int) -> Case:
    real = [t for t in operation.inputs if t.dtype == "real"]
    points = grid(real[0].domain, dtype)
    sizes = choose_sizes(operation, (3,))
    case = make_case(operation, sizes, points.shape, seed)
    inputs = [points if t is real[0] else a for t, a in zip(operation.inputs, case.inputs, strict=True)]
    return Case(operation, tuple(inputs), case.parameters, "all magnitudes")


@dataclass
class Worst:
    """The largest error of a kernel over truths, forward or backward.

    For an operation on rows the unit is that of the row's largest element, but of no less than a thousandth
    of the largest of all: a row that is 0 by a cancellation has no scale of its own.
    """

    error: float = 0.0
    place: str = ""
    numbers: int = 0
    finite: float = 0.0
    """The largest error among the numbers that are neither NaN nor infinite."""

    def look(self, t: Truth, which: str, found: Sequence[Any], dtype: str) -> None:
        values = t.values(which)
        floor = max((float(np.nanmax(np.abs(v))) for v in values if v.size), default=0.0) / 1000
        for tensor, f, true in zip(t.tensors(which), found, values, strict=True):
            rows = None if t.elementwise else row_of(tensor, true)
            numbers = to_numpy(f)
            made = errors(numbers, true, dtype, rows, floor)
            self.numbers += made.size
            finite = np.where(np.broadcast_to(np.isfinite(numbers), made.shape), made, 0)
            self.finite = max(self.finite, float(finite.max(initial=0)))
            if made.size and (worst := float(made.max())) >= self.error:
                at = np.unravel_index(int(made.argmax()), made.shape)
                self.error, self.place = worst, place_of(t, tensor.name, at)


def row_of(tensor: Tensor, values: np.ndarray) -> tuple[int, ...]:
    """The dimensions of a row: all but the batch axes; without a batch axis, or without others, all."""
    fixed = sum(1 for a in tensor.axes if not a.variadic)
    return tuple(range(values.ndim - fixed, values.ndim)) if fixed else tuple(range(values.ndim))


def place_of(t: Truth, name: str, at: Sequence[Any]) -> str:
    """An entry in words: its inputs, or the case and its position."""
    if t.elementwise:
        real = t.case.real
        names = [t.case.operation.inputs[n].name for n in real]
        shown = (f"{n} = {t.case.inputs[k][tuple(at)]:.9g}" for n, k in zip(names, real, strict=True))
        return ", ".join(shown)
    where = [int(i) for i in at]
    return f"{t.case.label}: {name}{where if where else ''}"


def check_accuracy(
    operation: Operation, targets: Sequence[str], seed: int, depth: Depth
) -> Iterator[Evidence]:
    """Errors in float32 and bfloat16, forward and backward, against PyTorch's own."""
    subjects = [Subject(operation, lower(operation, target)) for target in targets]
    for dtype in ("float32", "bfloat16"):
        held = [s for s in subjects if dtype in DTYPES[s.target]]
        if not held:
            continue
        known = list(truths(operation, dtype, seed, depth))
        name, theirs = yardstick(operation, known, dtype)
        for subject in held:
            yield from _accuracy(subject, known, dtype, name, theirs)


def yardstick(operation: Operation, known: Sequence[Truth], dtype: str) -> tuple[str, dict[str, Worst]]:
    """PyTorch's own error on the same inputs: of the function declared, else of the definition."""
    theirs = reference(operation)
    for function, name in ((theirs, operation.reference), (definition(operation), DEFINITION)):
        if function is None:
            continue
        try:
            return name, _worst(lambda t, f=function: by_torch(f, t, dtype), known, dtype)
        except NotCoveredError:
            continue
    raise AssertionError("the definition covers every case")


def by_torch(function: Callable[..., Any], t: Truth, dtype: str) -> tuple[list[Any], list[Any]]:
    """Outputs and gradients by autograd."""
    return differentiate(
        function, tensors(t.case.inputs, dtype), tensors(t.cotangents, dtype), t.case.parameters
    )


def _worst(
    call: Callable[[Truth], tuple[list[Any], list[Any]]], known: Sequence[Truth], dtype: str
) -> dict[str, Worst]:
    made = {which: Worst() for which in PASSES}
    for t in known:
        for which, found in zip(PASSES, call(t), strict=True):
            made[which].look(t, which, found, dtype)
    return made


def _accuracy(
    subject: Subject, known: Sequence[Truth], dtype: str, against: str, theirs: dict[str, Worst]
) -> Iterator[Evidence]:
    try:
        ours = _worst(lambda t: subject.vjp(t.case, t.cotangents, dtype), known, dtype)
    except Exception as problem:  # whatever a kernel raises is its record, which has not passed
        text = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
        yield Evidence(
            "accuracy", subject.target, dtype, 0, False, math.inf, note=f"raised {text}", unit="ulp"
        )
        return
    for which in PASSES:
        mine, theirs_too = ours[which], theirs[which].error
        bound = allowed(subject, theirs[which], against)
        yield Evidence(
            f"accuracy, {which}",
            subject.target,
            dtype,
            mine.numbers,
            mine.error <= bound,
            mine.error,
            bound,
            note=_compared(mine, theirs[which]),
            unit="ulp",
            reference=theirs_too,
            worst=mine.place,
            against=against,
        )


def _compared(mine: Worst, theirs: Worst) -> str:
    if theirs.error != theirs.finite:
        return f"PyTorch's has NaN or infinities; its largest error elsewhere is {theirs.finite:.3g}"
    return "" if mine.error <= theirs.error else "larger than PyTorch's"


def error_curves(operation: Operation) -> Iterator[tuple[str, list[float], list[float]]]:
    """The float32 errors over the grid, forward and backward: a label, inputs and errors in units.

    Empty unless the operation is elementwise in one input.
    """
    if len(operation.inputs) != 1 or not is_elementwise(operation):
        return
    (t,) = truths(operation, "float32", 0, "default")
    found = Subject(operation, lower(operation, "torch")).vjp(t.case, t.cotangents, "float32")
    points = t.case.inputs[0].tolist()
    for which, values in zip(PASSES, found, strict=True):
        made = errors(to_numpy(values[0]), t.values(which)[0], "float32")
        yield f"{which}, PyTorch kernel in float32", points, np.minimum(made, 1e9).tolist()


def allowed(subject: Subject, theirs: Worst, against: str) -> float:
    """The largest error that passes; NaN and infinities of PyTorch's are no measure, its other numbers are.

    - elementwise, on the grid: that of the PyTorch function that the operation declares;
    - on rows, where sums taken in another order round differently, and without such a function: twice
      that of PyTorch's function, or of the definition in PyTorch's operators, in the same dtype.
    """
    alone = against != DEFINITION and is_elementwise(subject.operation)
    return theirs.finite if alone else 2 * theirs.finite

"""Measures the accuracy of a program: floats against balls, at points of all magnitudes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import torch

from gradproof.numeric.checking.accuracy import Accuracy, PassAccuracy
from gradproof.numeric.checking.ball_values import Exactly, Truth, true_at, true_on_grid
from gradproof.numeric.checking.float_runs import (
    Cotangents,
    FloatRun,
    NoRuleError,
    NumpyRun,
    plain_formula,
    program_in_floats,
)
from gradproof.numeric.checking.magnitudes import Point, grid_shape, points_elementwise, points_on_rows
from gradproof.numeric.checking.tallies import PASSES, Tally
from gradproof.numeric.checking.targets import Target, TargetError, functional
from gradproof.numeric.exact.duals import Shape
from gradproof.numeric.exact.numpy_programs import NumpyProgram
from gradproof.numeric.exact.programs import ForwardError, Program, TorchProgram
from gradproof.numeric.exact.values import AmbiguousError, UndecidableError
from gradproof.numeric.units import DIGITS, TOP

WITHOUT_VALUE = (UndecidableError, AmbiguousError, ForwardError)
MAX_NUMBERS = 20_000
"""A program with more input numbers than this is not run in balls."""
MAX_ENTRIES, WORK = 32, 3000
"""Of each gradient that many entries are compared, where a function is not elementwise; fewer where that
times all input numbers is more than `WORK`.
"""


def measure_accuracy(
    target: Target,
    dtypes: Sequence[Any] | None = None,
    reference: Callable[..., Any] | None = None,
    declared: Callable[..., Any] | None = None,
    seed: int = 0,
) -> Accuracy:
    """Run a program in floats of each dtype and in balls, at boundary values and at all magnitudes.

    `dtypes` are those of the example if None. True values are those of the program's own forward (of
    `reference` if there is one); the true gradient is that of `declared` if the backward is declared.
    Raises TargetError for a dtype that is not known.
    """
    names = _names_of(target, dtypes)
    total = sum(e.array.size for e in target.examples if e.is_number)
    if total > MAX_NUMBERS:
        note = f"accuracy not measured: {total} input numbers are too many for ball arithmetic; "
        return Accuracy((), "", 0, None, (note + f"give an example of at most {MAX_NUMBERS}",))
    elementwise = declared is None and is_elementwise(target, seed)
    passes, notes, points = list[PassAccuracy](), list[str](), 0
    plain: str | None = None
    for dtype in names:
        measured = _Measurement(_in_dtype(target, dtype), dtype, seed, elementwise, reference, declared)
        made = measured.passes()
        if elementwise and not measured.points:  # it does not take so many numbers in one row
            elementwise = False
            measured = _Measurement(_in_dtype(target, dtype), dtype, seed, False, reference, declared)
            made = measured.passes()
        passes += made
        notes += measured.notes
        points += measured.points
        plain = measured.against or plain
    unit = "ulp of each value" if elementwise else "ulp of the largest value of its row"
    return Accuracy(tuple(passes), unit, points, plain, tuple(dict.fromkeys(notes)))


class _Measurement:
    """The errors of a program in one dtype."""

    def __init__(
        self, target: Target, dtype: str, seed: int, elementwise: bool,
        reference: Callable[..., Any] | None, declared: Callable[..., Any] | None,
    ) -> None:  # fmt: skip
        self.target, self.dtype, self.seed, self.elementwise = target, dtype, seed, elementwise
        self._notes: dict[str, list[str]] = {}
        self.points = 0
        self.against: str | None = None
        self._declared = None if declared is None else TorchProgram(declared)
        self._reference = reference
        forward = _forward_of(target) if reference is None else TorchProgram(reference)
        self._exactly = Exactly(forward, dtype, seed)
        self._wanted = [k for k, e in enumerate(target.examples) if e.is_number and e.wanted]

    def passes(self) -> list[PassAccuracy]:
        ours, theirs = (Tally(self.target, self.dtype, self.elementwise) for _ in range(2))
        program = program_in_floats(self.target, self.dtype, self.seed)
        plain = self._plain()
        for point, truth, cotangents in self._truths():
            try:
                found = program(point, cotangents)
            except Exception as error:  # the program's own, whatever it is; it is reported
                self._note(f"in {self.dtype} the program raises {_first_line(error)}", point.label)
                continue
            if [y.size for y in found.outputs] != [y.size for y in truth.outputs]:
                self._note("the reference has other outputs than the program: nothing is compared")
                continue
            self.points += point_count(point) if self.elementwise else 1
            ours.take(point, found, truth)
            if plain is not None:
                try:
                    theirs.take(point, plain(point, cotangents), truth)
                except NoRuleError:
                    plain = None
                except Exception as error:
                    self._note(f"the plain formula is not compared, since it raises {_first_line(error)}")
                    plain = None
        made = [PassAccuracy(which, self.dtype, ours.errors(which)) for which in PASSES]
        if plain is None or not self.points:
            return made
        self.against = "autograd of the reference" if self._reference else "autograd of the forward"
        return [PassAccuracy(p.which, p.dtype, p.errors, theirs.errors(p.which)) for p in made]

    def _plain(self) -> FloatRun | None:
        function = self._reference or plain_formula(self.target)
        if function is None or self._declared is not None:
            return None
        return FloatRun(function, self.target, self.dtype, self.seed)

    def _truths(self) -> Iterator[tuple[Point, Truth, Cotangents]]:
        if self.elementwise:
            chance = np.random.default_rng([self.seed, 1])
            point = points_elementwise(self.target, self.dtype, chance)
            try:
                yield point, true_on_grid(self._exactly, point, self._wanted), _ones
            except WITHOUT_VALUE as error:
                self._note(f"no true value is known in {self.dtype}: {_first_line(error)}")
            return
        for point in points_on_rows(self.target, self.dtype, self.seed):
            try:
                yield point, self._true_on_rows(point), self._cotangents
            except WITHOUT_VALUE as error:
                self._note(f"no true value is known: {_first_line(error)}", point.label)

    def _true_on_rows(self, point: Point) -> Truth:
        entries = [np.arange(0)] * len(point.arrays)
        for k in self._wanted:
            array = point.arrays[k]
            assert array is not None
            if self._declared is None:
                entries[k] = self._entries(array, f"{point.label}/{k}")
        truth = true_at(self._exactly, point, entries, self._cotangents)
        gradients = list[np.ndarray]()
        for k, known in zip(range(len(entries)), truth.gradients, strict=True):
            array = point.arrays[k]
            if k in self._wanted and array is not None:
                whole = np.full(array.size, np.nan)
                whole[entries[k]] = known
                gradients.append(whole.reshape(array.shape))
        if self._declared is not None:
            gradients = self._as_declared(point, truth)
        return Truth(truth.outputs, gradients)

    def _entries(self, array: np.ndarray, label: str) -> np.ndarray:
        """Some entries that stand side by side, from the start of a row on."""
        total = sum(e.array.size for e in self.target.examples if e.is_number)
        count = min(array.size, max(2, min(MAX_ENTRIES, WORK // max(1, total))))
        width = array.shape[-1] if array.ndim else 1
        start = width * Random(f"{self.seed}/{label}").randrange(max(1, array.size // max(1, width)))
        return (start + np.arange(count)) % max(1, array.size)

    def _as_declared(self, point: Point, truth: Truth) -> list[np.ndarray]:
        cotangents = self._cotangents([y.shape for y in truth.outputs])
        assert self._declared is not None
        given = Point(point.label, (*cotangents, *point.arrays), (*(None for _ in cotangents), *point.data))
        exactly = Exactly(self._declared, self.dtype, self.seed)
        found = true_at(exactly, given, [np.arange(0)] * len(given.arrays), _ones).outputs
        if len(found) != len(self._wanted):
            raise UndecidableError(f"`declared` gives {len(found)} gradients for {len(self._wanted)} inputs")
        return found

    def _cotangents(self, shapes: list[Shape]) -> list[np.ndarray]:
        """Multiples of 1/32 of both signs, below 3: numbers of every dtype."""
        chance = np.random.default_rng([self.seed, 3])
        return [chance.integers(1, 96, s) / 32 * np.where(chance.random(s) < 0.5, -1.0, 1.0) for s in shapes]

    def _note(self, text: str, label: str = "") -> None:
        self._notes.setdefault(text, []).append(label)

    @property
    def notes(self) -> list[str]:
        """What could not be measured, and where."""
        return [
            text + (f", at {labels[0]}" if labels[0] else "")
            + (f" and {len(labels) - 1} more" if labels[1:] else "")
            for text, labels in self._notes.items()
        ]  # fmt: skip


def _ones(shapes: list[Shape]) -> list[np.ndarray]:
    return [np.ones(shape) for shape in shapes]


def is_elementwise(target: Target, seed: int) -> bool:
    """Whether each entry of the one output depends on the same entry of the inputs alone, seen in floats:
    the inputs are put in another order, and one entry is changed.
    """
    numbers = [e for e in target.examples if e.is_number]
    shapes = {e.array.shape for e in numbers}
    if len(shapes) != 1 or any(e.fixed or e.is_data for e in target.examples):
        return False
    chance = np.random.default_rng([seed, 4])
    shape = grid_shape(target, 16)
    drawn = [
        np.abs(chance.standard_normal(shape)) * 0.9 + 0.01 if np.all(e.array > 0)
        else chance.standard_normal(shape)
        for e in numbers
    ]  # fmt: skip
    order = chance.permutation(16)
    changed = [np.concatenate([a[..., :5], 0.5 * a[..., 5:6], a[..., 6:]], axis=-1) for a in drawn]
    dtype = _names_of(target, None)[0]
    run = program_in_floats(target, dtype, seed)
    try:
        results = [_flat(run, target, arrays) for arrays in (drawn, [a[..., order] for a in drawn], changed)]
    except Exception:  # it does not take such inputs: it is run at the example's sizes, which says more
        return False
    first, moved, other = results
    if any(len(r) != 1 + len(target.wanted) or any(a.shape != shape for a in r) for r in results):
        return False
    rest = np.arange(16) != 5

    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return np.allclose(a, b, rtol=2.0 ** (3 - DIGITS[dtype]), atol=0, equal_nan=True)

    return all(
        same(a[..., order], b) and same(a[..., rest], c[..., rest])
        for a, b, c in zip(first, moved, other, strict=True)
    )


def _flat(run: FloatRun | NumpyRun, target: Target, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    rest = iter(arrays)
    given = tuple(next(rest) if e.is_number else None for e in target.examples)
    found = run(Point("", given, tuple(e.value for e in target.examples)), _ones)
    return [*found.outputs, *found.gradients]


def point_count(point: Point) -> int:
    """How many points a grid holds."""
    return max(a.size for a in point.arrays if a is not None)


def _forward_of(target: Target) -> Program:
    if isinstance(target.program, NumpyProgram):  # its vjp would be run for nothing
        return NumpyProgram(target.program.forward, lambda u, *inputs: (None,) * len(inputs))
    return target.program


def _names_of(target: Target, dtypes: Sequence[Any] | None) -> list[str]:
    given = [e.dtype for e in target.wanted] if dtypes is None else dtypes
    names = list(dict.fromkeys(str(d).removeprefix("torch.") for d in given))
    for name in names:
        if name not in TOP:
            raise TargetError(f"accuracy is measured in {', '.join(TOP)}; found the dtype '{name}'")
        if name == "bfloat16" and not isinstance(target.program, TorchProgram):
            raise TargetError("NumPy has no bfloat16; accuracy is measured in float64, float32 and float16")
    return names


def _in_dtype(target: Target, dtype: str) -> Target:
    """The target with a copy of its module, whose buffers have the dtype too."""
    if target.module is None:
        return target
    module = copy.deepcopy(target.module).to(getattr(torch, dtype))
    parameters = [e.name for e in target.examples if e.fixed]
    return replace(target, program=TorchProgram(functional(module, parameters)))


def _first_line(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + said[0] if said else ''}"

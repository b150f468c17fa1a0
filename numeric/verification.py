"""verify(): the kernels of an operation against independent oracles, from its one definition.

What is measured, for each target:

- *vjp against torch autograd*: outputs and gradients in float64 against the PyTorch function that the operation
  declares, else against its definition in elementary operators; in several shapes and layouts;
- *jvp* against forward mode through the definition, *complex step* against `Im f(x + ihv)/h`;
- *second order*: backward of backward, against torch autograd through the definition;
- *accuracy*: errors in units in the last place against ball arithmetic, beside PyTorch's own;
- *extremes*: no NaN, and no infinity where the mathematics has a number that the dtype can hold.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gradproof.numeric.kernels import Kernel, lower
from gradproof.numeric.sampling import (
    Case,
    axes_of,
    choose_sizes,
    is_elementwise,
    make_case,
)
from gradproof.symbolic.operation import Operation

Depth = Literal["default", "deep"]
TARGETS = ("numpy", "torch")
SIZES = (3, 5, 4, 2, 7, 6)
AGREEMENT = 1e-11
"""How far float64 results may be from the oracle, relative to the largest entry of the result."""


@dataclass(frozen=True)
class Evidence:
    """One numerical check, as it was recorded.

    `error` is the largest error, in `unit` ("relative", or "ulp": units in the last place, of the row's largest
    element where an operation works on rows); `bound` what was allowed; `reference` the error of PyTorch's own
    kernel on the same inputs; `worst` the input at which the error is largest; `against` the oracle.
    """

    check: str
    target: str
    dtype: str
    cases: int
    passed: bool
    error: float | None = None
    bound: float | None = None
    note: str = ""
    unit: str = ""
    reference: float | None = None
    worst: str = ""
    against: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON has it: an error without bound (a NaN was met) is the text `inf`."""
        return {name: _plain(value) for name, value in vars(self).items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@dataclass
class Tally:
    """The largest of many errors, and where it was met."""

    error: float = 0.0
    worst: str = ""
    cases: int = 0
    notes: list[str] = field(default_factory=list[str])

    def add_all(self, names: Sequence[str], found: Sequence[Any], wanted: Sequence[Any], case: str) -> None:
        """The errors of several results of one case.

        Each is relative to the largest wanted entry of its own, but not to less than a tenth of the largest of all:
        a gradient that is 0 by a cancellation (that of a bias before a softmax) has no scale of its own.
        """
        expected = [to_numpy(w) for w in wanted]
        largest = max((float(np.max(np.abs(w))) for w in expected if w.size), default=0.0)
        for name, f, w in zip(names, found, expected, strict=True):
            self.add(to_numpy(f), w, f"{case}: {name}", largest)

    def add(self, found: np.ndarray, wanted: np.ndarray, place: str, largest: float) -> None:
        """The error of one result; one of another shape is infinitely far."""
        if found.shape != wanted.shape:
            self.take(math.inf, f"{place}: shape {found.shape}, wanted {wanted.shape}")
            return
        if not wanted.size:
            return
        scale = max(float(np.max(np.abs(wanted))), largest / 10, 1e-6)
        gap = np.abs(found - wanted)
        gap = np.where(np.isnan(gap), np.inf, gap)
        at = int(np.argmax(gap))
        shown = [int(i) for i in np.unravel_index(at, gap.shape)]
        self.take(float(gap.flat[at]) / scale, f"{place}{shown if shown else ''}")

    def take(self, error: float, place: str) -> None:
        if error > self.error or not self.worst:
            self.error, self.worst = max(error, self.error), place


def to_numpy(value: Any) -> np.ndarray:
    """An array or tensor as float64."""
    if hasattr(value, "detach"):
        value = value.detach().double().cpu().numpy()
    return np.asarray(value, dtype=np.float64)


# --- cases


def cases(operation: Operation, seed: int, depth: Depth) -> Iterator[Case]:
    """Shapes and layouts: batch axes of rank 0 to 3, sizes 0 and 1, hyper-parameters off their defaults."""
    from gradproof.numeric.references import wanted_sizes

    products = wanted_sizes(operation)
    start = zlib.crc32(operation.label.encode()) + seed

    def size(*wanted: int) -> dict[Any, int]:
        return choose_sizes(operation, wanted, products)

    yield make_case(operation, size(*SIZES), (4,), start, label="rows")
    yield make_case(operation, size(2, 3, 1, 4), (2, 3), start + 1, layout="transposed", shifted=True,
                    label="two batch axes, transposed")  # fmt: skip
    yield make_case(operation, size(*SIZES[::-1]), (), start + 2, full=True, label="no batch axis")
    yield make_case(operation, size(1), (1,), start + 3, label="size 1")
    yield make_case(operation, size(0), (2,), start + 4, label="empty axes")
    yield make_case(operation, size(*SIZES), (0,), start + 5, label="empty batch")
    if depth == "deep":
        for n, layout in enumerate(("sliced", "expanded", "transposed", "contiguous")):
            yield make_case(operation, size(4, 2, 3, 5, 1, 6), (2, 1, 3), start + 10 + n, layout=layout, shifted=n % 2 == 0,
                            label=f"three batch axes, {layout}")  # fmt: skip
        for n in range(1, 9):
            yield make_case(operation, size(*SIZES[n % 6 :], *SIZES[: n % 6]), (n, 2), start + 20 + n, full=n % 2 == 0,
                            label=f"rows {n}")  # fmt: skip
        yield make_case(operation, size(*wide(operation)), (3,), start + 40, label="wide rows")


def wide(operation: Operation) -> tuple[int, ...]:
    """Sizes past a vector register, as many as the number of axes allows."""
    count = len(axes_of(operation))
    return {0: (1,), 1: (67,), 2: (19, 37)}.get(count, (5, 7, 4, 6, 3))


def random_like(arrays: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """Normal values of the same shapes."""
    chance = np.random.default_rng([seed, 1])
    return [np.asarray(chance.standard_normal(a.shape)) for a in arrays]


# --- one call of a kernel


@dataclass(frozen=True)
class Subject:
    """A kernel under test, and how it takes a case."""

    operation: Operation
    kernel: Kernel

    @property
    def target(self) -> str:
        return self.kernel.target

    def arrays(self, values: Sequence[np.ndarray], dtype: str = "float64") -> list[Any]:
        """The arrays of a case in the library and the dtype of the kernel."""
        if self.target == "numpy":
            return [v.astype(dtype) if v.dtype.kind == "f" and dtype != "float64" else v for v in values]
        return tensors(values, dtype)

    def vjp(
        self, case: Case, cotangents: Sequence[np.ndarray], dtype: str = "float64"
    ) -> tuple[list[Any], list[Any]]:
        """The outputs, and the gradient by each real input: for PyTorch through autograd, as a user calls it."""
        inputs, given = self.arrays(case.inputs, dtype), self.arrays(cotangents, dtype)
        if self.target == "torch":
            from gradproof.numeric.oracles import differentiate

            return differentiate(self.function, inputs, given, case.parameters)
        outputs, saved = self.kernel.forward(*inputs, **case.parameters)
        made = self.kernel.vjp(saved, *given)
        return list(outputs), [m for m in made if m is not None]

    def jvp(self, case: Case, tangents: Sequence[np.ndarray]) -> list[Any]:
        """The tangents of the outputs from those of the real inputs."""
        rest = iter(self.arrays(tangents))
        every = [next(rest) if t.dtype == "real" else None for t in self.operation.inputs]
        return list(self.kernel.jvp(self.arrays(case.inputs), every, **case.parameters))

    def function(self, *inputs: Any, **parameters: Any) -> tuple[Any, ...]:
        made = self.kernel(*inputs, **parameters)
        return made if isinstance(made, tuple) else (made,)


def tensors(values: Sequence[np.ndarray], dtype: str = "float64") -> list[Any]:
    """Arrays as tensors of a dtype, of the same layout."""
    import torch

    from gradproof.numeric.sampling import as_torch

    return [as_torch(v, getattr(torch, dtype)) for v in values]


# --- the checks


@dataclass(frozen=True)
class Wanted:
    """A case with cotangents and tangents, and what the oracles say."""

    case: Case
    cotangents: list[np.ndarray]
    tangents: list[np.ndarray]
    outputs: list[Any]
    gradients: list[Any]
    against: str

    def real_names(self) -> list[str]:
        return [t.name for t in self.case.operation.inputs if t.dtype == "real"]


def want(case: Case, seed: int) -> Wanted:
    """The oracle's outputs and gradients of a case."""
    from gradproof.numeric.oracles import differentiate
    from gradproof.numeric.references import NotCoveredError, definition, reference

    operation = case.operation
    inputs = tensors(case.inputs)
    plain = definition(operation)
    outputs = plain(*inputs, **case.parameters)
    cotangents = random_like([o.numpy() for o in outputs], seed)
    tangents = random_like([case.inputs[n] for n in case.real], seed + 1)
    theirs = reference(operation)
    for function, name in ((theirs, operation.reference), (plain, "definition")):
        if function is None:
            continue
        try:
            found, gradients = differentiate(function, inputs, tensors(cotangents), case.parameters)
        except NotCoveredError:
            continue
        return Wanted(case, cotangents, tangents, found, gradients, name)
    raise AssertionError("the definition covers every case")


def check_vjp(subject: Subject, wanted: Sequence[Wanted]) -> Evidence:
    """Outputs and gradients in float64 against torch autograd."""
    tally = Tally(cases=len(wanted))
    for w in wanted:
        outputs, gradients = subject.vjp(w.case, w.cotangents)
        names = [t.name for t in subject.operation.outputs]
        tally.add_all(names, outputs, w.outputs, w.case.label)
        names = [f"gradient of {n}" for n in w.real_names()]
        tally.add_all(names, gradients, w.gradients, w.case.label)
    against = ", ".join(dict.fromkeys(w.against for w in wanted))
    return _relative("vjp against torch autograd", subject.target, tally, against)


def check_jvp(subject: Subject, wanted: Sequence[Wanted]) -> Evidence:
    """Tangents in float64 against forward mode through the definition."""
    from gradproof.numeric.oracles import push_forward
    from gradproof.numeric.references import definition

    plain = definition(subject.operation)
    tally = Tally(cases=len(wanted))
    for w in wanted:
        expected = push_forward(plain, tensors(w.case.inputs), tensors(w.tangents), w.case.parameters)
        names = [f"tangent of {t.name}" for t in subject.operation.outputs]
        tally.add_all(names, subject.jvp(w.case, w.tangents), expected, w.case.label)
    return _relative("jvp", subject.target, tally, "forward mode through the definition")


def check_complex_step(subject: Subject, wanted: Sequence[Wanted]) -> Evidence | None:
    """Tangents in float64 against the complex step; None where the definition has no complex values."""
    from gradproof.numeric.oracles import complex_step

    tally = Tally(cases=len(wanted))
    for w in wanted:
        rest = iter(w.tangents)
        every = [next(rest) if t.dtype == "real" else None for t in subject.operation.inputs]
        expected = complex_step(subject.operation, w.case.inputs, every, w.case.parameters)
        if expected is None:
            return None
        names = [f"tangent of {t.name}" for t in subject.operation.outputs]
        tally.add_all(names, subject.jvp(w.case, w.tangents), expected, w.case.label)
    return _relative("complex step", subject.target, tally, "Im f(x + ihv)/h of the definition")


def check_second_order(subject: Subject, wanted: Sequence[Wanted]) -> Evidence:
    """Backward of backward in float64 against torch autograd through the definition."""
    from gradproof.numeric.oracles import second_order
    from gradproof.numeric.references import definition

    plain = definition(subject.operation)
    tally = Tally(cases=len(wanted))
    for w in wanted:
        given = tensors(w.case.inputs), tensors(w.cotangents), tensors(w.tangents)
        expected = second_order(plain, *given, w.case.parameters)
        if subject.target == "torch":
            found = second_order(subject.function, *given, w.case.parameters)
        else:
            found = _numpy_second(subject, w)
        names = [*w.real_names(), *(f"d{t.name}" for t in subject.operation.outputs)]
        tally.add_all([f"second gradient of {n}" for n in names], found, expected, w.case.label)
    return _relative("second order", subject.target, tally, "backward of backward through the definition")


def _numpy_second(subject: Subject, w: Wanted) -> list[Any]:
    _, saved = subject.kernel.gradient.forward(*w.case.inputs, *w.cotangents, **w.case.parameters)
    return [m for m in subject.kernel.gradient.vjp(saved, *w.tangents) if m is not None]


def _relative(check: str, target: str, tally: Tally, against: str) -> Evidence:
    return Evidence(
        check,
        target,
        "float64",
        tally.cases,
        tally.error <= AGREEMENT,
        tally.error,
        AGREEMENT,
        unit="relative",
        worst=tally.worst,
        against=against,
    )


def verify(
    operation: Operation, targets: Sequence[str] = TARGETS, seed: int = 0, depth: Depth = "default"
) -> tuple[Evidence, ...]:
    """Check the kernels of an operation; the same records for the same seed.

    A check during which a kernel raises has not passed, and says what was raised. `depth` "deep" takes more
    shapes, layouts and inputs, and NumPy's second order.
    """
    from gradproof.numeric.accuracy import check_accuracy

    wanted = [want(c, seed + n) for n, c in enumerate(cases(operation, seed, depth))]
    few = wanted if depth == "deep" else wanted[:1]
    found: list[Evidence] = []
    for target in targets:
        subject = Subject(operation, lower(operation, target))
        checks: list[tuple[str, Callable[[], Evidence | None]]] = [
            ("vjp against torch autograd", lambda s=subject: check_vjp(s, wanted)),
            ("jvp", lambda s=subject: check_jvp(s, few)),
        ]
        if target == "numpy":
            checks.append(("complex step", lambda s=subject: check_complex_step(s, few)))
        if target == "torch" or depth == "deep":
            checks.append(("second order", lambda s=subject: check_second_order(s, few)))
        for name, check in checks:
            found.extend(_guarded(name, target, check))
    return (*found, *check_accuracy(operation, targets, seed, depth))


def _guarded(name: str, target: str, check: Callable[[], Evidence | None]) -> list[Evidence]:
    """The record of a check; what a kernel raises is part of it."""
    try:
        made = check()
    except Exception as problem:
        text = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
        return [
            Evidence(name, target, "float64", 0, False, math.inf, AGREEMENT, f"raised {text}", "relative")
        ]
    return [] if made is None else [made]


__all__ = ["Evidence", "is_elementwise", "verify"]

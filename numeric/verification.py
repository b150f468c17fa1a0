"""verify(): the kernels of an operation against independent oracles, from its one definition.

What is measured, for each target:

- *vjp against torch autograd*: outputs and gradients in float64 against the PyTorch function that the
  operation declares, else against its definition in elementary operators; in several shapes and layouts;
- *jvp* against forward mode through the definition, *complex step* against `Im f(x + ihv)/h`;
- *second order*: backward of backward, against torch autograd through the definition;
- *accuracy*: errors in units in the last place against ball arithmetic, beside PyTorch's own;
- *extremes*: no NaN, and no infinity where the mathematics has a number that the dtype can hold.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from gradproof.numeric.accuracy import check_accuracy
from gradproof.numeric.evidence import Evidence, Tally
from gradproof.numeric.extremes import check_extremes
from gradproof.numeric.kernels import lower
from gradproof.numeric.oracles import complex_step, differentiate, push_forward, second_order
from gradproof.numeric.references import NotCoveredError, definition, reference, wanted_sizes
from gradproof.numeric.sampling import LAYOUTS, Case, choose_sizes, make_case, wide
from gradproof.numeric.subjects import Subject, tensors
from gradproof.symbolic.operation import Operation

Depth = Literal["default", "deep"]
TARGETS = ("numpy", "torch")
SIZES = (3, 5, 4, 2, 7, 6)
AGREEMENT = 1e-11
"""How far float64 results may be from the oracle, relative to the largest entry of the result."""


# --- cases


def cases(operation: Operation, seed: int, depth: Depth) -> Iterator[Case]:
    """Shapes and layouts: batch axes of rank 0 to 3, sizes 0 and 1, hyper-parameters off their defaults."""
    products = wanted_sizes(operation)
    start = zlib.crc32(operation.label.encode()) + seed

    def size(*wanted: int) -> dict[Any, int]:
        return choose_sizes(operation, wanted, products)

    def case(label: str, sizes: dict[Any, int], batch: tuple[int, ...], step: int, **more: Any) -> Case:
        return make_case(operation, sizes, batch, start + step, label=label, **more)

    yield case("rows", size(*SIZES), (4,), 0)
    yield case("two batch axes, transposed", size(2, 3, 1, 4), (2, 3), 1, layout="transposed", shifted=True)
    yield case("no batch axis", size(*SIZES[::-1]), (), 2, full=True)
    yield case("size 1", size(1), (1,), 3)
    yield case("empty axes", size(0), (2,), 4)
    yield case("empty batch", size(*SIZES), (0,), 5)
    if depth == "deep":
        for n, layout in enumerate(LAYOUTS):
            label, odd = f"three batch axes, {layout}", n % 2 == 1
            yield case(label, size(4, 2, 3, 5, 1, 6), (2, 1, 3), 10 + n, layout=layout, shifted=odd)
        for n in range(1, 9):
            turned = (*SIZES[n % 6 :], *SIZES[: n % 6])
            yield case(f"rows {n}", size(*turned), (n, 2), 20 + n, full=n % 2 == 0)
        yield case("wide rows", size(*wide(operation)), (3,), 40)


def random_like(arrays: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """Normal values of the same shapes."""
    chance = np.random.default_rng([seed, 1])
    return [np.asarray(chance.standard_normal(a.shape)) for a in arrays]


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
    """The oracle's outputs and gradients of a case.

    The oracle sees contiguous copies: PyTorch's own batch norm gives a gradient of 0 for expanded weights.
    """
    operation = case.operation
    inputs = [t.contiguous() for t in tensors(case.inputs)]
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
    plain = definition(subject.operation)
    tally = Tally(cases=len(wanted))
    for w in wanted:
        expected = push_forward(plain, tensors(w.case.inputs), tensors(w.tangents), w.case.parameters)
        names = [f"tangent of {t.name}" for t in subject.operation.outputs]
        tally.add_all(names, subject.jvp(w.case, w.tangents), expected, w.case.label)
    return _relative("jvp", subject.target, tally, "forward mode through the definition")


def check_complex_step(subject: Subject, wanted: Sequence[Wanted]) -> Evidence | None:
    """Tangents in float64 against the complex step; None where the definition has no complex values."""
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
    with one_thread():
        return tuple(_verify(operation, targets, seed, depth))


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: the arrays are small, and sums do not depend on how they are divided."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _verify(operation: Operation, targets: Sequence[str], seed: int, depth: Depth) -> Iterator[Evidence]:
    wanted = [want(c, seed + n) for n, c in enumerate(cases(operation, seed, depth))]
    few = wanted if depth == "deep" else wanted[:1]
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
            yield from _guarded(name, target, check)
    yield from check_accuracy(operation, targets, seed, depth)
    for target in targets:
        subject = Subject(operation, lower(operation, target))
        yield from _guarded("extremes", target, lambda s=subject: check_extremes(s, seed, depth))


def _guarded(name: str, target: str, check: Callable[[], Evidence | None]) -> list[Evidence]:
    """The record of a check; what a kernel raises is part of it."""
    try:
        made = check()
    except Exception as problem:  # whatever a kernel raises is its record, which has not passed
        text = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
        return [
            Evidence(name, target, "float64", 0, False, math.inf, AGREEMENT, f"raised {text}", "relative")
        ]
    return [] if made is None else [made]

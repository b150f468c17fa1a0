"""Right answers: torch autograd, forward mode, the complex step, and values in ball arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flint import arb, ctx

from gradproof.numeric.fields import BallField, ComplexField
from gradproof.numeric.interpretation import evaluate
from gradproof.symbolic.operation import Operation, Program

Function = Callable[..., tuple[Any, ...]]
STEP = 1e-150
"""The imaginary step: its square vanishes, and nothing is subtracted."""
PRECISIONS = (96, 320, 1280, 5120)
DIGITS = 45
"""How many bits of a value must be right, unless it is smaller than anything a float can hold."""
NOTHING = arb(2) ** -200


# --- torch


def differentiate(
    function: Function,
    inputs: Sequence[Any],
    cotangents: Sequence[Any],
    parameters: Mapping[str, Any],
) -> tuple[list[Any], list[Any]]:
    """The outputs of a function of tensors, and the gradient by each real input from torch autograd."""
    import torch

    leaves = [i.detach().requires_grad_() if i.is_floating_point() else i for i in inputs]
    real = [i for i in leaves if i.is_floating_point()]
    outputs = function(*leaves, **parameters)
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    found = torch.autograd.grad([o for o, _ in pairs], real, [c for _, c in pairs], allow_unused=True)
    return [o.detach() for o in outputs], _filled(found, real)


def second_order(
    function: Function,
    inputs: Sequence[Any],
    cotangents: Sequence[Any],
    directions: Sequence[Any],
    parameters: Mapping[str, Any],
) -> list[Any]:
    """Backward of backward: the gradient of `<v, vjp(inputs, cotangents)>` by inputs and cotangents."""
    import torch

    leaves = [i.detach().requires_grad_() if i.is_floating_point() else i for i in inputs]
    real = [i for i in leaves if i.is_floating_point()]
    given = [c.detach().requires_grad_() for c in cotangents]
    outputs = function(*leaves, **parameters)
    reached = [(o, c) for o, c in zip(outputs, given, strict=True) if o.requires_grad]
    found = [o for o, _ in reached], real, [c for _, c in reached]
    first = torch.autograd.grad(*found, create_graph=True, allow_unused=True)
    parts = [(a * v).sum() for a, v in zip(_filled(first, real), directions, strict=True)]
    joined = torch.stack(parts).sum()
    if not joined.requires_grad:
        return [torch.zeros_like(x) for x in (*real, *given)]
    found = torch.autograd.grad(joined, [*real, *given], allow_unused=True)
    return _filled(found, [*real, *given])


def push_forward(
    function: Function, inputs: Sequence[Any], tangents: Sequence[Any], parameters: Mapping[str, Any]
) -> list[Any]:
    """The tangents of the outputs by forward mode; `tangents` are those of the real inputs."""
    import torch

    real = [i.contiguous() for i in inputs if i.is_floating_point()]

    def alone(*values: Any) -> tuple[Any, ...]:
        rest = iter(values)
        filled = [next(rest) if i.is_floating_point() else i for i in inputs]
        return tuple(function(*filled, **parameters))

    return list(torch.func.jvp(alone, tuple(real), tuple(tangents))[1])


def _filled(found: Sequence[Any], like: Sequence[Any]) -> list[Any]:
    return [x.new_zeros(x.shape) if f is None else f for f, x in zip(found, like, strict=True)]


# --- complex step


def complex_step(
    operation: Operation,
    inputs: Sequence[np.ndarray],
    tangents: Sequence[np.ndarray | None],
    parameters: Mapping[str, Any],
) -> list[np.ndarray] | None:
    """`Im f(x + i h v) / h` of the definition; None where a function has no complex values here (erf)."""
    moved = [x if v is None else x + 1j * STEP * np.asarray(v) for x, v in zip(inputs, tangents, strict=True)]
    try:
        with np.errstate(all="ignore"):
            made = evaluate(operation.program, moved, ComplexField(), parameters)
    except NotImplementedError:
        return None
    return [np.imag(m) / STEP for m in made]


# --- balls


def exact(
    program: Program,
    inputs: Sequence[np.ndarray],
    parameters: Mapping[str, Any],
    *,
    elementwise: bool = False,
) -> list[np.ndarray]:
    """The outputs as float64, right to the last place of any float32; NaN where there is no value.

    The precision rises until every ball is small enough; of an elementwise program only the entries that
    need it are computed again.
    """
    elementwise = elementwise and inputs[0].ndim == 1
    field = BallField()
    before = ctx.prec
    places: Any = slice(None)
    results: list[np.ndarray] = []
    try:
        for precision in PRECISIONS:
            ctx.prec = precision
            given = [field.array(a[places] if elementwise else a) for a in inputs]
            made = evaluate(program, given, field, parameters)
            good = [_settled(m) for m in made]
            values = [np.asarray(_floats(m), dtype=np.float64) for m in made]
            values = [np.where(g, v, np.nan) for g, v in zip(good, values, strict=True)]
            if not results:
                results = values
            elif elementwise:
                for r, v in zip(results, values, strict=True):
                    r[places] = v
            else:
                results = values
            if all(g.all() for g in good):
                break
            if elementwise:
                missing = ~np.logical_and.reduce(good)
                places = np.arange(len(inputs[0]))[places][missing]
    finally:
        ctx.prec = before
    return results


def is_settled(ball: Any, digits: int = DIGITS, nothing: arb = NOTHING) -> bool:
    """Whether a ball is known to so many bits, or closer than anything that counts."""
    if not ball.is_finite():
        return False
    return ball.is_exact() or ball.rel_accuracy_bits() >= digits or bool(ball.rad() < nothing)


def to_float(ball: Any) -> float:
    """The middle of a ball, infinite where no float holds it."""
    try:
        return float(ball)
    except (OverflowError, ValueError):
        return float("inf") if ball > 0 else float("-inf")


_settled_each = np.frompyfunc(is_settled, 1, 1)
_floats = np.frompyfunc(to_float, 1, 1)


def _settled(array: np.ndarray) -> np.ndarray:
    return np.asarray(_settled_each(array)).astype(bool)

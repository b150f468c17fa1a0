"""Every kernel of the catalogue against its definitions, carried out entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradproof.numeric.kernels import lower
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.higher import gradient_program
from gradproof.symbolic.operation import Operation, Program, operations
from tests.numeric.interpreter import Interpreter

VARIANTS = [variant for o in operations().values() for variant in o.variants]


def sizes_of(program: Program) -> dict[Axis, int]:
    """Sizes 2, 3, 4 in turn: axes that must not be mixed up differ."""
    sizes: dict[Axis, int] = {}
    for tensor in program.inputs:
        for axis in (*tensor.axes, *((tensor.over,) if tensor.over else ())):
            sizes.setdefault(axis, axis.size or 2 + len(sizes) % 3)
    return sizes


def draw(tensor: Tensor, sizes: dict[Axis, int], rng: np.random.Generator) -> Any:
    shape = [sizes[a] for a in tensor.axes]
    if tensor.dtype == "integer":
        assert tensor.over is not None
        return rng.integers(0, sizes[tensor.over], shape)
    if tensor.dtype == "boolean":
        return rng.random(shape) < 0.6
    x = rng.normal(size=shape)
    if tensor.domain.startswith(("(0", "[0", ">0")):
        x = np.abs(x) + 0.1
    return x % 1 if tensor.domain.endswith(("1)", "1]")) else x


@pytest.mark.parametrize("target", ["numpy", "torch", "triton"])
@pytest.mark.parametrize("chosen", VARIANTS, ids=lambda o: o.label)
def test_kernel_is_its_definition(chosen: Operation, target: str) -> None:
    rng = np.random.default_rng(7)
    program, gradient = chosen.program, gradient_program(chosen.program)
    sizes = sizes_of(gradient)
    values = {t: draw(t, sizes, rng) for t in gradient.inputs}
    parameters = {name: float(h.default) or 0.1 for name, h in chosen.hyperparameters.items()}
    wanted = Interpreter(sizes, parameters).run(program, values)
    wanted += Interpreter(sizes, parameters).run(gradient, values)
    inputs = [values[t] for t in program.inputs]
    cotangents = [values[t] for t in gradient.inputs[len(inputs) :]]
    k = lower(chosen, target)
    outputs, saved = k.forward(*inputs, **parameters)
    made = [m for m in k.vjp(saved, *cotangents) if m is not None]
    for found, want in zip((*outputs, *made), wanted, strict=True):
        assert tuple(found.shape) == want.shape
        np.testing.assert_allclose(np.asarray(found), want, rtol=1e-10, atol=1e-11)
    kinds = [t.dtype for t in program.inputs]
    tangents = [
        rng.normal(size=v.shape) if kind == "real" else None for v, kind in zip(inputs, kinds, strict=True)
    ]
    dots = k.jvp(inputs, tangents, **parameters)
    left = sum((np.asarray(d) * c).sum() for d, c in zip(dots, cotangents, strict=True))
    real = [t for t in tangents if t is not None]
    right = sum((np.asarray(m) * t).sum() for m, t in zip(made, real, strict=True))
    assert left == pytest.approx(right, rel=1e-9, abs=1e-10)

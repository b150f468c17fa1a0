"""Second order of pairs of NumPy functions, whose gradient has symmetric derivatives, and of generated
kernels, of which the gradient is a kernel too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradproof.numeric.checking.checks import check
from gradproof.numeric.kernels import Kernel, lower
from gradproof.symbolic.operation import find
from tests.numeric.exact.test_numpy_programs import (
    affine,
    affine_vjp,
    cross_entropy,
    cross_entropy_vjp,
    layer_norm,
    layer_norm_vjp,
    pooled,
    pooled_vjp,
    two_outputs,
    two_outputs_vjp,
)

CHANCE = np.random.default_rng(5)
X, Y = CHANCE.normal(size=(2, 2, 3))
W, B = CHANCE.normal(size=(3, 2)), CHANCE.normal(size=2)
LABELS = np.array([2, 0])


@pytest.mark.parametrize(
    ("forward", "vjp", "arrays"),
    [
        (affine, affine_vjp, (X, W, B)),
        (two_outputs, two_outputs_vjp, (X, Y)),
        (cross_entropy, cross_entropy_vjp, (X, LABELS)),
        (pooled, pooled_vjp, (CHANCE.normal(size=(2, 4)),)),
        (layer_norm, layer_norm_vjp, (X,)),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_right_pair(forward: Any, vjp: Any, arrays: Any) -> None:
    result = check((forward, vjp), *arrays, order=2, seed=1)
    assert result.verdict == "proved"
    assert {pair.output for pair in result.pairs} >= {"y", "(dy/dx)"}


def verdicts(fn: Any, *arrays: Any) -> dict[tuple[str, str], str]:
    result = check(fn, *arrays, order=2, seed=1)
    return {(pair.output, pair.wrt): pair.verdict for pair in result.pairs}


def test_derivatives_of_a_wrong_gradient_are_not_symmetric() -> None:
    """`x y^2` by y without its factor of 2: by x it is right, and the mixed derivatives differ."""
    found = verdicts((lambda x, y: x * y * y, lambda g, x, y: (g * y * y, g * x * y)), X, Y)
    wrong = {pair for pair, verdict in found.items() if verdict == "refuted"}
    assert ("y", "y") in wrong
    assert {("(dy/dx)", "y"), ("(dy/dy)", "x"), ("(dy/dy)", "cotangent")} <= wrong
    assert {("y", "x"), ("(dy/dx)", "x"), ("(dy/dx)", "cotangent")} <= set(found) - wrong


def test_gradient_that_is_not_linear_in_its_cotangent_is_refuted() -> None:
    found = verdicts((lambda x: x * x, lambda g, x: 2 * x * np.abs(g)), X)
    assert found["(dy/dx)", "cotangent"] == "refuted"


def test_kernel_of_another_gradient_is_refuted() -> None:
    """First order and forward mode of `sigmoid` beside the second order of `tanh`."""
    operation = find("sigmoid")
    kernel = Kernel(operation.program, "numpy", operation.label, {})
    kernel.__dict__["gradient"] = lower("tanh", "numpy").gradient
    found = verdicts(kernel, X)
    assert found["y", "x"] == found["y (forward mode)", "x"] == "proved"
    assert found["(dy/dx)", "x"] == found["(dy/dx)", "cotangent"] == "refuted"


def test_kernel_with_another_forward_mode_is_refuted() -> None:
    operation, other = find("sigmoid"), lower("tanh", "numpy")
    kernel = Kernel(operation.program, "numpy", operation.label, {})
    kernel.push = other.push  # type: ignore[method-assign]
    found = verdicts(kernel, X)
    assert found["y (forward mode)", "x"] == "refuted"
    assert found["y", "x"] == found["(dy/dx)", "x"] == "proved"


@pytest.mark.parametrize("name", ["gelu", pytest.param("cross_entropy", marks=pytest.mark.slow), "linear"])
def test_kernel_is_proved(name: str) -> None:
    arrays = {"gelu": (X,), "cross_entropy": (X, LABELS), "linear": (X, W.T.copy(), B)}[name]
    assert set(verdicts(lower(name, "numpy"), *arrays).values()) == {"proved"}


def test_generated_kernels_within_a_pair() -> None:
    """What a program of the user's calls may be a kernel, whose names are exchanged too."""
    gelu = lower("gelu", "numpy")

    def vjp(g: Any, x: Any) -> Any:
        return gelu.vjp(gelu.forward(x)[1], g * 3)

    assert check((lambda x: 3 * gelu(x), vjp), X, seed=1).verdict == "proved"
    assert check((lambda x: 2 * gelu(x), vjp), X, seed=1).verdict == "refuted"

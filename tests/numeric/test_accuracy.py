"""Errors in units in the last place over all magnitudes, and the oracle of the balls itself."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

from gradproof.numeric.accuracy import check_accuracy, error_curves
from gradproof.numeric.evidence import Evidence
from gradproof.numeric.oracles import exact
from gradproof.numeric.sampling import is_elementwise
from gradproof.numeric.units import errors, grid, rounded, ulp
from gradproof.symbolic.higher import gradient_program
from gradproof.symbolic.operation import find, operations

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
LABELS = [variant.label for each in operations().values() for variant in each.variants]
ELEMENTWISE = [label for label in LABELS if is_elementwise(find(label))]
NEARLY = {"softplus"}
"""Off by some hundredths of a unit more than PyTorch, among the subnormal numbers."""


def accuracy(label: str) -> list[Evidence]:
    found = check_accuracy(find(label), ("numpy", "torch"), 0, "default")
    return [e for e in found if e.check.startswith("accuracy")]


@pytest.mark.parametrize("label", ["sigmoid", "tanh", "softplus"])
def test_four_units(label: str) -> None:
    """Forward and backward, in both libraries, over every binary exponent."""
    found = [e for e in accuracy(label) if e.dtype == "float32"]
    assert len(found) == 4
    for e in found:
        assert e.error is not None and e.error <= 4, e
        assert e.cases > 4000


@pytest.mark.parametrize("label", ELEMENTWISE)
def test_no_worse_than_pytorch(label: str) -> None:
    for e in accuracy(label):
        assert e.error is not None and e.bound is not None and math.isfinite(e.error), e
        slack = 0.1 if label in NEARLY else 0
        assert e.error <= e.bound + slack, e


@pytest.mark.parametrize(
    "label", ["softmax", "layer_norm", "rms_norm", "sinusoidal_positions", "rotary_embedding"]
)
def test_no_worse_than_pytorch_on_rows(label: str) -> None:
    """What a row is divided by, and tables of positions, are summed and computed in float64."""
    for e in accuracy(label):
        assert e.error is not None and e.reference is not None and e.error <= e.reference, e


def test_gelu_keeps_its_digits() -> None:
    """By erfc; what is left is the rounding of x / sqrt(2), where 1 + erf loses everything."""
    for e in accuracy("gelu"):
        assert e.error is not None and (e.dtype != "float32" or e.error < 300), e


ROWS = [label for label in LABELS if label not in ELEMENTWISE]


AT_THE_BOUND = "transformer_block_post(activation=gelu)"
"""In NumPy 38 units with OpenBLAS's kernels for AVX-512, 6 with those for AVX2 (OPENBLAS_CORETYPE=Haswell);
PyTorch's own block 7.9: the attention of huge scores magnifies how a product is rounded.
"""
MARKED = [pytest.param(row, marks=pytest.mark.slow) if row == AT_THE_BOUND else row for row in ROWS]


@pytest.mark.parametrize("label", MARKED)
def test_no_nan_and_no_lost_digits_on_rows(label: str) -> None:
    """A sum taken in another order rounds differently: within a factor of what PyTorch's own kernel does."""
    for e in accuracy(label):
        assert e.error is not None and e.reference is not None and math.isfinite(e.error), e
        assert e.error <= max(4 * e.reference, 20), e


# --- the oracle and the unit


@pytest.mark.parametrize("label, function", [
    ("sigmoid", lambda x: 1 / (1 + mpmath.exp(-x))),
    ("tanh", mpmath.tanh),
    ("softplus", lambda x: mpmath.log1p(mpmath.exp(x))),
    ("gelu", lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2),
    ("sin", mpmath.sin),
])  # fmt: skip
def test_the_balls_agree_with_mpmath(label: str, function: object) -> None:
    points = grid("real", "float32")[::97]
    (found,) = exact(find(label).program, [points], {}, elementwise=True)
    with mpmath.workprec(600):
        wanted = np.array([float(function(mpmath.mpf(float(x)))) for x in points])  # pyright: ignore[reportCallIssue]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-58)


def test_the_gradient_in_balls_agrees_with_autograd() -> None:
    program = gradient_program(find("softmax").program)
    x, dy = np.random.default_rng(0).standard_normal((2, 3, 5))
    (found,) = exact(program, [x, dy], {})
    leaf = torch.tensor(x, requires_grad=True)
    (wanted,) = torch.autograd.grad(torch.softmax(leaf, -1), leaf, torch.tensor(dy))
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-12, atol=1e-15)


def test_the_unit_in_the_last_place() -> None:
    chance = np.random.default_rng(0)
    sizes = 10.0 ** np.linspace(-45, 37, 1000)
    values = rounded(chance.standard_normal(1000) * sizes, "float32")
    following = np.nextafter(np.abs(values).astype(np.float32), np.float32(np.inf))
    np.testing.assert_array_equal(ulp(values, "float32"), following.astype(float) - np.abs(values))
    assert errors([np.nan], np.array([1.0]), "float32")[0] == math.inf
    assert errors([np.inf], np.array([1e50]), "float32")[0] == 0
    assert errors([1.0], np.array([1 + 2.0**-23]), "float32")[0] == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_grid_holds_numbers_of_the_dtype(dtype: str) -> None:
    points = grid("real", dtype)
    kept = torch.tensor(points).to(getattr(torch, dtype)).double().numpy()
    np.testing.assert_array_equal(points, kept)
    assert np.isfinite(points).all() and 0 in points and len(np.unique(np.frexp(points)[1])) > 250
    assert (grid("(0, inf)", dtype) > 0).all()
    assert (grid("[0, inf)", dtype) >= 0).all()


def test_rounding_to_bfloat16_is_torch_s() -> None:
    values = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    wanted = torch.tensor(values).bfloat16().double().numpy()
    np.testing.assert_array_equal(rounded(values, "bfloat16"), wanted)


def test_curves_of_the_error() -> None:
    curves = list(error_curves(find("tanh")))
    assert [label.split(",")[0] for label, *_ in curves] == ["forward", "backward"]
    assert all(len(x) == len(e) and max(e) <= 4 for _, x, e in curves)
    assert list(error_curves(find("softmax"))) == []

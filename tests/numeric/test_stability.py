"""Every stability row is an equality that the prover proves, and none that it does not look at."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch

from gradproof.numeric.kernels import lower
from gradproof.numeric.rewriting import Row
from gradproof.numeric.stability import ROWS
from gradproof.symbolic.axes import Axis, batch
from gradproof.symbolic.expressions import Add, Expr, add, at, mul, put
from gradproof.symbolic.language import indices, sum_over
from gradproof.symbolic.operation import Operation, operation, operations, real, scalar
from gradproof.symbolic.proof import prove

rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@rows
def test_the_statement_of_a_row_is_proved(row: Row) -> None:
    verdict = prove(*row.statement())
    assert verdict.verdict == "proved", verdict.reason


def twice(after: Expr) -> Expr:
    return mul(2, after)


def negated(after: Expr) -> Expr:
    return mul(-1, after)


def a_little_more(after: Expr) -> Expr:
    return mul(Fraction(1_000_001, 1_000_000), after)


def one_more(after: Expr) -> Expr:
    return add(after, 1)


@rows
@pytest.mark.parametrize("change", [twice, negated, a_little_more, one_more])
def test_a_perturbed_row_is_refuted(row: Row, change: Callable[[Expr], Expr]) -> None:
    before, after = row.statement()
    verdict = prove(before, change(after))
    assert verdict.verdict == "refuted", verdict
    assert verdict.witness is not None


def first_sum(expr: Expr, path: tuple[int, ...] = ()) -> tuple[int, ...] | None:
    """Where the first sum of two terms stands, from the outside in."""
    if isinstance(expr, Add):
        return path
    places = (first_sum(child, (*path, n)) for n, child in enumerate(expr.children))
    return next((p for p in places if p is not None), None)


@rows
def test_a_row_with_a_dropped_term_is_refuted(row: Row) -> None:
    before, after = row.statement()
    place = first_sum(after)
    if place is None:
        pytest.skip("nothing is added in this row")
    dropped = put(after, place, add(*at(after, place).children[1:]))
    assert prove(before, dropped).verdict == "refuted"


def test_every_row_is_used_by_the_catalogue() -> None:
    used = {
        row.name
        for each in operations().values()
        for v in each.variants
        for row in lower(v, "numpy").rewrites
    }
    unused = {row.name for row in ROWS} - used
    assert unused <= {"log of sigmoid", "sigmoid by its definition"}, unused


# --- roots of large squares

BATCH, FEATURES = batch(), Axis("features", minimum=1)
b, i, j = indices("b i j", BATCH, FEATURES, FEATURES)
SCALED = "root of large squares"


def rows_of(formula: Callable[..., Any]) -> Operation:
    """An operation on the rows of `x`, scaled by one over the root that a formula of its squares gives."""

    @operation(
        "test",
        x=real(BATCH, FEATURES),
        z=real(BATCH, FEATURES),
        eps=scalar("1e-3", "(0, inf)"),
        register=False,
    )
    def scaled_rows(let: Any, x: Any, z: Any, eps: Any) -> Any:
        root = let("root", [b], formula(x, z, eps))
        return let("y", [b, i], (x[b, i] + z[b, i]) * root[b])

    return scaled_rows


def applied(one: Operation) -> set[str]:
    return {row.name for row in lower(one, "numpy").rewrites}


def test_a_root_of_squares_is_scaled() -> None:
    one = rows_of(lambda x, z, eps: 1 / sp.sqrt(sum_over(x[b, j] ** 2, j) + eps))
    assert SCALED in applied(one)


@pytest.mark.parametrize("formula", [
    lambda x, z, eps: 1 / sp.sqrt(sum_over(x[b, j] ** 2 + z[b, j] ** 2, j) + eps),  # squares of two tensors
    lambda x, z, eps: 1 / sp.sqrt(sum_over(x[b, j] ** 2, j) + z[b, 0]),  # what is added is no constant
    lambda x, z, eps: 1 / sp.sqrt(sum_over(sp.Abs(x[b, j]), j) + eps),  # no squares
    lambda x, z, eps: 1 / (sum_over(x[b, j] ** 2, j) + eps),  # no root
], ids=["two tensors", "no constant", "no squares", "no root"])  # fmt: skip
def test_what_is_no_root_of_squares_of_a_row_is_left(formula: Callable[..., Any]) -> None:
    assert SCALED not in applied(rows_of(formula))


NORMS = {"layer_norm": (1.0, -1.0), "rms_norm": (1.0, 1.0), "batch_norm": (1.0, -1.0)}


@pytest.mark.parametrize("dtype, size", [("float32", 1e30), ("float32", 3e38), ("float64", 1e170)])
@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("name", NORMS)
def test_norms_of_huge_rows(name: str, target: str, dtype: str, size: float) -> None:
    """A row of two entries, +-x or x: normalized it is +-1, whatever the size."""
    row = np.array([NORMS[name]] * 2).reshape(2, 2) * size
    x = (row.T if name == "batch_norm" else row).astype(dtype)
    parts = [np.ones(2, dtype), np.zeros(2, dtype)][: 1 if name == "rms_norm" else 2]
    kernel = lower(name, target)
    given = [torch.as_tensor(a) for a in (x, *parts)] if target == "torch" else [x, *parts]
    (y,), saved = kernel.forward(*given)
    np.testing.assert_allclose(np.asarray(y), np.sign(x), rtol=1e-6)
    made = kernel.vjp(saved, y)
    assert all(np.isfinite(np.asarray(m)).all() for m in made)


@pytest.mark.parametrize("dtype, size", [("float32", 3e38), ("float64", 1e170)])
@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("name", ["layer_norm", "batch_norm"])
def test_rows_that_are_huge_and_constant(name: str, target: str, dtype: str, size: float) -> None:
    """Nothing is left of them but the constant that is added to their variance."""
    x, ones = np.full((4, 4), size, dtype), np.ones(4, dtype)
    kernel = lower(name, target)
    given = [torch.as_tensor(a) for a in (x, ones, ones)] if target == "torch" else [x, ones, ones]
    (y,), saved = kernel.forward(*given)
    assert (np.asarray(y) == 1).all()
    assert all(np.isfinite(np.asarray(m)).all() for m in kernel.vjp(saved, y))


def test_the_gradient_of_a_huge_row() -> None:
    """The gradient of a norm is homogeneous: scaled by 1/t where the row is scaled by t."""
    x = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    cotangent = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    kernel = lower("layer_norm", "torch")

    def gradient(factor: float) -> torch.Tensor:
        _, saved = kernel.forward(x * factor, torch.ones(5).double(), torch.zeros(5).double(), eps=1e-300)
        return kernel.vjp(saved, cotangent)[0] * factor

    torch.testing.assert_close(gradient(1e170), gradient(1.0), rtol=1e-12, atol=0)

"""Entries picked by data, however the axes of the data and of what they index lie to one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gradproof.numeric.kernels import lower
from gradproof.numeric.references import definition
from gradproof.symbolic.axes import Axis, batch
from gradproof.symbolic.declarations import integer, real
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.language import indices, sum_over
from gradproof.symbolic.operation import Operation, operation
from gradproof.symbolic.proof import prove_operation

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
BATCH, CLASSES, QUERY, SIDE, FEATURES = (
    batch(),
    Axis("classes"),
    Axis("query"),
    Axis("side"),
    Axis("features"),
)
b, c, k, s, d = indices("b c k s d", BATCH, CLASSES, QUERY, SIDE, FEATURES)
SIZES = {CLASSES: 4, QUERY: 3, SIDE: 5, FEATURES: 2}


def written(function: Any, **inputs: Any) -> Operation:
    return operation("lookup", **inputs, register=False)(function)


def _within_a_row(let: Any, x: Any, at: Any) -> Any:
    return let("y", [b, k], x[b, at[b, k]])


def _rows_within_an_example(let: Any, x: Any, at: Any) -> Any:
    return let("y", [b, k, d], x[b, at[b, k], d] ** 2)


def _the_same_places_of_every_row(let: Any, x: Any, at: Any) -> Any:
    return let("y", [b, k], x[b, at[k]])


def _a_table_by_row_and_column(let: Any, x: Any, at: Any, beside: Any) -> Any:
    return let("y", [b], x[at[b], beside[b]])


def _one_place_of_each_row(let: Any, x: Any, at: Any) -> Any:
    return let("y", [b, d], x[b, at[b], d])


def _two_axes_of_places(let: Any, x: Any, at: Any) -> Any:
    return let("y", [k, b, s], x[b, at[b, k, s]])


def _summed(let: Any, x: Any, at: Any) -> Any:
    return let("y", [b], sum_over(x[b, at[b, k]] ** 2, k))


PICKED = {
    "within a row": written(_within_a_row, x=real(BATCH, CLASSES), at=integer(BATCH, QUERY, over=CLASSES)),
    "rows within an example": written(
        _rows_within_an_example, x=real(BATCH, CLASSES, FEATURES), at=integer(BATCH, QUERY, over=CLASSES)
    ),
    "the same places of every row": written(
        _the_same_places_of_every_row, x=real(BATCH, CLASSES), at=integer(QUERY, over=CLASSES)
    ),
    "a table by row and column": written(
        _a_table_by_row_and_column,
        x=real(CLASSES, SIDE),
        at=integer(BATCH, over=CLASSES),
        beside=integer(BATCH, over=SIDE),
    ),
    "one place of each row": written(
        _one_place_of_each_row, x=real(BATCH, CLASSES, FEATURES), at=integer(BATCH, over=CLASSES)
    ),
    "two axes of places": written(
        _two_axes_of_places, x=real(BATCH, CLASSES), at=integer(BATCH, QUERY, SIDE, over=CLASSES)
    ),
    "summed": written(_summed, x=real(BATCH, CLASSES), at=integer(BATCH, QUERY, over=CLASSES)),
}


def drawn(tensor: Tensor, lead: tuple[int, ...], chance: torch.Generator) -> torch.Tensor:
    shape = [n for a in tensor.axes for n in (lead if a.variadic else (SIZES[a],))]
    if tensor.over is not None:
        return torch.randint(0, SIZES[tensor.over], shape, generator=chance)
    return torch.randn(shape, generator=chance, dtype=torch.float64)


@pytest.mark.parametrize("lead", [(), (3,), (2, 6)], ids=str)
@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("name", PICKED)
def test_lookups(name: str, target: str, lead: tuple[int, ...]) -> None:
    """Forward and gradient, against autograd of the definition; several places may be the same."""
    one, chance = PICKED[name], torch.Generator().manual_seed(5)
    inputs = [drawn(t, lead, chance) for t in one.program.inputs]
    x = inputs[0].clone().requires_grad_()
    (wanted,) = definition(one)(x, *inputs[1:])
    cotangent = torch.randn(wanted.shape, generator=chance, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(wanted, x, cotangent)
    given = [i.numpy() for i in inputs] if target == "numpy" else inputs
    kernel = lower(one, target)
    (y,), saved = kernel.forward(*given)
    made = kernel.vjp(saved, cotangent.numpy() if target == "numpy" else cotangent)
    np.testing.assert_allclose(np.asarray(y), wanted.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(np.asarray(made[0]), gradient.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", PICKED)
def test_lookups_are_proved(name: str) -> None:
    assert all(theorem.verdict.verdict == "proved" for theorem in prove_operation(PICKED[name]))


@pytest.mark.parametrize("name", PICKED)
def test_lookups_under_autograd_and_vmap(name: str) -> None:
    """Second derivatives, and a map over an axis of `x`: the sources without changes in place."""
    one, chance = PICKED[name], torch.Generator().manual_seed(6)
    x, *others = [drawn(t, (3,), chance) for t in one.program.inputs]
    kernel = lower(one, "torch")
    assert torch.autograd.gradcheck(lambda v: kernel(v, *others), x.requires_grad_())
    assert torch.autograd.gradgradcheck(lambda v: kernel(v, *others), x)
    many = torch.stack([x.detach(), 2 * x.detach()])
    mapped = torch.func.vmap(lambda v: torch.func.grad(lambda u: (kernel(u, *others) ** 2).sum())(v))(many)
    singly = [torch.func.grad(lambda u: (kernel(u, *others) ** 2).sum())(v) for v in many]
    torch.testing.assert_close(mapped, torch.stack(singly))

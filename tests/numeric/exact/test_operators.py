"""PyTorch's own derivatives, exactly: each operator's backward against the exact tangent of its forward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch.utils._pytree import tree_flatten

from benchmarks.operators import Row, rows
from benchmarks.operators.table import normal, uniform
from gradproof.numeric.checking.checks import check
from gradproof.numeric.exact.handlers import HANDLERS
from gradproof.numeric.exact.programs import BackwardError
from gradproof.numeric.exact.values import UndecidableError
from tests.numeric.exact.agreement import compare, dry_run

ROWS = [row for row in rows() if not row.known]
DEVIANT = [row for row in rows() if row.known]

pytestmark = pytest.mark.filterwarnings("ignore")


def name_of(row: Row) -> str:
    return f"{row.topic}: {row.name}"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_the_first_derivative(row: Row) -> None:
    found = compare(row.function, row.inputs)
    assert found.first and found.agrees


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if row.orders > 1], ids=name_of)
def test_the_second_derivative(row: Row) -> None:
    found = compare(row.function, row.inputs, order=2)
    assert found.first and found.agrees


@pytest.mark.parametrize("row", [row for row in ROWS if row.topic != "random"], ids=name_of)
def test_the_values(row: Row) -> None:
    (evaluated, _), _ = dry_run(row.function, row.inputs, 1)
    torch.manual_seed(1)
    wanted = [y for y in tree_flatten(row.function(*row.inputs))[0] if y.is_floating_point()]
    for ours, theirs in zip(evaluated.outputs, wanted, strict=True):
        close = 1e-7 if theirs.dtype == torch.float64 else 1e-4
        np.testing.assert_allclose(ours.reals.astype(float), theirs.detach().double(), rtol=close, atol=close)


@pytest.mark.parametrize("row", [row for row in DEVIANT if "not followed" not in row.known], ids=name_of)
def test_where_pytorch_is_not_exact(row: Row) -> None:
    try:
        found = compare(row.function, row.inputs, row.orders)
    except BackwardError:
        return
    assert not found.agrees


@pytest.mark.parametrize("row", [row for row in DEVIANT if "not followed" in row.known], ids=name_of)
def test_what_is_not_followed(row: Row) -> None:
    with pytest.raises(UndecidableError, match="the operator"):
        compare(row.function, row.inputs)


class Off(torch.autograd.Function):
    """The identity with a gradient that is wrong by a factor of 1 + 1e-12."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (grad,) = grads
        return grad * (1 + 1e-12)


@pytest.mark.parametrize("row", ROWS[::9], ids=name_of)
def test_a_small_factor_is_noticed(row: Row) -> None:
    if not row.inputs[0].is_floating_point():
        pytest.skip("data")
    found = compare(lambda x, *rest: row.function(Off.apply(x), *rest), row.inputs, attempts=8)
    assert not found.first[0][1]


# A corrupted row is noticed by the kernel


def corrupt(monkeypatch: pytest.MonkeyPatch, operator: Any, change: Any) -> None:
    right = HANDLERS[operator]
    monkeypatch.setitem(HANDLERS, operator, lambda run, *args, **named: change(right(run, *args, **named)))


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        (torch.ops.aten.sigmoid_backward, torch.sigmoid),
        (torch.ops.aten.tanh_backward, torch.tanh),
        (torch.ops.aten._softmax_backward_data, lambda x: torch.softmax(x, 0)),
        (torch.ops.aten.softplus_backward.default, F.softplus),
        (torch.ops.aten.exp, torch.exp),
    ],
)
def test_a_corrupted_row_is_noticed(monkeypatch: pytest.MonkeyPatch, operator: Any, function: Any) -> None:
    corrupt(monkeypatch, operator, lambda value: value.times(2))
    name = operator.__name__ if hasattr(operator, "__name__") else str(operator)
    with pytest.raises(UndecidableError, match=name.split(".")[0].strip("_")):
        compare(function, [normal(3)])


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        (torch.ops.aten.mkldnn_rnn_layer_backward.default, "LSTM float32"),
        (torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default, "attention mask"),
        (torch.ops.aten.convolution_backward.default, "conv2d"),
        (torch.ops.aten.native_layer_norm_backward, "layer_norm"),
    ],
)
def test_a_corrupted_kernel_of_several_gradients_is_noticed(
    monkeypatch: pytest.MonkeyPatch, operator: Any, name: str
) -> None:
    (row,) = [row for row in ROWS if row.name == name]
    corrupt(monkeypatch, operator, lambda values: (*values[:-1], values[-1].times(2)))
    with pytest.raises(UndecidableError, match="real kernel"):
        dry_run(row.function, row.inputs, 1)


def test_a_corrupted_decomposition_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._decomp import decomposition_table

    operator = torch.ops.aten.silu_backward.default
    right = decomposition_table[operator]
    monkeypatch.setitem(decomposition_table, operator, lambda grad, x: right(grad, x) * 1.001)
    with pytest.raises(UndecidableError, match="silu_backward"):
        compare(F.silu, [normal(3)])


def test_how_a_backward_was_executed() -> None:
    used = compare(torch.sigmoid, [normal(3)]).used
    assert used["aten.sigmoid_backward.default"] == "transcription"
    assert used["aten.sigmoid.default"] == "executed"
    assert compare(F.hardswish, [normal(3)]).used["aten.hardswish.default"] == "decomposition"


# Traps


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(UndecidableError, match="complex"):
        compare(lambda x: torch.view_as_real(torch.complex(x, x)), [normal(3)])


def test_a_reshape_that_copies_inside_a_decomposition() -> None:
    """Below autograd `reshape` says that it returns a view, and may not."""
    assert compare(lambda x: F.pixel_unshuffle(x, 2), [normal(1, 1, 2, 4)]).agrees


def test_a_view_that_is_changed_in_place() -> None:
    def squeeze(x: torch.Tensor) -> torch.Tensor:
        y = (x * 2).squeeze_()
        return y.unsqueeze_(0) ** 2

    assert compare(squeeze, [normal(2, 1)]).agrees


def test_a_default_that_only_the_operator_in_place_has() -> None:
    """`bernoulli_()` draws with 1/2, where `bernoulli` reads the probabilities from its argument."""
    torch.manual_seed(0)
    (evaluated, _), _ = dry_run(lambda x: x * torch.empty_like(x).bernoulli_(), [torch.ones(64)], 1)
    assert 16 < evaluated.outputs[0].reals.sum() < 48


def test_products_of_powers() -> None:
    """`x^(y - 1) x` is `x^y`: the exponents are known to be neighbours."""
    assert compare(lambda x, y: x ** (y - 1) * x - x**y + x, [uniform(3), normal(3)]).agrees


def test_levels_that_only_tangents_lose() -> None:
    """The derivative of erf is an exponential, its values are not: six of them need two levels."""

    def nested(x: torch.Tensor) -> torch.Tensor:
        for _ in range(6):
            x = F.gelu(x)
        return x

    assert compare(nested, [normal(2)]).agrees


@pytest.mark.parametrize(
    "function", [torch.sigmoid, torch.tanh, F.softplus, F.silu, torch.sin, lambda x: torch.softmax(x, 0)]
)
def test_forty_functions_inside_one_another(function: Any) -> None:
    def nested(x: torch.Tensor) -> torch.Tensor:
        for _ in range(40):
            x = function(x)
        return x

    assert compare(nested, [uniform(2)]).agrees


def test_check_proves_nothing_by_a_corrupted_transcription(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(torch.tanh, normal(3), seed=1).verdict == "proved"
    corrupt(monkeypatch, torch.ops.aten.tanh_backward, lambda value: value.times(2))
    result = check(torch.tanh, normal(3), seed=1)
    assert result.verdict == "undecided"
    assert "tanh_backward" in str(result.reason)

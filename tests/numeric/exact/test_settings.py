"""Hyper-parameters: numbers of Python among the inputs, which `check` varies where the caller names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import Function

from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.specification import SpecificationError

X = torch.tensor([[1.0, -2.0, 0.5], [-0.25, 3.0, -1.5]])


class Elu(Function):
    """`alpha (e^x - 1)` below 0, of which the backward has no alpha: right for 1."""

    slope = staticmethod(lambda x, alpha: x.exp())

    @classmethod
    def forward(cls, ctx: Any, x: Tensor, alpha: float, shifted: bool = False) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x)
        ctx.alpha = alpha
        return torch.where(x > 0, x, alpha * (x.exp() - 1))

    @classmethod
    def backward(cls, ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, grad, grad * cls.slope(x, ctx.alpha)), None, None


class RightElu(Elu):
    slope = staticmethod(lambda x, alpha: alpha * x.exp())


def test_unnamed_one_stays() -> None:
    assert check(Elu.apply, X, 1.0, seed=1).verdict == "proved"
    assert check(Elu.apply, X, 1.0, spec="x: batch d", seed=1).verdict == "proved"


def test_named_one_is_varied() -> None:
    result = check(Elu.apply, X, 1.0, spec="x: batch d, alpha: positive", seed=1)
    assert result.verdict == "refuted"
    assert result.witness is not None
    assert float(result.witness.point["alpha"]) != 1
    right = check(RightElu.apply, X, 1.0, spec="x: batch d, alpha: positive", seed=1)
    assert right.verdict == "proved"
    assert {"alpha = 0.125", "alpha = 2.5"} <= set(right.varied["accepted"])


@pytest.mark.parametrize(
    ("spec", "value", "varied"),
    [
        ("x: n, k: int < 3", 1, {"k = 0", "k = 2"}),
        ("x: n, k: int", 2, {"k = 1", "k = 3"}),
        ("x: n, k: unit", 0.5, {"k = 0.125", "k = 0.875"}),
        ("x: n, k: real", 0.0, {"k = -1.5", "k = 0.5", "k = 1.0", "k = 3.0"}),
        ("x: n, k: bool", True, {"k = False"}),
    ],
)
def test_values_are_of_the_kind_that_is_named(spec: str, value: Any, varied: set[str]) -> None:
    pair = (lambda x, k: x * x * k, lambda g, x, k: (2 * x * g * k, None))
    result = check(pair, np.array([1.5, -2.0]), value, spec=spec, seed=1)
    assert result.verdict == "proved"
    accepted = [name for name in result.varied["accepted"] if name.startswith("k = ")]
    assert {name.partition(",")[0].partition(":")[0] for name in accepted} == varied


def test_value_that_the_forward_refuses_is_not_accepted() -> None:
    def power(x: Tensor, k: float) -> Tensor:
        if k < 1:
            raise ValueError("k is at least 1")
        return x * k

    result = check(power, X, 1.5, spec="x: batch d, k: positive", seed=1)
    assert result.verdict == "proved"
    assert "k = 0.125" in {entry["variation"] for entry in result.varied["not accepted"]}


def test_name_of_no_input_is_refused() -> None:
    with pytest.raises(SpecificationError, match="names 3 inputs"):
        check(Elu.apply, X, 1.0, spec="x: batch d, alpha: positive, beta: unit", seed=1)

"""A constant stands for an entry of the table only if it is rounded as said there."""

import math

import pytest
import torch
from torch import Tensor

from gradproof.numeric.checking.checks import check
from gradproof.numeric.exact.constants import recognize


@pytest.mark.parametrize("value", [math.log(10), math.log(2), math.e, math.sqrt(2 / math.pi)])
def test_one_unit_off_is_another_number(value: float) -> None:
    assert recognize(value) is not None
    assert recognize(math.nextafter(value, 0)) is None and recognize(math.nextafter(value, 9)) is None


WRITTEN = {
    "sqrt(2) sqrt(pi)": math.sqrt(2 * math.pi),
    "sqrt(2)^-1": 1 / math.sqrt(2),
    "sqrt(2)^-1 sqrt(pi)^-1": 1 / math.sqrt(2 * math.pi),
    "1/2 sqrt(2) sqrt(pi)": math.sqrt(math.pi / 2),
}


@pytest.mark.parametrize("meant", WRITTEN)
def test_what_programs_write_for_roots_stands_for_them(meant: str) -> None:
    assert str(recognize(WRITTEN[meant])) == meant


@pytest.mark.parametrize("value", WRITTEN.values())
def test_but_nothing_two_units_off(value: float) -> None:
    assert recognize(value + 2 * math.ulp(value)) is None and recognize(value - 2 * math.ulp(value)) is None


class Exponential(torch.autograd.Function):
    """10^x, its derivative with a constant that is one unit off log(10)."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # pyright: ignore
        y = torch.exp(x * math.log(10))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # pyright: ignore
        (y,) = ctx.saved_tensors
        return grad * y * 2.3025850929940456


def test_a_constant_that_is_cut_off_is_not_proved() -> None:
    x = torch.tensor([0.5, -0.25], dtype=torch.float64)
    assert check(Exponential.apply, x, seed=1).verdict != "proved"


def test_an_exponent_that_is_rounded_is_no_witness() -> None:
    """The norm raises a sum to 1 / 2.5, which no float is."""
    x = torch.tensor([[0.5, 1.25, 2.0]], dtype=torch.float64)
    assert check(lambda x: x.norm(2.5, -1), x, seed=1).verdict != "refuted"


class Power(torch.autograd.Function):
    """x^0.4, its derivative with an exponent that is 1e-13 off."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # pyright: ignore
        ctx.save_for_backward(x)
        return x**0.4

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # pyright: ignore
        (x,) = ctx.saved_tensors
        return grad * 0.4 * x ** (0.4 - 1 + 1e-13)


def test_but_one_that_is_wrong_is() -> None:
    assert check(Power.apply, torch.tensor([0.5, 2.0], dtype=torch.float64), seed=1).verdict == "refuted"

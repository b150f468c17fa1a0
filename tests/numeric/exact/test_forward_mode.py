"""Rules of forward mode through `check`: the witness of a wrong one is taken where that input moves."""

from __future__ import annotations

from typing import Any

import torch
from flint import arb
from torch import Tensor
from torch.autograd import Function

from gradproof.numeric.checking.checks import check

X, Y = torch.tensor([2.0, -3.0, 5.0]), torch.tensor([0.5, 1.5, -2.0])


class Product(Function):
    """`x y`, of which forward mode doubles the tangent by y."""

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return x * y

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y = ctx.saved_tensors
        return grad * y, grad * x

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dy: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y = ctx.saved_tensors
        along_x = torch.zeros_like(x) if dx is None else dx * y
        return along_x if dy is None else along_x + 2 * dy * x


def test_witness_of_the_second_input() -> None:
    result = check(Product.apply, X, Y, seed=1)
    found = {(pair.output, pair.wrt): pair for pair in result.pairs}
    assert {wrt for (output, wrt), p in found.items() if p.verdict == "refuted"} == {"y"}
    witness = found["y (forward mode)", "y"].witness
    assert witness is not None
    assert arb(witness.left) * 2 == arb(witness.right) != 0


class RightProduct(Product):
    """The same with the tangent by y as it is."""

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dy: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y = ctx.saved_tensors
        along_x = torch.zeros_like(x) if dx is None else dx * y
        return along_x if dy is None else along_x + dy * x


class Square(Function):
    """`x^2` without a rule of forward mode; its backward has one entry that is off by `slip`."""

    slip = 0.0

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x)
        return x * x

    @classmethod
    def backward(cls, ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return 2 * x * grad + cls.slip * grad.flip(0)


class Slipped(Square):
    slip = 2.0**-40


def test_a_program_of_which_a_part_has_no_forward_mode_is_judged_by_its_backward() -> None:
    def function(square: type[Square]) -> Any:
        return lambda x, y: (RightProduct.apply(x, y), square.apply(x) * y)

    right = check(function(Square), X, Y, seed=1)
    assert right.verdict == "proved", str(right)
    along = {(pair.output, pair.wrt) for pair in right.pairs if "forward mode" in pair.output}
    assert along == {("y (forward mode)", "y"), ("y1 (forward mode)", "y")}  # by x PyTorch has none
    assert check(function(Slipped), X, Y, seed=1).verdict == "refuted"


def test_forward_mode_meets_the_random_numbers_of_the_forward() -> None:
    right = check(lambda x: RightProduct.apply(x, torch.rand(3, dtype=x.dtype)), X.double(), seed=1)
    assert right.verdict == "proved", str(right)
    assert [pair for pair in right.pairs if "forward mode" in pair.output]
    wrong = check(lambda y: Product.apply(torch.rand(3, dtype=y.dtype), y), Y.double(), seed=1)
    assert {p.output for p in wrong.pairs if p.verdict == "refuted"} == {"y (forward mode)"}

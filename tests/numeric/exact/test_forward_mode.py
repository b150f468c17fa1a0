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

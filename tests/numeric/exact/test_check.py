"""`gradproof.check`: small backwards, right and wrong, each with the answer that it must get."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import Function

from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.equivalence import equivalent

X = torch.tensor([[0.5, -1.25, 2.0], [1.5, -0.75, 0.25]], dtype=torch.float64)


def custom(forward: Any, backward: Any) -> Any:
    """A function of one tensor with a backward `backward(x, grad)`."""

    class Custom(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            (x,) = ctx.saved_tensors
            return backward(x, grad)

    return Custom.apply


RIGHT = {
    "tanh by sigmoid": (torch.tanh, lambda x, g: g * (1 - (2 * torch.sigmoid(2 * x) - 1) ** 2)),
    "softmax": (
        lambda x: torch.softmax(x, -1),
        lambda x, g: (s := torch.softmax(x, -1)) * (g - (g * s).sum(-1, keepdim=True)),
    ),
    "relu with 1 at 0": (torch.relu, lambda x, g: g * (x >= 0)),
    "erf": (torch.erf, lambda x, g: g * 1.1283791670955126 * torch.exp(-x * x)),
    "norm": (lambda x: x.norm(dim=-1), lambda x, g: g[:, None] * x / x.norm(dim=-1, keepdim=True)),
}
WRONG = {
    "an error of 1e-12": (torch.tanh, lambda x, g: g * (1 - torch.tanh(x) ** 2) * (1 + 1e-12), "factor"),
    "the sign": (torch.exp, lambda x, g: -g * torch.exp(x), "wrong sign"),
    "2 at 0": (torch.abs, lambda x, g: g * torch.where(x == 0, 2.0, torch.sign(x)), "single points"),
    "5 at 0": (torch.square, lambda x, g: g * torch.where(x == 0, 5.0, 2 * x), "single points"),
    "a branch that is rare": (
        torch.square, lambda x, g: g * (x if x.max() > 1e3 else 2 * x), "region",
    ),
    "a branch on a number": (
        torch.square, lambda x, g: g * (x if x.max().item() > 1e3 else 2 * x), "region",
    ),
    "not linear": (torch.square, lambda x, g: g.abs() * 2 * x, "not linear"),
    "a view of a cotangent": (
        torch.square, lambda x, g: (g.view(-1) * 2 * x.reshape(-1)).view(x.shape), "layout",
    ),
    "zero": (torch.square, lambda x, g: g * 0, "zero"),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right(name: str) -> None:
    result = check(custom(*RIGHT[name]), X, seed=1)
    assert result.verdict == "proved", str(result)
    assert result.ground is not None and result.ground.bound is not None and result.ground.bound.log2 <= -100


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str) -> None:
    forward, backward, words = WRONG[name]
    result = check(custom(forward, backward), X, seed=1)
    assert result.verdict == "refuted", str(result)
    assert words in str(result.diagnosis)
    assert result.witness is not None


def test_value_that_escapes_is_undecided_with_its_line() -> None:
    result = check(custom(torch.square, lambda x, g: g * torch.from_numpy(2 * np.asarray(x))), X, seed=1)
    assert result.verdict == "undecided"
    assert "test_check.py" in str(result.reason)


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (lambda x: 1 + float(x.sum()) - x.sum(), "proved"),
        (lambda x: math.exp(x[0, 0].item()) / x[0, 0].exp(), "proved"),
        (lambda x: math.sqrt(1 + float(x.sum()) ** 2) / (1 + x.sum() ** 2) ** 0.5, "proved"),
        (lambda x: 1.0 if float(x.mean()) < 50 else 2.0, "refuted"),
        (lambda x: 1 if len(set(x.flatten().tolist())) == x.numel() else 2, "refuted"),
        (lambda x: 1 + 0 * len(set(x.flatten().tolist())), "undecided"),
    ],
    ids=["float", "exp of math", "sqrt of math", "a branch on float", "a set", "a set that does not count"],
)
def test_numbers_of_python_are_followed(factor: Any, verdict: str) -> None:
    result = check(custom(torch.square, lambda x, g: g * 2 * x * factor(x)), X, seed=1)
    assert result.verdict == verdict, str(result)
    assert "float" not in globals()


def test_numbers_that_leave_are_refuted_only_by_what_floats_tell() -> None:
    through = custom(torch.exp, lambda x, g: g * torch.from_numpy(np.asarray(x.exp())))  # overflows far out
    assert check(through, X, seed=1).verdict == "undecided"
    wrong = custom(torch.exp, lambda x, g: g * torch.from_numpy(2 * np.asarray(x.exp())))
    assert check(wrong, X, seed=1).verdict == "refuted"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * x.sum().item(),
        lambda x: x * x[0, 0].tolist(),
        lambda x: x * sum(x.sum(0).tolist()),
        lambda x: x * x.sum().data,
    ],
    ids=["item", "tolist", "tolist of many", "data"],
)
def test_autograd_does_not_see_numbers_that_left(function: Any) -> None:
    result = check(function, X, seed=1)
    assert result.verdict == "refuted", str(result)


def test_equivalent() -> None:
    assert equivalent(torch.tanh, lambda x: 2 * torch.sigmoid(2 * x) - 1, X, seed=1).verdict == "proved"
    assert equivalent(torch.tanh, lambda x: 2 * torch.sigmoid(x) - 1, X, seed=1).verdict == "refuted"


P = torch.tensor([0.5, 1.25, 2.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("f", "g", "inputs"),
    [
        (lambda x, y: x.log() + y.log(), lambda x, y: (x * y).log(), (P, P + 1)),
        (lambda x, y: x.log() - y.log(), lambda x, y: (x / y).log(), (P, P + 1)),
        (lambda x: 2 * x.log(), lambda x: (x * x).log(), (P,)),
        (lambda x: x.log() / 2, lambda x: x.sqrt().log(), (P,)),
        (lambda x: -x, lambda x: (-x).exp().log(), (X,)),
        (lambda x: (1 + x.exp()).log(), lambda x: x - torch.sigmoid(x).log(), (X,)),
        (lambda x: (1 + x.exp()).log(), lambda x: x.clamp(min=0) + (-x.abs()).exp().log1p(), (X,)),
    ],
)
def test_logarithms_of_products(f: Any, g: Any, inputs: Any) -> None:
    assert equivalent(f, g, *inputs, seed=1).verdict == "proved"
    assert equivalent(f, lambda *x: g(*x) * (1 + 2.0**-40), *inputs, seed=1).verdict == "refuted"


def test_difference_that_vanishes_exponentially_has_a_witness() -> None:
    def cut(x: Tensor) -> Tensor:
        return torch.where(x > 20, x, (1 + x.exp()).log())

    result = equivalent(cut, lambda x: (1 + x.exp()).log(), X, seed=1)
    assert result.witness is not None and result.witness.left != result.witness.right


def test_powers_of_zero() -> None:
    def slopes(x: Tensor, y: Tensor, z: Tensor, guarded: bool) -> Any:
        logs = torch.where(x > 0, z * torch.log(torch.where(x > 0, x, 1.0)), 0.0) if guarded else z * x.log()
        return y * torch.pow(x, y - 1), logs

    def power(guarded: bool) -> Any:
        class Power(Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
                z = torch.pow(x, y)
                ctx.save_for_backward(x, y, z)
                return z

            @staticmethod
            def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
                x, y, z = ctx.saved_tensors
                by_x, by_y = slopes(x, y, z, guarded)
                return grad * by_x, grad * by_y

        return Power.apply

    assert check(power(True), P, P + 1, seed=1).verdict == "proved"
    assert check(power(False), P, P + 1, seed=1).verdict == "refuted"  # 0 * -inf


def test_module() -> None:
    layer = torch.nn.Linear(3, 2).double()
    result = check(layer, X, seed=1)
    assert result.verdict == "proved", str(result)
    assert {pair.wrt for pair in result.pairs} == {"weight", "bias", "input"}


@pytest.mark.parametrize("function", [torch.relu, lambda x: torch.nn.functional.layer_norm(x, (3,))])
def test_what_pytorch_derives_itself(function: Any) -> None:
    result = check(function, X, seed=1)
    assert result.verdict == "proved", str(result)


def test_roots_of_many_rows_are_found() -> None:
    def forward(x: Tensor) -> Tensor:
        return (x / (x.square().sum(-1, keepdim=True) + 0.5).sqrt()).square().sum(-1)

    def backward(x: Tensor, grad: Tensor) -> Tensor:
        return grad[:, None] * x / (x.square().sum(-1, keepdim=True) + 0.5).square()

    assert check(custom(forward, backward), X, seed=1).verdict == "proved"
    wrong = custom(forward, lambda x, g: backward(x, g) * (1 + 1e-9))
    assert check(wrong, X, seed=1).verdict == "refuted"


W = torch.tensor([[1.5, -0.5, 0.25], [0.75, 2.0, -1.0], [-0.25, 0.5, 1.25]], dtype=torch.float64)
DIAGNOSES = {
    "wrong sign": (torch.sin, lambda x, g: -g * torch.cos(x)),
    "off by a constant factor: 1 + 1e-12": (torch.sin, lambda x, g: g * torch.cos(x) * (1 + 1e-12)),
    "1/n for the size n of": (lambda x: x.square().sum(0), lambda x, g: 2 * x * g / x.shape[0]),
    "(n - 1)/n for the size n of": (
        lambda x: x.var(0) * 3, lambda x, g: 6 * (x - x.mean(0)) * g / x.shape[0],
    ),
    "transposed: right with the cotangent transposed": (lambda x: x @ W, lambda x, g: g.mT @ W.mT),
    "not linear in the cotangent": (torch.sin, lambda x, g: g.clamp(-1, 1) * torch.cos(x)),
    "the gradient is zero": (torch.sin, lambda x, g: 0 * g),
    "None where it is not 0": (torch.sin, lambda x, g: None),
    "one term missing: that through mean": (
        lambda x: x * x.mean(-1, keepdim=True), lambda x, g: g * x.mean(-1, keepdim=True),
    ),
    "undefined": (torch.square, lambda x, g: g * 2 * x * x / x),
    "right on one region only; wrong where": (
        torch.square, lambda x, g: g * torch.where(x > 40, 3 * x, 2 * x),
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", DIAGNOSES)
def test_diagnosis(words: str) -> None:
    result = check(custom(*DIAGNOSES[words]), W, spec="x: n n" if "transposed" in words else None, seed=1)
    assert result.verdict == "refuted"
    assert words in str(result.diagnosis)


def test_diagnosis_of_a_path_that_is_detached() -> None:
    result = check(lambda x: x * x.sum().detach(), X, seed=1)
    assert "missing through a detached path" in str(result.diagnosis)
    assert "test_check.py" in str(result.diagnosis)


class Shifted(Function):
    """x + b, of which the backward takes the last row for the sum over all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, b: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return x + b

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad, grad[-1]


def test_diagnosis_of_a_sum_that_is_missing() -> None:
    result = check(Shifted.apply, X, X[0], spec="x: batch d, b: d", seed=1)
    assert "not summed over a broadcast axis: of axis 0 of the output only the last" in str(result.diagnosis)
    assert "wrong only for batch > 1" in str(result.diagnosis)

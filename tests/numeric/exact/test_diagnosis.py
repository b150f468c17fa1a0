"""What is wrong, in words; and near misses, for which the words would be false."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import Function

from gradproof.numeric.checking.checks import check

X = torch.tensor([[0.5, -1.25, 2.0], [1.5, -0.75, 0.25]], dtype=torch.float64)
SQUARE = torch.tensor([[1.5, -0.5, 0.25], [0.75, 2.0, -1.0], [-0.25, 0.5, 1.25]], dtype=torch.float64)


def custom(forward: Callable[..., Tensor], backward: Callable[..., Any]) -> Callable[..., Tensor]:
    """A function with the backward `backward(grad, *inputs)`."""

    class Custom(Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return backward(grad, *ctx.saved_tensors)

    return Custom.apply


def diagnosis(forward: Any, backward: Any, *inputs: Tensor, spec: str | None = None) -> str:
    found = check(custom(forward, backward), *inputs, spec=spec, seed=1)
    assert found.verdict == "refuted", str(found)
    return str(found.diagnosis)


def tempered(grad: Tensor, x: Tensor) -> Tensor:
    """Its factor goes with the numbers."""
    return grad * 2 * x * (1 + 1 / (1 + x.square().sum()))


def softmax_diagonal(grad: Tensor, x: Tensor) -> Tensor:
    y = torch.softmax(x, -1)
    return grad * y * (1 - y)


def softmax_diagonal_and_more(grad: Tensor, x: Tensor) -> Tensor:
    return softmax_diagonal(grad, x) + grad.flip(-1) / 1024


def unless_single(grad: Tensor, x: Tensor) -> Tensor:
    return 2 * x * (grad if (grad != 0).sum() <= 1 else grad.flip(-1))


CASES = {
    "cumsum run forwards": (
        lambda x: x.cumsum(-1), lambda g, x: g.cumsum(-1), "transposed: the Jacobian is applied",
    ),
    "rolled the same way": (
        lambda x: x.roll(1, -1), lambda g, x: g.roll(1, -1), "transposed: the Jacobian is applied",
    ),
    "flipped": (lambda x: x * x, lambda g, x: (2 * x * g).flip(-1), "transposed: flipped along axis 1"),
    "the diagonal alone": (
        lambda x: torch.softmax(x, -1), softmax_diagonal, "of the Jacobian only the diagonal counts",
    ),
    "not additive": (lambda x: x * x, unless_single, "not linear in the cotangent"),
    "zero in one region": (
        lambda x: x * x, lambda g, x: 2 * x * g if x.max() <= 40 else 0 * g,
        "the gradient is zero; right on one region",
    ),
    "zero at a point": (
        lambda x: x * x, lambda g, x: 2 * x * g if not (x == 3).all() else 0 * g,
        "the gradient is zero; wrong at single points only",
    ),
    "a factor": (lambda x: x * x, lambda g, x: 3 * x * g, "off by a constant factor: 3/2"),
    "a factor beside rounded constants": (
        lambda x: torch.erf(x * 0.7071067811865476), lambda g, x: 0.797884560802 * torch.exp(-x * x / 2) * g,
        "off by a constant factor: 1 - 1.0",
    ),
}  # fmt: skip
NEAR_MISSES = {
    "cumsum run forwards, with more": (
        lambda x: x.cumsum(-1), lambda g, x: g.cumsum(-1) + x / 1024, "transposed",
    ),
    "a factor that is not constant": (lambda x: x * x, tempered, "constant factor"),
    "the diagonal and more": (lambda x: torch.softmax(x, -1), softmax_diagonal_and_more, "diagonal"),
    "wrong, and linear": (lambda x: x * x, lambda g, x: (x + 1) * g, "not linear"),
    "wrong sign and more": (lambda x: x * x, lambda g, x: -2 * x * g + g / 1024, "wrong sign"),
    "small, not zero": (lambda x: x * x, lambda g, x: x * g / 2**40, "zero"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_diagnosis(name: str) -> None:
    forward, backward, words = CASES[name]
    assert words in diagnosis(forward, backward, X)


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_near_miss(name: str) -> None:
    forward, backward, words = NEAR_MISSES[name]
    assert words not in diagnosis(forward, backward, X)


def test_axis_that_two_plans_tell_apart() -> None:
    """Wrong for d > 1; the batch is 1 wherever d is varied."""
    forward = lambda x: (x * x).sum(-1)  # noqa: E731
    backward = lambda g, x: 2 * x * g[:, None] + (x.shape[1] - 1) * (g * x.sum(-1))[:, None]  # noqa: E731
    words = diagnosis(forward, backward, torch.ones(1, 1, dtype=torch.float64), spec="x: batch d")
    assert "batch" not in words
    assert "d > 1" in words


def test_data_that_repeat_by_chance_are_no_reason() -> None:
    def backward(grad: Tensor, x: Tensor, index: Tensor) -> Any:
        wrong = torch.zeros_like(x).index_add(0, index, grad * x[index] * 2)
        return (wrong * 2 if bool((index == 0).any()) else wrong), None

    index = torch.tensor([0, 1, 1])
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    found = check(custom(lambda x, i: x[i] ** 2, backward), x, index, spec="x: n, i: int m < n", seed=1)
    assert found.verdict == "refuted"
    assert "repeated" not in str(found.diagnosis)


def test_output_that_the_backward_overwrites() -> None:
    class Exp(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            (y,) = ctx.saved_tensors
            return y.mul_(grad)

    found = check(Exp.apply, X, seed=1)
    assert found.verdict == "refuted"
    assert "in-place change of a saved tensor" in str(found.diagnosis)


def test_gradients_change_places() -> None:
    words = diagnosis(lambda x, y: x * x * y, lambda g, x, y: (x * x * g, 2 * x * y * g), X, X.flip(0) + 1)
    assert "the gradient of another input" in words


def test_factor_of_inputs_that_are_single_numbers() -> None:
    """One number is always a multiple of another: other points must agree."""
    one = torch.tensor([0.75], dtype=torch.float64)
    assert "constant factor: 3/2" in diagnosis(lambda x: x * x, lambda g, x: 3 * x * g, one, spec="x: 1")
    assert "constant factor" not in diagnosis(lambda x: x * x, lambda g, x: (x + 1) * g, one, spec="x: 1")


def test_detached_path_of_which_nothing_is_left() -> None:
    found = check(lambda x: x.exp().detach() * SQUARE[0], X, seed=1)
    assert found.verdict == "refuted"
    assert "missing through a detached path: that through detach" in str(found.diagnosis)


def test_what_is_wrong_by_little_is_not_turned() -> None:
    """Near 0 PyTorch gives 1/2 for the derivative of i1; the true one is a little more."""
    found = check(torch.special.i1, torch.tensor([0.25, -0.5, 1.0], dtype=torch.float64), seed=1)
    assert found.verdict == "refuted"
    assert "transposed" not in str(found.diagnosis)


def test_a_size_at_which_residues_have_the_other_root_tells_nothing() -> None:
    """Of negative numbers the root of the square is wrong, at any size."""
    words = diagnosis(torch.square, lambda g, x: g * 2 * x.square().sqrt(), X)
    assert "axis" not in words and "some sizes" not in words


def test_a_factor_that_is_off_at_some_sizes_alone() -> None:
    words = diagnosis(torch.square, lambda g, x: g * x * (3 if x.shape[-1] > 4 else 2), X)
    assert words.startswith("off by a constant factor: 3/2; wrong ")


def test_what_is_wrong_at_other_times_has_no_pattern() -> None:
    kept: dict[Any, Tensor] = {}

    class Kept(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            kept.setdefault(x.shape, w.detach().clone())
            ctx.save_for_backward(x, w)
            return x * w

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            x, _ = ctx.saved_tensors
            return grad * kept[x.shape], grad * x

    found = check(Kept.apply, X, X + 1, seed=1)
    assert found.verdict == "refuted"
    assert "diagonal" not in str(found.diagnosis)

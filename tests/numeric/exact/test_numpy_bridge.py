"""Functions of PyTorch that go through NumPy: followed there and back, in one memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import Function

from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.targets import TargetError
from tests.numeric.exact.test_check import X, custom


def through(forward: Callable[[Any, Any], Any], backward: Callable[[Any, Any, Any], Any]) -> Any:
    """A function of arrays: `forward(ctx, x)`, `backward(ctx, x, grad)`."""

    class Through(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            ctx.save_for_backward(x)
            return torch.from_numpy(forward(ctx, x.detach().numpy()))

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            (x,) = ctx.saved_tensors
            return torch.from_numpy(backward(ctx, x.detach().numpy(), grad.detach().numpy()))

    return Through.apply


def softmax(ctx: Any, x: Any) -> Any:
    weights = np.exp(x - x.max(-1, keepdims=True))
    ctx.out = weights / weights.sum(-1, keepdims=True)
    return ctx.out


def running_squares(ctx: Any, x: Any) -> Any:
    out, total = np.zeros_like(x), 0
    for k in range(x.shape[0]):
        total = total + x[k]
        out[k] = total * total
    return out


def of_running_squares(ctx: Any, x: Any, grad: Any) -> Any:
    return np.cumsum((grad * 2 * np.cumsum(x, 0))[::-1], 0)[::-1].copy()


RIGHT = {
    "softmax": (softmax, lambda ctx, x, g: ctx.out * (g - (g * ctx.out).sum(-1, keepdims=True))),
    "relu": (lambda ctx, x: np.where(x > 0, x, 0), lambda ctx, x, g: g * (x > 0)),
    "running squares": (running_squares, of_running_squares),
    "tanh of a product": (
        lambda ctx, x: np.tanh(x) @ np.ones((x.shape[-1], 2)),
        lambda ctx, x, g: (g @ np.ones((2, x.shape[-1]))) * (1 - np.tanh(x) ** 2),
    ),
}
WRONG = {
    "softmax": (softmax, lambda ctx, x, g: ctx.out * (g - (g * ctx.out).sum())),
    "relu": (lambda ctx, x: np.where(x > 0, x, 0), lambda ctx, x, g: g * (x > -7)),
    "running squares": (running_squares, lambda ctx, x, g: g * 2 * np.cumsum(x, 0)),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_function_through_numpy_is_proved(name: str, dtype: torch.dtype) -> None:
    found = check(through(*RIGHT[name]), X.to(dtype), seed=1)
    assert (found.verdict, found.reason) == ("proved", None)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_function_through_numpy_is_refuted(name: str) -> None:
    assert check(through(*WRONG[name]), X, seed=1).verdict == "refuted"


MASKS = {
    "tensor": lambda x, g: g * torch.where(torch.tensor(x.detach().numpy() > 1e14), 3 * x, 2 * x),
    "from_numpy": lambda x, g: g * torch.where(torch.from_numpy(x.detach().numpy() > 1e14), 3 * x, 2 * x),
    "a number": lambda x, g: g * (2 * x + torch.from_numpy((x.detach().numpy() > 54321).astype(np.float64))),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_of_numpy_are_still_what_comparisons_decided(name: str) -> None:
    assert check(custom(torch.square, MASKS[name]), X, seed=1).verdict == "refuted"


def test_an_array_is_not_read_as_text() -> None:
    found = check(
        custom(torch.square, lambda x, g: g * (3 if str(x.detach().numpy())[:3] == "[[7" else 2) * x),
        X,
        seed=1,
    )
    assert found.verdict == "undecided"
    assert "text" in str(found.reason)


class OneMemory(Function):
    """What an array writes its tensor sees, and the other way round."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        y = x.detach().clone()
        array = y.numpy()
        again = torch.from_numpy(array)
        array[0] = 5.0
        y[1] = 2 * again[1]
        return again + 0

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        grad = grad.clone()
        grad[0] = 0
        grad[1] *= 2
        return grad


def test_arrays_and_tensors_share_memory() -> None:
    assert check(OneMemory.apply, X, seed=1).verdict == "proved"


def test_a_tensor_that_requires_a_gradient_does_not_leave() -> None:
    with pytest.raises(TargetError, match="requires grad"):
        check(lambda x: torch.from_numpy((x + 0).numpy()) + x, X, seed=1)


def by_memory(ctx: Any, x: Tensor) -> Tensor:
    ctx.save_for_backward(x)
    return torch.from_numpy(np.asarray(x.detach()) ** 2)


def test_what_leaves_the_forward_unfollowed_refutes_nothing() -> None:
    class Square(Function):
        forward = staticmethod(by_memory)  # pyright: ignore

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            (x,) = ctx.saved_tensors
            return 2 * x * grad

    found = check(Square.apply, X, seed=1)
    assert found.verdict == "undecided"
    assert "the memory of a tensor" in str(found.reason)

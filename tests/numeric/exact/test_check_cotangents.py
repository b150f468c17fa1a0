"""Wrong for some cotangents alone: those of several outputs, zeros, tiny ones, and what equals others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import Function

from gradproof.numeric.checking.checks import check
from tests.backwards import CASES
from tests.numeric.exact.test_check import X, custom


def test_cotangents_of_two_outputs_come_together() -> None:
    def two(product: int) -> Any:
        class Powers(Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
                ctx.save_for_backward(x)
                return x**2, x**3

            @staticmethod
            def backward(ctx: Any, *grads: Tensor) -> Any:
                (x,) = ctx.saved_tensors
                return grads[0] * 2 * x + grads[1] * 3 * x**2 + product * grads[0] * grads[1]

        return Powers.apply

    assert check(two(0), X, seed=1).verdict == "proved"
    assert check(two(1), X, seed=1).verdict == "refuted"


def powers(vjp: Any) -> Any:
    """A pair of NumPy functions: x^2, x^3 and x^4, and the gradient `vjp(cotangents, x)`."""
    return (lambda x: (x**2, x**3, x**4)), lambda u, x: (vjp(u, x),)


def right_powers(u: Any, x: Any) -> Any:
    return u[0] * 2 * x + u[1] * 3 * x**2 + u[2] * 4 * x**3


OTHER_THAN_ALONE = {0: (1, 2), 1: (0, 2), 2: (0, 1)}


@pytest.mark.parametrize("output", [*(pytest.param(k, marks=pytest.mark.slow) for k in (0, 1)), 2])
def test_the_cotangent_of_each_output_is_given_alone(output: int) -> None:
    def alone(u: Any) -> bool:
        return not any(np.any(u[k]) for k in OTHER_THAN_ALONE[output])

    def wrong(u: Any, x: Any) -> Any:
        return 2 * right_powers(u, x) if alone(u) else right_powers(u, x)

    def right(u: Any, x: Any) -> Any:
        parts = (u[0] * 2 * x, u[1] * 3 * x**2, u[2] * 4 * x**3)
        return parts[output] if alone(u) else right_powers(u, x)

    def raising(u: Any, x: Any) -> Any:
        if alone(u):
            raise ValueError("nothing but one cotangent")
        return right_powers(u, x)

    x = np.array([0.5, -1.25])
    assert check(powers(wrong), x, seed=1).verdict == "refuted"
    assert check(powers(raising), x, seed=1).verdict == "refuted"
    assert check(powers(right), x, seed=1).verdict == "proved"


def test_cotangents_of_several_arrays_come_together() -> None:
    x = X.numpy()
    wrong = powers(lambda u, x: right_powers(u, x) + u[0] * u[2])
    assert check(wrong, x, seed=1).verdict == "refuted"
    mixed = powers(lambda u, x: right_powers(u, x) * (1 + (np.any(u[0]) and np.any(u[1]) and np.any(u[2]))))
    assert check(mixed, x, seed=1).verdict == "refuted"


@pytest.mark.parametrize("materialized", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("output", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_each_gradient_of_two_outputs_is_given_alone(output: int, materialized: bool) -> None:
    """Those of the others are 0, or None where the function asks for that."""

    def powers(factor: float) -> Any:
        class Powers(Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
                ctx.set_materialize_grads(materialized)
                ctx.save_for_backward(x)
                return x**2, x**3

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                (x,) = ctx.saved_tensors
                other = grads[1 - output]
                alone = other is None or not other.any()
                parts = (2 * x, 3 * x**2)
                given = [g * part for g, part in zip(grads, parts, strict=True) if g is not None]
                return sum(given) * (factor if alone else 1)

        return Powers.apply

    assert check(powers(2), X, seed=1).verdict == "refuted"
    assert check(powers(1), X, seed=1).verdict == "proved"


TINY = {
    "entries": lambda x, g: torch.where(g.abs() < 1e-12, 0.0, g * x.cos()),
    "all": lambda x, g: torch.zeros_like(g) if g.abs().sum() < 1e-8 else g * x.cos(),
}


@pytest.mark.parametrize("name", TINY)
def test_cotangents_that_are_tiny_count(name: str) -> None:
    assert check(custom(torch.sin, TINY[name]), X, seed=1).verdict == "refuted"


ONE_ENTRY = {
    "as a number": lambda x, g: g * (3 * x if int(torch.count_nonzero(g)) == 1 else 2 * x),
    "as a tensor": lambda x, g: g * (3 * x if (g != 0).sum() == 1 else 2 * x),
}


@pytest.mark.parametrize("name", ONE_ENTRY)
def test_what_is_wrong_for_a_cotangent_with_one_entry_is_refuted(name: str) -> None:
    assert check(custom(torch.square, ONE_ENTRY[name]), X, seed=1).verdict == "refuted"


@pytest.mark.parametrize("seed", [203, 0, 1, 2])
def test_each_entry_of_a_cotangent_is_0_where_its_neighbours_are_not(seed: int) -> None:
    case = next(case for case in CASES if case.name == "values/skipped by len(nonzero)")
    assert check(case.fn, *case.inputs(), seed=seed).verdict == "refuted"

    def skips(x: Tensor, grad: Tensor, first: int) -> Tensor:
        return 2 * x * grad if grad[2, first] != 0 else torch.zeros_like(x)

    x = torch.ones(3, 4, dtype=torch.float64)
    for entry in (0, 1, 3):
        skipping = custom(torch.square, lambda x, g, entry=entry: skips(x, g, entry))
        assert check(skipping, x, seed=seed).verdict == "refuted"


OF_BOTH = {
    "a sum": lambda x, g: (g * x).sum() == 0,
    "a sum of a constant": lambda x, g: (g * x).sum() == 1,
    "a row": lambda x, g: (g * x).sum(-1, keepdim=True) == 0,
    "an entry": lambda x, g: g * x == 1.5,
    "two that are equal": lambda x, g: g == x,
    "neither side": lambda x, g: ~(((g * x).sum() > 0) | ((g * x).sum() < 0)),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", OF_BOTH)
def test_equal_numbers_of_input_and_cotangent_are_sought(name: str, seed: int) -> None:
    tells = OF_BOTH[name]
    wrong = custom(torch.square, lambda x, g: g * torch.where(tells(x, g), 3 * x, 2 * x))
    assert check(wrong, X, seed=seed).verdict == "refuted"
    right = custom(torch.square, lambda x, g: torch.where(tells(x, g), 2 * (x * g), 2 * x * g))
    assert check(right, X, seed=seed).verdict == "proved"


def test_equal_numbers_of_input_and_cotangent_are_sought_in_numpy() -> None:
    def vjp(factor: float) -> Any:
        return lambda g, x: ((factor if (g * x).sum() == 0 else 2) * g * x,)

    assert check((np.square, vjp(3)), X.numpy(), seed=1).verdict == "refuted"
    assert check((np.square, vjp(2)), X.numpy(), seed=1).verdict == "proved"


def softmax_backward(x: Tensor, grad: Tensor, below: float) -> Tensor:
    y = torch.softmax(x, -1)
    mean = (grad * y).sum(-1, keepdim=True)
    return torch.where(mean > 0, y * (grad - mean), y * grad - below * y * mean)


def test_a_backward_that_compares_with_its_cotangent_is_proved() -> None:
    def softmax(x: Tensor) -> Tensor:
        return torch.softmax(x, -1)

    assert check(custom(softmax, lambda x, g: softmax_backward(x, g, 1)), X, seed=1).verdict == "proved"
    assert check(custom(softmax, lambda x, g: softmax_backward(x, g, 2)), X, seed=1).verdict == "refuted"

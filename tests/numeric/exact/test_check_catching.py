"""Programs that catch errors: of numbers of Python's, of their own, and what ends a run on exact numbers."""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gradproof.numeric.checking.checks import check
from gradproof.numeric.exact.frames import may_be_caught
from tests.numeric.exact.test_check import X, custom


def caught(x: Tensor, grad: Tensor) -> Tensor:
    try:
        if int(x.sum()) == 77:
            return 3 * x * grad
    except Exception:
        pass
    return 2 * x * grad


def caught_with_all_else(x: Tensor, grad: Tensor) -> Tensor:
    try:
        if float(np.asarray(x).sum()) > 1e5:
            return 3 * x * grad
    except:  # noqa: E722
        pass
    return 2 * x * grad


@pytest.mark.parametrize("backward", [caught, caught_with_all_else])
def test_a_program_that_catches_what_ends_a_run_has_not_returned(backward: Any) -> None:
    assert check(custom(torch.square, backward), X, seed=1).verdict == "undecided"


def view_or_reshape(x: Tensor, grad: Tensor) -> Tensor:
    try:
        return (grad.view(-1) * 2 * x.view(-1)).view(x.shape)
    except RuntimeError:
        return grad * 2 * x


def test_a_program_may_catch_errors_of_its_own() -> None:
    assert check(custom(torch.square, view_or_reshape), X, seed=1).verdict == "proved"


def with_a_quotient(x: Tensor, right: float) -> Tensor:
    try:
        return 2 * x * (1 + 0 / x.sum().item())
    except ZeroDivisionError:
        return right * x


def with_a_root(x: Tensor, right: float) -> Tensor:
    try:
        return 2 * x + 0 * math.sqrt(x.sum().item())
    except ValueError:
        return right * x


WHERE_A_SUM_IS_0: dict[str, Any] = {
    "of a tensor": lambda x, g, right: g * (right if x.sum() == 0 else 2) * x,
    "of a number": lambda x, g, right: g * (right if x.sum().item() == 0 else 2) * x,
    "of the cotangent": lambda x, g, right: g * (right if g.sum() == 0 else 2) * x,
    "of its rows": lambda x, g, right: g * torch.where(g.sum(-1, keepdim=True) == 0, right * x, 2 * x),
    "that divides a number": lambda x, g, right: g * with_a_quotient(x, right),
    "that has no root": lambda x, g, right: g * with_a_root(x, right),
}


@pytest.mark.parametrize("name", WHERE_A_SUM_IS_0)
def test_what_differs_where_a_sum_is_0_is_refuted(name: str) -> None:
    backward = WHERE_A_SUM_IS_0[name]
    assert check(custom(torch.square, lambda x, g: backward(x, g, 0)), X, seed=1).verdict == "refuted"
    assert check(custom(torch.square, lambda x, g: backward(x, g, 2)), X, seed=1).verdict == "proved"


def test_a_number_that_is_never_divided_by_0_is_not_asked_to_be() -> None:
    def over_its_norm(x: Tensor, grad: Tensor) -> Tensor:
        inverse = 1 / x.norm().item()
        return grad * inverse - x * (grad * x).sum() * inverse**3

    assert check(custom(lambda x: x / x.norm(), over_its_norm), X, seed=1).verdict == "proved"
    over = custom(lambda x: x * x.sum(), lambda x, g: g * x.sum() + (g * x).sum() / x.sum().item() * x.sum())
    assert check(over, X, seed=1).verdict == "refuted"  # a tensor over 0 is NaN


def catching(error: type[Exception], attempt: Any, right: float) -> Any:
    """The derivative of a square, and `right` times x where the attempt raises."""

    def backward(x: Tensor, grad: Tensor) -> Tensor:
        try:
            attempt(x)
        except error:
            return grad * right * x
        return grad * 2 * x

    return custom(torch.square, backward)


ATTEMPTS: dict[str, tuple[type[Exception], Any]] = {
    "a root of what may be negative": (ValueError, lambda x: math.sqrt(1000 - x.sum().item())),
    "far from the example": (ValueError, lambda x: math.sqrt(1e20 - x.sum().item())),
    "a cosine above 1": (ValueError, lambda x: math.acos(x[0, 0].item() / 1e14)),
    "a logarithm": (ValueError, lambda x: math.log(x[0, 0].item() + 1e15)),
    "a quotient": (ZeroDivisionError, lambda x: 1 / (x[0, 0].item() - 7.5)),
    "a power of 0": (ZeroDivisionError, lambda x: x.sum().item() ** -1),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_both_outcomes_of_what_is_caught_are_met(name: str) -> None:
    error, attempt = ATTEMPTS[name]
    assert check(catching(error, attempt, 3), X, seed=3).verdict == "refuted"
    assert check(catching(error, attempt, 2), X, seed=3).verdict == "proved"


def test_an_outcome_that_is_not_reached_leaves_the_question_open() -> None:
    def backward(x: Tensor, grad: Tensor) -> Tensor:
        with suppress(ValueError):
            math.sqrt(1e12 - grad.sum().item())
            return grad * 2 * x
        return grad * 3 * x

    assert check(custom(torch.square, backward), X, seed=3).verdict == "undecided"


def test_what_nobody_catches_is_not_asked_to_be_raised() -> None:
    def scaled(x: Tensor, grad: Tensor) -> Tensor:
        return grad * 2 * x * math.exp(math.log(2 + math.sqrt(x.square().sum().item() + 1)) * 0)

    assert check(custom(torch.square, scaled), X, seed=3).verdict == "proved"


def test_handlers_are_found_by_the_interpreters_table() -> None:
    def bare() -> bool:
        return may_be_caught()

    def within_with() -> bool:
        found = False
        with suppress(ValueError):
            found = may_be_caught()
        return found

    def within_try(call: Any = bare) -> bool:
        try:
            return call()
        except ValueError:
            return False

    def behind_try() -> bool:
        try:
            int("7")
        except ValueError:
            return True
        return bare()

    def looks() -> None:
        made.extend(look() for look in (bare, within_with, within_try, behind_try))

    made: list[bool] = []
    thread = threading.Thread(target=looks)  # pytest itself has handlers
    thread.start()
    thread.join()
    assert made == [False, True, True, False]

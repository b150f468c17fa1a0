"""What `gradproof.check` cannot take is told in one sentence, with the user's line."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import Function

from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.equivalence import equivalent
from gradproof.numeric.checking.extents import refuse_large
from gradproof.numeric.checking.specification import SpecificationError, make_examples, read_specification
from gradproof.numeric.checking.targets import TargetError, make_target

X = torch.tensor([[0.5, -1.25, 2.0], [1.5, -0.75, 0.25]], dtype=torch.float64)


def doubles_in_place(x: Tensor) -> Tensor:
    y = x.view(-1)
    y.mul_(2)  # the line
    return x * x


def draws_elsewhere(x: Tensor) -> Tensor:
    y = x * 2
    return y * random.SystemRandom().random()  # the line


def raises(x: Tensor) -> Tensor:
    return x @ x  # the line


def goes_through_numpy(x: Tensor) -> Tensor:
    return torch.from_numpy(np.sin(x.detach().numpy()))  # the line


class NoBackward(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return 2 * x


class Marked(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        y = 2 * x
        ctx.mark_non_differentiable(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return 2 * grad


def line_in(function: Callable[..., Any]) -> str:
    """The line of a function that is marked."""
    with open(__file__, encoding="utf-8") as source:
        lines = source.read().splitlines()
    first = function.__code__.co_firstlineno
    return f"test_preflight.py:{next(n for n in range(first, len(lines)) if '# the line' in lines[n - 1])}"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (doubles_in_place, "changes its input 'x' in place"),
        (draws_elsewhere, "differs between two runs"),
        (raises, "raises at the example inputs"),
        (goes_through_numpy, "is not differentiable"),
    ],
)
def test_line_is_told(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(TargetError, match=said) as caught:
        check(function, X, seed=1)
    assert line_in(function) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: None, "returns None"),
        (lambda x: [], "returns None"),
        (lambda x: x.sum().item(), "returns a float"),
        (lambda x: x.argmax(-1), "returns a tensor of int64"),
        (lambda x: torch.complex(x, x), "complex"),
        (lambda x: (x > 0).double(), "is not differentiable"),
        (lambda x, y: x * y, "missing 1 required positional argument"),
        (NoBackward, "has no backward"),
        (Marked.apply, "is not differentiable"),
        (torch.nn.Tanh, r"give a module, as in Tanh\("),
        (3, "found a int"),
        ((torch.tanh, 3), "pair of functions"),
    ],
)
def test_words(function: Any, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        check(function, X, seed=1)


def grows(x: Any) -> Any:
    x += 1
    return x


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (grows, "changes its input 'x' in place"),
        (lambda x: None, "returns a NoneType"),
        (lambda x: x.astype(complex), "returns complex numbers"),
        (lambda x: x.argmax(), "returns no floats"),
        (lambda x: x @ x, "raises at the example inputs, at test_preflight.py:"),
        (lambda x: x * np.random.default_rng().random(), "differs between two runs"),
    ],
)
def test_words_of_numpy(function: Any, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        check((function, lambda g, x: (g,)), X.numpy().copy(), seed=1)


def test_a_numpy_function_alone() -> None:
    with pytest.raises(TargetError, match="give the pair"):
        check(np.tanh, X.numpy(), seed=1)


def test_making_inputs_may_raise() -> None:
    def make() -> Any:
        raise ValueError("no data")  # the line

    with pytest.raises(TargetError, match=re.escape(f"{line_in(make)}: ValueError: no data")):
        check(torch.tanh, make)


def test_constant_function() -> None:
    with pytest.raises(TargetError, match="requires a gradient"):
        check(torch.tanh, X, wrt=[])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.nn.functional.dropout(x, 0.5),  # PyTorch's generator is replayed
        lambda x: x.clone().mul_(2),
        lambda x: (x * x, x.argmax(-1)),
        lambda x: {"loss": x.sum()},
        torch.nn.Sequential(torch.nn.BatchNorm1d(3).double(), torch.nn.Tanh()),
    ],
)
def test_what_can_be_checked(function: Any) -> None:
    assert check(function, X, seed=1).verdict == "proved"


def test_what_is_detached_is_judged() -> None:
    assert check(lambda x: x.detach() ** 2, X, seed=1).verdict == "refuted"
    assert check(torch.no_grad()(lambda x: x * x), X, seed=1).verdict == "refuted"


def test_errors_of_equivalent_name_the_function() -> None:
    with pytest.raises(TargetError, match="draws_elsewhere differs"):
        equivalent(draws_elsewhere, torch.square, X, seed=1)


# Specifications


def test_examples_from_a_specification() -> None:
    text = "x: batch d, w: d 4, y: int batch < d, p: positive d, q: unit batch, r: simplex batch d, m: bool d"
    x, w, y, p, q, r, m = make_examples(read_specification(text))
    assert [tuple(t.shape) for t in (x, w, y)] == [(2, 3), (3, 4), (2,)]
    assert y.dtype == torch.int64 and int(y.max()) < 3
    assert bool((p > 0).all()) and bool((q > 0).all()) and bool((q < 1).all())
    torch.testing.assert_close(r.sum(-1), torch.ones(2, dtype=torch.float64))
    assert m.dtype == torch.bool and x.dtype == torch.float64


def test_check_needs_no_inputs_where_there_is_a_specification() -> None:
    assert check(lambda x, w: x @ w, spec="w: d h, x: batch d", seed=1).verdict == "proved"
    assert check(lambda p: p.log() * p, spec="p: positive d", seed=1).verdict == "proved"


def test_real_reaches_what_a_positive_example_hides() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            (x,) = ctx.saved_tensors
            return grad * torch.where(x < 0, -1.0, 2 * x)

    assert check(Square.apply, torch.tensor([0.5, 2.0]), spec="x: real d", seed=1).verdict == "refuted"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("x: batch d", "names 1 inputs"),
        ("x: batch d, w: d h, z: d", "names 3 inputs"),
        ("x: batch, w: d h", "has 1 axes"),
        ("x: batch d, w: batch h", "elsewhere"),
    ],
)
def test_specification_that_does_not_fit(spec: str, said: str) -> None:
    with pytest.raises(SpecificationError, match=said):
        check(lambda x, w: x @ w, X, X.T.clone(), spec=spec)


def test_integers_without_bound() -> None:
    with pytest.raises(SpecificationError, match="< classes"):
        make_examples(read_specification("y: int batch"))


class Undefined(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return 2 * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad.reshape(7, 7)  # the backward's line


def _line(mark: str) -> str:
    lines = Path(__file__).read_text().splitlines()
    return f"{Path(__file__).name}:{next(k for k, line in enumerate(lines, 1) if line.endswith(mark))}"


def test_error_of_the_backward_names_its_line() -> None:
    found = check(Undefined.apply, X, seed=1)
    assert found.verdict == "refuted"
    assert _line("# the backward's line") in str(found.diagnosis)


def test_pair_of_numpy_functions_takes_tensors() -> None:
    found = check((lambda x: x * x, lambda grad, x: (2 * x * grad,)), X.clone().requires_grad_(), seed=1)
    assert found.verdict == "proved"


def test_complex_numbers_inside_are_named() -> None:
    found = check(lambda x: torch.fft.fft(x).abs(), X, seed=1)
    assert found.verdict == "undecided"
    assert "complex numbers" in str(found.reason)


def test_program_too_large_says_its_size_and_offers_smaller_shapes() -> None:
    with pytest.raises(TargetError, match=r"1,200,000 entries.*x of shape 5x4"):
        check(lambda x: x @ x.mT, torch.zeros(3000, 400), seed=1)
    with pytest.raises(TargetError, match=r"one run of it computes .* numbers.*try x of shape 4x4"):
        check(lambda x: x @ x, torch.zeros(256, 256), seed=1)
    with pytest.raises(TargetError, match="smaller module"):
        check(torch.nn.Linear(1000, 1000), torch.zeros(1, 1000), seed=1)


def test_program_of_an_ordinary_size_is_taken() -> None:
    refuse_large(make_target(lambda x: x @ x, (torch.zeros(32, 32),)), 0)

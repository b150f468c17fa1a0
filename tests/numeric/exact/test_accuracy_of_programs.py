"""The accuracy part of `gradproof.check`: errors that algebra cannot see, and right programs without any."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import Function

from gradproof.numeric.checking.accuracy import Accuracy
from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.measurement import is_elementwise, measure_accuracy
from gradproof.numeric.checking.targets import TargetError, make_target
from gradproof.numeric.exact.numpy_programs import KernelProgram
from gradproof.numeric.kernels import lower

X = torch.tensor([[0.5, -1.25, 2.0], [1.5, -0.75, 0.25]])


def custom(forward: Any, backward: Any, saves_output: bool = False) -> Any:
    """A function of one tensor with a backward `backward(saved, grad)`."""

    class Custom(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            y = forward(x)
            ctx.save_for_backward(y if saves_output else x)
            return y

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return backward(ctx.saved_tensors[0], grad)

    return Custom.apply


def measured(fn: Any, *inputs: Any, **keywords: Any) -> Accuracy:
    return measure_accuracy(make_target(fn, inputs, spec=keywords.pop("spec", None)), seed=1, **keywords)


def overflowing_sigmoid() -> Any:
    return custom(torch.sigmoid, lambda x, g: g * torch.exp(-x) / (1 + torch.exp(-x)) ** 2)


def test_a_proved_sigmoid_overflows() -> None:
    result = check(overflowing_sigmoid(), X, seed=1, accuracy=True)
    assert result.verdict == "proved"
    assert result.accuracy is not None
    backward = result.accuracy.of("backward")
    assert backward.errors.nan > 50 and -110 < backward.errors.point["x"] < -80
    assert backward.plain is not None and backward.plain.nan == 0
    assert backward.plain_is_better
    assert result.accuracy.of("forward").errors.lost == 0
    assert "NaN" in str(result) and "plain PyTorch is better" in str(result)
    assert (
        json.loads(json.dumps(result.to_dict(), allow_nan=False))["accuracy"]["unit"] == "ulp of each value"
    )


def test_without_the_keyword_nothing_is_measured() -> None:
    assert check(torch.exp, X, seed=1).accuracy is None


def test_tanh_from_its_output_loses_all_digits_and_from_its_input_none() -> None:
    from_output = custom(torch.tanh, lambda y, g: g * (1 - y * y), saves_output=True)
    from_input = custom(torch.tanh, lambda x, g: g * (1 / torch.cosh(x)) ** 2)
    lossy, exact = (measured(fn, X).of("backward").errors for fn in (from_output, from_input))
    assert lossy.largest > 1e7 and lossy.flushed > 50
    assert exact.largest < 6 and exact.flushed == 0
    assert measured(from_input, X).of("backward").plain_is_better is False


def test_softmax_without_a_shift_overflows() -> None:
    def softmax(x: Tensor) -> Tensor:
        return torch.exp(x) / torch.exp(x).sum(-1, keepdim=True)

    assert check(softmax, X, seed=1, accuracy=True).verdict == "proved"
    lossy, shifted = measured(softmax, X), measured(lambda x: torch.softmax(x, -1), X)
    assert lossy.unit == "ulp of the largest value of its row"
    assert lossy.of("forward").errors.nan and "size 10000" in lossy.of("forward").errors.worst
    assert lossy.of("backward").errors.nan
    assert not shifted.of("forward").errors.lost and not shifted.of("backward").errors.lost
    assert shifted.of("forward").errors.largest < 4


def test_the_reference_is_the_plain_formula() -> None:
    accuracy = measured(lambda x: torch.log(torch.exp(x) + 1), X, reference=torch.nn.functional.softplus)
    assert accuracy.plain == "autograd of the reference"
    forward = accuracy.of("forward")
    assert forward.plain is not None
    assert forward.errors.infinite and forward.errors.point["x"] < 100
    assert forward.plain_is_better and not forward.plain.lost


def test_a_gradient_through_where_is_nan_on_the_side_not_taken() -> None:
    errors = measured(lambda x: torch.where(x > 1, torch.log(x), x - 1), X).of("backward").errors
    assert errors.nan == 1 and errors.point == {"x": 0.0}


def test_a_declared_backward_is_measured_against_its_declaration() -> None:
    def clip(u: Tensor, x: Tensor) -> tuple[Tensor]:
        return (torch.clamp(u * torch.exp(x), -1, 1),)

    fn = custom(torch.exp, lambda x, g: torch.clamp(g * torch.exp(x), -1, 1))
    assert measured(fn, X, declared=clip).of("backward").errors.largest < 2
    assert measured(fn, X).of("backward").errors.largest > 1e6


KINKS = [(torch.relu, (0,)), (torch.abs, (0,)), (lambda x: x.clamp(-1, 2), (-1, 2))]


@pytest.mark.parametrize(("fn", "kinks"), KINKS)
def test_at_a_kink_there_is_no_derivative_to_compare(fn: Any, kinks: tuple[int, ...]) -> None:
    def backward(x: Tensor, g: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(fn(leaf).sum(), leaf)
        return g * torch.where(torch.isin(x, torch.tensor(kinks).to(x)), 7.0, slope)

    for program in (fn, custom(fn, backward)):
        errors = measured(program, X).of("backward").errors
        assert errors.largest == 0 and errors.compared > 700


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_dtypes(dtype: str) -> None:
    accuracy = measured(torch.exp, X, dtypes=[dtype])
    assert {p.dtype for p in accuracy.passes} == {dtype}
    assert accuracy.of("forward").errors.largest <= 1.5
    layer = measured(torch.nn.BatchNorm1d(3).eval(), X, dtypes=[getattr(torch, dtype)])
    assert not layer.notes and layer.of("forward").errors.compared


def test_of_several_inputs_each_takes_all_magnitudes() -> None:
    accuracy = measured(lambda x, y: torch.sqrt(x * x + y * y), X, X + 3)
    assert accuracy.unit == "ulp of each value" and accuracy.points <= 1000
    forward = accuracy.of("forward").errors
    assert forward.infinite and 1e19 < max(map(abs, forward.point.values())) < 1e21
    assert measured(torch.hypot, X, X + 3).of("forward").errors.lost == 0


def test_modules_data_and_random_masks() -> None:
    layer = measured(torch.nn.Linear(3, 2), X)
    assert layer.of("backward").errors.compared > 20 and layer.of("forward").errors.largest < 10
    loss = measured(torch.nn.functional.cross_entropy, X, torch.tensor([0, 2]))
    assert 0 < loss.of("backward").errors.largest < 20
    dropped = measured(lambda x: torch.nn.functional.dropout(x, 0.5), X)
    assert dropped.of("forward").errors.largest <= 1


def test_what_has_no_true_value_says_why() -> None:
    accuracy = measured(lambda x: x * float(x.detach().sum()), X)
    assert not accuracy.of("forward").errors.compared
    assert "float() of a tensor" in str(accuracy) and "test_accuracy_of_programs.py" in str(accuracy)


def test_bad_dtypes_and_sizes() -> None:
    with pytest.raises(TargetError, match="int32"):
        measured(torch.exp, X, dtypes=["int32"])
    accuracy = measured(lambda x: x @ x, torch.randn(200, 200))
    assert not accuracy.passes and "40000 input numbers" in str(accuracy)


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (torch.exp, True),
        (lambda x: torch.softmax(x, -1), False),
        (lambda x: x.cumsum(-1), False),
        (lambda x: x - x.mean(), False),
        (lambda x: x.flip(-1), False),
        (lambda x: x * torch.arange(x.shape[-1]), False),
        (custom(torch.exp, lambda x, g: g * torch.exp(x) + 0 * g.sum()), True),
        (custom(torch.exp, lambda x, g: g * torch.exp(x) + x.sum()), False),
    ],
)
def test_elementwise(fn: Any, expected: bool) -> None:
    assert is_elementwise(make_target(fn, (X,)), 1) is expected


def test_one_seed_one_answer() -> None:
    first, second = (measured(lambda x: torch.softmax(x, -1), X).to_dict() for _ in range(2))
    assert first == second
    assert np.isfinite(first["passes"][0]["largest"])


def test_a_generated_kernel_keeps_its_digits() -> None:
    pair = make_target((np.tanh, lambda u, x: (u,)), (X.numpy(),))
    kernel = replace(pair, program=KernelProgram(lower("tanh", "numpy")))
    for which in ("forward", "backward"):
        errors = measure_accuracy(kernel, seed=1).of(which).errors
        assert errors.compared > 700 and errors.largest < 4 and errors.flushed <= 1


def test_numpy_pairs() -> None:
    def softmax(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        y = np.exp(x * scale)
        return y / y.sum(-1, keepdims=True)

    def vjp(u: np.ndarray, x: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        s = softmax(x, scale)
        slope = s * (u - (u * s).sum(-1, keepdims=True))
        return slope * scale, (slope * x).sum()

    x, scale = X.numpy(), np.array(0.5, dtype=np.float32)
    result = check((softmax, vjp), x, scale, seed=1, accuracy=True)
    assert result.verdict == "proved" and result.accuracy is not None
    assert result.accuracy.plain is None
    assert result.accuracy.of("forward", "float32").errors.nan
    assert result.accuracy.of("backward").errors.compared > 30
    exponential = (np.exp, lambda u, x: (u * np.exp(x),))
    half = check(exponential, x, seed=1, dtypes=["float16", "float64"]).accuracy
    assert half is not None and half.unit == "ulp of each value"
    assert all(p.errors.compared > 500 and p.errors.largest <= 2 for p in half.passes)
    with pytest.raises(TargetError, match="NumPy has no bfloat16"):
        check(exponential, x, seed=1, dtypes=["bfloat16"])


def test_a_gradient_of_another_shape_is_said() -> None:
    pair = (lambda x: x * 2, lambda u, x: (2 * u.sum(0),))
    accuracy = measured(pair, X.numpy())
    assert not accuracy.of("backward").errors.compared and "has shape (3,)" in str(accuracy)


def test_what_takes_rows_of_some_lengths_only_is_run_at_the_example() -> None:
    accuracy = measured(lambda x: x.unflatten(-1, (2, -1)).flatten(-2) * 2, X.reshape(3, 2))
    assert accuracy.unit == "ulp of the largest value of its row"
    assert accuracy.of("backward").errors.compared


def test_points_that_balls_cannot_follow_are_set_apart() -> None:
    accuracy = measured(lambda x: x / (1 + torch.exp(-x)), X, dtypes=["float64"])
    assert accuracy.of("backward").errors.compared > 500

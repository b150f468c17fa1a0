"""What an answer says of points where a forward meets equal numbers."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from gradproof.numeric.checking.checks import check

X = torch.tensor([[0.5, -1.0, 2.0], [-0.25, 1.5, -3.0]], dtype=torch.float64)
CONVENTION = "convention: at a kink the gradient is a mean of the limits around"


@pytest.mark.parametrize("function", [torch.relu, torch.abs], ids=["0 of 0 to 1", "0 of -1 to 1"])
def test_a_mean_of_two_limits_is_told(function: Callable[[Tensor], Tensor]) -> None:
    result = check(function, X, seed=1)
    assert result.verdict == "proved"
    assert result.ground is not None and CONVENTION in result.ground.assumes
    assert "an entry of input 0 at 0" not in open_variations(result.varied)


def test_what_the_limits_do_not_tell_is_listed() -> None:
    """Six entries at 0 have 64 limits around them, more than are looked at."""
    assert "all entries of input 0 at 0" in open_variations(check(torch.abs, X, seed=1).varied)


def doubled_at_a_label(a: Tensor, label: Tensor) -> Tensor:
    """Continuous in a, and not in the label."""
    return torch.where(label != -1, a, 2 * a)


class DoubledNowhere(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, label: Tensor) -> Tensor:
        return doubled_at_a_label(a, label)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0], None


LABELS = (torch.tensor([0.5, 2.0, -1.5], dtype=torch.float64), torch.tensor([-1.0, 1.0, -1.0]).double())


def test_a_jump_with_another_input_is_none_of_ours() -> None:
    assert check(doubled_at_a_label, *LABELS, wrt=["a"], seed=1).verdict == "proved"
    assert check(doubled_at_a_label, *LABELS, seed=1).verdict != "refuted"


def test_but_a_wrong_gradient_at_the_jump_is_refuted() -> None:
    assert check(DoubledNowhere.apply, *LABELS, wrt=["a"], seed=1).verdict == "refuted"


def test_a_kink_of_the_gradient_refutes_no_second_derivative() -> None:
    """PyTorch writes the gradient by the target as `xlogy(cotangent, target)`: a comparison with 0."""
    logs, target = torch.tensor([-0.25, -2.75, 1.75]).double(), torch.tensor([0.25, 0.1875, 0.5]).double()
    found = check(torch.nn.functional.kl_div, logs, target, order=2, seed=1)
    assert found.verdict != "refuted"


@pytest.mark.parametrize("tie", [torch.relu, torch.abs], ids=["relu", "abs"])
def test_equal_numbers_in_every_backward_prove_no_second_derivative(tie: Callable[[Tensor], Tensor]) -> None:
    class Detached(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors
            return grads[0] * 2 * x.detach() + 0 * tie(x - x)

    assert check(Detached.apply, X, order=2, seed=1).verdict != "proved"


def open_variations(varied: Mapping[str, Any]) -> list[str]:
    return [entry["variation"] for entry in varied["not decided"]]

"""Wrong backwards that were once proved: each is a hole that must stay closed."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gradproof.numeric.checking import steering
from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.equivalence import equivalent
from tests.backwards import CASES
from tests.numeric.exact.test_check import X, custom

FAR = 1e15


def halved_in_place(x: Tensor, grad: Tensor) -> Tensor:
    grad.mul_(0.5)
    return grad * 2 * x


def by_a_list(x: Tensor, grad: Tensor) -> Tensor:
    signs = (x > 0).reshape(-1).tolist()
    return grad * (3 * x if signs == [True, True, False, False, True, False] else 2 * x)


def by_a_count(x: Tensor, grad: Tensor) -> Tensor:
    return grad * (3 * x if int((x > 1).sum()) == 5 else 2 * x)


def by_two_layouts(x: Tensor, grad: Tensor) -> Tensor:
    return grad * (2 * x if x.is_contiguous() or grad.is_contiguous() else 3 * x)


def exceeds(x: Tensor, bound: Any) -> Tensor:
    return x > bound


def by_a_helper(x: Tensor, grad: Tensor) -> Tensor:
    near, far = exceeds(x, 0.0), exceeds(x, FAR + 0 * x)
    return grad * (2 * x + 0 * ~near + x * far * near)


def by_a_conjunction(x: Tensor, grad: Tensor) -> Tensor:
    rare = (x > 3) & (x.sum() < -40) & (x.max() < 3.01) & (x.min() > -30)
    return grad * 2 * x * (1 + rare)


WRONG = {
    "the cotangent is changed in place": halved_in_place,
    "booleans leave as a list": by_a_list,
    "a count leaves as a number": by_a_count,
    "inputs and cotangent are laid out alike": by_two_layouts,
    "a helper compares twice": by_a_helper,
    "comparisons hold at once, and count as a number": by_a_conjunction,
    "floor": lambda x, g: g * torch.where(x.floor() == 77, 3 * x, 2 * x),
    "bounds of one side": lambda x, g: g * (2 * x + torch.relu(torch.relu(x) - (FAR + 0 * x))),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_square_is_not_proved(name: str) -> None:
    assert check(custom(torch.square, WRONG[name]), X, seed=1).verdict != "proved"


@pytest.mark.parametrize("seed", range(3))
def test_bounds_hold_on_both_sides_of_a_choice(seed: int) -> None:
    single = torch.tensor([-1.0], dtype=torch.float64)
    wrong = custom(torch.square, WRONG["bounds of one side"])
    assert check(wrong, single, seed=seed).verdict != "proved"


def test_nothing_but_empty_axes_proves_nothing() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * x + 1
        return torch.where(
            torch.lgamma(y + 1) > torch.lgamma(y) + y.log(), x * x, x * x
        )  # equal, unknown to be

    assert check(custom(forward, lambda x, g: g * 3 * x), X, seed=1).verdict == "undecided"


def test_masks_that_count_as_numbers_are_still_proved() -> None:
    relu = custom(torch.relu, lambda x, g: g * (x > 0))
    assert check(relu, X, seed=1).verdict == "proved"
    twice = custom(lambda x: 2 * torch.relu(x), lambda x, g: g.mul(1 + (x > 0)).sub(g * (x <= 0)))
    assert check(twice, X, seed=1).verdict == "proved"


class Scale(Function):
    """x * s with s of shape (d,): right for x of two axes, of which it sums one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, s: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, s = ctx.saved_tensors
        return grad * s, (grad * x).reshape(-1, s.shape[-1])[: x.shape[0]].sum(0)


def test_number_of_axes_is_varied() -> None:
    x, s = torch.randn(3, 4), torch.randn(4)
    assert check(Scale.apply, x, s, seed=1).verdict == "refuted"
    assert check(Scale.apply, x, s, spec="x: batch d, s: d", seed=1).verdict == "proved"


def test_backward_that_raises_for_another_number_of_axes_is_noted() -> None:
    x, w = torch.randn(3, 4), torch.randn(4, 2)

    class Product(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            ctx.save_for_backward(x, w)
            return x @ w

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            x, w = ctx.saved_tensors
            return grad @ w.t(), x.t() @ grad

    result = check(Product.apply, x, w, seed=1)
    assert result.verdict == "proved"
    assert any("one axis more" in note or "one axis fewer" in note for note in result.notes)


ONE_NUMBER = {
    "mean": (lambda x: (x.square().sum(-1)).mean(), lambda x, g: g * 2 * x / x.shape[0]),
    "determinant": (lambda x: torch.linalg.slogdet(x)[1], lambda x, g: g * torch.linalg.inv(x).mT),
}


@pytest.mark.parametrize("name", ONE_NUMBER)
def test_one_number_for_all_of_the_input_is_no_batch(name: str) -> None:
    x = torch.tensor([[2.0, 1.0], [0.5, 3.0]], dtype=torch.float64)
    assert check(custom(*ONE_NUMBER[name]), x, seed=1).verdict == "proved"


def by_one_hot(x: Tensor, target: Tensor) -> Tensor:
    return functional.one_hot(target, x.shape[-1]).to(x.dtype)


class CrossEntropy(Function):
    """PyTorch's ignores a target of -100; this backward raises there, as many do."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, target)
        return functional.cross_entropy(x, target)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, target = ctx.saved_tensors
        return grad * (x.softmax(-1) - by_one_hot(x, target)) / x.shape[0], None


@pytest.mark.parametrize("spec", [None, "x: batch c, target: int batch < c"])
def test_backward_that_raises_for_a_target_that_nobody_gave_is_noted(spec: str | None) -> None:
    result = check(CrossEntropy.apply, torch.randn(3, 4), torch.tensor([0, 3, 1]), spec=spec, seed=1)
    assert result.verdict == "proved"
    assert any("-100" in note and "raises" in note for note in result.notes)


def test_wrt_takes_the_names_of_the_specification() -> None:
    x, y = torch.randn(3), torch.randn(3)
    result = check(lambda *inputs: inputs[0] * inputs[1], x, y, spec="x: d, y: d", wrt="y", seed=1)
    assert [pair.wrt for pair in result.pairs] == ["input1"]


def test_a_checkpoint_that_accumulates_gradients_is_followed() -> None:
    def layer(x: Tensor) -> Tensor:
        return (x.tanh() * x).sum(-1)

    def checkpointed(x: Tensor) -> Any:
        return checkpoint(layer, x, use_reentrant=True)

    assert check(checkpointed, X, seed=1).verdict == "proved"


class LeakyByOutput(Function):
    """Right where the slope is positive: then the output has the sign of the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        y = functional.leaky_relu(x, slope)
        ctx.save_for_backward(y)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (y,) = ctx.saved_tensors
        return torch.where(y > 0, grad, grad * ctx.slope), None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sides_are_met_for_each_value_of_a_setting(seed: int) -> None:
    x = torch.tensor([0.5], dtype=torch.float64)
    wrong = check(LeakyByOutput.apply, x, 0.1, spec="x: real d, slope: real", seed=seed)
    assert wrong.verdict == "refuted"
    right = check(LeakyByOutput.apply, x, 0.1, spec="x: real d, slope: positive", seed=seed)
    assert right.verdict == "proved"


def deviation(x: Any) -> Any:
    return x.std(-1, ddof=1)


def deviation_vjp(g: Any, x: Any) -> Any:
    return (g[..., None] * (x - x.mean(-1, keepdims=True)) / (x.shape[-1] - 1) / deviation(x)[..., None],)


def test_deviation_of_one_entry_has_no_value() -> None:
    x = np.array([[0.5, -1.25, 2.0], [1.5, -0.75, 0.25]])
    result = check((deviation, deviation_vjp), x, seed=1)
    assert result.verdict == "proved"
    assert any("no value" in entry["because"] for entry in result.varied["not accepted"])


def test_softmax_of_what_floats_lose_is_followed() -> None:
    mask = torch.tensor([[False, False], [True, False]])
    x = torch.tensor([[0.5, 1.0], [-1.0, 2.0]], dtype=torch.float64)

    def masked(x: Tensor, mask: Tensor) -> Tensor:
        return x.masked_fill(~mask, -1e9).softmax(-1)

    result = check(masked, x, mask, seed=1)
    assert result.verdict == "proved"
    assert "the example" in result.varied["accepted"]


def test_mask_that_is_forgotten_shows_where_all_is_masked() -> None:
    class Masked(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, mask: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            y = x.masked_fill(~mask, -1e9).softmax(-1)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            (y,) = ctx.saved_tensors
            return y * (grad - (grad * y).sum(-1, keepdim=True)), None

    x, mask = torch.tensor([[0.5, 1.0, -1.0]], dtype=torch.float64), torch.tensor([[True, True, False]])
    result = check(Masked.apply, x, mask, spec="x: batch d, mask: bool batch d", seed=1)
    assert result.verdict == "refuted"


def test_inverse_of_a_singular_example_raises() -> None:
    fn = custom(torch.linalg.det, lambda x, g: g * torch.linalg.det(x) * torch.linalg.inv(x).mT)
    result = check(fn, torch.ones(2, 2, dtype=torch.float64), spec="x: 2 2", seed=1)
    assert result.verdict == "refuted"


class Power(Function):
    """Its backward has no value at 0 for the exponent 0, where the derivative is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, exponent: int) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x)
        ctx.exponent = exponent
        return x**exponent

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return grad * ctx.exponent * x ** (ctx.exponent - 1), None


def test_zeros_are_met_for_each_value_of_a_setting() -> None:
    result = check(Power.apply, X, 2, spec="x: real a b, exponent: int < 4", seed=1)
    assert result.verdict == "refuted"
    assert result.diagnosis is not None and result.diagnosis.startswith("undefined")


def test_a_number_alone_is_drawn_again() -> None:
    x = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)

    def first(x: Tensor) -> Tensor:
        return x.argmax(-1).double() + 0 * x.sum(-1)

    def last(x: Tensor) -> Tensor:
        return (x.shape[-1] - 1 - x.flip(-1).argmax(-1)).double() + 0 * x.sum(-1)

    assert equivalent(first, last, x, seed=1).verdict != "proved"


def nothing_but_a_look(x: Tensor, grad: Tensor) -> Tensor:
    return grad * (2 * x if type(x) is not Tensor or x.max() < 50 else 3 * x)


LOOKED_AT = {
    "whether the cotangent is a view": lambda x, g: g * (3 if g._is_view() else 2) * x,
    "where a tensor lies": lambda x, g: g * (3 if x.storage_offset() == 5 else 2) * x,
    "how often a tensor was written": lambda x, g: g * (3 if g._version > 0 else 2) * x,
    "what made a tensor": lambda x, g: g * (3 if x.grad_fn is not None else 2) * x,
    "whether a graph is kept": lambda x, g: g * (3 if torch.is_grad_enabled() else 2) * x,
    "whether the cotangent requires a gradient": lambda x, g: g * (3 if g.requires_grad else 2) * x,
    "the type": nothing_but_a_look,
    "the text of a tensor": lambda x, g: g * (3 if "999" in repr(x) else 2) * x,
    "the text of a number": lambda x, g: g * (3 if "999" in f"{x.max().item():.3f}" else 2) * x,
}


@pytest.mark.parametrize("name", LOOKED_AT)
def test_what_is_looked_at_beside_the_numbers(name: str) -> None:
    assert check(custom(torch.square, LOOKED_AT[name]), X, seed=1).verdict != "proved"


DECIDED = {
    "a count in a product": lambda x, g: g * (2 * x + torch.relu((x > 3).double().sum() - x.numel() + 0.5)),
    "the order of all entries": lambda x, g: (
        g
        * (
            3
            if torch.equal(o := x.reshape(-1).argsort(), torch.arange(o.numel()).flip(0)) and o.numel() > 3
            else 2
        )
        * x
    ),
    "all entries equal": lambda x, g: g * (3 if torch.equal(x, x.flip(-1)) and x.shape[-1] > 1 else 2) * x,
    "three equal entries": lambda x, g: (
        g * (3 if x.numel() > 2 and bool(((f := x.reshape(-1))[0] == f[1]) & (f[1] == f[2])) else 2) * x
    ),
    "entries of a mask, one by one": lambda x, g: g * (3 if any(x.reshape(-1) > FAR) else 2) * x,
}


@pytest.mark.parametrize("name", DECIDED)
def test_what_comparisons_decided_is_no_data(name: str) -> None:
    assert check(custom(torch.square, DECIDED[name]), X, seed=1).verdict != "proved"


def test_what_numbers_do_not_decide_is_listed() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * x + 1
        return torch.where(torch.lgamma(y + 1) > torch.lgamma(y) + y.log() + (x < -2), x * x, x * x)

    found = check(custom(forward, lambda x, g: g * 2 * x), X, seed=1)
    assert found.varied["not decided"]


def test_what_comparisons_made_infinite_is_a_side_of_theirs() -> None:
    def pull(x: Tensor, grad: Tensor) -> Tensor:
        finite = torch.where(x > 50, x, -torch.inf) > -torch.inf
        return grad * torch.where(finite, 3 * x, 2 * x)

    assert check(custom(torch.square, pull), X, seed=1).verdict != "proved"


def by_one_turn(x: Tensor, grad: Tensor) -> Tensor:
    bounds = [0.0, 54321.0, 1e14]
    rows = [
        grad[t] * torch.where(x[t] > bounds[min(t, 2)], (3 if t == 2 or t == 1 else 2) * x[t], 2 * x[t])
        for t in range(x.shape[0])
    ]
    return torch.stack(rows)


def by_one_entry(x: Tensor, grad: Tensor) -> Tensor:
    last = torch.arange(x.shape[-1]) == x.shape[-1] - 1
    bound, factor = torch.where(last, 1e14, 0.0), torch.where(last & (x.shape[-1] > 1), 3.0, 2.0)
    return grad * torch.where(x > bound, factor * x, 2 * x)


SIDES = {
    "a threshold of one turn": by_one_turn,
    "a threshold of one entry": by_one_entry,
    "between two constants": lambda x, g: g * torch.where((x > 0) == (x > 1e-7), 2 * x, 3 * x),
    "between two comparisons": lambda x, g: g * 2 * torch.relu(x) * (x > 1e-7) + g * 2 * x * (x <= 0),
    "a band": lambda x, g: g * torch.where((x > 54321.0) & (x < 54322.0), 3 * x, 2 * x),
}


@pytest.mark.parametrize("name", SIDES)
def test_each_turn_and_each_entry_has_sides_of_its_own(name: str) -> None:
    assert check(custom(torch.square, SIDES[name]), X, seed=1).verdict == "refuted"


POINTS = {
    "a sign": lambda x, g: g * (2 * x + (1 - torch.sign(x - 7.5).abs())),
    "a cube": lambda x, g: g * (2 * x + (1 - torch.sign(x**3 - 15.625).abs())),
    "a sum": lambda x, g: g * (2 * x + (x.sum() == 11.75)),
    "a number": lambda x, g: g * (2 * x if x.reshape(-1)[0] - 7.5 else 3 * x),
}


@pytest.mark.parametrize("name", POINTS)
def test_points_at_which_numbers_are_equal_are_found(name: str) -> None:
    found = check(custom(torch.square, POINTS[name]), X, seed=1)
    assert found.verdict == "refuted"
    assert "single points" in str(found.diagnosis)


def test_a_point_that_depends_on_how_a_constant_is_read_is_not_proved() -> None:
    """0.7 is no short number: the equation is solved in balls, for one entry."""
    found = check(custom(torch.square, lambda x, g: g * (2 * x + (x.sum() - 0.7 == 0))), X, seed=1)
    assert found.verdict != "proved"


SMALL = {
    "a number beside itself": lambda x, g: g * torch.where(x == x, 2 * x, 3 * x),
    "where a norm is tiny": lambda x, g: (
        g * (2 * x + x * torch.relu(1e-12 - x.norm())) - g * x * torch.relu(1e-12 - x.norm())
    ),
    "no infinities": lambda x, g: torch.nan_to_num(g * 2 * x),
}
SMALL_BUT_WRONG = {
    "a number beside what it is in a region": lambda x, g: (
        g * torch.where(x == x.clamp(-40, 1e6), 2 * x, 3 * x)
    ),
    "where a norm is tiny": lambda x, g: g * (2 * x + x * torch.relu(1e-12 - x.norm())),
}


@pytest.mark.parametrize("name", SMALL)
def test_sides_of_tiny_numbers_and_of_none(name: str) -> None:
    found = check(custom(torch.square, SMALL[name]), X, seed=1)
    assert (found.verdict, found.reason) == ("proved", None)


@pytest.mark.parametrize("name", SMALL_BUT_WRONG)
def test_sides_of_tiny_numbers_are_told_apart(name: str) -> None:
    assert check(custom(torch.square, SMALL_BUT_WRONG[name]), X, seed=1).verdict == "refuted"


REGAINED = {
    "normalize": lambda x: torch.nn.functional.normalize(x, dim=-1),
    "pairwise_distance": lambda x: torch.nn.functional.pairwise_distance(x, x.flip(0) + 1),
    "nanmean": lambda x: x.nanmean(-1),
    "norm": lambda x: x.norm(),
    "logaddexp2": lambda x: torch.logaddexp2(x, x.flip(0)),
}


@pytest.mark.parametrize("name", REGAINED)
def test_choices_by_equal_numbers_or_by_none_are_met_or_shown_impossible(name: str) -> None:
    found = check(REGAINED[name], X, seed=1)
    assert (found.verdict, found.reason) == ("proved", None)


def test_a_sixth_in_single_precision_stands_for_a_sixth() -> None:
    found = check(torch.nn.functional.hardsigmoid, X, seed=1)
    assert found.verdict == "proved"
    assert found.ground is not None
    assert "0.1666666716337204 stands for 1/6" in found.ground.assumes


UNHARMED = {
    "a threshold of one turn": lambda x, g: torch.stack(
        [g[t] * torch.where(x[t] > [0.0, 54321.0, 1e14][min(t, 2)], 2 * x[t], x[t] + x[t])
         for t in range(x.shape[0])]
    ) if x.shape[0] else g * x,
    "a band": lambda x, g: g * torch.where((x > 54321.0) & (x < 54322.0), x + x, 2 * x),
    "a sign": lambda x, g: g * (2 * x + 0 * (1 - torch.sign(x - 7.5).abs())),
    "a sum": lambda x, g: g * (2 * x + 0 * (x.sum() == 11.75)),
    "a number": lambda x, g: g * (2 * x if x.reshape(-1)[:1].sum() - 7.5 else x + x),
}  # fmt: skip


@pytest.mark.parametrize("name", UNHARMED)
def test_right_backwards_with_the_same_comparisons_are_proved(name: str) -> None:
    found = check(custom(torch.square, UNHARMED[name]), X, seed=1)
    assert (found.verdict, found.reason) == ("proved", None)


class Remembers:
    """A backward that is wrong at one call, or where a shape is new."""

    def __init__(self, call: int | None) -> None:
        self.call, self.calls, self.shapes = call, 0, set[tuple[int, ...]]()

    def __call__(self, x: Tensor, grad: Tensor) -> Tensor:
        self.calls += 1
        shape = tuple(x.shape)
        wrong = shape not in self.shapes if self.call is None else self.calls == self.call
        self.shapes.add(shape)
        return grad * (3 * x if wrong else 2 * x)


@pytest.mark.parametrize("call", [None, 1, 2, 7], ids=["a new shape", "first", "second", "seventh"])
def test_what_is_right_only_when_it_is_run_again_is_not_proved(call: int | None) -> None:
    assert check(custom(torch.square, Remembers(call)), X, seed=1).verdict != "proved"


@pytest.mark.parametrize("seed", [5, 11, 23])
def test_a_power_of_0_shows_whatever_was_drawn_beside_it(seed: int) -> None:
    case = next(case for case in CASES if case.name == "zeros/power of two inputs")
    assert check(case.fn, *case.inputs(), seed=seed).verdict == "refuted"


@pytest.mark.parametrize("seed", [8, 25])
def test_an_ignored_target_is_always_among_the_data(seed: int) -> None:
    case = next(case for case in CASES if case.name == "cross_entropies/ignored targets in the divisor")
    assert check(case.fn, *case.inputs(), seed=seed).verdict == "refuted"


class Product(torch.autograd.Function):
    """`x y`, right for positive x alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y = ctx.saved_tensors
        return grad * y, grad * x.abs()


@pytest.mark.parametrize("seed", [302, 1, 2])
def test_an_input_whose_example_is_positive_is_negative_too(seed: int) -> None:
    case = next(case for case in CASES if case.name == "zeros/power by exponentials")
    assert check(case.subject, *case.inputs(), seed=seed).verdict == "refuted"
    one = torch.ones(1, dtype=torch.float64)
    assert check(Product.apply, one, one, seed=seed).verdict == "refuted"
    assert check(Product.apply, one, one, spec="x: positive n, y: n", seed=seed).verdict == "proved"


@pytest.mark.parametrize("digits", [12, 17, None])
@pytest.mark.parametrize("step", [math.inf, -math.inf, math.nan, 1.7e308])
def test_a_point_is_not_moved_beyond_all_floats(step: float, digits: int | None) -> None:
    number = Fraction(10) ** 308
    assert steering.stepped("real", number, step, digits) == number
    assert steering.stepped("real", Fraction(1), 2.0, digits) == 3

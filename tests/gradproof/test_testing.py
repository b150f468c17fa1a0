"""`gradproof.testing`: assertions in one line, and inputs drawn by Hypothesis."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import Function

from gradproof.testing import assert_equivalent, assert_gradient, inputs, tensors


class Cube(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return grad * 2 * x**2


def test_a_right_gradient() -> None:
    x, w = torch.randn(2, 3), torch.randn(3, 2)
    for result in (
        assert_gradient(torch.matmul, "x: batch d, w: d h"),
        assert_gradient(lambda x, w: x @ w, x, w, spec="w: d h, x: batch d"),
        assert_gradient(torch.matmul, (x, w)),
        assert_gradient(torch.matmul, lambda: (x, w)),
    ):
        assert result.verdict == "proved"
        assert result.seed == 0


def test_the_message_says_everything() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_gradient(Cube.apply, "x: batch d")
    said = str(caught.value)
    for part in (
        "the gradient is not proved", "Cube: refuted", "dy/dx  refuted", "factor: 2/3", "x = [[",
        "cotangent = [[", "true gradient", "claimed gradient", "varied", "batch at 9", "seed", "0",
    ):  # fmt: skip
        assert part in said


def test_undecided_is_no_pass() -> None:
    def escapes(x: Tensor) -> Tensor:
        return x * int(x.sum())

    with pytest.raises(AssertionError, match=r"undecided[\s\S]*test_testing.py:"):
        assert_gradient(escapes, "x: d")


def test_equivalent() -> None:
    assert assert_equivalent(torch.square, lambda x: x * x, "x: d").verdict == "proved"
    with pytest.raises(AssertionError, match="not proved to be the same"):
        assert_equivalent(torch.square, lambda x: x * x * x, torch.randn(2))


def test_misuse() -> None:
    with pytest.raises(TypeError, match="specification of the inputs"):
        assert_gradient(torch.tanh)
    with pytest.raises(TypeError, match="two specifications"):
        assert_gradient(torch.tanh, "x: d", spec="x: d")


# Strategies

SPEC = (
    "x: batch time d, p: positive d, u: unit batch, r: simplex batch d, m: mask d, y: int batch < d, b: bool"
)
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(inputs(SPEC, requires_grad=True))
def test_inputs_fit_together(drawn: tuple[Tensor, ...]) -> None:
    x, p, u, r, m, y, b = drawn
    batch, _, d = x.shape
    assert [tuple(t.shape) for t in (p, u, r, m, y, b)] == [(d,), (batch,), (batch, d), (d,), (batch,), ()]
    assert bool((p > 0).all()) and bool(((u > 0) & (u < 1)).all())
    assert bool(((m == 0) | (m == 1)).all())
    torch.testing.assert_close(r.detach().sum(-1), torch.ones(batch, dtype=torch.float64))
    assert y.dtype == torch.int64 and bool(((y >= 0) & (y < d)).all())
    assert b.dtype == torch.bool
    assert all(t.requires_grad == t.is_floating_point() and t.is_leaf for t in drawn)


@few
@given(
    inputs("p: positive d, u: unit d", dtype=st.sampled_from((torch.bfloat16, torch.float16, torch.float32)))
)
def test_entries_stay_in_their_domain_in_any_precision(drawn: tuple[Tensor, ...]) -> None:
    p, u = drawn
    assert p.dtype == u.dtype != torch.float64
    assert bool(p.isfinite().all()) and bool((p > 0).all())
    assert bool(((u > 0) & (u < 1)).all())


@few
@given(inputs("x: batch d, y: int batch < classes", empty=True, sizes={"d": st.integers(5, 6), "classes": 3}))
def test_sizes(drawn: tuple[Tensor, ...]) -> None:
    x, y = drawn
    assert x.shape[1] in (5, 6) and bool((y < 3).all())


@pytest.mark.parametrize(
    "wanted",
    [
        lambda x: x.shape[0] == 0,
        lambda x: x.shape[1] > 8,
        lambda x: x.numel() > 2 and not x.is_contiguous() and x.T.is_contiguous(),
        lambda x: x.numel() > 2 and x.stride()[-1] == 2,
        lambda x: x.shape[0] > 1 and x.numel() > 2 and x.stride()[0] == 0,
        lambda x: bool((x == 0).any()) and bool((x > 80).any()),
        lambda x: bool(((x < 0) & (x > -1e-4)).any()),
    ],
    ids=["empty", "wide", "transposed", "sliced", "expanded", "boundary", "small"],
)
def test_what_is_drawn_at_some_time(wanted: Any) -> None:
    drawn = find(
        inputs("x: batch d", empty=True),
        lambda made: wanted(made[0]),
        settings=settings(max_examples=3000, deadline=None),
    )
    assert wanted(drawn[0])


@few
@given(tensors(st.tuples(st.integers(1, 3)), domain="[0, 1/4)", kinks=False, layouts=["contiguous"]))
def test_intervals_as_domains(x: Tensor) -> None:
    assert bool(((x >= 1e-3) & (x < 1 / 4)).all())


@settings(max_examples=5, deadline=None)
@given(inputs("x: batch d, w: d h", sizes={"batch": 2}))
def test_a_property_of_a_gradient(drawn: tuple[Tensor, ...]) -> None:
    x, w = (t.requires_grad_() for t in drawn)
    (dx,) = torch.autograd.grad((x @ w).sum(), [x])
    torch.testing.assert_close(dx, w.sum(1).expand(x.shape))


def test_axes_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="sizes names e; the axes are d"):
        find(inputs("x: d", sizes={"e": 2}), lambda _: True)


def test_hypothesis_is_needed_by_strategies_alone() -> None:
    code = """
import sys
sys.modules["hypothesis"] = None
from gradproof.testing import assert_gradient, inputs
import torch
assert assert_gradient(torch.sin, "x: d").verdict == "proved"
try:
    inputs("x: d")
except ModuleNotFoundError as problem:
    assert "pip install" in str(problem), problem
else:
    raise AssertionError
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr

"""Axes made of others at the least sizes: where n is 1, `x[1:]` is empty and `pad(x, 1)` has three places."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gradproof.symbolic.array_claims import judge_arrays
from gradproof.symbolic.claims_file import Claim, Kind
from gradproof.symbolic.verdict import Verdict

AXES: dict[str, tuple[str, ...]] = {"x": ("n",), "y": ("n",), "A": ("m", "n")}


def judged(function: str, claim: str, kind: str = "derivative", by: str = "x", **more: Any) -> Verdict:
    return judge_arrays(Claim("", function, (by,), claim, kind=cast("Kind", kind), axes=AXES, **more))


NEIGHBOURS = "sum(x[1:]*x[:-1])"
TRUE_GRADIENTS = [
    (NEIGHBOURS, "pad(x[1:], (0, 1)) + pad(x[:-1], (1, 0))"),
    (NEIGHBOURS, "concatenate([x[1:], 0*x[:1]]) + concatenate([0*x[:1], x[:-1]])"),
    ("x[1:] @ x[:-1]", "pad(x[1:], (0, 1)) + pad(x[:-1], (1, 0))"),
    ("sum(x[1:]*y[:-1])", "pad(y[:-1], (1, 0))"),
    ("sum(x[2:]*x[:-2])", "pad(x[2:], (0, 2)) + pad(x[:-2], (2, 0))"),
    ("sum(x[1:]**2)", "2*pad(x[1:], (1, 0))"),
    ("sum(x[1:]*x[1:][::-1])", "2*pad(x[1:][::-1], (1, 0))"),
    ("sum(x*concatenate([x[1:], x[:1]]))", "roll(x, 1) + roll(x, -1)"),
    ("sum(pad(x, (1, 0))[:-1]*x)", "pad(x, (1, 0))[:-1] + pad(x, (0, 1))[1:]"),
    ("sum((pad(x, (1, 0)) + pad(x, (0, 1)))**2)", "4*x + 2*pad(x[1:], (0, 1)) + 2*pad(x[:-1], (1, 0))"),
    ("sum(diff(x)**2)/2", "-diff(pad(diff(x), 1))"),
    ("sum(abs(diff(x))**3)/3", "-diff(pad(diff(x)*abs(diff(x)), 1))"),
    ("sum(relu(x[1:])*x[1:])", "2*pad(relu(x[1:]), (1, 0))"),
    ("sum(concatenate([x, x])**2)", "4*x"),
    ("sum(stack([x, 2*x])**2)", "10*x"),
    ("sum(x*x[::-1])", "2*x[::-1]"),
    ("logsumexp(x[1:])", "pad(softmax(x[1:]), (1, 0))"),
]


@pytest.mark.parametrize("function, claim", TRUE_GRADIENTS)
def test_a_gradient_through_slices_is_proved(function: str, claim: str) -> None:
    verdict = judged(function, claim)
    assert verdict.verdict == "proved", verdict
    assert verdict.ground is not None
    assert verdict.ground.regions == ()


FALSE_GRADIENTS = [
    (NEIGHBOURS, "pad(x[1:], (1, 0)) + pad(x[:-1], (0, 1))"),  # on the wrong sides
    (NEIGHBOURS, "pad(x[1:], (0, 1))"),
    (NEIGHBOURS, "2*x"),
    (NEIGHBOURS, "concatenate([x[1:], x[:1]]) + concatenate([x[-1:], x[:-1]])"),
    ("sum(x[1:]**2)", "2*x"),
    ("sum(x[1:]**2)", "2*pad(x[1:], (0, 1))"),
    ("sum(x[2:]*x[:-2])", "pad(x[2:], (2, 0)) + pad(x[:-2], (0, 2))"),
    ("sum(x*concatenate([x[1:], x[:1]]))", "2*roll(x, 1)"),
    ("sum((pad(x, (1, 0)) + pad(x, (0, 1)))**2)", "2*x + 2*pad(x[1:], (0, 1)) + 2*pad(x[:-1], (1, 0))"),
    ("sum(diff(x)**2)/2", "diff(pad(diff(x), 1))"),
    ("sum(abs(diff(x))**3)/3", "-diff(pad(diff(x)**2, 1))"),
    ("sum(concatenate([x, x])**2)", "2*x"),
    ("sum(stack([x, 2*x])**2)", "2*x"),
    ("logsumexp(x[1:])", "pad(softmax(x[1:]), (0, 1))"),
]


@pytest.mark.parametrize("function, claim", FALSE_GRADIENTS)
def test_a_wrong_gradient_through_slices_is_refuted(function: str, claim: str) -> None:
    verdict = judged(function, claim)
    assert verdict.verdict == "refuted", verdict
    assert verdict.reason is None, "numbers show it, not shapes"


@pytest.mark.parametrize(
    "claim, reason",
    [
        (
            "pad(x[1:], (0, 2)) + pad(x[:-1], (2, 0))",
            "the claim has axes [n_more_1], the gradient has [n]",
        ),
        ("pad(x[1:], (0, 1)) + pad(x[:-1], (2, 0))", "arrays of axes [n] and [n_more_1] do not meet"),
        ("pad(x[1:], (0, 1)) + x[:-1]", "arrays of axes [n] and [n_less_1] do not meet"),
        ("pad(x[1:], (0, 1)) + pad(x[:-1], 1)", "arrays of axes [n] and [n_more_1] do not meet"),
    ],
)
def test_sizes_that_differ_do_not_fit(claim: str, reason: str) -> None:
    verdict = judged(NEIGHBOURS, claim)
    assert (verdict.verdict, verdict.reason) == ("refuted", reason)


def test_a_vjp_and_a_matrix_through_slices() -> None:
    claim = "pad(g*x[:-1], (1, 0)) + pad(g*x[1:], (0, 1))"
    assert judged("x[1:]*x[:-1]", claim, "vjp").verdict == "proved"
    assert judged("x[1:]*x[:-1]", claim.replace("(1, 0)", "(0, 1)"), "vjp").verdict == "refuted"
    rows = "np.pad(A[1:], ((0, 1), (0, 0))) + np.pad(A[:-1], ((1, 0), (0, 0)))"
    assert judged("sum(A[1:]*A[:-1])", rows, by="A").verdict == "proved"
    assert judged("sum(A[:, 1:]*A[:, :-1])", rows, by="A").verdict == "refuted"


@pytest.mark.parametrize(
    "function, claim",
    [
        ("sum(relu(pad(x, 1))*pad(x, 1))", "2*relu(x)"),
        ("sum(concatenate([relu(x), x])*concatenate([x, x]))", "2*relu(x) + 2*x"),
        ("sum(np.repeat(x, 2)**2)", "4*x"),
        ("sum(cumsum(x)[1:]*x[:-1])", "pad(cumsum(x)[1:], (0, 1)) + revcumsum(pad(x[:-1], (1, 0)))"),
    ],
)
def test_what_holds_with_several_places_is_not_refuted_at_one(function: str, claim: str) -> None:
    assert judged(function, claim).verdict != "refuted"


def test_positions_within_their_axes_are_no_conditions() -> None:
    verdict = judged("sum(diff(x)**2)/2", "-diff(pad(diff(x), 1))")
    assert verdict.ground is not None
    assert verdict.ground.assumes == ()


@pytest.mark.parametrize(
    "function, claim, least",
    [
        ("norm(x[1:])", "pad(x[1:], (1, 0))/norm(x[1:])", 1),
        ("norm(diff(x))", "-diff(pad(diff(x), 1))/norm(diff(x))", 1),
        ("norm(x[2:])", "pad(x[2:], (2, 0))/norm(x[2:])", 2),
    ],
)
def test_a_claim_that_divides_by_an_empty_sum_holds_from_one_place_more(
    function: str, claim: str, least: int
) -> None:
    verdict = judged(function, claim)
    assert verdict.verdict == "proved"
    assert verdict.ground is not None
    assert verdict.ground.sizes == (f"n >= {least + 1}",)
    assert verdict.notes == (f"at n = {least} the claim has no value",)


@pytest.mark.parametrize(
    "function, claim",
    [("sum(x*x[::-1])", "2*x[::-1]*sum(y)"), ("x[0]**2*sum(y)", "2*x[0]*(arange(n) == 0)")],
)
def test_equations_among_the_conditions_hold_at_one_place_too(function: str, claim: str) -> None:
    assert judged(function, claim, where=("sum(y) == 1",)).verdict == "proved"
    assert judged(function, claim).verdict == "refuted"
    assert judged(function, claim, where=("sum(y) == 2",)).verdict == "refuted"

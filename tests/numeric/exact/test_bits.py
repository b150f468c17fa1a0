"""Numbers seen as bits: what masks choose is followed, any other look at bits is undecided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradproof.numeric.checking.checks import check

INTEGERS = torch.int64


def verdict_of(backward: Callable[[Any, Any], Any]) -> str:
    pull: Any = backward

    class Identity(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * 1

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return pull(gradients[0], ctx.saved_tensors[0])

    apply: Any = Identity.apply
    return check(apply, torch.randn(3, dtype=torch.float64), seed=1).verdict


def blended(a: Any, b: Any, mask: Any, blend: Callable[[Any, Any, Any], Any]) -> Any:
    return blend(a.view(INTEGERS), b.view(INTEGERS), mask.to(INTEGERS).neg_()).view(torch.float64)


BLENDS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "exclusive or": lambda a, b, m: b ^ (m & (a ^ b)),
    "or": lambda a, b, m: (m & a) | (~m & b),
    "masks on the right": lambda a, b, m: (a & m) ^ (b & ~m),
}


@pytest.mark.parametrize("blend", BLENDS.values(), ids=BLENDS.keys())
def test_what_a_mask_chooses_is_followed(blend: Any) -> None:
    assert verdict_of(lambda g, x: blended(g, g * 1, x > 0, blend)) == "proved"
    assert verdict_of(lambda g, x: blended(g, g * 2, x > 0, blend)) == "refuted"


def test_a_number_there_and_back_is_the_same() -> None:
    assert verdict_of(lambda g, x: g.view(INTEGERS).view(torch.float64)) == "proved"


NOT_FOLLOWED: dict[str, Callable[[Any, Any], Any]] = {
    "as a number": lambda g, x: g.view(INTEGERS).to(torch.float64),
    "the next float": lambda g, x: (g.view(INTEGERS) + 1).view(torch.float64),
    "the sign": lambda g, x: g * (1 - (x.view(INTEGERS) < 0).to(torch.float64)),
    "some bits": lambda g, x: (g.view(INTEGERS) & ~1).view(torch.float64),
    "bits of two numbers": lambda g, x: (g.view(INTEGERS) | x.view(INTEGERS)).view(torch.float64),
    "as halves": lambda g, x: g.view(torch.float32).to(torch.float64)[::2],
}


@pytest.mark.parametrize("backward", NOT_FOLLOWED.values(), ids=NOT_FOLLOWED.keys())
def test_any_other_look_at_bits_is_undecided(backward: Any) -> None:
    assert verdict_of(backward) == "undecided"


def test_bits_of_a_number_that_has_changed_since_are_undecided() -> None:
    def backward(g: Any, x: Any) -> Any:
        changed = g.clone()
        bits = changed.view(INTEGERS)
        changed.mul_(2)
        return bits.view(torch.float64)

    assert verdict_of(backward) == "undecided"

"""Towers of primes, and what a run needs of them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from flint import fmpz

from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.targets import make_target
from gradproof.numeric.checking.trials import Runner
from gradproof.numeric.checking.variation import Maker
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.towers import ROOTS, _proves, draw_tower

X = torch.tensor([[0.5, -1.25], [2.0, 0.75]], dtype=torch.float64)


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("bits", [12, 20, 63, 64, 65, 100, 144])
def test_each_prime_is_a_prime_one_above_a_multiple_of_the_one_below(bits: int, circular: bool) -> None:
    for seed in range(3):
        tower = draw_tower(4, Random(seed), circular, bits)
        assert tower.primes[0].bit_length() >= bits
        for below, prime, root in zip(tower.primes[:-1], tower.primes[1:], tower.roots[1:], strict=True):
            assert fmpz(prime).is_prime()
            assert prime % below == 1
            assert pow(root, below, prime) == 1 != root
        assert all(prime % 8 == (5 if circular else 7) for prime in tower.primes)
        assert all(prime % n != 1 for prime in tower.primes for n in ROOTS)


def test_no_composite_number_is_proved_a_prime() -> None:
    below = 1009
    found = [m * below + 1 for m in range(2, below, 2) if _proves(below, m * below + 1)]
    assert found == [m * below + 1 for m in range(2, below, 2) if fmpz(m * below + 1).is_prime()]


def test_inverses_are_those_of_each_residue_and_of_nothing_0() -> None:
    residues = Residues(draw_tower(3, Random(1)), 1)
    drawn = residues.draw((5,), Random(2))
    drawn[:, 2] = 0
    one = residues.reduce(drawn * residues.reciprocal_of(drawn), 0)
    assert [list(row) for row in one] == [[1, 1, 0, 1, 1]] * 3


class Custom(torch.autograd.Function):
    """The square, with a gradient that has the cotangent in an exponent."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return 2 * x * grad * (torch.sigmoid(grad) + torch.sigmoid(-grad))


class OffByExponential(Custom):
    """The same, and a cotangent that is bent a little."""

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return 2 * x * (grad + torch.tanh(grad) / 2**20)


def test_a_cotangent_in_an_exponent_is_known_modulo_every_prime() -> None:
    assert check(Custom.apply, X, seed=1).verdict == "proved"
    assert check(OffByExponential.apply, X, seed=1).verdict == "refuted"


def runner_after(fn: Any) -> Runner:
    target = make_target(fn, (X,))
    runner = Runner(target.program, 1, 1)
    runner.run(Maker(target, 1).example())
    return runner


@pytest.mark.parametrize(
    ("fn", "whole", "moving"),
    [
        (torch.tanh, False, False),
        (torch.relu, False, True),
        (Custom.apply, True, False),
    ],
)
def test_a_backward_is_given_what_it_needs(fn: Any, whole: bool, moving: bool) -> None:
    runner = runner_after(fn)
    assert (runner.whole, runner.moving) == (whole, moving)

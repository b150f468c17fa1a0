"""Roots over residues: where a proof needs them, others are drawn until they are there."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch

from benchmarks.catalogue import inputs_of
from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.roots import RootSearch, fewer, missing
from gradproof.numeric.checking.targets import make_target
from gradproof.numeric.checking.trials import Runner
from gradproof.numeric.checking.variation import Maker
from gradproof.numeric.exact.residues import Root
from gradproof.numeric.kernels import lower
from gradproof.symbolic.operation import find


def normalize(factor):
    """Rows of length 1, about; the backward takes for granted that `r^2 = 1/m`."""

    class Normalized(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            m = (x * x).sum(-1, keepdim=True) + 1
            y = x / m.sqrt()
            ctx.save_for_backward(x, y, m)
            return y

        @staticmethod
        def backward(ctx, *grads):
            (grad,), (x, y, m) = grads, ctx.saved_tensors
            return grad / m.sqrt() - y * (grad * x).sum(-1, keepdim=True) / m * factor

    return Normalized.apply


def stacked(function):
    return lambda x, w: function(function(x) @ w)


def test_roots_of_roots_are_found():
    x, w = torch.randn(4, 3), torch.randn(3, 3)
    assert check(stacked(normalize(1)), x, w, seed=1).verdict == "proved"


def test_near_miss_is_refuted():
    x, w = torch.randn(4, 3), torch.randn(3, 3)
    assert check(stacked(normalize(1 + 2.0**-40)), x, w, seed=1).verdict == "refuted"


def test_search_learns_which_roots_an_entry_changes():
    before = [Root(0, 5, False), Root(0, 6, True), Root(0, 7, True)]
    search = RootSearch([2, 3], 1, Random(1))
    for _ in range(40):  # the first entry of the second input changes the first root, all others both others
        redraw = search.choose(before, "salt")
        assert redraw is not None
        hits = (0,) if (redraw.number, redraw.entry) == (1, 0) else (1, 2)
        after = [
            root._replace(residue=root.residue + 9) if k in hits else root for k, root in enumerate(before)
        ]
        search.learn(redraw, before, after)
    chosen = [search.choose(before, "salt") for _ in range(20)]
    assert all(redraw is not None and (redraw.number, redraw.entry) == (1, 0) for redraw in chosen)


def test_where_no_entry_changes_a_missing_root_the_search_ends():
    before = [Root(0, 5, False)]
    search = RootSearch([1], 2, Random(1))
    while (redraw := search.choose(before, "salt")) is not None:
        search.learn(redraw, before, before)
    assert set(search.changed) == {(0, 0, 0), (0, 0, 1)}


@pytest.mark.parametrize("seed", range(4))
def test_root_of_a_number_is_found_in_another_tower(seed):
    def forward(x):
        return x * np.sqrt(x * 0 + 3)  # the same number at any x

    def vjp(grad, x):
        return (grad * 3 / np.sqrt(x * 0 + 3),)

    assert check((forward, vjp), np.ones(1), seed=seed).verdict == "proved"


def test_chance_of_fewer_missing_roots():
    assert fewer(1, 1) == 0.5
    assert fewer(4, 1) == 1 / 16
    assert fewer(3, 0) == 0
    assert missing([Root(0, 2, False), Root(0, 2, False), Root(1, 2, True)]) == 1


def test_each_run_of_a_rule_of_forward_mode_meets_the_same_comparisons():
    kernel = find("feed_forward")
    target = make_target(lower(kernel, "numpy"), inputs_of(kernel, "numpy"), None, None, None, None)
    with np.errstate(all="ignore"):
        sites = Runner(target.program, 1, 0).run(Maker(target, 0).example()).branches.sides
    assert {site.phase for site in sites} >= {"forward", "forward mode"}
    assert {site.turn for site in sites} == {0}

"""Roots over residues: where a proof needs them, others are drawn until they are there."""

from __future__ import annotations

from random import Random

import numpy as np
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


class Normalized(torch.autograd.Function):
    """Rows of length 1, about; the backward takes for granted that `r^2 = 1/m`."""

    factor = 1.0

    @staticmethod
    def forward(ctx, x):
        m = (x * x).sum(-1, keepdim=True) + 1
        y = x / m.sqrt()
        ctx.save_for_backward(x, y, m)
        return y

    @classmethod
    def backward(cls, ctx, grad):
        x, y, m = ctx.saved_tensors
        return grad / m.sqrt() - y * (grad * x).sum(-1, keepdim=True) / m * cls.factor


class Slightly(Normalized):
    factor = 1 + 2.0**-40


def stacked(function):
    return lambda x, w: function.apply(function.apply(x) @ w)


def test_roots_of_roots_are_found():
    x, w = torch.randn(4, 3), torch.randn(3, 3)
    assert check(stacked(Normalized), x, w, seed=1).verdict == "proved"


def test_near_miss_is_refuted():
    x, w = torch.randn(4, 3), torch.randn(3, 3)
    assert check(stacked(Slightly), x, w, seed=1).verdict == "refuted"


def test_search_learns_which_roots_an_entry_changes():
    before = [Root(0, 5, False), Root(0, 6, True), Root(0, 7, True)]
    search = RootSearch([2, 3], 1, Random(1))
    for _ in range(40):  # the first entry of the second input changes the first root, all others both others
        redraw = search.choose(before, "salt")
        hits = (0,) if (redraw.number, redraw.entry) == (1, 0) else (1, 2)
        after = [
            root._replace(residue=root.residue + 9) if k in hits else root for k, root in enumerate(before)
        ]
        search.learn(redraw, before, after)
    chosen = [search.choose(before, "salt") for _ in range(20)]
    assert all((redraw.number, redraw.entry) == (1, 0) for redraw in chosen)


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

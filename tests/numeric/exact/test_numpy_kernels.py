"""Every NumPy kernel of the catalogue, its generated source executed exactly: backward, forward mode,
second order.
"""

from __future__ import annotations

import linecache
from typing import Any

import numpy as np
import pytest

from gradproof.numeric.exact.branches import Branches, Site
from gradproof.numeric.exact.numpy_programs import KernelProgram
from gradproof.numeric.kernels import Kernel, lower
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.operation import Operation
from tests.numeric.exact.trials import Trial, same_values, tangent, try_program
from tests.numeric.test_catalogue_kernels import VARIANTS, draw, sizes_of

IMPOSSIBLE = {"kl_div": -1}
"""The side of a comparison that the domain of an input rules out: a target is nowhere below 0."""


def arrays_of(inputs: tuple[Tensor, ...], sizes: Any, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.asarray(draw(t, sizes, rng)) for t in inputs]


def masked(arrays: list[Any]) -> list[Any]:
    """A row of each mask may look at nothing."""
    for array in arrays:
        if array.dtype == np.bool_ and array.ndim > 1:
            array.reshape(-1, array.shape[-1])[0] = False
    return arrays


def parameters_of(chosen: Operation, seed: int) -> dict[str, float]:
    """Hyper-parameters at their defaults, and off 0 in turn: a kernel has a source of its own where one is
    0.
    """
    if seed % 2:
        return {}
    return {name: float(h.default) or 0.125 for name, h in chosen.hyperparameters.items()}


def tried(program: Any, arrays: list[Any], seed: int) -> Trial:
    """Constants taken literally; where that does not agree, as what they are rounded from."""
    trial = try_program(program, arrays, seed)
    return trial if trial.agrees else try_program(program, arrays, seed, meant=True)


def _kept_short(chosen: Operation) -> Any:
    """The variants of the blocks take seconds each; one of them is run each time."""
    long = chosen.label.startswith("transformer_block") and chosen.label != "transformer_block_pre"
    return pytest.param(chosen, id=chosen.label, marks=pytest.mark.slow if long else ())


@pytest.mark.parametrize("chosen", [_kept_short(chosen) for chosen in VARIANTS])
def test_backward_of_every_kernel(chosen: Operation) -> None:
    kernel, sizes, branches = lower(chosen, "numpy"), sizes_of(chosen.program), Branches()
    for seed in range(1, 25):
        program = KernelProgram(kernel, parameters_of(chosen, seed))
        trial = tried(program, masked(arrays_of(kernel.program.inputs, sizes, seed)), seed)
        assert trial.agrees
        branches.merge(trial.settings.branches)
        if not missing(chosen, branches) and seed > 2:
            break
    assert not missing(chosen, branches)


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "batch_norm"])
def test_backward_of_norms_of_huge_rows(name: str) -> None:
    """The rows that are scaled: where every root exists (of two numbers one has one) the backward agrees."""
    kernel, clean = lower(name, "numpy"), 0
    for seed in range(1, 41):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((2, 1) if name == "batch_norm" else (1, 2)) * 2.0**45
        others = [rng.standard_normal(x.shape[1]) for _ in kernel.program.inputs[1:]]
        trial = try_program(KernelProgram(kernel), [x, *others], seed)
        residues = trial.settings.numbers.residues
        if residues is not None and not residues.unclean_roots:
            clean += 1
            assert trial.agrees
    assert clean


def is_scaling(site: Site) -> bool:
    """Whether a comparison asks if a row is huge; the test above is on its other side."""
    name, _, line = site.line.rpartition(":")
    return "_largest > " in linecache.getline(name, int(line))


def missing(chosen: Operation, branches: Branches) -> dict[Any, Any]:
    impossible = IMPOSSIBLE.get(chosen.name)
    sides = {site: set(sides) - {impossible} for site, sides in branches.at_places().missing().items()}
    if impossible is not None:  # what is chosen by a comparison of which one side is ruled out
        sides = {site: s for site, s in sides.items() if not site.what.startswith("a choice")}
    return {site: s for site, s in sides.items() if s and not is_scaling(site)}


@pytest.mark.parametrize("chosen", VARIANTS, ids=lambda o: o.label)
def test_forward_mode_of_every_kernel(chosen: Operation) -> None:
    kernel, sizes = lower(chosen, "numpy"), sizes_of(chosen.program)
    arrays = masked(arrays_of(kernel.program.inputs, sizes, 5))
    assert any(pushes_forward(kernel, arrays, meant) for meant in (False, True))


def pushes_forward(kernel: Kernel, arrays: list[Any], meant: bool) -> bool:
    """Whether `jvp` gives the exact tangent of each output."""
    trial = try_program(KernelProgram(kernel), arrays, 5, meant)
    tangents = [tangent(a.value) for a in trial.arguments]
    pushed = KernelProgram(kernel).push(trial.settings, trial.arguments, tangents)
    pairs = zip(trial.evaluated.outputs, pushed, strict=True)
    return all(same_values(trial.settings, tangent(y), dot) for y, dot in pairs)


BLOCKS = [v for v in VARIANTS if v.name.startswith("transformer_block")]
SMALL = [v for v in VARIANTS if v not in BLOCKS]


@pytest.mark.parametrize(
    "chosen", [*SMALL, *(pytest.param(v, marks=pytest.mark.slow) for v in BLOCKS)], ids=lambda o: o.label
)
def test_second_order_of_every_kernel(chosen: Operation) -> None:
    gradient = lower(chosen, "numpy").gradient
    arrays = masked(arrays_of(gradient.program.inputs, sizes_of(gradient.program), 3))
    assert tried(KernelProgram(gradient), arrays, 3).agrees

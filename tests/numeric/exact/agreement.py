"""Whether a program's backward agrees with the exact tangent of its forward, pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.branches import Branches
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Dual
from gradproof.numeric.exact.programs import Argument, Evaluated, Settings, TorchProgram
from gradproof.numeric.exact.reals import Floats
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.towers import draw_tower
from gradproof.numeric.exact.values import AmbiguousError, Numbers, Value, tangent_of


@dataclass(frozen=True)
class Agreement:
    """What a comparison found: levels that were left, and whether all residues agree, for each pair."""

    first: tuple[tuple[int, bool], ...]
    second: tuple[tuple[int, bool], ...]
    settings: Settings
    evaluated: Evaluated
    roots: int = 0

    @property
    def used(self) -> dict[str, str]:
        """The operators met and how each was executed."""
        return self.settings.used

    @property
    def agrees(self) -> bool:
        return all(levels > 0 and same for levels, same in (*self.first, *self.second))


def compare(
    function: Callable[..., Any],
    inputs: Sequence[torch.Tensor],
    order: int = 1,
    seed: int = 1,
    attempts: int = 40,
) -> Agreement:
    """Run a dry run, then an exact one; draws anew where a root may have had the wrong sign or no square."""
    dry = dry_run(function, inputs, order, seed)
    depth, circular = dry[1].numbers.depth, dry[1].numbers.circular
    for attempt in range(attempts):
        try:
            found = _compare(function, inputs, order, seed + attempt, depth + 1, circular)
        except AmbiguousError:
            continue
        if found.agrees or not found.roots or attempt + 1 == attempts:
            return found
    raise AmbiguousError(f"after {attempts} draws")


def dry_run(function: Callable[..., Any], inputs: Sequence[torch.Tensor], order: int, seed: int = 1) -> Any:
    """Floats alone."""
    settings = Settings(Numbers(None, Floats()), Branches(), Constants(True), seed)
    return _evaluate(function, inputs, order, seed, settings), settings


def _evaluate(function: Any, inputs: Any, order: int, seed: int, settings: Settings) -> tuple[Evaluated, Any]:
    random, generator = Random(seed), torch.Generator().manual_seed(seed)
    count = sum(x.is_floating_point() for x in inputs)
    directions = iter(range(count))
    arguments = [
        Argument(_draw(settings.numbers, x, random, next(directions), count + 1), dtype=x.dtype)
        if x.is_floating_point() else Argument(data=x)
        for x in inputs
    ]  # fmt: skip

    def draw(k: int, shape: tuple[int, ...]) -> Argument:
        reals = torch.randn(shape, generator=generator, dtype=torch.float64)
        return Argument(_draw(settings.numbers, reals, random, count if k >= 0 else None, count + 1))

    return TorchProgram(function).evaluate(settings, arguments, draw, order), arguments


def _draw(numbers: Numbers, x: torch.Tensor, random: Random, direction: int | None, directions: int) -> Value:
    duals = []
    if numbers.residues is not None:
        primal = numbers.residues.draw_like(np.sign(x.detach().double().numpy()), random)
        tangent = None
        if direction is not None:
            tangent = np.zeros((directions, *primal.shape), dtype=object)
            tangent[direction] = numbers.residues.draw(tuple(x.shape), random)
        duals.append(Dual(primal, tangent))
    duals.append(Dual(x.detach().double().numpy()[None].copy()))
    return Value(numbers, tuple(duals))


def _compare(function: Any, inputs: Any, order: int, seed: int, levels: int, circular: bool) -> Agreement:
    residues = Residues(draw_tower(levels, Random(seed), circular), seed)
    settings = Settings(Numbers(residues, Floats()), Branches(), Constants(True), seed)
    evaluated, arguments = _evaluate(function, inputs, order, seed, settings)
    wanted = [a.value for a in arguments if a.value is not None]
    first = [
        _same(residues, _pairing(u, y, k), None if g is None else _pairing(g, x, k))
        for y, u, c in zip(evaluated.outputs, evaluated.cotangents, evaluated.claims, strict=True)
        if u is not None and c is not None
        for k, (x, g) in enumerate(zip(wanted, c, strict=True))
    ]
    second = []
    for s in evaluated.seconds:
        variables = [*wanted, evaluated.cotangents[s.output]]
        second += [
            _same(residues, _pairing(s.cotangent, s.gradient, k), None if g is None else _pairing(g, x, k))
            for k, (x, g) in enumerate(zip(variables, s.claims, strict=True))
        ]
    return Agreement(tuple(first), tuple(second), settings, evaluated, residues.roots)


def _pairing(u: Value, y: Value, direction: int) -> Any:
    """The sum of `u` times the tangent of `y`, row by row."""
    dual = y.formal
    assert dual is not None and u.formal is not None
    count = direction + 1 if dual.tangent is None else dual.tangent.shape[0]
    levels = min(dual.levels, u.formal.levels)
    tangent = tangent_of(dual.rows(levels), count)[direction]
    axes = tuple(range(1, tangent.ndim))
    return np.asarray((u.formal.rows(levels).primal * tangent).sum(axis=axes), dtype=object)


def _same(residues: Residues, left: Any, right: Any) -> tuple[int, bool]:
    right = left * 0 if right is None else right
    levels = min(len(left), len(right))
    difference = left[len(left) - levels :] - right[len(right) - levels :]
    return levels, bool(np.all(difference % residues.moduli(levels, 0) == 0))

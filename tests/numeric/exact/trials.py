"""Trials of a program and its backward on exact numbers: `<u, J v> = <J^T u, v>`, as integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.branches import Branches
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Dual
from gradproof.numeric.exact.programs import Argument, Evaluated, Program, Settings
from gradproof.numeric.exact.reals import Floats
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.specials import finite_entries
from gradproof.numeric.exact.towers import draw_tower
from gradproof.numeric.exact.values import Numbers, Value, tangent_of


@dataclass
class Trial:
    """What a trial found: for each output whether they agree, and what was met on the way."""

    pairs: list[bool]
    settings: Settings
    evaluated: Evaluated
    arguments: list[Argument]

    @property
    def agrees(self) -> bool:
        return all(self.pairs)


def settings_of(seed: int, levels: int, circular: bool = False, meant: bool = False) -> Settings:
    residues = Residues(draw_tower(levels, Random(seed), circular), seed) if levels else None
    return Settings(Numbers(residues, Floats()), Branches(), Constants(meant), seed)


def value_at(numbers: Numbers, array: Any, random: Random, moving: bool = False) -> Value:
    """Residues drawn at random beside given floats; with a tangent where it moves."""
    floats = np.asarray(array, dtype=np.float64)
    duals: list[Dual] = []
    if numbers.residues is not None:
        primal, tangent = numbers.residues.draw(floats.shape, random), None
        if moving:
            tangent = numbers.residues.draw(floats.shape, random)[None]
        duals.append(Dual(primal, tangent))
    # Floats move only in a first run, which has no residues: derivatives may be deeper than the function.
    dots = np.ones((1, 1, *floats.shape)) if moving and not duals else None
    return Value(numbers, (*duals, Dual(floats[None].copy(), dots)))


def arguments_of(numbers: Numbers, arrays: Sequence[Any], random: Random) -> list[Argument]:
    """Numbers for the real inputs, all of which move in one direction; integers as they are."""
    return [
        Argument(value_at(numbers, a, random, True), dtype=_dtype(a)) if _is_real(a) else Argument(data=a)
        for a in arrays
    ]


def _is_real(array: Any) -> bool:
    return np.asarray(array).dtype.kind == "f"


def _dtype(array: Any) -> torch.dtype:
    return array.dtype if isinstance(array, torch.Tensor) else getattr(torch, str(np.asarray(array).dtype))


def try_program(program: Program, arrays: Sequence[Any], seed: int = 1, meant: bool = False) -> Trial:
    """Run once in floats to learn how tall the tower must be, then in residues."""

    def evaluate(settings: Settings) -> tuple[Evaluated, list[Argument]]:
        numbers, random, chance = settings.numbers, Random(seed), np.random.default_rng(seed)
        arguments = arguments_of(numbers, arrays, random)

        def draw(position: int, shape: tuple[int, ...]) -> Argument:
            return Argument(value_at(numbers, chance.normal(size=shape), random))

        return program.evaluate(settings, arguments, draw), arguments

    first = settings_of(seed, 0, meant=meant)
    evaluate(first)
    settings = settings_of(seed, first.numbers.depth + 1, first.numbers.circular, meant)
    evaluated, arguments = evaluate(settings)
    return Trial(compare(settings, evaluated, arguments), settings, evaluated, arguments)


def compare(settings: Settings, evaluated: Evaluated, arguments: Sequence[Argument]) -> list[bool]:
    """For each output, whether `<u, J v>` is the sum of `<g, v>` over the gradients g that are claimed;
    and, of several, for all outputs at once.
    """
    inputs = [a.value for a in arguments if a.value is not None]
    agree: list[bool] = []
    for output, cotangent, claims in zip(
        evaluated.outputs, evaluated.cotangents, evaluated.claims, strict=True
    ):
        true = pairing(settings, cotangent, output)
        claimed = None
        for claim, x in zip(claims or (), inputs, strict=claims is not None):
            if claim is not None and not np.all(finite_entries(claim)):
                agree.append(False)
            claimed = add(claimed, pairing(settings, claim, x))
        agree.append(same(settings, true, claimed))
    if evaluated.together is not None:
        sums: list[Any] = [None, None]
        for output, cotangent in zip(evaluated.outputs, evaluated.cotangents, strict=True):
            sums[0] = add(sums[0], pairing(settings, cotangent, output))
        for claim, x in zip(evaluated.together, inputs, strict=True):
            sums[1] = add(sums[1], pairing(settings, claim, x))
        agree.append(same(settings, *sums))
    return agree


def add(left: Any, right: Any) -> Any:
    """The sum of rows of residues, at the levels that both have; None is 0."""
    if left is None or right is None:
        return right if left is None else left
    levels = min(len(left), len(right))
    return left[-levels:] + right[-levels:]


def pairing(settings: Settings, left: Value | None, right: Value) -> Any:
    """The sum of the products of an array with the tangent of another."""
    residues = settings.numbers.residues
    assert residues is not None and right.formal is not None
    if left is None:
        return None
    assert left.formal is not None and left.shape == right.shape
    product = residues.multiply(Dual(left.formal.primal), Dual(tangent_of(right.formal, 1)[0]))
    return residues.linear(product, lambda a: a.reshape(len(a), -1).sum(axis=1)).primal


def same(settings: Settings, left: Any, right: Any) -> bool:
    """Whether rows of residues are equal at the levels that both have."""
    residues = settings.numbers.residues
    assert residues is not None
    if left is None or right is None:
        rest = left if right is None else right
        return rest is None or not np.any(rest)
    levels = min(len(left), len(right))
    assert levels > 0
    return not np.any((left[-levels:] - right[-levels:]) % residues.moduli(levels, left.ndim - 1))


def tangent(value: Value | None) -> Value | None:
    """The tangent of an array, as an array of its own."""
    if value is None or value.formal is None:
        return None
    formal = Dual(tangent_of(value.formal, 1)[0])
    return Value(value.numbers, (formal, Dual(np.ones((1, *value.shape)))))


def same_values(settings: Settings, left: Value | None, right: Value | None) -> bool:
    """Whether two arrays hold the same residues."""
    assert left is not None and right is not None and left.formal is not None and right.formal is not None
    rows = [v.formal.primal.reshape(v.formal.levels, -1) for v in (left, right) if v.formal is not None]
    return left.shape == right.shape and same(settings, *rows)

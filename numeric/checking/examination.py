"""The true and the claimed gradient at one point, entry by entry, in balls: what a witness is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from flint import arb, ctx

from gradproof.numeric.checking.layouts import COTANGENT_LAYOUTS
from gradproof.numeric.checking.points import Draws, Place
from gradproof.numeric.checking.trials import Pair, Plan, Runner, cotangent_place, make_arguments
from gradproof.numeric.exact.branches import Branches
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Array, Shape
from gradproof.numeric.exact.programs import Argument, Settings
from gradproof.numeric.exact.reals import Balls, Floats, each
from gradproof.numeric.exact.values import Numbers, Value

PRECISION = 160
"""Bits of the balls; raised where they do not separate."""


@dataclass(frozen=True)
class Examination:
    """Gradients of one pair at a point: `true` and `claimed` have the shape of the input, in balls."""

    true: Array
    claimed: Array
    cotangent: Place
    forward_ties: int
    connected: bool

    def separated(self) -> list[Shape]:
        """The entries at which the two differ for certain, or the claim has no value where the derivative
        has one.
        """
        spots: list[Shape] = []
        for position in np.ndindex(self.true.shape):
            true: Any = self.true[position]
            claimed: Any = self.claimed[position]
            if true.is_finite() and (not claimed.is_finite() or not true.overlaps(claimed)):
                spots.append(position)
        return spots


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Balls with so many bits inside the block."""
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


def examine(
    runner: Runner,
    plan: Plan,
    pair: Pair,
    cotangent: Place | None = None,
    beside: int | None = None,
    bits: int = PRECISION,
) -> Examination:
    """Run a plan in balls, all unit vectors of the input as tangents at once.

    With `beside`, comparisons are decided by numbers a little beside the point, on sides drawn by that
    seed: the true
    gradient is then the limit from there, and the claim is not to be used.
    """
    with precision(bits):
        numbers = Numbers(None, Balls()) if beside is None else Numbers(None, Floats(), limits=Balls())
        settings = Settings(numbers, Branches(), Constants(widened=True), plan.seed)
        offsets = None if beside is None else Random(beside)
        draws = Draws(numbers, Random(0), 0, offsets=offsets)
        arguments, values = make_arguments(plan, draws, units_of=pair.wrt)
        used: list[Place] = []
        random = Random(f"{plan.seed}/{plan.name}/cotangent")

        def draw(position: int, shape: Shape) -> Argument:
            place = cotangent_place(plan, shape, random)
            if cotangent is not None and position == pair.output and cotangent.shape == shape:
                place = cotangent
            if position == pair.output:
                used.append(place)
            units = runner.order > 1 and position == pair.output and pair.wrt == len(values)
            value = draws.value(place, 0 if units else None, units=units)
            layout = COTANGENT_LAYOUTS.get(plan.cotangent_layout) if shape else None
            return Argument(value, layout=layout, wanted=runner.order > 1)

        found = runner.program.evaluate(settings, arguments, draw, runner.order)
        if pair.first < 0:
            output, u = found.outputs[pair.output], found.cotangents[pair.output]
            claims = found.claims[pair.output]
            claim = None if claims is None else claims[plan.asked[pair.wrt]]
        else:
            second = next(s for s in found.seconds if (s.output, s.wrt) == (pair.output, pair.first))
            output, u, claim = second.gradient, second.cotangent, second.claims[pair.wrt]
        shape = _shape_of(values, found.cotangents[pair.output], pair)
        true = _true_gradient(output, u, shape)
        claimed = (
            each(np.zeros(shape, dtype=object), lambda _: arb(0))
            if claim is None
            else claim.limit.primal.reshape(shape)
        )
        place = used[0] if used else Place(np.ones(output.shape, dtype=object))
        return Examination(true, claimed, place, settings.branches.forward_ties, claim is not None)


def _shape_of(values: list[Value], cotangent: Value | None, pair: Pair) -> Shape:
    if pair.wrt < len(values):
        return values[pair.wrt].shape
    assert cotangent is not None
    return cotangent.shape


def _true_gradient(output: Value, u: Value | None, shape: Shape) -> Array:
    """`J^T u`, from the tangents along all unit vectors."""
    tangent = output.limit.tangent
    if tangent is None:
        return each(np.zeros(shape, dtype=object), lambda _: arb(0))
    weights = output.limit.primal * 0 + 1 if u is None else u.limit.primal
    axes = tuple(range(-len(output.shape), 0))
    product = tangent * weights[None]
    summed = product.sum(axis=axes) if axes else product
    return each(np.asarray(summed, dtype=object).reshape(shape), lambda entry: arb(entry))

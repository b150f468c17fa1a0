"""The true and the claimed gradient at one point, entry by entry, in balls: what a witness is made of."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any

import numpy as np
from flint import arb

from gradproof.numeric.checking.layouts import COTANGENT_LAYOUTS
from gradproof.numeric.checking.points import Draws, Place, chosen_entries
from gradproof.numeric.checking.trials import (
    FORWARD,
    Pair,
    Plan,
    Runner,
    cotangent_place,
    following,
    make_arguments,
    precision,
)
from gradproof.numeric.exact.branches import Branches
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Array, Shape
from gradproof.numeric.exact.programs import Argument, Evaluated, Settings
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
    ties: int
    """How many numbers were equal where what is derived compares them: the forward, in second order also the
    backward.
    """
    connected: bool
    forward: tuple[tuple[str, str], ...] = ()
    """The operators of the forward with their lines, if they were asked for."""
    custom: bool = True
    """Whether a backward of the user's own takes part; known where the operators are."""
    overwritten: bool = False
    """Whether the backward changes an output of the forward."""
    forwards: Array | None = None
    """`J u`, the Jacobian applied to the cotangent, where input and output have one shape."""

    def looked_at(self) -> list[Shape]:
        """The entries whose true gradient was computed."""
        shape = self.true.shape
        return [
            tuple(map(int, np.unravel_index(k, shape))) if shape else ()
            for k in chosen_entries(self.true.size)
        ]

    def is_smooth(self) -> bool:
        """Whether the true gradient has a value wherever it was computed."""
        balls: list[Any] = [self.true[spot] for spot in self.looked_at()]
        return all(ball.is_finite() for ball in balls)

    def separated(self) -> list[Shape]:
        """The entries at which the two differ for certain, or the claim has no value where the derivative
        has one.
        """
        return _separated(self.true, self.claimed)


def examine(
    runner: Runner,
    plan: Plan,
    pair: Pair,
    cotangent: Place | None = None,
    beside: int | None = None,
    bits: int = PRECISION,
    cut: int | None = None,
) -> Examination:
    """Run a plan in balls, all unit vectors of the input as tangents at once.

    With `cut`, the true gradient is that without the path through this operator of the forward.

    With `beside`, comparisons are decided by numbers a little beside the point, on sides drawn by that seed:
    the true gradient is then the limit from there, and the claim is not to be used.
    """
    with precision(bits):
        numbers = Numbers(None, Balls()) if beside is None else Numbers(None, Floats(), limits=Balls())
        settings = Settings(
            numbers, Branches(), Constants(widened=True), plan.seed, plan.twice, plan.graph, cut=cut,
            pushes=pair.first == FORWARD,
        )  # fmt: skip
        draws = Draws(numbers, Random(0), 0, beside=beside)
        arguments, values = make_arguments(plan, draws, units_of=pair.wrt)
        used: list[Place] = []

        def draw(position: int, shape: Shape) -> Argument:
            place = cotangent_place(plan, position, shape)
            if cotangent is not None and position == pair.output and cotangent.shape == shape:
                place = cotangent
            if position == pair.output:
                used.append(place)
            units = runner.order > 1 and position == pair.output and pair.wrt == len(values)
            value = draws.value(place, 0 if units else None, units=units)
            layout = COTANGENT_LAYOUTS.get(plan.cotangent_layout) if shape else None
            return Argument(value, layout=layout, wanted=runner.order > 1 or plan.graph)

        with following(runner.followed):
            found = runner.program.evaluate(settings, arguments, draw, runner.order)
        if pair.first == -1:
            output, u = found.outputs[pair.output], found.cotangents[pair.output]
            claims = found.claims[pair.output]
            claim = None if claims is None else claims[plan.asked[pair.wrt]]
        elif pair.first == FORWARD:
            return _examine_forward(found, plan.asked[pair.wrt], pair, settings)
        else:
            wanted = (pair.output, plan.asked[pair.first])
            second = next(s for s in found.seconds if (s.output, s.wrt) == wanted)
            own = plan.asked[pair.wrt] if pair.wrt < len(values) else -1
            output, u, claim = second.gradient, second.cotangent, second.claims[own]
        shape = _shape_of(values, found.cotangents[pair.output], pair)
        true = _true_gradient(output, u, shape)
        if found.intended is not None:
            row = found.intended[pair.output]
            intended = None if row is None else row[plan.asked[pair.wrt]]
            true = zeros_of(shape) if intended is None else intended.limit.primal.reshape(shape)
        claimed = zeros_of(shape) if claim is None else claim.limit.primal.reshape(shape)
        if pair == Pair(found.last, pair.wrt) and found.together is not None and beside is None:
            claimed = _less_right(true, claimed, found.rest(plan.asked[pair.wrt]))
        place = used[0] if used else Place(np.ones(output.shape, dtype=object))
        ties, forward = settings.branches.forward_ties, tuple(settings.forward)
        if pair.first >= 0:  # at a kink of the gradient its derivative is not what one side gives
            ties += settings.branches.backward_ties
        forwards = _pushed(output, u, shape)
        return Examination(
            true,
            claimed,
            place,
            ties,
            claim is not None,
            forward,
            settings.custom,
            found.overwritten,
            forwards,
        )


def _separated(true: Array, claimed: Array) -> list[Shape]:
    spots: list[Shape] = []
    for position in np.ndindex(true.shape):
        ball: Any = true[position]
        other: Any = claimed[position]
        if ball.is_finite() and (not other.is_finite() or not ball.overlaps(other)):
            spots.append(position)
    return spots


def _less_right(true: Array, claimed: Array, again: Value | None) -> Array:
    """What is claimed for a cotangent alone, or `again` beside those of other outputs, where that alone is
    wrong.
    """
    beside = zeros_of(true.shape) if again is None else again.limit.primal.reshape(true.shape)
    return beside if not _separated(true, claimed) and _separated(true, beside) else claimed


def zeros_of(shape: Shape) -> Array:
    """Zeros, as balls."""
    return each(np.zeros(shape, dtype=object), lambda _: arb(0))


def _examine_forward(found: Evaluated, row: int, pair: Pair, settings: Settings) -> Examination:
    """The exact tangent of an output beside that of a rule of forward mode, for the first unit vector."""
    output, pushed = found.outputs[pair.output], found.pushed[row][pair.output]
    tangent = output.limit.tangent
    true = zeros_of(output.shape) if tangent is None else tangent[0].reshape(output.shape)
    true = each(np.asarray(true, dtype=object), lambda entry: arb(entry))
    claimed = zeros_of(output.shape) if pushed is None else pushed.limit.primal.reshape(output.shape)
    claimed = each(np.asarray(claimed, dtype=object), lambda entry: arb(entry))
    return Examination(true, claimed, Place(), settings.branches.forward_ties, pushed is not None)


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
    summed = np.asarray(product.sum(axis=axes) if axes else product, dtype=object).reshape(-1)
    true = np.full(prod(shape), arb("nan"), dtype=object)  # not looked at, where it remains
    for entry, ball in zip(chosen_entries(prod(shape)), summed, strict=True):
        true[entry] = arb(ball)
    return true.reshape(shape)


def _pushed(output: Value, u: Value | None, shape: Shape) -> Array | None:
    """`J u`, from the tangents along all unit vectors."""
    tangent = output.limit.tangent
    if tangent is None or u is None or output.shape != shape or len(tangent) != prod(shape):
        return None
    total = zeros_of(shape)
    for weight, column in zip(u.limit.primal.reshape(-1), tangent, strict=True):
        total = total + column.reshape(shape) * weight
    return np.asarray(total, dtype=object)

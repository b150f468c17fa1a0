"""Operators that are one function here and another there: comparisons, and what chooses by them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.duals import Array, Dual, Shape, expand
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.intervals import Interval, Intervals, hull, largest, smallest
from gradproof.numeric.exact.margins import keep_margin
from gradproof.numeric.exact.masks import MaskBounds, decided_by, mark_bounds, mark_decided
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.specials import infinite_entries
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import AmbiguousError, UndecidableError, Value

aten: Any = torch.ops.aten
prims: Any = torch.ops.prims


Join = Callable[[Interval, Interval], Interval]


def choose(condition: Array, a: Value, b: Value, join: Join = hull) -> Value:
    """`a` where the condition holds, `b` elsewhere; bounds hold whichever it is, joined by `join`."""
    chosen = pick(condition, a, b)
    if chosen.numbers.bounds is None or a.bounds is None or b.bounds is None:
        return chosen
    first, second = (v.expand(chosen.shape).bounds for v in (a, b))
    assert first is not None and second is not None
    entries: Any = first.primal.reshape(-1)
    joined = np.empty(entries.shape, dtype=object)
    for spot, (x, y) in enumerate(zip(entries, second.primal.reshape(-1), strict=True)):
        joined[spot] = join(x, y)
    return chosen.with_bounds(Dual(joined.reshape(first.primal.shape)))


def pick(condition: Array, a: Value, b: Value) -> Value:
    """`a` where the condition, which is data, holds, `b` elsewhere."""
    shape = np.broadcast_shapes(condition.shape, a.shape, b.shape)
    condition = np.broadcast_to(condition, shape)
    if condition.all():
        return a.expand(shape)
    if not condition.any():
        return b.expand(shape)
    count = int(np.prod(shape, dtype=int))
    positions = np.arange(count).reshape(shape) + np.where(condition, 0, count)
    return gather([a.expand(shape), b.expand(shape)], positions)


@handles(aten.where.self, aten.where.ScalarSelf, aten.where.ScalarOther, aten.where.Scalar, prims.where)
def where(run: Execution, condition: torch.Tensor, a: Any, b: Any) -> Value:
    return choose_by(run, condition, run.value_of(a), run.value_of(b))


@handles(aten.masked_fill)
def masked_fill(run: Execution, a: Value, mask: torch.Tensor, fill: Any) -> Value:
    return choose_by(run, mask, run.value_of(fill), run.value_of(a))


def choose_by(run: Execution, condition: torch.Tensor, a: Value, b: Value) -> Value:
    """Choose by booleans; where comparisons made them, both outcomes are sides and no result is constant."""
    decided = decided_by(condition)
    if decided is not None and condition.numel():
        run.record_choice("a choice", condition)
    taken = condition.numpy().astype(bool)
    return pick(taken, a, b) if decided is None else replace(choose(taken, a, b), constant=None)


def compare(run: Execution, a: Any, b: Any, what: str, equality: bool = False) -> Array:
    return run.branches.compare(run.value_of(a), run.value_of(b), what, equality)


def _register_comparison(
    symbol: str, test: Callable[[Array], Array], equality: bool, *operators: Any
) -> None:
    @handles(*operators)
    def answer(run: Execution, a: Any, b: Any) -> torch.Tensor:
        x, y = run.value_of(a), run.value_of(b)
        sides = run.branches.compare(x, y, f"the comparison {symbol}", equality)
        made = torch.from_numpy(np.asarray(test(sides)))
        # Which numbers are infinite does not depend on the sizes of the finite ones.
        infinite = np.all(infinite_entries(x)) or np.all(infinite_entries(y))
        same = equality and len(run.called) > 1 and run.called[0] is run.called[1]  # `x == x`: is it NaN?
        if (x.constant is None or y.constant is None) and not infinite and not same:
            mark_decided(made, "equality" if equality else "order")
            if x.bounds is not None and y.bounds is not None:
                mark_bounds(made, _bounds_of_test(x.bounds, y.bounds, test, sides.shape))
            if run.branches.wanted is not None and not equality:
                keep_margin(made, x - y if symbol[0] == ">" else y - x)
        return made


def _bounds_of_test(a: Dual, b: Dual, test: Callable[[Array], Array], shape: Shape) -> MaskBounds:
    """Where a comparison holds whatever the inputs are, and where it may hold."""
    gaps = np.asarray(expand(a.primal, 1, shape)[0] - expand(b.primal, 1, shape)[0], dtype=object)
    always, ever = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for side in (-1, 0, 1):
        possible = _of_each(lambda gap, s=side: _may_be(gap, s), gaps).astype(bool)
        holds = bool(test(np.array(side)))
        always &= ~possible | holds
        ever |= possible & holds
    return torch.from_numpy(always), torch.from_numpy(ever)


def _may_be(gap: Interval, side: int) -> bool:
    if side == 0:
        return not (gap.is_positive() or (-gap).is_positive())
    return gap.high > 0 if side > 0 else gap.low < 0


_register_comparison(">", lambda s: s > 0, False, aten.gt, prims.gt)
_register_comparison("<", lambda s: s < 0, False, aten.lt, prims.lt)
_register_comparison(">=", lambda s: s >= 0, False, aten.ge, prims.ge)
_register_comparison("<=", lambda s: s <= 0, False, aten.le, prims.le)
_register_comparison("==", lambda s: s == 0, True, aten.eq, prims.eq)
_register_comparison("!=", lambda s: s != 0, True, aten.ne, prims.ne)


@handles(aten.relu)
def relu(run: Execution, a: Value) -> Value:
    zero = run.value_of(0)
    return choose(compare(run, a, zero, "relu") > 0, a, zero, largest)


@handles(aten.threshold.default)
def threshold(run: Execution, a: Value, bound: Any, fill: Any) -> Value:
    return choose(compare(run, a, bound, "threshold") > 0, a, run.value_of(fill))


@handles(aten.abs, prims.abs)
def abs_(run: Execution, a: Value) -> Value:
    return choose(compare(run, a, 0, "abs") >= 0, a, -a, lambda x, _: x.magnitude())


@handles(aten.sign, aten.sgn, prims.sign)
def sign(run: Execution, a: Value) -> Value:
    sides = compare(run, a, 0, "sign")
    signs = np.empty(sides.shape, dtype=object)
    for position in np.ndindex(sides.shape):
        signs[position] = Fraction(int(sides[position]))
    made = run.numbers.constant(signs)
    if a.constant is not None:
        return made
    return replace(made.of_unknown(Interval(-1, 1)), constant=None)


@handles(aten.maximum, aten.fmax, prims.maximum, prims.fmax)
def maximum(run: Execution, a: Value, b: Value) -> Value:
    return choose(compare(run, a, b, "maximum") >= 0, run.value_of(a), run.value_of(b), largest)


@handles(aten.minimum, aten.fmin, prims.minimum, prims.fmin)
def minimum(run: Execution, a: Value, b: Value) -> Value:
    return choose(compare(run, a, b, "minimum") <= 0, run.value_of(a), run.value_of(b), smallest)


@handles(aten.clamp, aten.clamp_min, aten.clamp_max)
def clamp(run: Execution, a: Value, low: Any = None, high: Any = None, **named: Any) -> Value:
    low, high = named.get("min", low), named.get("max", high)
    if low is not None:
        a = choose(compare(run, a, low, "clamp") >= 0, a, run.value_of(low), largest)
    if high is not None:
        a = choose(compare(run, a, high, "clamp") <= 0, a, run.value_of(high), smallest)
    return a


@handles(aten.clamp_max)
def clamp_max(run: Execution, a: Value, high: Any) -> Value:
    return clamp(run, a, None, high)


def _register_steps(name: str, step: Callable[[float], float], *operators: Any) -> None:
    @handles(*operators)
    def answer(run: Execution, a: Value, decimals: int = 0) -> Value:
        if decimals:
            raise UndecidableError(f"{name} to {decimals} decimals")
        return steps(run, a, name, step)


def steps(run: Execution, a: Value, name: str, step: Callable[[float], float]) -> Value:
    """A function that is constant in pieces: in residues one number for each argument, whatever it is.

    What holds for a number of which nothing is known holds on every piece; its derivative is 0.
    """
    if a.constant is not None:
        return run.numbers.constant(_of_each(lambda c: Fraction(step(c)), a.constant))
    reals = np.vectorize(float, otypes=[np.float64])(a.reals)
    shifted = reals + 0.5 if name == "round" else reals
    run.branches.note(np.where(np.abs(shifted - np.round(shifted)) < 1e-9, 0, 1))  # the edges of pieces
    pieces = run.numbers.constant(_of_each(lambda x: Fraction(step(float(x))), reals))
    duals = [
        Dual(system.atoms(step.__name__, dual.primal, False))
        if isinstance(system, Residues)
        else _anything(dual)
        if isinstance(system, Intervals)
        else piece
        for system, dual, piece in zip(run.numbers.systems, a.duals, pieces.duals, strict=True)
    ]
    return Value(run.numbers, tuple(duals), None, a.depth)


def _anything(bounds: Dual) -> Dual:
    return Intervals().anything(bounds)


def _of_each(function: Callable[[Any], Any], array: Array) -> Array:
    result = np.empty(array.shape, dtype=object)
    for position in np.ndindex(array.shape):
        result[position] = function(array[position])
    return result


_register_steps("floor", math.floor, aten.floor, prims.floor)
_register_steps("ceil", math.ceil, aten.ceil, prims.ceil)
_register_steps("round", round, aten.round, prims.round)
_register_steps("trunc", math.trunc, aten.trunc, aten.fix, prims.trunc)


@handles(aten.fmod)
def fmod(run: Execution, a: Any, b: Any) -> Value:
    x, y = run.value_of(a), run.value_of(b)
    return x - y * steps(run, x / y, "fmod", math.trunc)


@handles(aten.remainder)
def remainder(run: Execution, a: Any, b: Any) -> Value:
    x, y = run.value_of(a), run.value_of(b)
    return x - y * steps(run, x / y, "remainder", math.floor)


@handles(aten.frac)
def frac(run: Execution, a: Value) -> Value:
    return a - steps(run, a, "frac", math.trunc)


@handles(aten.floor_divide)
def floor_divide(run: Execution, a: Any, b: Any) -> Value:
    return steps(run, run.value_of(a) / run.value_of(b), "floor_divide", math.floor)


@handles(aten.div.Tensor_mode, aten.div.Scalar_mode)
def div_mode(run: Execution, a: Any, b: Any, *, rounding_mode: str | None) -> Value:
    quotient = run.value_of(a) / run.value_of(b)
    if rounding_mode is None:
        return quotient
    return steps(run, quotient, "div", math.floor if rounding_mode == "floor" else math.trunc)


@handles(aten.copysign)
def copysign(run: Execution, a: Any, b: Any) -> Value:
    x, y = run.value_of(a), run.value_of(b)
    own = compare(run, x, 0, "copysign") >= 0
    sides = compare(run, y, 0, "copysign")
    if np.any(sides == 0):
        raise AmbiguousError("copysign of the sign of a zero")  # which no exact number has
    same = np.equal(*np.broadcast_arrays(own, sides > 0))
    return choose(same, x, -x)


@handles(aten.hardtanh, aten.hardtanh_)
def hardtanh(run: Execution, a: Value, low: Any = -1, high: Any = 1) -> Value:
    return clamp(run, a, low, high)


@handles(aten.leaky_relu)
def leaky_relu(run: Execution, a: Value, slope: Any = 0.01) -> Value:
    return choose(compare(run, a, 0, "leaky_relu") > 0, a, a * run.value_of(slope))


@handles(aten.softshrink)
def softshrink(run: Execution, a: Value, bound: Any = 0.5) -> Value:
    edge = run.value_of(bound)
    inner = choose(compare(run, a, -edge, "softshrink") < 0, a + edge, run.value_of(0))
    return choose(compare(run, a, edge, "softshrink") > 0, a - edge, inner)


@handles(aten.hardshrink)
def hardshrink(run: Execution, a: Value, bound: Any = 0.5) -> Value:
    return choose(within(run, a, bound, "hardshrink"), run.value_of(0), a)


def within(run: Execution, a: Value, bound: Any, what: str) -> Array:
    """Where entries are between `-bound` and `bound`."""
    edge = run.value_of(bound)
    return (compare(run, a, -edge, what) >= 0) & (compare(run, a, edge, what) <= 0)


@handles(aten.rrelu_with_noise, aten.rrelu_with_noise_functional)
def rrelu_with_noise(
    run: Execution, a: Value, noise: Value, lower: Any = 0.125, upper: Any = 1 / 3, training: bool = False,
    generator: Any = None,
) -> tuple[Value, Value]:  # fmt: skip
    """The result and the slopes that were drawn."""
    if not training:
        return leaky_relu(run, a, (lower + upper) / 2), noise
    drawn = torch.empty(a.shape, dtype=torch.float64).uniform_(lower, upper, generator=generator)
    positive = compare(run, a, 0, "rrelu") > 0
    slopes = choose(positive, run.value_of(1), run.value_of(drawn))
    return a * slopes, slopes


@handles(aten.nonzero)
def nonzero(run: Execution, a: Value) -> torch.Tensor:
    found = torch.from_numpy(np.asarray(compare(run, a, 0, "nonzero", True) != 0)).nonzero()
    return _by_equality(a, found)


@handles(aten.count_nonzero)
def count_nonzero(run: Execution, a: Value, dims: Any = None) -> torch.Tensor:
    marks = torch.from_numpy(np.asarray(compare(run, a, 0, "count_nonzero", True) != 0))
    return _by_equality(a, aten.count_nonzero(marks, dims))


def _by_equality(a: Value, found: torch.Tensor) -> torch.Tensor:
    if a.constant is None:
        mark_decided(found, "equality")
    return found


@handles(aten.equal)
def equal(run: Execution, a: Value, b: Any) -> bool:
    other = run.value_of(b)
    if a.shape != other.shape:
        return False
    answer = bool(np.all(compare(run, a, other, "equal", True) == 0))
    if a.constant is None or other.constant is None:
        run.branches.record("torch.equal", {answer}, {True, False}, equality=True)
    return answer

"""Hypothesis strategies for the inputs of an operation, made from its own axes and domains.

>>> from gradproof.symbolic.operation import find
>>> example = cases(find("softmax")).example  # a strategy of cases, each with inputs that fit together
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradproof.numeric.sampling import LAYOUTS, Case, axes_of, lay, mask, places, shape_of
from gradproof.numeric.shapes import Shape
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.domain import Interval, parse_domain
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.operation import Hyperparameter, Operation

Name = TypeVar("Name")
Values = Literal["moderate", "boundary", "magnitudes", "extreme"]
KINKS = (0.0, -0.0)
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 20.0, -20.0, 88.0, -88.0, 104.0, -104.0)
EXTREME = (0.0, -0.0, 1e-45, -1e-45, 1e4, -1e4, 1e19, -1e19, 1e30, -1e30, 3.4e38, -3.4e38)
WIDEST = 19
"""Longer than a vector register of any CPU for float64."""


def sizes(operation: Operation) -> st.SearchStrategy[dict[Axis, int]]:
    """Sizes of the axes: mostly small, 0 where the axis allows it, 1, and past a vector's width for one."""
    return axis_sizes({axis: axis.minimum for axis in axes_of(operation)})


def axis_sizes(least: Mapping[Name, int]) -> st.SearchStrategy[dict[Name, int]]:
    """Sizes of axes, given the least of each: mostly small, and past a vector's width for one of them."""
    small = st.fixed_dictionaries({a: st.integers(n, max(n, 4)) for a, n in least.items()})
    if not least:
        return small

    def widened(chosen: Name) -> st.SearchStrategy[dict[Name, int]]:
        width = st.sampled_from((8, 16, WIDEST))
        return st.builds(lambda held, n: {**held, chosen: n}, small, width)

    return st.one_of(small, st.sampled_from(list(least)).flatmap(widened))


def batches() -> st.SearchStrategy[Shape]:
    """Batch shapes of rank 0 to 3, empty and size-1 axes among them."""
    return st.lists(st.integers(0, 3), max_size=3).map(tuple)


def reals(interval: Interval, values: Values, *, kinks: bool) -> st.SearchStrategy[float]:
    """Numbers within an interval, or without `kinks` those that keep away from 0."""

    def fits(value: float) -> bool:
        inside = (
            interval.low is None or value > interval.low or (interval.low_closed and value == interval.low)
        )
        below = (
            interval.high is None
            or value < interval.high
            or (interval.high_closed and value == interval.high)
        )
        return inside and below and (kinks or abs(value) > 1e-3)

    low = -math.inf if interval.low is None else float(interval.low)
    high = _end(interval.high)
    if values == "extreme":
        found = st.sampled_from([v for v in EXTREME if fits(v)] or [0.5])
    elif values == "boundary":
        ends = [float(e) for e in (interval.low, interval.high) if e is not None]
        found = st.sampled_from([v for v in (*SPECIAL, *ends, *KINKS) if fits(v)] or [0.5])
    elif values == "magnitudes":
        size = st.floats(-6, 1).map(lambda e: 10.0**e)
        signs = [s for s in (1.0, -1.0) if any(fits(s * n) for n in (0.01, 0.5, 2.0))] or [1.0]
        found = st.builds(lambda s, v: s * v, st.sampled_from(signs), size)
    else:
        ends = max(low, min(-4.0, high - 8)), min(high, max(4.0, low + 8))
        exact = all(float(np.float32(end)) == end for end in ends)
        found = st.floats(*ends, width=32 if exact else 64)
    return found.filter(fits)


def _end(end: Any) -> float:
    return math.inf if end is None else float(end)


def entries(
    tensor: Tensor, shape: Shape, held: dict[Axis, int], values: Values, *, kinks: bool
) -> st.SearchStrategy[np.ndarray]:
    """An input: truth values empty, full or mixed; indices repeated, at the ends or off the axis; numbers."""
    if tensor.dtype == "boolean":
        drawn = st.integers(0, 2**16).map(lambda seed: mask(shape, np.random.default_rng(seed)))
        return st.one_of(st.just(np.zeros(shape, bool)), st.just(np.ones(shape, bool)), drawn)
    if tensor.dtype == "integer":
        return indices(tensor, shape, held)
    interval = parse_domain(tensor.domain).hull
    return hnp.arrays(np.float64, shape, elements=reals(interval, values, kinks=kinks))


def indices(tensor: Tensor, shape: Shape, held: dict[Axis, int]) -> st.SearchStrategy[np.ndarray]:
    """Indices of an axis: one for all, both ends, and where they may be beside the axis, far beside it."""
    assert tensor.over is not None
    count = tensor.over.size if tensor.over.size is not None else held[tensor.over]
    beyond = tensor.domain == "integer"
    single = [0, count - 1, *((-100, -1, count, 2**40) if beyond else ())]
    same = st.sampled_from(single).map(lambda value: np.full(shape, value, np.int64))
    drawn = st.integers(0, 2**16).map(lambda seed: places(shape, count, beyond, np.random.default_rng(seed)))
    return st.one_of(drawn, same)


def hyperparameters(given: Hyperparameter) -> st.SearchStrategy[float]:
    """The default, or another value of the domain of ordinary size."""
    interval = parse_domain(given.domain).hull
    low, high = _end(interval.low), _end(interval.high)
    default = float(given.default)
    near = st.floats(-2, 2).map(lambda step: default * 2.0**step if default else abs(step) / 4)
    fits = near.filter(lambda v: (interval.low is None or v > low) and (interval.high is None or v < high))
    return st.one_of(st.just(default), fits)


@st.composite
def cases(
    draw: st.DrawFn,
    operation: Operation,
    *,
    values: Sequence[Values] = ("moderate", "magnitudes"),
    kinks: bool = False,
    layouts: Sequence[str] = LAYOUTS,
) -> Case:
    """Inputs of an operation that fit together, with hyper-parameters."""
    held, batch = draw(sizes(operation)), draw(batches())
    layout, kind = draw(st.sampled_from(layouts)), draw(st.sampled_from(values))
    inputs: list[np.ndarray] = []
    for tensor in operation.inputs:
        shape = shape_of(tensor, held, batch)
        array = draw(entries(tensor, shape, held, kind, kinks=kinks))
        inputs.append(lay(array, layout))
    parameters = {n: draw(hyperparameters(h)) for n, h in operation.hyperparameters.items()}
    return Case(operation, tuple(inputs), parameters, f"{layout}, {kind}")

"""Hypothesis strategies for tensors: of a shape, or inputs that fit together by a specification."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradproof.numeric.checking.layouts import INPUT_LAYOUTS, Layout, expand_first, lay_out
from gradproof.numeric.checking.specification import DOMAINS, InputAxes, read_specification, shape_of
from gradproof.numeric.strategies import Values, axis_sizes, reals
from gradproof.symbolic.domain import Interval, parse_domain

Shape = tuple[int, ...]
LAYOUTS: Mapping[str, Layout | None] = {"contiguous": None, **INPUT_LAYOUTS, "expanded": expand_first}
INTERVALS = {"real": "real", "positive": "(0, inf)", "unit": "(0, 1)", "simplex": "(0, inf)"}


@st.composite
def tensors(
    draw: st.DrawFn,
    shape: Any,
    *,
    domain: str = "real",
    dtype: Any = torch.float64,
    values: Sequence[Values] = ("moderate", "magnitudes", "boundary"),
    layouts: Sequence[str] = tuple(LAYOUTS),
    kinks: bool = True,
    requires_grad: bool = False,
) -> torch.Tensor:
    """A tensor of floats; `gradproof.testing.tensors` says what is drawn."""
    size: Shape = tuple(draw(shape)) if isinstance(shape, st.SearchStrategy) else tuple(shape)
    kind: torch.dtype = draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype
    array = draw(_floats(size, domain, kind, draw(st.sampled_from(list(values))), kinks))
    tensor = torch.from_numpy(array).to(kind)
    return lay_out(tensor, LAYOUTS[draw(st.sampled_from(list(layouts)))]).requires_grad_(requires_grad)


def _floats(
    shape: Shape, domain: str, dtype: torch.dtype, values: Values, kinks: bool
) -> st.SearchStrategy[np.ndarray]:
    if domain == "mask":
        return hnp.arrays(np.float64, shape, elements=st.sampled_from((0.0, 1.0)))
    interval = parse_domain(INTERVALS.get(domain, domain)).hull
    elements = reals(interval, values, kinks=kinks)
    if domain == "simplex":
        ordinary = st.floats(2**-6, 4)  # rows of which no entry is rounded away
        return hnp.arrays(np.float64, shape, elements=ordinary).map(lambda a: a / a.sum(-1, keepdims=True))
    if dtype != torch.float64:
        elements = elements.map(lambda v: float(torch.tensor(v, dtype=dtype))).filter(
            lambda v: math.isfinite(v) and _contains(interval, v)
        )
    return hnp.arrays(np.float64, shape, elements=elements)


def _contains(interval: Interval, value: float) -> bool:
    """Whether a number is inside, after it was rounded."""
    low, high = interval.low, interval.high
    above = low is None or value > low or (interval.low_closed and value == low)
    return above and (high is None or value < high or (interval.high_closed and value == high))


@st.composite
def inputs(
    draw: st.DrawFn,
    spec: str,
    *,
    sizes: Mapping[str, Any] | None = None,
    empty: bool = False,
    dtype: Any = torch.float64,
    values: Sequence[Values] = ("moderate", "magnitudes", "boundary"),
    layouts: Sequence[str] = tuple(LAYOUTS),
    kinks: bool = True,
    requires_grad: bool = False,
) -> tuple[torch.Tensor, ...]:
    """Inputs of a specification; `gradproof.testing.inputs` says what is drawn."""
    given = read_specification(spec)
    held = draw(_sizes(given, sizes or {}, empty))
    kind: torch.dtype = draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype
    drawn: list[torch.Tensor] = []
    for entry in given:
        shape = shape_of(entry, held)
        if entry.kind == "float":
            drawn.append(
                draw(
                    tensors(
                        shape, domain=entry.domain or "real", dtype=kind, values=values, layouts=layouts,
                        kinks=kinks, requires_grad=requires_grad,
                    )
                )
            )  # fmt: skip
        else:
            layout = LAYOUTS[draw(st.sampled_from(list(layouts)))]
            drawn.append(lay_out(torch.from_numpy(draw(_data(entry, shape, held))), layout))
    return tuple(drawn)


def _sizes(
    given: Sequence[InputAxes], sizes: Mapping[str, Any], empty: bool
) -> st.SearchStrategy[dict[str, int]]:
    """Sizes of the axes: those given, at least 1 where integers are below it, others small or wide."""
    least: dict[str, int] = {}
    for entry in given:
        for axis in entry.axes:
            if isinstance(axis, str):
                needed = 0 if empty and not (entry.domain == "simplex" and axis == entry.axes[-1]) else 1
                least[axis] = max(least.get(axis, 0), needed)
        if isinstance(entry.bound, str):
            least[entry.bound] = 1
    if unknown := set(sizes) - set(least):
        raise ValueError(f"sizes names {', '.join(sorted(unknown))}; the axes are {', '.join(least)}")
    fixed = {a: n if isinstance(n, st.SearchStrategy) else st.just(n) for a, n in sizes.items()}
    free = axis_sizes({axis: n for axis, n in least.items() if axis not in fixed})
    return st.builds(lambda own, held: {**own, **held}, free, st.fixed_dictionaries(fixed))


def _data(entry: InputAxes, shape: Shape, sizes: Mapping[str, int]) -> st.SearchStrategy[np.ndarray]:
    """Truth values, none, all or some; integers below the bound: one for all, the ends, or any."""
    if entry.kind == "bool":
        some = hnp.arrays(np.bool_, shape)
        return st.one_of(st.just(np.zeros(shape, bool)), st.just(np.ones(shape, bool)), some)
    if entry.bound is None:
        raise ValueError(f"'{entry.name}' are integers without a bound: write '... < axis' behind its axes")
    count = entry.bound if isinstance(entry.bound, int) else sizes[entry.bound]
    same = st.sampled_from((0, count - 1)).map(lambda value: np.full(shape, value, np.int64))
    return st.one_of(hnp.arrays(np.int64, shape, elements=st.integers(0, count - 1)), same)


__all__ = ["DOMAINS", "LAYOUTS", "inputs", "tensors"]

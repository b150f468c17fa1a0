"""Where the accuracy of a program is measured: numbers of a dtype, of all magnitudes, and at the ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from gradproof.numeric.checking.specification import shape_of
from gradproof.numeric.checking.targets import Example, Target
from gradproof.numeric.checking.variation import Maker
from gradproof.numeric.units import DIGITS, TOP, grid, rounded

ON_GRID = 800
"""How many points an elementwise function is run at, about; shared by its inputs."""
MAX_SIZE = 8
"""The size of an axis, where the example is too large to be run in balls."""
MAX_ENTRIES = 400
"""What counts as too large: the entries of all inputs whose shape is free."""
MAX_VARIED = 4
"""At most so many inputs are made extreme one by one."""
HULLS = {"positive": "(0, inf)", "unit": "(0, 1)", "simplex": "(0, 1)"}


@dataclass(frozen=True)
class Point:
    """Inputs of a program: float64 arrays whose entries are numbers of the dtype, or data as it is passed."""

    label: str
    arrays: tuple[np.ndarray | None, ...]
    data: tuple[Any, ...]


def points_elementwise(target: Target, dtype: str, chance: np.random.Generator) -> Point:
    """The grid of all magnitudes for each input in turn, beside ordinary numbers in the others."""
    examples = target.examples
    count = sum(1 for e in examples if e.is_number)
    columns: list[list[np.ndarray]] = [[] for _ in examples]
    for k, example in enumerate(examples):
        if not example.is_number:
            continue
        points = thin_grid(HULLS.get(target.axes[k].domain, "real"), dtype, ON_GRID // count)
        for j, other in enumerate(examples):
            if other.is_number:
                drawn = _ordinary(_domain(target, j), points.shape, chance)
                columns[j].append(points if j == k else rounded(drawn, dtype))
    shape = grid_shape(target, -1)
    arrays = tuple(np.concatenate(column).reshape(shape) if column else None for column in columns)
    return Point("all magnitudes", arrays, tuple(e.value for e in examples))


def grid_shape(target: Target, count: int) -> tuple[int, ...]:
    """All points along the last axis, of as many axes as the example has (one where it has none)."""
    return (1,) * (target.wanted[0].array.ndim - 1) + (count,)


def thin_grid(domain: str, dtype: str, count: int) -> np.ndarray:
    """About `count` numbers of the grid: half of them where functions bend, and the ends."""
    every = grid(domain, dtype)
    bends = (np.abs(every) >= 2.0**-6) & (np.abs(every) <= 800)
    chosen = [part[:: max(1, len(part) // (count // 2))] for part in (every[bends], every[~bends])]
    return np.unique(np.concatenate([*chosen, every[:1], every[-2:-1]]))


def points_on_rows(target: Target, dtype: str, seed: int) -> Iterator[Point]:
    """The example; numbers around 1, 0.01 and 8; zeros; then each input of all magnitudes, large and huge."""
    chance = np.random.default_rng([seed, 2])
    base = _base(target, seed)
    yield _rounded(base, dtype)
    for size in (1.0, 0.01, 8.0, 0.0):
        arrays = [
            _filled(target, k, a, lambda shape, s=size: s * chance.standard_normal(shape), chance)
            for k, a in enumerate(base.arrays)
        ]
        label = "zeros" if not size else f"inputs around {size:g}"
        yield _rounded(Point(label, tuple(arrays), base.data), dtype)
    free = [k for k, e in enumerate(target.examples) if e.is_number and e.wanted and not e.fixed]
    for k in free[:MAX_VARIED]:
        for label, fill in _extremes(dtype, chance):
            arrays = [
                _filled(target, j, a, fill if j == k else chance.standard_normal, chance)
                for j, a in enumerate(base.arrays)
            ]
            yield _rounded(Point(f"{target.examples[k].name} {label}", tuple(arrays), base.data), dtype)


def _extremes(
    dtype: str, chance: np.random.Generator
) -> Iterator[tuple[str, Callable[[tuple[int, ...]], np.ndarray]]]:
    def signs(shape: tuple[int, ...]) -> np.ndarray:
        return np.where(chance.random(shape) < 0.5, -1.0, 1.0)

    yield "of magnitudes from 1e-4 to 100", lambda shape: signs(shape) * 10 ** chance.uniform(-4, 2, shape)
    for size in (1e4, 1e30):
        if size < 2.0 ** (TOP[dtype] - 1):
            yield f"of size {size:g}", lambda shape, s=size: s * signs(shape)


def _base(target: Target, seed: int) -> Point:
    """The example, or random numbers at smaller sizes where that is too large."""
    sizes = dict(target.sizes)
    free = [a for e, a in zip(target.examples, target.axes, strict=True) if not e.fixed]
    if sum(prod(shape_of(axes, sizes)) for axes in free) > MAX_ENTRIES:
        plan = Maker(target, seed).plan("accuracy", "values", {a: min(n, MAX_SIZE) for a, n in sizes.items()})
        label = "random numbers"
    else:
        plan, label = Maker(target, seed).example(), "the example"
    arrays = tuple(None if p.reals is None else p.reals.astype(np.float64) for p in plan.places)
    return Point(label, arrays, tuple(p.data for p in plan.places))


def _filled(
    target: Target, k: int, array: np.ndarray | None, fill: Callable[..., Any], chance: np.random.Generator
) -> np.ndarray | None:
    """Other numbers within the domain; parameters of a module and masks stay."""
    domain = _domain(target, k)
    if array is None or target.examples[k].fixed or domain == "mask":
        return array
    if domain in ("unit", "simplex"):
        return _ordinary(domain, array.shape, chance)
    drawn = np.asarray(fill(array.shape), dtype=np.float64)
    return np.abs(drawn) + 2.0**-20 if domain == "positive" else drawn


def _ordinary(domain: str, shape: tuple[int, ...], chance: np.random.Generator) -> np.ndarray:
    drawn = chance.standard_normal(shape)
    if domain == "mask":
        return (drawn > 0).astype(np.float64)
    if domain == "unit":
        return 1 / (1 + np.exp(-drawn))
    if domain == "simplex":
        return np.exp(drawn) / np.exp(drawn).sum(axis=-1, keepdims=True)
    return np.abs(drawn) if domain == "positive" else drawn


def _domain(target: Target, k: int) -> str:
    example: Example = target.examples[k]
    return target.axes[k].domain or (example.domain if example.is_number else "")


def _rounded(point: Point, dtype: str) -> Point:
    top = np.ldexp(1 - 2.0 ** -DIGITS[dtype], TOP[dtype])
    arrays = (None if a is None else np.clip(rounded(a, dtype), -top, top) for a in point.arrays)
    return Point(point.label, tuple(arrays), point.data)

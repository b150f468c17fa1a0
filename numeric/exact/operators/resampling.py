"""Interpolation along axes: each is a product with a matrix of fractions, its backward with the transpose.

The positions are those of the kernels; weights that no float is stand under `assumes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.products import matmul, permute
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten

HALF = Fraction(1, 2)
Row = Callable[[int, int, int, float | None], dict[int, Fraction]]
"""The weights of the entries before, by place: for an entry after, both lengths and a scale."""


def _step(before: int, after: int, scale: float | None) -> Fraction:
    return 1 / Fraction(scale) if scale is not None and scale > 0 else Fraction(before, after)


def _nearest(place: int, before: int, after: int, scale: float | None) -> dict[int, Fraction]:
    return {min(floor(place * _step(before, after, scale)), before - 1): Fraction(1)}


def _nearest_exact(place: int, before: int, after: int, scale: float | None) -> dict[int, Fraction]:
    return {min(floor((place + HALF) * _step(before, after, scale)), before - 1): Fraction(1)}


def _linear(place: int, before: int, after: int, scale: float | None) -> dict[int, Fraction]:
    return _between((place + HALF) * _step(before, after, scale) - HALF, before)


def _linear_at_corners(place: int, before: int, after: int, scale: float | None) -> dict[int, Fraction]:
    return _between(Fraction(place * (before - 1), after - 1) if after > 1 else Fraction(0), before)


def _between(position: Fraction, before: int) -> dict[int, Fraction]:
    """The two entries beside a position, or one of them twice at the end."""
    position = max(position, Fraction(0))
    low = min(floor(position), before - 1)
    share = position - low
    weights = {low: 1 - share}
    high = min(low + 1, before - 1)
    weights[high] = weights.get(high, Fraction(0)) + share
    return weights


def _matrix(row: Row, before: int, after: int, scale: float | None) -> Array:
    matrix = np.full((before, after), Fraction(0), dtype=object)
    for place in range(after):
        for k, weight in row(place, before, after, scale).items():
            matrix[k, place] = weight
    return matrix


def _resample(value: Value, matrices: Sequence[Array]) -> Value:
    """Multiply the last axes by matrices, one each."""
    for matrix in matrices:  # each is multiplied in as the last axis and becomes the first of those
        axes = range(len(value.shape))
        first = len(axes) - len(matrices)
        value = permute(value, (*axes[:first], *axes[first + 1 :], first))
        value = matmul(value, value.numbers.constant(matrix))
    return value


def _matrices(
    run: Execution, row: Row, before: Sequence[int], after: Sequence[int], scales: Sequence[Any]
) -> list[Array]:
    matrices = [_matrix(row, *lengths) for lengths in zip(before, after, scales, strict=True)]
    if any(Fraction(float(weight)) != weight for matrix in matrices for weight in matrix.flat):
        run.numbers.assumes["the weights of an interpolation are fractions, which no floats are"] = None
    return matrices


def _register(row: Row, axes: int, name: str, corners: Row | None) -> None:
    def choose(options: tuple[Any, ...]) -> tuple[Row, tuple[Any, ...]]:
        if corners is None:
            return row, options
        return (corners if options[0] else row), options[1:]

    @handles(getattr(aten, name).default)
    def forward(run: Execution, a: Value, after: Any, *options: Any) -> Value:
        chosen, scales = choose(options)
        scales = (*scales, *(None,) * (axes - len(scales)))
        return _resample(a, _matrices(run, chosen, a.shape[-axes:], after, scales))

    @handles(getattr(aten, f"{name}_backward").default)
    def backward(run: Execution, grad: Value, after: Any, before: Any, *options: Any) -> Value:
        chosen, scales = choose(options)
        scales = (*scales, *(None,) * (axes - len(scales)))
        matrices = _matrices(run, chosen, before[-axes:], after, scales)
        return _resample(grad, [matrix.T for matrix in matrices])


for _axes in (1, 2, 3):
    _register(_nearest, _axes, f"upsample_nearest{_axes}d", None)
    _register(_nearest_exact, _axes, f"_upsample_nearest_exact{_axes}d", None)
for _axes, _name in enumerate(("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"), start=1):
    _register(_linear, _axes, _name, _linear_at_corners)

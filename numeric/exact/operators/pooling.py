"""Pooling: averages and maxima over windows, whose positions stand in one table for both directions."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.branches import order
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.pieces import choose
from gradproof.numeric.exact.operators.products import reshape
from gradproof.numeric.exact.operators.scatters import add_at
from gradproof.numeric.exact.operators.selections import decided_indices, record_choice
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten

Window = list[int]
"""Flat positions in one plane of the input."""


def _spread(option: Any, axes: int) -> tuple[int, ...]:
    listed = tuple(option)
    return listed * axes if len(listed) == 1 else listed


def _flat(shape: tuple[int, ...], spots: tuple[int, ...]) -> int:
    position = 0
    for size, spot in zip(shape, spots, strict=True):
        position = position * size + spot
    return position


def _planes(a: Value, axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape before the axes that are pooled, and their own."""
    return a.shape[: len(a.shape) - axes], a.shape[len(a.shape) - axes :]


def _sum_windows(a: Value, axes: int, cells: list[Window], scale: list[Fraction], size: Any) -> Value:
    """Sums over windows of each plane, scaled window by window."""
    lead, shape = _planes(a, axes)
    planes, count = prod(lead), prod(shape)
    most = max((len(window) for window in cells), default=0)
    table = np.full((len(cells), most), -1, dtype=np.int64)
    for row, window in enumerate(cells):
        table[row, : len(window)] = window
    starts = np.arange(planes).reshape(planes, 1, 1) * count
    spots = np.where(table[None] < 0, 0, 1 + starts + table[None])
    summed = gather([a.numbers.zeros((1,)), a], spots).sum([-1])
    return reshape(summed * a.numbers.constant(np.array(scale, dtype=object)), (*lead, *size))


def _spread_windows(grad: Value, shape: Any, axes: int, cells: list[Window], scale: list[Fraction]) -> Value:
    """The transpose of `_sum_windows`."""
    lead = shape[: len(shape) - axes]
    planes, count = prod(lead), prod(shape[len(shape) - axes :])
    scaled = reshape(grad, (planes, len(cells))) * grad.numbers.constant(np.array(scale, dtype=object))
    windows = np.array([row for row, window in enumerate(cells) for _ in window], dtype=np.int64)
    places = np.array([spot for window in cells for spot in window], dtype=np.int64)
    spots = np.arange(planes)[:, None] * count + places[None, :]
    return add_at(tuple(shape), spots, scaled.map(lambda array: array[..., windows]))


# Averages


def _average_windows(
    shape: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_padding: bool, divisor: Any
) -> tuple[list[Window], list[Fraction], tuple[int, ...]]:
    """The windows, what each sum is divided by, and the size of the output."""
    axes = len(shape)
    kernel, padding = _spread(kernel, axes), _spread(padding, axes)
    stride = _spread(stride, axes) if len(stride) else kernel
    size = tuple(
        _pooled_size(n, k, s, p, ceil_mode) for n, k, s, p in zip(shape, kernel, stride, padding, strict=True)
    )
    cells: list[Window] = []
    scale: list[Fraction] = []
    for place in product(*(range(n) for n in size)):
        starts = [o * s - p for o, s, p in zip(place, stride, padding, strict=True)]
        ends = [min(b + k, n + p) for b, k, n, p in zip(starts, kernel, shape, padding, strict=True)]
        padded = prod(e - b for b, e in zip(starts, ends, strict=True))
        ranges = [range(max(b, 0), min(e, n)) for b, e, n in zip(starts, ends, shape, strict=True)]
        window = [_flat(tuple(shape), spots) for spots in product(*ranges)]
        cells.append(window)
        scale.append(Fraction(1, divisor or (padded if count_padding else max(len(window), 1))))
    return cells, scale, size


def _pooled_size(
    size: int, kernel: int, stride: int, padding: int, ceil_mode: bool, dilation: int = 1
) -> int:
    extra = stride - 1 if ceil_mode else 0
    count = (size + 2 * padding - dilation * (kernel - 1) - 1 + extra) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:  # a last window would start in the padding
        count -= 1
    return count


def _register_average(axes: int, forward: Any, backward: Any) -> None:
    @handles(forward)
    def pool(
        run: Execution, a: Value, kernel: Any, stride: Any = (), padding: Any = (0,), ceil_mode: bool = False,
        count_padding: bool = True, divisor: Any = None,
    ) -> Value:  # fmt: skip
        shape = a.shape[len(a.shape) - axes :]
        cells, scale, size = _average_windows(
            shape, kernel, stride, padding, ceil_mode, count_padding, divisor
        )
        return _sum_windows(a, axes, cells, scale, size)

    @handles(backward)
    def back(
        run: Execution, grad: Value, a: Value, kernel: Any, stride: Any, padding: Any, ceil_mode: bool,
        count_padding: bool, divisor: Any,
    ) -> Value:  # fmt: skip
        shape = a.shape[len(a.shape) - axes :]
        cells, scale, _ = _average_windows(shape, kernel, stride, padding, ceil_mode, count_padding, divisor)
        return _spread_windows(grad, a.shape, axes, cells, scale)


_register_average(2, aten.avg_pool2d.default, aten.avg_pool2d_backward.default)
_register_average(3, aten.avg_pool3d.default, aten.avg_pool3d_backward.default)


# Windows that adapt to the size of the output


def _adaptive_windows(shape: Any, size: Any) -> list[Window]:
    """From `floor(i n / m)` to `ceil((i + 1) n / m)` along each axis."""
    spans = [
        [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in zip(shape, size, strict=True)
    ]
    return [[_flat(tuple(shape), spots) for spots in product(*ranges)] for ranges in product(*spans)]


def _register_adaptive_average(axes: int, forward: Any, backward: Any) -> None:
    @handles(forward)
    def pool(run: Execution, a: Value, size: Any) -> Value:
        cells = _adaptive_windows(a.shape[len(a.shape) - axes :], size)
        return _sum_windows(a, axes, cells, [Fraction(1, len(window)) for window in cells], size)

    @handles(backward)
    def back(run: Execution, grad: Value, a: Value) -> Value:
        start = len(a.shape) - axes
        cells = _adaptive_windows(a.shape[start:], grad.shape[start:])
        return _spread_windows(grad, a.shape, axes, cells, [Fraction(1, len(window)) for window in cells])


_register_adaptive_average(2, aten._adaptive_avg_pool2d.default, aten._adaptive_avg_pool2d_backward.default)
_register_adaptive_average(3, aten._adaptive_avg_pool3d.default, aten._adaptive_avg_pool3d_backward.default)


# Maxima


def _max_windows(
    shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[list[Window], tuple[int, ...]]:
    axes = len(shape)
    kernel, padding, dilation = (_spread(option, axes) for option in (kernel, padding, dilation))
    stride = _spread(stride, axes) if len(stride) else kernel
    size = tuple(
        _pooled_size(n, k, s, p, ceil_mode, d)
        for n, k, s, p, d in zip(shape, kernel, stride, padding, dilation, strict=True)
    )
    cells: list[Window] = []
    for place in product(*(range(n) for n in size)):
        ranges = [
            [spot for spot in (o * s - p + d * i for i in range(k)) if 0 <= spot < n]
            for o, s, p, d, k, n in zip(place, stride, padding, dilation, kernel, shape, strict=True)
        ]
        cells.append([_flat(tuple(shape), spots) for spots in product(*ranges)])
    return cells, size


def _largest(
    run: Execution, a: Value, axes: int, cells: list[Window], size: Any
) -> tuple[Value, torch.Tensor]:
    """The first largest entry of each window of each plane, and its flat position in the plane."""
    lead, shape = _planes(a, axes)
    planes, count = prod(lead), prod(shape)
    most = max(len(window) for window in cells)
    table = np.array([window + window[:1] * (most - len(window)) for window in cells], dtype=np.int64)
    entries = gather([a], np.arange(planes)[:, None, None] * count + table[None])
    best, index = entries.map(lambda array: array[..., 0]), np.zeros((planes, len(cells)), dtype=np.int64)
    for k in range(1, most):
        other = entries.map(lambda array, k=k: array[..., k])
        larger: Array = (order(other, best) > 0) & (table[:, k] != table[:, 0])
        index = np.where(larger, k, index)
        best = choose(larger, other, best)
    if a.constant is None and most > 1:
        candidates = [entries.map(lambda array, k=k: array[..., k]) for k in range(most)]
        record_choice(run, "max_pool", candidates, best, index)
    spots = np.take_along_axis(np.broadcast_to(table, (planes, *table.shape)), index[..., None], -1)[..., 0]
    return reshape(best, (*lead, *size)), decided_indices(a, spots.reshape((*lead, *size)))


def _spread_maxima(grad: Value, shape: Any, axes: int, indices: torch.Tensor) -> Value:
    """Gradients added up where the maxima came from."""
    planes, count = prod(shape[: len(shape) - axes]), prod(shape[len(shape) - axes :])
    spots = np.arange(planes)[:, None] * count + indices.numpy().reshape(
        planes, prod(indices.shape[len(shape) - axes :])
    )
    return add_at(tuple(shape), spots, grad)


def _register_max(axes: int, forward: Any, backward: Any) -> None:
    @handles(forward)
    def pool(
        run: Execution, a: Value, kernel: Any, stride: Any = (), padding: Any = (0,), dilation: Any = (1,),
        ceil_mode: bool = False,
    ) -> tuple[Value, torch.Tensor]:  # fmt: skip
        shape = a.shape[len(a.shape) - axes :]
        cells, size = _max_windows(shape, kernel, stride, padding, dilation, ceil_mode)
        return _largest(run, a, axes, cells, size)

    @handles(backward)
    def back(
        run: Execution, grad: Value, a: Value, kernel: Any, stride: Any, padding: Any, dilation: Any,
        ceil_mode: bool, indices: torch.Tensor,
    ) -> Value:  # fmt: skip
        return _spread_maxima(grad, a.shape, axes, indices)


_register_max(2, aten.max_pool2d_with_indices.default, aten.max_pool2d_with_indices_backward.default)
_register_max(3, aten.max_pool3d_with_indices.default, aten.max_pool3d_with_indices_backward.default)


def _register_adaptive_max(axes: int, forward: Any, backward: Any) -> None:
    @handles(forward)
    def pool(run: Execution, a: Value, size: Any) -> tuple[Value, torch.Tensor]:
        return _largest(run, a, axes, _adaptive_windows(a.shape[len(a.shape) - axes :], size), size)

    @handles(backward)
    def back(run: Execution, grad: Value, a: Value, indices: torch.Tensor) -> Value:
        return _spread_maxima(grad, a.shape, axes, indices)


_register_adaptive_max(2, aten.adaptive_max_pool2d.default, aten.adaptive_max_pool2d_backward.default)
_register_adaptive_max(3, aten.adaptive_max_pool3d.default, aten.adaptive_max_pool3d_backward.default)

"""Convolutions: matrix products with the windows of the input, whose positions stand in one table for both
directions.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.products import matmul, permute, reshape
from gradproof.numeric.exact.operators.scatters import add_at
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten


@lru_cache(maxsize=256)
def windows(shape: Any, counts: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Array:
    """The flat position of each entry of each window, -1 in the padding: (windows, entries of the kernel)."""
    axes = len(shape)
    inside = np.ones((1,) * (2 * axes), dtype=bool)
    flat = np.zeros((1,) * (2 * axes), dtype=np.int64)
    for axis in range(axes):
        starts = np.arange(counts[axis]) * stride[axis] - padding[axis]
        spots = starts[:, None] + np.arange(kernel[axis])[None, :] * dilation[axis]
        layout = [1] * (2 * axes)
        layout[axis], layout[axes + axis] = spots.shape
        spots = spots.reshape(layout)
        inside = inside & (spots >= 0) & (spots < shape[axis])
        flat = flat * shape[axis] + spots
    return np.where(inside, flat, -1).reshape(prod(counts), prod(kernel))


@lru_cache(maxsize=256)
def _columns(options: Any, batch: int, groups: int, channels: int) -> Array:
    """The position of each entry of the windows, 0 in the padding: (batch, groups, windows, channels x
    kernel).
    """
    table = windows(*options)
    size, (count, entries) = prod(options[0]), table.shape
    planes = np.arange(batch * channels).reshape(batch, groups, 1, channels // groups, 1)
    spots = planes * size + table[None, None, :, None, :]
    spots = np.where(table[None, None, :, None, :] < 0, 0, 1 + spots)
    return spots.reshape(batch, groups, count, channels // groups * entries)


class Geometry:
    """How a convolution pairs the entries of a large array, of which windows are taken, with those of a small
    one.
    """

    def __init__(self, large: Any, small: Any, weight: Any, options: Any, groups: int) -> None:
        stride, padding, dilation = (
            tuple(option) * (len(small) if len(option) == 1 else 1) for option in options
        )
        self.large, self.small = tuple(large), tuple(small)
        self.kernel = tuple(weight[2:])
        self.groups = groups
        self.options = (self.large, self.small, self.kernel, stride, padding, dilation)
        self.table = windows(*self.options)

    def columns(self, a: Value) -> Value:
        """The windows of the large array: (batch, groups, windows, channels x kernel)."""
        batch, channels = a.shape[:2]
        return gather([a.numbers.zeros((1,)), a], _columns(self.options, batch, self.groups, channels))

    def scatter(self, columns: Value, channels: int) -> Value:
        """The transpose of `columns`: entries of windows added up where they were taken from."""
        batch, size, (count, entries) = columns.shape[0], prod(self.large), self.table.shape
        planes = np.arange(batch * channels).reshape(batch, self.groups, 1, channels // self.groups, 1)
        inside = np.broadcast_to(
            self.table[None, None, :, None, :] >= 0,
            (batch, self.groups, count, channels // self.groups, entries),
        )
        spots = np.where(inside, planes * size + self.table[None, None, :, None, :], batch * channels * size)
        summed = add_at((batch * channels * size + 1,), spots, columns)
        kept = summed.map(lambda array: array[..., :-1])
        return reshape(kept, (batch, channels, *self.large))

    def rows(self, b: Value) -> Value:
        """The small array as (batch, groups, windows, channels)."""
        batch, channels = b.shape[:2]
        split = reshape(b, (batch, self.groups, channels // self.groups, prod(self.small)))
        return permute(split, (0, 1, 3, 2))

    def planes(self, rows: Value) -> Value:
        """The inverse of `rows`."""
        batch, groups, _, channels = rows.shape
        return reshape(permute(rows, (0, 1, 3, 2)), (batch, groups * channels, *self.small))


def _matrix(weight: Value, groups: int) -> Value:
    """A weight as (groups, channels of the small array, channels of the large one x kernel)."""
    first = weight.shape[0]
    return reshape(weight, (groups, first // groups, prod(weight.shape[1:])))


def _transpose(value: Value) -> Value:
    return value.map(lambda array: np.swapaxes(array, -1, -2))


@handles(aten.convolution.default, aten.convolution_overrideable.default)
def convolution(
    run: Execution, a: Value, weight: Value, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Value:  # fmt: skip
    options = (stride, padding, dilation)
    if len(weight.shape) != len(a.shape):  # without an axis of the batch
        batched = reshape(a, (1, *a.shape))
        result = convolution(run, batched, weight, bias, *options, transposed, output_padding, groups)
        return reshape(result, result.shape[1:])
    size = _output_size(a.shape, weight.shape, options, transposed, output_padding, groups)
    if transposed:
        geometry = Geometry(size, a.shape[2:], weight.shape, options, groups)
        columns = matmul(geometry.rows(a), _matrix(weight, groups))
        result = geometry.scatter(columns, weight.shape[1] * groups)
    else:
        geometry = Geometry(a.shape[2:], size, weight.shape, options, groups)
        result = geometry.planes(matmul(geometry.columns(a), _transpose(_matrix(weight, groups))))
    if bias is None:
        return result
    return result + reshape(bias, (-1, *(1,) * len(size)))


def _output_size(
    shape: Any, weight: Any, options: Any, transposed: bool, output_padding: Any, groups: int
) -> tuple[int, ...]:
    metas = (torch.empty(shape, device="meta"), torch.empty(weight, device="meta"))
    found = aten.convolution(*metas, None, *options, transposed, output_padding, groups)
    return tuple(found.shape[2:])


@handles(aten.convolution_backward.default)
def convolution_backward(
    run: Execution, grad: Value, a: Value, weight: Value, bias_sizes: Any, stride: Any, padding: Any,
    dilation: Any, transposed: bool, output_padding: Any, groups: int, wanted: Any,
) -> tuple[Value | None, Value | None, Value | None]:  # fmt: skip
    """Of the input: the transposed product. Of the weight: rows times columns. Of the bias: sums."""
    options = (stride, padding, dilation)
    large, small = (grad, a) if transposed else (a, grad)
    geometry = Geometry(large.shape[2:], small.shape[2:], weight.shape, options, groups)
    matrix, columns, rows = _matrix(weight, groups), geometry.columns(large), geometry.rows(small)
    of_input = of_weight = of_bias = None
    if wanted[0]:
        if transposed:
            of_input = geometry.planes(matmul(columns, _transpose(matrix)))
        else:
            of_input = geometry.scatter(matmul(rows, matrix), large.shape[1])
    if wanted[1]:
        of_weight = reshape(matmul(_transpose(rows), columns).sum([-4]), weight.shape)
    if wanted[2]:
        of_bias = grad.sum([axis - len(grad.shape) for axis in range(len(grad.shape)) if axis != 1])
    return of_input, of_weight, of_bias


@handles(aten.conv_tbc.default)
def conv_tbc(run: Execution, a: Value, weight: Value, bias: Value, padding: int = 0) -> Value:
    """Time, batch, channels; the weight as kernel, channels in, channels out."""
    moved = convolution(
        run, permute(a, (1, 2, 0)), permute(weight, (2, 1, 0)), bias, (1,), (padding,), (1,), False, (0,), 1
    )
    return permute(moved, (2, 0, 1))


@handles(aten.im2col.default)
def im2col(run: Execution, a: Value, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    single = len(a.shape) == 3
    a = reshape(a, (1, *a.shape)) if single else a
    counts = _counts(a.shape[2:], kernel, dilation, padding, stride)
    geometry = Geometry(a.shape[2:], counts, (1, 1, *kernel), (stride, padding, dilation), 1)
    columns = permute(geometry.columns(a), (0, 1, 3, 2))
    shape = (columns.shape[0], *columns.shape[2:])
    return reshape(columns, shape[1:] if single else shape)


@handles(aten.col2im.default)
def col2im(
    run: Execution, a: Value, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any
) -> Value:
    single = len(a.shape) == 2
    a = reshape(a, (1, *a.shape)) if single else a
    counts = _counts(size, kernel, dilation, padding, stride)
    geometry = Geometry(size, counts, (1, 1, *kernel), (stride, padding, dilation), 1)
    columns = permute(reshape(a, (a.shape[0], 1, *a.shape[1:])), (0, 1, 3, 2))
    result = geometry.scatter(columns, a.shape[1] // prod(kernel))
    return reshape(result, result.shape[1:]) if single else result


def _counts(size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[int, ...]:
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)
    )

"""Matrix products and convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import Execution, handles
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten


def multiply_matrices(a: Array, b: Array) -> Array:
    """`matmul`, also for arrays of objects of which an axis is empty."""
    if a.shape[-1] == 0 or 0 in a.shape or 0 in b.shape:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return np.zeros((*lead, a.shape[-2], b.shape[-1]), dtype=a.dtype)
    return np.matmul(a, b)


def matmul(a: Value, b: Value) -> Value:
    return a.bilinear(b, multiply_matrices)


@handles(aten.mm.default, aten.bmm.default)
def mm(run: Execution, a: Value, b: Value) -> Value:
    return matmul(run.value_of(a), run.value_of(b))


@handles(aten.mv.default)
def mv(run: Execution, a: Value, b: Value) -> Value:
    return matmul(a, b.map(lambda array: array[..., None])).map(lambda array: array[..., 0])


@handles(aten.dot.default, aten.vdot.default)
def dot(run: Execution, a: Value, b: Value) -> Value:
    return (a * b).sum([-1])


def _scaled_sum(run: Execution, added: Value, product: Value, beta: Any, alpha: Any) -> Value:
    if alpha != 1:
        product = product * run.value_of(alpha)
    if beta == 0:
        return product
    return (added if beta == 1 else added * run.value_of(beta)) + product


@handles(aten.addmm.default, aten.baddbmm.default)
def addmm(run: Execution, added: Value, a: Value, b: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    return _scaled_sum(run, run.value_of(added), mm(run, a, b), beta, alpha)


@handles(aten.addmv.default)
def addmv(run: Execution, added: Value, a: Value, b: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    return _scaled_sum(run, added, mv(run, a, b), beta, alpha)


@handles(aten.addbmm.default)
def addbmm(run: Execution, added: Value, a: Value, b: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    return _scaled_sum(run, added, matmul(a, b).sum([-3]), beta, alpha)


@handles(aten.addr.default)
def addr(run: Execution, added: Value, a: Value, b: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    outer = a.map(lambda array: array[..., :, None]) * b.map(lambda array: array[..., None, :])
    return _scaled_sum(run, added, outer, beta, alpha)


# Convolutions: gathered windows times weights, so that the transposes follow from the same table of positions


def windows(run: Execution, shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Array:
    """Positions of each window, 0 for padding, else 1 + the flat position: (windows, entries of the
    kernel).
    """
    grid = torch.arange(1, 1 + int(np.prod(shape, dtype=int))).reshape(1, *shape)
    for axis in range(len(shape), 0, -1):
        grid = torch.nn.functional.pad(grid, (0, 0) * (len(shape) - axis) + (padding[axis - 1],) * 2)
    for axis, (size, step, spread) in enumerate(zip(kernel, stride, dilation, strict=True)):
        grid = grid.unfold(1 + axis, (size - 1) * spread + 1, step)[..., ::spread]
    count = int(np.prod(grid.shape[1 : 1 + len(shape)], dtype=int))
    return grid.reshape(count, -1).numpy()


@handles(aten.convolution.default)
def convolution(
    run: Execution, a: Value, weight: Value, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Value:  # fmt: skip
    raise NotImplementedError

"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten


def multiply_matrices(a: Array, b: Array) -> Array:
    """`matmul`, also for arrays of objects of which an axis is empty."""
    if a.shape[-1] == 0 or 0 in a.shape or 0 in b.shape:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return np.zeros((*lead, a.shape[-2], b.shape[-1]), dtype=a.dtype)
    return np.matmul(a, b)


def matmul(a: Value, b: Value) -> Value:
    """The product of matrices, over the axes before them broadcast."""
    axes = max(len(a.shape), len(b.shape))
    a, b = (reshape(x, (*(1,) * (axes - len(x.shape)), *x.shape)) for x in (a, b))
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


@handles(aten._trilinear.default)
def trilinear(
    run: Execution, a: Value, b: Value, c: Value, expand_a: Any, expand_b: Any, expand_c: Any, summed: Any,
    unroll: int = 1,
) -> Value:  # fmt: skip
    """The product of three tensors, each with axes of length 1 put in, summed over axes."""
    a, b, c = (_put_in(x, axes) for x, axes in ((a, expand_a), (b, expand_b), (c, expand_c)))
    product = a * b * c
    return product.sum([axis - len(product.shape) for axis in summed])


def _put_in(value: Value, axes: Any) -> Value:
    shape = list(value.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return reshape(value, tuple(shape))


def reshape(value: Value, shape: tuple[int, ...]) -> Value:
    """The same entries in row-major order, in another shape."""
    axes = len(value.shape)
    if shape == value.shape:
        return value
    return value.map(lambda array: array.reshape((*array.shape[: array.ndim - axes], *shape)))


def permute(value: Value, axes: tuple[int, ...]) -> Value:
    """Axes in another order."""
    count = len(axes)

    def move(array: Array) -> Array:
        lead = array.ndim - count
        return array.transpose((*range(lead), *(lead + axis for axis in axes)))

    return value.map(move)

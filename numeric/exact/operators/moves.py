"""Operators that move entries and compute nothing: run by PyTorch itself, on the positions of the entries."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_map_only

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import HANDLERS, handles
from gradproof.numeric.exact.operators.products import reshape
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten

MOVES = (
    aten.alias_copy, aten.clone.default,
    aten.diag_embed.default, aten.diagonal_copy.default, aten.diagonal_scatter.default,
    aten.embedding.default,
    aten.expand_copy.default, aten.flip.default, aten.gather.default, aten.index.Tensor,
    aten.index_select.default,
    aten.masked_scatter.default, aten.masked_select.default, aten.pixel_shuffle.default, aten.repeat.default,
    aten.roll.default, aten.scatter.src, aten.select_scatter.default, aten.slice_scatter.default,
    aten.stack.default,
    aten.take.default, aten.tril.default, aten.triu.default, aten.unfold_copy.default,
    aten.as_strided_copy.default, aten.as_strided_scatter.default, aten.rot90.default,
    aten.block_diag.default, aten.channel_shuffle.default, aten.repeat_interleave.self_int,
    aten._unsafe_index.Tensor,
    aten.index_copy.default, aten.reflection_pad1d.default,
    aten.reflection_pad2d.default, aten.reflection_pad3d.default,
    aten.replication_pad1d.default, aten.replication_pad2d.default, aten.replication_pad3d.default,
    aten.lift_fresh_copy.default, aten.split_with_sizes_copy.default, aten.unbind_copy.int,
    aten.permute_copy.default,
    aten.transpose_copy.int, aten.t_copy.default, aten.squeeze_copy.default, aten.unsqueeze_copy.default,
)  # fmt: skip
"""Position 0 stands for an entry that the operator fills with 0."""


def _move(operator: Any) -> None:
    @handles(operator)
    def answer(run: Execution, *args: Any, **kwargs: Any) -> Any:
        values = [
            leaf for leaf in tree_flatten((args, kwargs), is_leaf=_is_value)[0] if isinstance(leaf, Value)
        ]
        start = 1
        starts: list[int] = []
        for value in values:
            starts.append(start)
            start += int(np.prod(value.shape, dtype=int))
        remaining = iter(zip(values, starts, strict=True))

        def positions(leaf: Any) -> Any:
            value, first = next(remaining)
            count = int(np.prod(value.shape, dtype=int))
            return torch.arange(first, first + count).reshape(value.shape)

        leaves, spec = tree_flatten((args, kwargs), is_leaf=_is_value)
        moved = [positions(leaf) if isinstance(leaf, Value) else leaf for leaf in leaves]
        new_args, new_kwargs = spec.unflatten(moved)
        result = operator(*new_args, **new_kwargs)
        sources = [run.numbers.zeros((1,)), *values]
        return tree_map_only(torch.Tensor, lambda t: gather(sources, t.numpy()), result)


def _is_value(leaf: Any) -> bool:
    return isinstance(leaf, Value)


for _operator in MOVES:
    _move(_operator)


@handles(aten.clone.default, aten.lift_fresh_copy.default, aten.alias_copy)
def clone(run: Execution, a: Value, **named: Any) -> Value:
    return a


@handles(aten._unsafe_view.default, aten.view_copy.default, aten._reshape_copy.default)
def view(run: Execution, a: Value, size: Any) -> Value:
    whole = [n if n >= 0 else -1 for n in size]
    if -1 in whole:
        whole[whole.index(-1)] = prod(a.shape) // max(prod(n for n in whole if n >= 0), 1)
    return reshape(a, tuple(whole))


@handles(aten.cat.default)
def cat(run: Execution, tensors: Any, dim: int = 0) -> Value:
    """Tensors of shape (0,) count for nothing, whatever shape the others have."""
    values = [run.value_of(tensor) for tensor in tensors]
    joined = [value for value in values if value.shape != (0,)] or values[:1]
    shape = joined[0].shape
    axis = dim if dim >= 0 else dim + len(shape)
    sizes = [value.shape[axis] for value in joined]
    before, after = prod(shape[:axis]), prod(shape[axis + 1 :])
    positions, start = list[Array](), 0
    for size in sizes:
        count = before * size * after
        positions.append(np.arange(start, start + count).reshape(before, size, after))
        start += count
    order = np.concatenate(positions, axis=1)
    return gather(joined, order.reshape((*shape[:axis], sum(sizes), *shape[axis + 1 :])))


@handles(aten.copy)
def copy(run: Execution, target: Value, source: Any, non_blocking: bool = False) -> Value:
    return run.value_of(source).expand(target.shape)


@handles(aten.fill, aten.full_like, torch.ops.prims.fill)
def fill(run: Execution, a: Value, number: Any, **named: Any) -> Value:
    return run.value_of(number).expand(a.shape)


@handles(aten.zero, aten.zeros_like)
def zeros(run: Execution, a: Value, **named: Any) -> Any:
    dtype = named.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        return torch.zeros(a.shape, dtype=dtype)
    return run.numbers.zeros(a.shape)


@handles(aten.ones_like)
def ones(run: Execution, a: Value, **named: Any) -> Any:
    dtype = named.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        return torch.ones(a.shape, dtype=dtype)
    return run.value_of(1).expand(a.shape)


@handles(aten._new_zeros_with_same_feature_meta)
def tangent_zeros(run: Execution, a: Value, like: Value, self_num_batch_dims: int = 0) -> Value:
    """Zeros for the tangent of `like`, with the leading axes of a batch of tangents `a`."""
    return run.numbers.zeros((*a.shape[:self_num_batch_dims], *like.shape))


@handles(aten.empty_like, aten.new_empty, aten.new_zeros, aten.new_empty_strided)
def new_zeros(run: Execution, a: Value, size: Any = None, *rest: Any, **named: Any) -> Any:
    shape = a.shape if size is None else tuple(size)
    dtype = named.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        return torch.zeros(shape, dtype=dtype)
    return run.numbers.zeros(shape)


@handles(aten.new_ones)
def new_ones(run: Execution, a: Value, size: Any, **named: Any) -> Value:
    return run.value_of(1).expand(tuple(size))


@handles(aten.new_full)
def new_full(run: Execution, a: Value, size: Any, number: Any, **named: Any) -> Value:
    return run.value_of(number).expand(tuple(size))


@handles(aten.constant_pad_nd.default)
def constant_pad_nd(run: Execution, a: Value, padding: Any, fill: Any = 0) -> Value:
    count = int(np.prod(a.shape, dtype=int))
    positions = aten.constant_pad_nd(torch.arange(1, 1 + count).reshape(a.shape), padding, 0)
    number = run.value_of(fill).expand((1,))
    return gather([number, a], positions.numpy())


@handles(aten.index_fill.int_Scalar, aten.index_fill.int_Tensor)
def index_fill(run: Execution, a: Value, axis: int, index: torch.Tensor, number: Any) -> Value:
    shape = list(a.shape)
    shape[axis] = index.numel()
    return HANDLERS[aten.index_copy.default](run, a, axis, index, run.value_of(number).expand(tuple(shape)))


def _register_random(operator: Any, draw: Any) -> None:
    @handles(operator)
    def answer(run: Execution, a: Value, *args: Any, **named: Any) -> Value:
        generator = named.get("generator")
        return run.constants.lift(
            run.numbers, draw(torch.empty(a.shape, dtype=torch.float64), *args, generator)
        )


_register_random(aten.rand_like, lambda t, g: t.uniform_(generator=g))
_register_random(aten.randn_like, lambda t, g: t.normal_(generator=g))
_register_random(aten.uniform, lambda t, a, b, g: t.uniform_(a, b, generator=g))
_register_random(aten.normal_functional, lambda t, a, b, g: t.normal_(a, b, generator=g))


@handles(aten.exponential)
def exponential(run: Execution, a: Value, lambd: float = 1, *, generator: Any = None) -> Value:
    drawn = torch.empty(a.shape, dtype=torch.float64).exponential_(lambd, generator=generator)
    return run.constants.lift(run.numbers, drawn)


@handles(aten.bernoulli.p, aten.bernoulli.default)
def bernoulli(run: Execution, a: Value, p: Any = None, *, generator: Any = None) -> Value:
    if p is None:
        p = torch.from_numpy(np.asarray(a.reals, dtype=np.float64))
    drawn = torch.empty(a.shape, dtype=torch.float64).bernoulli_(p, generator=generator)
    return run.constants.lift(run.numbers, drawn)

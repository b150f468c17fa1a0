"""Storages of exact numbers and the tensors that look into them: no real memory, so that no value escapes
unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch.overrides import handle_torch_function

from gradproof.numeric.exact.duals import Array, Shape
from gradproof.numeric.exact.values import Value, concatenate


class ExactStorage:
    """What a PyTorch storage is, with exact numbers: its entries in a row, shared by all views of it."""

    def __init__(self, value: Value) -> None:
        self._shaped = value
        """The entries row by row, in the shape in which they were made."""
        self._flat: Value | None = None

    @property
    def value(self) -> Value:
        """All entries on one axis."""
        if self._flat is None:
            self._flat = flatten(self._shaped)
        return self._flat

    def read(self, size: Shape, stride: Shape, offset: int) -> Value:
        if offset == 0 and _is_row_major(size, stride):
            if size == self._shaped.shape:
                return self._shaped
            if prod(size) == prod(self._shaped.shape):
                return self.value.map(lambda array: array.reshape((*array.shape[:-1], *size)))
        self._check(size, stride, offset)
        if 0 in size:
            return self.value.map(lambda array: view_strided(array, size, stride, offset))
        positions = _positions(size, stride, offset)
        return self.value.map(lambda array: array.take(positions, axis=-1))

    def _check(self, size: Shape, stride: Shape, offset: int) -> None:
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if 0 not in size and last >= self.value.shape[0]:
            raise IndexError(f"a view reaches entry {last} of a storage that has {self.value.shape[0]}")

    def write(self, value: Value, size: Shape, stride: Shape, offset: int) -> None:
        self._check(size, stride, offset)
        count = self.value.shape[0]
        positions = np.arange(count)
        view_strided(positions, size, stride, offset)[...] = count + np.arange(prod(size)).reshape(size)
        self.replace(gather([self.value, value], positions))

    def replace(self, entries: Value) -> None:
        """Other entries, on one axis."""
        self._shaped = self._flat = entries


@lru_cache(maxsize=1024)
def _positions(size: Shape, stride: Shape, offset: int) -> Array:
    """Where the entries of a view lie."""
    extent = 1 + offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    return view_strided(np.arange(extent), size, stride, offset).copy()


def _is_row_major(size: Shape, stride: Shape) -> bool:
    expected = 1
    for n, step in zip(reversed(size), reversed(stride), strict=True):
        if n != 1 and step != expected:
            return False
        expected *= n
    return True


def view_strided(array: Array, size: Shape, stride: Shape, offset: int) -> Array:
    """A strided view of the last axis."""
    if 0 in size:
        return np.empty((*array.shape[:-1], *size), dtype=array.dtype)
    item = array.strides[-1]
    strides = (*array.strides[:-1], *(step * item for step in stride))
    return as_strided(array[..., offset:], (*array.shape[:-1], *size), strides)


def flatten(value: Value) -> Value:
    """All entries on one axis, in row-major order."""
    axes, count = len(value.shape), prod(value.shape)
    if axes == 1:
        return value
    return value.map(lambda array: array.reshape((*array.shape[: array.ndim - axes], count)))


def gather(values: Sequence[Value], positions: Array) -> Value:
    """Entries by their positions in all the values, flattened and joined."""
    joined = flatten(values[0]) if len(values) == 1 else concatenate([flatten(value) for value in values])
    return joined.map(lambda array: np.asarray(array[..., positions]))


class ExactTensor(torch.Tensor):
    """A tensor whose numbers stand in an `ExactStorage`; `meta` has its size, strides and aliases, and no
    memory.
    """

    storage_: ExactStorage
    meta: torch.Tensor

    @staticmethod
    def __new__(cls, storage: ExactStorage, meta: torch.Tensor, requires_grad: bool = False) -> ExactTensor:
        tensor: Any = torch.Tensor._make_wrapper_subclass(
            cls,
            meta.size(),
            strides=meta.stride(),
            storage_offset=meta.storage_offset(),
            dtype=meta.dtype,
            device=torch.device("cpu"),
            requires_grad=requires_grad,
        )
        tensor.storage_ = storage
        tensor.meta = meta
        return tensor

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()

    def __repr__(self, *, tensor_contents: object = None) -> str:
        if torch._C._len_torch_function_stack():  # a program that is run may not read its numbers as text
            return str(handle_torch_function(torch.Tensor.__repr__, (self,), self))
        return f"ExactTensor(shape={tuple(self.shape)}, dtype={self.dtype})"

    def read(self) -> Value:
        meta = self.meta
        return self.storage_.read(tuple(meta.size()), meta.stride(), int(meta.storage_offset()))

    def write(self, value: Value) -> None:
        meta = self.meta
        size = tuple(meta.size())
        self.storage_.write(value.expand(size), size, meta.stride(), int(meta.storage_offset()))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} was called on an exact tensor outside of an exact execution")


@lru_cache(maxsize=4096)
def plain_meta(shape: Shape, dtype: torch.dtype) -> torch.Tensor:
    """Row-major memory that is not there; shared by all tensors that are laid out so."""
    return torch.empty(shape, dtype=dtype, device="meta")


def new_tensor(
    value: Value, dtype: torch.dtype, requires_grad: bool = False, like: torch.Tensor | None = None
) -> ExactTensor:
    """A tensor of its own with the entries of `value`, laid out as `like` (contiguous without it)."""
    if like is None:
        return ExactTensor(ExactStorage(value), plain_meta(value.shape, dtype), requires_grad)
    meta = like
    size, stride, offset = tuple(meta.size()), meta.stride(), int(meta.storage_offset())
    count = 1 + offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if 0 not in size else 0
    if meta.is_contiguous() and offset == 0 and count == prod(size):
        return ExactTensor(ExactStorage(value.expand(size)), meta, requires_grad)
    storage = ExactStorage(value.numbers.zeros((count,)))
    storage.write(value.expand(size), size, stride, offset)
    return ExactTensor(storage, meta, requires_grad)


def without_constant(value: Value) -> Value:
    """The same array, no longer known to be constant."""
    return replace(value, constant=None)

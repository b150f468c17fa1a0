"""Matrix products on the CPU by the faster of PyTorch's two libraries.

`torch.mm` in float32 calls MKL or another BLAS; the oneDNN that PyTorch brings along reaches about twice its
speed where the BLAS does not use all of the processor. Both compute in float32.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch

SMALLEST = 1_000_000
"""Multiplications below which calling oneDNN costs more than it saves."""


@cache
def _library() -> Any:
    """oneDNN's product of a matrix by a transposed one, or None where this PyTorch has none."""
    if not torch.backends.mkldnn.is_available():
        return None
    operators = torch.ops.mkldnn
    needed = ("_linear_pointwise", "_reorder_linear_weight")
    return operators if all(hasattr(operators, name) for name in needed) else None


def lies_in_memory(array: Any) -> bool:
    """Whether the entries of a tensor lie at its address: not of one that answers operators itself."""
    kind: Any = type(array)
    own = kind.__torch_dispatch__ is torch.Tensor.__torch_dispatch__  # pyright: ignore[reportAttributeAccessIssue]
    return own and array.device.type == "cpu" and not array.is_nested


def _suits(a: Any, b: Any) -> bool:
    return (
        lies_in_memory(a)
        and lies_in_memory(b)
        and b.dim() == 2
        and a.dtype == b.dtype == torch.float32
        and a.numel() * b.shape[-1] >= SMALLEST
        and torch.backends.mkldnn.enabled
        and _library() is not None
    )


def matmul(a: Any, b: Any) -> Any:
    """`a @ b` for a matrix `b`; `a` may have more axes in front.

    oneDNN copies a first factor that does not lie row by row: that of the transposed product may be smaller.
    """
    if not _suits(a, b):
        return a @ b
    product = _library()._linear_pointwise
    if a.dim() == 2 and a.T.is_contiguous() and not a.is_contiguous() and b.numel() < a.numel():
        return product(b.T, a, None, "none", [], "").T.contiguous()
    return product(a, b.T, None, "none", [], "")


class Result:
    """An array that a product fills anew in each step: where the product's own memory stands, without a copy.

    Blocks that are bound to it find its address in their tables, in the columns `readers`.
    """

    def __init__(self, array: Any, columns: int) -> None:
        split = array.dim() - columns
        self.shape = array.shape
        self.matrix = array.reshape(math.prod(array.shape[:split]), math.prod(array.shape[split:]))
        self.readers: list[Any] = []

    def __getitem__(self, step: int) -> Any:
        return self.matrix.view(self.shape)

    def addresses(self, count: int) -> int:
        return self.matrix.data_ptr()

    def put(self, matrix: Any) -> None:
        """Take this matrix in the place of the one before."""
        self.matrix = matrix
        address = matrix.data_ptr()
        for column in self.readers:
            column.fill(address)


class Product:
    """Products of many matrices of `rows` rows by one matrix, which is laid out for that once."""

    def __init__(self, b: Any, rows: int) -> None:
        self.b = b
        small = rows * b.numel() < SMALLEST
        suits = not small and _suits(torch.empty(rows, b.shape[0], dtype=b.dtype), b)
        self.packed = _library()._reorder_linear_weight(b.T.contiguous(), rows) if suits else None
        self.times = _library()._linear_pointwise.default if suits else None

    def __call__(self, a: Any, out: Any) -> None:
        """Write `a @ b` into `out`, a matrix or a Result."""
        whole = isinstance(out, Result)
        if self.times is None:
            torch.mm(a, self.b, out=out.matrix if whole else out)
            return
        made = self.times(a, self.packed, None, "none", [], "")
        if whole:
            out.put(made)
        else:
            out.copy_(made)

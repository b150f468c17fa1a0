"""Inputs of about 2^20 elements for any operation, from one table of axis sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.operation import Definition, Operation, flat

ELEMENTS = 1 << 20
"""About how many elements the largest input has."""
MOST = 4 * ELEMENTS
"""How many elements an intermediate may have at most."""

SIZES: Mapping[str, int] = {
    "terms": 1024,
    "classes": 1024,
    "features": 1024,
    "embed": 256,
    "inner": 1024,
    "query": 128,
    "key": 128,
    "time": 128,
    "value": 256,
    "memory": 256,
    "alignment": 64,
    "head": 4,
    "head_dim": 64,
    "pair": 128,
    "input": 256,
    "output": 256,
    "left": 32,
    "right": 32,
    "hidden": 256,
    "vocab": 4096,
}
OTHER = 64
"""The size of an axis that is not in the table."""


def choose_sizes(
    operation: Operation, table: Mapping[str, int] = SIZES, elements: int = ELEMENTS, most: int = MOST
) -> dict[Axis, int]:
    """The size of each axis: the table's; the batch is as large as the number of elements asks for."""
    tensors = defined(operation)
    sizes: dict[Axis, int] = {}
    for axis in (axis for t in (*operation.inputs, *tensors) for axis in t.axes):
        sizes[axis] = axis.size or (1 if axis.variadic else table.get(axis.name, OTHER))
    outer = max((count(t, sizes) for t in operation.inputs if is_batched(t)), default=1)
    inner = max((count(t, sizes) for t in tensors if is_batched(t)), default=1)
    batch = max(1, min(elements // outer, most // inner))
    return {axis: batch if axis.variadic else size for axis, size in sizes.items()}


def defined(operation: Operation) -> list[Tensor]:
    """The tensors that the operation defines, those within a recurrence left out."""
    made: list[Tensor] = []
    for statement in flat(operation.program.statements):
        made += [statement.target] if isinstance(statement, Definition) else statement.targets
    return made


def is_batched(tensor: Tensor) -> bool:
    """Whether a tensor has a batch axis."""
    return any(a.variadic for a in tensor.axes)


def count(tensor: Tensor, sizes: Mapping[Axis, int]) -> int:
    """The number of elements of a tensor."""
    return math.prod(sizes[axis] for axis in tensor.axes)


def draw_inputs(operation: Operation, sizes: Mapping[Axis, int], dtype: torch.dtype) -> list[torch.Tensor]:
    """Random inputs; tensors without a batch axis are scaled like weights."""
    generator = torch.Generator().manual_seed(20)
    return [draw(t, [sizes[a] for a in t.axes], sizes, dtype, generator) for t in operation.inputs]


def draw(
    tensor: Tensor,
    shape: list[int],
    sizes: Mapping[Axis, int],
    dtype: torch.dtype,
    generator: torch.Generator,
) -> torch.Tensor:
    """Random values for one input, in its domain."""
    if tensor.dtype == "boolean":
        made = torch.rand(shape, generator=generator) < 0.7
        made[..., :1] = True
        return made
    if tensor.dtype == "integer":
        high = sizes.get(tensor.over, 1) if tensor.over is not None else 1
        return torch.randint(0, high, shape, generator=generator)
    value = torch.randn(shape, generator=generator, dtype=dtype)
    if tensor.domain != "real":
        return value.abs() + 0.1
    return value if is_batched(tensor) or not shape else value / math.sqrt(shape[-1])

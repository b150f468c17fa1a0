"""The sizes of axes in a call, and messages that name the operation, both shapes and the axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Shapes:
    """The size of every axis; for batch axes the sizes of all that they stand for."""

    sizes: Mapping[Axis, Shape]

    def of(self, tensor: Tensor) -> Shape:
        """The shape of a tensor."""
        return tuple(n for axis in tensor.axes for n in self.sizes[axis])

    def size(self, axis: Axis) -> int | Shape:
        """The size of an axis as generated code takes it: for batch axes a shape of at least one axis."""
        found = self.sizes[axis]
        return (found or (1,)) if axis.variadic else found[0]

    @cached_property
    def unbatched(self) -> bool:
        """Whether the batch axes stand for no axis at all."""
        return any(axis.variadic and not size for axis, size in self.sizes.items())


def measure(label: str, tensors: Sequence[Tensor], shapes: Sequence[Shape]) -> Shapes:
    """The sizes of the axes of tensors that have these shapes; raises ValueError where they do not fit."""
    sizes: dict[Axis, Shape] = {}
    source: dict[Axis, tuple[Tensor, Shape]] = {}
    for tensor, shape in zip(tensors, shapes, strict=True):
        for axis, found in _parts(label, tensor, shape):
            if axis.size is not None and found != (axis.size,):
                raise ValueError(
                    f"{label}: axis {axis.name} of {tensor!r} has size {axis.size}, found shape {shape}"
                )
            if found and not axis.variadic and found[0] < axis.minimum:
                raise ValueError(
                    f"{label}: axis {axis.name} of {tensor!r} has at least size {axis.minimum}, "
                    f"found shape {shape}"
                )
            if sizes.setdefault(axis, found) != found:
                other, there = source[axis]
                raise ValueError(
                    f"{label}: {tensor!r} of shape {shape} does not fit {other!r} of shape {there}: "
                    f"axis {axis.name} is {_show(found)} here and {_show(sizes[axis])} there"
                )
            source.setdefault(axis, (tensor, shape))
    return Shapes(sizes)


def _show(size: Shape) -> str:
    return str(size[0]) if len(size) == 1 else str(size)


def _parts(label: str, tensor: Tensor, shape: Shape) -> list[tuple[Axis, Shape]]:
    fixed = sum(1 for a in tensor.axes if not a.variadic)
    lead = len(shape) - fixed
    variadic = any(a.variadic for a in tensor.axes)
    if lead < 0 or (lead > 0 and not variadic):
        wanted = f"at least {fixed}" if variadic else str(fixed)
        raise ValueError(f"{label}: {tensor!r} has {wanted} axes, found shape {shape}")
    parts: list[tuple[Axis, Shape]] = []
    place = 0
    for axis in tensor.axes:
        width = lead if axis.variadic else 1
        parts.append((axis, shape[place : place + width]))
        place += width
    return parts

"""Inputs for an operation, made from what it declares: sizes of axes, entries within domains, layouts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from gradproof.numeric.shapes import Shape
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.domain import parse_domain
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.operation import Operation, Recurrence, flat

LAYOUTS = ("contiguous", "transposed", "sliced", "expanded")
WIDE = 37
"""A row longer than a vector register, and no multiple of one."""


@dataclass(frozen=True, repr=False)
class Case:
    """Inputs of an operation (real ones in float64), hyper-parameters, and a word on what is special."""

    operation: Operation
    inputs: tuple[np.ndarray, ...]
    parameters: Mapping[str, float] = field(default_factory=dict[str, float])
    label: str = ""

    def __repr__(self) -> str:
        given = {t.name: a for t, a in zip(self.operation.inputs, self.inputs, strict=True)}
        return f"<{self.operation.label}, {self.label}: {given} {dict(self.parameters)}>"

    @property
    def real(self) -> tuple[int, ...]:
        """The places of the real inputs."""
        return tuple(n for n, t in enumerate(self.operation.inputs) if t.dtype == "real")


def axes_of(operation: Operation) -> tuple[Axis, ...]:
    """The axes of the inputs whose size is to be chosen, in the order in which they occur."""
    found = [a for t in operation.inputs for a in t.axes]
    found += [t.over for t in operation.inputs if t.over is not None]
    return tuple(dict.fromkeys(a for a in found if a.size is None and not a.variadic))


def choose_sizes(
    operation: Operation, wanted: Sequence[int], products: Mapping[str, tuple[str, ...]] | None = None
) -> dict[Axis, int]:
    """A size for each axis, in turn, and products of them where an axis is to be one."""
    axes = axes_of(operation)
    sizes = {a: max(wanted[n % len(wanted)], a.minimum) for n, a in enumerate(axes)}
    named = {a.name: a for a in axes}
    for name, parts in (products or {}).items():
        if name in named and all(p in named for p in parts):
            sizes |= {named[p]: max(sizes[named[p]], named[name].minimum) for p in parts}
            sizes[named[name]] = math.prod(sizes[named[p]] for p in parts)
    return sizes


def shape_of(tensor: Tensor, sizes: Mapping[Axis, int], batch: Shape) -> Shape:
    """The shape of a tensor; every batch axis has the same shape, and at least one entry where it must."""
    made: list[int] = []
    for axis in tensor.axes:
        if axis.variadic:
            made.extend(max(n, axis.minimum) for n in batch)
        else:
            made.append(axis.size if axis.size is not None else sizes[axis])
    return tuple(made)


def wide(operation: Operation) -> tuple[int, ...]:
    """Sizes past a vector register, as many as the number of axes allows."""
    count = len(axes_of(operation))
    return {0: (1,), 1: (67,), 2: (19, 37)}.get(count, (5, 7, 4, 6, 3))


Fill = Callable[[Tensor, Shape, np.random.Generator], np.ndarray]


def make_case(
    operation: Operation,
    sizes: Mapping[Axis, int],
    batch: Shape,
    seed: int,
    *,
    fill: Fill | None = None,
    layout: str = "contiguous",
    shifted: bool = False,
    full: bool = False,
    label: str = "",
) -> Case:
    """Inputs of the given sizes.

    `fill` draws the real ones, `shifted` takes hyper-parameters off their defaults, `full` leaves no row of
    a mask empty.
    """
    chance = np.random.default_rng(seed)
    inputs = [
        lay(draw(t, shape_of(t, sizes, batch), sizes, chance, fill or ordinary, full), layout)
        for t in operation.inputs
    ]
    parameters = {
        n: shifted_value(h.default, h.domain) if shifted else float(h.default)
        for n, h in operation.hyperparameters.items()
    }
    return Case(operation, tuple(inputs), parameters, label)


def draw(
    tensor: Tensor,
    shape: Shape,
    sizes: Mapping[Axis, int],
    chance: np.random.Generator,
    fill: Fill,
    full: bool = False,
) -> np.ndarray:
    """Entries for an input of any kind."""
    if tensor.dtype == "boolean":
        return mask(shape, chance, full)
    if tensor.dtype == "integer":
        assert tensor.over is not None
        count = tensor.over.size if tensor.over.size is not None else sizes[tensor.over]
        return places(shape, count, tensor.domain == "integer", chance)
    return within(tensor, fill(tensor, shape, chance))


def mask(shape: Shape, chance: np.random.Generator, full: bool = False) -> np.ndarray:
    """Truth values; of three rows the first is empty and the last one full, or with `full` none is empty."""
    made = chance.random(shape) < 0.6
    if full and shape and made.size:
        made[..., 0] = True
    elif len(shape) >= 2 and math.prod(shape[:-1]) >= 3 and made.size:
        made.reshape(-1, shape[-1])[[0, -1]] = [[False], [True]]
    return made


def places(shape: Shape, count: int, beyond: bool, chance: np.random.Generator) -> np.ndarray:
    """Indices of an axis, repeated, both ends among them; some beside the axis where they may be."""
    made = chance.integers(0, count, shape)
    flat = made.reshape(-1)
    for at, value in zip(range(1, flat.size), (0, count - 1, count - 1), strict=False):
        flat[at] = value
    if beyond:
        for at, value in zip(range(4, flat.size, 3), (-100, count, -1), strict=False):
            flat[at] = value
    return made


def ordinary(tensor: Tensor, shape: Shape, chance: np.random.Generator) -> np.ndarray:
    """Values around 1, of both signs."""
    return chance.standard_normal(shape)


def scaled(factor: float) -> Fill:
    """Values of a given magnitude."""
    return lambda tensor, shape, chance: factor * chance.standard_normal(shape)


def within(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """The values, brought into the tensor's domain."""
    hull = parse_domain(tensor.domain).hull
    low = None if hull.low is None else float(hull.low)
    high = None if hull.high is None else float(hull.high)
    if low is not None and high is not None:
        return low + (high - low) / (1 + np.exp(-np.clip(values, -30, 30)))
    if low is not None:
        away = low + np.abs(values)
        return away if hull.low_closed else np.where(away > low, away, low + 0.5)
    return values if high is None else high - np.abs(values)


def shifted_value(default: Fraction, domain: str) -> float:
    """A value of a hyper-parameter that is not its default."""
    interval = parse_domain(domain).hull
    if interval.low is not None and interval.high is not None:
        return float(interval.low + (interval.high - interval.low) / 8)
    return float(default) * 1.5 + (0.0 if default else 0.1)


def lay(array: np.ndarray, layout: str) -> np.ndarray:
    """The array with other strides; expanded, its first row stands for all of them."""
    if layout == "contiguous" or not array.size or not array.ndim:
        return array
    if layout == "transposed":
        return np.ascontiguousarray(array.T).T
    if layout == "sliced":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if layout == "expanded":
        return np.broadcast_to(array[:1], array.shape)
    raise ValueError(f"a layout is one of {', '.join(LAYOUTS)}; found {layout!r}")


def is_elementwise(operation: Operation) -> bool:
    """Whether every output has the axes of every input, and no entry reads another."""
    if any(isinstance(s, Recurrence) for s in flat(operation.program.statements)):
        return False
    tensors = (*operation.inputs, *operation.outputs)
    variadic = all(axis.variadic for t in tensors for axis in t.axes)
    definitions = operation.program.definitions.values()
    return (
        variadic
        and len({t.axes for t in tensors}) == 1
        and not any(d.value.bound or not d.indices for d in definitions)
    )


def as_torch(array: np.ndarray, dtype: Any = None) -> Any:
    """The array as a tensor of the same strides, expanded ones included."""
    import torch

    array = np.asarray(array)
    if array.dtype.kind in "iu":
        array = array.astype(np.int64, copy=False)
    if 0 in array.strides and array.size:
        once = array[tuple(slice(0, 1) if s == 0 else slice(None) for s in array.strides)]
        made = torch.from_numpy(once.copy()).to(dtype if once.dtype.kind == "f" else None)
        return made.expand(array.shape)
    made = torch.from_numpy(array if array.flags.writeable else array.copy())
    return made.to(dtype) if dtype is not None and array.dtype.kind == "f" else made

"""Axes of the inputs of a function: named by a specification, or told from equal sizes in an example.

    x: batch time d, w: d h, target: int batch < classes

An input without axes is a scalar (`x:`); `int` and `bool` are data; `< axis` bounds integers by the size
of an axis. A word in front of the axes says where the numbers lie: `real`, `positive`, `unit` (between 0
and 1), `simplex` (rows that sum to 1) or `mask` (0 and 1), as in `p: unit batch`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

_NAME = re.compile(r"[A-Za-z_]\w*")
DOMAINS = ("real", "positive", "unit", "simplex", "mask")
_KINDS = ("int", "bool", "float", *DOMAINS)


class SpecificationError(ValueError):
    """A specification that cannot be read, or that does not fit the example."""


@dataclass(frozen=True)
class InputAxes:
    """The axes of one input; a number in place of a name is a size that stays."""

    name: str
    axes: tuple[str | int, ...]
    kind: str = "float"
    bound: str | int | None = None
    domain: str = ""
    """Where the numbers lie, if the specification says so."""


def read_specification(text: str) -> tuple[InputAxes, ...]:
    """Read a specification.

    Raises SpecificationError with what was found and what was expected.

    >>> read_specification("x: batch d, target: int batch < d")[1]
    InputAxes(name='target', axes=('batch',), kind='int', bound='d', domain='')
    """
    parts = [part for part in text.split(",") if part.strip()]
    if not parts:
        raise SpecificationError("the specification is empty; write for instance 'x: batch d, w: d h'")
    return tuple(_read_input(part) for part in parts)


def _read_input(part: str) -> InputAxes:
    name, colon, rest = part.partition(":")
    name = name.strip()
    if not colon or not _NAME.fullmatch(name):
        raise SpecificationError(f"'{part.strip()}' does not read as 'name: axis axis ...'")
    axes_text, less, bound_text = rest.partition("<")
    words = axes_text.split()
    kind = words.pop(0) if words and words[0] in _KINDS else "float"
    bound = _axis(bound_text.strip(), part) if less else None
    if less and kind != "int":
        raise SpecificationError(f"'{part.strip()}' bounds an input that is not marked 'int'")
    domain = kind if kind in DOMAINS else ""
    kind = "float" if domain else kind
    return InputAxes(name, tuple(_axis(word, part) for word in words), kind, bound, domain)


def _axis(word: str, part: str) -> str | int:
    if word.isdigit():
        return int(word)
    if not _NAME.fullmatch(word):
        raise SpecificationError(f"'{word}' in '{part.strip()}' is neither the name of an axis nor a size")
    return word


def check_fit(axes: Sequence[InputAxes], shapes: Sequence[tuple[int, ...] | None]) -> dict[str, int]:
    """The size of each axis in the example; raises SpecificationError where they do not agree."""
    if len(axes) != len(shapes):
        raise SpecificationError(f"the specification names {len(axes)} inputs, the example has {len(shapes)}")
    sizes: dict[str, int] = {}
    for entry, shape in zip(axes, shapes, strict=True):
        if shape is None or len(shape) != len(entry.axes):
            found = "no tensor" if shape is None else f"shape {shape}"
            raise SpecificationError(
                f"'{entry.name}' has {len(entry.axes)} axes in the specification, but {found}"
            )
        for axis, size in zip(entry.axes, shape, strict=True):
            known = axis if isinstance(axis, int) else sizes.setdefault(axis, size)
            if known != size:
                raise SpecificationError(
                    f"axis '{axis}' of '{entry.name}' has size {size}, elsewhere {known}"
                )
    return sizes


def infer_axes(
    names: Sequence[str],
    shapes: Sequence[tuple[int, ...] | None],
    kinds: Sequence[str],
    fixed: frozenset[int],
) -> tuple[InputAxes, ...]:
    """Axes of equal size are one axis; sizes in `fixed` (those of parameters) stay."""
    letters: dict[int, str] = {}
    found: list[InputAxes] = []
    for name, shape, kind in zip(names, shapes, kinds, strict=True):
        axes: list[str | int] = []
        for size in shape or ():
            axes.append(size if size in fixed else letters.setdefault(size, f"axis of size {size}"))
        found.append(InputAxes(name, tuple(axes), kind))
    return tuple(found)


def shape_of(entry: InputAxes, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of an input for given sizes of the axes."""
    return tuple(axis if isinstance(axis, int) else sizes[axis] for axis in entry.axes)


def make_examples(given: Sequence[InputAxes], arrays: bool = False, seed: int = 0) -> tuple[Any, ...]:
    """Inputs of a specification: each axis of another size, numbers in float64 within their domains.

    Tensors, or NumPy arrays with `arrays`. Raises SpecificationError for integers without a bound.

    >>> x, target = make_examples(read_specification("x: batch classes, target: int batch < classes"))
    >>> tuple(x.shape), tuple(target.shape), int(target.max()) < 3
    ((2, 3), (2,), True)
    """
    names = dict.fromkeys(axis for entry in given for axis in (*entry.axes, entry.bound))
    free = [axis for axis in names if isinstance(axis, str)]
    sizes = {axis: 2 + n for n, axis in enumerate(free)}
    chance = np.random.default_rng(seed)
    made = [_draw(entry, shape_of(entry, sizes), sizes, chance) for entry in given]
    return tuple(made) if arrays else tuple(map(torch.from_numpy, made))


def _draw(
    entry: InputAxes, shape: tuple[int, ...], sizes: Mapping[str, int], chance: np.random.Generator
) -> np.ndarray:
    if entry.kind == "bool":
        return np.asarray(chance.random(shape) < 0.6)
    if entry.kind == "int":
        if entry.bound is None:
            raise SpecificationError(
                f"'{entry.name}' are integers without a bound; write for instance '{entry.name}: int "
                f"{' '.join(map(str, entry.axes))} < classes', or give example inputs"
            )
        bound = entry.bound if isinstance(entry.bound, int) else sizes[entry.bound]
        return np.asarray(chance.integers(0, bound, shape))
    normal = np.asarray(chance.standard_normal(shape))
    if entry.domain == "positive":
        return np.exp(normal)
    if entry.domain == "unit":
        return 1 / (1 + np.exp(-normal))
    if entry.domain == "simplex":
        return np.exp(normal) / np.exp(normal).sum(-1, keepdims=True)
    return (normal > 0).astype(np.float64) if entry.domain == "mask" else normal

"""Axes of the inputs of a function: named by a specification, or told from equal sizes in an example.

    x: batch time d, w: d h, target: int batch < classes

An input without axes is a scalar (`x:`); `int` and `bool` are data; `< axis` bounds integers by the size
of an axis.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z_]\w*")
_KINDS = ("int", "bool", "float")


class SpecificationError(ValueError):
    """A specification that cannot be read, or that does not fit the example."""


@dataclass(frozen=True)
class InputAxes:
    """The axes of one input; a number in place of a name is a size that stays."""

    name: str
    axes: tuple[str | int, ...]
    kind: str = "float"
    bound: str | int | None = None


def read_specification(text: str) -> tuple[InputAxes, ...]:
    """Read a specification.

    Raises SpecificationError with what was found and what was expected.

    >>> read_specification("x: batch d, target: int batch < d")[1]
    InputAxes(name='target', axes=('batch',), kind='int', bound='d')
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
    return InputAxes(name, tuple(_axis(word, part) for word in words), kind, bound)


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

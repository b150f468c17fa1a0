"""Axes and indices: typed, named dimensions of symbolic size, and the variables that run over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from gradproof.symbolic.mistakes import MistakeError, check_count, check_name


@dataclass(frozen=True, eq=False)
class Axis:
    """A named dimension of symbolic size, such as `batch`, `time` or `hidden`.

    Two axes are the same only if they are the same declaration: name and size play no part.

    - `size`: a fixed size, for axes that enumerate (the gates of an LSTM); `None` for a symbolic one.
    - `minimum`: the smallest size allowed; a proof states it as a condition (`n >= 1`).
    - `variadic`: stands for any number of leading dimensions, including none.
    - `parts`, `more`: of an axis that is made of others, so many times the size of each, and a number.
    - `factors`: of an axis that joins others row by row, these; it has as many places as they have together.

    >>> Axis("classes", minimum=1)
    Axis(classes)
    """

    name: str
    size: int | None = None
    minimum: int = 0
    variadic: bool = False
    parts: tuple[tuple[Axis, int], ...] = ()
    more: int = 0
    factors: tuple[Axis, ...] = ()
    declaration: str = field(default_factory=lambda: uuid4().hex, repr=False, kw_only=True)
    """What a declaration is known by: copies and what is unpickled are the same axis."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Axis) and self.declaration == other.declaration

    def __hash__(self) -> int:
        return hash(self.declaration)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (
            self.name, self.size, self.minimum, self.variadic, self.parts, self.more, self.factors
        )  # fmt: skip
        return _restore, (fields, self.declaration)

    def __post_init__(self) -> None:
        check_name(self.name, "an axis")
        if self.size is not None:
            check_count(self.size, 1, f"axis {self.name}: a fixed size")
        check_count(self.minimum, 0, f"axis {self.name}: the smallest size")
        _DECLARED[self.declaration] = self

    def __repr__(self) -> str:
        return f"Axis({self.name})"

    @property
    def nonempty(self) -> bool:
        """Whether at least one index runs over the axis, whatever its size."""
        return self.minimum >= 1 or self.size is not None

    @property
    def whole(self) -> Axis | None:
        """The axis of which it is a part, with fewer places."""
        if self.more >= 0 or sum(times for _, times in self.parts) != 1:
            return None
        return self.parts[0][0]

    @property
    def longer(self) -> bool:
        """Whether it is made of other axes and longer than these."""
        return bool(self.parts) and (self.more > 0 or sum(times for _, times in self.parts) > 1)


_DECLARED: WeakValueDictionary[str, Axis] = WeakValueDictionary()


def _restore(fields: tuple[Any, ...], declaration: str) -> Axis:
    """The axis of a declaration: the one that is there, or made anew where there is none."""
    known = _DECLARED.get(declaration)
    return Axis(*fields, declaration=declaration) if known is None else known


def with_made(sizes: Mapping[Axis, int], axes: Iterable[Axis]) -> dict[Axis, int]:
    """Sizes of axes, with those of the axes that are made of them."""
    made = dict(sizes)
    for axis in axes:
        if axis.parts:
            made[axis] = axis.more + sum(times * (a.size or made[a]) for a, times in axis.parts)
        elif axis.factors:
            made[axis] = prod(a.size or made[a] for a in axis.factors)
    return made


def check_axis(given: object, what: str) -> Axis:
    """The axis; raises MistakeError for anything else."""
    if not isinstance(given, Axis):
        raise MistakeError(f"{what}, such as Axis('classes'), found {given!r}")
    return given


def check_axes(where: str, axes: Iterable[Axis]) -> None:
    """Raise MistakeError for two axes of one name: what is printed could not tell them apart."""
    known: dict[str, Axis] = {}
    for axis in axes:
        if known.setdefault(axis.name, axis) is not axis:
            raise MistakeError(
                f"{where}: two axes are called {axis.name}; two declarations are two axes, so either use one "
                "of them for both or give the other a name of its own"
            )


def batch(name: str = "batch") -> Axis:
    """An axis that stands for any number of leading dimensions.

    >>> batch().variadic
    True
    """
    return Axis(name, variadic=True)

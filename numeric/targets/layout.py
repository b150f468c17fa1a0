"""Axes of arrays as Python text: sizes, alignment by broadcasting, transposition.

The batch axis stands for any number of array axes and comes first (or right behind the axis of a loop), so
every other axis is reached from the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Index, Tensor

Dims = tuple[Index, ...]


class Sizes:
    """Names for the sizes of axes, read off the inputs.

    `used` are those that the body needs, with their code; `missing` are those that no input shows.
    """

    def __init__(
        self, inputs: Sequence[Tensor], taken: set[str], names: dict[Tensor, str], batch: Axis
    ) -> None:
        self.batch = batch
        self.inputs = inputs
        self.names = names
        self.taken = taken | set(names.values())
        self.used: dict[str, str] = {}
        self.missing: dict[Axis, str] = {}

    def size(self, axis: Axis) -> str:
        """The size of an axis, as a number or a name."""
        if axis.size is not None:
            return str(axis.size)
        if axis.variadic:
            return f"math.prod({self.lead()})"
        name = axis.name if axis.name not in self.taken else f"{axis.name}_size"
        if name not in self.used and axis not in self.missing:
            found = self.find(axis)
            if found:
                self.used[name] = found
            else:
                self.missing[axis] = name
        return name

    def find(self, axis: Axis) -> str:
        """The code of a size, or an empty text where no input has the axis."""
        for tensor in self.inputs:
            for place, have in enumerate(tensor.axes):
                if have == axis:
                    behind = any(a.variadic for a in tensor.axes[:place])
                    return f"{self.names[tensor]}.shape[{place - len(tensor.axes) if behind else place}]"
        return ""

    def lead(self) -> str:
        """The shape of the batch axes, as a tuple."""
        if "lead" not in self.used:
            tensor = self.witness()
            if tensor is None:
                return "lead"
            place = next(n for n, a in enumerate(tensor.axes) if a.variadic)
            behind = len(tensor.axes) - place - 1
            piece = f"{place or ''}:{-behind if behind else ''}"
            self.used["lead"] = f"{self.names[tensor]}.shape" + ("" if piece == ":" else f"[{piece}]")
        return "lead"

    def witness(self) -> Tensor | None:
        """An input with the batch axes; without one, the batch axes are missing."""
        found = [t for t in self.inputs if any(a.variadic for a in t.axes)]
        if not found:
            self.missing[self.batch] = "lead"
            return None
        return min(found, key=lambda t: len(t.axes))


def align(code: str, have: Dims, want: Dims, sizes: Sizes) -> str:
    """The array with axes of size 1 put in, so that it broadcasts against the wanted axes."""
    if not have:
        return code
    span = want[want.index(have[0]) :]
    if span == have:
        return code
    marks = [":" if i in have else "None" for i in span]
    missing = next(n for n, mark in enumerate(marks) if mark == "None")
    if span[missing].axis.variadic:
        shape = ", ".join(
            sizes.size(i.axis) if i in have else f"*(1,) * len({sizes.lead()})" if i.axis.variadic else "1"
            for i in span
        )
        return f"{code}.reshape({shape})"
    return f"{code}[{', '.join(['...', *marks[missing:]])}]"


def subscript(code: str, marks: Sequence[str], tensor: Tensor) -> str:
    """Fixed positions taken: `a[..., 0, :]`."""
    variadic = any(a.variadic for a in tensor.axes)
    marks = list(marks)
    if variadic:
        while len(marks) > 1 and marks[0] == ":" and marks[1] == ":":
            marks.pop(0)
        marks = ["...", *marks[1:]] if marks[0] == ":" else ["...", *marks]
    while marks and marks[-1] == ":":
        if variadic and marks[-1] == ":" and len(marks) > 1:
            break
        marks.pop()
    return f"{code}[{', '.join(marks)}]"


def transposed(code: str, have: Dims, want: Dims, moveaxis: Callable[[str, int, int], str]) -> str:
    """The array with its axes in another order; the batch axes stay where the others leave them."""
    current = list(have)
    if current == list(want):
        return code
    split = next((n for n, i in enumerate(want) if i.axis.variadic), -1)
    behind, before = want[split + 1 :], want[: split if split >= 0 else 0]
    for count, i in enumerate(reversed(behind)):
        place = current.index(i)
        if place != len(current) - 1 - count and _rank(current, place) is not None:
            code = moveaxis(code, _from(current, place), -1 - count)
            current.pop(place)
            current.insert(len(current) - count, i)
    for count, i in enumerate(before):
        place = current.index(i)
        if place != count:
            code = moveaxis(code, _from(current, place), count)
            current.pop(place)
            current.insert(count, i)
    if current != list(want):
        raise NotImplementedError(f"{code}: {have} as {want}")
    return code


def _rank(current: Sequence[Index], place: int) -> int | None:
    return place


def _from(current: Sequence[Index], place: int) -> int:
    """The number of an axis: from the front if no batch axes stand before it, else from the end."""
    if any(i.axis.variadic for i in current[:place]):
        return place - len(current)
    if any(i.axis.variadic for i in current[place:]):
        return place
    return place - len(current)

"""An operation applied within another: its definitions over the caller's tensors and axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    Bracket,
    Entry,
    Expr,
    Index,
    Reduce,
    Size,
    Tensor,
    bracket,
    entry,
    fresh,
    index,
    mul,
    reduce,
    size,
)
from gradproof.symbolic.mistakes import MistakeError, listed
from gradproof.symbolic.programs import (
    Carried,
    Collected,
    Definition,
    Recurrence,
    Scanned,
    flat,
    index_names,
    made_by,
)

if TYPE_CHECKING:
    from gradproof.symbolic.operation import Operation


def expand(axes: Sequence[Axis], values: Mapping[Axis, tuple[Axis, ...]]) -> tuple[Axis, ...]:
    """The axes, with each replaced by those that it stands for."""
    return tuple(new for axis in axes for new in values.get(axis, (axis,)))


def match_axes(operation: Operation, arguments: Sequence[Tensor]) -> dict[Axis, tuple[Axis, ...]]:
    """Which axes of the arguments each axis of the operation stands for.

    Raises ValueError naming the operation, both shapes and the axis where they do not fit.
    """
    declared = operation.program.inputs
    if len(arguments) != len(declared):
        raise MistakeError(
            f"{operation.label} takes {len(declared)} inputs ({', '.join(map(repr, declared))}), "
            f"found {len(arguments)}"
        )
    found: dict[Axis, tuple[Axis, ...]] = {}
    for want, have in zip(declared, arguments, strict=True):
        fixed = [a for a in want.axes if not a.variadic]
        lead = len(have.axes) - len(fixed)
        many = [a for a in want.axes if a.variadic]
        if lead < 0 or (lead > 0 and not many) or want.axes[: len(many)] != tuple(many):
            raise MistakeError(f"{operation.label}: {want!r} does not fit {have!r}: {len(have.axes)} axes")
        if want.dtype != have.dtype and not (want.dtype == "real" and have.dtype == "boolean"):
            raise MistakeError(
                f"{operation.label}: {want!r} is {want.dtype}, found {have!r}, which is {have.dtype}"
            )
        pairs = [(axis, (new,)) for axis, new in zip(fixed, have.axes[lead:], strict=True)]
        for axis, new in [*((a, have.axes[:lead]) for a in many), *pairs]:
            if found.setdefault(axis, new) != new:
                raise MistakeError(
                    f"{operation.label}: axis {axis.name} of {want!r} stands for {_shown(found[axis])} "
                    f"elsewhere, found {_shown(new)} in {have!r}"
                )
            if axis.size is not None and new[0].size != axis.size:
                raise MistakeError(
                    f"{operation.label}: axis {axis.name} has size {axis.size}, found {new[0]} in {have!r}"
                )
    return found


def _shown(axes: tuple[Axis, ...]) -> str:
    return listed(a.name for a in axes) if axes else "no axis"


# --- opening an application


@dataclass(frozen=True)
class Renaming:
    """How a program is carried over to other tensors, axes and parameters."""

    tensors: Mapping[Tensor, Tensor]
    axes: Mapping[Axis, tuple[Axis, ...]]
    names: frozenset[str]
    apart: Mapping[Index, str] = field(default_factory=dict[Index, str])

    def index(self, old: Index) -> tuple[Index, ...]:
        """The indices that an index becomes; each further one is called by the first letter of its axis."""
        new = self.axes.get(old.axis, (old.axis,))
        if not new:
            return ()
        own = self.apart.get(old, old.name)
        made = [index(own, new[0])]
        for axis in new[1:]:
            taken = self.names | {i.name for i in made} | set(self.apart.values())
            name = axis.name[0] if axis.name[0] not in taken else f"{own}_{axis.name}"
            made.append(index(name, axis))
        return tuple(made)

    def positions(self, given: Sequence[Expr]) -> list[Expr]:
        moved: list[Expr] = []
        for position in given:
            moved.extend(self.index(position) if isinstance(position, Index) else (self(position),))
        return moved

    def __call__(self, expr: Expr) -> Expr:
        if isinstance(expr, Entry):
            return entry(self.tensors.get(expr.tensor, expr.tensor), *self.positions(expr.indices))
        if isinstance(expr, Reduce):
            over = [new for old in expr.indices for new in self.index(old)]
            return reduce(expr.kind, over, self(expr.body))
        if isinstance(expr, Size):
            return mul(*(size(axis) for axis in self.axes.get(expr.axis, (expr.axis,))))
        if isinstance(expr, Bracket) and (isinstance(expr.left, Index) or isinstance(expr.right, Index)):
            left, right = self.positions([expr.left]), self.positions([expr.right])
            if len(left) == len(right) == 1:
                return bracket(expr.relation, left[0], right[0])
            if expr.relation == "==":
                return mul(*(bracket("==", a, b) for a, b in zip(left, right, strict=True)))
            raise ValueError(f"{expr} compares positions on batch axes; only == has a meaning there")
        if isinstance(expr, Index):
            (only,) = self.index(expr)
            return only
        return expr.rebuild(tuple(self(child) for child in expr.children))

    def definition(self, given: Definition, source: str) -> Definition:
        moving = replace(self, apart=self._told_apart(given))
        over = tuple(new for old in given.indices for new in moving.index(old))
        return Definition(self.tensors[given.target], over, moving(given.value), given.source or source)

    def _told_apart(self, given: Definition) -> dict[Index, str]:
        """Names for indices that are called alike: over different axes here, they may come to be over one."""
        found = sorted(
            {*given.indices, *given.value.free, *given.value.bound}, key=lambda i: (i.name, i.axis.name)
        )
        apart: dict[Index, str] = {}
        taken = set(self.names)
        for place, i in enumerate(found):
            if any(other.name == i.name for other in found[:place]):
                made = fresh((index(name, i.axis) for name in taken), i)
                apart[i] = made.name
                taken.add(made.name)
        return apart

    def recurrence(self, given: Recurrence, source: str) -> Recurrence:
        (axis,) = self.axes.get(given.axis, (given.axis,))

        def to(tensor: Tensor) -> Tensor:
            return self.tensors.get(tensor, tensor)

        def edge(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else to(tensor)

        return Recurrence(
            given.name,
            axis,
            tuple(self.definition(d, source) for d in given.body),
            tuple(Carried(to(c.before), to(c.after), edge(c.initial), to(c.last)) for c in given.carried),
            tuple(Scanned(to(s.inside), to(s.outside), edge(s.initial), s.shift) for s in given.scanned),
            tuple(Collected(to(c.inside), to(c.outside), edge(c.initial), c.shift) for c in given.collected),
            tuple((to(i), to(o)) for i, o in given.summed),
            given.reverse,
        )


def instantiate(
    operation: Operation,
    arguments: Sequence[Tensor],
    results: Sequence[Tensor],
    rename: Callable[[str], str],
) -> tuple[Definition | Recurrence, ...]:
    """The statements of an operation over the caller's tensors and axes, its own tensors renamed."""
    program, axes = operation.program, match_axes(operation, arguments)
    statements = flat(program.statements)
    tensors = dict(zip(program.inputs, arguments, strict=True))
    tensors |= {o: r for o, r in zip(program.outputs, results, strict=True) if o not in tensors}
    for inner in (t for s in statements for t in made_by(s)):
        moved = replace(inner, name=rename(inner.name), axes=expand(inner.axes, axes))
        tensors.setdefault(inner, moved)
    moving = Renaming(tensors, axes, index_names(program))
    made: list[Definition | Recurrence] = []
    for s in statements:
        if isinstance(s, Definition):
            made.append(moving.definition(s, operation.label))
            continue
        _check_steps(operation, s, axes)
        made.append(moving.recurrence(s, operation.label))
    return tuple(made)


def _check_steps(operation: Operation, r: Recurrence, axes: Mapping[Axis, tuple[Axis, ...]]) -> None:
    """The axis of a recurrence stays the only one of its kind among those of its tensors."""
    along = axes.get(r.axis, (r.axis,))
    others = {new for old in axes if old != r.axis for new in axes[old]}
    if len(along) != 1 or along[0] in others:
        raise MistakeError(
            f"{operation.label} runs along {_shown(along)}, which is also a batch axis of its inputs here"
        )

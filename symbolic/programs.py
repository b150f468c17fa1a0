"""Programs: definitions in index notation, in order, and their repetition along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Entry, Expr, Index, Parameter, Tensor, entry

if TYPE_CHECKING:
    from gradproof.symbolic.operation import Operation


@dataclass(frozen=True)
class Definition:
    """`target[indices] = value`, for every value of the indices.

    `source` names the operation that the definition came from, where one operation was built into another.
    """

    target: Tensor
    indices: tuple[Index, ...]
    value: Expr
    source: str = ""

    def __post_init__(self) -> None:
        loose = self.value.free - set(self.indices)
        if loose:
            names = ", ".join(sorted(i.name for i in loose))
            raise ValueError(f"{self.target!r}: the index {names} is neither bound nor on the left side")

    @property
    def left(self) -> Entry:
        return entry(self.target, *self.indices)


@dataclass(frozen=True)
class Application:
    """The results of an operation applied to tensors; its batch axes absorb the leading axes left over.

    `body` has the operation's statements over the caller's tensors and axes.
    """

    operation: Operation
    arguments: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    body: tuple[Definition | Recurrence, ...]


@dataclass(frozen=True)
class Carried:
    """A state: `before` and `after` name it within the step, `initial` and `last` around the recurrence.

    Without an `initial` tensor the state starts at zero.
    """

    before: Tensor
    after: Tensor
    initial: Tensor | None
    last: Tensor


@dataclass(frozen=True)
class Scanned:
    """A tensor of every step, seen as `inside` within a step: `inside = outside[t + shift]`.

    Where `t + shift` is off the axis the step sees `initial`, or zeros without one.
    """

    inside: Tensor
    outside: Tensor
    initial: Tensor | None = None
    shift: int = 0


@dataclass(frozen=True)
class Collected:
    """A tensor `inside` a step, kept for every step: `outside[t + shift] = inside`.

    It is the transpose of `Scanned`.
    What is off the axis goes to `initial`; what no step fills is 0.
    """

    inside: Tensor
    outside: Tensor
    initial: Tensor | None = None
    shift: int = 0


@dataclass(frozen=True)
class Recurrence:
    """Statements repeated along an axis of symbolic length, forwards or in `reverse`.

    Within a step the tensors have no `axis`; those that the step reads and that are neither carried nor
    scanned are the same in every step. `summed` tensors (inside, outside) are added up over the steps.
    """

    name: str
    axis: Axis
    body: tuple[Definition, ...]
    carried: tuple[Carried, ...]
    scanned: tuple[Scanned, ...]
    collected: tuple[Collected, ...] = ()
    summed: tuple[tuple[Tensor, Tensor], ...] = ()
    reverse: bool = False

    @property
    def targets(self) -> tuple[Tensor, ...]:
        """The tensors that the recurrence defines outside of its steps."""
        kept = (t for c in self.collected for t in (c.outside, c.initial) if t is not None)
        return tuple(dict.fromkeys((*kept, *(o for _, o in self.summed), *(c.last for c in self.carried))))


@dataclass(frozen=True)
class Condition:
    """An equation under which a closed form is stated; the operation itself does not need it."""

    left: Expr
    right: Expr


def step_axis(outside: Tensor, inside: Tensor) -> int:
    """The place of the recurrence's axis in a tensor of every step: the last without which it is a step's."""
    axes = outside.axes
    return max(p for p in range(len(axes)) if (*axes[:p], *axes[p + 1 :]) == inside.axes)


Statement = Definition | Application | Recurrence


@dataclass(frozen=True)
class Program:
    """Statements in order, from inputs to outputs; each tensor is defined once, before it is read."""

    inputs: tuple[Tensor, ...]
    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]
    outputs: tuple[Tensor, ...]

    @cached_property
    def definitions(self) -> dict[Tensor, Definition]:
        """Every definition, applications opened, by the tensor that it defines."""
        return {d.target: d for d in flat(self.statements) if isinstance(d, Definition)}

    def _repr_latex_(self) -> str:
        from gradproof.symbolic.latex import displayed, program_to_latex

        return displayed(program_to_latex(self))


def flat(statements: Sequence[Statement]) -> tuple[Definition | Recurrence, ...]:
    """The statements with every application opened."""
    result: list[Definition | Recurrence] = []
    for statement in statements:
        if isinstance(statement, Application):
            result.extend(statement.body)
        else:
            result.append(statement)
    return tuple(result)


def made_by(statement: Definition | Recurrence) -> tuple[Tensor, ...]:
    """The tensors that a statement defines, those within the steps of a recurrence included."""
    if isinstance(statement, Definition):
        return (statement.target,)
    within = (*(c.before for c in statement.carried), *(s.inside for s in statement.scanned))
    return (*within, *(d.target for d in statement.body), *statement.targets)


def axes_of(inputs: Sequence[Tensor], statements: Sequence[Statement]) -> list[Axis]:
    """The axes of inputs and of statements, in the order in which they occur."""
    found = [a for t in inputs for a in (*t.axes, *((t.over,) if t.over is not None else ()))]
    for s in flat(statements):
        for d in s.body if isinstance(s, Recurrence) else (s,):
            bound = sorted(d.value.bound, key=lambda i: i.key)
            found.extend(i.axis for i in (*d.indices, *bound))
        found.extend([s.axis] if isinstance(s, Recurrence) else [])
    return list(dict.fromkeys(found))


def index_names(program: Program) -> frozenset[str]:
    """The names of all indices in the definitions of a program."""
    names: set[str] = set()
    for statement in flat(program.statements):
        for d in statement.body if isinstance(statement, Recurrence) else (statement,):
            names.update(i.name for i in (*d.indices, *d.value.free, *d.value.bound))
    return frozenset(names)

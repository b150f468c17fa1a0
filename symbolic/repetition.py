"""What a cell has to be so that it can be repeated along an axis, and how one step sees its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.mistakes import MistakeError, listed
from gradproof.symbolic.programs import Definition, Recurrence

if TYPE_CHECKING:
    from gradproof.symbolic.operation import Operation


def check_inputs(
    cell: Operation,
    states: Mapping[str, object],
    scanned: Mapping[str, object],
    shared: Mapping[str, object],
) -> None:
    """Each input of the cell is given once, and each state has an output to be carried on."""
    wanted, given = [t.name for t in cell.inputs], [*states, *scanned, *shared]
    if sorted(wanted) != sorted(given):
        missing = listed(n for n in wanted if n not in given)
        raise MistakeError(
            f"let.repeat: {cell.label} takes {listed(wanted)}, each in one of states, scanned and shared; "
            f"found {listed(given)}" + (f", {missing} is missing" if set(wanted) - set(given) else "")
        )
    if not states:
        raise MistakeError(
            f"let.repeat needs a state; without one {cell.label} can be applied to the whole arrays, the "
            "axis being one of the batch"
        )
    made = [t.name for t in cell.outputs]
    for name, state in states.items():
        output = cast("tuple[object, ...]", state)[-1] if isinstance(state, tuple) else None
        if output not in made:
            raise MistakeError(
                f"let.repeat: the state {name} is (initial array, name of an output of {cell.label}), which "
                f"are {listed(made)}; found {state!r}"
            )


def at_step(name: str, outside: Tensor, axis: Axis) -> Tensor:
    """What a step sees of a scanned tensor: the tensor without the axis."""
    if outside.axes.count(axis) != 1:
        raise MistakeError(
            f"let.repeat: {outside!r} is scanned along {axis.name}, so it has that axis once; what is the "
            "same for every step is shared"
        )
    return replace(outside, name=name, axes=tuple(a for a in outside.axes if a != axis))


def check_state(cell: Operation, name: str, before: Tensor, after: Tensor) -> None:
    """A step returns a state as it got it."""
    if before.axes != after.axes:
        raise MistakeError(
            f"let.repeat: the state {name} of {cell.label} starts with the axes "
            f"{listed(a.name for a in before.axes)} and is returned with {listed(a.name for a in after.axes)}"
        )


def steps_of(cell: Operation, made: Sequence[Definition | Recurrence], axis: Axis) -> tuple[Definition, ...]:
    """The definitions of a step; raises MistakeError where a step would hold steps of its own."""
    body = tuple(s for s in made if isinstance(s, Definition))
    if len(body) < len(made):
        raise MistakeError(
            f"let.repeat: {cell.label} repeats along an axis itself; apply it to the arrays of all steps, "
            f"with {axis.name} among its batch axes, and read its results in the step"
        )
    if any(axis in d.target.axes for d in body):
        raise MistakeError(f"let.repeat: a step of {cell.label} has the axis {axis.name} already")
    return body

"""Writing an operation: arrays that are indexed, and the `let` that collects definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sympy as sp

from gradproof.symbolic.application import expand, instantiate, match_axes
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.declarations import Hyperparameter
from gradproof.symbolic.expressions import DType, Index, Tensor, entry
from gradproof.symbolic.language import read, symbol
from gradproof.symbolic.programs import (
    Application,
    Carried,
    Collected,
    Condition,
    Definition,
    Recurrence,
    Scanned,
    Statement,
)
from gradproof.symbolic.terms import idempotent

if TYPE_CHECKING:
    from gradproof.symbolic.operation import Operation


Position = sp.Expr | int
"""What an axis can be indexed with: an index, a number, or any expression of integer value."""


class Array:
    """A tensor while an operation is being written: index it to read an entry."""

    def __init__(self, tensor: Tensor, builder: Builder) -> None:
        self.tensor, self.builder = tensor, builder

    def __getitem__(self, indices: Position | tuple[Position, ...]) -> sp.Symbol:
        given = indices if isinstance(indices, tuple) else (indices,)
        return symbol(entry(self.tensor, *(read(i) for i in given)))

    def __repr__(self) -> str:
        return repr(self.tensor)


class Absent(Array):
    """An input that is not there under the chosen options; reading an entry raises ValueError."""

    def __init__(self, name: str, builder: Builder) -> None:
        super().__init__(Tensor(name), builder)

    def __getitem__(self, indices: Position | tuple[Position, ...]) -> sp.Symbol:
        raise ValueError(f"{self.builder.name} has no input {self.tensor.name} under these options")


class Builder:
    """Collects the statements of one operation while its function runs: the `let` of its first argument.

    `let(name, indices, value)` defines a tensor; calling an operation on arrays applies it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.statements: list[Statement] = []
        self.taken: set[str] = set()
        self.hyperparameters: dict[str, Hyperparameter] = {}
        self.conditions: list[Condition] = []

    def __call__(self, name: str, indices: Sequence[sp.Symbol], value: Any) -> Array:
        over = tuple(read(i) for i in indices)
        if not all(isinstance(i, Index) for i in over) or len(set(over)) != len(over):
            raise ValueError(f"{self.name}.{name}: the left side takes distinct indices, found {over}")
        held = tuple(i for i in over if isinstance(i, Index))
        body = read(value)
        dtype: DType = "boolean" if idempotent(body) else "real"
        target = Tensor(self.claim(name), tuple(i.axis for i in held), dtype, dtype)
        self.statements.append(Definition(target, held, body))
        return Array(target, self)

    def suppose(self, left: Any, right: Any) -> None:
        """State a condition, `left = right`, under which the derivatives are shown once more, simpler."""
        self.conditions.append(Condition(read(left), read(right)))

    def declare(self, name: str, given: Hyperparameter) -> None:
        """Take up a hyper-parameter, the operation's own or that of an operation which it applies."""
        if self.hyperparameters.setdefault(name, given) != given:
            raise ValueError(
                f"{self.name}: {name} is {given} here and {self.hyperparameters[name]} elsewhere"
            )

    def claim(self, name: str) -> str:
        if name in self.taken:
            raise ValueError(f"{self.name}: {name} is defined twice")
        self.taken.add(name)
        return name

    def apply(
        self, operation: Operation, arguments: Sequence[Array], names: Sequence[str]
    ) -> tuple[Array, ...]:
        tensors = tuple(a.tensor for a in arguments)
        axes = match_axes(operation, tensors)
        outputs = operation.program.outputs
        if not names:
            names = [o.name if o.name not in self.taken else f"{operation.name}_{o.name}" for o in outputs]
        results = tuple(
            replace(o, name=self.claim(name), axes=expand(o.axes, axes))
            for o, name in zip(outputs, names, strict=True)
        )
        body = instantiate(operation, tensors, results, lambda inner: f"{results[0].name}_{inner}")
        for inner in (d.target for d in body):
            if inner not in results:
                self.claim(inner.name)
        for name, given in operation.hyperparameters.items():
            self.declare(name, given)
        self.statements.append(Application(operation, tensors, results, body))
        return tuple(Array(r, self) for r in results)

    def repeat(
        self,
        cell: Operation,
        axis: Axis,
        *,
        states: Mapping[str, tuple[Array, str]],
        scanned: Mapping[str, Array],
        shared: Mapping[str, Array],
    ) -> dict[str, Array]:
        """Repeat a cell along an axis.

        Its tensors of every step come back by name, the last states as `NAME_last`. `states` maps a cell
        input to (initial array, cell output); `scanned` and `shared` map the other inputs.
        """
        for name, value in cell.hyperparameters.items():
            self.declare(name, value)
        given = {name: a.tensor for name, a in shared.items()}
        given |= {
            name: replace(a.tensor, name=f"{name}_t", axes=_without(a.tensor.axes, axis))
            for name, a in scanned.items()
        }
        given |= {name: replace(a.tensor, name=f"{output}_before") for name, (a, output) in states.items()}
        results = tuple(replace(o, name=f"{o.name}_t") for o in cell.outputs)
        arguments = [given[i.name] for i in cell.inputs]
        body = instantiate(cell, arguments, results, lambda inner: f"{inner}_t")
        inside = {d.target.name: d.target for d in body}
        carried = tuple(
            Carried(
                given[name], inside[f"{out}_t"], a.tensor, replace(a.tensor, name=self.claim(f"{out}_last"))
            )
            for name, (a, out) in states.items()
        )
        collected = tuple(
            Collected(t, replace(t, name=self.claim(name.removesuffix("_t")), axes=_with_time(t.axes, axis)))
            for name, t in inside.items()
        )
        seen = tuple(Scanned(given[name], a.tensor) for name, a in scanned.items())
        self.statements.append(Recurrence(cell.label, axis, body, carried, seen, collected))
        made = (*(c.outside for c in collected), *(c.last for c in carried))
        return {t.name: Array(t, self) for t in made}


def _without(axes: tuple[Axis, ...], axis: Axis) -> tuple[Axis, ...]:
    return tuple(a for a in axes if a != axis)


def _with_time(axes: tuple[Axis, ...], axis: Axis) -> tuple[Axis, ...]:
    """Time stands behind the batch axes."""
    lead = sum(1 for a in axes if a.variadic)
    return (*axes[:lead], axis, *axes[lead:])

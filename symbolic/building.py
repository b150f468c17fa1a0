"""Writing an operation: arrays that are indexed, and the `let` that collects definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sympy as sp

from gradproof.symbolic.application import expand, instantiate, match_axes
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.declarations import Hyperparameter
from gradproof.symbolic.expressions import DType, Entry, Expr, Index, Number, Tensor, entry
from gradproof.symbolic.language import read, symbol
from gradproof.symbolic.mistakes import INDEX_IT, MistakeError, check_name, listed
from gradproof.symbolic.programs import (
    Application,
    Carried,
    Collected,
    Condition,
    Definition,
    Recurrence,
    Scanned,
    Statement,
    flat,
    made_by,
)
from gradproof.symbolic.repetition import at_step, check_inputs, check_state, steps_of
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
        axes = self.tensor.axes
        if len(given) != len(axes):
            raise MistakeError(
                f"{self} has {len(axes)} axes, found {len(given)} indices: {listed(str(i) for i in given)}"
            )
        return symbol(
            entry(self.tensor, *(_position(self, axis, i) for axis, i in zip(axes, given, strict=True)))
        )

    def __iter__(self) -> Iterator[sp.Symbol]:
        raise MistakeError(f"{self} is a whole tensor, not to be run through; {INDEX_IT}")

    def _sympy_(self) -> sp.Expr:
        raise MistakeError(f"{self} is a whole tensor, found where one number belongs; {INDEX_IT}")

    def __repr__(self) -> str:
        return repr(self.tensor)


def _position(array: Array, axis: Axis, given: Any) -> Expr:
    """An index position; raises MistakeError where it does not surely lie on the axis."""
    found = read(given)
    if isinstance(found, Index):
        if found.axis != axis:
            other = "another axis of that name" if found.axis.name == axis.name else found.axis.name
            raise MistakeError(f"{array} expects an index of axis {axis.name}, found {found} of {other}")
        return found
    if isinstance(found, Number):
        least = axis.size or axis.minimum
        if found.value.denominator > 1 or not 0 <= found.value < least:
            size = f"size {axis.size}" if axis.size else f"size {least} or more (minimum={least})"
            raise MistakeError(f"{array}: the axis {axis.name} has {size}, found the position {found}")
        return found
    if isinstance(found, Entry) and found.tensor.dtype == "integer":
        if found.tensor.over not in (axis, None):
            raise MistakeError(
                f"{array} expects positions on axis {axis.name}, found {found}, whose values lie on "
                f"{found.tensor.over.name}"
            )
        return found
    raise MistakeError(
        f"{array}: a position on axis {axis.name} is an index, a number or an entry of an integer input, "
        f"found {found}; sum_over(x[s] * equal(s, t + 1), s) reads a shifted entry"
    )


class Absent(Array):
    """An input that is not there under the chosen options; reading an entry raises ValueError."""

    def __init__(self, name: str, builder: Builder) -> None:
        super().__init__(Tensor(name), builder)

    def __getitem__(self, indices: Position | tuple[Position, ...]) -> sp.Symbol:
        raise MistakeError(f"{self.builder.name} has no input {self.tensor.name} under these options")


class Builder:
    """Collects the statements of one operation while its function runs: the `let` of its first argument.

    `let(name, indices, value)` defines a tensor; calling an operation on arrays applies it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.statements: list[Statement] = []
        self.taken: set[str] = set()
        self.tensors: set[Tensor] = set()
        self.hyperparameters: dict[str, Hyperparameter] = {}
        self.conditions: list[Condition] = []

    def __call__(self, name: str, indices: Sequence[sp.Symbol], value: Any) -> Array:
        check_name(name, "a tensor")
        if not isinstance(indices, list | tuple):
            raise MistakeError(
                f"let({name!r}, ...): the indices come as a list, such as [b, k], found {indices!r}"
            )
        over = tuple(read(i) for i in indices)
        held = tuple(i for i in over if isinstance(i, Index))
        if len(held) < len(over) or len(set(held)) != len(over):
            raise MistakeError(
                f"let({name!r}, ...): the left side takes distinct indices, found {listed(over)}"
            )
        body = read(value)
        loose = body.free - set(held)
        if loose:
            names = listed(sorted(i.name for i in loose))
            raise MistakeError(
                f"let({name!r}, ...): the index {names} is neither summed nor on the left side, "
                f"{listed(over)}"
            )
        dtype: DType = "boolean" if idempotent(body) else "real"
        target = Tensor(self.claim(name), tuple(i.axis for i in held), dtype, dtype)
        for foreign in sorted(body.tensors - self.tensors, key=lambda t: t.name):
            raise MistakeError(f"{foreign!r} belongs to another operation; pass it as an input")
        self.statements.append(Definition(target, held, body))
        self.tensors.add(target)
        return Array(target, self)

    def own(self, array: object) -> Tensor:
        """The tensor of an array of this operation; raises MistakeError for anything else."""
        if not isinstance(array, Array):
            raise MistakeError(f"a tensor of {self.name} is expected, found {array}")
        if array.builder is not self:
            raise MistakeError(
                f"{array} belongs to another operation, {array.builder.name}; pass it as an input"
            )
        if isinstance(array, Absent):
            raise MistakeError(f"{self.name} has no input {array.tensor.name} under these options")
        return array.tensor

    def suppose(self, left: Any, right: Any) -> None:
        """State a condition, `left = right`, under which the derivatives are shown once more, simpler."""
        self.conditions.append(Condition(read(left), read(right)))

    def declare(self, name: str, given: Hyperparameter) -> None:
        """Take up a hyper-parameter, the operation's own or that of an operation which it applies."""
        if self.hyperparameters.setdefault(name, given) != given:
            raise MistakeError(
                f"the hyper-parameter {name} is {given} here and {self.hyperparameters[name]} elsewhere"
            )

    def claim(self, name: str) -> str:
        if name in self.taken:
            raise MistakeError(f"{name} is defined twice; each tensor has a name of its own")
        self.taken.add(name)
        return name

    def apply(
        self, operation: Operation, arguments: Sequence[Array], names: Sequence[str]
    ) -> tuple[Array, ...]:
        """Apply an operation; its tensors keep their names where these are free, or get the `names` given."""
        tensors = tuple(self.own(a) for a in arguments)
        axes = match_axes(operation, tensors)
        outputs = operation.program.outputs
        if names and len(names) != len(outputs):
            raise MistakeError(
                f"{operation.label} has {len(outputs)} outputs ({listed(o.name for o in outputs)}), found "
                f"{len(names)} names"
            )
        stem = self._stem(operation, [t.name for s in flat(operation.program.statements) for t in made_by(s)])
        given = [check_name(n, "a tensor") for n in names] or self._result_names(operation, stem)
        named = dict(zip(operation.program.inputs, tensors, strict=True))
        for o, name in zip(outputs, given, strict=True):
            if o not in named:  # an operation may return an input, or one tensor twice
                named[o] = replace(o, name=self.claim(name), axes=expand(o.axes, axes))
        results = tuple(named[o] for o in outputs)
        inside = stem if _repeats(operation) and not names else f"{results[0].name}_"
        body = instantiate(operation, tensors, results, lambda inner: f"{inside}{inner}")
        for made in dict.fromkeys(t for s in body for t in made_by(s)):
            if made not in results:
                self.claim(made.name)
        for name, value in operation.hyperparameters.items():
            self.declare(name, value)
        self.statements.append(Application(operation, tensors, results, body))
        self.tensors.update(results)
        return tuple(Array(r, self) for r in results)

    def _result_names(self, operation: Operation, stem: str) -> list[str]:
        """Names for the results: the operation's own, with its name before it where one is taken."""
        own = [o.name for o in operation.outputs]
        if _repeats(operation):
            return [f"{stem}{name}" for name in own]
        named = [f"{operation.name}_{name}" for name in own]
        chosen = [p if p not in self.taken else n for p, n in zip(own, named, strict=True)]
        return chosen if not set(chosen) & self.taken else [f"{stem}{name}" for name in own]

    def repeat(
        self,
        cell: Operation,
        axis: Axis,
        *,
        states: Mapping[str, tuple[Array, str]],
        scanned: Mapping[str, Array] | None = None,
        shared: Mapping[str, Array] | None = None,
        reverse: bool = False,
        name: str = "",
    ) -> dict[str, Array]:
        """Repeat a cell along an axis, from its first position to its last, or in `reverse`.

        Each input of the cell stands in one of three mappings. `states` maps it to (initial array, cell
        output): what a step returns is what the next one gets. `scanned` maps it to an array that has the
        axis, of which a step sees its own position; `shared` to an array that is the same for every step. The
        cell's tensors of every step come back by their names in the cell, the last states as `NAME_last`.

        The tensors are called after the cell's, with `name` and an underscore in front where it is given, or
        where they would be called like others.

        >>> from gradproof.symbolic.axes import batch
        >>> from gradproof.symbolic.language import indices
        >>> from gradproof.symbolic.operation import operation, real
        >>> B, T = batch(), Axis("time")
        >>> (b,) = indices("b", B)
        >>> @operation("example", x=real(B), s=real(B), register=False)
        ... def add_up(let, x, s):
        ...     return let("total", [b], s[b] + x[b])
        >>> @operation("example", x=real(B, T), start=real(B), register=False)
        ... def running_sum(let, x, start):
        ...     return let.repeat(add_up, T, states={"s": (start, "total")}, scanned={"x": x})["total"]
        >>> running_sum
        <operation running_sum: x[batch, time], start[batch] -> total[batch, time]>
        """
        scanned, shared = scanned or {}, shared or {}
        check_inputs(cell, states, scanned, shared)
        for known, value in cell.hyperparameters.items():
            self.declare(known, value)
        made = [t.name for s in flat(cell.program.statements) for t in made_by(s)]
        wanted = {*made, *(f"{n}_t" for n in (*made, *scanned))}
        wanted |= {f"{out}_{end}" for _, out in states.values() for end in ("last", "before")}
        stem = f"{check_name(name, 'a recurrence')}_" if name else self._stem(cell, wanted)
        given = {n: self.own(a) for n, a in shared.items()}
        given |= {n: at_step(f"{stem}{n}_t", self.own(a), axis) for n, a in scanned.items()}
        given |= {n: replace(self.own(a), name=f"{stem}{out}_before") for n, (a, out) in states.items()}
        results = tuple(replace(o, name=f"{stem}{o.name}_t") for o in cell.outputs)
        arguments = [given[i.name] for i in cell.inputs]
        axes = match_axes(cell, arguments)
        results = tuple(replace(r, axes=expand(r.axes, axes)) for r in results)
        statements = instantiate(cell, arguments, results, lambda inner: f"{stem}{inner}_t")
        body = steps_of(cell, statements, axis)
        inside = {d.target.name: d.target for d in body}
        carried: list[Carried] = []
        for n, (a, out) in states.items():
            after = inside[f"{stem}{out}_t"]
            check_state(cell, n, given[n], after)
            last = replace(a.tensor, name=self.claim(f"{stem}{out}_last"))
            carried.append(Carried(given[n], after, a.tensor, last))
        collected = tuple(
            Collected(
                t, replace(t, name=self.claim(called.removesuffix("_t")), axes=_with_time(t.axes, axis))
            )
            for called, t in inside.items()
        )
        seen = tuple(Scanned(given[n], a.tensor) for n, a in scanned.items())
        for t in (*(c.before for c in carried), *(s.inside for s in seen), *inside.values()):
            self.claim(t.name)
        label = f"{cell.label} ({name})" if name else cell.label
        self.statements.append(
            Recurrence(label, axis, body, tuple(carried), seen, collected, reverse=reverse)
        )
        kept = (*(c.outside for c in collected), *(c.last for c in carried))
        self.tensors.update(kept)
        return {t.name.removeprefix(stem): Array(t, self) for t in kept}

    def _stem(self, operation: Operation, wanted: Iterable[str]) -> str:
        """What stands before the names of an operation's tensors, so that no other is called like them."""
        stem, count, names = "", 1, set(wanted)
        while {f"{stem}{n}" for n in names} & self.taken:
            stem = f"{operation.name}_" if count == 1 else f"{operation.name}_{count}_"
            count += 1
        return stem


def _repeats(operation: Operation) -> bool:
    return any(isinstance(s, Recurrence) for s in flat(operation.program.statements))


def _with_time(axes: tuple[Axis, ...], axis: Axis) -> tuple[Axis, ...]:
    """Time stands behind the batch axes."""
    lead = sum(1 for a in axes if a.variadic)
    return (*axes[:lead], axis, *axes[lead:])

"""Operations: forward mathematics written once, as a program of definitions in index notation."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any, cast

from gradproof.symbolic.axes import check_axes
from gradproof.symbolic.building import Absent, Array, Builder
from gradproof.symbolic.declarations import Hyperparameter, Input, boolean, integer, real, scalar
from gradproof.symbolic.expressions import Tensor, parameter
from gradproof.symbolic.language import symbol
from gradproof.symbolic.mistakes import MistakeError, check_name, explain, listed
from gradproof.symbolic.programs import (
    Application,
    Carried,
    Collected,
    Condition,
    Definition,
    Program,
    Recurrence,
    Scanned,
    Statement,
    axes_of,
    flat,
    index_names,
    step_axis,
)

__all__ = [
    "TABLE",
    "Absent",
    "Application",
    "Array",
    "Builder",
    "Carried",
    "Collected",
    "Condition",
    "Declared",
    "Definition",
    "Hyperparameter",
    "Input",
    "Operation",
    "Program",
    "Recurrence",
    "Scanned",
    "Statement",
    "boolean",
    "find",
    "flat",
    "index_names",
    "integer",
    "operation",
    "operations",
    "real",
    "scalar",
    "step_axis",
]


@dataclass(frozen=True)
class Built:
    """What the function of an operation has written."""

    program: Program
    hyperparameters: Mapping[str, Hyperparameter]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, eq=False)
class Operation:
    """The forward mathematics of one thing; everything else about it is derived.

    Made by the decorator `operation`. `program` is built once, when first asked for.
    """

    name: str
    topic: str
    function: Callable[..., Any]
    declared: Mapping[str, Input | Hyperparameter]
    choices: Mapping[str, tuple[object, ...]]
    options: Mapping[str, object]
    reference: str = ""
    doc: str = ""

    @property
    def label(self) -> str:
        """The name with the options that are not the default ones."""
        given = [f"{k}={v}" for k, v in self.options.items() if v != self.choices[k][0]]
        return f"{self.name}({', '.join(given)})" if given else self.name

    @property
    def variants(self) -> tuple[Operation, ...]:
        """The operation with each other choice of one option at a time, itself first."""
        others = [self.variant(**{k: v}) for k, values in self.choices.items() for v in values[1:]]
        return (self, *others)

    def variant(self, **options: object) -> Operation:
        """The operation under other options; raises ValueError for one that it does not have."""
        for name, value in options.items():
            if name not in self.choices or value not in self.choices[name]:
                known = "; ".join(f"{k} in {list(v)}" for k, v in self.choices.items()) or "none"
                raise MistakeError(f"{self.name} has no option {name}={value!r}; its options: {known}")
        chosen = tuple(sorted({**self.options, **options}.items()))
        if chosen == tuple(sorted(self.options.items())):
            return self
        return _variants.setdefault((self.name, self.function, chosen), replace(self, options=dict(chosen)))

    @property
    def hyperparameters(self) -> Mapping[str, Hyperparameter]:
        """The scalars that are chosen later, those of the operations that it applies included."""
        return self._built.hyperparameters

    @property
    def program(self) -> Program:
        """The definitions, in order, from inputs to outputs."""
        return self._built.program

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions under which the operation states simpler derivatives."""
        return self._built.conditions

    @cached_property
    def _built(self) -> Built:
        let = Builder(self.name)
        given: dict[str, Any] = {}
        inputs: list[Tensor] = []
        for name, d in self.declared.items():
            if isinstance(d, Hyperparameter):
                let.declare(name, d)
                given[name] = symbol(parameter(name, d.domain))
            elif all(self.options[key] == value for key, value in d.when.items()):
                inputs.append(Tensor(let.claim(name), d.axes, d.dtype, d.domain, d.over))
                let.tensors.add(inputs[-1])
                given[name] = Array(inputs[-1], let)
            else:
                given[name] = Absent(name, let)
        outputs = self._written(let, given)
        check_axes(self.label, axes_of(inputs, let.statements))
        parameters = tuple(parameter(name, d.domain) for name, d in let.hyperparameters.items())
        program = Program(tuple(inputs), parameters, tuple(let.statements), outputs)
        return Built(program, let.hyperparameters, tuple(let.conditions))

    def _written(self, let: Builder, given: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """What the function returns; a mistake in it is raised as a MistakeError with its line."""
        path = _being_written.get()
        if self in path:
            names = " applies ".join(o.label for o in (*path, self))
            raise MistakeError(f"{names}; no operation applies itself, let.repeat repeats one along an axis")
        token = _being_written.set((*path, self))
        try:
            return _outputs(let, self.function(let, **given, **self.options))
        except Exception as problem:  # whatever the function of a user raises; what is no mistake goes on
            made = explain(problem, self.label, self.function.__code__.co_filename)
            if made is None or made is problem:
                raise
            raise made from (None if isinstance(problem, MistakeError) else problem)
        finally:
            _being_written.reset(token)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self.program.inputs

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return self.program.outputs

    def __call__(self, *arguments: Array, names: Sequence[str] = (), **options: object) -> Any:
        """Apply the operation to arrays of another operation that is being written."""
        chosen = self.variant(**options)
        for given in arguments:
            _check_array(self.name, given)
        if not arguments:
            raise MistakeError(f"{self.name} takes {listed(map(repr, chosen.inputs))}, found nothing")
        results = arguments[0].builder.apply(chosen, arguments, names)
        return results[0] if len(results) == 1 else results

    def _repr_latex_(self) -> str:
        from gradproof.symbolic.latex import displayed, operation_to_latex

        return displayed(operation_to_latex(self))

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(repr, tensors)) for tensors in (self.inputs, self.outputs))
        return f"<operation {self.label}: {inputs} -> {outputs}>"


def _check_array(name: str, given: object) -> None:
    if not isinstance(given, Array):
        raise MistakeError(
            f"{name} is applied to tensors of the operation that is being written, found "
            f"{' '.join(repr(given).split())}; lower({name!r}, 'numpy').forward takes arrays of numbers"
        )


def _outputs(let: Builder, made: object) -> tuple[Tensor, ...]:
    """The tensors that the function of an operation returned."""
    parts = cast("tuple[object, ...]", made) if isinstance(made, tuple) else (made,)
    if made is None or not parts:
        raise MistakeError(
            "nothing is returned; the function ends with its outputs, as in return let('y', ...)"
        )
    for part in parts:
        if not isinstance(part, Array):
            found = f"the list {part}" if isinstance(part, list) else f"{part}"
            raise MistakeError(
                f"outputs are what let or an operation returned, several as a tuple; found {found} "
                "(a value gets its name by let('y', [b, ...], value))"
            )
    return tuple(let.own(part) for part in parts)


_being_written: ContextVar[tuple[Operation, ...]] = ContextVar("_being_written", default=())
_variants: dict[Any, Operation] = {}
TABLE: dict[str, Operation] = {}


Declared = Input | Hyperparameter | tuple[object, ...]


def operation(
    topic: str = "",
    shared: Mapping[str, Declared] | None = None,
    /,
    *,
    reference: str = "",
    register: bool = True,
    **own: Declared,
) -> Callable[[Callable[..., Any]], Operation]:
    """Make an operation of a function that writes its forward mathematics in index notation.

    The function takes `let`, then the declared inputs, hyper-parameters and options by name. A tuple declares
    an option: its allowed values, the default first. `reference` names the PyTorch function that computes the
    same, for the cross-check. The operation enters the one table of operations under the function's name.
    Declarations that several operations share come first, as a mapping.

    >>> from gradproof.symbolic.axes import batch
    >>> from gradproof.symbolic.language import indices
    >>> B = batch()
    >>> @operation("example", x=real(B), register=False)
    ... def cube(let, x):
    ...     (b,) = indices("b", B)
    ...     return let("y", [b], x[b] ** 3)
    >>> cube
    <operation cube: x[batch] -> y[batch]>
    """

    declared = {**(shared or {}), **own}
    _check_declared(topic, declared)

    def make(function: Callable[..., Any]) -> Operation:
        _check_arguments(function, declared)
        choices = {name: d for name, d in declared.items() if isinstance(d, tuple)}
        made = Operation(
            name=function.__name__,
            topic=topic,
            function=function,
            declared={name: d for name, d in declared.items() if not isinstance(d, tuple)},
            choices=choices,
            options={name: values[0] for name, values in choices.items()},
            reference=reference,
            doc=inspect.getdoc(function) or "",
        )
        if register:
            if made.name in TABLE:
                raise MistakeError(
                    f"an operation named {made.name} exists already; choose another name, or register=False"
                )
            TABLE[made.name] = made
        return made

    return make


def _check_declared(topic: object, declared: Mapping[str, object]) -> None:
    if not isinstance(topic, str) or not topic:
        raise MistakeError(
            "the decorator takes a topic, then the inputs by name: @operation('losses', x=real(B))"
        )
    options = {name: cast("tuple[object, ...]", d) for name, d in declared.items() if isinstance(d, tuple)}
    for name, d in declared.items():
        check_name(name, "an input")
        if isinstance(d, tuple) and not d:
            raise MistakeError(f"the option {name} needs its allowed values, the default first")
        if not isinstance(d, Input | Hyperparameter | tuple):
            raise MistakeError(
                f"{name} is declared by real(AXIS, ...), integer(..., over=AXIS), boolean(...), scalar('1') "
                f"or, an option, by a tuple of its values; found {d!r}"
            )
        for option, value in d.when.items() if isinstance(d, Input) else ():
            if value not in options.get(option, ()):
                known = listed(f"{k} in {list(v)}" for k, v in options.items())
                raise MistakeError(
                    f"{name} is there when {option}={value!r}, which is no declared option; there is {known}"
                )


def _check_arguments(function: Callable[..., Any], declared: Mapping[str, object]) -> None:
    taken = list(inspect.signature(function).parameters.values())
    if not function.__name__.isidentifier():
        raise MistakeError("an operation is a function with a name, found a lambda")
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in taken):
        return
    names = [p.name for p in taken[1:]]
    required = [p.name for p in taken[1:] if p.default is p.empty]
    if not taken or set(required) - set(declared) or set(declared) - set(names):
        raise MistakeError(
            f"{function.__name__} takes {listed(p.name for p in taken)}; it has to take let, then what the "
            f"decorator declares: {listed(declared)}"
        )


def operations() -> dict[str, Operation]:
    """The one table: every operation of the catalogue and those defined since, by name."""
    import_module("gradproof.symbolic.catalogue")  # which fills the table
    return TABLE


def find(name: str) -> Operation:
    """The operation of that name, options in parentheses: `attention(mask=causal)`.

    Raises KeyError naming the nearest neighbours of an unknown one.
    """
    stem, opened, options = name.partition("(")
    if options.endswith(")") != bool(opened):
        raise ValueError(f"options stand in parentheses, as in attention(mask=causal), found {name!r}")
    table = operations()
    if stem.strip() not in table:
        near = difflib.get_close_matches(stem, table, n=3, cutoff=0.4)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise KeyError(f"no operation named {stem!r}{hint}")
    found = table[stem.strip()]
    chosen: dict[str, object] = {}
    for pair in filter(None, options.rstrip(")").split(",")):
        key, _, text = (part.strip() for part in pair.partition("="))
        values = {str(v): v for v in found.choices.get(key, ())}
        chosen[key] = values.get(text, text)
    return found.variant(**chosen)

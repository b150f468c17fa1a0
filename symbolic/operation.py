"""Operations: forward mathematics written once, as a program of definitions in index notation."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import sympy as sp

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    Bracket,
    DType,
    Entry,
    Expr,
    Index,
    Parameter,
    Reduce,
    Size,
    Tensor,
    bracket,
    entry,
    index,
    mul,
    parameter,
    reduce,
    size,
)
from gradproof.symbolic.language import read, symbol
from gradproof.symbolic.terms import idempotent

# --- programs


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
    """The results of an operation applied to tensors; its batch axes absorb the leading axes left over."""

    operation: Operation
    arguments: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    prefix: str
    suffix: str = ""

    @cached_property
    def body(self) -> tuple[Statement, ...]:
        """The statements of the operation over the caller's tensors and axes."""
        return instantiate(self)


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
            result.extend(flat(statement.body))
        else:
            result.append(statement)
    return tuple(result)


# --- what an operation is declared with


@dataclass(frozen=True)
class Input:
    """A declared input: its axes, what its entries are, and for which option values it is there."""

    axes: tuple[Axis, ...]
    dtype: DType = "real"
    domain: str = "real"
    over: Axis | None = None
    when: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class Hyperparameter:
    """A declared scalar, symbolic in derivation and proof, with the value that kernels use by default."""

    default: Fraction
    domain: str = "real"


def real(*axes: Axis, domain: str = "real", **when: object) -> Input:
    """A real input; `when` names option values for which it is there, all by default."""
    return Input(axes, "real", domain, None, when)


def integer(*axes: Axis, over: Axis, beyond: bool = False, **when: object) -> Input:
    """An integer input whose entries index the axis `over`; some may lie `beyond` it, and count as none."""
    return Input(axes, "integer", "integer" if beyond else "index", over, when)


def boolean(*axes: Axis, **when: object) -> Input:
    """An input of truth values."""
    return Input(axes, "boolean", "boolean", None, when)


def scalar(default: str | int, domain: str = "real") -> Hyperparameter:
    """A hyper-parameter with its default, written exactly: `scalar("1e-5", "(0, inf)")`."""
    return Hyperparameter(Fraction(default), domain)


# --- building


class Array:
    """A tensor while an operation is being written: index it to read an entry."""

    def __init__(self, tensor: Tensor, builder: Builder) -> None:
        self.tensor, self.builder = tensor, builder

    def __getitem__(self, indices: Any) -> sp.Symbol:
        given = indices if isinstance(indices, tuple) else (indices,)
        if self.tensor.axes == () and given == ((),):
            given = ()
        return symbol(entry(self.tensor, *(read(i) for i in given)))

    def __repr__(self) -> str:
        return repr(self.tensor)


class Absent(Array):
    """An input that is not there under the chosen options; reading an entry raises ValueError."""

    def __init__(self, name: str, builder: Builder) -> None:
        super().__init__(Tensor(name), builder)

    def __getitem__(self, indices: Any) -> sp.Symbol:
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
        made = Application(operation, tensors, results, f"{results[0].name}_")
        for inner in (d.target for d in flat(made.body) if isinstance(d, Definition)):
            if inner not in results:
                self.claim(inner.name)
        for name, given in operation.hyperparameters.items():
            self.declare(name, given)
        self.statements.append(made)
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
        step = Application(cell, tuple(given[i.name] for i in cell.inputs), results, "", "_t")
        body = tuple(d for d in flat(step.body) if isinstance(d, Definition))
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


def expand(axes: Sequence[Axis], values: Mapping[Axis, tuple[Axis, ...]]) -> tuple[Axis, ...]:
    """The axes, with each replaced by those that it stands for."""
    return tuple(new for axis in axes for new in values.get(axis, (axis,)))


def match_axes(operation: Operation, arguments: Sequence[Tensor]) -> dict[Axis, tuple[Axis, ...]]:
    """Which axes of the arguments each axis of the operation stands for.

    Raises ValueError naming the operation, both shapes and the axis where they do not fit.
    """
    declared = operation.program.inputs
    if len(arguments) != len(declared):
        raise ValueError(
            f"{operation.label} takes {len(declared)} inputs ({', '.join(map(repr, declared))}), "
            f"found {len(arguments)}"
        )
    found: dict[Axis, tuple[Axis, ...]] = {}
    for want, have in zip(declared, arguments, strict=True):
        fixed = [a for a in want.axes if not a.variadic]
        lead = len(have.axes) - len(fixed)
        many = [a for a in want.axes if a.variadic]
        if lead < 0 or (lead > 0 and not many) or want.axes[: len(many)] != tuple(many):
            raise ValueError(f"{operation.label}: {want!r} does not fit {have!r}: {len(have.axes)} axes")
        pairs = [(axis, (new,)) for axis, new in zip(fixed, have.axes[lead:], strict=True)]
        for axis, new in [*((a, have.axes[:lead]) for a in many), *pairs]:
            if found.setdefault(axis, new) != new:
                raise ValueError(
                    f"{operation.label}: axis {axis.name} of {want!r} stands for {found[axis]} elsewhere, "
                    f"found {new} in {have!r}"
                )
            if axis.size is not None and new[0].size != axis.size:
                raise ValueError(
                    f"{operation.label}: axis {axis.name} has size {axis.size}, found {new[0]} in {have!r}"
                )
    return found


# --- opening an application


@dataclass(frozen=True)
class Renaming:
    """How a program is carried over to other tensors, axes and parameters."""

    tensors: Mapping[Tensor, Tensor]
    axes: Mapping[Axis, tuple[Axis, ...]]
    names: frozenset[str]

    def index(self, old: Index) -> tuple[Index, ...]:
        """The indices that an index becomes; each further one is called by the first letter of its axis."""
        new = self.axes.get(old.axis, (old.axis,))
        if not new:
            return ()
        made = [index(old.name, new[0])]
        for axis in new[1:]:
            taken = self.names | {i.name for i in made}
            name = axis.name[0] if axis.name[0] not in taken else f"{old.name}_{axis.name}"
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
        over = tuple(new for old in given.indices for new in self.index(old))
        return Definition(self.tensors[given.target], over, self(given.value), given.source or source)


def renaming(application: Application) -> Renaming:
    """The caller's tensor for every tensor of the operation, and its axes for every axis."""
    operation = application.operation
    axes = match_axes(operation, application.arguments)
    tensors = dict(zip(operation.program.inputs, application.arguments, strict=True))
    tensors |= dict(zip(operation.program.outputs, application.results, strict=True))
    for statement in flat(operation.program.statements):
        for inner in (statement.target,) if isinstance(statement, Definition) else statement.targets:
            name = f"{application.prefix}{inner.name}{application.suffix}"
            tensors.setdefault(inner, replace(inner, name=name, axes=expand(inner.axes, axes)))
    return Renaming(tensors, axes, index_names(operation.program))


def index_names(program: Program) -> frozenset[str]:
    """The names of all indices in the definitions of a program."""
    names: set[str] = set()
    for statement in flat(program.statements):
        for d in statement.body if isinstance(statement, Recurrence) else (statement,):
            names.update(i.name for i in (*d.indices, *d.value.free, *d.value.bound))
    return frozenset(names)


def instantiate(application: Application) -> tuple[Statement, ...]:
    """The statements of the operation, over the caller's tensors and axes."""
    moved = renaming(application)
    result: list[Statement] = []
    for statement in flat(application.operation.program.statements):
        if isinstance(statement, Definition):
            result.append(moved.definition(statement, application.operation.label))
        else:
            raise ValueError(
                f"{application.operation.label} repeats along an axis and cannot be applied inside another"
            )
    return tuple(result)


# --- the operation itself


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
                raise ValueError(f"{self.name} has no option {name}={value!r}; its options: {known}")
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
                given[name] = Array(inputs[-1], let)
            else:
                given[name] = Absent(name, let)
        made = self.function(let, **given, **self.options)
        outputs = made if isinstance(made, tuple) else (made,)
        if not outputs or not all(isinstance(o, Array) for o in outputs):
            raise TypeError(f"{self.name} must return what `let` or an operation returned, found {made!r}")
        parameters = tuple(parameter(name, d.domain) for name, d in let.hyperparameters.items())
        program = Program(tuple(inputs), parameters, tuple(let.statements), tuple(o.tensor for o in outputs))
        return Built(program, let.hyperparameters, tuple(let.conditions))

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self.program.inputs

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return self.program.outputs

    def __call__(self, *arguments: Array, names: Sequence[str] = (), **options: object) -> Any:
        """Apply the operation to arrays of another operation that is being written."""
        chosen = self.variant(**options)
        results = arguments[0].builder.apply(chosen, arguments, names)
        return results[0] if len(results) == 1 else results

    def _repr_latex_(self) -> str:
        from gradproof.symbolic.latex import displayed, operation_to_latex

        return displayed(operation_to_latex(self))

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(repr, tensors)) for tensors in (self.inputs, self.outputs))
        return f"<operation {self.label}: {inputs} -> {outputs}>"


_variants: dict[Any, Operation] = {}
TABLE: dict[str, Operation] = {}


def operation(
    topic: str,
    *,
    reference: str = "",
    register: bool = True,
    **declared: Input | Hyperparameter | tuple[object, ...],
):
    """Make an operation of a function that writes its forward mathematics in index notation.

    The function takes `let`, then the declared inputs, hyper-parameters and options by name. A tuple declares
    an option: its allowed values, the default first. `reference` names the PyTorch function that computes the
    same, for the cross-check. The operation enters the one table of operations under the function's name.

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

    def make(function: Callable[..., Any]) -> Operation:
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
                raise ValueError(f"an operation named {made.name} exists already")
            TABLE[made.name] = made
        return made

    return make


def operations() -> dict[str, Operation]:
    """The one table: every operation of the catalogue and those defined since, by name."""
    import gradproof.symbolic.catalogue  # noqa: F401  (fills the table)

    return TABLE


def find(name: str) -> Operation:
    """The operation of that name, options in parentheses: `attention(mask=causal)`.

    Raises KeyError naming the nearest neighbours of an unknown one.
    """
    stem, _, options = name.partition("(")
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

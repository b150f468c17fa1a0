"""Programs carried out as their definitions say, over any arithmetic: nothing here is shared with lowering.

The arithmetic is a field of arrays: tensors of PyTorch (autograd can follow, and what runs is the
definition in elementary operators), complex numbers of NumPy (for the complex step), or balls (for errors
in units in the last place). An array carries the indices of its axes; operands are aligned by index, never
by position.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from gradproof.numeric.fields import Field
from gradproof.numeric.shapes import Shapes, measure
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    Add,
    Bracket,
    Call,
    Constant,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Parameter,
    Power,
    Reduce,
    Size,
    Tensor,
    Where,
)
from gradproof.symbolic.operation import Definition, Program, Recurrence, flat


@dataclass(frozen=True)
class Held:
    """An array, and the index that runs over each of its axes; without indices also a plain number."""

    array: Any
    indices: tuple[Index, ...] = ()


def evaluate(
    program: Program, inputs: Sequence[Any], field: Field, parameters: Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    """The outputs of a program for arrays of a field; batch axes have any rank."""
    shapes = measure("program", program.inputs, [tuple(a.shape) for a in inputs])
    known = {t: a.reshape(_flat(t, shapes)) for t, a in zip(program.inputs, inputs, strict=True)}
    run = Run(field, shapes, parameters or {}, known)
    for statement in flat(program.statements):
        if isinstance(statement, Recurrence):
            run.repeat(statement)
        else:
            run.define(statement)
    return tuple(run.known[t].reshape(shapes.of(t)) for t in program.outputs)


def _flat(tensor: Tensor, shapes: Shapes) -> tuple[int, ...]:
    return tuple(math.prod(shapes.sizes[axis]) for axis in tensor.axes)


@dataclass
class Run:
    """The tensors known so far, each batch axis as one dimension."""

    field: Field
    shapes: Shapes
    parameters: Mapping[str, Any]
    known: dict[Tensor, Any]

    def size(self, axis: Axis) -> int:
        return axis.size if axis.size is not None else math.prod(self.shapes.sizes[axis])

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        return tuple(self.size(a) for a in tensor.axes)

    def define(self, d: Definition) -> None:
        held = Values(self)(d.value)
        made = self.field.align(held.array, held.indices, d.indices)
        self.known[d.target] = self.field.broadcast(made, tuple(self.size(i.axis) for i in d.indices))

    def repeat(self, r: Recurrence) -> None:
        """Step after step; what is off the axis reads an edge, or zeros."""
        length = self.size(r.axis)
        state = {c.before: self.known[c.initial] if c.initial else self.zeros(c.before) for c in r.carried}
        made: dict[Tensor, dict[int, Any]] = {c.outside: {} for c in r.collected}
        edges: dict[Tensor, Any] = {}
        sums: dict[Tensor, Any] = {}
        for t in reversed(range(length)) if r.reverse else range(length):
            seen = {s.inside: self.seen(s.outside, s.initial, t + s.shift, r.axis) for s in r.scanned}
            step = replace(self, known={**self.known, **state, **seen})
            for d in r.body:
                step.define(d)
            for c in r.collected:
                if 0 <= t + c.shift < length:
                    made[c.outside][t + c.shift] = step.known[c.inside]
                elif c.initial is not None:
                    edges[c.initial] = step.known[c.inside]
            for inside, outside in r.summed:
                value = step.known[inside]
                sums[outside] = sums[outside] + value if outside in sums else value
            state = {c.before: step.known[c.after] for c in r.carried}
        self.known |= {c.last: state[c.before] for c in r.carried}
        self.known |= {o: sums[o] if o in sums else self.zeros(o) for _, o in r.summed}
        for c in r.collected:
            parts = [made[c.outside].get(t, None) for t in range(length)]
            filled = [self.zeros(c.inside) if p is None else p for p in parts]
            place = c.outside.axes.index(r.axis)
            stacked = self.field.stack(filled, place) if filled else self.zeros(c.outside)
            self.known[c.outside] = stacked
            if c.initial is not None:
                self.known[c.initial] = edges.get(c.initial, self.zeros(c.inside))

    def zeros(self, tensor: Tensor) -> Any:
        return self.field.zeros(self.shape(tensor))

    def seen(self, outside: Tensor, edge: Tensor | None, t: int, axis: Axis) -> Any:
        place = outside.axes.index(axis)
        if 0 <= t < self.size(axis):
            return self.field.select(self.known[outside], place, t)
        if edge is not None:
            return self.known[edge]
        return self.field.zeros(tuple(self.size(a) for a in outside.axes if a != axis))


@dataclass
class Values:
    """The values of the expressions in one definition.

    `guard` is the condition of the case that is looked at: where it does not hold a division or a logarithm
    is taken of 1, so that what autograd multiplies by 0 is finite.
    """

    run: Run
    guard: Held | None = None
    seen: dict[Expr, Held] = field(default_factory=dict[Expr, Held])

    def __call__(self, e: Expr) -> Held:
        if e not in self.seen:
            self.seen[e] = self.value(e)
        return self.seen[e]

    @property
    def field(self) -> Field:
        return self.run.field

    def value(self, e: Expr) -> Held:
        match e:
            case Number():
                return Held(self.field.number(e.value))
            case Parameter():
                return Held(self.field.scalar(self.run.parameters[e.name]))
            case Constant():
                return Held(self.field.pi())
            case Size():
                return Held(self.field.number(self.run.size(e.axis)))
            case Index():
                return Held(self.field.arange(self.run.size(e.axis)), (e,))
            case Entry():
                return self.entry(e)
            case Add():
                return self.add(e)
            case Mul():
                return self.mul(e)
            case Power():
                return self.power(e)
            case Call():
                x = self(e.arguments[0])
                x = self.guarded(x) if e.function == "log" else x
                return Held(self.field.call(e.function, x.array), x.indices)
            case Bracket():
                (left, right), over = self.joined(self(e.left), self(e.right))
                return Held(self.field.holds(e.relation, left, right), over)
            case Where():
                return self.where(e)
            case Reduce():
                return self.reduce(e)
            case _:
                raise NotImplementedError(f"{type(e).__name__} has no value")

    def joined(self, *parts: Held) -> tuple[list[Any], tuple[Index, ...]]:
        """Arrays over the same indices, ready to be combined entry by entry."""
        over = tuple(dict.fromkeys(i for p in parts for i in p.indices))
        return [self.field.align(p.array, p.indices, over) if p.indices else p.array for p in parts], over

    def add(self, e: Add) -> Held:
        total = self(e.terms[0])
        for term in e.terms[1:]:
            sign, rest = _negated(term)
            (a, b), over = self.joined(total, self(rest))
            total = Held(a - b if sign else a + b, over)
        return total

    def mul(self, e: Mul) -> Held:
        total: Held | None = None
        for factor in _divisors_last(e.factors):
            divisor = factor.base if isinstance(factor, Power) and factor.exponent == -1 else None
            below = divisor is not None
            other = self(factor) if divisor is None else self.guarded(self(divisor))
            if total is None:
                inverse = self.field.power(other.array, Fraction(-1)) if below else other.array
                total = Held(inverse, other.indices)
                continue
            (a, b), over = self.joined(total, other)
            total = Held(self.field.divide(a, b) if below else a * b, over)
        assert total is not None
        return total

    def power(self, e: Power) -> Held:
        base = self(e.base)
        plain = e.exponent > 0 and e.exponent.denominator == 1
        base = base if plain else self.guarded(base)
        return Held(self.field.power(base.array, e.exponent), base.indices)

    def guarded(self, x: Held) -> Held:
        if self.guard is None:
            return x
        (guard, value), over = self.joined(self.guard, x)
        return Held(self.field.where(guard, value, self.field.number(1)), over)

    def where(self, e: Where) -> Held:
        condition = self(e.condition)
        opposite = Held(self.field.number(1) - condition.array, condition.indices)
        yes, no = self.under(condition)(e.yes), self.under(opposite)(e.no)
        (c, a, b), over = self.joined(condition, yes, no)
        return Held(self.field.where(c, a, b), over)

    def under(self, condition: Held) -> Values:
        """The values within a case: those of the cases around it hold as well."""
        if self.guard is not None:
            (a, b), over = self.joined(self.guard, condition)
            condition = Held(a * b, over)
        return Values(self.run, condition)

    def entry(self, e: Entry) -> Held:
        array = self.run.known[e.tensor]
        positions = list(e.indices)
        for place in reversed(range(len(positions))):
            at = positions[place]
            if isinstance(at, Number):
                array = self.field.select(array, place, int(at.value))
                del positions[place]
        plain = tuple(p for p in positions if isinstance(p, Index))
        if len(plain) == len(positions) == len(set(plain)):
            return Held(array, plain)
        parts, over = self.joined(*(self(p) for p in positions))
        return Held(self.field.gather(array, parts), over)

    def reduce(self, e: Reduce) -> Held:
        if e.kind == "sum" and isinstance(e.body, Mul):
            return self.contract(e, e.body)
        body = self(e.body)
        missing = math.prod(self.run.size(i.axis) for i in e.indices if i not in body.indices)
        dims = tuple(n for n, i in enumerate(body.indices) if i in e.indices)
        rest = tuple(i for i in body.indices if i not in e.indices)
        if e.kind == "max":
            return Held(self.field.largest(body.array, dims), rest)
        made = self.field.total(body.array, dims) if dims else body.array
        return Held(made if missing == 1 else made * self.field.number(missing), rest)

    def contract(self, e: Reduce, body: Mul) -> Held:
        """A sum of products, as `einsum`; factors without an index stay in front."""
        factors = [self(f) for f in body.factors]
        arrays = [f for f in factors if f.indices]
        front = [f for f in factors if not f.indices]
        present = tuple(dict.fromkeys(i for f in arrays for i in f.indices))
        missing = math.prod(self.run.size(i.axis) for i in e.indices if i not in present)
        over = tuple(i for i in present if i not in e.indices)
        made: Any = None
        if arrays:
            letters = {i: chr(97 + n) for n, i in enumerate(present)}
            left = ",".join("".join(letters[i] for i in f.indices) for f in arrays)
            right = "".join(letters[i] for i in over)
            made = self.field.einsum(f"{left}->{right}", [f.array for f in arrays])
        for f in front:
            made = f.array if made is None else made * f.array
        return Held(made if missing == 1 else made * self.field.number(missing), over)


def _negated(term: Expr) -> tuple[bool, Expr]:
    """Whether a term is subtracted, and what."""
    if isinstance(term, Mul) and isinstance(term.factors[0], Number) and term.factors[0].value == -1:
        return True, -term
    return False, term


def _divisors_last(factors: Sequence[Expr]) -> list[Expr]:
    return sorted(factors, key=lambda f: isinstance(f, Power) and f.exponent == -1)

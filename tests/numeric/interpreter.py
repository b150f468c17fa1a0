"""A program carried out entry by entry, as its definitions say: slow, and free of a kernel's choices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import mpmath
import numpy as np

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

FUNCTIONS = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
}
RELATIONS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Interpreter:
    """Evaluates programs over axes of given sizes; a batch axis has one size here."""

    def __init__(self, sizes: Mapping[Axis, int], parameters: Mapping[str, Any]) -> None:
        self.sizes, self.parameters = dict(sizes), parameters
        self.values: dict[Tensor, np.ndarray] = {}

    def size(self, axis: Axis) -> int:
        return axis.size if axis.size is not None else self.sizes[axis]

    def run(self, program: Program, inputs: Mapping[Tensor, np.ndarray]) -> list[np.ndarray]:
        self.values.update(inputs)
        for statement in flat(program.statements):
            if isinstance(statement, Definition):
                self.values[statement.target] = self.table(statement)
            else:
                self.repeat(statement)
        return [self.values[t].astype(float) for t in program.outputs]

    def table(self, d: Definition) -> np.ndarray:
        shape = tuple(self.size(i.axis) for i in d.indices)
        made = np.empty(shape, dtype=object)
        for place in itertools.product(*map(range, shape)):
            made[place] = self.value(d.value, dict(zip(d.indices, place, strict=True)))
        return made

    def value(self, e: Expr, at: dict[Index, int]) -> Any:
        match e:
            case Number():
                return mpmath.mpf(e.value.numerator) / e.value.denominator
            case Parameter():
                return mpmath.mpf(self.parameters[e.name])
            case Constant():
                return mpmath.pi
            case Size():
                return mpmath.mpf(self.size(e.axis))
            case Index():
                return at[e]
            case Entry():
                return self.values[e.tensor][tuple(int(self.value(i, at)) for i in e.indices)]
            case Add():
                return sum((self.value(t, at) for t in e.terms), mpmath.mpf(0))
            case Mul():
                return math.prod((self.value(t, at) for t in e.factors), start=mpmath.mpf(1))
            case Power():
                return mpmath.power(
                    self.value(e.base, at), mpmath.mpf(e.exponent.numerator) / e.exponent.denominator
                )
            case Call():
                return FUNCTIONS[e.function](self.value(e.arguments[0], at))
            case Bracket():
                return mpmath.mpf(int(RELATIONS[e.relation](self.value(e.left, at), self.value(e.right, at))))
            case Where():
                return self.value(e.yes if self.value(e.condition, at) else e.no, at)
            case Reduce():
                spans = [range(self.size(i.axis)) for i in e.indices]
                parts = [
                    self.value(e.body, {**at, **dict(zip(e.indices, place, strict=True))})
                    for place in itertools.product(*spans)
                ]
                return sum(parts, mpmath.mpf(0)) if e.kind == "sum" else max(parts)
        raise NotImplementedError(e)

    def zeros(self, tensor: Tensor) -> np.ndarray:
        made = np.empty(tuple(self.size(a) for a in tensor.axes), dtype=object)
        made.fill(mpmath.mpf(0))
        return made

    def repeat(self, r: Recurrence) -> None:
        count = self.size(r.axis)
        for c in r.carried:
            self.values[c.before] = self.values[c.initial] if c.initial else self.zeros(c.before)
        for kept in r.collected:
            self.values[kept.outside] = self.zeros(kept.outside)
            if kept.initial is not None:
                self.values[kept.initial] = self.zeros(kept.initial)
        for inside, outside in r.summed:
            self.values[outside] = self.zeros(inside)
        for t in reversed(range(count)) if r.reverse else range(count):
            for s in r.scanned:
                axis = s.outside.axes.index(r.axis)
                edge = self.values[s.initial] if s.initial else self.zeros(s.inside)
                inside = 0 <= t + s.shift < count
                self.values[s.inside] = self.values[s.outside].take(t + s.shift, axis) if inside else edge
            for d in r.body:
                self.values[d.target] = self.table(d)
            for kept in r.collected:
                axis = kept.outside.axes.index(r.axis)
                if 0 <= t + kept.shift < count:
                    place = (slice(None),) * axis + (t + kept.shift,)
                    self.values[kept.outside][place] = self.values[kept.inside]
                elif kept.initial is not None:
                    self.values[kept.initial] = self.values[kept.inside]
            for inside, outside in r.summed:
                self.values[outside] = self.values[outside] + self.values[inside]
            moved = [self.values[c.after] for c in r.carried]
            for c, value in zip(r.carried, moved, strict=True):
                self.values[c.before] = value
        for c in r.carried:
            self.values[c.last] = self.values[c.before]

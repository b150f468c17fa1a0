"""A tiny interpreter of programs in index notation, by broadcasting, which shares nothing with lowering.

Values are float64 tensors of PyTorch, so that autograd can differentiate what it computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

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
from gradproof.symbolic.operation import Definition, Program, Recurrence, Scanned, flat, step_axis

CALLS = {
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "softplus": torch.nn.functional.softplus,
}
RELATIONS = {"==": torch.eq, "!=": torch.ne, "<": torch.lt, "<=": torch.le, ">": torch.gt, ">=": torch.ge}


@dataclass
class Interpreter:
    sizes: Mapping[Axis, int]
    parameters: Mapping[str, float]

    def size(self, axis: Axis) -> int:
        return axis.size if axis.size is not None else self.sizes[axis]

    def run(self, program: Program, values: Mapping[Tensor, torch.Tensor]) -> dict[Tensor, torch.Tensor]:
        """The values of all tensors of the program from those of its inputs."""
        known = dict(values)
        missing = [t for t in program.inputs if t not in known]
        assert not missing, missing
        for statement in flat(program.statements):
            if isinstance(statement, Recurrence):
                self.repeat(statement, known)
            else:
                known[statement.target] = self.define(statement, known)
        return known

    def define(self, d: Definition, known: Mapping[Tensor, torch.Tensor]) -> torch.Tensor:
        rank = len(d.indices)
        places: dict[Index, torch.Tensor] = {}
        for place, i in enumerate(d.indices):
            shape = [1] * rank
            shape[place] = -1
            places[i] = torch.arange(self.size(i.axis)).reshape(shape)
        value = self.value(d.value, places, known)
        return value.expand([self.size(i.axis) for i in d.indices]).double()

    def value(
        self, e: Expr, places: Mapping[Index, torch.Tensor], known: Mapping[Tensor, torch.Tensor]
    ) -> torch.Tensor:
        def of(child: Expr) -> torch.Tensor:
            return self.value(child, places, known)

        match e:
            case Number():
                return torch.tensor(float(e.value), dtype=torch.float64)
            case Constant():
                return torch.tensor(getattr(math, e.name), dtype=torch.float64)
            case Parameter():
                return torch.tensor(self.parameters[e.name], dtype=torch.float64)
            case Size():
                return torch.tensor(float(self.size(e.axis)), dtype=torch.float64)
            case Index():
                return places[e].double()
            case Entry():
                at = tuple(of(i).long() for i in e.indices)
                return known[e.tensor][at].double()
            case Add():
                return sum((of(t) for t in e.terms), torch.tensor(0.0, dtype=torch.float64))
            case Mul():
                result = of(e.factors[0])
                for factor in e.factors[1:]:
                    result = result * of(factor)
                return result
            case Power():
                return of(e.base) ** float(e.exponent)
            case Call():
                return CALLS[e.function](of(e.arguments[0]))
            case Bracket():
                return RELATIONS[e.relation](of(e.left), of(e.right)).double()
            case Where():
                return torch.where(of(e.condition) != 0, of(e.yes), of(e.no))
            case Reduce():
                return self.reduce(e, places, known)
            case _:
                raise AssertionError(e)

    def reduce(
        self, e: Reduce, places: Mapping[Index, torch.Tensor], known: Mapping[Tensor, torch.Tensor]
    ) -> torch.Tensor:
        deeper = dict(places)
        for i in e.indices:
            deeper = {k: v.unsqueeze(-1) for k, v in deeper.items()}
            rank = max((v.dim() for v in deeper.values()), default=1)
            deeper[i] = torch.arange(self.size(i.axis)).reshape([1] * (rank - 1) + [-1])
        body = self.value(e.body, deeper, known)
        counts = [self.size(i.axis) for i in e.indices]
        body = body.expand(torch.broadcast_shapes(body.shape, tuple(counts)))
        last = tuple(range(-len(counts), 0))
        return body.sum(last) if e.kind == "sum" else body.amax(last)

    def repeat(self, r: Recurrence, known: dict[Tensor, torch.Tensor]) -> None:
        length = self.size(r.axis)
        shape = {t: [self.size(a) for a in t.axes] for c in r.carried for t in (c.before,)}
        state = {
            c.before: known[c.initial] if c.initial is not None else torch.zeros(shape[c.before]).double()
            for c in r.carried
        }
        made: dict[Tensor, dict[int, torch.Tensor]] = {c.outside: {} for c in r.collected}
        edges: dict[Tensor, torch.Tensor] = {}
        sums: dict[Tensor, torch.Tensor] = {}
        for t in reversed(range(length)) if r.reverse else range(length):
            inside = {**known, **state}
            for s in r.scanned:
                inside[s.inside] = self.seen(s, t, r.axis, known)
            for d in r.body:
                inside[d.target] = self.define(d, inside)
            for c in r.collected:
                if 0 <= t + c.shift < length:
                    made[c.outside][t + c.shift] = inside[c.inside]
                elif c.initial is not None:
                    edges[c.initial] = inside[c.inside]
            for inner, outer in r.summed:
                sums[outer] = sums.get(outer, torch.tensor(0.0)) + inside[inner]
            state = {c.before: inside[c.after] for c in r.carried}
        for c in r.collected:
            place = step_axis(c.outside, c.inside)
            empty = torch.zeros([self.size(a) for a in c.inside.axes]).double()
            known[c.outside] = torch.stack([made[c.outside].get(t, empty) for t in range(length)], place)
            if c.initial is not None:
                known[c.initial] = edges.get(c.initial, empty)
        known |= sums
        known |= {c.last: state[c.before] for c in r.carried}

    def seen(self, s: Scanned, t: int, axis: Axis, known: Mapping[Tensor, torch.Tensor]) -> torch.Tensor:
        place, at = step_axis(s.outside, s.inside), t + s.shift
        if 0 <= at < self.size(axis):
            return known[s.outside].select(place, at)
        if s.initial is not None:
            return known[s.initial]
        return torch.zeros_like(known[s.outside].select(place, 0))

"""The JVP of a program: the rules of derivation, carried on from the inputs to the outputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gradproof.symbolic.analysis import (
    active_tensors,
    canonical_indices,
    needed,
    read_outside,
    statistic_tensors,
    step_sources,
)
from gradproof.symbolic.derivation import Derivation, Step
from gradproof.symbolic.expressions import Expr, Tensor, add, derivative, entry, fresh, mul, total
from gradproof.symbolic.operation import Carried, Collected, Definition, Program, Recurrence, Scanned, flat
from gradproof.symbolic.reverse import Sweep
from gradproof.symbolic.rules import Context, depends


def tangent_name(name: str) -> str:
    """The name of the tangent of a tensor.

    >>> tangent_name("x"), tangent_name("x_dot")
    ('x_dot', 'x_dot2')
    """
    found = re.fullmatch(r"(.+_dot)(\d*)", name)
    return f"{found[1]}{int(found[2] or 1) + 1}" if found else f"{name}_dot"


def tangent(tensor: Tensor) -> Tensor:
    """The tensor that holds the tangent of a tensor."""
    return Tensor(tangent_name(tensor.name), tensor.axes)


@dataclass(frozen=True)
class Pushed:
    """The tangents of some statements: where each is, what defines them, and the steps that led there."""

    dots: dict[Tensor, Tensor]
    emitted: tuple[Definition | Recurrence, ...]
    steps: tuple[Step, ...]
    context: Context

    def shown(self, emitted: Iterable[Definition | Recurrence]) -> tuple[Step, ...]:
        """The steps that led to the statements that were kept."""
        kept = [d for s in emitted for d in (s.body if isinstance(s, Recurrence) else (s,))]
        subjects = {d.target for d in kept}
        return tuple(step for step in self.steps if step.subject in subjects)


def forward_mode(program: Program, label: str, *, moving: Sequence[Tensor] | None = None) -> Derivation:
    """The JVP of a program in closed form: tangents of its outputs from tangents of its real inputs.

    Where `moving` is given, the other inputs are held still.
    """
    moving = [t for t in program.inputs if t.dtype == "real"] if moving is None else moving
    pushed = push(program, flat(program.statements), moving)
    outputs = [pushed.dots[t] for t in program.outputs]
    tangents = [tangent(t) for t in moving]
    emitted = needed(pushed.emitted, outputs)
    inputs = read_outside(emitted, tangents)
    closed = Program((*inputs, *tangents), program.parameters, tuple(emitted), tuple(outputs))
    results = {t.name: pushed.dots[t] for t in program.outputs}
    return Derivation(label, "jvp", closed, pushed.shown(emitted), results, pushed.context)


def push(program: Program, statements: Sequence[Definition | Recurrence], moving: Sequence[Tensor]) -> Pushed:
    """The tangents of the given statements of a program, and of its outputs, along tangents of `moving`."""
    known = flat(program.statements)
    inner = [d for s in known for d in (s.body if isinstance(s, Recurrence) else (s,))]
    context = Context({d.target: d for d in inner}, scales=statistic_tensors(program))
    sweep = Sweep(program, known, context, active_tensors(program, moving), frozenset(), set())
    dots = {t: tangent(t) for t in sweep.active}
    emitted: list[Definition | Recurrence] = []
    for statement in statements:
        if isinstance(statement, Recurrence):
            emitted.append(_repeat(statement, sweep, dots))
        elif statement.target in sweep.active:
            emitted.append(_push(statement, sweep, dots))
    for t in program.outputs:
        if t not in sweep.active:
            dots[t] = tangent(t)
            emitted.append(Definition(dots[t], canonical_indices(t, known), add()))
    return Pushed(dots, tuple(emitted), tuple(sweep.steps), context)


def _push(d: Definition, sweep: Sweep, dots: dict[Tensor, Tensor]) -> Definition:
    """The tangent of a definition: the derivative by each entry that it reads, times that entry's tangent."""
    parts: list[Expr] = []
    for tensor in sorted(d.value.tensors & sweep.active, key=lambda t: t.name):
        if depends(d.value, tensor):
            here = sweep.indices(tensor)
            moved = {
                i: fresh({*d.indices, *here, *d.value.bound}, i)
                for i in here
                if i.name in {j.name for j in d.indices}
            }
            over = tuple(moved.get(i, i) for i in here)
            local = derivative(d.value, entry(tensor, *over))
            parts.append(total(mul(local, entry(dots[tensor], *over)), *over))
    target = dots[d.target]
    value = sweep.carry_out(target, add(*parts))
    for rule in ("contract", "recognise", "vanish", "collect"):
        value = sweep.apply(target, rule, (), value)
    return Definition(target, d.indices, value)


def _repeat(forward: Recurrence, sweep: Sweep, dots: dict[Tensor, Tensor]) -> Recurrence:
    inner = replace(sweep, statements=forward.body)
    body = tuple(_push(d, inner, dots) for d in forward.body if d.target in sweep.active)
    carried = tuple(
        Carried(
            dots[c.before],
            dots[c.after],
            dots.get(c.initial) if c.initial is not None else None,
            dots[c.last],
        )
        for c in forward.carried
    )
    seen = [
        Scanned(
            dots[s.inside], dots[s.outside], dots.get(s.initial) if s.initial is not None else None, s.shift
        )
        for s in forward.scanned
        if s.outside in sweep.active
    ]
    read = {t for d in body for t in d.value.tensors} - {d.target for d in body}
    sources = step_sources(sweep.statements)
    seen += [sources[t] for t in sorted(read & set(sources), key=lambda t: t.name)]
    collected = tuple(
        Collected(
            dots[c.inside], dots[c.outside], dots[c.initial] if c.initial is not None else None, c.shift
        )
        for c in forward.collected
        if c.inside in sweep.active
    )
    summed = tuple((dots[i], dots[o]) for i, o in forward.summed if i in sweep.active)
    name = f"{forward.name} tangent"
    return Recurrence(name, forward.axis, body, carried, tuple(seen), collected, summed, forward.reverse)

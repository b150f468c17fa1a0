"""The JVP of a program: the rules of derivation, carried on from the inputs to the outputs."""

from __future__ import annotations

from dataclasses import replace

from gradproof.symbolic.analysis import active_tensors, canonical_indices, read_outside, statistic_tensors
from gradproof.symbolic.derivation import Derivation, Step
from gradproof.symbolic.expressions import Expr, Tensor, add, derivative, entry, fresh, mul, total
from gradproof.symbolic.operation import Carried, Collected, Definition, Program, Recurrence, Scanned, flat
from gradproof.symbolic.reverse import Sweep
from gradproof.symbolic.rules import Context, depends


def tangent_name(name: str) -> str:
    """The name of the tangent of a tensor.

    >>> tangent_name("x")
    'x_dot'
    """
    return f"{name}_dot"


def forward_mode(program: Program, label: str) -> Derivation:
    """The JVP of a program in closed form: tangents of its outputs from tangents of its real inputs."""
    statements = flat(program.statements)
    inner = [d for s in statements for d in (s.body if isinstance(s, Recurrence) else (s,))]
    context = Context({d.target: d for d in inner}, scales=statistic_tensors(program))
    sweep = Sweep(program, statements, context, active_tensors(program), frozenset(), set())
    dots = {t: _dot(t) for t in sweep.active}
    emitted: list[Definition | Recurrence] = []
    for statement in statements:
        if isinstance(statement, Recurrence):
            emitted.append(_repeat(statement, sweep, dots))
        elif statement.target in sweep.active:
            emitted.append(_push(statement, sweep, dots))
    tangents = [dots[t] for t in program.inputs if t.dtype == "real"]
    for t in program.outputs:
        if t not in sweep.active:
            over = canonical_indices(t, statements)
            dots[t] = _dot(t)
            emitted.append(Definition(dots[t], over, add()))
    emitted = _needed(emitted, [dots[t] for t in program.outputs])
    inputs = read_outside(emitted, tangents)
    closed = Program(
        (*inputs, *tangents), program.parameters, tuple(emitted), tuple(dots[t] for t in program.outputs)
    )
    results = {t.name: dots[t] for t in program.outputs}
    shown = {s.target for s in emitted if isinstance(s, Definition)}
    shown |= {d.target for s in emitted if isinstance(s, Recurrence) for d in s.body}
    steps: list[Step] = [step for step in sweep.steps if step.subject in shown]
    return Derivation(label, "jvp", closed, tuple(steps), results, context)


def _needed(emitted: list[Definition | Recurrence], outputs: list[Tensor]) -> list[Definition | Recurrence]:
    """The statements on which an output depends."""
    wanted = set(outputs)
    kept: list[Definition | Recurrence] = []
    for statement in reversed(emitted):
        if isinstance(statement, Recurrence):
            kept.append(statement)
            wanted |= set(read_outside([statement], ()))
        elif statement.target in wanted:
            kept.append(statement)
            wanted |= statement.value.tensors
    return kept[::-1]


def _dot(tensor: Tensor) -> Tensor:
    return Tensor(tangent_name(tensor.name), tensor.axes)


def _push(d: Definition, sweep: Sweep, dots: dict[Tensor, Tensor]) -> Definition:
    """The tangent of one definition: the derivative by every entry that it reads, times that entry's tangent."""
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
    read = {t for d in body for t in d.value.tensors}
    kept = {c.inside: c.outside for c in forward.collected}
    back = 1 if forward.reverse else -1
    seen += [Scanned(t, kept[t]) for t in sorted(read & set(kept), key=lambda t: t.name)]
    seen += [s for s in forward.scanned if s.inside in read]
    seen += [Scanned(c.before, kept[c.after], c.initial, back) for c in forward.carried if c.before in read]
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

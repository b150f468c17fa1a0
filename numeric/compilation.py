"""From programs to straight-line programs: forward with its backward, and what is saved between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradproof.numeric.canonical import repeated
from gradproof.numeric.derivatives import tensors_of
from gradproof.numeric.lines import (
    Edge,
    Line,
    Loop,
    Shift,
    State,
    Straight,
    live,
    targets,
)
from gradproof.numeric.lowering import Lowering
from gradproof.numeric.preparation import needed, prepare
from gradproof.numeric.recurrence import Ends, Moved, Part, Split, Steps
from gradproof.numeric.rewriting import Context, Row
from gradproof.numeric.saving import choose
from gradproof.numeric.stability import ROWS
from gradproof.symbolic.derivation import derive
from gradproof.symbolic.expressions import Expr, Index, Tensor, index
from gradproof.symbolic.operation import Definition, Program, Recurrence, flat


@dataclass(frozen=True)
class Pair:
    """A forward program, its backward program, and the tensors that the one saves for the other."""

    forward: Straight
    backward: Straight
    saved: tuple[Tensor, ...]
    cotangents: tuple[Tensor, ...]
    rewrites: tuple[Row, ...] = ()


def compile_pair(program: Program, zeros: frozenset[str] = frozenset()) -> Pair:
    """Lower a program and its VJP together."""
    vjp = derive(program, "vjp").program
    cotangents = vjp.inputs[len(vjp.inputs) - len(program.outputs) :]
    applied: set[str] = set()
    lines, mark, more = _lower(program, vjp, zeros, applied)
    first, second = lines[:mark], live(lines[mark:], vjp.outputs)
    backward, saved = choose(program, first, second, vjp.outputs)
    known = {t for line in first for t in targets(line)}
    forward = live(first, (*program.outputs, *(t for t in saved if t in known)))
    return Pair(
        Straight(program.inputs, program.parameters, forward, program.outputs, *more),
        Straight((*saved, *cotangents), program.parameters, backward, vjp.outputs, *more),
        saved,
        cotangents,
        tuple(row for row in ROWS if row.name in applied),
    )


def compile_tangents(
    program: Program, zeros: frozenset[str] = frozenset()
) -> tuple[Straight, tuple[Tensor, ...]]:
    """Lower the JVP of a program, forward tensors computed anew from the inputs; also its tangent inputs."""
    jvp = derive(program, "jvp").program
    count = sum(1 for t in program.inputs if t.dtype == "real")
    tangents = jvp.inputs[len(jvp.inputs) - count :]
    lines, _, more = _lower(program, jvp, zeros)
    straight = Straight(
        (*program.inputs, *tangents), program.parameters, live(lines, jvp.outputs), jvp.outputs, *more
    )
    return straight, tangents


def _lower(
    program: Program, derived: Program, zeros: frozenset[str], applied: set[str] | None = None
) -> tuple[tuple[Line, ...], int, tuple[frozenset[Tensor], frozenset[Tensor], bool]]:
    """The lines of a program and of its derivative, where the latter begin, and more for a `Straight`."""
    first = flat(program.statements)
    second = needed(flat(derived.statements), derived.outputs)
    names = {t.name for p in (program, derived) for t in tensors_of(p)}
    names |= {p.name for p in program.parameters}
    context = Context(given=_given(program), taken=names, applied=set() if applied is None else applied)
    ready = prepare(first, context, zeros)
    later = prepare(second, context, zeros)
    values = [d.value for s in (*ready, *later) for d in (s.body if isinstance(s, Recurrence) else (s,))]
    lowering = Lowering(context.taken, repeated(values))
    wanted = {t for s in later for t in _read(s)} | set(program.outputs) | set(derived.outputs)
    lower_statements(lowering, needed(ready, wanted))
    mark = len(lowering.lines)
    lower_statements(lowering, later)
    more = frozenset(lowering.temporary), frozenset(lowering.truths), bool(context.given)
    return tuple(lowering.lines), mark, more


def _given(program: Program) -> frozenset[Tensor]:
    """The inputs that stability may go back to: those of an operation that works entry by entry.

    Elsewhere a derivative is taken from the value of the leaf: that costs less, and is as accurate as the
    rest.
    """
    values: list[Expr] = []
    for statement in flat(program.statements):
        if not isinstance(statement, Definition) or len(statement.indices) != 1:
            return frozenset()
        values.append(statement.value)
    single = all(t.axes and t.axes[0].variadic for t in (*program.inputs, *program.outputs))
    return frozenset() if any(v.bound for v in values) or not single else frozenset(program.inputs)


def _read(statement: Definition | Recurrence) -> set[Tensor]:
    if isinstance(statement, Definition):
        return set(statement.value.tensors)
    found = {t for d in statement.body for t in d.value.tensors} | {s.outside for s in statement.scanned}
    found |= {c.initial for c in statement.carried if c.initial is not None}
    return found | {s.initial for s in statement.scanned if s.initial is not None}


def lower_statements(lowering: Lowering, statements: Sequence[Definition | Recurrence]) -> None:
    """Append the lines of statements; a recurrence is taken apart first."""
    for statement in statements:
        if isinstance(statement, Definition):
            lowering.define(statement)
        else:
            for part in Split(statement, lowering.claim, lowering.stepped).run():
                _lower_part(lowering, part)


def _lower_part(lowering: Lowering, part: Part) -> None:
    match part:
        case Definition():
            lowering.define(part)
        case Moved():
            lowering.lines.append(Shift(part.target, _indices(part.target), part.source, part.edge, part.by))
        case Ends():
            lowering.lines.append(Edge(part.target, _indices(part.target), part.source, part.last))
        case Steps():
            lowering.lines.append(_loop(lowering, part))


def _indices(tensor: Tensor) -> tuple[Index, ...]:
    return tuple(index(f"{a.name}", a) for a in tensor.axes)


def _loop(lowering: Lowering, steps: Steps) -> Loop:
    inner = Lowering(lowering.taken, repeated(d.value for d in steps.body))
    inner.truths |= lowering.truths
    for d in steps.body:
        inner.define(d)
    lowering.taken |= inner.taken
    lowering.temporary |= inner.temporary
    lowering.truths |= inner.truths
    r = steps.recurrence
    states = tuple(
        State(c.before, c.after, i, c.last) for c, i in zip(r.carried, steps.initials, strict=True)
    )
    return Loop(r.name, r.axis, r.reverse, states, steps.reads, steps.keeps, tuple(inner.lines))

"""What a program's tensors depend on, and what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradproof.symbolic.expressions import Entry, Index, Tensor, fresh, index, walk
from gradproof.symbolic.operation import Definition, Program, Recurrence, Scanned, flat
from gradproof.symbolic.rules import depends


def canonical_indices(tensor: Tensor, statements: Sequence[Definition | Recurrence]) -> tuple[Index, ...]:
    """Indices for a tensor, named as the definitions name them where they do."""
    for statement in statements:
        for d in statement.body if isinstance(statement, Recurrence) else (statement,):
            if d.target == tensor:
                return d.indices
            for node in walk(d.value):
                if isinstance(node, Entry) and node.tensor == tensor:
                    found = tuple(i for i in node.indices if isinstance(i, Index))
                    if len(set(found)) == len(tensor.axes):
                        return found
    made: list[Index] = []
    for axis in tensor.axes:
        made.append(fresh(made, index(axis.name[0], axis)))
    return tuple(made)


def active_tensors(program: Program, moving: Sequence[Tensor] | None = None) -> frozenset[Tensor]:
    """The tensors that depend on one of the `moving` inputs, by default on any real input."""
    active = set(moving) if moving is not None else {t for t in program.inputs if t.dtype == "real"}
    for statement in flat(program.statements):
        if isinstance(statement, Recurrence):
            active |= set(statement.targets)
            active |= {d.target for d in statement.body}
            active |= {c.before for c in statement.carried} | {
                s.inside for s in statement.scanned if s.outside in active
            }
        elif any(depends(statement.value, t) for t in statement.value.tensors & active):
            active.add(statement.target)
    return frozenset(active)


def statistic_tensors(program: Program) -> frozenset[Tensor]:
    """The intermediates that summarise a row (mean, variance, log-sum-exp): their adjoints are written out.

    All that a row's statistic reads is that row, and other statistics: a contraction with a second tensor is
    none.
    """
    active = active_tensors(program)
    found: set[Tensor] = set()
    definitions = [
        d for s in flat(program.statements) for d in (s.body if isinstance(s, Recurrence) else (s,))
    ]
    held = {t for s in flat(program.statements) if isinstance(s, Recurrence) for t in held_by(s)}
    for d in definitions:
        if d.target in program.outputs or d.target in held or d.target not in active:
            continue
        reads = [n for n in walk(d.value) if isinstance(n, Entry) and n.tensor in active - found]
        if all(_row(n, d) for n in reads):
            found.add(d.target)
    return frozenset(found)


def _row(read: Entry, d: Definition) -> bool:
    """Whether the entry runs over the whole of a row, which the indices on the left side tell."""
    return set(d.indices) < {i for i in read.indices if isinstance(i, Index)}


def body(statement: Definition | Recurrence) -> tuple[Definition, ...]:
    """The definitions of a statement: those of a step, for a recurrence."""
    return statement.body if isinstance(statement, Recurrence) else (statement,)


def targets(statement: Definition | Recurrence) -> tuple[Tensor, ...]:
    """The tensors that a statement defines."""
    return (statement.target,) if isinstance(statement, Definition) else statement.targets


def inside(statement: Definition | Recurrence) -> tuple[Tensor, ...]:
    """The tensors that only exist within a step of a recurrence."""
    if isinstance(statement, Definition):
        return ()
    carried = [c.before for c in statement.carried]
    return (*carried, *(s.inside for s in statement.scanned), *(d.target for d in statement.body))


def uses(statements: Iterable[Definition | Recurrence], *, kept: bool = True) -> dict[Tensor, int]:
    """How often each tensor is read; `kept` counts what a recurrence keeps for every step as read."""
    counts: dict[Tensor, int] = {}
    for s in statements:
        if isinstance(s, Recurrence):
            states = [c.initial for c in s.carried if c.initial is not None]
            edges = [x.initial for x in s.scanned if x.initial is not None]
            inner = [c.inside for c in s.collected] + [i for i, _ in s.summed] + [c.after for c in s.carried]
            reads = [*states, *edges, *(inner if kept else ()), *(x.outside for x in s.scanned)]
            for tensor, n in uses(s.body).items():
                counts[tensor] = counts.get(tensor, 0) + n
        else:
            reads = [n.tensor for n in walk(s.value) if isinstance(n, Entry)]
        for tensor in reads:
            counts[tensor] = counts.get(tensor, 0) + 1
    return counts


def held_by(r: Recurrence) -> set[Tensor]:
    """The tensors that the recurrence itself needs by name, beside those that its steps read."""
    within = {c.after for c in r.carried} | {inside for inside, _ in r.summed} | {s.inside for s in r.scanned}
    around = {s.outside for s in r.scanned} | {s.initial for s in r.scanned} | {c.initial for c in r.carried}
    return within | {t for t in around if t is not None}


def read_outside(
    emitted: Sequence[Definition | Recurrence], cotangents: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """The forward tensors that a list of adjoint statements reads, in order."""
    made = {t for s in emitted for t in targets(s)} | set(cotangents)
    read: dict[Tensor, None] = {}
    for s in emitted:
        own = set(inside(s))
        for tensor in uses([s]):
            if tensor not in made and tensor not in own:
                read[tensor] = None
    return tuple(read)


def needed(
    statements: Sequence[Definition | Recurrence], outputs: Iterable[Tensor]
) -> list[Definition | Recurrence]:
    """The statements on which an output depends."""
    wanted = set(outputs)
    kept: list[Definition | Recurrence] = []
    for statement in reversed(statements):
        if wanted & set(targets(statement)):
            kept.append(statement)
            wanted |= set(read_outside([statement], ()))
    return kept[::-1]


def step_sources(statements: Iterable[Definition | Recurrence]) -> dict[Tensor, Scanned]:
    """How another recurrence along the same axis can see what a step of these recurrences sees."""
    found: dict[Tensor, Scanned] = {}
    for r in statements:
        if isinstance(r, Recurrence):
            kept = {c.inside: c for c in r.collected}
            back = 1 if r.reverse else -1
            found |= {s.inside: s for s in r.scanned}
            found |= {c.inside: Scanned(c.inside, c.outside, c.initial, c.shift) for c in r.collected}
            found |= {
                c.before: Scanned(c.before, kept[c.after].outside, c.initial, back)
                for c in r.carried
                if c.after in kept
            }
    return found

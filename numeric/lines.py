"""The straight-line program that every target prints: one line, one array operation.

A line stays in index notation, `target[indices] = ...`, with expressions in a restricted form: an elementwise
value reads entries at plain positions (an index, or a fixed number) and holds no reduction. The order of the
axes of a tensor is the order in which it is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Constant, Entry, Expr, Index, Parameter, Tensor, constant, walk

MINUS_INFINITY: Constant = constant("-inf")  # pyright: ignore[reportAssignmentType]


@dataclass(frozen=True)
class Elementwise:
    """`target[indices] = value`: scalar operations, entry by entry."""

    target: Tensor
    indices: tuple[Index, ...]
    value: Expr


@dataclass(frozen=True)
class Reduction:
    """The sum or the largest of an elementwise value over the indices `over`."""

    target: Tensor
    indices: tuple[Index, ...]
    kind: Literal["sum", "max"]
    over: tuple[Index, ...]
    value: Expr


@dataclass(frozen=True)
class Contraction:
    """The sum over `over` of a product of two entries: a matrix product, or an einsum."""

    target: Tensor
    indices: tuple[Index, ...]
    left: Entry
    right: Entry
    over: tuple[Index, ...]


@dataclass(frozen=True)
class Gather:
    """`target[indices] = source` where a position of the source is an integer tensor's entry."""

    target: Tensor
    indices: tuple[Index, ...]
    source: Entry


@dataclass(frozen=True)
class Scatter:
    """`target = base`, and then, for every value of `over`, `target[positions] += value`.

    Without a base the target starts at 0.
    """

    target: Tensor
    indices: tuple[Index, ...]
    base: Entry | None
    positions: tuple[Expr, ...]
    over: tuple[Index, ...]
    value: Entry


@dataclass(frozen=True)
class Stack:
    """`target` with one elementwise value for each entry of an axis of fixed size."""

    target: Tensor
    indices: tuple[Index, ...]
    along: Index
    parts: tuple[Expr, ...]


@dataclass(frozen=True)
class Shift:
    """`target[t] = source[t + by]` along the first axis; what is off the axis reads `edge`, or 0."""

    target: Tensor
    indices: tuple[Index, ...]
    source: Tensor
    edge: Tensor | None
    by: int


@dataclass(frozen=True)
class Edge:
    """The first (or last) entry of `source` along its first axis; 0 where there is none."""

    target: Tensor
    indices: tuple[Index, ...]
    source: Tensor
    last: bool


@dataclass(frozen=True)
class State:
    """A tensor that a loop carries: `before` holds it in a step, `initial` and `last` around the loop."""

    before: Tensor
    after: Tensor
    initial: Tensor
    last: Tensor


@dataclass(frozen=True)
class Loop:
    """Lines repeated along an axis.

    `reads` and `keeps` pair the tensor of a step with the tensor of all steps, whose first axis is `axis`.
    """

    name: str
    axis: Axis
    reverse: bool
    states: tuple[State, ...]
    reads: tuple[tuple[Tensor, Tensor], ...]
    keeps: tuple[tuple[Tensor, Tensor], ...]
    body: tuple[Line, ...]


Simple = Elementwise | Reduction | Contraction | Gather | Scatter | Stack | Shift | Edge
Line = Simple | Loop


@dataclass(frozen=True)
class Straight:
    """A straight-line program: what it is given, its lines, and what it hands back.

    `temporary` are the tensors that lowering named; the others have the names of the mathematics.
    `truths` are those that hold truth values. With `tails` a sigmoid keeps its digits also where
    `exp(-x)` overflows.
    """

    inputs: tuple[Tensor, ...]
    parameters: tuple[Parameter, ...]
    lines: tuple[Line, ...]
    outputs: tuple[Tensor, ...]
    temporary: frozenset[Tensor] = frozenset()
    truths: frozenset[Tensor] = frozenset()
    tails: bool = False


def targets(line: Line) -> tuple[Tensor, ...]:
    """The tensors that a line defines."""
    if isinstance(line, Loop):
        return (*(s.last for s in line.states), *(outer for _, outer in line.keeps))
    return (line.target,)


def expressions(line: Simple) -> tuple[Expr, ...]:
    """The expressions of a line."""
    match line:
        case Elementwise() | Reduction():
            return (line.value,)
        case Contraction():
            return (line.left, line.right)
        case Gather():
            return (line.source,)
        case Scatter():
            return (*line.positions, line.value, *((line.base,) if line.base is not None else ()))
        case Stack():
            return line.parts
        case _:
            return ()


def reads(line: Line) -> tuple[Tensor, ...]:
    """The tensors that a line reads from outside, as often as it reads them."""
    if isinstance(line, Loop):
        inside = {t for inner in line.body for t in targets(inner)}
        inside |= {s.before for s in line.states} | {t for t, _ in line.reads}
        found = [t for inner in line.body for t in reads(inner) if t not in inside]
        return (*(s.initial for s in line.states), *(outer for _, outer in line.reads), *found)
    if isinstance(line, Shift):
        return (line.source, *((line.edge,) if line.edge is not None else ()))
    if isinstance(line, Edge):
        return (line.source,)
    return tuple(n.tensor for e in expressions(line) for n in walk(e) if isinstance(n, Entry))


def live(lines: tuple[Line, ...], outputs: tuple[Tensor, ...]) -> tuple[Line, ...]:
    """The lines that the outputs need; a loop keeps only what is read."""
    needed = set(outputs)
    kept: list[Line] = []
    for line in reversed(lines):
        if not needed & set(targets(line)):
            continue
        if isinstance(line, Loop):
            line = _live_loop(line, needed)
        kept.append(line)
        needed |= set(reads(line))
    return tuple(reversed(kept))


def _live_loop(line: Loop, needed: set[Tensor]) -> Loop:
    keeps = tuple(pair for pair in line.keeps if pair[1] in needed)
    states = line.states
    while True:
        wanted = (*(inside for inside, _ in keeps), *(s.after for s in states))
        body = live(line.body, wanted)
        read = {t for inner in body for t in reads(inner)} | set(wanted)
        fewer = tuple(s for s in states if s.last in needed or s.before in read)
        if fewer == states:
            break
        states = fewer
    seen = tuple(pair for pair in line.reads if pair[0] in read)
    return Loop(line.name, line.axis, line.reverse, states, seen, keeps, body)

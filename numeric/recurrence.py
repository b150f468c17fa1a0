"""A recurrence as what can be done before its loop, what must be done step by step, and what can wait.

What depends on no state is computed for all steps at once before the loop (the input projections); what no
state depends on is computed for all steps at once after it (gradients of weights and of inputs), each as one
matrix product. Tensors of all steps have the axis of the recurrence first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gradproof.symbolic.expressions import (
    ZERO,
    Add,
    Entry,
    Expr,
    Index,
    Reduce,
    Tensor,
    add,
    entry,
    fresh,
    index,
    refresh,
    rewrite,
    total,
    walk,
)
from gradproof.symbolic.operation import Definition, Recurrence


@dataclass(frozen=True)
class Moved:
    """`target[t] = source[t + by]` along the first axis, `edge` off it."""

    target: Tensor
    source: Tensor
    edge: Tensor | None
    by: int


@dataclass(frozen=True)
class Ends:
    """The entry of `source` at its first step, or at its last."""

    target: Tensor
    source: Tensor
    last: bool


@dataclass(frozen=True)
class Steps:
    """What is left in the loop; `reads` and `keeps` pair a tensor of a step with one of all steps."""

    recurrence: Recurrence
    body: tuple[Definition, ...]
    initials: tuple[Tensor, ...]
    reads: tuple[tuple[Tensor, Tensor], ...]
    keeps: tuple[tuple[Tensor, Tensor], ...]


Part = Definition | Moved | Ends | Steps


@dataclass
class Split:
    """Takes one recurrence apart; `parts` are in the order in which they are computed."""

    recurrence: Recurrence
    claim: Callable[[str], str]
    stepped: dict[Tensor, Tensor]
    parts: list[Part] = field(default_factory=list[Part])
    every: dict[Tensor, Tensor] = field(default_factory=dict[Tensor, Tensor])
    hoisted: dict[Tensor, Tensor] = field(default_factory=dict[Tensor, Tensor])

    def __post_init__(self) -> None:
        r = self.recurrence
        self.definitions = {d.target: d for d in r.body}
        names = {i for d in r.body for i in (*d.indices, *d.value.free, *d.value.bound)}
        self.t = fresh(names, index("t", r.axis))
        self.seen = {s.inside: s for s in r.scanned}
        self.state = {c.before: c for c in r.carried}

    def run(self) -> list[Part]:
        r = self.recurrence
        stepwise = self.stepwise()
        before = self.stateless(stepwise)
        for d in r.body:
            if d.target in before:
                self.for_all(d)
        body = [self.hoist(d) for d in r.body if d.target in stepwise]
        later = [d for d in r.body if d.target not in before and d.target not in stepwise]
        self.loop(tuple(body), stepwise, later)
        for d in later:
            if d.target not in {inside for inside, _ in r.summed}:
                self.for_all(d)
        self.sums()
        self.collect()
        return self.parts

    # --- which definition belongs where

    def stepwise(self) -> set[Tensor]:
        """The tensors of a step that a state depends on and that depend on a state."""
        needed = set[Tensor]()
        waiting = [c.after for c in self.recurrence.carried]
        while waiting:
            tensor = waiting.pop()
            if tensor in needed or tensor not in self.definitions:
                continue
            needed.add(tensor)
            waiting.extend(self.definitions[tensor].value.tensors)
        return {t for t in needed if self.stateful(t)} | {
            c.after for c in self.recurrence.carried if c.after in self.definitions
        }

    def stateful(self, tensor: Tensor) -> bool:
        if tensor in self.state:
            return True
        d = self.definitions.get(tensor)
        return d is not None and any(self.stateful(t) for t in d.value.tensors)

    def stateless(self, stepwise: set[Tensor]) -> set[Tensor]:
        return {t for t in self.definitions if t not in stepwise and not self.stateful(t)}

    def varies(self, expr: Expr) -> bool:
        """Whether the expression can differ from step to step."""
        return any(t in self.seen or t in self.definitions or t in self.state for t in expr.tensors)

    # --- tensors of all steps

    def steps(self, inside: Tensor) -> Tensor:
        """The tensor of all steps for a tensor of one step, brought there first if need be."""
        if inside in self.every:
            return self.every[inside]
        stem = inside.name.removesuffix("_t")
        if inside in self.seen:
            return self.scan(inside)
        made = Tensor(self.claim(f"{stem}_steps"), (self.recurrence.axis, *inside.axes), inside.dtype)
        self.every[inside] = made
        if inside in self.state:
            state = self.state[inside]
            by = 1 if self.recurrence.reverse else -1
            self.parts.append(Moved(made, self.steps(state.after), state.initial, by))
        return made

    def scan(self, inside: Tensor) -> Tensor:
        seen = self.seen[inside]
        made = self.in_steps(seen.outside)
        if seen.shift:
            level = made
            made = Tensor(self.claim(f"{inside.name.removesuffix('_t')}_steps"), level.axes, level.dtype)
            self.parts.append(Moved(made, level, seen.initial, seen.shift))
        self.every[inside] = made
        return made

    def in_steps(self, outside: Tensor) -> Tensor:
        """The tensor with the axis of the recurrence brought to the front, once for all recurrences."""
        if outside not in self.stepped:
            place = outside.axes.index(self.recurrence.axis)
            axes = (*outside.axes[:place], *outside.axes[place + 1 :])
            made = Tensor(self.claim(f"{outside.name}_steps"), (self.recurrence.axis, *axes), outside.dtype)
            rest = self.names(axes)
            value = entry(outside, *rest[:place], self.t, *rest[place:])
            self.parts.append(Definition(made, (self.t, *rest), value))
            self.stepped[outside] = made
        return self.stepped[outside]

    def unstepped(self, outside: Tensor, made: Tensor) -> Definition:
        self.stepped[outside] = made
        place = outside.axes.index(self.recurrence.axis)
        rest = self.names((*outside.axes[:place], *outside.axes[place + 1 :]))
        return Definition(outside, (*rest[:place], self.t, *rest[place:]), entry(made, self.t, *rest))

    def names(self, axes: Iterable[object]) -> tuple[Index, ...]:
        made: list[Index] = []
        for axis in axes:
            made.append(fresh([self.t, *made], index(axis.name[0], axis)))  # pyright: ignore
        return tuple(made)

    def spread(self, expr: Expr) -> Expr:
        """The expression at step `t` in terms of tensors of all steps."""
        inner = refresh(expr, (self.t,))

        def visit(node: Expr) -> Expr:
            if isinstance(node, Entry) and self.varies(node) and self.is_inner(node.tensor):
                return entry(self.steps(node.tensor), self.t, *node.indices)
            return node

        return rewrite(inner, visit)

    def is_inner(self, tensor: Tensor) -> bool:
        return tensor in self.seen or tensor in self.definitions or tensor in self.state

    def for_all(self, d: Definition) -> None:
        """The definition for all steps at once."""
        value = self.spread(d.value)
        self.parts.append(Definition(self.steps(d.target), (self.t, *d.indices), value, d.source))

    # --- the loop

    def hoist(self, d: Definition) -> Definition:
        """Terms that no state enters are computed before the loop."""
        if not isinstance(d.value, Add):
            return d
        fixed = [t for t in d.value.terms if not any(self.stateful(x) for x in t.tensors)]
        if len(fixed) < 2 and not any(isinstance(n, Reduce) for t in fixed for n in walk(t)):
            return d
        value = add(*fixed)
        stem = d.target.name.removesuffix("_t")
        if self.varies(value):
            inside = Tensor(self.claim(f"{stem}_in_t"), d.target.axes)
            outer = Tensor(self.claim(f"{stem}_in"), (self.recurrence.axis, *d.target.axes))
            self.every[inside] = self.hoisted[inside] = outer
            self.parts.append(Definition(outer, (self.t, *d.indices), self.spread(value), d.source))
        else:
            inside = Tensor(self.claim(f"{stem}_in"), d.target.axes)
            self.parts.append(Definition(inside, d.indices, value, d.source))
        rest = [t for t in d.value.terms if t not in fixed]
        return Definition(d.target, d.indices, add(entry(inside, *d.indices), *rest), d.source)

    def loop(self, body: tuple[Definition, ...], stepwise: set[Tensor], later: list[Definition]) -> None:
        r = self.recurrence
        if not r.carried:
            return
        made = {d.target for d in body}
        read = {t for d in body for t in d.value.tensors} | {c.after for c in r.carried}
        pairs: list[tuple[Tensor, Tensor]] = []
        for t in sorted(read - made - set(self.state), key=lambda t: t.name):
            if t in self.hoisted or self.is_inner(t):
                pairs.append((t, self.steps(t)))
        initials: list[Tensor] = []
        for c in r.carried:
            if c.initial is None:
                zero = Tensor(self.claim(f"{c.before.name}_zero"), c.before.axes)
                self.parts.append(Definition(zero, self.names(zero.axes), ZERO))
                initials.append(zero)
            else:
                initials.append(c.initial)
        keeps = tuple((d.target, self.steps(d.target)) for d in body)
        self.parts.append(Steps(r, body, tuple(initials), tuple(pairs), keeps))

    # --- after the loop

    def sums(self) -> None:
        for inside, outside in self.recurrence.summed:
            d = self.definitions.get(inside)
            if d is not None and inside not in self.every:
                value = total(self.spread(d.value), self.t)
                self.parts.append(Definition(outside, d.indices, value, d.source))
            else:
                over = self.names(inside.axes)
                self.parts.append(
                    Definition(outside, over, total(entry(self.steps(inside), self.t, *over), self.t))
                )

    def collect(self) -> None:
        for kept in self.recurrence.collected:
            made = self.steps(kept.inside)
            if kept.shift:
                moved = Tensor(self.claim(f"{kept.outside.name}_moved"), made.axes)
                self.parts.append(Moved(moved, made, None, -kept.shift))
                if kept.initial is not None:
                    self.parts.append(Ends(kept.initial, made, kept.shift > 0))
                made = moved
            self.parts.append(self.unstepped(kept.outside, made))

"""What has to hold for forward-mode and one-hot derivations to be right: one equation for each definition.

A tangent `v_dot` is right when it equals the forward-mode derivative of the definition of `v`, the tangents
that it reads standing for themselves. A Jacobian or Hessian is right when each of its definitions is that of
the linear derivation it came from, with a unit vector put in. A recurrence beside another one has to be wired
like it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import factorial

from gradproof.symbolic.derivation import Derivation
from gradproof.symbolic.expressions import (
    ZERO,
    Entry,
    Expr,
    Index,
    Tensor,
    add,
    bracket,
    entry,
    mul,
    refresh,
    rewrite,
    substitute,
)
from gradproof.symbolic.forward import tangent as tangent_of
from gradproof.symbolic.operation import Definition, Program, Recurrence, flat
from gradproof.symbolic.tangent import tangent

Statements = Sequence[Definition | Recurrence]


@dataclass(frozen=True)
class Equation:
    """One equation to be proved, under the definitions that it may write out."""

    name: str
    left: Expr
    right: Expr
    definitions: Mapping[Tensor, Definition]


def defined(statements: Statements) -> dict[Tensor, Definition]:
    """Every definition, those within a step included."""
    return {d.target: d for s in statements for d in (s.body if isinstance(s, Recurrence) else (s,))}


def reached(statements: Statements, start: Iterable[Tensor]) -> frozenset[Tensor]:
    """Every tensor that may depend on a starting one."""
    found = set(start)
    for s in statements:
        if isinstance(s, Definition):
            if s.value.tensors & found:
                found.add(s.target)
            continue
        reads = {x.outside for x in s.scanned} | {c.initial for c in s.carried if c.initial is not None}
        reads |= {x.initial for x in s.scanned if x.initial is not None}
        reads |= {t for d in s.body for t in d.value.tensors}
        if reads & found:
            found |= {*s.targets, *(d.target for d in s.body)}
            found |= {c.before for c in s.carried} | {x.inside for x in s.scanned if x.outside in found}
    return frozenset(found)


def wanted(outputs: Iterable[Tensor], statements: Statements) -> set[Tensor]:
    """The tensors that the outputs may depend on."""
    found = set(outputs)
    for s in reversed(statements):
        if isinstance(s, Definition):
            found |= s.value.tensors if s.target in found else set()
        elif found & set(s.targets):
            found |= {x.outside for x in s.scanned} | {x.initial for x in s.scanned if x.initial is not None}
            found |= {c.initial for c in s.carried if c.initial is not None}
            found |= {t for d in s.body for t in d.value.tensors}
    return found


# --- tangents


@dataclass
class Along:
    """Tangents along tensors whose tangent is `named`; others follow their definitions, or stand still."""

    definitions: Mapping[Tensor, Definition]
    named: Set[Tensor]
    known: dict[Tensor, Expr] = field(default_factory=dict[Tensor, Expr])

    def dot(self, read: Entry) -> Expr:
        direction = tangent_of(read.tensor)
        if direction in self.named:
            return entry(direction, *read.indices)
        if read.tensor not in self.definitions:
            return ZERO
        d = self.definitions[read.tensor]
        if read.tensor not in self.known:
            self.known[read.tensor] = tangent(d.value, self.dot)
        moved = refresh(self.known[read.tensor], {*read.free, *d.indices})
        return substitute(moved, dict(zip(d.indices, read.indices, strict=True)))


def tangent_equations(
    program: Program, derivation: Derivation, moving: Iterable[Tensor]
) -> tuple[list[Equation], list[str]]:
    """The equations of a JVP along `moving` inputs, and what is wrong with its wiring, if anything."""
    statements, made = flat(program.statements), flat(derivation.program.statements)
    forward, tangents = defined(statements), defined(made)
    named = {*derivation.program.inputs, *tangents, *(t for s in made for t in _around(s))}
    along = Along(forward, named)
    of = {tangent_of(t): t for t in forward}
    moving = list(moving)
    equations = [
        Equation(f"tangent of {of[t].name}", _read_at(forward[of[t]], d.indices, along.dot), d.value, forward)
        for t, d in tangents.items()
        if t in of
    ]
    moved = reached(statements, moving)
    made_there = {t for s in statements if isinstance(s, Recurrence) for t in s.targets}
    missing = sorted(made_there & moved & wanted(program.outputs, statements), key=lambda t: t.name)
    problems = [f"{t.name} has no tangent" for t in missing if tangent_of(t) not in named]
    given = set(derivation.program.inputs)
    problems += [
        f"the tangent of {t.name} is read, not defined" for t in of.values() if tangent_of(t) in given
    ]
    problems += [
        f"the tangent of {t.name} is read, not defined" for t in made_there if tangent_of(t) in given
    ]
    problems += [f"{t.name} is the tangent of nothing" for t in tangents if t not in of]
    problems += [f"{t.name} has no tangent" for t in moving if tangent_of(t) not in derivation.program.inputs]
    problems += [f"{t.name} has no tangent" for t in program.outputs if tangent_of(t) not in named]
    problems += list(wiring(statements, made, tangent_of, moved))
    return equations, problems


def _read_at(d: Definition, over: Sequence[Index], dot: Callable[[Entry], Expr]) -> Expr:
    """The tangent of a definition at indices that may have other names than its own."""
    moved = refresh(tangent(d.value, dot), {*over, *d.indices})
    return substitute(moved, dict(zip(d.indices, over, strict=True)))


def taylor_equations(
    program: Program, derivation: Derivation, moving: Iterable[Tensor], order: int
) -> tuple[list[Equation], list[str]]:
    """The equations of a Taylor polynomial: tangents of tangents along a fixed direction, and their sum."""
    made = flat(derivation.program.statements)
    sums = {s.target: s for s in made if isinstance(s, Definition) and s.target in derivation.program.outputs}
    rounds = tuple(s for s in made if s not in sums.values())
    statements = (*flat(program.statements), *rounds)
    whole = Program(derivation.program.inputs, program.parameters, statements, ())
    repeated = replace(derivation, program=replace(derivation.program, statements=rounds))
    equations, problems = tangent_equations(whole, repeated, moving)
    known = {*defined(statements), *program.inputs, *(t for s in statements for t in _around(s))}
    for output, d in zip(program.outputs, sums.values(), strict=True):
        term, parts = output, list[Expr]([entry(output, *d.indices)])
        for n in range(1, order + 1):
            term = tangent_of(term)
            problems += [] if term in known else [f"{term.name} is missing"]
            parts.append(entry(term, *d.indices) / factorial(n))
        equations.append(Equation(d.target.name, add(*parts), d.value, {}))
    return equations, problems


def _around(statement: Definition | Recurrence) -> tuple[Tensor, ...]:
    if isinstance(statement, Definition):
        return (statement.target,)
    inside = (*(c.before for c in statement.carried), *(s.inside for s in statement.scanned))
    return (*statement.targets, *inside)


def wiring(
    statements: Statements, made: Statements, image: Callable[[Tensor], Tensor], moving: Set[Tensor]
) -> Iterator[str]:
    """What keeps a recurrence from being the image of another one, tensor by tensor; nothing where it is.

    What is not `moving` has the image 0 and may be left out; everything else has to be there.
    """
    bases = [s for s in statements if isinstance(s, Recurrence)]
    for r in (s for s in made if isinstance(s, Recurrence)):
        states = tuple(c.before for c in r.carried)
        base = next((b for b in bases if tuple(image(c.before) for c in b.carried) == states), None)
        if base is None or (base.axis, base.reverse) != (r.axis, r.reverse):
            yield f"{r.name} runs beside no recurrence"
            continue
        yield from _states(base, r, image, moving)
        yield from _reads(base, r, image, moving)
        kept = {(image(c.inside), image(c.outside), c.shift) for c in base.collected}
        if not {(c.inside, c.outside, c.shift) for c in r.collected} <= kept:
            yield f"{r.name}: what is kept stands for something else"
        if not set(r.summed) <= {(image(i), image(o)) for i, o in base.summed}:
            yield f"{r.name}: a sum stands for something else"


def _states(
    base: Recurrence, r: Recurrence, image: Callable[[Tensor], Tensor], moving: Set[Tensor]
) -> Iterator[str]:
    for c, b in zip(r.carried, base.carried, strict=True):
        if (c.after, c.last) != (image(b.after), image(b.last)):
            yield f"{r.name}: the state {b.before.name} is not carried on"
        still = b.initial is None or b.initial not in moving
        if c.initial != (None if b.initial is None else image(b.initial)) and not (
            still and c.initial is None
        ):
            yield f"{r.name}: the state {b.before.name} does not start where it should"


def _reads(
    base: Recurrence, r: Recurrence, image: Callable[[Tensor], Tensor], moving: Set[Tensor]
) -> Iterator[str]:
    step_back = 1 if base.reverse else -1
    kept = [c for c in base.collected if c.shift == 0]
    plain = {(s.inside, s.outside, s.initial, s.shift) for s in base.scanned}
    plain |= {(c.inside, c.outside, None, 0) for c in kept}
    plain |= {
        (c.before, k.outside, c.initial, step_back) for c in base.carried for k in kept if k.inside == c.after
    }
    images = {(image(s.inside), image(s.outside), s.shift): s.initial for s in base.scanned}
    for s in r.scanned:
        if (s.inside, s.outside, s.initial, s.shift) in plain:
            continue
        edge = images.get((s.inside, s.outside, s.shift), s.inside)
        still = edge is None or edge not in moving
        if edge == s.inside or (s.initial is None and not still):
            yield f"{r.name}: {s.inside.name} is not what it stands for"
        elif s.initial is not None and (edge is None or s.initial != image(edge)):
            yield f"{r.name}: {s.inside.name} does not start where it should"
    there = {s.inside for s in r.scanned}
    for s in base.scanned:
        if s.outside in moving and image(s.inside) not in there:
            yield f"{r.name}: {s.inside.name} is left out"


# --- a unit vector put into a linear derivation


@dataclass(frozen=True)
class UnitVector:
    """A linear derivation (`base`) at each unit vector of `seed`, the other `seeds` being 0.

    `leading` says that the indices of the unit vector come before a tensor's own.
    """

    base: Derivation
    made: Derivation
    seed: Tensor
    seeds: tuple[Tensor, ...]
    leading: bool
    definitions: Mapping[Tensor, Definition]

    @cached_property
    def moving(self) -> frozenset[Tensor]:
        """The tensors of the linear derivation that may depend on the seed."""
        return reached(flat(self.base.program.statements), [self.seed])

    @cached_property
    def still(self) -> frozenset[Tensor]:
        """The tensors that depend on the other seeds alone: 0 here."""
        return reached(flat(self.base.program.statements), self.seeds) - self.moving

    def image(self, t: Tensor) -> Tensor:
        """The tensor that holds what `t` is at the unit vectors."""
        if self.leading:
            return Tensor(f"{self.seed.name}_{t.name}", (*self.seed.axes, *t.axes))
        name = f"{t.name.removesuffix('_dot')}_d{self.seed.name.removesuffix('_dot')}"
        return Tensor(name, (*t.axes, *self.seed.axes))

    def equations(self) -> tuple[list[Equation], list[str]]:
        """An equation for each definition, and what is wrong with the wiring of recurrences, if anything."""
        linear = flat(self.base.program.statements)
        closed = flat(self.made.program.statements)
        made = defined(closed)
        named = {*made, *(t for s in closed for t in _around(s))}
        sources = defined(linear)
        found: list[Equation] = []
        for t, d in sources.items():
            if (hot := made.get(self.image(t))) is not None:
                own, extra = self._split(hot.indices, len(d.indices))
                left = self._at(d, own, extra, sources, named)
                found.append(Equation(hot.target.name, left, hot.value, self.definitions))
        if (hot := made.get(self.image(self.seed))) is not None:
            own, extra = self._split(hot.indices, len(self.seed.axes))
            found.append(Equation(hot.target.name, _deltas(own, extra), hot.value, self.definitions))
        for t in (t for s in linear if isinstance(s, Recurrence) for t in s.targets if t in self.still):
            if (hot := made.get(self.image(t))) is not None:
                found.append(Equation(hot.target.name, ZERO, hot.value, self.definitions))
        mine = [s for s in closed if isinstance(s, Definition) or self._is_mine(s, linear)]
        return found, list(wiring(linear, mine, self.image, self.moving))

    def _is_mine(self, r: Recurrence, linear: Statements) -> bool:
        states = tuple(c.before for c in r.carried)
        bases = (s for s in linear if isinstance(s, Recurrence))
        return any(tuple(self.image(c.before) for c in b.carried) == states for b in bases)

    def _split(self, indices: Sequence[Index], own: int) -> tuple[Sequence[Index], Sequence[Index]]:
        if self.leading:
            return indices[len(indices) - own :], indices[: len(indices) - own]
        return indices[:own], indices[own:]

    def _at(
        self,
        d: Definition,
        own: Sequence[Index],
        extra: Sequence[Index],
        sources: Mapping[Tensor, Definition],
        named: Set[Tensor],
    ) -> Expr:
        """The value of a linear definition at `own`, where the seed is 1 at `extra` and 0 elsewhere."""
        body = refresh(d.value, {*own, *extra, *d.indices})
        here = substitute(body, dict(zip(d.indices, own, strict=True)))

        def visit(node: Expr) -> Expr:
            if not isinstance(node, Entry):
                return node
            if node.tensor == self.seed and self.image(self.seed) not in named:
                return _deltas(node.indices, extra)
            if node.tensor in self.still:
                return ZERO
            if node.tensor in self.moving and (hot := self.image(node.tensor)) in named:
                return entry(hot, *((*extra, *node.indices) if self.leading else (*node.indices, *extra)))
            if node.tensor in sources:
                return self._at_indices(sources[node.tensor], node, extra, visit)
            return node

        return rewrite(here, visit)

    def _at_indices(
        self, d: Definition, read: Entry, extra: Sequence[Index], visit: Callable[[Expr], Expr]
    ) -> Expr:
        body = refresh(d.value, {*read.free, *d.indices, *extra})
        return rewrite(substitute(body, dict(zip(d.indices, read.indices, strict=True))), visit)


def _deltas(left: Sequence[Expr], right: Sequence[Expr]) -> Expr:
    return mul(*(bracket("==", a, b) for a, b in zip(left, right, strict=True)))

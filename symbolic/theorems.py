"""What has to hold for a derivation to be right: pairings `<u, J v> = <J^T u, v>`, cut at the named adjoints.

Let `a` be an input or an intermediate whose adjoint has a name; let all other such tensors stand still. Then

    sum da * a_dot  =  sum over outputs y of dy * (dy/da a_dot)  +  sum over named v of dv * (dv/da a_dot),

with the derivatives along paths that meet no other named tensor, from a forward-mode pass of its own. These
equations for all `a`, read from the outputs back to the inputs, compose by the chain rule to the pairing of
the whole program; each is as small as one definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from gradproof.symbolic.derivation import Derivation, Reversed, canonical_indices
from gradproof.symbolic.expressions import ZERO, Expr, Tensor, add, entry, mul, total
from gradproof.symbolic.forward import tangent_name
from gradproof.symbolic.operation import Definition, Program, Recurrence, flat
from gradproof.symbolic.pushforward import reached, wanted
from gradproof.symbolic.tangent import Tangents


@dataclass(frozen=True)
class Pairing:
    """One equation to be proved: the adjoint of `node` against the forward-mode derivative along it."""

    node: Tensor
    adjoint: Expr
    left: Expr
    right: Expr
    definitions: Mapping[Tensor, Definition]
    step_of: str = ""


@dataclass(frozen=True)
class Stage:
    """Forward definitions and the adjoints that a backward pass gives them: a whole program, or one step.

    A node without an adjoint has to have none: its pairing says that it is 0.
    """

    forward: Mapping[Tensor, Definition]
    backward: Mapping[Tensor, Definition]
    nodes: Sequence[Tensor]
    adjoints: Mapping[Tensor, Tensor]
    cotangents: Sequence[tuple[Tensor, Tensor]]
    received: Sequence[tuple[Tensor, Tensor]] = ()
    opaque: frozenset[Tensor] = frozenset()
    statements: Sequence[Definition | Recurrence] = field(default_factory=list["Definition | Recurrence"])
    step_of: str = ""

    @property
    def cuts(self) -> dict[Tensor, Tensor]:
        """The intermediates whose adjoint has a name of its own."""
        named = {v: a for v, a in self.adjoints.items() if v in self.forward and a in self.backward}
        return named | {v: self.adjoints[v] for v in self.opaque if v in self.adjoints}

    def pairings(self) -> list[Pairing]:
        return [self.pairing(node) for node in (*self.cuts, *self.nodes)]

    def pairing(self, node: Tensor) -> Pairing:
        over = canonical_indices(node, self.statements)
        direction = Tensor(tangent_name(node.name), node.axes)
        moved = entry(direction, *over)
        held = self.adjoints.get(node)
        if held is None:
            adjoint = left = ZERO
        elif held in self.backward and self._owns(node, held):
            d = self.backward[held]
            left = total(mul(d.value, entry(direction, *d.indices)), *d.indices)
            adjoint = d.value
        else:
            adjoint = entry(held, *over)
            left = total(mul(adjoint, moved), *over)
        still = (set(self.cuts) | set(self.nodes)) - {node}
        along = Tangents(node, direction, self.forward, still)
        parts: list[Expr] = []
        for output, cotangent in self.cotangents:
            if output == node:
                parts.append(total(mul(entry(cotangent, *over), moved), *over))
            elif output in self.forward and output not in still:
                parts.append(self._flow(output, cotangent, along))
        for cut, cotangent in self.cuts.items():
            if cut != node and cut in self.forward:
                parts.append(self._flow(cut, cotangent, along))
        for tensor, adjoint_part in self.received:
            if tensor == node:
                parts.append(total(mul(entry(adjoint_part, *over), moved), *over))
            elif tensor in self.forward and tensor not in still:
                parts.append(self._flow(tensor, adjoint_part, along))
        return Pairing(node, adjoint, left, add(*parts), self._opened(node), self.step_of)

    def _owns(self, node: Tensor, adjoint: Tensor) -> bool:
        """Whether an adjoint is defined for this tensor: of those that share it, the last one defined."""
        made = [t for s in self.statements for t in (s.targets if isinstance(s, Recurrence) else (s.target,))]
        sharing = [t for t in dict.fromkeys((*self.nodes, *made)) if self.adjoints.get(t) == adjoint]
        return sharing[-1] == node

    def _opened(self, node: Tensor) -> dict[Tensor, Definition]:
        """The definitions to write out: a named tensor that does not depend on the node may be anything."""
        moving = {node}
        for t, d in self.forward.items():
            if d.value.tensors & moving:
                moving.add(t)
        kept = (set(self.cuts) - moving) | {node}
        return {t: d for t, d in self.forward.items() if t not in kept}

    def _flow(self, tensor: Tensor, cotangent: Tensor, along: Tangents) -> Expr:
        d = self.forward[tensor]
        return total(mul(entry(cotangent, *d.indices), along.of(tensor)), *d.indices)


def stages(program: Program, derivation: Derivation) -> tuple[list[Stage], list[str]]:
    """The stages of a derived VJP, and what is wrong with how recurrences are wired, if anything."""
    statements = flat(program.statements)
    forward = {s.target: s for s in statements if isinstance(s, Definition)}
    backward = {s.target: s for s in derivation.program.statements if isinstance(s, Definition)}
    count = len(program.outputs)
    cotangents = list(zip(program.outputs, derivation.program.inputs[-count:], strict=True))
    made = [t for s in statements if isinstance(s, Recurrence) for t in s.targets]
    nodes = [t for t in program.inputs if t.dtype == "real"]
    adjoints = {**derivation.adjoints, **{t: derivation.results[t.name] for t in nodes}}
    needed = wanted(program.outputs, statements)
    nodes += [t for t in made if t in needed and t not in adjoints]
    whole = Stage(
        forward,
        backward,
        nodes,
        adjoints,
        cotangents,
        [pair for r in derivation.recurrences for pair in r.received],
        frozenset(t for t in made if t in adjoints),
        statements,
    )
    moving = reached(statements, (t for t in program.inputs if t.dtype == "real"))
    steps = [_step(r, adjoints, moving) for r in derivation.recurrences]
    problems = [p for r in derivation.recurrences for p in wiring(r, adjoints)]
    problems += _unmatched(statements, derivation, needed)
    return [whole, *steps], problems


def _unmatched(
    statements: Sequence[Definition | Recurrence], derivation: Derivation, needed: Set[Tensor]
) -> list[str]:
    forward = [r.forward for r in derivation.recurrences]
    backward = [r.backward for r in derivation.recurrences]
    problems: list[str] = []
    for s in derivation.program.statements:
        if isinstance(s, Recurrence) and not any(s is b for b in backward):
            problems.append(f"the backward recurrence {s.name} has no forward one")
    for s in forward:
        if not any(s is t for t in statements):
            problems.append(f"the recurrence {s.name} is not in the program")
    for s in statements:
        if isinstance(s, Recurrence) and needed & set(s.targets) and sum(s is f for f in forward) != 1:
            problems.append(f"the recurrence {s.name} has not one adjoint")
    return problems


def _step(r: Reversed, outer: Mapping[Tensor, Tensor], moving: Set[Tensor]) -> Stage:
    """One generic step: states, scanned and shared tensors come in; states and kept tensors go out."""
    forward = {d.target: d for d in r.forward.body}
    backward = {d.target: d for d in r.backward.body}
    cotangents = [(f.after, b.before) for f, b in zip(r.forward.carried, r.backward.carried, strict=True)]
    arriving = {s.outside: s.inside for s in r.backward.scanned}
    for kept in r.forward.collected:
        if kept.outside in outer and outer[kept.outside] in arriving:  # if it is not, the wiring is wrong
            cotangents.append((kept.inside, arriving[outer[kept.outside]]))
    cotangents += [(inside, outer[outside]) for inside, outside in r.forward.summed if outside in outer]
    given = [c.before for c in r.forward.carried] + [s.inside for s in r.forward.scanned]
    read = {t: None for d in r.forward.body for t in sorted(d.value.tensors, key=lambda t: t.name)}
    shared = [t for t in {**r.adjoints, **read} if t not in forward and t not in given]
    nodes = [t for t in (*given, *shared) if t in r.adjoints or (t in moving and t.dtype == "real")]
    return Stage(
        forward, backward, nodes, r.adjoints, cotangents, statements=r.forward.body, step_of=r.forward.name
    )


def wiring(r: Reversed, outer: Mapping[Tensor, Tensor]) -> list[str]:
    """What keeps the adjoint recurrence from being the transpose of the forward one; nothing, if it is.

    With the pairing of one step, a right wiring gives the pairing of the whole recurrence by induction on its
    length: the adjoint of a state leaves the step after it and enters the step before it; off the axis it is
    the adjoint of the last state and becomes that of the initial one; what a step reads, it reads where the
    forward step read it.
    """
    f, b = r.forward, r.backward
    problems: list[str] = []

    def expect(holds: bool, what: str) -> None:
        if not holds:
            problems.append(f"{f.name}: {what}")

    expect(
        f.axis == b.axis and f.reverse != b.reverse, "the adjoint does not run against the forward recurrence"
    )
    expect(len(f.carried) == len(b.carried), "a state has no adjoint")
    pairs: list[int] = []

    def receives(options: Iterable[tuple[Tensor, Tensor | None]], what: str) -> None:
        allowed = set(options)
        pairs.append(sum(pair in allowed for pair in r.received))
        expect(pairs[-1] == 1, what)

    for state, back in zip(f.carried, b.carried, strict=False):
        expect(
            back.after == r.adjoints.get(state.before),
            f"the adjoint of {state.before.name} is not carried on",
        )
        expect(
            back.initial == outer.get(state.last),
            f"the adjoint of {state.last.name} does not start the adjoint",
        )
        if state.initial is not None:
            receives([(state.initial, back.last)], f"{state.initial.name} does not receive its adjoint")
    back_step = 1 if f.reverse else -1
    kept = {c.inside: c.outside for c in f.collected if c.shift == 0}
    readable = [(c.inside, c.outside, None, 0) for c in f.collected if c.shift == 0]
    readable += [(s.inside, s.outside, s.initial, s.shift) for s in f.scanned]
    readable += [(c.before, kept.get(c.after), c.initial, back_step) for c in f.carried if c.after in kept]
    arriving = [
        (outer[c.outside], outer.get(c.initial) if c.initial is not None else None, c.shift)
        for c in f.collected
        if c.outside in outer
    ]
    for s in b.scanned:
        as_forward = (s.inside, s.outside, s.initial, s.shift) in readable
        expect(
            as_forward or (s.outside, s.initial, s.shift) in arriving,
            f"{s.inside.name} is not what it stands for",
        )
    expect(all(any(s.outside == a[0] for s in b.scanned) for a in arriving), "an adjoint does not arrive")
    for s in f.scanned:
        if s.inside in r.adjoints:
            gone = [c for c in b.collected if c.inside == r.adjoints[s.inside] and c.shift == s.shift]
            receives([(s.outside, c.outside) for c in gone], f"{s.outside.name} gets no adjoint")
            if s.initial is not None:
                receives([(s.initial, c.initial) for c in gone], f"{s.initial.name} gets no adjoint")
    given = {c.before for c in f.carried} | {s.inside for s in f.scanned} | {d.target for d in f.body}
    for tensor in r.adjoints:
        if tensor not in given:
            sums = [(tensor, o) for i, o in b.summed if i == r.adjoints[tensor]]
            receives(sums, f"{tensor.name} does not receive the sum of its adjoints")
    expect(sum(pairs) == len(r.received), "an adjoint is received that is none")
    return problems

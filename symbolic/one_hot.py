"""Jacobians and Hessians: a derivation that is linear in its cotangents, at one entry of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gradproof.symbolic.analysis import body, canonical_indices, needed, read_outside
from gradproof.symbolic.derivation import Derivation, Step, adjoint_name
from gradproof.symbolic.expressions import ZERO, Index, Reduce, Tensor, entry, fresh, walk
from gradproof.symbolic.forward import tangent_name
from gradproof.symbolic.higher import hessian_vector
from gradproof.symbolic.operation import (
    Carried,
    Collected,
    Definition,
    Program,
    Recurrence,
    Scanned,
    flat,
)
from gradproof.symbolic.reverse import reverse_mode
from gradproof.symbolic.rules import RULES, OneHot

SMALL = 40
"""How many nodes an expression may have to be written wherever it is read."""


def jacobian(program: Program, label: str) -> Derivation:
    r"""The Jacobian $\partial y / \partial x$ of every output by every real input.

    It is the VJP at each unit cotangent.
    `dy_dx` has the axes of `y`, then those of `x`.
    """
    base = reverse_mode(program, label)
    seeds = base.program.inputs[-len(program.outputs) :]
    parts: list[Part] = []
    for output, seed in zip(program.outputs, seeds, strict=True):
        start = adjoint_name(output.name)
        parts.append(Part(base, seed, seeds, lambda t, start=start: f"{start}_{t.name}", leading=True))
    return _combine(base, "jacobian", parts)


def hessian(program: Program, label: str) -> Derivation:
    r"""The Hessian of $\langle u, y \rangle$ for the cotangent `u` of a scalar or vector output.

    `dx_dw`, the derivative of the adjoint `dx` by `w`, has the axes of `x`, then those of `w`. Raises
    ValueError for an output of more axes; its Hessian-vector product is small where its Hessian is not.
    """
    for output in program.outputs:
        if sum(not axis.variadic for axis in output.axes) > 1:
            raise ValueError(
                f"{label}: a Hessian is that of a scalar or a vector, found {output!r}; its 'hvp' is small"
            )
    base = hessian_vector(program, label)
    moving = [t for t in program.inputs if t.dtype == "real"]
    seeds = base.program.inputs[-len(moving) :]
    parts: list[Part] = []
    for variable, seed in zip(moving, seeds, strict=True):
        end = adjoint_name(variable.name)
        parts.append(Part(base, seed, seeds, lambda t, end=end: f"{_still(t.name)}_{end}", leading=False))
    return _combine(base, "hessian", parts)


def _still(name: str) -> str:
    """The name of the tensor whose tangent has this name."""
    return name.removesuffix(tangent_name(""))


def _combine(base: Derivation, kind: str, parts: Sequence[Part]) -> Derivation:
    outputs: list[Tensor] = []
    statements: list[Definition | Recurrence] = []
    for part in parts:
        outputs += part.run()
        statements += part.emitted
    emitted = needed(statements, outputs)
    program = Program(read_outside(emitted, ()), base.program.parameters, tuple(emitted), tuple(outputs))
    steps = tuple(step for part in parts for step in part.steps)
    results = {t.name: t for t in outputs}
    return Derivation(
        base.label, kind, program, steps, results, base.context, based_on=(*base.based_on, base)
    )


@dataclass
class Part:
    """The statements of a linear derivation where `seed` is 1 at one entry and the other `seeds` are 0.

    Each tensor that depends on the seed gets its axes, before its own (`leading`) or after them. `renamed`
    maps it to the new tensor, and to None where it is 0; `written` are definitions written where they are
    read.
    """

    base: Derivation
    seed: Tensor
    seeds: Sequence[Tensor]
    name: Callable[[Tensor], str]
    leading: bool
    emitted: list[Definition | Recurrence] = field(default_factory=list["Definition | Recurrence"])
    steps: list[Step] = field(default_factory=list[Step])
    renamed: dict[Tensor, Tensor | None] = field(default_factory=dict[Tensor, "Tensor | None"])
    written: dict[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])

    def __post_init__(self) -> None:
        self.statements = flat(self.base.program.statements)
        self.extra = self._extra_indices()
        self.renamed |= {t: None for t in self.seeds if t != self.seed}
        hot = OneHot(self.seed, self.extra, self.renamed, self.leading)
        self.context = replace(self.base.context, statistics={}, single=self.written, one_hot=hot)

    def _extra_indices(self) -> tuple[Index, ...]:
        """Indices of the seed under names that no left side of the derivation has."""
        own = canonical_indices(self.seed, self.statements)
        used = [*own, *(i for s in self.statements for d in body(s) for i in d.indices)]
        extra: list[Index] = []
        for i in own:
            extra.append(fresh((*extra, *used), i))
        return tuple(extra)

    def run(self) -> list[Tensor]:
        """Carry the seed through the derivation; the tensors that hold its outputs."""
        for statement in self.statements:
            if isinstance(statement, Recurrence):
                self._repeat(statement)
            else:
                self._define(statement)
        return [self._output(t) for t in self.base.program.outputs]

    def _output(self, t: Tensor) -> Tensor:
        target = self.renamed[t]
        if target is None:
            target = self._extend(t)
            over = self._around(canonical_indices(t, self.statements))
            self.written[target] = Definition(target, over, ZERO)
        return self._keep(target)

    def _extend(self, t: Tensor) -> Tensor:
        axes = (*self.seed.axes, *t.axes) if self.leading else (*t.axes, *self.seed.axes)
        made = self.renamed[t] = Tensor(self.name(t), axes)
        return made

    def _around(self, own: tuple[Index, ...]) -> tuple[Index, ...]:
        return (*self.extra, *own) if self.leading else (*own, *self.extra)

    def _keep(self, t: Tensor) -> Tensor:
        """A tensor that is needed by name: it gets a definition of its own, once."""
        if t in self.written and not any(isinstance(s, Definition) and s.target == t for s in self.emitted):
            self.emitted.append(self.written[t])
        return t

    def _moves(self, tensors: Iterable[Tensor | None]) -> bool:
        return any(t == self.seed or (t is not None and self.renamed.get(t) is not None) for t in tensors)

    def _close(self, d: Definition, target: Tensor) -> Definition:
        value = d.value
        for rule in ("one-hot", "substitute", "contract", "recognise", "vanish", "collect"):
            made = RULES[rule].apply(value, self.context)
            if made is not None:
                self.steps.append(Step(target, rule, (), value, made, self.context))
                value = made
        return Definition(target, self._around(d.indices), value)

    def _define(self, d: Definition) -> None:
        if not self._moves(d.value.tensors):
            self.renamed[d.target] = None
            return
        made = self._close(d, self._extend(d.target))
        nodes = list(walk(made.value))
        if len(nodes) > SMALL or any(isinstance(n, Reduce) for n in nodes):
            self.emitted.append(made)
        else:
            self.written[made.target] = made

    def _outer(self, t: Tensor | None) -> Tensor | None:
        """What a recurrence reads from outside; None where that is 0."""
        if t is None:
            return None
        if t == self.seed and t not in self.renamed:
            own = canonical_indices(t, self.statements)
            target = Tensor(self.name(t), (*self._extend(t).axes,))
            self.written[target] = self._close(Definition(t, own, entry(t, *own)), target)
        found = self.renamed.get(t, t)
        return found if found is None else self._keep(found)

    def _repeat(self, r: Recurrence) -> None:
        linear = {s.outside for s in r.scanned if s.outside in self.renamed or s.outside == self.seed}
        if not self._moves([*linear, *(c.initial for c in r.carried)]):
            self.renamed |= dict.fromkeys(r.targets)
            return
        scanned: list[Scanned] = []
        for x in r.scanned:
            if x.outside not in linear:
                scanned.append(x)
            elif (outside := self._outer(x.outside)) is None:
                self.renamed[x.inside] = None
            else:
                scanned.append(Scanned(self._extend(x.inside), outside, self._outer(x.initial), x.shift))
        for c in r.carried:
            self._extend(c.before)
        body = tuple(self._close(d, self._extend(d.target)) for d in r.body)
        carried = tuple(
            Carried(self._of(c.before), self._of(c.after), self._outer(c.initial), self._extend(c.last))
            for c in r.carried
        )
        collected = tuple(
            Collected(
                self._of(c.inside), self._extend(c.outside), c.initial and self._extend(c.initial), c.shift
            )
            for c in r.collected
        )
        summed = tuple((self._of(i), self._extend(o)) for i, o in r.summed)
        self.emitted.append(
            replace(r, body=body, carried=carried, scanned=tuple(scanned), collected=collected, summed=summed)
        )

    def _of(self, t: Tensor) -> Tensor:
        found = self.renamed[t]
        assert found is not None
        return found

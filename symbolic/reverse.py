"""The reverse pass: adjoints in closed form, from the last statement to the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gradproof.symbolic.analysis import (
    active_tensors,
    canonical_indices,
    held_by,
    inside,
    read_outside,
    statistic_tensors,
    targets,
    uses,
)
from gradproof.symbolic.derivation import Derivation, Reversed, Step, adjoint_name
from gradproof.symbolic.expressions import (
    Derivative,
    Entry,
    Expr,
    Index,
    Reduce,
    Tensor,
    add,
    at,
    derivative,
    entry,
    fresh,
    mul,
    put,
    substitute,
    total,
    walk,
)
from gradproof.symbolic.operation import Definition, Program, Recurrence, flat
from gradproof.symbolic.rules import LOCAL, RULES, Context, depends


@dataclass
class Sweep:
    """The reverse pass: adjoints in closed form, from the last statement to the first."""

    program: Program
    statements: Sequence[Definition | Recurrence]
    context: Context
    active: frozenset[Tensor]
    statistics: frozenset[Tensor]
    taken: set[str]
    given: frozenset[str] = frozenset()
    emitted: list[Definition | Recurrence] = field(default_factory=list["Definition | Recurrence"])
    steps: list[Step] = field(default_factory=list[Step])
    written_out: dict[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    pending: dict[Tensor, list[Expr]] = field(default_factory=dict[Tensor, list[Expr]])
    adjoints: dict[Tensor, Tensor] = field(default_factory=dict[Tensor, Tensor])
    recurrences: list[Reversed] = field(default_factory=list[Reversed])

    def plain(self, name: str) -> str:
        """The adjoint's name: `dx`, but `dx_2` where the program, being a gradient itself, has a `dx`."""
        adjoint = adjoint_name(name)
        return f"{adjoint}_2" if adjoint in self.given else adjoint

    def share(self, tensor: Tensor) -> Tensor:
        """Where a recurrence puts its contribution to an adjoint: the adjoint itself, if it is all of it."""
        name = self.plain(tensor.name)
        alone = sum(tensor in read_outside([s], ()) for s in self.statements) <= 1
        return Tensor(self.claim(name if alone else f"{name}_share"), tensor.axes)

    def claim(self, name: str) -> str:
        """A name that nobody has, such as `dc_total` where `dc` is taken."""
        while name in self.taken:
            name += "_total" if not name.endswith("_total") else "_"
        self.taken.add(name)
        return name

    def indices(self, tensor: Tensor) -> tuple[Index, ...]:
        return canonical_indices(tensor, self.statements)

    def receive(self, tensor: Tensor, contribution: Expr) -> None:
        """Add an expression over the canonical indices of the tensor to its adjoint."""
        self.pending.setdefault(tensor, []).append(contribution)

    def run(self) -> None:
        for statement in reversed(self.statements):
            if isinstance(statement, Recurrence):
                from gradproof.symbolic.recurrence import reverse

                reverse(self, statement)
            elif statement.target in self.pending and statement.target in self.active:
                self.pull_back(statement, self.settle(statement.target))

    def pull_back(self, d: Definition, adjoint: Tensor) -> None:
        """Hand the adjoint of a definition on to the tensors that it reads."""
        for tensor in sorted(d.value.tensors & self.active, key=lambda t: t.name):
            if depends(d.value, tensor):
                here = self.indices(tensor)
                moved = {
                    i: fresh({*here, *d.indices, *d.value.bound}, i)
                    for i in d.indices
                    if i.name in {h.name for h in here}
                }
                value = substitute(d.value, dict(moved))
                over = tuple(moved.get(i, i) for i in d.indices)
                local = derivative(value, entry(tensor, *here))
                self.receive(tensor, total(mul(entry(adjoint, *over), local), *over))

    def settle(self, tensor: Tensor, *, named: bool = False, suffix: str = "") -> Tensor:
        """Bring the adjoint of a tensor to its closed form; the tensor that holds it.

        An adjoint that is another tensor as it stands gets no definition of its own, unless it must be
        `named`.
        """
        over = self.indices(tensor)
        raw = add(*self.pending.get(tensor, ()))
        if (
            isinstance(raw, Entry)
            and raw.indices == over
            and (not named or raw.tensor.name == self.plain(tensor.name))
        ):
            self.adjoints[tensor] = raw.tensor
            return raw.tensor
        target = Tensor(self.claim(self.plain(tensor.name) + suffix), tensor.axes)
        value = self.simplify(target, raw, tensor in self.statistics)
        made = Definition(target, over, value)
        if tensor in self.statistics:
            self.written_out[target] = made
        elif isinstance(value, Entry) and value.indices == over and not named:
            self.adjoints[tensor] = value.tensor
            return value.tensor
        else:
            self.emitted.append(made)
            self.adjoints[tensor] = target
        return target

    def simplify(self, target: Tensor, raw: Expr, statistic: bool) -> Expr:
        expr = self.carry_out(target, raw)
        for rule in (
            ("contract",)
            if statistic
            else ("contract", "write out", "contract", "recognise", "vanish", "collect")
        ):
            expr = self.apply(target, rule, (), expr)
        return expr

    def carry_out(self, target: Tensor, expr: Expr) -> Expr:
        """Apply the local rules until no derivative is left to be carried out."""
        while (path := _first_derivative(expr)) is not None:
            node = at(expr, path)
            rule = next(r for r in LOCAL if RULES[r].apply(node, self.context) is not None)
            expr = self.apply(target, rule, path, expr)
        return expr

    def apply(self, target: Tensor, rule: str, path: tuple[int, ...], expr: Expr) -> Expr:
        made = RULES[rule].apply(at(expr, path), self.context)
        if made is None:
            return expr
        after = put(expr, path, made)
        self.steps.append(Step(target, rule, path, expr, after, self.context))
        return after


def _first_derivative(expr: Expr) -> tuple[int, ...] | None:
    if isinstance(expr, Derivative):
        return ()
    for place, child in enumerate(expr.children):
        found = _first_derivative(child)
        if found is not None:
            return (place, *found)
    return None


def reverse_mode(program: Program, label: str) -> Derivation:
    """The VJP of a program: adjoints of its real inputs from cotangents of its outputs."""
    statements = flat(program.statements)
    outer = [d for d in statements if isinstance(d, Definition)]
    inner = [d for s in statements if isinstance(s, Recurrence) for d in s.body]
    statistics = statistic_tensors(program)
    written_out: dict[Tensor, Definition] = {}
    known = Context({d.target: d for d in (*outer, *inner)}, written_out, scales=statistics)
    names = {t.name for s in statements for t in (*targets(s), *inside(s))} | {t.name for t in program.inputs}
    sweep = Sweep(
        program,
        statements,
        known,
        active_tensors(program),
        statistics,
        set(names),
        frozenset(names),
        written_out=written_out,
    )
    cotangents: list[Tensor] = []
    for output in program.outputs:
        given = Tensor(sweep.claim(adjoint_name(output.name)), output.axes)
        cotangents.append(given)
        sweep.receive(output, entry(given, *sweep.indices(output)))
    sweep.run()
    results = {t.name: sweep.settle(t, named=True) for t in program.inputs if t.dtype == "real"}
    emitted, single = _write_out_single(sweep, set(results.values()))
    context = Context(known.definitions, sweep.written_out, single, statistics)
    inputs = read_outside(emitted, cotangents)
    closed = Program((*inputs, *cotangents), program.parameters, tuple(emitted), tuple(results.values()))
    adjoints = {t: a for t, a in sweep.adjoints.items() if a not in single}
    last = {s.carried: s for s in emitted if isinstance(s, Recurrence)}
    recurrences = tuple(
        replace(
            r,
            backward=last[r.backward.carried],
            adjoints={t: a for t, a in r.adjoints.items() if a not in single},
        )
        for r in sweep.recurrences
    )
    return Derivation(label, "vjp", closed, tuple(sweep.steps), results, context, adjoints, recurrences)


def _write_out_single(
    sweep: Sweep, results: set[Tensor]
) -> tuple[list[Definition | Recurrence], dict[Tensor, Definition]]:
    """Write adjoints that are used once and cost no sum where they are used."""
    counts = uses(sweep.emitted, kept=False)
    held = results | {t for s in sweep.emitted if isinstance(s, Recurrence) for t in held_by(s)}
    plain = [d for s in sweep.emitted for d in (s.body if isinstance(s, Recurrence) else (s,))]
    single = {
        d.target: d
        for d in plain
        if counts.get(d.target, 0) == 1
        and d.target not in held
        and not any(isinstance(n, Reduce) for n in walk(d.value))
    }
    context = replace(sweep.context, single=single)

    def rewritten(d: Definition) -> Definition:
        value = d.value
        for rule in ("substitute", "recognise", "collect") if value.tensors & set(single) else ():
            made = RULES[rule].apply(value, context)
            if made is not None:
                sweep.steps.append(Step(d.target, rule, (), value, made, context))
                value = made
        return replace(d, value=value)

    kept: list[Definition | Recurrence] = []
    for s in sweep.emitted:
        if isinstance(s, Recurrence):
            body = tuple(rewritten(d) for d in s.body if d.target not in single)
            collected = tuple(c for c in s.collected if c.inside not in single)
            kept.append(replace(s, body=body, collected=collected))
        elif s.target not in single:
            kept.append(rewritten(s))
    return kept, single

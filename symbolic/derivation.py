"""derive(): the derivatives of an operation as numbered steps that end in a closed form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
    index,
    mul,
    put,
    substitute,
    total,
    walk,
)
from gradproof.symbolic.operation import (
    Definition,
    Operation,
    Program,
    Recurrence,
    flat,
)
from gradproof.symbolic.rules import LOCAL, RULES, Context, depends


@dataclass(frozen=True)
class Step:
    """One step: `rule` applied at `where` (child numbers) turned `before` into `after`, deriving `subject`."""

    subject: Tensor
    rule: str
    where: tuple[int, ...]
    before: Expr
    after: Expr

    def replay(self, context: Context) -> Expr:
        """Apply the rule once more; a true step gives `after`."""
        made = RULES[self.rule].apply(at(self.before, self.where), context)
        if made is None:
            raise ValueError(f"the rule {self.rule!r} does not fit {at(self.before, self.where)}")
        return put(self.before, self.where, made)


@dataclass(frozen=True)
class Reversed:
    """A recurrence and its adjoint: the adjoints within a step, and what each tensor outside receives."""

    forward: Recurrence
    backward: Recurrence
    adjoints: Mapping[Tensor, Tensor]
    received: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class Derivation:
    """A derivative in closed form, with the steps that led there.

    `program` reads forward tensors and cotangents (vjp) or tangents (jvp) and defines the derivative;
    `results` has the adjoint of each real input by the input's name, in the order of the inputs; `adjoints` has the
    adjoint of each forward tensor that got one.
    """

    label: str
    kind: str
    program: Program
    steps: tuple[Step, ...]
    results: Mapping[str, Tensor]
    context: Context
    adjoints: Mapping[Tensor, Tensor] = field(default_factory=dict[Tensor, Tensor])
    recurrences: tuple[Reversed, ...] = ()

    def replay(self) -> None:
        """Apply every recorded step again; raises AssertionError where one does not give what it says."""
        for number, step in enumerate(self.steps, 1):
            if step.replay(self.context) is not step.after:
                raise AssertionError(f"{self.label}: step {number} ({step.rule}) does not replay")


def adjoint_name(name: str) -> str:
    """The name of the adjoint (the gradient of the loss) of a tensor.

    >>> adjoint_name("xhat")
    'dxhat'
    """
    return f"d{name}"


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


def active_tensors(program: Program) -> frozenset[Tensor]:
    """The tensors through which an output depends on a real input."""
    active = {t for t in program.inputs if t.dtype == "real"}
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

    All that a row's statistic reads is that row, and other statistics: a contraction with a second tensor is none.
    """
    active = active_tensors(program)
    found: set[Tensor] = set()
    definitions = [d for s in flat(program.statements) for d in (s.body if isinstance(s, Recurrence) else (s,))]
    held = {t for s in flat(program.statements) if isinstance(s, Recurrence) for t in _held(s)}
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


@dataclass
class Sweep:
    """The reverse pass: adjoints in closed form, from the last statement to the first."""

    program: Program
    statements: Sequence[Definition | Recurrence]
    context: Context
    active: frozenset[Tensor]
    statistics: frozenset[Tensor]
    taken: set[str]
    emitted: list[Definition | Recurrence] = field(default_factory=list["Definition | Recurrence"])
    steps: list[Step] = field(default_factory=list[Step])
    pending: dict[Tensor, list[Expr]] = field(default_factory=dict[Tensor, list[Expr]])
    written_out: dict[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    adjoints: dict[Tensor, Tensor] = field(default_factory=dict[Tensor, Tensor])
    recurrences: list[Reversed] = field(default_factory=list[Reversed])

    def claim(self, name: str) -> str:
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

        An adjoint that is another tensor as it stands gets no definition of its own, unless it must be `named`.
        """
        over = self.indices(tensor)
        raw = add(*self.pending.get(tensor, ()))
        if (
            isinstance(raw, Entry)
            and raw.indices == over
            and (not named or raw.tensor.name == adjoint_name(tensor.name))
        ):
            self.adjoints[tensor] = raw.tensor
            return raw.tensor
        target = Tensor(self.claim(adjoint_name(tensor.name) + suffix), tensor.axes)
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
        context = replace(self.context, statistics=self.written_out)
        made = RULES[rule].apply(at(expr, path), context)
        if made is None:
            return expr
        after = put(expr, path, made)
        self.steps.append(Step(target, rule, path, expr, after))
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
    known = Context({d.target: d for d in (*outer, *inner)}, scales=statistics)
    names = {
        t.name
        for t in (*program.inputs, *(t for s in statements for t in _targets(s)), *(d.target for d in inner))
    }
    sweep = Sweep(program, statements, known, active_tensors(program), statistics, names)
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


def _targets(statement: Definition | Recurrence) -> tuple[Tensor, ...]:
    return (statement.target,) if isinstance(statement, Definition) else statement.targets


def _uses(statements: Iterable[Definition | Recurrence], *, kept: bool = True) -> dict[Tensor, int]:
    """How often each tensor is read; `kept` counts what a recurrence keeps for every step as read."""
    counts: dict[Tensor, int] = {}
    for s in statements:
        if isinstance(s, Recurrence):
            states = [c.initial for c in s.carried if c.initial is not None]
            edges = [x.initial for x in s.scanned if x.initial is not None]
            inner = [c.inside for c in s.collected] + [i for i, _ in s.summed] + [c.after for c in s.carried]
            reads = [*states, *edges, *(inner if kept else ()), *(x.outside for x in s.scanned)]
            for tensor, n in _uses(s.body).items():
                counts[tensor] = counts.get(tensor, 0) + n
        else:
            reads = [n.tensor for n in walk(s.value) if isinstance(n, Entry)]
        for tensor in reads:
            counts[tensor] = counts.get(tensor, 0) + 1
    return counts


def _write_out_single(
    sweep: Sweep, results: set[Tensor]
) -> tuple[list[Definition | Recurrence], dict[Tensor, Definition]]:
    """Write adjoints that are used once and cost no sum where they are used."""
    uses = _uses(sweep.emitted, kept=False)
    held = results | {t for s in sweep.emitted if isinstance(s, Recurrence) for t in _held(s)}
    plain = [d for s in sweep.emitted for d in (s.body if isinstance(s, Recurrence) else (s,))]
    single = {
        d.target: d
        for d in plain
        if uses.get(d.target, 0) == 1
        and d.target not in held
        and not any(isinstance(n, Reduce) for n in walk(d.value))
    }
    context = replace(sweep.context, single=single)

    def rewritten(d: Definition) -> Definition:
        value = d.value
        for rule in ("substitute", "recognise", "collect") if value.tensors & set(single) else ():
            made = RULES[rule].apply(value, context)
            if made is not None:
                sweep.steps.append(Step(d.target, rule, (), value, made))
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


def _held(r: Recurrence) -> set[Tensor]:
    """The tensors of a step that the recurrence itself needs by name."""
    return {c.after for c in r.carried} | {inside for inside, _ in r.summed} | {s.inside for s in r.scanned}


def read_outside(
    emitted: Sequence[Definition | Recurrence], cotangents: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """The forward tensors that a list of adjoint statements reads, in order."""
    made = {t for s in emitted for t in _targets(s)} | set(cotangents)
    read: dict[Tensor, None] = {}
    for s in emitted:
        inside = set[Tensor]()
        if isinstance(s, Recurrence):
            inside = (
                {d.target for d in s.body} | {c.before for c in s.carried} | {x.inside for x in s.scanned}
            )
        for tensor in _uses([s]):
            if tensor not in made and tensor not in inside:
                read[tensor] = None
    return tuple(read)


def derive(operation: Operation | Program, kind: str = "vjp") -> Derivation:
    """Derive a derivative of an operation (or of a program) in closed form.

    - `"vjp"`: adjoints `dx` of the real inputs from cotangents `dy` of the outputs;
    - `"jvp"`: tangents `y_dot` of the outputs from tangents `x_dot` of the real inputs.

    Raises ValueError for another kind.

    >>> from gradproof.symbolic.operation import find
    >>> derive(find("softmax")).program.statements[-1].value
    y[b,k]*(dy[b,k] + -1*sum<k>(dy[b,k]*y[b,k]))
    """
    program, label = (
        (operation.program, operation.label) if isinstance(operation, Operation) else (operation, "program")
    )
    if kind == "vjp":
        return reverse_mode(program, label)
    if kind == "jvp":
        from gradproof.symbolic.forward import forward_mode

        return forward_mode(program, label)
    raise ValueError(f"a derivation is of kind 'vjp' or 'jvp', found {kind!r}")

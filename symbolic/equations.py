"""Programs as equations: definitions, recurrences and the operations applied in them, ready to be set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from gradproof.symbolic.boxes import (
    EQUALS,
    Box,
    Cases,
    Equation,
    Group,
    Ident,
    Line,
    Note,
    Num,
    Op,
    Words,
    row,
)
from gradproof.symbolic.derivation import Derivation, canonical_indices
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Bracket,
    Expr,
    Index,
    Mul,
    Number,
    Reduce,
    Tensor,
    entry,
    index,
    mul,
    number,
    size,
    total,
    walk,
)
from gradproof.symbolic.names import index_stem
from gradproof.symbolic.notation import Notation
from gradproof.symbolic.operation import (
    Application,
    Carried,
    Collected,
    Definition,
    Operation,
    Program,
    Recurrence,
    Scanned,
    Statement,
    flat,
)


def operation_notation(operation: Operation) -> Notation:
    """How the names of an operation are written."""
    return program_notation(operation.program)


def program_notation(program: Program, *, derived: bool = False) -> Notation:
    """How the names of a program are written: each stands for itself, unless the program is `derived`."""
    made = all_definitions(program.statements)
    names = {t.name for d in made for t in (d.target, *d.value.tensors)} | {t.name for t in program.outputs}
    if derived:
        names = {n for n in names if not _derived(n, names) and not n.endswith("_dot")}
    return Notation(frozenset(names), index_stems(made))


def derivation_notation(derivation: Derivation) -> Notation:
    """How the names of a derivation are written: adjoints and tangents after what they are of."""
    chain = (*derivation.based_on, derivation)
    known = [d for one in chain for d in one.context.definitions.values()]
    names = {t.name for d in known for t in (d.target, *d.value.tensors)}
    names |= {t.name for one in chain for t in (*one.program.inputs, *one.adjoints)}
    adjoints = {t.name for one in chain for t in one.adjoints.values()}
    forward = {n for n in names if n not in adjoints and not _derived(n, names)}
    made = [*known, *(d for one in chain for d in all_definitions(one.program.statements))]
    return Notation(frozenset(forward), index_stems(made), derivation.kind == "hessian")


def _derived(name: str, names: set[str]) -> bool:
    """Whether a name is that of an adjoint or tangent of another."""
    stem, dot, order = name.rpartition("_dot")
    tangent = dot and stem in names and (not order or order.isdigit())
    return bool(tangent) or (name.startswith("d") and name[1:] in names)


def all_definitions(statements: Iterable[Statement]) -> list[Definition]:
    """Every definition, those in applications and in the steps of recurrences included."""
    made: list[Definition] = []
    for statement in flat(tuple(statements)):
        made.extend(statement.body if isinstance(statement, Recurrence) else (statement,))
    return made


def index_stems(definitions: Iterable[Definition]) -> dict[str, str]:
    """A letter for each index whose name in code is longer than one letter.

    An index that stands for several batch axes is named after its axis: `b_time` as `t`.
    """
    found: dict[str, Index] = {}
    for d in definitions:
        for node in (d.value, *d.indices):
            for i in (n for n in walk(node) if isinstance(n, Index | Reduce)):
                for one in i.indices if isinstance(i, Reduce) else (i,):
                    found[one.name] = one
    short = {
        one.axis: index_stem(name)[0] for name, one in sorted(found.items(), reverse=True) if _short(name)
    }
    taken = set(short.values())
    letters: dict[str, str] = {}
    for name, one in sorted(found.items()):
        stem = index_stem(name)[0]
        if len(stem) > 1 and stem not in letters:
            wanted = [
                c for c in (*one.axis.name, *"abcdefghijklmnopqrstuvw") if c.isalpha() and c not in taken
            ]
            letters[stem] = short.get(one.axis, wanted[0] if wanted else stem)
            taken.add(letters[stem])
    return {name: letters[stem] for name in found if (stem := index_stem(name)[0]) in letters}


def _short(name: str) -> bool:
    return len(index_stem(name)[0]) == 1


# --- statements


def equation(d: Definition, notation: Notation) -> Equation:
    """A definition as an equation; a sum of deltas over an enumerated axis is written as cases."""
    left = notation.box(d.left)
    cases = _gates(d.value)
    if cases is None:
        right = notation.box(d.value, left=d.indices)
    else:
        over, found = cases
        name = notation.box(over, left=d.indices)
        rows = [
            (notation.box(value, left=d.indices), row(Words("if "), name, EQUALS, Num(str(place))))
            for place, value in sorted(found.items())
        ]
        if len(rows) != over.axis.size:
            rows.append((notation.box(ZERO), Words("otherwise")))
        right = Cases(tuple(rows))
    return Equation(left, right, d.target.name, d.source)


def _gates(value: Expr) -> tuple[Index, dict[int, Expr]] | None:
    """A sum whose terms each hold at one value of an index, as that index and the terms by value."""
    if not isinstance(value, Add):
        return None
    over: Index | None = None
    found: dict[int, Expr] = {}
    for term in value.terms:
        deltas = [f for f in _factors(term) if isinstance(f, Bracket) and f.relation == "=="]
        if len(deltas) != 1:
            return None
        sides = deltas[0].children
        number_side = next((s for s in sides if isinstance(s, Number)), None)
        index_side = next((s for s in sides if isinstance(s, Index)), None)
        if number_side is None or index_side is None or over not in (None, index_side):
            return None
        over, place = index_side, int(number_side.value)
        if place in found:
            return None
        found[place] = mul(*(f for f in _factors(term) if f is not deltas[0]))
    return (over, found) if over is not None else None


def _factors(term: Expr) -> tuple[Expr, ...]:
    return term.factors if isinstance(term, Mul) else (term,)


def lines(statements: Iterable[Statement], notation: Notation) -> tuple[Line, ...]:
    """Statements as equations and groups of equations, in order."""
    return tuple(line for statement in statements for line in _lines(statement, notation))


def _lines(statement: Statement, notation: Notation) -> Iterator[Line]:
    if isinstance(statement, Definition):
        yield equation(statement, notation)
    elif isinstance(statement, Recurrence):
        yield recurrence(statement, notation)
    else:
        yield from application(statement, notation)


def application(applied: Application, notation: Notation) -> Iterator[Group]:
    """An operation applied within another: its own equations over the caller's tensors.

    A recurrence in it is a group of its own.
    """
    results = ", ".join(t.name for t in applied.results)
    arguments = ", ".join(t.name for t in applied.arguments)
    title, source = f"{results} = {applied.operation.label}({arguments})", applied.operation.name
    for repeats, part in groupby(applied.body, lambda s: isinstance(s, Recurrence)):
        if repeats:
            made = (recurrence(r, notation) for r in part if isinstance(r, Recurrence))
            yield from (replace(r, title=f"{title}, {r.title}", source=source) for r in made)
        else:
            inner = tuple(equation(d, notation) for d in part if isinstance(d, Definition))
            yield Group(title, inner, source=source)


def recurrence(repeated: Recurrence, notation: Notation) -> Group:
    """A recurrence: the equations of one step, and how the steps are joined."""
    t = index("t", repeated.axis)
    setter = _Joints(repeated, t, notation)
    first, last = (size(repeated.axis), ONE) if repeated.reverse else (ONE, size(repeated.axis))
    over = row(Ident("t"), EQUALS, notation.box(first), Words(", … , "), notation.box(last))
    return Group(
        repeated.name,
        tuple(equation(d, notation) for d in repeated.body),
        tuple(note for note in setter.notes() if note.equations),
        over=over,
    )


class _Joints:
    """How the steps of a recurrence are joined: where states start and end, what is read and what is kept."""

    def __init__(self, repeated: Recurrence, t: Index, notation: Notation) -> None:
        self.repeated, self.t, self.notation = repeated, t, notation

    def notes(self) -> Iterator[Note]:
        r = self.repeated
        yield Note("At the first step", tuple(self.start(c) for c in r.carried))
        yield Note("From each step to the next", tuple(self.hand_on(c) for c in r.carried), in_code=True)
        yield Note("After the last step", tuple(self.end(c) for c in r.carried))
        yield Note("Added up over the steps", tuple(self.add_up(i, o) for i, o in r.summed))
        yield Note("Read in each step", tuple(self.read(s) for s in r.scanned), minor=True)
        yield Note("Kept of each step", tuple(self.keep(c) for c in r.collected), minor=True)

    def indices(self, tensor: Tensor) -> tuple[Index, ...]:
        return canonical_indices(tensor, self.repeated.body)

    def pair(self, left: Expr, right: Expr, relation: str = "=") -> Equation:
        made = self.notation.box(right, left=left.free)
        if relation != "=":
            made = row(Op(relation, "relation"), made)
        return Equation(self.notation.box(left, left=right.free), made)

    def outside(self, tensor: Tensor, inside: tuple[Index, ...], shift: int) -> Expr:
        """An entry of a tensor that has the recurrence's axis, at this step."""
        step = self.t if not shift else self.t + number(shift)
        waiting = iter(inside)
        return entry(tensor, *(step if a == self.repeated.axis else next(waiting) for a in tensor.axes))

    def start(self, c: Carried) -> Equation:
        over = self.indices(c.before)
        return self.pair(entry(c.before, *over), entry(c.initial, *over) if c.initial is not None else ZERO)

    def hand_on(self, c: Carried) -> Equation:
        over = self.indices(c.before)
        left, right = entry(c.before, *over), entry(c.after, *over)
        return Equation(self.notation.box(left), self.notation.box(right))

    def end(self, c: Carried) -> Equation:
        over = self.indices(c.before)
        return self.pair(entry(c.last, *over), entry(c.after, *over))

    def read(self, s: Scanned) -> Equation:
        over = self.indices(s.inside)
        return self.pair(entry(s.inside, *over), self.outside(s.outside, over, s.shift))

    def keep(self, c: Collected) -> Equation:
        over = self.indices(c.inside)
        return self.pair(self.outside(c.outside, over, c.shift), entry(c.inside, *over))

    def add_up(self, inside: Tensor, outside: Tensor) -> Equation:
        over = self.indices(inside)
        left = entry(outside, *over)
        return Equation(self.notation.box(left), self.notation.box(total(entry(inside, *over), self.t)))


def sides(made: Equation) -> Box:
    """An equation as one box."""
    return row(made.left, EQUALS, made.right)


def program_lines(program: Program, notation: Notation) -> tuple[Line, ...]:
    """The equations of a program."""
    return lines(program.statements, notation)


def flat_equations(given: Sequence[Line]) -> Iterator[Equation]:
    """Every equation, those of groups included."""
    for line in given:
        if isinstance(line, Group):
            yield from line.equations
        else:
            yield line

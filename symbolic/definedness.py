"""Where an expression has a value: what denominators, roots and logarithms ask for, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import islice, product

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Bracket,
    Call,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Number,
    Parameter,
    Power,
    Reduce,
    Size,
    Tensor,
    Where,
    fresh,
    refresh,
    size,
    substitute,
    walk,
)
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.polynomials import Poly, TooLargeError, const, to_expr
from gradproof.symbolic.positions import on_axis
from gradproof.symbolic.signs import idempotent, nonnegative, positive, zero_one
from gradproof.symbolic.special import SPECIAL


@dataclass(frozen=True)
class Demand:
    """What a part of an expression needs to have a value, for all `bound` indices for which the guards are 1.

    - `!=`, `>`, `>=`: how the subject must compare with 0;
    - `on`: the subject, a position, lies on `axis`;
    - `exists`: the subject, an entry of a tensor whose definition is kept closed, has a value.
    """

    subject: Expr
    relation: str
    guards: tuple[Expr, ...] = ()
    bound: tuple[Index, ...] = ()
    axis: Axis | None = None

    def __str__(self) -> str:
        if self.relation == "exists":
            said = f"a value of {self.subject}"
        elif self.axis is not None:
            said = f"{self.subject} on {self.axis.name}"
        else:
            said = f"{self.subject} {self.relation} 0"
        return f"{said} if {' and '.join(str(g) for g in self.guards)}" if self.guards else said


Closed = frozenset[Tensor]
_STRONGER = {">": (">",), "!=": ("!=", ">"), ">=": (">=", ">"), "on": ("on",), "exists": ("exists",)}
MAX_INSTANCES = 64


def demands(
    expr: Expr,
    definitions: Mapping[Tensor, Definition],
    guards: tuple[Expr, ...] = (),
    bound: tuple[Index, ...] = (),
    *,
    closed: Closed = frozenset(),
    outside: frozenset[Index] = frozenset(),
) -> Iterator[Demand]:
    """What every part of the expression asks for, tensors with a definition opened, those in `closed` named.

    Bound indices are renamed apart from each other, from those free in a guard, and from those `outside`.
    """

    def inside(part: Expr, more: tuple[Expr, ...] = (), over: tuple[Index, ...] = ()) -> Iterator[Demand]:
        return demands(part, definitions, (*guards, *more), (*bound, *over), closed=closed, outside=outside)

    if isinstance(expr, Where):
        yield from inside(expr.condition)
        yield from inside(expr.yes, (expr.condition,))
        yield from inside(expr.no, (ONE - expr.condition,))
        return
    if isinstance(expr, Reduce):
        taken = outside.union(bound, expr.free, *(g.free for g in guards))
        apart = refresh(expr, taken)
        assert isinstance(apart, Reduce)
        if apart.kind == "max":
            for i in apart.indices:
                if not i.axis.nonempty:
                    yield Demand(size(i.axis), ">", guards, bound)
        yield from inside(apart.body, (), apart.indices)
        return
    if isinstance(expr, Power):
        if expr.exponent.denominator > 1:
            yield Demand(expr.base, ">" if expr.exponent < 0 else ">=", guards, bound)
        elif expr.exponent < 0:
            yield Demand(expr.base, "!=", guards, bound)
    if isinstance(expr, Call) and expr.function == "log":
        yield Demand(expr.arguments[0], ">", guards, bound)
    if isinstance(expr, Call) and expr.function in SPECIAL:
        for subject, relation in SPECIAL[expr.function].demands(expr.arguments):
            yield Demand(subject, relation, guards, bound)
    if isinstance(expr, Entry) and isinstance(expr.tensor, MatrixFunction):
        yield from _of_matrix(expr, expr.tensor, inside, guards, bound)
    if isinstance(expr, Entry):
        for position, axis in zip(expr.indices, expr.tensor.axes, strict=True):
            if not _on_axis(position, axis):
                yield Demand(position, "on", guards, bound, axis)
        if expr.tensor in definitions:
            yield from inside(_written_out(expr, definitions))
        elif expr.tensor in closed:
            yield Demand(expr, "exists", guards, bound)
    for child in expr.children:
        yield from inside(child)


def _of_matrix(
    read: Entry,
    made: MatrixFunction,
    inside: Callable[..., Iterator[Demand]],
    guards: tuple[Expr, ...],
    bound: tuple[Index, ...],
) -> Iterator[Demand]:
    """What an inverse or a determinant asks for: that all of the matrix has a value, and is invertible."""
    from gradproof.symbolic.matrices import determinant

    assert made.row is not None and made.column is not None
    taken = read.free.union(bound, *(g.free for g in guards))
    row = fresh(taken, made.row)
    column = fresh({*taken, row}, made.column)
    matrix = made.at(row, column, read.indices[: len(made.batch)])
    if made.kind == "inverse":
        yield Demand(determinant(matrix, row, column), "!=", guards, bound)
    yield from inside(matrix, (), (row, column))


def _on_axis(position: Expr, axis: Axis) -> bool:
    """Whether a position surely lies on an axis."""
    if isinstance(position, Number):
        value = position.value
        return axis.size is not None and value.denominator == 1 and 0 <= value < axis.size
    if isinstance(position, Entry):
        return position.tensor.domain == "index" and position.tensor.over == axis
    return bool(position.free) and on_axis(position, axis)


def _written_out(read: Entry, definitions: Mapping[Tensor, Definition]) -> Expr:
    d = definitions[read.tensor]
    body = refresh(d.value, {*read.free, *d.indices})
    return substitute(body, dict(zip(d.indices, read.indices, strict=True)))


@dataclass(frozen=True)
class Needs:
    """What two sides need beyond what their shape shows: the left one, the right one alone, and the sizes."""

    asked: tuple[str, ...]
    loose: tuple[str, ...]
    sizes: tuple[str, ...]


def compare(
    left: Iterable[Demand],
    right: Iterable[Demand],
    nf: NormalForm,
    definitions: Mapping[Tensor, Definition],
    over: frozenset[Index] = frozenset(),
) -> Needs:
    """The needs of two sides: what the left one asks for may be used where the right one asks for it.

    The sides are compared for all values of the indices `over`: where one of their axes is empty nothing is
    claimed.
    """
    present = frozenset(i.axis for i in over)
    sizes: dict[str, None] = {}
    asked: dict[Demand, None] = {}
    for demand in left:
        sizes |= dict.fromkeys(_sizes(demand.subject))
        made = tidied(demand, nf)
        if made is not None and not met(demand, nf):
            asked[made] = None
            if made.relation != "exists":
                sizes |= dict.fromkeys(f"{i.axis.name} >= 1" for i in _idle(made) if not i.axis.nonempty)
    loose: dict[str, None] = {}
    pending = list(right)
    while pending:
        demand = pending.pop(0)
        sizes |= dict.fromkeys(_sizes(demand.subject))
        made = tidied(demand, nf)
        if made is None or met(demand, nf) or any(covers(known, made, nf, present) for known in asked):
            continue
        if isinstance(made.subject, Size) and made.subject.axis in present and made.relation != "on":
            continue
        if isinstance(demand.subject, Entry) and demand.relation == "exists":
            body = _written_out(demand.subject, definitions)
            outside = demand.subject.free
            pending += demands(body, definitions, demand.guards, demand.bound, outside=outside)
        else:
            loose[str(made)] = None
    said = tuple(dict.fromkeys(str(demand) for demand in asked if demand.relation != "exists"))
    return Needs(said, tuple(loose), tuple(sizes))


def tidied(demand: Demand, nf: NormalForm) -> Demand | None:
    """The demand in normal form; None where a guard is never 1."""
    guards = {_tidy(guard, nf): None for guard in demand.guards}
    if ZERO in guards:
        return None
    subject = demand.subject if demand.relation in ("on", "exists") else _tidy(demand.subject, nf)
    return replace(demand, subject=subject, guards=tuple(g for g in guards if g is not ONE))


def _tidy(expr: Expr, nf: NormalForm) -> Expr:
    try:
        return nf.tidy(expr)
    except ZeroDivisionError:
        return expr


def _idle(demand: Demand) -> tuple[Index, ...]:
    """The bound indices on which a demand does not depend: it is in force if their axes are not empty."""
    used = demand.subject.free.union(*(g.free for g in demand.guards))
    return tuple(i for i in demand.bound if i not in used)


def covers(known: Demand, wanted: Demand, nf: NormalForm, claimed: frozenset[Axis] = frozenset()) -> bool:
    """Whether a demand is the other one for some values of its bound indices, and in force where it is."""
    if known.relation not in _STRONGER[wanted.relation] or known.axis != wanted.axis:
        return False
    here = wanted.subject.free.union(*(g.free for g in wanted.guards))
    idle = _idle(known)
    present = claimed.union(i.axis for i in (*here, *wanted.bound))
    if not all(i.axis.nonempty or i.axis in present for i in idle):
        return False
    over = [i for i in known.bound if i not in idle]
    choices = product(*([j for j in sorted(here, key=lambda j: j.key) if j.axis == i.axis] for i in over))
    for choice in islice(choices, MAX_INSTANCES):
        values: dict[Index, Expr] = dict(zip(over, choice, strict=True))
        subject = substitute(known.subject, values)
        if known.relation not in ("on", "exists"):
            subject = _tidy(subject, nf)
        guards = {_tidy(substitute(g, values), nf) for g in known.guards}
        if subject is wanted.subject and guards <= set(wanted.guards):
            return True
    return False


def units(left: Iterable[Demand], nf: NormalForm) -> frozenset[Expr]:
    """The sums under negative exponents that are not 0 wherever the left side has a value."""
    found: set[Expr] = set()
    for demand in left:
        made = tidied(demand, nf)
        if (
            made is None
            or made.guards
            or made.relation not in ("!=", ">")
            or len(_idle(made)) < len(made.bound)
        ):
            continue
        try:
            inverse = nf.power(nf(made.subject), Fraction(-1))
        except ZeroDivisionError:
            continue
        if len(inverse) == 1:
            found |= {a for m in inverse for a, e in m.factors if e < 0}
    return frozenset(found)


@lru_cache(maxsize=1 << 14)
def _conditions(expr: Expr) -> tuple[Expr, ...]:
    """The conditions of cases whose shape does not say that they are 0 or 1."""
    found = dict.fromkeys(node.condition for node in walk(expr) if isinstance(node, Where))
    return tuple(c for c in found if not zero_one(c))


@lru_cache(maxsize=1 << 14)
def _parameters(expr: Expr) -> frozenset[Parameter]:
    return frozenset(node for node in walk(expr) if isinstance(node, Parameter))


def unfounded(sides: Iterable[Expr], definitions: Mapping[Tensor, Definition]) -> str | None:
    """Why nothing can be said about the sides: what is declared of a name is not so, or not one thing."""
    exprs = [*sides, *(d.value for d in definitions.values())]
    for target, d in definitions.items():
        if target.dtype == "boolean" and not zero_one(d.value):
            return f"{target.name} is declared boolean, and its definition may have other values"
        if target.domain not in ("real", target.dtype):
            return f"{target.name} is defined, and that its values lie in {target.domain} is not shown"
    parameters = frozenset[Parameter]().union(*(_parameters(expr) for expr in exprs))
    if len({p.name for p in parameters}) < len(parameters):
        return "one parameter is declared over two domains"
    for condition in dict.fromkeys(c for expr in exprs for c in _conditions(expr)):
        nf = NormalForm(definitions)
        try:
            value = nf(condition)
            plain = nf.times(value, value) == value
        except (TooLargeError, ZeroDivisionError):
            plain = False
        if not plain:
            return f"the condition {condition} may have other values than 0 and 1"
    return None


def _sizes(expr: Expr) -> Iterator[str]:
    for node in walk(expr):
        if isinstance(node, Size) and node.axis.nonempty:
            yield f"{node.axis.name} >= {max(node.axis.minimum, 1)}"
    for i in expr.bound:
        if i.axis.nonempty and i.axis.size is None:
            yield f"{i.axis.name} >= {max(i.axis.minimum, 1)}"


def met(demand: Demand, nf: NormalForm) -> bool:
    """Whether the demand surely holds where its guards do."""
    if demand.relation in ("on", "exists"):
        return False
    try:
        return _met(demand, nf)
    except ZeroDivisionError:
        return False


def _met(demand: Demand, nf: NormalForm) -> bool:
    subject = nf.tidy(demand.subject)
    if isinstance(subject, Number):
        value = subject.value
        return (
            value > 0 or (value == 0 and demand.relation == ">=") or (value < 0 and demand.relation == "!=")
        )
    opened = open_definitions(demand.subject, nf.definitions)
    if positive(opened) or positive(subject) or _attained(opened):
        return True
    if demand.relation == ">=" and (nonnegative(subject) or nonnegative(demand.subject)):
        return True
    if demand.relation == "!=" and positive(nf.tidy(-demand.subject)):
        return True
    return any(_implies(nf(guard), nf(demand.subject)) for guard in demand.guards)


def open_definitions(expr: Expr, definitions: Mapping[Tensor, Definition]) -> Expr:
    """The expression with defined tensors written out, its shape kept: `eps + var` shows its square."""
    if isinstance(expr, Entry) and expr.tensor in definitions:
        return open_definitions(_written_out(expr, definitions), definitions)
    return expr.rebuild(tuple(open_definitions(child, definitions) for child in expr.children))


def _attained(expr: Expr) -> bool:
    """Whether the expression counts the places where a maximum over a nonempty axis is attained."""
    if not (isinstance(expr, Reduce) and isinstance(expr.body, Bracket) and expr.body.relation == "=="):
        return False
    for body, largest in ((expr.body.left, expr.body.right), (expr.body.right, expr.body.left)):
        if not (isinstance(largest, Reduce) and largest.kind == "max"):
            continue
        same_axes = [i.axis for i in largest.indices] == [i.axis for i in expr.indices]
        if same_axes and all(i.axis.nonempty for i in largest.indices):
            names: dict[Index, Expr] = dict(zip(expr.indices, largest.indices, strict=True))
            if substitute(body, names) is largest.body:
                return True
    return False


def _implies(guard: Poly, subject: Poly) -> bool:
    """Whether `guard = [B > 0]` makes the subject positive: it is B, or positive terms that B counts."""
    if len(guard) != 1:
        return False
    ((m, value),) = guard.items()
    if value != 1 or m.bound or len(m.factors) != 1 or not isinstance(m.factors[0][0], Bracket):
        return False
    flag = m.factors[0][0]
    if flag.relation != ">" or flag.right is not ZERO:
        return False
    return flag.left is to_expr(subject) or flag.left is _counted(subject)


def _counted(subject: Poly) -> Expr | None:
    """For a sum of `0/1 factors times positive factors`, the sum of the 0/1 factors alone."""
    if len(subject) != 1:
        return None
    ((m, value),) = subject.items()
    flags = {a: e for a, e in m.factors if idempotent(a)}
    if value <= 0 or not all(a in flags or positive(a) for a, _ in m.factors):
        return None
    counted = NormalForm().simplify(flags, list(m.bound)) if flags or m.bound else const(1)
    return to_expr(counted)

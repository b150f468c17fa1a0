"""Where an expression has a value: what denominators, roots and logarithms ask for, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Bracket,
    Call,
    Entry,
    Expr,
    Index,
    Number,
    Power,
    Reduce,
    Size,
    Tensor,
    Where,
    refresh,
    substitute,
    walk,
)
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.polynomials import Poly, const, to_expr
from gradproof.symbolic.signs import idempotent, nonnegative, positive


@dataclass(frozen=True)
class Demand:
    """A subexpression that must not be 0 (`!=`), be above 0 (`>`) or not below it (`>=`), under guards."""

    subject: Expr
    relation: str
    guards: tuple[Expr, ...]

    def __str__(self) -> str:
        return f"{self.subject} {self.relation} 0"


def demands(
    expr: Expr, definitions: Mapping[Tensor, Definition], guards: tuple[Expr, ...] = ()
) -> Iterator[Demand]:
    """What every part of the expression asks for, tensors with a definition opened."""
    if isinstance(expr, Where):
        yield from demands(expr.condition, definitions, guards)
        yield from demands(expr.yes, definitions, (*guards, expr.condition))
        yield from demands(expr.no, definitions, (*guards, ONE - expr.condition))
        return
    if isinstance(expr, Power):
        if expr.exponent.denominator > 1:
            yield Demand(expr.base, ">" if expr.exponent < 0 else ">=", guards)
        elif expr.exponent < 0:
            yield Demand(expr.base, "!=", guards)
    if isinstance(expr, Call) and expr.function == "log":
        yield Demand(expr.arguments[0], ">", guards)
    if isinstance(expr, Entry) and expr.tensor in definitions:
        d = definitions[expr.tensor]
        body = refresh(d.value, {*expr.free, *d.indices})
        yield from demands(
            substitute(body, dict(zip(d.indices, expr.indices, strict=True))), definitions, guards
        )
    for child in expr.children:
        yield from demands(child, definitions, guards)


def open_demands(expr: Expr, nf: NormalForm) -> tuple[list[str], list[str]]:
    """The demands that the shape of the expression does not meet, and the sizes that those met rest on."""
    unmet: dict[str, None] = {}
    sizes: dict[str, None] = {}
    for demand in demands(expr, nf.definitions):
        for n in _sizes(demand.subject):
            sizes[n] = None
        if not met(demand, nf):
            unmet[str(Demand(nf.tidy(demand.subject), demand.relation, ()))] = None
    return list(unmet), list(sizes)


def _sizes(expr: Expr) -> Iterator[str]:
    for node in walk(expr):
        if isinstance(node, Size) and node.axis.nonempty:
            yield f"{node.axis.name} >= {max(node.axis.minimum, 1)}"
    for i in expr.bound:
        if i.axis.nonempty and i.axis.size is None:
            yield f"{i.axis.name} >= {max(i.axis.minimum, 1)}"


def met(demand: Demand, nf: NormalForm) -> bool:
    """Whether the demand surely holds where its guards do."""
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
    """The expression with defined tensors written out, its shape otherwise kept: `eps + var` shows its square."""
    if isinstance(expr, Entry) and expr.tensor in definitions:
        d = definitions[expr.tensor]
        body = refresh(d.value, {*expr.free, *d.indices})
        return open_definitions(
            substitute(body, dict(zip(d.indices, expr.indices, strict=True))), definitions
        )
    return expr.rebuild(tuple(open_definitions(child, definitions) for child in expr.children))


def _attained(expr: Expr) -> bool:
    """Whether the expression counts the places where a maximum over a nonempty axis is attained: at least one."""
    if not (isinstance(expr, Reduce) and isinstance(expr.body, Bracket) and expr.body.relation == "=="):
        return False
    for body, largest in ((expr.body.left, expr.body.right), (expr.body.right, expr.body.left)):
        if (
            isinstance(largest, Reduce)
            and largest.kind == "max"
            and all(i.axis.nonempty for i in largest.indices)
        ):
            if [i.axis for i in largest.indices] == [i.axis for i in expr.indices]:
                names: dict[Index, Expr] = dict(zip(expr.indices, largest.indices, strict=True))
                if substitute(body, names) is largest.body:
                    return True
    return False


def _implies(guard: Poly, subject: Poly) -> bool:
    """Whether `guard = [B > 0]` makes the subject positive: it is B, or a sum of positive terms that B counts."""
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

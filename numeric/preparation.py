"""A program made ready for lowering: sizes decided, one-hot tensors written out, sums stabilized."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gradproof.numeric.rewriting import Context
from gradproof.numeric.stability import stabilize
from gradproof.numeric.sums import is_sparse
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ONE,
    Bracket,
    Expr,
    Number,
    Parameter,
    Reduce,
    Size,
    Tensor,
    mul,
    number,
    rewrite,
    size,
    walk,
)
from gradproof.symbolic.operation import Definition, Recurrence
from gradproof.symbolic.rules import inline


def prepare(
    statements: Sequence[Definition | Recurrence], context: Context, zeros: frozenset[str] = frozenset()
) -> list[Definition | Recurrence]:
    """Statements with every stability row applied; parameters named in `zeros` are 0."""
    written = context.written
    ready: list[Definition | Recurrence] = []
    for statement in statements:
        if isinstance(statement, Recurrence):
            body: list[Definition] = []
            for d in statement.body:
                body.extend(_ready(d, written, context, zeros))
            ready.append(replace(statement, body=tuple(body)))
        else:
            ready.extend(_ready(statement, written, context, zeros))
    return ready


def _ready(
    d: Definition, written: dict[Tensor, Definition], context: Context, zeros: frozenset[str]
) -> list[Definition]:
    value = _simplify(inline(d.value, written), {i.axis for i in d.indices}, zeros)
    made = Definition(d.target, d.indices, value, d.source)
    size_only = not value.tensors and not value.free
    if size_only or any(is_sparse(n, d.indices) for n in walk(value)):
        written[d.target] = made
    return stabilize(made, context)


def _simplify(expr: Expr, scope: set[Axis], zeros: frozenset[str]) -> Expr:
    """Count constant sums; where an index runs over an axis, the axis is not empty."""

    def visit(node: Expr) -> Expr:
        if isinstance(node, Parameter) and node.name in zeros:
            return number(0)
        if isinstance(node, Reduce) and node.kind == "sum":
            loose = [i for i in node.indices if i not in node.body.free]
            if len(loose) == len(node.indices):
                return mul(node.body, *(size(i.axis) for i in loose))
        axis = _positive_size(node)
        if axis is not None and (axis in scope or axis.nonempty):
            return ONE
        return node

    return rewrite(expr, visit)


def _positive_size(node: Expr) -> Axis | None:
    """The axis of `[size > 0]`."""
    if not (isinstance(node, Bracket) and node.relation == ">" and isinstance(node.left, Size)):
        return None
    return node.left.axis if isinstance(node.right, Number) and node.right.value == 0 else None


def needed(
    statements: Sequence[Definition | Recurrence], outputs: Iterable[Tensor]
) -> list[Definition | Recurrence]:
    """The statements that the outputs need, in order."""
    wanted = set(outputs)
    kept: list[Definition | Recurrence] = []
    for statement in reversed(statements):
        if isinstance(statement, Definition):
            if statement.target in wanted:
                kept.append(statement)
                wanted |= statement.value.tensors
        elif wanted & set(statement.targets):
            kept.append(statement)
            wanted |= {t for d in statement.body for t in d.value.tensors}
            wanted |= {s.outside for s in statement.scanned} | {
                c.initial for c in statement.carried if c.initial
            }
            wanted |= {s.initial for s in statement.scanned if s.initial}
    return list(reversed(kept))

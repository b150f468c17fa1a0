"""The forward-mode pass of the proof: the tangent of an expression, from the leaf table alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Call,
    Entry,
    Expr,
    MatrixFunction,
    Mul,
    Power,
    Reduce,
    Tensor,
    Where,
    add,
    entry,
    fresh,
    index,
    mul,
    power,
    refresh,
    substitute,
    total,
    where,
)
from gradproof.symbolic.functions import function, largest_share
from gradproof.symbolic.matrices import differential
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.special import SPECIAL


def tangent(expr: Expr, dot: Callable[[Entry], Expr], variable: Expr | None = None) -> Expr:
    """The directional derivative of an expression; `dot` gives the tangent of an entry.

    Linear in what `dot` gives: `d(f + g) = df + dg`, `d(f g) = df g + f dg`, `d f(g) = f'(g) dg` with `f'`
    from the row of the leaf function. Brackets and index positions are constant wherever a derivative exists.
    With a `variable`, a parameter, the derivative by it is added.
    """

    def of(part: Expr) -> Expr:
        return tangent(part, dot, variable)

    if expr is variable:
        return ONE
    if isinstance(expr, Entry) and isinstance(expr.tensor, MatrixFunction):
        return _of_matrix(expr, expr.tensor, of)
    if isinstance(expr, Entry):
        return dot(expr) if expr.tensor.dtype == "real" else ZERO
    if isinstance(expr, Add):
        return add(*(of(t) for t in expr.terms))
    if isinstance(expr, Mul):
        inner = [of(f) for f in expr.factors]
        moving = [n for n, part in enumerate(inner) if part is not ZERO]
        return add(*(mul(*expr.factors[:n], inner[n], *expr.factors[n + 1 :]) for n in moving))
    if isinstance(expr, Where):
        return where(expr.condition, of(expr.yes), of(expr.no))
    if isinstance(expr, Call) and not expr.arguments:
        return expr  # what has no value has no derivative
    if isinstance(expr, Call) and expr.function in SPECIAL:
        return add(*(_partial(expr, n, of(argument)) for n, argument in enumerate(expr.arguments)))
    if isinstance(expr, Power | Call | Reduce):
        inside = of(expr.children[0])
        return ZERO if inside is ZERO else _outer(expr, inside)
    return ZERO


class NoDerivativeError(ValueError):
    """The derivative of a special function by one of its arguments, for which there is no closed form."""


def _partial(expr: Call, place: int, inside: Expr) -> Expr:
    """The partial derivative of a special function by one argument, times the tangent of the argument."""
    if inside is ZERO:
        return ZERO
    derivative = SPECIAL[expr.function].derivative(place, expr.arguments)
    if derivative is None:
        raise NoDerivativeError(
            f"no closed form is known for the derivative of {expr} by its argument {place + 1}"
        )
    return mul(derivative, inside)


def _of_matrix(read: Entry, made: MatrixFunction, of: Callable[[Expr], Expr]) -> Expr:
    """The tangent of an entry of an inverse or of a determinant."""
    assert made.row is not None and made.column is not None
    row = fresh(read.free, index("r", made.row.axis))
    column = fresh({*read.free, row}, index("c", made.row.axis))
    moved = of(made.at(row, column, read.indices[: len(made.batch)]))
    return ZERO if moved is ZERO else differential(read, moved, row, column)


def _outer(expr: Power | Call | Reduce, inside: Expr) -> Expr:
    """The chain rule: the derivative of the outermost function, times the tangent of what is inside."""
    if isinstance(expr, Power):
        return mul(expr.exponent, power(expr.base, expr.exponent - 1), inside)
    if isinstance(expr, Call):
        return mul(function(expr.function).derivative(expr.arguments[0], expr), inside)
    return total(inside if expr.kind == "sum" else mul(largest_share(expr), inside), *expr.indices)


@dataclass
class Tangents:
    """Tangents along one tensor: `seed` moves, those in `still` do not, others follow their definitions."""

    seed: Tensor
    direction: Tensor
    definitions: Mapping[Tensor, Definition]
    still: Set[Tensor]
    known: dict[Tensor, Expr] = field(default_factory=dict[Tensor, Expr])

    def of(self, tensor: Tensor) -> Expr:
        """The tangent of a defined tensor, over the indices of its definition."""
        if tensor not in self.known:
            self.known[tensor] = tangent(self.definitions[tensor].value, self.dot)
        return self.known[tensor]

    def dot(self, read: Entry) -> Expr:
        if read.tensor == self.seed:
            return entry(self.direction, *read.indices)
        if read.tensor in self.still or read.tensor not in self.definitions:
            return ZERO
        d = self.definitions[read.tensor]
        moved = refresh(self.of(read.tensor), {*read.free, *d.indices})
        return substitute(moved, dict(zip(d.indices, read.indices, strict=True)))

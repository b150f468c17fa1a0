"""Claims over arrays at size 1, where they are claims over numbers, strict at every point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gradproof.symbolic.array_hints import Case
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.definedness import Demand, compare
from gradproof.symbolic.domain import Domain, parse_domain
from gradproof.symbolic.examination import decide
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Parameter,
    Reduce,
    Size,
    Tensor,
    Where,
    index,
    parameter,
    reduce,
    walk,
)
from gradproof.symbolic.formulas import NAN, Formula
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.scalar import Side
from gradproof.symbolic.verdict import Verdict, Witness

SECONDS = 2.0


class NotScalarError(Exception):
    """Something that has no counterpart over numbers."""


def has_gap(case: Case) -> bool:
    """Whether the derivative as written asks for more than the function does: it may exist there too."""
    nf = NormalForm()
    return bool(compare((*case.function.demands, *case.known), case.truth.demands, nf, {}).loose)


def refuted_at_size_one(case: Case, body: Formula) -> Verdict | None:
    """The verdict *refuted* with a witness at size 1, if there is one."""
    try:
        variables = _variables(case, body)
        function = _formula(case.function, variables)
        claim = _claim(body, variables, fixed=all(a.size is not None for a in case.sizes))
        known = _demands(case.known, variables)
    except (NotScalarError, ZeroDivisionError):
        return None
    left = Formula(function.value, (*known, *function.demands))
    by = tuple(t.name for t in case.by)
    if case.what == "Hessian":
        by = (by[0], by[-1])
    parameters = {p.name: p for p in variables.values() if isinstance(p, Parameter)}
    for side in (left.value, claim.value, *(d.subject for d in (*left.demands, *claim.demands))):
        parameters |= {n.name: n for n in walk(side) if isinstance(n, Parameter)}
    domains = {name: _domain(p) for name, p in parameters.items()}
    verdict = decide(Side(left, by), Side(claim), domains, SECONDS)
    if verdict.verdict != "refuted" or verdict.witness is None:
        return None
    ranks = {t.name: len(t.axes) for t in variables}
    ones = {t.name: "1" for t, p in variables.items() if p is ONE}
    shown = {**verdict.witness.point, **ones}
    point = {n: "[" * ranks.get(n, 0) + v + "]" * ranks.get(n, 0) for n, v in shown.items()}
    witness = Witness(point, verdict.witness.left, verdict.witness.right)
    return replace(verdict, witness=witness)


def _claim(body: Formula, variables: Mapping[Tensor, Expr], *, fixed: bool) -> Formula:
    """The claim; where all sizes are said to be 1 it may have no value at all."""
    try:
        return _formula(body, variables)
    except ZeroDivisionError:
        if not fixed or any(isinstance(node, Where) for node in walk(body.value)):
            raise
        return NAN


def without_value_at_one(case: Case, body: Formula) -> list[Axis]:
    """The axes of which the claim has no value for a single place: the standard deviation of one number is 0.

    What it asks for is met nowhere there, so a proof says nothing of that size.
    """
    if any(isinstance(node, Where) for node in walk(body.value)):
        return []
    short = (a for a in case.sizes if a.size is None and a.minimum <= 1)
    return [a for a in short if not _has_value_at_one(body.value, a)]


def _has_value_at_one(expr: Expr, axis: Axis) -> bool:
    alone = index("i", axis)
    try:
        NormalForm()(_with_one_place(expr, axis, alone))
    except ZeroDivisionError:
        return False
    except TooLargeError:
        pass
    return True


def _with_one_place(expr: Expr, axis: Axis, alone: Index) -> Expr:
    """The expression where an axis has one place, which an index stands for."""
    if isinstance(expr, Index) and expr.axis == axis:
        return alone
    if isinstance(expr, Size) and expr.axis == axis:
        return ONE
    if isinstance(expr, Reduce) and any(i.axis == axis for i in expr.indices):
        rest = tuple(i for i in expr.indices if i.axis != axis)
        body = _with_one_place(expr.body, axis, alone)
        return reduce(expr.kind, rest, body) if rest else body
    return expr.rebuild(tuple(_with_one_place(child, axis, alone) for child in expr.children))


def _variables(case: Case, body: Formula) -> dict[Tensor, Expr]:
    if len(case.directions) > 1:
        raise NotScalarError
    ones = {*case.directions, case.cotangent}
    made: dict[Tensor, Expr] = {}
    pending = [case.function.value, case.truth.value, body.value]
    pending += [d.subject for d in (*case.known, *case.function.demands, *body.demands)]
    for expr in pending:
        for tensor in expr.tensors:
            if isinstance(tensor, MatrixFunction) or tensor.dtype == "integer":
                continue
            if tensor.dtype == "boolean" or any(_is_longer(a) for a in tensor.axes):
                raise NotScalarError
            if tensor in ones:
                made[tensor] = ONE
                continue
            domain = "(0, inf)" if tensor.structure == "positive definite" else tensor.domain
            made[tensor] = parameter(tensor.name, domain)
    return made


def _is_longer(axis: Axis) -> bool:
    """Whether an axis cannot have one place, or is made of others."""
    return axis.minimum > 1 or (axis.size or 1) > 1 or bool(axis.parts)


def _domain(made: Parameter) -> Domain:
    return parse_domain(made.domain) if made.domain != "real" else Domain()


def _formula(formula: Formula, variables: Mapping[Tensor, Expr]) -> Formula:
    return Formula(_scalar(formula.value, variables), _demands(formula.demands, variables))


def _demands(demands: Iterable[Demand], variables: Mapping[Tensor, Expr]) -> tuple[Demand, ...]:
    return tuple(
        Demand(_scalar(d.subject, variables), d.relation, tuple(_scalar(g, variables) for g in d.guards))
        for d in demands
        if d.relation != "on"
    )


def _scalar(expr: Expr, variables: Mapping[Tensor, Expr]) -> Expr:
    """The expression where every axis has one place."""
    if isinstance(expr, Index):
        return ZERO
    if isinstance(expr, Size):
        return ONE
    if isinstance(expr, Entry):
        made = expr.tensor
        if isinstance(made, MatrixFunction):
            return _of_matrix(made, variables)
        return ZERO if made.dtype == "integer" else variables[made]
    if isinstance(expr, Reduce):
        return _scalar(expr.body, variables)
    return expr.rebuild(tuple(_scalar(child, variables) for child in expr.children))


def _of_matrix(made: MatrixFunction, variables: Mapping[Tensor, Expr]) -> Expr:
    assert made.matrix is not None
    inner = _scalar(made.matrix, variables)
    if made.kind == "cofactor":
        return ONE
    return inner if made.kind == "determinant" else inner**-1

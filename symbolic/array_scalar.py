"""Claims over arrays at size 1, where they are claims over numbers, strict at every point.

The axes that have a name have one place; of those made of them `n - 1` has none and `n + 1` has two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod

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
    Number,
    Parameter,
    Reduce,
    Size,
    Tensor,
    Where,
    add,
    index,
    number,
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
MAX_PLACES = 16
"""Sums over so many places are written out."""


class NotScalarError(Exception):
    """Something that has no counterpart over numbers."""


def has_gap(case: Case) -> bool:
    """Whether the derivative as written asks for more than the function does: it may exist there too."""
    nf = NormalForm()
    return bool(compare((*case.function.demands, *case.known), case.truth.demands, nf, {}).loose)


def refuted_at_size_one(case: Case, body: Formula) -> Verdict | None:
    """The verdict *refuted* with a witness at size 1, if there is one; none is looked for under equations."""
    if case.suppose:
        return None
    try:
        variables = _variables(case, body)
        function = _formula(case.function, variables)
        claim = _claim(body, variables, fixed=all(a.size is not None for a in case.sizes))
        known = tuple(_demands(case.known, variables))
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


def without_value_at_least(case: Case, body: Formula) -> list[Axis]:
    """The axes at whose least size the claim has no value: the standard deviation of one number is 0.

    What it asks for is met nowhere there, so a proof says nothing of that size.
    """
    if any(isinstance(node, Where) for node in walk(body.value)):
        return []
    return [a for a in case.sizes if a.size is None and not _has_value_at_least(body.value, a)]


def _has_value_at_least(expr: Expr, axis: Axis) -> bool:
    alone = index("i", axis)
    try:
        NormalForm()(_at_least(expr, axis, alone))
    except ZeroDivisionError:
        return False
    except TooLargeError:
        pass
    return True


def least_size(axis: Axis) -> int:
    """The smallest size for which something is claimed."""
    return max(axis.minimum, 1)


def _at_least(expr: Expr, axis: Axis, alone: Index) -> Expr:
    """The expression where an axis has its least size; an index stands for a single place."""
    least = least_size(axis)
    if isinstance(expr, Index) and expr.axis == axis and least == 1:
        return alone
    if isinstance(expr, Size) and expr.axis == axis:
        return number(least)
    if isinstance(expr, Reduce):
        if expr.kind == "sum" and any(_is_empty(i.axis, axis) for i in expr.indices):
            return ZERO
        if least == 1 and any(i.axis == axis for i in expr.indices):
            rest = tuple(i for i in expr.indices if i.axis != axis)
            body = _at_least(expr.body, axis, alone)
            return reduce(expr.kind, rest, body) if rest else body
    return expr.rebuild(tuple(_at_least(child, axis, alone) for child in expr.children))


def _is_empty(made: Axis, axis: Axis) -> bool:
    """Whether an axis made of another has no place where that one has its least size."""
    return [a for a, _ in made.parts] == [axis] and made.more + made.parts[0][1] * least_size(axis) == 0


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
    return Formula(_scalar(formula.value, variables, {}), tuple(_demands(formula.demands, variables)))


def _demands(demands: Iterable[Demand], variables: Mapping[Tensor, Expr]) -> Iterator[Demand]:
    """The demands where every axis has its places; raises NotScalarError for a position beside its axis."""
    for demand in demands:
        for at in _all_places(demand.bound):
            guards = tuple(_scalar(g, variables, at) for g in demand.guards)
            if ZERO in guards:
                continue
            subject = _scalar(demand.subject, variables, at)
            if demand.axis is None:
                yield Demand(subject, demand.relation, guards)
            elif not isinstance(subject, Number) or not 0 <= subject.value < _places(demand.axis):
                raise NotScalarError


def _places(axis: Axis) -> int:
    """How many places an axis has where those that are named have one: `n - 1` none, `n + 1` two."""
    if axis.size is not None:
        return axis.size
    if axis.parts:
        return axis.more + sum(times * _places(part) for part, times in axis.parts)
    if axis.minimum > 1:
        raise NotScalarError
    return prod(map(_places, axis.factors))


def _all_places(indices: Sequence[Index]) -> list[dict[Index, int]]:
    """All values of indices; there are none if one of their axes is empty."""
    ranges = [range(_places(i.axis)) for i in indices]
    if prod(map(len, ranges)) > MAX_PLACES:
        raise NotScalarError
    return [dict(zip(indices, place, strict=True)) for place in product(*ranges)]


def _scalar(expr: Expr, variables: Mapping[Tensor, Expr], at: Mapping[Index, int]) -> Expr:
    """The expression where every named axis has one place; free indices are at their first."""

    def inside(part: Expr) -> Expr:
        return _scalar(part, variables, at)

    if isinstance(expr, Index):
        if not _places(expr.axis):
            raise NotScalarError
        return number(at.get(expr, 0))
    if isinstance(expr, Size):
        return number(_places(expr.axis))
    if isinstance(expr, Entry):
        return _entry(expr, variables, at)
    if isinstance(expr, Reduce):
        terms = [_scalar(expr.body, variables, {**at, **place}) for place in _all_places(expr.indices)]
        if expr.kind == "sum":
            return add(*terms)
        if len(set(terms)) != 1:
            raise NotScalarError
        return terms[0]
    if isinstance(expr, Where):
        condition = inside(expr.condition)
        if condition in (ZERO, ONE):
            return inside(expr.yes if condition is ONE else expr.no)
    return expr.rebuild(tuple(map(inside, expr.children)))


def _entry(read: Entry, variables: Mapping[Tensor, Expr], at: Mapping[Index, int]) -> Expr:
    """The variable that an entry is; positions that are data are those of the first place."""
    made = read.tensor
    if made.dtype == "integer":
        if made.over is not None and not _places(made.over):
            raise NotScalarError
        return ZERO
    if any(_scalar(position, variables, at) is not ZERO for position in read.indices):
        raise NotScalarError
    if not isinstance(made, MatrixFunction):
        return variables[made]
    assert made.matrix is not None and made.row is not None and made.column is not None
    if _places(made.row.axis) != 1 or _places(made.column.axis) != 1:
        raise NotScalarError
    inner = _scalar(made.matrix, variables, {})
    if made.kind == "cofactor":
        return ONE
    return inner if made.kind == "determinant" else inner**-1

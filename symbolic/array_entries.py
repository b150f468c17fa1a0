"""Claims whose entries have nothing to do with each other: decided as claims over numbers, strictly.

A sum of terms, each of which reads one entry of the variable, has a derivative by that entry exactly where
its term has; so the entry, and every other one beside it, is a variable of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from gradproof.symbolic.array_hints import Case
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.domain import Domain, DomainError, parse_domain
from gradproof.symbolic.examination import decide
from gradproof.symbolic.expressions import (
    Add,
    Bracket,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Mul,
    Parameter,
    Reduce,
    Size,
    Tensor,
    add,
    entry,
    mul,
    parameter,
    rewrite,
    substitute,
    total,
    walk,
)
from gradproof.symbolic.formulas import Formula
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.positions import integral
from gradproof.symbolic.scalar import Side
from gradproof.symbolic.verdict import Ground, Verdict


class NotByEntriesError(Exception):
    """What reads several entries of the variable at once, or has no counterpart over numbers."""


def proved_by_entries(case: Case, claimed: Formula, seconds: float) -> Verdict | None:
    """The verdict *proved* on a VJP, a gradient or an identity, if it is one over single entries."""
    if case.suppose or any(t.structure for t in case.by):
        return None
    try:
        left, right, by = _sides(case, claimed)
        names: dict[Expr, Parameter] = {}
        variable = _parameter(by, names).name if by is not None else None
        first, second = _formula(left, names), _formula(right, names)
        domains = {p.name: _domain(p) for p in names.values()}
        for side in (first, second):
            for part in (
                side.value,
                *(d.subject for d in side.demands),
                *(g for d in side.demands for g in d.guards),
            ):
                domains |= {n.name: _domain(n) for n in walk(part) if isinstance(n, Parameter)}
    except (NotByEntriesError, TooLargeError, ZeroDivisionError, DomainError):
        return None
    verdict = decide(Side(first, () if variable is None else (variable,)), Side(second), domains, seconds)
    if verdict.verdict != "proved":
        return None
    return replace(verdict, ground=Ground("decision-procedure"))


def _sides(case: Case, claimed: Formula) -> tuple[Formula, Formula, Entry | None]:
    """The part of the function that one entry moves, the claim, and that entry."""
    known = [*case.known, *case.function.demands]
    if not case.by and case.what == "left side":
        return Formula(case.truth.value, tuple(_there(known, None, ()))), _plain(claimed, None, ()), None
    if case.weighted is None or len(case.by) != 1:
        raise NotByEntriesError
    (moving,) = case.by
    place = case.over
    at = entry(moving, *place)
    part = add(*_terms(case.weighted, (), (), moving, place))
    return Formula(part, tuple(_there(known, moving, place))), _plain(claimed, moving, place), at


def _terms(
    expr: Expr, outside: Sequence[Expr], over: tuple[Index, ...], moving: Tensor, place: Sequence[Index]
) -> Iterator[Expr]:
    """The terms of a sum that read the entry of `moving` at a place."""
    if moving not in expr.tensors:
        return
    if isinstance(expr, Add):
        for term in expr.terms:
            yield from _terms(term, outside, over, moving, place)
        return
    if isinstance(expr, Reduce) and expr.kind == "sum":
        yield from _terms(expr.body, outside, (*over, *expr.indices), moving, place)
        return
    if isinstance(expr, Mul):
        reads = [f for f in expr.factors if moving in f.tensors]
        if len(reads) == 1:
            rest = [f for f in expr.factors if f is not reads[0]]
            yield from _terms(reads[0], (*outside, *rest), over, moving, place)
            return
    values = _values(expr, over, moving, place)
    left = [i for i in over if i not in values]
    if any(i in expr.free for i in left):
        raise NotByEntriesError
    factor = substitute(mul(*outside), dict(values))
    yield mul(total(factor, *left) if left else factor, substitute(expr, dict(values)))


def _values(expr: Expr, over: Sequence[Index], moving: Tensor, place: Sequence[Index]) -> dict[Index, Expr]:
    """The bound indices at which an expression reads the entry at the place, the same one everywhere."""
    if any(isinstance(n, Reduce) and moving in n.tensors for n in walk(expr)):
        raise NotByEntriesError
    reads = {n.indices for n in walk(expr) if isinstance(n, Entry) and n.tensor == moving}
    if len(reads) != 1:
        raise NotByEntriesError
    (indices,) = reads
    values: dict[Index, Expr] = {}
    for i, p in zip(indices, place, strict=True):
        if not isinstance(i, Index) or i not in over or i in values or i.axis != p.axis:
            raise NotByEntriesError
        values[i] = p
    return values


def _there(demands: Iterable[Demand], moving: Tensor | None, place: Sequence[Index]) -> Iterator[Demand]:
    """Demands on all entries, at the place; what is asked for of other things at all places is left out."""
    for demand in demands:
        if demand.axis is not None:
            raise NotByEntriesError
        if not demand.bound:
            yield demand
        elif _reads(demand, moving):
            assert moving is not None
            parts = (demand.subject, *demand.guards)
            joined = add(*(mul(parameter(f"§{n}"), part) for n, part in enumerate(parts)))
            values = _values(joined, demand.bound, moving, place)
            if set(demand.bound) - set(values):
                raise NotByEntriesError
            subject, *guards = (substitute(part, dict(values)) for part in parts)
            yield Demand(subject, demand.relation, tuple(guards))


def _reads(demand: Demand, moving: Tensor | None) -> bool:
    return any(moving in part.tensors for part in (demand.subject, *demand.guards))


def _plain(claimed: Formula, moving: Tensor | None, place: Sequence[Index]) -> Formula:
    """The claim; what it asks for of all entries is asked for at the place, which stands for any."""
    if any(demand.bound and not _reads(demand, moving) for demand in claimed.demands):
        raise NotByEntriesError
    value = NormalForm().tidy(claimed.value) if _sums(claimed.value) else claimed.value
    return Formula(value, tuple(_there(claimed.demands, moving, place)))


def _sums(expr: Expr) -> bool:
    return any(isinstance(n, Reduce) for n in walk(expr))


def _formula(formula: Formula, names: dict[Expr, Parameter]) -> Formula:
    def number(expr: Expr) -> Expr:
        def visit(node: Expr) -> Expr:
            return _parameter(node, names) if isinstance(node, Entry | Size) else node

        made = rewrite(expr, visit)
        for node in walk(made):
            place = isinstance(node, Bracket) and integral(node.left) and integral(node.right)
            if isinstance(node, Reduce | Index) or place:
                raise NotByEntriesError
        return made

    demands = (Demand(number(d.subject), d.relation, tuple(map(number, d.guards))) for d in formula.demands)
    return Formula(number(formula.value), tuple(demands))


def _parameter(read: Expr, names: dict[Expr, Parameter]) -> Parameter:
    """The variable that stands for an entry, or for a size."""
    if read not in names:
        if isinstance(read, Size):
            made = parameter(f"n{len(names)}", f"integer in [{read.axis.minimum}, inf)")
        else:
            assert isinstance(read, Entry)
            tensor = read.tensor
            if isinstance(tensor, MatrixFunction) or tensor.dtype == "integer" or tensor.structure:
                raise NotByEntriesError
            domain = "integer in [0, 1]" if tensor.dtype == "boolean" else tensor.domain
            made = parameter(f"{tensor.name}{len(names)}", domain)
        names[read] = made
    return names[read]


def _domain(made: Parameter) -> Domain:
    return parse_domain(made.domain) if made.domain != "real" else Domain()

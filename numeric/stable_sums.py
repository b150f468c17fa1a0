"""Rewrites of sums of exponentials: the largest exponent is taken out first."""

from __future__ import annotations

from collections.abc import Iterable

from gradproof.numeric.lines import MINUS_INFINITY
from gradproof.numeric.rewriting import Context, Shift, with_coefficient
from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Call,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Power,
    Reduce,
    Where,
    add,
    bracket,
    call,
    entry,
    mul,
    power,
    reduce,
    rewrite,
    substitute,
    total,
    where,
)
from gradproof.symbolic.terms import idempotent


def _split(body: Expr) -> tuple[Expr, Expr] | None:
    """The exponent and the 0/1-valued rest of a product `mask * exp(a)`."""
    factors = body.factors if isinstance(body, Mul) else (body,)
    exponents = [f for f in factors if isinstance(f, Call) and f.function == "exp"]
    rest = [f for f in factors if f not in exponents]
    if len(exponents) == 1 and all(idempotent(f) for f in rest):
        return exponents[0].arguments[0], mul(*rest)
    return None


def find_shift(total_: Expr, context: Context) -> Shift | None:
    """Define the largest exponent, the lowered exponents and their sum, once for alike sums."""
    if not (isinstance(total_, Reduce) and total_.kind == "sum" and (split := _split(total_.body))):
        return None
    terms, mask = split
    if not any(i in terms.free for i in total_.indices):
        return None
    found = context.shifts.get(total_.key)
    if found is not None:
        return found
    outer = tuple(sorted(total_.free, key=lambda i: (not i.axis.variadic, i.key)))
    over = total_.indices
    name = min((t.name for t in terms.tensors), default="x") if len(terms.tensors) != 1 else ""
    stem = name or next(iter(terms.tensors)).name
    masked = terms
    if mask is not ONE:
        masked = context.define(f"{stem}_seen", (*outer, *over), where(mask, terms, MINUS_INFINITY))
    top: Expr = context.define(f"{stem}_max", outer, reduce("max", over, masked))
    if mask is not ONE:
        top = context.define(f"{stem}_top", outer, where(bracket(">", top, MINUS_INFINITY), top, 0))
    assert isinstance(top, Entry)
    lowered = context.define(f"{stem}_shifted", (*outer, *over), masked - top)
    scale = context.define(f"{stem}_sumexp", outer, total(call("exp", lowered), *over))
    made = Shift(terms, over, mask, top, lowered, scale)
    context.shifts[total_.key] = made
    return made


def _alike(shift: Shift, expr: Expr, reference: Expr) -> Entry | None:
    """The lowered entry whose exponent `reference` (over the shift's indices) is `expr`, if it is one."""
    for found in _places(shift, expr):
        if substitute(reference, found) is expr:
            return entry(
                shift.lowered.tensor,
                *(found.get(i, i) for i in shift.lowered.indices if isinstance(i, Index)),
            )
    return None


def _places(shift: Shift, expr: Expr) -> Iterable[dict[Index, Expr]]:
    """Ways to read the summed indices as indices of the expression (or as data)."""
    candidates: list[list[Expr]] = []
    for over in shift.over:
        fitting: list[Expr] = [i for i in sorted(expr.free, key=lambda i: i.key) if i.axis == over.axis]
        candidates.append(fitting or [over])
    for choice in _products(candidates):
        yield dict(zip(shift.over, choice, strict=True))


def _products(options: list[list[Expr]]) -> Iterable[tuple[Expr, ...]]:
    if not options:
        yield ()
        return
    for first in options[0]:
        for rest in _products(options[1:]):
            yield (first, *rest)


def log_sum(node: Expr, context: Context) -> Expr | None:
    """`log sum exp(a) = top + log sum exp(a - top)`."""
    if isinstance(node, Call) and node.function == "log":
        shift = find_shift(node.arguments[0], context)
        if shift is not None:
            return shift.top + call("log", shift.scale)
    return None


def quotient(node: Expr, context: Context) -> Expr | None:
    """`exp(a_k) / sum_j exp(a_j) = exp(a_k - top) / sum_j exp(a_j - top)`, with a mask in both or in none."""
    if not isinstance(node, Mul):
        return None
    for factor in node.factors:
        if not (isinstance(factor, Power) and factor.exponent == -1):
            continue
        rest = [f for f in node.factors if f is not factor]
        for partner in rest:
            made = _lower(partner, rest, factor.base, context)
            if made is not None:
                return mul(made, *(f for f in rest if f is not partner), 1)
    return None


def _lower(partner: Expr, others: list[Expr], base: Expr, context: Context) -> Expr | None:
    if not (isinstance(partner, Call) and partner.function == "exp"):
        return None
    shift = find_shift(base, context)
    if shift is None:
        return None
    lowered = _alike(shift, partner.arguments[0], shift.terms)
    if lowered is None:
        lowered_by_hand = partner.arguments[0] - shift.top
        return call("exp", lowered_by_hand) / shift.scale
    return call("exp", lowered) / shift.scale


def guarded_quotient(node: Expr, _: Context) -> Expr | None:
    """`where(c, n / s, 0) = n * where(c, 1 / s, 0)`: the guard moves to the row, where it costs little."""
    if not (
        isinstance(node, Where)
        and isinstance(node.no, Number)
        and node.no.value == 0
        and isinstance(node.yes, Mul)
    ):
        return None
    inverse = [f for f in node.yes.factors if isinstance(f, Power) and f.exponent < 0]
    rest = [f for f in node.yes.factors if f not in inverse]
    small = [f for f in inverse if f.free < node.yes.free]
    if not small or not node.condition.free <= frozenset[Index]().union(*(f.free for f in small)):
        return None
    return mul(*rest, *(f for f in inverse if f not in small), where(node.condition, mul(*small), 0))


def difference(node: Expr, context: Context) -> Expr | None:
    """`lse - a_k = log(scale) - (a_k - top)` where `lse = log sum exp(a)`: the large parts cancel exactly."""
    if not isinstance(node, Add):
        return None
    for term in node.terms:
        value, read = with_coefficient(term)
        if not (isinstance(read, Entry) and read.tensor in context.logarithms):
            continue
        shift = context.logarithms[read.tensor]
        d = context.definitions[read.tensor]
        here = dict(zip(d.indices, read.indices, strict=True))
        for other in node.terms:
            opposite, exponent = with_coefficient(other)
            if other is term or opposite != -value:
                continue
            lowered = _alike(shift, exponent, substitute(shift.terms, here))
            if lowered is not None:
                rest = [t for t in node.terms if t is not term and t is not other]
                scale = entry(shift.scale.tensor, *read.indices)
                return add(*rest, value * call("log", scale), -value * substitute(lowered, here))
    return None


def exp_of_log(node: Expr, _: Context) -> Expr | None:
    """`exp(a - log(s)) = exp(a) / s`."""
    if not (isinstance(node, Call) and node.function == "exp" and isinstance(node.arguments[0], Add)):
        return None
    factors: list[Expr] = []
    rest: list[Expr] = []
    for term in node.arguments[0].terms:
        value, inner = with_coefficient(term)
        if isinstance(inner, Call) and inner.function == "log" and value.denominator == 1:
            factors.append(power(inner.arguments[0], value))
        else:
            rest.append(term)
    return mul(call("exp", add(*rest)), *factors) if factors else None


def join_masks(value: Expr, context: Context) -> Expr:
    """`mask * exp(lowered) = exp(lowered)`: a masked exponent is lowered to -inf already."""
    shifts = {s.lowered.tensor: s for s in context.shifts.values() if s.mask is not ONE}

    def visit(node: Expr) -> Expr:
        if not isinstance(node, Mul):
            return node
        for factor in node.factors:
            if (
                isinstance(factor, Call)
                and factor.function == "exp"
                and isinstance(factor.arguments[0], Entry)
            ):
                read = factor.arguments[0]
                shift = shifts.get(read.tensor)
                if shift is None:
                    continue
                places = dict(
                    zip((i for i in shift.lowered.indices if isinstance(i, Index)), read.indices, strict=True)
                )
                context.applied.add("quotient of masked exponentials")
                mask = substitute(shift.mask, places)
                masks = mask.factors if isinstance(mask, Mul) else (mask,)
                return mul(*(f for f in node.factors if f not in masks))
        return node

    return rewrite(value, visit)

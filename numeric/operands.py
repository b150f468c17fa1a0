"""What lowering asks of values: names for them, what they are made of, which of them to multiply first."""

from __future__ import annotations

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Bracket,
    Call,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Power,
    Tensor,
    mul,
    walk,
    where,
)
from gradproof.symbolic.terms import idempotent


def describe(expr: Expr) -> str:
    """A name for a subexpression: `x_less_mean` for `x - mean`."""
    if isinstance(expr, Call):
        inner = describe(expr.arguments[0])
        name = expr.function[0] if inner == "part" else f"{expr.function}_{inner}"
    elif isinstance(expr, Entry):
        name = expr.tensor.name
    elif isinstance(expr, Bracket):
        name = "mask"
    elif isinstance(expr, Power) and expr.exponent == -1 and isinstance(expr.base, Entry):
        name = f"inverse_{expr.base.tensor.name}"
    elif (
        isinstance(expr, Add) and len(expr.terms) == 2 and all(isinstance(t, Entry | Mul) for t in expr.terms)
    ):
        signs = [(t, False) if isinstance(t, Entry) else (-t, True) for t in expr.terms]
        if all(isinstance(t, Entry) for t, _ in signs) and any(not minus for _, minus in signs):
            signs.sort(key=lambda pair: pair[1])
            word = "less" if signs[1][1] else "plus"
            name = f"{describe(signs[0][0])}_{word}_{describe(signs[1][0])}"
        else:
            name = "part"
    else:
        name = "part"
    return name if len(name) <= 28 else "part"


def is_truth(expr: Expr, truths: set[Tensor]) -> bool:
    """Whether the expression only has the values 0 and 1 and is made of conditions."""
    if isinstance(expr, Mul):
        return all(is_truth(f, truths) for f in expr.factors)
    if isinstance(expr, Add):
        return len(expr.terms) == 2 and expr.terms[0] is ONE and is_truth(-expr.terms[1], truths)
    return idempotent(expr) or (isinstance(expr, Entry) and expr.tensor in truths)


def selects(value: Expr, along: Index) -> bool:
    """Whether a bracket compares the index with a fixed number."""
    return any(
        isinstance(n, Bracket)
        and n.relation == "=="
        and (
            (n.left is along and isinstance(n.right, Number))
            or (n.right is along and isinstance(n.left, Number))
        )
        for n in walk(value)
    )


def merge_alike(operands: list[Expr]) -> list[Expr]:
    """Operands over the same indices multiplied; 0/1-valued ones join an operand that has their indices."""
    groups: dict[frozenset[Index], list[Expr]] = {}
    for operand in operands:
        groups.setdefault(operand.free, []).append(operand)
    merged = [mul(*parts) for parts in groups.values()]
    for mask in [m for m in merged if idempotent(m) and len(merged) > 1]:
        wider = [g for g in merged if g is not mask and mask.free <= g.free]
        if wider:
            host = min(wider, key=lambda g: len(g.free))
            merged = [g for g in merged if g is not mask and g is not host] + [where(mask, host, 0)]
    return merged


def cheapest(groups: list[Expr], bound: frozenset[Index], made: set[frozenset[Axis]]) -> tuple[Expr, Expr]:
    """The pair to multiply first: its product, contracted as far as it can be, has the fewest indices.

    Of equals, one over the axes of a product that was `made` before, which it may be again; then one of two
    operands with batch axes, if only weights are left: what is left is a single product of matrices.
    """

    def cost(a: Expr, b: Expr) -> tuple[int, bool, bool, int]:
        others = frozenset[Index]().union(*(g.free for g in groups if g is not a and g is not b))
        left = (a.free | b.free) - (bound - others)
        fresh = frozenset(i.axis for i in left) not in made
        alone = _batched(a.free) and _batched(b.free) and not _batched(others)
        return (len(left), fresh, not alone, -len(a.free & b.free & bound))

    pairs = [(a, b) for n, a in enumerate(groups) for b in groups[n + 1 :]]
    return min(pairs, key=lambda p: cost(*p))


def _batched(indices: frozenset[Index]) -> bool:
    return any(i.axis.variadic for i in indices)

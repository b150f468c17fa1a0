"""The rules that carry out a derivative, one node at a time."""

from __future__ import annotations

from gradproof.symbolic.context import Context, Rule
from gradproof.symbolic.expressions import (
    ZERO,
    Add,
    Bracket,
    Call,
    Derivative,
    Entry,
    Expr,
    Mul,
    Power,
    Reduce,
    Tensor,
    Where,
    add,
    bracket,
    derivative,
    mul,
    power,
    refresh,
    total,
    where,
)
from gradproof.symbolic.functions import function, largest_share


def _body(node: Expr, kind: type[Expr]) -> tuple[Expr, Entry] | None:
    if isinstance(node, Derivative) and isinstance(node.body, kind):
        return node.body, node.by
    return None


def depends(expr: Expr, tensor: Tensor) -> bool:
    """Whether a derivative of the expression by the tensor can be other than 0.

    Brackets and index positions are constant wherever a derivative exists.
    """
    if isinstance(expr, Bracket):
        return False
    if isinstance(expr, Entry):
        return expr.tensor == tensor
    if isinstance(expr, Where):
        return depends(expr.yes, tensor) or depends(expr.no, tensor)
    return any(depends(child, tensor) for child in expr.children)


def _constant(node: Expr, _: Context) -> Expr | None:
    if isinstance(node, Derivative) and not depends(node.body, node.by.tensor):
        return ZERO
    return None


def _entry(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Entry)):
        return None
    read, by = found
    assert isinstance(read, Entry)
    if read.tensor != by.tensor:
        return ZERO
    return mul(*(bracket("==", a, b) for a, b in zip(read.indices, by.indices, strict=True)))


def _sum(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Add)):
        return None
    return add(*(derivative(t, found[1]) for t in found[0].children if depends(t, found[1].tensor)))


def _product(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Mul)):
        return None
    factors, by = found[0].children, found[1]
    return add(
        *(
            mul(*factors[:place], derivative(f, by), *factors[place + 1 :])
            for place, f in enumerate(factors)
            if depends(f, by.tensor)
        )
    )


def _power(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Power)):
        return None
    assert isinstance(found[0], Power)
    base, exponent = found[0].base, found[0].exponent
    return mul(exponent, power(base, exponent - 1), derivative(base, found[1]))


def _chain(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Call)):
        return None
    assert isinstance(found[0], Call)
    row, (argument,) = function(found[0].function), found[0].arguments
    return mul(row.derivative(argument, found[0]), derivative(argument, found[1]))


def _reduction(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Reduce)):
        return None
    reduced = refresh(found[0], found[1].free)
    assert isinstance(reduced, Reduce)
    if reduced.kind == "sum":
        return total(derivative(reduced.body, found[1]), *reduced.indices)
    share = largest_share(reduced)
    return total(mul(share, derivative(reduced.body, found[1])), *reduced.indices)


def _cases(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Where)):
        return None
    assert isinstance(found[0], Where)
    return where(found[0].condition, derivative(found[0].yes, found[1]), derivative(found[0].no, found[1]))


ROWS = (
    Rule("constant", "the derivative of what does not depend on the variable is 0", _constant),
    Rule("entry", "the derivative of an entry by an entry is a delta of their indices", _entry),
    Rule("sum", "the derivative of a sum is the sum of the derivatives", _sum),
    Rule("product", "each factor is differentiated in turn", _product),
    Rule("power", "(f^a)' = a f^(a-1) f'", _power),
    Rule("chain", "f(g)' = f'(g) g', with f' from the row of the leaf function", _chain),
    Rule(
        "reduction",
        "a derivative moves inside a sum; a maximum hands it to the entries that attain it",
        _reduction,
    ),
    Rule("cases", "each case is differentiated on its own", _cases),
)
"""The rules that carry out a `Derivative`, in the order in which they are tried."""

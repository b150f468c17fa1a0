"""Canonical keys: two expressions that differ in the names of their indices alone have the same key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from itertools import permutations, product

from gradproof.numeric.rewriting import magnitude, with_coefficient
from gradproof.numeric.sums import data_delta
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
    Reduce,
    Where,
    bracket,
    call,
    index,
    mul,
    number,
    reduce,
    substitute,
    where,
)

_MANY = 24  # renamings tried before names are taken as they come


@cache
def canonical(expr: Expr) -> tuple[str, tuple[Index, ...]]:
    """The key of an expression, and its free indices in the order in which the key numbers them."""
    plain = _rename_bound(expr, 0)
    by_axis: dict[str, list[Index]] = {}
    for i in sorted(plain.free, key=lambda i: i.key):
        by_axis.setdefault(i.axis.name, []).append(i)
    orders = [list(permutations(group)) for _, group in sorted(by_axis.items())]
    best: tuple[str, tuple[Index, ...]] | None = None
    for count, choice in enumerate(product(*orders)):
        if count >= _MANY:
            break
        flat = tuple(i for group in choice for i in group)
        names = {i: index(f"${i.axis.name}{n}", i.axis) for n, i in enumerate(flat)}
        key = substitute(plain, dict(names)).key
        if best is None or key < best[0]:
            best = (key, flat)
    assert best is not None
    return best


def _rename_bound(expr: Expr, depth: int) -> Expr:
    if isinstance(expr, Reduce):
        body = _rename_bound(expr.body, depth + len(expr.indices))
        ordered = sorted(expr.indices, key=lambda i: (i.axis.name, i.key))
        names = {i: index(f"@{i.axis.name}{depth + n}", i.axis) for n, i in enumerate(ordered)}
        return reduce(expr.kind, [names[i] for i in expr.indices], substitute(body, dict(names)))
    if not expr.bound:
        return expr
    return expr.rebuild(tuple(_rename_bound(child, depth) for child in expr.children))


def worth_a_name(expr: Expr) -> bool:
    """Whether computing the expression twice costs a pass over memory."""
    if any(data_delta(n) is not None for n in _nodes(expr)):
        return False
    if isinstance(expr, Bracket):
        fixed = isinstance(expr.left, Number) or isinstance(expr.right, Number)
        position = isinstance(expr.left, Index) or isinstance(expr.right, Index)
        return bool(expr.free) and not (fixed and position)
    if not any(isinstance(n, Entry) for n in _nodes(expr)):
        return False
    if isinstance(expr, Power) and isinstance(expr.base, Entry) and expr.exponent in (2, 3):
        return False
    if isinstance(expr, Mul):
        return selection(expr) is None and sum(1 for f in expr.factors if f.free) > 1
    return isinstance(expr, Add | Call | Power | Where) and bool(expr.free)


def selection(expr: Mul) -> tuple[Expr, Expr] | None:
    """The brackets and the rest of `[g == 2] * rest`, `g` over a fixed axis; None for any other product."""
    places = [f for f in expr.factors if isinstance(f, Bracket) and _is_place(f)]
    return (mul(*places), mul(*(f for f in expr.factors if f not in places))) if places else None


def _is_place(expr: Bracket) -> bool:
    sides = (expr.left, expr.right), (expr.right, expr.left)
    fixed = (isinstance(i, Index) and i.axis.size is not None and isinstance(n, Number) for i, n in sides)
    return expr.relation == "==" and any(fixed)


def _nodes(expr: Expr) -> Iterable[Expr]:
    yield expr
    for child in expr.children:
        yield from _nodes(child)


def parts(expr: Expr) -> tuple[Expr, ...]:
    """The subexpressions that are computed on the way to an expression."""
    whole = as_operation(expr)
    return expr.children if whole is None else whole[0]


def as_operation(expr: Expr) -> tuple[tuple[Expr, ...], Callable[..., Expr]] | None:
    """An expression of several nodes that is one operation of an array library: its arguments, and its form.

    `|x|`, `max(a, b)`, `min(a, b)`, `log(1 + x)`, `exp(x) - 1`, `c + c erf(x)`, and what stands in one place
    of a stack;
    None for any other.
    """
    if isinstance(expr, Mul) and (chosen := selection(expr)) is not None:
        place, rest = chosen
        return (rest,), lambda a: mul(place, a)
    if isinstance(expr, Where):
        if expr is magnitude(expr.yes):
            return (expr.yes,), magnitude
        c = expr.condition
        if isinstance(c, Bracket) and c.relation in (">", "<") and (c.left, c.right) == (expr.yes, expr.no):
            return (expr.yes, expr.no), lambda a, b: where(bracket(c.relation, a, b), a, b)
    if isinstance(expr, Call) and expr.function == "log":
        x = expr.arguments[0]
        if isinstance(x, Add) and x.terms[0] is ONE:
            return (x - 1,), lambda a: call("log", ONE + a)
    if isinstance(expr, Add) and (found := one_plus_erf(expr)) is not None:
        constant, inner = found
        return (-inner,), lambda a: constant + constant * call("erf", -a)
    if isinstance(expr, Add) and len(expr.terms) == 2 and expr.terms[0] is number(-1):
        e = expr.terms[1]
        if isinstance(e, Call) and e.function == "exp":
            return (e.arguments[0],), lambda a: call("exp", a) - 1
    return None


def one_plus_erf(expr: Add) -> tuple[Number, Expr] | None:
    """The constant and the argument of `c + c erf(x)`, which is `c erfc(-x)` without a cancellation."""
    constant, *rest = expr.terms
    if len(rest) != 1 or not isinstance(constant, Number):
        return None
    coefficient, inner = with_coefficient(rest[0])
    if not (isinstance(inner, Call) and inner.function == "erf" and abs(coefficient) == abs(constant.value)):
        return None
    return constant, inner.arguments[0] if coefficient == constant.value else -inner.arguments[0]


def repeated(values: Iterable[Expr]) -> frozenset[str]:
    """The keys of subexpressions that more than one place holds; what lies within a repeat counts once."""
    count: Counter[str] = Counter()

    def visit(expr: Expr) -> None:
        if isinstance(expr, Number | Index) or not expr.children:
            return
        named = worth_a_name(expr) or isinstance(expr, Reduce)
        if named:
            key, _ = canonical(expr)
            count[key] += 1
            if count[key] > 1:
                return
        for child in parts(expr):
            visit(child)

    for value in values:
        visit(value)
    return frozenset(key for key, n in count.items() if n > 1)

"""What the shape of an expression says about its sign: enough to see that a denominator is not 0."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from gradproof.symbolic.domain import POSITIVE, REALS, DomainError, Interval, parse_domain
from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Bracket,
    Call,
    Constant,
    Entry,
    Expr,
    Mul,
    Number,
    Parameter,
    Power,
    Reduce,
    Relation,
    Size,
    Where,
    add,
    mul,
)

_RANGES = {
    "exp": POSITIVE,
    "softplus": POSITIVE,
    "sigmoid": Interval(Fraction(0), Fraction(1)),
    "tanh": Interval(Fraction(-1), Fraction(1)),
    "erf": Interval(Fraction(-1), Fraction(1)),
    "sin": Interval(Fraction(-1), Fraction(1), True, True),
    "cos": Interval(Fraction(-1), Fraction(1), True, True),
}


def hull(domain: str) -> Interval:
    """The least interval that holds a domain; all reals for `index` and what else is no domain of numbers."""
    try:
        return parse_domain(domain).hull
    except DomainError:
        return REALS


@lru_cache(maxsize=1 << 16)
def bounds(expr: Expr) -> Interval:
    """An interval that holds every value of the expression.

    >>> from gradproof.symbolic.expressions import parameter
    >>> str(bounds(1 - parameter("p", "[0, 1)")))
    '(0, 1]'
    """
    if isinstance(expr, Number):
        return Interval(expr.value, expr.value, True, True)
    if isinstance(expr, Parameter):
        return hull(expr.domain)
    if isinstance(expr, Entry):
        return hull(expr.tensor.domain) if expr.tensor.dtype == "real" else REALS
    if isinstance(expr, Call):
        return _RANGES.get(expr.function, REALS)
    if isinstance(expr, Add):
        result = bounds(expr.terms[0])
        for term in expr.terms[1:]:
            result = result + bounds(term)
        return result
    if isinstance(expr, Mul):
        result = bounds(expr.factors[0])
        for factor in expr.factors[1:]:
            result = result * bounds(factor)
        return result
    return REALS


def holds(relation: Relation, sign: int) -> bool:
    """Whether a relation to 0 holds for a number of that sign.

    >>> holds("<=", -1), holds(">", 0)
    (True, False)
    """
    return {
        "==": sign == 0,
        "!=": sign != 0,
        "<": sign < 0,
        "<=": sign <= 0,
        ">": sign > 0,
        ">=": sign >= 0,
    }[relation]


def idempotent(expr: Expr) -> bool:
    """Whether the only values are 0 and 1."""
    return isinstance(expr, Bracket) or (isinstance(expr, Entry) and expr.tensor.dtype == "boolean")


def zero_one(expr: Expr) -> bool:
    """Whether the shape says that the only values are 0 and 1: products and complements of what is so.

    >>> from gradproof.symbolic.expressions import bracket, parameter
    >>> zero_one(1 - bracket(">", parameter("x"), 0)), zero_one(parameter("x"))
    (True, False)
    """
    if isinstance(expr, Number):
        return expr.value in (0, 1)
    if isinstance(expr, Mul):
        return all(zero_one(factor) for factor in expr.factors)
    if isinstance(expr, Where):
        return all(zero_one(part) for part in expr.children)
    if isinstance(expr, Add):
        other = add(ONE, *(mul(-1, term) for term in expr.terms))
        return not isinstance(other, Add) and zero_one(other)
    return idempotent(expr)


def positive(expr: Expr) -> bool:
    """Whether the value is surely above 0 wherever it exists."""
    if isinstance(expr, Number):
        return expr.value > 0
    if isinstance(expr, Size):
        return expr.axis.nonempty
    if isinstance(expr, Parameter):
        return hull(expr.domain).sign == 1
    if isinstance(expr, Entry):
        return expr.tensor.dtype == "real" and hull(expr.tensor.domain).sign == 1
    if isinstance(expr, Call):
        return expr.function in ("exp", "sigmoid", "softplus")
    if isinstance(expr, Power):
        return positive(expr.base)
    if isinstance(expr, Mul):
        return all(positive(f) for f in expr.factors) or bounds(expr).sign == 1
    if isinstance(expr, Add):
        summed = all(nonnegative(t) for t in expr.terms) and any(positive(t) for t in expr.terms)
        return summed or bounds(expr).sign == 1
    if isinstance(expr, Reduce):
        return positive(expr.body) and all(i.axis.nonempty for i in expr.indices)
    return isinstance(expr, Constant)


def nonnegative(expr: Expr) -> bool:
    """Whether the value is surely at least 0 wherever it exists."""
    if positive(expr) or idempotent(expr) or isinstance(expr, Size):
        return True
    if isinstance(expr, Number):
        return expr.value >= 0
    if isinstance(expr, Parameter):
        return hull(expr.domain).nonnegative
    if isinstance(expr, Entry):
        return hull(expr.tensor.domain).nonnegative
    if isinstance(expr, Power):
        even = expr.exponent.denominator == 1 and expr.exponent.numerator % 2 == 0
        return even or nonnegative(expr.base)
    if isinstance(expr, Mul | Add):
        return all(nonnegative(part) for part in expr.children) or bounds(expr).nonnegative
    return isinstance(expr, Reduce) and nonnegative(expr.body)

"""What the shape of an expression says about its sign: enough to see that a denominator is not 0."""

from __future__ import annotations

from gradproof.symbolic.expressions import (
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
    Size,
)

_POSITIVE_DOMAINS = ("(0, inf)", "(0,inf)", ">0", "(0, 1)", "(0,1)", "[1, inf)")
_NONNEGATIVE_DOMAINS = (
    *_POSITIVE_DOMAINS,
    "[0, inf)",
    "[0,inf)",
    ">=0",
    "[0, 1]",
    "[0,1]",
    "[0, 1)",
    "(0, 1]",
)


def idempotent(expr: Expr) -> bool:
    """Whether the only values are 0 and 1."""
    return isinstance(expr, Bracket) or (isinstance(expr, Entry) and expr.tensor.dtype == "boolean")


def positive(expr: Expr) -> bool:
    """Whether the value is surely above 0 wherever it exists."""
    if isinstance(expr, Number):
        return expr.value > 0
    if isinstance(expr, Size):
        return expr.axis.nonempty
    if isinstance(expr, Parameter):
        return expr.domain in _POSITIVE_DOMAINS
    if isinstance(expr, Entry):
        return expr.tensor.dtype == "real" and expr.tensor.domain in _POSITIVE_DOMAINS
    if isinstance(expr, Call):
        return expr.function in ("exp", "sigmoid", "softplus")
    if isinstance(expr, Power):
        return positive(expr.base)
    if isinstance(expr, Mul):
        return all(positive(f) for f in expr.factors)
    if isinstance(expr, Add):
        return all(nonnegative(t) for t in expr.terms) and any(positive(t) for t in expr.terms)
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
        return expr.domain in _NONNEGATIVE_DOMAINS
    if isinstance(expr, Entry):
        return expr.tensor.domain in _NONNEGATIVE_DOMAINS
    if isinstance(expr, Power):
        even = expr.exponent.denominator == 1 and expr.exponent.numerator % 2 == 0
        return even or nonnegative(expr.base)
    if isinstance(expr, Mul | Add):
        return all(nonnegative(part) for part in expr.children)
    return isinstance(expr, Reduce) and nonnegative(expr.body)

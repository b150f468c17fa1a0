"""Which expressions have whole numbers for values, by the domains of their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from math import prod

from gradproof.symbolic.expressions import Add, Call, Expr, Mul, Number, Parameter, Power

MAX_POINTS = 64
"""At so many points at most a polynomial is looked at."""


def whole(expr: Expr) -> bool:
    """Whether the value is a whole number by the domains of the parameters.

    >>> from gradproof.symbolic.expressions import parameter
    >>> n = parameter("n", "integer")
    >>> whole(n * (n + 1) / 2), whole(n * (n + 1) / 4), whole(parameter("x"))
    (True, False, False)
    """
    if isinstance(expr, Number):
        return expr.value.denominator == 1
    degrees = _degrees(expr)
    if not degrees or prod(degree + 1 for degree in degrees.values()) > MAX_POINTS:
        return False
    points = product(*(range(degree + 1) for degree in degrees.values()))
    return all(_value(expr, dict(zip(degrees, point, strict=True))).denominator == 1 for point in points)


def _degrees(expr: Expr) -> dict[Expr, int] | None:
    """The degree of a polynomial in each of what has whole values; None where it is none.

    With whole values at 0, 1, ... up to the degree in each variable, all of its values are whole: so are its
    coefficients in products of binomial coefficients (Polya 1915).
    """
    if isinstance(expr, Number):
        return {}
    if isinstance(expr, Parameter):
        return {expr: 1} if expr.domain.startswith("integer") else None
    if type(expr).__name__ == "Size" or (isinstance(expr, Call) and expr.function == "floor"):
        return {expr: 1}
    if isinstance(expr, Power):
        inner = _degrees(expr.base) if expr.exponent.denominator == 1 and expr.exponent > 0 else None
        return None if inner is None else {e: d * int(expr.exponent) for e, d in inner.items()}
    if not isinstance(expr, Add | Mul):
        return None
    found: dict[Expr, int] = {}
    for part in expr.children:
        inner = _degrees(part)
        if inner is None:
            return None
        for variable, degree in inner.items():
            own = found.get(variable, 0)
            found[variable] = own + degree if isinstance(expr, Mul) else max(own, degree)
    return found


def _value(expr: Expr, point: Mapping[Expr, int]) -> Fraction:
    if isinstance(expr, Number):
        return Fraction(expr.value)
    if isinstance(expr, Power) and expr not in point:
        return _value(expr.base, point) ** int(expr.exponent)
    if isinstance(expr, Add | Mul):
        values = [_value(part, point) for part in expr.children]
        return sum(values, Fraction(0)) if isinstance(expr, Add) else prod(values, start=Fraction(1))
    return Fraction(point[expr])

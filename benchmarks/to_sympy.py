"""Scalar expressions of the index calculus as plain SymPy, for the comparison with SymPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from gradproof.symbolic.expressions import (
    Add,
    Bracket,
    Call,
    Constant,
    Expr,
    Mul,
    Number,
    Parameter,
    Power,
    Where,
)
from gradproof.symbolic.functions import function

_RELATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": sp.Eq,
    "!=": sp.Ne,
    "<": sp.Lt,
    "<=": sp.Le,
    ">": sp.Gt,
    ">=": sp.Ge,
}
_CALLS: Mapping[str, Callable[[Any], Any]] = {
    "exp": sp.exp,
    "log": sp.log,
    "sin": sp.sin,
    "cos": sp.cos,
    "erf": sp.erf,
    "tanh": sp.tanh,
}


def to_sympy(expr: Expr) -> Any:
    """A scalar expression as SymPy; a function that SymPy lacks is written out by its definition.

    Raises TypeError for what has no scalar meaning: entries of tensors, indices, reductions.

    >>> from gradproof.symbolic.expressions import call, parameter
    >>> x = parameter("x")
    >>> to_sympy(call("sigmoid", x) ** 2)
    (1 + exp(-x))**(-2)
    """
    match expr:
        case Number():
            return sp.Rational(expr.value.numerator, expr.value.denominator)
        case Parameter():
            return sp.Symbol(expr.name, real=True, positive=True if expr.domain == "(0, inf)" else None)
        case Constant():
            return getattr(sp, expr.name)
        case Add():
            return sp.Add(*map(to_sympy, expr.terms))
        case Mul():
            return sp.Mul(*map(to_sympy, expr.factors))
        case Power():
            exponent = sp.Rational(expr.exponent.numerator, expr.exponent.denominator)
            return sp.Pow(to_sympy(expr.base), exponent)
        case Call():
            return _call(expr)
        case Where():
            cases = (to_sympy(expr.yes), condition(expr.condition)), (to_sympy(expr.no), True)
            return sp.Piecewise(*cases)
        case Bracket():
            return sp.Piecewise((1, condition(expr)), (0, True))
        case _:
            raise TypeError(f"{expr} is no scalar: {type(expr).__name__} has no counterpart in SymPy")


def condition(expr: Expr) -> Any:
    """A 0/1-valued expression as a truth value of SymPy."""
    if isinstance(expr, Bracket):
        return _RELATIONS[expr.relation](to_sympy(expr.left), to_sympy(expr.right))
    if isinstance(expr, Mul) and all(isinstance(f, Bracket) for f in expr.factors):
        return sp.And(*map(condition, expr.factors))
    return sp.Ne(to_sympy(expr), 0)


def _call(expr: Call) -> Any:
    (argument,) = expr.arguments
    if expr.function in _CALLS:
        return _CALLS[expr.function](to_sympy(argument))
    definition = function(expr.function).definition
    if definition is None:
        raise TypeError(f"{expr.function} has neither a counterpart in SymPy nor a definition")
    return to_sympy(definition(argument))

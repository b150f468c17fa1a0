"""The language of operations: SymPy scalars over indexed tensors, read into the index calculus.

An entry `x[b, k]`, an index, a size or a reduction is an opaque SymPy symbol that remembers its expression;
everything scalar around it is plain SymPy (`sp.exp`, `sp.sqrt`, `sp.Piecewise`, `sp.tanh`, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import reduce as fold
from typing import Any

import sympy as sp

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Expr,
    Index,
    Parameter,
    Relation,
    add,
    bracket,
    call,
    constant,
    index,
    mul,
    number,
    power,
    reduce,
    size,
    where,
)

_atoms: dict[Expr, Any] = {}
_meaning: dict[Any, Expr] = {}


class sigmoid(sp.Function):  # noqa: N801 (SymPy names functions in lower case)
    """`1 / (1 + exp(-x))`, as a SymPy function of its own."""


class softplus(sp.Function):  # noqa: N801
    """`log(1 + exp(x))`, as a SymPy function of its own."""


def symbol(expr: Expr) -> sp.Symbol:
    """The SymPy symbol that stands for an expression of the index calculus."""
    if expr not in _atoms:
        positive = True if isinstance(expr, Parameter) and expr.domain in ("(0, inf)", ">0") else None
        integer = True if isinstance(expr, Index) else None
        made = sp.Dummy(expr.key, real=True, positive=positive, integer=integer)
        _atoms[expr], _meaning[made] = made, expr
    return _atoms[expr]


def indices(names: str, *axes: Axis) -> tuple[sp.Symbol, ...]:
    """Index variables over axes, in order.

    >>> b, k = indices("b k", Axis("batch"), Axis("classes"))
    >>> read(b)
    b
    """
    split = names.split()
    if len(split) != len(axes):
        raise ValueError(f"{len(split)} index names for {len(axes)} axes: {names!r}")
    return tuple(symbol(index(name, axis)) for name, axis in zip(split, axes, strict=True))


def size_of(axis: Axis) -> sp.Expr:
    """The number of values of an index over `axis`."""
    value = size(axis)
    return write_number(value) if value in (ONE, ZERO) or axis.size is not None else symbol(value)


def write_number(value: Expr) -> sp.Expr:
    """The SymPy number of a number."""
    return sp.Rational(value.key)


def _index(variable: sp.Symbol) -> Index:
    found = read(variable)
    if not isinstance(found, Index):
        raise TypeError(f"expected an index to reduce over, found {found}")
    return found


def sum_over(body: Any, *over: sp.Symbol) -> sp.Symbol:
    """The sum of `body` over all values of the indices."""
    return symbol(reduce("sum", map(_index, over), read(body)))


def max_over(body: Any, *over: sp.Symbol) -> sp.Symbol:
    """The largest value of `body` over all values of the indices."""
    return symbol(reduce("max", map(_index, over), read(body)))


def mean_over(body: Any, *over: sp.Symbol) -> sp.Expr:
    """The mean of `body` over all values of the indices."""
    return sum_over(body, *over) / sp.Mul(*(size_of(_index(i).axis) for i in over))


def indicator(condition: Any) -> sp.Symbol:
    """1 where the condition holds, else 0 (Iverson's bracket)."""
    return symbol(read(condition))


def equal(left: Any, right: Any) -> sp.Symbol:
    """1 where two index values are the same, else 0 (Kronecker's delta)."""
    return symbol(bracket("==", read(left), read(right)))


_RELATIONS: dict[Any, Relation] = {
    sp.Equality: "==",
    sp.Unequality: "!=",
    sp.StrictLessThan: "<",
    sp.LessThan: "<=",
    sp.StrictGreaterThan: ">",
    sp.GreaterThan: ">=",
}

_CALLS: dict[Any, str] = {
    sp.exp: "exp",
    sp.log: "log",
    sp.sin: "sin",
    sp.cos: "cos",
    sp.tanh: "tanh",
    sp.erf: "erf",
    sigmoid: "sigmoid",
    softplus: "softplus",
}


def _larger(a: Expr, b: Expr) -> Expr:
    return where(bracket(">", a, b), a, b)


def _magnitude(x: Expr) -> Expr:
    return where(bracket(">", x, 0), x, where(bracket("<", x, 0), -x, 0))


def _sinh(x: Expr) -> Expr:
    return (call("exp", x) - call("exp", -x)) / 2


def _cosh(x: Expr) -> Expr:
    return (call("exp", x) + call("exp", -x)) / 2


def _tan(x: Expr) -> Expr:
    return call("sin", x) / call("cos", x)


def _not(x: Expr) -> Expr:
    return ONE - x


_FORMS: dict[Any, Callable[..., Expr]] = {
    sp.Add: add,
    sp.Mul: mul,
    sp.Abs: _magnitude,
    sp.Max: lambda *parts: fold(_larger, parts),
    sp.Min: lambda *parts: -fold(_larger, (-part for part in parts)),
    sp.sinh: _sinh,
    sp.cosh: _cosh,
    sp.tan: _tan,
    sp.And: mul,
    sp.Or: lambda *parts: ONE - mul(*(ONE - part for part in parts)),
    sp.Not: _not,
}


def read(given: Any) -> Expr:
    """A SymPy expression, a number or an array entry as an expression of the index calculus.

    Raises TypeError for a float (exact numbers only) and for a function that has no row.
    """
    if isinstance(given, Expr):
        return given
    if isinstance(given, int | Fraction):
        return number(given)
    if given in _meaning:
        return _meaning[given]
    if isinstance(given, float | sp.Float):
        raise TypeError(f"found the float {given}; write an exact number, such as sp.Rational('{given}')")
    if isinstance(given, sp.Rational):
        return number(Fraction(int(given.p), int(given.q)))
    if given is sp.pi:
        return constant("pi")
    if given is sp.true or given is sp.false:
        return ONE if given is sp.true else ZERO
    if isinstance(given, sp.Pow):
        return _read_power(given)
    if isinstance(given, sp.Piecewise):
        return _read_cases(given)
    if type(given) in _RELATIONS:
        return bracket(_RELATIONS[type(given)], read(given.lhs), read(given.rhs))
    if type(given) in _CALLS:
        return call(_CALLS[type(given)], read(given.args[0]))
    if type(given) in _FORMS:
        return _FORMS[type(given)](*(read(part) for part in given.args))
    known = ", ".join(sorted({kind.__name__ for kind in (*_CALLS, *_FORMS)}))
    raise TypeError(f"{given} ({type(given).__name__}) has no meaning in an operation; there are {known}")


def _read_power(given: Any) -> Expr:
    base, exponent = given.as_base_exp()
    if isinstance(given, sp.Pow) and isinstance(given.exp, sp.Rational):
        return power(read(given.base), Fraction(int(given.exp.p), int(given.exp.q)))
    if base is sp.E:
        return call("exp", read(exponent))
    return call("exp", mul(read(exponent), call("log", read(base))))


def _read_cases(given: Any) -> Expr:
    result: Expr | None = None
    for value, condition in reversed(given.args):
        if result is None:
            if condition is not sp.true:
                raise TypeError(
                    f"{given}: the last case must be (value, True), so that every point has a value"
                )
            result = read(value)
        else:
            result = where(read(condition), read(value), result)
    assert result is not None
    return result

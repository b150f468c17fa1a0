"""The language of operations: SymPy scalars over indexed tensors, read into the index calculus.

An entry `x[b, k]`, an index, a size or a reduction is an opaque SymPy symbol that remembers its expression;
everything scalar around it is plain SymPy (`sp.exp`, `sp.sqrt`, `sp.Piecewise`, `sp.tanh`, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce as fold
from typing import Any, Literal

import sympy as sp

from gradproof.symbolic.axes import Axis, check_axis
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
from gradproof.symbolic.mistakes import INDEX_IT, MistakeError, check_name

_atoms: dict[Expr, Any] = {}
_meaning: dict[Any, Expr] = {}


class sigmoid(sp.Function):  # noqa: N801 (SymPy names functions in lower case)
    """`1 / (1 + exp(-x))`, as a SymPy function of its own."""


class softplus(sp.Function):  # noqa: N801
    """`log(1 + exp(x))`, as a SymPy function of its own."""


class Atom(sp.Dummy):
    """A SymPy symbol that stands for an expression of the index calculus."""

    name: str

    def _sympystr(self, _: Any) -> str:
        return self.name


def symbol(expr: Expr) -> sp.Symbol:
    """The SymPy symbol that stands for an expression of the index calculus."""
    if expr not in _atoms:
        positive = True if isinstance(expr, Parameter) and expr.domain in ("(0, inf)", ">0") else None
        integer = True if isinstance(expr, Index) else None
        made = Atom(expr.key, real=True, positive=positive, integer=integer)
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
        raise MistakeError(f"{len(split)} index names for {len(axes)} axes: {names!r}")
    for name, axis in zip(split, axes, strict=True):
        check_name(name, "an index")
        check_axis(axis, f"the index {name} runs over an axis")
    return tuple(symbol(index(name, axis)) for name, axis in zip(split, axes, strict=True))


def size_of(axis: Axis) -> sp.Expr:
    """The number of values of an index over `axis`."""
    value = size(axis)
    return write_number(value) if value in (ONE, ZERO) or axis.size is not None else symbol(value)


def write_number(value: Expr) -> sp.Expr:
    """The SymPy number of a number."""
    return sp.Rational(value.key)


def _reduced(kind: Literal["sum", "max"], body: Any, over: Sequence[Any]) -> sp.Symbol:
    """A reduction; raises MistakeError for indices that are none, occur twice or not at all."""
    if not over:
        raise MistakeError(
            f"{kind}_over takes a body and the indices to reduce over, as {kind}_over(x[b, k], k)"
        )
    value, chosen = read(body), [_index(kind, variable) for variable in over]
    for place, i in enumerate(chosen):
        if i in chosen[:place] or i in value.bound:
            raise MistakeError(
                f"the index {i} is bound twice in {kind}_over; give each reduction an index of its own, "
                f"as in j, k = indices('j k', AXIS, AXIS) with the axis {i.axis.name} for both"
            )
        if value.free and i not in value.free:
            raise MistakeError(
                f"{kind}_over: the index {i} does not occur in {value}; multiply by size_of(...) to count "
                "its axis"
            )
    return symbol(reduce(kind, chosen, value))


def _index(kind: str, variable: Any) -> Index:
    found = _meaning.get(variable) if isinstance(variable, Atom) else None
    if not isinstance(found, Index):
        raise MistakeError(
            f"{kind}_over takes a body, then indices made by indices('k', AXIS); found {variable} as an index"
        )
    return found


def sum_over(body: Any, *over: sp.Symbol) -> sp.Symbol:
    """The sum of `body` over all values of the indices."""
    return _reduced("sum", body, over)


def max_over(body: Any, *over: sp.Symbol) -> sp.Symbol:
    """The largest value of `body` over all values of the indices."""
    return _reduced("max", body, over)


def mean_over(body: Any, *over: sp.Symbol) -> sp.Expr:
    """The mean of `body` over all values of the indices."""
    return sum_over(body, *over) / sp.Mul(*(size_of(_index("mean", i).axis) for i in over))


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

    Raises MistakeError for a float (exact numbers only) and for a function that has no row.
    """
    if isinstance(given, Expr):
        return given
    if isinstance(given, bool):
        raise MistakeError(
            f"found {given}, which Python made of a comparison (== asks whether two things are written the "
            "same); equal(i, j) compares indices, sp.Eq(x[b], 0) and sp.Ne(x[b], 0) compare entries"
        )
    if isinstance(given, int | Fraction):
        return number(given)
    if type(given) is Atom:
        return _meaning[given]
    if isinstance(given, float | sp.Float):
        shown = f"{float(str(given)):.15g}"
        raise MistakeError(f"found the float {shown}; write an exact number, such as sp.Rational('{shown}')")
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
    raise MistakeError(_meaningless(given))


_INSTEAD: tuple[tuple[tuple[Any, ...], str], ...] = (
    ((sp.Sum, sp.Product, sp.Integral), "sum_over(x[b, k], k) is a sum over an index"),
    ((sp.Heaviside, sp.sign), "write its cases, sp.Piecewise((1, x[b] > 0), (0, True))"),
    ((sp.Derivative,), "derivatives are derived, not written"),
    ((sp.core.numbers.NumberSymbol, sp.core.numbers.ImaginaryUnit), "numbers are real; sp.pi has a name"),
    (
        (sp.core.numbers.Infinity, sp.core.numbers.NegativeInfinity),
        "numbers are finite; a mask is written by cases, sp.Piecewise((x[b, k], mask[b, k] > 0), (0, True))",
    ),
    ((sp.core.numbers.ComplexInfinity, sp.core.numbers.NaN), "it has no value; look for a division by 0"),
    ((str,), "write the expression itself, without quotes"),
    ((type(None),), "a value is missing; did a function return nothing?"),
    ((type(Ellipsis), slice), "each axis takes an index made by indices('b k', ...)"),
    ((Axis,), "an index runs over it: (k,) = indices('k', AXIS)"),
    ((tuple, list), "a value is one number, for each value of the indices"),
)  # fmt: skip


def _meaningless(given: Any) -> str:
    """What is wrong with something that has no meaning here, and what to write instead."""
    if type(given) is sp.Symbol:
        return (
            f"the symbol {given} is unknown: an index is made by indices('{given}', AXIS), "
            f"a hyper-parameter declared in the decorator, {given}=scalar('1')"
        )
    for kinds, instead in _INSTEAD:
        if isinstance(given, kinds):
            return f"{given} has no meaning in an operation; {instead}"
    if not isinstance(given, sp.Basic):
        return f"{given} ({type(given).__name__}) is no expression; {INDEX_IT}"
    known = ", ".join(sorted({kind.__name__ for kind in (*_CALLS, *_FORMS)}))
    return f"{type(given).__name__} has no meaning in an operation; there are {known}"


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
                raise MistakeError(
                    f"{given}: the last case must be (value, True), so that every point has a value"
                )
            result = read(value)
        else:
            result = where(read(condition), read(value), result)
    assert result is not None
    return result

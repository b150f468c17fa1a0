"""The leaf functions: one row each, with the definition, the derivative and the domain.

A row is the only place where a derivative is written. `derive` reads it backwards, the proof's forward pass
reads it forwards, and `proof.prove_row` proves it from the definition in `exp` and `log`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from gradproof.symbolic.expressions import (
    ONE,
    Expr,
    Index,
    Reduce,
    bracket,
    call,
    constant,
    fresh,
    power,
    substitute,
    total,
)


@dataclass(frozen=True)
class Function:
    """A scalar function of one variable.

    - `derivative(x, y)`: the derivative at `x`, free to use the value `y = f(x)`.
    - `definition(x)`: the function in terms of earlier rows;
    - `integrand(t)`: the function is the integral of this from 0 to x;
    - `inverse_of`: the function is the inverse of an earlier row;
    - `axiom`: what defines a primitive function and its derivative at once.
    - `domain`: where it is defined.
    - `latex`: how it is written before its argument.
    """

    name: str
    derivative: Callable[[Expr, Expr], Expr]
    definition: Callable[[Expr], Expr] | None = None
    integrand: Callable[[Expr], Expr] | None = None
    inverse_of: str = ""
    domain: str = "real"
    latex: str = ""
    axiom: str = ""

    def value(self, x: Expr) -> Expr:
        """The function at `x`."""
        return call(self.name, x)


def _exp(x: Expr) -> Expr:
    return call("exp", x)


def _log(x: Expr) -> Expr:
    return call("log", x)


_ROWS = (
    Function("exp", lambda x, y: y, latex=r"\exp", axiom="exp solves y' = y"),
    Function("log", lambda x, y: 1 / x, domain="(0, inf)", latex=r"\log", inverse_of="exp"),
    Function(
        "sin", lambda x, y: call("cos", x), latex=r"\sin", axiom="sin and cos solve sin' = cos, cos' = -sin"
    ),
    Function(
        "cos", lambda x, y: -call("sin", x), latex=r"\cos", axiom="sin and cos solve sin' = cos, cos' = -sin"
    ),
    Function(
        "erf",
        lambda x, y: 2 * power(constant("pi"), Fraction(-1, 2)) * _exp(-(x**2)),
        integrand=lambda t: 2 / power(constant("pi"), Fraction(1, 2)) * _exp(-t * t),
        latex=r"\operatorname{erf}",
    ),
    Function(
        "sigmoid",
        lambda x, y: y * (ONE - y),
        definition=lambda x: 1 / (ONE + _exp(-x)),
        latex=r"\sigma",
    ),
    Function(
        "tanh",
        lambda x, y: ONE - y**2,
        definition=lambda x: (_exp(x) - _exp(-x)) / (_exp(x) + _exp(-x)),
        latex=r"\tanh",
    ),
    Function(
        "softplus",
        lambda x, y: call("sigmoid", x),
        definition=lambda x: _log(ONE + _exp(x)),
        latex=r"\operatorname{softplus}",
    ),
)

FUNCTIONS: dict[str, Function] = {row.name: row for row in _ROWS}


def largest_share(reduced: Reduce) -> Expr:
    """The row of a maximum over an axis: the entries that attain it share its derivative evenly.

    Where one entry is the largest this is the derivative; at a tie it is a convention (PyTorch's `amax`).
    """
    hit = bracket("==", reduced.body, reduced)
    taken = {*reduced.indices, *reduced.free, *reduced.body.bound}
    over: list[Index] = []
    for i in reduced.indices:
        over.append(fresh(taken, i))
        taken.add(over[-1])
    renamed: dict[Index, Expr] = dict(zip(reduced.indices, over, strict=True))
    return hit / total(substitute(hit, renamed), *over)


def function(name: str) -> Function:
    """The row of a leaf function; raises KeyError, naming those that exist, for an unknown one.

    >>> function("tanh").domain
    'real'
    """
    if name not in FUNCTIONS:
        raise KeyError(f"no leaf function {name!r}; there are {', '.join(FUNCTIONS)}")
    return FUNCTIONS[name]

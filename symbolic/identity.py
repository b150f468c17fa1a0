"""What a stated identity between values of one function is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gradproof.symbolic.expressions import (
    Add,
    Call,
    Expr,
    Number,
    call,
    power,
)
from gradproof.symbolic.special import exp, log
from gradproof.symbolic.special_row import Of
from gradproof.symbolic.whole_numbers import whole

MAX_ORDER = 200
"""The factorials of larger orders are not written out."""


MAX_SHIFT = 24
"""An argument is moved by at most so many steps of a recurrence."""


HALF = Fraction(1, 2)


Rewrite = Of["Expr | None"]


@dataclass(frozen=True)
class Recurrence:
    """How a function follows from its neighbour, without a division by what may be 0 where both have values.

    `step(value, arguments)` is the function of the arguments, given its value where the argument at `place`
    is larger (`direction = 1`) or smaller (-1) by 1.
    """

    function: str
    statement: str
    source: str
    place: int
    direction: int
    step: Callable[[Expr, Sequence[Expr]], Expr]
    whole: int | None = None
    """The place of an argument that has to be a whole number."""

    def towards(self, arguments: Sequence[Expr], steps: int) -> Expr | None:
        """The function by its value so many steps away; None for no step, or where it does not apply."""
        if not steps or (self.whole is not None and not whole(arguments[self.whole])):
            return None
        at = list(arguments)
        at[self.place] = at[self.place] + steps
        value: Expr = call(self.function, *at)
        for _ in range(abs(steps)):
            at[self.place] = at[self.place] - self.direction
            value = self.step(value, at)
        return value


@dataclass(frozen=True)
class Identity:
    """What a function of certain arguments is in other terms.

    `within`: what must not be negative for it to hold, None where it holds wherever both sides have a value.
    """

    function: str
    statement: str
    source: str
    rewrite: Rewrite
    within: Of[Sequence[Expr]] | None = None


def shifted(argument: Expr) -> tuple[Expr, int]:
    """An argument as one whose constant term lies in [0, 1), and a whole number.

    >>> from gradproof.symbolic.expressions import parameter
    >>> shifted(parameter("x") + Fraction(5, 2))
    ((1/2 + x), 2)
    """
    if isinstance(argument, Number):
        steps = argument.value.numerator // argument.value.denominator
    elif isinstance(argument, Add):
        fixed = next((t.value for t in argument.terms if isinstance(t, Number)), Fraction(0))
        steps = fixed.numerator // fixed.denominator
    else:
        return argument, 0
    return argument - steps, steps


def called(expr: Expr, name: str) -> Expr | None:
    """The argument, if the expression is a call of a function of one."""
    return expr.arguments[0] if isinstance(expr, Call) and expr.function == name else None


def to_the(base: Expr, exponent: Expr) -> Expr:
    """A power with any exponent, of a positive base."""
    if isinstance(exponent, Number):
        return power(base, exponent.value)
    return exp(exponent * log(base))

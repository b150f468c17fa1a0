"""Stated identities of the gamma function and its relatives. Sources: DLMF, by equation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial

from flint import fmpq

from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Expr,
    Number,
    add,
    call,
    mul,
    number,
    power,
)
from gradproof.symbolic.identity import (
    HALF,
    MAX_ORDER,
    MAX_SHIFT,
    Identity,
    Recurrence,
    shifted,
    to_the,
)
from gradproof.symbolic.special import PI, cos, exp, log, root


def _rgamma_number(x: Expr) -> Expr | None:
    if not isinstance(x, Number):
        return None
    value = x.value
    if value.denominator == 1:
        return ZERO if value <= 0 else number(Fraction(1, factorial(int(value) - 1))) if value < 200 else None
    whole_part = value.numerator // value.denominator
    if abs(whole_part) > MAX_SHIFT:
        return None
    rest = value - whole_part
    made = power(PI, -HALF) if rest == HALF else call("rgamma", rest)
    if rest != HALF and not whole_part:
        return None
    for n in range(abs(whole_part)):
        made = made / (rest + n) if whole_part > 0 else made * (rest - n - 1)
    return made


def _digamma_number(x: Expr) -> Expr | None:
    """`digamma(1)` is minus Euler's constant; it stays as it is."""
    if not isinstance(x, Number) or x.value == 1:
        return None
    value = x.value
    if value.denominator == 1 and value <= 0:
        raise ZeroDivisionError("digamma at a pole")
    steps = -(-value.numerator // value.denominator) - 1
    rest = value - steps
    if abs(steps) > MAX_SHIFT or (not steps and rest != HALF):
        return None
    made = call("digamma", rest) if rest != HALF else call("digamma", 1) - 2 * log(number(2))
    for n in range(abs(steps)):
        made = made + 1 / number(rest + n) if steps > 0 else made - 1 / number(rest - n - 1)
    return made


def _lgamma_number(x: Expr) -> Expr | None:
    if not isinstance(x, Number) or x.value <= 0:
        return None
    inverse = _rgamma_number(x)
    return None if inverse is None else mul(-1, log(inverse)) if inverse is not ONE else ZERO


def _polygamma(n: Expr, x: Expr) -> Expr | None:
    if n is ZERO:
        return call("digamma", x)
    if not (isinstance(n, Number) and isinstance(x, Number)):
        return None
    if n.value.denominator != 1 or not 0 <= n.value <= MAX_ORDER:
        return None
    return _polygamma_number(int(n.value), x.value)


def _polygamma_step(value: Expr, arguments: Sequence[Expr]) -> Expr:
    n, x = arguments
    if isinstance(n, Number) and n.value <= MAX_ORDER:
        order = int(n.value)
        return value - (-1) ** order * factorial(order) * power(x, -order - 1)
    return value - cos(PI * n) * exp(-(n + 1) * log(x)) / call("rgamma", n + 1)


def _polygamma_number(order: int, x: Fraction) -> Expr | None:
    """At whole numbers and halves, from `polygamma(n, 1) = (-1)^(n+1) n! zeta(n+1)`."""
    if x.denominator > 2 or abs(x) > MAX_SHIFT:
        return None
    if x.denominator == 1 and x <= 0:
        raise ZeroDivisionError("polygamma at a pole")
    start = Fraction(1) if x.denominator == 1 else HALF
    at_start = (-1) ** (order + 1) * factorial(order) * call("zeta", order + 1, 1)
    made: Expr = at_start if start == 1 else mul(2 ** (order + 1) - 1, at_start)
    while start < x:
        made = made + (-1) ** order * factorial(order) * power(number(start), -order - 1)
        start += 1
    while start > x:
        start -= 1
        made = made - (-1) ** order * factorial(order) * power(number(start), -order - 1)
    return made


def _zeta(s: Expr, a: Expr) -> Expr | None:
    if isinstance(s, Number) and s.value.denominator == 1 and 2 <= s.value <= MAX_ORDER and a is not ONE:
        n = int(s.value)
        return mul(Fraction((-1) ** n, factorial(n - 1)), call("polygamma", n - 1, a))
    if isinstance(s, Number) and a is ONE and s.value.denominator == 1 and abs(s.value) <= 40:
        return _zeta_number(int(s.value))
    if not isinstance(a, Number):
        return None
    rest, steps = shifted(a)
    rest, steps = (ONE, steps - 1) if a.value.denominator == 1 else (rest, steps)
    if steps <= 0 or steps > MAX_SHIFT:
        return None
    return call("zeta", s, rest) - add(*(to_the(rest + k, -s) for k in range(steps)))


def _zeta_number(s: int) -> Expr | None:
    """`zeta(2n) = |B_2n| (2 pi)^(2n) / (2 (2n)!)`, `zeta(-n) = (-1)^n B_(n+1) / (n+1)`."""
    if s <= 0:
        return number((-1) ** (-s) * _bernoulli(1 - s) / (1 - s)) if s < 0 else number(-HALF)
    if s % 2:
        return None
    return mul(abs(_bernoulli(s)) * Fraction(2 ** (s - 1), factorial(s)), power(PI, s))


def _bernoulli(n: int) -> Fraction:
    value = fmpq.bernoulli(n)
    return Fraction(int(value.p), int(value.q))


def _upper(a: Expr, x: Expr) -> Expr | None:
    """By `Gamma(a + 1, x) = a Gamma(a, x) + x^a exp(-x)`, a number is brought to 0, to 1 or into (0, 1)."""
    if a is ONE:
        return exp(-x)
    if a is ZERO:
        return mul(-1, call("Ei", -x))
    if isinstance(a, Number) and a.value == HALF:
        return root(PI) * (ONE - call("erf", root(x)))
    if not isinstance(a, Number):
        return None
    rest, steps = shifted(a)
    if a.value.denominator == 1 and a.value > 0:
        rest, steps = ONE, int(a.value) - 1
    if not steps or abs(steps) > MAX_SHIFT:
        return None
    value = call("uppergamma", rest, x)
    for n in range(abs(steps)):
        if steps > 0:
            value = (rest + n) * value + to_the(x, rest + n) * exp(-x)
        else:
            below = rest - n - 1
            value = (value - to_the(x, below) * exp(-x)) / below
    return value


GAMMA_IDENTITIES = (
    Identity("rgamma", "1/Gamma(x+1) = 1/(x Gamma(x)) at numbers", "5.5.1", _rgamma_number),
    Identity("digamma", "digamma(x+1) = digamma(x) + 1/x at numbers", "5.5.2", _digamma_number),
    Identity("lgamma", "log Gamma at numbers", "5.5.1", _lgamma_number),
    Identity(
        "polygamma", "polygamma(0, x) = digamma(x); values at whole numbers and halves", "5.15", _polygamma
    ),
    Identity("zeta", "polygamma(s-1, a) for whole s; Bernoulli numbers", "25.11.3", _zeta),
    Identity("uppergamma", "Gamma(1, x) = exp(-x), Gamma(0, x) = -Ei(-x), Gamma(1/2, x)", "8.4", _upper),
)

GAMMA_RECURRENCES = (
    Recurrence("rgamma", "1/Gamma(x) = x/Gamma(x+1)", "5.5.1", 0, 1, lambda value, at: at[0] * value),
    Recurrence("digamma", "digamma(x) = digamma(x+1) - 1/x", "5.5.2", 0, 1, lambda v, at: v - 1 / at[0]),
    Recurrence(
        "lgamma",
        "log|Gamma(x)| = log|Gamma(x+1)| - log|x|",
        "5.5.1",
        0,
        1,
        lambda value, at: value - log(power(at[0], 2)) / 2,
    ),
    Recurrence(
        "polygamma",
        "polygamma(n, x) = polygamma(n, x+1) - (-1)^n n!/x^(n+1)",
        "5.15.5",
        1,
        1,
        _polygamma_step,
        whole=0,
    ),
    Recurrence(
        "zeta",
        "zeta(s, a) = zeta(s, a+1) + a^-s",
        "25.11.3",
        1,
        1,
        lambda value, at: value + to_the(at[1], -at[0]),
    ),
    Recurrence(
        "uppergamma",
        "Gamma(a+1, x) = a Gamma(a, x) + x^a exp(-x)",
        "8.8.2",
        0,
        -1,
        lambda value, at: (at[0] - 1) * value + to_the(at[1], at[0] - 1) * exp(-at[1]),
    ),
)

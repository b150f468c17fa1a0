"""Stated identities between the values of one special function, by which a value is brought to a normal form.

Each row rewrites a function of given arguments, or says nothing. It holds wherever both of its sides have a
value, and both are analytic there: what the normal form finds equal is so, by continuity, wherever both sides
of a claim have a value. (What a claim needs to have one is read off the formulas as they were written.) The
tests confirm each row by ball arithmetic. Sources: DLMF, by equation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import factorial
from typing import cast

from flint import fmpq

from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Call,
    Expr,
    Mul,
    Number,
    add,
    call,
    mul,
    number,
    power,
)
from gradproof.symbolic.special import PI, cos, exp, log, root, sin
from gradproof.symbolic.special_row import Of, whole

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


def _called(expr: Expr, name: str) -> Expr | None:
    """The argument, if the expression is a call of a function of one."""
    return expr.arguments[0] if isinstance(expr, Call) and expr.function == name else None


# --- the gamma family


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
    return call("zeta", s, rest) - add(*(_to_the(rest + k, -s) for k in range(steps)))


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


def _to_the(base: Expr, exponent: Expr) -> Expr:
    if isinstance(exponent, Number):
        return power(base, exponent.value)
    return exp(exponent * log(base))


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
            value = (rest + n) * value + _to_the(x, rest + n) * exp(-x)
        else:
            below = rest - n - 1
            value = (value - _to_the(x, below) * exp(-x)) / below
    return value


# --- Bessel and Airy functions


_RECURRENCES = {"besselj": (-1, 1), "bessely": (-1, 1), "besseli": (1, -1), "besselk": (1, 1)}
"""`f_{n+1} = outer f_{n-1} + inner 2n/x f_n`, as (outer, inner)."""


def _cylinder(name: str) -> Rewrite:
    """To orders in [0, 2), and to elementary functions for halves."""
    outer, inner = _RECURRENCES[name]

    def rewrite(n: Expr, x: Expr) -> Expr | None:
        if isinstance(n, Number):
            found = _cylinder_value(name, n.value, x)
            if found is not None:
                return found
        _, steps = shifted(n)
        if x is ZERO:
            return None
        if steps in (0, 1) or abs(steps) > MAX_SHIFT:
            return None
        if steps > 1:
            return outer * call(name, n - 2, x) + inner * (2 * (n - 1) / x) * call(name, n - 1, x)
        return outer * (call(name, n + 2, x) - inner * (2 * (n + 1) / x) * call(name, n + 1, x))

    return rewrite


def _cylinder_value(name: str, n: Fraction, x: Expr) -> Expr | None:
    """At x = 0, of negative orders, and of the orders 1/2 and 3/2."""
    if x is ZERO and name in ("besselj", "besseli"):
        if n == 0:
            return ONE
        if n > 0 or n.denominator == 1:
            return ZERO
    if n < 0 and (n.denominator == 1 or name == "besselk"):
        odd = name in ("besselj", "bessely") and n % 2 == 1
        return mul(-1 if odd else 1, call(name, number(-n), x))
    if n not in (HALF, 3 * HALF):
        return None
    scale = root(PI / (2 * x)) if name == "besselk" else root(2 / (PI * x))
    growing, falling = (exp(x) + exp(-x)) / 2, (exp(x) - exp(-x)) / 2
    lower, upper = {
        "besselj": (sin(x), sin(x) / x - cos(x)),
        "bessely": (-cos(x), -cos(x) / x - sin(x)),
        "besseli": (falling, growing - falling / x),
        "besselk": (exp(-x), exp(-x) * (ONE + 1 / x)),
    }[name]
    return scale * (lower if n == HALF else upper)


# --- others


def _asin(x: Expr) -> Expr | None:
    special = {
        ONE: HALF,
        number(HALF): Fraction(1, 6),
        root(number(2)) / 2: Fraction(1, 4),
        root(number(3)) / 2: Fraction(1, 3),
    }
    found = special.get(x)
    return None if found is None else mul(found, PI)


def _atan(x: Expr) -> Expr | None:
    special = {ONE: Fraction(1, 4), root(number(3)): Fraction(1, 3), root(number(3)) / 3: Fraction(1, 6)}
    found = special.get(x)
    return None if found is None else mul(found, PI)


def _angle(name: str, x: Expr) -> Expr | None:
    """The angle of which an expression is the sine, or the tangent."""
    if name == "asin":
        turned = _called(x, "cos")
        return _called(x, "sin") if turned is None else PI / 2 - turned
    if not isinstance(x, Mul) or len(x.factors) != 2:
        return None
    for a, b in (x.factors, x.factors[::-1]):
        for above, below, turned in (("sin", "cos", False), ("cos", "sin", True)):
            angle = _called(a, above)
            if angle is not None and angle is _called(1 / b, below):
                return PI / 2 - angle if turned else angle
    return None


def _turned_back(name: str, turns: int) -> Identity:
    """On one stretch of length pi, what an inverse gives back of an angle."""
    sign = -1 if name == "asin" and turns % 2 else 1
    of = {"asin": "sin", "atan": "tan"}[name]

    def rewrite(x: Expr) -> Expr | None:
        angle = _angle(name, x)
        return None if angle is None else sign * (angle - turns * PI)

    def within(x: Expr) -> Sequence[Expr]:
        away = (_angle(name, x) or ZERO) - turns * PI
        return PI / 2 - away, PI / 2 + away

    statement = f"{name}({of}(u)) = {'-' if sign < 0 else ''}(u - {turns} pi) where |u - {turns} pi| <= pi/2"
    return Identity(name, statement, "4.24(iv)", rewrite, within)


def _elliptic(value: Fraction) -> Rewrite:
    return lambda m: mul(value, PI) if m is ZERO else None


def _incomplete(name: str) -> Rewrite:
    def rewrite(phi: Expr, m: Expr) -> Expr | None:
        if phi is ZERO or m is ZERO:
            return phi
        if isinstance(phi, Mul) and isinstance(phi.factors[0], Number) and phi.factors[0].value < 0:
            return mul(-1, call(name, -phi, m))
        return None

    return rewrite


def _lambert(x: Expr) -> Expr | None:
    special = {
        ZERO: ZERO,
        exp(ONE): ONE,
        -exp(-ONE): -ONE,
        -power(exp(ONE), -1): -ONE,
        2 * log(number(2)): log(number(2)),
    }
    return special.get(x)


def _polylog(s: Expr, z: Expr) -> Expr | None:
    if z is ZERO:
        return ZERO
    if s is ONE:
        return mul(-1, log(ONE - z))
    if s is ZERO:
        return z / (ONE - z)
    if isinstance(s, Number) and s.value.denominator == 1 and -MAX_SHIFT <= s.value < 0:
        return _eulerian(-int(s.value), z)
    return None


def _eulerian(n: int, z: Expr) -> Expr:
    """`Li_{-n}(z) = sum_k k! S(n+1, k+1) (z/(1-z))^(k+1)`, S the Stirling numbers of the second kind."""
    row = [1]
    for _ in range(n):
        row = [*row, 0]
        row = [(k + 1) * row[k] + (row[k - 1] if k else 0) for k in range(len(row))]
    ratio = z / (ONE - z)
    return add(*(factorial(k) * row[k] * ratio ** (k + 1) for k in range(n + 1)))


def _hyper(name: str, above: int) -> Rewrite:
    def rewrite(*arguments: Expr) -> Expr | None:
        upper, z = arguments[:above], arguments[-1]
        if z is ZERO or ZERO in upper:
            return ONE
        if name == "hyp1f1" and arguments[0] is arguments[1]:
            return exp(z)
        if name == "hyp2f1" and arguments[0].key > arguments[1].key:
            return call(name, arguments[1], arguments[0], *arguments[2:])
        return None

    return rewrite


def _frac(x: Expr) -> Expr | None:
    """What is whole by its domain is left out; a number is taken modulo 1."""
    if isinstance(x, Number):
        return x - x.value.numerator // x.value.denominator
    parts = x.terms if isinstance(x, Add) else (x,)
    rest = add(*(part for part in parts if not whole(part)))
    if isinstance(rest, Number):
        return _frac(rest)
    rest, _ = shifted(rest)
    return None if rest is x else call("frac", rest)


IDENTITIES = (
    Identity("floor", "floor(x) = x - frac(x)", "1.1", lambda x: x - call("frac", x)),
    Identity("frac", "frac(x + n) = frac(x) for whole n", "1.1", _frac),
    Identity("erf", "erf(erfinv(x)) = x", "7.17.1", lambda x: _called(x, "erfinv")),
    Identity("erfinv", "erfinv(erf(x)) = x", "7.17.1", lambda x: _called(x, "erf")),
    Identity("asin", "values at 1/2, sqrt(2)/2, sqrt(3)/2, 1", "4.17", _asin),
    Identity("atan", "values at sqrt(3)/3, 1, sqrt(3)", "4.17", _atan),
    *(_turned_back(name, turns) for name in ("asin", "atan") for turns in (0, 1, -1)),
    Identity("rgamma", "1/Gamma(x+1) = 1/(x Gamma(x)) at numbers", "5.5.1", _rgamma_number),
    Identity("digamma", "digamma(x+1) = digamma(x) + 1/x at numbers", "5.5.2", _digamma_number),
    Identity("lgamma", "log Gamma at numbers", "5.5.1", _lgamma_number),
    Identity(
        "polygamma", "polygamma(0, x) = digamma(x); values at whole numbers and halves", "5.15", _polygamma
    ),
    Identity("zeta", "polygamma(s-1, a) for whole s; Bernoulli numbers", "25.11.3", _zeta),
    Identity("uppergamma", "Gamma(1, x) = exp(-x), Gamma(0, x) = -Ei(-x), Gamma(1/2, x)", "8.4", _upper),
    Identity("besselj", "J_{n+1} = 2n/x J_n - J_{n-1}, J_{-n} = (-1)^n J_n", "10.6.1", _cylinder("besselj")),
    Identity("bessely", "Y_{n+1} = 2n/x Y_n - Y_{n-1}, Y_{-n} = (-1)^n Y_n", "10.6.1", _cylinder("bessely")),
    Identity("besseli", "I_{n+1} = I_{n-1} - 2n/x I_n, I_{-n} = I_n", "10.29.1", _cylinder("besseli")),
    Identity("besselk", "K_{n+1} = K_{n-1} + 2n/x K_n, K_{-n} = K_n", "10.29.1", _cylinder("besselk")),
    Identity("elliptic_k", "K(0) = pi/2", "19.6.1", _elliptic(HALF)),
    Identity("elliptic_d", "D(0) = pi/4", "19.6.1", _elliptic(Fraction(1, 4))),
    Identity("elliptic_f", "F(phi, 0) = phi, F(0, m) = 0, odd in phi", "19.6.8", _incomplete("elliptic_f")),
    Identity(
        "elliptic_e_inc", "E(phi, 0) = phi, E(0, m) = 0, odd in phi", "19.6.9", _incomplete("elliptic_e_inc")
    ),
    Identity("lambertw", "W(0) = 0, W(e) = 1, W(-1/e) = -1", "4.13.1", _lambert),
    Identity("polylog", "Li_1(z) = -log(1-z), Li_0(z) = z/(1-z), Li_{-n} rational", "25.12", _polylog),
    Identity("hyp0f1", "1 at z = 0", "16.2.1", _hyper("hyp0f1", 0)),
    Identity("hyp1f1", "1 at z = 0 and at a = 0; exp(z) for a = b", "13.6.1", _hyper("hyp1f1", 1)),
    Identity(
        "hyp2f1", "1 at z = 0, at a = 0 and at b = 0; symmetric in a and b", "15.2.1", _hyper("hyp2f1", 2)
    ),
)

RECURRENCES = {
    row.function: row
    for row in (
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
            lambda value, at: value + _to_the(at[1], -at[0]),
        ),
        Recurrence(
            "uppergamma",
            "Gamma(a+1, x) = a Gamma(a, x) + x^a exp(-x)",
            "8.8.2",
            0,
            -1,
            lambda value, at: (at[0] - 1) * value + _to_the(at[1], at[0] - 1) * exp(-at[1]),
        ),
    )
}

_BY_NAME: dict[str, list[Identity]] = {}
for _row in IDENTITIES:
    _BY_NAME.setdefault(_row.function, []).append(_row)


def rewritten(
    name: str, arguments: tuple[Expr, ...], nonnegative: Callable[[Expr], bool] = lambda _: False
) -> Expr | None:
    """What a function of these arguments is by the first identity that says something; None if none does.

    `nonnegative` tells whether an expression is surely so wherever the arguments lie.
    """
    for identity in _BY_NAME.get(name, ()):
        found = cast("Callable[..., Expr | None]", identity.rewrite)(*arguments)
        if found is None:
            continue
        within = cast("Callable[..., Sequence[Expr]] | None", identity.within)
        if within is None or all(nonnegative(limit) for limit in within(*arguments)):
            return found
    return None

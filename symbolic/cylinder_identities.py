"""Stated identities of Bessel functions. Sources: DLMF, by equation."""

from __future__ import annotations

from fractions import Fraction

from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Expr,
    Number,
    call,
    mul,
    number,
)
from gradproof.symbolic.identity import (
    HALF,
    MAX_SHIFT,
    Identity,
    Rewrite,
    shifted,
)
from gradproof.symbolic.special import PI, cos, exp, root, sin

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


CYLINDER_IDENTITIES = (
    Identity("besselj", "J_{n+1} = 2n/x J_n - J_{n-1}, J_{-n} = (-1)^n J_n", "10.6.1", _cylinder("besselj")),
    Identity("bessely", "Y_{n+1} = 2n/x Y_n - Y_{n-1}, Y_{-n} = (-1)^n Y_n", "10.6.1", _cylinder("bessely")),
    Identity("besseli", "I_{n+1} = I_{n-1} - 2n/x I_n, I_{-n} = I_n", "10.29.1", _cylinder("besseli")),
    Identity("besselk", "K_{n+1} = K_{n-1} + 2n/x K_n, K_{-n} = K_n", "10.29.1", _cylinder("besselk")),
)

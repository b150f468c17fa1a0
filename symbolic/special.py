"""The special functions of scalar claims: one row each.

A row is the only place where such a function's derivative, its domain, its value in ball arithmetic and what
is known of its sign are written. The identities between values of one function stand in `identities.py`.
Every function but `floor` and `frac`, whose jumps are told apart in `cases.py`, is analytic wherever its
demands hold strictly, so where a derivative below is a quotient `0/0` the
function still has one, by continuity. Sources: DLMF, by equation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from flint import acb, arb

from gradproof.symbolic.domain import POSITIVE, Interval
from gradproof.symbolic.enclosures import by_order
from gradproof.symbolic.expressions import ONE, ZERO, Call, Expr, Number, call, constant, mul, power, walk
from gradproof.symbolic.special_row import Derivative, Needs, Order, Special
from gradproof.symbolic.whole_numbers import whole

HALF = Fraction(1, 2)


def _f(name: str) -> Callable[[Expr], Expr]:
    return lambda x: call(name, x)


exp, log, sin, cos = _f("exp"), _f("log"), _f("sin"), _f("cos")
PI = constant("pi")


def root(x: Expr) -> Expr:
    """The square root."""
    return power(x, HALF)


def _odd(_: Expr) -> int:
    return -1


def _order_parity(n: Expr, _: Expr) -> int | None:
    """`J_n(-x) = (-1)^n J_n(x)` for whole n; for symbolic ones nothing is said."""
    return None if not isinstance(n, Number) or n.value.denominator != 1 else 1 if n.value % 2 == 0 else -1


def _cylinder_demands(n: Expr, x: Expr) -> Needs:
    if whole(n):
        return ()
    return ((x, ">=" if isinstance(n, Number) and n.value >= 0 else ">"),)


def _mean_derivative(name: str, sign: int, outer: int = 1) -> Derivative:
    """`(f_{n-1} + sign f_{n+1}) / 2`, up to a sign in front."""

    def of(n: Expr, x: Expr) -> Expr:
        return mul(Fraction(outer, 2), call(name, n - 1, x) + sign * call(name, n + 1, x))

    return of


def _real(value: Any) -> Any:
    """The real part of a value that is real; NaN where it is not."""
    return value.real if value.imag.contains(0) else arb.nan()


def _cylinder(name: str) -> Callable[[Any, Any], Any]:
    def of(n: Any, x: Any) -> Any:
        return _real(getattr(acb(x), name)(acb(n)))

    return of


def _continued_cylinder(name: str) -> Order:
    return Order(0, lambda n, x: getattr(x, name)(n))


def _to_pole(x: Any) -> Any:
    """How far a number is from 0, -1, -2, ..."""
    return x if x > 0 else abs(x - (x + arb(1) / 2).floor())


def _off_poles(x: Expr) -> Needs:
    return ((call("rgamma", x), "!="),)


def _below_one(m: Expr) -> Needs:
    return ((ONE - m, ">"),)


def _elliptic_d(m: Any) -> Any:
    return _real(acb.elliptic_rd(acb(0), 1 - acb(m), acb(1))) / 3


def _delta(phi: Expr, m: Expr) -> Expr:
    return root(ONE - m * sin(phi) ** 2)


def _f_by_m(phi: Expr, m: Expr) -> Expr:
    f, e = call("elliptic_f", phi, m), call("elliptic_e_inc", phi, m)
    last = sin(phi) * cos(phi) / (2 * (ONE - m) * _delta(phi, m))
    return e / (2 * m * (ONE - m)) - f / (2 * m) - last


def _polygamma_positive(n: Expr, x: Expr) -> Sequence[Expr]:
    return (x,) if isinstance(n, Number) and n.value % 2 == 1 else (ZERO,)


def _lgamma(x: Any) -> Any:
    value = abs(x.rgamma())
    return -value.log() if value > 0 else arb.nan()


def _floor(x: Any) -> Any:
    """The floor of a ball that holds no jump; NaN for one that does."""
    value = x.floor()
    return value if value.is_exact() else arb.nan()


_ROWS = (
    # what jumps at whole numbers; between them frac has the derivative 1
    Special("floor", (lambda x: ZERO,), _floor, source="1.1"),
    Special(
        "frac",
        (lambda x: ONE,),
        lambda x: x - _floor(x),
        bounds=Interval(Fraction(0), Fraction(1), low_closed=True),
        source="1.1",
    ),
    # inverses of circular functions
    Special(
        "atan",
        (lambda x: 1 / (ONE + x**2),),
        lambda x: x.atan(),
        even_or_odd=_odd,
        signed=True,
        bounds=Interval(Fraction(-11, 7), Fraction(11, 7)),
        source="4.24.10",
    ),
    Special(
        "asin",
        (lambda x: 1 / root(ONE - x**2),),
        lambda x: x.asin(),
        needs=lambda x: ((ONE - x, ">="), (ONE + x, ">=")),
        even_or_odd=_odd,
        signed=True,
        bounds=Interval(Fraction(-11, 7), Fraction(11, 7)),
        source="4.24.7",
    ),
    Special(
        "atan2",
        (lambda y, x: x / (x**2 + y**2), lambda y, x: -y / (x**2 + y**2)),
        lambda y, x: arb.atan2(y, x),
        bounds=Interval(Fraction(-22, 7), Fraction(22, 7)),
        source="4.23(iii)",
    ),
    # error functions
    Special(
        "erfinv",
        (lambda x: root(PI) / 2 * exp(call("erfinv", x) ** 2),),
        lambda x: x.erfinv(),
        needs=lambda x: ((ONE - x, ">"), (ONE + x, ">")),
        even_or_odd=_odd,
        signed=True,
        source="7.17",
    ),
    Special(
        "erfi",
        (lambda x: 2 / root(PI) * exp(x**2),),
        lambda x: x.erfi(),
        even_or_odd=_odd,
        signed=True,
        source="7.2(ii)",
    ),
    Special(
        "fresnels",
        (lambda x: sin(PI * x**2 / 2),),
        lambda x: x.fresnel_s(),
        even_or_odd=_odd,
        signed=True,
        bounds=Interval(Fraction(-1), Fraction(1)),
        source="7.2.8",
    ),
    Special(
        "fresnelc",
        (lambda x: cos(PI * x**2 / 2),),
        lambda x: x.fresnel_c(),
        even_or_odd=_odd,
        signed=True,
        bounds=Interval(Fraction(-1), Fraction(1)),
        source="7.2.7",
    ),
    # the gamma family; 1/gamma is entire, so gamma is written through it
    Special(
        "rgamma",
        (lambda x: -call("digamma", x) * call("rgamma", x),),
        lambda x: x.rgamma(),
        positive_where=lambda x: (x,),
        source="5.2.2",
    ),
    Special(
        "lgamma",
        (_f("digamma"),),
        _lgamma,
        needs=_off_poles,
        source="5.2.2",
    ),
    Special(
        "digamma",
        (lambda x: call("polygamma", 1, x),),
        lambda x: x.digamma(),
        needs=_off_poles,
        source="5.15.1",
    ),
    Special(
        "polygamma",
        (None, lambda n, x: call("polygamma", n + 1, x)),
        lambda n, x: _real(acb(x).polygamma(acb(n))),
        needs=lambda n, x: ((n, ">="), *_off_poles(x)),
        positive_where=_polygamma_positive,
        source="5.15",
    ),
    Special(
        "uppergamma",
        (None, lambda a, x: -exp((a - 1) * log(x) - x)),
        lambda a, x: x.gamma_upper(a),
        needs=lambda a, x: ((x, ">"),),
        positive_where=lambda a, x: (x,),
        source="8.8.13",
        orders=(Order(0, lambda a, x: x.gamma_upper(a)),),
    ),
    Special(
        "betainc_lower",
        (None, None, lambda a, b, x: exp((a - 1) * log(x) + (b - 1) * log(ONE - x))),
        lambda a, b, x: x.beta_lower(a, b),
        needs=lambda a, b, x: ((a, ">"), (b, ">"), (x, ">"), (ONE - x, ">")),
        positive_where=lambda a, b, x: (x,),
        source="8.17.1",
        orders=(
            Order(0, lambda a, b, x: x.beta_lower(a, b), lambda a, b, x: a),
            Order(1, lambda a, b, x: x.beta_lower(a, b), lambda a, b, x: b),
        ),
    ),
    # Bessel and Airy functions
    Special(
        "besselj",
        (None, _mean_derivative("besselj", -1)),
        _cylinder("bessel_j"),
        needs=_cylinder_demands,
        even_or_odd=_order_parity,
        source="10.6.1",
        orders=(_continued_cylinder("bessel_j"),),
    ),
    Special(
        "bessely",
        (None, _mean_derivative("bessely", -1)),
        _cylinder("bessel_y"),
        needs=lambda n, x: ((x, ">"),),
        source="10.6.1",
        orders=(_continued_cylinder("bessel_y"),),
    ),
    Special(
        "besseli",
        (None, _mean_derivative("besseli", 1)),
        _cylinder("bessel_i"),
        needs=_cylinder_demands,
        even_or_odd=_order_parity,
        positive_where=lambda n, x: (x,) if whole(n) or (isinstance(n, Number) and n.value > 0) else (ZERO,),
        source="10.29.1",
        orders=(_continued_cylinder("bessel_i"),),
    ),
    Special(
        "besselk",
        (None, _mean_derivative("besselk", 1, -1)),
        _cylinder("bessel_k"),
        needs=lambda n, x: ((x, ">"),),
        positive_where=lambda n, x: (x,),
        source="10.29.1",
        orders=(_continued_cylinder("bessel_k"),),
    ),
    Special("airyai", (_f("airyaiprime"),), lambda x: x.airy_ai(), source="9.2.1"),
    Special("airyaiprime", (lambda x: x * call("airyai", x),), lambda x: x.airy_ai(1), source="9.2.1"),
    Special("airybi", (_f("airybiprime"),), lambda x: x.airy_bi(), source="9.2.1"),
    Special("airybiprime", (lambda x: x * call("airybi", x),), lambda x: x.airy_bi(1), source="9.2.1"),
    # exponential, sine and cosine integrals
    Special(
        "Ei",
        (lambda x: exp(x) / x,),
        lambda x: x.ei(),
        needs=lambda x: ((x, "!="),),
        source="6.2.5",
    ),
    Special(
        "Si",
        (lambda x: sin(x) / x,),
        lambda x: x.si(),
        even_or_odd=_odd,
        signed=True,
        bounds=Interval(Fraction(-2), Fraction(2)),
        source="6.2.9",
    ),
    Special("Ci", (lambda x: cos(x) / x,), lambda x: x.ci(), needs=lambda x: ((x, ">"),), source="6.2.11"),
    Special(
        "Shi",
        (lambda x: (exp(x) - exp(-x)) / (2 * x),),
        lambda x: x.shi(),
        even_or_odd=_odd,
        signed=True,
        source="6.2.15",
    ),
    Special(
        "Chi",
        (lambda x: (exp(x) + exp(-x)) / (2 * x),),
        lambda x: x.chi(),
        needs=lambda x: ((x, ">"),),
        source="6.2.16",
    ),
    # elliptic integrals; D = (K - E)/m has no singularity at 0, so E is written through it
    Special(
        "elliptic_k",
        (lambda m: (call("elliptic_k", m) - call("elliptic_d", m)) / (2 * (ONE - m)),),
        lambda m: _real(acb(m).elliptic_k()),
        needs=_below_one,
        positive_where=lambda m: (ONE - m,),
        bounds=POSITIVE,
        source="19.4.1",
    ),
    Special(
        "elliptic_d",
        (lambda m: (call("elliptic_k", m) - (2 - m) * call("elliptic_d", m)) / (2 * m * (ONE - m)),),
        _elliptic_d,
        needs=_below_one,
        positive_where=lambda m: (ONE - m,),
        bounds=POSITIVE,
        source="19.4.1",
    ),
    Special(
        "elliptic_f",
        (lambda phi, m: 1 / _delta(phi, m), _f_by_m),
        lambda phi, m: _real(acb.elliptic_f(acb(phi), acb(m))),
        needs=lambda phi, m: _below_one(m),
        source="19.4.4",
    ),
    Special(
        "elliptic_e_inc",
        (
            _delta,
            lambda phi, m: (call("elliptic_e_inc", phi, m) - call("elliptic_f", phi, m)) / (2 * m),
        ),
        lambda phi, m: _real(acb.elliptic_e_inc(acb(phi), acb(m))),
        needs=lambda phi, m: _below_one(m),
        source="19.4.6",
    ),
    # zeta and polylogarithms
    Special(
        "zeta",
        (None, lambda s, a: -s * call("zeta", s + 1, a)),
        lambda s, a: _real(acb(s).zeta(acb(a))),
        needs=lambda s, a: ((a, ">"), (s - 1, "!=")),
        positive_where=lambda s, a: (a, s - 1),
        source="25.11.17",
        orders=(Order(0, lambda s, a: s.zeta(a), lambda s, a: abs(s - 1)),),
    ),
    Special(
        "polylog",
        (None, lambda s, z: call("polylog", s - 1, z) / z),
        lambda s, z: _real(acb(z).polylog(acb(s))),
        needs=lambda s, z: ((ONE - z, ">"),),
        source="25.12.10",
        orders=(Order(0, lambda s, z: z.polylog(s)),),
    ),
    # Lambert's function, the principal branch
    Special(
        "lambertw",
        (lambda x: exp(-call("lambertw", x)) / (ONE + call("lambertw", x)),),
        lambda x: x.lambertw(),
        needs=lambda x: ((x + exp(mul(-1, ONE)), ">="),),
        signed=True,
        source="4.13.4",
    ),
    # hypergeometric series
    Special(
        "hyp0f1",
        (None, lambda b, z: call("hyp0f1", b + 1, z) / b),
        lambda b, z: z.hypgeom_0f1(b),
        needs=lambda b, z: ((call("rgamma", b), "!="),),
        source="16.3.1",
        orders=(Order(0, lambda b, z: z.hypgeom_0f1(b), lambda b, z: _to_pole(b)),),
    ),
    Special(
        "hyp1f1",
        (None, None, lambda a, b, z: a / b * call("hyp1f1", a + 1, b + 1, z)),
        lambda a, b, z: z.hypgeom_1f1(a, b),
        needs=lambda a, b, z: ((call("rgamma", b), "!="),),
        source="13.3.15",
        orders=(
            Order(0, lambda a, b, z: z.hypgeom_1f1(a, b)),
            Order(1, lambda a, b, z: z.hypgeom_1f1(a, b), lambda a, b, z: _to_pole(b)),
        ),
    ),
    Special(
        "hyp2f1",
        (None, None, None, lambda a, b, c, z: a * b / c * call("hyp2f1", a + 1, b + 1, c + 1, z)),
        lambda a, b, c, z: z.hypgeom_2f1(a, b, c),
        needs=lambda a, b, c, z: ((call("rgamma", c), "!="), (ONE - z, ">")),
        source="15.5.1",
        orders=(
            Order(0, lambda a, b, c, z: z.hypgeom_2f1(a, b, c)),
            Order(1, lambda a, b, c, z: z.hypgeom_2f1(a, b, c)),
            Order(2, lambda a, b, c, z: z.hypgeom_2f1(a, b, c), lambda a, b, c, z: _to_pole(c)),
        ),
    ),
)

SPECIAL: dict[str, Special] = {
    row.name: row for row in (*_ROWS, *(made for row in _ROWS for made in by_order(row)))
}


def without_closed_form(expr: Expr) -> str | None:
    """Which derivative by an order an expression holds, in words; None if it holds none."""
    for node in walk(expr):
        partial = (
            SPECIAL[node.function].partial if isinstance(node, Call) and node.function in SPECIAL else None
        )
        if partial is not None:
            assert isinstance(node, Call)
            name, place = partial
            return f"the derivative of {call(name, *node.arguments)} by its argument {place + 1}"
    return None

"""Formulas that people write: an expression together with everything that it needs to have a value.

An expression forgets where what it came from was defined (`x**2/x` becomes `x`), so a formula keeps the
demands beside it, in the order in which an evaluation would meet them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Bracket,
    Call,
    Constant,
    Expr,
    Mul,
    Number,
    Parameter,
    Power,
    Relation,
    Where,
    bracket,
    call,
    constant,
    mul,
    number,
    parameter,
    power,
    where,
)
from gradproof.symbolic.signs import positive
from gradproof.symbolic.special import SPECIAL
from gradproof.symbolic.whole_numbers import whole

MAX_EXPONENT = 1000
MAX_BITS = 4096
"""Exact numbers grow no longer than that."""

MAX_SIZE = 20_000
MAX_DEMANDS = 400
"""A formula written out has at most so many parts and demands."""

UNDEFINED = call("undefined")
"""What has no value at all."""


class TooBigError(ValueError):
    """A number or an exponent past the limits."""


@dataclass(frozen=True)
class Formula:
    """An expression and its demands. Conditions are formulas with the values 0 and 1."""

    value: Expr
    demands: tuple[Demand, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "demands", tuple(dict.fromkeys(self.demands)))
        if len(self.demands) > MAX_DEMANDS or written_size(self.value) > MAX_SIZE:
            raise TooBigError("the formula is too large when it is written out")

    def __add__(self, other: Formula) -> Formula:
        return Formula(self.value + other.value, self.demands + other.demands)

    def __sub__(self, other: Formula) -> Formula:
        return Formula(self.value - other.value, self.demands + other.demands)

    def __mul__(self, other: Formula) -> Formula:
        made = mul(self.value, other.value)
        _bounded(made)
        return Formula(made, self.demands + other.demands)

    def __neg__(self) -> Formula:
        return Formula(-self.value, self.demands)

    def __truediv__(self, other: Formula) -> Formula:
        return self * other.raised(Fraction(-1))

    def raised(self, exponent: Fraction) -> Formula:
        """A constant rational power; raises TooBigError for an exponent past the limit."""
        if abs(exponent.numerator) > MAX_EXPONENT or exponent.denominator > MAX_EXPONENT:
            raise TooBigError(f"the exponent {_short(exponent)} is too large; at most {MAX_EXPONENT}")
        if isinstance(self.value, Number):
            size = max(abs(self.value.value.numerator), self.value.value.denominator).bit_length()
            if size * abs(exponent.numerator) > MAX_BITS:
                raise TooBigError(f"{_short(self.value.value)} to the power {exponent} is too large")
        asked = self.demands
        if exponent.denominator > 1:
            asked += (Demand(self.value, ">" if exponent < 0 else ">=", ()),)
        elif exponent < 0:
            asked += (Demand(self.value, "!=", ()),)
        if self.value is ZERO and exponent < 0:
            return Formula(UNDEFINED, asked)
        made = power(self.value, exponent)
        for part in made.children if isinstance(made, Mul) else (made,):
            if isinstance(part, Power) and abs(part.exponent) > MAX_EXPONENT**2:
                raise TooBigError(f"the exponent {_short(part.exponent)} is too large")
        return Formula(made, asked)

    def needing(self, subject: Expr, relation: str) -> Formula:
        """The same formula with one demand more."""
        return Formula(self.value, (*self.demands, Demand(subject, relation, ())))

    def under(self, guard: Expr) -> Formula:
        """The same formula, its demands asked for only where the guard holds."""
        if guard is ONE:
            return self
        guarded = tuple(replace(d, guards=(guard, *d.guards)) for d in self.demands)
        return Formula(self.value, guarded if guard is not ZERO else ())


@lru_cache(maxsize=1 << 16)
def written_size(expr: Expr) -> int:
    """How many nodes an expression has when everything that it shares is written out."""
    return 1 + sum(written_size(child) for child in expr.children)


def _bounded(value: Expr) -> None:
    if isinstance(value, Number):
        bits = max(abs(value.value.numerator), value.value.denominator).bit_length()
        if bits > 4 * MAX_BITS:
            raise TooBigError(f"a number of {bits} binary digits is too large")


def _short(value: Fraction) -> str:
    """A number for a message; one with many digits is named by how many it has."""
    if max(abs(value.numerator), value.denominator).bit_length() > 100:
        return "with more than 30 digits"
    return str(value)


def exact(value: int | Fraction | str) -> Formula:
    """A number."""
    return Formula(number(Fraction(value)))


PI = Formula(constant("pi"))
EULER = Formula(call("exp", 1))
NAN = Formula(UNDEFINED, (Demand(ZERO, "!=", ()),))
"""A formula without a value."""


def variable(name: str, domain: str = "real") -> Formula:
    """A variable."""
    return Formula(parameter(name, domain))


# --- cases


def choose(condition: Formula, yes: Formula, no: Formula) -> Formula:
    """`yes` where the condition holds, else `no`; the other one need not have a value."""
    asked = (
        *condition.demands,
        *yes.under(condition.value).demands,
        *no.under(ONE - condition.value).demands,
    )
    return Formula(where(condition.value, yes.value, no.value), asked)


def compare(relation: Relation, left: Formula, right: Formula) -> Formula:
    """1 where the relation holds, else 0."""
    return Formula(bracket(relation, left.value, right.value), left.demands + right.demands)


def both(a: Formula, b: Formula) -> Formula:
    """And, from left to right: where `a` is false, `b` is not looked at."""
    return Formula(a.value * b.value, a.demands + b.under(a.value).demands)


def either(a: Formula, b: Formula) -> Formula:
    """Or, from left to right."""
    return Formula(ONE - (ONE - a.value) * (ONE - b.value), a.demands + b.under(ONE - a.value).demands)


def negated(a: Formula) -> Formula:
    """Not."""
    return Formula(ONE - a.value, a.demands)


def larger(a: Formula, b: Formula) -> Formula:
    """The larger of two."""
    return choose(compare(">", a, b), a, b)


def smaller(a: Formula, b: Formula) -> Formula:
    """The smaller of two."""
    return choose(compare("<", a, b), a, b)


def magnitude(x: Formula) -> Formula:
    """`|x|`."""
    return choose(compare(">=", x, exact(0)), x, -x)


# --- powers


def raise_to(base: Formula, exponent: Formula) -> Formula:
    """`base ** exponent`, real: for a constant rational exponent, or as `exp(exponent * log(base))`.

    With a variable exponent, 0 to a positive power is 0, to the power 0 it is 1; a negative base has a value
    where the exponent is a whole number by its domain.
    """
    if isinstance(exponent.value, Number):
        made = base.raised(exponent.value.value)
        return Formula(made.value, exponent.demands + made.demands)
    asked = base.demands + exponent.demands
    if base.value is EULER.value:
        return Formula(call("exp", exponent.value), asked)
    grown = call("exp", exponent.value * call("log", base.value))
    if positive(base.value):
        return Formula(grown, asked)
    nothing = Formula(where(bracket("==", exponent.value, 0), ONE, ZERO))
    nothing = nothing.needing(exponent.value, ">=")
    below = nothing
    if whole(exponent.value):
        turned = call("cos", exponent.value * constant("pi")) * call(
            "exp", exponent.value * call("log", -base.value)
        )
        below = choose(compare("<", Formula(base.value), exact(0)), Formula(turned), nothing)
    else:
        below = nothing.needing(base.value, ">=")
    made = choose(compare(">", Formula(base.value), exact(0)), Formula(grown), below)
    return Formula(made.value, asked + made.demands)


# --- functions


def apply(name: str, *arguments: Formula) -> Formula:
    """A leaf function, or a special function with what it needs to have a value."""
    values = [a.value for a in arguments]
    made = Formula(call(name, *values), tuple(d for a in arguments for d in a.demands))
    if name in SPECIAL:
        for subject, relation in SPECIAL[name].demands(values):
            made = made.needing(subject, relation)
    return made


def log(x: Formula) -> Formula:
    """The natural logarithm."""
    if isinstance(x.value, Number) and x.value.value <= 0:
        return Formula(UNDEFINED, x.demands).needing(x.value, ">")
    value = ZERO if x.value is ONE else call("log", x.value)
    return Formula(value, x.demands).needing(x.value, ">")


# --- writing


def written(expr: Expr) -> str:
    """An expression in the syntax that formulas are typed in.

    >>> x = parameter("x")
    >>> written(x**2 / 3 - 2 / call("exp", x))
    'x**2/3 - 2/exp(x)'
    """
    if isinstance(expr, Add):
        text = ""
        for term in sorted(expr.terms, key=_constant_last):
            part = written(term)
            text += (f" - {part[1:]}" if part.startswith("-") else f" + {part}") if text else part
        return text
    if isinstance(expr, Call):
        return f"{expr.function}({', '.join(map(written, expr.arguments))})"
    if isinstance(expr, Bracket):
        return f"{written(expr.left)} {expr.relation} {written(expr.right)}"
    if isinstance(expr, Where):
        cases = f"({written(expr.yes)}, {written(expr.condition)}), ({written(expr.no)}, True)"
        return f"Piecewise({cases})"
    if isinstance(expr, Mul | Power):
        return _written_product(expr)
    return expr.key


def _constant_last(expr: Expr) -> tuple[bool, bool]:
    """Constants stand last, and a term with a minus behind one without."""
    return isinstance(expr, Number), written(expr).startswith("-")


def _written_product(expr: Mul | Power) -> str:
    above: list[str] = []
    below: list[str] = []
    sign = ""
    for factor in expr.factors if isinstance(expr, Mul) else (expr,):
        if isinstance(factor, Number):
            sign = "-" if factor.value < 0 else ""
            if abs(factor.value.numerator) != 1:
                above.append(str(abs(factor.value.numerator)))
            if factor.value.denominator != 1:
                below.append(str(factor.value.denominator))
        elif isinstance(factor, Power) and _inverse_gamma(factor.base):
            gamma = call("gamma", *factor.base.children)
            (above if factor.exponent < 0 else below).append(_written_power(gamma, abs(factor.exponent)))
        elif isinstance(factor, Power):
            (below if factor.exponent < 0 else above).append(
                _written_power(factor.base, abs(factor.exponent))
            )
        else:
            above.append(_tight(factor))
    over = "*".join(above) or "1"
    if not below:
        return sign + over
    return f"{sign}{over}/{below[0]}" if len(below) == 1 else f"{sign}{over}/({'*'.join(below)})"


def _inverse_gamma(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.function == "rgamma"


def _written_power(base: Expr, exponent: Fraction) -> str:
    if exponent == Fraction(1, 2):
        return f"sqrt({written(base)})"
    if exponent == 1:
        return _tight(base)
    shown = str(exponent) if exponent.denominator == 1 else f"({exponent})"
    return f"{_tight(base)}**{shown}"


def _tight(expr: Expr) -> str:
    alone = isinstance(expr, Call | Parameter | Constant) or (
        isinstance(expr, Number) and expr.value >= 0 and expr.value.denominator == 1
    )
    return written(expr) if alone else f"({written(expr)})"

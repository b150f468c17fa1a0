"""Functions of quotients in a tower: special ones, exponentials, logarithms."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from flint import fmpz

from gradproof.symbolic.angles import turn
from gradproof.symbolic.expressions import (
    Call,
    Expr,
    Number,
    Power,
    call,
    mul,
    number,
)
from gradproof.symbolic.identities import RECURRENCES, rewritten
from gradproof.symbolic.identity import MAX_SHIFT, shifted
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.quotients import (
    ONE,
    Factor,
    Quotient,
)
from gradproof.symbolic.special import SPECIAL

if TYPE_CHECKING:
    from gradproof.symbolic.tower import Tower

MAX_TIMES = 256


def apply_function(tower: Tower, expr: Call) -> Quotient:
    """The quotient of a function; raises ZeroDivisionError for what has no value anywhere."""
    if not expr.arguments:
        raise ZeroDivisionError(f"{expr.function} has no value")
    if expr.function in SPECIAL or expr.function == "erf":
        return _special(tower, expr)
    argument = tower.quotient(expr.arguments[0])
    if expr.function in ("sin", "cos"):
        return turn(tower, argument)[expr.function == "sin"]
    simple = {"exp": _exp, "log": _log, "sigmoid": _sigmoid, "tanh": _tanh, "softplus": _softplus}
    if expr.function in simple:
        return simple[expr.function](tower, argument)
    return Quotient(tower.generator(call(expr.function, tower.show(argument))), ONE)


def _special(tower: Tower, expr: Call) -> Quotient:
    """A special function: its last argument with a sign that leads, then its stated identities."""
    name, arguments = expr.function, [tower.quotient(a) for a in expr.arguments]
    shown = [tower.show(a) for a in arguments]
    parity = -1 if name == "erf" else SPECIAL[name].parity(shown)
    if parity == -1 and arguments[-1].zero:
        return arguments[-1]
    sign = 1
    if parity and arguments[-1].above.leading_coefficient() < 0:
        sign, shown[-1] = parity, tower.show(tower.scaled(arguments[-1], -1))
    found = rewritten(name, tuple(shown), tower.nonnegative) or _moved(tower, name, tuple(shown))
    if found is not None:
        return tower.scaled(tower.quotient(found), sign)
    return Quotient(tower.generator(call(name, *shown)) * sign, ONE)


def _moved(tower: Tower, name: str, arguments: tuple[Expr, ...]) -> Expr | None:
    """A function in terms of the one that all its neighbours are written through."""
    recurrence = RECURRENCES.get(name)
    if recurrence is None:
        return None
    rest, steps = shifted(arguments[recurrence.place])
    if isinstance(rest, Number):
        return None
    others = [a.key for n, a in enumerate(arguments) if n != recurrence.place]
    key = f"{name} at {rest.key} of {others}"
    end = tower.fineness.end(key, steps, recurrence.direction)
    return recurrence.towards(arguments, end - steps) if abs(end - steps) <= MAX_SHIFT else None


def _exp(tower: Tower, argument: Quotient) -> Quotient:
    result = tower.constant(1)
    for term, value in tower.parts(argument):
        result = tower.times(result, _exp_term(tower, term, value))
    return result


def _exp_term(tower: Tower, term: Expr, value: Fraction) -> Quotient:
    """`exp(value * term)`: a power of the exponential of a part of the term."""
    if isinstance(term, Call) and term.function == "log":
        return tower.power(tower.quotient(term.arguments[0]), value)
    if isinstance(term, Call) and term.function == "lambertw" and value.denominator == 1:
        ratio = tower.times(tower.quotient(term.arguments[0]), tower.inverse(tower.quotient(term)))
        return tower.whole_power(ratio, int(value))
    if isinstance(term, Call) and term.function == "lgamma":
        found = tower.absolute(call("rgamma", term.arguments[0]))
        if found is not None:
            return tower.power(found, -value)
    key = f"exp of {term.key}"
    unit = tower.fineness.unit(key, value)
    times = int(value / unit)
    if abs(times) > MAX_TIMES:
        raise TooLargeError(f"the {times}th power of exp({unit} {term})")
    generator = tower.generator(call("exp", mul(unit, term)))
    return tower.whole_power(Quotient(generator, ONE), times)


def _log(tower: Tower, argument: Quotient) -> Quotient:
    if argument.zero:
        raise ZeroDivisionError("the logarithm of 0")
    content, factors = tower.split(argument)
    sign, known, open_ = tower.known_signs(content, factors)
    if not open_ and sign < 0:
        raise ZeroDivisionError("the logarithm of a negative number")
    parts = [_log_number(tower, abs(content))]
    parts += [tower.scaled(_log_factor(tower, f), f.times) for f in known]
    if open_:
        tower.unsigned |= {str(f.base): f.base for f in open_}
        joint = Quotient(ONE * sign, ONE)
        for f in open_:
            joint = tower.times(joint, tower.whole_power(Quotient(f.base, ONE), f.times))
        parts.append(Quotient(tower.generator(call("log", tower.show(joint))), ONE))
    result = parts[0]
    for part in parts[1:]:
        result = tower.plus(result, part)
    return result


def _log_factor(tower: Tower, f: Factor) -> Quotient:
    """`log |f|` of one irreducible factor of known sign."""
    lone = tower.lone(f.base)
    if lone is not None:
        atom = tower.atoms[lone]
        if isinstance(atom, Call) and atom.function == "exp":
            return tower.quotient(atom.arguments[0])
        if isinstance(atom, Call) and atom.function == "rgamma":
            return tower.scaled(tower.quotient(call("lgamma", atom.arguments[0])), -1)
        if isinstance(atom, Power) and lone in tower.relations:
            return tower.scaled(_log(tower, tower.quotient(atom.base)), atom.exponent)
    size = tower.expr(f.base * (-1 if f.sign == -1 else 1))
    return Quotient(tower.generator(call("log", size)), ONE)


def _log_number(tower: Tower, value: Fraction) -> Quotient:
    result = tower.constant(0)
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        for prime, times in fmpz(part).factor():
            generator = Quotient(tower.generator(call("log", number(int(prime)))), ONE)
            result = tower.plus(result, tower.scaled(generator, sign * int(times)))
    return result


def _sigmoid(tower: Tower, argument: Quotient) -> Quotient:
    grown = _exp(tower, argument)
    return tower.times(grown, tower.inverse(tower.plus(tower.constant(1), grown)))


def _tanh(tower: Tower, argument: Quotient) -> Quotient:
    grown = _exp(tower, tower.scaled(argument, 2))
    one = tower.constant(1)
    return tower.times(tower.plus(grown, tower.scaled(one, -1)), tower.inverse(tower.plus(grown, one)))


def _softplus(tower: Tower, argument: Quotient) -> Quotient:
    return _log(tower, tower.plus(tower.constant(1), _exp(tower, argument)))

"""Where expressions are 0, and cells cut there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from math import ceil, floor

from gradproof.symbolic.cases import OpenSignError, replace_parameters, strict_sign
from gradproof.symbolic.cells import Cell, Fact, parameters
from gradproof.symbolic.domain import Interval
from gradproof.symbolic.expressions import (
    ZERO,
    Call,
    Expr,
    Number,
    Parameter,
    Power,
    Relation,
    add,
    call,
    constant,
    mul,
    parameter,
    power,
)
from gradproof.symbolic.formulas import written
from gradproof.symbolic.isolation import ball as value_ball
from gradproof.symbolic.isolation import ball_sign, interval_point, outward
from gradproof.symbolic.places import Place
from gradproof.symbolic.quotients import Polynomial, rational
from gradproof.symbolic.special import SPECIAL
from gradproof.symbolic.tangent import tangent

MAX_ANGLE = 60
"""Zeros of sines and cosines are found for angles in a range up to so long."""
MARK = "'"
"""Behind this mark stands the number of a variable that was put in."""

_fresh = count()
_THREE: tuple[Relation, ...] = ("<", "==", ">")


class UnsolvableError(Exception):
    """The zeros of an expression are not found."""


def solve(place: Place, expr: Expr, name: str) -> list[Expr]:
    """The values of a free variable at which an expression is 0, from the smallest up.

    Raises OpenSignError where they depend on a sign that is not known, UnsolvableError if they are not found.
    """
    return place.steady(lambda: _Solver(place, name).zeros(expr))


@dataclass
class _Solver:
    place: Place
    name: str

    def zeros(self, expr: Expr) -> list[Expr]:
        _, factors = self.place.split(self.place.tower.quotient(expr))
        found: list[Expr] = []
        shown = [self.place.tower.expr(f.base) for f in factors if f.times > 0]
        for part in shown:
            if self.name in parameters(part):
                found += [zero for zero in self.of_factor(part) if zero not in found]
        return self.ordered(found)

    def ordered(self, zeros: list[Expr]) -> list[Expr]:
        """The zeros sorted and without repetition; raises OpenSignError where their order is not known."""
        made: list[Expr] = []
        for zero in zeros:
            at = 0
            for other in made:
                sign = strict_sign(self.place, zero - other)
                if sign == 0:
                    break
                at += sign > 0
            else:
                made.insert(at, zero)
        return made

    def of_factor(self, part: Expr) -> list[Expr]:
        tower = self.place.tower
        poly = tower.quotient(part).above
        moving = [p for p in tower.used(poly) if self.name in parameters(tower.atoms[p])]
        if len(moving) != 1:
            raise UnsolvableError(f"{part} = 0")
        (at,) = moving
        atom = tower.atoms[at]
        coefficients = self.coefficients(poly, at)
        values = self.of_polynomial(coefficients, part)
        if isinstance(atom, Parameter):
            return values
        return [zero for value in values for zero in self.invert(atom, value, part)]

    def coefficients(self, poly: Polynomial, at: int) -> list[Expr]:
        tower = self.place.tower
        parts: dict[int, list[Expr]] = {}
        for exponents, value in poly.to_dict().items():
            size = len(exponents)
            factors = [
                power(tower.atoms[size - 1 - n], int(e))
                for n, e in enumerate(exponents)
                if e and size - 1 - n != at
            ]
            power_here = int(exponents[size - 1 - at])
            parts.setdefault(power_here, []).append(mul(rational(value), *factors))
        return [add(*parts.get(n, [])) for n in range(max(parts) + 1)]

    def nonzero(self, expr: Expr) -> None:
        if not self.place.sign(expr)[0].nonzero:
            raise OpenSignError(self.place, self.place.sign(expr)[1] or [expr])

    def of_polynomial(self, c: list[Expr], part: Expr) -> list[Expr]:
        if len(c) == 2:
            self.nonzero(c[1])
            return [mul(-1, c[0], power(c[1], -1))]
        if len(c) == 3:
            sign = strict_sign(self.place, c[2])
            inside = c[1] ** 2 - 4 * c[0] * c[2]
            spread = strict_sign(self.place, inside)
            half = power(2 * c[2], -1)
            if spread < 0:
                return []
            root = power(self.place.normal(inside), Fraction(1, 2)) if spread else ZERO
            ends = [self.place.normal(mul(-1, c[1] + s * root, half)) for s in (1, -1)]
            return ends[:1] if not spread else ends if sign > 0 else ends[::-1]
        if all(coefficient is ZERO for coefficient in c[1:-1]):
            return self.of_power(len(c) - 1, mul(-1, c[0], power(c[-1], -1)))
        if not self.place.sign(part)[1]:
            return []
        raise UnsolvableError(f"{part} = 0")

    def of_power(self, degree: int, value: Expr) -> list[Expr]:
        """The real numbers whose power is a value."""
        sign = strict_sign(self.place, value)
        if degree % 2 == 0 and sign < 0:
            return []
        root = mul(sign, power(sign * value, Fraction(1, degree)))
        return [root] if degree % 2 or not sign else [-root, root]

    def invert(self, atom: Expr, value: Expr, part: Expr) -> list[Expr]:
        """Where a generator has a value that does not depend on the variable."""
        sign = strict_sign(self.place, value)
        if isinstance(atom, Call) and atom.function == "exp":
            return [] if sign <= 0 else self.zeros(atom.arguments[0] - call("log", value))
        if isinstance(atom, Call) and atom.function == "log":
            return self.zeros(atom.arguments[0] - call("exp", value))
        if isinstance(atom, Call) and sign == 0 and (atom.function == "erf" or _signed(atom)):
            return self.zeros(atom.arguments[0])
        if isinstance(atom, Call) and atom.function == "lambertw":
            least = strict_sign(self.place, value + 1)
            return [] if least < 0 else self.zeros(atom.arguments[0] - value * call("exp", value))
        if isinstance(atom, Call) and atom.function in ("sin", "cos"):
            return self.of_turn(atom, value, part)
        if isinstance(atom, Power) and 0 < atom.exponent < 1:
            return [] if sign < 0 else self.zeros(atom.base - power(value, 1 / atom.exponent))
        raise UnsolvableError(f"{part} = 0")

    def of_turn(self, atom: Call, value: Expr, part: Expr) -> list[Expr]:
        """Where a sine or a cosine has a constant value, its angle in a bounded range."""
        if parameters(value):
            raise UnsolvableError(f"{part} = 0")
        if -1 in (strict_sign(self.place, 1 - value), strict_sign(self.place, 1 + value)):
            return []
        (angle,) = atom.arguments
        if atom.function == "cos":
            angle = constant("pi") / 2 - angle
        spread = self.place.range(angle)
        if spread.low is None or spread.high is None or spread.high - spread.low > MAX_ANGLE:
            raise UnsolvableError(f"{part} = 0")
        first = call("asin", value)
        low, high = spread.low - 5, spread.high + 2
        found: list[Expr] = []
        for turns in range(floor(min(low / 6, low / 7)), ceil(max(high / 6, high / 7)) + 1):
            for start in (first, constant("pi") - first):
                found += self.zeros(angle - self.place.normal(start) - 2 * turns * constant("pi"))
        return found


def _signed(atom: Call) -> bool:
    """Whether a function has the sign of its argument."""
    return atom.function in SPECIAL and SPECIAL[atom.function].signed


# --- cutting


def cut(error: OpenSignError, avoid: str | None = None) -> list[Cell]:
    """Cells that cover the cell of the place, on each of which a sign that was missing is known.

    `avoid` names a variable that is not to be cut. Raises UnsolvableError where no variable can be cut.
    """
    place = error.place
    for expr in error.exprs:
        names = sorted(parameters(expr) & set(place.cell.intervals))
        if avoid in names:
            continue
        for name in names:
            try:
                return cut_at(place, expr, name, solve(place, expr, name))
            except UnsolvableError:
                continue
        if names:
            shown = written(original(place.cell, expr))
            known = place.sign(expr)[0]
            return [
                place.cell.knowing(Fact(expr, relation)).labelled(f"{shown} {relation} 0")
                for relation in _THREE
                if known.sign is None or relation == "==" or relation == ("<" if known.sign < 0 else ">")
            ]
    raise UnsolvableError(f"the sign of {error}")


def inside(place: Place, name: str, zeros: list[Expr]) -> list[Expr]:
    """Those of the values that lie in the interval of the variable."""
    interval = place.intervals[name]
    kept: list[Expr] = []
    for zero in zeros:
        above = 1 if interval.low is None else strict_sign(place, zero - interval.low)
        below = 1 if interval.high is None else strict_sign(place, interval.high - zero)
        low, high = place.cell.ends.get(name, (None, None))
        beyond = (zero - low if low is not None else None, high - zero if high is not None else None)
        if any(e is not None and place.sign(e)[0].strict in (-1, 0) for e in beyond):
            continue
        if (above > 0 or (above == 0 and interval.low_closed)) and (
            below > 0 or (below == 0 and interval.high_closed)
        ):
            kept.append(zero)
    return kept


def cut_at(place: Place, expr: Expr, name: str, zeros: list[Expr]) -> list[Cell]:
    """The cells between and on the values of a variable at which an expression is 0."""
    walls = inside(place, name, zeros)
    if not walls:
        side = side_of(place, expr, name, zeros)
        if side is not None:
            return [place.cell.knowing(side)]
        return [place.cell.knowing(*signs_at(place.cell, name, core_of(place.cell, name), (expr,)))]
    cells: list[Cell] = []
    for n in range(len(walls) + 1):
        low = walls[n - 1] if n else None
        high = walls[n] if n < len(walls) else None
        cells.append(between(place.cell, name, low, high, (expr,)))
        if high is not None and not off_grid(place.cell, name, high):
            here, there = (written(original(place.cell, e)) for e in (parameter(name), high))
            cells.append(place.cell.framed(name, high, f"{here} = {there}"))
    return [c for c in cells if not c.empty]


def off_grid(cell: Cell, name: str, value: Expr) -> bool:
    """Whether a value is none that a variable of whole numbers takes."""
    whole = isinstance(value, Number) and value.value.denominator == 1
    return name in cell.integers and not whole and not parameters(value)


def between(cell: Cell, name: str, low: Expr | None, high: Expr | None, signed: Sequence[Expr] = ()) -> Cell:
    """The part of a cell where a variable lies between two values, the ends left out.

    `signed` are expressions that are not 0 there: their signs are added to what is known, if they are told.
    """
    old = cell.intervals[name]
    shown = [original(cell, e) if e is not None else None for e in (parameter(name), low, high)]
    label = _between_label(written(shown[0] or parameter(name)), shown[1], shown[2], old)
    end = low if low is not None else high
    if (low is None) != (high is None) and end is not None and parameters(end):
        free = old.high is None if low is not None else old.low is None
        if free and name not in cell.integers:
            step = fresh(name)
            sign = 1 if low is not None else -1
            meaning = original(cell, sign * (parameter(name) - end))
            return cell.stepped(step, meaning).framed(name, end + sign * parameter(step), label)
    interval, core = old, old
    for value, side in ((low, -1), (high, 1)):
        if value is not None and not parameters(value):
            interval, core = interval.meet(_beyond(value, side)), core.meet(_beyond(value, side, core=True))
    facts = [Fact(parameter(name) - low, ">")] if low is not None and not isinstance(low, Number) else []
    facts += [Fact(high - parameter(name), ">")] if high is not None and not isinstance(high, Number) else []
    made = cell.within(name, interval, label).ending(name, low, high).knowing(*facts)
    if core.empty or not signed:
        return made
    told = [e for e in signed if parameters(e) == {name}]
    return made.knowing(*signs_at(made, name, core, told, needed=False))


def side_of(place: Place, expr: Expr, name: str, zeros: Sequence[Expr]) -> Fact | None:
    """The sign of an expression that is linear in a variable, where its only zero lies beside the cell."""
    variable = parameter(name)
    rate = tangent(replace_parameters(expr, {name: variable}), lambda e: e, variable=variable)
    if len(zeros) != 1 or name in parameters(rate):
        return None
    slope = place.sign(rate)[0].strict
    low, high = place.cell.ends.get(name, (None, None))
    if not slope:
        return None
    if low is not None and place.sign(zeros[0] - low)[0].strict in (-1, 0):
        return Fact(expr, ">" if slope > 0 else "<")
    if high is not None and place.sign(high - zeros[0])[0].strict in (-1, 0):
        return Fact(expr, "<" if slope > 0 else ">")
    return None


def core_of(cell: Cell, name: str) -> Interval:
    """An interval with rational ends that lies in the cell."""
    core = cell.intervals[name]
    for value, side in zip(cell.ends.get(name, (None, None)), (-1, 1), strict=True):
        if value is not None:
            if parameters(value):
                raise UnsolvableError(f"a sign between ends that vary: {written(value)}")
            core = core.meet(_beyond(value, side, core=True))
    return core


def signs_at(
    cell: Cell, name: str, core: Interval, exprs: Sequence[Expr], *, needed: bool = True
) -> list[Fact]:
    """The signs of expressions that are nowhere 0 on a cell, from one point of it; raises UnsolvableError."""
    facts: list[Fact] = []
    for expr in exprs:
        alone = parameters(expr) == {name} and not core.empty
        sign = ball_sign(expr, {name: interval_point(core)}, 256) if alone else None
        if sign:
            facts.append(Fact(expr, ">" if sign > 0 else "<"))
        elif needed:
            raise UnsolvableError(f"the sign of {written(expr)}")
    return facts


def original(cell: Cell, expr: Expr) -> Expr:
    """An expression in the variables of the claim."""
    return replace_parameters(expr, cell.steps)


def fresh(name: str) -> str:
    """A name for a step of a variable that no formula can hold."""
    return f"{name.partition(MARK)[0]}{MARK}{next(_fresh)}"


def _between_label(name: str, low: Expr | None, high: Expr | None, old: Interval) -> str:
    shown_low = written(low) if low is not None else str(old.low) if old.low is not None else ""
    shown_high = written(high) if high is not None else str(old.high) if old.high is not None else ""
    if shown_low and shown_high:
        return f"{shown_low} < {name} < {shown_high}"
    return f"{name} > {shown_low}" if shown_low else f"{name} < {shown_high}"


def _beyond(value: Expr, side: int, *, core: bool = False) -> Interval:
    """A ray with a rational end that holds all numbers above (side -1) or below (side 1) a constant.

    `core`: a ray that holds no other number.
    """
    if isinstance(value, Number):
        end = value.value
    else:
        end = outward(value_ball(value, {}, 256), -side if core else side)
    return Interval(end, None) if side < 0 else Interval(None, end)

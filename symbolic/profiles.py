"""A function along one variable: pieces between walls, values on walls, and derivatives everywhere.

On a piece the derivative is that of the expression. On a wall it is the common limit of the derivatives on
both sides, if the function is continuous there (by the mean value theorem); at a closed end one side counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Literal

from gradproof.symbolic.cases import (
    Cases,
    OpenSignError,
    UndecidedError,
    replace_parameters,
    strict_sign,
)
from gradproof.symbolic.cells import Cell, parameters
from gradproof.symbolic.cutting import fresh
from gradproof.symbolic.definedness import demands
from gradproof.symbolic.domain import POSITIVE, Interval
from gradproof.symbolic.expressions import (
    Call,
    Expr,
    Mul,
    Number,
    Power,
    add,
    call,
    constant,
    mul,
    number,
    parameter,
    power,
    rewrite,
    walk,
)
from gradproof.symbolic.formulas import Formula, written
from gradproof.symbolic.places import Place
from gradproof.symbolic.quotients import MAX_GENERATORS, Polynomial, Quotient, rational
from gradproof.symbolic.tangent import tangent

MAX_HOSPITAL = 6
MAX_ROOT = 12

Infinite = Literal["infinite"]
Absent = Literal["undefined", "no derivative"]
Value = Expr | Absent
"""An expression, or why there is none."""


@dataclass(frozen=True)
class Piece:
    """An open piece of the line, or a wall between two of them (`low is high`)."""

    place: Place
    low: Expr | None
    high: Expr | None

    @property
    def wall(self) -> bool:
        """Whether this is one point of the line."""
        return self.low is not None and self.low is self.high


def slope(expr: Expr, name: str, variable: Expr) -> Expr:
    """The derivative of an expression without cases by a parameter."""
    if name not in parameters(expr):
        return number(0)
    return tangent(replace_parameters(expr, {name: variable}), lambda e: e, variable=variable)


def profile(
    formula: Formula, pieces: Sequence[Piece], variable: Expr, order: int, *, assuming: bool
) -> list[Value]:
    """The derivative of some order of a formula on each piece, or why there is none."""
    values: list[Value] = []
    for piece in pieces:
        cases = Cases(piece.place, smooth=order > 0 and not piece.wall)
        value = cases.value(formula, assuming=assuming)
        values.append("undefined" if value is None else value)
    for _ in range(order):
        values = [_derivative(values, pieces, n, variable) for n in range(len(pieces))]
    return values


def _derivative(values: Sequence[Value], pieces: Sequence[Piece], n: int, variable: Expr) -> Value:
    value, piece = values[n], pieces[n]
    if isinstance(value, str):
        return value
    name = variable.key
    if not piece.wall:
        return slope(value, name, variable)
    found: list[Expr] = []
    sides = 0
    for m, direction in ((n - 1, -1), (n + 1, 1)):
        near = values[m] if 0 <= m < len(values) and not pieces[m].wall else None
        if near is None or isinstance(near, str):
            continue
        sides += 1
        here = Side(piece, pieces[m], variable, direction)
        reached = here.limit(near)
        if reached is None:
            raise UndecidedError(f"the limit of {near} at {name} = {piece.low} is not known")
        if isinstance(reached, str) or not equal(piece.place, reached, value):
            return "no derivative"
        steep = here.limit(slope(near, name, variable))
        if steep is None:
            raise UndecidedError(f"a kink: the derivative at {name} = {piece.low} is not known")
        if isinstance(steep, str):
            return "no derivative"
        found.append(steep)
    if not sides:
        raise UndecidedError(f"the left side has a value at {name} = {written(piece.low or value)} alone")
    return found[0] if all(equal(piece.place, found[0], other) for other in found[1:]) else "no derivative"


def equal(place: Place, a: Expr, b: Expr) -> bool:
    """Whether two expressions are equal on a cell, False if nowhere; raises OpenSignError otherwise."""
    known, missing = place.sign(a - b)
    if known.sign != 0 and not known.nonzero:
        raise OpenSignError(place, missing or [a - b])
    return known.sign == 0


@dataclass(frozen=True)
class Side:
    """One side of a wall, from which a limit is taken: `variable = wall + direction * step`, step to 0."""

    wall: Piece
    piece: Piece
    variable: Expr
    direction: int

    def limit(self, expr: Expr) -> Expr | Infinite | None:
        """The limit of an expression, to be read on the wall; None where it is not known."""
        if self._continuous(expr):
            return expr
        step = parameter(fresh(self.variable.key))
        germ = Place(self._germ(step, _root_degree(expr)))
        expr = rewrite(expr, lambda node: self._turned(node, germ))
        if self._continuous(expr):
            return expr
        at_wall = Place(_with(self.wall.place.cell, step.key, number(0)))
        for _ in range(MAX_HOSPITAL):
            above, below = germ.steady(lambda e=expr: _shown(germ, e))
            by_powers: Expr | Infinite | None = germ.steady(
                lambda e=expr: _power_limit(germ, at_wall, step, e)
            )
            if by_powers is not None:
                return _settled(by_powers, step)
            n, d = _at_zero(germ, at_wall, above), _at_zero(germ, at_wall, below)
            if n is None or d is None or d == "infinite":
                return None
            if n == "infinite" or not equal(at_wall, d, number(0)):
                return "infinite" if n == "infinite" else _settled(mul(n, power(d, -1)), step)
            if not equal(at_wall, n, number(0)):
                return "infinite"
            expr = mul(slope(above, step.key, step), power(slope(below, step.key, step), -1))
        return None

    def _continuous(self, expr: Expr) -> bool:
        """Whether the expression has a value on the wall, which then is its limit."""
        place = self.wall.place
        for demand in demands(expr, {}):
            try:
                known, missing = place.sign(demand.subject)
            except ZeroDivisionError:
                return False
            if known.sign == 0 and demand.relation != ">=":
                return False
            if demand.relation != ">=" and not known.nonzero:
                raise OpenSignError(place, missing)
        try:
            place.normal(expr)
        except ZeroDivisionError:
            return False
        return True

    def _turned(self, node: Expr, germ: Place) -> Expr:
        """An angle that is steep at the wall, measured from the other axis: `atan u = pi/2 - atan(1/u)`."""
        if not isinstance(node, Call) or node.function != "atan" or self._continuous(node):
            return node
        half = constant("pi") / 2
        (u,) = node.arguments
        return strict_sign(germ, u) * half - call("atan", 1 / u)

    def _germ(self, step: Expr, degree: int) -> Cell:
        """The points of the piece next to the wall, which a power of the step moves away from."""
        cell, start = self.wall.place.cell, self.wall.low
        assert start is not None
        far = self.piece.high if self.direction > 0 else self.piece.low
        interval = POSITIVE
        if isinstance(far, Number) and isinstance(start, Number):
            wide = abs(far.value - start.value)
            interval = Interval(Fraction(0), wide if degree == 1 else max(wide, Fraction(1)))
        away = cell.within(step.key, interval)
        return _with(away, self.variable.key, start + self.direction * step**degree)


def _settled(value: Expr | Infinite, step: Expr) -> Expr | Infinite:
    """A limit with the step put to 0."""
    return value if isinstance(value, str) else replace_parameters(value, {step.key: number(0)})


def _root_degree(expr: Expr) -> int:
    """A power of the step of which all roots inside are whole powers."""
    degrees = [node.exponent.denominator for node in walk(expr) if isinstance(node, Power)]
    return min(lcm(*degrees), MAX_ROOT)


def _with(cell: Cell, name: str, value: Expr) -> Cell:
    rest = {n: i for n, i in cell.intervals.items() if n != name}
    return Cell(rest, cell.integers, {**cell.frame, name: value}, cell.facts, cell.label)


def _shown(place: Place, expr: Expr) -> tuple[Expr, Expr]:
    """Numerator and denominator, in which `r/b` is written `1/r^(n-1)` for a root `r^n = b`."""
    tower = place.tower
    above, below = tower.quotient(expr)
    for at, (degree, relation) in tower.relations.items():
        root = tower.generator(tower.atoms[at])
        base = root**degree - relation
        while not base.is_constant() and divmod(above, root)[1].is_zero():
            rest, remainder = divmod(below, base)
            if not remainder.is_zero():
                break
            above, below = divmod(above, root)[0], rest * root ** (degree - 1)
    return tower.expr(above), tower.expr(below)


def _power_limit(germ: Place, wall: Place, step: Expr, expr: Expr) -> Expr | Infinite | None:
    """The limit of a quotient whose denominator is one term, from the powers of the step in every term."""
    tower = germ.tower
    q = tower.quotient(expr)
    if len(q.below) != 1:
        return None
    ((low, rest, logs),) = _terms(germ, wall, step, q.below)
    if logs or rest is None:
        return None
    finite: list[Expr] = []
    unbounded = 0
    for high, factor, logs in _terms(germ, wall, step, q.above):
        sign = strict_sign(wall, high - low)
        if sign > 0:
            continue
        if factor is None:
            return None
        if sign == 0 and not logs:
            finite.append(mul(factor, power(rest, -1)))
        else:
            unbounded += 1
    if unbounded:
        return "infinite" if unbounded == 1 else None
    return add(*finite)


def _terms(germ: Place, wall: Place, step: Expr, poly: Polynomial) -> list[tuple[Expr, Expr | None, bool]]:
    """Of each term: the power of the step, the rest (None if it may vanish), whether logarithms grow."""
    tower = germ.tower
    made: list[tuple[Expr, Expr | None, bool]] = []
    for exponents, value in poly.to_dict().items():
        height: Expr = number(0)
        rest: Expr | None = number(rational(value))
        logs = False
        for n, e in enumerate(exponents):
            if not e:
                continue
            atom = tower.atoms[MAX_GENERATORS - 1 - n]
            exponent = _step_exponent(atom, step)
            kind = "finite" if exponent is not None else _atom_limit(wall, atom)
            if kind is None:
                raise UndecidedError(f"the limit of {atom} is not known")
            if exponent is not None:
                height = height + int(e) * exponent
            elif kind == "log":
                logs = True
            elif kind == "zero" or not wall.sign(atom)[0].nonzero:
                rest = None
            elif rest is not None:
                rest = mul(rest, power(atom, int(e)))
        made.append((height, rest, logs))
    return made


def _step_exponent(atom: Expr, step: Expr) -> Expr | None:
    """The exponent of the step that a generator is a power of: the step itself, or `exp(c log(step))`."""
    if atom is step:
        return number(1)
    if isinstance(atom, Call) and atom.function == "exp":
        argument = atom.arguments[0]
        factors = argument.factors if isinstance(argument, Mul) else (argument,)
        log = call("log", step)
        if factors.count(log) == 1:
            rest = mul(*(f for f in factors if f is not log))
            return rest if step.key not in parameters(rest) else None
    return None


def _at_zero(germ: Place, wall: Place, expr: Expr) -> Expr | Infinite | None:
    """The limit of a polynomial in the generators as the step goes to 0."""
    return germ.steady(lambda: _polynomial_limit(germ, wall, germ.tower.quotient(expr)))


def _polynomial_limit(germ: Place, wall: Place, q: Quotient) -> Expr | Infinite | None:
    tower = germ.tower
    limits = {place: _atom_limit(wall, tower.atoms[place]) for place in tower.used(q.above)}
    if None in limits.values():
        return None
    terms: list[Expr] = []
    unbounded = 0
    for exponents, value in q.above.to_dict().items():
        powers = {MAX_GENERATORS - 1 - n: int(e) for n, e in enumerate(exponents) if e}
        if any(limits[p] == "zero" for p in powers):
            continue
        if any(limits[p] == "log" for p in powers):
            if not all(limits[p] == "log" or wall.sign(tower.atoms[p])[0].nonzero for p in powers):
                return None
            unbounded += 1
            continue
        terms.append(mul(rational(value), *(power(tower.atoms[p], e) for p, e in powers.items())))
    if unbounded > 1:
        return None
    return "infinite" if unbounded else add(*terms)


def _atom_limit(wall: Place, atom: Expr) -> Literal["zero", "log", "finite"] | None:
    """What becomes of a generator: it vanishes as a power of the step, grows as its logarithm, or neither."""
    try:
        for demand in demands(atom, {}):
            known, missing = wall.sign(demand.subject)
            if known.sign == 0 and demand.relation == ">" and demand.subject in atom.children:
                return "log"
            if known.sign == 0 and demand.relation != ">=":
                return None
            if not known.nonzero and demand.relation != ">=":
                raise OpenSignError(wall, missing)
        return "zero" if wall.sign(atom)[0].sign == 0 else "finite"
    except ZeroDivisionError:
        return None

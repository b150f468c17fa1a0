"""Cases decided on a cell, what a formula needs checked on it, and cells cut where a sign is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, floor

from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Bracket,
    Call,
    Expr,
    Mul,
    Number,
    Parameter,
    Power,
    Relation,
    Where,
    call,
    constant,
    mul,
    power,
    rewrite,
    walk,
)
from gradproof.symbolic.formulas import Formula, written
from gradproof.symbolic.places import Place
from gradproof.symbolic.signs import holds
from gradproof.symbolic.whole_numbers import whole

MAX_JUMPS = 64
"""A cell is cut at up to so many jumps of a floor."""


class UndecidedError(Exception):
    """What cannot be decided, with the reason."""


class OpenSignError(Exception):
    """The sign of an expression in the free variables of a place is not known there."""

    def __init__(self, place: Place, exprs: list[Expr]) -> None:
        super().__init__(", ".join(f"{e}" for e in exprs))
        self.place = place
        self.exprs = exprs


def strict_sign(place: Place, expr: Expr) -> int:
    """The sign of an expression all over the cell; raises OpenSignError if it has several or is not known."""
    if isinstance(expr, Number):
        return (expr.value > 0) - (expr.value < 0)
    known, missing = place.sign(expr)
    strict = known.strict
    if strict is None:
        raise OpenSignError(place, missing)
    return strict


# --- cases


@dataclass
class Cases:
    """Formulas on a cell: their cases decided, their demands checked.

    `smooth`: a derivative is taken, so what is under a root must not be 0. `pinned`: one is taken, and the
    cell is not open in the direction of it, so that no case may be decided by an equality.
    """

    place: Place
    smooth: bool = False
    pinned: bool = False
    equalities: list[Expr] = field(default_factory=list[Expr])
    decided: dict[tuple[Expr, bool], Expr] = field(default_factory=dict["tuple[Expr, bool]", Expr])
    asking: bool = False
    """What is resolved now is only asked for its sign, not differentiated."""

    def resolve(self, expr: Expr) -> Expr:
        """The expression without cases; raises OpenSignError where a case is not decided."""
        found = self.decided.get((expr, self.asking))
        if found is None:
            found = self.decided[(expr, self.asking)] = self._resolve(expr)
        return found

    def _resolve(self, expr: Expr) -> Expr:
        if isinstance(expr, Where):
            condition = self.resolve(expr.condition)
            return self.resolve(expr.no if condition is ZERO else expr.yes)
        if isinstance(expr, Mul):
            return self._product(expr)
        if isinstance(expr, Bracket):
            difference = self.resolve(expr.left - expr.right)
            if expr.relation in ("==", "!=") and self.place.sign(difference)[0].nonzero:
                return ONE if expr.relation == "!=" else ZERO
            sign = strict_sign(self.place, difference)
            if sign == 0:
                self.equalities.append(difference)
            return ONE if holds(expr.relation, sign) else ZERO
        if not expr.children:
            return expr
        if isinstance(expr, Call) and expr.function == "floor":
            return self._floor(self.resolve(expr.arguments[0]))
        if isinstance(expr, Call) and expr.function == "atan2":
            return self._angle(*(self.resolve(a) for a in expr.arguments))
        if self.smooth and isinstance(expr, Power) and expr.exponent > 0 and expr.exponent.denominator > 1:
            base = self.resolve(expr.base)
            return ZERO if self.place.vanishes(base) else power(base, expr.exponent)
        return expr.rebuild(tuple(self.resolve(child) for child in expr.children))

    def _angle(self, y: Expr, x: Expr) -> Expr:
        """The angle of a point off the cut `y = 0, x <= 0`, from an axis whose sign is known."""
        half = constant("pi") / 2
        right, above = (self.place.sign(e)[0].strict for e in (x, y))
        if right == 1:
            return call("atan", y / x)
        if above:
            return above * half - call("atan", x / y)
        unknown = [e for e, sign in ((x, right), (y, above)) if sign is None]
        if not unknown:
            raise ZeroDivisionError("an angle on its cut")
        raise OpenSignError(self.place, unknown)

    def _floor(self, argument: Expr) -> Expr:
        """The floor on a cell: a whole number, after the cell is cut at those in its range if they are few.

        Otherwise `u - frac(u)`; where a derivative is taken, the jumps are cut off.
        """
        if whole(argument):
            return argument
        fraction = self.place.normal(call("frac", argument))
        if isinstance(fraction, Number):
            value = self.place.normal(argument - fraction)
            if fraction is ZERO:
                self.equalities.append(argument - value)
            return value
        inner = next(n.arguments[0] for n in walk(fraction) if isinstance(n, Call) and n.function == "frac")
        found = self.place.range(inner)
        if self.place.normal(argument) is inner:
            found = found.meet(self.place.range(argument))
        if found.low is not None and found.high is not None and found.high - found.low <= MAX_JUMPS:
            low, high = floor(found.low), ceil(found.high)
            while high - low > 1:
                middle = (low + high) // 2
                sign = strict_sign(self.place, inner - middle)
                if sign == 0:
                    self.equalities.append(inner - middle)
                    low = high = middle
                low, high = (middle, high) if sign > 0 else (low, middle) if sign < 0 else (low, high)
            if found.high_closed and found.high == high and strict_sign(self.place, inner - high) == 0:
                low = high
            return self.place.normal(argument - inner) + low
        if self.smooth and not self.asking and not self.place.sign(fraction)[0].nonzero:
            raise OpenSignError(self.place, [fraction])
        other = self.place.normal(call("frac", -argument))
        if other.key < fraction.key and self.place.sign(fraction)[0].nonzero:
            return argument - ONE + call("frac", -argument)
        return argument - call("frac", argument)

    def _product(self, expr: Mul) -> Expr:
        """A product; one factor 0 spares the others, which need not be decided."""
        made: list[Expr] = []
        problem: Exception | None = None
        for factor in expr.factors:
            try:
                made.append(self.resolve(factor))
            except (OpenSignError, ZeroDivisionError) as found:
                problem = problem or found
        if ZERO not in made and problem is not None:
            raise problem
        return ZERO if ZERO in made else mul(*made)

    def defined(self, formula: Formula, *, assuming: bool) -> bool:
        """Whether a formula has a value all over the cell, False if nowhere on it.

        `assuming`: where it may have none is nobody's concern; what it needs is taken for granted.
        Raises OpenSignError where it may have a value in some points only.
        """
        return all(self._meets(demand, assuming) for demand in formula.demands)

    def value(self, formula: Formula, *, assuming: bool) -> Expr | None:
        """The value of a formula without cases, None where it has none on the cell."""
        if not self.defined(formula, assuming=assuming):
            return None
        value = self.resolve(formula.value)
        if self.pinned and self.equalities:
            raise UndecidedError(f"a kink where {written(self.equalities[0])} = 0")
        return value

    def _meets(self, demand: Demand, assuming: bool) -> bool:
        before, self.asking = self.asking, True
        try:
            return self._holds(demand, assuming)
        finally:
            self.asking = before

    def _holds(self, demand: Demand, assuming: bool) -> bool:
        for guard in demand.guards:
            if self.resolve(guard) is ZERO:
                return True
        try:
            subject = self.resolve(demand.subject)
            known, missing = self.place.sign(subject)
        except ZeroDivisionError:
            return False
        relation = demand.relation
        if self.smooth and relation == ">=":
            sign = strict_sign(self.place, subject)
            if sign == 0:
                self.equalities.append(subject)
            return sign >= 0
        if known.sign == 0:
            return relation == ">="
        if relation == "!=" and known.nonzero:
            return True
        if known.sign == -1 and (known.nonzero or relation == ">"):
            return False
        if known.sign == 1 and (known.nonzero or relation == ">="):
            return True
        if known.sign == -1 and relation == ">=":
            raise OpenSignError(self.place, missing)
        if assuming and relation != ">=":
            self.place.assume(subject, _relation(relation))
            return True
        if (self.place.normal(subject), relation) in self.place.asserted:
            return True
        if assuming and relation == ">=":
            self.place.assume(subject, _relation(relation))
            return True
        raise OpenSignError(self.place, missing or [subject])


def replace_parameters(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """The expression with parameters replaced."""

    def visit(node: Expr) -> Expr:
        return values.get(node.name, node) if isinstance(node, Parameter) else node

    return rewrite(expr, visit)


def _relation(text: str) -> Relation:
    """The relation of a demand on the sign of a scalar."""
    if text not in (">", ">=", "!="):
        raise TypeError(f"the demand {text!r} is none on a scalar")
    return text

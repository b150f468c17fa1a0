"""Cases decided on a cell, what a formula needs checked on it, and cells cut where a sign is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gradproof.symbolic.cells import (
    Place,
)
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Bracket,
    Expr,
    Mul,
    Number,
    Parameter,
    Power,
    Relation,
    Where,
    mul,
    power,
    rewrite,
)
from gradproof.symbolic.formulas import Formula, written
from gradproof.symbolic.signs import holds


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
    decided: dict[Expr, Expr] = field(default_factory=dict[Expr, Expr])

    def resolve(self, expr: Expr) -> Expr:
        """The expression without cases; raises OpenSignError where a case is not decided."""
        found = self.decided.get(expr)
        if found is None:
            found = self.decided[expr] = self._resolve(expr)
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
        if self.smooth and isinstance(expr, Power) and expr.exponent > 0 and expr.exponent.denominator > 1:
            base = self.resolve(expr.base)
            return ZERO if self.place.vanishes(base) else power(base, expr.exponent)
        return expr.rebuild(tuple(self.resolve(child) for child in expr.children))

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

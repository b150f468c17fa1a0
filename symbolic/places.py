"""Signs that expressions have all over a cell.

A sign is told from the facts, from exact roots of a polynomial in one variable, from the signs of terms, or
from ball arithmetic over a bounded interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import TypeVar

from flint import fmpq

from gradproof.symbolic.cells import Cell, Fact, parameters, tightened
from gradproof.symbolic.domain import POSITIVE, REALS, Interval
from gradproof.symbolic.expressions import (
    Add,
    Call,
    Constant,
    Expr,
    Mul,
    Number,
    Parameter,
    Power,
    Relation,
)
from gradproof.symbolic.isolation import (
    NOTHING,
    Known,
    ball_sign,
    constant_sign,
    hull_ball,
    interval_sign,
    monotone_range,
    power_range,
    univariate_sign,
)
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.quotients import Factor, FinerError, Polynomial, Quotient, rational
from gradproof.symbolic.special import SPECIAL
from gradproof.symbolic.tower import MAX_RESTARTS, Tower

T = TypeVar("T")


MAX_SUBDIVISIONS = 400


MAX_SHIFTS = 3


MAX_FACT_TERMS = 6


_BOUNDS = {
    "sigmoid": Interval(Fraction(0), Fraction(1)),
    "tanh": Interval(Fraction(-1), Fraction(1)),
    "softplus": POSITIVE,
}


@dataclass
class Place:
    """A cell at work: the tower over its free variables, and what was found out about signs."""

    cell: Cell
    facts: list[Fact] = field(default_factory=list[Fact])
    asserted: set[tuple[Expr, str]] = field(default_factory=set["tuple[Expr, str]"])
    signs: dict[str, Known] = field(default_factory=dict[str, Known])
    seen: set[str] = field(default_factory=set[str])
    learned: list[tuple[Polynomial, int]] = field(default_factory=list["tuple[Polynomial, int]"])
    prepared: bool = False
    busy: bool = False

    def __post_init__(self) -> None:
        integers = self.cell.integers
        self.intervals = {n: tightened(i, n in integers) for n, i in self.cell.intervals.items()}
        self.facts += self.cell.facts
        self.tower = Tower(lambda _, p: self._size_sign(p), self.cell.frame, integers)
        self.tower.forgotten = self._forget

    def _size_sign(self, poly: Polynomial) -> int | None:
        """The sign with which a polynomial is its own size; where it is 0, either one is."""
        sign = self.known(poly).sign
        return 1 if sign == 0 else sign

    def _forget(self) -> None:
        self.signs.clear()
        self.seen.clear()
        self.learned.clear()
        self.prepared = False

    def _prepare(self) -> None:
        """Bring the facts into the terms of the tower."""
        if not self.prepared:
            self.prepared = True
            for fact in self.facts:
                self._learn(fact)

    def _learn(self, fact: Fact) -> None:
        content, factors = self.split(self.tower.quotient(fact.expr))
        if not all(self.known(f.base).nonzero for f in factors if f.times < 0):
            return  # the normal form may divide by what the fact does not, and says nothing where that is 0
        if fact.relation in (">", "<", "!="):
            for f in factors:
                if not self.known(f.base).nonzero:
                    self.signs[str(f.base)] = Known(self.known(f.base).sign, True)
        if fact.relation == "==" and len(factors) == 1:
            self.signs[str(factors[0].base)] = Known(0, False)
        if fact.relation in (">", ">=", "<"):
            self._learn_sign(content * (-1 if fact.relation == "<" else 1), factors)

    def _learn_sign(self, content: Fraction, factors: list[Factor]) -> None:
        """Of one factor of odd power without a sign, the sign follows from those of the others.

        Where another factor is 0, so is the product, and nothing follows.
        """
        sign = 1 if content > 0 else -1
        open_: list[Factor] = []
        for f in factors:
            known = self.known(f.base)
            if f.times % 2 and known.sign:
                sign *= known.sign
            elif f.times % 2:
                open_.append(f)
        others = (f for f in factors if open_ and f.base != open_[0].base)
        if len(open_) == 1 and all(self.known(f.base).nonzero for f in others):
            self.signs[str(open_[0].base)] = Known(sign, self.known(open_[0].base).nonzero)
            self.learned.append((open_[0].base, sign))

    def assume(self, subject: Expr, relation: Relation) -> None:
        """Take for granted that `subject relation 0`: what is asked is asked only where it holds."""
        fact = Fact(subject, relation)
        self.asserted.add((self.normal(subject), relation))
        self.facts.append(fact)
        self.steady(lambda: self._learn(fact) if self.prepared else self._prepare())

    def normal(self, expr: Expr) -> Expr:
        """The expression in its normal form."""
        return self.steady(lambda: self.tower.show(self.tower.quotient(expr)))

    def steady(self, work: Callable[[], T]) -> T:
        """Do some work; start anew where a generator has to be made finer in the middle of it."""
        if self.busy:
            return work()
        for _ in range(MAX_RESTARTS):
            self.busy = True
            try:
                return work()
            except FinerError:
                self.tower.forget()
            finally:
                self.busy = False
        raise TooLargeError("generators were made finer too often")

    # --- signs

    def split(self, q: Quotient) -> tuple[Fraction, list[Factor]]:
        """A quotient as a rational times powers of irreducible factors, their signs not asked for."""
        content, above = self.tower.factors(q.above)
        less, below = self.tower.factors(q.below)
        return content / less, [
            *(Factor(f, None, e) for f, e in above),
            *(Factor(f, None, -e) for f, e in below),
        ]

    def sign(self, expr: Expr) -> tuple[Known, list[Expr]]:
        """What is known of the sign of an expression, and the factors whose sign is missing for it."""
        return self.steady(lambda: self._sign(expr))

    def _sign(self, expr: Expr) -> tuple[Known, list[Expr]]:
        q = self.tower.quotient(expr)
        if q.zero:
            return Known(0, False), []
        content, factors = self.split(q)
        sign: int | None = 1 if content > 0 else -1
        nonzero, missing = True, list[Expr]()
        for f in factors:
            known = self.known(f.base)
            if known.sign == 0:
                if f.times < 0:
                    raise ZeroDivisionError("a denominator is 0 here")
                return known, []
            if not known.nonzero:
                nonzero = False
            if known.strict is None and (f.times % 2 or not known.nonzero):
                missing.append(self.tower.expr(f.base))
            if f.times % 2:
                sign = None if sign is None or known.sign is None else sign * known.sign
        return Known(sign, nonzero), missing

    def unsigned(self) -> list[Expr]:
        """What the normal form asked the sign of that is not known all over the cell."""
        open_ = [p for p in self.tower.unsigned.values() if self.known(p).strict is None]
        return [self.tower.expr(p) for p in open_]

    def vanishes(self, expr: Expr) -> bool:
        """Whether an expression is 0 all over the cell, wherever it has a value."""
        return self.sign(expr)[0].sign == 0

    def known(self, poly: Polynomial) -> Known:
        """What is known of the sign of an irreducible polynomial in the generators."""
        self._prepare()
        text = str(poly)
        found = self.signs.get(text)
        if found is None or (found.sign is None and text not in self.seen):
            self.seen.add(text)
            made = self._derive(poly)
            if found is not None and found.nonzero:
                made = Known(made.sign, True)
            self.signs[text] = found = made
        return found

    def _derive(self, poly: Polynomial) -> Known:
        self.signs[str(poly)] = self.signs.get(str(poly), NOTHING)
        places = self.tower.used(poly)
        if not places:
            return Known(1 if poly.leading_coefficient() > 0 else -1, True)
        shown = self.tower.expr(poly)
        names = parameters(shown)
        if not names:
            return constant_sign(shown)
        if len(places) == 1 and poly == self.tower.unit(places[0]):
            return Known(None, True)
        best = NOTHING
        for attempt in (
            lambda: self._by_roots(poly, places),
            lambda: self._by_terms(poly),
            lambda: interval_sign(self.range(shown)),
            lambda: self._by_shifts(poly, places),
            lambda: self._by_discriminant(poly, places),
            lambda: self._by_facts(poly),
            lambda: self._by_balls(shown, names),
        ):
            made = attempt()
            if made.nonzero or made.sign == 0:
                return made
            best = made if best is NOTHING else best
        return best

    def coefficients_of(self, expr: Expr) -> list[Fraction] | None:
        """The coefficients, from the lowest, of an irreducible polynomial in one variable, not linear."""
        poly = self.tower(expr).above
        places = self.tower.used(poly)
        if len(places) != 1 or not isinstance(self.tower.atoms[places[0]], Parameter):
            return None
        found = self._coefficients(poly, places[0])
        return found if len(found) > 2 else None

    def _by_roots(self, poly: Polynomial, places: Sequence[int]) -> Known:
        """The sign of a polynomial in one generator, from where its roots lie."""
        if len(places) > 1:
            return NOTHING
        return univariate_sign(self._coefficients(poly, places[0]), self.range(self.tower.atoms[places[0]]))

    def _coefficients(self, poly: Polynomial, place: int) -> list[Fraction]:
        index = len(poly.degrees()) - 1 - place
        found = {exponents[index]: rational(value) for exponents, value in poly.to_dict().items()}
        return [found.get(n, Fraction(0)) for n in range(max(found) + 1)]

    def _by_terms(self, poly: Polynomial, above: frozenset[int] = frozenset()) -> Known:
        """All terms of the same sign; generators at the places `above` are taken to be positive."""
        total: int | None = None
        strict = False
        for exponents, value in poly.to_dict().items():
            sign, nonzero = (1 if value > 0 else -1), True
            for n, e in enumerate(exponents):
                if not e:
                    continue
                place = len(exponents) - 1 - n
                known = Known(1, True) if place in above else self.atom_sign(place)
                if e % 2 and known.sign is None:
                    return NOTHING
                sign *= known.sign if e % 2 and known.sign is not None else 1
                nonzero = nonzero and known.nonzero
            if total is not None and sign and total and sign != total:
                return NOTHING
            total = sign or total
            strict = strict or (nonzero and sign != 0)
        return Known(total, strict)

    def _by_shifts(self, poly: Polynomial, places: Sequence[int]) -> Known:
        """Variables written as a step away from a finite end; then by terms."""
        ends: list[tuple[int, list[tuple[Fraction, int, bool]]]] = []
        for place in places:
            atom = self.tower.atoms[place]
            if isinstance(atom, Parameter):
                i = self.intervals.get(atom.name, REALS)
                found = [(i.low, 1, i.low_closed)] if i.low is not None else []
                found += [(i.high, -1, i.high_closed)] if i.high is not None else []
                if found:
                    ends.append((place, found))
        if not ends or len(ends) > MAX_SHIFTS:
            return NOTHING
        gens = poly.context().gens()
        for chosen in product(*(found for _, found in ends)):
            moved = list(gens)
            for (place, _), (end, step, _) in zip(ends, chosen, strict=True):
                n = len(gens) - 1 - place
                moved[n] = gens[n] * step + fmpq(end.numerator, end.denominator)
            shifted = poly.compose(*moved, ctx=poly.context())
            made = self._by_terms(shifted, frozenset(place for place, _ in ends))
            if made.sign is not None:
                closed = any(c for _, _, c in chosen)
                return Known(made.sign, made.nonzero and (not closed or _has_constant(shifted, made.sign)))
        return NOTHING

    def _by_discriminant(self, poly: Polynomial, places: Sequence[int]) -> Known:
        """A quadratic polynomial in a variable whose discriminant is negative."""
        for place in places:
            if not isinstance(self.tower.atoms[place], Parameter):
                continue
            n = len(poly.degrees()) - 1 - place
            if poly.degrees()[n] != 2 or self._moves_with(place, places):
                continue
            first = poly.derivative(n)
            twice = first.derivative(n)
            discriminant = first * first - 2 * twice * poly
            inside, lead = (self._of_poly(p) for p in (discriminant, twice))
            if inside.sign == -1 and lead.nonzero and lead.sign:
                return Known(lead.sign, inside.nonzero)
        return NOTHING

    def _by_facts(self, poly: Polynomial) -> Known:
        """A multiple of a fact and a rest, both of the same sign."""
        own = poly.to_dict()
        for fact, sign in self.learned:
            other = fact.to_dict()
            for monomial in own.keys() & other.keys() if len(other) <= MAX_FACT_TERMS else ():
                scale = own[monomial] / other[monomial]
                whole = sign if scale > 0 else -sign
                rest = poly - fact * scale
                if rest.is_zero() or len(rest) >= len(own) + len(other) - 2:
                    continue
                made = self._by_terms(rest)
                made = made if made.sign else self._by_shifts(rest, self.tower.used(rest))
                if made.sign == whole:
                    return Known(whole, made.nonzero or self.known(fact).nonzero)
        return NOTHING

    def _moves_with(self, place: int, places: Sequence[int]) -> bool:
        """Whether another generator depends on the variable at a place."""
        name = self.tower.atoms[place].key
        return any(name in parameters(self.tower.atoms[p]) for p in places if p != place)

    def _of_poly(self, poly: Polynomial) -> Known:
        """What is known of the sign of a polynomial, from its factors."""
        content, factors = self.tower.factors(poly)
        sign: int | None = 1 if content > 0 else -1
        nonzero = content != 0
        for base, times in factors:
            known = self.known(base)
            nonzero = nonzero and known.nonzero
            if times % 2:
                sign = None if sign is None or known.sign is None else sign * known.sign
        return Known(sign, nonzero)

    def _by_balls(self, shown: Expr, names: set[str]) -> Known:
        """The sign over a bounded interval of one variable, cut into pieces."""
        if len(names) != 1:
            return NOTHING
        (name,) = names
        interval = self.intervals.get(name, REALS)
        if interval.low is None or interval.high is None:
            return NOTHING
        pieces, sign, count = [(interval.low, interval.high)], 0, 0
        while pieces:
            count += 1
            if count > MAX_SUBDIVISIONS:
                return NOTHING
            low, high = pieces.pop()
            here = ball_sign(shown, {name: hull_ball(low, high)}, 64)
            if here is None:
                middle = (low + high) / 2
                pieces += [(low, middle), (middle, high)]
            elif sign and here != sign:
                return NOTHING
            else:
                sign = here
        return Known(sign, True)

    # --- ranges

    def atom_sign(self, place: int) -> Known:
        """The sign of one generator."""
        atom = self.tower.atoms[place]
        found = self.signs.get(str(self.tower.generator(atom)))
        if found is not None and found.sign is not None:
            return found
        if isinstance(atom, Power):
            base, _ = self.sign(atom.base)
            return Known(1, base.nonzero)
        if isinstance(atom, Call) and atom.function == "log":
            above, _ = self.sign(atom.arguments[0] - 1)
            return above
        if isinstance(atom, Call) and (atom.function == "erf" or atom.function in SPECIAL):
            told = self.special_sign(atom)
            if told is not None:
                return told
        made = interval_sign(self.range(atom))
        return Known(made.sign, made.nonzero or (found is not None and found.nonzero))

    def special_sign(self, atom: Call) -> Known | None:
        """The sign of a special function, from its row."""
        row = SPECIAL.get(atom.function)
        if row is None or row.signed:
            return self.sign(atom.arguments[0])[0]
        wanted = row.positive(atom.arguments)
        if wanted is not None:
            told = [self.sign(e)[0] for e in wanted]
            if all(known.sign == 1 and known.nonzero for known in told):
                return Known(1, True)
        return None

    def range(self, expr: Expr) -> Interval:
        """An interval that holds every value of an expression in the free variables."""
        if isinstance(expr, Number):
            return Interval(expr.value, expr.value, True, True)
        if isinstance(expr, Parameter):
            if expr.name in self.cell.frame:
                return self.range(self.cell.frame[expr.name])
            return self.intervals.get(expr.name, REALS)
        if isinstance(expr, Constant):
            return Interval(Fraction(314159, 100000), Fraction(314160, 100000))
        if isinstance(expr, Add | Mul):
            parts = [self.range(part) for part in expr.children]
            result = parts[0]
            for part in parts[1:]:
                result = result + part if isinstance(expr, Add) else result * part
            return result
        if isinstance(expr, Power):
            return power_range(self.range(expr.base), expr.exponent)
        if isinstance(expr, Call) and expr.function in ("exp", "log"):
            return monotone_range(expr.function, self.range(expr.arguments[0]))
        if isinstance(expr, Call) and expr.function in ("sin", "cos", "erf"):
            closed = expr.function != "erf"
            return Interval(Fraction(-1), Fraction(1), closed, closed)
        if isinstance(expr, Call) and expr.function in _BOUNDS:
            return _BOUNDS[expr.function]
        if isinstance(expr, Call) and expr.function in SPECIAL:
            return SPECIAL[expr.function].bounds
        return REALS


def _has_constant(poly: Polynomial, sign: int) -> bool:
    """Whether the polynomial keeps a term of the sign when every generator is 0."""
    return any(
        not any(exponents) and (value > 0) == (sign > 0) for exponents, value in poly.to_dict().items()
    )

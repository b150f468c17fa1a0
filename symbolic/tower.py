"""Scalars in a tower of generators: rational functions over exponentials, logarithms, roots and sines.

An expression without indices and without cases becomes a quotient of polynomials in generators. Relations:
`exp(a + b) = exp(a) exp(b)` term by term, with one generator for all rational multiples of a term; logarithms
split along irreducible factors; a root `r = b^(1/n)` of an irreducible factor `b` has `r^n = b`;
`cos^2 = 1 - sin^2`, with multiple angles expanded; `exp(c log b) = b^c`; roots and logarithms of integers
split into primes. Each relation holds wherever both of its sides have a value, so a quotient whose numerator
reduces to 0 is 0 wherever the expression has a value. The signs of factors, on which roots and logarithms
rest, are asked of an oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import comb, floor

from flint import fmpq, fmpz

from gradproof.symbolic.deadline import check
from gradproof.symbolic.expressions import (
    Add,
    Call,
    Constant,
    Expr,
    Mul,
    Number,
    Parameter,
    Power,
    add,
    call,
    mul,
    number,
    power,
)
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.quotients import (
    CONTEXT,
    GENERATORS,
    MAX_GENERATORS,
    ONE,
    ZERO,
    Factor,
    Fineness,
    FinerError,
    OpenCaseError,
    Polynomial,
    Quotient,
    check_terms,
    product,
    rational,
)
from gradproof.symbolic.tower_functions import apply_function

MAX_DEGREE = 10**7
MAX_RESTARTS = 12


Oracle = Callable[["Tower", Polynomial], "int | None"]


@dataclass
class Tower:
    """Quotients over generators that are made as they are met.

    `frame` replaces parameters by expressions in others; `oracle` tells the sign that a polynomial has
    wherever the expressions at hand have a value (it may be 0 besides), or None; `integers` names parameters
    with whole values.
    """

    oracle: Oracle
    frame: Mapping[str, Expr] = field(default_factory=dict[str, Expr])
    integers: frozenset[str] = frozenset()
    fineness: Fineness = field(default_factory=Fineness)
    atoms: list[Expr] = field(default_factory=list[Expr])
    places: dict[str, int] = field(default_factory=dict[str, int])
    relations: dict[int, tuple[int, Polynomial]] = field(default_factory=dict[int, tuple[int, Polynomial]])
    known: dict[Expr, Quotient] = field(default_factory=dict[Expr, Quotient])
    factored: dict[str, tuple[Fraction, list[tuple[Polynomial, int]]]] = field(
        default_factory=dict[str, "tuple[Fraction, list[tuple[Polynomial, int]]]"]
    )

    unsigned: dict[str, Polynomial] = field(default_factory=dict[str, Polynomial])
    """Factors of which a sign was asked and is not known: under roots and logarithms, at ends of branches."""
    forgotten: Callable[[], None] = lambda: None
    """Called when the generators are given up."""

    def __call__(self, expr: Expr) -> Quotient:
        """The quotient of an expression.

        Raises ZeroDivisionError for what has no value anywhere, TooLargeError past the budget, OpenCaseError
        for cases. When a generator has to be made finer, all quotients so far lose their meaning.
        """
        for _ in range(MAX_RESTARTS):
            try:
                return self.quotient(expr)
            except FinerError:
                self.forget()
        raise TooLargeError("generators were made finer too often")

    def forget(self) -> None:
        """Start with no generators, keeping how fine they have to be."""
        for held in (self.atoms, self.places, self.relations, self.known, self.factored, self.unsigned):
            held.clear()
        self.forgotten()

    def quotient(self, expr: Expr) -> Quotient:
        """The quotient; raises FinerError where a generator has to be made finer first."""
        found = self.known.get(expr)
        if found is None:
            found = self.known[expr] = self._quotient(expr)
        return found

    def _quotient(self, expr: Expr) -> Quotient:
        check()
        if isinstance(expr, Number):
            return self.constant(expr.value)
        if isinstance(expr, Parameter):
            if expr.name in self.frame:
                return self.quotient(self.frame[expr.name])
            return Quotient(self.generator(expr), ONE)
        if isinstance(expr, Constant):
            return Quotient(self.generator(expr), ONE)
        if isinstance(expr, Add):
            result = Quotient(ZERO, ONE)
            for term in expr.terms:
                result = self.plus(result, self.quotient(term))
            return result
        if isinstance(expr, Mul):
            result = Quotient(ONE, ONE)
            for factor in expr.factors:
                result = self.times(result, self.quotient(factor))
            return result
        if isinstance(expr, Power):
            return self.power(self.quotient(expr.base), expr.exponent)
        if isinstance(expr, Call):
            return apply_function(self, expr)
        raise OpenCaseError(f"{type(expr).__name__} in a scalar: {expr}")

    # --- generators

    def generator(self, atom: Expr, relation: tuple[int, Polynomial] | None = None) -> Polynomial:
        """The generator that stands for an atom, with what its power is."""
        place = self.places.get(atom.key)
        if place is None:
            place = len(self.atoms)
            if place >= MAX_GENERATORS:
                raise TooLargeError(f"more than {MAX_GENERATORS} generators")
            self.places[atom.key] = place
            self.atoms.append(atom)
            if relation is not None:
                degree, value = relation
                self.relations[place] = (degree, GENERATORS[MAX_GENERATORS - 1 - place] ** degree - value)
        return GENERATORS[MAX_GENERATORS - 1 - place]

    def unit(self, place: int) -> Polynomial | None:
        """The generator at a place, if its square is 1."""
        own = GENERATORS[MAX_GENERATORS - 1 - place]
        found = self.relations.get(place)
        return own if found is not None and found[1] == own**2 - 1 else None

    def used(self, *polys: Polynomial) -> list[int]:
        """The places of the generators that occur, in order."""
        places = {MAX_GENERATORS - 1 - n for p in polys for n, e in enumerate(p.degrees()) if e > 0}
        return sorted(places)

    def expr(self, poly: Polynomial) -> Expr:
        """The expression of a polynomial."""
        terms: list[Expr] = []
        for exponents, value in poly.to_dict().items():
            parts = [power(self.atoms[MAX_GENERATORS - 1 - n], int(e)) for n, e in enumerate(exponents) if e]
            terms.append(mul(number(rational(value)), *parts))
        return add(*terms)

    def show(self, q: Quotient) -> Expr:
        """The expression of a quotient."""
        return mul(self.expr(q.above), power(self.expr(q.below), -1))

    # --- arithmetic

    def constant(self, value: Fraction | int) -> Quotient:
        value = Fraction(value)
        return Quotient(CONTEXT.constant(fmpq(value.numerator, value.denominator)), ONE)

    def reduce(self, poly: Polynomial) -> Polynomial:
        """The remainder by the relations, the latest generator first."""
        for place in sorted(self.relations, reverse=True):
            degree, relation = self.relations[place]
            if poly.degrees()[MAX_GENERATORS - 1 - place] >= degree:
                poly = divmod(poly, relation)[1]
        check_terms(len(poly))
        return poly

    def made(self, above: Polynomial, below: Polynomial) -> Quotient:
        """The quotient in lowest terms, its denominator with leading coefficient 1."""
        above, below = self.reduce(above), self.reduce(below)
        if below.is_zero():
            raise ZeroDivisionError("a denominator is 0 everywhere")
        if above.is_zero():
            return Quotient(ZERO, ONE)
        if not below.is_constant():
            common = above.gcd(below)
            if not common.is_one():
                above, below = divmod(above, common)[0], divmod(below, common)[0]
        lead = below.leading_coefficient()
        return Quotient(above / lead, below / lead)

    def plus(self, a: Quotient, b: Quotient) -> Quotient:
        if a.below == b.below:
            return self.made(a.above + b.above, a.below)
        return self.made(product(a.above, b.below) + product(b.above, a.below), product(a.below, b.below))

    def times(self, a: Quotient, b: Quotient) -> Quotient:
        return self.made(product(a.above, b.above), product(a.below, b.below))

    def scaled(self, a: Quotient, value: Fraction | int) -> Quotient:
        return self.times(a, self.constant(value))

    def inverse(self, a: Quotient) -> Quotient:
        return self.made(a.below, a.above)

    def whole_power(self, a: Quotient, exponent: int) -> Quotient:
        if exponent < 0:
            a, exponent = self.inverse(a), -exponent
        for part in a:
            check_terms(comb(len(part) + exponent - 1, exponent) if len(part) > 1 else 1)
            if part.total_degree() * exponent > MAX_DEGREE:
                raise TooLargeError(f"degree {part.total_degree() * exponent}")
        return self.made(a.above**exponent, a.below**exponent)

    def power(self, a: Quotient, exponent: Fraction) -> Quotient:
        if exponent.denominator == 1:
            return self.whole_power(a, exponent.numerator)
        if a.zero:
            if exponent < 0:
                raise ZeroDivisionError("0 to a negative power")
            return a
        content, factors = self.split(a)
        return self.root(content, factors, exponent)

    # --- factors

    def factors(self, poly: Polynomial) -> tuple[Fraction, list[tuple[Polynomial, int]]]:
        """A polynomial as a rational times powers of irreducible polynomials with integer coefficients."""
        text = str(poly)
        found = self.factored.get(text)
        if found is None:
            value, parts = poly.factor()
            found = self.factored[text] = (rational(value), [(f, int(e)) for f, e in parts])
        return found

    def split(self, a: Quotient) -> tuple[Fraction, list[Factor]]:
        """A quotient as a rational times powers of irreducible factors, with their signs."""
        content, above = self.factors(a.above)
        less, below = self.factors(a.below)
        content /= less
        content, parts = self._with_cosines(content, [*above, *((f, -e) for f, e in below)])
        made = [Factor(f, self.oracle(self, f), e) for f, e in parts]
        return content, made

    def _with_cosines(
        self, content: Fraction, parts: list[tuple[Polynomial, int]]
    ) -> tuple[Fraction, list[tuple[Polynomial, int]]]:
        """`(sin - 1)(sin + 1) = -cos^2`, so that a root of it is the size of a cosine."""
        for place in self.relations:
            atom = self.atoms[place]
            if not (isinstance(atom, Call) and atom.function == "cos"):
                continue
            at = self.places.get(call("sin", *atom.arguments).key)
            if at is None:
                continue
            sine, cosine = (GENERATORS[MAX_GENERATORS - 1 - n] for n in (at, place))
            times = {str(f): e for f, e in parts}
            shared = {times.get(str(sine - 1), 0), times.get(str(sine + 1), 0)}
            if len(shared) == 1 and (e := shared.pop()):
                parts = [(f, n) for f, n in parts if f not in (sine - 1, sine + 1)]
                parts, content = [*parts, (cosine, 2 * e)], content * (-1) ** e
        return content, parts

    def known_signs(self, content: Fraction, factors: list[Factor]) -> tuple[int, list[Factor], list[Factor]]:
        """The sign of all factors of known sign, these, and the others.

        The whole is not negative: the sign of one factor of odd power follows from those of all the others.
        """
        known = [f for f in factors if f.sign is not None]
        open_ = [f for f in factors if f.sign is None]
        sign = 1 if content > 0 else -1
        for f in known:
            sign *= -1 if f.sign == -1 and f.times % 2 else 1
        if len(open_) == 1 and open_[0].times % 2:
            known.append(Factor(open_[0].base, sign, open_[0].times))
            return 1, known, []
        return sign, known, open_

    # --- roots

    def root(self, content: Fraction, factors: list[Factor], exponent: Fraction) -> Quotient:
        """`(content * product of factors) ** exponent` of what is not negative."""
        sign, known, open_ = self.known_signs(content, factors)
        if sign < 0 and all(f.times % 2 == 0 for f in open_):
            raise ZeroDivisionError("a root of a negative number")
        result = self.prime_power(abs(content), exponent)
        for f in known:
            result = self.times(result, self.factor_power(f, f.times * exponent))
        plain = [f for f in open_ if f.times * exponent % 2 == 0 and f.times % 2 == 0]
        for f in plain:  # (f^4)^(1/2) = f^2, whatever the sign of f
            result = self.times(result, self.whole_power(Quotient(f.base, ONE), int(f.times * exponent)))
        rest = [f for f in open_ if f not in plain]
        if rest:
            result = self.times(result, self.joint_power(sign, rest, exponent))
        return result

    def factor_power(self, f: Factor, exponent: Fraction) -> Quotient:
        """`|f| ** exponent` of one irreducible factor of known sign."""
        size = Quotient(f.base * (-1 if f.sign == -1 else 1), ONE)
        if exponent.denominator == 1:
            return self.whole_power(size, exponent.numerator)
        lone = self.lone(f.base)
        if lone is not None and isinstance(self.atoms[lone], Call):
            atom = self.atoms[lone]
            assert isinstance(atom, Call)
            if atom.function == "exp":
                key = _key(atom)
                self.fineness.shrink(key, self.fineness.units[key] / exponent.denominator)
        whole = floor(exponent)
        name = self.expr(size.above)
        degree = self.fineness.degree(name.key, exponent.denominator)
        atom = power(name, Fraction(1, degree))
        generator = Quotient(self.generator(atom, (degree, size.above)), ONE)
        rest = exponent - whole
        return self.times(self.whole_power(size, whole), self.whole_power(generator, int(rest * degree)))

    def prime_power(self, value: Fraction, exponent: Fraction) -> Quotient:
        result = self.constant(1)
        for part, sign in ((value.numerator, 1), (value.denominator, -1)):
            for prime, times in fmpz(part).factor():
                base = Factor(CONTEXT.constant(int(prime)), 1, 1)
                result = self.times(result, self.factor_power(base, sign * int(times) * exponent))
        return result

    def joint_power(self, sign: int, factors: list[Factor], exponent: Fraction) -> Quotient:
        """A power of a product whose factors have no known sign, as one root of a polynomial."""
        self.unsigned |= {str(f.base): f.base for f in factors}
        p, q = exponent.numerator, exponent.denominator
        body, outside = ONE * sign, self.constant(1)
        for f in factors:
            lift = 0 if f.times > 0 else 2 * (-(f.times // (2 * q)))
            body = body * f.base ** (f.times + q * lift)
            outside = self.times(outside, self.whole_power(Quotient(f.base, ONE), -p * lift))
        generator = self.generator(power(self.expr(body), Fraction(1, q)), (q, body))
        return self.times(outside, self.whole_power(Quotient(generator, ONE), p))

    def lone(self, poly: Polynomial) -> int | None:
        """The place of the generator that a polynomial consists of."""
        if len(poly) != 1 or poly.total_degree() != 1 or poly.leading_coefficient() != 1:
            return None
        return self.used(poly)[0]

    def nonnegative(self, expr: Expr) -> bool:
        """Whether an expression is surely not negative wherever the expressions at hand have a value."""
        content, factors = self.split(self.quotient(expr))
        sign = 1 if content > 0 else -1
        for f in factors:
            if f.times % 2:
                sign *= f.sign or 0
        if not sign:
            self.unsigned |= {str(f.base): f.base for f in factors if f.times % 2 and f.sign is None}
        return sign > 0

    def parts(self, a: Quotient) -> Iterable[tuple[Expr, Fraction]]:
        """An argument as a sum of rational multiples of terms."""
        whole, rest = divmod(a.above, a.below) if not a.below.is_constant() else (a.above, ZERO)
        for poly, below in ((whole, ()), (rest, (power(self.expr(a.below), -1),))):
            for exponents, value in poly.to_dict().items():
                factors = [
                    power(self.atoms[MAX_GENERATORS - 1 - n], int(e)) for n, e in enumerate(exponents) if e
                ]
                yield mul(*factors, *below), rational(value)

    def absolute(self, expr: Expr) -> Quotient | None:
        """The size of what has a known sign."""
        made = self.quotient(expr)
        content, factors = self.split(made)
        sign, _, open_ = self.known_signs(content, factors)
        return None if open_ else self.scaled(made, sign)


def _key(atom: Call) -> str:
    """The text under which an exponential is made finer: its argument without the number before it."""
    argument = atom.arguments[0]
    if isinstance(argument, Mul) and isinstance(argument.factors[0], Number):
        argument = mul(*argument.factors[1:])
    elif isinstance(argument, Number):
        argument = number(1)
    return f"exp of {argument.key}"

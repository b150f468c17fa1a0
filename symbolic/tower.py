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
from math import comb, floor, gcd, lcm
from typing import Any, NamedTuple

from flint import Ordering, fmpq, fmpq_mpoly_ctx, fmpz

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
    constant,
    mul,
    number,
    power,
)
from gradproof.symbolic.identities import RECURRENCES, rewritten
from gradproof.symbolic.identity import MAX_SHIFT, shifted
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.special import SPECIAL

MAX_GENERATORS = 40
MAX_TERMS = 3_000
MAX_MULTIPLE = 24
"""A multiple of an angle up to this one is expanded."""
MAX_TIMES = 256
MAX_ROOT = 60
MAX_DEGREE = 10**7
MAX_RESTARTS = 12

Polynomial = Any
"""A polynomial of flint with rational coefficients."""

_context = fmpq_mpoly_ctx.get([f"g{n}" for n in range(MAX_GENERATORS)], Ordering.lex)
_gens = _context.gens()
_ONE = _context.constant(1)
_ZERO = _context.constant(0)


class OpenCaseError(TypeError):
    """A case distinction inside an expression that was to be without."""


class FinerError(Exception):
    """A generator has to be replaced by a root of it; the conversion starts anew."""


class Quotient(NamedTuple):
    """A numerator over a denominator without common factor."""

    above: Polynomial
    below: Polynomial

    @property
    def zero(self) -> bool:
        """Whether it is 0 wherever it has a value."""
        return self.above.is_zero()


class Factor(NamedTuple):
    """An irreducible polynomial, its sign (None if not known), and how often it occurs."""

    base: Polynomial
    sign: int | None
    times: int


Oracle = Callable[["Tower", Polynomial], "int | None"]


@dataclass
class Fineness:
    """Of what generators are taken: roots of which degree, exponentials of which part of a term."""

    degrees: dict[str, int] = field(default_factory=dict[str, int])
    units: dict[str, Fraction] = field(default_factory=dict[str, Fraction])
    ends: dict[str, int] = field(default_factory=dict[str, int])

    def end(self, key: str, steps: int, direction: int) -> int:
        """How far the recurrence of a function is followed; raises FinerError if it has to go further."""
        end = self.ends.setdefault(key, steps)
        if (steps - end) * direction > 0:
            self.ends[key] = steps
            raise FinerError(key)
        return end

    def degree(self, key: str, wanted: int) -> int:
        """The degree of the root that stands for all roots of a base; raises FinerError if it has to grow."""
        degree = self.degrees.get(key, 1)
        if degree % wanted:
            self.degrees[key] = lcm(degree, wanted)
            if self.degrees[key] > MAX_ROOT:
                raise TooLargeError(f"roots of degree {self.degrees[key]}")
            raise FinerError(key)
        return degree

    def unit(self, key: str, value: Fraction) -> Fraction:
        """The part of a term that all are whole multiples of; raises FinerError if it has to shrink."""
        unit = self.units.setdefault(key, abs(value))
        if (value / unit).denominator != 1:
            below = lcm(unit.denominator, value.denominator)
            self.shrink(key, Fraction(gcd(int(unit * below), int(value * below)), below))
        return unit

    def shrink(self, key: str, unit: Fraction) -> None:
        """Take a smaller unit, and start anew."""
        self.units[key] = unit
        raise FinerError(key)


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
            return Quotient(self.generator(expr), _ONE)
        if isinstance(expr, Constant):
            return Quotient(self.generator(expr), _ONE)
        if isinstance(expr, Add):
            result = Quotient(_ZERO, _ONE)
            for term in expr.terms:
                result = self.plus(result, self.quotient(term))
            return result
        if isinstance(expr, Mul):
            result = Quotient(_ONE, _ONE)
            for factor in expr.factors:
                result = self.times(result, self.quotient(factor))
            return result
        if isinstance(expr, Power):
            return self.power(self.quotient(expr.base), expr.exponent)
        if isinstance(expr, Call):
            return self.function(expr)
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
                self.relations[place] = (degree, _gens[MAX_GENERATORS - 1 - place] ** degree - value)
        return _gens[MAX_GENERATORS - 1 - place]

    def unit(self, place: int) -> Polynomial | None:
        """The generator at a place, if its square is 1."""
        own = _gens[MAX_GENERATORS - 1 - place]
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
        return Quotient(_context.constant(fmpq(value.numerator, value.denominator)), _ONE)

    def reduce(self, poly: Polynomial) -> Polynomial:
        """The remainder by the relations, the latest generator first."""
        for place in sorted(self.relations, reverse=True):
            degree, relation = self.relations[place]
            if poly.degrees()[MAX_GENERATORS - 1 - place] >= degree:
                poly = divmod(poly, relation)[1]
        _check(len(poly))
        return poly

    def made(self, above: Polynomial, below: Polynomial) -> Quotient:
        """The quotient in lowest terms, its denominator with leading coefficient 1."""
        above, below = self.reduce(above), self.reduce(below)
        if below.is_zero():
            raise ZeroDivisionError("a denominator is 0 everywhere")
        if above.is_zero():
            return Quotient(_ZERO, _ONE)
        if not below.is_constant():
            common = above.gcd(below)
            if not common.is_one():
                above, below = divmod(above, common)[0], divmod(below, common)[0]
        lead = below.leading_coefficient()
        return Quotient(above / lead, below / lead)

    def plus(self, a: Quotient, b: Quotient) -> Quotient:
        if a.below == b.below:
            return self.made(a.above + b.above, a.below)
        return self.made(_product(a.above, b.below) + _product(b.above, a.below), _product(a.below, b.below))

    def times(self, a: Quotient, b: Quotient) -> Quotient:
        return self.made(_product(a.above, b.above), _product(a.below, b.below))

    def scaled(self, a: Quotient, value: Fraction | int) -> Quotient:
        return self.times(a, self.constant(value))

    def inverse(self, a: Quotient) -> Quotient:
        return self.made(a.below, a.above)

    def whole_power(self, a: Quotient, exponent: int) -> Quotient:
        if exponent < 0:
            a, exponent = self.inverse(a), -exponent
        for part in a:
            _check(comb(len(part) + exponent - 1, exponent) if len(part) > 1 else 1)
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
            sine, cosine = (_gens[MAX_GENERATORS - 1 - n] for n in (at, place))
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
            result = self.times(result, self.whole_power(Quotient(f.base, _ONE), int(f.times * exponent)))
        rest = [f for f in open_ if f not in plain]
        if rest:
            result = self.times(result, self.joint_power(sign, rest, exponent))
        return result

    def factor_power(self, f: Factor, exponent: Fraction) -> Quotient:
        """`|f| ** exponent` of one irreducible factor of known sign."""
        size = Quotient(f.base * (-1 if f.sign == -1 else 1), _ONE)
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
        generator = Quotient(self.generator(atom, (degree, size.above)), _ONE)
        rest = exponent - whole
        return self.times(self.whole_power(size, whole), self.whole_power(generator, int(rest * degree)))

    def prime_power(self, value: Fraction, exponent: Fraction) -> Quotient:
        result = self.constant(1)
        for part, sign in ((value.numerator, 1), (value.denominator, -1)):
            for prime, times in fmpz(part).factor():
                base = Factor(_context.constant(int(prime)), 1, 1)
                result = self.times(result, self.factor_power(base, sign * int(times) * exponent))
        return result

    def joint_power(self, sign: int, factors: list[Factor], exponent: Fraction) -> Quotient:
        """A power of a product whose factors have no known sign, as one root of a polynomial."""
        self.unsigned |= {str(f.base): f.base for f in factors}
        p, q = exponent.numerator, exponent.denominator
        body, outside = _ONE * sign, self.constant(1)
        for f in factors:
            lift = 0 if f.times > 0 else 2 * (-(f.times // (2 * q)))
            body = body * f.base ** (f.times + q * lift)
            outside = self.times(outside, self.whole_power(Quotient(f.base, _ONE), -p * lift))
        generator = self.generator(power(self.expr(body), Fraction(1, q)), (q, body))
        return self.times(outside, self.whole_power(Quotient(generator, _ONE), p))

    def lone(self, poly: Polynomial) -> int | None:
        """The place of the generator that a polynomial consists of."""
        if len(poly) != 1 or poly.total_degree() != 1 or poly.leading_coefficient() != 1:
            return None
        return self.used(poly)[0]

    # --- functions

    def function(self, expr: Call) -> Quotient:
        if not expr.arguments:
            raise ZeroDivisionError(f"{expr.function} has no value")
        if expr.function in SPECIAL or expr.function == "erf":
            return self.special(expr)
        argument = self.quotient(expr.arguments[0])
        simple: dict[str, Callable[[Quotient], Quotient]] = {
            "exp": self.exp,
            "log": self.log,
            "sigmoid": self.sigmoid,
            "tanh": self.tanh,
            "softplus": lambda u: self.log(self.plus(self.constant(1), self.exp(u))),
            "sin": lambda u: self.turn(u)[1],
            "cos": lambda u: self.turn(u)[0],
        }
        if expr.function in simple:
            return simple[expr.function](argument)
        return Quotient(self.generator(call(expr.function, self.show(argument))), _ONE)

    def special(self, expr: Call) -> Quotient:
        """A special function: its last argument with a sign that leads, then its stated identities."""
        name, arguments = expr.function, [self.quotient(a) for a in expr.arguments]
        shown = [self.show(a) for a in arguments]
        parity = -1 if name == "erf" else SPECIAL[name].parity(shown)
        if parity == -1 and arguments[-1].zero:
            return arguments[-1]
        sign = 1
        if parity and arguments[-1].above.leading_coefficient() < 0:
            sign, shown[-1] = parity, self.show(self.scaled(arguments[-1], -1))
        found = rewritten(name, tuple(shown), self.nonnegative) or self.moved(name, tuple(shown))
        if found is not None:
            return self.scaled(self.quotient(found), sign)
        return Quotient(self.generator(call(name, *shown)) * sign, _ONE)

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

    def moved(self, name: str, arguments: tuple[Expr, ...]) -> Expr | None:
        """A function in terms of the one that all its neighbours are written through."""
        recurrence = RECURRENCES.get(name)
        if recurrence is None:
            return None
        rest, steps = shifted(arguments[recurrence.place])
        if isinstance(rest, Number):
            return None
        others = [a.key for n, a in enumerate(arguments) if n != recurrence.place]
        key = f"{name} at {rest.key} of {others}"
        end = self.fineness.end(key, steps, recurrence.direction)
        return recurrence.towards(arguments, end - steps) if abs(end - steps) <= MAX_SHIFT else None

    def parts(self, a: Quotient) -> Iterable[tuple[Expr, Fraction]]:
        """An argument as a sum of rational multiples of terms."""
        whole, rest = divmod(a.above, a.below) if not a.below.is_constant() else (a.above, _ZERO)
        for poly, below in ((whole, ()), (rest, (power(self.expr(a.below), -1),))):
            for exponents, value in poly.to_dict().items():
                factors = [
                    power(self.atoms[MAX_GENERATORS - 1 - n], int(e)) for n, e in enumerate(exponents) if e
                ]
                yield mul(*factors, *below), rational(value)

    def exp(self, argument: Quotient) -> Quotient:
        result = self.constant(1)
        for term, value in self.parts(argument):
            result = self.times(result, self.exp_term(term, value))
        return result

    def exp_term(self, term: Expr, value: Fraction) -> Quotient:
        """`exp(value * term)`: a power of the exponential of a part of the term."""
        if isinstance(term, Call) and term.function == "log":
            return self.power(self.quotient(term.arguments[0]), value)
        if isinstance(term, Call) and term.function == "lambertw" and value.denominator == 1:
            ratio = self.times(self.quotient(term.arguments[0]), self.inverse(self.quotient(term)))
            return self.whole_power(ratio, int(value))
        if isinstance(term, Call) and term.function == "lgamma":
            found = self.absolute(call("rgamma", term.arguments[0]))
            if found is not None:
                return self.power(found, -value)
        key = f"exp of {term.key}"
        unit = self.fineness.unit(key, value)
        times = int(value / unit)
        if abs(times) > MAX_TIMES:
            raise TooLargeError(f"the {times}th power of exp({unit} {term})")
        generator = self.generator(call("exp", mul(unit, term)))
        return self.whole_power(Quotient(generator, _ONE), times)

    def absolute(self, expr: Expr) -> Quotient | None:
        """The size of what has a known sign."""
        made = self.quotient(expr)
        content, factors = self.split(made)
        sign, _, open_ = self.known_signs(content, factors)
        return None if open_ else self.scaled(made, sign)

    def log(self, argument: Quotient) -> Quotient:
        if argument.zero:
            raise ZeroDivisionError("the logarithm of 0")
        content, factors = self.split(argument)
        sign, known, open_ = self.known_signs(content, factors)
        if not open_ and sign < 0:
            raise ZeroDivisionError("the logarithm of a negative number")
        parts = [self.log_number(abs(content))]
        parts += [self.scaled(self.log_factor(f), f.times) for f in known]
        if open_:
            self.unsigned |= {str(f.base): f.base for f in open_}
            joint = Quotient(_ONE * sign, _ONE)
            for f in open_:
                joint = self.times(joint, self.whole_power(Quotient(f.base, _ONE), f.times))
            parts.append(Quotient(self.generator(call("log", self.show(joint))), _ONE))
        result = parts[0]
        for part in parts[1:]:
            result = self.plus(result, part)
        return result

    def log_factor(self, f: Factor) -> Quotient:
        """`log |f|` of one irreducible factor of known sign."""
        lone = self.lone(f.base)
        if lone is not None:
            atom = self.atoms[lone]
            if isinstance(atom, Call) and atom.function == "exp":
                return self.quotient(atom.arguments[0])
            if isinstance(atom, Call) and atom.function == "rgamma":
                return self.scaled(self.quotient(call("lgamma", atom.arguments[0])), -1)
            if isinstance(atom, Power) and lone in self.relations:
                return self.scaled(self.log(self.quotient(atom.base)), atom.exponent)
        size = self.expr(f.base * (-1 if f.sign == -1 else 1))
        return Quotient(self.generator(call("log", size)), _ONE)

    def log_number(self, value: Fraction) -> Quotient:
        result = self.constant(0)
        for part, sign in ((value.numerator, 1), (value.denominator, -1)):
            for prime, times in fmpz(part).factor():
                generator = Quotient(self.generator(call("log", number(int(prime)))), _ONE)
                result = self.plus(result, self.scaled(generator, sign * int(times)))
        return result

    def sigmoid(self, argument: Quotient) -> Quotient:
        grown = self.exp(argument)
        return self.times(grown, self.inverse(self.plus(self.constant(1), grown)))

    def tanh(self, argument: Quotient) -> Quotient:
        grown = self.exp(self.scaled(argument, 2))
        one = self.constant(1)
        return self.times(self.plus(grown, self.scaled(one, -1)), self.inverse(self.plus(grown, one)))

    # --- angles

    def turn(self, angle: Quotient) -> tuple[Quotient, Quotient]:
        """The cosine and the sine of an angle, term by term."""
        c, s = self.constant(1), self.constant(0)
        for term, value in self.parts(angle):
            c1, s1 = self.turn_term(term, value)
            c, s = (
                self.plus(self.times(c, c1), self.scaled(self.times(s, s1), -1)),
                self.plus(self.times(c, s1), self.times(s, c1)),
            )
        return c, s

    def turn_term(self, term: Expr, value: Fraction) -> tuple[Quotient, Quotient]:
        if value.denominator == 1 and self._inverse(term) and abs(value) <= MAX_MULTIPLE:
            return self.turned(*self.turn_back(term), int(value))
        if value.denominator == 1 and self._half_turns(term) and self._in_whole_turns(term):
            return self.half_turns(term, int(value))
        if term is constant("pi"):
            value = (value + 1) % 2 - 1
            special = self.special_angle(value)
            if special is not None:
                return special
        key = f"turn of {term.key}"
        unit = self.fineness.unit(key, value)
        times = int(value / unit)
        if abs(times) > MAX_MULTIPLE:
            unit, times = abs(value), 1 if value > 0 else -1
        part = mul(unit, term)
        sine = self.generator(call("sin", part))
        cosine = self.generator(call("cos", part), (2, 1 - sine**2))
        return self.turned(Quotient(cosine, _ONE), Quotient(sine, _ONE), times)

    def turned(self, c1: Quotient, s1: Quotient, times: int) -> tuple[Quotient, Quotient]:
        """Cosine and sine of a multiple of an angle."""
        c, s = self.constant(1), self.constant(0)
        for _ in range(abs(times)):
            c, s = (
                self.plus(self.times(c, c1), self.scaled(self.times(s, s1), -1)),
                self.plus(self.times(c, s1), self.times(s, c1)),
            )
        return c, (s if times > 0 else self.scaled(s, -1))

    def _inverse(self, term: Expr) -> bool:
        return isinstance(term, Call) and term.function in ("asin", "atan")

    def _in_whole_turns(self, term: Expr) -> bool:
        """Whether no fraction of the term occurs as an angle."""
        return self.fineness.unit(f"turn of {term.key}", Fraction(1)).denominator == 1

    def turn_back(self, term: Expr) -> tuple[Quotient, Quotient]:
        """`sin(asin u) = u`, `cos(asin u) = sqrt(1 - u^2)`; of atan both over `sqrt(1 + u^2)`."""
        assert isinstance(term, Call)
        u = term.arguments[0]
        if term.function == "asin":
            c, s = power(1 - u**2, Fraction(1, 2)), u
        else:
            c = power(1 + u**2, Fraction(-1, 2))
            s = u * c
        return self.quotient(c), self.quotient(s)

    def half_turns(self, term: Expr, times: int) -> tuple[Quotient, Quotient]:
        """Of whole multiples of pi: `cos(pi m)^2 = 1`, and `m^k` is odd where m is."""
        rest = term.factors if isinstance(term, Mul) else (term,)
        part = mul(*(f.base if isinstance(f, Power) else f for f in rest))
        cosine = self.generator(call("cos", part), (2, _ONE))
        return self.made(cosine ** (times % 2), _ONE), self.constant(0)

    def _half_turns(self, term: Expr) -> bool:
        """Whether a term is pi times variables of whole numbers and their powers."""
        if not isinstance(term, Mul) or constant("pi") not in term.factors:
            return False
        rest = [f for f in term.factors if f is not constant("pi")]
        bases = [
            f.base if isinstance(f, Power) and f.exponent.denominator == 1 and f.exponent > 0 else f
            for f in rest
        ]
        return bool(rest) and all(isinstance(b, Parameter) and b.name in self.integers for b in bases)

    def special_angle(self, value: Fraction) -> tuple[Quotient, Quotient] | None:
        """Cosine and sine of a multiple of pi/4 or pi/6."""
        half = number(Fraction(1, 2))
        cosines: dict[Fraction, Expr] = {
            Fraction(0): number(1),
            Fraction(1, 6): mul(half, power(3, Fraction(1, 2))),
            Fraction(1, 4): mul(half, power(2, Fraction(1, 2))),
            Fraction(1, 3): half,
            Fraction(1, 2): number(0),
        }
        if 12 % value.denominator:
            return None

        def cosine(x: Fraction) -> Quotient | None:
            x = abs((x + 1) % 2 - 1)
            sign = 1 if x <= Fraction(1, 2) else -1
            found = cosines.get(x if sign == 1 else 1 - x)
            return None if found is None else self.scaled(self.quotient(found), sign)

        c, s = cosine(value), cosine(value - Fraction(1, 2))
        return None if c is None or s is None else (c, s)


def rational(value: Any) -> Fraction:
    """A rational of flint as a fraction."""
    return Fraction(int(value.p), int(value.q)) if hasattr(value, "p") else Fraction(int(value))


def _key(atom: Call) -> str:
    """The text under which an exponential is made finer: its argument without the number before it."""
    argument = atom.arguments[0]
    if isinstance(argument, Mul) and isinstance(argument.factors[0], Number):
        argument = mul(*argument.factors[1:])
    elif isinstance(argument, Number):
        argument = number(1)
    return f"exp of {argument.key}"


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    if len(a) * len(b) > 100 * MAX_TERMS:
        raise TooLargeError(f"a product of {len(a)} and {len(b)} terms")
    return a * b


def _check(terms: int) -> None:
    if terms > MAX_TERMS:
        raise TooLargeError(f"{terms} terms")

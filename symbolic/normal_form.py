"""The normal form that decides equality: polynomials over a tower of generators, reduced by their relations.

Generators are entries, parameters, sizes, exponentials of monomials, sigmoids, logarithms, error functions,
brackets, and powers of sums. Relations: `exp(a + b) = exp(a) exp(b)`, `exp(log A) = A`, `b^2 = b` of
brackets, sums over deltas, and `E^e E^-e = 1` for a sum `E` under a negative or a fractional exponent,
applied through its leading monomial. Each relation is true wherever both sides have a value; so a difference
that reduces to 0 is 0 there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import floor

from flint import fmpz

from gradproof.symbolic.expressions import (
    ZERO,
    Add,
    Bracket,
    Call,
    Derivative,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Mul,
    Number,
    Power,
    Reduce,
    Relation,
    Tensor,
    Where,
    bracket,
    call,
    entry,
    number,
    reduce,
    refresh,
    size,
    substitute,
)
from gradproof.symbolic.monomials import affine_flag, compound, factor_content
from gradproof.symbolic.normal_functions import apply_function
from gradproof.symbolic.normal_rules import RULES
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.polynomials import (
    NOTHING,
    UNIT,
    Poly,
    TooLargeError,
    atom_poly,
    canonical,
    const,
    depth,
    plus,
    rename_apart,
    scale,
    to_expr,
)
from gradproof.symbolic.positions import (
    compared,
    few_places,
    integral,
    plain_position,
)
from gradproof.symbolic.signs import idempotent, positive

MAX_DENOMINATORS = 64
MAX_PRODUCTS = 60_000
"""How many products a normal form may take before it is given up as too large."""


@dataclass
class NormalForm:
    """Normal forms under definitions of tensors, which are written out.

    `logistic`: write sigmoids as `1 / (1 + exp(-x))`; without it they are generators of their own.
    `suppose`: equations that are taken to hold, used through their leading monomials.
    `limit`, `until`: how many products it may take, and when it has to stop (`time.perf_counter`).
    """

    definitions: Mapping[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    logistic: bool = False
    suppose: tuple[tuple[Expr, Expr], ...] = ()
    cache: dict[Expr, Poly] = field(default_factory=dict[Expr, Poly])
    products: int = 0
    limit: int = MAX_PRODUCTS
    until: float = float("inf")

    def __call__(self, expr: Expr) -> Poly:
        """The normal form; raises TooLargeError past the budget, ZeroDivisionError for what is nowhere."""
        found = self.cache.get(expr)
        if found is None:
            found = self.cache[expr] = self._poly(expr)
        return found

    def tidy(self, expr: Expr) -> Expr:
        """The expression of the normal form."""
        return to_expr(self(expr))

    def _poly(self, expr: Expr) -> Poly:
        if isinstance(expr, Number):
            return const(expr.value)
        if isinstance(expr, Add):
            return plus(*(self(t) for t in expr.terms))
        if isinstance(expr, Mul):
            result = const(1)
            for factor in expr.factors:
                result = self.times(result, self(factor))
            return result
        if isinstance(expr, Power):
            return self.power(self(expr.base), expr.exponent)
        if isinstance(expr, Call) and len(expr.arguments) != 1:
            return atom_poly(call(expr.function, *(self.tidy(a) for a in expr.arguments)))
        if isinstance(expr, Call):
            return apply_function(self, expr.function, self(expr.arguments[0]))
        if isinstance(expr, Reduce):
            return self.reduction(expr)
        if isinstance(expr, Bracket):
            return self.bracket(expr)
        if isinstance(expr, Where):
            condition = self(expr.condition)
            rest = plus(const(1), scale(condition, -1))
            return plus(self.times(condition, self(expr.yes)), self.times(rest, self(expr.no)))
        if isinstance(expr, Entry) and expr.tensor in self.definitions:
            d = self.definitions[expr.tensor]
            body = refresh(d.value, {*expr.free, *d.indices})
            return self(substitute(body, dict(zip(d.indices, expr.indices, strict=True))))
        if isinstance(expr, Entry) and isinstance(expr.tensor, MatrixFunction):
            return self.of_matrix(expr, expr.tensor)
        if isinstance(expr, Entry):
            return atom_poly(entry(expr.tensor, *map(plain_position, expr.indices)))
        if isinstance(expr, Derivative):
            raise TypeError(f"a derivative that was not carried out has no normal form: {expr}")
        return atom_poly(expr)

    def of_matrix(self, read: Entry, made: MatrixFunction) -> Poly:
        """An entry of an inverse or a determinant; a cofactor is written with these."""
        if made.kind != "cofactor":
            return atom_poly(entry(made, *map(plain_position, read.indices)))
        from gradproof.symbolic.matrices import opened_cofactor

        return self(opened_cofactor(read))

    def cleared(self, poly: Poly, unit: Callable[[Expr], bool]) -> Poly:
        """The polynomial times its denominators, as far as these hold no bound index: 0 where it is 0.

        It is multiplied only by a `unit`, which is not 0 wherever the polynomial is looked at, or by a
        denominator of every term: where this is 0, no term counts.
        """
        for _ in range(MAX_DENOMINATORS):
            found = _denominator(poly, unit)
            if found is None:
                break
            base, exponent = found
            poly = self.times(poly, self.simplify({base: -exponent}, []))
        return poly

    # --- arithmetic

    def times(self, a: Poly, b: Poly) -> Poly:
        parts: list[Poly] = []
        for m, u in a.items():
            for n, v in b.items():
                left, over = rename_apart(m, n.free | frozenset(n.bound))
                right, more = rename_apart(n, m.free | frozenset(over))
                factors = dict(left)
                for atom, e in right.items():
                    factors[atom] = factors.get(atom, Fraction(0)) + e
                parts.append(scale(self.simplify(factors, [*over, *more]), u * v))
        return plus(*parts)

    def total(self, poly: Poly, over: Iterable[Index]) -> Poly:
        parts: list[Poly] = []
        indices = list(over)
        for m, v in poly.items():
            factors, inner = rename_apart(m, frozenset(indices) | m.free)
            parts.append(scale(self.simplify(factors, [*inner, *indices]), v))
        return plus(*parts)

    def simplify(self, factors: Mapping[Expr, Fraction], bound: list[Index]) -> Poly:
        """The normal form of a product of powers of atoms, summed over `bound`."""
        self.products += 1
        if self.products > self.limit:
            raise TooLargeError(f"more than {self.limit} products")
        if time.perf_counter() > self.until:
            raise TooLargeError("it took too long")
        kept: dict[Expr, Fraction] = {}
        value = Fraction(1)
        for atom, e in factors.items():
            if isinstance(atom, Number):
                whole = floor(e)
                value *= atom.value**whole
                e -= whole
            if e:
                kept[atom] = Fraction(1) if e > 0 and idempotent(atom) else e
        for rule in RULES:
            made = rule(self, kept, bound)
            if made is not None:
                return scale(made, value)
        used = frozenset[Index]().union(*(atom.free for atom in kept))
        counted = [i for i in bound if i not in used]
        for i in counted:
            many = size(i.axis)
            if isinstance(many, Number):
                value *= many.value
            else:
                kept[many] = kept.get(many, Fraction(0)) + 1
        kept = {atom: e for atom, e in kept.items() if e}
        return {canonical(kept, [i for i in bound if i in used]): value}

    def again(
        self, factors: Mapping[Expr, Fraction], bound: list[Index], values: Mapping[Index, Expr]
    ) -> Poly:
        """Simplify after replacing indices: every atom is brought to normal form anew."""
        result = const(1)
        for atom, e in factors.items():
            result = self.times(result, self.power(self(substitute(atom, values)), e))
        return self.total(result, bound) if bound else result

    @cached_property
    def relations(self) -> tuple[Poly, ...]:
        """What is supposed to be 0."""
        plain = NormalForm(self.definitions, self.logistic)
        return tuple(plus(plain(a), scale(plain(b), -1)) for a, b in self.suppose)

    # --- powers

    def power(self, poly: Poly, exponent: Fraction) -> Poly:
        whole = exponent.denominator == 1
        if whole and exponent >= 0:
            result = const(1)
            for _ in range(int(exponent)):
                result = self.times(result, poly)
            return result
        if not poly:
            if exponent > 0:
                return NOTHING
            raise ZeroDivisionError("a negative power of 0")
        if len(poly) == 1:
            ((m, c),) = poly.items()
            closed = c > 0 and all(positive(a) for a, _ in m.factors)
            if not m.bound and (whole or closed):
                made = self.number_power(c, exponent)
                return self.times(made, self.simplify({a: e * exponent for a, e in m.factors}, []))
        content, outside, base = factor_content(poly, signed=whole)
        for atom in [a for a in outside if not (whole or positive(a))]:
            base = self.times(base, self.simplify({atom: outside.pop(atom)}, []))
        raised = self.simplify({a: e * exponent for a, e in outside.items()}, [])
        made = self.times(self.number_power(content, exponent), raised)
        if list(base) == [UNIT]:
            return made
        return self.times(made, self.simplify({to_expr(base): exponent}, []))

    def number_power(self, value: Fraction, exponent: Fraction) -> Poly:
        """A rational to a rational power: roots of primes are generators."""
        if exponent.denominator == 1:
            return const(value**exponent.numerator)
        factors: dict[Expr, Fraction] = {}
        for part, sign in ((value.numerator, 1), (value.denominator, -1)):
            for prime, times in fmpz(part).factor():
                base = number(int(prime))
                factors[base] = factors.get(base, Fraction(0)) + sign * int(times) * exponent
        return self.simplify(factors, [])

    # --- reductions and brackets

    def reduction(self, expr: Reduce) -> Poly:
        inside = refresh(expr, expr.free)
        assert isinstance(inside, Reduce)
        body = self(inside.body)
        if expr.kind == "sum":
            return self.total(body, inside.indices)
        over = [i for i in inside.indices if any(i in m.free for m in body) or not i.axis.nonempty]
        if not over:
            return body
        named = canonical({to_expr(body): Fraction(1)}, over)
        return atom_poly(reduce("max", named.bound, named.factors[0][0]))

    def bracket(self, expr: Bracket) -> Poly:
        relation, left, right = expr.relation, expr.left, expr.right
        if relation == "!=":
            return plus(const(1), scale(self(bracket("==", left, right)), -1))
        if integral(left) and integral(right):
            return self._position(expr)
        if relation in ("<", ">="):
            other = bracket(">", right, left)
            return self(other) if relation == "<" else plus(const(1), scale(self(other), -1))
        if relation == "<=":
            return plus(const(1), scale(self(bracket(">", left, right)), -1))
        difference = plus(self(left), scale(self(right), -1))
        flag = affine_flag(difference)
        if flag is not None:
            atom, slope, start = flag
            here = [Fraction(int(v == 0 if relation == "==" else v > 0)) for v in (start, start + slope)]
            return plus(const(here[0]), scale(atom_poly(atom), here[1] - here[0]))
        above = self._above(difference)
        if relation == ">":
            return above
        return plus(const(1), scale(above, -1), scale(self._above(scale(difference, -1)), -1))

    def _above(self, difference: Poly) -> Poly:
        """`[difference > 0]`, the difference scaled by what is positive."""
        if not difference:
            return NOTHING
        content, outside, base = factor_content(difference, signed=False)
        for atom, e in outside.items():
            if not positive(atom):
                base = self.times(base, self.simplify({atom: e}, []))
        if list(base) == [UNIT]:
            return const(1) if content * base[UNIT] > 0 else NOTHING
        shown = to_expr(scale(base, Fraction(1 if content > 0 else -1)))
        if positive(shown):
            return const(1)
        return atom_poly(bracket(">", shown, ZERO))

    def _position(self, expr: Bracket) -> Poly:
        """Brackets of index positions: `==` and `<=` are kept, the others written with them."""
        if expr.relation == "==":
            return self._position_of("==", expr.left, expr.right)
        if expr.relation in ("<=", ">="):
            low, high = (expr.left, expr.right) if expr.relation == "<=" else (expr.right, expr.left)
            return self._position_of("<=", low, high)
        low, high = (expr.left, expr.right) if expr.relation == ">" else (expr.right, expr.left)
        return plus(const(1), scale(self._position_of("<=", low, high), -1))

    def _position_of(self, relation: Relation, left: Expr, right: Expr) -> Poly:
        near = few_places(left, right) if relation == "<=" else None
        if near is not None:
            positions, kept = near
            poly = plus(*(self._position_of("==", *pair) for pair in positions))
            return poly if kept else plus(const(1), scale(poly, -1))
        found = compared(relation, left, right)
        kept, made = (True, bracket(relation, left, right)) if found is None else found
        poly = const(made.value) if isinstance(made, Number) else atom_poly(made)
        return poly if kept else plus(const(1), scale(poly, -1))


def _denominator(poly: Poly, unit: Callable[[Expr], bool]) -> tuple[Expr, Fraction] | None:
    """A sum under a negative exponent without bound indices, and the lowest exponent that it has."""
    lowest: dict[Expr, Fraction] = {}
    counts: dict[Expr, int] = {}
    for m in poly:
        for a, e in m.factors:
            if compound(a) and e < 0 and not a.free & set(m.bound):
                lowest[a] = min(e, lowest.get(a, e))
                counts[a] = counts.get(a, 0) + 1
    for base in sorted(lowest, key=lambda a: (depth(a), a.key), reverse=True):
        if counts[base] == len(poly) or unit(base):
            return base, lowest[base]
    return None

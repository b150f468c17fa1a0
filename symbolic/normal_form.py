"""The normal form that decides equality: polynomials over a tower of generators, reduced by their relations.

Generators are entries, parameters, sizes, exponentials of monomials, sigmoids, logarithms, error functions,
brackets, and powers of sums. Relations: `exp(a + b) = exp(a) exp(b)`, `exp(log A) = A`, `b^2 = b` of
brackets, sums over deltas, and `E^e E^-e = 1` for a sum `E` under a negative or a fractional exponent,
applied through its leading monomial. Each relation is true wherever both sides have a value; so a difference
that reduces to 0 is 0 there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import permutations
from math import floor, gcd, lcm

from flint import fmpz

from gradproof.symbolic.expressions import (
    ZERO,
    Add,
    Bracket,
    Call,
    Constant,
    Derivative,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Mul,
    Number,
    Parameter,
    Power,
    Reduce,
    Relation,
    Size,
    Tensor,
    Where,
    bracket,
    call,
    entry,
    fresh,
    index,
    mul,
    number,
    reduce,
    refresh,
    size,
    substitute,
    walk,
)
from gradproof.symbolic.inverses import contracted
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.polynomials import (
    NOTHING,
    UNIT,
    Monomial,
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
    affine,
    compared,
    few_places,
    integral,
    on_axis,
    plain_position,
    shift,
    solutions,
)
from gradproof.symbolic.signs import idempotent, positive

Step = Callable[["dict[Expr, Fraction]", "list[Index]"], Poly | None]
MAX_DENOMINATORS = 64
MAX_PRODUCTS = 60_000
"""How many products a normal form may take before it is given up as too large."""
MAX_ENUMERATED = 8
"""A sum over an axis of fixed size up to this one is written out."""


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
            return self.function(expr.function, self(expr.arguments[0]))
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
        for step in self.steps:
            made = step(kept, bound)
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

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is tried on a product of powers of atoms, in that order."""
        return (
            self._deltas,
            self._reflected,
            self._over_whole,
            self._signs,
            self._opened,
            self._unit,
            self._supposed,
            self._inverses,
            self._enumerated,
        )

    def _inverses(self, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
        """Contract inverses with their matrices."""
        return contracted(self, factors, bound)

    def _again(
        self, factors: Mapping[Expr, Fraction], bound: list[Index], values: Mapping[Index, Expr]
    ) -> Poly:
        """Simplify after replacing indices: every atom is brought to normal form anew."""
        result = const(1)
        for atom, e in factors.items():
            result = self.times(result, self.power(self(substitute(atom, values)), e))
        return self.total(result, bound) if bound else result

    def _deltas(self, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
        """Carry out sums over deltas; put equal what a delta says is equal."""
        for atom in sorted(
            (a for a in factors if isinstance(a, Bracket) and a.relation == "=="), key=lambda a: a.key
        ):
            assert isinstance(atom, Bracket)
            rest = {a: e for a, e in factors.items() if a is not atom}
            for old, new in ((atom.left, atom.right), (atom.right, atom.left)):
                if isinstance(old, Index) and old in bound and old not in new.free and _in_range(new, old):
                    return self._again(rest, [i for i in bound if i is not old], {old: new})
            for old, new in solutions(atom):
                if (
                    old in bound
                    and (isinstance(new, Add | Number) or _is_made(new, old))
                    and not _longer(new)
                ):
                    inside = [bracket("<=", ZERO, new), bracket("<=", new, size(old.axis) - 1)]
                    moved = self._again(rest, [], {old: new})
                    for held in inside:
                        moved = self.times(moved, self(held))
                    left = [i for i in bound if i is not old]
                    return self.total(moved, left) if left else moved
            for old, new in ((atom.left, atom.right), (atom.right, atom.left)):
                if not isinstance(old, Index) or old in bound:
                    continue
                plain = (
                    isinstance(new, Number)
                    or _of_sizes(new)
                    or (
                        isinstance(new, Index)
                        and new.axis == old.axis
                        and new.key < old.key
                        and new not in bound
                    )
                )
                if plain and any(old in a.free for a in rest):
                    moved = self._again(rest, bound, {old: new})
                    return self.times(moved, atom_poly(atom))
            same = _same_data(atom, rest)
            if same is not None:
                other, equal = same
                less = {a: e for a, e in rest.items() if a is not other}
                return self._again({**less, atom: Fraction(1), equal: Fraction(1)}, bound, {})
        return None

    def _reflected(self, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
        """Sum over `n - 1 - i` instead of `i` where the first tensor that reads `i` reads it there."""
        for i in bound:
            here = size(i.axis) - 1 - i
            turned = affine(here)
            reads = [(n.tensor.name, p) for n, p in _reads(factors, i) if p is i or affine(p) == turned]
            if reads and min(reads, key=lambda r: (r[0], r[1] is not i))[1] is not i:
                return self._again(factors, bound, {i: here})
        return None

    def _over_whole(self, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
        """A sum over a part of an axis as one over the axis, where entries are read on the axis alone."""
        for i in bound:
            base = i.axis.whole
            if base is None:
                continue
            reads = list(_reads(factors, i))
            shifts = [shift(p, i) for _, p in reads]
            on_base = all(
                a == base for n, p in reads for q, a in zip(n.indices, n.tensor.axes, strict=True) if q is p
            )
            if not reads or not on_base or None in shifts:
                continue
            step = min(s for s in shifts if s is not None)
            new = fresh({*bound, *(j for a in factors for j in (*a.free, *a.bound))}, index(i.name, base))
            rest = [j for j in bound if j is not i]
            moved = self._again(factors, rest, {i: new - step})
            for low, high in ((number(step), new), (new, size(i.axis) - 1 + step)):
                moved = self.times(moved, self(bracket("<=", low, high)))
            return self.total(moved, [new])
        return None

    def _signs(self, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
        """`[p > 0] [-p > 0] = 0`, and `p [-p > 0] = p - p [p > 0]` for a monomial p."""
        strict = [a for a in factors if isinstance(a, Bracket) and a.relation == ">"]
        for a in strict:
            opposite = self(-a.left)
            above = bracket(">", to_expr(opposite), 0)
            if above in strict:
                return NOTHING
            ((m, value), *more) = opposite.items()
            covered = all(_covers(factors.get(atom, Fraction(0)), e) for atom, e in m.factors)
            if not more and value > 0 and not m.bound and m.factors and covered:
                rest = {atom: e for atom, e in factors.items() if atom is not a}
                return plus(
                    self.simplify(rest, bound), scale(self.simplify({**rest, above: Fraction(1)}, bound), -1)
                )
        return None

    def _opened(self, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
        """Multiply out whole positive powers of sums."""
        for atom, e in factors.items():
            if compound(atom) and e >= 1:
                result = self.simplify(
                    {**{a: x for a, x in factors.items() if a is not atom}, atom: e - floor(e)}, []
                )
                for _ in range(floor(e)):
                    result = self.times(result, self(atom))
                return self.total(result, bound) if bound else result
        return None

    def _unit(self, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
        """`LM(E) E^e = E^(e+1) - (E - LM(E)) E^e` for negative e."""
        for atom, e in sorted(factors.items(), key=lambda f: f[0].key):
            if not compound(atom) or e >= 0:
                continue
            poly = self(atom)
            lead = leading(poly)
            if lead is None:
                continue
            for rest, left in _taken(lead, factors, bound):
                c = poly[lead]
                first = self.simplify({**rest, atom: rest.get(atom, Fraction(0)) + 1}, left)
                other = plus(poly, {lead: -c})
                names = frozenset(left) | frozenset[Index]().union(*(a.free for a in rest))
                parts: list[Poly] = []
                for m, v in other.items():
                    more, over = rename_apart(m, names)
                    joined = dict(rest)
                    for a, x in more.items():
                        joined[a] = joined.get(a, Fraction(0)) + x
                    parts.append(scale(self.simplify(joined, [*left, *over]), v))
                return scale(plus(first, scale(plus(*parts), -1)), 1 / c)
            flipped = _taken_below(lead, poly, factors)
            if flipped is not None:
                c0, c = poly[UNIT], poly[lead]
                first = self.simplify({**factors, atom: e + 1}, bound)
                second = self.simplify(flipped, bound)
                return scale(plus(first, scale(second, -c)), 1 / c0)
        return None

    @cached_property
    def relations(self) -> tuple[Poly, ...]:
        """What is supposed to be 0."""
        plain = NormalForm(self.definitions, self.logistic)
        return tuple(plus(plain(a), scale(plain(b), -1)) for a, b in self.suppose)

    def _supposed(self, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
        """Replace the leading monomial of a polynomial that is supposed to be 0."""
        for poly in self.relations:
            lead = leading(poly)
            if lead is None:
                continue
            for rest, left in _taken(lead, factors, bound):
                other = self.times(plus(poly, {lead: -poly[lead]}), self.simplify(rest, []))
                return scale(self.total(other, left) if left else other, -1 / poly[lead])
        return None

    def _enumerated(self, factors: dict[Expr, Fraction], bound: list[Index]) -> Poly | None:
        """Write out a sum over an axis of small fixed size."""
        for i in bound:
            count = i.axis.size
            if count is not None and count <= MAX_ENUMERATED and any(i in a.free for a in factors):
                rest = [j for j in bound if j is not i]
                return plus(*(self._again(factors, rest, {i: number(place)}) for place in range(count)))
        return None

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

    # --- functions

    def function(self, name: str, argument: Poly) -> Poly:
        unary = {
            "exp": self.exp,
            "log": self.log,
            "sigmoid": self.sigmoid,
            "tanh": self.tanh,
            "softplus": self.softplus,
        }
        if name in unary:
            return unary[name](argument)
        if name in ("erf", "sin"):
            return self.odd(argument, name)
        if name == "cos":
            return self.even(argument, name)
        return atom_poly(call(name, to_expr(argument)))

    def exp(self, argument: Poly) -> Poly:
        result = const(1)
        for m, c in argument.items():
            single = m.factors[0][0] if len(m.factors) == 1 and m.factors[0][1] == 1 and not m.bound else None
            if isinstance(single, Call) and single.function == "log":
                made = self.power(self(single.arguments[0]), c)
            elif isinstance(single, Call) and single.function == "softplus":
                made = self.power(plus(const(1), self.exp(self(single.arguments[0]))), c)
            else:
                made = atom_poly(call("exp", m.expr), c)
            result = self.times(result, made)
        return result

    def log(self, argument: Poly) -> Poly:
        if not argument:
            raise ZeroDivisionError("the logarithm of 0")
        content, outside, base = factor_content(argument, signed=False)
        parts = [self.log_number(content)]
        loose: dict[Expr, Fraction] = {}
        for atom, e in outside.items():
            if isinstance(atom, Call) and atom.function == "exp":
                parts.append(scale(self(atom.arguments[0]), e))
            elif isinstance(atom, Call) and atom.function == "sigmoid":
                parts.append(scale(self.softplus(scale(self(atom.arguments[0]), -1)), -e))
            elif positive(atom):
                parts.append(scale(atom_poly(call("log", atom)), e))
            else:
                loose[atom] = e
        if loose:
            base = self.times(base, self.simplify(loose, []))
        if base == {UNIT: Fraction(1)}:
            return plus(*parts)
        inner = _one_plus_exp(base)
        if inner is not None:
            return plus(*parts, self.softplus(self(inner)))
        inner = _one_less_sigmoid(base)
        if inner is not None:
            return plus(*parts, scale(self.softplus(self(inner)), -1))
        return plus(*parts, atom_poly(call("log", to_expr(base))))

    def log_number(self, value: Fraction) -> Poly:
        if value <= 0:
            raise ZeroDivisionError(f"the logarithm of {value}")
        parts: list[Poly] = []
        for part, sign in ((value.numerator, 1), (value.denominator, -1)):
            for prime, times in fmpz(part).factor():
                parts.append(scale(atom_poly(call("log", number(int(prime)))), sign * int(times)))
        return plus(*parts)

    def sigmoid(self, argument: Poly) -> Poly:
        if not argument:
            return const(Fraction(1, 2))
        if _negative(argument):
            return plus(const(1), scale(self.sigmoid(scale(argument, -1)), -1))
        if self.logistic:
            unit = self.power(plus(const(1), self.exp(argument)), Fraction(-1))
            return plus(const(1), scale(unit, -1))
        return atom_poly(call("sigmoid", to_expr(argument)))

    def tanh(self, argument: Poly) -> Poly:
        return plus(scale(self.sigmoid(scale(argument, 2)), 2), const(-1))

    def softplus(self, argument: Poly) -> Poly:
        if not argument:
            return self.log_number(Fraction(2))
        if _negative(argument):
            return plus(self.softplus(scale(argument, -1)), argument)
        return atom_poly(call("softplus", to_expr(argument)))

    def odd(self, argument: Poly, name: str) -> Poly:
        if not argument:
            return NOTHING
        if _negative(argument):
            return scale(atom_poly(call(name, to_expr(scale(argument, -1)))), -1)
        return atom_poly(call(name, to_expr(argument)))

    def even(self, argument: Poly, name: str) -> Poly:
        if not argument:
            return const(1)
        return atom_poly(call(name, to_expr(scale(argument, -1) if _negative(argument) else argument)))

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
        flag = _affine_flag(difference)
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


def compound(atom: Expr) -> bool:
    """Whether an atom is the base of a power: a sum."""
    return isinstance(atom, Add | Mul) or (isinstance(atom, Reduce) and atom.kind == "sum")


def _in_range(value: Expr, i: Index) -> bool:
    """Whether the value surely lies on the full axis of the index."""
    if isinstance(value, Entry):
        return value.tensor.domain == "index" and value.tensor.over == i.axis
    return (isinstance(value, Index) and value.axis == i.axis) or on_axis(value, i.axis)


def _reads(factors: Iterable[Expr], i: Index) -> Iterator[tuple[Entry, Expr]]:
    """The entries that are read at an index, and the positions there."""
    for a in factors:
        for n in walk(a):
            if isinstance(n, Entry):
                yield from ((n, p) for p in n.indices if i in p.free)


def _longer(position: Expr) -> bool:
    """Whether a position is on an axis longer than those that it is made of: sums over it come first."""
    return any(i.axis.longer for i in position.free)


def _of_sizes(position: Expr) -> bool:
    """Whether a position is made of sizes and numbers alone."""
    form = affine(position)
    return form is not None and not any(isinstance(atom, Index | Entry) for atom in form)


def _is_made(value: Expr, i: Index) -> bool:
    """Whether an index runs over another axis, and one of both is made of others."""
    return isinstance(value, Index) and value.axis != i.axis and bool(value.axis.parts or i.axis.parts)


def _same_data(delta: Bracket, rest: Mapping[Expr, Fraction]) -> tuple[Expr, Expr] | None:
    """`[k == e] [m == e] = [k == e] [k == m]` for data e: the second delta and what it becomes."""
    for k, e in ((delta.left, delta.right), (delta.right, delta.left)):
        if not (isinstance(k, Index) and isinstance(e, Entry)):
            continue
        for other in rest:
            if isinstance(other, Bracket) and other.relation == "==" and e in (other.left, other.right):
                m = other.right if other.left is e else other.left
                if isinstance(m, Index) and m.axis == k.axis and m is not k:
                    return other, bracket("==", k, m)
    return None


def leading(poly: Poly) -> Monomial | None:
    """The leading monomial in a lexical order: parameters first, then exponentials, then by name."""
    atoms = sorted({a for m in poly for a, _ in m.factors if not (a.free & set(m.bound))}, key=_priority)

    def weight(m: Monomial) -> tuple[object, ...]:
        powers = dict(m.factors)
        return (*(powers.get(a, Fraction(0)) for a in atoms), len(m.bound), m.expr.key)

    candidates = [m for m in poly if m is not UNIT and m.factors]
    return max(candidates, key=weight) if candidates else None


def _priority(atom: Expr) -> tuple[int, str]:
    if isinstance(atom, Parameter):
        return (0, atom.key)
    if isinstance(atom, Call):
        return (1, atom.key)
    return (3, atom.key) if isinstance(atom, Size) else (2, atom.key)


def _taken(
    lead: Monomial, factors: Mapping[Expr, Fraction], bound: list[Index]
) -> Iterable[tuple[dict[Expr, Fraction], list[Index]]]:
    """The factors without one occurrence of the leading monomial, and the bound indices that stay."""
    for images in permutations(bound, len(lead.bound)):
        if any(new.axis != old.axis for old, new in zip(lead.bound, images, strict=True)):
            continue
        values: dict[Index, Expr] = dict(zip(lead.bound, images, strict=True))
        wanted = {substitute(a, values): e for a, e in lead.factors}
        if not all(_covers(factors.get(a, Fraction(0)), e) for a, e in wanted.items()):
            continue
        rest = {a: e - wanted.get(a, Fraction(0)) for a, e in factors.items()}
        rest = {a: e for a, e in rest.items() if e}
        if any(set(images) & a.free for a in rest):
            continue
        yield rest, [i for i in bound if i not in images]


def _covers(have: Fraction, need: Fraction) -> bool:
    return have >= need if need > 0 else have <= need


def _taken_below(lead: Monomial, poly: Poly, factors: Mapping[Expr, Fraction]) -> dict[Expr, Fraction] | None:
    """For `c0 + c M` and factors that hold a negative power of `M`, an exponential or a power of an atom.

    The factors times M: `M^-n E^e = (M^-n E^(e+1) - c M^(1-n) E^e) / c0`.
    """
    if len(poly) != 2 or UNIT not in poly or lead.bound:
        return None
    lone = len(lead.factors) == 1 and not compound(lead.factors[0][0])
    if not (lone or all(_is_exp(a) for a, _ in lead.factors)):
        return None
    if not all(factors.get(a, Fraction(0)) * e < 0 and abs(factors[a]) >= abs(e) for a, e in lead.factors):
        return None
    moved = dict(factors)
    for a, e in lead.factors:
        moved[a] = moved[a] + e
    return {a: e for a, e in moved.items() if e}


def _is_exp(atom: Expr) -> bool:
    return isinstance(atom, Call) and atom.function == "exp"


def factor_content(poly: Poly, *, signed: bool) -> tuple[Fraction, dict[Expr, Fraction], Poly]:
    """A polynomial as `content * product of outside * base`.

    The content is positive unless `signed`, when the first coefficient of the base is made positive; outside
    are the atoms that are not 0 (exponentials, sizes, positive parameters), or all of a lone monomial.
    """
    values = list(poly.values())
    content = Fraction(gcd(*(v.numerator for v in values)), lcm(*(v.denominator for v in values)))
    first = min(poly, key=lambda m: m.expr.key)
    if signed and poly[first] < 0:
        content = -content
    lone = len(poly) == 1 and not first.bound
    outside: dict[Expr, Fraction] = {}
    for atom in {a for m in poly for a, _ in m.factors}:
        if lone or _invertible(atom):
            powers = [dict(m.factors).get(atom, Fraction(0)) for m in poly if not (atom.free & set(m.bound))]
            if len(powers) == len(poly) and min(powers):
                outside[atom] = min(powers)
    base: dict[Monomial, Fraction] = {}
    for m, v in poly.items():
        left = {a: e - outside.get(a, Fraction(0)) for a, e in m.factors}
        for a, e in outside.items():
            if a not in left:
                left[a] = -e
        kept = tuple(sorted(((a, e) for a, e in left.items() if e), key=lambda f: f[0].key))
        base[canonical(dict(kept), m.bound) if outside and m.bound else Monomial(kept, m.bound)] = v / content
    return content, outside, base


def _invertible(atom: Expr) -> bool:
    return (
        _is_exp(atom) or isinstance(atom, Size | Constant) or (isinstance(atom, Parameter) and positive(atom))
    )


def _negative(poly: Poly) -> bool:
    """Whether the first term has a negative coefficient: the sign that odd and even functions give away."""
    return poly[min(poly, key=lambda m: m.expr.key)] < 0


def _one_plus_exp(poly: Poly) -> Expr | None:
    """The u of `1 + exp(u)`."""
    if len(poly) != 2 or poly.get(UNIT) != 1:
        return None
    (m,) = (m for m in poly if m is not UNIT and m.factors)
    if poly[m] != 1 or m.bound or not all(_is_exp(a) for a, _ in m.factors):
        return None
    parts = [mul(e, a.children[0]) for a, e in m.factors]
    return parts[0] if len(parts) == 1 else parts[0] + sum(parts[1:], start=ZERO)


def _one_less_sigmoid(poly: Poly) -> Expr | None:
    """The u of `1 - sigmoid(u)`."""
    if len(poly) != 2 or poly.get(UNIT) != 1:
        return None
    (m,) = (m for m in poly if m is not UNIT and m.factors)
    atom, exponent = m.factors[0]
    single = len(m.factors) == 1 and exponent == 1 and poly[m] == -1 and not m.bound
    return atom.arguments[0] if single and isinstance(atom, Call) and atom.function == "sigmoid" else None


def _affine_flag(poly: Poly) -> tuple[Expr, Fraction, Fraction] | None:
    """`start + slope * b` for one 0/1-valued atom b."""
    others = [m for m in poly if m.factors]
    if len(others) != 1 or others[0].bound or len(others[0].factors) != 1:
        return None
    ((atom, e),) = others[0].factors
    if e != 1 or not idempotent(atom):
        return None
    return atom, poly[others[0]], poly.get(UNIT, Fraction(0))

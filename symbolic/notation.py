"""Expressions as boxes: fractions and roots, signs, the order of factors, and names for bound indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction as Rational

from gradproof.symbolic.arrangement import (
    ATOM,
    BIG,
    PRODUCT,
    SUM,
    Spot,
    arrange,
    between,
    boolean,
    commas,
    constant_root,
    decimals,
    fenced,
    flip,
    magnitude,
    negative,
    opposite,
    short,
    signed,
    spaced,
    tall,
)
from gradproof.symbolic.boxes import (
    MINUS,
    NEGATIVE,
    PLUS,
    Big,
    Box,
    Cases,
    Fence,
    Fraction,
    Hot,
    Ident,
    Indexed,
    Lowered,
    Num,
    Op,
    Raised,
    Root,
    Row,
    Thin,
    Words,
    row,
)
from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Bracket,
    Call,
    Constant,
    Derivative,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Parameter,
    Power,
    Reduce,
    Size,
    Where,
    mul,
    power,
)
from gradproof.symbolic.names import head, index_box, index_stem, scalar_name

RELATIONS = {"==": "=", "!=": "≠", "<": "<", "<=": "≤", ">": ">", ">=": "≥"}
_UPRIGHT = {"sigmoid": "σ"}


@dataclass(frozen=True)
class Scope:
    """The index names in use, so that a bound index gets a name of its own."""

    names: dict[Index, tuple[str, int]] = field(default_factory=dict[Index, tuple[str, int]])

    def bind(self, indices: Sequence[Index], stems: dict[str, str]) -> Scope:
        taken = set(self.names.values())
        made = dict(self.names)
        for i in indices:
            stem, primes = stems.get(i.name, index_stem(i.name)[0]), 0
            while (stem, primes) in taken:
                primes += 1
            made[i] = (stem, primes)
            taken.add((stem, primes))
        return Scope(made)


@dataclass(frozen=True)
class Notation:
    """How the names of one program are written.

    `forward` has the names of its forward tensors: other names are adjoints and tangents of these.
    `stems` has letters for indices whose names in code are longer. In a `hessian` blocks are second
    derivatives.
    """

    forward: frozenset[str] | None = None
    stems: dict[str, str] = field(default_factory=dict[str, str], hash=False)
    hessian: bool = False

    def box(self, expr: Expr, mark: tuple[int, ...] | None = None, left: Iterable[Index] = ()) -> Box:
        """The box of an expression; `mark` is the path of a part to colour, `left` the indices in use."""
        return self.set(Spot(expr, mark), self.scope({*left, *expr.free}))[0]

    def scope(self, free: Iterable[Index]) -> Scope:
        names: dict[Index, tuple[str, int]] = {}
        for i in sorted(free, key=lambda i: i.key):
            stem, primes = index_stem(i.name)
            stem = self.stems.get(i.name, stem)
            while (stem, primes) in names.values():
                primes += 1
            names[i] = (stem, primes)
        return Scope(names)

    def set(self, spot: Spot, scope: Scope) -> tuple[Box, int]:
        """The box of a node and how tightly it holds together."""
        if spot.hot == ():
            made, level = self._set(Spot(spot.node), scope)
            return Hot(made), level
        return self._set(spot, scope)

    def _set(self, spot: Spot, scope: Scope) -> tuple[Box, int]:
        node = spot.node
        if isinstance(node, Add):
            other = opposite(node)
            return self.leaf(Spot(other), scope) if other else (self.sum(spot, scope), SUM)
        if isinstance(node, Mul | Power):
            return self.product([spot], scope)
        if isinstance(node, Reduce):
            inner = scope.bind(node.indices, self.stems)
            under = row(*commas([index_box(*inner.names[i]) for i in node.indices]))
            body = self.tight(spot.child(0), inner, PRODUCT)
            return Big(node.kind, under, body), BIG
        if isinstance(node, Where):
            named = magnitude(node) if spot.hot is None else None
            made = self.magnitude(named, scope) if named else Cases(self.cases(spot, scope))
            return made, ATOM
        if isinstance(node, Derivative):
            return self.partial(spot, scope), PRODUCT
        if isinstance(node, Call):
            return self.call(spot, scope), ATOM
        return self.leaf(spot, scope)

    def tight(self, spot: Spot, scope: Scope, level: int) -> Box:
        """The box of a node, in parentheses where it holds together less than `level`."""
        made, found = self.set(spot, scope)
        return Fence("(", made, ")") if found < level else made

    # --- leaves

    def leaf(self, spot: Spot, scope: Scope) -> tuple[Box, int]:
        node = spot.node
        if isinstance(node, Number):
            return signed(node.value)
        if isinstance(node, Index):
            return index_box(*scope.names[node]), ATOM
        if isinstance(node, Size):
            return Lowered(Ident("n"), Ident(node.axis.name, upright=True)), ATOM
        if isinstance(node, Parameter):
            return scalar_name(node.name), ATOM
        if isinstance(node, Constant):
            return scalar_name(node.name), ATOM
        if isinstance(node, Entry):
            return self.entry(spot, scope), ATOM
        if isinstance(node, Bracket):
            return self.bracket(spot, scope), ATOM
        raise TypeError(f"no notation for {type(node).__name__}")

    def entry(self, spot: Spot, scope: Scope) -> Box:
        node = spot.node
        assert isinstance(node, Entry)
        found = head(node.tensor.name, self.forward, self.hessian)
        places = tuple(self.set(child, scope)[0] for child in spot.children)
        return Indexed(node.tensor.name, found.base, places, found.labels)

    def bracket(self, spot: Spot, scope: Scope) -> Box:
        node = spot.node
        assert isinstance(node, Bracket)
        if node.relation == "==" and all(isinstance(side, Index | Number) for side in node.children):
            sides = sorted(spot.children, key=lambda s: isinstance(s.node, Number))
            return Indexed("δ", Ident("δ"), tuple(self.set(side, scope)[0] for side in sides))
        return Fence("[", self.relation(spot, scope), "]")

    def relation(self, spot: Spot, scope: Scope) -> Box:
        node = spot.node
        assert isinstance(node, Bracket)
        left, right = spot.children
        if node.relation in ("==", "!=") and isinstance(left.node, Number):
            left, right = right, left
        sign = Op(RELATIONS[node.relation], "relation")
        return row(self.set(left, scope)[0], sign, self.set(right, scope)[0])

    def magnitude(self, parts: tuple[Expr, ...], scope: Scope) -> Box:
        """The absolute value of one expression, or the larger of two."""
        made = [self.set(Spot(part), scope)[0] for part in parts]
        if len(made) == 1:
            return Fence("|", made[0], "|")
        return row(Ident("max", upright=True), Fence("(", row(*commas(made)), ")"))

    def call(self, spot: Spot, scope: Scope) -> Box:
        node = spot.node
        assert isinstance(node, Call)
        (argument,) = spot.children
        body, level = self.set(argument, scope)
        if node.function == "exp" and short(argument.node):
            return Raised(Ident("e"), body)
        name = Ident(_UPRIGHT.get(node.function, node.function), node.function not in _UPRIGHT, node.function)
        if node.function == "log" and level == BIG:
            return row(name, Thin(), body)
        return row(name, Fence("(", body, ")"))

    # --- compound nodes

    def sum(self, spot: Spot, scope: Scope) -> Box:
        parts: list[Box] = []
        for term in sorted(spot.children, key=lambda s: negative(s.node)):
            minus = negative(term.node)
            plain = Spot(term.node) if term.hot == () else term
            made, level = self.product([plain], scope, drop_sign=minus)
            if level == SUM:
                made = Fence("(", made, ")")
            if term.hot == ():
                made = Hot(made)
            if parts or minus:
                parts.append((MINUS if minus else PLUS) if parts else NEGATIVE)
            parts.append(made)
        return row(*parts)

    def product(self, spots: Sequence[Spot], scope: Scope, drop_sign: bool = False) -> tuple[Box, int]:
        """A product as one fraction: what is short above and below, what is tall behind it."""
        given = [f for s in spots for f in (s.children if isinstance(s.node, Mul) else (s,))]
        value = Rational(1)
        above: list[Spot] = []
        below: list[Spot] = []
        for factor in given:
            node = factor.node
            if isinstance(node, Number):
                value *= node.value
            elif isinstance(node, Power) and node.exponent < 0:
                flipped = power(node.base, -node.exponent)
                below.append(Spot(flipped, () if factor.hot == () else flip(factor, flipped)))
            else:
                above.append(factor)
        minus = value < 0 and not drop_sign
        made, level = self.quotient(abs(value), arrange(above), arrange(below), scope)
        return (row(NEGATIVE, made), SUM) if minus else (made, level)

    def quotient(
        self, value: Rational, above: list[Spot], below: list[Spot], scope: Scope
    ) -> tuple[Box, int]:
        first, above, below, value = self.roots(value, above, below, scope)
        decimal = decimals(value)
        divided = bool(below) or (value.denominator != 1 and not decimal)
        front = [s for s in above if not (divided and tall(s.node))]
        behind = [s for s in above if divided and tall(s.node)]
        top: list[Box] = [Num(decimal or str(value.numerator))] if value.numerator != 1 or decimal else []
        if not divided:
            return self.factors([*top, *first], front, scope)
        top.extend(first)
        bottom: list[Box] = [Num(str(value.denominator))] if value.denominator != 1 and not decimal else []
        over, _ = self.factors(top, front, scope)
        under, _ = self.factors(bottom, below, scope)
        fraction = Fraction(over, under)
        return self.factors([fraction], behind, scope) if behind else (fraction, PRODUCT)

    def roots(
        self, value: Rational, above: list[Spot], below: list[Spot], scope: Scope
    ) -> tuple[list[Box], list[Spot], list[Spot], Rational]:
        """Square roots of numbers and constants, joined under one sign; `sqrt(2)/2` as `1/sqrt(2)`."""
        up = [s for s in above if constant_root(s.node)]
        down = [s for s in below if constant_root(s.node)]
        above = [s for s in above if s not in up]
        below = [s for s in below if s not in down]
        for spot in tuple(up):
            radicand = spot.node.children[0]
            if isinstance(radicand, Number) and value.denominator % radicand.value == 0:
                up.remove(spot)
                down.insert(0, spot)
                value *= radicand.value
        if not up and len(down) <= 1:
            return [], above, [*down, *below], value
        over = row(*(self.set(s.child(0), scope)[0] for s in up)) if up else Num("1")
        under = row(*(self.set(s.child(0), scope)[0] for s in down))
        if up:
            return [Root(Fraction(over, under) if down else over)], above, below, value
        joined = mul(*(s.node.children[0] for s in down))
        return [], above, [Spot(power(joined, Rational(1, 2))), *below], value

    def factors(self, first: list[Box], spots: Sequence[Spot], scope: Scope) -> tuple[Box, int]:
        made = list(first)
        if not spots:
            return (made[0], ATOM) if made else (Num("1"), ATOM)
        levels: list[int] = []
        alone = not first and len(spots) == 1
        for place, spot in enumerate(spots):
            last = place == len(spots) - 1
            box, level = self.factor(spot, scope)
            if (level < PRODUCT and not alone) or (level == BIG and not last):
                box = Fence("(", box, ")")
            if made and spaced(made[-1], box):
                made.append(Thin())
            made.append(box)
            levels.append(level)
        return row(*made), (levels[-1] if alone else PRODUCT)

    def factor(self, spot: Spot, scope: Scope) -> tuple[Box, int]:
        node = spot.node
        if not isinstance(node, Power):
            return self.set(spot, scope)
        made = self.power(Spot(node) if spot.hot == () else spot, scope)
        return (Hot(made) if spot.hot == () else made), ATOM

    def power(self, spot: Spot, scope: Scope) -> Box:
        node = spot.node
        assert isinstance(node, Power)
        if node.exponent == Rational(1, 2):
            return Root(self.set(spot.child(0), scope)[0])
        base = spot.child(0)
        made = self.tight(base, scope, ATOM)
        if (isinstance(made, Indexed) and made.labels) or isinstance(made, Raised | Cases | Row):
            made = Fence("(", made, ")")
        if node.exponent < 0:
            return self.product([spot], scope)[0]
        e = node.exponent
        above = Num(str(e)) if e.denominator == 1 else Words(str(e))
        return Raised(made, above)

    def partial(self, spot: Spot, scope: Scope) -> Box:
        body, by = spot.children
        sign = Ident("∂", upright=True)
        below = row(sign, self.set(by, scope)[0])
        made, level = self.set(body, scope)
        if isinstance(body.node, Entry):
            return Fraction(row(sign, made), below)
        return row(Fraction(sign, below), made if isinstance(made, Fence) and level == ATOM else fenced(made))

    def cases(self, spot: Spot, scope: Scope) -> tuple[tuple[Box, Box], ...]:
        condition, yes, no = spot.children
        first = (self.set(yes, scope)[0], row(Words("if "), self.condition(condition, scope)))
        if isinstance(no.node, Where) and no.hot != ():
            return (first, *self.cases(no, scope))
        return (first, (self.set(no, scope)[0], Words("otherwise")))

    def condition(self, spot: Spot, scope: Scope) -> Box:
        """A 0/1-valued expression as a statement."""
        node = spot.node
        made: Box | None = None
        if isinstance(node, Bracket):
            if node.right is ONE and boolean(node.left):
                made = self.condition(spot.child(0), scope)
            elif node.left is ONE and boolean(node.right):
                made = self.condition(spot.child(1), scope)
            else:
                made = self.relation(spot, scope)
        elif isinstance(node, Mul) and all(boolean(c) for c in node.children):
            parts = [self.condition(c, scope) for c in spot.children]
            made = row(*between(parts, Words(" and ")))
        elif (
            isinstance(node, Add)
            and len(node.terms) == 2
            and node.terms[0] is ONE
            and negative(node.terms[1])
        ):
            inner, _ = self.product([spot.child(1)], scope, drop_sign=True)
            made = row(Words("not "), inner)
        if made is None:
            return self.set(spot, scope)[0]
        return Hot(made) if spot.hot == () else made

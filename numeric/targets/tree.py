"""Elementwise values as trees of array operations, in the order in which they are carried out.

Factors and terms over fewer axes are joined first, so that a whole array is passed over as rarely as can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from gradproof.numeric.canonical import one_plus_erf
from gradproof.numeric.lines import MINUS_INFINITY
from gradproof.numeric.rewriting import magnitude, one_less_square
from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Bracket,
    Call,
    Constant,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Parameter,
    Power,
    Size,
    Where,
    mul,
    number,
    power,
)
from gradproof.symbolic.terms import idempotent

Dims = tuple[Index, ...]


@dataclass(frozen=True)
class Node:
    """An operation on arguments, or a leaf.

    - `op`: its name; "leaf" for an array or a Python number and "raw" for other code, printed as `code`,
      which binds as tightly as its `level` says.
    - `dims`: the indices of its axes, in order.
    - `truth`: whether its entries are truth values; `scalar`: whether it is a Python number;
      `integer`: whether they are integers.
    """

    op: str
    args: tuple[Node, ...] = ()
    dims: Dims = ()
    code: str = ""
    entry: Entry | None = None
    truth: bool = False
    scalar: bool = False
    integer: bool = False
    level: int = 5


@dataclass(frozen=True)
class Trees:
    """Builds the tree of a value; `read` and `size` say how a leaf is written."""

    order: Dims
    read: Callable[[Entry], Node]
    scalar: Callable[[Expr], str]
    position: Callable[[Index], Node]

    def union(self, parts: Iterable[Node]) -> Dims:
        found = {i for part in parts for i in part.dims}
        return tuple(i for i in self.order if i in found)

    def make(self, op: str, *args: Node, truth: bool = False) -> Node:
        scalar = all(a.scalar for a in args) and op not in ("cast", "constant")
        return Node(op, args, self.union(args), truth=truth, scalar=scalar)

    def literal(self, value: Fraction) -> Node:
        text = str(value.numerator) if value.denominator == 1 else repr(value.numerator / value.denominator)
        return Node("leaf", code=text, scalar=True)

    def __call__(self, expr: Expr) -> Node:
        match expr:
            case Number():
                return self.literal(expr.value)
            case Parameter() | Constant() | Size():
                return Node("leaf", code=self.scalar(expr), scalar=True)
            case Index():
                return self.position(expr)
            case Entry():
                return self.read(expr)
            case Add():
                return self.truth(expr) if self.is_truth(expr) else self.sum(expr)
            case Mul():
                return self.truth(expr) if self.is_truth(expr) else self.product(expr)
            case Power():
                return self.product(expr)
            case Bracket():
                return self.truth(expr)
            case Call():
                return self.call(expr)
            case Where():
                return self.select(expr)
            case _:
                raise NotImplementedError(f"{type(expr).__name__} is no elementwise operation: {expr}")

    # --- functions

    def call(self, expr: Call) -> Node:
        (x,) = expr.arguments
        if expr.function == "log" and isinstance(x, Add) and x.terms[0] is ONE:
            return self.make("log1p", self.real(self(x - 1)))
        return self.make(expr.function, self.real(self(x)))

    def select(self, expr: Where) -> Node:
        if expr is magnitude(expr.yes):
            return self.make("abs", self(expr.yes))
        c = expr.condition
        if isinstance(c, Bracket) and c.relation in (">", "<") and (c.left, c.right) == (expr.yes, expr.no):
            name = "maximum" if c.relation == ">" else "minimum"
            return self.make(name, self.real(self(expr.yes)), self.real(self(expr.no)))
        yes, no = self(expr.yes), self(expr.no)
        mask = self.truth(c)
        if expr.no is MINUS_INFINITY and len(mask.dims) < len(yes.dims) and set(mask.dims) < set(yes.dims):
            # A mask over fewer axes is added: a selection among all entries would cost many times more.
            return self.make(
                "add", yes, self.make("where", mask, self.make("constant", self.literal(Fraction(0))), no)
            )
        if isinstance(expr.yes, Mul) and no.code == "0" and set(mask.dims) < set(yes.dims):
            return self.product(expr.yes, mask)
        if yes.integer and no.scalar:
            return replace(self.make("where", self.truth(c), yes, no), integer=True)
        return self.where(self.truth(c), self.real(yes), self.real(no))

    def where(self, condition: Node, yes: Node, no: Node) -> Node:
        """A selection; two Python numbers would lose the dtype, so one of them is made an array."""
        if condition.scalar:
            return self.make("choose", condition, yes, no)
        if yes.scalar and no.scalar:
            if no.code == "0":
                node = self.make("cast", condition)
                return node if yes.code == "1" else self.make("mul", node, yes)
            yes = self.make("constant", yes)
        return self.make("where", condition, yes, no)

    def real(self, node: Node) -> Node:
        """Truth values as the numbers 0 and 1, and integers as real numbers."""
        return self.make("cast", node) if (node.truth or node.integer) and not node.scalar else node

    def truth(self, expr: Expr) -> Node:
        """A 0/1-valued expression as truth values."""
        if isinstance(expr, Mul):
            return self.fold("and", [self.truth(f) for f in expr.factors])
        if isinstance(expr, Add) and self.is_truth(expr):
            return self.make("not", self.truth(-expr.terms[1]), truth=True)
        if isinstance(expr, Bracket):
            return self.comparison(expr)
        node = self(expr)
        return node if node.truth else self.make("!=", node, self.literal(Fraction(0)), truth=True)

    def comparison(self, expr: Bracket) -> Node:
        for constant, other in ((expr.left, expr.right), (expr.right, expr.left)):
            if isinstance(constant, Number) and expr.relation in ("==", "!=") and self.is_truth(other):
                node = self.truth(other)
                holds = (constant.value == 1) == (expr.relation == "==")
                return node if holds else self.make("not", node, truth=True)
        return self.make(expr.relation, self(expr.left), self(expr.right), truth=True)

    def is_truth(self, expr: Expr) -> bool:
        """Whether the expression is made of conditions alone."""
        if isinstance(expr, Mul):
            return all(self.is_truth(f) for f in expr.factors)
        if isinstance(expr, Add):
            return len(expr.terms) == 2 and expr.terms[0] is ONE and self.is_truth(-expr.terms[1])
        return idempotent(expr) or (isinstance(expr, Entry) and self.read(expr).truth)

    def fold(self, op: str, nodes: Sequence[Node]) -> Node:
        result = nodes[0]
        for node in nodes[1:]:
            result = self.make(op, result, node, truth=op in ("and", "or"))
        return result

    # --- sums

    def sum(self, expr: Add) -> Node:
        if len(expr.terms) == 2 and expr.terms[0] is number(-1) and _is_exp(expr.terms[1]):
            return self.make("expm1", self(expr.terms[1].children[0]))
        if len(expr.terms) == 2 and expr.terms[0] is ONE and _is_exp(-expr.terms[1]):
            return self.make("neg", self.make("expm1", self((-expr.terms[1]).children[0])))
        if (found := one_plus_erf(expr)) is not None:
            constant, x = found
            return self.make("mul", self.make("erfc", self(-x)), self.literal(constant.value))
        if (base := one_less_square(expr)) is not None and not (node := self.real(self(base))).scalar:
            return self.make("one less square", node)
        groups: dict[Dims, list[tuple[bool, Node]]] = {}
        for term in expr.terms:
            minus, positive = _sign(term)
            node = self.real(self(positive))
            groups.setdefault(() if node.scalar else node.dims, []).append((minus, node))
        joined = [self.chain(group) for _, group in sorted(groups.items(), key=lambda g: -len(g[0]))]
        return self.negated(self.chain(joined))

    def chain(self, terms: Sequence[tuple[bool, Node]]) -> tuple[bool, Node]:
        """Signed terms added up, a positive one first; whether the result is to be negated."""
        ordered = sorted(terms, key=lambda t: t[0])
        if len(terms) > 1 and not terms[0][0]:
            ordered = [terms[0], *sorted(terms[1:], key=lambda t: t[0])]
        flip, result = ordered[0]
        for minus, node in ordered[1:]:
            result = self.make("sub" if minus != flip else "add", result, node)
        return flip, result

    def negated(self, signed: tuple[bool, Node]) -> Node:
        return self.make("neg", signed[1]) if signed[0] else signed[1]

    # --- products

    def product(self, expr: Expr, *given: Node) -> Node:
        """Factors over the same axes are joined, then the groups, the smallest first; masks select."""
        above: list[Node] = []
        below: list[Node] = []
        masks = list(given)
        value = Fraction(1)
        root, factors = _joined_roots(expr.factors if isinstance(expr, Mul) else (expr,))
        # What may vanish comes first: 0 * x * x is 0 also where x * x overflows.
        for factor in sorted(factors, key=_is_plain_power):
            if isinstance(factor, Number):
                value = factor.value
            elif self.is_truth(factor):
                masks.append(self.truth(factor))
            elif len(factors) > 1 and _is_plain_power(factor):
                assert isinstance(factor, Power)
                above.extend([self(factor.base)] * int(factor.exponent))
            elif isinstance(factor, Power):
                (above if factor.exponent > 0 else below).append(
                    self.power(factor.base, abs(factor.exponent))
                )
            else:
                above.append(self.real(self(factor)))
        minus = value < 0
        if root is not ONE:
            above.append(self.make("sqrt", self(root)))
        if root is not ONE and Fraction(repr(float(value))) == value:
            if abs(value) != 1:
                above.append(self.literal(abs(value)))
            return self.quotient(above, below, masks, minus=minus)
        if abs(value).numerator != 1:
            above.append(self.literal(Fraction(abs(value).numerator)))
        if value.denominator != 1:
            half = value.denominator & (value.denominator - 1) == 0
            side = (
                self.literal(Fraction(1, value.denominator))
                if half
                else self.literal(Fraction(value.denominator))
            )
            (above if half else below).append(side)
        return self.quotient(above, below, masks, minus=minus)

    def power(self, base: Expr, exponent: Fraction) -> Node:
        node = self.real(self(base))
        if exponent == 1:
            return node
        if exponent == Fraction(1, 2):
            return self.make("sqrt", node)
        if exponent == 2 and not node.scalar:
            return self.make("square", node)
        return self.make("power", node, self.literal(exponent))

    def quotient(self, above: list[Node], below: list[Node], masks: list[Node], *, minus: bool) -> Node:
        tops = self.groups(above)
        for dims, node in sorted(self.groups(below).items(), key=lambda g: len(g[0])):
            host = self.host(tops, dims)
            tops[host] = self.make("div", tops.get(host) or self.literal(Fraction(1)), node)
        for mask in masks:
            host = self.host(tops, mask.dims)
            smaller = [d for d in tops if set(d) < set(mask.dims)]
            if set(host) > set(mask.dims) and smaller:
                inner = tops.pop(max(smaller, key=len))
                tops[mask.dims] = self.where(mask, inner, self.literal(Fraction(0)))
            elif host in tops:
                tops[host] = self.where(mask, tops[host], self.literal(Fraction(0)))
            else:
                tops[host] = self.real(mask)
        ordered = [node for _, node in sorted(tops.items(), key=lambda g: len(g[0]))]
        result = self.negative(ordered[0]) if minus else ordered[0]
        for node in ordered[1:]:
            # The larger array stands first: it can be changed in place.
            result = self.make("mul", node, result)
        return result

    def negative(self, node: Node) -> Node:
        """With another sign, that of a number where there is one: it costs no pass over memory there."""
        if node.op == "leaf" and node.scalar:
            return replace(node, code=f"-{node.code}")
        if node.op in ("mul", "div") and any(a.scalar for a in node.args):
            last = max(n for n, a in enumerate(node.args) if a.scalar)
            args = tuple(self.negative(a) if n == last else a for n, a in enumerate(node.args))
            return replace(node, args=args)
        return self.make("neg", node)

    def groups(self, nodes: Sequence[Node]) -> dict[Dims, Node]:
        found: dict[Dims, list[Node]] = {}
        for node in sorted(nodes, key=lambda n: n.scalar):
            found.setdefault(node.dims, []).append(node)
        return {dims: self.fold("mul", group) for dims, group in found.items()}

    def host(self, tops: dict[Dims, Node], dims: Dims) -> Dims:
        """The smallest group whose axes hold these axes, or one of its own."""
        fitting = [d for d in tops if set(dims) <= set(d)]
        if not fitting:
            return dims
        return min(fitting, key=len)


def _sign(term: Expr) -> tuple[bool, Expr]:
    if isinstance(term, Number):
        return term.value < 0, number(abs(term.value))
    if isinstance(term, Mul) and isinstance(term.factors[0], Number) and term.factors[0].value < 0:
        return True, -term
    return False, term


def _joined_roots(factors: Sequence[Expr]) -> tuple[Expr, list[Expr]]:
    """What stands under the roots of constants, such as 2/pi, and the other factors.

    One root and one decimal are rounded once each; a quotient of two roots is a unit off too often.
    """
    inside, others = ONE, list[Expr]()
    for factor in factors:
        constant = isinstance(factor, Power) and isinstance(factor.base, Number | Constant)
        if constant and isinstance(factor, Power) and factor.exponent.denominator == 2:
            inside = mul(inside, power(factor.base, factor.exponent * 2))
        else:
            others.append(factor)
    return (inside, others) if isinstance(inside, Mul) else (ONE, list(factors))


def _is_plain_power(factor: Expr) -> bool:
    """A square or a cube of an entry."""
    return isinstance(factor, Power) and isinstance(factor.base, Entry) and factor.exponent in (2, 3)


def _is_exp(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.function == "exp"


__all__ = ["MINUS_INFINITY", "Dims", "Node", "Trees", "mul", "power"]

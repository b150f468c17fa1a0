"""The arrangement of a formula: how tightly parts hold together, signs, and the order of factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction as Rational

from gradproof.symbolic.boxes import (
    COMMA,
    NEGATIVE,
    Box,
    Fence,
    Fraction,
    Num,
    row,
)
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
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
    Relation,
    Size,
    Where,
    bracket,
    where,
)

SUM, PRODUCT, BIG, ATOM = range(4)
"""How tightly a box holds together; a box is put in parentheses inside a tighter one."""


@dataclass(frozen=True)
class Spot:
    """A node on its way to the page; `hot` is the path from it to the part to be marked, if inside."""

    node: Expr
    hot: tuple[int, ...] | None = None

    def child(self, place: int) -> Spot:
        inside = self.hot if self.hot and self.hot[0] == place else None
        return Spot(self.node.children[place], inside[1:] if inside else None)

    @property
    def children(self) -> tuple[Spot, ...]:
        return tuple(self.child(place) for place in range(len(self.node.children)))


def signed(value: Rational) -> tuple[Box, int]:
    """A rational number."""
    size = abs(value)
    made: Box = Num(decimals(size) or str(size.numerator))
    level = ATOM
    if size.denominator != 1 and not decimals(size):
        made, level = Fraction(made, Num(str(size.denominator))), PRODUCT
    return (row(NEGATIVE, made), SUM) if value < 0 else (made, level)


def negative(node: Expr) -> bool:
    """Whether a term is written with a minus sign."""
    if isinstance(node, Number):
        return node.value < 0
    return isinstance(node, Mul) and isinstance(node.factors[0], Number) and node.factors[0].value < 0


def boolean(node: Expr) -> bool:
    """Whether a node is a condition: a bracket, or an entry of truth values."""
    return isinstance(node, Bracket) or (isinstance(node, Entry) and node.tensor.dtype == "boolean")


def decimals(value: Rational) -> str:
    """An exact decimal, for a rational with a long denominator that has one; else nothing.

    >>> decimals(Rational(8943, 200000))
    '0.044715'
    """
    if value.denominator <= 64:
        return ""
    for digits in range(1, 13):
        scaled = value * 10**digits
        if scaled.denominator == 1:
            text = str(scaled.numerator).rjust(digits + 1, "0")
            return f"{text[:-digits]}.{text[-digits:]}"
    return ""


def magnitude(node: Where) -> tuple[Expr, ...] | None:
    """What a case distinction is the absolute value of, or the two of which it is the larger."""
    condition = node.condition
    if not (isinstance(condition, Bracket) and condition.relation == ">" and condition.left is node.yes):
        return None
    if condition.right is node.no:
        return (node.yes, node.no)
    x = node.yes
    inner = where(bracket("<", x, 0), -x, 0)
    return (x,) if condition.right is ZERO and node.no is inner else None


def constant_root(node: Expr) -> bool:
    """Whether a node is the square root of a whole number or of a constant."""
    return (
        isinstance(node, Power)
        and node.exponent == Rational(1, 2)
        and isinstance(node.base, Number | Constant)
        and (not isinstance(node.base, Number) or node.base.value.denominator == 1)
    )


def tall(node: Expr) -> bool:
    """Whether a factor is written behind a fraction, not above its line."""
    if isinstance(node, Power):
        return tall(node.base)
    return isinstance(node, Add | Reduce | Where | Derivative | Bracket)


def short(node: Expr) -> bool:
    """Whether an argument can stand as an exponent of e."""
    if isinstance(node, Add):
        return len(node.terms) <= 3 and all(short(t) for t in node.terms)
    if isinstance(node, Mul):
        return len(node.factors) <= 3 and all(short(f) for f in node.factors)
    if isinstance(node, Power):
        return node.exponent.denominator == 1 and node.exponent > 0 and short(node.base)
    if isinstance(node, Number):
        return node.value.denominator == 1
    return not isinstance(node, Reduce | Where | Derivative | Call)


def _order(spot: Spot) -> int:
    node = spot.node.base if isinstance(spot.node, Power) else spot.node
    kinds = (Number, Constant, Parameter, Size, Index, Bracket, Entry, Call, Add, Where, Derivative, Reduce)
    return kinds.index(type(node)) if type(node) in kinds else len(kinds)


def arrange(spots: Sequence[Spot]) -> list[Spot]:
    """Factors in the order of a textbook: `y` stands before `(1 - y)`, a sum stands last."""
    ordered = sorted(spots, key=_order)
    for fence in [s for s in ordered if isinstance(s.node, Add)]:
        partner = next((s for s in ordered if _complement(s.node, fence.node)), None)
        if partner is not None:
            ordered.remove(partner)
            ordered.insert(ordered.index(fence), partner)
    return ordered


def _complement(node: Expr, parenthesis: Expr) -> bool:
    """Whether the parenthesis is `1 - node`."""
    return isinstance(node, Entry) and ONE - node is parenthesis


_NEGATED: dict[Relation, Relation] = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def opposite(node: Add) -> Expr | None:
    """`1 - [a < b]` as `[a >= b]`."""
    if len(node.terms) != 2 or node.terms[0] is not ONE:
        return None
    bare = -node.terms[1]
    if isinstance(bare, Bracket):
        made = bracket(_NEGATED[bare.relation], bare.left, bare.right)
        return made if isinstance(made, Bracket) else None
    return None


def flip(factor: Spot, flipped: Expr) -> tuple[int, ...] | None:
    """The path inside a denominator: through its power, or past it where the exponent became 1."""
    if not factor.hot:
        return None
    return factor.hot if isinstance(flipped, Power) else factor.hot[1:]


def spaced(left: Box, right: Box) -> bool:
    """Whether a thin space stands between two factors."""
    return isinstance(left, Fraction) or not isinstance(right, Fence)


def fenced(box: Box) -> Box:
    """A box in parentheses."""
    return Fence("(", box, ")")


def commas(parts: Sequence[Box]) -> list[Box]:
    """Boxes with commas between them."""
    return between(parts, COMMA)


def between(parts: Sequence[Box], separator: Box) -> list[Box]:
    """Boxes with a separator between them."""
    made: list[Box] = []
    for place, part in enumerate(parts):
        if place:
            made.append(separator)
        made.append(part)
    return made

"""What the rows of stability are made of, and what they may look up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Call,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Power,
    Tensor,
    bracket,
    entry,
    mul,
    substitute,
    where,
)
from gradproof.symbolic.operation import Definition

if TYPE_CHECKING:
    from gradproof.numeric.stable_norms import Norm


def magnitude(x: Expr) -> Expr:
    """`|x|`, as the language of operations writes it."""
    return where(bracket(">", x, 0), x, where(bracket("<", x, 0), -x, 0))


def positive_part(x: Expr) -> Expr:
    """`max(x, 0)`."""
    return where(bracket(">", x, 0), x, 0)


def one_less_square(expr: Expr) -> Expr | None:
    """The `t` of `1 - t^2`, where it is an entry."""
    if not (isinstance(expr, Add) and len(expr.terms) == 2 and expr.terms[0] is ONE):
        return None
    square = -expr.terms[1]
    if isinstance(square, Power) and square.exponent == 2 and isinstance(square.base, Entry):
        return square.base
    return None


@dataclass(frozen=True)
class Shift:
    """A sum of exponentials brought to `exp(top) * scale`, with `scale = sum exp(lowered)`."""

    terms: Expr
    over: tuple[Index, ...]
    mask: Expr
    top: Entry
    lowered: Entry
    scale: Entry


@dataclass
class Context:
    """What a rewrite may look up, and the definitions that it adds.

    `definitions` are those before the one being rewritten; `given` are the tensors that cost nothing to read;
    `written` are to be written out wherever they are read; `applied` names the rows that were used.
    `norms` are the scaled roots of sums of squares by the key of the root, `roots` by the tensor that is one.
    """

    given: frozenset[Tensor] = frozenset()
    definitions: dict[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    shifts: dict[str, Shift] = field(default_factory=dict[str, Shift])
    logarithms: dict[Tensor, Shift] = field(default_factory=dict[Tensor, Shift])
    norms: dict[str, Norm] = field(default_factory=dict[str, "Norm"])
    roots: dict[Tensor, Norm] = field(default_factory=dict[Tensor, "Norm"])
    added: list[Definition] = field(default_factory=list[Definition])
    written: dict[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    taken: set[str] = field(default_factory=set[str])
    applied: set[str] = field(default_factory=set[str])

    def claim(self, name: str) -> str:
        stem, count = name, 1
        while name in self.taken:
            count += 1
            name = f"{stem}{count}"
        self.taken.add(name)
        return name

    def define(self, name: str, over: tuple[Index, ...], value: Expr) -> Entry:
        target = Tensor(self.claim(name), tuple(i.axis for i in over))
        made = Definition(target, over, value)
        self.definitions[target] = made
        self.added.append(made)
        return entry(target, *over)

    def leaf(self, node: Expr, function: str) -> Expr | None:
        """The argument where the node is the leaf function of something given, by itself or by name."""
        if isinstance(node, Call) and node.function == function:
            return node.arguments[0]
        if isinstance(node, Entry) and node.tensor in self.definitions:
            d = self.definitions[node.tensor]
            plain = all(isinstance(i, Index) for i in d.indices)
            if isinstance(d.value, Call) and d.value.function == function and plain:
                argument = substitute(d.value.arguments[0], dict(zip(d.indices, node.indices, strict=True)))
                if argument.tensors <= self.given and not argument.bound:
                    return argument
        return None


@dataclass(frozen=True)
class Row:
    """One rewrite: why it is there, how it is applied, and what has to be proved for it."""

    name: str
    says: str
    apply: Callable[[Expr, Context], Expr | None]
    statement: Callable[[], tuple[Expr, Expr]]


def with_coefficient(term: Expr) -> tuple[Fraction, Expr]:
    """A term as its coefficient and what it multiplies."""
    if isinstance(term, Mul) and isinstance(term.factors[0], Number):
        return term.factors[0].value, mul(*term.factors[1:])
    return Fraction(1), term

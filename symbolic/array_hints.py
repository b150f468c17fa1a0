"""What is wrong with a claim over arrays, in words: each hint is proved before it is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations

from gradproof.symbolic.array_decision import Question, equal
from gradproof.symbolic.arrays import Array, placed, summed, transposed
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.expressions import (
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Number,
    Tensor,
    bracket,
    entry,
    fresh,
    mul,
    number,
    rewrite,
    size,
    substitute,
    total,
)
from gradproof.symbolic.formulas import Formula
from gradproof.symbolic.matrices import cofactor, determinant, inverse
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.verdict import Witness

MAX_SECONDS = 1


@dataclass(frozen=True)
class Case:
    """An equation between a derivative and what is claimed of it.

    - `truth` over the indices `over` of `axes`, and the claim as it was written;
    - `rank`: how many of the axes are those of the function;
    - `needs`: what the derivative asks for; `known`, `suppose`: the conditions;
    - `dot`: the tangent of an entry that the derivative was taken along.
    """

    what: str
    axes: tuple[Axis, ...]
    over: tuple[Index, ...]
    truth: Formula
    function: Formula
    claimed: Array
    by: tuple[Tensor, ...]
    needs: tuple[Demand, ...]
    known: tuple[Demand, ...]
    suppose: tuple[tuple[Expr, Expr], ...]
    dot: Callable[[Entry], Expr]
    rank: int
    cotangent: Tensor | None = None
    directions: tuple[Tensor, ...] = ()
    sizes: tuple[Axis, ...] = ()
    weighted: Expr | None = None
    """The number that a VJP or a gradient is the derivative of."""
    first: Expr | None = None
    """The first derivative that a Hessian is the derivative of."""


@dataclass(frozen=True)
class Hints:
    """Looks for the change that would make a refuted claim right."""

    case: Case
    until: float
    witness: Witness | None = None

    def holds(self, truth: Expr, claim: Formula) -> bool:
        """Whether the changed equation is proved."""
        if time.perf_counter() > self.until:
            return False
        question = Question(
            Formula(truth), claim, (*self.case.known, *self.case.needs), self.case.suppose, self.until
        )
        return equal(question)

    def of_shape(self) -> Iterator[str]:
        """Hints on a claim whose axes are not those of the derivative."""
        case, claim = self.case, self.case.claimed
        if None not in claim.axes and sorted(map(str, claim.axes)) == sorted(map(str, case.axes)):
            for order in permutations(range(claim.rank)):
                body = placed(transposed(claim, order), case.axes, case.over)
                if body is not None and self.holds(case.truth.value, body):
                    yield self.turned(order)
                    return
        extra = [n for n, a in enumerate(claim.axes) if a not in case.axes]
        if extra and len(extra) < claim.rank:
            body = placed(summed(claim, extra), case.axes, case.over)
            if body is not None and self.holds(case.truth.value, body):
                names = ", ".join("1" if claim.axes[n] is None else str(claim.axes[n].name) for n in extra)  # pyright: ignore[reportOptionalMemberAccess]
                yield f"not summed over {names}: summed over it, the claim is right"
                return
        yield from self.of_jacobian()

    def of_jacobian(self) -> Iterator[str]:
        case, claim = self.case, self.case.claimed
        ahead, behind = case.over[: case.rank], case.over[case.rank :]
        if case.what != "Jacobian" or len(ahead) != len(behind) or not ahead:
            return
        if claim.axes == case.axes[: case.rank] == case.axes[case.rank :]:
            body = claim.at(ahead)
            diagonal = mul(*(bracket("==", a, b) for a, b in zip(ahead, behind, strict=True)))
            if self.holds(case.truth.value, Formula(mul(diagonal, body.value), body.demands)):
                yield "these are the entries on the diagonal of the Jacobian, not the Jacobian"
            gathered = total(case.truth.value, *ahead)
            if self.holds(gathered, claim.at(behind)):
                yield "this is the gradient of the sum of the outputs, not the Jacobian"

    def turned(self, order: Sequence[int]) -> str:
        rank = self.case.rank
        if self.case.what == "Jacobian" and rank and set(order[:rank]) != set(range(rank)):
            return (
                "transposed: the axes of the variable stand before those of the function (the layout of a "
                "gradient); a Jacobian has them behind"
            )
        return f"transposed: the claim is right with its axes in the order {tuple(order)}"

    def of_value(self, body: Formula) -> Iterator[str]:
        """Hints on a claim of the right axes."""
        case, truth = self.case, self.case.truth.value
        for factor, said in self.factors():
            if self.fits(factor) and self.holds(truth, Formula(mul(factor, body.value), body.demands)):
                yield said
                return
        for order in permutations(range(len(case.axes))):
            fits = all(case.axes[n] == a for n, a in zip(order, case.axes, strict=True))
            if fits and order != tuple(range(len(case.axes))):
                moved: dict[Index, Expr] = {case.over[n]: case.over[m] for n, m in enumerate(order)}
                if self.holds(truth, Formula(substitute(body.value, moved), body.demands)):
                    yield self.turned(order)
                    return
        yield from self.of_structure(body)
        if case.cotangent is not None and case.cotangent not in body.value.tensors:
            yield f"the cotangent {case.cotangent.name} does not occur in the claim"

    def fits(self, factor: Expr) -> bool:
        """Whether the witness may be that of a wrong factor: its sides have that ratio, or a whole one."""
        if self.witness is None or self.witness.right == "undefined":
            return False
        left, right = Fraction(self.witness.left), Fraction(self.witness.right)
        if not left or not right:
            return not left and not right
        ratio = left / right
        wanted = [factor.value] if isinstance(factor, Number) else [Fraction(n, 1) for n in range(2, 5)]
        wanted += [] if isinstance(factor, Number) else [1 / w for w in wanted]
        return any(abs(ratio - w) < abs(w) / 10**12 for w in wanted)

    def factors(self) -> Iterator[tuple[Expr, str]]:
        yield number(-1), "the sign is wrong"
        for value in (Fraction(2), Fraction(1, 2), Fraction(3), Fraction(1, 3), Fraction(4), Fraction(1, 4)):
            yield number(value), f"a factor {value} is missing"
        for value in (Fraction(-2), Fraction(-1, 2)):
            yield number(value), f"a factor {value} is missing"
        for axis in self.case.sizes:
            if axis.size is None:
                yield size(axis), f"a factor {axis.name} is missing"
                yield 1 / size(axis), f"a factor 1/{axis.name} is missing"

    def of_structure(self, body: Formula) -> Iterator[str]:
        """Whether the claim is right for symmetric matrices only."""
        square = [
            t
            for t in sorted(self.case.truth.value.tensors, key=lambda t: t.name)
            if not isinstance(t, MatrixFunction) and len(t.axes) >= 2 and t.axes[-1] == t.axes[-2]
        ]
        for tensor in square:
            if tensor.structure or tensor == self.case.cotangent:
                continue
            same = {tensor: replace(tensor, structure="symmetric")}
            known = tuple(_demand(d, same) for d in (*self.case.known, *self.case.needs))
            asked = tuple(_demand(d, same) for d in body.demands)
            question = Question(
                Formula(restructured(self.case.truth.value, same)),
                Formula(restructured(body.value, same), asked),
                known,
                self.case.suppose,
                self.until,
            )
            if time.perf_counter() < self.until and equal(question):
                yield f"right only for symmetric {tensor.name}"
                return


def hints(case: Case, body: Formula | None, witness: Witness | None = None) -> tuple[str, ...]:
    """Hints on a refuted claim; `body` is the claim at the indices of the derivative if its axes fit."""
    look = Hints(case, time.perf_counter() + MAX_SECONDS, witness)
    try:
        return tuple(look.of_shape() if body is None else look.of_value(body))
    except (TooLargeError, ZeroDivisionError):
        return ()


def restructured(expr: Expr, tensors: Mapping[Tensor, Tensor]) -> Expr:
    """The expression with tensors replaced by others of the same axes, also inside inverses."""

    def visit(node: Expr) -> Expr:
        if not isinstance(node, Entry):
            return node
        if node.tensor in tensors:
            return entry(tensors[node.tensor], *node.indices)
        if not isinstance(node.tensor, MatrixFunction) or not node.tensors & set(tensors):
            return node
        made = node.tensor
        assert made.row is not None and made.column is not None
        batch = node.indices[: len(made.batch)]
        used = node.free
        row = fresh(used, made.row)
        column = fresh({*used, row}, made.column)
        matrix = restructured(made.at(row, column, batch), tensors)
        if made.kind == "determinant":
            return determinant(matrix, row, column)
        build = inverse if made.kind == "inverse" else cofactor
        places: dict[Index, Expr] = {row: node.indices[-2], column: node.indices[-1]}
        return substitute(build(matrix, row, column), places)

    return NormalForm().tidy(rewrite(expr, visit))


def _demand(demand: Demand, tensors: Mapping[Tensor, Tensor]) -> Demand:
    return replace(
        demand,
        subject=restructured(demand.subject, tensors),
        guards=tuple(restructured(g, tensors) for g in demand.guards),
    )

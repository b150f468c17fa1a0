"""The value of an expression at a point, in ball arithmetic: what a witness is confirmed with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import Any

from flint import arb, arb_mat, ctx, fmpq, fmpz_mat

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    Add,
    Bracket,
    Call,
    Constant,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Mul,
    Number,
    Parameter,
    Power,
    Reduce,
    Size,
    Tensor,
    Where,
)
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.signs import holds
from gradproof.symbolic.special import SPECIAL


class UndefinedError(Exception):
    """The expression has no value at the point, or its value cannot be told at this precision."""


class UnclearError(UndefinedError):
    """Whether there is a value, or which case it is, cannot be told at this precision."""


_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "erf": lambda x: x.erf(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: (1 + x.exp()).log(),
}


@dataclass(frozen=True)
class Point:
    """Sizes of axes, entries of tensors and values of parameters."""

    sizes: Mapping[Axis, int]
    tensors: Mapping[Tensor, Mapping[tuple[int, ...], Fraction]]
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def show(self) -> dict[str, str]:
        """The point as texts, tensors as nested lists."""
        shown = {t.name: _nested(t, values, self.sizes) for t, values in self.tensors.items()}
        return {**shown, **{name: str(value) for name, value in self.parameters.items()}}


def _nested(tensor: Tensor, values: Mapping[tuple[int, ...], Fraction], sizes: Mapping[Axis, int]) -> str:
    def part(prefix: tuple[int, ...], axes: Sequence[Axis]) -> str:
        if not axes:
            return str(values[prefix])
        return "[" + ", ".join(part((*prefix, n), axes[1:]) for n in range(sizes[axes[0]])) + "]"

    return part((), tensor.axes)


@dataclass
class Evaluator:
    """Values of expressions at a point, each definition evaluated once for each entry."""

    point: Point
    definitions: Mapping[Tensor, Definition]
    precision: int = 128
    known: dict[tuple[Tensor, tuple[int, ...]], Any] = field(
        default_factory=dict["tuple[Tensor, tuple[int, ...]]", Any]
    )

    def __call__(self, expr: Expr, at: Mapping[Index, int] | None = None) -> Any:
        """The value as a ball; raises UndefinedError where there is none."""
        before = ctx.prec
        ctx.prec = self.precision
        try:
            value = self.value(expr, at or {})
        finally:
            ctx.prec = before
        if not value.is_finite():
            raise UnclearError(f"{expr} has no finite value")
        return value

    def value(self, expr: Expr, at: Mapping[Index, int]) -> Any:
        if isinstance(expr, Number):
            return _ball(expr.value)
        if isinstance(expr, Parameter):
            return _ball(self.point.parameters[expr.name])
        if isinstance(expr, Constant):
            return arb.pi()
        if isinstance(expr, Size):
            return arb(self.point.sizes[expr.axis])
        if isinstance(expr, Index):
            return arb(at[expr])
        if isinstance(expr, Entry):
            return self.entry(expr, at)
        if isinstance(expr, Add):
            return sum((self.value(t, at) for t in expr.terms), start=arb(0))
        if isinstance(expr, Mul):
            result = arb(1)
            for factor in expr.factors:
                result *= self.value(factor, at)
            return result
        if isinstance(expr, Power):
            return self.power(self.value(expr.base, at), expr.exponent)
        if isinstance(expr, Call):
            if expr.function in SPECIAL:
                return SPECIAL[expr.function].value([self.value(a, at) for a in expr.arguments])
            if not expr.arguments:
                raise UndefinedError(f"{expr.function} has no value")
            argument = self.value(expr.arguments[0], at)
            if expr.function == "log" and not argument > 0:
                raise (UndefinedError if argument <= 0 else UnclearError)(f"log of {argument}")
            return _FUNCTIONS[expr.function](argument)
        if isinstance(expr, Bracket):
            return arb(int(self.holds(expr, at)))
        if isinstance(expr, Where):
            chosen = self.value(expr.condition, at)
            if not chosen == 1 and chosen.contains(1):
                raise UnclearError(f"{expr.condition} cannot be told at this precision")
            return self.value(expr.yes if chosen == 1 else expr.no, at)
        if isinstance(expr, Reduce):
            return self.reduction(expr, at)
        raise UndefinedError(f"{type(expr).__name__} has no value")

    def entry(self, expr: Entry, at: Mapping[Index, int]) -> Any:
        place = tuple(self.position(i, at) for i in expr.indices)
        if not all(0 <= n < self.size(a) for n, a in zip(place, expr.tensor.axes, strict=True)):
            raise UndefinedError(f"{expr}: position {place} is off the axis")
        if isinstance(expr.tensor, MatrixFunction):
            return self.of_matrix(expr.tensor, place)
        if expr.tensor in self.point.tensors:
            return _ball(self.point.tensors[expr.tensor][place])
        if (expr.tensor, place) not in self.known:
            d = self.definitions[expr.tensor]
            self.known[(expr.tensor, place)] = self.value(d.value, dict(zip(d.indices, place, strict=True)))
        return self.known[(expr.tensor, place)]

    def of_matrix(self, made: MatrixFunction, place: tuple[int, ...]) -> Any:
        """The determinant, or an entry of the inverse, of a matrix; all of an inverse is computed at once."""
        if (made, place) in self.known:
            return self.known[(made, place)]
        assert made.matrix is not None and made.row is not None and made.column is not None
        batch = place[: len(made.batch)]
        around = dict(zip(made.batch, batch, strict=True))
        count = self.size(made.row.axis)
        rows = [
            [self.value(made.matrix, {**around, made.row: r, made.column: c}) for c in range(count)]
            for r in range(count)
        ]
        if made.kind == "determinant":
            self.known[(made, place)] = _determinant(rows)
            return self.known[(made, place)]
        if made.kind == "cofactor":
            r, c = place[-2:]
            minor = [[v for k, v in enumerate(row) if k != c] for n, row in enumerate(rows) if n != r]
            self.known[(made, place)] = (-1) ** (r + c) * _determinant(minor)
            return self.known[(made, place)]
        found = _determinant(rows)
        if found.contains(0):
            raise (UndefinedError if found == 0 else UnclearError)(f"{made.name}: a singular matrix")
        inverse: Any = arb_mat(count, count, [v for row in rows for v in row]).inv() if count else None
        for r, c in product(range(count), repeat=2):
            self.known[(made, (*batch, r, c))] = inverse[r, c]
        return self.known[(made, place)]

    def position(self, expr: Expr, at: Mapping[Index, int]) -> int:
        if isinstance(expr, Index):
            return at[expr]
        value = self.value(expr, at).unique_fmpz()
        if value is None:
            raise UnclearError(f"the position {expr} cannot be told at this precision")
        return int(value)

    def power(self, base: Any, exponent: Fraction) -> Any:
        if exponent < 0 and base.contains(0):
            raise (UndefinedError if base == 0 else UnclearError)("division by 0")
        if exponent.denominator == 1:
            return base ** int(exponent)
        if not base >= 0:
            raise (UndefinedError if base < 0 else UnclearError)(f"a root of {base}")
        return (base if exponent.denominator == 1 else base.root(exponent.denominator)) ** exponent.numerator

    def holds(self, expr: Bracket, at: Mapping[Index, int]) -> bool:
        difference = self.value(expr.left, at) - self.value(expr.right, at)
        if not (difference > 0 or difference < 0 or difference == 0):
            raise UnclearError(f"{expr} cannot be told at this precision")
        return holds(expr.relation, 1 if difference > 0 else -1 if difference < 0 else 0)

    def reduction(self, expr: Reduce, at: Mapping[Index, int]) -> Any:
        ranges = [range(self.size(i.axis)) for i in expr.indices]
        values = [
            self.value(expr.body, {**at, **dict(zip(expr.indices, c, strict=True))}) for c in product(*ranges)
        ]
        if expr.kind == "sum":
            return sum(values, start=arb(0))
        if not values:
            raise UndefinedError("the largest of no values")
        result = values[0]
        for value in values[1:]:
            result = result.max(value)
        return result

    def size(self, axis: Axis) -> int:
        return axis.size if axis.size is not None else self.point.sizes[axis]


def _determinant(rows: list[list[Any]]) -> Any:
    """The determinant, exact where all entries are whole numbers."""
    entries = [value for row in rows for value in row]
    if not rows:
        return arb(1)
    whole = [n for value in entries if value.is_exact() and (n := value.unique_fmpz()) is not None]
    if len(whole) == len(entries):
        return arb(fmpz_mat(len(rows), len(rows), whole).det())
    return arb_mat(len(rows), len(rows), entries).det()


def _ball(value: Any) -> Any:
    """A number as a ball; a parameter may have a ball for its value already."""
    return value if isinstance(value, arb) else arb(fmpq(value.numerator, value.denominator))

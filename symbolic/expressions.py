"""The index calculus: expressions over indexed tensors, with bound sums, brackets and leaf functions.

Every node is immutable and interned: two expressions built alike are the same object, so equality is `is`
and a dictionary keyed by expressions is fast. The constructors `add`, `mul`, `power`, `total` do only what
is true for every value (flattening, exact arithmetic of constants, collecting like terms); anything that
needs a reason is a rule in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, TypeVar

from flint import fmpz

from gradproof.symbolic.axes import Axis

DType = Literal["real", "integer", "boolean"]
Relation = Literal["==", "!=", "<", "<=", ">", ">="]
Structure = Literal["", "symmetric", "positive definite", "invertible"]


@dataclass(frozen=True)
class Tensor:
    """A named array with typed axes.

    `domain` is where its entries may lie, written as in `x: (0, inf)`; the entries of an integer tensor
    index an axis (`over`): with the domain `index` all lie on it, with `integer` some may lie beside it.
    `structure` is what is known of the matrices over the last two axes.
    """

    name: str
    axes: tuple[Axis, ...] = ()
    dtype: DType = "real"
    domain: str = "real"
    over: Axis | None = None
    structure: Structure = ""

    def __repr__(self) -> str:
        return f"{self.name}[{', '.join(axis.name for axis in self.axes)}]"


@dataclass(frozen=True, repr=False)
class MatrixFunction(Tensor):
    """The inverse, determinant or cofactors of the matrices `matrix` over `row`, `column`, for each `batch`.

    Made in `matrices.py` alone, which brings `matrix` to a normal form. The cofactors are the derivative of
    the determinant; they have a value where the matrix is singular, too.
    """

    kind: Literal["inverse", "determinant", "cofactor"] = "inverse"
    batch: tuple[Index, ...] = ()
    row: Index | None = None
    column: Index | None = None
    matrix: Expr | None = None

    def at(self, row: Expr, column: Expr, batch: Iterable[Expr]) -> Expr:
        """An entry of the matrix that this is a function of."""
        assert self.matrix is not None and self.row is not None and self.column is not None
        places = (*batch, row, column)
        body = refresh(self.matrix, frozenset[Index]().union(*(p.free for p in places)))
        return substitute(body, dict(zip((*self.batch, self.row, self.column), places, strict=True)))


class Expr:
    """An expression; its subclasses are the node types."""

    def __add__(self, other: Operand) -> Expr:
        return add(self, other)

    def __radd__(self, other: Operand) -> Expr:
        return add(other, self)

    def __sub__(self, other: Operand) -> Expr:
        return add(self, mul(-1, other))

    def __rsub__(self, other: Operand) -> Expr:
        return add(other, mul(-1, self))

    def __mul__(self, other: Operand) -> Expr:
        return mul(self, other)

    def __rmul__(self, other: Operand) -> Expr:
        return mul(other, self)

    def __truediv__(self, other: Operand) -> Expr:
        return mul(self, power(expression(other), -1))

    def __rtruediv__(self, other: Operand) -> Expr:
        return mul(other, power(self, -1))

    def __neg__(self) -> Expr:
        return mul(-1, self)

    def __pow__(self, exponent: int | Fraction) -> Expr:
        return power(self, exponent)

    def __repr__(self) -> str:
        return self.key

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are interned like any other node."""
        return _intern, (type(self), *(getattr(self, f.name) for f in fields(self)))  # pyright: ignore[reportArgumentType]

    def _repr_latex_(self) -> str:
        from gradproof.symbolic.latex import displayed, latex

        return displayed(latex(self))

    @property
    def children(self) -> tuple[Expr, ...]:
        """The direct subexpressions, in order."""
        return ()

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        """The same node over other children, through its constructor."""
        return self

    @cached_property
    def key(self) -> str:
        """A text that determines the expression; nodes are ordered by it."""
        raise NotImplementedError

    @cached_property
    def free(self) -> frozenset[Index]:
        """The indices that occur free."""
        return frozenset[Index]().union(*(child.free for child in self.children))

    @cached_property
    def bound(self) -> frozenset[Index]:
        """The indices bound anywhere inside."""
        return frozenset[Index]().union(*(child.bound for child in self.children))

    @cached_property
    def tensors(self) -> frozenset[Tensor]:
        """The tensors read anywhere inside."""
        return frozenset[Tensor]().union(*(child.tensors for child in self.children))


Operand = Expr | int | Fraction
E = TypeVar("E", bound=Expr)

_interned: dict[tuple[Any, ...], Any] = {}


def _intern(cls: type[E], *fields: Any) -> E:
    found = _interned.get((cls, *fields))
    if found is None:
        found = _interned[(cls, *fields)] = cls(*fields)
    return found


@dataclass(frozen=True, eq=False, repr=False)
class Number(Expr):
    """An exact rational."""

    value: Fraction

    @cached_property
    def key(self) -> str:
        return str(self.value)


@dataclass(frozen=True, eq=False, repr=False)
class Parameter(Expr):
    """A scalar that stands for a number chosen later, such as the epsilon of layer norm."""

    name: str
    domain: str = "real"

    @cached_property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False, repr=False)
class Constant(Expr):
    """A real number with a name: `pi`."""

    name: str

    @cached_property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False, repr=False)
class Size(Expr):
    """The size of an axis, a symbolic nonnegative integer."""

    axis: Axis

    @cached_property
    def key(self) -> str:
        return f"#{self.axis.name}"


@dataclass(frozen=True, eq=False, repr=False)
class Index(Expr):
    """A variable that runs over an axis; as an expression, its integer value."""

    name: str
    axis: Axis

    @cached_property
    def key(self) -> str:
        return self.name

    @cached_property
    def free(self) -> frozenset[Index]:
        return frozenset({self})


@dataclass(frozen=True, eq=False, repr=False)
class Entry(Expr):
    """One entry of a tensor. An index position holds any integer-valued expression.

    Boolean entries have the value 0 or 1.
    """

    tensor: Tensor
    indices: tuple[Expr, ...]

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.indices

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        return entry(self.tensor, *children)

    @cached_property
    def key(self) -> str:
        return f"{self.tensor.name}[{','.join(i.key for i in self.indices)}]"

    @cached_property
    def tensors(self) -> frozenset[Tensor]:
        made = frozenset({self.tensor}).union(*(i.tensors for i in self.indices))
        if isinstance(self.tensor, MatrixFunction) and self.tensor.matrix is not None:
            made |= self.tensor.matrix.tensors
        return made


@dataclass(frozen=True, eq=False, repr=False)
class Add(Expr):
    """A sum of at least two terms."""

    terms: tuple[Expr, ...]

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.terms

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        return add(*children)

    @cached_property
    def key(self) -> str:
        return f"({' + '.join(t.key for t in self.terms)})"


@dataclass(frozen=True, eq=False, repr=False)
class Mul(Expr):
    """A product of at least two factors, a numeric one first."""

    factors: tuple[Expr, ...]

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.factors

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        return mul(*children)

    @cached_property
    def key(self) -> str:
        return "*".join(f.key for f in self.factors)


@dataclass(frozen=True, eq=False, repr=False)
class Power(Expr):
    """A base to a constant rational exponent."""

    base: Expr
    exponent: Fraction

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.base,)

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        return power(children[0], self.exponent)

    @cached_property
    def key(self) -> str:
        return f"{{{self.base.key}}}^{self.exponent}"


@dataclass(frozen=True, eq=False, repr=False)
class Call(Expr):
    """A leaf function of scalar arguments; `functions.py` has its row."""

    function: str
    arguments: tuple[Expr, ...]

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.arguments

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        return call(self.function, *children)

    @cached_property
    def key(self) -> str:
        return f"{self.function}({','.join(a.key for a in self.arguments)})"


@dataclass(frozen=True, eq=False, repr=False)
class Reduce(Expr):
    """The sum or the largest value of `body` over all values of `indices`."""

    kind: Literal["sum", "max"]
    indices: tuple[Index, ...]
    body: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.body,)

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        return reduce(self.kind, self.indices, children[0])

    @cached_property
    def key(self) -> str:
        return f"{self.kind}<{','.join(i.name for i in self.indices)}>({self.body.key})"

    @cached_property
    def free(self) -> frozenset[Index]:
        return self.body.free - set(self.indices)

    @cached_property
    def bound(self) -> frozenset[Index]:
        return self.body.bound | set(self.indices)


@dataclass(frozen=True, eq=False, repr=False)
class Bracket(Expr):
    """Iverson's bracket: 1 where `left relation right` holds, else 0. `[i == j]` is Kronecker's delta."""

    relation: Relation
    left: Expr
    right: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.left, self.right)

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        return bracket(self.relation, *children)

    @cached_property
    def key(self) -> str:
        return f"[{self.left.key} {self.relation} {self.right.key}]"


@dataclass(frozen=True, eq=False, repr=False)
class Where(Expr):
    """`yes` where the 0/1-valued `condition` is 1, else `no`; the other branch is not looked at."""

    condition: Expr
    yes: Expr
    no: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.condition, self.yes, self.no)

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        return where(*children)

    @cached_property
    def key(self) -> str:
        return f"where({self.condition.key}, {self.yes.key}, {self.no.key})"


@dataclass(frozen=True, eq=False, repr=False)
class Derivative(Expr):
    """The partial derivative of `body` by one entry of a tensor, not carried out yet."""

    body: Expr
    by: Entry

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.body, self.by)

    def rebuild(self, children: tuple[Expr, ...]) -> Expr:
        body, by = children
        assert isinstance(by, Entry)
        return derivative(body, by)

    @cached_property
    def key(self) -> str:
        return f"d({self.body.key})/d({self.by.key})"


# --- constructors


def expression(value: Operand) -> Expr:
    """The expression of an exact number, or the expression itself."""
    return value if isinstance(value, Expr) else number(value)


def number(value: int | Fraction) -> Number:
    """An exact rational."""
    return _intern(Number, Fraction(value))


ZERO, ONE = number(0), number(1)


def parameter(name: str, domain: str = "real") -> Parameter:
    """A scalar that stands for a number of the domain."""
    return _intern(Parameter, name, domain)


def constant(name: str) -> Constant:
    """A real number with a name."""
    return _intern(Constant, name)


def size(axis: Axis) -> Expr:
    """The number of values of an index over the axis."""
    if axis.parts:
        return add(number(axis.more), *(mul(times, size(part)) for part, times in axis.parts))
    if axis.factors:
        return mul(*map(size, axis.factors))
    return number(axis.size) if axis.size is not None else _intern(Size, axis)


def index(name: str, axis: Axis) -> Index:
    """A variable that runs over the axis."""
    return _intern(Index, name, axis)


def entry(tensor: Tensor, *indices: Operand) -> Entry:
    """`tensor[indices]`; raises ValueError where the number of indices or an axis does not fit."""
    given = tuple(expression(i) for i in indices)
    if len(given) != len(tensor.axes):
        raise ValueError(
            f"{tensor!r} has {len(tensor.axes)} axes, "
            f"found {len(given)} indices: {', '.join(i.key for i in given)}"
        )
    for position, axis in zip(given, tensor.axes, strict=True):
        over = position.axis if isinstance(position, Index) else axis
        if over != axis and not (over.parts or axis.parts or over.size is not None):
            raise ValueError(
                f"{tensor!r} expects an index of axis {axis.name}, found {position.key} of {over.name}"
            )
    if tensor.structure in ("symmetric", "positive definite"):
        given = (*given[:-2], *sorted(given[-2:], key=lambda i: i.key))
    return _intern(Entry, tensor, given)


def _rank(term: Expr) -> tuple[int, str]:
    kinds = (
        Number,
        Constant,
        Parameter,
        Size,
        Bracket,
        Index,
        Entry,
        Call,
        Where,
        Power,
        Mul,
        Reduce,
        Add,
        Derivative,
    )
    base = term.base if isinstance(term, Power) else term
    return (kinds.index(type(base)), term.key)


def _coefficient(term: Expr) -> tuple[Fraction, Expr]:
    """A term as its rational coefficient and what it multiplies."""
    if isinstance(term, Number):
        return term.value, ONE
    if isinstance(term, Mul) and isinstance(term.factors[0], Number):
        rest = term.factors[1:]
        return term.factors[0].value, rest[0] if len(rest) == 1 else _intern(Mul, rest)
    return Fraction(1), term


def add(*terms: Operand) -> Expr:
    """The sum, flat, like terms collected."""
    collected: dict[Expr, Fraction] = {}
    for term in terms:
        flat = expression(term)
        for part in flat.terms if isinstance(flat, Add) else (flat,):
            value, rest = _coefficient(part)
            collected[rest] = collected.get(rest, Fraction(0)) + value
    kept = [mul(value, rest) for rest, value in collected.items() if value]
    if len(kept) <= 1:
        return kept[0] if kept else ZERO
    return _intern(Add, tuple(sorted(kept, key=_rank)))


def mul(*factors: Operand) -> Expr:
    """The product, flat, powers of the same base collected; 0 times anything is 0."""
    value = Fraction(1)
    powers: dict[Expr, Fraction] = {}
    for factor in factors:
        flat = expression(factor)
        for part in flat.factors if isinstance(flat, Mul) else (flat,):
            if isinstance(part, Number):
                value *= part.value
            else:
                base, exponent = (
                    (part.base, part.exponent) if isinstance(part, Power) else (part, Fraction(1))
                )
                powers[base] = powers.get(base, Fraction(0)) + exponent
    if not value:
        return ZERO
    kept: list[Expr] = []
    collected = list(powers.items())
    for place, (base, exponent) in enumerate(collected):
        made = power(base, exponent)
        if isinstance(made, Number):
            value *= made.value
        elif isinstance(made, Mul):
            return mul(value, *kept, made, *(power(b, e) for b, e in collected[place + 1 :]))
        else:
            kept.append(made)
    kept.sort(key=_rank)
    if value != 1 or not kept:
        kept.insert(0, number(value))
    return kept[0] if len(kept) == 1 else _intern(Mul, tuple(kept))


def power(base: Operand, exponent: int | Fraction) -> Expr:
    """`base ** exponent` for a constant rational exponent.

    Raises ZeroDivisionError for a negative power of the number 0.
    """
    base, exponent = expression(base), Fraction(exponent)
    if exponent == 0:
        return ONE
    if exponent == 1:
        return base
    whole = exponent.denominator == 1
    if isinstance(base, Number):
        if base.value == 1:
            return ONE
        if base.value == 0:
            if exponent < 0:
                raise ZeroDivisionError("0 to a negative power")
            return ZERO
        if whole:
            return number(base.value**exponent.numerator)
        root = _exact_root(base.value, exponent)
        if root is not None:
            return number(root)
    if whole and isinstance(base, Power):
        return power(base.base, base.exponent * exponent)
    if whole and isinstance(base, Mul):
        return mul(*(power(factor, exponent) for factor in base.factors))
    truth = isinstance(base, Bracket) or (isinstance(base, Entry) and base.tensor.dtype == "boolean")
    if truth and exponent > 0:
        return base
    return _intern(Power, base, exponent)


def _exact_root(value: Fraction, exponent: Fraction) -> Fraction | None:
    """A rational value of `value ** exponent`, if it has one."""
    if value < 0:
        return None
    parts = (value.numerator, value.denominator)
    roots = [int(fmpz(part).root(exponent.denominator)) for part in parts]
    if any(root**exponent.denominator != part for root, part in zip(roots, parts, strict=True)):
        return None
    return Fraction(*roots) ** exponent.numerator


def call(function: str, *arguments: Operand) -> Expr:
    """A leaf function of its arguments."""
    return _intern(Call, function, tuple(expression(a) for a in arguments))


def reduce(kind: Literal["sum", "max"], indices: Iterable[Index], body: Operand) -> Expr:
    """The reduction of `body` over `indices`; nested sums are merged."""
    body, over = expression(body), tuple(indices)
    if not over or (kind == "sum" and body is ZERO):
        return body
    if isinstance(body, Reduce) and body.kind == kind:
        body = refresh(body, over)
        assert isinstance(body, Reduce)
        over, body = over + body.indices, body.body
    return _intern(Reduce, kind, tuple(sorted(set(over), key=lambda i: i.key)), body)


def total(body: Operand, *indices: Index) -> Expr:
    """The sum of `body` over `indices`.

    >>> i = index("i", Axis("n"))
    >>> total(entry(Tensor("x", (i.axis,)), i), i)
    sum<i>(x[i])
    """
    return reduce("sum", indices, body)


def bracket(relation: Relation, left: Operand, right: Operand) -> Expr:
    """Iverson's bracket, decided where both sides are numbers or the same."""
    left, right = expression(left), expression(right)
    if left is right:
        return ONE if relation in ("==", "<=", ">=") else ZERO
    if isinstance(left, Number) and isinstance(right, Number):
        a, b = left.value, right.value
        holds = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[relation]
        return ONE if holds else ZERO
    if relation in ("==", "!=") and left.key > right.key:
        left, right = right, left
    return _intern(Bracket, relation, left, right)


def where(condition: Operand, yes: Operand, no: Operand) -> Expr:
    """`yes` where the condition is 1, else `no`; decided where the condition is a number."""
    condition, yes, no = expression(condition), expression(yes), expression(no)
    if condition is ONE or yes is no:
        return yes
    if condition is ZERO:
        return no
    return _intern(Where, condition, yes, no)


def derivative(body: Operand, by: Entry) -> Expr:
    """The partial derivative of `body` by an entry, not carried out yet."""
    body = expression(body)
    return _intern(Derivative, body, by)


# --- traversal


def walk(expr: Expr) -> Iterator[Expr]:
    """Every subexpression, the expression itself first."""
    yield expr
    for child in expr.children:
        yield from walk(child)


def rewrite(expr: Expr, visit: Callable[[Expr], Expr]) -> Expr:
    """Apply `visit` to every node, leaves first."""
    seen: dict[Expr, Expr] = {}

    def go(node: Expr) -> Expr:
        if node not in seen:
            children = node.children
            moved = tuple(go(child) for child in children)
            seen[node] = visit(node.rebuild(moved) if moved != children else node)
        return seen[node]

    return go(expr)


def fresh(taken: Iterable[Index], like: Index) -> Index:
    """An index of the same axis under a name that no index of `taken` has."""
    names = {i.name for i in taken}
    stem = like.name.rstrip("0123456789")
    if like.name not in names:
        return like
    count = 1
    while f"{stem}{count}" in names:
        count += 1
    return index(f"{stem}{count}", like.axis)


_substituted: dict[tuple[Expr, tuple[tuple[Index, Expr], ...]], Expr] = {}
MAX_REMEMBERED = 500_000


def substitute(expr: Expr, values: Mapping[Index, Expr]) -> Expr:
    """Replace free indices; bound ones are renamed where they would capture."""
    moved = tuple((old, new) for old, new in values.items() if old in expr.free and old is not new)
    if not moved:
        return expr
    if isinstance(expr, Index):
        return moved[0][1]
    found = _substituted.get((expr, moved))
    if found is None:
        if len(_substituted) > MAX_REMEMBERED:
            _substituted.clear()
        found = _substituted[expr, moved] = _substitute(expr, dict(moved))
    return found


def _substitute(expr: Expr, values: dict[Index, Expr]) -> Expr:
    if not isinstance(expr, Reduce):
        return expr.rebuild(tuple(substitute(child, values) for child in expr.children))
    incoming = frozenset[Index]().union(*(new.free for new in values.values()))
    over: list[Index] = []
    for bound in expr.indices:
        chosen = bound
        if any(bound.name == other.name for other in incoming):
            chosen = fresh(incoming | expr.body.free | expr.body.bound | set(over), bound)
            values[bound] = chosen
        over.append(chosen)
    return reduce(expr.kind, over, substitute(expr.body, values))


def refresh(expr: Expr, taken: Iterable[Index]) -> Expr:
    """Rename every bound index whose name an index of `taken` has."""
    names = {i.name for i in taken}
    if not any(b.name in names for b in expr.bound):
        return expr
    if isinstance(expr, Reduce):
        used = {*taken, *expr.indices, *expr.body.free, *expr.body.bound}
        clashing: dict[Index, Index] = {}
        for b in expr.indices:
            if b.name in names:
                clashing[b] = fresh(used, b)
                used.add(clashing[b])
        over = tuple(clashing.get(b, b) for b in expr.indices)
        inner = substitute(expr.body, dict(clashing))
        return reduce(expr.kind, over, refresh(inner, (*taken, *over)))
    return expr.rebuild(tuple(refresh(child, taken) for child in expr.children))


def at(expr: Expr, path: Sequence[int]) -> Expr:
    """The subexpression reached by child numbers."""
    for step in path:
        expr = expr.children[step]
    return expr


def put(expr: Expr, path: Sequence[int], new: Expr) -> Expr:
    """The expression with the subexpression at `path` replaced."""
    if not path:
        return new
    children = list(expr.children)
    children[path[0]] = put(children[path[0]], path[1:], new)
    return expr.rebuild(tuple(children))

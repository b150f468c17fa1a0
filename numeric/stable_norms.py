"""Rewrites of roots of sums of squares: a row of large entries is scaled before it is squared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gradproof.numeric.rewriting import Context, magnitude
from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Parameter,
    Power,
    Reduce,
    Size,
    Tensor,
    add,
    bracket,
    entry,
    index,
    mul,
    power,
    reduce,
    rewrite,
    walk,
    where,
)
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.rules import inline

LARGE, LESS = 2**40, Fraction(1, 2**70)
"""A row whose largest entry is beyond `LARGE` is multiplied by `LESS`: squares of up to 2^116 can be added up
in every dtype (in float64 those of entries up to 2^570), and those of the largest are no less than 2^-60. A
power of 2 rounds nothing, and a scale that does not move with the row has no derivative.
"""


@dataclass(frozen=True)
class Norm:
    """A root of squares of a tensor's rows, `(e + sum of squares)^p = scale^(-2p) root`.

    `places` are the positions of the tensor's indices that number the rows; `scaled` is the tensor with each
    row multiplied by its scale, `twins` are the tensors computed from it as those without `_scaled` are.
    """

    tensor: Tensor
    places: tuple[int, ...]
    scale: Tensor
    scaled: Tensor
    root: Tensor
    twins: dict[Tensor, Tensor] = field(default_factory=dict[Tensor, Tensor])


def scaled_root(node: Expr, context: Context) -> Expr | None:
    """`(e + sum a^2)^p = t^(-2p) (t^2 e + sum (ta)^2)^p`; with `p = -1/2` a factor `a` takes the `t`."""
    if isinstance(node, Mul):
        return _scaled_factor(node, context)
    if not (isinstance(node, Power) and node.exponent.denominator == 2 and isinstance(node.base, Add)):
        return None
    found = _norm(node, context)
    if found is None:
        return None
    outer = _rows(node)
    times = mul(power(entry(found.scale, *outer), -2 * node.exponent), entry(found.root, *outer))
    context.norms[node.key] = found
    return times


def _rows(node: Expr) -> tuple[Index, ...]:
    return tuple(sorted(node.free, key=lambda i: (not i.axis.variadic, i.key)))


def _norm(node: Power, context: Context) -> Norm | None:
    """Define the scale of each row, the scaled rows, and the root of their squares."""
    for tensor in _candidates(node.base, context):
        terms = {term: degree(term, tensor, context) for term in node.base.children}
        squares = [term for term, d in terms.items() if d == 2]
        rest = [term for term in terms if term not in squares]
        places = _places(squares, tensor, _rows(node), context)
        if places is None or not rest or not all(isinstance(t, Number | Parameter) for t in rest):
            continue
        return _define(node, tensor, places, squares, rest, context)
    return None


def _candidates(base: Expr, context: Context) -> Iterable[Tensor]:
    """The tensors that the base is computed from, the last defined first."""
    order = list(context.definitions)
    found: set[Tensor] = set()
    waiting = set(base.tensors)
    while waiting:
        tensor = waiting.pop()
        found.add(tensor)
        if tensor in context.definitions:
            waiting |= context.definitions[tensor].value.tensors - found
    defined = [t for t in reversed(order) if t in found]
    return (*defined, *sorted(found - set(defined), key=lambda t: t.name))


def degree(expr: Expr, tensor: Tensor, context: Context) -> Fraction | None:
    """The degree of an expression that is homogeneous in a tensor and reads no other; else None.

    A defined tensor counts as its definition.
    """
    match expr:
        case Number() | Parameter() | Size():
            return Fraction(0)
        case Entry():
            if expr.tensor == tensor:
                return Fraction(1)
            d = context.definitions.get(expr.tensor)
            return None if d is None else degree(d.value, tensor, context)
        case Add():
            every = {degree(term, tensor, context) for term in expr.terms}
            return every.pop() if len(every) == 1 else None
        case Mul():
            parts = [degree(factor, tensor, context) for factor in expr.factors]
            return None if None in parts else sum((p for p in parts if p is not None), Fraction(0))
        case Power():
            inner = degree(expr.base, tensor, context)
            return None if inner is None else inner * expr.exponent
        case Reduce():
            return degree(expr.body, tensor, context) if expr.kind == "sum" else None
        case _:
            return None


def _places(
    exprs: Iterable[Expr], tensor: Tensor, rows: tuple[Index, ...], context: Context
) -> tuple[int, ...] | None:
    """Where every entry of the tensor has the rows' indices, and has others besides; None if they differ."""
    inner = {t: d for t, d in context.definitions.items() if t != tensor}
    entries = [
        n for e in exprs for n in walk(inline(e, inner)) if isinstance(n, Entry) and n.tensor == tensor
    ]
    if not entries or len(rows) == len(tensor.axes):
        return None
    if any(not isinstance(i, Index) or n.indices.count(i) > 1 for n in entries for i in n.indices):
        return None
    found = {tuple(n.indices.index(i) if i in n.indices else -1 for i in rows) for n in entries}
    places = found.pop()
    return None if found or -1 in places else places


def _define(
    node: Power,
    tensor: Tensor,
    places: tuple[int, ...],
    squares: list[Expr],
    rest: list[Expr],
    context: Context,
) -> Norm:
    rows = _rows(node)
    every = [index(f"{a.name}{n}", a) for n, a in enumerate(tensor.axes)]
    for place, i in zip(places, rows, strict=True):
        every[place] = i
    read = entry(tensor, *every)
    over = tuple(i for n, i in enumerate(every) if n not in places)
    name = tensor.name
    top = context.define(f"{name}_largest", rows, reduce("max", over, magnitude(read)))
    scale = context.define(f"{name}_scale", rows, where(bracket(">", top, LARGE), Number(LESS), ONE))
    scaled = context.define(f"{name}_scaled", tuple(every), mul(read, scale))
    half = Norm(tensor, places, scale.tensor, scaled.tensor, scale.tensor)
    made = add(*(_twin(t, half, context) for t in squares), mul(add(*rest), power(scale, 2)))
    root = context.define(f"{name}_root", rows, power(made, node.exponent))
    return Norm(tensor, places, scale.tensor, scaled.tensor, root.tensor, half.twins)


def _twin(expr: Expr, norm: Norm, context: Context) -> Expr:
    """The expression with the scaled rows in the place of the rows."""

    def visit(node: Expr) -> Expr:
        if not isinstance(node, Entry):
            return node
        if node.tensor == norm.tensor:
            return entry(norm.scaled, *node.indices)
        if node.tensor not in norm.twins:
            d: Definition = context.definitions[node.tensor]
            value = rewrite(d.value, visit)
            norm.twins[node.tensor] = context.define(f"{d.target.name}_scaled", d.indices, value).tensor
        return entry(norm.twins[node.tensor], *node.indices)

    return rewrite(expr, visit)


def _scaled_factor(node: Mul, context: Context) -> Expr | None:
    """`a r`, for a root `r` of rows to which `a` belongs."""
    for factor in node.factors:
        norm = context.roots.get(factor.tensor) if isinstance(factor, Entry) else None
        if norm is None or not isinstance(factor, Entry):
            continue
        rows = tuple(i for i in factor.indices if isinstance(i, Index))
        for other in node.factors:
            if other is factor or degree(other, norm.tensor, context) != 1:
                continue
            if _places([other], norm.tensor, rows, context) != norm.places:
                continue
            rest = (f for f in node.factors if f is not factor and f is not other)
            return mul(_twin(other, norm, context), entry(norm.root, *factor.indices), *rest)
    return None


def note_root(d: Definition, norms: Mapping[str, Norm]) -> Norm | None:
    """The norm whose inverse root `(e + sum of squares)^(-1/2)` a definition is."""
    if isinstance(d.value, Power) and d.value.exponent == Fraction(-1, 2):
        return norms.get(d.value.key) if _rows(d.value) == d.indices else None
    return None

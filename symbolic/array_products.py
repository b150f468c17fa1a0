"""Products of arrays, matrices and their functions, arrays given by their shape."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import permutations
from typing import TYPE_CHECKING

from gradproof.symbolic.array_calls import ARRAY_TABLE, Build, Given, enter
from gradproof.symbolic.arrays import (
    Array,
    ShapeError,
    binary,
    contracted,
    diagonal,
    elementwise,
    filled,
    fresh_index,
    identity,
    outer,
    square,
    summed,
    swapped,
    total_of,
    transposed,
    unary,
)
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.expressions import ZERO, Index, Number, bracket, number
from gradproof.symbolic.formulas import (
    Formula,
    exact,
    larger,
    log,
    smaller,
)
from gradproof.symbolic.matrices import cofactor, determinant, inverse
from gradproof.symbolic.syntax import ParseError, Syntax

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader

HALF = Fraction(1, 2)
MAX_WRITTEN = 3
"""Determinants of matrices of a fixed size up to this one are written out."""


def _dot(x: Array, y: Array) -> Array:
    if x.rank == 1 and y.rank == 1:
        return contracted(x, y)
    if x.rank != y.rank:
        raise ParseError("a dot product is one of two vectors; write `@` for a matrix product")
    return summed(elementwise(Formula.__mul__, x, y), range(x.rank))


def _binary(build: Callable[[Array, Array], Array]) -> Build:
    return lambda r, g: build(r.array(g["x"]), r.array(g["y"]))


def _numpy_dot(x: Array, y: Array) -> Array:
    return contracted(x, y) if x.rank <= 2 and y.rank <= 2 else _dot(x, y)


enter("dot", "x|a|input y|b|other", _binary(_numpy_dot))
enter("vdot inner frobenius", "x|a|input y|b|other", _binary(_dot))
enter("matmul mm bmm mv", "x|a|input y|b|other", _binary(contracted))
enter("outer ger", "x|a|input y|b|other", _binary(outer))
enter("maximum fmax", "x y", _binary(lambda a, b: elementwise(larger, a, b)))
enter("minimum fmin", "x y", _binary(lambda a, b: elementwise(smaller, a, b)))
enter("multiply mul", "x y", _binary(lambda a, b: elementwise(Formula.__mul__, a, b)))
enter("add", "x y", _binary(lambda a, b: elementwise(Formula.__add__, a, b)))
enter("subtract sub", "x y", _binary(lambda a, b: elementwise(Formula.__sub__, a, b)))
enter("divide div true_divide", "x y", _binary(lambda a, b: elementwise(Formula.__truediv__, a, b)))


def _linear(reader: ArrayReader, given: Given) -> Array:
    product = contracted(reader.array(given["x"]), swapped(reader.array(given["weight"])))
    return elementwise(Formula.__add__, product, reader.array(given["bias"])) if "bias" in given else product


enter("linear", "x weight ?bias", _linear)


def _einsum(reader: ArrayReader, node: Syntax) -> Array:
    if len(node.parts) < 2 or node.parts[0].kind != "string":
        raise ParseError(f"column {node.column}: einsum is written einsum('ij,jk->ik', A, B)")
    spec = node.parts[0].text.replace(" ", "")
    before, arrow, after = spec.partition("->")
    groups = before.split(",")
    if not all(c.isalpha() for c in "".join(groups) + after):
        raise ParseError(f"column {node.column}: einsum is read with letters alone, found {spec!r}")
    if not arrow:
        letters = "".join(groups)
        after = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    operands = [reader.array(p) for p in node.parts[1:]]
    if len(groups) != len(operands):
        raise ParseError(f"column {node.column}: {len(groups)} operands in {spec!r}, {len(operands)} given")
    over: dict[str, Index] = {}
    body = exact(1)
    for letters, operand in zip(groups, operands, strict=True):
        if len(letters) != operand.rank:
            raise ParseError(f"column {node.column}: {letters!r} for an array of axes {operand.shape}")
        for letter, axis in zip(letters, operand.axes, strict=True):
            if axis is None:
                raise ParseError(f"column {node.column}: einsum over an axis of size 1")
            known = over.setdefault(letter, fresh_index(axis))
            if known.axis != axis:
                raise ShapeError(f"einsum: {letter} runs over two axes", (known.axis,), (axis,))
        body = body * operand.at([over[c] for c in letters])
    if len(set(after)) < len(after) or any(c not in over for c in after):
        raise ParseError(f"column {node.column}: the output of {spec!r} names an index twice, or none")
    body = total_of(body, [i for c, i in over.items() if c not in after])
    return Array(tuple(over[c].axis for c in after), tuple(over[c] for c in after), body)


ARRAY_TABLE["einsum"] = _einsum


def _tensordot(reader: ArrayReader, given: Given) -> Array:
    """The sum over the last axes of one and the first of the other, or over axes that are named."""
    x, y = reader.array(given["x"]), reader.array(given["y"])
    node = given.get("axes")
    if node is not None and node.kind == "list":
        if len(node.parts) != 2:
            raise ParseError(f"column {node.column}: the axes of both arrays were expected")
        first, second = reader.places(node.parts[0], x), reader.places(node.parts[1], y)
    else:
        count = 2 if node is None else reader.number(node).value
        count = int(count.value) if isinstance(count, Number) else count
        if not isinstance(count, int) or not 0 <= count <= min(x.rank, y.rank):
            raise ParseError(
                f"column {given['x'].column}: a number of axes that both arrays have was expected"
            )
        first, second = list(range(x.rank - count, x.rank)), list(range(count))
    one, other = [x.axes[n] for n in first], [y.axes[n] for n in second]
    if one != other:
        raise ShapeError(
            f"tensordot sums {x.shape} with {y.shape}: the axes differ", tuple(one), tuple(other)
        )
    a, b = x.apart(), y.apart()
    met = {b.indices[n]: a.indices[m] for m, n in zip(first, second, strict=True)}
    b = b.over([met.get(i, i) for i in b.indices])
    over = [i for m in first if (i := a.indices[m]) is not None]
    left = [n for n in range(x.rank) if n not in first], [n for n in range(y.rank) if n not in second]
    axes = (*(a.axes[n] for n in left[0]), *(b.axes[n] for n in left[1]))
    indices = (*(a.indices[n] for n in left[0]), *(b.indices[n] for n in left[1]))
    return Array(axes, indices, total_of(a.body * b.body, over))


enter("tensordot", "x|a y|b ?axes|dims", _tensordot)


def _transpose(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    if "axes" in given and "second" in given:
        (a,), (b,) = (reader.places(given[name], x) for name in ("axes", "second"))
        order = list(range(x.rank))
        order[a], order[b] = b, a
        return transposed(x, order)
    if "axes" in given:
        return transposed(x, reader.places(given["axes"], x))
    if x.rank > 2:
        raise ParseError(f"column {given['x'].column}: say how to order the axes {x.shape}")
    return swapped(x)


enter("transpose t adjoint", "x ?axes ?second", _transpose)
enter("mT matrix_transpose", "x", lambda r, g: swapped(r.array(g["x"])))
enter("swapaxes", "x axes second", _transpose)


def _trace(x: Array) -> Array:
    found = diagonal(x)
    return summed(found, [found.rank - 1])


def _matrix(x: Array, what: str) -> tuple[Array, Index, Index]:
    axis = square(x, what)
    apart = x.over([*x.indices[:-2], fresh_index(axis), fresh_index(axis)])
    row, column = apart.indices[-2:]
    assert row is not None and column is not None
    return apart, row, column


def _invertible(x: Array, row: Index, column: Index) -> tuple[Demand, ...]:
    """What makes the matrices invertible, and their entries have values."""
    entries = total_of(x.body, [row, column]).demands
    return (*entries, Demand(determinant(x.value, row, column), "!="))


def inverse_of(x: Array) -> Array:
    """The inverse of every matrix over the last two axes."""
    apart, row, column = _matrix(x, "an inverse")
    if apart.value is ZERO:
        raise ParseError("the inverse of the matrix 0")
    return Array(
        apart.axes,
        apart.indices,
        Formula(inverse(apart.value, row, column), _invertible(apart, row, column)),
    )


def determinant_of(x: Array) -> Array:
    """The determinant of every matrix over the last two axes."""
    apart, row, column = _matrix(x, "a determinant")
    if row.axis.size is not None and row.axis.size <= MAX_WRITTEN:
        return _written_determinant(apart)
    body = Formula(determinant(apart.value, row, column), total_of(apart.body, [row, column]).demands)
    return Array(apart.axes[:-2], apart.indices[:-2], body)


def _written_determinant(x: Array) -> Array:
    """The determinant of matrices of a small fixed size, as a sum over permutations."""
    count = x.axes[-1].size if x.axes[-1] is not None else 0
    assert count
    body = exact(0)
    for order in permutations(range(count)):
        swaps = sum(a > b for n, a in enumerate(order) for b in order[n + 1 :])
        term = exact((-1) ** swaps)
        for place, other in enumerate(order):
            term = term * x.at([*x.indices[:-2], number(place), number(other)])
        body = body + term
    return Array(x.axes[:-2], x.indices[:-2], body)


def cofactors_of(x: Array) -> Array:
    """The matrix of cofactors, the derivative of the determinant."""
    apart, row, column = _matrix(x, "a cofactor")
    demands = total_of(apart.body, [row, column]).demands
    return Array(apart.axes, apart.indices, Formula(cofactor(apart.value, row, column), demands))


def _solve(a: Array, b: Array) -> Array:
    return contracted(inverse_of(a), b)


def _matrix_power(reader: ArrayReader, given: Given) -> Array:
    x, count = reader.array(given["x"]), reader.number(given["n"]).value
    if not isinstance(count, Number) or count.value.denominator != 1 or abs(count.value) > 8:
        raise ParseError(f"column {given['n'].column}: a whole number up to 8 was expected")
    base = inverse_of(x) if count.value < 0 else x
    result = identity(square(x, "a power"))
    for _ in range(abs(int(count.value))):
        result = contracted(result, base)
    return result


def _diag(x: Array) -> Array:
    if x.rank == 1:
        over = fresh_index(square(outer(x, x), "a diagonal"))
        (i,) = x.indices
        assert i is not None
        body = Formula(bracket("==", i, over)) * x.body
        return Array((over.axis, over.axis), (i, over), body)
    return diagonal(x)


def _diag_embed(x: Array) -> Array:
    i = x.indices[-1]
    if i is None:
        raise ParseError("a diagonal of size 1")
    over = fresh_index(i.axis)
    return Array((*x.axes, i.axis), (*x.indices, over), Formula(bracket("==", i, over)) * x.body)


def _triangle(relation: str) -> Callable[[ArrayReader, Given], Array]:
    def read(reader: ArrayReader, given: Given) -> Array:
        x = reader.array(given["x"])
        if x.rank < 2 or x.axes[-1] is None or x.axes[-2] is None:
            raise ParseError(f"column {given['x'].column}: a triangle is one of a matrix")
        k = reader.number(given["k"]).value if "k" in given else ZERO
        if not isinstance(k, Number) or k.value.denominator != 1:
            raise ParseError(f"column {given['k'].column}: the number of a diagonal was expected")
        row, column = x.indices[-2:]
        assert row is not None and column is not None
        low, high = (column, row + k) if relation == "lower" else (row + k, column)
        return Array(x.axes, x.indices, Formula(bracket("<=", low, high)) * x.body)

    return read


def _one(build: Callable[[Array], Array]) -> Build:
    return lambda r, g: build(r.array(g["x"]))


enter("trace tr", "x", _one(_trace))
enter("inv inverse matrix_inverse", "x", _one(inverse_of))
enter("det", "x", _one(determinant_of))
enter("cofactor cofactors", "x", _one(cofactors_of))
enter("adjugate adj", "x", _one(lambda x: swapped(cofactors_of(x))))
enter("logdet", "x", _one(lambda x: elementwise(log, determinant_of(x))))
enter(
    "logabsdet slogdet",
    "x",
    _one(lambda x: unary(lambda d: log(d * d) * exact(HALF), determinant_of(x))),
)
enter("solve", "a b", lambda r, g: _solve(r.array(g["a"]), r.array(g["b"])))
enter("matrix_power", "x n", _matrix_power)
enter("diag", "x", _one(_diag))
enter("diagonal", "x", _one(diagonal))
enter("diag_embed", "x", _one(_diag_embed))
enter("tril", "x ?k|diagonal", _triangle("lower"))
enter("triu", "x ?k|diagonal", _triangle("upper"))
enter("sym symmetrize", "x", _one(lambda x: binary(lambda a, b: (a + b) * exact(HALF), x, swapped(x))))


def _constant(value: int) -> Callable[[ArrayReader, Syntax], Array]:
    def read(reader: ArrayReader, node: Syntax) -> Array:
        axes = [a for p in node.parts if p.kind != "keyword" for a in reader.shape(p)]
        return filled(axes, value)

    return read


def _eye(reader: ArrayReader, node: Syntax) -> Array:
    axes = [a for p in node.parts if p.kind != "keyword" for a in reader.shape(p)]
    if not axes or len(axes) > 2 or len(set(axes)) > 1:
        raise ParseError(f"column {node.column}: an identity matrix is written eye(n), n an axis")
    return identity(axes[0])


def _like(build: Callable[[Array], Array]) -> Build:
    return lambda r, g: build(r.array(g["x"]))


def _filled(x: Array, value: int) -> Array:
    return Array(x.axes, x.indices, exact(value))


ARRAY_TABLE["ones"] = _constant(1)
ARRAY_TABLE["zeros"] = _constant(0)
ARRAY_TABLE["eye"] = ARRAY_TABLE["identity"] = _eye
enter("ones_like", "x", _like(lambda x: _filled(x, 1)))
enter("zeros_like", "x", _like(lambda x: _filled(x, 0)))


def _delta(reader: ArrayReader, node: Syntax) -> Array:
    if len(node.parts) != 2:
        raise ParseError(f"column {node.column}: delta(i, j) takes two indices")
    return reader.delta(*node.parts)


ARRAY_TABLE["delta"] = ARRAY_TABLE["kron_delta"] = ARRAY_TABLE["kronecker_delta"] = _delta
ARRAY_TABLE["KroneckerDelta"] = _delta

"""Inverses and determinants of matrices of symbolic size, brought to a normal form when they are made.

`inv(c A) = inv(A)/c`, `inv(A B) = inv(B) inv(A)` and `det(A B) = det(A) det(B)` for square factors,
`inv(A.T) = inv(A).T`, `inv(inv(A)) = A`, `inv(diag(d)) = diag(1/d)`. A product of square matrices is
invertible exactly where each factor is, so none of this changes where there is a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Bracket,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Structure,
    add,
    bracket,
    call,
    constant,
    entry,
    fresh,
    index,
    mul,
    number,
    power,
    refresh,
    rewrite,
    size,
    substitute,
    total,
    walk,
    where,
)
from gradproof.symbolic.inverses import is_inverse
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.polynomials import Monomial, Poly, scale, to_expr
from gradproof.symbolic.positions import integral
from gradproof.symbolic.rank_updates import Update, turned, update, without_inner
from gradproof.symbolic.signs import nonnegative, positive


@dataclass(frozen=True)
class Factor:
    """A factor of a matrix product: an entry, read from its row to its column, or the other way round."""

    atom: Entry
    transposed: bool


def inverse(matrix: Expr, row: Index, column: Index) -> Expr:
    """The entry at `row`, `column` of the inverse of the square matrix that `matrix` is over these indices.

    Raises ZeroDivisionError for the matrix 0.

    >>> from gradproof.symbolic.axes import Axis
    >>> from gradproof.symbolic.expressions import Tensor
    >>> n = Axis("n")
    >>> i, j, k = (index(name, n) for name in "ijk")
    >>> a, b = Tensor("A", (n, n)), Tensor("B", (n, n))
    >>> inverse(total(entry(a, i, k) * entry(b, k, j), k), i, j)
    sum<k>(inv(A)[k,j]*inv(B)[i,k])
    """
    poly = NormalForm()(matrix)
    if not poly:
        raise ZeroDivisionError("the inverse of the matrix 0")
    if len(poly) == 1:
        ((m, value),) = poly.items()
        made = _inverse_of_product(m, row, column)
        if made is not None:
            return mul(1 / value, made)
    made = _inverse_of_diagonal(poly, row, column)
    if made is not None:
        return made
    content = _content(poly)
    return mul(1 / content, _opaque("inverse", scale(poly, 1 / content), row, column))


def determinant(matrix: Expr, row: Index, column: Index) -> Expr:
    """The determinant of the square matrix that `matrix` is over `row` and `column`."""
    poly = NormalForm()(matrix)
    if len(poly) == 1:
        ((m, value),) = poly.items()
        parts = _entries_of_diagonal(m, value, row, column)
        if parts is not None:
            return mul(*parts)
        chain = _chain(m, row, column)
        if chain is not None and value > 0:
            parts = [_determinant_of(f) for f in chain]
            return mul(_power_of_size(value, row), *parts)
    found = update(poly, row, column)
    made = None if found is None else _determinant_of_update(found, poly, row, column)
    if made is not None:
        return made
    content = _content(poly) if poly else Fraction(1)
    return mul(_power_of_size(content, row), _opaque("determinant", scale(poly, 1 / content), row, column))


def _determinant_of_update(found: Update, poly: Poly, row: Index, column: Index) -> Expr | None:
    """By the matrix determinant lemma, or by Sylvester's identity in the order that comes first."""
    if found.inner is None and found.scale is not None:
        inside = substitute(without_inner(found), {row: column})
        return mul(_power_of_size(found.scale, row), add(ONE, mul(1 / found.scale, total(inside, column))))
    between: Expr | None = None
    if found.matrix is not None:
        r, c = _names(row.axis, [found.matrix, found.left, found.right, found.factor])
        plain = substitute(found.matrix, {row: r, column: c})
        between = substitute(inverse(plain, r, c), {r: column, c: row})
    if found.inner is None:
        assert found.matrix is not None and between is not None
        inside = mul(found.factor, found.right, between, found.left)
        return mul(determinant(found.matrix, row, column), add(ONE, total(inside, column, row)))
    if found.matrix is None and found.scale != 1:
        return None
    used = {row, column, found.inner, *found.left.free, *found.right.free, *found.factor.free}
    first = fresh(used, index("r", found.inner.axis))
    second = fresh({*used, first}, index("c", found.inner.axis))
    matrix = add(bracket("==", first, second), turned(found, row, column, (first, second), between))
    if found.matrix is not None:
        return mul(determinant(found.matrix, row, column), determinant(matrix, first, second))
    here = _opaque("determinant", poly, row, column)
    there = _opaque("determinant", NormalForm()(matrix), first, second)
    return min(here, there, key=lambda made: (len(made.key), made.key))


def differential(made: Entry, moved: Expr, row: Index, column: Index) -> Expr:
    """The tangent of an entry of an inverse or of a determinant, `moved` that of the matrix over the indices.

    `d inv(A) = -inv(A) dA inv(A)` and `d det(A) = sum of cof(A) dA`, which is `det(A) trace(inv(A) dA)` where
    A is invertible.
    """
    tensor = made.tensor
    assert isinstance(tensor, MatrixFunction)
    batch = made.indices[: len(tensor.batch)]
    if tensor.kind == "determinant":
        return total(mul(_cofactor_at(tensor, row, column, batch), moved), row, column)
    i, j = made.indices[-2:]
    if tensor.kind == "cofactor":
        return _differential_of_cofactor(tensor, (i, j), batch, moved, (row, column))
    left, right = entry(tensor, *batch, i, row), entry(tensor, *batch, column, j)
    return mul(-1, total(mul(left, moved, right), row, column))


def _differential_of_cofactor(
    made: MatrixFunction,
    place: tuple[Expr, Expr],
    batch: tuple[Expr, ...],
    moved: Expr,
    over: tuple[Index, Index],
) -> Expr:
    """The tangent of `det(A) inv(A)[j, i]`, the cofactor at i, j where the matrix is invertible."""
    (i, j), (row, column) = place, over
    a, b = _names(row.axis, (*batch, i, j, row, column))
    matrix = made.at(a, b, batch)
    closed = inverse(matrix, a, b)

    def inverted(first: Expr, second: Expr) -> Expr:
        return substitute(refresh(closed, first.free | second.free), {a: first, b: second})

    grown = mul(_cofactor_at(made, row, column, batch), inverted(j, i))
    turned = mul(determinant(matrix, a, b), inverted(j, row), inverted(column, i))
    return total(mul(add(grown, mul(-1, turned)), moved), row, column)


def cofactor(matrix: Expr, row: Index, column: Index) -> Expr:
    """The cofactor at `row`, `column`: the derivative of the determinant by this entry."""
    poly = NormalForm()(matrix)
    content = _content(poly) if poly else Fraction(1)
    made = _opaque("determinant", scale(poly, 1 / content), row, column)
    assert isinstance(made, Entry) and isinstance(made.tensor, MatrixFunction)
    entry_of = _cofactor_at(made.tensor, row, column, made.indices)
    if _turned(made.tensor, poly, content, row, column, made.indices):
        entry_of = _cofactor_at(made.tensor, column, row, made.indices)
    return mul(_power_of_size(content, row), number(1 / content), entry_of)


def _turned(
    made: MatrixFunction, poly: Poly, content: Fraction, row: Index, column: Index, batch: Iterable[Expr]
) -> bool:
    """Whether a closed determinant is that of the transpose."""
    mine = NormalForm().tidy(to_expr(scale(poly, 1 / content)))
    return NormalForm().tidy(made.at(row, column, batch)) is not mine


def _cofactor_at(made: MatrixFunction, row: Index, column: Index, batch: Iterable[Expr]) -> Expr:
    """The derivative of a closed determinant by the entry of its matrix at `row`, `column`."""
    assert made.row is not None and made.column is not None
    if made.kind == "cofactor":
        return entry(made, *batch, row, column)
    axes = (*made.axes, made.row.axis, made.row.axis)
    name = f"cof{made.name[3:]}"
    closed = MatrixFunction(
        name, axes, kind="cofactor", batch=made.batch, row=made.row, column=made.column, matrix=made.matrix
    )
    return entry(closed, *batch, row, column)


def opened_cofactor(read: Entry) -> Expr:
    """`det(A) inv(A).T` for a cofactor: where the matrix is invertible, and as polynomials everywhere."""
    made = read.tensor
    assert isinstance(made, MatrixFunction)
    *batch, i, j = read.indices
    a, b = _names(made.axes[-1], batch)
    matrix = made.at(a, b, batch)
    there = substitute(inverse(matrix, a, b), {a: j, b: i})  # type: ignore[dict-item]
    return mul(determinant(matrix, a, b), there)


def _names(axis: object, taken: Iterable[Expr]) -> tuple[Index, Index]:
    used = frozenset[Index]().union(*(t.free for t in taken))
    a = fresh(used, index("r", axis))  # pyright: ignore[reportArgumentType]
    return a, fresh({*used, a}, index("c", axis))  # pyright: ignore[reportArgumentType]


def _content(poly: Poly) -> Fraction:
    """A positive rational that all terms share: the smallest coefficient."""
    return min(abs(v) for v in poly.values())


def _power_of_size(value: Fraction, row: Index) -> Expr:
    """`value ** n` for a positive rational."""
    if value == 1:
        return ONE
    many = size(row.axis)
    return call("exp", mul(many, call("log", number(value))))


# --- products


def _on_diagonal(m: Monomial, row: Index, column: Index) -> dict[Expr, Fraction] | None:
    """The powers that stand beside `[row = column]`, at `row`; None for what has no such factor."""
    powers = dict(m.factors)
    delta = next((a for a in powers if isinstance(a, Bracket) and {a.left, a.right} == {row, column}), None)
    if delta is None or powers.pop(delta) != 1 or m.bound:
        return None
    moved: dict[Expr, Fraction] = {}
    for a, e in powers.items():
        here = substitute(a, {column: row})
        moved[here] = moved.get(here, Fraction(0)) + e
    return moved


def _entries_of_diagonal(m: Monomial, value: Fraction, row: Index, column: Index) -> list[Expr] | None:
    """The determinant of `diag(value a^p b^q ...)`, one factor for each: a product over the rows."""
    powers = _on_diagonal(m, row, column)
    if powers is None or (value == 1 and list(powers.values()) == [1] and not positive(next(iter(powers)))):
        return None
    parts = [_power_of_size(abs(value), row)]
    if value < 0:
        parts.append(call("cos", mul(size(row.axis), constant("pi"))))  # (-1) ** n
    for a, e in powers.items():
        if positive(a):
            parts.append(call("exp", mul(e, total(call("log", a), row))))
        elif e.denominator == 1:
            parts.append(power(_closed_product(a, row, column), e))
        else:
            return None
    return parts


def _closed_product(a: Expr, row: Index, column: Index) -> Expr:
    return _opaque("determinant", NormalForm()(mul(bracket("==", row, column), a)), row, column)


def determinant_of(read: Entry) -> Expr:
    """The determinant of the matrix that an entry is a function of."""
    made = read.tensor
    assert isinstance(made, MatrixFunction) and made.row is not None
    batch = read.indices[: len(made.batch)]
    row, column = _names(made.row.axis, batch)
    return determinant(made.at(row, column, batch), row, column)


def without_diagonal(demand: Demand) -> Demand:
    """That the determinant of a diagonal is not 0, as the demand that no entry is; any other as it is."""
    read = demand.subject
    if not (isinstance(read, Entry) and isinstance(read.tensor, MatrixFunction)) or demand.relation != "!=":
        return demand
    made = read.tensor
    assert made.row is not None
    row = fresh({*read.free, *demand.bound}, index("r", made.row.axis))
    column = fresh({*read.free, *demand.bound, row}, index("c", made.row.axis))
    poly = NormalForm()(made.at(row, column, read.indices))
    if made.kind != "determinant" or len(poly) != 1:
        return demand
    powers = _on_diagonal(next(iter(poly)), row, column)
    if powers is None:
        return demand
    entry_of = mul(*(power(a, e) for a, e in powers.items()))
    return replace(demand, subject=entry_of, bound=(*demand.bound, row))


def _inverse_of_diagonal(poly: Poly, row: Index, column: Index) -> Expr | None:
    """The inverse of a diagonal matrix: those of its entries, case by case where they have cases."""
    entries: list[Expr] = []
    for m, value in poly.items():
        powers = _on_diagonal(m, row, column)
        if powers is None:
            return None
        entries.append(mul(value, *(power(a, e) for a, e in powers.items())))
    return mul(bracket("==", row, column), _inverted(add(*entries)))


def _inverted(entry_of: Expr) -> Expr:
    flag = next((n for n in walk(entry_of) if isinstance(n, Bracket) and integral(n.left)), None)
    if flag is None:
        return power(entry_of, -1)
    cases = (
        rewrite(entry_of, lambda node, value=value: value if node is flag else node) for value in (ONE, ZERO)
    )
    return where(flag, *map(_inverted, cases))


def _inverse_of_product(m: Monomial, row: Index, column: Index) -> Expr | None:
    chain = _chain(m, row, column)
    if chain is None:
        return None
    names = [row]
    for _ in chain[:-1]:
        names.append(fresh({*m.free, *names, column}, index("k", row.axis)))
    names.append(column)
    parts = [_inverse_of(f, a, b) for f, a, b in zip(reversed(chain), names, names[1:], strict=False)]
    return total(mul(*parts), *names[1:-1])


def _chain(m: Monomial, row: Index, column: Index) -> list[Factor] | None:
    """The square factors of a matrix product from its row to its column; None for anything else."""
    left = dict(m.factors)
    at: Expr = row
    found: list[Factor] = []
    inner = set(m.bound)
    while left:
        here = [a for a in left if at in a.free]
        if len(here) != 1 or left[here[0]] != 1:
            return None
        (atom,) = here
        if not isinstance(atom, Entry) or len(atom.indices) < 2:
            return None
        a, b = atom.indices[-2:]
        following, transposed = (b, False) if a is at else (a, True)
        batch_moves = any(i.free & {row, column, *m.bound} for i in atom.indices[:-2])
        if batch_moves or (at is not a and at is not b) or not isinstance(following, Index):
            return None
        if following.axis != row.axis or following is at:
            return None
        del left[atom]
        found.append(Factor(atom, transposed))
        if following is column:
            return None if left or inner else found
        if following not in inner:
            return None
        inner.discard(following)
        at = following
    return None


def _plain(factor: Factor, row: Index, column: Index) -> Expr:
    places = (column, row) if factor.transposed else (row, column)
    return entry(factor.atom.tensor, *factor.atom.indices[:-2], *places)


def _inverse_of(factor: Factor, row: Index, column: Index) -> Expr:
    """The inverse of one factor: of an inverse, the matrix itself."""
    tensor = factor.atom.tensor
    if is_inverse(factor.atom):
        assert isinstance(tensor, MatrixFunction)
        a, b = (column, row) if factor.transposed else (row, column)
        return tensor.at(a, b, factor.atom.indices[:-2])
    return _opaque("inverse", NormalForm()(_plain(factor, row, column)), row, column)


def _determinant_of(factor: Factor) -> Expr:
    tensor = factor.atom.tensor
    batch = factor.atom.indices[:-2]
    if is_inverse(factor.atom):
        assert isinstance(tensor, MatrixFunction) and tensor.row is not None
        a, b = _names(tensor.row.axis, batch)
        return power(determinant(tensor.at(a, b, batch), a, b), -1)
    axis = tensor.axes[-1]
    a, b = _names(axis, batch)
    return _opaque("determinant", NormalForm()(_plain(factor, a, b)), a, b)


# --- what stays closed


def _opaque(kind: str, poly: Poly, row: Index, column: Index) -> Expr:
    """An entry of the tensor that stands for the inverse, or the determinant, of a matrix in normal form."""
    r, c = index("i'", row.axis), index("j'", column.axis)
    outside = sorted(
        frozenset[Index]().union(*(m.free for m in poly)) - {row, column}, key=lambda i: (i.axis.name, i.name)
    )
    batch = tuple(index(f"b{n}'", i.axis) for n, i in enumerate(outside))
    named: Mapping[Index, Expr] = dict(zip(outside, batch, strict=True))

    def over(first: Index, second: Index) -> Expr:
        moved = substitute(to_expr(poly), {row: first, column: second, **named})
        return NormalForm().tidy(moved)

    straight, flipped = over(r, c), over(c, r)
    turned = flipped.key < straight.key
    matrix = flipped if turned else straight
    structure: Structure = "symmetric" if flipped is straight else ""
    definite = structure == "symmetric" and _definite(NormalForm()(matrix), r, c)
    axes = (*(i.axis for i in batch), *((r.axis, c.axis) if kind == "inverse" else ()))
    if kind == "inverse":
        name = f"inv({_shown(matrix, r, c)})"
        made = MatrixFunction(
            name, axes, structure=structure, kind="inverse", batch=batch, row=r, column=c, matrix=matrix
        )
        places = (column, row) if turned else (row, column)
        return entry(made, *outside, *places)
    name = f"det({_shown(matrix, r, c)})"
    domain = "(0, inf)" if definite else "real"
    made = MatrixFunction(
        name, axes, domain=domain, kind="determinant", batch=batch, row=r, column=c, matrix=matrix
    )
    return entry(made, *outside)


def _shown(matrix: Expr, row: Index, column: Index) -> str:
    """A matrix as a text that determines it; the name alone for a tensor by itself."""
    if isinstance(matrix, Entry) and matrix.indices == (row, column):
        return matrix.tensor.name
    return matrix.key


def _definite(poly: Poly, row: Index, column: Index) -> bool:
    """Whether the shape shows a positive definite matrix: Gram matrices plus a positive diagonal."""
    kinds = [_semidefinite(m, v, row, column) for m, v in poly.items()]
    return all(k is not None for k in kinds) and any(kinds)


def _semidefinite(m: Monomial, value: Fraction, row: Index, column: Index) -> bool | None:
    """True for a positive definite term, False for a semidefinite one, None for another."""
    if value <= 0:
        return None
    powers = dict(m.factors)
    delta = bracket("==", row, column)
    if delta in powers:
        others = [power(a, e) for a, e in powers.items() if a is not delta]
        if m.bound or not all(nonnegative(a) for a in others):
            return None
        return all(positive(a) for a in others)
    whole = m.factors and len(m.factors) == 1 and not m.bound and m.factors[0][1] == 1
    if whole and isinstance(m.factors[0][0], Entry):
        atom = m.factors[0][0]
        return True if atom.tensor.structure == "positive definite" else None
    if any({row, column} <= a.free for a in powers):
        return None
    swapped = {substitute(a, {row: column}): e for a, e in _holding(powers, row, column)}
    same = dict(_holding(powers, column, row))
    rest = [power(a, e) for a, e in powers.items() if not a.free & {row, column}]
    if swapped and swapped == same and all(nonnegative(a) for a in rest):
        return False
    return None


def _holding(powers: Mapping[Expr, Fraction], here: Index, other: Index) -> Iterator[tuple[Expr, Fraction]]:
    yield from ((a, e) for a, e in powers.items() if here in a.free and other not in a.free)

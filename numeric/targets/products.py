"""Sums of products of two arrays as matrix products, or as an einsum where they are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradproof.numeric.lines import Contraction
from gradproof.numeric.targets.layout import align
from gradproof.symbolic.expressions import Entry, Index

if TYPE_CHECKING:
    from gradproof.numeric.targets.base import Printer

Dims = tuple[Index, ...]


def contraction(printer: Printer, line: Contraction) -> str:
    """The code of a contraction, its axes in the order of the line."""
    left, right = _free(line.left), _free(line.right)
    shared = [i for i in line.indices if i in left and i in right]
    if not shared:
        return _plain(printer, line, left, right)
    made = _batched(printer, line, shared, left, right)
    return made if made is not None else _einsum(printer, line, left, right)


def _free(read: Entry) -> Dims:
    return tuple(i for i in read.indices if isinstance(i, Index))


def _view(printer: Printer, read: Entry, order: Sequence[Index]) -> str:
    """The operand with its axes in this order."""
    return printer.view(read, tuple(order))


def _plain(printer: Printer, line: Contraction, left: Dims, right: Dims) -> str:
    """No axis is in both and in the result: one product of two matrices."""
    a, b = line.left, line.right
    rows = [i for i in line.indices if i in left]
    columns = [i for i in line.indices if i in right]
    if (rows and columns and line.indices.index(columns[0]) < line.indices.index(rows[0])) or (
        not rows and any(i.axis.variadic for i in columns)
    ):
        a, b, left, right, rows, columns = b, a, right, left, columns, rows
    over = [i for i in left if i in line.over]
    result = (*rows, *columns)
    if len(over) == 1 and not over[0].axis.variadic:
        first = _view(printer, a, (*rows, *over))
        second = _as_matrix(printer, b, right, over, columns)
        code = printer.product(first, second)
        if len(columns) > 1:
            code = f"{_closed(code)}.reshape{printer.shape(result)}"
    else:
        first = _as_rows(printer, a, left, over, rows, transposed=True)
        second = _as_rows(printer, b, right, over, columns, transposed=False)
        code = printer.product(first, second)
        if len(rows) != 1 or len(columns) != 1 or any(i.axis.variadic for i in result):
            code = f"{_closed(code)}.reshape{printer.shape(result)}"
    if result == line.indices:
        return code
    closed = code.endswith(")") and ").reshape(" in code
    return printer.transposed(code if closed else _closed(code), result, line.indices)


def _closed(code: str) -> str:
    """The code in parentheses, unless it is a single call."""
    return f"({code})" if " @ " in code else code


def _as_matrix(
    printer: Printer, read: Entry, have: Dims, over: Sequence[Index], columns: Sequence[Index]
) -> str:
    """The right operand as `over` by `columns`."""
    if not columns:
        return _view(printer, read, over)
    if have == (*columns, *over):
        code = _view(printer, read, have)
        code = f"{code}.T" if len(columns) == 1 else f"{printer.matrix(code, 1)}.T"
    else:
        code = _view(printer, read, (*over, *columns))
        code = code if len(columns) == 1 else printer.matrix(code, len(columns))
    return printer.hoist(code, read.tensor)


def _as_rows(
    printer: Printer,
    read: Entry,
    have: Dims,
    over: Sequence[Index],
    kept: Sequence[Index],
    *,
    transposed: bool,
) -> str:
    """An operand as a matrix: `over` by `kept`, or the other way round where `transposed`."""
    lead_kept = any(i.axis.variadic for i in kept)
    stored = tuple(i for i in have if i in kept)
    if lead_kept or (have == (*stored, *over) and not any(i.axis.variadic for i in over)):
        code = printer.matrix(_view(printer, read, (*kept, *over)), len(over))
        return code if transposed else f"{code}.T"
    code = printer.matrix(_view(printer, read, (*over, *kept)), len(kept))
    return printer.hoist(f"{code}.T" if transposed else code, read.tensor)


def _batched(
    printer: Printer, line: Contraction, shared: Sequence[Index], left: Dims, right: Dims
) -> str | None:
    """A product of matrices for every value of the shared axes."""
    rows = [i for i in line.indices if i in left and i not in right]
    columns = [i for i in line.indices if i in right and i not in left]
    over = list(line.over)
    loose = any(i.axis.variadic for i in (*rows, *columns, *over))
    if len(rows) > 1 or len(columns) > 1 or len(over) != 1 or loose:
        return None
    if any(i.axis.variadic for i in shared) and not shared[0].axis.variadic and len(shared) > 2:
        return None
    a, b = line.left, line.right
    if rows and columns and line.indices.index(columns[0]) < line.indices.index(rows[0]):
        a, b, rows, columns = b, a, columns, rows
    first = _view(printer, a, (*shared, *rows, *over))
    second = _view(printer, b, (*shared, *over, *columns))
    if not rows:
        first = align(first, (*shared, *over), (*shared, *(columns[:1]), *over), printer.sizes)
    if not columns:
        second = f"{second}[..., None]"
    code = f"{first} @ {second}"
    if not columns:
        code = f"({code})[..., 0]"
    if not rows:
        code = f"({code})[..., 0, :]"
    result = (*shared, *rows, *columns)
    return code if result == line.indices else printer.transposed(f"({code})", result, line.indices)


def _einsum(printer: Printer, line: Contraction, left: Dims, right: Dims) -> str:
    letters: dict[Index, str] = {}
    every = [*left, *(i for i in right if i not in left)]
    lead = next((i for i in every if i.axis.variadic), None)
    merge = lead is not None and lead in line.over
    for i in every:
        stem = [c for c in (i.name[0], *"abcdefghijklmnopqrstuvwxyz") if c not in letters.values()]
        letters[i] = "..." if i is lead and not merge else stem[0]

    def side(dims: Sequence[Index]) -> str:
        return "".join(letters[i] for i in dims)

    codes = [_view(printer, line.left, left), _view(printer, line.right, right)]
    if merge:
        codes = [
            printer.rows(c, len(d) - 1) if lead in d else c for c, d in zip(codes, (left, right), strict=True)
        ]
    return printer.einsum(f"{side(left)},{side(right)}->{side(line.indices)}", codes[0], codes[1])

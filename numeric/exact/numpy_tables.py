"""The tables of what NumPy's functions do to exact numbers, and nested arguments taken apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gradproof.numeric.exact.numpy_arrays import Exact
from gradproof.numeric.exact.numpy_decisions import Decision

Row = Callable[..., Any]
ROWS: dict[Any, Row] = {}
"""What functions of NumPy do, and methods of ufuncs as `(ufunc, "reduce")`: called with the run and the
arguments of the function, arrays among them as they are; results are values or plain data."""
DECIDED: dict[Any, Row] = {}
"""What functions do to decisions, where it is not what they do to data."""
ABOUT: set[Any] = set()
"""Functions that tell of shapes and dtypes alone: the shadow answers them."""
MOVES: set[Any] = set()
"""Functions that only move entries."""
FINDERS: list[Callable[[Any], Row | None]] = []
"""Where rows are looked for besides the table: libraries that may not be there."""


def row(*functions: Any, table: dict[Any, Row] = ROWS) -> Callable[[Row], Row]:
    """Register what one or more functions do."""

    def register(answer: Row) -> Row:
        for function in functions:
            table[function] = answer
        return answer

    return register


def find_row(key: Any) -> Row | None:
    """The row of a function or of a method of a ufunc."""
    found = ROWS.get(key)
    return found or next((r for finder in FINDERS if (r := finder(key)) is not None), None)


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of nested lists, tuples and dictionaries."""
    if isinstance(tree, list | tuple):
        for part in tree:
            yield from leaves(part)
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from leaves(part)
    else:
        yield tree


def substitute(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to the exact arrays and decisions of nested lists, tuples and dictionaries."""
    if isinstance(tree, list | tuple):
        parts = [substitute(part, function) for part in tree]
        return parts if isinstance(tree, list) else tuple(parts)
    if isinstance(tree, dict):
        return {name: substitute(part, function) for name, part in tree.items()}
    return function(tree) if isinstance(tree, Exact | Decision) else tree


def map_arrays(result: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to an array, or to each of several."""
    if isinstance(result, list | tuple):
        return type(result)(map_arrays(part, function) for part in result)
    return function(result)

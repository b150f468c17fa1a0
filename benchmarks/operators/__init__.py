"""PyTorch's differentiable operators, one line each: a function and inputs at which it is generic.

The audit (`python -m benchmarks.audit`) and the tests of exact execution run over this one table.
"""

from __future__ import annotations

from benchmarks.operators import arrays, elementwise, layers, losses, moves, windows
from benchmarks.operators.table import Row

TABLES = (
    elementwise.pointwise,
    elementwise.activations,
    elementwise.pieces,
    arrays.reductions,
    arrays.products,
    arrays.normalization,
    windows.convolutions,
    windows.pooling,
    moves.indexing,
    moves.joining,
    moves.views,
    moves.in_place_updates,
    layers.attention,
    layers.recurrences,
    losses.losses,
    losses.distances,
    losses.random,
)
"""The rows of each topic."""


def rows() -> list[Row]:
    """The whole table."""
    return [row for table in TABLES for row in table()]


__all__ = ["Row", "rows"]

"""The operations, by topic; importing this package fills the table."""

from gradproof.symbolic.catalogue import (
    activations,
    attention,
    elementwise,
    linear,
    losses,
    normalization,
    positions,
    recurrences,
    recurrent,
    reductions,
    transformer,
)

__all__ = [
    "activations",
    "attention",
    "elementwise",
    "linear",
    "losses",
    "normalization",
    "positions",
    "recurrences",
    "recurrent",
    "reductions",
    "transformer",
]

"""Backwards, right and wrong, on which `gradproof.check` is judged; a test confirms the truth of each."""

from __future__ import annotations

from . import (
    activations,
    indexing,
    kinks,
    layouts,
    losses,
    normalizations,
    pointwise,
    products,
    recurrent,
    reductions,
    softmaxes,
    values,
)
from .case import Case

TOPICS = (
    pointwise,
    activations,
    kinks,
    reductions,
    products,
    softmaxes,
    losses,
    normalizations,
    indexing,
    recurrent,
    values,
    layouts,
)
CASES: tuple[Case, ...] = tuple(case for topic in TOPICS for case in topic.CASES)

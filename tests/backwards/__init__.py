"""Backwards, right and wrong, on which `gradproof.check` is judged; a test confirms the truth of each."""

from __future__ import annotations

from . import (
    activations,
    attention,
    cross_entropies,
    declared,
    equivalences,
    forward_mode,
    indexing,
    kinks,
    layouts,
    losses,
    modules,
    normalizations,
    numpy_pairs,
    operators,
    pointwise,
    products,
    recurrent,
    reductions,
    second_order,
    softmaxes,
    values,
    zeros,
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
    attention,
    second_order,
    numpy_pairs,
    operators,
    declared,
    equivalences,
    modules,
    forward_mode,
    zeros,
    cross_entropies,
)
CASES: tuple[Case, ...] = tuple(case for topic in TOPICS for case in topic.CASES)

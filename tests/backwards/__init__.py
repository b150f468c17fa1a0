"""Backwards, right and wrong, on which `gradproof.check` is judged; a test confirms the truth of each."""

from __future__ import annotations

from . import activations, kinks, losses, normalizations, pointwise, products, reductions, softmaxes
from .case import Case

TOPICS = (pointwise, activations, kinks, reductions, products, softmaxes, losses, normalizations)
CASES: tuple[Case, ...] = tuple(case for topic in TOPICS for case in topic.CASES)

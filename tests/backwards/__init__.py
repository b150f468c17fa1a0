"""Backwards, right and wrong, on which `gradproof.check` is judged; a test confirms the truth of each."""

from __future__ import annotations

from . import activations, kinks, pointwise, products, reductions, softmaxes
from .case import Case

TOPICS = (pointwise, activations, kinks, reductions, products, softmaxes)
CASES: tuple[Case, ...] = tuple(case for topic in TOPICS for case in topic.CASES)

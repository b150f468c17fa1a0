"""Backwards, right and wrong, on which `gradproof.check` is judged; a test confirms the truth of each."""

from __future__ import annotations

from . import activations, pointwise
from .case import Case

TOPICS = (pointwise, activations)
CASES: tuple[Case, ...] = tuple(case for topic in TOPICS for case in topic.CASES)

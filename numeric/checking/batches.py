"""Whether an axis that inputs have beside those of the example is one of a batch, told in floats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradproof.numeric.checking.points import Place
from gradproof.numeric.checking.replay import outputs_for_real
from gradproof.numeric.checking.targets import Target
from gradproof.numeric.checking.trials import Plan


def is_batched(target: Target, plan: Plan) -> bool:
    """Whether an axis that some inputs have more, or fewer, than the example is one of a batch.

    Then the outputs are those for each slice, or their sum. One number for all of the input (a loss, a
    determinant) and a mean over one axis more are other functions there: a backward that divides by the size
    of the leading axis is right for the axes that it was written for.
    """
    ranks = [e.array.ndim if e.is_number or e.is_data else 0 for e in target.examples]
    try:
        wide = plan.places
        if any(_rank(place) < rank for place, rank in zip(plan.places, ranks, strict=True)):
            wide = [p if _rank(p) == r else _widened(p) for p, r in zip(plan.places, ranks, strict=True)]
            ranks = [_rank(place) for place in plan.places]
        count = next(_size(p) for p, r in zip(wide, ranks, strict=True) if _rank(p) > r)
        whole = outputs_for_real(target, wide, plan.seed)
        pairs = list(zip(wide, ranks, strict=True))
        slices = [[_slice(p, k) if _rank(p) > r else p for p, r in pairs] for k in range(count)]
        parts = [outputs_for_real(target, places, plan.seed) for places in slices]
        return all(_is_batch_of(y, [part[n] for part in parts]) for n, y in enumerate(whole))
    except Exception:  # a slice is not accepted, or the outputs are others
        return False


def _rank(place: Place) -> int:
    return len(place.shape) if place.reals is not None else getattr(place.data, "ndim", 0)


def _size(place: Place) -> int:
    return len(place.reals if place.reals is not None else place.data)


def _widened(place: Place) -> Place:
    if place.reals is None:
        return replace(place, data=place.data[None])
    return replace(place, reals=place.reals[None], ties=None)


def _slice(place: Place, k: int) -> Place:
    if place.reals is None:
        return replace(place, data=place.data[k])
    return replace(place, reals=np.asarray(place.reals[k], dtype=object), ties=None)


def _is_batch_of(whole: np.ndarray, parts: list[np.ndarray]) -> bool:
    if not parts[0].ndim:
        return False
    candidates = (np.stack(parts), np.sum(parts, axis=0))
    return any(c.shape == whole.shape and np.allclose(c, whole, rtol=1e-4, atol=1e-6) for c in candidates)

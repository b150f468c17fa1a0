"""Random numbers that are the same in every run: all generators start from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import numpy as np
import torch

_KEPT: ContextVar[bool] = ContextVar("_KEPT", default=False)
"""Whether the generators will be put back as they were, around all runs."""


@contextmanager
def kept() -> Iterator[None]:
    """Within, generators are seeded again and again; afterwards they are as they were before.

    To keep and to put back is dear, and once is enough for the many runs of a check.
    """
    if _KEPT.get():
        yield
        return
    before, before_python = np.random.get_state(), random.getstate()
    token = _KEPT.set(True)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        _KEPT.reset(token)
        np.random.set_state(before)
        random.setstate(before_python)


@contextmanager
def replayed(seed: int) -> Iterator[None]:
    """Within, NumPy's and Python's generators start from a seed, so that what is drawn at random is data."""
    with kept():
        np.random.seed(seed % 2**32)
        random.seed(seed)
        yield


@contextmanager
def all_replayed(seed: int) -> Iterator[None]:
    """The same, with PyTorch's generator."""
    with replayed(seed):
        if _has_accelerator():
            torch.manual_seed(seed)
        else:  # without a record of the call, for devices that may appear
            torch.default_generator.manual_seed(seed)
        yield


@lru_cache(maxsize=1)
def _has_accelerator() -> bool:
    """Whether there are generators beside that of the processor."""
    return torch.accelerator.is_available()

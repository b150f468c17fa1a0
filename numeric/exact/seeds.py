"""Random numbers that are the same in every run: all generators start from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def replayed(seed: int) -> Iterator[None]:
    """Within, NumPy's and Python's generators start from a seed, so that what is drawn at random is data."""
    before, before_python = np.random.get_state(), random.getstate()
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
        random.setstate(before_python)


@contextmanager
def all_replayed(seed: int) -> Iterator[None]:
    """The same, with PyTorch's generator."""
    with torch.random.fork_rng(devices=[]), replayed(seed):
        torch.manual_seed(seed)
        yield

"""Errors in units in the last place, and the grid of all magnitudes on which they are taken."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gradproof.symbolic.domain import parse_domain

DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""The binary digits of a significand."""
LEAST = {"float64": -1074, "float32": -149, "float16": -24, "bfloat16": -133}
"""The exponent of the smallest positive number."""
TOP = {"float64": 1024, "float32": 128, "float16": 16, "bfloat16": 128}
"""The exponent at which numbers overflow."""


def ulp(values: np.ndarray, dtype: str) -> np.ndarray:
    """The unit in the last place of a dtype at each value.

    >>> ulp(np.array([1.0, 0.0]), "float32").tolist()
    [1.1920928955078125e-07, 1.401298464324817e-45]
    """
    _, exponent = np.frexp(np.where(np.isfinite(values), values, 0))
    exponent = np.where(values == 0, LEAST[dtype], np.minimum(exponent, TOP[dtype]))
    exponent = np.where(np.isinf(values), TOP[dtype], exponent)
    return np.ldexp(1.0, np.maximum(exponent - DIGITS[dtype], LEAST[dtype]))


def errors(
    found: Any, true: np.ndarray, dtype: str, rows: tuple[int, ...] | None = None, floor: float = 0.0
) -> np.ndarray:
    """How far values are from the true ones, in units in the last place.

    The unit is that of the true value, or with `rows` of the largest true value along these axes, which
    counts as `floor` where it is less. Infinity counts as the first number that overflows; NaN, or no
    number at all, is infinitely far. Where there is no true value the error is 0.
    """
    top = 2.0 ** min(TOP[dtype], 1023)
    found = np.clip(np.asarray(found, dtype=np.float64), -top, top)
    wanted = np.clip(true, -top, top)
    largest = np.abs(wanted)
    if rows is not None and wanted.size:
        largest = np.max(np.where(np.isnan(largest), 0, largest), axis=rows, keepdims=True)
        largest = np.maximum(largest, min(floor, top))
    made = np.abs(found - wanted) / ulp(largest, dtype)
    made = np.where(np.isnan(found), np.inf, made)
    return np.where(np.isnan(wanted), 0, made)


@lru_cache(maxsize=16)
def grid(domain: str, dtype: str) -> np.ndarray:
    """Numbers of a dtype within a domain: every binary exponent, both signs, zeros, ends, bends densely.

    The values are float64, each exactly a number of the dtype.
    """
    mantissas = (1.0, 1.2345678, 1.5403023, 1.9999999)
    powers = np.ldexp(1.0, np.arange(LEAST[dtype], TOP[dtype]))
    spread = np.outer(powers, mantissas).ravel()
    bends = np.concatenate(
        [
            np.linspace(0, 4, 401),
            np.linspace(4, 20, 321),
            np.linspace(20, 120, 401),
            np.linspace(120, 800, 69),
        ]
    )
    ends = np.array([0.0, np.ldexp(1 - 2.0 ** -DIGITS[dtype], TOP[dtype])])
    positive = rounded(np.concatenate([spread, bends, ends]), dtype)
    every = np.unique(np.concatenate([-positive, positive]))
    every = np.concatenate([every[np.isfinite(every)], [-0.0]])
    hull = parse_domain(domain).hull
    if hull.low is not None:
        every = every[every >= float(hull.low) if hull.low_closed else every > float(hull.low)]
    if hull.high is not None:
        every = every[every <= float(hull.high) if hull.high_closed else every < float(hull.high)]
    every.flags.writeable = False
    return every


def rounded(values: Any, dtype: str) -> np.ndarray:
    """Values rounded to a dtype, as float64."""
    values = np.asarray(values, dtype=np.float64)
    if dtype == "float64":
        return values
    with np.errstate(over="ignore"):
        if dtype == "float16":
            return values.astype(np.float16).astype(np.float64)
        single = values.astype(np.float32)
    if dtype == "float32":
        return single.astype(np.float64)
    bits = single.view(np.uint32).astype(np.uint64)
    kept = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
    return kept.view(np.float32).astype(np.float64)

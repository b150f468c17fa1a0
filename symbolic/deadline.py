"""A time after which nothing more is worked out: long computations ask whether it has come."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from gradproof.symbolic.polynomials import TooLargeError

_until: ContextVar[float] = ContextVar("until", default=float("inf"))


@contextmanager
def deadline(seconds: float) -> Generator[None]:
    """Within it, `check` raises after so many seconds; an earlier deadline around it counts, too."""
    token = _until.set(min(_until.get(), time.perf_counter() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def check() -> None:
    """Raise TooLargeError if the time has come."""
    if time.perf_counter() > _until.get():
        raise TooLargeError("it takes too long")

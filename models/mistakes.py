"""What is said of a mistake in what a user gives to a model: one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """What was given cannot be used: what was found, what was expected, and what to do."""


@contextmanager
def within_memory() -> Iterator[None]:
    """Within it, what does not fit into memory raises InputError, for PyTorch's allocators and Python's."""
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        said = str(problem)
        if not isinstance(problem, MemoryError) and not re.search(r"allocate memory|out of memory", said):
            raise
        size = re.search(r"allocate ([\d.]+ \w+)", said)
        raise InputError(
            f"this does not fit into memory{f': {size[1]} were asked for at once' if size else ''}; choose a "
            "smaller --batch, --context, --width or --layers"
        ) from None

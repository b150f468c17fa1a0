"""Numerical checks in processes of their own, while this one derives and proves."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from types import TracebackType
from typing import Any

from gradproof.numeric.evidence import Evidence
from gradproof.symbolic.operation import TABLE, Operation

MOST = 4
Curves = tuple[tuple[str, list[float], list[float]], ...]


def verify(operation: Operation) -> tuple[Evidence, ...]:
    """The numerical checks of an operation."""
    from gradproof.numeric import verification

    return verification.verify(operation)


def draw_errors(operation: Operation) -> Curves:
    """The errors of the PyTorch kernel over the inputs, where there is one variable."""
    from gradproof.numeric.accuracy import error_curves

    return tuple(error_curves(operation))


def available() -> int:
    """How many helpers there is room for: a core for each, beside the one that derives."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores - 1, MOST)


class Helpers:
    """Checks the operations of the catalogue in `count` processes; the others, and all if it is 0, here.

    A process finds an operation by its label, so one that a user's script defines has to be checked by the
    process that ran the script.
    """

    def __init__(self, operations: Sequence[Operation], count: int = 0) -> None:
        wanted = [v for o in operations if _in_catalogue(o) for v in o.variants]
        self.pool: ProcessPoolExecutor | None = None
        self.evidence: dict[str, Future[tuple[Evidence, ...]]] = {}
        self.curves: dict[str, Future[Curves]] = {}
        if count > 0 and len(wanted) > 1 and find_spec("torch") is not None:
            # A process started afresh: one copied from this one would copy the locks of PyTorch's threads.
            self.pool = ProcessPoolExecutor(count, get_context("spawn"), _leave_interrupts)
            for one in wanted:
                self.evidence[one.label] = self.pool.submit(_verify, one.label)
                self.curves[one.label] = self.pool.submit(_draw_errors, one.label)

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: Any, trace: TracebackType | None) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def verify(self, operation: Operation) -> tuple[Evidence, ...]:
        """The numerical checks of an operation, from a helper if one has it."""
        waiting = self.evidence.get(operation.label) if _in_catalogue(operation) else None
        return waiting.result() if waiting is not None else verify(operation)

    def draw_errors(self, operation: Operation) -> Curves:
        """The errors over the inputs, from a helper if one has them."""
        waiting = self.curves.get(operation.label) if _in_catalogue(operation) else None
        return waiting.result() if waiting is not None else draw_errors(operation)


def _in_catalogue(operation: Operation) -> bool:
    known = TABLE.get(operation.name)
    ours = operation.function.__module__.startswith("gradproof.symbolic.catalogue.")
    return ours and known is not None and known.function is operation.function


def _leave_interrupts() -> None:
    """The process that waits for the helpers is the one that is interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _verify(label: str) -> tuple[Evidence, ...]:
    from gradproof.symbolic.operation import find

    return verify(find(label))


def _draw_errors(label: str) -> Curves:
    from gradproof.symbolic.operation import find

    return draw_errors(find(label))

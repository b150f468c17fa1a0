"""What ends a run and is no fault of the program: noted, for programs that catch all exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Interruption(Exception):  # noqa: N818 (its kinds are errors)
    """Ends a run of a program on exact numbers."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        noted = _NOTED.get()
        if noted is not None:
            noted.append(self)


_NOTED: ContextVar[list[Interruption] | None] = ContextVar("NOTED", default=None)
"""The interruptions of the program that runs."""


@contextmanager
def noticed() -> Iterator[None]:
    """Within, a program may catch an interruption (`except Exception`): it is raised when the program ends,
    since what the program did instead is not what it does on real numbers.
    """
    noted: list[Interruption] = []
    token = _NOTED.set(noted)
    try:
        yield
    except Interruption:
        raise
    except Exception as error:
        if noted:
            raise noted[-1] from error
        raise
    finally:
        _NOTED.reset(token)
    if noted:
        raise noted[-1]

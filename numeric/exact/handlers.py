"""What each operator does on exact numbers: the tables that `operators/` fills."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Handler = Callable[..., Any]


HANDLERS: dict[Any, Handler] = {}
"""What each operator does, by overload or by packet of overloads: called with the execution and its
arguments, floating-point tensors as `Value`, others as they are."""


BIT_OPERATORS: set[Any] = set()
"""What may be done with the bits of numbers (`operators/bits.py`)."""


BIT_VIEWS: dict[Any, Handler] = {}
"""What sees numbers as bits, or bits as numbers; called with the tensors themselves."""


DATA_HANDLERS: set[Handler] = set()
"""Handlers that also answer where no floating-point tensor is among the arguments."""


def handles(*operators: Any) -> Callable[[Handler], Handler]:
    """Register what one or more operators do."""

    def register(handler: Handler) -> Handler:
        for operator in operators:
            HANDLERS[operator] = handler
        return handler

    return register


def handler_of(func: Any) -> Handler | None:
    """The row of an operator, or of all its overloads."""
    found = HANDLERS.get(func)
    return HANDLERS.get(func.overloadpacket) if found is None else found

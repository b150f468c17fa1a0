"""How a function that people may write is called: with how many arguments, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce as fold

from gradproof.symbolic.formulas import Formula

Builder = Callable[..., Formula]
MAX_FOLDED = 16
"""A function of any number of arguments takes at most so many."""


@dataclass(frozen=True)
class ScalarFunction:
    """How a function is called, with at least and at most so many arguments, and what it stands for.

    `build` raises ValueError for arguments that it cannot take.
    """

    build: Builder
    least: int = 1
    most: int = 1
    chooses: bool = False
    """The first argument is a condition."""


def one(build: Callable[[Formula], Formula]) -> ScalarFunction:
    """A function of one argument."""
    return ScalarFunction(build)


def two(build: Callable[[Formula, Formula], Formula]) -> ScalarFunction:
    """A function of two arguments."""
    return ScalarFunction(build, 2, 2)


def folded(build: Callable[[Formula, Formula], Formula]) -> ScalarFunction:
    """A function of any number of arguments, two at a time."""
    return ScalarFunction(lambda *parts: fold(build, parts), 1, MAX_FOLDED)

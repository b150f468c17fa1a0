"""How a function that people may write is called: with how many arguments, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce as fold

from gradproof.symbolic.formulas import Formula
from gradproof.symbolic.syntax import ParseError, Syntax

Builder = Callable[..., Formula]
MAX_FOLDED = 16
"""A function of any number of arguments takes at most so many."""


class NoRowError(Exception):
    """A function that mathematics knows and the table does not."""


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
    names: str = "x"
    """The names of the arguments, each with the others that it goes by: `x alpha|slope`."""


def arguments(found: ScalarFunction, node: Syntax) -> list[Syntax | None]:
    """The arguments of a call in order, None for one that is left out before another; raises ParseError."""
    names = [n.split("|") for n in found.names.split()]
    made: list[Syntax | None] = []
    for part in node.parts:
        if part.kind != "keyword":
            made.append(part)
            continue
        place = next((n for n, known in enumerate(names) if part.text in known), None)
        if place is None:
            known = ", ".join(n[0] for n in names)
            said = f"those that it has are {known}" if len(names) == found.most else "name none"
            raise ParseError(f"column {part.column}: {node.text} has no argument {part.text!r}; {said}")
        made += [None] * (place + 1 - len(made))
        if made[place] is not None:
            raise ParseError(f"column {part.column}: {part.text} is given twice")
        made[place] = part.parts[0]
    given = sum(part is not None for part in made)
    if given < found.least or len(made) > found.most or (made and made[0] is None):
        wanted = str(found.least) if found.least == found.most else f"{found.least} to {found.most}"
        raise ParseError(f"column {node.column}: {node.text} takes {wanted} argument(s), not {given}")
    return made


def one(build: Callable[[Formula], Formula]) -> ScalarFunction:
    """A function of one argument."""
    return ScalarFunction(build)


def two(build: Callable[[Formula, Formula], Formula]) -> ScalarFunction:
    """A function of two arguments."""
    return ScalarFunction(build, 2, 2)


def folded(build: Callable[[Formula, Formula], Formula]) -> ScalarFunction:
    """A function of any number of arguments, two at a time."""
    return ScalarFunction(lambda *parts: fold(build, parts), 1, MAX_FOLDED)

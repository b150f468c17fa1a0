"""How the functions of array formulas are called, under the names that libraries use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradproof.symbolic.arrays import Array
from gradproof.symbolic.syntax import ParseError, Syntax

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader

Given = Mapping[str, Syntax]
Build = Callable[["ArrayReader", Given], Array]


@dataclass(frozen=True)
class Row:
    """How a function is called: its arguments, each with the names that it goes by, and how many it needs."""

    name: str
    arguments: tuple[tuple[str, ...], ...]
    needed: int
    build: Build

    def __call__(self, reader: ArrayReader, node: Syntax) -> Array:
        return self.build(reader, self.given(node))

    def given(self, node: Syntax) -> Given:
        """The arguments of a call by name."""
        found: dict[str, Syntax] = {}
        for place, part in enumerate(node.parts):
            if part.kind == "keyword":
                name = next((a[0] for a in self.arguments if part.text in a), None)
                if name is None:
                    known = ", ".join(a[0] for a in self.arguments)
                    raise ParseError(
                        f"column {part.column}: {node.text} has no argument {part.text!r}; it has {known}"
                    )
                if name in found:
                    raise ParseError(f"column {part.column}: {name} is given twice")
                found[name] = part.parts[0]
            elif place < len(self.arguments):
                found[self.arguments[place][0]] = part
            else:
                most = len(self.arguments)
                raise ParseError(f"column {part.column}: {node.text} takes at most {most} argument(s)")
        missing = [a[0] for a in self.arguments[: self.needed] if a[0] not in found]
        if missing:
            raise ParseError(f"column {node.column}: {node.text} needs {' and '.join(missing)}")
        return found


ARRAY_TABLE: dict[str, Callable[[ArrayReader, Syntax], Array]] = {}


def enter(names: str, arguments: str, build: Build) -> None:
    """Enter a function under its names; of `"x ?axis|dim"` the second may be left out, and has two names."""
    parts = [a.lstrip("?") for a in arguments.split()]
    needed = sum(not a.startswith("?") for a in arguments.split())
    for name in names.split():
        ARRAY_TABLE[name] = Row(name, tuple(tuple(p.split("|")) for p in parts), needed, build)


def flag(given: Given, name: str, default: bool = False) -> bool:
    """Whether an argument is True."""
    if name not in given:
        return default
    node = given[name]
    if node.kind == "name" and node.text in ("True", "False"):
        return node.text == "True"
    if node.kind == "number" and node.text in ("0", "1"):
        return node.text == "1"
    raise ParseError(f"column {node.column}: True or False was expected")

"""Boxes: mathematics as it is set on a page, before it becomes LaTeX, MathML or plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Spacing = Literal["relation", "binary", "prefix", "postfix", "comma", "word"]


class Box:
    """Something with a place on the page; its subclasses are the kinds."""


@dataclass(frozen=True)
class Ident(Box):
    """A letter or a word; `code` is its name in code, where that differs."""

    text: str
    upright: bool = False
    code: str = ""


@dataclass(frozen=True)
class Num(Box):
    """A nonnegative integer in digits."""

    text: str


@dataclass(frozen=True)
class Op(Box):
    """An operator or a relation, as a Unicode character."""

    text: str
    spacing: Spacing


@dataclass(frozen=True)
class Words(Box):
    """Running text inside mathematics."""

    text: str


@dataclass(frozen=True)
class Thin(Box):
    """A thin space: what separates two factors."""


@dataclass(frozen=True)
class Row(Box):
    """Boxes side by side."""

    parts: tuple[Box, ...]


@dataclass(frozen=True)
class Fraction(Box):
    """A numerator over a denominator."""

    above: Box
    below: Box


@dataclass(frozen=True)
class Root(Box):
    """A square root."""

    body: Box


@dataclass(frozen=True)
class Indexed(Box):
    """An entry of a tensor: its head with labels above and indices below; in code `name[i, j]`."""

    name: str
    head: Box
    indices: tuple[Box, ...] = ()
    labels: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Raised(Box):
    """A base with something above on its right: a power."""

    base: Box
    above: Box


@dataclass(frozen=True)
class Lowered(Box):
    """A base with something below on its right: the size of an axis."""

    base: Box
    below: Box


@dataclass(frozen=True)
class Big(Box):
    """A large operator (sum, maximum) with what it runs over written under it."""

    symbol: Literal["sum", "max"]
    under: Box
    body: Box


@dataclass(frozen=True)
class Fence(Box):
    """A box between delimiters."""

    left: str
    body: Box
    right: str


@dataclass(frozen=True)
class Cases(Box):
    """Alternatives with their conditions, behind a brace."""

    rows: tuple[tuple[Box, Box], ...]


@dataclass(frozen=True)
class Accent(Box):
    """A letter under a mark."""

    mark: Literal["hat", "dot", "ddot", "bar", "tilde", "arrow"]
    base: Box


@dataclass(frozen=True)
class Hot(Box):
    """The part to which a rule is applied: coloured."""

    body: Box


@dataclass(frozen=True)
class Equation:
    """`left = right`; `name` is what it defines and `source` the operation that it came with."""

    left: Box
    right: Box
    name: str = ""
    source: str = ""


@dataclass(frozen=True)
class Note:
    """Equations that say one thing about a group, such as where its states start.

    `in_code` marks what only the names of the code need to have said: mathematics writes the step itself.
    `minor` marks what only says under which name something is stored.
    """

    title: str
    equations: tuple[Equation, ...]
    in_code: bool = False
    minor: bool = False


@dataclass(frozen=True)
class Group:
    """Equations that belong together: the steps of a recurrence, or an operation applied within another.

    `over` says what a recurrence runs over; `source` names the operation that was applied.
    """

    title: str
    equations: tuple[Equation, ...]
    notes: tuple[Note, ...] = ()
    source: str = ""
    over: Box | None = None


Line = Equation | Group


def row(*parts: Box) -> Box:
    """Boxes side by side, flat."""
    flat: list[Box] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Row) else (part,))
    return flat[0] if len(flat) == 1 else Row(tuple(flat))


EQUALS = Op("=", "relation")
MINUS = Op("−", "binary")
PLUS = Op("+", "binary")
NEGATIVE = Op("−", "prefix")
COMMA = Op(",", "comma")

"""The tokens of formulas in LaTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gradproof.symbolic.syntax import MAX_DEPTH, ParseError

_TOKEN = re.compile(
    r"(?P<space>\s+|\\[,;:! ]|\\quad|\\displaystyle|\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z]))"
    r"|(?P<environment>\\(?:begin|end)\{cases\})"
    r"|(?P<command>\\[a-zA-Z]+|\\\\|\\[{}|])"
    r"|(?P<number>\d+(?:\.\d*)?|\.\d+)"
    r"|(?P<letter>[^\W\d_])"
    r"|(?P<relation>[!<>=]=)"
    r"|(?P<mark>[-+*/^_(){}\[\]|,=<>&'])"
)


@dataclass(frozen=True)
class LatexToken:
    """A token and where it stands."""

    kind: str
    text: str
    column: int


def latex_tokens(text: str, start: int = 0) -> list[LatexToken]:
    """The tokens of a text from a place on, without spaces; raises ParseError."""
    made: list[LatexToken] = []
    at, level = start, 0
    while at < len(text):
        if text[at] == "$":
            at += 1
            continue
        found = _TOKEN.match(text, at)
        if not found:
            raise ParseError(f"column {at + 1}: the character {text[at]!r} has no meaning here")
        kind = str(found.lastgroup)
        level += (found[0] in "([{") - (found[0] in ")]}") if kind == "mark" else 0
        if level > MAX_DEPTH:
            raise ParseError(f"column {at + 1}: nested more than {MAX_DEPTH} deep")
        if kind != "space":
            made.append(LatexToken(kind, found[0], at + 1))
        at = found.end()
    return made

r"""Formulas in LaTeX, as papers write scalar mathematics: read into the same syntax as typed formulas."""

from __future__ import annotations

import re
from collections.abc import Callable

from gradproof.symbolic.claims import MAX_ORDER, Side
from gradproof.symbolic.latex_parser import LatexParser
from gradproof.symbolic.latex_tokens import LatexToken, latex_tokens
from gradproof.symbolic.syntax import MAX_LENGTH, ParseError, Syntax, parse


def parse_latex_side(text: str) -> Side:
    r"""One side of a claim in LaTeX, with derivatives such as `\frac{d}{dx}` in front; raises ParseError.

    >>> parse_latex_side(r"\frac{d}{dx} \tanh x").by
    ('x',)
    >>> parse_latex_side(r"\sin x y")
    Traceback (most recent call last):
    ...
    gradproof.symbolic.syntax.ParseError: column 8: `\sin x y` can be read as (\sin x) y or as \sin(x y)
    """
    if len(text) > MAX_LENGTH:
        raise ParseError(f"the formula has {len(text)} characters; at most {MAX_LENGTH} are read")
    by, start = _prefix(text)
    if not text[start:].strip().strip("$").strip():
        raise ParseError("the formula is empty")
    parser = LatexParser(latex_tokens(text, start), text)
    body = parser.sum()
    if parser.at < len(parser.tokens):
        raise parser.problem("an operator or the end")
    return Side(by, body, text)


def parse_latex_condition(
    text: str,
    plainly: Callable[[str], Syntax] = parse,
    parser: Callable[[list[LatexToken], str], LatexParser] | None = None,
) -> Syntax:
    r"""A condition beside formulas in LaTeX; without a backslash it may be in Python syntax instead.

    >>> parse_latex_condition(r"0 < \theta \leq 1").text
    '< <='
    """
    plain = "\\" not in text
    if plain and re.search(r"[^\W\d_]{2}", text):
        return plainly(text)
    try:
        made = (parser or LatexParser)(latex_tokens(text), text)
        found = made.conditions()
        if made.at < len(made.tokens):
            raise made.problem("the end")
        return found
    except ParseError:
        if plain:
            return plainly(text)
        raise


_DERIVATIVE = re.compile(
    r"[\s$]*\\[dt]?frac\s*\{\s*(?:d|\\partial|\\mathrm\{d\})\s*(?:\^\s*\{?(\d+)\}?)?\s*\}"
    r"\s*\{\s*(?:d|\\partial|\\mathrm\{d\})\s*(\\?[a-zA-Z]+(?:_(?:\w|\{\w+\}))?)\s*(?:\^\s*\{?(\d+)\}?)?\s*\}"
)


def _prefix(text: str) -> tuple[tuple[str, ...], int]:
    by: list[str] = []
    start = 0
    while found := _DERIVATIVE.match(text, start):
        order, name, power = found.groups()
        if (order or "1") != (power or "1"):
            raise ParseError(f"column {start + 1}: the orders above and below the derivative differ")
        by += [plain_name(name)] * int(order or 1)
        if len(by) > MAX_ORDER:
            raise ParseError(f"more than {MAX_ORDER} derivatives")
        start = found.end()
    return tuple(by), start


def plain_name(text: str) -> str:
    """A name of LaTeX as the variable is called."""
    return re.sub(r"[\\{}\s]", "", text)

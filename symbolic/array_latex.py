r"""Array formulas in LaTeX, index and matrix notation, read into the syntax of `syntax.py`.

Beyond scalar LaTeX (`claims_latex.py`) there are sums and products over indices, subscripts as indices,
transposes, norms, deltas and indicators; `\partial L/\partial y_i` is an entry of the cotangent. A vector is
a column: `x^\top y` is a number, `x y^\top` a matrix, `x y` is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from gradproof.symbolic.array_latex_parser import ArrayParser, Declared
from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.claims_latex import parse_latex_condition as parse_condition
from gradproof.symbolic.claims_latex import plain_name
from gradproof.symbolic.latex_parser import LatexParser
from gradproof.symbolic.latex_tokens import LatexToken, latex_tokens
from gradproof.symbolic.syntax import MAX_LENGTH, ParseError, Statement, Syntax, parse_expression

_SUBSCRIPTED = re.compile(r"(\w+?)_(?:([a-zA-Z])|\{([a-zA-Z](?:\s*,?\s*[a-zA-Z])*)\})$")


def latex_names(claim: Claim) -> Claim:
    r"""A claim with its names as formulas call them: `\theta` is `theta`, of an array `x_{ij}` is `x[i, j]`.

    >>> claim = Claim("a", "", ("x_{ij}", r"\theta"), axes={"x": ("m", "n")}, latex=True)
    >>> latex_names(claim).wrt
    ('x[i, j]', 'theta')
    """
    axes = {plain_name(name): over for name, over in claim.axes.items()}
    domain = {plain_name(name): text for name, text in claim.domain.items()}

    def named(text: str) -> str:
        word = text.replace("\\", "")
        found = _SUBSCRIPTED.match(word)
        if found is None or plain_name(word) in axes or found[1] not in axes:
            return plain_name(word)
        return f"{found[1]}[{', '.join(re.findall('[a-zA-Z]', found[2] or found[3]))}]"

    cotangent = None if claim.cotangent is None else claim.cotangent.replace("\\", "")
    return replace(claim, axes=axes, domain=domain, wrt=tuple(map(named, claim.wrt)), cotangent=cotangent)


def parse_latex_statements(text: str, declared: Declared) -> tuple[Statement, ...]:
    r"""The statements of a text, separated by `;` or `\\`; raises ParseError.

    >>> names = Declared({"W": 2, "x": 1}, frozenset())
    >>> (made,) = parse_latex_statements(r"y_i = \sum_{j} W_{ij} x_j", names)
    >>> made.name, made.indices, made.body.text
    ('y', ('i',), 'sum')
    """
    if len(text) > MAX_LENGTH:
        raise ParseError(f"the formula has {len(text)} characters; at most {MAX_LENGTH} are read")
    made: list[Statement] = []
    ranks = dict(declared.ranks)
    for part in _split(text):
        if not part.strip().strip("$").strip():
            continue
        statement = _statement(part, Declared(ranks, declared.axes, declared.cotangent))
        if statement.name:
            ranks[statement.name] = len(statement.indices) or 8
        made.append(statement)
    if not made:
        raise ParseError("the formula is empty")
    return tuple(made)


def parse_latex_condition(text: str, declared: Declared) -> Syntax:
    """A condition on arrays, in LaTeX or, without a backslash, in Python syntax; raises ParseError."""

    def parser(tokens: list[LatexToken], shown: str) -> LatexParser:
        return ArrayParser(tokens, shown, declared=declared)

    return parse_condition(text, parse_expression, parser)


def _split(text: str) -> Sequence[str]:
    """The statements: at `;` and, outside of an environment, at a line's end."""
    if r"\begin" in text:
        return text.split(";")
    return re.split(r";|\\\\", text)


def _statement(text: str, declared: Declared) -> Statement:
    parser = ArrayParser(latex_tokens(text), text, declared=declared)
    name, indices = "", tuple[str, ...]()
    at = next((n for n, t in enumerate(parser.tokens) if t.text == "="), None)
    if at is not None and _outside(parser.tokens[:at]):
        left = ArrayParser(parser.tokens[:at], text, declared=declared, left=True)
        name, indices = left.left_side()
        parser = ArrayParser(parser.tokens[at + 1 :], text, declared=declared, indices=indices)
    body = parser.sum()
    if parser.at < len(parser.tokens):
        raise parser.problem("an operator or the end")
    return Statement(name, indices, body)


def _outside(tokens: Sequence[LatexToken]) -> bool:
    """Whether the tokens may be the left side of an equation: a name or a partial derivative."""
    texts = [t.text for t in tokens]
    level = sum((t in ("{", "(", "[")) - (t in ("}", ")", "]")) for t in texts)
    return level == 0 and not any(t in ("+", "-", r"\sum", r"\prod", "(", "[") for t in texts)

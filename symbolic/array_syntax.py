"""The syntax of array formulas: Python expressions with subscripts, attributes, keywords and `@`.

It contains the syntax of scalar formulas (`claims.py`), and is read into the same nodes. Beyond those there
are `subscript`, `slice`, `none`, `ellipsis`, `keyword`, `each` (`body for i in n`), `string`, `list` and
`choice` (`a if c else b`); a method `x.sum(0)` is the call `sum(x, 0)`, and `np.exp` is `exp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Tree, UnexpectedInput

from gradproof.symbolic.claims import MAX_DEPTH, ParseError, Syntax, bounded, explain

_GRAMMAR = r"""
start: (statement (";" statement)*)? ";"?
statement: ternary "=" ternary                    -> define
    | ternary                                     -> value
?ternary: condition
    | condition "if" condition "else" ternary     -> choice
?condition: conjunction
    | conjunction (("or" | "|") conjunction)+     -> any_of
?conjunction: inversion
    | inversion (("and" | "&") inversion)+        -> all_of
?inversion: comparison
    | ("not" | "~") inversion                     -> not_
?comparison: sum
    | sum (RELATION sum)+                         -> compare
?sum: product
    | product (SIGN product)+                     -> chain
?product: signed
    | signed (TIMES signed)+                      -> chain
?signed: power
    | SIGN signed                                 -> sign
?power: postfix
    | postfix POWER signed                        -> pow
?postfix: atom
    | postfix "[" subscript ("," subscript)* ","? "]" -> subscript
    | postfix "." NAME                            -> attribute
    | postfix "." NAME "(" arguments? ")"         -> method
?atom: NUMBER                                     -> number
    | NAME                                        -> name
    | STRING                                      -> string
    | NAME "(" arguments? ")"                     -> call
    | "(" ternary ")"
    | "(" ternary "," (ternary ("," ternary)* ","?)? ")" -> list
    | "[" (ternary ("," ternary)* ","?)? "]"      -> list
arguments: argument ("," argument)* ","?
?argument: ternary
    | NAME "=" ternary                            -> keyword
    | ternary ("for" NAME "in" ternary)+          -> each
?subscript: ternary
    | ternary? ":" ternary? (":" ternary?)?       -> slice
    | "..."                                       -> ellipsis
POWER: "**" | "^"
SIGN: "+" | "-"
TIMES: "*" | "/" | "@"
RELATION: "==" | "!=" | "<=" | ">=" | "<" | ">"
NUMBER: /(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?/
STRING: /'[^'\\\n]*'|"[^"\\\n]*"/
NAME: /(?!(?:for|in|if|else|and|or|not)\b)[^\W\d]\w*/
%import common.WS
%ignore WS
"""

MODULES = frozenset(
    ("np", "numpy", "jnp", "jax", "nn", "torch", "F", "functional", "tf", "linalg", "math", "sp")
)
"""What may stand in front of the name of a function, and means nothing here."""


@dataclass(frozen=True)
class Statement:
    """A definition `name[indices] = body` of an array formula, or, without a name, a value."""

    name: str
    indices: tuple[str, ...]
    body: Syntax


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False, propagate_positions=True)


def parse_statements(text: str) -> tuple[Statement, ...]:
    """The statements of a text, separated by `;`: definitions and a value; raises ParseError.

    >>> [(s.name, s.body.kind) for s in parse_statements("y = softmax(x); y * (g - sum(y*g))")]
    [('y', 'call'), ('', 'chain')]
    """
    bounded(text)
    try:
        tree: Any = _parser().parse(text)  # pyright: ignore[reportUnknownMemberType]
    except UnexpectedInput as problem:
        raise ParseError(explain(problem, text)) from None
    made: list[Statement] = []
    for child in tree.children:
        if child.data == "define":
            left, body = map(_syntax, child.children)
            made.append(Statement(*left_side(left), body))
        else:
            made.append(Statement("", (), _syntax(child.children[0])))
    return tuple(made)


def left_side(left: Syntax) -> tuple[str, tuple[str, ...]]:
    """The name that is defined, or named, by `y` or `y[i, j]`, and its indices; raises ParseError."""
    base, *over = left.parts if left.kind == "subscript" else (left,)
    if base.kind != "name" or any(i.kind != "name" for i in over):
        raise ParseError(
            f"column {left.column}: a name, or a name with indices such as `y[i, j]`, is expected"
        )
    return base.text, tuple(i.text for i in over)


def parse_array(text: str) -> Syntax:
    """The syntax of one array formula; raises ParseError.

    >>> parse_array("x @ W.T + b").text
    '+'
    """
    statements = parse_statements(text)
    if len(statements) != 1 or statements[0].name:
        raise ParseError("a formula was expected, found definitions")
    return statements[0].body


def _syntax(node: Any, depth: int = 1) -> Syntax:
    """Syntax from the parser's tree, bounded in depth, methods and modules written as functions."""
    column = _column(node)
    if depth > MAX_DEPTH:
        raise ParseError(f"column {column}: nested more than {MAX_DEPTH} deep")
    assert isinstance(node, Tree)
    children: list[Any] = list(node.children)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    tokens = [str(c) for c in children if isinstance(c, Token)]
    kind = str(node.data)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    inner = [c for c in children if not isinstance(c, Token)]
    if kind in ("call", "method") and inner and inner[-1].data == "arguments":
        inner = [*inner[:-1], *inner[-1].children]
    parts = tuple(_syntax(c, depth + 1) for c in inner)
    if kind in ("attribute", "method"):
        return _attribute(kind, tokens[0], parts, column)
    if kind == "string":
        return Syntax("string", tokens[0][1:-1], (), column)
    if kind == "name" and tokens[0] in ("None", "newaxis"):
        return Syntax("none", "", (), column)
    return Syntax(kind, " ".join(tokens), parts, column)


def _attribute(kind: str, name: str, parts: tuple[Syntax, ...], column: int) -> Syntax:
    base = parts[0]
    module = base.kind == "name" and base.text in MODULES
    if kind == "method":
        return Syntax("call", name, parts[1:] if module else parts, column)
    if module:
        return Syntax("none", "", (), column) if name == "newaxis" else Syntax("name", name, (), column)
    return Syntax("attribute", name, parts, column)


def _column(node: Any) -> int:
    if isinstance(node, Token):
        return int(node.column or 1)
    return int(getattr(node.meta, "column", 1) or 1)

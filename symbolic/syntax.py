"""The syntax of formulas that people type: Python expressions, parsed by a grammar and never evaluated.

Scalar and array formulas are the same language; which nodes mean something is for their readers to say. A
method `x.sum(0)` is the call `sum(x, 0)`, and `np.exp` is `exp`; where libraries mean different things by a
name, the module in front of it decides (`modules.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from gradproof.symbolic.modules import MODULES, ModuleError, constant, meaning

MAX_LENGTH = 4000
MAX_DEPTH = 80
MAX_NODES = 20_000

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
    | "(" ternary "," (ternary ("," ternary)* ","?)? ")" -> tuple
    | "[" (ternary ("," ternary)* ","?)? "]"      -> list
arguments: argument ("," argument)* ","?
?argument: ternary
    | NAME "=" ternary                            -> keyword
    | ternary ("for" NAME "in" ternary)+          -> each
?subscript: ternary
    | end? COLON end? (COLON end?)?               -> slice
    | "..."                                       -> ellipsis
end: ternary
COLON: ":"
POWER: "**" | "^"
SIGN: "+" | "-"
TIMES: /\/\/|\*(?!\*)|[\/@%]/
RELATION: "==" | "!=" | "<=" | ">=" | "<" | ">"
NUMBER: /(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)([eE][-+]?\d+)?/
STRING: /'[^'\\\n]*'|"[^"\\\n]*"/
NAME: /(?!(?:for|in|if|else|and|or|not)\b)[^\W\d]\w*/
%import common.WS
%ignore WS
"""

_SHOWN = {
    "NUMBER": "a number",
    "NAME": "a name",
    "RELATION": "a comparison",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "COMMA": "`,`",
    "SIGN": "`+` or `-`",
    "TIMES": "`*` or `/`",
    "POWER": "`**`",
    "$END": "the end",
}
_KINDS = {
    "list": "a list",
    "string": "a text",
    "none": "None",
    "slice": "a slice",
    "keyword": "a keyword argument",
    "each": "a loop",
    "module": "a module",
    "subscript": "entries of an array",
    "attribute": "an attribute",
    "ellipsis": "`...`",
    "end": "a slice",
}


class ParseError(ValueError):
    """A text that cannot be read; the message points at the place and says what was expected."""


@dataclass(frozen=True)
class Syntax:
    """A node of what was typed: a kind, a text, parts, and the column where it starts.

    The text of a chain of sums, products or comparisons is the signs between its parts; that of a list is
    `(` where it stands in parentheses; that of a slice says which of its three ends are given.
    """

    kind: str
    text: str = ""
    parts: tuple[Syntax, ...] = ()
    column: int = 1


@dataclass(frozen=True)
class Statement:
    """A definition `name[indices] = body`, or, without a name, a value."""

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
    if not made:
        raise ParseError("the formula is empty")
    return tuple(made)


def parse_expression(text: str) -> Syntax:
    """The syntax of one formula without definitions; raises ParseError.

    >>> parse_expression("x @ W.T + b").text
    '+'
    >>> parse_expression("1 +")
    Traceback (most recent call last):
    ...
    gradproof.symbolic.syntax.ParseError: column 4: the formula ends where a number or a name was expected
    """
    statements = parse_statements(text)
    if len(statements) != 1 or statements[0].name:
        raise ParseError("a formula was expected, found definitions")
    return statements[0].body


def parse(text: str) -> Syntax:
    """The syntax of a formula, its definitions put in place; raises ParseError.

    >>> parse("1 - tanh(x)**2").kind
    'chain'
    """
    return parse_program(text, {})[1]


def parse_program(text: str, known: Mapping[str, Syntax]) -> tuple[Mapping[str, Syntax], Syntax]:
    """The definitions of a text beside those that are known, and its formula with them put in place.

    >>> definitions, formula = parse_program("s = sigmoid(x); s*(1 - s)", {})
    >>> list(definitions), formula.parts[0].text
    (['s'], 'sigmoid')
    """
    *before, last = parse_statements(text)
    if last.name or not all(s.name for s in before):
        raise ParseError("the last of several statements is the formula, those before it are `name = ...`")
    found = dict(known)
    for statement in before:
        if statement.indices:
            raise ParseError(f"{statement.name}: a number has no indices")
        found[statement.name] = inlined(statement.body, found)
    return found, inlined(last.body, found)


def inlined(node: Syntax, found: Mapping[str, Syntax]) -> Syntax:
    """A formula with names replaced by what they stand for; raises ParseError where it grows too large."""
    if not found:
        return node
    made = _inlined(node, found)
    if _count(made) > MAX_NODES:
        raise ParseError("the formula is too large")
    return made


def _inlined(node: Syntax, found: Mapping[str, Syntax]) -> Syntax:
    if node.kind == "name":
        return found.get(node.text, node)
    return replace(node, parts=tuple(_inlined(part, found) for part in node.parts)) if node.parts else node


def _count(node: Syntax) -> int:
    """How many nodes there are, each time that one is shared."""
    known: dict[int, int] = {}

    def visit(part: Syntax) -> int:
        if id(part) not in known:
            known[id(part)] = 1 + sum(map(visit, part.parts))
        return known[id(part)]

    return visit(node)


def left_side(left: Syntax) -> tuple[str, tuple[str, ...]]:
    """The name that is defined, or named, by `y` or `y[i, j]`, and its indices; raises ParseError."""
    base, *over = left.parts if left.kind == "subscript" else (left,)
    if base.kind != "name" or any(i.kind != "name" for i in over):
        raise ParseError(
            f"column {left.column}: a name, or a name with indices such as `y[i, j]`, is expected"
        )
    return base.text, tuple(i.text for i in over)


def names_in(node: Syntax) -> set[str]:
    """The names in a formula, those of functions left out."""
    own = {node.text} if node.kind == "name" else set[str]()
    return own.union(*map(names_in, node.parts))


def described(node: Syntax) -> str:
    """What kind of thing a node is, for messages."""
    return _KINDS.get(node.kind, node.kind)


# --- from the parser's tree


def _syntax(node: Any, depth: int = 1) -> Syntax:
    """Syntax from the parser's tree, bounded in depth, methods and modules written as functions."""
    column = _column(node)
    if depth > MAX_DEPTH:
        raise ParseError(f"column {column}: nested more than {MAX_DEPTH} deep")
    assert isinstance(node, Tree)
    children: list[Any] = list(node.children)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    kind = str(node.data)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if kind == "slice":
        return _slice(children, column, depth)
    tokens = [str(c) for c in children if isinstance(c, Token)]
    inner = [c for c in children if not isinstance(c, Token)]
    if kind in ("call", "method") and inner and inner[-1].data == "arguments":
        inner = [*inner[:-1], *inner[-1].children]
    parts = tuple(_syntax(c, depth + 1) for c in inner)
    if kind in ("attribute", "method"):
        return _attribute(kind, tokens[0], parts, column)
    if kind == "tuple":
        return Syntax("list", "(", parts, column)
    if kind == "string":
        return Syntax("string", tokens[0][1:-1], (), column)
    if kind == "name" and tokens[0] in ("None", "newaxis"):
        return Syntax("none", "", (), column)
    if kind == "number":
        return Syntax("number", tokens[0].replace("_", ""), (), column)
    return Syntax(kind, " ".join(tokens), parts, column)


def _slice(children: list[Any], column: int, depth: int) -> Syntax:
    """`[start]:[stop][:[step]]`; the text has the letters of the ends that are given."""
    found: dict[str, Syntax] = {}
    at = 0
    for child in children:
        if isinstance(child, Token):
            at += 1
        else:
            found["abc"[at]] = _syntax(child.children[0], depth + 1)
    return Syntax("slice", "".join(found), tuple(found.values()), column)


def _attribute(kind: str, name: str, parts: tuple[Syntax, ...], column: int) -> Syntax:
    """A method is a function of what stands in front; a module says which function is meant."""
    base = parts[0]
    path = base.text if base.kind == "module" or (base.kind == "name" and base.text in MODULES) else None
    try:
        if kind == "method":
            keywords = {p.text for p in parts if p.kind == "keyword"}
            named, more = meaning(path, name, keywords)
            given = parts if path is None else parts[1:]
            added = tuple(Syntax("keyword", k, (Syntax(*v, (), column),), column) for k, v in more.items())
            return Syntax("call", named, (*given, *added), column)
        if path is None:
            return Syntax("attribute", name, parts, column)
        if name in MODULES:
            return Syntax("module", f"{path}.{name}", (), column)
        return (
            Syntax("none", "", (), column)
            if name == "newaxis"
            else Syntax("name", constant(name), (), column)
        )
    except ModuleError as problem:
        raise ParseError(f"column {column}: {problem}") from None


def _column(node: Any) -> int:
    if isinstance(node, Token):
        return int(node.column or 1)
    return int(getattr(node.meta, "column", 1) or 1)


# --- what cannot be read


def bounded(text: str) -> None:
    """Raise ParseError for a text that is too long, too deep or empty."""
    if len(text) > MAX_LENGTH:
        raise ParseError(f"the formula has {len(text)} characters; at most {MAX_LENGTH} are read")
    if not text.strip():
        raise ParseError("the formula is empty")
    level = 0
    for column, letter in enumerate(text, 1):
        level += (letter in "([{") - (letter in ")]}")
        if level > MAX_DEPTH:
            raise ParseError(f"column {column}: nested more than {MAX_DEPTH} deep")


def explain(problem: UnexpectedInput, text: str) -> str:
    """What the parser did not expect, with the place, for people."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    token: Token | None = getattr(problem, "token", None)
    if isinstance(problem, UnexpectedToken) and token is not None and token.type == "$END":
        return f"column {len(text) + 1}: the formula ends where {_expected(problem)} was expected"
    column = int(problem.column) if problem.column and problem.column > 0 else 1
    if isinstance(problem, UnexpectedCharacters):
        return f"column {column}: the character {text[column - 1]!r} has no meaning here: {shown!r}"
    assert isinstance(problem, UnexpectedToken)
    found = str(token)
    return f"column {column}: found {found!r} where {_expected(problem)} was expected: {shown!r}"


def _expected(problem: UnexpectedToken) -> str:
    names = set(problem.accepts or problem.expected)
    if "NUMBER" in names:
        return "a number or a name"
    shown = [_SHOWN[name] for name in sorted(names) if name in _SHOWN]
    ends = [s for s in shown if s in ("the end", "`)`", "`,`")]
    kept = ["an operator", *ends] if "TIMES" in names or "SIGN" in names else shown or ["something else"]
    return " or ".join(kept) if len(kept) < 3 else ", ".join(kept[:-1]) + " or " + kept[-1]

"""Formulas that people type, in Python syntax: read by a grammar of their own, never evaluated.

`d/dx` in front applies to all that follows. What is typed is read in two steps, so that both can be bounded:
text to syntax (`parse`), and syntax to a formula over the table of scalar functions (`Reader`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

from lark import Lark, Token, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from gradproof.symbolic.domain import Domain
from gradproof.symbolic.formulas import (
    EULER,
    NAN,
    PI,
    Formula,
    TooBigError,
    apply,
    both,
    choose,
    compare,
    either,
    exact,
    negated,
    raise_to,
    variable,
)
from gradproof.symbolic.scalar_functions import ALSO_VARIABLES, TABLE, WITHOUT_ROW, NoRowError, function

MAX_LENGTH = 4000
MAX_DEPTH = 80
MAX_DIGITS = 80
MAX_DECIMAL_EXPONENT = 100
MAX_ORDER = 4
"""At most so many derivatives in front."""

_GRAMMAR = r"""
?start: condition
?condition: conjunction
    | conjunction ("or" conjunction)+               -> any_of
?conjunction: inversion
    | inversion ("and" inversion)+                  -> all_of
?inversion: comparison
    | "not" inversion                               -> not_
?comparison: sum
    | sum (RELATION sum)+                           -> compare
?sum: product
    | product (SIGN product)+                       -> chain
?product: signed
    | signed (TIMES signed)+                        -> chain
?signed: power
    | SIGN signed                                   -> sign
?power: atom
    | atom ("**" | "^") signed                      -> pow
?atom: NUMBER                                       -> number
    | NAME                                          -> name
    | NAME "(" arguments? ")"                       -> call
    | "(" condition ")"
    | "(" condition "," condition ")"               -> pair
    | "[" arguments? "]"                            -> list
arguments: condition ("," condition)* ","?
SIGN: "+" | "-"
TIMES: "*" | "/"
RELATION: "==" | "!=" | "<=" | ">=" | "<" | ">"
NUMBER: /(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?/
NAME: /[^\W\d]\w*/
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
    "CIRCUMFLEX": "`^`",
    "__ANON_0": "`**`",
    "$END": "the end",
}


class ParseError(ValueError):
    """A text that cannot be read; the message points at the place and says what was expected."""


@dataclass(frozen=True)
class Syntax:
    """A node of what was typed: a kind, a text, parts, and the column where it starts.

    The text of a chain of sums, products or comparisons is the signs between its parts.
    """

    kind: str
    text: str = ""
    parts: tuple[Syntax, ...] = ()
    column: int = 1


@dataclass(frozen=True)
class Side:
    """One side of a claim: what to differentiate by, the innermost last, and the syntax of the rest."""

    by: tuple[str, ...]
    body: Syntax
    text: str


def _syntax(node: Any, depth: int = 1) -> Syntax:
    """Syntax from the parser's tree, bounded in depth."""
    column = _column(node)
    if depth > MAX_DEPTH:
        raise ParseError(f"column {column}: nested more than {MAX_DEPTH} deep")
    if isinstance(node, Token):
        return Syntax("token", str(node), (), column)
    kind = str(node.data)
    parts = [_syntax(child, depth + 1) for child in node.children if not isinstance(child, Token)]
    if kind in ("call", "list") and parts:
        parts = list(parts[0].parts)
    text = " ".join(str(child) for child in node.children if isinstance(child, Token))
    return Syntax(kind, text, tuple(parts), column)


def _column(node: Any) -> int:
    """The column of the first token inside."""
    while not isinstance(node, Token):
        if not node.children:
            return 1
        node = node.children[0]
    return int(node.column or 1)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)


def parse(text: str) -> Syntax:
    """The syntax of a formula or a condition; raises ParseError.

    >>> parse("1 - tanh(x)**2").kind
    'chain'
    >>> parse("1 +")
    Traceback (most recent call last):
    ...
    gradproof.symbolic.claims.ParseError: column 4: the formula ends where a number or a name was expected
    """
    bounded(text)
    try:
        tree: Any = _parser().parse(text)  # pyright: ignore[reportUnknownMemberType]
    except UnexpectedInput as problem:
        raise ParseError(explain(problem, text)) from None
    return _syntax(tree)


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
    shown = [_SHOWN.get(name, f"`{name.lower()}`") for name in sorted(names)]
    ends = [s for s in shown if s in ("the end", "`)`", "`,`")]
    kept = ["an operator", *ends] if "TIMES" in names or "SIGN" in names else shown
    return " or ".join(kept) if len(kept) < 3 else ", ".join(kept[:-1]) + " or " + kept[-1]


# --- derivatives in front


_PREFIX = re.compile(r"\s*d(?:(?:\^|\*\*)?(\d+))?\s*/\s*d([^\W\d]\w*)(?:(?:\^|\*\*)(\d+))?(?=[\s(]|$)")


def split_prefix(text: str) -> tuple[tuple[str, ...], str]:
    """The variables of leading derivatives, the outermost first, and the text behind them.

    >>> split_prefix("d/dx d/dy x*y")
    (('x', 'y'), 'x*y')
    >>> split_prefix("d2/dx2 exp(x)")
    (('x', 'x'), 'exp(x)')
    """
    by: list[str] = []
    rest = text
    while found := _PREFIX.match(rest):
        order, name, power = found.groups()
        count = int(order or 1)
        if power is None and order and name.endswith(order) and len(name) > len(order):
            name, power = name[: -len(order)], order
        if (power or "1") != (order or "1"):
            raise ParseError(f"{found[0].strip()!r}: write a second derivative as `d2/dx2`")
        by += [name] * count
        if len(by) > MAX_ORDER:
            raise ParseError(f"more than {MAX_ORDER} derivatives")
        rest = rest[found.end() :]
    if by and not rest.strip():
        raise ParseError(f"column {len(text) + 1}: nothing behind {text.strip()!r}")
    return tuple(by), rest.strip() if by else rest


def parse_side(text: str) -> Side:
    """One side of a claim, with derivatives in front."""
    if len(text) > MAX_LENGTH:
        raise ParseError(f"the formula has {len(text)} characters; at most {MAX_LENGTH} are read")
    by, rest = split_prefix(text)
    return Side(by, parse(rest), text)


# --- from syntax to formulas


CONSTANTS: Mapping[str, Formula] = {
    "pi": PI,
    "E": EULER,
    "nan": NAN,
    "EulerGamma": -apply("digamma", exact(1)),
}
REFUSED = {
    "e": "`e` is ambiguous: write `E` or `exp(...)` for Euler's number, or give the variable another name",
    "I": "`I` is the imaginary unit; formulas are real",
    "inf": "infinity is no number; it is written in domains only",
    "oo": "infinity is no number; it is written in domains only",
}
_ARITHMETIC: Mapping[str, Callable[[Formula, Formula], Formula]] = {
    "+": Formula.__add__,
    "-": Formula.__sub__,
    "*": Formula.__mul__,
    "/": Formula.__truediv__,
}
_RELATIONS: Mapping[str, Any] = {"Eq": "==", "Ne": "!=", "Lt": "<", "Le": "<=", "Gt": ">", "Ge": ">="}
_CONNECTIVES = {"And": both, "Or": either}
_TRUTHS = ("any_of", "all_of", "not_", "compare")


@dataclass
class Reader:
    """Formulas of syntax, over variables with domains; numbers and names met are kept.

    Raises ParseError for what has no meaning, NoRowError for a function outside the table.
    """

    domains: Mapping[str, Domain]
    names: dict[str, None] = field(default_factory=dict[str, None])
    decimals: dict[str, Fraction] = field(default_factory=dict[str, Fraction])
    stand_ins: Mapping[str, Formula] = field(default_factory=dict[str, Formula])

    def formula(self, node: Syntax) -> Formula:
        """The formula of a syntax that has a number for its value."""
        if is_condition(node):
            raise ParseError(f"column {node.column}: a condition where a number was expected")
        try:
            return self._value(node)
        except TooBigError as problem:
            raise ParseError(f"column {node.column}: {problem}") from None

    def condition(self, node: Syntax) -> Formula:
        """The formula, 0 or 1, of a condition."""
        if not is_condition(node):
            raise ParseError(f"column {node.column}: a number where a condition was expected")
        if node.kind == "name":
            return exact(1 if node.text == "True" else 0)
        if node.kind == "compare":
            return self._chain(node)
        kind = node.text if node.kind == "call" else node.kind
        if kind in _RELATIONS:
            if len(node.parts) != 2:
                raise ParseError(f"column {node.column}: {kind} compares two numbers")
            return compare(_RELATIONS[kind], self.formula(node.parts[0]), self.formula(node.parts[1]))
        if not node.parts:
            raise ParseError(f"column {node.column}: {kind} without a condition")
        parts = [self.condition(part) for part in node.parts]
        if kind in ("not_", "Not"):
            if len(parts) != 1:
                raise ParseError(f"column {node.column}: Not takes one condition")
            return negated(parts[0])
        result = parts[0]
        for part in parts[1:]:
            result = (both if kind in ("all_of", "And") else either)(result, part)
        return result

    def _chain(self, node: Syntax) -> Formula:
        values = [self.formula(part) for part in node.parts]
        relations: list[Any] = node.text.split()
        result = compare(relations[0], values[0], values[1])
        for relation, a, b in zip(relations[1:], values[1:], values[2:], strict=False):
            result = both(result, compare(relation, a, b))
        return result

    def _value(self, node: Syntax) -> Formula:
        if node.kind == "number":
            return self._number(node)
        if node.kind == "name":
            return self._name(node)
        if node.kind == "call":
            return self._call(node)
        if node.kind == "sign":
            inner = self.formula(node.parts[0])
            return -inner if node.text == "-" else inner
        if node.kind == "pow":
            return raise_to(self.formula(node.parts[0]), self.formula(node.parts[1]))
        if node.kind == "chain":
            result = self.formula(node.parts[0])
            for sign, part in zip(node.text.split(), node.parts[1:], strict=True):
                result = _ARITHMETIC[sign](result, self.formula(part))
            return result
        if node.kind == "list":
            raise ParseError(f"column {node.column}: a list belongs to hyper")
        raise ParseError(f"column {node.column}: a pair of parentheses with a comma belongs to Piecewise")

    def _number(self, node: Syntax) -> Formula:
        if node.text in self.stand_ins:
            return self.stand_ins[node.text]
        digits, _, exponent = node.text.lower().partition("e")
        if len(digits) > MAX_DIGITS or abs(int(exponent or 0)) > MAX_DECIMAL_EXPONENT:
            raise ParseError(f"column {node.column}: the number {node.text[:20]}... has too many digits")
        value = Fraction(node.text)
        if "." in digits:
            self.decimals[node.text] = value
        return exact(value)

    def _name(self, node: Syntax) -> Formula:
        name = node.text
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in REFUSED and name not in self.domains:
            raise ParseError(f"column {node.column}: {REFUSED[name]}")
        if name.startswith("__") or (
            name in TABLE and name not in self.domains and name not in ALSO_VARIABLES
        ):
            kind = "a function, which needs an argument in parentheses" if name in TABLE else "no variable"
            raise ParseError(f"column {node.column}: {name!r} is {kind}")
        self.names[name] = None
        domain = self.domains.get(name, Domain())
        return variable(name, str(domain) if len(domain.intervals) == 1 else "real")

    def _call(self, node: Syntax) -> Formula:
        name = node.text
        if name == "Piecewise":
            return self._cases(node)
        if name == "hyper":
            return self._series(node)
        found = function(name)
        if found is None:
            near = difflib.get_close_matches(name, [*TABLE, *WITHOUT_ROW, "Piecewise"], 3)
            hint = f"; do you mean {' or '.join(near)}?" if near else ""
            raise ParseError(f"column {node.column}: there is no function {name!r}{hint}")
        count = len(node.parts)
        if not found.least <= count <= found.most:
            wanted = str(found.least) if found.least == found.most else f"{found.least} to {found.most}"
            raise ParseError(f"column {node.column}: {name} takes {wanted} argument(s), not {count}")
        parts = (
            self.condition(p) if is_condition(p) and found.chooses else self.formula(p) for p in node.parts
        )
        try:
            return found.build(*parts)
        except (ParseError, TooBigError):
            raise
        except ValueError as problem:
            raise ParseError(f"column {node.column}: {problem}") from None

    def _series(self, node: Syntax) -> Formula:
        """`hyper([a, ...], [b, ...], z)`, of the orders that are in the table."""
        parts = node.parts
        if [p.kind == "list" for p in parts] != [True, True, False]:
            raise ParseError(f"column {node.column}: a series is written `hyper([a], [b], z)`")
        above, below = ([self.formula(p) for p in part.parts] for part in parts[:2])
        row = TABLE.get(f"hyp{len(above)}f{len(below)}")
        if row is None:
            raise NoRowError(
                f"the function hyper with {len(above)} and {len(below)} parameters is not in the table"
            )
        return row.build(*above, *below, self.formula(parts[2]))

    def _cases(self, node: Syntax) -> Formula:
        if not node.parts:
            raise ParseError(f"column {node.column}: Piecewise without a case")
        result = NAN
        for case in reversed(node.parts):
            if case.kind != "pair":
                raise ParseError(f"column {case.column}: a case is written `(value, condition)`")
            value, condition = case.parts
            result = choose(self.condition(condition), self.formula(value), result)
        return result


def is_condition(node: Syntax) -> bool:
    """Whether the syntax is one of a truth value."""
    if node.kind == "call":
        return node.text in (*_RELATIONS, *_CONNECTIVES, "Not")
    return node.kind in _TRUTHS or (node.kind == "name" and node.text in ("True", "False"))

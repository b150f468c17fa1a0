"""Formulas of numbers that people type: from syntax to formulas over the table of scalar functions.

`d/dx` in front applies to all that follows.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

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
from gradproof.symbolic.scalar_functions import ALSO_VARIABLES, TABLE, WITHOUT_ROW, function
from gradproof.symbolic.scalar_table import NoRowError, arguments
from gradproof.symbolic.syntax import MAX_LENGTH, ParseError, Syntax, described, parse_program

MAX_DIGITS = 80
MAX_DECIMAL_EXPONENT = 100
MAX_ORDER = 4
"""At most so many derivatives in front."""


@dataclass(frozen=True)
class Side:
    """One side of a claim: what to differentiate by, the innermost last, and the syntax of the rest.

    `definitions` is what its text defines; the body has them in place.
    """

    by: tuple[str, ...]
    body: Syntax
    text: str
    definitions: Mapping[str, Syntax] = field(default_factory=dict[str, Syntax])


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


def parse_side(text: str, known: Mapping[str, Syntax] | None = None) -> Side:
    """One side of a claim, with derivatives in front; what is known is put in place of its name."""
    if len(text) > MAX_LENGTH:
        raise ParseError(f"the formula has {len(text)} characters; at most {MAX_LENGTH} are read")
    by, rest = split_prefix(text)
    definitions, body = parse_program(rest, known or {})
    return Side(by, body, text, definitions)


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
ARITHMETIC: Mapping[str, Callable[[Formula, Formula], Formula]] = {
    "+": Formula.__add__,
    "-": Formula.__sub__,
    "*": Formula.__mul__,
    "/": Formula.__truediv__,
    "//": TABLE["floor_divide"].build,
    "%": TABLE["mod"].build,
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
        """The formula of a syntax that has a number for its value; a condition is 1 where it holds."""
        try:
            if is_condition(node):
                return choose(self.condition(node), exact(1), exact(0))
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
        if node.kind == "choice":
            yes, condition, no = node.parts
            return choose(self.condition(condition), self.formula(yes), self.formula(no))
        if node.kind == "chain":
            result = self.formula(node.parts[0])
            for sign, part in zip(node.text.split(), node.parts[1:], strict=True):
                if sign == "@":
                    raise ParseError(f"column {node.column}: `@` multiplies arrays; say their axes")
                result = ARITHMETIC[sign](result, self.formula(part))
            return result
        raise ParseError(f"column {node.column}: {described(node)} where a number was expected")

    def _number(self, node: Syntax) -> Formula:
        if node.text in self.stand_ins:
            return self.stand_ins[node.text]
        return exact(read_number(node, self.decimals))

    def _name(self, node: Syntax) -> Formula:
        name = node.text
        if name in CONSTANTS and name not in self.domains:
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
        name, node = approximated(node)
        found = function(name)
        if found is None:
            near = difflib.get_close_matches(name, [*TABLE, *WITHOUT_ROW, "Piecewise"], 3)
            hint = f"; do you mean {' or '.join(near)}?" if near else ""
            raise ParseError(f"column {node.column}: there is no function {name!r}{hint}")
        parts: list[Formula | None] = []
        for place, part in enumerate(arguments(found, node)):
            chosen = part is not None and place == 0 and found.chooses
            parts.append(None if part is None else self.condition(part) if chosen else self.formula(part))
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
            if case.kind != "list" or len(case.parts) != 2:
                raise ParseError(f"column {case.column}: a case is written `(value, condition)`")
            value, condition = case.parts
            result = choose(self.condition(condition), self.formula(value), result)
        return result


def approximated(node: Syntax) -> tuple[str, Syntax]:
    """The name of a function and its call without the argument that says how it is approximated."""
    ways = [p for p in node.parts if p.kind == "keyword" and p.text == "approximate"]
    if node.text != "gelu" or not ways:
        return node.text, node
    way = ways[0].parts[0].text
    if way not in ("tanh", "none", "True", "False"):
        raise ParseError(f"column {ways[0].column}: GELU is approximated by 'tanh' or not, found {way!r}")
    rest = replace(node, parts=tuple(p for p in node.parts if p not in ways))
    return ("gelu_tanh" if way in ("tanh", "True") else "gelu"), rest


def read_number(node: Syntax, decimals: dict[str, Fraction]) -> Fraction:
    """The value of a number, exactly; those with a decimal point are noted."""
    digits, _, exponent = node.text.lower().partition("e")
    if len(digits) > MAX_DIGITS or abs(int(exponent or 0)) > MAX_DECIMAL_EXPONENT:
        raise ParseError(f"column {node.column}: the number {node.text[:20]}... has too many digits")
    value = Fraction(node.text)
    if "." in digits:
        decimals[node.text] = value
    return value


def is_condition(node: Syntax) -> bool:
    """Whether the syntax is one of a truth value."""
    if node.kind == "call":
        return node.text in (*_RELATIONS, *_CONNECTIVES, "Not")
    return node.kind in _TRUTHS or (node.kind == "name" and node.text in ("True", "False"))

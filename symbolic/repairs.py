"""The true derivative in the form closest to a claim that is wrong: one small change of it, if that holds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import Any

from gradproof.symbolic.cells import Cell
from gradproof.symbolic.claims import Reader, is_condition
from gradproof.symbolic.domain import Domain
from gradproof.symbolic.evaluation import UndefinedError
from gradproof.symbolic.examination import decide
from gradproof.symbolic.expressions import Expr, parameter
from gradproof.symbolic.formulas import Formula, TooBigError, written
from gradproof.symbolic.isolation import ball
from gradproof.symbolic.places import Place
from gradproof.symbolic.scalar import PROBLEMS, Side, value_on
from gradproof.symbolic.scalar_table import NoRowError
from gradproof.symbolic.special import without_closed_form
from gradproof.symbolic.syntax import ParseError, Syntax
from gradproof.symbolic.tangent import NoDerivativeError, tangent
from gradproof.symbolic.witnesses import points

SECONDS = 4.0
MAX_TRIED = 1500
POINTS = 4
PRECISION = 128
_SWAPS = (
    ("sin", "cos", "tan"), ("sinh", "cosh", "tanh"), ("exp", "expm1"), ("log", "log1p"), ("sigmoid", "tanh"),
    ("erf", "erfc", "erfi"), ("gamma", "loggamma", "digamma", "trigamma"), ("Si", "Ci", "Shi", "Chi"),
    ("besselj", "bessely", "besseli", "besselk"), ("airyai", "airybi", "airyaiprime", "airybiprime"),
    ("asin", "acos", "atan"), ("Max", "Min"), ("floor", "ceiling"), ("elliptic_k", "elliptic_e"),
)  # fmt: skip
_NUMBERS = (Fraction(1), Fraction(2), Fraction(3), Fraction(1, 2), Fraction(-1))


@dataclass(frozen=True)
class Wanted:
    """The left side at a few points: what a repair has to give."""

    left: Side
    domains: Mapping[str, Domain]
    values: Sequence[tuple[Mapping[str, Any], Any]]

    def fits(self, formula: Formula) -> bool:
        """Whether a formula has these values, as far as balls tell."""
        try:
            return all(ball(formula.value, at, PRECISION).overlaps(value) for at, value in self.values)
        except (UndefinedError, ZeroDivisionError, OverflowError, KeyError):
            return False


def repair(left: Side, claim: Syntax, reader: Reader, domains: Mapping[str, Domain]) -> str | None:
    """A text that is proved to be the derivative, close to the claim where that succeeds."""
    until = time.perf_counter() + SECONDS
    wanted = Wanted(left, domains, list(islice(_values(left, domains), POINTS)))
    if wanted.values:
        for changed in islice(changes(claim, list(domains)), MAX_TRIED):
            if time.perf_counter() > until:
                break
            try:
                formula = reader.formula(changed)
            except (ParseError, NoRowError, TooBigError):
                continue
            if wanted.fits(formula) and decide(left, Side(formula), domains, 2).verdict == "proved":
                return unparse(changed)
    return _derived(left, domains)


def _values(left: Side, domains: Mapping[str, Domain]) -> Iterator[tuple[Mapping[str, Any], Any]]:
    for point in points(domains):
        try:
            value = value_on(Place(Cell({}, frame=point)), left, assuming=False)
            if not isinstance(value, str):
                at = {n: ball(v, {}, PRECISION) for n, v in point.items()}
                yield at, ball(value, at, PRECISION)
        except (*PROBLEMS, UndefinedError, OverflowError):
            continue


def _derived(left: Side, domains: Mapping[str, Domain]) -> str | None:
    """The derivative as the chain rule gives it, or in normal form, whichever is shorter."""
    value = left.formula.value
    try:
        for name in reversed(left.by):
            value = tangent(value, lambda e: e, variable=_variable(value, name))
        if without_closed_form(value):
            return None
        texts = [written(value)]
    except (NoDerivativeError, TypeError):
        return None
    try:
        place = Place(Cell({n: d.hull for n, d in domains.items()}))
        texts.append(written(place.normal(value)))
    except (*PROBLEMS, TypeError):
        pass
    return min(texts, key=len)


def _variable(expr: Expr, name: str) -> Expr:
    from gradproof.symbolic.expressions import Parameter, walk

    found = (n for n in walk(expr) if isinstance(n, Parameter) and n.name == name)
    return next(found, parameter(name))


def changes(node: Syntax, names: Sequence[str]) -> Iterator[Syntax]:
    """The formula with one small change: outermost ones first."""
    yield from _here(node, names)
    yield from _around(node, names)
    for n, part in enumerate(node.parts):
        for changed in changes(part, names) if not is_condition(part) else ():
            yield replace(node, parts=(*node.parts[:n], changed, *node.parts[n + 1 :]))


def _around(node: Syntax, names: Sequence[str]) -> Iterator[Syntax]:
    """A sign in front, a factor, a term, an exponent."""
    if node.kind == "list" or is_condition(node):
        return
    if node.kind != "sign":
        yield Syntax("sign", "-", (node,))
    others = [Syntax("number", str(n)) for n in (2, 3)] + [Syntax("name", n) for n in (*names, "pi")]
    for other in others:
        yield Syntax("chain", "*", (other, node))
        yield Syntax("chain", "/", (node, other))
    for other in [Syntax("number", "1"), *others]:
        yield Syntax("chain", "+", (node, other))
        yield Syntax("chain", "-", (node, other))
    yield Syntax("pow", "", (node, Syntax("number", "2")))
    yield Syntax("call", "sqrt", (node,))


def _here(node: Syntax, names: Sequence[str]) -> Iterator[Syntax]:
    """Another sign, number, name, function or exponent; a part left out."""
    if node.kind == "sign":
        yield node.parts[0]
    if node.kind == "name" and node.text in names:
        yield from (replace(node, text=n) for n in names if n != node.text)
    if node.kind == "number":
        value = Fraction(node.text)
        near = [*(value + step for step in _NUMBERS), value * 2, value / 2, *(n for n in _NUMBERS if n > 0)]
        yield from (_number(v) for v in dict.fromkeys(near) if v != value)
    if node.kind == "call":
        for group in _SWAPS:
            if node.text in group:
                yield from (replace(node, text=other) for other in group if other != node.text)
    if node.kind == "pow":
        yield node.parts[0]
    if node.kind == "chain":
        signs = node.text.split()
        turned = {"+": "-", "-": "+", "*": "/", "/": "*"}
        for n, sign in enumerate(signs):
            if sign in turned:
                yield replace(node, text=" ".join([*signs[:n], turned[sign], *signs[n + 1 :]]))
            parts = (*node.parts[: n + 1], *node.parts[n + 2 :])
            rest = [*signs[:n], *signs[n + 1 :]]
            yield replace(node, text=" ".join(rest), parts=parts) if rest else parts[0]


def _number(value: Fraction) -> Syntax:
    above = Syntax("number", str(abs(value.numerator)))
    made = above
    if value.denominator != 1:
        made = Syntax("chain", "/", (above, Syntax("number", str(value.denominator))))
    return Syntax("sign", "-", (made,)) if value < 0 else made


# --- writing


_STRENGTH = {
    "number": 9, "name": 9, "call": 9, "subscript": 9, "attribute": 9, "string": 9, "list": 9, "none": 9,
    "pow": 7, "sign": 5,
}  # fmt: skip


def unparse(node: Syntax) -> str:
    """The text of a syntax, with the parentheses that it needs.

    >>> from gradproof.symbolic.syntax import parse
    >>> unparse(parse("-(x + 1)*exp(-x**2)/ 2"))
    '-(x + 1)*exp(-x**2)/2'
    """
    parts = node.parts
    if node.kind in ("number", "name"):
        return node.text
    if node.kind == "call":
        return f"{node.text}({', '.join(map(unparse, parts))})"
    if node.kind == "list":
        inside = ", ".join(map(unparse, parts))
        return f"({inside})" if node.text == "(" else f"[{inside}]"
    if node.kind == "choice":
        yes, condition, no = parts
        return f"{_within(yes, 1)} if {_within(condition, 1)} else {unparse(no)}"
    if node.kind == "keyword":
        return f"{node.text}={unparse(parts[0])}"
    if node.kind == "string":
        return f"'{node.text}'"
    if node.kind == "sign":
        return node.text + _within(parts[0], 5)
    if node.kind == "pow":
        return f"{_within(parts[0], 8)}**{_within(parts[1], 6)}"
    if node.kind == "not_":
        return f"not {_within(parts[0], 3)}"
    if node.kind in ("any_of", "all_of"):
        word = " or " if node.kind == "any_of" else " and "
        return word.join(_within(p, 2) for p in parts)
    if node.kind in _ARRAY_KINDS:
        return _unparse_array(node)
    signs = node.text.split()
    loose = node.kind == "compare" or signs[0] in "+-@"
    text = _within(parts[0], _strength(node))
    for sign, part in zip(signs, parts[1:], strict=True):
        text += (f" {sign} " if loose else sign) + _within(part, _strength(node) + 1)
    return text


_ARRAY_KINDS = frozenset(("subscript", "attribute", "slice", "none", "ellipsis", "each"))


def _unparse_array(node: Syntax) -> str:
    """The text of what only formulas over arrays have."""
    parts = node.parts
    if node.kind == "subscript":
        return f"{_within(parts[0], 9)}[{', '.join(map(unparse, parts[1:]))}]"
    if node.kind == "attribute":
        return f"{_within(parts[0], 9)}.{node.text}"
    if node.kind == "slice":
        ends = dict(zip(node.text, map(unparse, parts), strict=True))
        return f"{ends.get('a', '')}:{ends.get('b', '')}" + (f":{ends['c']}" if "c" in ends else "")
    if node.kind == "each":
        loops = zip(node.text.split(), parts[1:], strict=True)
        return unparse(parts[0]) + "".join(f" for {name} in {unparse(over)}" for name, over in loops)
    return {"none": "None", "ellipsis": "..."}[node.kind]


def _strength(node: Syntax) -> int:
    if node.kind == "chain":
        return 3 if node.text.split()[0] in "+-" else 5
    return 0 if node.kind == "choice" else _STRENGTH.get(node.kind, 1)


def _within(node: Syntax, least: int) -> str:
    text = unparse(node)
    return text if _strength(node) >= least else f"({text})"

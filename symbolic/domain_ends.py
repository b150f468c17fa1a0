"""Domains with ends such as pi/2: an interval with rational ends around them, and conditions beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from gradproof.symbolic.claims import Reader
from gradproof.symbolic.claims_latex import parse_latex_side, plain_name
from gradproof.symbolic.domain import (
    Domain,
    DomainError,
    Interval,
    parse_domain,
    parse_domain_texts,
    simplest,
)
from gradproof.symbolic.evaluation import UndefinedError
from gradproof.symbolic.expressions import Expr, Number
from gradproof.symbolic.formulas import TooBigError
from gradproof.symbolic.isolation import ball, outward
from gradproof.symbolic.scalar_table import NoRowError
from gradproof.symbolic.syntax import ParseError, Syntax, parse

PRECISION = 256
AWAY = Fraction(1, 10**6)
"""A rational end lies within that of the end that was written."""
_NAME = r"[^\W\d]\w*"
_BESIDE = re.compile(rf"\s*(?:real\s*)?(?:{_NAME}\s*)?(>=|<=|>|<|!=)\s*([^<>=]+)$")
_BETWEEN = re.compile(rf"\s*(?:real\s+)?([^<>=]+?)\s*(<=?)\s*{_NAME}\s*(<=?)\s*([^<>=]+)$")
_SIZE = re.compile(rf"\s*\|\s*{_NAME}\s*\|\s*(<=?)\s*([^<>=]+)$")

_LATEX = {r"\left": "", r"\right": "", r"\infty": "inf", r"\mathbb{R}": "real", r"\leq": "<=", r"\geq": ">=",
          r"\le": "<=", r"\ge": ">=", r"\neq": "!=", r"\ne": "!=", r"\mathbb{Z}": "integer"}  # fmt: skip

Read = tuple[dict[str, Domain], tuple[Syntax, ...]]


def read_domains(given: str | Mapping[str, str] | None) -> Read:
    """Domains as one text or by names, and conditions that say what their rational ends do not.

    >>> from gradproof.symbolic.repairs import unparse
    >>> domains, conditions = read_domains("x: [0, pi/2)")
    >>> str(domains["x"]), [unparse(c) for c in conditions]
    ('[0, 355/226)', ['x < pi/2'])
    """
    texts = parse_domain_texts(given) if given is None or isinstance(given, str) else given
    domains: dict[str, Domain] = {}
    conditions: list[Syntax] = []
    for shown, text in texts.items():
        name = plain_name(shown) if "\\" in shown else shown
        domains[name], more = _read(name, _plain(text) if "\\" in text else text)
        conditions += more
    return domains, tuple(conditions)


def _plain(text: str) -> str:
    """A domain in LaTeX, all of it but the constants in the words of domains."""
    for command, word in _LATEX.items():
        text = text.replace(command, word)
    return text


def _read(name: str, text: str) -> tuple[Domain, list[Syntax]]:
    try:
        return parse_domain(text), []
    except DomainError as problem:
        bounds = _bounds(text)
        if bounds is None:
            raise
        interval, conditions = Interval(), list[Syntax]()
        try:
            for relation, end in bounds:
                beside, condition = _beside(name, relation, end)
                conditions += [condition] if condition else []
                interval = interval.meet(beside)
        except (ParseError, NoRowError, TooBigError, UndefinedError, ArithmeticError):
            raise problem from None
        if interval.empty:
            raise DomainError(f"{text.strip()!r} holds no number") from None
        return Domain((interval,), text=text.strip() if conditions else ""), conditions


def _bounds(text: str) -> list[tuple[str, str]] | None:
    """What a domain says of a variable, as relations and ends; None for one that says something else."""
    word = text.strip()
    if word[:1] in ("(", "[") and word[-1:] in (")", "]"):
        ends = _at_comma(word[1:-1])
        if len(ends) != 2:
            return None
        closed = word[0] == "[", word[-1] == "]"
        return [(">=" if closed[0] else ">", ends[0]), ("<=" if closed[1] else "<", ends[1])]
    if found := _SIZE.match(text):
        return [(found[1], found[2]), (found[1].replace("<", ">"), f"-({found[2]})")]
    if found := _BETWEEN.match(text):
        return [(found[2].replace("<", ">"), found[1]), (found[3], found[4])]
    if (found := _BESIDE.match(text)) and found[1] != "!=":
        return [(found[1], found[2])]
    return None


def _at_comma(text: str) -> list[str]:
    """The parts between commas that stand in no parenthesis."""
    depth, parts = 0, [""]
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _beside(name: str, relation: str, end: str) -> tuple[Interval, Syntax | None]:
    """A ray with a rational end that holds all numbers beside an end; the condition, where it holds more."""
    word = end.strip()
    above = relation.startswith(">")
    if word.lstrip("+-") in ("inf", "oo", "infinity"):
        if word.startswith("-") != above:
            raise DomainError(f"{name} {relation} {word} holds no number")
        return Interval(), None
    node = parse_latex_side(word).body if "\\" in word else parse(word)
    value = _constant(node, word)
    exact = isinstance(value, Number)
    rational = value.value if isinstance(value, Number) else _near(value, -1 if above else 1)
    closed = exact and "=" in relation
    ray = Interval(rational, None, closed) if above else replace(Interval(None, rational), high_closed=closed)
    condition = Syntax("compare", relation, (Syntax("name", name), node))
    return ray, None if exact else condition


def _constant(node: Syntax, text: str) -> Expr:
    reader = Reader({})
    value = reader.formula(node).value
    if reader.names:
        raise DomainError(
            f"the end {text!r} of a domain is no number: what depends on another variable is a condition "
            f"(`where`)"
        )
    return value


def _near(value: Expr, side: int) -> Fraction:
    """A simple rational a little below (-1) or above (1) a constant."""
    found: Any = ball(value, {}, PRECISION)
    end = side * outward(found, side)
    return side * simplest(end, end + AWAY)

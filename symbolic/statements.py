"""Statements as people type them, two formulas and a domain, and the verdict on them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from gradproof.symbolic.claims import CONSTANTS, Reader, is_condition, parse_side
from gradproof.symbolic.claims import Side as Typed
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.domain import Domain
from gradproof.symbolic.domain_ends import read_domains
from gradproof.symbolic.examination import decide, examine
from gradproof.symbolic.expressions import Bracket, Expr, Mul
from gradproof.symbolic.formulas import Formula, TooBigError
from gradproof.symbolic.hints import hints
from gradproof.symbolic.repairs import repair
from gradproof.symbolic.roundings import rounded, rounding_note
from gradproof.symbolic.scalar import MAX_SECONDS, Side
from gradproof.symbolic.scalar_table import NoRowError
from gradproof.symbolic.syntax import ParseError, Syntax, parse
from gradproof.symbolic.verdict import Verdict

ONLY_ROUNDED = "the sides differ only by that rounding: with the exact constants they are equal"


def prove_text(
    left: str,
    right: str,
    domain: str | Mapping[str, str] | None = None,
    latex: bool = False,
    where: Sequence[str] = (),
) -> Verdict:
    """Whether two formulas are equal wherever the left one has a value, on a domain.

    `d/dx` in front of a side differentiates all of it. Without a domain every variable is real; `where` are
    conditions on top of it. Raises ParseError (a ValueError) for a text that cannot be read.

    >>> prove_text("d/dx softplus(x)", "sigmoid(x)").verdict
    'proved'
    >>> found = prove_text("log(x**2)", "2*log(x)")
    >>> found.verdict, dict(found.witness.point)
    ('refuted', {'x': '-1'})
    """
    sides = typed(left, latex, "left side"), typed(right, latex, "right side")
    return prove_sides(*sides, domain, [typed_condition(text, latex) for text in where])


def prove_sides(
    left: Typed,
    right: Typed,
    domain: str | Mapping[str, str] | None = None,
    where: Sequence[Syntax] = (),
    seconds: float = MAX_SECONDS,
) -> Verdict:
    """The same of two sides that have been read, in about so many seconds."""
    started = time.perf_counter()
    domains, ends = read_domains(domain)
    try:
        verdict = _decide((left, right), domains, (*ends, *where), seconds)
    except NoRowError as problem:
        verdict = Verdict("undecided", reason=str(problem))
    return replace(verdict, seconds=time.perf_counter() - started)


def repair_sides(
    left: Typed, right: Typed, domain: str | Mapping[str, str] | None = None, where: Sequence[Syntax] = ()
) -> str | None:
    """The true derivative on the right, in the form closest to what stands there."""
    domains, ends = read_domains(domain)
    reader = Reader(domains)
    side, _, used = _read((left, right), domains, (*ends, *where), reader)
    return repair(side, right.body, Reader(domains), used)


def typed(text: str, latex: bool, name: str, known: Mapping[str, Syntax] | None = None) -> Typed:
    """A side as it was typed; raises ParseError, which starts with what the side is called."""
    try:
        if latex:
            from gradproof.symbolic.claims_latex import parse_latex_side

            return parse_latex_side(text)
        return parse_side(text, known)
    except ParseError as problem:
        raise ParseError(f"{name}: {problem}") from None


def typed_condition(text: str, latex: bool) -> Syntax:
    """A condition as it was typed; raises ParseError."""
    try:
        if latex:
            from gradproof.symbolic.claims_latex import parse_latex_condition

            node = parse_latex_condition(text)
        else:
            node = parse(text)
        if not is_condition(node):
            raise ParseError(f"{text!r} is no condition; write a comparison, as in `x > 0`")
        return node
    except ParseError as problem:
        raise ParseError(f"where: {problem}") from None


def _decide(
    sides: Sequence[Typed], domains: Mapping[str, Domain], where: Sequence[Syntax], seconds: float
) -> Verdict:
    reader = Reader(domains)
    left, right, used = _read(sides, domains, where, reader)
    verdict, decision = examine(left, right, used, seconds)
    notes: list[str] = []
    if verdict.verdict == "refuted":
        notes = _rounding_notes(sides, domains, where, reader) if reader.decimals else []
        if ONLY_ROUNDED not in notes and decision is not None and not decision.meaning:
            notes += [f"hint: {hint}" for hint in hints(decision)]
    unused = [n for n in domains if n not in {*reader.names, *sides[0].by, *sides[1].by}]
    if unused:
        notes.append(f"no {' and no '.join(unused)} occurs: what is said of its domain is not used")
    return replace(verdict, notes=(*verdict.notes, *notes))


def _read(
    sides: Sequence[Typed], domains: Mapping[str, Domain], where: Sequence[Syntax], reader: Reader
) -> tuple[Side, Side, dict[str, Domain]]:
    """The formulas of both sides, the conditions asked for by the left one, and the variables that occur."""
    constant = next((n for side in sides for n in side.by if n in CONSTANTS and n not in domains), None)
    if constant is not None:
        raise ParseError(f"{constant} is a constant: no derivative by it; give its domain for a variable")
    try:
        left, right = (reader.formula(side.body) for side in sides)
        for node in where:
            condition = reader.condition(node)
            left = Formula(left.value, (*condition.demands, *required(condition.value), *left.demands))
    except TooBigError as problem:
        raise ParseError(str(problem)) from None
    names = dict.fromkeys((*reader.names, *sides[0].by, *sides[1].by))
    used = {name: domains.get(name, Domain()) for name in names}
    return Side(left, sides[0].by), Side(right, sides[1].by), used


def required(condition: Expr) -> Iterator[Demand]:
    """What a condition asks for: its comparisons one by one where all of them have to hold."""
    if isinstance(condition, Mul):
        for factor in condition.factors:
            yield from required(factor)
    elif isinstance(condition, Bracket) and condition.relation in ("!=", ">", ">="):
        yield Demand(condition.left - condition.right, condition.relation)
    elif isinstance(condition, Bracket) and condition.relation in ("<", "<="):
        yield Demand(condition.right - condition.left, ">" if condition.relation == "<" else ">=")
    else:
        yield Demand(condition, "!=")


def _rounding_notes(
    sides: Sequence[Typed], domains: Mapping[str, Domain], where: Sequence[Syntax], reader: Reader
) -> list[str]:
    """What of a refuted statement is the rounding of a constant, and whether it holds with the constants."""
    found = {
        text: exact for text, value in reader.decimals.items() for exact in islice(rounded(text, value), 1)
    }
    if not found:
        return []
    notes = [rounding_note(text, reader.decimals[text], exact) for text, exact in found.items()]
    stand_ins = {text: Formula(exact) for text, exact in found.items()}
    exactly = decide(*_read(sides, domains, where, Reader(domains, stand_ins=stand_ins)))
    if exactly.verdict == "proved":
        notes.append(ONLY_ROUNDED)
    return notes

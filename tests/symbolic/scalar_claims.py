"""The project's own set of scalar claims: true rules, and wrong variants of them made by mutation.

What holds and what fails is told by mpmath at 50 digits, at points of the domain, and never by the prover.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import mpmath
from scalar_mutations import mutants, truth, unparse, value
from scalar_rules import RULES

from gradproof.symbolic.claims_file import Claim, read_claim
from gradproof.symbolic.domain import Domain, Interval
from gradproof.symbolic.domain_ends import read_domains
from gradproof.symbolic.syntax import Syntax, parse

DIGITS = 50
NEAR = mpmath.mpf(10) ** -30
FILE = Path(__file__).with_suffix(".jsonl")
WRONG = 3
"""So many wrong variants of each rule, of different kinds where there are."""
POINTS, SIMPLEST = 8, 4


@dataclass(frozen=True)
class Known:
    """A claim and whether it holds."""

    claim: Claim
    holds: bool
    what: str = ""


def rules() -> Iterator[Claim]:
    """The rules as claims."""
    for number, line in enumerate(line for line in RULES.splitlines() if line and line[0] != "#"):
        function, by, stated, domain, *where = (part.strip() for part in line.split(" | "))
        domains = {n: str(d) for n, d in (part.split(":", 1) for part in domain.split(";"))}
        conditions = tuple(c.strip() for c in where[0].split(";")) if where else ()
        named = {n.strip(): d.strip() for n, d in domains.items()}
        yield Claim(f"rule {number}", function, tuple(by.split()), stated, named, conditions)


def points(claim: Claim) -> Iterator[dict[str, Any]]:
    """Points inside the domain at which the conditions hold."""
    domains = {n: next(iter(read_domains(f"{n}: {d}")[0].values())) for n, d in claim.domain.items()}
    chance = random.Random(claim.id)
    conditions = [parse(c) for c in claim.where]
    samples = {n: list(islice(_inner(d), 40)) for n, d in domains.items()}
    found = 0
    for trial in range(200):  # the simplest values first
        at = {n: s[trial % len(s)] if trial < SIMPLEST else chance.choice(s) for n, s in samples.items()}
        with mpmath.workdps(DIGITS):
            if all(truth(c, at) for c in conditions):
                yield at
                found += 1
        if found >= POINTS:
            return


def _inner(domain: Domain) -> Iterator[Any]:
    for sample in domain.samples():
        ends = {end for i in domain.intervals for end in (i.low, i.high)}
        if domain.integer or sample not in ends:
            shift = 0 if domain.integer else mpmath.mpf("1e-3") * mpmath.mpf("0.7310585786300049")
            moved = mpmath.mpf(sample.numerator) / sample.denominator + shift
            if domain.integer or any(_between(moved, i) for i in domain.intervals):
                yield moved


def _between(x: Any, interval: Interval) -> bool:
    low, high = (None if e is None else mpmath.mpf(e.numerator) / e.denominator for e in _ends(interval))
    return (low is None or x > low) and (high is None or x < high) and abs(x) < 40


def _ends(interval: Interval) -> tuple[Fraction | None, Fraction | None]:
    return interval.low, interval.high


def derivative(node: Syntax, by: tuple[str, ...], at: Mapping[str, Any]) -> Any:
    """The derivative by mpmath, by central differences."""
    name, *rest = by

    def along(t: Any) -> Any:
        moved = {**at, name: t}
        return derivative(node, tuple(rest), moved) if rest else value(node, moved)

    return mpmath.diff(along, at[name], h=mpmath.mpf(10) ** -(60 // len(by)))


def differs(claim: Claim, function: Syntax, stated: Syntax) -> bool | None:
    """Whether the formula is not the derivative at one of the points; None if nothing could be told."""
    told = False
    for at in points(claim):
        with mpmath.workdps(3 * DIGITS):
            try:
                left = derivative(function, tuple(reversed(claim.wrt)), at)
            except (ValueError, ZeroDivisionError):  # a pole of the function
                continue
            try:
                right = value(stated, at)
            except (ValueError, ZeroDivisionError):
                return True
            if not mpmath.isfinite(right) or not isinstance(+right, mpmath.mpf):
                return True
            scale = 1 + abs(left)
            if abs(left - right) > NEAR * scale:
                return True
            told = True
    return False if told else None


def claims() -> list[Known]:
    """The set as it is kept, true rules and wrong variants."""
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [Known(read_claim(row), row["truth"] == "holds", row.get("why", "")) for row in rows]


def make() -> Iterator[Known]:
    """The set made anew; a variant that mpmath does not see to be wrong is left out."""
    for rule in rules():
        yield Known(rule, True)
        yield from _wrong(rule)


def _wrong(rule: Claim) -> Iterator[Known]:
    function, stated = parse(rule.function), parse(rule.claim)
    found = list(mutants(stated))
    chance = random.Random(rule.id)
    chance.shuffle(found)
    kinds = [what for what, _ in found]
    order = sorted(range(len(found)), key=lambda n: kinds[:n].count(kinds[n]))
    found = [found[n] for n in order]
    count = 0
    for what, changed in found:
        text = unparse(changed)
        try:
            wrong = differs(rule, function, changed)
        except (ValueError, KeyError, TypeError, OverflowError, NotImplementedError):
            continue
        if wrong:
            count += 1
            name = f"{rule.id}, wrong {count}"
            claim = Claim(name, rule.function, rule.wrt, text, rule.domain, rule.where)
            yield Known(claim, False, what)
        if count == WRONG:
            return


if __name__ == "__main__":  # write the set
    with FILE.open("w", encoding="utf-8") as out:
        for known in make():
            row = known.claim.to_dict() | {"truth": "holds" if known.holds else "fails"}
            out.write(json.dumps(row | ({"why": known.what} if known.what else {})) + "\n")

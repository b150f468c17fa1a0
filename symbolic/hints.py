"""What may have gone wrong in a refuted formula, in words: each hint is the claim put right, and proved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

from gradproof.symbolic.cases import OpenSignError, UndecidedError
from gradproof.symbolic.cells import Cell, parameters
from gradproof.symbolic.evaluation import UndefinedError
from gradproof.symbolic.examination import decide
from gradproof.symbolic.expressions import ONE, Add, Call, Expr, Power, call, mul, parameter, rewrite, walk
from gradproof.symbolic.formulas import Formula, written
from gradproof.symbolic.isolation import ball
from gradproof.symbolic.places import Place
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.profiles import slope
from gradproof.symbolic.scalar import Decision, Failure, Side, value_on
from gradproof.symbolic.special import SPECIAL, without_closed_form
from gradproof.symbolic.tangent import NoDerivativeError
from gradproof.symbolic.witnesses import points

SECONDS = 0.5
"""For all hints on one claim together."""
MAX_SHOWN = 36
"""A factor or a term longer than that explains nothing."""
NEIGHBOURS = (
    ("sin", "cos"), ("exp", "sigmoid"), ("sigmoid", "tanh"), ("sigmoid", "softplus"), ("log", "softplus"),
    ("erf", "erfi"), ("asin", "atan"), ("rgamma", "lgamma"), ("lgamma", "digamma"), ("besselj", "besseli"),
    ("besselj", "bessely"), ("besseli", "besselk"), ("airyai", "airybi"), ("Si", "Ci"), ("Si", "Shi"),
    ("Ci", "Chi"), ("fresnels", "fresnelc"), ("elliptic_k", "elliptic_d"),
)  # fmt: skip
"""Functions that are taken for each other."""
MAX_TRIED, AGREEING = 12, 3
"""A neighbour is looked at more closely if it agrees at so many points of the first so many."""
_PROBLEMS = (ArithmeticError, OpenSignError, UndecidedError, TooLargeError, NoDerivativeError, TypeError)


@dataclass(frozen=True)
class Repair:
    """What is wrong, and the right side that would hold."""

    words: str
    right: Formula


def hints(decision: Decision) -> list[str]:
    """At most two hints on a refuted claim."""
    until = time.perf_counter() + SECONDS
    left, right = decision.left, decision.right
    if not left.by or right.by:
        return []
    suspicions = _Suspicions(decision)

    def proved(repair: Repair) -> bool:
        if suspicions.everywhere:
            return True
        rest = until - time.perf_counter()
        side = Side(repair.right)
        return rest > 0 and decide(left, side, decision.domains, rest).verdict == "proved"

    found = next(([r.words] for r in suspicions.plain() if proved(r)), None)
    found = found or _neighbours(decision, until)
    none: list[str] = []
    found = found or next(([r.words] for r in suspicions.others() if proved(r)), none)
    return [*found, *_pieces(decision)][:2]


@dataclass(frozen=True)
class _Suspicions:
    """The first cell on which the sides have values that differ, and what would make them equal."""

    decision: Decision

    @cached_property
    def failure(self) -> Failure | None:
        values = (
            f for f in self.decision.failures if not (isinstance(f.left, str) or isinstance(f.right, str))
        )
        return next((f for f in values if not f.wall), None)

    @property
    def everywhere(self) -> bool:
        """Whether that cell is the whole domain: what makes the sides equal there makes them equal."""
        d = self.decision
        return d.cells == 1 and d.pieces_seen == 1 and all(len(i.intervals) == 1 for i in d.domains.values())

    @cached_property
    def gap(self) -> Expr | None:
        """What is missing in the claim as a term."""
        return self.compared(lambda left, right: left - right)

    @cached_property
    def ratio(self) -> Expr | None:
        """What is missing in the claim as a factor."""
        return self.compared(lambda left, right: left / right)

    def compared(self, how: Callable[[Expr, Expr], Expr]) -> Expr | None:
        failure = self.failure
        if failure is None or isinstance(failure.left, str) or isinstance(failure.right, str):
            return None
        try:
            made = Place(failure.cell).normal(how(failure.left, failure.right))
        except _PROBLEMS:
            return None
        return None if without_closed_form(made) else made

    def times(self, words: str) -> Repair:
        """The claim with its missing factor."""
        right = self.decision.right.formula
        assert self.ratio is not None
        return Repair(words, Formula(mul(self.ratio, right.value), right.demands))

    def plain(self) -> Iterator[Repair]:
        """A sign, a number, the derivative of what is inside."""
        if self.ratio is None or self.failure is None:
            return
        if self.ratio is -ONE:
            yield self.times("the sign is wrong: minus the claim holds")
        elif not parameters(self.ratio) and len(written(self.ratio)) <= MAX_SHOWN:
            yield self.times(f"a constant factor is wrong: {written(self.ratio)} times the claim holds")
        for inside, rate in self.insides(Place(self.failure.cell)):
            if rate.key == self.ratio.key:
                yield self.times(f"the derivative of what is inside, {written(inside)}, is forgotten")
                return

    def others(self) -> Iterator[Repair]:
        """A factor or a term, the shorter one first."""
        right = self.decision.right.formula
        made: list[tuple[int, Repair]] = []
        if self.ratio is not None:
            text = written(self.ratio)
            made.append((len(text) + 4, self.times(f"a factor is missing: {text}")))
        if self.gap is not None:
            text = written(self.gap)
            alone = text.startswith("-") and not isinstance(self.gap, Add)
            words = f"a term is too much: {text[1:]}" if alone else f"a term is missing: {text}"
            made.append((len(text), Repair(words, Formula(right.value + self.gap, right.demands))))
        for size, repair in sorted(made, key=lambda pair: pair[0]):
            if size <= MAX_SHOWN:
                yield repair

    def insides(self, place: Place) -> Iterator[tuple[Expr, Expr]]:
        """What stands inside of functions and powers on the left, with its derivative."""
        name = self.decision.left.by[-1]
        for node in walk(self.decision.left.formula.value):
            if isinstance(node, Call | Power):
                for inside in node.children:
                    rate = _slope(place, inside, name)
                    if rate is not None and rate is not ONE:
                        yield inside, rate


def _slope(place: Place, expr: Expr, name: str) -> Expr | None:
    try:
        return _normal(place, slope(expr, name, parameter(name)))
    except _PROBLEMS:
        return None


def _normal(place: Place, expr: Expr) -> Expr | None:
    try:
        return place.normal(expr)
    except _PROBLEMS:
        return None


def _neighbours(decision: Decision, until: float) -> list[str]:
    """Whether the claim is the derivative of a function near by, or the derivative by another variable."""
    left, right = decision.left, decision.right
    told = _told(decision)
    for other in _near(left.formula):
        if time.perf_counter() > until:
            return []
        side = Side(other, left.by)
        if not _agree(decision, side, told):
            continue
        if decide(side, right, decision.domains, until - time.perf_counter()).verdict == "proved":
            return [f"this is the derivative of {written(other.value)}"]
    for name, domain in decision.domains.items():
        if name in left.by or domain.integer or len(left.by) > 1 or time.perf_counter() > until:
            continue
        side = replace(left, by=(name,))
        if not _agree(decision, side, told):
            continue
        if decide(side, right, decision.domains, until - time.perf_counter()).verdict == "proved":
            return [f"this is the derivative by {name}"]
    return []


Told = list[tuple[Mapping[str, Expr], Any]]


def _told(decision: Decision) -> Told:
    """The claim at the first points where it has a value."""
    made: Told = []
    for point in islice(points(decision.domains), MAX_TRIED):
        value = _value(decision, decision.right, point)
        if value is not None:
            made.append((point, value))
        if len(made) == AGREEING:
            break
    return made


def _value(decision: Decision, side: Side, point: Mapping[str, Expr]) -> Any:
    """The value of a side at a point as a ball, None where there is none."""
    place = Place(Cell({}, decision.integers, point))
    try:
        value = value_on(place, side, assuming=False)
        return (
            None
            if isinstance(value, str)
            else ball(value, {n: ball(v, {}, 64) for n, v in point.items()}, 64)
        )
    except (*_PROBLEMS, UndefinedError):
        return None


def _agree(decision: Decision, side: Side, told: Told) -> bool:
    """Whether a side has the values of the claim."""
    for point, value in told:
        other = _value(decision, side, point)
        if other is None or not other.overlaps(value):
            return False
    return bool(told)


def _near(formula: Formula) -> Iterator[Formula]:
    """The formula with one function taken for its neighbour, everywhere."""
    names = {n.function for n in walk(formula.value) if isinstance(n, Call)}
    for a, b in (*NEIGHBOURS, *((b, a) for a, b in NEIGHBOURS)):
        if a in names:

            def visit(node: Expr, a: str = a, b: str = b) -> Expr:
                same = isinstance(node, Call) and node.function == a
                return call(b, *node.children) if same else node

            made = Formula(rewrite(formula.value, visit))
            for node in walk(made.value):
                if isinstance(node, Call) and node.function in SPECIAL:
                    for subject, relation in SPECIAL[node.function].demands(node.arguments):
                        made = made.needing(subject, relation)
            yield made


def _pieces(decision: Decision) -> list[str]:
    """Where the claim holds, if it does in some regions."""
    kept = [
        r for r in decision.regions if "undefined" not in r and "no derivative" not in r and " = " not in r
    ]
    known = any(not f.wall for f in decision.failures)
    return (
        [f"it holds where {' or where '.join(kept[:2])}"]
        if kept and known and "wherever" not in kept[0]
        else []
    )

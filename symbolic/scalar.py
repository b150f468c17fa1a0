"""Equality of formulas over scalars, with derivatives, decided cell by cell.

*Proved*: on every cell of the domain the difference of the sides is 0 in the tower, and what the right side
needs is there; walls between cells are examined one by one. *Refuted*: at a point of the domain the sides
have values that ball arithmetic separates, or one has none where the other has.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from math import prod

from gradproof.symbolic.cases import Cases, OpenSignError, UndecidedError, replace_parameters, strict_sign
from gradproof.symbolic.cells import Cell, parameters
from gradproof.symbolic.constancy import constantly_zero
from gradproof.symbolic.cutting import UnsolvableError, between, cut, inside, off_grid, solve
from gradproof.symbolic.domain import Domain, Interval
from gradproof.symbolic.expressions import Call, Expr, number, parameter, walk
from gradproof.symbolic.formulas import Formula, written
from gradproof.symbolic.places import Place
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.profiles import Piece, Value, profile, slope
from gradproof.symbolic.special import without_closed_form
from gradproof.symbolic.tangent import NoDerivativeError
from gradproof.symbolic.verdict import Ground, GroundKind, Verdict
from gradproof.symbolic.windows import COUNTER
from gradproof.symbolic.witnesses import (
    angles,
    cell_points,
    defined_by_balls,
    points,
    root_points,
    separated,
    separated_at_root,
)

MAX_CELLS = 300
MAX_WALLS = 24
MAX_SECONDS = 8.0
"""Without another limit."""


PROBLEMS = (OpenSignError, UndecidedError, TooLargeError, ZeroDivisionError, NoDerivativeError)
"""What may keep a value at a point from being found."""


@dataclass(frozen=True)
class Side:
    """A formula and the variables to differentiate it by, the innermost last."""

    formula: Formula
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A cell on which the sides differ, and what they are there."""

    cell: Cell
    left: Value
    right: Value
    wall: bool = False


@dataclass
class Decision:
    """The examination of one claim: the cells seen, and what was found on them."""

    left: Side
    right: Side
    domains: Mapping[str, Domain]
    seconds: float = MAX_SECONDS
    regions: dict[str, None] = field(default_factory=dict[str, None])
    failures: list[Failure] = field(default_factory=list[Failure])
    reasons: dict[str, None] = field(default_factory=dict[str, None])
    compared: bool = False
    found: Verdict | None = None
    tried: bool = False
    cells: int = 0
    until: float = 0
    kind: GroundKind = "normal-form"
    pieces_seen: int = 0
    meaning: Mapping[str, Expr] = field(default_factory=dict[str, Expr])
    """What the variables of the claim are in those of the domains, where that differs."""

    def __post_init__(self) -> None:
        self.variables = {n: parameter(n, domain_text(self.domains[n])) for n in self.domains}
        moved = {*self.left.by, *self.right.by}
        self.line = moved.pop() if len(moved) == 1 else None
        self.shown = [n for n in self.domains if not n.startswith(COUNTER)]
        self.integers = frozenset(n for n, d in self.domains.items() if d.integer)

    def verdict(self) -> Verdict:
        """The verdict."""
        self.until = time.perf_counter() + self.seconds
        fixed = sorted(self.integers & {*self.left.by, *self.right.by})
        if fixed:
            return Verdict("undecided", reason=f"{fixed[0]} takes whole numbers: no derivative by it")
        if prod(len(d.intervals) for d in self.domains.values()) > MAX_CELLS:
            return Verdict("undecided", reason="the domain has too many parts")
        for cell in self.first_cells():
            self.explore(cell, 0)
        if self.found is not None:
            return self.found
        if not self.failures and not self.reasons and not self.compared:
            return Verdict("undecided", reason="the left side has no value anywhere on the domain")
        if not self.failures and not self.reasons:
            return Verdict("proved", ground=Ground(self.kind, regions=tuple(self.regions)))
        found = self.refutation()
        if found is not None:
            return found
        return Verdict("undecided", reason=next(iter(self.reasons), self.difference()))

    def difference(self) -> str:
        """What of a failure without a witness is known."""
        sides = [s for f in self.failures for s in (f.left, f.right) if not isinstance(s, str)]
        unknown = next((found for s in sides if (found := without_closed_form(s))), None)
        if unknown is not None:
            return f"no closed form is known for {unknown}, and no point was found where the sides differ"
        return "the sides differ in normal form, but no point was found where they do"

    def first_cells(self) -> Iterator[Cell]:
        """The domain as cells: one for each choice of intervals."""
        names = list(self.domains)
        for chosen in product(*(self.domains[n].intervals for n in names)):
            shown = {n: f"{n} in {i}" for n, i in zip(names, chosen, strict=True) if str(i) != "real"}
            shown |= {n: f"{n}: {self.domains[n].text}" for n in names if self.domains[n].text}
            shown |= {n: f"{n} in {self.domains[n]} up to multiples of {step}" for n, step in self.steps()}
            label = tuple(text for n, text in shown.items() if n in self.shown)
            yield Cell(dict(zip(names, chosen, strict=True)), self.integers, label=label)

    def steps(self) -> Iterator[tuple[str, str]]:
        """By how much the windows of variables are apart."""
        for name, moved in self.meaning.items():
            one = replace_parameters(moved, {name: number(0), COUNTER + name: number(1)})
            yield name, written(one)

    def explore(self, cell: Cell, depth: int) -> None:
        """Decide the claim on a cell, which is cut where a sign is not known."""
        if self.found is not None:
            return
        cell = cell.settled()
        self.cells += 1
        if self.cells > MAX_CELLS or depth > 40 or time.perf_counter() > self.until:
            self.reasons["too many cases to tell apart"] = None
            return
        try:
            regions, failures = self.on_line(cell, self.line) if self.line else self.on_cell(cell)
        except OpenSignError as problem:
            try:
                smaller = cut(problem, avoid=self.line)
            except (UnsolvableError, UndecidedError, TooLargeError, ZeroDivisionError) as why:
                self.reasons[f"not decided: {why}"] = None
                return
            except OpenSignError as other:
                self.explore_parts(other, depth)
                return
            for part in smaller:
                self.explore(part, depth + 1)
        except (UndecidedError, NoDerivativeError) as problem:
            self.reasons[str(problem)] = None
        except TooLargeError as problem:
            self.reasons[f"the normal form is too large: {problem}"] = None
        except ZeroDivisionError as problem:
            self.reasons[f"a side has no value: {problem}"] = None
        else:
            self.regions.update(dict.fromkeys(regions))
            first = bool(failures) and not self.failures
            self.failures += failures
            if first:
                self.found = self.refutation()

    def explore_parts(self, problem: OpenSignError, depth: int) -> None:
        """Cut by a sign that another cut rests on."""
        for _ in range(8):
            try:
                parts = cut(problem, avoid=self.line)
            except OpenSignError as other:
                problem = other
            except (UnsolvableError, UndecidedError, TooLargeError, ZeroDivisionError) as why:
                self.reasons[f"not decided: {why}"] = None
                return
            else:
                for part in parts:
                    self.explore(part, depth + 1)
                return
        self.reasons["too many cases to tell apart"] = None

    # --- cells without a line

    def on_cell(self, cell: Cell) -> tuple[list[str], list[Failure]]:
        place = Place(cell)
        self.pieces_seen += 1
        left = value_on(place, self.left, assuming=True)
        if isinstance(left, str):
            return [describe(cell, f"the left side is {left}")], []
        right = value_on(place, self.right, assuming=False)
        if isinstance(right, str):
            return [], [Failure(cell, left, right)]
        if not place.vanishes(left - right):
            if not constantly_zero(cell, left - right):
                self.cut_roots(place)
                return [], [Failure(cell, left, right)]
            self.kind = "decision-procedure"
        self.compared = True
        return [describe(cell)], []

    def cut_roots(self, place: Place) -> None:
        """Raise OpenSignError where a sign under a root keeps the sides apart, and no point does."""
        unsigned = place.unsigned()
        if unsigned and not self.tried:
            self.tried = True
            self.found = next(self.at_points(), None)
        if unsigned and self.found is None:
            raise OpenSignError(place, unsigned)

    # --- along a line

    def on_line(self, cell: Cell, name: str) -> tuple[list[str], list[Failure]]:
        """Decide the claim along the variable that is differentiated by, the others in a cell."""
        walls: list[Expr] = []
        signed: list[Expr] = []
        for _ in range(MAX_WALLS):
            pieces = self.pieces(cell, name, walls, signed)
            try:
                return self.compare(pieces)
            except OpenSignError as problem:
                self.add_walls(problem, cell, name, walls, signed)
        raise UndecidedError(f"more than {MAX_WALLS} kinks")

    def add_walls(
        self, problem: OpenSignError, cell: Cell, name: str, walls: list[Expr], signed: list[Expr]
    ) -> None:
        """Find where on the line a sign changes; raises OpenSignError if other variables decide it."""
        free = set(cell.intervals) - {name}
        outer = [e for e in problem.exprs if parameters(e) <= free]
        if outer:
            raise OpenSignError(Place(cell), outer)
        moving = next(iter(sorted(parameters(problem.exprs[0]) - free)))
        expr, place = problem.exprs[0], problem.place
        try:
            zeros = solve(place, expr, moving)
        except UnsolvableError as why:
            raise UndecidedError(f"a kink where {written(expr)} = 0, which is not solved: {why}") from None
        except OpenSignError as other:
            if other.place is place and any(e not in problem.exprs for e in other.exprs):
                return self.add_walls(other, cell, name, walls, signed)
            raise UndecidedError(f"a kink where {written(expr)} = 0, which is not solved") from None
        if moving != name:
            zeros = [replace_parameters(place.cell.frame[name], {moving: zero}) for zero in zeros]
        line = Place(cell)
        before = len(walls), len(signed)
        for zero in inside(line, name, zeros):
            insert(line, walls, zero)
        if moving == name and expr not in signed:
            signed.append(expr)
        if before == (len(walls), len(signed)):
            raise UndecidedError(f"the sign of {written(expr)} is not known")
        return None

    def pieces(self, cell: Cell, name: str, walls: Sequence[Expr], signed: Sequence[Expr]) -> list[Piece]:
        """The open pieces between the walls, the walls, and the closed ends."""
        interval = cell.intervals[name]
        ends: list[Expr | None] = [*walls]
        low = None if interval.low is None else number(interval.low)
        high = None if interval.high is None else number(interval.high)
        if low is not None and interval.low_closed and low not in walls:
            ends.insert(0, low)
        if high is not None and interval.high_closed and high not in walls:
            ends.append(high)
        open_cell = cell.within(name, Interval(interval.low, interval.high))
        made: list[Piece] = []
        for a, b in zip([None, *ends], [*ends, None], strict=True):
            if a is not None and not off_grid(cell, name, a):
                made.append(Piece(Place(cell.framed(name, a, f"{name} = {written(a)}")), a, a))
            if (a is None and b is not None and b is low) or (b is None and a is not None and a is high):
                continue
            label_less = a is None and b is None
            inner = open_cell if label_less else between(open_cell, name, a, b, signed)
            if label_less:
                inner = between(open_cell, name, None, None, signed) if signed else inner
            made.append(Piece(Place(inner), a if a is not None else low, b if b is not None else high))
        return made

    def compare(self, pieces: Sequence[Piece]) -> tuple[list[str], list[Failure]]:
        assert self.line is not None
        variable = self.variables[self.line]
        left = profile(self.left.formula, pieces, variable, len(self.left.by), assuming=True)
        right = profile(self.right.formula, pieces, variable, len(self.right.by), assuming=False)
        regions: list[str] = []
        failures: list[Failure] = []
        self.pieces_seen += len(pieces)
        for piece, a, b in zip(pieces, left, right, strict=True):
            cell = piece.place.cell
            if a == "undefined":
                regions.append(describe(cell, "the left side is undefined"))
            elif isinstance(a, str) and isinstance(b, str):
                regions.append(describe(cell, "no derivative, and the right side has no value"))
            elif isinstance(a, str) or isinstance(b, str) or not piece.place.vanishes(a - b):
                if not (isinstance(a, str) or isinstance(b, str)):
                    self.cut_roots(piece.place)
                failures.append(Failure(cell, a, b, piece.wall))
            else:
                self.compared = True
                regions.append(describe(cell))
        return regions, failures

    # --- refutation

    def refutation(self) -> Verdict | None:
        """A witness: on a wall that failed, among simple points of the domain, or on a cell that failed."""
        only_walls = bool(self.failures) and all(f.wall for f in self.failures)
        steps: list[Iterator[Verdict]] = [self.at_points(), self.at_failures()]
        for step in reversed(steps) if only_walls else steps:
            for found in step:
                return found
        return None

    def at_points(self) -> Iterator[Verdict]:
        turning = any(
            isinstance(node, Call) and node.function in ("sin", "cos")
            for side in (self.left, self.right)
            for part in (side.formula.value, *(d.subject for d in side.formula.demands))
            for node in walk(part)
        )
        for point in chain(points(self.domains), angles(self.domains) if turning else ()):
            found = self.check(point)
            if found is not None:
                yield found

    def at_failures(self) -> Iterator[Verdict]:
        for failure in self.failures:
            for point in cell_points(failure.cell, self.domains):
                found = self.check_failure(point, failure)
                if found is not None:
                    yield found
            for root in root_points(failure.cell, self.domains):
                found = separated_at_root(root, self.left.formula, failure.left, failure.right)
                if found is not None:
                    yield found

    def texts(self, point: Mapping[str, Expr]) -> dict[str, str]:
        """A point in the variables of the claim."""
        shown = {n: self.meaning.get(n, v) for n, v in point.items() if n in self.shown}
        return {n: written(replace_parameters(v, point)) for n, v in shown.items()}

    def check(self, point: Mapping[str, Expr]) -> Verdict | None:
        """Whether the sides surely differ at a point around which the left side is smooth."""
        place = Place(Cell({}, self.integers, point))
        try:
            left = value_on(place, self.left, assuming=False)
            if isinstance(left, str):
                return None
            right = value_on(place, self.right, assuming=False)
        except PROBLEMS:
            return None
        if right == "undefined" and defined_by_balls(self.right.formula, point):
            return None
        return separated(point, left, right, self.texts(point))

    def check_failure(self, point: Mapping[str, Expr], failure: Failure) -> Verdict | None:
        """Whether the sides surely differ at a point of a cell, on which their values have been found."""
        place = Place(Cell({}, self.integers, point))
        try:
            if not Cases(place).defined(self.left.formula, assuming=False):
                return None
            asked = not isinstance(failure.right, str) and not self.right.by
            if asked and not Cases(place).defined(self.right.formula, assuming=False):
                return None
        except PROBLEMS:
            return None
        if failure.right == "undefined" and defined_by_balls(self.right.formula, point):
            return None
        return separated(point, failure.left, failure.right, self.texts(point))


def value_on(place: Place, side: Side, *, assuming: bool) -> Value:
    """What a side is on a cell, all derivatives taken of what is smooth there."""
    cases = Cases(place, smooth=bool(side.by), pinned=bool(side.by))
    value = cases.value(side.formula, assuming=assuming)
    if value is None:
        return "undefined"
    for name in reversed(side.by):
        value = slope(value, name, parameter(name))
    return value


def insert(place: Place, walls: list[Expr], value: Expr) -> None:
    """Put a value in its place among walls, unless it is there."""
    at = 0
    for other in walls:
        sign = strict_sign(place, value - other)
        if sign == 0:
            return
        at += sign > 0
    walls.insert(at, value)


def describe(cell: Cell, remark: str = "") -> str:
    """A cell in words."""
    shown = ", ".join(dict.fromkeys(cell.label)) or "wherever the left side has a value"
    return f"{shown}: {remark}" if remark else shown


def domain_text(domain: Domain) -> str:
    """The domain as it stands in a parameter: one interval, or all reals."""
    return str(domain) if len(domain.intervals) == 1 else "real"

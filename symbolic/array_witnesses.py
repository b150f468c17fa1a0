"""Looking for arrays of numbers at which two formulas differ, small sizes and small integers first."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, product
from typing import Any

from flint import fmpq, fmpq_mat

from gradproof.symbolic.axes import Axis, with_made
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.domain import parse_domain
from gradproof.symbolic.evaluation import Evaluator, Point, UnclearError, UndefinedError
from gradproof.symbolic.expressions import (
    ONE,
    Bracket,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Parameter,
    Size,
    Tensor,
    walk,
)
from gradproof.symbolic.formulas import Formula
from gradproof.symbolic.positions import affine, integral
from gradproof.symbolic.refutation import PRECISIONS, draw, shown_apart
from gradproof.symbolic.verdict import Witness

FEW, MANY = 14, 70
MAX_PLACES = 64
MAX_REACH = 6
Values = dict[tuple[int, ...], Fraction]


@dataclass
class Search:
    """The points that are looked at: the conditions hold there, and no case turns over.

    - `formulas`: what the points have to give values for;
    - `known`: what has to hold; `kinks`: what must not be 0;
    - `equations`: pairs that have to be equal;
    - `until`: when to stop, in seconds of `time.perf_counter`.
    """

    formulas: Sequence[Expr]
    known: Sequence[Demand] = ()
    kinks: Sequence[Demand] = ()
    equations: Sequence[tuple[Expr, Expr]] = ()
    until: float = float("inf")
    reads: Reads = field(init=False)

    def __post_init__(self) -> None:
        asked = (*self.known, *self.kinks)
        inside = [d.subject for d in asked] + [g for d in asked for g in d.guards]
        sides = [*self.formulas, *inside, *(s for pair in self.equations for s in pair)]
        bound = {i.axis for d in asked for i in d.bound}
        self.reads = Reads(sides, axes=[*bound, *(d.axis for d in asked if d.axis is not None)])

    def find(self, left: Formula, right: Formula, few: bool = False) -> Witness | None:
        """A witness whose two sides are separated by ball arithmetic, the simplest first."""
        for point in islice(self.points(), FEW if few else MANY):
            if time.perf_counter() > self.until:
                return None
            if not self.fits(point):
                continue
            for place in places_of(left.value.free | right.value.free | _demanded(right), point):
                found = self.separated(left, right, point, place)
                if found is not None:
                    return found
        return None

    def fits(self, point: Point) -> bool:
        """Whether the conditions without free indices surely hold at the point."""
        closed = [d for d in (*self.known, *self.kinks) if not _free(d)]
        return all(surely(d, point, {}) is True for d in closed)

    def separated(
        self, left: Formula, right: Formula, point: Point, at: Mapping[Index, int]
    ) -> Witness | None:
        """The witness that a point is, if the two sides have values there that surely differ."""
        there = [d for d in (*self.known, *self.kinks) if _free(d)]
        if not all(surely(d, point, at) is True for d in there if _free(d) <= set(at)):
            return None
        for precision in PRECISIONS:
            evaluate = Evaluator(point, {}, precision)
            try:
                a = evaluate(left.value, at)
            except UnclearError:
                continue
            except UndefinedError:
                return None
            missing = any(surely(d, point, at) is False for d in right.demands if _free(d) <= set(at))
            try:
                b = None if missing else evaluate(right.value, at)
            except UnclearError:
                continue
            except UndefinedError:
                b = None
            if b is None:
                return Witness(self.shown(point, at), plain(a), "undefined")
            if not a.overlaps(b):
                texts = [plain(a), plain(b)]
                return Witness(self.shown(point, at), *(texts if texts[0] != texts[1] else shown_apart(a, b)))
        return None

    def shown(self, point: Point, at: Mapping[Index, int]) -> dict[str, str]:
        """The point and the place as texts; sizes of axes that no array shows are named."""
        seen = {a for t in point.tensors for a in t.axes}
        sizes = {a.name: str(n) for a, n in point.sizes.items() if a not in seen and not (a.size or a.parts)}
        return {**point.show(), **sizes, **{i.name: str(n) for i, n in at.items()}}

    # --- points

    def points(self) -> Iterator[Point]:
        """Points to try, always the same ones."""
        chance = random.Random(0)
        yield from self.simple()
        for trial in range(3 * MANY):
            made = self.point(trial, chance)
            if made is not None:
                yield made

    def simple(self) -> Iterator[Point]:
        """Points of size 1 at which one tensor is 0 and the others are 1."""
        plain = {a: a.size or max(a.minimum, 1) for a in self.reads.axes if not a.parts}
        sizes = with_made(plain, self.reads.axes)
        if any(count > 1 for count in sizes.values()) or self.equations:
            return
        parameters = {p.name: next(parse_domain(p.domain).samples()) for p in self.reads.parameters}
        for zero in self.reads.tensors:
            values: dict[Tensor, Values] = {}
            for t in self.reads.tensors:
                given = Fraction(int(t is not zero and t.dtype == "real"))
                fits = t.dtype != "real" or parse_domain(t.domain).contains(given)
                values[t] = {(0,) * len(t.axes): given if fits else next(parse_domain(t.domain).samples())}
            yield Point(sizes, values, parameters)

    def point(self, trial: int, chance: random.Random) -> Point | None:
        """One point; None where the equations cannot be made to hold."""
        most = (1, 2, 2, max(3, self.reads.reach + 2))[min(trial // 5, 3)]
        even = trial % 5 in (1, 3)
        plain = {
            a: a.size or max(a.minimum, most if even else chance.randint(1, most))
            for a in self.reads.axes
            if not a.parts
        }
        sizes = with_made(plain, self.reads.axes)
        values = {t: fill(t, sizes, trial, chance) for t in self.reads.tensors}
        parameters = {p.name: draw(p.domain, trial, chance) for p in self.reads.parameters}
        made = Point(sizes, values, parameters)
        return made if all(_solve(a, b, made) for a, b in self.equations) else None


@dataclass
class Reads:
    """The tensors, axes and parameters that expressions read, in the order of their names.

    `reach`: the largest whole number that positions are moved by or compared with.
    """

    sides: Iterable[Expr]
    tensors: list[Tensor] = field(default_factory=list[Tensor])
    axes: list[Axis] = field(default_factory=list[Axis])
    parameters: list[Parameter] = field(default_factory=list[Parameter])
    reach: int = 0

    def __post_init__(self) -> None:
        tensors: set[Tensor] = set()
        axes: set[Axis] = set(self.axes)
        parameters: set[Parameter] = set()
        pending = list(self.sides)
        seen: set[Expr] = set()
        while pending:
            expr = pending.pop()
            if expr in seen:
                continue
            seen.add(expr)
            axes |= {i.axis for i in expr.bound | expr.free}
            for node in walk(expr):
                if isinstance(node, Parameter):
                    parameters.add(node)
                elif isinstance(node, Size):
                    axes.add(node.axis)
                elif isinstance(node, Bracket) and integral(node.left) and integral(node.right):
                    apart = affine(node.left - node.right) or {}
                    self.reach = max(self.reach, min(abs(apart.get(ONE, 0)), MAX_REACH))
                elif isinstance(node, Entry):
                    made = node.tensor
                    axes |= set(made.axes)
                    if isinstance(made, MatrixFunction):
                        assert made.matrix is not None
                        pending.append(made.matrix)
                    else:
                        tensors.add(made)
                        axes |= {made.over} if made.over is not None else set()
        axes |= {part for a in axes for part, _ in a.parts}
        self.tensors = sorted(tensors, key=lambda t: t.name)
        self.axes = sorted(axes, key=lambda a: a.name)
        self.parameters = sorted(parameters, key=lambda p: p.name)


def fill(tensor: Tensor, sizes: Mapping[Axis, int], trial: int, chance: random.Random) -> Values:
    """Entries for a tensor that are what is declared of it."""
    places = list(product(*(range(sizes[a]) for a in tensor.axes)))
    if tensor.dtype == "boolean":
        return {p: Fraction(chance.randint(0, 1)) for p in places}
    if tensor.dtype == "integer":
        many = sizes[tensor.over] if tensor.over is not None else 3
        return {p: Fraction(chance.randrange(max(many, 1))) for p in places}
    values = {p: draw(tensor.domain, trial, chance) for p in places}
    if not tensor.structure:
        return values
    count = sizes[tensor.axes[-1]]
    for batch in product(*(range(sizes[a]) for a in tensor.axes[:-2])):
        rows = [[values[(*batch, r, c)] for c in range(count)] for r in range(count)]
        for (r, c), value in _structured(tensor.structure, rows).items():
            values[(*batch, r, c)] = value
    return values


def _structured(structure: str, rows: list[list[Fraction]]) -> dict[tuple[int, int], Fraction]:
    every = list(product(range(len(rows)), repeat=2))
    if structure == "symmetric":
        return {(r, c): rows[min(r, c)][max(r, c)] for r, c in every}
    if structure == "positive definite":
        return {
            (r, c): sum((a * b for a, b in zip(rows[r], rows[c], strict=True)), Fraction(int(r == c)))
            for r, c in every
        }
    while True:  # moved along the diagonal until it is invertible
        flat = [fmpq(v.numerator, v.denominator) for row in rows for v in row]
        if fmpq_mat(len(rows), len(rows), flat).det() != 0:
            return {(r, c): rows[r][c] for r, c in every}
        rows = [[v + int(r == c) for c, v in enumerate(row)] for r, row in enumerate(rows)]


def _solve(left: Expr, right: Expr, point: Point) -> bool:
    """Move entries so that an equation holds at all places, where it is linear in one with whole numbers."""
    difference = left - right
    for at in places_of(difference.free, point):
        residue = _whole(difference, point, at)
        if residue is None:
            return False
        if residue and not _moved(difference, point, at, residue):
            return False
    return True


def _moved(difference: Expr, point: Point, at: Mapping[Index, int], residue: int) -> bool:
    for tensor in sorted(difference.tensors & set(point.tensors), key=lambda t: t.name):
        values = point.tensors[tensor]
        assert isinstance(values, dict)
        if tensor.dtype != "real" or tensor.structure:
            continue
        for place in reversed(list(values)):
            before = values[place]
            values[place] = before + 1
            slope = (_whole(difference, point, at) or residue) - residue
            if slope and residue % slope == 0:
                values[place] = before - residue // slope
                if _whole(difference, point, at) == 0:
                    return True
            values[place] = before
    return False


def _whole(expr: Expr, point: Point, at: Mapping[Index, int]) -> int | None:
    try:
        value = Evaluator(point, {}, 128)(expr, at).unique_fmpz()
    except UndefinedError:
        return None
    return None if value is None else int(value)


# --- what holds at a point


def places_of(free: Iterable[Index], point: Point) -> Iterator[dict[Index, int]]:
    """The values of free indices, up to a limit."""
    names = sorted(free, key=lambda i: i.name)
    ranges = [range(i.axis.size if i.axis.size is not None else point.sizes[i.axis]) for i in names]
    for place in islice(product(*ranges), MAX_PLACES):
        yield dict(zip(names, place, strict=True))


def plain(value: Any) -> str:
    """A value as a text of up to 20 digits, without zeros at its end where it is exact."""
    text = value.str(20, radius=False)
    exact = value.is_exact() and "." in text and "e" not in text
    return text.rstrip("0").rstrip(".") if exact else text


def _free(demand: Demand) -> frozenset[Index]:
    return demand.subject.free.union(*(g.free for g in demand.guards)) - set(demand.bound)


def _demanded(formula: Formula) -> frozenset[Index]:
    return frozenset[Index]().union(*(_free(d) for d in formula.demands))


def surely(demand: Demand, point: Point, at: Mapping[Index, int]) -> bool | None:
    """Whether a demand holds at a point, None where that cannot be told."""
    ranges = [range(i.axis.size if i.axis.size is not None else point.sizes[i.axis]) for i in demand.bound]
    answer: bool | None = True
    for place in product(*ranges):
        here = {**at, **dict(zip(demand.bound, place, strict=True))}
        found = _holds(demand, point, here)
        if found is False:
            return False
        answer = answer and found
    return answer


def _holds(demand: Demand, point: Point, at: Mapping[Index, int]) -> bool | None:
    for precision in PRECISIONS:
        evaluate = Evaluator(point, {}, precision)
        try:
            if any(evaluate(guard, at) == 0 for guard in demand.guards):
                return True
            value = evaluate(demand.subject, at)
        except UnclearError:
            continue
        except UndefinedError:
            return False
        found = _compared(value, demand, point)
        if found is not None:
            return found
    return None


def _compared(value: Any, demand: Demand, point: Point) -> bool | None:
    if demand.relation == "on":
        place = value.unique_fmpz()
        assert demand.axis is not None
        count = demand.axis.size if demand.axis.size is not None else point.sizes[demand.axis]
        return None if place is None else 0 <= int(place) < count
    yes = {">": value > 0, ">=": value >= 0, "!=": not value.contains(0)}[demand.relation]
    no = {">": value <= 0, ">=": value < 0, "!=": value == 0}[demand.relation]
    return True if yes else False if no else None

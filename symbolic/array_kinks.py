"""Where a function over arrays has no derivative: kinks of cases, ties of maxima, jumps of floors.

A kink where both sides agree to first order is none. For one that no condition excludes, a point is looked
for at which the one-sided derivatives differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, product
from typing import Any

from gradproof.symbolic.array_witnesses import Search, places_of, plain, surely
from gradproof.symbolic.decision import solved
from gradproof.symbolic.definedness import Demand, covers, met, tidied
from gradproof.symbolic.domain import parse_domain
from gradproof.symbolic.evaluation import Evaluator, Point, UnclearError, UndefinedError
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Bracket,
    Call,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Number,
    Parameter,
    Reduce,
    Tensor,
    Where,
    add,
    bracket,
    call,
    mul,
    parameter,
    refresh,
    rewrite,
    total,
    walk,
    where,
)
from gradproof.symbolic.formulas import Formula
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.positions import integral
from gradproof.symbolic.refutation import PRECISIONS
from gradproof.symbolic.signs import holds
from gradproof.symbolic.tangent import tangent
from gradproof.symbolic.verdict import Witness

Dot = Callable[[Entry], Expr]
MAX_TRIED = 40
JUMPING = ("floor", "frac")
MAX_JUMP = 8
"""A floor is shown to be constant between two whole numbers up to this one."""


@dataclass(frozen=True)
class Kink:
    """A place where cases turn over, a maximum is attained twice or a floor jumps.

    `demand` says that this is not so; `body` is the part between sums that holds `flag`.
    """

    demand: Demand
    body: Expr
    flag: Bracket | Reduce | Call

    def __str__(self) -> str:
        if isinstance(self.flag, Reduce):
            return f"a tie of {self.flag}"
        if isinstance(self.flag, Call):
            return f"a jump of {self.flag}"
        return f"{add(self.flag.left, mul(-1, self.flag.right))} = 0"


def kinks(expr: Expr, moving: frozenset[Tensor]) -> Iterator[Kink]:
    """The kinks of an expression, for what depends on tensors that move."""
    yield from dict.fromkeys(_kinks(refresh(expr, expr.free), (), moving))


def _kinks(body: Expr, bound: tuple[Index, ...], moving: frozenset[Tensor]) -> Iterator[Kink]:
    for node in _outside_sums(body):
        if isinstance(node, Bracket) and node.tensors & moving:
            if integral(node.left) and integral(node.right):
                continue
            difference = add(node.left, mul(-1, node.right))
            yield Kink(Demand(difference, "!=", (), bound), body, node)
        elif isinstance(node, Call) and node.function in JUMPING and node.tensors & moving:
            if not integral(node.arguments[0]):
                yield Kink(Demand(call("frac", node.arguments[0]), "!=", (), bound), body, node)
        elif isinstance(node, Reduce):
            inside = refresh(node, frozenset(bound) | node.free)
            assert isinstance(inside, Reduce)
            if inside.kind == "max" and inside.tensors & moving:
                hits = total(bracket("==", inside.body, inside), *inside.indices)
                yield Kink(Demand(2 - refresh(hits, inside.free), ">", (), bound), body, inside)
            yield from _kinks(inside.body, (*bound, *inside.indices), moving)
        elif isinstance(node, Entry) and isinstance(node.tensor, MatrixFunction):
            assert node.tensor.matrix is not None
            if node.tensor.matrix.tensors & moving:
                yield from _kinks(node.tensor.matrix, (), moving)


def _outside_sums(expr: Expr) -> Iterator[Expr]:
    yield expr
    if not isinstance(expr, Reduce):
        for child in expr.children:
            yield from _outside_sums(child)


def open_kinks(found: Sequence[Kink], known: Sequence[Demand]) -> list[Kink]:
    """The kinks that neither the conditions exclude nor turn out to be smooth."""
    nf = NormalForm()
    facts = [d for d in (tidied(k, nf) for k in known) if d is not None]
    return [k for k in found if not _excluded(k, facts, nf) and not _smooth(k)]


def _excluded(kink: Kink, facts: Sequence[Demand], nf: NormalForm) -> bool:
    subject = kink.demand.subject
    case = next((n for n in walk(subject) if isinstance(n, Where) and n.free <= subject.free), None)
    if case is not None and kink.demand.relation == "!=":
        parts = [rewrite(subject, lambda n, b=b: b if n is case else n) for b in (case.yes, case.no)]
        return all(_excluded(replace(kink, demand=replace(kink.demand, subject=p)), facts, nf) for p in parts)
    if isinstance(kink.flag, Call) and _between(kink.flag.arguments[0], facts, nf):
        return True
    wanted = tidied(replace(kink.demand, bound=()), nf)
    opposite = tidied(replace(kink.demand, subject=mul(-1, subject), bound=()), nf)
    if wanted is None or met(wanted, nf):
        return True
    return any(covers(fact, w, nf) for fact in facts for w in (wanted, opposite) if w is not None)


def _between(argument: Expr, facts: Sequence[Demand], nf: NormalForm) -> bool:
    """Whether an argument is shown to lie between two neighbouring whole numbers."""

    def shown(subject: Expr) -> bool:
        wanted = tidied(Demand(subject, ">"), nf)
        return wanted is not None and (met(wanted, nf) or any(covers(fact, wanted, nf) for fact in facts))

    return any(
        shown(add(argument, -n)) and shown(add(n + 1, mul(-1, argument))) for n in range(-MAX_JUMP, MAX_JUMP)
    )


# --- kinks that are none


class OpenBranchError(Exception):
    """A case that depends on what moves, and on more than the side."""


def _smooth(kink: Kink) -> bool:
    """Whether value and slope of the body are the same on both sides and at the kink."""
    if not isinstance(kink.flag, Bracket):
        return False
    try:
        places = list(_places(add(kink.flag.left, mul(-1, kink.flag.right))))
        return bool(places) and all(_smooth_at(kink.body, *place) for place in places)
    except (OpenBranchError, TooLargeError, ZeroDivisionError):
        return _smooth_in(kink)


def _smooth_in(kink: Kink) -> bool:
    """The same with what is compared with 0 as one variable: it is smooth itself, being no case."""
    assert isinstance(kink.flag, Bracket)
    whole = kink.flag.left
    if kink.flag.right is not ZERO or any(isinstance(n, Bracket | Where) for n in walk(whole)):
        return False
    if any(isinstance(n, Reduce) and n.kind == "max" for n in walk(whole)):
        return False
    alone, nf = parameter("§u"), NormalForm()
    target = nf.tidy(whole)

    def visit(node: Expr) -> Expr:
        same = type(node) is type(whole) and node.free <= whole.free and nf.tidy(node) is target
        return alone if same else node

    body = rewrite(kink.body, visit)
    try:
        return _smooth_at(body, alone, ZERO)
    except (OpenBranchError, TooLargeError, ZeroDivisionError):
        return False


def _places(difference: Expr) -> Iterator[tuple[Entry | Parameter, Expr]]:
    """Where a difference of cases is 0: what moves, and its value there; raises OpenBranchError."""
    case = next((n for n in walk(difference) if isinstance(n, Where) and n.free <= difference.free), None)
    parts = [(difference, ONE)]
    if case is not None:
        chosen = ((case.yes, case.condition), (case.no, add(ONE, mul(-1, case.condition))))
        parts = [(rewrite(difference, lambda n, v=v: v if n is case else n), held) for v, held in chosen]
    for part, held in parts:
        at, value = solved(NormalForm().tidy(part))
        if at is None:
            raise OpenBranchError
        there = NormalForm().tidy(branch(held, at, value, 0))
        if there is ONE:
            yield at, value
        elif there is not ZERO:
            raise OpenBranchError


def _smooth_at(body: Expr, at: Entry | Parameter, value: Expr) -> bool:
    nf = NormalForm()
    slope = tangent(body, lambda _: ZERO, variable=at)
    for expr in (body, slope):
        below, here, above = (nf(branch(expr, at, value, side)) for side in (-1, 0, 1))
        if not below == here == above:
            return False
    return True


def branch(expr: Expr, at: Entry | Parameter, value: Expr, side: int) -> Expr:
    """The expression at the kink, cases chosen as they are at it (0), just below (-1) or just above (1).

    Raises OpenBranchError for a case that is not told by the side alone.
    """
    if expr is at:
        return value
    if isinstance(expr, Bracket):
        if at not in set(walk(expr)):
            return expr
        difference = add(expr.left, mul(-1, expr.right))
        slope = tangent(difference, lambda _: ZERO, variable=at)
        base, rate = (NormalForm().tidy(branch(part, at, value, side)) for part in (difference, slope))
        sign = _sign(base.value) if isinstance(base, Number) else 0
        if not sign and isinstance(base, Number) and isinstance(rate, Number) and (rate.value or not side):
            sign = side * _sign(rate.value)
        elif not sign:
            raise OpenBranchError
        return ONE if holds(expr.relation, sign) else ZERO
    if isinstance(expr, Where):
        condition = branch(expr.condition, at, value, side)
        chosen = expr.yes if condition is ONE else expr.no if condition is ZERO else None
        if chosen is not None:
            return branch(chosen, at, value, side)
        return where(condition, *(branch(part, at, value, side) for part in (expr.yes, expr.no)))
    if isinstance(expr, Reduce):
        return expr
    return expr.rebuild(tuple(branch(child, at, value, side) for child in expr.children))


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)


# --- points without derivative


@dataclass
class OneSided(Evaluator):
    """Values just beside a point: cases that turn over there are as on one side along a direction."""

    dot: Dot = lambda read: ZERO
    side: int = 1

    def value(self, expr: Expr, at: Mapping[Index, int]) -> Any:
        if not (isinstance(expr, Call) and expr.function in JUMPING):
            return super().value(expr, at)
        argument = self.value(expr.arguments[0], at)
        slope = tangent(expr.arguments[0], self.dot)
        whole = argument == argument.floor()
        if slope is ZERO or not whole:
            return super().value(expr, at)
        moved = self.side * self.speed(slope, at)
        if not (moved > 0 or moved < 0):
            raise UnclearError(f"{expr} stays at its jump to first order")
        below = 1 if moved < 0 else 0
        return argument - below if expr.function == "floor" else 0 * argument + below

    def speed(self, slope: Expr, at: Mapping[Index, int]) -> Any:
        if not slope.free <= set(at):
            raise UnclearError("inside a matrix the direction is not known")
        return self.value(slope, at)

    def holds(self, expr: Bracket, at: Mapping[Index, int]) -> bool:
        if integral(expr.left) and integral(expr.right):
            return super().holds(expr, at)
        tie = self.tie(expr, at)
        if tie is not None:
            return tie
        difference = self.value(expr.left, at) - self.value(expr.right, at)
        if difference > 0 or difference < 0:
            return holds(expr.relation, 1 if difference > 0 else -1)
        if not difference == 0:
            raise UnclearError(f"{expr} cannot be told at this precision")
        slope = tangent(add(expr.left, mul(-1, expr.right)), self.dot)
        if slope is ZERO:
            return holds(expr.relation, 0)
        moved = self.speed(slope, at)
        if not (moved > 0 or moved < 0):
            raise UnclearError(f"{expr} stays 0 to first order")
        return holds(expr.relation, self.side if moved > 0 else -self.side)

    def tie(self, expr: Bracket, at: Mapping[Index, int]) -> bool | None:
        """Whether an entry is the largest just beside the point; None for another bracket."""
        for body, top in ((expr.left, expr.right), (expr.right, expr.left)):
            if expr.relation == "==" and isinstance(top, Reduce) and top.kind == "max":
                mine = self.value(body, at)
                best: Any = None
                for place in product(*(range(self.size(i.axis)) for i in top.indices)):
                    here = {**at, **dict(zip(top.indices, place, strict=True))}
                    value = self.value(top.body, here)
                    if value > mine:
                        return False
                    if value == mine:
                        slope = self.side * self.value(tangent(top.body, self.dot), here)
                        best = slope if best is None or slope > best else best
                    elif not value < mine:
                        raise UnclearError(f"{expr} cannot be told at this precision")
                own = self.side * self.value(tangent(body, self.dot), at)
                if not (own == best or own < best):
                    raise UnclearError(f"{expr} cannot be told at this precision")
                return bool(own == best)
        return None


def no_derivative(
    slope: Expr, claim: Formula, found: Sequence[Kink], search: Search, dot: Dot
) -> tuple[Witness, Kink] | None:
    """A point at which the claim has a value and the one-sided values of a derivative differ."""
    for kink in found:
        if isinstance(kink.flag, Call):
            continue  # slopes agree on both sides of a jump
        for point in islice(_points_at(kink, search), MAX_TRIED):
            if _at_an_end(point):
                continue
            if not all(surely(d, point, {}) is True for d in search.known if not _outside(d)):
                continue
            for at in places_of(slope.free | claim.value.free, point):
                witness = _parted(slope, claim, point, at, dot, search)
                if witness is not None:
                    return witness, kink
    return None


def _at_an_end(point: Point) -> bool:
    """Whether an entry lies at an end of its domain, where the derivative is that of one side."""
    for tensor, values in point.tensors.items():
        if tensor.dtype == "real":
            intervals = parse_domain(tensor.domain).intervals
            ends = {e for i in intervals for e in (i.low, i.high)}
            if not ends.isdisjoint(values.values()):
                return True
    return False


def _outside(demand: Demand) -> frozenset[Index]:
    return demand.subject.free.union(*(g.free for g in demand.guards)) - set(demand.bound)


def _parted(
    slope: Expr, claim: Formula, point: Point, at: Mapping[Index, int], dot: Dot, search: Search
) -> Witness | None:
    known = [d for d in (*search.known, *claim.demands) if _outside(d) <= set(at)]
    # at a closed end the derivative is that of one side
    known += [replace(d, relation=">") for d in search.known if d.relation == ">=" and d in known]
    if not all(surely(d, point, at) is True for d in known):
        return None
    for precision in PRECISIONS:
        try:
            sides = [OneSided(point, {}, precision, {}, dot, side)(slope, at) for side in (1, -1)]
            value = Evaluator(point, {}, precision)(claim.value, at)
        except UnclearError:
            continue
        except UndefinedError:
            return None
        if not sides[0].overlaps(sides[1]):
            return Witness(search.shown(point, at), "no derivative", plain(value))
    return None


def _points_at(kink: Kink, search: Search) -> Iterator[Point]:
    """Points moved onto the kink."""
    if isinstance(kink.flag, Reduce):
        yield from _tied(kink.flag, search)
        return
    assert isinstance(kink.flag, Bracket)
    difference = add(kink.flag.left, mul(-1, kink.flag.right))
    read, value = solved(difference)
    for point in islice(search.points(), MAX_TRIED):
        if not isinstance(read, Entry) or read.tensor not in point.tensors:
            yield point
            continue
        for at in islice(places_of(read.free | value.free, point), 9):
            moved = _put(point, read, value, at)
            if moved is not None:
                yield moved


def _put(point: Point, read: Entry, value: Expr, at: Mapping[Index, int]) -> Point | None:
    evaluate = Evaluator(point, {}, 128)
    try:
        place = tuple(evaluate.position(i, at) for i in read.indices)
        exact = _exactly(evaluate(value, at))
    except UndefinedError:
        return None
    if exact is None or place not in point.tensors[read.tensor]:
        return None
    values = {**point.tensors[read.tensor], place: exact}
    return Point(point.sizes, {**point.tensors, read.tensor: values}, point.parameters)


def _exactly(value: Any) -> Fraction | None:
    """The rational of small denominator in a ball, for what is known to be one."""
    for below in (1, 2, 3, 4, 5, 6, 8, 10, 100, 1000):
        found = (value * below).unique_fmpz()
        if found is not None:
            return Fraction(int(found), below)
    return None


def _tied(flag: Reduce, search: Search) -> Iterator[Point]:
    """Points at which all entries of what moves are the same."""
    for count, point in enumerate(islice(search.points(), MAX_TRIED)):
        same = Fraction(count % 3)
        values = {
            t: dict.fromkeys(v, same) if t in flag.tensors and t.dtype == "real" else v
            for t, v in point.tensors.items()
        }
        yield Point(point.sizes, values, point.parameters)

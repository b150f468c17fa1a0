"""Looking for a point at which two sides differ: small sizes and small integers first, confirmed by balls."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import islice, product
from typing import Any

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.domain import Domain, DomainError, parse_domain
from gradproof.symbolic.evaluation import Evaluator, Point, UnclearError, UndefinedError
from gradproof.symbolic.expressions import Entry, Expr, Index, MatrixFunction, Parameter, Size, Tensor, walk
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.verdict import Witness

TRIALS = 60
PRECISIONS = (64, 192, 768)


def find_witness(
    left: Expr, right: Expr, definitions: Mapping[Tensor, Definition], trials: int = TRIALS
) -> Witness | None:
    """A witness of concrete numbers whose two sides are separated by ball arithmetic, the simplest first."""
    for point in islice(points((left, right), definitions), trials):
        free = sorted(left.free | right.free, key=lambda i: i.name)
        ranges = [range(i.axis.size if i.axis.size is not None else point.sizes[i.axis]) for i in free]
        for place in product(*ranges):
            found = separated(left, right, point, definitions, dict(zip(free, place, strict=True)))
            if found is not None:
                return found
    return None


def separated(
    left: Expr,
    right: Expr,
    point: Point,
    definitions: Mapping[Tensor, Definition],
    at: Mapping[Index, int],
) -> Witness | None:
    """The witness that a point is, if the two sides have values there that surely differ."""
    for precision in PRECISIONS:
        evaluate = Evaluator(point, definitions, precision)
        try:
            a = evaluate(left, at)
        except UnclearError:
            continue
        except UndefinedError:
            return None
        try:
            b = evaluate(right, at)
        except UnclearError:
            continue
        except UndefinedError:
            shown = {**point.show(), **{i.name: str(n) for i, n in at.items()}}
            return Witness(shown, a.str(20, radius=False), "undefined")
        if not a.overlaps(b):
            shown = {**point.show(), **{i.name: str(n) for i, n in at.items()}}
            return Witness(shown, *shown_apart(a, b))
    return None


def shown_apart(a: Any, b: Any) -> tuple[str, str]:
    """Two different numbers with as many digits as it takes to see it."""
    texts = [(a.str(digits, radius=False), b.str(digits, radius=False)) for digits in (20, 60, 240)]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[-1])


def points(sides: Iterable[Expr], definitions: Mapping[Tensor, Definition]) -> Iterator[Point]:
    """Points to try: sizes from 1 upwards, entries from small integers to fractions, always the same ones."""
    read = _reads(sides, definitions)
    tensors = sorted((t for t in read.tensors if t not in definitions), key=lambda t: t.name)
    axes = sorted(read.axes, key=lambda a: a.name)
    chance = random.Random(0)
    for trial in range(TRIALS):
        largest = 1 + min(2, trial // 6)
        sizes = {a: a.size or max(a.minimum, chance.randint(1, largest)) for a in axes}
        values = {t: _fill(t, sizes, trial, chance) for t in tensors}
        parameters = {p.name: draw(p.domain, trial, chance) for p in read.parameters}
        yield Point(sizes, values, parameters)


class _reads:  # noqa: N801
    """The tensors, axes and parameters that an expression reads, definitions opened."""

    def __init__(self, sides: Iterable[Expr], definitions: Mapping[Tensor, Definition]) -> None:
        self.tensors: set[Tensor] = set()
        self.axes: set[Axis] = set()
        self.parameters: set[Parameter] = set()
        self.definitions = definitions
        for side in sides:
            self.visit(side)

    def visit(self, expr: Expr) -> None:
        for node in walk(expr):
            if isinstance(node, Parameter):
                self.parameters.add(node)
            elif isinstance(node, Size | Index):
                self.axes.add(node.axis)
            elif isinstance(node, Entry) and isinstance(node.tensor, MatrixFunction):
                assert node.tensor.matrix is not None
                self.axes |= set(node.tensor.axes)
                self.visit(node.tensor.matrix)
            elif isinstance(node, Entry) and node.tensor not in self.tensors:
                self.tensors.add(node.tensor)
                self.axes |= set(node.tensor.axes)
                if node.tensor.over is not None:
                    self.axes.add(node.tensor.over)
                if node.tensor in self.definitions:
                    self.visit(self.definitions[node.tensor].value)
        self.axes |= {i.axis for i in expr.bound | expr.free}


def _fill(
    tensor: Tensor, sizes: Mapping[Axis, int], trial: int, chance: random.Random
) -> dict[tuple[int, ...], Fraction]:
    places = product(*(range(sizes[a]) for a in tensor.axes))
    if tensor.dtype == "boolean":
        return {p: Fraction(chance.randint(0, 1)) for p in places}
    if tensor.dtype == "integer":
        many = sizes[tensor.over] if tensor.over is not None else 3
        return {p: Fraction(chance.randrange(max(many, 1))) for p in places}
    return {p: draw(tensor.domain, trial, chance) for p in places}


def draw(domain: str, trial: int, chance: random.Random) -> Fraction:
    """A number of a domain: a small integer in the first trials, then a fraction."""
    if trial < TRIALS // 2:
        drawn = Fraction(chance.randint(-2, 3))
    else:
        drawn = Fraction(chance.randint(-12, 12), chance.randint(1, 5))
    where = _domain(domain)
    if where.contains(drawn):
        return drawn
    return chance.choice(list(islice(where.samples(), 7)))


def _domain(text: str) -> Domain:
    try:
        return parse_domain(text)
    except DomainError:
        return Domain()

"""Random index expressions, true and false rewritings of them, and points that tell two sides apart."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.evaluation import Evaluator, Point, UnclearError, UndefinedError
from gradproof.symbolic.expressions import (
    Add,
    Entry,
    Expr,
    Index,
    Mul,
    Parameter,
    Power,
    Reduce,
    Tensor,
    Where,
    add,
    bracket,
    call,
    entry,
    index,
    mul,
    number,
    parameter,
    power,
    put,
    reduce,
    size,
    substitute,
    total,
    walk,
    where,
)
from gradproof.symbolic.operation import Definition

ROWS, COLUMNS, PAIR = Axis("n"), Axis("m", minimum=1), Axis("g", size=2)
AXES = (ROWS, COLUMNS, PAIR)
NAMES = ("i", "j", "k", "i1")
VECTORS = {
    axis: (
        Tensor(f"x{axis.name}", (axis,)),
        Tensor(f"p{axis.name}", (axis,), "real", "(0, inf)"),
        Tensor(f"b{axis.name}", (axis,), "boolean"),
    )
    for axis in AXES
}
MATRIX = Tensor("q", (COLUMNS, COLUMNS))
PLACE = Tensor("s", (), "integer", "index", COLUMNS)
PARAMETERS = (parameter("t"), parameter("z"), parameter("pos", "(0, inf)"), parameter("nn", "[0, inf)"))
VALUES = {"real": (-2, 2), "(0, inf)": (1, 3), "[0, inf)": (0, 2)}
DEFINED_VECTOR, DEFINED = Tensor("dv", (COLUMNS,)), Tensor("ds", ())
RELATIONS = ("==", "!=", "<=", "<", ">", ">=")
FUNCTIONS = ("sigmoid", "tanh", "softplus", "sin", "cos", "erf", "exp", "exp", "log", "log")
Scope = Sequence[Index]


class Expressions:
    """A source of expressions whose free indices lie in a scope; names of indices are shadowed."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.pool: list[Expr] = []
        self.definitions: dict[Tensor, Definition] = {}

    def define(self) -> None:
        """Give two tensors a definition."""
        i = index(self.chance.choice(NAMES), COLUMNS)
        made = {
            DEFINED: Definition(DEFINED, (), self.made(2, ())),
            DEFINED_VECTOR: Definition(DEFINED_VECTOR, (i,), self.made(2, (i,))),
        }
        self.definitions, self.pool = made, []

    def leaf(self, scope: Scope) -> Expr:
        """A number, parameter, size, index or entry."""
        chance, kind = self.chance, self.chance.randrange(11)
        here = chance.choice(scope) if scope else None
        columns = [i for i in scope if i.axis == COLUMNS]
        if kind < 2:
            return number(chance.choice((1, 2, -1, Fraction(1, 2))))
        if kind == 2:
            return size(chance.choice(AXES))
        if kind == 3 and self.definitions:
            return entry(DEFINED_VECTOR, chance.choice(columns)) if columns else entry(DEFINED)
        if kind == 4:
            return entry(VECTORS[COLUMNS][0], entry(PLACE))
        if kind < 7 or here is None:
            return chance.choice(PARAMETERS)
        if kind == 7:
            return entry(MATRIX, here, chance.choice(columns)) if here in columns else here
        return entry(chance.choice(VECTORS[here.axis][:2]), here)

    def condition(self, depth: int, scope: Scope) -> Expr:
        """A 0/1-valued expression."""
        chance, kind = self.chance, self.chance.randrange(6)
        if kind < 2 and scope:
            i = chance.choice(scope)
            if kind == 1:
                return entry(VECTORS[i.axis][2], i)
            other = chance.choice([j for j in scope if j.axis == i.axis])
            return bracket(chance.choice(RELATIONS), i, other)
        if kind == 2 and depth > 0:
            return 1 - self.condition(depth - 1, scope)
        return bracket(
            chance.choice(RELATIONS), self.leaf(scope), chance.choice((number(0), self.leaf(scope)))
        )

    def made(self, depth: int, scope: Scope) -> Expr:
        """An expression; now and then one that was made before."""
        fitting = [e for e in self.pool if e.free <= set(scope)]
        if depth <= 0:
            return self.leaf(scope)
        if fitting and self.chance.random() < 0.12:
            return self.chance.choice(fitting)
        try:
            found = self._built(depth - 1, scope)
        except ZeroDivisionError:
            found = self.leaf(scope)
        self.pool.append(found)
        return found

    def _built(self, depth: int, scope: Scope) -> Expr:
        chance, kind = self.chance, self.chance.randrange(18)
        if kind < 3:
            return add(self.made(depth, scope), self.made(depth, scope))
        if kind < 6:
            return mul(self.made(depth, scope), self.made(depth, scope))
        if kind < 9:
            over = {index(chance.choice(NAMES), chance.choice(AXES)) for _ in range(chance.choice((1, 1, 2)))}
            inner = [i for i in scope if i.name not in {o.name for o in over}]
            body = self.made(depth, (*inner, *sorted(over, key=lambda i: (i.name, i.axis.name))))
            return reduce("sum" if chance.random() < 0.85 else "max", over, body)
        if kind == 9:
            return mul(self.condition(depth, scope), self.made(depth, scope))
        if kind < 12:
            return where(self.condition(depth, scope), self.made(depth, scope), self.made(depth, scope))
        if kind < 14:
            exponent = chance.choice((-1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2)))
            return power(self.made(depth, scope), exponent)
        if kind < 17 or not scope:
            return call(chance.choice(FUNCTIONS), self.made(depth, scope))
        i = chance.choice(scope)
        b = index("d", i.axis)
        return total(mul(bracket("==", b, i), self.made(depth, (*scope, b))), b)

    # --- changes

    def rewritten(self, expr: Expr, top: Scope) -> Expr:
        """An expression equal to the given one wherever both have a value, in another shape."""
        path, node, scope = self._place(expr, top)
        chance, z = self.chance, self.leaf(scope)
        c = self.condition(1, scope)
        nothing = 1 - call("sigmoid", z) - call("sigmoid", -z)
        options: list[Expr] = [
            node + nothing,
            mul(c, node) + mul(1 - c, node),
            where(c, node, 0) + where(1 - c, node, 0),
            mul(node, z) / call("exp", call("log", z)),
            where(c, node, node + nothing),
        ]
        if isinstance(node, Where):
            options += [node.condition * node.yes + (1 - node.condition) * node.no] * 3
        if isinstance(node, Mul):
            for n, factor in enumerate(node.factors):
                if isinstance(factor, Add):
                    rest = (*node.factors[:n], *node.factors[n + 1 :])
                    options += [add(*(mul(t, *rest) for t in factor.terms))] * 3
        if isinstance(node, Power) and node.exponent.denominator > 1:
            options += [call("exp", node.exponent * call("log", node.base))] * 3
        if isinstance(node, Reduce) and node.kind == "sum" and isinstance(node.body, Mul):
            over = set(node.indices)
            out = [f for f in node.body.factors if not f.free & over]
            inside = [f for f in node.body.factors if f.free & over]
            options += [mul(*out, total(mul(*inside), *node.indices))] * 3
        return put(expr, path, chance.choice(options))

    def changed(self, expr: Expr, top: Scope) -> Expr:
        """An expression with one part changed, most often to something else."""
        path, node, scope = self._place(expr, top)
        z = self.leaf(scope)
        options: list[Expr] = [-node, node * 2, z, node + z, node * z]
        if isinstance(node, Add):
            options.append(add(*node.terms[1:]))
        if isinstance(node, Power):
            options.append(power(node.base, -node.exponent))
        for i in sorted(node.free, key=lambda i: i.key)[:1]:
            others: list[Index] = [j for j in scope if j.axis == i.axis and j is not i]
            options += [substitute(node, {i: j}) for j in others]
        return put(expr, path, self.chance.choice(options))

    def _place(self, expr: Expr, top: Scope) -> tuple[tuple[int, ...], Expr, list[Index]]:
        """A subexpression, where it is, and the indices that it may read."""
        path, node, scope = self.chance.choice(list(_parts(expr, (), list(top))))
        return path, node, scope


def _parts(
    expr: Expr, path: tuple[int, ...], scope: list[Index]
) -> Iterator[tuple[tuple[int, ...], Expr, list[Index]]]:
    yield path, expr, scope
    if isinstance(expr, Entry):
        return
    inner = scope
    if isinstance(expr, Reduce):
        names = {i.name for i in expr.indices}
        inner = [i for i in scope if i.name not in names] + list(expr.indices)
    for n, child in enumerate(expr.children):
        yield from _parts(child, (*path, n), inner)


# --- the truth


def told_apart(
    left: Expr,
    right: Expr,
    definitions: Mapping[Tensor, Definition],
    chance: random.Random,
    trials: int,
    nonempty: bool,
) -> str | None:
    """A point at which the left side has a value and the right one another or none, empty axes among them."""
    sides = (left, right, *(d.value for d in definitions.values()))
    nodes = [node for side in sides for node in walk(side)]
    tensors = sorted({t for side in sides for t in side.tensors} - set(definitions), key=lambda t: t.name)
    for _ in range(trials):
        sizes = {a: a.size or chance.randint(max(a.minimum, int(nonempty)), 3) for a in AXES}
        values = {t: _entries(t, sizes, chance) for t in tensors}
        parameters = {p.name: _drawn(p.domain, chance) for p in nodes if isinstance(p, Parameter)}
        point = Point(sizes, values, parameters)
        free = sorted(left.free | right.free, key=lambda i: i.key)
        for place in product(*(range(sizes[i.axis]) for i in free)):
            here = dict(zip(free, place, strict=True))
            try:
                a = Evaluator(point, definitions, 200)(left, here)
            except UndefinedError:
                continue
            try:
                b = Evaluator(point, definitions, 200)(right, here)
            except UnclearError:
                continue
            except UndefinedError as problem:
                return f"{point.show()} {here}: {a} and {problem}"
            if not a.overlaps(b):
                return f"{point.show()} {here}: {a} and {b}"
    return None


def _entries(
    tensor: Tensor, sizes: Mapping[Axis, int], chance: random.Random
) -> dict[tuple[int, ...], Fraction]:
    places = product(*(range(sizes[a]) for a in tensor.axes))
    if tensor.over is not None:
        return {p: Fraction(chance.randrange(sizes[tensor.over])) for p in places}
    domain = "boolean" if tensor.dtype == "boolean" else tensor.domain
    return {p: _drawn(domain, chance) for p in places}


def _drawn(domain: str, chance: random.Random) -> Fraction:
    if domain == "boolean":
        return Fraction(chance.randint(0, 1))
    low, high = VALUES[domain]
    return Fraction(chance.randint(low, high)) + (chance.choice((0, 0, Fraction(1, 3))) if low else 0)


def subject(chance: random.Random) -> tuple[Expr, Expr, dict[Tensor, Definition]]:
    """Two sides, equal, nearly equal or not, and the definitions that they read."""
    source = Expressions(chance)
    if chance.random() < 0.3:
        source.define()
    top = [index(name, chance.choice(AXES)) for name in chance.sample(NAMES, chance.randrange(3))]
    left = right = source.made(chance.choice((2, 3, 3)), top)
    for _ in range(chance.choice((1, 1, 2))):
        right = source.rewritten(right, top)
    if chance.random() < 0.4:
        right = source.changed(right, top)
    return (right, left, source.definitions) if chance.random() < 0.3 else (left, right, source.definitions)

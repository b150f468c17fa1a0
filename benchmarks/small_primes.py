"""`python -m benchmarks.small_primes`: how often false identities hold at residues of small primes.

The bound of a *proved* by exact execution rests on a model where there is no theorem: that a false identity
holds at random residues with a chance near 1/p, also where exponentials depend on one another or are nested.
Primes of 144 bits show no failure at all; primes of 12 to 20 bits show how many there are.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from random import Random

import numpy as np

from gradproof.numeric.exact.duals import Dual
from gradproof.numeric.exact.functions import exp, log, power, sigmoid, sin_cos, sqrt, tanh
from gradproof.numeric.exact.reals import Floats, RoundedAwayError
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.towers import draw_tower
from gradproof.numeric.exact.values import Numbers, UndecidableError, Value

Side = Callable[[Value, Value, Value], Value]
SHARES = {12: 1, 16: 8, 20: 32}
"""The sizes of the first prime, in bits, and how many times as many points each is given."""
TOWERS = 8
"""Over how many towers the points of one identity are spread."""
RANDOM = 66
"""How many identities are made at random."""


@dataclass(frozen=True)
class Identity:
    """Two functions of three variables that are not the same; with `gradient`, the right one claims to be
    the derivative of the left one by the first variable.
    """

    family: str
    left: Side
    right: Side
    gradient: bool = False


def square(x: Value) -> Value:
    """`x^2`, as a product."""
    return x * x


def attend(x: Value, y: Value, z: Value) -> Value:
    """The first weight of an attention over two positions."""
    return exp(x * y) / (exp(x * y) + exp(x * z))


def step(x: Value, y: Value, z: Value) -> Value:
    """Two steps of a recurrence with a gate."""
    first = sigmoid(x) * tanh(y)
    return sigmoid(x + z * first) * tanh(y + z * first)


def times(number: Fraction | float, x: Value) -> Value:
    """`x` times a number, as exactly as it stands there."""
    return x * x.numbers.scalar(Fraction(number)).expand(x.shape)


def tenth(x: Value) -> Value:
    """`x` times the float 0.1, whose denominator is 2^55."""
    return times(0.1, x)


def slope(t: Value) -> Value:
    """`1 - t^2`, the slope of a hyperbolic tangent with the value t."""
    return times(0, t) + t.numbers.scalar(1).expand(t.shape) - square(t)


CHOSEN = (
    ("rational", lambda x, y, z: square(x + y), lambda x, y, z: square(x) + square(y)),
    ("rational", lambda x, y, z: (x + y) / (x + z), lambda x, y, z: y / z),
    ("rational", lambda x, y, z: square(x + y) - square(x - y),
     lambda x, y, z: times(Fraction(4000001, 1000000), x * y)),
    ("independent", lambda x, y, z: exp(x + y), lambda x, y, z: exp(x) + exp(y)),
    ("independent", lambda x, y, z: tanh(x + y), lambda x, y, z: tanh(x) + tanh(y)),
    ("independent", lambda x, y, z: sigmoid(x),
     lambda x, y, z: sigmoid(times(Fraction(1000001, 1000000), x))),
    ("dependent", lambda x, y, z: square(exp(x)), lambda x, y, z: exp(square(x))),
    ("dependent", lambda x, y, z: exp(x) * exp(square(x)), lambda x, y, z: exp(square(x) * x)),
    ("dependent", lambda x, y, z: exp(x * y) * exp(y * z), lambda x, y, z: exp(x * y * z)),
    ("dependent", lambda x, y, z: exp(x) + exp(square(x)), lambda x, y, z: exp(y) + exp(square(y))),
    ("dependent", lambda x, y, z: x * exp(x), lambda x, y, z: exp(square(x)) * y),
    ("attention", attend, lambda x, y, z: sigmoid(times(Fraction(1001, 1000), x * (y - z)))),
    ("attention", attend, lambda x, y, z: attend(x, z, y)),
    ("attention", lambda x, y, z: attend(x, y, z) * y + attend(x, z, y) * z,
     lambda x, y, z: attend(x, y, z) * (y + z)),
    ("nested", lambda x, y, z: exp(exp(x)), lambda x, y, z: square(exp(x))),
    ("nested", lambda x, y, z: exp(exp(x + y)), lambda x, y, z: exp(exp(x) + exp(y))),
    ("nested", lambda x, y, z: tanh(tanh(tanh(x))), lambda x, y, z: tanh(tanh(x))),
    ("nested", lambda x, y, z: exp(x * exp(y * exp(z))), lambda x, y, z: exp(x * exp(y * exp(z * x)))),
    ("nested", lambda x, y, z: exp(exp(exp(exp(x)))), lambda x, y, z: exp(exp(exp(exp(x * x))))),
    ("recurrent", step, lambda x, y, z: step(x, y, times(Fraction(1001, 1000), z))),
    ("recurrent", step, lambda x, y, z: step(y, x, z)),
    ("constants", lambda x, y, z: exp(tenth(x)), lambda x, y, z: exp(times(Fraction(1, 10), x))),
    ("constants", lambda x, y, z: exp(tenth(square(x))) * exp(y),
     lambda x, y, z: exp(times(Fraction(1, 10), square(x)) + y)),
    ("atoms", lambda x, y, z: log(x + y), lambda x, y, z: log(x) + log(y)),
    ("atoms", lambda x, y, z: exp(times(2, log(x)) + y), lambda x, y, z: square(x) + exp(y)),
    ("atoms", lambda x, y, z: sqrt(square(x) + square(y)), lambda x, y, z: x + y),
    ("circular", lambda x, y, z: sin_cos(x + y)[0], lambda x, y, z: sin_cos(x)[0] + sin_cos(y)[0]),
    ("circular", lambda x, y, z: sin_cos(x)[0] * exp(x), lambda x, y, z: sin_cos(square(x))[0] * exp(x)),
)  # fmt: skip
GRADIENTS = (
    (lambda x, y, z: exp(square(x)) * y, lambda x, y, z: exp(square(x)) * x * y),
    (lambda x, y, z: tanh(x * tanh(y * x)), lambda x, y, z: slope(tanh(x * tanh(y * x))) * tanh(y * x)),
    (lambda x, y, z: exp(x * exp(x * y)), lambda x, y, z: exp(x * exp(x * y)) * exp(x * y)),
    (attend, lambda x, y, z: attend(x, y, z) * attend(x, z, y) * (y + z)),
    (lambda x, y, z: sigmoid(x) * sigmoid(square(x)), lambda x, y, z: sigmoid(x) * sigmoid(square(x))),
    (lambda x, y, z: power(square(x) + y, Fraction(3)),
     lambda x, y, z: times(3, power(square(x) + y, Fraction(2)) * x)),
)  # fmt: skip


def identities(count: int = RANDOM, seed: int = 1) -> list[Identity]:
    """The false identities: chosen ones, false gradients, and random expressions with one part changed."""
    made = [Identity(*parts) for parts in CHOSEN]
    made += [Identity("gradients", left, right, gradient=True) for left, right in GRADIENTS]
    random = Random(seed)
    while len(made) < len(CHOSEN) + len(GRADIENTS) + count:
        tree = grow(random, 4)
        other = change(tree, random)
        if other is not None and is_false(side(tree), side(other), random):
            made.append(Identity("random", side(tree), side(other)))
    return made


# Random expressions, as nested tuples

UNARY: Mapping[str, Callable[[Value], Value]] = {
    "exp": exp,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "square": square,
}
BINARY: Mapping[str, Callable[[Value, Value], Value]] = {
    "add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b,
}  # fmt: skip


def grow(random: Random, height: int) -> tuple[object, ...]:
    """A random expression."""
    if height == 0 or random.random() < 0.1:
        return (
            ("variable", random.randrange(3)) if random.random() < 0.8 else ("constant", random.randint(1, 9))
        )
    if random.random() < 0.45:
        return (random.choice([*UNARY]), grow(random, height - 1))
    return (random.choice([*BINARY]), grow(random, height - 1), grow(random, height - 1))


def change(tree: tuple[object, ...], random: Random) -> tuple[object, ...] | None:
    """The expression with one part changed; None if nothing was changed on the way down."""
    kind, *parts = tree
    if kind == "constant":
        return (kind, parts[0] + 1)  # pyright: ignore[reportOperatorIssue]
    if kind == "variable":
        return (kind, (parts[0] + 1) % 3)  # pyright: ignore[reportOperatorIssue]
    if random.random() < 0.3:
        kinds = [k for k in (UNARY if kind in UNARY else BINARY) if k != kind]
        return (random.choice(kinds), *parts)
    spot = random.randrange(len(parts))
    changed = change(parts[spot], random)  # pyright: ignore[reportArgumentType]
    return None if changed is None else (kind, *parts[:spot], changed, *parts[spot + 1 :])


def side(tree: tuple[object, ...]) -> Side:
    """The function that an expression is."""

    def evaluate(node: tuple[object, ...], given: tuple[Value, ...]) -> Value:
        kind, *parts = node
        if kind == "variable":
            return given[int(parts[0])]  # pyright: ignore[reportArgumentType]
        if kind == "constant":
            return given[0].numbers.scalar(int(parts[0])).expand(given[0].shape)  # pyright: ignore[reportArgumentType]
        made = [evaluate(part, given) for part in parts]  # pyright: ignore[reportArgumentType]
        return UNARY[kind](*made) if kind in UNARY else BINARY[str(kind)](*made)  # pyright: ignore[reportArgumentType]

    return lambda x, y, z: evaluate(tree, (x, y, z))


def is_false(left: Side, right: Side, random: Random) -> bool:
    """Whether two functions differ at some real point, by more than rounding explains."""
    numbers = Numbers(None, Floats())
    for _ in range(8):
        given = [numbers.scalar(Fraction(random.randint(-64, 64), 64)) for _ in range(3)]
        try:
            a, b = float(left(*given).reals), float(right(*given).reals)
        except (ArithmeticError, RoundedAwayError, UndecidableError):  # an overflow: another point is drawn
            continue
        if np.isfinite([a, b]).all() and abs(a - b) > 1e-6 * max(abs(a), abs(b)):
            return True
    return False


# The experiment


def accepted(identity: Identity, bits: int, points: int, seed: object) -> tuple[int, float]:
    """At how many of the points the identity holds, and at how many it would if the chance were 1/p."""
    hits, expected, levels = 0, 0.0, depth_of(identity) + 1
    for number in range(TOWERS):
        random = Random(f"{seed}/{bits}/{number}")
        tower = draw_tower(levels, random, identity.family == "circular", bits)
        residues = Residues(tower, random.getrandbits(64))
        count = points // TOWERS
        hits += holds(identity, residues, count, random)
        expected += count / residues.tower.primes[0]
    return hits, expected


def depth_of(identity: Identity) -> int:
    """How deep exponentials are nested: a check uses a tower of one level more."""
    numbers = Numbers(None, Floats())
    given = [numbers.scalar(Fraction(n, 4)) for n in (1, 2, 3)]
    for function in (identity.left, identity.right):
        function(*given)
    return numbers.depth


def holds(identity: Identity, residues: Residues, count: int, random: Random) -> int:
    """At how many random points both sides have the same residues at all levels that both have."""
    numbers = Numbers(residues, Floats())
    direction = residues.draw((count,), random)
    given: list[Value] = []
    for k in range(3):
        tangent = direction[None] if identity.gradient and k == 0 else None
        reals = np.full((1, count), 0.5 + k / 8)
        given.append(Value(numbers, (Dual(residues.draw((count,), random), tangent), Dual(reals))))
    with np.errstate(all="ignore"):
        left, right = identity.left(*given).formal, identity.right(*given).formal
    assert left is not None and right is not None
    a, b = left.primal, right.primal
    if identity.gradient:
        assert left.tangent is not None
        a, b = left.tangent[0], residues.reduce(b * direction[-len(b) :], 0)
    levels = min(len(a), len(b))
    return int(np.all(a[len(a) - levels :] == b[len(b) - levels :], axis=0).sum())


@dataclass(frozen=True)
class Row:
    """One family at one size of primes."""

    family: str
    bits: int
    identities: int
    points: int
    hits: int
    expected: float
    worst: float
    """The largest rate of one identity, in units of 1/p."""


def run(points: int, made: list[Identity], seed: int = 0) -> Iterator[Row]:
    """The rows, family by family, and all together."""
    families = dict.fromkeys(identity.family for identity in made)
    for bits, share in SHARES.items():
        counts = {id(i): accepted(i, bits, points * share, f"{seed}/{n}") for n, i in enumerate(made)}
        for family in (*families, "all"):
            own = [counts[id(i)] for i in made if family in (i.family, "all")]
            worst = max(hits / expected for hits, expected in own)
            hits, expected = sum(h for h, _ in own), sum(e for _, e in own)
            yield Row(family, bits, len(own), len(own) * points * share, hits, expected, worst)


def main(arguments: list[str] | None = None) -> int:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_primes", description=__doc__)
    parser.add_argument(
        "--points", type=int, default=2048, help="points for each identity at primes of 12 bits"
    )
    asked = parser.parse_args(arguments)
    started = time.perf_counter()
    print("| false identities | bits of p | how many | points | held | 1/p would be | ratio | worst ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in run(asked.points, identities()):
        counted = f"{row.identities} | {row.points} | {row.hits} | {row.expected:.1f}"
        ratios = f"{row.hits / row.expected:.2f} | {row.worst:.1f}"
        print(f"| {row.family} | {row.bits} | {counted} | {ratios} |", flush=True)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Numbers as residues in a tower of prime fields: exact, and blind to which real number they stand for.

What the tower cannot follow is an atom: residues drawn afresh for each argument, with the relations that are
known (`exp(log S) = S`). A weaker theory of an atom makes fewer programs equal, never more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import shake_128
from random import Random
from typing import Any, NamedTuple

import numpy as np

from gradproof.numeric.exact.duals import Array, Dual, Shape, System, as_objects
from gradproof.numeric.exact.logarithms import NO_LOGS, LogSum
from gradproof.numeric.exact.towers import Tower, draw_below, invert_all, power_modulo

MAX_RELATED = 64
"""Among how many logarithms, and among the exponentials of how many entries, relations are looked for."""


class Root(NamedTuple):
    """A root that was taken: of which residue, and whether there is one."""

    level: int
    residue: int
    exists: bool


@dataclass
class Residues(System):
    """Residues over a tower; `seed` fixes the residues of atoms."""

    tower: Tower
    seed: int
    roots: int = 0
    """How many roots were taken: at other numbers each of them has another sign."""
    unclean_roots: int = 0
    """How many roots were taken of what has none: their squares are not what stood under the root."""
    taken: list[Root] = field(default_factory=list[Root])
    """The roots that were taken, in order."""
    arguments: dict[int, Array] = field(default_factory=dict[int, Array])
    """The rows of S for each log S, by the residue of S modulo the last prime."""
    inverses: dict[int, int] = field(default_factory=dict[int, int])
    """The inverse of each such S modulo the last prime."""
    exponentials: dict[int, tuple[Array, LogSum]] = field(default_factory=dict[int, tuple[Array, LogSum]])
    """The rows of c, and what is known of c as a sum of logarithms, for each e^c, by its last residue."""
    related: dict[int, tuple[LogSum, Array | None]] = field(
        default_factory=dict[int, tuple[LogSum, Array | None]]
    )
    """What each log S was found to be, by the last residue of S: a sum of logarithms, and what is added."""
    exponents: set[int] = field(default_factory=set[int])
    """The exponents met in `x^y`, modulo the last prime."""
    _powers: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])

    @property
    def levels(self) -> int:
        return len(self.tower.primes)

    def moduli(self, levels: int, trailing: int) -> Array:
        """The primes of the last `levels` rows, followed by `trailing` axes of length 1."""
        return self.tower.moduli(levels, trailing)

    def reduce(self, array: Array, axis: int) -> Array:
        return array % self.moduli(array.shape[axis], array.ndim - axis - 1)

    def zeros(self, shape: Shape) -> Dual:
        zeros = np.empty((self.levels, *shape), dtype=object)
        zeros.fill(0)
        return Dual(zeros)

    def constant(self, fractions: Array) -> Dual:
        flat = fractions.reshape(-1)
        rows = np.empty((self.levels, flat.size), dtype=object)
        known: dict[Fraction, list[int]] = {}
        for position, fraction in enumerate(flat):
            column = known.get(fraction)
            if column is None:
                column = known[fraction] = self.residues_of(fraction)
            for level, residue in enumerate(column):
                rows[level, position] = residue
        return Dual(rows.reshape((self.levels, *fractions.shape)))

    def residues_of(self, fraction: Fraction) -> list[int]:
        return [fraction.numerator * pow(fraction.denominator, -1, p) % p for p in self.tower.primes]

    def draw(self, shape: Shape, random: Random, levels: int | None = None) -> Array:
        """Independent, uniform residues, modulo the last `levels` primes (all of them if None)."""
        count = math.prod(shape)
        primes = self.tower.primes[-(levels or self.levels) :]
        rows = np.empty((len(primes), count), dtype=object)
        for row, prime in enumerate(primes):
            rows[row] = draw_below(prime, count, random)
        return rows.reshape((len(primes), *shape))

    def draw_like(self, signs: Array, random: Random) -> Array:
        """Residues that are squares where a sign is positive, and negated squares where it is negative.

        Then products and quotients of them are squares wherever they are positive, and their roots exist. In
        a circular tower -1 is a square itself, and what is negative is drawn from all residues.
        """
        rows = self.draw(signs.shape, random)
        for position in np.ndindex(signs.shape):
            if signs[position] > 0 or not self.tower.circular:
                sign = 1 if signs[position] > 0 else -1
                for level, prime in enumerate(self.tower.primes):
                    spot = (level, *position)
                    rows[spot] = sign * rows[spot] * rows[spot] % prime
        return rows

    def by_rows(self, primal: Array, function: Callable[[int, int], int], levels: int | None = None) -> Array:
        """Apply `function(level, residue)` to each entry, the first row being the last but `levels - 1` of
        the tower.
        """
        flat = primal.reshape((primal.shape[0], math.prod(primal.shape[1:])))
        result = np.empty(flat.shape, dtype=object)
        lowest = self.levels - (primal.shape[0] if levels is None else levels)
        for row in range(flat.shape[0]):
            for column, residue in enumerate(flat[row]):
                result[row, column] = function(lowest + row, residue)
        return result.reshape(primal.shape)

    def reciprocal_of(self, primal: Array) -> Array:
        levels = primal.shape[0]
        flat = primal.reshape((levels, math.prod(primal.shape[1:])))
        result = np.empty(flat.shape, dtype=object)
        for row, prime in enumerate(self.tower.primes[self.levels - levels :]):
            result[row] = invert_all(flat[row].tolist(), prime)
        return result.reshape(primal.shape)

    # exp and log

    def exp(self, a: Dual) -> Dual:
        linear = a.primal if a.logs is None else self.reduce(a.primal - self._atoms_of(a.logs, a.levels), 0)
        if a.logs is not None and not np.any(linear):  # nothing but logarithms: no level is lost
            primal = np.full(linear.shape, 1, dtype=object)
        else:
            primal = self._raise(linear, self.tower.roots)
        if a.logs is not None:
            primal = self._multiply_out(primal, a.logs)
        self._remember_exponents(a, primal)
        return self.chain(a, primal, lambda: primal)

    def _remember_exponents(self, a: Dual, primal: Array) -> None:
        if not primal.shape[0] or math.prod(a.shape) > MAX_RELATED:
            return
        for position in np.ndindex(a.shape):
            known: Any = NO_LOGS if a.logs is None else a.logs[position]
            rows = a.primal[(slice(None), *position)]
            self.exponentials.setdefault(int(primal[(-1, *position)]), (rows, known))

    def turn(self, a: Dual) -> tuple[Array, Array]:
        """Cosine and sine: half the sum and the difference of `e^(iu)` and its inverse."""
        turned = self._raise(a.primal, self.tower.turns)
        inverse = self.reciprocal_of(turned)
        levels = turned.shape[0]
        first = self.levels - levels
        primes = self.tower.primes[first:]
        trailing = turned.ndim - 1
        half = np.array([pow(2, -1, p) for p in primes], dtype=object).reshape((levels,) + (1,) * trailing)
        over_i = np.array(
            [-u % p for u, p in zip(self.tower.units[first:], primes, strict=True)], dtype=object
        )
        over_i = over_i.reshape((levels,) + (1,) * trailing)
        cosine = self.reduce((turned + inverse) * half, 0)
        sine = self.reduce((turned - inverse) * half % self.moduli(levels, trailing) * over_i, 0)
        return cosine, sine

    def _raise(self, exponents: Array, bases: tuple[int, ...]) -> Array:
        """`bases[k + 1]^c` modulo the next prime for each residue `c` of level k: one row fewer."""
        if exponents.shape[0] == 0:
            return exponents

        def raise_base(level: int, exponent: int) -> int:
            key = (bases[level + 1], exponent)
            power = self._powers.get(key)
            if power is None:
                prime = self.tower.primes[level + 1]
                power = self._powers[key] = power_modulo(key[0], exponent, prime)
            return power

        return self.by_rows(
            exponents[:-1], lambda level, exponent: raise_base(level, exponent), exponents.shape[0]
        )

    def log(self, a: Dual) -> Dual:
        """An atom for each argument, with `exp(log S) = S` and `log(S T) = log S + log T`."""
        if a.levels == 0:
            return self.chain(a, a.primal, lambda: a.primal)
        logs, added = np.empty(a.shape, dtype=object), np.zeros(a.primal.shape, dtype=object)
        for position in np.ndindex(a.shape):
            rows = a.primal[(slice(None), *position)]
            logs[position], exponent = self._log_of(rows)
            if exponent is not None:
                added[(slice(None), *position)] = exponent[len(exponent) - a.levels :]
        primal = self.reduce(self._atoms_of(logs, a.levels) + added, 0)
        result = self.chain(a, primal, lambda: self.reciprocal_of(a.for_tangent(a.primal)))
        return replace(result, logs=logs)

    def _log_of(self, rows: Array) -> tuple[LogSum, Array | None]:
        """The logarithm of S as a sum of logarithms, and what is added to it."""
        key, count = int(rows[-1]), len(rows)
        if key == 1:
            return NO_LOGS, None
        found = self.related.get(key)
        if found is not None and found[1] is not None and len(found[1]) >= count:
            return found
        if key not in self.arguments and len(self.inverses) <= MAX_RELATED:
            found = self._relate(key, count)
            if found is not None:
                self.related[key] = found
                return found
        known = self.arguments.get(key)
        if known is None or len(known) < count:
            self.arguments[key] = rows
        if key and key not in self.inverses:
            self.inverses[key] = power_modulo(key, -1, self.tower.primes[-1])
        return LogSum({key: Fraction(1)}), None

    def _relate(self, key: int, count: int) -> tuple[LogSum, Array] | None:
        """S as e^c, as e^c T, or as a product or quotient of S and T whose logarithms were met before.

        Where all of these logarithms have real values, so has log S, and the relation holds.
        """
        prime = self.tower.primes[-1]
        if not key:
            return None
        own = power_modulo(key, -1, prime)
        found = self._exponent_of(key, own, count, NO_LOGS, 1)
        if found is not None:
            return found
        nothing = np.zeros(count, dtype=object)
        for other, inverse in self.inverses.items():
            log, ratio, back, product = LogSum({other: Fraction(1)}), key * inverse, other * own, key * other
            ratio, back, product = ratio % prime, back % prime, product % prime
            found = self._exponent_of(ratio, back, count, log, 1)
            if found is None and product in self.exponentials:  # S T = e^c
                found = self._exponent_of(product, product, count, log * Fraction(-1), 1)
            if found is not None:
                return found
            if ratio in self.inverses:
                return log + LogSum({ratio: Fraction(1)}), nothing
            if back in self.inverses:
                return log + LogSum({back: Fraction(-1)}), nothing
            if product == 1:
                return log * Fraction(-1), nothing
            if product in self.inverses:
                return LogSum({product: Fraction(1)}) + log * Fraction(-1), nothing
            if key * key % prime == other:
                return log * Fraction(1, 2), nothing
        return None

    def _exponent_of(
        self, number: int, inverse: int, count: int, log: LogSum, sign: int
    ) -> tuple[LogSum, Array] | None:
        """`log` plus the exponent of a number, where the number or its inverse is an exponential."""
        for residue, factor in ((number, sign), (inverse, -sign)):
            known = self.exponentials.get(residue)
            if known is not None and len(known[0]) >= count:
                rows, logs = known
                atoms = self._atoms_of(as_objects(np.array(logs, dtype=object)), len(rows))
                linear = (rows - atoms) * factor
                return log + logs * Fraction(factor), self.reduce(linear, 0)
        return None

    def _atoms_of(self, logs: Array, levels: int) -> Array:
        result = np.empty((levels, *logs.shape), dtype=object)
        for position in np.ndindex(logs.shape):
            column = [0] * levels
            for argument, coefficient in _terms(logs[position]):
                atom = self.atom("log", argument, levels)
                factor = self.residues_of(coefficient)[self.levels - levels :]
                column = [c + f * x for c, f, x in zip(column, factor, atom, strict=True)]
            for row in range(levels):
                result[(row, *position)] = column[row]
        return self.reduce(result, 0)

    def atom(self, name: str, argument: object, levels: int) -> list[int]:
        """Residues for the value of a function at an argument: the same whenever they are asked for."""
        size = self.tower.primes[-1].bit_length() // 8 + 16  # so long that remainders are uniform
        digest = shake_128(f"{self.seed}/{name}/{argument}".encode()).digest(size * self.levels)
        numbers = [int.from_bytes(digest[k * size : (k + 1) * size], "little") for k in range(self.levels)]
        return [n % p for n, p in zip(numbers, self.tower.primes, strict=True)][self.levels - levels :]

    def _multiply_out(self, primal: Array, logs: Array) -> Array:
        """Multiply by `S^c` for each `c log S` of the exponent."""
        known = [len(self.arguments[key]) for log in logs.reshape(-1) for key in log.terms]
        levels = min([primal.shape[0], *known])
        result = primal[primal.shape[0] - levels :].copy()
        for position in np.ndindex(logs.shape):
            for argument, coefficient in _terms(logs[position]):
                rows = self.arguments[argument]
                for row in range(levels):
                    level = self.levels - levels + row
                    power = self.power_of(level, int(rows[len(rows) - levels + row]), coefficient)
                    spot = (row, *position)
                    result[spot] = result[spot] * power % self.tower.primes[level]
        return result

    # Powers

    def power_of(self, level: int, residue: int, exponent: Fraction) -> int:
        """A rational power: where the exponent is no integer, of the only root there is if its degree is odd,
        else of the root that is a power of odd order itself.

        What has no such root gets an atom s for it, with `f^(k/n) = s^k` and no relation between s and f.
        """
        prime = self.tower.primes[level]
        if residue == 0:
            return 0
        degree = exponent.denominator
        if degree == 1:
            return power_modulo(residue, exponent.numerator, prime)
        self.roots += 1
        q, projection = self.tower.odd_parts[level]
        order = prime - 1 if degree % 2 else q
        exists = math.gcd(degree, order) == 1 and (
            degree % 2 == 1 or power_modulo(residue, projection, prime) == residue
        )
        self.taken.append(Root(level, residue, exists))
        if exists:
            return power_modulo(residue, exponent.numerator * pow(degree, -1, order) % order, prime)
        self.unclean_roots += 1
        root = Random(f"{self.seed}/root/{degree}/{level}/{residue}").randrange(1, prime)
        return power_modulo(root, exponent.numerator, prime)

    def power(self, a: Dual, exponent: Fraction) -> Dual:
        """`x^c`, with the derivative `c x^(c - 1)`."""
        primal = self.by_rows(a.primal, lambda level, r: self.power_of(level, r, exponent))
        scale, primes = self.residues_of(exponent), self.tower.primes

        def slope() -> Array:
            return self.by_rows(
                a.for_tangent(a.primal), lambda k, r: scale[k] * self.power_of(k, r, exponent - 1) % primes[k]
            )

        return self.chain(a, primal, slope)

    def step_from_known(self, exponent: int) -> int:
        """The small integer by which an exponent, modulo the last prime, differs from one that was met
        before.
        """
        prime = self.tower.primes[-1]
        for step in (0, -1, 1, -2, 2, -3, 3):
            if (exponent - step) % prime in self.exponents:
                return step
        self.exponents.add(exponent)
        return 0

    # Functions of which only some relations are kept

    def atoms(self, name: str, primal: Array, odd: bool) -> Array:
        """A fresh number for each argument; of an odd function, opposite numbers for opposite arguments."""
        levels = primal.shape[0]
        result = np.empty(primal.shape, dtype=object)
        if levels == 0:
            return result
        top = self.tower.primes[-1]
        for position in np.ndindex(primal.shape[1:]):
            key = int(primal[(-1, *position)])
            sign = 1
            if odd and key > top - key:
                key, sign = top - key, -1
            column = [0] * levels if odd and key == 0 else self.atom(name, key, levels)
            for row in range(levels):
                result[(row, *position)] = sign * column[row]
        return self.reduce(result, 0)

    def pair_atoms(self, name: str, a: Array, b: Array) -> Array:
        """A fresh number for each pair of arguments."""
        levels = a.shape[0]
        result = np.empty(a.shape, dtype=object)
        for position in np.ndindex(a.shape[1:] if levels else (0,)):
            spot = (-1, *position)
            result[(slice(None), *position)] = self.atom(name, (int(a[spot]), int(b[spot])), levels)
        return self.reduce(result, 0)


def _terms(entry: Any) -> list[tuple[int, Fraction]]:
    return list(entry.terms.items())

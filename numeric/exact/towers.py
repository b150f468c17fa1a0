"""Towers of primes in which exp is a homomorphism: p2 = m p1 + 1, p3 = m' p2 + 1 and so on, with roots of
unity.

A number at level k is its residues modulo every prime from p_k on. `exp` takes the residue `c` modulo `p_k`
to `w^c` modulo `p_(k+1)`, where `w` has order `p_k`; so `exp(a + b) = exp(a) exp(b)` holds exactly, as deep
as the tower is tall.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd
from random import Random
from typing import Any

import numpy as np
from flint import fmpz
from numpy.typing import NDArray

CERTAIN = 64
"""Up to so many bits primes are quickly told."""
ROOTS = (3, 5, 7)
"""Every residue has exactly one root of these degrees, since no prime is 1 modulo them."""
BITS = 144
"""Bits of the first prime. A comparison of programs of degree d is wrong with a chance near d / 2^BITS."""


@dataclass(frozen=True)
class Tower:
    """Primes `primes[0] < primes[1] < ...`, and `roots[k]` of order `primes[k - 1]` modulo `primes[k]`
    (`roots[0]` is 1).

    With `circular`, each prime is 5 modulo 8, so that -1 has a square root `units[k]`, and `cos u + i sin u`
    is `turns[k]^u`, of the same order as `roots[k]` and independent of it. Otherwise each prime is 7 modulo
    8: then every square has exactly one square root that is a square itself, 2 is a square, and `units`,
    `turns` are empty.
    """

    primes: tuple[int, ...]
    roots: tuple[int, ...]
    circular: bool = False
    units: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()

    def moduli(self, levels: int, trailing: int) -> NDArray[Any]:
        """The last `levels` primes, followed by `trailing` axes of length 1."""
        known = self._moduli.get((levels, trailing))
        if known is None:
            primes = np.array(self.primes[len(self.primes) - levels :], dtype=object)
            known = self._moduli[levels, trailing] = primes.reshape((levels,) + (1,) * trailing)
        return known

    @cached_property
    def _moduli(self) -> dict[tuple[int, int], NDArray[Any]]:
        return {}

    @cached_property
    def odd_parts(self) -> tuple[tuple[int, int], ...]:
        """For each prime p: the odd part q of p - 1, and an exponent that maps onto the subgroup of order
        q, fixing it.
        """
        parts: list[tuple[int, int]] = []
        for p in self.primes:
            twos = (p - 1) & -(p - 1)
            q = (p - 1) // twos
            parts.append((q, twos * pow(twos, -1, q)))
        return tuple(parts)


def draw_below(bound: int, count: int, random: Random) -> list[int]:
    """Independent, uniform integers from 0 to `bound - 1`.

    >>> draw_below(10, 3, Random(0))
    [6, 6, 0]
    """
    bits, get = bound.bit_length(), random.getrandbits
    drawn: list[int] = []
    for _ in range(count):
        number = get(bits)
        while number >= bound:
            number = get(bits)
        drawn.append(number)
    return drawn


def power_modulo(base: int, exponent: int, prime: int) -> int:
    """`base^exponent` modulo a prime; a negative exponent inverts.

    >>> power_modulo(3, -1, 7)
    5
    """
    return int(pow(fmpz(base), fmpz(exponent), fmpz(prime)))


def invert_all(residues: list[int], prime: int) -> list[int]:
    """The inverses modulo a prime, of 0 again 0: one inversion for all of them.

    >>> invert_all([3, 0, 4], 7)
    [5, 0, 2]
    """
    before: list[int] = []
    product = 1
    for residue in residues:
        before.append(product)
        if residue:
            product = product * residue % prime
    inverse = power_modulo(product, -1, prime)
    result = [0] * len(residues)
    for position in range(len(residues) - 1, -1, -1):
        residue = residues[position]
        if residue:
            result[position] = inverse * before[position] % prime
            inverse = inverse * residue % prime
    return result


def draw_tower(levels: int, random: Random, circular: bool = False, bits: int = BITS) -> Tower:
    """Return a tower of `levels` primes drawn by `random`; the first has `bits` bits, each next one some 8
    more.

    >>> tower = draw_tower(3, Random(1), bits=32)
    >>> p, q, r = tower.primes
    >>> (q - 1) % p, (r - 1) % q, pow(tower.roots[2], q, r)
    (0, 0, 1)
    """
    residue = 5 if circular else 7
    primes = [_first_prime(bits, residue, random)]
    roots = [1]
    for _ in range(levels - 1):
        below = primes[-1]
        primes.append(_prime_above(below, 8 * random.randrange(1, 64), residue))
        roots.append(_element_of_order(below, primes[-1], random))
    if not circular:
        return Tower(tuple(primes), tuple(roots))
    units = tuple(_square_root_of_minus_one(p, random) for p in primes)
    turns = tuple(
        pow(root, random.randrange(1, primes[k - 1]), p) if k else 1
        for k, (root, p) in enumerate(zip(roots, primes, strict=True))
    )
    return Tower(tuple(primes), tuple(roots), True, units, turns)


def _first_prime(bits: int, residue: int, random: Random) -> int:
    """A prime of so many bits: tested as it is where that is quick, else found above smaller ones."""
    if bits <= CERTAIN:
        prime = random.getrandbits(bits) | 1 << (bits - 1)
        prime += (residue - prime) % 8
        while any(prime % n == 1 for n in ROOTS) or not fmpz(prime).is_prime():
            prime += 8
        return prime
    below = _first_prime(2 * bits // 3, residue, random)
    least = (1 << bits - 1) // below
    return _prime_above(below, least + random.randrange(least // 2), residue)


def _prime_above(below: int, least: int, residue: int) -> int:
    """The first prime `m below + 1` with m not less than `least`, m less than `below`, that is `residue`
    modulo 8.
    """
    factor = least + ((residue - 1) * pow(below, -1, 8) - least) % 8
    while True:
        prime = factor * below + 1
        if all(prime % n != 1 for n in ROOTS) and fmpz(prime).is_probable_prime() and _proves(below, prime):
            return prime
        factor += 8


def _proves(below: int, number: int) -> bool:
    """Whether `number`, which is 1 modulo a prime above its root, is prime for certain (Pocklington 1914)."""
    assert below * below > number
    for base in (2, 3, 5, 7, 11, 13):
        power = power_modulo(base, (number - 1) // below, number)
        if power_modulo(power, below, number) != 1:
            return False
        if gcd(power - 1, number) == 1:
            return True
    return False


def _element_of_order(order: int, prime: int, random: Random) -> int:
    while True:
        element = power_modulo(random.randrange(2, prime), (prime - 1) // order, prime)
        if element != 1:
            return element


def _square_root_of_minus_one(prime: int, random: Random) -> int:
    while True:
        root = pow(random.randrange(2, prime), (prime - 1) // 4, prime)
        if root * root % prime == prime - 1:
            return root

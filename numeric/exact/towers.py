"""Towers of primes in which exp is a homomorphism: p2 = m p1 + 1, p3 = m' p2 + 1 and so on, with roots of
unity.

A number at level k is its residues modulo every prime from p_k on. `exp` takes the residue `c` modulo
`p_k` to
`w^c` modulo `p_(k+1)`, where `w` has order `p_k`; so `exp(a + b) = exp(a) exp(b)` holds exactly, as deep
as the
tower is tall.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random

from flint import fmpz

ROOTS = (3, 5, 7)
"""Every residue has exactly one root of these degrees, since no prime is 1 modulo them."""
BITS = 144
"""Bits of the first prime. A comparison of programs of degree d is wrong with a chance near d / 2^BITS."""


@dataclass(frozen=True)
class Tower:
    """Primes `primes[0] < primes[1] < ...`, and `roots[k]` of order `primes[k - 1]` modulo `primes[k]`
    (`roots[0]` is 1).

    With `circular`, each prime is 5 modulo 8, so that -1 has a square root `units[k]`, and `cos u + i sin
    u` is
    `turns[k]^u`, of the same order as `roots[k]` and independent of it. Otherwise each prime is 7 modulo
    8: then
    every square has exactly one square root that is a square itself, 2 is a square, and `units`, `turns`
    are empty.
    """

    primes: tuple[int, ...]
    roots: tuple[int, ...]
    circular: bool = False
    units: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()

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


def power_modulo(base: int, exponent: int, prime: int) -> int:
    """`base^exponent` modulo a prime; a negative exponent inverts.

    >>> power_modulo(3, -1, 7)
    5
    """
    return int(pow(fmpz(base), fmpz(exponent), fmpz(prime)))


def draw_tower(levels: int, random: Random, circular: bool = False, bits: int = BITS) -> Tower:
    """Return a tower of `levels` primes drawn by `random`; the first has `bits` bits, each next one some 8
    more.

    >>> tower = draw_tower(3, Random(1), bits=32)
    >>> p, q, r = tower.primes
    >>> (q - 1) % p, (r - 1) % q, pow(tower.roots[2], q, r)
    (0, 0, 1)
    """
    residue = 5 if circular else 7
    primes: list[int] = []
    roots: list[int] = []
    for level in range(levels):
        if level == 0:
            prime = random.getrandbits(bits) | 1 << (bits - 1)
            prime += (residue - prime) % 8
            step = 8
        else:
            below = primes[-1]
            start = (residue - 1) * pow(below, -1, 8) % 8
            prime = (start + 8 * random.randrange(1, 64)) * below + 1
            step = 8 * below
        while any(prime % n == 1 for n in ROOTS) or not fmpz(prime).is_prime():
            prime += step
        primes.append(prime)
        roots.append(_element_of_order(primes[-2], prime, random) if level else 1)
    if not circular:
        return Tower(tuple(primes), tuple(roots))
    units = tuple(_square_root_of_minus_one(p, random) for p in primes)
    turns = tuple(
        pow(root, random.randrange(1, primes[k - 1]), p) if k else 1
        for k, (root, p) in enumerate(zip(roots, primes, strict=True))
    )
    return Tower(tuple(primes), tuple(roots), True, units, turns)


def _element_of_order(order: int, prime: int, random: Random) -> int:
    while True:
        element = pow(random.randrange(2, prime), (prime - 1) // order, prime)
        if element != 1:
            return element


def _square_root_of_minus_one(prime: int, random: Random) -> int:
    while True:
        root = pow(random.randrange(2, prime), (prime - 1) // 4, prime)
        if root * root % prime == prime - 1:
            return root

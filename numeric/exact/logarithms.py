"""What is known of numbers as sums of logarithms: `2 log S - log T`, kept beside residues so that exp can
undo them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class LogSum:
    """A sum of `coefficient * log S` over the arguments S, each known by its residue modulo the last prime.

    >>> LogSum({5: Fraction(1)}) - LogSum({5: Fraction(1), 7: Fraction(2)})
    LogSum(terms={7: Fraction(-2, 1)})
    """

    terms: Mapping[int, Fraction] = field(default_factory=dict[int, Fraction])

    def __add__(self, other: LogSum | int) -> LogSum:
        if isinstance(other, int) or not other.terms:  # 0 where a sum starts
            return self
        if not self.terms:
            return other
        total = dict(self.terms)
        for argument, coefficient in other.terms.items():
            total[argument] = total.get(argument, Fraction(0)) + coefficient
        return LogSum({argument: c for argument, c in total.items() if c})

    __radd__ = __add__

    def __neg__(self) -> LogSum:
        return self * Fraction(-1)

    def __sub__(self, other: LogSum) -> LogSum:
        return self + -other

    def __mul__(self, factor: Fraction | int) -> LogSum:
        return LogSum({argument: c * factor for argument, c in self.terms.items()}) if factor else NO_LOGS

    __rmul__ = __mul__

    def __bool__(self) -> bool:
        return bool(self.terms)


NO_LOGS = LogSum()

"""Cells of a domain.

A cell gives every variable an interval, puts some variables in terms of others (on a wall `x = y`, or beside
it `x = y + u` with `u > 0`), and knows facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from gradproof.symbolic.domain import POSITIVE, Interval
from gradproof.symbolic.expressions import (
    Expr,
    Parameter,
    Relation,
    number,
    walk,
)


@dataclass(frozen=True)
class Fact:
    """`expr relation 0`, with the relations `>`, `>=`, `<`, `==`, `!=`."""

    expr: Expr
    relation: Relation


@dataclass(frozen=True)
class Cell:
    """Where variables lie: free ones in intervals, others in terms of the free ones."""

    intervals: Mapping[str, Interval]
    integers: frozenset[str] = frozenset()
    frame: Mapping[str, Expr] = field(default_factory=dict[str, Expr])
    facts: tuple[Fact, ...] = ()
    label: tuple[str, ...] = ()
    ends: Mapping[str, tuple[Expr | None, Expr | None]] = field(
        default_factory=dict[str, "tuple[Expr | None, Expr | None]"]
    )
    """Between which values a variable lies where the ends of its interval are rounded outwards."""
    steps: Mapping[str, Expr] = field(default_factory=dict[str, Expr])
    """What a variable that was put in stands for, in those of the claim."""

    def stepped(self, name: str, meaning: Expr) -> Cell:
        """The cell with a positive variable more, which stands for an expression."""
        made = self.within(name, POSITIVE)
        return replace(made, steps={**self.steps, name: meaning})

    def framed(self, name: str, value: Expr, label: str = "") -> Cell:
        """The cell with a variable in terms of others."""
        rest = {n: i for n, i in self.intervals.items() if n != name}
        return replace(
            self,
            intervals=rest,
            frame={**self.frame, name: value},
            label=self.label + ((label,) if label else ()),
        )

    def within(self, name: str, interval: Interval, label: str = "") -> Cell:
        """The cell with another interval for a variable."""
        return replace(
            self,
            intervals={**self.intervals, name: interval},
            label=self.label + ((label,) if label else ()),
        )

    def knowing(self, *facts: Fact) -> Cell:
        """The cell with facts added."""
        return replace(self, facts=(*self.facts, *facts))

    def ending(self, name: str, low: Expr | None, high: Expr | None) -> Cell:
        """The cell with closer ends for a variable."""
        before = self.ends.get(name, (None, None))
        closer = (low if low is not None else before[0], high if high is not None else before[1])
        return replace(self, ends={**self.ends, name: closer})

    def labelled(self, label: str) -> Cell:
        """The cell with a text added to its description."""
        return replace(self, label=(*self.label, label))

    def settled(self) -> Cell:
        """The cell with the variables of whole numbers in place that can take one value only."""
        made = self
        for name in sorted(self.integers & set(self.intervals)):
            interval = tightened(self.intervals[name], True)
            if interval.low is not None and interval.low == interval.high and name not in self.steps:
                made = made.framed(name, number(interval.low), f"{name} = {interval.low}")
        return made

    @property
    def empty(self) -> bool:
        """Whether an interval holds no number that counts."""
        return any(tightened(i, name in self.integers).empty for name, i in self.intervals.items())


def tightened(interval: Interval, integer: bool) -> Interval:
    """The interval between the first and the last whole number inside, for a variable of whole numbers."""
    if not integer:
        return interval
    low, high = interval.low, interval.high
    if low is not None:
        low = Fraction(-((-low) // 1)) + (1 if low.denominator == 1 and not interval.low_closed else 0)
    if high is not None:
        high = Fraction(high // 1) - (1 if high.denominator == 1 and not interval.high_closed else 0)
    return Interval(low, high, low is not None, high is not None)


def parameters(expr: Expr) -> set[str]:
    """The names of the parameters inside."""
    return {node.name for node in walk(expr) if isinstance(node, Parameter)}

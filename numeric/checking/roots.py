"""Which residues are drawn again where roots are missing: half of all residues have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from random import Random

from gradproof.numeric.checking.points import Redraw
from gradproof.numeric.exact.residues import Root

CANDIDATES = 100
"""Among how many entries the one is chosen that is drawn again."""

Spot = tuple[int, int, int]
"""An input, by its number among those that are numbers, an entry of it, and a level of the tower."""


@dataclass
class RootSearch:
    """Chooses entries to draw again, and learns which roots each of them changes.

    A row of a normalization has a root of its own, so that its entries change few of them; weights change
    all that come later.
    """

    sizes: Sequence[int]
    """How many entries each input has."""
    levels: int
    random: Random
    changed: dict[Spot, tuple[int, ...]] = field(default_factory=dict[Spot, tuple[int, ...]])
    """The places, in the order in which roots are taken, of those that an entry changes."""

    def choose(self, roots: Sequence[Root], salt: str) -> Redraw | None:
        """The entry, among some, that most likely brings more roots than it costs; None if none does."""
        spots = [self._draw() for _ in range(CANDIDATES)]
        share = missing(roots) / max(1, len(set(roots)))
        usual = self._usual(roots)
        chances = [self._chance(spot, roots, share, usual) for spot in spots]
        best = max(chances)
        return Redraw(*spots[chances.index(best)], salt) if best else None

    def learn(self, redraw: Redraw, before: Sequence[Root], after: Sequence[Root]) -> None:
        """Note which roots an entry has changed."""
        if len(before) == len(after):
            pairs = enumerate(zip(before, after, strict=True))
            spot = (redraw.number, redraw.entry, redraw.level)
            self.changed[spot] = tuple(k for k, (old, new) in pairs if old.residue != new.residue)

    def _draw(self) -> Spot:
        number = self.random.choice([k for k, size in enumerate(self.sizes) if size])
        return number, self.random.randrange(self.sizes[number]), self.random.randrange(self.levels)

    def _usual(self, roots: Sequence[Root]) -> dict[tuple[int, int], int]:
        """How many roots an entry changes, by its input and level: about, of those that were tried."""
        counts: dict[tuple[int, int], list[int]] = {}
        for (number, _, level), places in self.changed.items():
            changed = {roots[k] for k in places if k < len(roots)}
            counts.setdefault((number, level), []).append(len(changed))
        return {key: round(sum(found) / len(found)) for key, found in counts.items()}

    def _chance(
        self, spot: Spot, roots: Sequence[Root], share: float, usual: Mapping[tuple[int, int], int]
    ) -> float:
        """The chance that fewer roots are missing after this entry is drawn again."""
        known = self.changed.get(spot)
        if known is not None:
            changed = {roots[k] for k in known if k < len(roots)}
            return fewer(len(changed), sum(not root.exists for root in changed))
        count = usual.get((spot[0], spot[2]), 1)
        absent = count * share
        return min(1.0, absent) * fewer(count, max(1, round(absent))) if count else 0.0


def fewer(count: int, absent: int) -> float:
    """The chance that of so many roots, each of which exists with chance 1/2, fewer than now are absent."""
    return sum(comb(count, k) for k in range(absent)) / 2**count


def missing(roots: Sequence[Root]) -> int:
    """How many roots there are not."""
    return sum(not root.exists for root in set(roots))

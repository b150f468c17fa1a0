"""What is run at one place, and what is found there: plans, pairs, outcomes and trials."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gradproof.numeric.checking.points import PINNED, Place
from gradproof.numeric.exact.branches import Branches
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.reals import Floats
from gradproof.numeric.exact.residues import Root
from gradproof.numeric.exact.values import Value

Axes = tuple[tuple[str, int], ...]
"""The size of each axis."""
FORWARD = -2
"""Marks pairs of a rule of forward mode."""


Settings = tuple[tuple[int, bool | int | float], ...]
"""Values of hyper-parameters, by the numbers of the inputs."""


@dataclass(frozen=True)
class Plan:
    """Where and how a program is run: places for its inputs, numbers and a layout for the cotangents."""

    name: str
    places: tuple[Place, ...]
    cotangent: str = "signed"
    cotangent_layout: str = ""
    seed: int = 0
    kind: str = "point"
    """What was varied: `point`, `sizes`, `empty`, `layout`, `values`, `data`, `cotangent`, `asked`,
    `graph`, `ranks`, `fewer`, `twice`, `kink`, `kinks`.
    """

    twice: bool = False
    """Whether the backward of the same graph is run twice."""
    axes: Axes = ()
    """The size of each axis."""
    graph: bool = False
    """Whether the backward is run so that it can be derived again."""
    settings: Settings = ()
    """The hyper-parameters that have another value than in the example."""
    drawn_as: str = ""
    """The name of the plan whose cotangents it has; its own where empty."""
    pinned: bool = False
    """Whether the residues of its cotangents are those of their numbers."""

    @property
    def asked(self) -> dict[int, int]:
        """For each gradient that is asked for, by the number of its input among those wanted, its place in
        claims.
        """
        wanted = [place for place in self.places if place.reals is not None and place.wanted]
        numbers = [k for k, place in enumerate(wanted) if place.asked]
        return {k: position for position, k in enumerate(numbers)}

    @property
    def is_level(self) -> bool:
        """Whether all entries of an input are one number that was chosen."""
        pinned = [p.reals for p in self.places if p.reals is not None and p.ties is not None
                  and p.reals.size > 1 and (p.ties == PINNED).all()]  # fmt: skip
        return any((reals == reals.flat[0]).all() for reals in pinned)

    @property
    def sizes(self) -> str:
        return ", ".join(
            "x".join(map(str, place.shape)) or "scalar" for place in self.places if place.reals is not None
        )


@dataclass(frozen=True, order=True)
class Pair:
    """An output and an input; in second order the gradient of the output by `first` plays the output."""

    output: int
    wrt: int
    first: int = -1
    """-1 in first order, -2 for a rule of forward mode."""


@dataclass(frozen=True)
class Outcome:
    """What a trial found for a pair: `equal`, `different`, `unclear` (roots are missing) or `undefined`."""

    kind: str
    connected: bool = True
    """Whether the claim is a gradient at all, and not None."""
    left: int = field(default=0, compare=False)
    right: int = field(default=0, compare=False)
    """`<u, J v>` and the claim's `<J^T u, v>` modulo the last prime."""
    prime: int = field(default=0, compare=False)


EQUAL = Outcome("equal")


@dataclass
class Trial:
    """The outcomes of a trial, with the comparisons and operators that it met."""

    plan: Plan
    outcomes: dict[Pair, Outcome] = field(default_factory=dict[Pair, Outcome])
    branches: Branches = field(default_factory=Branches)
    used: dict[str, str] = field(default_factory=dict[str, str])
    assumes: dict[str, None] = field(default_factory=dict[str, None])
    constants: dict[float, str] = field(default_factory=dict[float, str])
    open: dict[str, None] = field(default_factory=dict[str, None])
    depth: int = 0
    circular: bool = False
    floats: dict[Pair, Array] = field(default_factory=dict[Pair, Array])
    """The claimed gradients of first order in floats, none where balls decide."""
    values: dict[int, Array] = field(default_factory=dict[int, Array])
    """The outputs in floats."""
    apart: bool = False
    """Whether the sums over all inputs differ, where all were moved at once."""
    roots: tuple[Root, ...] = ()
    """The roots that were taken, in order."""
    outside: bool = False
    """Whether the outputs have no value here, so that the place is outside the domain."""

    def note_floats(self, pair: Pair, output: Value, claim: Value | None, value: Value) -> None:
        """Keep the floats of an output and of a claimed gradient, if floats travel along."""
        if isinstance(value.numbers.reals, Floats):
            self.values[pair.output] = output.reals
            self.floats[pair] = np.zeros(value.shape) if claim is None else claim.reals

"""One trial: a program run at one place over residues, each claimed gradient paired with the exact
tangent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from random import Random
from typing import Any

import numpy as np
from flint import ctx

from gradproof.numeric.checking.layouts import COTANGENT_LAYOUTS, INPUT_LAYOUTS
from gradproof.numeric.checking.points import MOVABLE, Draws, Place, Redraw, Redraws, argument
from gradproof.numeric.exact.branches import Branches, Entries, Site
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Array, Dual, Shape
from gradproof.numeric.exact.intervals import Intervals
from gradproof.numeric.exact.programs import (
    Argument,
    BackwardError,
    Evaluated,
    ForwardError,
    Program,
    Settings,
)
from gradproof.numeric.exact.reals import Balls, Floats, RoundedAwayError
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.scalars import FOLLOWED, EscapedError
from gradproof.numeric.exact.specials import finite_entries
from gradproof.numeric.exact.towers import Tower, draw_tower
from gradproof.numeric.exact.values import (
    AmbiguousError,
    CircularError,
    Numbers,
    UndecidableError,
    Value,
    tangent_of,
)

BALL_BITS = 512
"""The precision of balls that decide comparisons where floats overflow."""
FORWARD = -2
"""Marks pairs of a rule of forward mode."""
CHANGING = "run again, the program returns something else"
MAX_DRAWS = 80
"""How often other residues are drawn for a part of the inputs where a root is needed that is not there."""
ROOTS_A_DRAW = 4
"""How many missing roots another residue brings at best, about: where more are missing none is looked for."""
LOOKED_AT = 8
"""How much more a number costs where the operators are run in floats as well."""


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
    axes: tuple[tuple[str, int], ...] = ()
    """The size of each axis."""
    graph: bool = False
    """Whether the backward is run so that it can be derived again."""

    @property
    def asked(self) -> dict[int, int]:
        """For each gradient that is asked for, by the number of its input among those wanted, its place in
        claims.
        """
        wanted = [place for place in self.places if place.reals is not None and place.wanted]
        numbers = [k for k, place in enumerate(wanted) if place.asked]
        return {k: position for position, k in enumerate(numbers)}

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
APART = ("point", "asked", "kink", "kinks")
"""Plans whose inputs move one after the other: at a kink the numbers of each are held against limits."""


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
    unclean: int = 0
    """How many roots were taken of residues that have none."""
    outside: bool = False
    """Whether the outputs have no value here, so that the place is outside the domain."""

    def note_floats(self, pair: Pair, output: Value, claim: Value | None, value: Value) -> None:
        """Keep the floats of an output and of a claimed gradient, if floats travel along."""
        if isinstance(value.numbers.reals, Floats):
            self.values[pair.output] = output.reals
            self.floats[pair] = np.zeros(value.shape) if claim is None else claim.reals


def cotangent_place(plan: Plan, shape: Shape, random: Random) -> Place:
    """Numbers for a cotangent: random of both signs, of one sign, or 0."""
    numbers = np.empty(shape, dtype=object)
    for position in np.ndindex(shape):
        size = Fraction(random.randrange(1, 96), 32)
        sign = {"positive": 1, "negative": -1}.get(plan.cotangent, random.choice((-1, 1)))
        scale = 4096 if plan.cotangent == "large" else 1
        numbers[position] = sign * size * scale
    ties = None
    if plan.cotangent == "sparse":
        ties = np.array([random.randrange(-1, 1) for _ in range(numbers.size)], dtype=int).reshape(shape)
        numbers[ties == 0] = Fraction(0)
    if plan.cotangent[-1].isdigit():  # one number throughout
        numbers.fill(Fraction(plan.cotangent))
        ties = np.zeros(shape, dtype=int)
    return Place(numbers, ties)


@dataclass
class Runner:
    """Runs plans of one program; remembers how deep its exponentials are nested."""

    program: Program
    order: int
    seed: int
    meant: bool = False
    depth: int | None = None
    circular: bool = False
    balls: bool = False
    clean: dict[str, Redraws] = field(default_factory=dict[str, Redraws])
    """For which residues all roots were there, by sizes."""
    spare_runs: int = 400
    """How many runs are left for other residues."""
    spare_searches: int = 12
    """How many plans are left in which a witness is looked for though only missing roots may explain them."""
    followed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The global names of what calls `float` with tensors."""
    _towers: dict[tuple[int, int, bool], tuple[Tower, int]] = field(
        default_factory=dict[tuple[int, int, bool], tuple[Tower, int]]
    )
    spent: int = 0
    """How many numbers all runs have computed."""
    jointly: bool = True
    """Whether all inputs are moved at once: what agrees then agrees for each of them."""
    branches: Branches = field(default_factory=Branches)
    """What the last run met, also one that ended with an error."""

    def beside(self, plan: Plan, attempt: int, side: int) -> Trial:
        """The same draws as `run_once`, with comparisons decided a little beside the point."""
        return self._formal(plan, attempt, side)

    def run(self, plan: Plan) -> Trial:
        """Run a plan until its outcomes are clear, drawing other residues where roots are missing."""
        trial = self.run_once(plan, 0, searching=plan.kind not in APART)
        special = plan.kind in ("kink", "kinks") and trial.branches.forward_ties
        if _is_unclear(trial) and not special:
            return self._with_roots(plan, trial)
        return trial

    def _with_roots(self, plan: Plan, trial: Trial) -> Trial:
        """Draw entries of the inputs again, one after the other, and keep what leaves no fewer roots.

        What was found for one plan is tried first for others of the same sizes.
        """
        assert self.depth is not None
        random = Random(f"{self.seed}/{plan.name}/roots")
        places = [place for place in plan.places if place.reals is not None]
        movable = [k for k, place in enumerate(places) if place.reals is not None and place.reals.size]
        redraws, best = Redraws(plan.name), trial
        known = self.clean.get(plan.sizes)
        for step in range(MAX_DRAWS):
            hopeless = best.unclean > ROOTS_A_DRAW * (MAX_DRAWS - step)
            if not movable or self.spare_runs <= 0 or hopeless or not _is_unclear(best):
                break
            self.spare_runs -= 1
            number = random.choice(movable)
            entry, level = random.randrange(prod(places[number].shape)), random.randrange(self.depth + 1)
            redraw = Redraw(number, entry, level, f"{self.seed}/{plan.name}/{step}")
            other = Redraws(redraws.name, (*redraws.steps, redraw)) if known is None else known
            known = None
            try:
                found = self.run_once(plan, 0, other, searching=True)
            except AmbiguousError:
                continue
            if found.unclean <= best.unclean:
                redraws, best = other, found
        if not best.unclean:
            self.clean[plan.sizes] = redraws
        if best is trial and best.outcomes:
            return best
        return best if best.outcomes and plan.kind not in APART else self.run_once(plan, 0, redraws)

    def run_once(
        self, plan: Plan, attempt: int, redraws: Redraws | None = None, *, searching: bool = False
    ) -> Trial:
        """Run a plan with the residues of one draw.

        While `searching` for residues with roots, a run of all inputs at once without them is left at that.
        """
        if self.depth is None:
            dry = self.look(plan)
            self.depth, self.circular = dry.numbers.depth, dry.numbers.circular
        for _ in range(8):
            apart = False
            try:
                if self.jointly and (searching or (redraws is None and plan.kind not in APART)):
                    together = self._formal(plan, attempt, None, redraws, jointly=True)
                    if together.outcomes or (searching and _is_unclear(together)):
                        return together
                    apart = together.apart
                trial = self._formal(plan, attempt, None, redraws)
                if any(outcome.kind == "different" for outcome in trial.outcomes.values()):
                    self.jointly = False
                elif apart and all(outcome.kind == "equal" for outcome in trial.outcomes.values()):
                    raise UndecidableError(CHANGING)
                return trial
            except CircularError:
                self.circular = True
            except RoundedAwayError:
                if self.balls:
                    raise
                self.balls = True
            except LevelsError as error:
                self.depth = error.depth
        raise AmbiguousError("the numbers drawn decide no comparison")

    def _formal(
        self, plan: Plan, attempt: int, beside: int | None = None, redraws: Redraws | None = None,
        jointly: bool = False,
    ) -> Trial:  # fmt: skip
        assert self.depth is not None
        residues = self._residues(attempt)
        found, settings, values = self._evaluate_with_values(
            plan, residues, attempt, beside, False, redraws, jointly
        )
        if settings.numbers.depth > self.depth:
            raise LevelsError(settings.numbers.depth)
        trial = Trial(
            plan, {}, settings.branches, settings.used, settings.numbers.assumes, settings.constants.used,
            settings.numbers.open, settings.numbers.depth, self.circular,
        )  # fmt: skip
        (pair_up_jointly if jointly else pair_up)(trial, residues, found, values)
        trial.unclean = residues.unclean_roots
        return trial

    def _residues(self, attempt: int) -> Residues:
        """Fresh residues over the tower of an attempt."""
        assert self.depth is not None
        key = (attempt, self.depth, self.circular)
        if key not in self._towers:
            random = Random(f"{self.seed}/{attempt}/tower")
            tower = draw_tower(self.depth + 1, random, self.circular)
            self._towers[key] = (tower, random.getrandbits(64))
        return Residues(*self._towers[key])

    def look(
        self, plan: Plan, bounds: bool = False, wanted: Mapping[Site, Entries] | None = None
    ) -> Settings:
        """Run in floats alone: which comparisons are met, how deep exponentials are nested; how far the sides
        are that are `wanted`, with the derivatives by all entries that may be moved.
        """
        try:
            return self._evaluate_with_values(plan, None, 0, None, bounds, sought=wanted)[1]
        except RoundedAwayError:
            if wanted is not None:
                raise
            self.balls = True
            return self._evaluate_with_values(plan, None, 0, None, bounds)[1]

    def _evaluate_with_values(
        self,
        plan: Plan,
        residues: Residues | None,
        attempt: int,
        beside: int | None = None,
        bounds: bool = False,
        redraws: Redraws | None = None,
        jointly: bool = False,
        sought: Mapping[Site, Entries] | None = None,
    ) -> tuple[Evaluated, Settings, list[Value]]:
        """A run in which balls decide where floats cannot tell which number is larger."""
        balls = self.balls and beside is None and sought is None
        try:
            return self._evaluate_in(plan, residues, attempt, beside, bounds, balls, redraws, jointly, sought)
        except AmbiguousError:
            if balls or beside is not None or bounds or sought is not None:
                raise
            return self._evaluate_in(plan, residues, attempt, beside, bounds, True, redraws, jointly)

    def _evaluate_in(
        self, plan: Plan, residues: Residues | None, attempt: int, beside: int | None, bounds: bool,
        balls: bool, redraws: Redraws | None = None, jointly: bool = False,
        sought: Mapping[Site, Entries] | None = None,
    ) -> tuple[Evaluated, Settings, list[Value]]:  # fmt: skip
        numbers = Numbers(residues, Balls() if balls else Floats(), bounds=Intervals() if bounds else None)
        branches = self.branches = Branches(wanted=sought)
        settings = Settings(
            numbers,
            branches,
            Constants(self.meant),
            plan.seed,
            plan.twice,
            plan.graph,
            jointly,
            pushes=beside is None,
        )
        wanted = [place for place in plan.places if place.reals is not None and place.wanted]
        draws = Draws(
            numbers,
            Random(f"{self.seed}/{attempt}/{plan.name if redraws is None else redraws.name}/residues"),
            1 if jointly else len(wanted) + 1,
            beside=beside,
            redraws=() if redraws is None else redraws.steps,
            moves=0 if sought is None else movable_entries(plan),
        )
        arguments, values = make_arguments(plan, draws, jointly=jointly)
        random = Random(f"{plan.seed}/{plan.name}/cotangent")
        last = 0 if jointly else len(wanted)

        def draw(position: int, shape: Shape) -> Argument:
            place = cotangent_place(plan, shape, random)
            value = draws.value(place, last if self.order > 1 and position >= 0 else None)
            layout = COTANGENT_LAYOUTS.get(plan.cotangent_layout) if shape else None
            return Argument(value, layout=layout, wanted=self.order > 1 or plan.graph)

        with precision(BALL_BITS if balls else ctx.prec), following(self.followed):
            try:
                found = self.program.evaluate(settings, arguments, draw, self.order)
            except EscapedError as error:
                if error.namespace is None or any(space is error.namespace for space in self.followed):
                    raise
                self.followed.append(error.namespace)
                return self._evaluate_in(
                    plan, residues, attempt, beside, bounds, balls, redraws, jointly, sought
                )
            except (ForwardError, BackwardError) as error:
                if residues is not None and numbers.depth >= residues.levels:
                    raise LevelsError(numbers.depth) from error  # arrays of no levels made it fail
                raise
            finally:
                self.spent += numbers.made * (LOOKED_AT if residues is None else 1)
        return found, settings, values


def _is_unclear(trial: Trial) -> bool:
    """Whether a root was missing that another draw may have."""
    if not trial.outcomes:
        return bool(trial.unclean and trial.plan.asked)
    return any(outcome.kind == "unclear" for outcome in trial.outcomes.values())


def movable_entries(plan: Plan) -> int:
    """How many entries of the inputs may be moved one by one."""
    return sum(p.reals.size for p in plan.places if p.reals is not None and p.domain in MOVABLE)


@contextmanager
def following(spaces: list[dict[str, Any]]) -> Iterator[None]:
    """Within, `float` of a tensor is followed in programs with these global names."""
    token = FOLLOWED.set(tuple(spaces))
    try:
        yield
    finally:
        FOLLOWED.reset(token)


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Balls with so many bits inside the block."""
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


class LevelsError(Exception):
    """The tower is too low."""

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.depth = depth


def make_arguments(
    plan: Plan, draws: Draws, units_of: int | None = None, jointly: bool = False
) -> tuple[list[Argument], list[Value]]:
    """The arguments of a run, and the values of the inputs whose gradient is wanted, in order.

    Each of them is moved in a direction of its own, or all of them `jointly` in one.
    """
    arguments: list[Argument] = []
    values: list[Value] = []
    moved = 0
    for place in plan.places:
        if place.reals is None:
            arguments.append(argument(place, None, None))
            continue
        direction = len(values) if place.wanted else None
        units = units_of is not None and direction == units_of
        direction = 0 if jointly and direction is not None else direction
        first = moved if draws.moves and place.domain in MOVABLE else None
        moved += 0 if first is None else place.reals.size
        value = draws.value(place, direction, units, first)
        layout = INPUT_LAYOUTS.get(place.layout) if place.shape else None
        arguments.append(argument(place, value, layout, 0 if units else direction or 0))
        if place.wanted:
            values.append(value)
    return arguments, values


def pair_up(trial: Trial, residues: Residues, found: Evaluated, values: Sequence[Value]) -> None:
    """Compare `<u, J v>` with `<J^T u, v>` for each pair."""
    count = len(values) + 1
    for k, (output, cotangent, claims) in enumerate(
        zip(found.outputs, found.cotangents, found.claims, strict=True)
    ):
        if not np.all(finite_entries(output)):
            trial.outside = True
        for i, value in enumerate(values):
            if i not in trial.plan.asked:
                continue
            claim = None if claims is None else claims[trial.plan.asked[i]]
            u = cotangent if cotangent is not None else None
            meant = None if found.intended is None else found.intended[k]
            if found.intended is not None:
                intention = None if meant is None else meant[trial.plan.asked[i]]
                trial.outcomes[Pair(k, i)] = _compare_claims(residues, intention, claim, value, i, count)
                continue
            trial.outcomes[Pair(k, i)] = _compare(residues, output, u, claim, value, i, count)
            trial.note_floats(Pair(k, i), output, claim, value)
    _pair_together(trial, residues, found, values)
    for i, row in zip(trial.plan.asked, found.pushed, strict=False):
        for k, (output, pushed) in enumerate(zip(found.outputs, row, strict=True)):
            trial.outcomes[Pair(k, i, FORWARD)] = _compare_tangents(residues, output, pushed, i, count)
    numbers = list(trial.plan.asked)
    for second in found.seconds:
        cotangents = found.cotangents[second.output]
        assert cotangents is not None
        for i, value in enumerate([*values, cotangents]):
            if i < len(values) and i not in trial.plan.asked:
                continue
            claim = second.claims[trial.plan.asked[i] if i < len(values) else -1]
            pair = Pair(second.output, i, numbers[second.wrt])
            trial.outcomes[pair] = _compare(
                residues, second.gradient, second.cotangent, claim, value, i, count
            )


def pair_up_jointly(trial: Trial, residues: Residues, found: Evaluated, values: Sequence[Value]) -> None:
    """Compare `<u, J v>` with the sum of the `<J^T u, v>` by all inputs, which have moved at once.

    The v are random and independent: if the sums agree, so do the terms. Where they do not, or where a claim
    is no number, no outcome is noted.
    """
    asked, outcomes = trial.plan.asked, dict[Pair, Outcome]()
    rows = list[tuple[Value, Value | None, Sequence[Value | None], dict[Pair, int]]]()
    for k, (output, u, claims) in enumerate(zip(found.outputs, found.cotangents, found.claims, strict=True)):
        trial.outside |= not np.all(finite_entries(output))
        rows.append((output, u, claims or (), {Pair(k, i): place for i, place in asked.items()}))
    numbers = list(asked)
    for second in found.seconds:
        first = numbers[second.wrt]
        pairs = {Pair(second.output, i, first): place for i, place in asked.items()}
        pairs[Pair(second.output, len(values), first)] = -1
        rows.append((second.gradient, second.cotangent, second.claims, pairs))
    for output, u, claims, pairs in rows:
        k = next(iter(pairs), Pair(0, 0)).output
        moved = [*values, *(c for c in (found.cotangents[k],) if c is not None)]
        vectors = [moved[pair.wrt] for pair in pairs]
        claimed = [claims[place] if claims else None for place in pairs.values()]
        if not all(claim is None or np.all(finite_entries(claim)) for claim in claimed):
            return
        if found.intended is None:
            left = _pairing(residues, _ones(output) if u is None else u, _tangent(output, 0, 1))
        else:
            intended = found.intended[k] or ()
            meant = [intended[place] if intended else None for place in pairs.values()]
            left = _sum_of_pairings(residues, meant, vectors)
        sums = _outcome(residues, left, _sum_of_pairings(residues, claimed, vectors), True)
        if sums.kind != "equal":
            trial.apart = sums.kind == "different"
            return
        for pair, claim in zip(pairs, claimed, strict=True):
            outcomes[pair] = Outcome("equal", claim is not None)
            if pair.first == -1 and found.intended is None:
                trial.note_floats(pair, output, claim, values[pair.wrt])
    for k, output in enumerate(found.outputs if found.pushed else ()):
        if _compare_tangents(residues, output, found.pushed[0][k], 0, 1).kind != "equal":
            return
        outcomes.update({Pair(k, i, FORWARD): EQUAL for i in asked})
    if found.together is not None:
        together = [found.together[place] for place in asked.values()]
        left = _sum_of_pairings(residues, found.cotangents, found.outputs)
        right = _sum_of_pairings(residues, together, [values[i] for i in asked])
        if _outcome(residues, left, right, True).kind != "equal":
            return
    trial.outcomes.update(outcomes)


def _sum_of_pairings(
    residues: Residues, weights: Sequence[Value | None], moved: Sequence[Value]
) -> Array | None:
    """The sum of the products of weights with the tangents of what has moved; None is 0."""
    total: Array | None = None
    for weight, value in zip(weights, moved, strict=True):
        if weight is None:
            continue
        term = _pairing(residues, weight, _tangent(value, 0, 1))
        levels = len(term) if total is None else min(len(total), len(term))
        total = term if total is None else (total[-levels:] + term[-levels:]) % residues.moduli(levels, 0)
    return total


def _pair_together(trial: Trial, residues: Residues, found: Evaluated, values: Sequence[Value]) -> None:
    """With cotangents of several outputs at once, the gradient must be the sum of those for each.

    Raises UndecidableError where it is not though each is right: no output alone shows it.
    """
    if found.together is None or any(o.kind != "equal" for o in trial.outcomes.values()):
        return
    count, moduli = len(values) + 1, residues.moduli
    for i in trial.plan.asked:
        left: Array | None = None
        for output, u in zip(found.outputs, found.cotangents, strict=True):
            if u is not None:
                term = _pairing(residues, u, _tangent(output, i, count))
                levels = len(term) if left is None else min(len(left), len(term))
                left = term if left is None else (left[-levels:] + term[-levels:]) % moduli(levels, 0)
        claim = found.together[trial.plan.asked[i]]
        right = None if claim is None else _pairing(residues, claim, _tangent(values[i], i, count))
        if _outcome(residues, left, right, claim is not None).kind == "different":
            raise UndecidableError(
                "the gradient for the cotangents of several outputs at once is not the sum of those for each"
            )


def _compare(
    residues: Residues, output: Value, u: Value | None, claim: Value | None, value: Value, i: int, count: int
) -> Outcome:
    if claim is not None and not np.all(finite_entries(claim)):
        return Outcome("undefined" if np.all(finite_entries(output)) else "outside")
    if u is None:  # the output depends on no input, says the program
        u = _ones(output)
    right = None if claim is None else _pairing(residues, claim, _tangent(value, i, count))
    return _outcome(residues, _pairing(residues, u, _tangent(output, i, count)), right, claim is not None)


def _compare_claims(
    residues: Residues, intended: Value | None, claim: Value | None, value: Value, i: int, count: int
) -> Outcome:
    """A gradient beside the one that it is declared to be, both paired with the tangent of the input."""
    tangent = _tangent(value, i, count)
    left = None if intended is None else _pairing(residues, intended, tangent)
    right = None if claim is None else _pairing(residues, claim, tangent)
    return _outcome(residues, left, right, claim is not None)


def _compare_tangents(residues: Residues, output: Value, pushed: Value | None, i: int, count: int) -> Outcome:
    """The exact tangent of an output beside that of a rule of forward mode, both with random weights."""
    weights = Dual(residues.draw(output.shape, Random(f"{residues.seed}/weights")))
    left = _weighted(residues, _tangent(output, i, count), weights)
    formal = None if pushed is None else pushed.formal
    right = None if formal is None else _weighted(residues, Dual(formal.primal), weights)
    return _outcome(residues, left, right, pushed is not None)


def _weighted(residues: Residues, numbers: Dual, weights: Dual) -> Array:
    axes = tuple(range(-len(numbers.shape), 0))
    product = residues.multiply(numbers, weights)
    return residues.linear(product, lambda array: np.asarray(array.sum(axis=axes) if axes else array)).primal


def _outcome(residues: Residues, left: Array | None, right: Array | None, connected: bool) -> Outcome:
    """Equal if two numbers agree modulo the primes that both have; None is 0."""
    if left is None or right is None:
        known = right if left is None else left
        if known is None:
            return Outcome("equal", connected)
        left, right = (known * 0 if left is None else left), (known * 0 if right is None else right)
    levels = min(len(left), len(right))
    if levels == 0:
        raise LevelsError(residues.levels + 1)
    equal = bool(np.all((left[-levels:] - right[-levels:]) % residues.moduli(levels, 0) == 0))
    kind = "equal" if equal else "unclear" if residues.unclean_roots else "different"
    return Outcome(kind, connected, int(left[-1]), int(right[-1]), residues.tower.primes[-1])


def _ones(value: Value) -> Value:
    return value.numbers.scalar(1).expand(value.shape)


def _tangent(value: Value, direction: int, count: int) -> Dual:
    formal = value.formal
    assert formal is not None
    return Dual(tangent_of(formal, count)[direction])


def _pairing(residues: Residues, value: Value, tangent: Dual) -> Array:
    formal = value.formal
    assert formal is not None
    return _weighted(residues, Dual(formal.primal), tangent)


def merge_used(trials: Sequence[Trial]) -> Mapping[str, str]:
    """All operators met in any of the trials."""
    used: dict[str, str] = {}
    for trial in trials:
        used.update(trial.used)
    return used


__all__ = ["Pair", "Plan", "Runner", "Trial", "replace"]

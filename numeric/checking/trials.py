"""Trials: a program run at one place over residues, with other residues where roots are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from math import prod
from random import Random
from typing import Any

import numpy as np
from flint import ctx

from gradproof.numeric.checking.layouts import COTANGENT_LAYOUTS, INPUT_LAYOUTS
from gradproof.numeric.checking.pairing import LevelsError, pair_up, pair_up_jointly
from gradproof.numeric.checking.plans import FORWARD, Axes, Pair, Plan, Trial
from gradproof.numeric.checking.points import (
    FREE,
    MOVABLE,
    PINNED,
    Draws,
    Place,
    Redraws,
    argument,
    as_array,
    ratio,
)
from gradproof.numeric.checking.roots import RootSearch, missing
from gradproof.numeric.exact.branches import Branches, Entries, Site
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Shape
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
from gradproof.numeric.exact.towers import Tower, draw_below, draw_tower
from gradproof.numeric.exact.values import (
    AmbiguousError,
    CircularError,
    Numbers,
    ShallowError,
    UndecidableError,
    Value,
)

BALL_BITS = 512
"""The precision of balls that decide comparisons where floats overflow."""
CHANGING = "run again, the program returns something else"
MAX_DRAWS = 80
"""How often other residues are drawn for a part of the inputs where a root is needed that is not there."""
TOWERS = 6
"""How often other primes are drawn where no entry of the inputs changes a missing root."""
ROOTS_A_DRAW = 1
"""How many missing roots another residue brings at best, about: where more are missing none is looked for."""
KINKS = ("kink", "kinks")
APART = ("point", *KINKS)
"""Plans whose inputs move one after the other: at a kink the numbers of each are held against limits."""
LOOKED_AT = 8
"""How much more a number costs where the operators are run in floats as well."""
MOVED = 1 / 8
"""How much one costs among the derivatives by all entries, which are floats of one array."""


def cotangent_place(plan: Plan, position: int, shape: Shape) -> Place:
    """Numbers for the cotangent of an output: random of both signs, of one sign, or 0."""
    place = _cotangent(plan.seed, plan.drawn_as or plan.name, plan.cotangent, position, shape)
    return replace(place, ties=np.full(shape, PINNED, dtype=int)) if plan.pinned else place


@lru_cache(maxsize=64)
def _cotangent(seed: int, name: str, how: str, position: int, shape: Shape) -> Place:
    random = Random(f"{seed}/{name}/cotangent {position}")
    count = prod(shape)
    scale, denominator = 4096 if how == "large" else 1, 2**85 if how == "tiny" else 32
    sizes = [scale * (1 + size) for size in draw_below(95, count, random)]
    signs = {"positive": [0] * count, "negative": [1] * count}.get(how)
    signs = draw_below(2, count, random) if signs is None else signs
    drawn = [ratio(-size if sign else size, denominator) for size, sign in zip(sizes, signs, strict=True)]
    numbers = as_array(drawn, shape)
    ties = None
    if how == "single" and numbers.size > 1:
        alone = random.randrange(numbers.size)
        ties = np.where(np.arange(numbers.size) == alone, FREE, PINNED).reshape(shape)
        numbers[ties == PINNED] = Fraction(0)
    if how == "sparse":
        ties = np.array([random.randrange(-1, 1) for _ in range(numbers.size)], dtype=int).reshape(shape)
        numbers[ties == 0] = Fraction(0)
    if how in ("even zeros", "odd zeros") and shape:  # as on a board: each line of two or more has both
        zero = np.indices(shape).sum(0) % 2 == (how == "odd zeros")
        ties = np.where(zero, PINNED, FREE)
        numbers[zero] = Fraction(0)
    if how == "short":  # powers of two: what is divided by one stays short, and balls hold it
        powers = [sign * Fraction(2) ** power for power in range(-5, 6) for sign in (-1, 1)]
        rounds = [random.sample(powers, len(powers)) for _ in range(0, count, len(powers))]
        numbers = as_array([number for drawn in rounds for number in drawn][:count], shape)
    if how == "centered":
        for axis in (axis for axis, size in enumerate(shape) if size > 1):
            numbers = np.asarray(numbers - np.roll(numbers, 1, axis=axis))
        ties = np.full(shape, PINNED, dtype=int)
    if how[-1].isdigit():  # one number throughout
        numbers.fill(Fraction(how))
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
    """How deep exponentials are nested at the first plan."""
    depths: dict[tuple[str, Axes], int] = field(default_factory=dict[tuple[str, Axes], int])
    """The same at other sizes, where it is more."""
    circular: bool = False
    rounded: set[str] = field(default_factory=set[str])
    """The plans at which floats overflow, by name: balls decide there."""
    clean: dict[tuple[str, int, int], Redraws] = field(default_factory=dict[tuple[str, int, int], Redraws])
    """For which residues all roots were there, by sizes, tower and its height."""
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
    whole: bool = False
    """Whether cotangents and tangents must be known modulo every prime: they stand in an exponent."""
    moving: bool = False
    """Whether the backward must run with tangents: it compares numbers."""
    tied: bool = False
    """Whether the forward compared equal numbers at a point that was chosen for it."""
    branches: Branches = field(default_factory=Branches)
    """What the last run met, also one that ended with an error."""

    def beside(self, plan: Plan, attempt: int, side: int) -> Trial:
        """The same draws as `run_once`, with comparisons decided a little beside the point."""
        try:
            return self._formal(plan, attempt, side)
        except (ShallowError, ComparedError) as error:
            self.whole, self.moving = True, True
            raise AmbiguousError("on one side the backward needs more than on the other") from error

    def run(self, plan: Plan) -> Trial:
        """Run a plan until its outcomes are clear, drawing other residues where roots are missing: of the
        inputs, and where the inputs change nothing, as in a root of 2, modulo other primes.
        """
        for attempt in range(TOWERS):
            trial = self.run_once(plan, attempt, searching=plan.kind not in APART)
            special = plan.kind in KINKS and trial.branches.forward_ties
            if special or not _is_unclear(trial):
                return trial
            trial, stuck = self._with_roots(plan, trial, attempt)
            if not stuck or attempt == TOWERS - 1:
                return trial
        raise AssertionError

    def _with_roots(self, plan: Plan, trial: Trial, attempt: int) -> tuple[Trial, bool]:
        """Draw entries of the inputs again, one after the other, and keep what leaves no fewer roots; and
        whether no entry changes those that are missing.

        What was found for one plan is tried first for others of the same sizes.
        """
        sizes = [place.reals.size for place in plan.places if place.reals is not None]
        search = RootSearch(sizes, self._depth_at(plan) + 1, Random(f"{self.seed}/{plan.name}/roots"))
        redraws, best = Redraws(plan.name), trial
        known, stuck = self.clean.get((plan.sizes, attempt, self._depth_at(plan))), not any(sizes)
        for step in range(MAX_DRAWS):
            hopeless = ROOTS_A_DRAW * (MAX_DRAWS - step) < missing(best.roots)
            if not any(sizes) or self.spare_runs <= 0 or hopeless or not _is_unclear(best):
                break
            self.spare_runs -= 1
            redraw = search.choose(best.roots, f"{self.seed}/{plan.name}/{step}")
            if redraw is None:
                stuck = True
                break
            added = Redraws(redraws.name, (*redraws.steps, redraw))
            other, known = known or added, None
            try:
                found = self.run_once(plan, attempt, other, searching=True)
            except AmbiguousError:
                continue
            if other is added:
                search.learn(redraw, best.roots, found.roots)
            if missing(found.roots) <= missing(best.roots):
                redraws, best = other, found
        if not missing(best.roots):
            self.clean[plan.sizes, attempt, self._depth_at(plan)] = redraws
        if not best.outcomes or (plan.kind in APART and best is not trial):
            best = self.run_once(plan, attempt, redraws)
        return best, stuck

    def run_once(
        self, plan: Plan, attempt: int, redraws: Redraws | None = None, *, searching: bool = False
    ) -> Trial:
        """Run a plan with the residues of one draw.

        While `searching` for residues with roots, a run of all inputs at once without them is left at that.
        Where floats find no value, it may be that they rounded a number to 0: balls are asked.
        """
        trial = self._settle(plan, attempt, redraws, searching)
        if plan.name in self.rounded or plan.kind in KINKS or not _lacks_value(trial):
            return trial
        self.rounded.add(plan.name)
        try:
            return self._settle(plan, attempt, redraws, searching)
        except (AmbiguousError, RoundedAwayError):
            return trial

    def _settle(self, plan: Plan, attempt: int, redraws: Redraws | None, searching: bool) -> Trial:
        """Run a plan in as high a tower as it needs, in balls where floats overflow."""
        if self.depth is None:
            dry = self.look(plan)
            self.depth, self.circular = dry.numbers.depth, dry.numbers.circular
            self.depths[plan.sizes, plan.axes] = self.depth
        for _ in range(8):
            apart = False
            try:
                if self.jointly and (searching or (redraws is None and self._moves_at_once(plan))):
                    together = self._formal(plan, attempt, None, redraws, jointly=True)
                    tied = plan.kind in KINKS and together.branches.forward_ties > 0
                    self.tied |= tied
                    if not tied and (together.outcomes or (searching and _is_unclear(together))):
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
            except ShallowError:
                self.whole = True
            except ComparedError:
                self.moving = True
            except RoundedAwayError:
                if plan.name in self.rounded:
                    raise
                self.rounded.add(plan.name)
            except LevelsError as error:
                self.depths[plan.sizes, plan.axes] = error.depth
        raise AmbiguousError("the numbers drawn decide no comparison")

    def _moves_at_once(self, plan: Plan) -> bool:
        """Whether the inputs of a plan may move at once: at a kink, where nothing compares equal numbers."""
        return plan.kind not in APART or (plan.kind in KINKS and not self.tied)

    def _formal(
        self, plan: Plan, attempt: int, beside: int | None = None, redraws: Redraws | None = None,
        jointly: bool = False,
    ) -> Trial:  # fmt: skip
        depth = self._depth_at(plan)
        residues = self._residues(attempt, depth)
        found, settings, values = self._evaluate_with_values(
            plan, residues, attempt, beside, False, redraws, jointly
        )
        if settings.numbers.shallow:
            raise ShallowError
        if settings.numbers.depth > depth:
            raise LevelsError(settings.numbers.depth)
        trial = Trial(
            plan, {}, settings.branches, settings.used, settings.numbers.assumes, settings.constants.used,
            settings.numbers.open, settings.numbers.depth, self.circular,
        )  # fmt: skip
        (pair_up_jointly if jointly else pair_up)(trial, residues, found, values)
        trial.roots = tuple(residues.taken)
        return trial

    def _depth_at(self, plan: Plan) -> int:
        """How deep exponentials are nested at the sizes of a plan, as far as that is known."""
        assert self.depth is not None
        return self.depths.get((plan.sizes, plan.axes), self.depth)

    def _residues(self, attempt: int, depth: int) -> Residues:
        """Fresh residues over the tower of an attempt."""
        key = (attempt, depth, self.circular)
        if key not in self._towers:
            random = Random(f"{self.seed}/{attempt}/tower")
            tower = draw_tower(depth + 1, random, self.circular)
            self._towers[key] = (tower, random.getrandbits(64))
        return Residues(*self._towers[key])

    def look(
        self, plan: Plan, bounds: bool = False, wanted: Mapping[Site, Entries] | None = None,
        precise: bool = False,
    ) -> Settings:  # fmt: skip
        """Run in floats alone: which comparisons are met, how deep exponentials are nested; how far the sides
        are that are `wanted`, with the derivatives by all entries that may be moved; `precise` in balls.
        """
        if precise:
            return self._evaluate_in(plan, None, 0, None, bounds, True, sought=wanted)[1]
        try:
            return self._evaluate_with_values(
                plan, None, 0, None, bounds, jointly=self.jointly, sought=wanted
            )[1]
        except RoundedAwayError:
            if wanted is not None:
                raise
            self.rounded.add(plan.name)
            return self._evaluate_with_values(plan, None, 0, None, bounds, jointly=self.jointly)[1]

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
        balls = plan.name in self.rounded and beside is None and sought is None
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
        numbers = Numbers(
            residues, Balls() if balls else Floats(), bounds=Intervals() if bounds else None, whole=self.whole
        )
        bits = BALL_BITS if balls else ctx.prec
        branches = self.branches = Branches(wanted=sought)
        still = residues is not None and not self.moving
        settings = Settings(
            numbers,
            branches,
            Constants(self.meant),
            plan.seed,
            plan.twice,
            plan.graph,
            jointly,
            still=still,
            pushes=beside is None,
        )
        wanted = [place for place in plan.places if place.reals is not None and place.wanted]
        draws = Draws(
            numbers,
            Random(f"{self.seed}/{attempt}/{plan.name if redraws is None else redraws.name}/residues"),
            1 if jointly else len(wanted) + 1,
            beside=beside,
            redraws=() if redraws is None else redraws.steps,
            whole=self.whole,
            moves=0 if sought is None else movable_entries(plan),
        )
        with precision(bits):
            arguments, values = make_arguments(plan, draws, jointly=jointly)
        last = 0 if jointly else len(wanted)

        def draw(position: int, shape: Shape) -> Argument:
            place = cotangent_place(plan, position, shape)
            direction = last if self.order > 1 and position >= 0 else None
            value = draws.value(place, direction, cotangent=True)
            layout = COTANGENT_LAYOUTS.get(plan.cotangent_layout) if shape else None
            return Argument(value, layout=layout, wanted=self.order > 1 or plan.graph)

        with precision(bits), following(self.followed):
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
                if still and branches.backward_compares:
                    raise ComparedError from error
                if numbers.shallow:
                    raise ShallowError from error
                if residues is not None and numbers.depth >= residues.levels:
                    raise LevelsError(numbers.depth) from error  # arrays of no levels made it fail
                raise
            finally:
                self.spent += int(
                    numbers.made * (1 if residues is not None else MOVED if sought else LOOKED_AT)
                )
        if still and branches.backward_compares:
            raise ComparedError
        return found, settings, values


def _is_unclear(trial: Trial) -> bool:
    """Whether a root was missing that another draw may have."""
    if not trial.outcomes:
        return bool(missing(trial.roots) and trial.plan.asked)
    return any(outcome.kind == "unclear" for outcome in trial.outcomes.values())


def _lacks_value(trial: Trial) -> bool:
    """Whether an output or a claimed gradient has no value."""
    return trial.outside or any(o.kind in ("undefined", "outside") for o in trial.outcomes.values())


class ComparedError(Exception):
    """The backward compares numbers, without the tangents that tell what the inputs move."""


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
        if jointly and not place.asked:  # drawn all the same: the residues of others stay as they are
            value = value.without_tangent()
        layout = INPUT_LAYOUTS.get(place.layout) if place.shape else None
        arguments.append(argument(place, value, layout, 0 if units else direction or 0))
        if place.wanted:
            values.append(value)
    return arguments, values


__all__ = ["FORWARD", "Pair", "Plan", "Runner", "Trial"]

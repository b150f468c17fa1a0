"""`check`: is this backward right, exactly? Runs the plans, collects what they found, and answers pair by
pair.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from secrets import randbits
from typing import Any

import numpy as np

from gradproof.numeric.checking.answers import answer_pair
from gradproof.numeric.checking.batches import is_batched
from gradproof.numeric.checking.coverage import cover
from gradproof.numeric.checking.diagnosis import RAISES
from gradproof.numeric.checking.examination import examine
from gradproof.numeric.checking.extents import refuse_large
from gradproof.numeric.checking.kinks import KinkOutcome, judge_kink, limit_near
from gradproof.numeric.checking.measurement import measure_accuracy
from gradproof.numeric.checking.plans import Settings
from gradproof.numeric.checking.preflight import inspect_example
from gradproof.numeric.checking.replay import (
    differs_for_real,
    differs_when_called_again,
    has_no_value_for_real,
    raises_for_real,
    refusal_for_real,
)
from gradproof.numeric.checking.results import CheckResult, PairVerdict
from gradproof.numeric.checking.targets import Target, make_target
from gradproof.numeric.checking.ties import equal_entries, tie
from gradproof.numeric.checking.trials import Pair, Plan, Runner, Trial
from gradproof.numeric.checking.variation import Maker, has_strangers, redrawn
from gradproof.numeric.exact.branches import Branches, Entries, Sides, Site
from gradproof.numeric.exact.programs import BackwardError, ForwardError
from gradproof.numeric.exact.reals import RoundedAwayError
from gradproof.numeric.exact.scalars import EscapedError, TextError
from gradproof.numeric.exact.seeds import kept
from gradproof.numeric.exact.values import AmbiguousError, UndecidableError
from gradproof.symbolic.verdict import combine

NOT_CONCLUSIVE = (AmbiguousError, UndecidableError, RoundedAwayError)
RESIZED = ("sizes", "empty", "data", "ranks", "fewer")
"""The variations that a program need not accept."""
OF_RANKS = ("ranks", "fewer")
ESCAPES = 40
"""At how many points a program is looked at whose values leave the tensors."""
NO_VALUE = "the output has no value there"
UNCLEAR_KINK = "the limits around do not tell whether the gradient is one of their means"
KINK_OF_GRADIENT = "the backward compares equal numbers there: its own gradient has a kink"
UNEQUAL = ("different", "unclear")
"""Outcomes that are not equal, or not known to be."""
VARIANTS = ("graph", "asked")
"""Plans that run the backward in another way, at points that were looked at before."""
SPECIAL = ("cotangent", "kink", "kinks", "empty", *OF_RANKS)
"""Plans that were chosen for what may happen there, or from whose failing nothing is concluded."""
UNCLEAR_POINT = "residues differ, but balls do not tell whether the gradient has a value there"
NOT_CONCLUDED = ("empty", *OF_RANKS, "graph")
"""Variations from whose failing nothing is concluded: empty axes, another number of axes, and a second
derivative that nobody asked for.
"""
REDRAWS = 3
"""How many numbers are drawn for a plan until its comparisons can be decided."""
BUDGET = 3e7
"""How many numbers the runs of one check compute, about: a few seconds for each ten millions. What a large
program has no time for is listed as left out."""
SHARES = {
    "values": 0.15, "sizes": 0.3, "ranks": 0.1, "data": 0.1, "layouts": 0.2, "asked": 0.1, "cotangents": 0.1,
    "kinks": 0.15, "between": 0.1, "ties": 0.2, "sides": 0.8,
}  # fmt: skip
LEAST = 2
"""How many plans of each kind are run in any case."""


Axes = tuple[tuple[str, int], ...]
"""The size of each axis."""
OTHER_RANKS: Axes = ()
"""Where inputs have another number of axes."""


@dataclass
class Findings:
    """What the trials found."""

    trials: list[Trial] = field(default_factory=list[Trial])
    kinks: list[tuple[Plan, Pair, KinkOutcome]] = field(default_factory=list[tuple[Plan, Pair, KinkOutcome]])
    not_accepted: list[tuple[Plan, str]] = field(default_factory=list[tuple[Plan, str]])
    raised: list[tuple[Plan, str]] = field(default_factory=list[tuple[Plan, str]])
    left_out: list[str] = field(default_factory=list[str])
    """The plans that a large program has no time for."""
    undecided: list[tuple[Plan, str]] = field(default_factory=list[tuple[Plan, str]])
    dropped: list[tuple[Plan, str]] = field(default_factory=list[tuple[Plan, str]])
    """Plans whose numbers decide nothing, however they were drawn: they do not count as run."""
    branches: Branches = field(default_factory=Branches)
    """Comparisons met at the sizes of the example."""
    elsewhere: dict[Axes, Branches] = field(default_factory=dict[Axes, Branches])
    """Comparisons met at each of the other sizes."""
    set_to: dict[Settings, Branches] = field(default_factory=dict[Settings, Branches])
    """Comparisons met with other hyper-parameters than those of the example, by these."""
    leaving: bool = False
    """Whether values left the tensors in a way that was not followed."""
    escaped: list[Plan] = field(default_factory=list[Plan])
    """Points at which values leave the tensors: only balls can follow there, and only to refute."""
    tied: set[Site] = field(default_factory=set[Site])
    """Where numbers that are compared were equal, in a trial from which something was concluded."""
    uneven: set[Site] = field(default_factory=set[Site])
    """Those that were tied where no input is one number throughout: there much vanishes."""
    alone: set[Site] = field(default_factory=set[Site])
    """Those where one entry alone was."""
    held: dict[str, list[Site]] = field(default_factory=dict[str, list[Site]])
    """By a plan's name, where numbers are equal."""
    reached: dict[Site, list[Plan]] = field(default_factory=dict[Site, list[Plan]])
    """Plans that reach a site that others do not."""
    notes: dict[str, None] = field(default_factory=dict[str, None])

    def missing(self) -> dict[Site, Entries]:
        """The sides not met at the sizes of the example, or anywhere for what is only met elsewhere."""
        places = {site.place for site in self.branches.sides}
        away = Branches()
        for branches in self.elsewhere.values():
            away.merge_places(branches, places)
        return {**away.missing(), **self.branches.missing()}

    def incomplete(self) -> dict[Axes, dict[Site, Entries]]:
        """The sides not met at other sizes, by these."""
        found = {axes: branches.missing() for axes, branches in self.elsewhere.items()}
        return {axes: missing for axes, missing in found.items() if missing}

    def meet_ties(self, trial: Trial) -> None:
        """Take over where numbers were equal in a trial of which something was concluded."""
        found = trial.branches
        ties = [s for s, sides in found.sides.items() if equal_entries(sides, s in found.equalities).any()]
        self.branches.merge_equal(found)
        self.tied.update(ties)
        if not trial.plan.is_level:
            self.uneven.update(ties)
        self.alone.update(s for s in ties if equal_entries(found.sides[s], s in found.equalities).sum() == 1)
        self.held[trial.plan.name] = ties
        for site, sides in found.sides.items():
            if site not in self.branches.sides:  # met only where numbers are equal
                self.branches.sides[site] = Sides(sides.shape, dict(sides.met), dict(sides.required))
                self.branches.equalities |= found.equalities & {site}
                self.reached.setdefault(site, []).append(trial.plan)

    def untied(self) -> list[Site]:
        """Sites of comparisons at which numbers were never equal, or only where an input is one number
        throughout: those first that never were, and that ask for it.
        """
        equalities = self.branches.equalities
        sites = [
            site
            for site, sides in self.branches.sides.items()
            if site not in self.uneven and (0 in sides.met or site in equalities)
        ]
        return sorted(sites, key=lambda site: (site in self.tied, site not in equalities))

    def tied_together(self) -> list[Site]:
        """Sites that ask for equal numbers, at which no entry was equal alone."""
        sides = self.branches.sides
        sites = [site for site in self.branches.equalities if site in self.tied and sides[site].shape != ()]
        return sorted(site for site in sites if site not in self.alone)

    def is_dropped(self, plan: Plan) -> bool:
        """Whether nothing was concluded from a plan."""
        return any(dropped is plan for dropped, _ in self.dropped)

    def pairs(self) -> list[Pair]:
        return sorted({pair for trial in self.trials for pair in trial.outcomes})

    def by_kind(self, pair: Pair, *kinds: str) -> list[Trial]:
        return [t for t in self.trials if pair in t.outcomes and t.outcomes[pair].kind in kinds]


def check(
    fn: Any,
    *inputs: Any,
    wrt: Sequence[Any] | None = None,
    order: int = 1,
    spec: str | None = None,
    reference: Callable[..., Any] | None = None,
    declared: Callable[..., Any] | None = None,
    seed: int | None = None,
    accuracy: bool = False,
    dtypes: Sequence[Any] | None = None,
) -> CheckResult:
    """Check a backward that somebody wrote: is it the derivative of the forward, exactly?

    `fn` is a function of tensors (an `autograd.Function.apply`, any function that autograd derives), an
    `nn.Module` (its parameters are inputs too), or a pair of NumPy functions `(forward, vjp)` with
    `vjp(cotangent, *inputs)`. The program is executed over residues in a tower of prime fields: forward with
    exact tangents, backward with the cotangent u, and `<u, J v> = <J^T u, v>` is compared as integers, for
    random u and v, for many shapes, layouts, values and both sides of each comparison.

    - `inputs`: example tensors, or one callable that makes them; they give shapes, dtypes, integer data
    and domains. Without any, they are made from `spec`.
    - `wrt`: names or positions of the inputs whose gradients are checked; by default those that require a
    gradient,
      or all of them where none does.
    - `order`: 2 checks the double backward as well.
    - `spec`: the axes of the inputs, as `x: batch time d, w: d h, target: int batch < classes`, in the
      order of the inputs or by their names; `p: positive batch d` says where the numbers lie. A number of
      Python among the inputs is a hyper-parameter: named there, as `eps: positive`, it is varied, too.
    - `reference`: a forward to derive in place of `fn`'s own where that is opaque.
    - `declared`: `declared(cotangent, *inputs)`, a tuple: what the backward is meant to return where that
    is not the
      derivative (gradient clipping, straight-through estimators).
    - `seed`: of all draws; a fresh one if None, stated in the answer.
    - `accuracy`: measures the errors of floats as well, forward and backward, in the example's dtypes or in
      `dtypes` (`measure_accuracy`). They never touch the verdict.

    Raises TargetError for what cannot be taken (a function that raises at the example, returns no tensor,
    changes its inputs, differs between two runs with one seed, is not differentiable, is too large),
    SpecificationError for a specification that does not fit.

    >>> import torch
    >>> class Cube(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return grad * 3 * x
    >>> check(Cube.apply, torch.randn(2, 3), seed=0).verdict
    'refuted'
    """
    seed = randbits(32) if seed is None else seed
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that only a check meets
        result = _check(fn, inputs, wrt, order, spec, reference, declared, seed)
        if not accuracy and dtypes is None:
            return result
        target = make_target(fn, inputs, wrt, spec, reference, declared)
        return replace(result, accuracy=measure_accuracy(target, dtypes, reference, declared, seed))


def _check(
    fn: Any, inputs: Sequence[Any], wrt: Sequence[Any] | None, order: int, spec: str | None,
    reference: Callable[..., Any] | None, declared: Callable[..., Any] | None, seed: int,
) -> CheckResult:  # fmt: skip
    started = time.perf_counter()
    target = make_target(fn, inputs, wrt, spec, reference, declared)
    refuse_large(target, seed)
    with kept():
        pairs, findings = _judge(target, Maker(target, seed), order, seed)
    return _result(target, pairs, combine(pairs), findings, seed, time.perf_counter() - started)


def _judge(target: Target, maker: Maker, order: int, seed: int) -> tuple[tuple[PairVerdict, ...], Findings]:
    """The verdict on each pair, and what the trials found."""
    runner, findings = Runner(target.program, order, seed), Findings()
    changing = differs_when_called_again(target, maker.example())
    inspect_example(target, runner, maker.example())
    differs = _differs_at(runner, maker.example(), *UNEQUAL)
    meant = _run_as_meant(target, maker, order, seed) if differs else None
    if meant is None:
        _run_all(target, runner, maker, findings)
        if not differs and (_differing(findings) or (findings.undecided and not findings.leaving)):
            meant = _run_as_meant(target, maker, order, seed, _simplest_differing(findings))
    if meant is not None:
        runner, findings = meant
    if changing is not None:
        findings.undecided.insert(0, (maker.example(), changing))
    pairs = tuple(answer_pair(target, runner, findings, pair) for pair in _all_pairs(target, findings))
    return pairs, findings


def _differs_at(runner: Runner, plan: Plan, *kinds: str) -> bool:
    """Whether a run at one place finds an outcome of these kinds."""
    try:
        outcomes = runner.run_once(plan, 0).outcomes.values()
    except (*NOT_CONCLUSIVE, ForwardError, BackwardError):
        return False
    return any(outcome.kind in kinds for outcome in outcomes)


def _simplest_differing(findings: Findings) -> Plan | None:
    """A plan at which gradients differ for certain, of few numbers."""
    plans = [t.plan for t in findings.trials if any(o.kind == "different" for o in t.outcomes.values())]
    return min(plans, key=lambda plan: sum(prod(place.shape) for place in plan.places), default=None)


def _run_as_meant(
    target: Target, maker: Maker, order: int, seed: int, differing: Plan | None = None
) -> tuple[Runner, Findings] | None:
    """The trials with constants read as what they are rounded from, if that makes all equal: not where it
    leaves a plan `differing`.
    """
    runner, findings = Runner(target.program, order, seed, meant=True), Findings()
    if _differs_at(runner, maker.example(), *UNEQUAL):
        return None
    if differing is not None and _differs_at(runner, differing, "different"):
        return None
    _run_all(target, runner, maker, findings)
    if not any(trial.constants for trial in findings.trials):
        return None  # nothing was read otherwise: if it is right now, it is not the same each time
    return None if _differing(findings) or findings.undecided else (runner, findings)


def _differing(findings: Findings) -> bool:
    """Whether anything that was met is not equal."""
    kinds = {outcome.kind for trial in findings.trials for outcome in trial.outcomes.values()}
    return bool(kinds & {"different", "unclear", "undefined"})


def _run_all(target: Target, runner: Runner, maker: Maker, findings: Findings) -> None:
    first = [maker.example()]
    _run(target, runner, findings, first)
    if findings.undecided and not findings.trials:
        if not findings.leaving:
            return
        special = (maker.cotangents(()), maker.layouts(), maker.kinks(frozenset()))
        points = itertools.chain(first, maker.values(), *special, maker.far(()))
        findings.escaped.extend(itertools.islice(points, ESCAPES))
        return
    groups: dict[str, Callable[[], Iterable[Plan]]] = {
        "values": maker.values,
        "sizes": maker.sizes,
        "ranks": maker.ranks,
        "data": lambda: itertools.chain(
            maker.settings(),
            maker.data(findings.branches.data_constants),
            maker.settings(1),
            maker.settings(-1),
        ),
        "layouts": maker.layouts,
        "asked": maker.asked,
        "cotangents": lambda: maker.cotangents(_constants(findings)),
        "kinks": lambda: itertools.chain(maker.kinks(_constants(findings)), maker.zeros_of_settings()),
        "between": lambda: maker.between(findings.branches.constants),
    }
    for name, plans in groups.items():
        _run(target, runner, findings, plans(), SHARES[name] * BUDGET)
    for name, search in (("ties", tie), ("sides", cover)):
        limit = runner.spent + SHARES[name] * BUDGET
        search(runner, maker, findings, lambda plan: _run(target, runner, findings, [plan]), limit)


def _constants(findings: Findings) -> frozenset[Any]:
    constants = sorted(findings.branches.constants, key=lambda c: (abs(c), c))
    return frozenset(constants[:6])


def _run(
    target: Target, runner: Runner, findings: Findings, plans: Iterable[Plan], budget: float = BUDGET
) -> None:
    """Run plans until the budget is spent, a few of them in any case."""
    limit = runner.spent + budget
    for number, plan in enumerate(plans):
        if number >= LEAST and runner.spent > limit:
            findings.left_out.append(plan.name)
            continue
        if plan.kind in RESIZED:  # a decomposition may take what the operator itself does not
            refusal = refusal_for_real(target, plan)
            if refusal is None and plan.kind in OF_RANKS and not is_batched(target, plan):
                refusal = "it is no axis of a batch there"
            if refusal is not None:
                findings.not_accepted.append((plan, refusal))
                continue
        try:
            trial = _run_plan(runner, plan)
        except ForwardError as error:
            if plan.kind not in NOT_CONCLUDED and refusal_for_real(target, plan) is None:
                findings.undecided.append((plan, f"{error}, which a run in floats does not confirm"))
                continue
            findings.not_accepted.append((plan, str(error)))
        except BackwardError as error:
            _take_error(target, findings, plan, str(error))
        except (AmbiguousError, RoundedAwayError) as error:
            findings.dropped.append((plan, str(error) or "floats overflow, and balls do not decide"))
        except UndecidableError as error:
            if plan.kind in NOT_CONCLUDED:
                findings.not_accepted.append((plan, str(error)))
                continue
            refusal = refusal_for_real(target, plan) if isinstance(error, TextError) else None
            if refusal is not None:  # what it wrote was the reason of an error
                findings.not_accepted.append((plan, refusal))
                continue
            if plan.kind in RESIZED and has_no_value_for_real(target, plan):
                findings.not_accepted.append((plan, NO_VALUE))
                continue
            findings.undecided.append((plan, str(error)))
            findings.leaving |= isinstance(error, EscapedError)
            if len(findings.undecided) > 3 and not findings.trials:
                return
        else:
            apart = differs_for_real(target, trial)
            if apart is not None:
                findings.undecided.append((plan, apart))
            _take(runner, findings, trial)


def _run_plan(runner: Runner, plan: Plan) -> Trial:
    """Run a plan; where its numbers decide nothing, some others of its kind."""
    for attempt in range(REDRAWS):
        try:
            return runner.run(plan if attempt == 0 else redrawn(plan, attempt))
        except (AmbiguousError, RoundedAwayError):
            if attempt == REDRAWS - 1:
                raise
    raise AssertionError


def _take_error(target: Target, findings: Findings, plan: Plan, message: str) -> None:
    """An error of the backward counts if the program raises it in floats too, where its output has a
    value.
    """
    if plan.kind == "graph":
        findings.not_accepted.append((plan, message))
        return
    confirmed = raises_for_real(target, plan)
    if confirmed is None and plan.kind in NOT_CONCLUDED:
        findings.not_accepted.append((plan, message))
    elif confirmed is None:
        findings.undecided.append(
            (plan, f"the backward raised {message}, which a run in floats does not confirm")
        )
    elif confirmed and _is_noted(target, plan):
        findings.notes[f"with {plan.name} the backward raises: {confirmed}"] = None
    elif confirmed:
        findings.raised.append((plan, confirmed))
    else:
        findings.not_accepted.append((plan, NO_VALUE))


def _is_noted(target: Target, plan: Plan) -> bool:
    """Whether an error of the backward is a note alone: nothing is concluded from the variation, or an
    integer is none of those that the example and the specification have (a target of -100 is ignored).
    """
    if plan.kind in NOT_CONCLUDED:
        return not (target.specified and _is_empty_batch(plan))
    return any(
        example.is_data and has_strangers(example, axes, place.data)
        for example, axes, place in zip(target.examples, target.axes, plan.places, strict=True)
    )


def _is_empty_batch(plan: Plan) -> bool:
    """Whether the leading axis alone is empty, of rows of numbers: there are no rows."""
    shapes = [place.shape for place in plan.places if place.reals is not None and 0 in place.shape]
    rows = bool(shapes) and all(0 not in shape[1:] for shape in shapes)
    return plan.kind == "empty" and rows and any(len(shape) > 1 for shape in shapes)


def _take(runner: Runner, findings: Findings, trial: Trial) -> None:
    if trial.outside:
        findings.not_accepted.append((trial.plan, NO_VALUE))
        if trial.plan.kind in ("kink", "kinks"):  # numbers are equal where there is nothing to derive
            findings.meet_ties(trial)
        return
    for pair, outcome in list(trial.outcomes.items()):
        if trial.plan.kind in OF_RANKS and outcome.kind == "unclear":
            del trial.outcomes[pair]
            continue
        if trial.plan.kind == "fewer" and outcome.kind != "equal":
            del trial.outcomes[pair]
            findings.notes[f"with {trial.plan.name} a gradient is not the derivative"] = None
            continue
        if outcome.kind != "equal" and pair.first >= 0 and trial.branches.backward_ties:
            del trial.outcomes[pair]  # the gradient itself has a kink there
            special = trial.plan.kind in SPECIAL
            (findings.dropped if special else findings.undecided).append((trial.plan, KINK_OF_GRADIENT))
            continue
        if outcome.kind == "undefined" and not _has_derivative(runner, trial.plan, pair):
            del trial.outcomes[pair]
            near = limit_near(runner, trial.plan, pair) if pair.first == -1 else None
            if near is not None:
                findings.kinks.append((trial.plan, pair, near))
    if trial.plan.kind not in ("kink", "kinks"):
        if trial.plan.kind != "empty":  # where a sum of nothing is compared, no side is met
            away = trial.plan.kind in ("sizes", *OF_RANKS)
            axes = trial.plan.axes if trial.plan.kind == "sizes" else OTHER_RANKS
            found = findings.elsewhere.setdefault(axes, Branches()) if away else findings.branches
            (found.merge_variant if trial.plan.kind in VARIANTS else found.merge)(trial.branches)
            if trial.plan.settings:
                findings.set_to.setdefault(trial.plan.settings, Branches()).merge(trial.branches)
        findings.trials.append(trial)
        return
    findings.branches.constants |= trial.branches.constants
    before = len(findings.kinks)
    told = _take_kink(runner, findings, trial)
    unclear = any(outcome.kind == "unclear" for _, _, outcome in findings.kinks[before:])
    if not unclear and told:
        findings.meet_ties(trial)


def _take_kink(runner: Runner, findings: Findings, trial: Trial) -> bool:
    """Whether balls told, wherever residues differ, if there is a gradient."""
    if trial.branches.forward_ties and getattr(runner.program, "declared", None) is None:
        for output in {pair.output for pair in trial.outcomes if pair.first < 0}:
            for pair, outcome in judge_kink(runner, trial.plan, trial, output).items():
                if outcome.kind == "no derivative":
                    outcome = limit_near(runner, trial.plan, pair) or outcome
                if outcome.kind == "unclear" and not findings.is_dropped(trial.plan):
                    findings.dropped.append((trial.plan, UNCLEAR_KINK))
                findings.kinks.append((trial.plan, pair, outcome))
        return True
    told = True
    for pair, outcome in list(trial.outcomes.items()):
        if outcome.kind == "equal":
            continue
        smooth = _has_derivative(runner, trial.plan, pair)
        told = told and smooth is not None
        if smooth is None and outcome.kind == "different":
            findings.undecided.append((trial.plan, UNCLEAR_POINT))
        elif smooth is None and not findings.is_dropped(trial.plan):
            findings.dropped.append((trial.plan, UNCLEAR_POINT))
        if not smooth:
            del trial.outcomes[pair]
    findings.trials.append(trial)
    return told


def _has_derivative(runner: Runner, plan: Plan, pair: Pair) -> bool | None:
    """Whether the forward is differentiable at a point that was chosen for being special; None if that is
    not to be told.
    """
    try:
        return examine(runner, plan, pair).is_smooth()
    except (*NOT_CONCLUSIVE, ForwardError, BackwardError):
        return None


def _foremost(pairs: tuple[PairVerdict, ...]) -> str | None:
    """The diagnosis of the whole: rather one of numbers than one of an error, which all pairs share."""
    found = [pair.diagnosis for pair in pairs if pair.diagnosis]
    return min(found, key=lambda words: words.startswith(RAISES), default=None)


def _all_pairs(target: Target, findings: Findings) -> list[Pair]:
    pairs = findings.pairs()
    return pairs or [Pair(0, i) for i in range(len(target.wanted))]


def _result(
    target: Target,
    pairs: tuple[PairVerdict, ...],
    verdict: str,
    findings: Findings,
    seed: int,
    seconds: float,
) -> CheckResult:
    chosen = next(pair for pair in pairs if pair.verdict == verdict)
    varied = {
        "accepted": [trial.plan.name for trial in findings.trials],
        "kinks": sorted({plan.name for plan, _, _ in findings.kinks}),
        "not decided": [{"variation": plan.name, "because": why} for plan, why in findings.dropped],
        "left out": findings.left_out,
        "not accepted": [{"variation": plan.name, "because": why} for plan, why in findings.not_accepted],
    }
    notes = tuple(dict.fromkeys([*findings.notes, *(note for pair in pairs for note in pair.notes)]))
    return CheckResult(
        chosen.verdict,
        chosen.ground,
        chosen.witness,
        chosen.reason,
        notes,
        seconds,
        pairs,
        _foremost(pairs),
        varied,
        None,
        seed,
        target.name,
    )

"""What the stages recorded about an operation: one frozen record, from which every report is printed."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from gradproof.numeric.evidence import Evidence
from gradproof.report.helpers import Helpers
from gradproof.symbolic.derivation import Derivation, derive
from gradproof.symbolic.operation import Operation, Recurrence, flat
from gradproof.symbolic.verdict import Ground, GroundKind, Outcome, Verdict, combine

if TYPE_CHECKING:
    from gradproof.numeric.stability import Row

TARGETS = ("numpy", "torch")
KINDS = ("vjp", "jvp")
"""The derivations of every form of an operation."""
FURTHER = ("jacobian", "hessian", "hvp")
SHORT = 9
"""How many statements a further derivation of an operation may have to be shown."""

T = TypeVar("T")


@dataclass(frozen=True)
class Proved:
    """A theorem and its verdict, as the prover recorded them."""

    name: str
    left: Any
    right: Any
    verdict: Verdict


@dataclass(frozen=True)
class Rewrite:
    """A rewrite that a kernel uses for stability: what it says, why it is used, and the verdict on it."""

    name: str
    why: str
    before: Any
    after: Any
    verdict: Verdict | None


@dataclass(frozen=True)
class Source:
    """The generated source of a kernel."""

    target: str
    text: str


@dataclass(frozen=True)
class Curve:
    """Values over the inputs at which they were taken; `label` says what they are."""

    label: str
    inputs: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class Missing:
    """A stage without a record for this operation, and why."""

    stage: str
    why: str
    failed: bool = False


@dataclass(frozen=True)
class Form:
    """An operation under one choice of its options, with what the stages recorded about it."""

    operation: Operation
    derivations: tuple[Derivation, ...] = ()
    theorems: tuple[Proved, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    sources: tuple[Source, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    function: tuple[Curve, ...] = ()
    errors: tuple[Curve, ...] = ()
    missing: tuple[Missing, ...] = ()
    seconds: float = 0

    @property
    def label(self) -> str:
        return self.operation.label

    @property
    def steps(self) -> int:
        return sum(len(d.steps) for d in self.derivations)

    def derivation(self, kind: str) -> Derivation | None:
        return next((d for d in self.derivations if d.kind == kind and not d.conditions), None)


@dataclass(frozen=True)
class OperationReport:
    """Everything recorded about an operation; `forms` has its default options first."""

    forms: tuple[Form, ...]

    @property
    def operation(self) -> Operation:
        return self.forms[0].operation

    @property
    def name(self) -> str:
        return self.operation.name

    @property
    def theorems(self) -> tuple[Proved, ...]:
        return tuple(t for form in self.forms for t in form.theorems)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(e for form in self.forms for e in form.evidence)

    @property
    def failures(self) -> tuple[str, ...]:
        return tuple(f"{f.label}: {m.stage}: {m.why}" for f in self.forms for m in f.missing if m.failed)

    @property
    def verdict(self) -> Verdict:
        """The verdicts on all theorems, and on the rewrites that the code rests on, as one."""
        named = [(t.name, t.verdict) for t in self.theorems]
        if named:
            rewrites = {r.name: r.verdict for form in self.forms for r in form.rewrites}
            named += [(name, verdict) for name, verdict in rewrites.items() if verdict is not None]
        return summarize([verdict for _, verdict in named], [name for name, _ in named])

    @property
    def failed_checks(self) -> int:
        return sum(not e.passed for e in self.evidence)

    def to_dict(self) -> dict[str, Any]:
        """The verdict object of the operation, with its theorems and its evidence."""
        return {
            **self.verdict.to_dict(),
            "theorems": [
                {"form": form.label, "name": t.name, **t.verdict.to_dict()}
                for form in self.forms
                for t in form.theorems
            ],
            "evidence": [{"form": form.label, **e.to_dict()} for form in self.forms for e in form.evidence],
            "missing": [
                {"form": form.label, "stage": m.stage, "why": m.why}
                for form in self.forms
                for m in form.missing
            ],
        }


def summarize(verdicts: Sequence[Verdict], names: Sequence[str]) -> Verdict:
    """Several verdicts as one: refuted if one is, else undecided if one is or there is none, else proved."""
    outcome: Outcome = combine(verdicts)
    seconds = sum(v.seconds for v in verdicts)
    notes = tuple(dict.fromkeys(note for v in verdicts for note in v.notes))
    if not verdicts:
        return Verdict("undecided", reason="nothing was proved about this operation")
    if outcome != "proved":
        place = next(i for i, v in enumerate(verdicts) if v.verdict == outcome)
        first = verdicts[place]
        reason = f"{names[place]}: {first.reason}" if first.reason else names[place]
        return replace(first, reason=reason, notes=notes, seconds=seconds)
    grounds = [v.ground for v in verdicts if v.ground is not None]
    return Verdict("proved", ground=join_grounds(grounds), notes=notes, seconds=seconds)


def join_grounds(grounds: Sequence[Ground]) -> Ground:
    """What several proofs rest on together; the kind is the one that asks for most."""
    order: tuple[GroundKind, ...] = ("normal-form", "decision-procedure", "induction", "exact-execution")
    kind = order[max(order.index(g.kind) for g in grounds)]

    def union(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for g in grounds for text in getattr(g, name)))

    bounds = [g.bound for g in grounds if g.bound is not None]
    weakest = max(bounds, key=lambda b: (b.kind == "heuristic", b.log2)) if bounds else None
    return Ground(kind, union("sizes"), union("regions"), union("assumes"), weakest)


# --- asking the stages


class Recorder:
    """Asks one stage after the other; a stage that fails is recorded as failed, and the rest goes on."""

    def __init__(self, operation: Operation, checks: Helpers) -> None:
        self.operation = operation
        self.checks = checks
        self.missing: list[Missing] = []

    def ask(self, stage: str, question: Callable[[], T], otherwise: T) -> T:
        try:
            return question()
        except Exception as problem:  # a defect of one stage does not cost the report of the others
            if os.environ.get("GRADPROOF_TRACEBACK"):
                traceback.print_exception(problem)
            text = " ".join(f"{type(problem).__name__}: {problem}".split())
            self.missing.append(Missing(stage, text, failed=True))
            return otherwise

    def form(self) -> Form:
        started = time.perf_counter()
        derivations = self.ask("derivation", lambda: tuple(self.derivations()), ())
        theorems = self.ask("proof", lambda: self.theorems(derivations), ())
        return Form(
            self.operation,
            derivations,
            theorems,
            self.ask("code", self.rewrites, ()),
            tuple(s for target in TARGETS for s in self.ask("code", lambda t=target: self.source(t), ())),
            evidence=self.ask("evidence", self.evidence, ()),
            function=self.ask("plot", self.function, ()),
            errors=self.ask("plot", self.errors, ()),
            missing=tuple(self.missing),
            seconds=time.perf_counter() - started,
        )

    def derivations(self) -> Iterator[Derivation]:
        for kind in KINDS:
            yield derive(self.operation, kind)
        if self.operation.conditions:
            yield derive(self.operation, "vjp", conditions=True)
        if self.operation.variants[0] is not self.operation or is_repeated(self.operation):
            return
        for kind in FURTHER:
            if kind != "hessian" or has_short_hessian(self.operation):
                made = derive(self.operation, kind)
                if len(made.program.statements) <= SHORT:
                    yield made

    def theorems(self, derivations: Sequence[Derivation]) -> tuple[Proved, ...]:
        """Every derivation that the page shows, proved."""
        from gradproof.symbolic.proof import prove_conditions, prove_kind, prove_operation

        found = list(prove_operation(self.operation))
        for d in derivations:
            if d.conditions:
                found += prove_conditions(self.operation, d.kind)
            elif d.kind != "vjp":
                found += prove_kind(self.operation, d.kind)
        return tuple(Proved(t.name, t.left, t.right, t.verdict) for t in found)

    def rewrites(self) -> tuple[Rewrite, ...]:
        from gradproof.numeric.kernels import lower

        rows = {row.name: row for row in lower(self.operation, "numpy").rewrites}
        return tuple(rewrite(row) for row in rows.values())

    def source(self, target: str) -> tuple[Source, ...]:
        """The source for a target; none for PyTorch where it is not installed."""
        from gradproof.numeric.kernels import lower

        try:
            return (Source(target, lower(self.operation, target).source),)
        except ModuleNotFoundError as problem:
            if problem.name != target:
                raise
            self.missing.append(Missing("code", f"{target} is not installed"))
            return ()

    def evidence(self) -> tuple[Evidence, ...]:
        """The numerical checks; none where PyTorch, their oracle, is not installed."""
        try:
            return self.checks.verify(self.operation)
        except ModuleNotFoundError as problem:
            if problem.name != "torch":
                raise
            self.missing.append(Missing("evidence", "torch is not installed"))
            return ()

    def errors(self) -> tuple[Curve, ...]:
        """The errors of the PyTorch kernel over the inputs, where there is one variable."""
        try:
            return tuple(Curve(*parts) for parts in self.checks.draw_errors(self.operation))
        except ModuleNotFoundError as problem:
            if problem.name != "torch":
                raise
            return ()

    def function(self) -> tuple[Curve, ...]:
        """The function and its derivative on a grid, where they have one variable."""
        operation = self.operation
        single = len(operation.inputs) == len(operation.outputs) == 1
        if not (single and operation.inputs[0].dtype == "real" and elementwise(operation)):
            return ()
        import numpy as np

        from gradproof.numeric.kernels import lower

        low = 0.02 if operation.inputs[0].domain == "(0, inf)" else -5.0
        x = np.linspace(low, 5, 401)
        kernel = lower(operation, "numpy")
        (y,), saved = kernel.forward(x)
        (dx,) = kernel.vjp(saved, np.ones_like(y))
        return Curve("y", x.tolist(), y.tolist()), Curve("dy/dx", x.tolist(), dx.tolist())


def is_repeated(operation: Operation) -> bool:
    """Whether an operation repeats along an axis."""
    return any(isinstance(s, Recurrence) for s in flat(operation.program.statements))


def has_short_hessian(operation: Operation) -> bool:
    """Whether the outputs are scalars or vectors, batch axes aside, and the pairs of real inputs are few."""
    inputs = [t for t in operation.inputs if t.dtype == "real"]
    vectors = all(sum(not axis.variadic for axis in t.axes) <= 1 for t in operation.outputs)
    return vectors and len(inputs) ** 2 <= SHORT


def elementwise(operation: Operation) -> bool:
    """Whether inputs and outputs have nothing but the same batch axes."""
    tensors = (*operation.inputs, *operation.outputs)
    return all(axis.variadic for t in tensors for axis in t.axes) and len({t.axes for t in tensors}) == 1


@lru_cache(maxsize=256)
def rewrite(row: Row) -> Rewrite:
    """A stability row with its statement and the verdict on it."""
    from gradproof.symbolic.proof import prove

    before, after = row.statement()
    return Rewrite(row.name, row.says, before, after, prove(before, after))


def collect(operation: Operation, checks: Helpers | None = None) -> OperationReport:
    """Everything that the stages have to say about an operation, under each choice of its options.

    The numerical checks are taken from `checks`; without it they are made here.
    """
    checks = checks or Helpers(())
    return OperationReport(tuple(Recorder(form, checks).form() for form in operation.variants))

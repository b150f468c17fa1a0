"""What a page shows, in the order in which it shows it: boxes and texts for the templates of every format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradproof.report.collect import Form, OperationReport, Proved, Rewrite
from gradproof.report.steps import Subject, rules_used, subjects
from gradproof.symbolic.boxes import EQUALS, Box, Equation, Group, Line, row
from gradproof.symbolic.derivation import Derivation
from gradproof.symbolic.equations import (
    derivation_notation,
    flat_equations,
    operation_notation,
    program_lines,
)
from gradproof.symbolic.functions import FUNCTIONS
from gradproof.symbolic.mathml import width
from gradproof.symbolic.notation import Notation
from gradproof.symbolic.proof import prove_row
from gradproof.symbolic.verdict import Verdict

_SHORT = 64
TITLES = {
    "vjp": "The gradient",
    "jvp": "The derivative along a direction",
    "jacobian": "The Jacobian",
    "hessian": "The Hessian",
    "hvp": "The Hessian times a vector",
    "taylor": "The Taylor expansion",
}
LEADS = {
    "vjp": "The adjoint of each input, from the adjoints of the outputs (reverse mode).",
    "jvp": "The tangent of each output, from the tangents of the inputs (forward mode).",
    "jacobian": "The derivative of each entry of an output by each entry of an input.",
    "hessian": "The second derivatives of a loss by the inputs, with the adjoints of the outputs held still.",
    "hvp": "The tangents of the adjoints along tangents of the inputs.",
}
TOPICS = (
    "activations",
    "elementwise",
    "reductions",
    "losses",
    "linear",
    "normalization",
    "recurrent",
    "attention",
)


@dataclass(frozen=True)
class Block:
    """Equations set together, or one group of them."""

    equations: tuple[Equation, ...]
    group: Group | None = None


@dataclass(frozen=True)
class DerivationView:
    """A derivation as a page shows it."""

    kind: str
    title: str
    lead: str
    blocks: tuple[Block, ...]
    conditions: tuple[Box, ...]
    subjects: tuple[Subject, ...]
    rules: dict[str, tuple[str, int]]
    steps: int
    further: bool


@dataclass(frozen=True)
class TheoremView:
    """A theorem as a page shows it."""

    name: str
    left: Box
    right: Box
    verdict: Verdict


@dataclass(frozen=True)
class RewriteView:
    """A stability rewrite as a page shows it."""

    name: str
    why: str
    before: Box
    after: Box
    verdict: Verdict | None


@dataclass(frozen=True)
class FormView:
    """An operation under one choice of its options, as a page shows it."""

    form: Form
    anchor: str
    definition: tuple[Block, ...]
    derivations: tuple[DerivationView, ...]
    theorems: tuple[TheoremView, ...]
    rewrites: tuple[RewriteView, ...]


def blocks(lines: Iterable[Line]) -> tuple[Block, ...]:
    """Neighbouring equations together, each group on its own."""
    made: list[Block] = []
    waiting: list[Equation] = []
    for line in lines:
        if isinstance(line, Group):
            if waiting:
                made.append(Block(tuple(waiting)))
                waiting = []
            made.append(Block((), line))
        else:
            waiting.append(line)
    if waiting:
        made.append(Block(tuple(waiting)))
    return tuple(made)


def view_form(form: Form) -> FormView:
    """An operation under one choice of its options."""
    operation = form.operation
    anchor = "".join(c if c.isalnum() else "-" for c in operation.label).strip("-")
    vjp = form.derivation("vjp")
    notation = derivation_notation(vjp) if vjp is not None else operation_notation(operation)

    def theorem(t: Proved) -> TheoremView:
        return TheoremView(t.name, notation.box(t.left), notation.box(t.right), t.verdict)

    def rewrite(r: Rewrite) -> RewriteView:
        return RewriteView(r.name, r.why, notation.box(r.before), notation.box(r.after), r.verdict)

    return FormView(
        form,
        anchor,
        blocks(program_lines(operation.program, operation_notation(operation))),
        tuple(view_derivation(d) for d in form.derivations),
        tuple(theorem(t) for t in form.theorems),
        tuple(rewrite(r) for r in form.rewrites),
    )


def leaves() -> tuple[TheoremView, ...]:
    """The rows of the leaf table, each with the verdict on it."""
    notation = Notation()
    proved = (prove_row(row) for row in FUNCTIONS.values())
    return tuple(TheoremView(t.name, notation.box(t.left), notation.box(t.right), t.verdict) for t in proved)


def view_derivation(d: Derivation) -> DerivationView:
    """A derivation with its closed form, its steps and the rules that it uses."""
    notation = derivation_notation(d)
    return DerivationView(
        d.kind,
        TITLES.get(d.kind, d.kind),
        LEADS.get(d.kind, ""),
        blocks(program_lines(d.program, notation)),
        tuple(row(notation.box(c.left), EQUALS, notation.box(c.right)) for c in d.conditions),
        subjects(d),
        rules_used(d),
        len(d.steps),
        bool(d.based_on),
    )


def by_topic(reports: Sequence[OperationReport]) -> dict[str, list[OperationReport]]:
    """The operations by topic, in the order of a textbook; topics of the user's own come last."""
    found: dict[str, list[OperationReport]] = {}
    for report in reports:
        found.setdefault(report.operation.topic, []).append(report)
    known = [t for t in TOPICS if t in found]
    return {t: found[t] for t in (*known, *(t for t in found if t not in TOPICS))}


def headline(report: OperationReport) -> Equation | None:
    """The equation that stands for an operation on the first page.

    It is the first short one that tells its gradient, or the shortest where none is short.
    """
    vjp = report.forms[0].derivation("vjp")
    if vjp is None:
        return None
    wanted = [t.name for t in vjp.results.values()]
    lines = program_lines(vjp.program, derivation_notation(vjp))
    found = [e for e in flat_equations(lines) if e.name in wanted] or list(flat_equations(lines))
    short = [e for e in found if width(e.left) + width(e.right) <= _SHORT]
    return short[0] if short else min(found, key=lambda e: width(e.right), default=None)


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> count(2, "step")
    '2 steps'
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"

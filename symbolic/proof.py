"""prove() and refute(): verdicts on equalities, and on everything that an operation's derivation claims."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from gradproof.symbolic.decision import Definitions, decide, decide_under
from gradproof.symbolic.derivation import canonical_indices, derive
from gradproof.symbolic.expressions import Expr, Tensor, entry, parameter
from gradproof.symbolic.functions import FUNCTIONS, Function
from gradproof.symbolic.higher import extended
from gradproof.symbolic.kinks import Convention, conventions
from gradproof.symbolic.language import read
from gradproof.symbolic.operation import Definition, Operation, flat
from gradproof.symbolic.pushforward import Equation, UnitVector, defined, tangent_equations, taylor_equations
from gradproof.symbolic.statements import prove_text as prove_text
from gradproof.symbolic.tangent import tangent
from gradproof.symbolic.theorems import Pairing, stages
from gradproof.symbolic.verdict import Verdict


@dataclass(frozen=True)
class Theorem:
    """A named equality and the verdict on it."""

    name: str
    left: Expr
    right: Expr
    verdict: Verdict


def prove(left: Any, right: Any, *, definitions: Definitions | None = None) -> Verdict:
    """Whether two expressions are equal wherever the left one has a value, at every size.

    The sides are expressions of the index calculus or SymPy expressions over array entries; tensors in
    `definitions` are written out. *Proved* rests on the normal form; *refuted* carries a witness; what the
    normal form cannot decide is *undecided*.

    >>> import sympy as sp
    >>> from gradproof.symbolic.language import sigmoid, symbol
    >>> from gradproof.symbolic.expressions import parameter
    >>> x = symbol(parameter("x"))
    >>> prove(sp.tanh(x), 2 * sigmoid(2 * x) - 1).verdict
    'proved'
    >>> prove(sp.tanh(x), 2 * sigmoid(x) - 1).verdict
    'refuted'
    """
    started = time.perf_counter()
    verdict = decide(read(left), read(right), definitions or {})
    return replace(verdict, seconds=time.perf_counter() - started)


# --- leaf rows


def prove_row(row: Function) -> Theorem:
    """The derivative in a row of the leaf table, from the function's definition.

    A function defined by earlier rows is differentiated through them; one defined as an integral from 0 has
    its integrand for derivative; an inverse `f` of `g` has `f' = 1 / g'(f)`. What is left is an axiom.
    """
    x = parameter("x", row.domain)
    name = f"{row.name}'"
    if row.definition is not None:
        body = row.definition(x)
        left = tangent(body, lambda e: e, variable=x)
        right = row.derivative(x, body)
    elif row.integrand is not None:
        left, right = row.integrand(x), row.derivative(x, x)
    elif row.inverse_of:
        other = FUNCTIONS[row.inverse_of]
        left = 1 / other.derivative(row.value(x), x)
        right = row.derivative(x, row.value(x))
    else:
        left = right = row.derivative(x, row.value(x))
    verdict = prove(left, right)
    if row.axiom and verdict.ground is not None:
        verdict = replace(
            verdict, ground=replace(verdict.ground, assumes=(*verdict.ground.assumes, row.axiom))
        )
    return Theorem(name, left, right, verdict)


# --- operations


@lru_cache(maxsize=512)
def prove_operation(operation: Operation) -> tuple[Theorem, ...]:
    """The pairings that make the derived VJP of an operation right, each with its verdict.

    They share nothing with `derive` but the leaf table. A recurrence adds the pairing of one generic step;
    with the wiring of its adjoint checked, it holds for every length by induction. Kinks add conventions.
    """
    derivation = derive(operation)
    parts, problems = stages(operation.program, derivation)
    results: list[Theorem] = []
    for stage in parts:
        for pairing in stage.pairings():
            results.append(_prove_pairing(pairing, problems))
    results += [_prove_convention(c) for c in conventions(operation.program)]
    return tuple(results)


@lru_cache(maxsize=2048)
def prove_kind(operation: Operation, kind: str, order: int = 2) -> tuple[Theorem, ...]:
    """The equations that make another derivative of an operation right, each with its verdict.

    - `"jvp"`, `"hvp"`, `"taylor"`: each tangent is the forward-mode derivative of its definition;
    - `"jacobian"`, `"hessian"`: each block is the VJP, or the Hessian-vector product, at a unit vector.

    Raises ValueError for another kind, and for the Hessian of an output of more axes.
    """
    equations, problems = _equations(operation, kind, order)
    statements = flat(operation.program.statements)
    outputs = [entry(t, *canonical_indices(t, statements)) for t in operation.outputs]
    results: list[Theorem] = []
    for e in equations:
        started = time.perf_counter()
        known = [o for o in outputs if o.tensor in e.definitions]
        verdict = decide(e.left, e.right, e.definitions, known)
        verdict = replace(verdict, seconds=time.perf_counter() - started)
        if problems and verdict.verdict == "proved":
            verdict = Verdict("undecided", reason="; ".join(problems))
        results.append(Theorem(f"{kind}: {e.name}", e.left, e.right, verdict))
    return tuple(results)


def _equations(operation: Operation, kind: str, order: int) -> tuple[list[Equation], list[str]]:
    program, made = operation.program, derive(operation, kind, order=order)
    moving = [t for t in program.inputs if t.dtype == "real"]
    if kind == "jvp":
        return tangent_equations(program, made, moving)
    if kind == "taylor":
        return taylor_equations(program, made, moving, order)
    count = len(program.outputs)
    if kind == "hvp":
        return tangent_equations(extended(program, made.based_on[0], count), made, moving)
    base = made.based_on[-1]
    whole, seeds = program, base.program.inputs[-count:]
    if kind == "hessian":
        whole, seeds = extended(program, base.based_on[0], count), base.program.inputs[-len(moving) :]
    known = defined(flat(whole.statements))
    equations: list[Equation] = []
    problems: list[str] = []
    for seed in seeds:
        found, wrong = UnitVector(base, made, seed, seeds, kind == "jacobian", known).equations()
        equations, problems = equations + found, problems + wrong
    shown = {e.name for e in equations}
    problems += [
        f"{t.name} is not accounted for"
        for t in defined(flat(made.program.statements))
        if t.name not in shown
    ]
    return equations, problems


def prove_conditions(operation: Operation, kind: str = "vjp") -> tuple[Theorem, ...]:
    """That a closed form is what it becomes under the conditions which the operation states."""
    made = derive(operation, kind, conditions=True)
    if not made.conditions:
        return ()
    suppose = tuple((c.left, c.right) for c in made.conditions)
    general = defined(flat(made.based_on[0].program.statements))
    forward = defined(flat(operation.program.statements))
    results: list[Theorem] = []
    for target, d in defined(flat(made.program.statements)).items():
        left = general[target].value
        verdict = decide_under(left, d.value, forward, suppose)
        results.append(Theorem(f"{kind} under conditions: {target.name}", left, d.value, verdict))
    return tuple(results)


def _prove_convention(c: Convention) -> Theorem:
    """The value at a kink is a mean of the derivatives on both sides (Clarke)."""
    name = f"convention at {c.place}"
    if c.hull is None:
        reason = (
            f"at {c.place} the cases give {c.value}, not shown to be a mean of the derivatives on both sides"
        )
        return Theorem(name, c.value, c.value, Verdict("undecided", reason=reason))
    verdict = prove(c.value, c.hull)
    if verdict.ground is not None:
        said = "no finite derivative on one side, the value is" if c.unbounded else "the derivative is"
        note = f"convention: at {c.place} {said} {c.value}"
        ground = replace(verdict.ground, assumes=(*verdict.ground.assumes, note))
        verdict = replace(verdict, ground=ground)
    return Theorem(name, c.value, c.hull, verdict)


def _prove_pairing(pairing: Pairing, problems: list[str]) -> Theorem:
    started = time.perf_counter()
    verdict = decide_pairing(pairing)
    if pairing.step_of and verdict.ground is not None:
        ground = replace(verdict.ground, kind="induction")
        verdict = replace(
            verdict, ground=ground, notes=(*verdict.notes, f"the step of {pairing.step_of}, any length")
        )
    if problems and verdict.verdict == "proved":
        verdict = Verdict("undecided", reason="; ".join(problems))
    name = f"adjoint of {pairing.node.name}"
    return Theorem(name, pairing.left, pairing.right, replace(verdict, seconds=time.perf_counter() - started))


def decide_pairing(pairing: Pairing) -> Verdict:
    """Decide `right = left`: the forward-mode side is the function's own, whose domain counts."""
    return decide(pairing.right, pairing.left, pairing.definitions)


def definitions_of(operation: Operation) -> dict[Tensor, Definition]:
    """The definitions of an operation, for `prove(..., definitions=...)`."""
    return {s.target: s for s in flat(operation.program.statements) if isinstance(s, Definition)}

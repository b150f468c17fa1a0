"""Every kind of derivative of every operation is proved, and a changed one is not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from gradproof.symbolic.decision import decide_under
from gradproof.symbolic.derivation import derive
from gradproof.symbolic.expressions import ZERO
from gradproof.symbolic.operation import Definition, Recurrence, Statement, find, flat, operations
from gradproof.symbolic.proof import prove, prove_conditions, prove_kind
from gradproof.symbolic.pushforward import UnitVector, defined, tangent_equations
from gradproof.symbolic.verdict import combine

LABELS = [variant.label for op in operations().values() for variant in op.variants]
KINDS = ("jvp", "hvp", "jacobian", "hessian", "taylor")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", LABELS)
def test_proved(label: str, kind: str) -> None:
    try:
        theorems = prove_kind(find(label), kind)
    except ValueError as reason:
        assert kind == "hessian" and "scalar or a vector" in str(reason)
        return
    open_ones = [t for t in theorems if t.verdict.verdict != "proved"]
    assert combine([t.verdict for t in theorems]) == "proved", open_ones


def _scaled(statements: tuple[Statement, ...], place: int) -> tuple[Statement, ...]:
    """The statements with one definition off by a factor of 1 + 1e-12."""
    changed = list(statements)
    d = changed[place]
    assert isinstance(d, Definition)
    changed[place] = replace(d, value=d.value * (1 + Fraction(1, 10**12)))
    return tuple(changed)


@pytest.mark.parametrize(
    "label", ["softmax", "layer_norm", "lstm_cell", "attention(mask=causal)", "gelu_tanh"]
)
def test_a_changed_tangent_is_refuted(label: str) -> None:
    op = find(label)
    made = derive(op, "jvp")
    for place in range(len(made.program.statements)):
        wrong = replace(made.program, statements=_scaled(made.program.statements, place))
        equations, problems = tangent_equations(op.program, replace(made, program=wrong), op.inputs)
        assert problems == []
        verdicts = [prove(e.left, e.right, definitions=e.definitions).verdict for e in equations]
        assert "refuted" in verdicts


@pytest.mark.parametrize("label", ["softmax", "layer_norm", "cross_entropy"])
def test_a_changed_jacobian_is_refuted(label: str) -> None:
    op = find(label)
    made = derive(op, "jacobian")
    base = made.based_on[-1]
    seeds = base.program.inputs[-len(op.outputs) :]
    for place, d in enumerate(made.program.statements):
        if isinstance(d, Definition) and d.value is not ZERO:
            wrong = replace(made.program, statements=_scaled(made.program.statements, place))
            unit = UnitVector(
                base,
                replace(made, program=wrong),
                seeds[0],
                seeds,
                True,
                defined(flat(op.program.statements)),
            )
            equations, _ = unit.equations()
            assert "refuted" in [prove(e.left, e.right, definitions=e.definitions).verdict for e in equations]


def test_a_tangent_that_is_left_out_is_noticed() -> None:
    op = find("lstm")
    made = derive(op, "jvp")
    (r,) = made.program.statements
    assert isinstance(r, Recurrence)
    without_input = replace(r, scanned=tuple(s for s in r.scanned if s.inside.name != "x_t_dot"))
    without_start = replace(r, carried=tuple(replace(c, initial=None) for c in r.carried))
    for broken in (without_input, without_start, replace(r, reverse=True)):
        wrong = replace(made, program=replace(made.program, statements=(broken,)))
        _, problems = tangent_equations(op.program, wrong, [t for t in op.inputs if t.dtype == "real"])
        assert problems


def test_targets_that_sum_to_one() -> None:
    """`p - y` and `diag(p) - p p^T` are proved under the stated condition, and not without it."""
    op = find("soft_cross_entropy")
    for kind in ("vjp", "hessian"):
        theorems = prove_conditions(op, kind)
        assert combine([t.verdict for t in theorems]) == "proved"
        grounds = [t.verdict.ground for t in theorems]
        assert all(g is not None and "sum<k>(target[b,k]) = 1" in g.assumes for g in grounds)
        known = defined(flat(op.program.statements))
        without = [decide_under(t.left, t.right, known, ()).verdict for t in theorems]
        assert "undecided" in without

"""Derivations of the catalogue with one thing changed: each is refuted, with a witness of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gradproof.symbolic.derivation import Derivation, derive
from gradproof.symbolic.expressions import (
    Add,
    add,
    bracket,
    entry,
    number,
    power,
    rewrite,
    size,
    walk,
    where,
)
from gradproof.symbolic.operation import Definition, Operation, Recurrence, find
from gradproof.symbolic.proof import decide_pairing, definitions_of, prove
from gradproof.symbolic.theorems import stages
from gradproof.symbolic.verdict import Verdict

Change = Callable[[Definition], Definition | None]


def halved(d: Definition) -> Definition:
    return replace(d, value=d.value / 2)


def negated(d: Definition) -> Definition:
    return replace(d, value=-d.value)


def without_its_first_term(d: Definition) -> Definition | None:
    found = next((node for node in walk(d.value) if isinstance(node, Add)), None)
    if found is None:
        return None
    shorter = add(*found.terms[1:])
    return replace(d, value=rewrite(d.value, lambda node: shorter if node is found else node))


def changed(d: Derivation, change: Change) -> Iterator[tuple[str, Derivation]]:
    """The derivation with one of its definitions changed, within a recurrence or not, each in turn."""
    for place, statement in enumerate(d.program.statements):

        def put(new: Definition | Recurrence, place: int = place) -> Derivation:
            statements = (*d.program.statements[:place], new, *d.program.statements[place + 1 :])
            return replace(d, program=replace(d.program, statements=statements))

        if isinstance(statement, Definition) and (new := change(statement)) is not None:
            yield statement.target.name, put(new)
        for n, inner in enumerate(statement.body if isinstance(statement, Recurrence) else ()):
            assert isinstance(statement, Recurrence)
            if (new := change(inner)) is None:
                continue
            backward = replace(statement, body=(*statement.body[:n], new, *statement.body[n + 1 :]))
            pairs = tuple(
                replace(r, backward=backward) if r.backward is statement else r for r in d.recurrences
            )
            yield inner.target.name, replace(put(backward), recurrences=pairs)


def verdicts(op: Operation, d: Derivation) -> list[Verdict]:
    parts, _ = stages(op.program, d)
    return [decide_pairing(p) for s in parts for p in s.pairings()]


def assert_refuted(found: list[Verdict], name: str) -> None:
    refuted = [v for v in found if v.verdict == "refuted"]
    assert refuted, (name, found)
    for v in refuted:
        assert v.witness is not None and v.witness.point, (name, v)
        assert v.witness.left != v.witness.right, (name, v)


CHANGES = pytest.mark.parametrize("change", [halved, negated, without_its_first_term])


@pytest.mark.parametrize(
    "label", ["sigmoid", "cross_entropy", "layer_norm", "lstm_cell", "attention(mask=causal)"]
)
@CHANGES
def test_an_adjoint(label: str, change: Change) -> None:
    op = find(label)
    for name, wrong in changed(derive(op), change):
        assert_refuted(verdicts(op, wrong), name)


RECURRENCES = ("rnn", "lstm", "gru")


@pytest.mark.parametrize("label", RECURRENCES)
@CHANGES
def test_a_recurrence_of_any_length(label: str, change: Change) -> None:
    """Every adjoint of the step, those that carry a state's gradient to the step before among them."""
    op = find(label)
    d = derive(op)
    assert {v.verdict for v in verdicts(op, d)} == {"proved"}
    seen = dict(changed(d, change))
    if change is not without_its_first_term:
        (r,) = d.recurrences
        assert seen.keys() >= {b.after.name for b in r.backward.carried}
    for name, wrong in seen.items():
        assert_refuted(verdicts(op, wrong), name)


def _attention() -> tuple[Operation, dict[str, Definition], Derivation]:
    op = find("attention(mask=padding)")
    return op, {t.name: d for t, d in definitions_of(op).items()}, derive(op)


def test_a_fully_masked_row_has_weights_of_zero() -> None:
    """Not 1/n, which the softmax of a row of equal large negative scores gives."""
    op, forward, _ = _attention()
    p, some = forward["p"], forward["some"]
    masked = bracket("==", entry(some.target, *p.indices[:2]), 0)
    known = definitions_of(op)
    assert prove(masked * p.value, number(0), definitions=known).verdict == "proved"
    uniform = where(masked, power(size(p.target.axes[-1]), -1), p.value)
    verdict = prove(p.value, uniform, definitions=known)
    assert_refuted([verdict], "p")
    assert verdict.witness is not None and "allowed" in str(verdict.witness.point)


def test_a_fully_masked_row_has_gradients_of_zero() -> None:
    op, forward, d = _attention()
    some = forward["some"].target

    def passed_straight_through(s: Definition) -> Definition | None:
        if s.target.name != "dscores":
            return None
        adjoint = next(r for r in d.program.statements if isinstance(r, Definition) and r.target.name == "dp")
        masked = bracket("==", entry(some, *s.indices[:2]), 0)
        return replace(s, value=s.value + masked * entry(adjoint.target, *s.indices))

    ((name, wrong),) = changed(d, passed_straight_through)
    assert_refuted(verdicts(op, wrong), name)

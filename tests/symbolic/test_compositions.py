"""Operations call operations, recurrences too: proved for every length, and no near miss passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import sympy as sp
from compositions import BATCH, COMPOSITIONS, FOUR, SOURCE, STATE, TIME, rnn, rnn_cell, stacked_lstm, weights

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.catalogue.axes import INPUT
from gradproof.symbolic.derivation import Derivation, derive
from gradproof.symbolic.expressions import Tensor, entry, parameter
from gradproof.symbolic.language import indices, read, symbol
from gradproof.symbolic.mistakes import MistakeError
from gradproof.symbolic.operation import Array, Builder, Operation, Recurrence, operation, real
from gradproof.symbolic.proof import decide_pairing, prove, prove_kind, prove_operation, prove_text
from gradproof.symbolic.theorems import stages
from gradproof.symbolic.verdict import combine

by_name = pytest.mark.parametrize("op", COMPOSITIONS, ids=lambda op: op.name)


@by_name
def test_proved_for_every_length(op: Operation) -> None:
    derive(op).replay()
    made = prove_operation(op)
    assert {x.name: x.verdict.reason for x in made if x.verdict.verdict != "proved"} == {}
    assert "induction" in {x.verdict.ground.kind for x in made if x.verdict.ground is not None}


@pytest.mark.parametrize("kind", ["jvp", "hvp", "jacobian"])
@by_name
def test_other_derivatives_are_proved(op: Operation, kind: str) -> None:
    assert {x.name: x.verdict.reason for x in prove_kind(op, kind) if x.verdict.verdict != "proved"} == {}


# --- near misses


def _changed(d: Derivation, old: Recurrence, new: Recurrence) -> Derivation:
    """The derivation with one of its recurrences in another form."""
    statements = tuple(new if s is old else s for s in d.program.statements)
    recurrences = tuple(replace(r, backward=new) if r.backward is old else r for r in d.recurrences)
    return replace(d, program=replace(d.program, statements=statements), recurrences=recurrences)


def _others(one: Tensor | None, d: Derivation) -> Iterator[Tensor]:
    """The tensors that could be taken for another one."""
    found = {t for r in d.recurrences for t in (*r.forward.targets, *r.backward.targets)}
    found |= set(d.program.inputs) | set(d.adjoints.values())
    yield from sorted((t for t in found if one is not None and t.axes == one.axes and t != one), key=repr)


def _misses(d: Derivation) -> Iterator[tuple[str, Derivation]]:
    """Derivations that are wrong in how one of their recurrences is joined to the rest."""
    for b in (r.backward for r in d.recurrences):
        yield f"{b.name} runs the other way", _changed(d, b, replace(b, reverse=not b.reverse))
        for place, c in enumerate(b.carried):
            rest = (b.carried[:place], b.carried[place + 1 :])
            starts = [*_others(c.initial or c.last, d)] + ([None] if c.initial else [])
            for other in starts:
                carried = (*rest[0], replace(c, initial=other), *rest[1])
                yield (
                    f"{b.name}: {c.before.name} starts at {other}",
                    _changed(d, b, replace(b, carried=carried)),
                )
            carried = (*rest[0], replace(c, after=c.before), *rest[1])
            yield f"{b.name}: {c.before.name} is not handed on", _changed(d, b, replace(b, carried=carried))
        for place, s in enumerate(b.scanned):
            for other in (
                *(replace(s, outside=o) for o in _others(s.outside, d)),
                replace(s, shift=s.shift + 1),
            ):
                scanned = (*b.scanned[:place], other, *b.scanned[place + 1 :])
                yield f"{b.name}: {s.inside.name} is {other}", _changed(d, b, replace(b, scanned=scanned))
        for place, x in enumerate(b.body):
            body = (*b.body[:place], replace(x, value=2 * x.value), *b.body[place + 1 :])
            yield f"{b.name}: twice {x.target.name}", _changed(d, b, replace(b, body=body))
        for place, pair in enumerate(b.summed):
            less = (*b.summed[:place], *b.summed[place + 1 :])
            yield f"{b.name}: {pair[1].name} is not summed", _changed(d, b, replace(b, summed=less))
    for place, r in enumerate(d.recurrences):
        for gone in r.received:
            less = replace(r, received=tuple(p for p in r.received if p != gone))
            made = (*d.recurrences[:place], less, *d.recurrences[place + 1 :])
            yield f"{gone[0].name} does not receive", replace(d, recurrences=made)
        fewer = (*d.recurrences[:place], *d.recurrences[place + 1 :])
        yield f"{r.forward.name} has no adjoint", replace(d, recurrences=fewer)


def _passes(op: Operation, d: Derivation) -> bool:
    parts, problems = stages(op.program, d)
    return not problems and combine([decide_pairing(p) for s in parts for p in s.pairings()]) == "proved"


@pytest.mark.parametrize(
    "op", [op for op in COMPOSITIONS if op.name != "stacked_lstm"], ids=lambda op: op.name
)
def test_no_near_miss_passes(op: Operation) -> None:
    d = derive(op)
    passed, count = [], 0
    for what, wrong in _misses(d):
        count += 1
        if _passes(op, wrong):
            passed.append(what)
    assert count > 10 and passed == []


# --- what is applied stays what it is

LEFT, RIGHT, BOTH = Axis("left"), Axis("right"), Axis("both", minimum=1)
(over_left,), (over_right,) = indices("k", LEFT), indices("k", RIGHT)


@operation("test", x=real(LEFT), y=real(RIGHT), register=False)
def outer_product(let: Builder, x: Array, y: Array) -> Array:
    """Two indices of one name, which differ by their axes alone."""
    return let("z", [over_left, over_right], x[over_left] * y[over_right])


@operation("test", x=real(BOTH), y=real(BOTH), register=False)
def over_one_axis(let: Builder, x: Array, y: Array) -> Array:
    return outer_product(x, y)


def test_indices_of_one_name_stay_two_where_their_axes_become_one() -> None:
    (d,) = over_one_axis.program.definitions.values()
    assert len(set(d.indices)) == 2
    i, j = indices("i j", BOTH, BOTH)
    x, y = over_one_axis.inputs
    z = entry(d.target, read(i), read(j))
    right, swapped = (entry(x, read(a)) * entry(y, read(b)) for a, b in ((i, j), (j, i)))
    assert prove(z, right, definitions={d.target: d}).verdict == "proved"
    assert prove(z, swapped, definitions={d.target: d}).verdict == "refuted"
    assert combine([t.verdict for t in prove_operation(over_one_axis)]) == "proved"


def test_what_is_cancelled_before_it_is_read_asks_for_nothing() -> None:
    """What docs/soundness.md says of constructors: the claim is about what was built, and text keeps all."""
    s = symbol(parameter("s"))
    assert read(s / s) is read(1) and read(sp.sqrt(s) ** 2) is read(s)
    assert prove(s / s, 1).verdict == "proved"
    assert prove_text("x", "x**2/x").verdict == "refuted"


# --- names and mistakes


def test_the_tensors_of_a_second_recurrence_have_names_of_their_own() -> None:
    assert [t.name for t in stacked_lstm.outputs] == ["lstm_h", "h_last", "lstm_h_last"]


def _repeating(**changes: Callable[[dict[str, Any]], object]) -> Operation:
    @operation(
        "test",
        {"x": real(BATCH, TIME, INPUT), "h0": STATE, "z": real(BATCH, TIME, SOURCE, INPUT), **weights()},
        register=False,
    )
    def wrong(let: Builder, x: Array, h0: Array, z: Array, **w: Array) -> Array:
        given: dict[str, Any] = {
            "cell": rnn_cell,
            "axis": TIME,
            "states": {"h0": (h0, "h")},
            "scanned": {"x": x},
            "shared": {k: w[k] for k in FOUR},
        }
        here = {"x": x, "h0": h0, "z": z, "w": w}
        given |= {k: change(here) for k, change in changes.items()}
        cell, axis = given.pop("cell"), given.pop("axis")
        return let.repeat(cell, axis, **given)["h"]

    return wrong


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("each in one of states, scanned and shared", {"shared": lambda _: {}}),
        ("needs a state", {"states": lambda _: {}, "shared": lambda v: {**v["w"], "h0": v["h0"]}}),
        (
            r"name of an output of rnn_tanh_cell\), which are h; found .*'c'",
            {"states": lambda v: {"h0": (v["h0"], "c")}},
        ),
        ("so it has that axis once", {"scanned": lambda v: {"x": v["h0"]}}),
        (
            "axis batch of .* stands for batch elsewhere, found batch and time",
            {"states": lambda v: {"h0": (v["x"], "h")}},
        ),
        ("repeats along an axis itself", {"cell": lambda _: rnn, "scanned": lambda v: {"x": v["z"]}}),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_mistake_in_repeat_is_one_sentence(said: str, changes: dict[str, Any]) -> None:
    with pytest.raises(MistakeError, match=said):
        _ = _repeating(**changes).program

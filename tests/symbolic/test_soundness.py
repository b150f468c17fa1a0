"""What must not be proved, and what must not be refuted: relations that were used beyond where they hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
import sympy as sp
from random_expressions import subject, told_apart

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.derivation import Derivation, derive
from gradproof.symbolic.expressions import (
    Expr,
    Reduce,
    Tensor,
    bracket,
    call,
    entry,
    index,
    number,
    parameter,
    power,
    reduce,
    refresh,
    total,
    where,
)
from gradproof.symbolic.functions import largest_share
from gradproof.symbolic.language import indicator, indices, sum_over
from gradproof.symbolic.operation import (
    Builder,
    Definition,
    Operation,
    Recurrence,
    boolean,
    find,
    operation,
    real,
)
from gradproof.symbolic.proof import decide_pairing, prove, prove_kind, prove_operation
from gradproof.symbolic.pushforward import tangent_equations
from gradproof.symbolic.theorems import stages
from gradproof.symbolic.verdict import combine

N, LOOSE = Axis("n", minimum=1), Axis("loose")
X, Y, W = Tensor("x", (N,)), Tensor("y", (N,)), Tensor("w", (LOOSE,))
i, j, k, i1, m = (*(index(name, N) for name in ("i", "j", "k", "i1")), index("m", LOOSE))
T, U, V, Z = (parameter(name) for name in "tuvz")
B, C = (entry(Tensor(name, (), "boolean")) for name in "bc")
NOTHING = 1 - call("sigmoid", T) - call("sigmoid", -T)
"""0 for a reason: what it multiplies is not asked for by the normal form, but it has to have a value."""


def x(*at: Expr) -> Expr:
    return entry(X, *at)


def y(*at: Expr) -> Expr:
    return entry(Y, *at)


def w(*at: Expr) -> Expr:
    return entry(W, *at)


def exp(a: Expr) -> Expr:
    return call("exp", a)


PRODUCT = Tensor("d", (N, N))
"""d[j, k] = (sum over i of x[i]) (sum over i1 of y[i1]) x[j] y[k]"""
OPENED = {PRODUCT: Definition(PRODUCT, (j, k), total(x(i) * y(i1), i, i1) * x(j) * y(k))}
QUOTIENT = Tensor("e")
DIVIDED = {QUOTIENT: Definition(QUOTIENT, (), total(x(k) * y(k), k) / Z)}
HALF = Fraction(1, 2)
MIXED = B * U + B * V
POSITIVE_TWIN = entry(Tensor("q", (), "real", "[0, inf)"))

FALSE: dict[str, tuple[Expr, Expr, dict[Tensor, Definition]]] = {
    "where u = 0 the left side has a value, under the condition that is false": (
        where(B, 1 / U, 0),
        where(B, 1, 0) / U,
        {},
    ),
    "x[k] may be 0 at another k": (1 / x(k), 1 / x(k) + total(1 / x(k), k) * NOTHING, {}),
    "the condition is about another k than the denominators": (
        T,
        where(bracket(">", x(k), 0), T + total(1 / x(k), k) * NOTHING, T),
        {},
    ),
    "on an empty axis the denominator of the left side is not looked at": (
        total(exp(w(m)) / Z, m),
        total(exp(w(m)), m) / Z,
        {},
    ),
    "an empty axis has no maximum": (T, T + reduce("max", (m,), w(m)) * NOTHING, {}),
    "the denominator is hidden in a definition that need not be opened": (
        T,
        T + entry(QUOTIENT) * NOTHING,
        DIVIDED,
    ),
    "the denominator of a condition, whichever way it turns out": (
        exp(T),
        exp(T * bracket(">", U / V, 0) + T * (1 - bracket(">", U / V, 0))),
        {},
    ),
    "0 times what has no value": (
        exp(where(bracket(">", T, 0), 1 / V, 0)),
        exp(bracket(">", T, 0) / V),
        {},
    ),
    "a denominator that is 0 where the condition is false clears nothing": (
        where(C, (1 - B) / MIXED, 0) + (1 - B) * T,
        number(0),
        {},
    ),
    "position 5 need not be on the axis": (T, T + x(number(5)) * NOTHING, {}),
    "no entry at position 5 of a short axis": (
        total(bracket("==", i, 5) * x(i), i),
        total(bracket("==", i, 5), i) * x(number(5)),
        {},
    ),
    "cases need a condition that is 0 or 1": (where(U, T, V), U * T + (1 - U) * V, {}),
    "a free index is not a bound one, whatever its name": (
        total(x(k) * y(index("_1_0", N)), k),
        total(x(k) * y(k), k),
        {},
    ),
    "two bound indices stay two when a definition is opened": (
        entry(PRODUCT, i, i1),
        total(x(k) * y(k), k) * x(i) * y(i1),
        OPENED,
    ),
    "two tensors of one name are two": (
        1 / entry(Tensor("q")),
        1 / entry(Tensor("q")) + NOTHING / POSITIVE_TWIN,
        {},
    ),
    "a condition on x[i] is none on the bound i": (
        exp(where(bracket("==", x(i), 0), total(x(i), i), 0)),
        number(1),
        {},
    ),
    "1 / u has no value at 0, and no sign": (exp(bracket(">", U, 0)), exp(bracket(">", 1 / U, 0)), {}),
    "sqrt(2) sqrt(uv) twice is 2 uv": (
        (power(2, HALF) * power(U * V, HALF)) * (power(2, HALF) * power(U * V, HALF)),
        2 * U**2 * V**2,
        {},
    ),
}


@pytest.mark.parametrize("name", FALSE)
def test_not_proved(name: str) -> None:
    left, right, definitions = FALSE[name]
    verdict = prove(left, right, definitions=definitions)
    assert verdict.verdict != "proved", verdict


def test_a_declaration_is_no_proof() -> None:
    """That a defined tensor is boolean or positive does not follow from its saying so."""
    flag, positive = Tensor("flag", (), "boolean"), Tensor("positive", (), "real", "(0, inf)")
    squared = prove(entry(flag) ** 2, T**2, definitions={flag: Definition(flag, (), T)})
    assert squared.verdict == "undecided"
    root = power(entry(positive) ** 2, HALF)
    assert prove(root, T, definitions={positive: Definition(positive, (), T)}).verdict == "undecided"
    assert prove(T, parameter("t", "(0, inf)")).verdict == "undecided", "one name, two domains"


def test_an_empty_axis_is_a_stated_condition() -> None:
    verdict = prove(total(exp(w(m)) / total(exp(w(m)), m), m), 1)
    assert verdict.ground is not None and "loose >= 1" in verdict.ground.sizes


def test_true_and_not_refuted() -> None:
    """A denominator that looks like 0 at low precision, a product of equal roots, indices of two axes."""
    tiny = Fraction(1, 10**30)
    circle = call("sin", T) ** 2 + call("cos", T) ** 2 - 1
    assert prove(number(10**30), 1 / (tiny + circle)).verdict != "refuted"
    root = power(2, HALF) * power(U * V, HALF)
    assert prove(root * root, 2 * U * V).verdict == "proved"
    delta = bracket("==", i, m)
    assert prove(delta * w(m) * x(i), delta * w(m) * (x(i) + NOTHING)).verdict == "proved"
    chosen = bracket(">", T, 0) + NOTHING
    assert prove(where(bracket(">", T, 0), U, V), where(chosen, U, V)).verdict != "refuted"


def test_renaming_keeps_two_indices_two() -> None:
    both = refresh(total(x(i) * y(i1), i, i1), (i, i1))
    assert isinstance(both, Reduce) and len(both.indices) == 2
    share = largest_share(Reduce("max", (i, i1), x(i) * y(i1)))
    assert max(len(n.indices) for n in _reductions(share) if n.kind == "sum") == 2


def _reductions(expr: Expr) -> list[Reduce]:
    here = [expr] if isinstance(expr, Reduce) else []
    return here + [found for child in expr.children for found in _reductions(child)]


# --- derivations


def _without(derivation: Derivation, gone: Tensor) -> Derivation:
    """The derivation of a recurrence whose step has lost one adjoint, with the consequence drawn: it is 0."""
    (r,) = derivation.recurrences
    lost = r.adjoints[gone]
    handed_on = {o for i, o in r.backward.summed if i == lost}
    handed_on |= {c.outside for c in r.backward.collected if c.inside == lost}
    names = {tensor for tensor, given in r.received if given in handed_on}
    results, statements = dict(derivation.results), list(derivation.program.statements)
    for tensor in names:
        nothing = Tensor(f"no_{tensor.name}", tensor.axes)
        over = tuple(index(f"a{n}", axis) for n, axis in enumerate(tensor.axes))
        results[tensor.name] = nothing
        statements.append(Definition(nothing, over, number(0)))
    shorter = replace(
        r,
        adjoints={t: a for t, a in r.adjoints.items() if t != gone},
        received=tuple(pair for pair in r.received if pair[1] not in handed_on),
    )
    program = replace(derivation.program, statements=tuple(statements))
    return replace(derivation, recurrences=(shorter,), results=results, program=program)


def _passes(op: Operation, derivation: Derivation) -> bool:
    parts, problems = stages(op.program, derivation)
    return not problems and combine([decide_pairing(p) for s in parts for p in s.pairings()]) == "proved"


@pytest.mark.parametrize("gone", ["x_t", "w_ih", "w_hh", "b_ih"])
def test_an_adjoint_forgotten_in_a_step_is_noticed(gone: str) -> None:
    op = find("rnn")
    d = derive(op)
    (r,) = d.recurrences
    assert _passes(op, d)
    assert not _passes(op, _without(d, next(t for t in r.adjoints if t.name == gone)))


def test_a_forgotten_recurrence_is_noticed() -> None:
    op = find("rnn")
    d = derive(op)
    zeros = tuple(
        Definition(t, tuple(index(f"a{n}", axis) for n, axis in enumerate(t.axes)), number(0))
        for t in d.results.values()
    )
    program = replace(d.program, statements=zeros)
    assert not _passes(op, replace(d, program=program, recurrences=()))
    assert not _passes(op, replace(d, program=program, recurrences=(), adjoints={}))


def test_an_adjoint_is_received_once() -> None:
    op = find("rnn")
    d = derive(op)
    (r,) = d.recurrences
    (pair,) = [p for p in r.received if p[0].name == "w_hh"]
    twice = replace(d, recurrences=(replace(r, received=(*r.received, pair)),))
    _, problems = stages(op.program, twice)
    assert problems


TIME, HIDDEN = Axis("time", minimum=1), Axis("hidden")
t_, h_ = indices("t h", TIME, HIDDEN)


@operation("test", register=False, s=real(HIDDEN), x=real(HIDDEN))
def decay(let: Builder, s, x):
    return let("c", [h_], s[h_] * x[h_] + x[h_])


@operation("test", register=False, x=real(TIME, HIDDEN), s0=real(HIDDEN))
def doubled(let: Builder, x, s0):
    """What a recurrence reads is itself defined, and what it makes is read on."""
    v = let("v", [t_, h_], 2 * x[t_, h_])
    made = let.repeat(decay, TIME, states={"s": (s0, "c")}, scanned={"x": v}, shared={})
    return let("y", [h_], made["c_last"][h_] * s0[h_])


def test_what_a_recurrence_hands_back_flows_on() -> None:
    d = derive(doubled)
    assert combine([t.verdict for t in prove_operation(doubled)]) == "proved"
    nothing = Tensor("no_x", doubled.inputs[0].axes)
    over = (index("t", TIME), index("h", HIDDEN))
    program = replace(d.program, statements=(*d.program.statements, Definition(nothing, over, number(0))))
    assert not _passes(doubled, replace(d, program=program, results={**d.results, "x": nothing}))


def _judged(derivation: Derivation) -> bool:
    equations, problems = tangent_equations(doubled.program, derivation, doubled.inputs)
    verdicts = [prove(e.left, e.right, definitions=e.definitions) for e in equations]
    return not problems and combine(verdicts) == "proved"


def test_a_tangent_is_neither_forgotten_nor_read_unproved() -> None:
    d = derive(doubled, "jvp")
    *before, last = d.program.statements
    assert _judged(d) and isinstance(last, Definition) and last.target.name == "y_dot"
    (n,) = last.indices
    state, start, through, seed = (
        entry(Tensor(name, last.target.axes), n) for name in ("c_last", "s0", "c_last_dot", "s0_dot")
    )
    assert last.value is state * seed + through * start
    still = [s for s in before if not isinstance(s, Recurrence)]
    forgotten = (*still, replace(last, value=state * seed))
    assert not _judged(replace(d, program=replace(d.program, statements=forgotten)))
    free = (*d.program.inputs, Tensor("c_last_dot", last.target.axes))
    assert not _judged(replace(d, program=replace(d.program, statements=(*still, last), inputs=free)))
    elsewhere = index("other", n.axis)
    renamed = Definition(last.target, (elsewhere,), entry(Tensor("s0", last.target.axes), elsewhere))
    assert not _judged(replace(d, program=replace(d.program, statements=(*before, renamed))))


# --- kinks


def _cases(write: Callable[[sp.Symbol, sp.Symbol, sp.Symbol], sp.Basic]) -> str:
    n_, l_ = indices("n l", HIDDEN, HIDDEN)

    @operation("test", register=False, x=real(HIDDEN), y=real(HIDDEN))
    def cases(let: Builder, x, y):
        return let("v", [n_], write(x[n_], y[n_], sum_over(x[l_], l_)))

    return combine([t.verdict for t in prove_operation(cases)])


def test_what_jumps_has_no_derivative_there() -> None:
    assert _cases(lambda a, b, s: sp.Max(a, b)) == "proved"
    assert _cases(lambda a, b, s: sp.Abs(a + 1)) == "proved"
    assert _cases(lambda a, b, s: sp.Piecewise((a, a > b), (5, True))) == "undecided"
    assert _cases(lambda a, b, s: sp.Piecewise((a, 2 * a > 1), (5, True))) == "undecided"
    assert _cases(lambda a, b, s: 5 * indicator(a > 0)) == "undecided"
    assert _cases(lambda a, b, s: sp.Piecewise((a, s > 0), (0, True))) == "undecided"
    assert _cases(lambda a, b, s: sp.Piecewise((sp.sqrt(a) + 3, a > 0), (5, True))) == "undecided"
    assert _cases(lambda a, b, s: sp.Piecewise((1 / a, a > 0), (5, True))) == "undecided"


# --- at random


@pytest.mark.parametrize("seed", range(6))
def test_what_is_proved_at_random_holds_at_random_points(seed: int) -> None:
    chance = random.Random(seed)
    outcomes: list[str] = []
    for _ in range(60):
        try:
            left, right, definitions = subject(chance)
        except ZeroDivisionError:
            continue
        verdict = prove(left, right, definitions=definitions)
        outcomes.append(verdict.verdict)
        if verdict.witness is not None:
            assert verdict.witness.left != verdict.witness.right, (left, right)
        if verdict.ground is not None and left is not right:
            nonempty = "n >= 1" in verdict.ground.sizes
            found = told_apart(left, right, definitions, chance, 12, nonempty)
            assert found is None, (left, right, {t.name: d for t, d in definitions.items()}, found)
    assert outcomes.count("proved") > 10 and outcomes.count("refuted") > 10


# --- second derivatives of cases

GUARDED = Axis("guarded", minimum=1)
(g_,) = indices("g", GUARDED)


@operation("test", register=False, x=real(GUARDED), m=boolean(GUARDED))
def log_of_some(let: Builder, x, m):
    """The logarithm of a sum that may be empty, and then is not taken."""
    count = let("count", [], sum_over(m[g_], g_))
    z = let("z", [], sum_over(m[g_] * sp.exp(x[g_]), g_))
    return let("y", [], sp.Piecewise((sp.log(z[()]), count[()] > 0), (0, True)))


@operation("test", register=False, x=real(GUARDED))
def clipped_square(let: Builder, x):
    """Cases within the condition of cases: like terms have one condition as a factor, and as a guard."""
    return let("y", [g_], sp.Max(sp.Min(x[g_], 1), -1) * x[g_])


@pytest.mark.parametrize("op", [log_of_some, clipped_square], ids=lambda op: op.name)
def test_no_condition_is_lost_on_the_way_to_a_second_derivative(op: Operation) -> None:
    derive(op, "hvp").replay()
    assert [t.verdict.verdict for t in prove_kind(op, "hvp")] == ["proved"] * len(prove_kind(op, "hvp"))

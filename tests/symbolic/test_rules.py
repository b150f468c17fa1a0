"""The rules and the term algebra: what each does, and beside it what it must leave alone."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.collecting import factor_out
from gradproof.symbolic.context import Context
from gradproof.symbolic.contraction import excludes
from gradproof.symbolic.derivation import derive
from gradproof.symbolic.expressions import (
    ONE,
    Bracket,
    Entry,
    Expr,
    Tensor,
    add,
    bracket,
    call,
    derivative,
    entry,
    index,
    mul,
    number,
    power,
    total,
    where,
)
from gradproof.symbolic.matching import match
from gradproof.symbolic.operation import find, flat
from gradproof.symbolic.programs import Definition
from gradproof.symbolic.rules import LOCAL, RULES
from gradproof.symbolic.terms import build, complement, flatten

N, M, TWO = Axis("n"), Axis("m"), Axis("two", size=2)
i, j, k = index("i", N), index("j", N), index("k", M)
s = index("s", TWO)
x, y = Tensor("x", (N,)), Tensor("y", (N,))
f = Tensor("f", (TWO,))
k0, k1 = index("k0", N), index("k1", N)


def apply(rule: str, node: Expr, context: Context | None = None) -> Expr | None:
    return RULES[rule].apply(node, context or Context())


def test_a_sum_over_a_delta_picks_one_term() -> None:
    delta = bracket("==", i, j)
    assert apply("contract", total(mul(delta, entry(x, i)), i)) is entry(x, j)
    assert apply("contract", total(mul(delta, entry(x, i), entry(y, j)), i)) is mul(entry(x, j), entry(y, j))
    shifted = bracket("==", i, add(j, 1))
    assert apply("contract", total(mul(shifted, entry(x, i)), i)) is None


@pytest.mark.parametrize(("domain", "picks"), [("index", True), ("integer", False)])
def test_data_picks_a_term_only_where_it_cannot_lie_outside(domain: str, picks: bool) -> None:
    at = entry(Tensor("at", (M,), "integer", domain, N), k)
    made = apply("contract", total(mul(bracket("==", at, i), entry(x, i)), i))
    assert (made is entry(x, at)) if picks else made is None


def test_cases_over_an_axis_of_fixed_size_are_written_out() -> None:
    first = total(where(bracket("==", s, 0), entry(f, s), 0), s)
    other = total(where(complement(bracket("==", s, 0)), entry(f, s), 0), s)
    assert apply("contract", first) is entry(f, number(0))
    assert apply("contract", other) is entry(f, number(1))
    unrelated = total(where(bracket(">", entry(f, s), 0), entry(f, s), 0), s)
    assert apply("contract", unrelated) is None


def test_brackets_that_exclude_each_other() -> None:
    def relation(name: str, left: Expr, right: Expr) -> Bracket:
        made = bracket(name, left, right)  # pyright: ignore[reportArgumentType]
        assert isinstance(made, Bracket)
        return made

    a, b = entry(x, i), entry(y, i)
    assert excludes(relation("<", a, b), relation(">", a, b))
    assert excludes(relation("<", a, b), relation("<=", b, a))
    assert not excludes(relation("<=", a, b), relation(">=", a, b))
    assert not excludes(relation("<", a, b), relation("<", a, number(0)))


def test_a_complement_is_undone() -> None:
    condition = bracket(">", entry(x, i), 0)
    assert complement(complement(condition)) is condition
    assert complement(add(1, entry(x, i))) is add(ONE, mul(-1, add(1, entry(x, i))))


def test_opposite_cases_are_one_case() -> None:
    condition = bracket(">", entry(x, i), 0)
    parts = add(where(condition, entry(x, i), 0), where(condition, 0, entry(y, i)))
    assert build(flatten(parts)) is where(condition, entry(x, i), entry(y, i))
    apart = add(where(condition, entry(x, i), 0), where(bracket("<", entry(x, i), 0), 0, entry(y, i)))
    assert build(flatten(apart)) is not where(condition, entry(x, i), entry(y, i))


def test_terms_survive_being_taken_apart_and_built() -> None:
    for value in (
        add(entry(x, i), mul(3, entry(y, i))),
        total(mul(entry(x, i), entry(y, i)), i),
        mul(entry(x, j), total(mul(entry(x, i), entry(y, i)), i)),
        mul(call("exp", entry(x, i)), power(entry(y, i), Fraction(-1, 2))),
    ):
        made = build(flatten(value))
        assert any(True for _ in match(value, made, frozenset(), {}))


def test_shared_factors_are_written_once() -> None:
    def never(_: Expr) -> bool:
        return False

    a, b, c = entry(x, i), entry(y, i), entry(x, j)
    assert factor_out(add(mul(a, b), mul(a, c)), never) is mul(a, add(b, c))
    assert factor_out(add(mul(a, b), c), never) is add(mul(a, b), c)
    once, again = total(mul(entry(x, k0), entry(y, k0)), k0), total(mul(entry(x, k1), entry(y, k1)), k1)
    made = factor_out(add(mul(a, once), mul(b, again)), never)
    assert any(True for _ in match(mul(once, add(a, b)), made, frozenset(), {}))


def test_only_sums_that_are_zero_by_definition_vanish() -> None:
    operation = find("layer_norm")
    definitions = {d.target: d for d in flat(operation.program.statements) if isinstance(d, Definition)}
    context = Context(definitions)
    xhat = next(d for d in definitions.values() if d.target.name == "xhat")
    b, over = xhat.indices
    row = entry(xhat.target, b, over)
    weight = entry(operation.inputs[1], over)
    assert apply("vanish", total(row, over), context) is number(0)
    assert apply("vanish", total(power(row, 2), over), context) is None
    assert apply("vanish", total(mul(row, weight), over), context) is None


def test_each_local_rule_fits_its_own_node() -> None:
    by = entry(x, j)
    fits = {
        "constant": entry(y, i),
        "entry": entry(x, i),
        "sum": add(entry(x, i), 1),
        "product": mul(entry(x, i), entry(y, i)),
        "power": power(entry(x, i), 3),
        "chain": call("tanh", entry(x, i)),
        "reduction": total(entry(x, i), i),
        "cases": where(bracket(">", entry(x, i), 0), entry(x, i), 0),
    }
    assert tuple(fits) == LOCAL
    for name, body in fits.items():
        first = next(rule for rule in LOCAL if apply(rule, derivative(body, by)) is not None)
        assert first == name


def test_recognising_needs_the_whole_intermediate() -> None:
    made = derive(find("sigmoid"))
    value = next(d.value for d in made.program.statements if isinstance(d, Definition))
    assert {n.tensor.name for n in flatten(value)[0].factors if isinstance(n, Entry)} == {"dy", "y"}
    operation = find("sigmoid")
    definitions = {d.target: d for d in flat(operation.program.statements) if isinstance(d, Definition)}
    near = call("sigmoid", mul(2, entry(operation.inputs[0], index("b", operation.inputs[0].axes[0]))))
    assert apply("recognise", near, Context(definitions)) is None

"""What must come out proved, and beside each a near miss that must be refuted with concrete numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import sympy as sp

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.catalogue.axes import BATCH, GATE, HIDDEN, INPUT
from gradproof.symbolic.derivation import derive
from gradproof.symbolic.expressions import (
    Entry,
    Expr,
    Index,
    Tensor,
    add,
    bracket,
    call,
    constant,
    entry,
    index,
    mul,
    number,
    parameter,
    power,
    reduce,
    size,
    substitute,
    total,
    where,
)
from gradproof.symbolic.functions import FUNCTIONS
from gradproof.symbolic.language import symbol
from gradproof.symbolic.operation import (
    Array,
    Builder,
    Definition,
    Operation,
    find,
    flat,
    operation,
    operations,
    real,
)
from gradproof.symbolic.proof import prove, prove_operation, prove_row
from gradproof.symbolic.tangent import Tangents, tangent
from gradproof.symbolic.theorems import wiring
from gradproof.symbolic.verdict import combine

N, M = Axis("n", minimum=1), Axis("m", minimum=1)
i, j, k, l = (index(name, N) for name in "ijkl")  # noqa: E741
X, G = Tensor("x", (N,)), Tensor("g", (N,))
EPS = parameter("eps", "(0, inf)")
T = parameter("t")
NO_SHIFT = number(0)


def x(at: Index) -> Expr:
    return entry(X, at)


def g(at: Index) -> Expr:
    return entry(G, at)


def exp(a: Expr) -> Expr:
    return call("exp", a)


def softmax(at: Index, shift: Expr = NO_SHIFT) -> Expr:
    return exp(x(at) - shift) / total(exp(x(l) - shift), l)


def gradient(of: Expr, at: Index) -> Expr:
    """The derivative by `x[at]`, through the forward pass along a unit vector."""
    return tangent(of, lambda read: bracket("==", read.indices[0], at) if read.tensor == X else number(0))


def slope(of: Expr) -> Expr:
    return tangent(of, lambda _: number(0), variable=T)


def norm(at: Index) -> Expr:
    mean = total(x(l), l) / size(N)
    var = total((x(k) - total(x(l), l) / size(N)) ** 2, k) / size(N)
    return (x(at) - mean) * power(var + EPS, Fraction(-1, 2))


def rstd() -> Expr:
    return power(total((x(k) - total(x(l), l) / size(N)) ** 2, k) / size(N) + EPS, Fraction(-1, 2))


def mean_of(body: Expr, over: Index) -> Expr:
    return total(body, over) / size(N)


def layer_norm_closed(factor: Fraction = Fraction(1), dropped: bool = False) -> Expr:
    """The three-term gradient, with a factor on its last term, or without its middle one."""
    middle = number(0) if dropped else mean_of(g(j), j)
    return rstd() * (g(i) - middle - factor * norm(i) * mean_of(g(j) * norm(j), j))


def gelu(t: Expr) -> Expr:
    return t * (1 + call("erf", t * power(number(2), Fraction(-1, 2)))) / 2


def gelu_slope(factor: Fraction = Fraction(1)) -> Expr:
    density = exp(-(T**2) / 2) * power(2 * constant("pi"), Fraction(-1, 2))
    return (1 + call("erf", T * power(number(2), Fraction(-1, 2)))) / 2 + factor * T * density


def gelu_tanh(t: Expr) -> Expr:
    root = power(2 / constant("pi"), Fraction(1, 2))
    return t * (1 + call("tanh", root * (t + Fraction(44715, 10**6) * t**3))) / 2


def gelu_tanh_slope(cubic: Fraction = Fraction(3)) -> Expr:
    root = power(2 / constant("pi"), Fraction(1, 2))
    u = call("tanh", root * (T + Fraction(44715, 10**6) * T**3))
    inner = root * (1 + cubic * Fraction(44715, 10**6) * T**2)
    return (1 + u) / 2 + T * (1 - u**2) * inner / 2


def relu(t: Expr) -> Expr:
    return where(bracket(">", t, 0), t, 0)


PAIRS: dict[str, tuple[Expr, Expr, Expr]] = {
    "softmax sums to one": (total(softmax(k), k), number(1), number(2)),
    "softmax' = y (delta - y)": (
        gradient(softmax(i), j),
        softmax(i) * (bracket("==", i, j) - softmax(j)),
        softmax(i) * (bracket("==", i, j) + softmax(j)),
    ),
    "softmax is invariant to a shift": (softmax(i), softmax(i, T), exp(x(i) - T) / total(exp(x(l)), l)),
    "log-softmax is the logarithm of softmax": (
        call("log", softmax(i)),
        x(i) - call("log", total(exp(x(l)), l)),
        x(i) + call("log", total(exp(x(l)), l)),
    ),
    "cross-entropy': (sum y) p - y": (
        gradient(total(g(k) * (call("log", total(exp(x(l)), l)) - x(k)), k), i),
        total(g(k), k) * softmax(i) - g(i),
        softmax(i) - g(i),
    ),
    "layer norm: three terms": (
        gradient(total(g(k) * norm(k), k), i),
        layer_norm_closed(),
        layer_norm_closed(dropped=True),
    ),
    "layer norm: the factor of its last term": (
        gradient(total(g(k) * norm(k), k), i),
        layer_norm_closed(),
        layer_norm_closed(1 + Fraction(1, 10**12)),
    ),
    "gelu'": (slope(gelu(T)), gelu_slope(), gelu_slope(Fraction(2))),
    "gelu' (tanh)": (slope(gelu_tanh(T)), gelu_tanh_slope(), gelu_tanh_slope(Fraction(2))),
    "softplus' is sigmoid": (slope(call("softplus", T)), call("sigmoid", T), call("sigmoid", -T)),
    "tanh(x) = 2 sigmoid(2x) - 1": (
        call("tanh", T),
        2 * call("sigmoid", 2 * T) - 1,
        2 * call("sigmoid", T) - 1,
    ),
    "1 - sigmoid(x) = sigmoid(-x)": (1 - call("sigmoid", T), call("sigmoid", -T), call("sigmoid", T)),
    "softplus(x) - softplus(-x) = x": (call("softplus", T) - call("softplus", -T), T, -T),
    "sigmoid'": (
        slope(1 / (1 + exp(-T))),
        call("sigmoid", T) * (1 - call("sigmoid", T)),
        call("sigmoid", T) * (1 - call("sigmoid", T)) * Fraction(10**12 + 1, 10**12),
    ),
    "power sums: vanishes at n = 1 and 2, not at 3": (
        total(x(i), i) ** 3 - 3 * total(x(i), i) * total(x(i) ** 2, i),
        total(x(i) * x(j) * x(k), i, j, k) - 3 * total(x(i) * x(j) ** 2, i, j),
        -2 * total(x(i) ** 3, i),
    ),
    "relu': the kink has the value of its case": (
        slope(relu(T)),
        bracket(">", T, 0),
        bracket(">", -T, 0),
    ),
    "a sum over an index that does not occur counts": (total(number(1), i), size(N), number(1)),
    "bound names do not matter": (
        total(x(i) * g(j), i, j),
        total(x(j), j) * total(g(i), i),
        total(x(i) * g(i), i),
    ),
    "a delta contracts": (total(bracket("==", i, j) * x(i), i), x(j), total(x(i), i)),
    "brackets are idempotent": (
        bracket("<=", i, j) * bracket("<=", i, j),
        bracket("<=", i, j),
        bracket("<=", j, i),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_proved(name: str) -> None:
    left, right, _ = PAIRS[name]
    verdict = prove(left, right)
    assert verdict.verdict == "proved", verdict
    assert (
        verdict.ground is not None and verdict.ground.kind == "normal-form" and verdict.ground.bound is None
    )


@pytest.mark.parametrize("name", PAIRS)
def test_near_miss_refuted(name: str) -> None:
    left, _, wrong = PAIRS[name]
    verdict = prove(left, wrong)
    assert verdict.verdict == "refuted", verdict
    assert verdict.witness is not None and verdict.witness.left != verdict.witness.right


def test_no_theorem_from_an_undefined_side() -> None:
    """`x^2 / x` has no value at 0, where `x` has one."""
    assert prove(T, mul(T**2, power(T, -1))).verdict == "proved", "cancelled when built: the same expression"
    assert prove(power(T**2, Fraction(1, 2)), T).verdict == "refuted", "sqrt(x^2) is |x|"
    assert prove(call("log", T**2), 2 * call("log", T)).verdict != "proved", "log x has no value at -1"
    assert prove(exp(call("log", T)), T).verdict == "proved", "the left side has a value for x > 0 only"
    assert prove(T, exp(call("log", T))).verdict != "proved", "the right side has no value at 0"


def test_a_gather_needs_its_index_on_the_axis() -> None:
    inside, anywhere = (Tensor("s", (), "integer", domain, N) for domain in ("index", "integer"))
    for data, expected in ((inside, True), (anywhere, False)):
        picked = total(bracket("==", k, entry(data)) * x(k), k)
        assert (prove(picked, entry(X, entry(data))).verdict == "proved") is expected


def test_an_empty_axis_is_not_forgotten() -> None:
    """On an axis that may be empty the softmax' sum of 1 does not hold."""
    loose = index("e", Axis("maybe_empty"))
    y = Tensor("y", (loose.axis,))
    exps = total(exp(entry(y, loose)), loose)
    verdict = prove(exps / exps + 0 * exps, number(1))
    assert verdict.verdict == "proved", "cancelled when built"
    quotient = total(
        exp(entry(y, loose)) / total(exp(entry(y, index("e2", loose.axis))), index("e2", loose.axis)), loose
    )
    shown = prove(quotient, number(1))
    assert shown.ground is not None and any("!= 0" in a for a in shown.ground.assumes), shown
    assert prove(number(1), quotient).verdict != "proved"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_leaf_row(name: str) -> None:
    theorem = prove_row(FUNCTIONS[name])
    assert theorem.verdict.verdict == "proved", theorem


def test_a_wrong_leaf_row_is_refuted() -> None:
    for name in ("sigmoid", "tanh", "softplus", "log", "erf"):
        row = FUNCTIONS[name]
        wrong = replace(row, derivative=lambda a, y, row=row: row.derivative(a, y) * 2)
        assert prove_row(wrong).verdict.verdict == "refuted", name


LABELS = [variant.label for op in operations().values() for variant in op.variants]


@pytest.mark.parametrize("label", LABELS)
def test_catalogue_is_proved(label: str) -> None:
    theorems = prove_operation(find(label))
    assert combine([t.verdict for t in theorems]) == "proved", [
        t for t in theorems if t.verdict.verdict != "proved"
    ]


def test_a_recurrence_is_proved_by_induction() -> None:
    kinds = {t.verdict.ground.kind for t in prove_operation(find("lstm")) if t.verdict.ground is not None}
    assert kinds == {"induction", "normal-form"}


def test_masked_attention_names_its_regions() -> None:
    (scores,) = [t for t in prove_operation(find("attention(mask=padding)")) if t.name == "adjoint of scores"]
    assert scores.verdict.ground is not None
    assert scores.verdict.ground.regions == ("[1 == some[b,i]]", "not [1 == some[b,i]]")


def test_a_wrongly_wired_recurrence_is_noticed() -> None:
    op = find("lstm")
    d = derive(op)
    (r,) = d.recurrences
    outer = {**d.adjoints, **{t: d.results[t.name] for t in op.inputs}}
    assert wiring(r, outer) == []
    states = r.backward.carried
    swapped = (replace(states[0], initial=states[1].initial), replace(states[1], initial=states[0].initial))
    unlagged = tuple(replace(s, shift=0) if s.shift else s for s in r.backward.scanned)
    broken = [
        replace(r.backward, carried=swapped),
        replace(r.backward, reverse=False),
        replace(r.backward, scanned=unlagged),
        replace(r.backward, scanned=r.backward.scanned[1:]),
        replace(r.backward, summed=()),
        replace(r.backward, collected=()),
    ]
    for backward in broken:
        assert wiring(replace(r, backward=backward), outer), backward


# --- two steps of an LSTM, the gradient written out by hand


def _two_steps() -> Operation:
    cell = find("lstm_cell")

    @operation(
        "test",
        register=False,
        x1=real(BATCH, INPUT),
        x2=real(BATCH, INPUT),
        h0=real(BATCH, HIDDEN),
        c0=real(BATCH, HIDDEN),
        w_ih=real(GATE, HIDDEN, INPUT),
        w_hh=real(GATE, HIDDEN, HIDDEN),
        b_ih=real(GATE, HIDDEN),
        b_hh=real(GATE, HIDDEN),
    )
    def two_steps(let: Builder, x1: Array, x2: Array, h0: Array, c0: Array, **w: Array):
        h1, c1 = cell(x1, h0, c0, *w.values(), names=["h1", "c1"])
        h2, _ = cell(x2, h1, c1, *w.values(), names=["h2", "c2"])
        return h2

    return two_steps


def _hand_gradient(forget_second_path: bool = False) -> tuple[Expr, Expr, dict[Tensor, Definition]]:
    """`<dh0, h0_dot>` with dh0 by hand against `<dh2, h2_dot>` by the forward pass."""
    op = _two_steps()
    forward = {d.target: d for d in flat(op.program.statements) if isinstance(d, Definition)}
    named = {t.name: t for t in (*forward, *op.inputs)}
    batch, _, hidden = (named["h1_a"].axes[n] for n in range(3))
    gate = named["h1_a"].axes[1]
    b, n, m, s = index("b", batch), index("n", hidden), index("m", hidden), index("s", gate)

    def at(name: str, over: Index = n) -> Entry:
        return entry(named[name], b, over)

    def pre(step: str, dh: Expr, dc: Expr, before: Expr) -> Expr:
        """The adjoint of the gates before their functions, for the gate `s`."""
        i_, f_, z_, o_, u_ = (at(f"{step}_{name}") for name in "ifzou")
        return add(
            bracket("==", s, 0) * dc * z_ * i_ * (1 - i_),
            bracket("==", s, 1) * dc * before * f_ * (1 - f_),
            bracket("==", s, 2) * dc * i_ * (1 - z_**2),
            bracket("==", s, 3) * dh * u_ * o_ * (1 - o_),
        )

    cotangent = Tensor("dh2", (batch, hidden))
    dh2 = entry(cotangent, b, n)
    dc2 = dh2 * at("h2_o") * (1 - at("h2_u") ** 2)
    back = entry(named["w_hh"], s, n, m)
    dh1 = substitute(total(pre("h2", dh2, dc2, at("c1")) * back, s, n), {m: n})
    through_cell = number(0) if forget_second_path else dc2 * at("h2_f")
    dc1 = through_cell + dh1 * at("h1_o") * (1 - at("h1_u") ** 2)
    dh0 = substitute(total(pre("h1", dh1, dc1, at("c0")) * back, s, n), {m: n})
    direction = Tensor("h0_dot", (batch, hidden))
    along = Tangents(named["h0"], direction, forward, frozenset())
    claimed = total(dh0 * entry(direction, b, n), b, n)
    d = forward[named["h2"]]
    true = total(entry(cotangent, *d.indices) * along.of(named["h2"]), *d.indices)
    return true, claimed, forward


def test_two_lstm_steps_by_hand() -> None:
    true, claimed, forward = _hand_gradient()
    assert prove(true, claimed, definitions=forward).verdict == "proved"


def test_two_lstm_steps_without_the_path_through_the_cell() -> None:
    """The often printed gradient that loses the path through c_(t+1)."""
    true, claimed, forward = _hand_gradient(forget_second_path=True)
    verdict = prove(true, claimed, definitions=forward)
    assert verdict.verdict == "refuted"
    assert verdict.witness is not None and verdict.witness.left != verdict.witness.right


def test_a_region_of_a_free_index_is_not_that_of_a_bound_one() -> None:
    """`[x_i > 0] = sum_i [x_i > 0]` at n = 1 only, though the index has the same name on both sides."""
    above = bracket(">", x(i), 0)
    inside = exp(where(above, x(i), 0))
    assert prove(above * inside, total(above, i) * inside).verdict == "refuted"
    assert (
        prove(inside, exp(where(above, x(i), 0)) + total(above, i) - total(bracket(">", x(j), 0), j)).verdict
        == "proved"
    )


def test_a_maximum_over_an_axis() -> None:
    largest = reduce("max", (k,), x(k))
    assert prove(largest + 1 - 1, largest).verdict == "proved"
    assert prove(largest, reduce("max", (j,), x(j))).verdict == "proved"
    assert prove(largest, x(i)).verdict == "refuted"


def test_sympy_expressions_are_read() -> None:
    t = symbol(T)
    assert prove(sp.sinh(t) + sp.cosh(t), sp.exp(t)).verdict == "proved"
    assert prove(sp.tan(t) * sp.cos(t), sp.sin(t)).verdict == "proved"
    assert prove(sp.Max(t, 0), (t + sp.Abs(t)) / 2).verdict == "proved"
    assert prove(sp.Max(t, 0), (t - sp.Abs(t)) / 2).verdict == "refuted"

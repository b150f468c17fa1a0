"""The closed forms of derivations are those of textbooks, in terms of what the forward pass names."""

from __future__ import annotations

import pytest
import sympy as sp
from sampling import definitions

from gradproof.symbolic import language
from gradproof.symbolic.catalogue.axes import (
    BATCH,
    CLASSES,
    EMBED,
    EXAMPLES,
    FEATURES,
    GATE,
    GATE3,
    HIDDEN,
    INPUT,
    KEY,
    LEFT,
    OUTPUT,
    PAIR,
    PART,
    QUERY,
    RIGHT,
    TERMS,
    TIME,
    VALUE,
)
from gradproof.symbolic.derivation import Derivation, derive
from gradproof.symbolic.expressions import Index, add, parameter, substitute
from gradproof.symbolic.language import equal, indices, read, size_of, sum_over
from gradproof.symbolic.matching import match
from gradproof.symbolic.operation import (
    Array,
    Builder,
    find,
)


class Printed:
    """The definitions of a derivation, beside what a textbook prints."""

    def __init__(self, made: Derivation) -> None:
        made.replay()
        self.definitions = {d.target.name: d for d in definitions(made.program)}
        tensors = {t for d in definitions(made.program) for t in (*d.value.tensors, d.target)}
        self.arrays = {t.name: Array(t, Builder("test")) for t in tensors}

    def __getattr__(self, name: str) -> Array:
        return self.arrays[name]

    def check(self, name: str, over: list[sp.Symbol], value: object) -> None:
        """The tensor is defined by this expression as it stands, up to names of indices and order."""
        found = self.definitions[name]
        wanted = substitute(read(value), dict(zip(map(read_index, over), found.indices, strict=True)))
        assert any(True for _ in match(wanted, found.value, frozenset(), {})), f"{found.value}\n{wanted}"


def read_index(variable: sp.Symbol) -> Index:
    found = read(variable)
    assert isinstance(found, Index)
    return found


b, b1 = indices("b b1", BATCH, BATCH)
k, k1 = indices("k k1", CLASSES, CLASSES)


def elementwise(name: str) -> Printed:
    return Printed(derive(find(name)))


def test_activations() -> None:
    f = elementwise("sigmoid")
    f.check("dx", [b], f.dy[b] * f.y[b] * (1 - f.y[b]))
    f = elementwise("tanh")
    f.check("dx", [b], f.dy[b] * (1 - f.y[b] ** 2))
    f = elementwise("relu")
    f.check("dx", [b], language.indicator(f.x[b] > 0) * f.dy[b])
    f = elementwise("leaky_relu")
    slope = language.symbol(parameter("slope"))
    f.check("dx", [b], f.dy[b] * sp.Piecewise((1, f.x[b] > 0), (slope, True)))
    f = elementwise("elu")
    alpha = language.symbol(parameter("alpha"))
    f.check("dx", [b], f.dy[b] * sp.Piecewise((1, f.x[b] > 0), (alpha * sp.exp(f.x[b]), True)))
    f = elementwise("softplus")
    f.check("dx", [b], f.dy[b] * language.sigmoid(f.x[b]))
    f = elementwise("silu")
    f.check("dx", [b], f.dy[b] * f.s[b] * (1 + f.x[b] * (1 - f.s[b])))
    f = elementwise("gelu")
    density = sp.exp(-(f.x[b] ** 2) / 2) / sp.sqrt(2) / sp.sqrt(sp.pi)
    f.check("dx", [b], f.dy[b] * (f.cdf[b] + f.x[b] * density))
    f = elementwise("gelu_tanh")
    inner = sp.sqrt(2) / sp.sqrt(sp.pi) * (1 + 3 * sp.Rational("0.044715") * f.x[b] ** 2)
    f.check("dx", [b], f.dy[b] * (1 + f.t[b] + f.x[b] * (1 - f.t[b] ** 2) * inner) / 2)


def test_elementwise_functions() -> None:
    f = elementwise("exp")
    f.check("dx", [b], f.dy[b] * f.y[b])
    f = elementwise("log")
    f.check("dx", [b], f.dy[b] / f.x[b])
    f = elementwise("sqrt")
    f.check("dx", [b], f.dy[b] / (2 * f.y[b]))
    f = elementwise("square")
    f.check("dx", [b], 2 * f.dy[b] * f.x[b])
    f = elementwise("sin")
    f.check("dx", [b], f.dy[b] * sp.cos(f.x[b]))
    f = elementwise("cos")
    f.check("dx", [b], -f.dy[b] * sp.sin(f.x[b]))
    f = elementwise("abs")
    sign = language.indicator(f.x[b] > 0) - language.indicator(f.x[b] < 0)
    f.check("dx", [b], f.dy[b] * sign)


def test_softmax_and_cross_entropy() -> None:
    f = Printed(derive(find("softmax")))
    f.check("dx", [b, k], f.y[b, k] * (f.dy[b, k] - sum_over(f.dy[b, k1] * f.y[b, k1], k1)))
    f = Printed(derive(find("softmax"), "jacobian"))
    jacobian = equal(b, b1) * f.y[b, k] * (equal(k, k1) - f.y[b, k1])
    f.check("dy_dx", [b1, k1, b, k], jacobian)
    f = Printed(derive(find("log_softmax")))
    f.check("dx", [b, k], f.dy[b, k] - sp.exp(f.y[b, k]) * sum_over(f.dy[b, k1], k1))
    f = Printed(derive(find("cross_entropy")))
    inner = f.p[b, k] * sum_over(f.q[b, k1], k1) - f.q[b, k]
    f.check("dlogits", [b, k], sp.Piecewise((f.dloss[()] / f.n[()] * inner, f.n[()] > 0), (0, True)))
    f = Printed(derive(find("soft_cross_entropy")))
    f.check("dlogits", [b, k], f.dloss[b] * (f.p[b, k] * sum_over(f.target[b, k1], k1) - f.target[b, k]))


def test_cross_entropy_where_the_targets_are_a_distribution() -> None:
    made = derive(find("soft_cross_entropy"), conditions=True)
    assert [repr(c.left) for c in made.conditions] == ["sum<k>(target[b,k])"]
    f = Printed(made)
    f.check("dlogits", [b, k], f.dloss[b] * (f.p[b, k] - f.target[b, k]))
    f = Printed(derive(find("soft_cross_entropy"), "hessian", conditions=True))
    hessian = equal(b, b1) * f.dloss[b] * f.p[b, k] * (equal(k, k1) - f.p[b, k1])
    f.check("dlogits_dlogits", [b, k, b1, k1], hessian)


def test_hessian_of_cross_entropy() -> None:
    f = Printed(derive(find("soft_cross_entropy"), "hessian"))
    scale = equal(b, b1) * f.dloss[b] * f.p[b, k] * sum_over(f.target[b, k], k)
    f.check("dlogits_dlogits", [b, k, b1, k1], scale * (equal(k, k1) - f.p[b, k1]))


def test_other_losses_and_reductions() -> None:
    m, i, i1 = indices("b i i1", EXAMPLES, FEATURES, FEATURES)
    f = Printed(derive(find("mse_loss")))
    f.check("dx", [m], 2 * f.dloss[()] * (f.x[m] - f.target[m]) / size_of(EXAMPLES))
    f = Printed(derive(find("binary_cross_entropy_with_logits")))
    difference = language.sigmoid(f.logits[m]) - f.target[m]
    f.check("dlogits", [m], f.dloss[()] * difference / size_of(EXAMPLES))
    f = Printed(derive(find("max")))
    hits = sum_over(language.symbol(read(sp.Eq(f.x[b, i1], f.y[b]))), i1)
    f.check("dx", [b, i], f.dy[b] * language.indicator(sp.Eq(f.x[b, i], f.y[b])) / hits)
    f = Printed(derive(find("kl_div")))
    f.check("dx", [b, k], -f.dloss[b] * f.target[b, k])
    slope = sp.Piecewise((1 + sp.log(f.target[b, k]), f.target[b, k] > 0), (0, True))
    f.check("dtarget", [b, k], f.dloss[b] * (slope - f.x[b, k]))


def test_normalization() -> None:
    i, j = indices("i j", FEATURES, FEATURES)
    n = size_of(FEATURES)
    f = Printed(derive(find("layer_norm")))
    f.check("dxhat", [b, i], f.dy[b, i] * f.weight[i])
    means = sum_over(f.dxhat[b, i], i) / n + f.xhat[b, j] * sum_over(f.dxhat[b, i] * f.xhat[b, i], i) / n
    f.check("dx", [b, j], f.rstd[b] * (f.dxhat[b, j] - means))
    f = Printed(derive(find("rms_norm")))
    mean = f.xhat[b, j] * sum_over(f.dxhat[b, i] * f.xhat[b, i], i) / n
    f.check("dx", [b, j], f.rstd[b] * (f.dxhat[b, j] - mean))
    m, m1 = indices("m m1", EXAMPLES, EXAMPLES)
    f = Printed(derive(find("batch_norm")))
    sums = sum_over(f.dxhat[m1, i], m1) + f.xhat[m, i] * sum_over(f.dxhat[m1, i] * f.xhat[m1, i], m1)
    means = (sum_over(f.dxhat[m1, i], m1), f.xhat[m, i] * sum_over(f.dxhat[m1, i] * f.xhat[m1, i], m1))
    assert read(sums) is add(*map(read, means))
    count = size_of(EXAMPLES)
    f.check("dx", [m, i], f.rstd[i] * (f.dxhat[m, i] - means[0] / count - means[1] / count))


def test_lstm_cell() -> None:
    n, g = indices("n g", HIDDEN, GATE)
    f = Printed(derive(find("lstm_cell")))
    dh, dc, i, z, o, u = (a[b, n] for a in (f.dh, f.dc_total, f.i, f.z, f.o, f.u))
    forget = f.f[b, n]
    f.check("dc_total", [b, n], f.dc[b, n] + dh * o * (1 - u**2))
    gates = [
        equal(g, 0) * dc * z * i * (1 - i),
        equal(g, 1) * dc * f.c0[b, n] * forget * (1 - forget),
        equal(g, 2) * dc * i * (1 - z**2),
        equal(g, 3) * dh * u * o * (1 - o),
    ]
    f.check("da", [b, g, n], sum(gates))
    f.check("dc0", [b, n], dc * forget)


def test_reductions() -> None:
    n, i = indices("n i", TERMS, FEATURES)
    f = Printed(derive(find("sum")))
    f.check("dx", [b, n], f.dy[b])
    f = Printed(derive(find("mean")))
    f.check("dx", [b, i], f.dy[b] / size_of(FEATURES))
    f = Printed(derive(find("logsumexp")))
    f.check("dx", [b, k], f.dy[b] * sp.exp(f.x[b, k] - f.y[b]))


def test_linear_maps() -> None:
    i, o, l, r = indices("i o l r", INPUT, OUTPUT, LEFT, RIGHT)  # noqa: E741
    f = Printed(derive(find("linear")))
    f.check("dx", [b, i], sum_over(f.dy[b, o] * f.weight[o, i], o))
    f.check("dweight", [o, i], sum_over(f.dy[b, o] * f.x[b, i], b))
    f.check("dbias", [o], sum_over(f.dy[b, o], b))
    f = Printed(derive(find("bilinear")))
    f.check("dx1", [b, l], sum_over(f.dy[b, o] * f.weight[o, l, r] * f.x2[b, r], r, o))
    f.check("dx2", [b, r], sum_over(f.dy[b, o] * f.weight[o, l, r] * f.x1[b, l], l, o))
    f.check("dweight", [o, l, r], sum_over(f.dy[b, o] * f.x1[b, l] * f.x2[b, r], b))
    f = Printed(derive(find("dropout")))
    (p,) = find("dropout").program.parameters
    f.check("dx", [b], f.dy[b] * f.keep[b] / (1 - language.symbol(p)))


def test_rnn_cells() -> None:
    n, m, k = indices("n m k", HIDDEN, HIDDEN, INPUT)
    f = Printed(derive(find("rnn_tanh_cell")))
    f.check("da", [b, n], f.dh[b, n] * (1 - f.h[b, n] ** 2))
    f.check("dh0", [b, m], sum_over(f.da[b, n] * f.w_hh[n, m], n))
    f.check("dw_hh", [n, m], sum_over(f.da[b, n] * f.h0[b, m], b))
    f.check("dw_ih", [n, k], sum_over(f.da[b, n] * f.x[b, k], b))
    f = Printed(derive(find("rnn_relu_cell")))
    f.check("da", [b, n], language.indicator(f.a[b, n] > 0) * f.dh[b, n])


def test_gru_cell() -> None:
    n, m, g = indices("n m g", HIDDEN, HIDDEN, GATE3)
    f = Printed(derive(find("gru_cell")))
    dc, dr, dz, c, r, z = (a[b, n] for a in (f.dc, f.dr, f.dz, f.c, f.r, f.z))
    f.check("dc", [b, n], f.dh[b, n] * (1 - z))
    f.check("dz", [b, n], f.dh[b, n] * (f.h0[b, n] - c))
    f.check("dr", [b, n], dc * (1 - c**2) * f.a[b, 2, n])
    both = equal(g, 0) * dr * r * (1 - r) + equal(g, 1) * dz * z * (1 - z)
    f.check("ds", [b, g, n], both + equal(g, 2) * dc * (1 - c**2))
    f.check("da", [b, g, n], both + equal(g, 2) * dc * (1 - c**2) * r)
    back = sum_over(f.da[b, g, n] * f.w_hh[g, n, m], g, n)
    f.check("dh0", [b, m], f.dh[b, m] * f.z[b, m] + back)


def test_peepholes() -> None:
    n = indices("n", HIDDEN)[0]
    f = Printed(derive(find("lstm_cell_peephole")))
    dh, o, u = f.dh[b, n], f.o[b, n], f.u[b, n]
    f.check("do", [b, n], dh * u)
    through = f.do[b, n] * f.w_c[2, n] * o * (1 - o)
    f.check("dc_total", [b, n], f.dc[b, n] + dh * o * (1 - u**2) + through)


def test_an_lstm_over_time() -> None:
    """The adjoint recurrence, and the gradients of the shared weights as sums over time."""
    n, m, g = indices("n m g", HIDDEN, HIDDEN, GATE)
    made = derive(find("lstm"))
    f = Printed(made)
    dh, o, u = (a[b, n] for a in (f.dh_t_total, f.o_t, f.u_t))
    f.check("dh_t_total", [b, n], f.dh_after[b, n] + f.dh_t[b, n])
    f.check("dc_t", [b, n], f.dc_after[b, n] + dh * o * (1 - u**2))
    f.check("dc_before", [b, n], f.dc_t[b, n] * f.f_t[b, n])
    f.check("dh_before", [b, m], sum_over(f.da_t[b, g, n] * f.w_hh[g, n, m], g, n))
    f.check("dw_hh_t", [g, n, m], sum_over(f.da_t[b, g, n] * f.h_before[b, m], b))
    (r,) = made.recurrences
    assert r.backward.reverse
    summed = {outside.name for _, outside in r.backward.summed}
    assert summed == {"dw_ih", "dw_hh", "db_ih", "db_hh"}


def test_attention() -> None:
    i, j, j1, c = indices("i j j1 c", QUERY, KEY, KEY, VALUE)
    d = indices("d", EMBED)[0]
    for mask in ("none", "causal", "padding", "additive"):
        f = Printed(derive(find(f"attention(mask={mask})")))
        f.check("dp", [b, i, j], sum_over(f.dy[b, i, c] * f.v[b, j, c], c))
        row = sum_over(f.dp[b, i, j1] * f.p[b, i, j1], j1)
        f.check("dscores", [b, i, j], f.p[b, i, j] * (f.dp[b, i, j] - row))
        scale = 1 / sp.sqrt(size_of(EMBED))
        f.check("dq", [b, i, d], scale * sum_over(f.dscores[b, i, j] * f.k[b, j, d], j))
        f.check("dv", [b, j, c], sum_over(f.dy[b, i, c] * f.p[b, i, j], i))


def test_additive_attention_names_its_scores() -> None:
    f = Printed(derive(find("additive_attention")))
    assert {"dp", "dscores", "dstored", "dasked"} <= f.definitions.keys()


def test_rotation_is_undone() -> None:
    t, i, s = indices("t i s", TIME, PAIR, PART)
    f = Printed(derive(find("rotary_embedding")))
    dy0, dy1 = f.dy[b, t, i, 0], f.dy[b, t, i, 1]
    cos, sin = f.cos[t, i], f.sin[t, i]
    f.check("dx", [b, t, i, s], equal(s, 0) * (dy0 * cos + dy1 * sin) + equal(s, 1) * (dy1 * cos - dy0 * sin))


def test_lookup() -> None:
    f = Printed(derive(find("embedding"), "jvp"))
    assert [repr(d.value) for d in f.definitions.values()] == ["weight_dot[index[b],d]"]
    f = Printed(derive(find("embedding")))
    assert [repr(d.value) for d in f.definitions.values()] == ["sum<b>([index[b] == v]*dy[b,e])"]


def test_a_block_calls_its_parts_by_name() -> None:
    f = Printed(derive(find("transformer_block_post")))
    assert {"dr2", "dmiddle", "dmiddle_xhat", "dr1", "dattended_heads_scores", "dx"} <= f.definitions.keys()


def test_taylor_of_sigmoid() -> None:
    f = Printed(derive(find("sigmoid"), "taylor", order=2))
    f.check("y_dot", [b], f.x_dot[b] * f.y[b] * (1 - f.y[b]))
    f.check("y_dot2", [b], f.x_dot[b] * f.y_dot[b] * (1 - 2 * f.y[b]))
    f.check("y_taylor", [b], f.y[b] + f.y_dot[b] + f.y_dot2[b] / 2)


def test_a_near_miss_is_not_the_closed_form() -> None:
    f = Printed(derive(find("softmax")))
    right = f.y[b, k] * (f.dy[b, k] - sum_over(f.dy[b, k1] * f.y[b, k1], k1))
    wrong = f.y[b, k] * (f.dy[b, k] + sum_over(f.dy[b, k1] * f.y[b, k1], k1))
    f.check("dx", [b, k], right)
    for value in (wrong, 2 * right, f.y[b, k] * f.dy[b, k], right + f.dy[b, k]):
        with pytest.raises(AssertionError):
            f.check("dx", [b, k], value)

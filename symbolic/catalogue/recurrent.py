"""Recurrent cells: one step."""

from typing import Any

import sympy as sp

from gradproof.symbolic import language
from gradproof.symbolic.catalogue.axes import BATCH, GATE, GATE3, HIDDEN, INPUT, PEEPHOLE
from gradproof.symbolic.language import indices, sum_over
from gradproof.symbolic.operation import Array, Builder, operation, real

b, n, m, k, g, q = indices("b n m k g g", BATCH, HIDDEN, HIDDEN, INPUT, GATE, GATE3)


def _plain(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> Any:
    """The argument of the activation of a vanilla cell."""
    return sum_over(w_ih[n, k] * x[b, k], k) + b_ih[n] + sum_over(w_hh[n, m] * h0[b, m], m) + b_hh[n]


_PLAIN = {
    "x": real(BATCH, INPUT),
    "h0": real(BATCH, HIDDEN),
    "w_ih": real(HIDDEN, INPUT),
    "w_hh": real(HIDDEN, HIDDEN),
    "b_ih": real(HIDDEN),
    "b_hh": real(HIDDEN),
}


@operation("recurrent", _PLAIN, reference="torch.rnn_tanh_cell")
def rnn_tanh_cell(
    let: Builder, x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> Array:
    r"""A vanilla recurrent cell (Elman 1990), $h = \tanh(W_{ih} x + b_{ih} + W_{hh} h_0 + b_{hh})$."""
    a = let("a", [b, n], _plain(x, h0, w_ih, w_hh, b_ih, b_hh))
    return let("h", [b, n], sp.tanh(a[b, n]))


@operation("recurrent", _PLAIN, reference="torch.rnn_relu_cell")
def rnn_relu_cell(
    let: Builder, x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> Array:
    r"""A vanilla recurrent cell with a rectifier (Le, Jaitly, Hinton 2015)."""
    a = let("a", [b, n], _plain(x, h0, w_ih, w_hh, b_ih, b_hh))
    return let("h", [b, n], sp.Piecewise((a[b, n], a[b, n] > 0), (0, True)))


_GATED = {
    "x": real(BATCH, INPUT),
    "h0": real(BATCH, HIDDEN),
    "c0": real(BATCH, HIDDEN),
    "w_ih": real(GATE, HIDDEN, INPUT),
    "w_hh": real(GATE, HIDDEN, HIDDEN),
    "b_ih": real(GATE, HIDDEN),
    "b_hh": real(GATE, HIDDEN),
}


def _gates(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> Any:
    """The arguments of the activations of four gates, in PyTorch's parametrization."""
    from_input = sum_over(w_ih[g, n, k] * x[b, k], k) + b_ih[g, n]
    return from_input + sum_over(w_hh[g, n, m] * h0[b, m], m) + b_hh[g, n]


@operation("recurrent", _GATED, reference="torch.lstm_cell")
def lstm_cell(
    let: Builder, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Array]:
    r"""Long short-term memory (Hochreiter, Schmidhuber 1997; Gers et al. 2000).

    The gates are in PyTorch's order i, f, g, o (here `z` is the candidate g):
    $c = f c_0 + i z$, $h = o \tanh c$.
    """
    a = let("a", [b, g, n], _gates(x, h0, w_ih, w_hh, b_ih, b_hh))
    return remember(let, a, c0)


def remember(let: Builder, a: Array, c0: Array, output: str = "h") -> tuple[Array, Array]:
    r"""$c = f c_0 + i z$ and $h = o \tanh c$ from the arguments of the gates i, f, z, o."""
    i = let("i", [b, n], language.sigmoid(a[b, 0, n]))
    f = let("f", [b, n], language.sigmoid(a[b, 1, n]))
    z = let("z", [b, n], sp.tanh(a[b, 2, n]))
    o = let("o", [b, n], language.sigmoid(a[b, 3, n]))
    c = let("c", [b, n], f[b, n] * c0[b, n] + i[b, n] * z[b, n])
    u = let("u", [b, n], sp.tanh(c[b, n]))
    return let(output, [b, n], o[b, n] * u[b, n]), c


@operation(
    "recurrent",
    x=real(BATCH, INPUT),
    h0=real(BATCH, HIDDEN),
    c0=real(BATCH, HIDDEN),
    w_h=real(GATE, HIDDEN, HIDDEN),
    w_x=real(GATE, HIDDEN, INPUT),
    bias=real(GATE, HIDDEN),
)
def lstm_cell_concat(
    let: Builder, x: Array, h0: Array, c0: Array, w_h: Array, w_x: Array, bias: Array
) -> tuple[Array, Array]:
    r"""An LSTM with one matrix and one bias, $a = W [h_0, x] + \beta$ (Greff et al. 2017).

    The matrix is given as its two blocks of columns, $W = [W_h \mid W_x]$, so that
    $W [h_0, x] = W_h h_0 + W_x x$; its gradient is $[\partial W_h \mid \partial W_x]$.
    """
    a = let(
        "a",
        [b, g, n],
        sum_over(w_h[g, n, m] * h0[b, m], m) + sum_over(w_x[g, n, k] * x[b, k], k) + bias[g, n],
    )
    return remember(let, a, c0)


@operation("recurrent", _GATED, w_c=real(PEEPHOLE, HIDDEN))
def lstm_cell_peephole(
    let: Builder,
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array,
    b_hh: Array,
    w_c: Array,
) -> tuple[Array, Array]:
    r"""An LSTM whose gates see the memory through peepholes (Gers, Schmidhuber 2000).

    The input and the forget gate see the old memory, the output gate the new one; the weights of the three
    peepholes are in the order i, f, o.
    """
    a = let("a", [b, g, n], _gates(x, h0, w_ih, w_hh, b_ih, b_hh))
    i = let("i", [b, n], language.sigmoid(a[b, 0, n] + w_c[0, n] * c0[b, n]))
    f = let("f", [b, n], language.sigmoid(a[b, 1, n] + w_c[1, n] * c0[b, n]))
    z = let("z", [b, n], sp.tanh(a[b, 2, n]))
    c = let("c", [b, n], f[b, n] * c0[b, n] + i[b, n] * z[b, n])
    o = let("o", [b, n], language.sigmoid(a[b, 3, n] + w_c[2, n] * c[b, n]))
    u = let("u", [b, n], sp.tanh(c[b, n]))
    return let("h", [b, n], o[b, n] * u[b, n]), c


@operation(
    "recurrent",
    x=real(BATCH, INPUT),
    h0=real(BATCH, HIDDEN),
    w_ih=real(GATE3, HIDDEN, INPUT),
    w_hh=real(GATE3, HIDDEN, HIDDEN),
    b_ih=real(GATE3, HIDDEN),
    b_hh=real(GATE3, HIDDEN),
    reference="torch.gru_cell",
)
def gru_cell(let: Builder, x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> Array:
    r"""A gated recurrent unit (Cho et al. 2014) in PyTorch's form, gates in the order r, z, n.

    The reset gate multiplies the hidden product, its bias included:
    $n = \tanh(W_{in} x + b_{in} + r (W_{hn} h_0 + b_{hn}))$, $h = (1 - z) n + z h_0$.
    """
    s = let("s", [b, q, n], sum_over(w_ih[q, n, k] * x[b, k], k) + b_ih[q, n])
    a = let("a", [b, q, n], sum_over(w_hh[q, n, m] * h0[b, m], m) + b_hh[q, n])
    return reset_and_update(let, s, a, h0)


def reset_and_update(let: Builder, s: Array, a: Array, h0: Array) -> Array:
    r"""$h = (1 - z) n + z h_0$ from what the gates r, z, n get of the input (`s`) and of the state (`a`)."""
    r = let("r", [b, n], language.sigmoid(s[b, 0, n] + a[b, 0, n]))
    z = let("z", [b, n], language.sigmoid(s[b, 1, n] + a[b, 1, n]))
    c = let("c", [b, n], sp.tanh(s[b, 2, n] + r[b, n] * a[b, 2, n]))
    return let("h", [b, n], (1 - z[b, n]) * c[b, n] + z[b, n] * h0[b, n])

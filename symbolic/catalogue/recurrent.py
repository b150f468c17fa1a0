"""Recurrent cells and recurrences."""

import sympy as sp

from gradproof.symbolic import language
from gradproof.symbolic.catalogue.axes import BATCH, GATE, HIDDEN, INPUT, TIME
from gradproof.symbolic.language import indices, sum_over
from gradproof.symbolic.operation import Array, operation, real

b, n, m, x_, g = indices("b n m k g", BATCH, HIDDEN, HIDDEN, INPUT, GATE)


@operation(
    "recurrent",
    x=real(BATCH, INPUT),
    h0=real(BATCH, HIDDEN),
    c0=real(BATCH, HIDDEN),
    w_ih=real(GATE, HIDDEN, INPUT),
    w_hh=real(GATE, HIDDEN, HIDDEN),
    b_ih=real(GATE, HIDDEN),
    b_hh=real(GATE, HIDDEN),
    reference="torch.lstm_cell",
)
def lstm_cell(let, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array):
    r"""Long short-term memory (Hochreiter, Schmidhuber 1997; Gers et al. 2000), gates in PyTorch's order i, f, g, o."""
    a = let(
        "a",
        [b, g, n],
        sum_over(w_ih[g, n, x_] * x[b, x_], x_)
        + b_ih[g, n]
        + sum_over(w_hh[g, n, m] * h0[b, m], m)
        + b_hh[g, n],
    )
    i = let("i", [b, n], language.sigmoid(a[b, 0, n]))
    f = let("f", [b, n], language.sigmoid(a[b, 1, n]))
    z = let("z", [b, n], sp.tanh(a[b, 2, n]))
    o = let("o", [b, n], language.sigmoid(a[b, 3, n]))
    c = let("c", [b, n], f[b, n] * c0[b, n] + i[b, n] * z[b, n])
    u = let("u", [b, n], sp.tanh(c[b, n]))
    h = let("h", [b, n], o[b, n] * u[b, n])
    return h, c


@operation(
    "recurrent",
    x=real(BATCH, TIME, INPUT),
    h0=real(BATCH, HIDDEN),
    c0=real(BATCH, HIDDEN),
    w_ih=real(GATE, HIDDEN, INPUT),
    w_hh=real(GATE, HIDDEN, HIDDEN),
    b_ih=real(GATE, HIDDEN),
    b_hh=real(GATE, HIDDEN),
    reference="torch.nn.LSTM",
)
def lstm(let, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array):
    r"""An LSTM layer: the cell repeated along time; the hidden state of every step, and the last of both states."""
    made = let.repeat(
        lstm_cell,
        TIME,
        states={"h0": (h0, "h"), "c0": (c0, "c")},
        scanned={"x": x},
        shared={"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh},
    )
    return made["h"], made["h_last"], made["c_last"]

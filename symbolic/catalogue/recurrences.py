"""Recurrences: a cell repeated along a time axis of symbolic length."""

from gradproof.symbolic.catalogue.axes import BATCH, GATE, GATE3, HIDDEN, INPUT, TIME
from gradproof.symbolic.catalogue.recurrent import gru_cell, lstm_cell, rnn_relu_cell, rnn_tanh_cell
from gradproof.symbolic.operation import Array, Builder, operation, real


@operation(
    "recurrent",
    x=real(BATCH, TIME, INPUT),
    h0=real(BATCH, HIDDEN),
    w_ih=real(HIDDEN, INPUT),
    w_hh=real(HIDDEN, HIDDEN),
    b_ih=real(HIDDEN),
    b_hh=real(HIDDEN),
    nonlinearity=("tanh", "relu"),
    reference="torch.nn.RNN",
)
def rnn(
    let: Builder,
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array,
    b_hh: Array,
    nonlinearity: str,
) -> tuple[Array, Array]:
    r"""A vanilla recurrent layer: the hidden state of every step, and the last one."""
    made = let.repeat(
        {"tanh": rnn_tanh_cell, "relu": rnn_relu_cell}[nonlinearity],
        TIME,
        states={"h0": (h0, "h")},
        scanned={"x": x},
        shared={"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh},
    )
    return made["h"], made["h_last"]


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
def lstm(
    let: Builder, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Array, Array]:
    r"""An LSTM layer: the hidden state of every step, and the last of both states."""
    made = let.repeat(
        lstm_cell,
        TIME,
        states={"h0": (h0, "h"), "c0": (c0, "c")},
        scanned={"x": x},
        shared={"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh},
    )
    return made["h"], made["h_last"], made["c_last"]


@operation(
    "recurrent",
    x=real(BATCH, TIME, INPUT),
    h0=real(BATCH, HIDDEN),
    w_ih=real(GATE3, HIDDEN, INPUT),
    w_hh=real(GATE3, HIDDEN, HIDDEN),
    b_ih=real(GATE3, HIDDEN),
    b_hh=real(GATE3, HIDDEN),
    reference="torch.nn.GRU",
)
def gru(
    let: Builder, x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Array]:
    r"""A layer of gated recurrent units: the hidden state of every step, and the last one."""
    made = let.repeat(
        gru_cell,
        TIME,
        states={"h0": (h0, "h")},
        scanned={"x": x},
        shared={"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh},
    )
    return made["h"], made["h_last"]

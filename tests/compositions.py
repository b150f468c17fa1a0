"""Recurrences inside other operations: stacked, in both directions, one feeding another, attended to."""

from typing import Any

import sympy as sp

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.catalogue.axes import GATE, INPUT
from gradproof.symbolic.language import indices, sum_over
from gradproof.symbolic.operation import Array, Builder, Operation, find, operation, real

lstm, rnn, rnn_cell, mse, softmax = (find(n) for n in ("lstm", "rnn", "rnn_tanh_cell", "mse_loss", "softmax"))
BATCH = Axis("batch", minimum=1, variadic=True)
TIME, SOURCE, HIDDEN = (Axis(name, minimum=1) for name in ("time", "source", "hidden"))
b, t, s, n, m = indices("b t s n m", BATCH, TIME, SOURCE, HIDDEN, HIDDEN)
STATE = real(BATCH, HIDDEN)
SEQUENCE = real(BATCH, TIME, INPUT)
TARGET = real(BATCH, TIME, HIDDEN)


def gates(suffix: str, over: Axis) -> dict[str, Any]:
    bias = real(GATE, HIDDEN)
    made = {"w_ih": real(GATE, HIDDEN, over), "w_hh": real(GATE, HIDDEN, HIDDEN), "b_ih": bias, "b_hh": bias}
    return {f"{name}{suffix}": given for name, given in made.items()}


def weights(suffix: str = "", over: Axis = INPUT) -> dict[str, Any]:
    bias = real(HIDDEN)
    made = {"w_ih": real(HIDDEN, over), "w_hh": real(HIDDEN, HIDDEN), "b_ih": bias, "b_hh": bias}
    return {f"{name}{suffix}": given for name, given in made.items()}


FOUR = ("w_ih", "w_hh", "b_ih", "b_hh")


@operation(
    "test",
    {
        "x": SEQUENCE,
        "h0": STATE,
        "c0": STATE,
        "h1": STATE,
        "c1": STATE,
        **gates("", INPUT),
        **gates("1", HIDDEN),
    },
    register=False,
)
def stacked_lstm(let: Builder, x: Array, h0: Array, c0: Array, h1: Array, c1: Array, **w: Array) -> Any:
    """Two layers: the second one reads every hidden state of the first."""
    lower, last, _ = lstm(x, h0, c0, *(w[k] for k in FOUR))
    upper, top, _ = lstm(lower, h1, c1, *(w[f"{k}1"] for k in FOUR))
    return upper, last, top


@operation(
    "test",
    {
        "x": SEQUENCE,
        "h0": STATE,
        "g0": STATE,
        "target": TARGET,
        "v": real(HIDDEN, HIDDEN),
        **weights(),
        **weights("_r"),
    },
    register=False,
)
def bidirectional(let: Builder, x: Array, h0: Array, g0: Array, target: Array, v: Array, **w: Array) -> Any:
    """A recurrence in each direction (Schuster, Paliwal 1997), with a loss on top."""
    one = let.repeat(
        rnn_cell, TIME, states={"h0": (h0, "h")}, scanned={"x": x}, shared={k: w[k] for k in FOUR}
    )
    other = let.repeat(
        rnn_cell,
        TIME,
        states={"h0": (g0, "h")},
        scanned={"x": x},
        shared={k: w[f"{k}_r"] for k in FOUR},
        reverse=True,
        name="back",
    )
    y = let("y", [b, t, n], sum_over(v[n, m] * (one["h"][b, t, m] + other["h"][b, t, m]), m))
    return mse(y, target)


@operation(
    "test",
    {
        "x": real(BATCH, SOURCE, INPUT),
        "z": SEQUENCE,
        "h0": STATE,
        "target": TARGET,
        **weights(),
        **weights("_d"),
    },
    register=False,
)
def encoder_decoder(let: Builder, x: Array, z: Array, h0: Array, target: Array, **w: Array) -> Any:
    """The last state of one recurrence starts another, along another axis (Sutskever et al. 2014)."""
    read = let.repeat(
        rnn_cell, SOURCE, states={"h0": (h0, "h")}, scanned={"x": x}, shared={k: w[k] for k in FOUR}
    )
    written, _ = rnn(z, read["h_last"], *(w[f"{k}_d"] for k in FOUR))
    return mse(written, target)


@operation("test", q=STATE, memory=real(BATCH, SOURCE, HIDDEN), register=False)
def attend(let: Builder, q: Array, memory: Array) -> Array:
    e = let("e", [b, s], sum_over(q[b, n] * memory[b, s, n], n))
    p = softmax(e, names=["p"])
    return let("context", [b, n], sum_over(p[b, s] * memory[b, s, n], s))


@operation(
    "test", x=STATE, z=STATE, h=STATE, memory=real(BATCH, SOURCE, HIDDEN), v=real(HIDDEN), register=False
)
def attending_cell(let: Builder, x: Array, z: Array, h: Array, memory: Array, v: Array) -> Array:
    context = attend(h, memory)
    return let("h1", [b, n], sp.tanh(context[b, n] * v[n] + x[b, n] * z[b, n]))


@operation("test", x=TARGET, h0=STATE, memory=real(BATCH, SOURCE, HIDDEN), v=real(HIDDEN), register=False)
def attending_decoder(let: Builder, x: Array, h0: Array, memory: Array, v: Array) -> Any:
    """Each step attends to a memory; one array is scanned as two inputs of the cell."""
    made = let.repeat(
        attending_cell,
        TIME,
        states={"h": (h0, "h1")},
        scanned={"x": x, "z": x},
        shared={"memory": memory, "v": v},
    )
    return made["h1"], made["context"]


@operation("test", x=STATE, h=STATE, whole=TARGET, register=False)
def looking_cell(let: Builder, x: Array, h: Array, whole: Array) -> Array:
    c = let("c", [b, n], sum_over(sp.sin(whole[b, t, n]), t))
    return let("h1", [b, n], sp.tanh(c[b, n] * h[b, n] + x[b, n]))


@operation("test", x=TARGET, h0=STATE, register=False)
def looking_back(let: Builder, x: Array, h0: Array) -> Array:
    """One array is scanned, and seen as a whole by every step; the steps run backwards."""
    made = let.repeat(
        looking_cell, TIME, states={"h": (h0, "h1")}, scanned={"x": x}, shared={"whole": x}, reverse=True
    )
    return made["h1"]


@operation(
    "test",
    {
        "x": real(BATCH, SOURCE, TIME, INPUT),
        "h0": real(BATCH, SOURCE, HIDDEN),
        "g0": STATE,
        **weights(),
        **weights("1", HIDDEN),
    },
    register=False,
)
def rows_then_columns(let: Builder, x: Array, h0: Array, g0: Array, **w: Array) -> Array:
    """A recurrence along one axis over the last states of a recurrence along another, a batch axis of it."""
    _, last = rnn(x, h0, *(w[k] for k in FOUR))
    shared = {k: w[f"{k}1"] for k in FOUR}
    return let.repeat(rnn_cell, SOURCE, states={"h0": (g0, "h")}, scanned={"x": last}, shared=shared)["h"]


@operation("test", {"x": SEQUENCE, "h0": STATE, **weights()}, register=False)
def three_passes(let: Builder, x: Array, h0: Array, **w: Array) -> Any:
    """The same weights in three recurrences, each starting where the one before ended."""
    first = rnn(x, h0, *w.values())[1]
    second = rnn(x, first, *w.values())[1]
    states, third = rnn(x, second, *w.values())
    return states, third, first


@operation("test", {"x": SEQUENCE, "h0": STATE, "c0": STATE, **gates("", INPUT)}, register=False)
def one_start(let: Builder, x: Array, h0: Array, c0: Array, **w: Array) -> Array:
    """Both states start with one array, and an operation with recurrences is applied twice."""
    _, last, _ = lstm(x, h0, h0, *w.values())
    _, again, _ = lstm(x, last, c0, *w.values())
    return again


T = Axis("t", minimum=1)
(u,) = indices("u", T)


@operation("test", x=STATE, s=STATE, register=False)
def gate_cell(let: Builder, x: Array, s: Array) -> Array:
    return let("p", [b, n], sp.tanh(s[b, n] * x[b, n]) + s[b, n])


@operation("test", x=real(BATCH, T, HIDDEN), s=STATE, register=False)
def forth_and_back(let: Builder, x: Array, s: Array) -> Array:
    """The axis of the recurrences is called `t`, as a loop over it would call its step."""
    forth = let.repeat(gate_cell, T, states={"s": (s, "p")}, scanned={"x": x})
    back = let.repeat(
        gate_cell, T, states={"s": (forth["p_last"], "p")}, scanned={"x": forth["p"]}, reverse=True
    )
    return let("y", [b, n], back["p_last"][b, n] * sum_over(forth["p"][b, u, n] * back["p"][b, u, n], u))


COMPOSITIONS: tuple[Operation, ...] = (
    stacked_lstm,
    bidirectional,
    encoder_decoder,
    attending_decoder,
    looking_back,
    rows_then_columns,
    three_passes,
    one_start,
    forth_and_back,
)

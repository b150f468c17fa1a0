"""Cells of all kinds, and what repeats any cell over time."""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy as sp

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.catalogue.axes import BATCH, GATE, GATE3, HIDDEN, INPUT, TIME
from gradproof.symbolic.catalogue.recurrent import remember, reset_and_update
from gradproof.symbolic.declarations import Input
from gradproof.symbolic.language import indices, sum_over
from gradproof.symbolic.operation import (
    Array,
    Builder,
    Declared,
    Operation,
    boolean,
    find,
    operation,
    real,
)

PROJECTED = Axis("projected")
b, n, m, k, r, s = indices("b n m k r s", BATCH, HIDDEN, HIDDEN, INPUT, PROJECTED, PROJECTED)
g, q = indices("g g", GATE, GATE3)

_VANILLA = {
    "x": real(BATCH, INPUT),
    "h0": real(BATCH, HIDDEN),
    "w_ih": real(HIDDEN, INPUT),
    "w_hh": real(HIDDEN, HIDDEN),
    "nonlinearity": ("tanh", "relu"),
}


@operation("recurrent", _VANILLA, register=False)
def rnn_cell_unbiased(
    let: Builder, x: Array, h0: Array, w_ih: Array, w_hh: Array, nonlinearity: str
) -> Array:
    r"""A vanilla recurrent cell without biases, $h = \phi(W_{ih} x + W_{hh} h_0)$."""
    a = let("a", [b, n], sum_over(w_ih[n, k] * x[b, k], k) + sum_over(w_hh[n, m] * h0[b, m], m))
    value = sp.tanh(a[b, n]) if nonlinearity == "tanh" else sp.Piecewise((a[b, n], a[b, n] > 0), (0, True))
    return let("h", [b, n], value)


@operation(
    "recurrent",
    x=real(BATCH, INPUT),
    h0=real(BATCH, HIDDEN),
    w_ih=real(GATE3, HIDDEN, INPUT),
    w_hh=real(GATE3, HIDDEN, HIDDEN),
    register=False,
)
def gru_cell_unbiased(let: Builder, x: Array, h0: Array, w_ih: Array, w_hh: Array) -> Array:
    """A gated recurrent unit without biases."""
    from_input = let("s", [b, q, n], sum_over(w_ih[q, n, k] * x[b, k], k))
    from_state = let("a", [b, q, n], sum_over(w_hh[q, n, m] * h0[b, m], m))
    return reset_and_update(let, from_input, from_state, h0)


@operation(
    "recurrent",
    x=real(BATCH, INPUT),
    h0=real(BATCH, HIDDEN),
    c0=real(BATCH, HIDDEN),
    w_ih=real(GATE, HIDDEN, INPUT),
    w_hh=real(GATE, HIDDEN, HIDDEN),
    register=False,
)
def lstm_cell_unbiased(
    let: Builder, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array
) -> tuple[Array, Array]:
    """A long short-term memory without biases."""
    a = let("a", [b, g, n], sum_over(w_ih[g, n, k] * x[b, k], k) + sum_over(w_hh[g, n, m] * h0[b, m], m))
    return remember(let, a, c0)


@operation(
    "recurrent",
    x=real(BATCH, INPUT),
    h0=real(BATCH, PROJECTED),
    c0=real(BATCH, HIDDEN),
    w_ih=real(GATE, HIDDEN, INPUT),
    w_hh=real(GATE, HIDDEN, PROJECTED),
    bias=("yes", "no"),
    b_ih=real(GATE, HIDDEN, bias="yes"),
    b_hh=real(GATE, HIDDEN, bias="yes"),
    w_hr=real(PROJECTED, HIDDEN),
    register=False,
)
def lstm_cell_projected(
    let: Builder,
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array,
    b_hh: Array,
    w_hr: Array,
    bias: str,
) -> tuple[Array, Array]:
    r"""A long short-term memory whose output is projected (Sak et al. 2014), $h = W_{hr} (o \tanh c)$."""
    biases = b_ih[g, n] + b_hh[g, n] if bias == "yes" else 0
    products = sum_over(w_ih[g, n, k] * x[b, k], k) + sum_over(w_hh[g, n, r] * h0[b, r], r)
    a = let("a", [b, g, n], products + biases)
    full, c = remember(let, a, c0, "whole")
    return let("h", [b, s], sum_over(w_hr[s, n] * full[b, n], n)), c


def cell_of(mode: str, bias: bool, projected: bool = False) -> Operation:
    """The cell of one of PyTorch's modes: RNN_TANH, RNN_RELU, GRU or LSTM."""
    if projected:
        return lstm_cell_projected.variant(bias="yes" if bias else "no")
    if mode in ("RNN_TANH", "RNN_RELU"):
        kind = mode.removeprefix("RNN_").lower()
        return find(f"rnn_{kind}_cell") if bias else rnn_cell_unbiased.variant(nonlinearity=kind)
    if mode == "GRU":
        return find("gru_cell") if bias else gru_cell_unbiased
    return find("lstm_cell") if bias else lstm_cell_unbiased


States = tuple[tuple[str, str], ...]
"""Pairs of an input of a cell and the output that the next step gets for it."""


@cache
def over_time(
    cell: Operation,
    states: States,
    scanned: tuple[str, ...],
    emitted: tuple[str, ...],
    *,
    reverse: bool = False,
    masked: bool = False,
) -> Operation:
    """The operation that repeats a cell along time.

    Its inputs are the cell's, the `scanned` ones with a time axis behind their batch axes; its outputs the
    `emitted` ones of every step, then the last states. With `masked` there is one more input, `active`
    [batch..., time], of truth values: a step that is not active leaves the states as they are and emits 0.
    """
    declared: dict[str, Declared] = {}
    for tensor in cell.inputs:
        axes = _with_time(tensor.axes) if tensor.name in scanned else tensor.axes
        declared[tensor.name] = Input(axes, tensor.dtype, tensor.domain, tensor.over)
    step = _held(cell, states) if masked else cell
    if masked:
        declared["active"] = boolean(*_batch(cell), TIME)

    def recurrence(let: Builder, **given: Any) -> tuple[Array, ...]:
        arrays = {name: given[name] for name in declared}
        starts = {before: (arrays[before], after) for before, after in states}
        seen = {name: arrays[name] for name in (*scanned, *(("active",) if masked else ()))}
        shared = {name: a for name, a in arrays.items() if name not in starts and name not in seen}
        made = let.repeat(step, TIME, states=starts, scanned=seen, shared=shared, reverse=reverse)
        every = [made[name] for name in emitted]
        if masked:
            every = [_where(let, f"{name}_shown", made[name], arrays["active"]) for name in emitted]
        return (*every, *(made[f"{after}_last"] for _, after in states))

    kinds = [str(v) for k, v in cell.options.items() if v != cell.choices[k][0]]
    parts = [
        cell.name,
        *kinds,
        "over_time",
        *(["reversed"] if reverse else []),
        *(["masked"] if masked else []),
    ]
    recurrence.__name__ = "_".join(parts)
    recurrence.__doc__ = f"{cell.label}, repeated along time."
    return operation("recurrent", {**cell.hyperparameters, **declared}, register=False)(recurrence)


@cache
def _held(cell: Operation, states: States) -> Operation:
    """The cell with one more input, `active` [batch...]: where that is not true, the states stay."""
    kept = {after: before for before, after in states}

    def holding(let: Builder, **given: Any) -> tuple[Array, ...]:
        made = cell(*(given[t.name] for t in cell.inputs), names=[f"{t.name}_next" for t in cell.outputs])
        news: tuple[Array, ...] = made if isinstance(made, tuple) else (made,)
        return tuple(
            _where(let, t.name, new, given["active"], given[kept[t.name]])
            if t.name in kept
            else _where(let, t.name, new, given["active"])
            for t, new in zip(cell.outputs, news, strict=True)
        )

    holding.__name__ = f"{cell.name}_held"
    declared = {t.name: Input(t.axes, t.dtype, t.domain, t.over) for t in cell.inputs}
    declared["active"] = boolean(*_batch(cell))
    return operation("recurrent", {**cell.hyperparameters, **declared}, register=False)(holding)


def _where(let: Builder, name: str, new: Array, active: Array, old: Array | None = None) -> Array:
    """The new array where active, else the old one or 0; `active` has the leading axes of both."""
    axes = new.tensor.axes
    places = indices(" ".join(f"i{n}" for n in range(len(axes))), *axes)
    seen = active[places[: len(active.tensor.axes)]]
    other = 0 if old is None else old[places]
    return let(name, list(places), sp.Piecewise((new[places], sp.Eq(seen, 1)), (other, True)))


def _batch(cell: Operation) -> tuple[Axis, ...]:
    """The batch axes of a cell."""
    return tuple(dict.fromkeys(a for tensor in cell.inputs for a in tensor.axes if a.variadic))


def _with_time(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Time stands behind the batch axes."""
    lead = sum(1 for a in axes if a.variadic)
    return (*axes[:lead], TIME, *axes[lead:])

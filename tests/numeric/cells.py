"""Cells that the catalogue does not have."""

from __future__ import annotations

import sympy as sp

from gradproof.symbolic.catalogue.axes import BATCH, GATE, HIDDEN, INPUT, TIME
from gradproof.symbolic.language import indices, mean_over, sigmoid, sum_over
from gradproof.symbolic.operation import Array, Builder, operation, real

b, n, m, k, g = indices("b n m k g", BATCH, HIDDEN, HIDDEN, INPUT, GATE)
STATES = {"x": real(BATCH, TIME, INPUT), "h0": real(BATCH, HIDDEN), "c0": real(BATCH, HIDDEN)}
WEIGHTS = {"w_ih": real(GATE, HIDDEN, INPUT), "w_hh": real(GATE, HIDDEN, HIDDEN)}


@operation("recurrent", STATES | {"x": real(BATCH, INPUT)} | WEIGHTS, register=False)
def normalized_cell(
    let: Builder, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array
) -> tuple[Array, Array]:
    """An LSTM cell whose memory is brought to mean 0 and variance 1 before the output (Ba et al. 2016)."""
    a = let("a", [b, g, n], sum_over(w_ih[g, n, k] * x[b, k], k) + sum_over(w_hh[g, n, m] * h0[b, m], m))
    c = let("c", [b, n], sigmoid(a[b, 1, n]) * c0[b, n] + sigmoid(a[b, 0, n]) * sp.tanh(a[b, 2, n]))
    mean = let("mean", [b], mean_over(c[b, m], m))
    spread = let("spread", [b], sp.sqrt(mean_over((c[b, m] - mean[b]) ** 2, m) + sp.Rational(1, 8)))
    return let("h", [b, n], sigmoid(a[b, 3, n]) * sp.tanh((c[b, n] - mean[b]) / spread[b])), c

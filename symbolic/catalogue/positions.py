"""Positions: sinusoidal and rotary."""

import sympy as sp

from gradproof.symbolic.catalogue.axes import BATCH, PAIR, PART, TIME
from gradproof.symbolic.language import indices, size_of
from gradproof.symbolic.operation import Array, Builder, operation, real, scalar

b, t, i, s = indices("b t i s", BATCH, TIME, PAIR, PART)


@operation(
    "positions",
    x=real(BATCH, TIME, PAIR, PART),
    base=scalar("10000", "(0, inf)"),
)
def sinusoidal_positions(let: Builder, x: Array, base: sp.Symbol) -> Array:
    r"""Sinusoidal positions added to the input (Vaswani et al. 2017, section 3.5).

    The features come in pairs, $d = 2 n$ of them: $y_{t,2i} = x_{t,2i} + \sin(t \omega_i)$ and
    $y_{t,2i+1} = x_{t,2i+1} + \cos(t \omega_i)$, with the frequency $\omega_i = 10000^{-2i/d}$.
    """
    angle = let("angle", [t, i], t * sp.exp(-sp.log(base) * i / size_of(PAIR)))
    wave = sp.Piecewise((sp.sin(angle[t, i]), sp.Eq(s, 0)), (sp.cos(angle[t, i]), True))
    table = let("table", [t, i, s], wave)
    return let("y", [b, t, i, s], x[b, t, i, s] + table[t, i, s])


@operation(
    "positions",
    x=real(BATCH, TIME, PAIR, PART),
    base=scalar("10000", "(0, inf)"),
)
def rotary_embedding(let: Builder, x: Array, base: sp.Symbol) -> Array:
    r"""Rotary position embedding (Su et al. 2021): each pair of features is rotated by $t \omega_i$.

    The features come in pairs, $d = 2 n$ of them, and $\omega_i = 10000^{-2i/d}$.
    """
    angle = let("angle", [t, i], t * sp.exp(-sp.log(base) * i / size_of(PAIR)))
    cos = let("cos", [t, i], sp.cos(angle[t, i]))
    sin = let("sin", [t, i], sp.sin(angle[t, i]))
    first = x[b, t, i, 0] * cos[t, i] - x[b, t, i, 1] * sin[t, i]
    second = x[b, t, i, 0] * sin[t, i] + x[b, t, i, 1] * cos[t, i]
    return let("y", [b, t, i, s], sp.Piecewise((first, sp.Eq(s, 0)), (second, True)))

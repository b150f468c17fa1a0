"""Linear maps, lookups, and dropout."""

import sympy as sp

from gradproof.symbolic.catalogue.axes import BATCH, EMBED, INPUT, LEFT, OUTPUT, RIGHT, VOCAB
from gradproof.symbolic.language import indices, sum_over
from gradproof.symbolic.operation import Array, Builder, boolean, integer, operation, real, scalar

b, o, i, first, second, d = indices("b o i i j d", BATCH, OUTPUT, INPUT, LEFT, RIGHT, EMBED)


@operation(
    "linear",
    x=real(BATCH, INPUT),
    weight=real(OUTPUT, INPUT),
    bias=real(OUTPUT),
    reference="torch.nn.functional.linear",
)
def linear(let: Builder, x: Array, weight: Array, bias: Array) -> Array:
    r"""An affine map, $y = x W^\top + \beta$."""
    return let("y", [b, o], sum_over(x[b, i] * weight[o, i], i) + bias[o])


@operation(
    "linear",
    x1=real(BATCH, LEFT),
    x2=real(BATCH, RIGHT),
    weight=real(OUTPUT, LEFT, RIGHT),
    bias=real(OUTPUT),
    reference="torch.nn.functional.bilinear",
)
def bilinear(let: Builder, x1: Array, x2: Array, weight: Array, bias: Array) -> Array:
    r"""A bilinear map, $y_o = x_1^\top W_o x_2 + \beta_o$."""
    return let(
        "y",
        [b, o],
        sum_over(x1[b, first] * weight[o, first, second] * x2[b, second], first, second) + bias[o],
    )


@operation(
    "linear",
    index=integer(BATCH, over=VOCAB),
    weight=real(VOCAB, EMBED),
    reference="torch.nn.functional.embedding",
)
def embedding(let: Builder, index: Array, weight: Array) -> Array:
    r"""A lookup (gather), $y_{bd} = W_{s_b d}$, for indices within the vocabulary."""
    return let("y", [b, d], weight[index[b], d])


@operation(
    "linear",
    x=real(BATCH),
    keep=boolean(BATCH),
    p=scalar("1/2", "[0, 1)"),
    reference="torch.nn.functional.dropout",
)
def dropout(let: Builder, x: Array, keep: Array, p: sp.Symbol) -> Array:
    r"""Inverted dropout (Srivastava et al. 2014) under a given mask, $y = m x / (1 - p)$."""
    return let("y", [b], keep[b] * x[b] / (1 - p))

"""Normalization over features or over the batch."""

import sympy as sp

from gradproof.symbolic.catalogue.axes import BATCH, FEATURES
from gradproof.symbolic.language import indices, mean_over
from gradproof.symbolic.operation import Array, operation, real, scalar

b, i, j = indices("b i j", BATCH, FEATURES, FEATURES)


@operation(
    "normalization",
    x=real(BATCH, FEATURES),
    weight=real(FEATURES),
    bias=real(FEATURES),
    eps=scalar("1e-5", "(0, inf)"),
    reference="torch.nn.functional.layer_norm",
)
def layer_norm(let, x: Array, weight: Array, bias: Array, eps: sp.Symbol) -> Array:
    r"""Layer normalization (Ba, Kiros, Hinton 2016): each row to mean 0 and variance 1, then scaled and shifted."""
    mean = let("mean", [b], mean_over(x[b, j], j))
    var = let("var", [b], mean_over((x[b, j] - mean[b]) ** 2, j))
    rstd = let("rstd", [b], 1 / sp.sqrt(var[b] + eps))
    xhat = let("xhat", [b, i], (x[b, i] - mean[b]) * rstd[b])
    return let("y", [b, i], xhat[b, i] * weight[i] + bias[i])

"""Normalization over features or over the batch."""

import sympy as sp

from gradproof.symbolic.catalogue.axes import BATCH, EXAMPLES, FEATURES
from gradproof.symbolic.language import indices, mean_over
from gradproof.symbolic.operation import Array, Builder, operation, real, scalar

b, n, m, i, j = indices("b n m i j", BATCH, EXAMPLES, EXAMPLES, FEATURES, FEATURES)


@operation(
    "normalization",
    x=real(BATCH, FEATURES),
    weight=real(FEATURES),
    bias=real(FEATURES),
    eps=scalar("1e-5", "(0, inf)"),
    reference="torch.nn.functional.layer_norm",
)
def layer_norm(let: Builder, x: Array, weight: Array, bias: Array, eps: sp.Symbol) -> Array:
    r"""Layer normalization (Ba, Kiros, Hinton 2016).

    Each row to mean 0 and variance 1, then scaled and shifted:
    $y = \hat x \gamma + \beta$ with $\hat x = (x - \mu)/\sqrt{\sigma^2 + \varepsilon}$.
    """
    mean = let("mean", [b], mean_over(x[b, j], j))
    var = let("var", [b], mean_over((x[b, j] - mean[b]) ** 2, j))
    rstd = let("rstd", [b], 1 / sp.sqrt(var[b] + eps))
    xhat = let("xhat", [b, i], (x[b, i] - mean[b]) * rstd[b])
    return let("y", [b, i], xhat[b, i] * weight[i] + bias[i])


@operation(
    "normalization",
    x=real(BATCH, FEATURES),
    weight=real(FEATURES),
    eps=scalar("1e-6", "(0, inf)"),
    reference="torch.nn.functional.rms_norm",
)
def rms_norm(let: Builder, x: Array, weight: Array, eps: sp.Symbol) -> Array:
    r"""Root mean square normalization (Zhang, Sennrich 2019).

    Each row to mean square 1, then scaled: $y = \hat x \gamma$ with
    $\hat x = x/\sqrt{\tfrac1n \sum_j x_j^2 + \varepsilon}$.
    """
    square = let("square", [b], mean_over(x[b, j] ** 2, j))
    rstd = let("rstd", [b], 1 / sp.sqrt(square[b] + eps))
    xhat = let("xhat", [b, i], x[b, i] * rstd[b])
    return let("y", [b, i], xhat[b, i] * weight[i])


@operation(
    "normalization",
    x=real(EXAMPLES, FEATURES),
    weight=real(FEATURES),
    bias=real(FEATURES),
    eps=scalar("1e-5", "(0, inf)"),
    reference="torch.nn.functional.batch_norm",
)
def batch_norm(let: Builder, x: Array, weight: Array, bias: Array, eps: sp.Symbol) -> Array:
    r"""Batch normalization in training mode (Ioffe, Szegedy 2015), features last.

    Each feature to mean 0 and variance 1 over all examples, then scaled and shifted. The variance is the
    biased one; the running statistics, which take no part in the gradient, are left to the layer.
    """
    mean = let("mean", [i], mean_over(x[m, i], m))
    var = let("var", [i], mean_over((x[m, i] - mean[i]) ** 2, m))
    rstd = let("rstd", [i], 1 / sp.sqrt(var[i] + eps))
    xhat = let("xhat", [n, i], (x[n, i] - mean[i]) * rstd[i])
    return let("y", [n, i], xhat[n, i] * weight[i] + bias[i])

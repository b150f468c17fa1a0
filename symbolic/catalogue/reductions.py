"""Reductions of a row, and softmax."""

import sympy as sp

from gradproof.symbolic.catalogue.axes import BATCH, CLASSES, FEATURES, TERMS
from gradproof.symbolic.language import indices, max_over, mean_over, sum_over
from gradproof.symbolic.operation import Array, Builder, operation, real

b, k, j, i, n = indices("b k j i n", BATCH, CLASSES, CLASSES, FEATURES, TERMS)


@operation("reductions", x=real(BATCH, TERMS), reference="torch.sum")
def sum(let: Builder, x: Array) -> Array:
    r"""$y_b = \sum_n x_{bn}$."""
    return let("y", [b], sum_over(x[b, n], n))


@operation("reductions", x=real(BATCH, FEATURES), reference="torch.mean")
def mean(let: Builder, x: Array) -> Array:
    r"""The mean of a row (mean pooling), $y_b = \tfrac1n \sum_i x_{bi}$."""
    return let("y", [b], mean_over(x[b, i], i))


@operation("reductions", x=real(BATCH, FEATURES), reference="torch.amax")
def max(let: Builder, x: Array) -> Array:
    r"""The largest entry of a row (max pooling), $y_b = \max_i x_{bi}$.

    Entries that tie share its derivative evenly.
    """
    return let("y", [b], max_over(x[b, i], i))


@operation("reductions", x=real(BATCH, CLASSES), reference="torch.logsumexp")
def logsumexp(let: Builder, x: Array) -> Array:
    r"""$y_b = \log \sum_k e^{x_{bk}}$."""
    return let("y", [b], sp.log(sum_over(sp.exp(x[b, k]), k)))


@operation("reductions", x=real(BATCH, CLASSES), reference="torch.nn.functional.softmax")
def softmax(let: Builder, x: Array) -> Array:
    r"""$y_{bk} = e^{x_{bk}} / \sum_j e^{x_{bj}}$ (Bridle 1990)."""
    return let("y", [b, k], sp.exp(x[b, k]) / sum_over(sp.exp(x[b, j]), j))


@operation("reductions", x=real(BATCH, CLASSES), reference="torch.nn.functional.log_softmax")
def log_softmax(let: Builder, x: Array) -> Array:
    r"""$y_{bk} = x_{bk} - \log \sum_j e^{x_{bj}}$."""
    lse = logsumexp(x, names=["lse"])
    return let("y", [b, k], x[b, k] - lse[b])

"""Reductions, softmax and the losses."""

import sympy as sp

from gradproof.symbolic.catalogue.axes import BATCH, CLASSES
from gradproof.symbolic.language import equal, indices, size_of, sum_over
from gradproof.symbolic.operation import Array, integer, operation, real, scalar

b, k, j = indices("b k j", BATCH, CLASSES, CLASSES)


@operation("reductions", x=real(BATCH, CLASSES), reference="torch.logsumexp")
def logsumexp(let, x: Array) -> Array:
    r"""$y_b = \log \sum_k e^{x_{bk}}$."""
    return let("y", [b], sp.log(sum_over(sp.exp(x[b, k]), k)))


@operation("reductions", x=real(BATCH, CLASSES), reference="torch.nn.functional.softmax")
def softmax(let, x: Array) -> Array:
    r"""$y_{bk} = e^{x_{bk}} / \sum_j e^{x_{bj}}$."""
    return let("y", [b, k], sp.exp(x[b, k]) / sum_over(sp.exp(x[b, j]), j))


@operation("reductions", x=real(BATCH, CLASSES), reference="torch.nn.functional.log_softmax")
def log_softmax(let, x: Array) -> Array:
    r"""$y_{bk} = x_{bk} - \log \sum_j e^{x_{bj}}$."""
    lse = logsumexp(x, names=["lse"])
    return let("y", [b, k], x[b, k] - lse[b])


@operation(
    "losses",
    logits=real(BATCH, CLASSES),
    target=integer(BATCH, over=CLASSES),
    label_smoothing=scalar("0", "[0, 1]"),
    reference="torch.nn.functional.cross_entropy",
)
def cross_entropy(let, logits: Array, target: Array, label_smoothing: sp.Symbol) -> Array:
    r"""Softmax cross-entropy from class indices, averaged over the targets that count.

    `p` is the softmax of the logits: the forward pass does not need it, its gradient is written with it.

    A target outside the classes (PyTorch's `ignore_index`) does not count; the loss is 0 where none does.
    Label smoothing mixes the target with the uniform distribution.
    """
    lse = logsumexp(logits, names=["lse"])
    let("p", [b, k], sp.exp(logits[b, k] - lse[b]))
    hit = equal(target[b], k)
    counts = let("counts", [b], sum_over(hit, k))
    weight = (1 - label_smoothing) * hit + label_smoothing * counts[b] / size_of(CLASSES)
    q = let("q", [b, k], weight)
    n = let("n", [], sum_over(counts[b], b))
    each = sum_over(q[b, k] * (lse[b] - logits[b, k]), k)
    return let("loss", [], sp.Piecewise((sum_over(each, b) / n[()], n[()] > 0), (0, True)))


@operation(
    "losses",
    logits=real(BATCH, CLASSES),
    target=real(BATCH, CLASSES),
    reference="torch.nn.functional.cross_entropy",
)
def soft_cross_entropy(let, logits: Array, target: Array) -> Array:
    r"""$\ell_b = -\sum_k t_{bk} \log \operatorname{softmax}(x_b)_k$, one for each row."""
    lse = logsumexp(logits, names=["lse"])
    let("p", [b, k], sp.exp(logits[b, k] - lse[b]))
    return let("loss", [b], sum_over(target[b, k] * (lse[b] - logits[b, k]), k))

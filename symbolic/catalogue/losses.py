"""The losses."""

import sympy as sp

from gradproof.symbolic import language
from gradproof.symbolic.catalogue.axes import BATCH, CLASSES, EXAMPLES
from gradproof.symbolic.catalogue.reductions import logsumexp
from gradproof.symbolic.language import equal, indices, mean_over, size_of, sum_over
from gradproof.symbolic.operation import Array, Builder, integer, operation, real, scalar

b, k, m = indices("b k b", BATCH, CLASSES, EXAMPLES)


@operation(
    "losses",
    logits=real(BATCH, CLASSES),
    target=integer(BATCH, over=CLASSES, beyond=True),
    label_smoothing=scalar("0", "[0, 1]"),
    reference="torch.nn.functional.cross_entropy",
)
def cross_entropy(let: Builder, logits: Array, target: Array, label_smoothing: sp.Symbol) -> Array:
    r"""Softmax cross-entropy from class indices, averaged over the targets that count.

    `p` is the softmax of the logits: the forward pass does not need it, its gradient is written with it.

    A target outside the classes (PyTorch's `ignore_index`) does not count; the loss is 0 where none does.
    Label smoothing (Szegedy et al. 2016) mixes the target with the uniform distribution.
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
def soft_cross_entropy(let: Builder, logits: Array, target: Array) -> Array:
    r"""Softmax cross-entropy from soft targets.

    $\ell_b = -\sum_k t_{bk} \log \operatorname{softmax}(x_b)_k$, one for each row. Where $t$ is a
    distribution, $\sum_k t_{bk} = 1$, its derivatives are those of the textbooks, $p - t$ and
    $\operatorname{diag}(p) - p p^\top$.
    """
    let.suppose(sum_over(target[b, k], k), 1)
    lse = logsumexp(logits, names=["lse"])
    let("p", [b, k], sp.exp(logits[b, k] - lse[b]))
    return let("loss", [b], sum_over(target[b, k] * (lse[b] - logits[b, k]), k))


@operation(
    "losses",
    logits=real(EXAMPLES),
    target=real(EXAMPLES),
    reference="torch.nn.functional.binary_cross_entropy_with_logits",
)
def binary_cross_entropy_with_logits(let: Builder, logits: Array, target: Array) -> Array:
    r"""Binary cross-entropy from logits, the mean over all entries.

    $-t \log \sigma(x) - (1 - t) \log(1 - \sigma(x)) = \log(1 + e^x) - t x$.
    """
    return let("loss", [], mean_over(language.softplus(logits[m]) - target[m] * logits[m], m))


@operation("losses", x=real(EXAMPLES), target=real(EXAMPLES), reference="torch.nn.functional.mse_loss")
def mse_loss(let: Builder, x: Array, target: Array) -> Array:
    r"""The mean squared error, the mean of $(x - t)^2$ over all entries."""
    return let("loss", [], mean_over((x[m] - target[m]) ** 2, m))


@operation(
    "losses",
    x=real(BATCH, CLASSES),
    target=real(BATCH, CLASSES, domain="[0, inf)"),
    reference="torch.nn.functional.kl_div",
)
def kl_div(let: Builder, x: Array, target: Array) -> Array:
    r"""The divergence of Kullback and Leibler (1951) from log-probabilities $x$ to the probabilities $t$.

    $\ell_b = \sum_k (t_{bk} \log t_{bk} - t_{bk} x_{bk})$, one for each row, with $0 \log 0 = 0$.
    """
    entropy = sp.Piecewise((target[b, k] * sp.log(target[b, k]), target[b, k] > 0), (0, True))
    return let("loss", [b], sum_over(entropy - target[b, k] * x[b, k], k))

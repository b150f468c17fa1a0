"""Operations that layers need and the catalogue does not have: other options of the same mathematics."""

from __future__ import annotations

import sympy as sp

from gradproof.symbolic import language
from gradproof.symbolic.catalogue.attention import weigh
from gradproof.symbolic.catalogue.axes import (
    BATCH,
    CLASSES,
    EMBED,
    EXAMPLES,
    FEATURES,
    INPUT,
    KEY,
    OUTPUT,
    QUERY,
    VALUE,
)
from gradproof.symbolic.catalogue.reductions import logsumexp
from gradproof.symbolic.language import equal, indicator, indices, mean_over, size_of, sum_over
from gradproof.symbolic.operation import Array, Builder, boolean, integer, operation, real, scalar

b, m, o, i = indices("b m o i", BATCH, EXAMPLES, OUTPUT, INPUT)
n, j, k = indices("n j k", FEATURES, FEATURES, CLASSES)
query, key, d, c = indices("i j d c", QUERY, KEY, EMBED, VALUE)


# --- linear maps and normalization


@operation("linear", x=real(BATCH, INPUT), weight=real(OUTPUT, INPUT), register=False)
def linear_unbiased(let: Builder, x: Array, weight: Array) -> Array:
    r"""A linear map, $y = x W^\top$."""
    return let("y", [b, o], sum_over(x[b, i] * weight[o, i], i))


@operation("normalization", x=real(BATCH, FEATURES), eps=scalar("1e-5", "(0, inf)"), register=False)
def standardize(let: Builder, x: Array, eps: sp.Symbol) -> Array:
    r"""Layer normalization without weights, $y = (x - \mu)/\sqrt{\sigma^2 + \varepsilon}$ for each row."""
    mean = let("mean", [b], mean_over(x[b, j], j))
    var = let("var", [b], mean_over((x[b, j] - mean[b]) ** 2, j))
    rstd = let("rstd", [b], 1 / sp.sqrt(var[b] + eps))
    return let("y", [b, n], (x[b, n] - mean[b]) * rstd[b])


@operation(
    "normalization",
    x=real(BATCH, FEATURES),
    weight=real(FEATURES),
    eps=scalar("1e-5", "(0, inf)"),
    register=False,
)
def layer_norm_unbiased(let: Builder, x: Array, weight: Array, eps: sp.Symbol) -> Array:
    r"""Layer normalization without a bias, $y = \hat x \gamma$."""
    xhat = standardize(x, names=["xhat"])
    return let("y", [b, n], xhat[b, n] * weight[n])


@operation("normalization", x=real(BATCH, FEATURES), eps=scalar("1e-6", "(0, inf)"), register=False)
def rms_normalize(let: Builder, x: Array, eps: sp.Symbol) -> Array:
    r"""Root mean square normalization without weights, $y = x/\sqrt{\tfrac1n \sum_j x_j^2 + \varepsilon}$."""
    square = let("square", [b], mean_over(x[b, j] ** 2, j))
    rstd = let("rstd", [b], 1 / sp.sqrt(square[b] + eps))
    return let("y", [b, n], x[b, n] * rstd[b])


# --- activations


@operation(
    "activations",
    x=real(BATCH),
    beta=scalar(1, "(0, inf)"),
    threshold=scalar(20),
    register=False,
)
def softplus_beyond(let: Builder, x: Array, beta: sp.Symbol, threshold: sp.Symbol) -> Array:
    r"""PyTorch's softplus, $\log(1 + e^{\beta x})/\beta$, but $x$ where $\beta x$ is over the threshold."""
    smooth = language.softplus(beta * x[b]) / beta
    return let("y", [b], sp.Piecewise((x[b], beta * x[b] > threshold), (smooth, True)))


# --- attention


@operation(
    "attention",
    q=real(BATCH, QUERY, EMBED),
    k=real(BATCH, KEY, EMBED),
    v=real(BATCH, KEY, VALUE),
    mask=("none", "causal", "given"),
    allowed=boolean(BATCH, QUERY, KEY, mask="given"),
    biased=("no", "yes"),
    bias=real(BATCH, QUERY, KEY, biased="yes"),
    dropout=("no", "yes"),
    keep=boolean(BATCH, QUERY, KEY, dropout="yes"),
    p=scalar("1/2", "[0, 1)"),
    scale=scalar(1),
    weights=("no", "yes"),
    register=False,
)
def attention_dropped(
    let: Builder,
    q: Array,
    k: Array,
    v: Array,
    allowed: Array,
    bias: Array,
    keep: Array,
    p: sp.Symbol,
    scale: sp.Symbol,
    mask: str,
    biased: str,
    dropout: str,
    weights: str,
) -> Array | tuple[Array, Array]:
    r"""Scaled dot-product attention with dropout on its probabilities, under a given mask of what is kept.

    Scores are $s \, q_i \cdot k_j$ with $s$ the `scale`, plus the bias. A query that may look at no key has
    output 0. With `weights` the probabilities, as they are applied, are an output too.
    """
    added = bias[b, query, key] if biased == "yes" else 0
    scores = let("scores", [b, query, key], scale * sum_over(q[b, query, d] * k[b, key, d], d) + added)

    def seen(place: sp.Symbol) -> sp.Expr | int:
        if mask == "causal":
            return indicator(place <= query)
        return allowed[b, query, place] if mask == "given" else 1

    applied = weigh(let, scores, seen)
    if dropout == "yes":
        applied = let("kept", [b, query, key], keep[b, query, key] * applied[b, query, key] / (1 - p))
    y = let("y", [b, query, c], sum_over(applied[b, query, key] * v[b, key, c], key))
    return (y, applied) if weights == "yes" else y


# --- losses


@operation(
    "losses",
    logits=real(BATCH, CLASSES),
    target=integer(BATCH, over=CLASSES, beyond=True),
    weighted=("no", "yes"),
    weight=real(CLASSES, weighted="yes"),
    label_smoothing=scalar("0", "[0, 1]"),
    reduction=("mean", "sum", "none"),
    register=False,
)
def cross_entropy_weighted(
    let: Builder,
    logits: Array,
    target: Array,
    weight: Array,
    label_smoothing: sp.Symbol,
    weighted: str,
    reduction: str,
) -> Array:
    r"""Softmax cross-entropy from class indices, with weights of the classes.

    $\ell_b = \sum_k w_k \, ((1 - \alpha) [t_b = k] + \alpha/n) \, (\operatorname{lse}_b - x_{bk})$; the mean
    is $\sum_b \ell_b / \sum_b w_{t_b}$. A target outside the classes does not count; a mean over none is 0.
    """
    lse = logsumexp(logits, names=["lse"])
    let("p", [b, k], sp.exp(logits[b, k] - lse[b]))
    hit = equal(target[b], k)
    of_class = weight[k] if weighted == "yes" else 1
    counts = let("counts", [b], sum_over(hit, k))
    of_target = let("of_target", [b], sum_over(of_class * hit, k))
    missed = let("missed", [b], sum_over(hit * (lse[b] - logits[b, k]), k))
    spread = let("spread", [b], sum_over(of_class * (lse[b] - logits[b, k]), k) / size_of(CLASSES))
    each = let(
        "each",
        [b],
        (1 - label_smoothing) * of_target[b] * missed[b] + label_smoothing * counts[b] * spread[b],
    )
    if reduction == "none":
        return each
    if reduction == "sum":
        return let("loss", [], sum_over(each[b], b))
    total = let("total", [], sum_over(of_target[b], b))
    return let("loss", [], sp.Piecewise((sum_over(each[b], b) / total[()], sp.Ne(total[()], 0)), (0, True)))


@operation(
    "losses",
    logits=real(BATCH, CLASSES),
    target=real(BATCH, CLASSES),
    weighted=("no", "yes"),
    weight=real(CLASSES, weighted="yes"),
    label_smoothing=scalar("0", "[0, 1]"),
    register=False,
)
def soft_cross_entropy_weighted(
    let: Builder, logits: Array, target: Array, weight: Array, label_smoothing: sp.Symbol, weighted: str
) -> Array:
    r"""Softmax cross-entropy from soft targets, with weights of the classes, one value for each row.

    $\ell_b = \sum_k w_k \, ((1 - \alpha) t_{bk} + \alpha/n) \, (\operatorname{lse}_b - x_{bk})$.
    """
    lse = logsumexp(logits, names=["lse"])
    let("p", [b, k], sp.exp(logits[b, k] - lse[b]))
    of_class = weight[k] if weighted == "yes" else 1
    share = (1 - label_smoothing) * target[b, k] + label_smoothing / size_of(CLASSES)
    q = let("q", [b, k], of_class * share)
    return let("each", [b], sum_over(q[b, k] * (lse[b] - logits[b, k]), k))


@operation(
    "losses",
    logits=real(BATCH),
    target=real(BATCH),
    weighted=("no", "yes"),
    weight=real(BATCH, weighted="yes"),
    balanced=("no", "yes"),
    pos_weight=real(BATCH, balanced="yes"),
    register=False,
)
def binary_cross_entropy_each(
    let: Builder,
    logits: Array,
    target: Array,
    weight: Array,
    pos_weight: Array,
    weighted: str,
    balanced: str,
) -> Array:
    r"""Binary cross-entropy from logits, one value for each entry.

    $-w \, (p \, t \log \sigma(x) + (1 - t) \log(1 - \sigma(x)))$ with $p$ the weight of positive targets.
    """
    positive = pos_weight[b] if balanced == "yes" else 1
    factor = weight[b] if weighted == "yes" else 1
    missed = positive * target[b] * language.softplus(-logits[b])
    return let("loss", [b], factor * (missed + (1 - target[b]) * language.softplus(logits[b])))


@operation("losses", x=real(BATCH), target=real(BATCH), register=False)
def squared_error(let: Builder, x: Array, target: Array) -> Array:
    r"""The squared error of each entry, $(x - t)^2$."""
    return let("loss", [b], (x[b] - target[b]) ** 2)

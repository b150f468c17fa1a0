"""Attention: scaled dot product, multi-head, additive."""

from collections.abc import Callable
from typing import Any

import sympy as sp

from gradproof.symbolic.catalogue.axes import (
    ALIGNMENT,
    BATCH,
    EMBED,
    HEAD,
    HEAD_DIM,
    HIDDEN,
    KEY,
    MEMORY,
    QUERY,
    VALUE,
)
from gradproof.symbolic.language import indicator, indices, size_of, sum_over
from gradproof.symbolic.operation import Array, Builder, boolean, operation, real

b, i, j, other, d, c = indices("b i j l d c", BATCH, QUERY, KEY, KEY, EMBED, VALUE)
h, r, e = indices("h r e", HEAD, HEAD_DIM, EMBED)
a, n, m = indices("a n m", ALIGNMENT, HIDDEN, MEMORY)


def weigh(let: Builder, scores: Array, seen: Callable[[Any], Any]) -> Array:
    """The softmax of a row of scores over the keys that are `seen`; 0 where none is."""
    some = let("some", [b, i], indicator(sum_over(seen(j), j) > 0))

    def kept(key: Any) -> Any:
        return seen(key) * sp.exp(scores[b, i, key])

    weight = kept(j) / sum_over(kept(other), other)
    return let("p", [b, i, j], sp.Piecewise((weight, sp.Eq(some[b, i], 1)), (0, True)))


@operation(
    "attention",
    q=real(BATCH, QUERY, EMBED),
    k=real(BATCH, KEY, EMBED),
    v=real(BATCH, KEY, VALUE),
    allowed=boolean(BATCH, QUERY, KEY, mask="padding"),
    mask=("none", "causal", "padding", "additive"),
    bias=real(BATCH, QUERY, KEY, mask="additive"),
    reference="torch.nn.functional.scaled_dot_product_attention",
)
def attention(let: Builder, q: Array, k: Array, v: Array, allowed: Array, bias: Array, mask: str) -> Array:
    r"""Scaled dot-product attention (Vaswani et al. 2017, equation 1).

    The causal mask allows keys at or before the query; the padding mask is given. A query that may look at no
    key has output 0.
    """
    added = bias[b, i, j] if mask == "additive" else 0
    scores = let("scores", [b, i, j], sum_over(q[b, i, d] * k[b, j, d], d) / sp.sqrt(size_of(EMBED)) + added)

    def seen(key: Any) -> Any:
        if mask == "causal":
            return indicator(key <= i)
        return allowed[b, i, key] if mask == "padding" else 1

    p = weigh(let, scores, seen)
    return let("y", [b, i, c], sum_over(p[b, i, j] * v[b, j, c], j))


@operation(
    "attention",
    query=real(BATCH, QUERY, EMBED),
    key=real(BATCH, KEY, EMBED),
    value=real(BATCH, KEY, EMBED),
    w_q=real(HEAD, HEAD_DIM, EMBED),
    w_k=real(HEAD, HEAD_DIM, EMBED),
    w_v=real(HEAD, HEAD_DIM, EMBED),
    b_q=real(HEAD, HEAD_DIM),
    b_k=real(HEAD, HEAD_DIM),
    b_v=real(HEAD, HEAD_DIM),
    w_o=real(EMBED, HEAD, HEAD_DIM),
    b_o=real(EMBED),
    allowed=boolean(BATCH, QUERY, KEY, mask="padding"),
    mask=("none", "causal", "padding", "additive"),
    bias=real(BATCH, HEAD, QUERY, KEY, mask="additive"),
    reference="torch.nn.functional.multi_head_attention_forward",
)
def multi_head_attention(
    let: Builder,
    query: Array,
    key: Array,
    value: Array,
    w_q: Array,
    w_k: Array,
    w_v: Array,
    b_q: Array,
    b_k: Array,
    b_v: Array,
    w_o: Array,
    b_o: Array,
    allowed: Array,
    bias: Array,
    mask: str,
) -> Array:
    r"""Multi-head attention (Vaswani et al. 2017, section 3.2.2).

    Each head attends over its own projections of the query, the keys and the values; the heads together are
    projected once more.
    """
    q = let("q", [b, h, i, r], sum_over(query[b, i, e] * w_q[h, r, e], e) + b_q[h, r])
    k = let("k", [b, h, j, r], sum_over(key[b, j, e] * w_k[h, r, e], e) + b_k[h, r])
    v = let("v", [b, h, j, r], sum_over(value[b, j, e] * w_v[h, r, e], e) + b_v[h, r])
    masks: list[Array] = []
    if mask == "padding":
        masks = [let("allowed_heads", [b, h, i, j], allowed[b, i, j])]
    elif mask == "additive":
        masks = [bias]
    heads = attention(q, k, v, *masks, names=["heads"], mask=mask)
    return let("y", [b, i, e], sum_over(heads[b, h, i, r] * w_o[e, h, r], h, r) + b_o[e])


@operation(
    "attention",
    query=real(BATCH, QUERY, HIDDEN),
    memory=real(BATCH, KEY, MEMORY),
    w_query=real(ALIGNMENT, HIDDEN),
    w_memory=real(ALIGNMENT, MEMORY),
    w_score=real(ALIGNMENT),
    allowed=boolean(BATCH, KEY, mask="padding"),
    mask=("none", "padding"),
)
def additive_attention(
    let: Builder,
    query: Array,
    memory: Array,
    w_query: Array,
    w_memory: Array,
    w_score: Array,
    allowed: Array,
    mask: str,
) -> Array:
    r"""Additive attention (Bahdanau, Cho, Bengio 2015).

    The score of a memory $m_j$ for a query $q_i$ is $w^\top \tanh(W q_i + U m_j)$; the output is the mean of
    the memory under the softmax of the scores. A query that may look at nothing has output 0.
    """
    asked = let("asked", [b, i, a], sum_over(query[b, i, n] * w_query[a, n], n))
    stored = let("stored", [b, j, a], sum_over(memory[b, j, m] * w_memory[a, m], m))
    u = let("u", [b, i, j, a], sp.tanh(asked[b, i, a] + stored[b, j, a]))
    scores = let("scores", [b, i, j], sum_over(w_score[a] * u[b, i, j, a], a))
    p = weigh(let, scores, lambda key: allowed[b, key] if mask == "padding" else 1)
    return let("y", [b, i, m], sum_over(p[b, i, j] * memory[b, j, m], j))

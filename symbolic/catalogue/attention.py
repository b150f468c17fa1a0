"""Attention, positions, and the Transformer block."""

import sympy as sp

from gradproof.symbolic.catalogue.axes import BATCH, EMBED, KEY, QUERY, VALUE
from gradproof.symbolic.language import indicator, indices, size_of, sum_over
from gradproof.symbolic.operation import Array, boolean, operation, real

b, i, j, l, d, c = indices("b i j l d c", BATCH, QUERY, KEY, KEY, EMBED, VALUE)


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
def attention(let, q: Array, k: Array, v: Array, allowed: Array, bias: Array, mask: str) -> Array:
    r"""Scaled dot-product attention (Vaswani et al. 2017, equation 1).

    The causal mask allows keys at or before the query; the padding mask is given. A query that may look at no
    key has output 0.
    """
    added = bias[b, i, j] if mask == "additive" else 0
    scores = let("scores", [b, i, j], sum_over(q[b, i, d] * k[b, j, d], d) / sp.sqrt(size_of(EMBED)) + added)
    seen = {"causal": lambda j: indicator(j <= i), "padding": lambda j: allowed[b, i, j]}.get(
        mask, lambda j: 1
    )
    some = let("some", [b, i], indicator(sum_over(seen(j), j) > 0))
    e = lambda j: seen(j) * sp.exp(scores[b, i, j])  # noqa: E731
    p = let("p", [b, i, j], sp.Piecewise((e(j) / sum_over(e(l), l), sp.Eq(some[b, i], 1)), (0, True)))
    return let("y", [b, i, c], sum_over(p[b, i, j] * v[b, j, c], j))

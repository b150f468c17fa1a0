"""The feed-forward block, and the Transformer block as a composite."""

from collections.abc import Mapping

from gradproof.symbolic.catalogue.activations import gelu, relu
from gradproof.symbolic.catalogue.attention import multi_head_attention
from gradproof.symbolic.catalogue.axes import BATCH, EMBED, HEAD, HEAD_DIM, INNER, TIME
from gradproof.symbolic.catalogue.linear import linear
from gradproof.symbolic.catalogue.normalization import layer_norm
from gradproof.symbolic.language import indices
from gradproof.symbolic.operation import Array, Builder, Declared, boolean, operation, real

b, t, e = indices("b t e", BATCH, TIME, EMBED)


@operation(
    "transformer",
    x=real(BATCH, EMBED),
    w1=real(INNER, EMBED),
    b1=real(INNER),
    w2=real(EMBED, INNER),
    b2=real(EMBED),
    activation=("relu", "gelu"),
)
def feed_forward(
    let: Builder, x: Array, w1: Array, b1: Array, w2: Array, b2: Array, activation: str
) -> Array:
    r"""The feed-forward block (Vaswani et al. 2017, section 3.3), $y = W_2 \, \phi(W_1 x + b_1) + b_2$."""
    a = linear(x, w1, b1, names=["a"])
    u = {"relu": relu, "gelu": gelu}[activation](a, names=["u"])
    return linear(u, w2, b2, names=["y"])


_BLOCK: Mapping[str, Declared] = {
    "x": real(BATCH, TIME, EMBED),
    "ln1_weight": real(EMBED),
    "ln1_bias": real(EMBED),
    "w_q": real(HEAD, HEAD_DIM, EMBED),
    "w_k": real(HEAD, HEAD_DIM, EMBED),
    "w_v": real(HEAD, HEAD_DIM, EMBED),
    "b_q": real(HEAD, HEAD_DIM),
    "b_k": real(HEAD, HEAD_DIM),
    "b_v": real(HEAD, HEAD_DIM),
    "w_o": real(EMBED, HEAD, HEAD_DIM),
    "b_o": real(EMBED),
    "ln2_weight": real(EMBED),
    "ln2_bias": real(EMBED),
    "w1": real(INNER, EMBED),
    "b1": real(INNER),
    "w2": real(EMBED, INNER),
    "b2": real(EMBED),
    "allowed": boolean(BATCH, TIME, TIME, mask="padding"),
    "mask": ("none", "causal", "padding"),
    "activation": ("relu", "gelu"),
}


def _attend(x: Array, given: dict[str, Array], mask: str) -> Array:
    """Self-attention with the block's projections."""
    names = ("w_q", "w_k", "w_v", "b_q", "b_k", "b_v", "w_o", "b_o")
    masks = [given["allowed"]] if mask == "padding" else []
    return multi_head_attention(x, x, x, *(given[n] for n in names), *masks, names=["attended"], mask=mask)


def _feed(x: Array, given: dict[str, Array], activation: str) -> Array:
    names = ("w1", "b1", "w2", "b2")
    return feed_forward(x, *(given[n] for n in names), names=["fed"], activation=activation)


@operation("transformer", _BLOCK)
def transformer_block_pre(let: Builder, x: Array, mask: str, activation: str, **given: Array) -> Array:
    r"""A Transformer block that normalizes before each part (Xiong et al. 2020; GPT-2).

    $m = x + \operatorname{MHA}(\operatorname{LN}(x))$ and $y = m + \operatorname{FF}(\operatorname{LN}(m))$,
    with self-attention.
    """
    n1 = layer_norm(x, given["ln1_weight"], given["ln1_bias"], names=["n1"])
    attended = _attend(n1, given, mask)
    middle = let("middle", [b, t, e], x[b, t, e] + attended[b, t, e])
    n2 = layer_norm(middle, given["ln2_weight"], given["ln2_bias"], names=["n2"])
    fed = _feed(n2, given, activation)
    return let("y", [b, t, e], middle[b, t, e] + fed[b, t, e])


@operation("transformer", _BLOCK, reference="torch.nn.TransformerEncoderLayer")
def transformer_block_post(let: Builder, x: Array, mask: str, activation: str, **given: Array) -> Array:
    r"""A Transformer block that normalizes after each part (Vaswani et al. 2017).

    $m = \operatorname{LN}(x + \operatorname{MHA}(x))$ and $y = \operatorname{LN}(m + \operatorname{FF}(m))$,
    with self-attention.
    """
    attended = _attend(x, given, mask)
    r1 = let("r1", [b, t, e], x[b, t, e] + attended[b, t, e])
    middle = layer_norm(r1, given["ln1_weight"], given["ln1_bias"], names=["middle"])
    fed = _feed(middle, given, activation)
    r2 = let("r2", [b, t, e], middle[b, t, e] + fed[b, t, e])
    return layer_norm(r2, given["ln2_weight"], given["ln2_bias"], names=["y"])

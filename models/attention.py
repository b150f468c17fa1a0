"""Scaled dot-product attention with masks, biases and dropout, and MultiheadAttention on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradproof.models.functions import Function
from gradproof.models.layers import kept, linear
from gradproof.models.operations import attention_dropped

_YES = {False: "no", True: "yes"}
_attention = {
    (mask, biased, dropped, weights): Function(
        attention_dropped,
        "low",
        mask=mask,
        biased=_YES[biased],
        dropout=_YES[dropped],
        weights=_YES[weights],
    )
    for mask in ("none", "causal", "given")
    for biased in (False, True)
    for dropped in (False, True)
    for weights in (False, True)
}


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    allowed: Tensor | None = None,
    bias: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
    scale: float | None = None,
    weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention, and its probabilities where `weights` asks for them.

    q [batch..., query, embed], k [batch..., key, embed], v [batch..., key, value]; `allowed` (truth values)
    and `bias` (added to the scores; -inf allows nothing) are broadcast to [batch..., query, key]. `causal`
    allows keys at or before the query. `dropout` is the probability with which a probability is 0; `scale`
    is 1/sqrt(embed) by default. A query that may look at no key has output 0.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout of attention is at least 0 and less than 1, found {dropout}")
    shape = (*q.shape[:-1], k.shape[-2])
    if bias is not None:
        seen = bias > -torch.inf
        allowed = seen if allowed is None else allowed & seen
        bias = torch.where(seen, bias, 0.0).expand(shape)
    if causal and allowed is not None:
        allowed = allowed & torch.ones(shape[-2:], dtype=torch.bool, device=q.device).tril()
    mask = "given" if allowed is not None else "causal" if causal else "none"
    inputs = [q, k, v]
    if allowed is not None:
        inputs.append(allowed.expand(shape))
    if bias is not None:
        inputs.append(bias)
    if dropout > 0:
        inputs.append(kept(q.new_empty(shape), dropout))
    function = _attention[mask, bias is not None, dropout > 0, weights]
    made = function(*inputs, p=dropout, scale=q.shape[-1] ** -0.5 if scale is None else scale)
    return made if weights else (made, None)


class MultiheadAttention(nn.MultiheadAttention):
    """Attention of several heads; as `torch.nn.MultiheadAttention`.

    A query that may look at no key gets zeros from every head, where PyTorch gives NaN. `is_causal` without a
    mask means the causal mask.

    >>> import torch
    >>> layer = MultiheadAttention(8, 2, batch_first=True)
    >>> x = torch.randn(3, 5, 8)
    >>> y, weights = layer(x, x, x, is_causal=True)
    >>> y.shape, weights.shape
    (torch.Size([3, 5, 8]), torch.Size([3, 5, 5]))
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attended values [batch, query, embed], and the weights [batch, query, key] (of each head)."""
        batched = query.ndim == 3
        _check(query, key, value)
        q, k, v = self._projected(query, key, value, batched)
        if key_padding_mask is not None and not batched:
            key_padding_mask = key_padding_mask[None]
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat((k, self.bias_k.expand(k.shape[0], 1, -1)), 1)
            v = torch.cat((v, self.bias_v.expand(v.shape[0], 1, -1)), 1)
        q, k, v = (a.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for a in (q, k, v))
        if self.add_zero_attn:
            k, v = (torch.cat((a, a.new_zeros(*a.shape[:2], 1, a.shape[3])), 2) for a in (k, v))
        allowed, bias = self._masks(attn_mask, key_padding_mask, (*q.shape[:3], k.shape[2]))
        heads, weights = attend(
            q,
            k,
            v,
            allowed=allowed,
            bias=bias,
            causal=is_causal and attn_mask is None,
            dropout=self.dropout if self.training else 0.0,
            weights=need_weights,
        )
        y = linear(heads.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return y.squeeze(0), None if weights is None else weights.squeeze(0)
        return y if self.batch_first else y.transpose(0, 1), weights

    def _projected(
        self, query: Tensor, key: Tensor, value: Tensor, batched: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Query, keys and values after their projections, [batch, time, embed]."""
        alike = query is key and key is value and self._qkv_same_embed_dim

        def lead(x: Tensor) -> Tensor:
            return (x if self.batch_first else x.transpose(0, 1)) if batched else x[None]

        if alike:
            made = linear(lead(query), self.in_proj_weight, self.in_proj_bias)
            q, k, v = made.unflatten(-1, (3, self.embed_dim)).unbind(-2)
            return q, k, v
        if self._qkv_same_embed_dim:
            weights = self.in_proj_weight.unflatten(0, (3, self.embed_dim)).unbind(0)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3
        if self.in_proj_bias is not None:
            biases = self.in_proj_bias.unflatten(0, (3, self.embed_dim)).unbind(0)
        made = [linear(lead(x), w, c) for x, w, c in zip((query, key, value), weights, biases, strict=True)]
        return made[0], made[1], made[2]

    def _masks(
        self, attn_mask: Tensor | None, padding: Tensor | None, shape: tuple[int, ...]
    ) -> tuple[Tensor | None, Tensor | None]:
        """What is allowed and what is added to the scores, both to be broadcast to the shape."""
        batch, heads, queries, keys = shape
        allowed: Tensor | None = None
        bias: Tensor | None = None
        extra = int(self.bias_k is not None) + int(self.add_zero_attn)
        for name, mask, wanted in (
            ("key_padding_mask", padding, {(batch, keys - extra)}),
            ("attn_mask", attn_mask, {(queries, keys - extra), (batch * heads, queries, keys - extra)}),
        ):
            if mask is None:
                continue
            if tuple(mask.shape) not in wanted:
                shapes = " or ".join(map(str, sorted(wanted, key=len)))
                raise ValueError(
                    f"MultiheadAttention: {name} has the shape {shapes}, found {tuple(mask.shape)}"
                )
            if extra:
                mask = torch.cat((mask, mask.new_zeros(*mask.shape[:-1], extra)), -1)
            if name == "key_padding_mask":
                mask = mask[:, None, None, :]
            elif mask.ndim == 3:
                mask = mask.unflatten(0, (batch, heads))
            if mask.is_floating_point():
                bias = mask if bias is None else bias + mask
            else:
                allowed = ~mask.bool() if allowed is None else allowed & ~mask.bool()
        return allowed, bias


def _check(query: Tensor, key: Tensor, value: Tensor) -> None:
    if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
        shapes = ", ".join(str(tuple(x.shape)) for x in (query, key, value))
        raise ValueError(
            f"MultiheadAttention: query, key and value have 3 axes, or 2 without a batch, found {shapes}"
        )

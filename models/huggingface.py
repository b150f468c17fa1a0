"""Modules of the `transformers` library on derived kernels, and its attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from transformers import activations as theirs  # pyright: ignore[reportMissingImports]
from transformers.masking_utils import (  # pyright: ignore[reportMissingImports]
    ALL_MASK_ATTENTION_FUNCTIONS,
    sdpa_mask,
)
from transformers.modeling_utils import (  # pyright: ignore[reportMissingImports]
    ALL_ATTENTION_FUNCTIONS,
    PreTrainedModel,
)
from transformers.pytorch_utils import Conv1D as TheirConv1D  # pyright: ignore[reportMissingImports]

from gradproof.models.activations import gelu, gelu_tanh, silu
from gradproof.models.attention import attend
from gradproof.models.layers import linear

NAME = "gradproof"
"""What `config._attn_implementation` is in a converted model."""


class Conv1D(TheirConv1D):
    """A linear map whose weight is [input, output]."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight.T, self.bias)


class GELUActivation(theirs.GELUActivation):
    """x times the normal distribution function at x."""

    def forward(self, input: Tensor) -> Tensor:
        return gelu(input)


class NewGELUActivation(theirs.NewGELUActivation):
    """The approximation of GELU by tanh."""

    def forward(self, input: Tensor) -> Tensor:
        return gelu_tanh(input)


class GELUTanh(theirs.GELUTanh):
    """The approximation of GELU by tanh."""

    def forward(self, input: Tensor) -> Tensor:
        return gelu_tanh(input)


class AccurateGELUActivation(theirs.AccurateGELUActivation):
    """The approximation of GELU by tanh."""

    def forward(self, input: Tensor) -> Tensor:
        return gelu_tanh(input)


class SiLUActivation(theirs.SiLUActivation):
    """x * sigmoid(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return silu(input)


TABLE: Mapping[type, type] = {
    TheirConv1D: Conv1D,
    theirs.GELUActivation: GELUActivation,
    theirs.NewGELUActivation: NewGELUActivation,
    theirs.GELUTanh: GELUTanh,
    theirs.AccurateGELUActivation: AccurateGELUActivation,
    theirs.SiLUActivation: SiLUActivation,
}


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """An attention function as `transformers` calls it.

    From [batch, heads, time, embed] to [batch, time, heads, embed], and the probabilities if asked for.
    Raises NotImplementedError for what there is no kernel for: a soft cap of the scores, attention sinks.
    """
    for option in ("softcap", "s_aux"):
        if options.get(option) is not None:
            raise NotImplementedError(f"{type(module).__name__}: attention with {option} is not supported")
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (_repeated(a, groups) for a in (key, value))
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    allowed, bias = None, position_bias
    if attention_mask is not None and attention_mask.is_floating_point():
        bias = attention_mask if bias is None else bias + attention_mask
    else:
        allowed = attention_mask
    y, weights = attend(
        query,
        key,
        value,
        allowed=allowed,
        bias=bias,
        causal=bool(causal) and attention_mask is None and query.shape[2] > 1,
        dropout=dropout,
        scale=scaling,
        weights=bool(options.get("output_attentions")),
    )
    return y.transpose(1, 2).contiguous(), weights


def _repeated(heads: Tensor, count: int) -> Tensor:
    """Every head that many times in a row."""
    return heads[:, :, None].expand(-1, -1, count, -1, -1).flatten(1, 2)


def adopt_attention(module: nn.Module) -> Iterator[tuple[str, PreTrainedModel, str | None]]:
    """Let the models within a module attend by `attention`: path, model, and why not, where it cannot be."""
    done: set[int] = set()
    for path, part in module.named_modules():
        if not isinstance(part, PreTrainedModel) or id(part) in done:
            continue
        done |= {id(m) for m in part.modules()}
        model: Any = part
        if model._can_set_attn_implementation():
            model.set_attn_implementation(NAME)
            yield path, part, None
        else:
            yield path, part, "its attention is computed by code of its own"


ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)

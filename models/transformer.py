"""Transformer layers and stacks: PyTorch's modules on derived kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from gradproof.models.activations import activation_for
from gradproof.models.attention import MultiheadAttention
from gradproof.models.layers import Dropout, LayerNorm, Linear

Activation = str | Callable[[Tensor], Tensor]


class _Layer(nn.Module):
    """The constructor of both layers: PyTorch's, whose parts become ours."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            device,
            dtype,
        )
        for part in self.modules():
            adopt(part, PARTS)


class TransformerEncoderLayer(_Layer, nn.TransformerEncoderLayer):
    """Self-attention and a feed-forward block, with residuals; as `torch.nn.TransformerEncoderLayer`.

    `is_causal` without a mask means the causal mask.
    """

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The layer's output, of the shape of `src`: [time, batch, d_model], or batch first."""

        def attended(x: Tensor) -> Tensor:
            return self._sa_block(x, src_mask, src_key_padding_mask, is_causal=is_causal)

        if self.norm_first:
            x = src + attended(self.norm1(src))
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(src + attended(src))
        return self.norm2(x + self._ff_block(x))


class TransformerEncoder(nn.TransformerEncoder):
    """A stack of encoder layers; as `torch.nn.TransformerEncoder`, without nested tensors."""

    def __init__(
        self,
        encoder_layer: nn.Module,
        num_layers: int,
        norm: nn.Module | None = None,
        enable_nested_tensor: bool = False,
        mask_check: bool = True,
    ) -> None:
        # PyTorch's nested tensors serve its fused path, which is not taken here.
        super().__init__(encoder_layer, num_layers, norm, False, mask_check)  # pyright: ignore[reportArgumentType]

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The output of the last layer, normalized where there is a norm."""
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoderLayer(_Layer, nn.TransformerDecoderLayer):
    """Attention to itself and to a memory, and a feed-forward block.

    As `torch.nn.TransformerDecoderLayer`.
    """

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As any module: PyTorch's class would put relu in the place of an activation that is a module."""
        nn.Module.__setstate__(self, state)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The layer's output, of the shape of `tgt`."""

        def attended(x: Tensor) -> Tensor:
            return self._sa_block(x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)

        def remembered(x: Tensor) -> Tensor:
            return self._mha_block(x, memory, memory_mask, memory_key_padding_mask, memory_is_causal)

        if self.norm_first:
            x = tgt + attended(self.norm1(tgt))
            x = x + remembered(self.norm2(x))
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(tgt + attended(tgt))
        x = self.norm2(x + remembered(x))
        return self.norm3(x + self._ff_block(x))


class TransformerDecoder(nn.TransformerDecoder):
    """A stack of decoder layers; as `torch.nn.TransformerDecoder`."""

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The output of the last layer, normalized where there is a norm."""
        x = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(nn.Transformer):
    """An encoder and a decoder; as `torch.nn.Transformer`.

    >>> import torch
    >>> model = Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> model(torch.randn(3, 5, 8), torch.randn(3, 4, 8), tgt_is_causal=True).shape
    torch.Size([3, 4, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            d_model,
            nhead,
            num_encoder_layers,
            num_decoder_layers,
            dim_feedforward,
            dropout,
            activation,
            custom_encoder,
            custom_decoder,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            device,
            dtype,
        )
        for part, custom in ((self.encoder, custom_encoder), (self.decoder, custom_decoder)):
            for inner in part.modules() if custom is None else ():
                if "activation" in inner._modules:
                    vars(inner).pop("activation", None)  # the relu of PyTorch's copies
                adopt(inner, {**PARTS, **STACKS})


PARTS: Mapping[type, type] = {
    nn.MultiheadAttention: MultiheadAttention,
    nn.Linear: Linear,
    NonDynamicallyQuantizableLinear: Linear,
    nn.LayerNorm: LayerNorm,
    nn.Dropout: Dropout,
}
"""Our classes for the parts of a Transformer layer."""

STACKS: Mapping[type, type] = {
    nn.TransformerEncoderLayer: TransformerEncoderLayer,
    nn.TransformerEncoder: TransformerEncoder,
    nn.TransformerDecoderLayer: TransformerDecoderLayer,
    nn.TransformerDecoder: TransformerDecoder,
    nn.Transformer: Transformer,
}
"""Our classes for Transformer layers, and for what holds them."""


def adopt(part: nn.Module, table: Mapping[type, type]) -> None:
    """Make a module ours, by the table, in place, without what is within it.

    Our classes add no state to PyTorch's: an object becomes one of ours by its class alone, and keeps its
    parameters, hooks and modes.
    """
    part.__class__ = table.get(type(part), type(part))
    if "activation" in vars(part) and isinstance(part, TransformerEncoderLayer | TransformerDecoderLayer):
        vars(part)["activation"] = activation_for(part.activation)

"""Attention and Transformer layers over drawn configurations: masks, norms first or last, activations."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from gradproof import models
from tests.models.cases import DTYPE, agree, close, leaves, rand

drawn = settings(max_examples=20, deadline=None)
fewer = settings(max_examples=8, deadline=None)
pytestmark = pytest.mark.filterwarnings(
    "ignore:Support for mismatched:UserWarning", "ignore:enable_nested_tensor is True:UserWarning"
)


def pair(name: str, *args: Any, **options: Any) -> tuple[nn.Module, nn.Module]:
    made: list[nn.Module] = []
    for home in (models, nn):
        torch.manual_seed(0)
        made.append(getattr(home, name)(*args, **options, dtype=DTYPE))
    return made[0], made[1]


def compare(ours: nn.Module, theirs: nn.Module, *inputs: Tensor, **call: Any) -> None:
    with sdpa_kernel(SDPBackend.MATH):
        agree(ours, theirs, inputs, call)


@st.composite
def masks(draw: st.DrawFn, queries: int, keys: int, batch: int, heads: int) -> dict[str, Tensor]:
    """Masks under which every query may look at a key: the first one."""
    made: dict[str, Tensor] = {}
    shape = draw(st.sampled_from([(queries, keys), (batch * heads, queries, keys)]))
    kind = draw(st.sampled_from(["none", "boolean", "additive", "both"]))
    if kind != "none":
        hidden = torch.rand(shape) < 0.5
        hidden[..., 0] = False
        plain = torch.where(hidden, -torch.inf, rand(*shape))
        made["attn_mask"] = hidden if kind == "boolean" else plain if kind == "both" else rand(*shape)
    if draw(st.booleans()):
        padded = torch.rand(batch, keys) < 0.5
        padded[:, 0] = False
        made["key_padding_mask"] = padded
    return made


@drawn
@given(st.data(), st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_multihead_attention(
    data: st.DataObject, first: bool, bias: bool, extra: bool, weights: bool, averaged: bool
) -> None:
    heads, batch = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    queries, keys = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    embed, other = 2 * heads, data.draw(st.sampled_from([None, 3]))
    dropout = data.draw(st.sampled_from([0.0, 0.3]))
    options = {"kdim": other, "vdim": other} if other else {}
    options |= {"add_bias_kv": extra, "add_zero_attn": extra, "bias": bias, "batch_first": first}
    made = pair("MultiheadAttention", embed, heads, dropout, **options)
    shapes = [(batch, queries, embed), *[(batch, keys, other or embed)] * 2]
    inputs = [rand(*s) if first else rand(*s).transpose(0, 1).contiguous() for s in shapes]
    call = data.draw(masks(queries, keys, batch, heads))
    compare(*made, *inputs, **call, need_weights=weights, average_attn_weights=averaged)


@drawn
@given(st.integers(1, 4), st.booleans(), st.booleans())
def test_self_attention(steps: int, causal: bool, weights: bool) -> None:
    made = pair("MultiheadAttention", 4, 2)
    mask = {"attn_mask": torch.ones(steps, steps, dtype=torch.bool).triu(1), "is_causal": True}
    ours, theirs = (_Self(m) for m in made)
    compare(ours, theirs, rand(steps, 3, 4), need_weights=weights, **(mask if causal else {}))
    compare(ours, theirs, rand(steps, 4), need_weights=weights)


class _Self(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, **call: Any) -> Any:
        return self.attention(x, x, x, **call)


def test_a_query_that_may_look_at_nothing_gets_zeros() -> None:
    layer = models.MultiheadAttention(4, 2, batch_first=True, dtype=DTYPE)
    x = rand(1, 3, 4).requires_grad_()
    hidden = torch.tensor([[True, True, True], [False, True, True], [False, False, True]])
    y, weights = layer(x, x, x, attn_mask=hidden)
    assert weights is not None and not weights[0, 0].any()
    torch.testing.assert_close(y[0, 0], layer.out_proj.bias)
    y.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_causal_without_a_mask_is_the_causal_mask() -> None:
    layer = models.MultiheadAttention(4, 2, batch_first=True, dtype=DTYPE)
    x, hidden = rand(2, 3, 4), torch.ones(3, 3, dtype=torch.bool).triu(1)
    close(leaves(layer(x, x, x, is_causal=True)), leaves(layer(x, x, x, attn_mask=hidden)))


def test_masks_of_another_shape_are_named() -> None:
    layer, x = models.MultiheadAttention(4, 2), torch.ones(3, 2, 4)
    with pytest.raises(ValueError, match=r"attn_mask has the shape \(3, 3\) or \(4, 3, 3\), found \(2, 3\)"):
        layer(x, x, x, attn_mask=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"key_padding_mask has the shape \(2, 3\), found \(3, 2\)"):
        layer(x, x, x, key_padding_mask=torch.ones(3, 2, dtype=torch.bool))


OPTIONS = st.fixed_dictionaries(
    {
        "dim_feedforward": st.integers(1, 5),
        "dropout": st.sampled_from([0.0, 0.2]),
        "activation": st.sampled_from(["relu", "gelu", torch.tanh]),
        "norm_first": st.booleans(),
        "bias": st.booleans(),
        "layer_norm_eps": st.sampled_from([1e-5, 1e-2]),
    }
)


@drawn
@given(OPTIONS, st.integers(1, 4), st.booleans(), st.booleans())
def test_encoder(options: dict[str, Any], steps: int, causal: bool, padded: bool) -> None:
    padding = torch.zeros(2, steps, dtype=torch.bool)
    padding[0, 1:] = padded
    call: dict[str, Any] = {"src_key_padding_mask": padding}
    hidden = torch.ones(steps, steps, dtype=torch.bool).triu(1)
    compare(
        *pair("TransformerEncoderLayer", 4, 2, **options),
        rand(steps, 2, 4),
        **call,
        **({"src_mask": hidden} if causal else {}),
    )


@drawn
@given(OPTIONS, st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_decoder(options: dict[str, Any], steps: int, memory: int, causal: bool) -> None:
    call: dict[str, Any] = {"memory_key_padding_mask": torch.zeros(2, memory, dtype=torch.bool)}
    call["memory_key_padding_mask"][1, 1:] = True
    if causal:
        call |= {"tgt_mask": torch.ones(steps, steps, dtype=torch.bool).triu(1), "tgt_is_causal": True}
    compare(*pair("TransformerDecoderLayer", 4, 2, **options), rand(steps, 2, 4), rand(memory, 2, 4), **call)


@fewer
@given(OPTIONS, st.integers(1, 2), st.integers(1, 2), st.booleans())
def test_transformer(options: dict[str, Any], encoders: int, decoders: int, first: bool) -> None:
    layers = {"num_encoder_layers": encoders, "num_decoder_layers": decoders, "batch_first": first}
    options = {**options, "dropout": 0.0} if first else options
    shapes = [(2, 3, 4), (2, 4, 4)] if first else [(3, 2, 4), (4, 2, 4)]
    hidden = nn.Transformer.generate_square_subsequent_mask(4, dtype=DTYPE)
    compare(*pair("Transformer", 4, 2, **layers, **options), *(rand(*s) for s in shapes), tgt_mask=hidden)


def test_stacks_are_torchs() -> None:
    for kind, inputs in (("Encoder", 1), ("Decoder", 2)):
        made: list[nn.Module] = []
        for home in (models, nn):
            torch.manual_seed(0)
            layer = getattr(home, f"Transformer{kind}Layer")(4, 2, 5, 0.0, dtype=DTYPE)
            norm = home.LayerNorm(4, dtype=DTYPE)
            made.append(getattr(home, f"Transformer{kind}")(layer, 2, norm))
        compare(made[0], made[1], *(rand(3, 2, 4) for _ in range(inputs)))


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_an_activation_that_is_a_module_is_kept(kind: str) -> None:
    """In copies, too, for which PyTorch's decoder layers take relu in its place."""
    layer = getattr(models, f"Transformer{kind}Layer")(4, 2, 5, 0.0, nn.Tanh(), dtype=DTYPE)
    inputs = [rand(3, 2, 4) for _ in range(1 if kind == "Encoder" else 2)]
    close([copy.deepcopy(layer)(*inputs)], [layer(*inputs)], 0)
    options: dict[str, Any] = {"num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 5}
    made = [models.Transformer(4, 2, **options, activation=a, dtype=DTYPE) for a in (nn.Tanh(), torch.tanh)]
    made[1].load_state_dict(made[0].state_dict())
    close(*([m.eval()(rand(3, 2, 4) * 0 + 0.5, rand(3, 2, 4) * 0 + 0.3)] for m in made), 0)


def test_what_is_converted_computes_what_it_did_with_an_activation_that_is_a_module() -> None:
    theirs = nn.Transformer(4, 2, 1, 1, 5, 0.0, nn.Tanh(), dtype=DTYPE)
    compare(models.convert(theirs), theirs, rand(3, 2, 4), rand(2, 2, 4))

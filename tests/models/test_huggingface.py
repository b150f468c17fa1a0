"""Models of `transformers`, randomly initialized, converted with their attention."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradproof.models import convert
from tests.models.cases import close
from tests.models.operators import ALLOWED, record

transformers = pytest.importorskip("transformers", reason="needs the extra gradproof[transformers]")

SMALL = {"vocab_size": 31, "bos_token_id": 0, "eos_token_id": 0}


def gpt2(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=8, n_positions=16, **SMALL, **options)
    return transformers.GPT2LMHeadModel(config).double().eval()


def bert(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    config = transformers.BertConfig(**sizes, vocab_size=31, max_position_embeddings=16, **options)
    return transformers.BertForMaskedLM(config).double().eval()


MODELS = {
    "gpt2": gpt2,
    "gpt2 with scores by layer": lambda: gpt2(scale_attn_by_inverse_layer_idx=True),
    "gpt2 with exact gelu": lambda: gpt2(activation_function="gelu"),
    "bert": bert,
    "bert decoder": lambda: bert(is_decoder=True),
}
PADDED = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


IDS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


def step(model: nn.Module, mask: Tensor | None) -> list[Tensor]:
    """The logits, and the gradients of all parameters."""
    logits = model(IDS, attention_mask=mask).logits
    loss = (logits * logits.detach().cos()).sum()
    return [logits, *torch.autograd.grad(loss, list(model.parameters()))]


@pytest.mark.parametrize("mask", [None, PADDED], ids=["whole", "padded"])
@pytest.mark.parametrize("name", MODELS)
def test_models_compute_what_they_did(name: str, mask: Tensor | None) -> None:
    theirs = MODELS[name]()
    ours = convert(theirs)
    close(step(ours, mask), step(theirs, mask))


@pytest.mark.parametrize("name", MODELS)
def test_nothing_differentiable_is_left(name: str) -> None:
    ours = convert(MODELS[name]())
    assert not ours.conversion.left
    assert any("attention" in r.before for r in ours.conversion.replaced)
    assert record(lambda: step(ours, PADDED)) <= ALLOWED


def test_the_given_model_keeps_its_attention() -> None:
    theirs = gpt2()
    ours = convert(theirs)
    assert ours.config._attn_implementation == "gradproof" != theirs.config._attn_implementation


def test_generation_with_a_cache() -> None:
    theirs = gpt2()
    ours = convert(theirs)
    ids = torch.tensor([[3, 5, 7]])
    wanted, found = (
        m.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=0, eos_token_id=None)
        for m in (theirs, ours)
    )
    assert torch.equal(found, wanted)


def test_grouped_queries_and_what_there_is_no_kernel_for() -> None:
    from gradproof.models.huggingface import attention

    q, k, v = torch.randn(1, 4, 3, 2), torch.randn(1, 2, 3, 2), torch.randn(1, 2, 3, 2)
    module = nn.Module()
    made, weights = attention(module, q, k, v, None)
    wanted = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(made, wanted.transpose(1, 2))
    assert weights is None
    with pytest.raises(NotImplementedError, match="attention with softcap is not supported"):
        attention(module, q, k, v, None, softcap=3.0)

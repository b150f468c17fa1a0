"""Layers before gradproof.check: the backward of inputs and parameters is executed exactly."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from gradproof import check
from tests.models.cases import LAYERS, Case, case

QUICK = {
    "Linear(in_features=4, out_features=5, bias=False)",
    "Embedding(num_embeddings=5, embedding_dim=3)",
    *(f"{name}()" for name in ("ReLU", "Sigmoid", "LeakyReLU", "GELU", "MSELoss")),
    "LogSoftmax(dim=-1)",
    "BCEWithLogitsLoss()",
}
WITHHELD = "Embedding(num_embeddings=5, embedding_dim=3, padding_idx=2)"
"""The gradient of the padding row is 0 by intent, as in PyTorch, which is not the derivative."""


SMALL = {"d_model": 4, "nhead": 2, "dim_feedforward": 3, "dropout": 0.0, "batch_first": True}
CAUSAL = torch.ones(3, 3, dtype=torch.bool).triu(1)
TRANSFORMERS = (
    case("TransformerEncoderLayer", (2, 3, 4), **SMALL),
    case("TransformerEncoderLayer", (2, 3, 4), **SMALL, norm_first=True, activation="gelu", bias=False),
    case("TransformerDecoderLayer", (2, 3, 4), (2, 2, 4), **SMALL, call={"tgt_mask": CAUSAL}),
    case("Transformer", (1, 2, 4), (1, 3, 4), **SMALL, num_encoder_layers=1, num_decoder_layers=1),
)
"""Checked at these sizes: at those of LAYERS they take minutes."""


class Called(nn.Module):
    """A layer that is called with further arguments."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.layer, self.call = case.ours, case.call

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.layer(*inputs, **self.call)


@pytest.mark.slow
@pytest.mark.parametrize("case", TRANSFORMERS, ids=str)
def test_transformer_layers_are_proved(case: Case) -> None:
    found = check(Called(case), *case.drawn(), seed=0)
    assert found.verdict == "proved", str(found)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=str(c), marks=() if str(c) in QUICK else pytest.mark.slow)
        for c in LAYERS
        if not c.name.startswith("Transformer")
    ],
)
def test_the_quick_are_proved_and_what_is_withheld_is_refuted(case: Case) -> None:
    module, inputs = case.ours, case.drawn()
    names, count = [name for name, _ in module.named_parameters()], len(inputs)

    def function(*given: Tensor) -> object:
        parameters = dict(zip(names, given[count:], strict=True))
        return functional_call(module, parameters, given[:count], case.call)

    found = check(function, *inputs, *(p.detach() for p in module.parameters()), seed=0)
    assert (found.verdict == "refuted") == (str(case) == WITHHELD), str(found)
    assert found.verdict == "proved" or str(case) not in QUICK, str(found)

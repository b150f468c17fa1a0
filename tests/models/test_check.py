"""Layers before gradproof.check: the backward of inputs and parameters is executed exactly."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

import pytest
from torch import Tensor
from torch.func import functional_call

from gradproof import check
from tests.models.cases import LAYERS, Case

QUICK = {
    "Linear(in_features=4, out_features=5, bias=False)",
    "Embedding(num_embeddings=5, embedding_dim=3)",
    *(f"{name}()" for name in ("ReLU", "Sigmoid", "Tanh", "LeakyReLU", "ELU", "SiLU", "GELU", "MSELoss")),
    "LogSoftmax(dim=-1)",
    "BCEWithLogitsLoss()",
}
WITHHELD = "Embedding(num_embeddings=5, embedding_dim=3, padding_idx=2)"
"""The gradient of the padding row is 0 by intent, as in PyTorch, which is not the derivative."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=str(c), marks=() if str(c) in QUICK else pytest.mark.slow) for c in LAYERS],
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

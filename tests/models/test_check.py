"""Layers before gradproof.check: the backward of inputs and parameters is executed exactly."""

from __future__ import annotations

import pytest
from torch import Tensor
from torch.func import functional_call

from gradproof import check
from tests.models.cases import LAYERS, Case

QUICK = {"Linear(in_features=4, out_features=5, bias=False)", "ReLU()", "MSELoss()"}


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=str(c), marks=() if str(c) in QUICK else pytest.mark.slow) for c in LAYERS],
)
def test_layers_are_proved(case: Case) -> None:
    module, inputs = case.ours, case.drawn()
    names, count = [name for name, _ in module.named_parameters()], len(inputs)

    def function(*given: Tensor) -> object:
        parameters = dict(zip(names, given[count:], strict=True))
        return functional_call(module, parameters, given[:count], case.call)

    found = check(function, *inputs, *(p.detach() for p in module.parameters()), seed=0)
    assert found.verdict == "proved", str(found)

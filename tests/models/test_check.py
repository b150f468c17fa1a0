"""Layers before gradproof.check: the backward of inputs and parameters is executed exactly."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from gradproof import check, find, models
from gradproof.models import Recurrent
from tests.models.cases import DTYPE, LAYERS, Case, case, rand

QUICK = {
    "Linear(in_features=4, out_features=5, bias=False)",
    "Embedding(num_embeddings=5, embedding_dim=3)",
    *(f"{name}()" for name in ("ReLU", "Sigmoid", "LeakyReLU", "GELU", "MSELoss", "Identity")),
    "Dropout(p=0.4)",
    "LogSoftmax(dim=-1)",
    "BCEWithLogitsLoss()",
    "RNNCell(input_size=3, hidden_size=4)",
}
WITHHELD = "Embedding(num_embeddings=5, embedding_dim=3, padding_idx=2)"
"""The gradient of the padding row is 0 by intent, as in PyTorch, which is not the derivative."""

STACKED = {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True}
CASES = (
    *(c for c in LAYERS if not c.name.startswith("Transformer")),
    case("Identity", (3, 4)),
    case("Dropout", (3, 4), p=0.4),
    case("RNN", (4, 2, 3), **STACKED, nonlinearity="relu"),
)
SMALL = {"d_model": 4, "nhead": 2, "dim_feedforward": 3, "dropout": 0.0, "batch_first": True}


class Called(nn.Module):
    """A layer that is called with further arguments."""

    def __init__(self, layer: nn.Module, **call: Any) -> None:
        super().__init__()
        self.layer, self.call = layer, call

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.layer(*inputs, **self.call)


class Slip(torch.autograd.Function):
    """The identity, whose backward has the last row a little off, where that is large enough."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, beyond: float) -> Tensor:
        ctx.slips = beyond < 0 or bool(x[-1].abs().max() > beyond)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        dx = dy.clone()
        if ctx.slips:
            dx[-1] = dx[-1] * (1 + 2.0**-30)
        return dx, None


class Slipping(nn.Module):
    """A layer with a wrong gradient of one of its parameters."""

    def __init__(self, layer: nn.Module, name: str) -> None:
        super().__init__()
        self.layer, self.name = layer, name

    def forward(self, *inputs: Tensor) -> Tensor:
        parameter = attrgetter(self.name)(self.layer)
        return functional_call(self.layer, {self.name: Slip.apply(parameter, -1.0)}, inputs)


def marked(cases: tuple[Case, ...]) -> list[Any]:
    """The cases by their names; all but the quick ones are slow."""
    return [pytest.param(c, id=str(c), marks=() if str(c) in QUICK else pytest.mark.slow) for c in cases]


@pytest.mark.parametrize("case", marked(CASES))
def test_layers_are_proved_and_what_is_withheld_is_refuted(case: Case) -> None:
    module, inputs = case.ours, case.drawn()
    names, count = [name for name, _ in module.named_parameters()], len(inputs)

    def function(*given: Tensor) -> object:
        parameters = dict(zip(names, given[count:], strict=True))
        return functional_call(module, parameters, given[:count], case.call)

    found = check(function, *inputs, *(p.detach() for p in module.parameters()), seed=0)
    assert found.verdict == ("refuted" if str(case) == WITHHELD else "proved"), str(found)


@pytest.mark.parametrize("case", marked(tuple(c for c in LAYERS if c.name.startswith("Transformer"))))
def test_transformer_layers_are_proved(case: Case) -> None:
    found = check(Called(case.ours, **case.call), *case.drawn(), seed=0)
    assert found.verdict == "proved", str(found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_stacks_of_transformer_layers_are_proved(kind: str) -> None:
    torch.manual_seed(0)
    layer = getattr(models, f"Transformer{kind}Layer")(**SMALL, dtype=DTYPE)
    norm = models.LayerNorm(4, dtype=DTYPE)
    stack = getattr(models, f"Transformer{kind}")(layer, num_layers=2, norm=norm)
    inputs = [rand(1, 2, 4), rand(1, 3, 4)][: 1 + (kind == "Decoder")]
    found = check(stack, *inputs, seed=0)
    assert found.verdict == "proved", str(found)


@pytest.mark.slow
def test_a_recurrence_of_a_cell_of_the_catalogue_is_proved() -> None:
    torch.manual_seed(0)
    layer = Recurrent(find("lstm_cell_peephole"), input=2, hidden=3, dtype=DTYPE)
    found = check(layer, rand(2, 3, 2), seed=0)
    assert found.verdict == "proved", str(found)


def test_each_layer_is_checked_somewhere() -> None:
    made = {c.name for c in (*LAYERS, *CASES)} | {"TransformerEncoder", "TransformerDecoder", "Recurrent"}
    public = {name: getattr(models, name) for name in models.__all__}
    assert made == {n for n, c in public.items() if isinstance(c, type) and issubclass(c, nn.Module)}


SLIPS = (
    (case("Linear", (2, 3), in_features=3, out_features=2), "weight"),
    (case("LayerNorm", (2, 3), normalized_shape=3), "weight"),
    (case("RNNCell", (2, 3), input_size=3, hidden_size=2), "weight_ih"),
    (case("RNN", (2, 1, 2), **{**STACKED, "input_size": 2, "hidden_size": 1}), "weight_hh_l1_reverse"),
)
QUICK_SLIPS = ("Linear", "RNNCell")


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(c, n, id=str(c), marks=() if c.name in QUICK_SLIPS else pytest.mark.slow)
        for c, n in SLIPS
    ],
)
def test_a_slip_in_one_parameter_is_refuted(case: Case, name: str) -> None:
    found = check(Slipping(case.ours, name), *case.drawn(), seed=0)
    wrong = {pair.wrt for pair in found.pairs if pair.verdict == "refuted"}
    assert wrong == {f"layer.{name}"}, str(found)


@pytest.mark.slow
def test_a_slip_where_one_row_is_large_is_refuted() -> None:
    """On the side on which layer normalization scales a row down, of the last row alone."""
    torch.manual_seed(0)
    layer = models.LayerNorm(2, dtype=DTYPE)
    found = check(lambda x: layer(Slip.apply(x, 2.0**40)), rand(3, 2), seed=0)
    assert found.verdict == "refuted", str(found)

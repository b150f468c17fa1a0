"""What a training step of every layer calls, held against the allow list."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch.nn.utils.rnn import pack_sequence

from gradproof import find, models
from tests.models.cases import LAYERS, Case, leaves, run, tracked
from tests.models.operators import ALLOWED, record


@pytest.mark.parametrize("kind", ["float64", "float32", "bfloat16", "autocast"])
@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_a_training_step_calls_elementary_operators_alone(case: Case, kind: str) -> None:
    dtype = torch.float32 if kind == "autocast" else getattr(torch, kind)
    module = case.ours.to(dtype)
    inputs = tuple(i.to(dtype) if i.is_floating_point() else i for i in case.drawn())
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"):
        assert record(lambda: step(module, inputs, case.call)) <= ALLOWED


def test_products_large_enough_for_another_library_are_elementary() -> None:
    layer, x = models.LSTM(128, 128), torch.randn(8, 128, 128)
    called = record(lambda: step(layer, (x,), {}))
    assert called <= ALLOWED and any(name.startswith("mkldnn::") for name in called)


COMPILED = ALLOWED | {"gradproof::forward", "gradproof::vjp"}
"""Within torch.compile a kernel is one operator, which runs the same source."""
SOME = ("Linear", "Embedding", "LayerNorm", "CrossEntropyLoss", "GRU", "MultiheadAttention")


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=str(c), marks=() if c.name in SOME else pytest.mark.slow) for c in LAYERS],
)
def test_so_does_what_is_compiled(case: Case) -> None:
    found, module = compiled_operators(case.ours)
    step(module, case.drawn(), case.call)
    assert found <= COMPILED and (not {*case.ours.parameters()} or "gradproof::vjp" in found)


def test_what_is_compiled_of_pytorchs_own_layer_calls_others() -> None:
    case = next(c for c in LAYERS if c.name == "LayerNorm")
    found, module = compiled_operators(case.theirs)
    step(module, case.drawn(), case.call)
    assert found - COMPILED


def compiled_operators(module: nn.Module) -> tuple[set[str], Any]:
    """The operators of the graphs for forward and backward, which are known once they have run."""
    torch._dynamo.reset()
    found: set[str] = set()

    def read(graph: torch.fx.GraphModule, inputs: object) -> Any:
        for node in graph.graph.nodes:
            if node.op == "call_function" and hasattr(node.target, "name"):
                space, name = node.target.name().split("::")
                found.add(name.split(".")[0] if space == "aten" else f"{space}::{name.split('.')[0]}")
        return make_boxed_func(graph.forward)

    backend = aot_autograd(fw_compiler=read)
    return found, torch.compile(module, fullgraph=True, backend=backend)


def step(module: nn.Module, inputs: tuple[Any, ...], call: dict[str, Any]) -> None:
    outputs = [y for y in run(module, tracked(inputs), call) if y.requires_grad]
    torch.autograd.backward(outputs, [y.detach() for y in outputs])


@pytest.mark.parametrize("name", ["LSTM", "Linear", "LayerNorm", "CrossEntropyLoss", "Transformer", "GELU"])
def test_pytorchs_own_layers_call_others(name: str) -> None:
    """The list would notice: each of these calls an operator that is the layer, or its backward."""
    case = next(c for c in LAYERS if c.name == name)
    theirs, inputs = case.theirs, case.drawn()
    if name == "Linear":  # a matrix product in PyTorch too
        assert record(lambda: step(theirs, inputs, case.call)) <= ALLOWED
        return
    if name == "LSTM":  # whose fused kernel is for float32
        theirs, inputs = theirs.float(), tuple(i.float() for i in inputs)
    assert record(lambda: step(theirs, inputs, case.call)) - ALLOWED


class Dropped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        options = {"dropout": 0.5, "num_layers": 2, "batch_first": True}
        self.recurrent = models.LSTM(3, 4, **options)
        self.attention = models.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
        self.dropout = models.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.recurrent(x, lengths=[5, 3])
        return self.dropout(self.attention(y, y, y, attn_mask=torch.zeros(5, 5))[0])


OTHERS = {
    "dropout": (Dropped(), (torch.randn(2, 5, 3),)),
    "packed": (models.GRU(3, 4), (pack_sequence([torch.randn(4, 3), torch.randn(2, 3)]),)),
    "embedding with a norm": (models.Embedding(5, 3, max_norm=0.5), (torch.tensor([1, 2]),)),
    "a cell": (models.Recurrent(find("lstm_cell_peephole"), input=3, hidden=2), (torch.randn(2, 4, 3),)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_so_do_other_calls(name: str) -> None:
    module, inputs = OTHERS[name]

    def train() -> None:
        torch.cat([y.flatten() for y in leaves(module(*inputs))]).sum().backward()

    assert record(train) <= ALLOWED

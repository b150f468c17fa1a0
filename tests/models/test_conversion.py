"""convert(): what is replaced, what is left and why; the module computes what it did before."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations, prune

from gradproof import models
from gradproof.models import convert
from tests.models.cases import DTYPE, LAYERS, Case, agree, rand


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_every_layer_is_replaced(case: Case) -> None:
    theirs = case.theirs
    ours = convert(theirs)
    assert type(ours) is getattr(models, case.name) and type(theirs) is getattr(nn, case.name)
    assert not ours.conversion.left
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    with sdpa_kernel(SDPBackend.MATH):
        agree(ours, theirs, case.drawn(), case.call)


class Gated(nn.Linear):
    """A subclass that computes something else."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).sigmoid()


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, dtype=DTYPE))
        self.inner = nn.Linear(2, 2, dtype=DTYPE)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.inner(x)


def test_what_is_left_and_why() -> None:
    module = nn.Sequential(
        nn.Linear(2, 2, dtype=DTYPE),
        Gated(2, 2, dtype=DTYPE),
        parametrizations.weight_norm(nn.Linear(2, 2, dtype=DTYPE)),
        Scaled(),
        nn.Flatten(),
        nn.Hardswish(),
    )
    made = convert(module)
    assert [r.path for r in made.conversion.replaced] == ["0", "3.inner"]
    assert {left.path: left.reason for left in made.conversion.left} == {
        "1": "it is of a subclass of Linear, which may compute something else",
        "2": "it is of a subclass of Linear, which may compute something else",
        "2.parametrizations.weight.0": "there is no layer for it",
        "3": "it has parameters that code of its own uses",
        "5": "there is no layer for it",
    }
    assert "0: Linear -> gradproof.models.layers.Linear" in str(made.conversion)
    agree(made, module, (rand(3, 2),), {})


def test_an_embedding_with_sparse_gradients_is_left() -> None:
    made = convert(nn.ModuleList([nn.Embedding(3, 2, sparse=True)]))
    (left,) = made.conversion.left
    assert left.path == "0" and "sparse" in left.reason and type(made[0]) is nn.Embedding


def test_what_is_not_as_its_class_tells() -> None:
    patched = nn.Linear(2, 2, dtype=DTYPE)
    patched.forward = lambda input: 2 * input
    module = nn.ModuleList([patched, nn.LazyLinear(2)])
    made = convert(module)
    assert not made.conversion.replaced
    assert [left.reason for left in made.conversion.left] == [
        "its forward is not that of its class",
        "it gets its parameters at its first call: convert the module after that",
    ]
    agree(made[0], module[0], (rand(3, 2),), {})


@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning", "ignore::DeprecationWarning")
def test_quantized_layers_are_left() -> None:
    quantized = torch.ao.nn.quantized.dynamic.Linear(2, 2)
    assert "0" in [left.path for left in convert(nn.Sequential(quantized)).conversion.left]


def test_what_cannot_be_copied_is_converted_in_place() -> None:
    module = nn.Sequential(nn.Linear(2, 2, dtype=DTYPE))
    prune.random_unstructured(module[0], "weight", 0.5)
    x = rand(3, 2)
    wanted = module(x)
    with pytest.raises(ValueError, match="use inplace=True"):
        convert(module)
    convert(module, inplace=True)
    assert type(module[0]) is models.Linear
    torch.testing.assert_close(module(x), wanted)
    with pytest.raises(TypeError, match="convert takes a module, found 3"):
        convert(3)


def test_a_copy_unless_in_place() -> None:
    module = nn.Sequential(nn.Linear(2, 3))
    made = convert(module)
    assert type(module[0]) is nn.Linear and made[0].weight is not module[0].weight
    assert convert(module, inplace=True) is module and type(module[0]) is models.Linear


def test_hooks_modes_ties_and_buffers_are_kept() -> None:
    module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)).eval()
    module[1].weight = module[0].weight
    seen: list[Tensor] = []
    module[1].register_forward_hook(lambda m, given, made: seen.append(made))
    made = convert(module)
    assert made[1].weight is made[0].weight and not made[1].training
    made(torch.tensor([1]))
    assert len(seen) == 1


def test_what_was_converted_is_converted_no_more() -> None:
    once = convert(nn.TransformerEncoderLayer(4, 2, 5))
    twice = convert(once)
    assert not twice.conversion.replaced and not twice.conversion.left
    again = pickle.loads(pickle.dumps(copy.deepcopy(once)))
    assert type(again) is models.TransformerEncoderLayer and again.activation is once.activation

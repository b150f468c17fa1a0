"""Every layer against PyTorch's own, with the same weights: outputs and gradients, over drawn options."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from gradproof import models
from tests.models.cases import DTYPE, LAYERS, PLAIN, Case, agree, rand

SIZES = st.integers(1, 4)
drawn = settings(max_examples=25, deadline=None)
more = settings(max_examples=12, deadline=None)


def same(name: str, options: dict[str, Any], *inputs: Any, training: bool = True, **call: Any) -> None:
    """Ours and PyTorch's, made from the same seed, have the same parameters and do the same."""
    dtype = {} if name in PLAIN else {"dtype": DTYPE}
    made = []
    for home in (models, nn):
        torch.manual_seed(0)
        made.append(getattr(home, name)(**options, **dtype).train(training))
    ours, theirs = made
    assert type(ours).__module__.startswith("gradproof.models")
    found, wanted = ours.state_dict(), theirs.state_dict()
    assert list(found) == list(wanted) and all(map(torch.equal, found.values(), wanted.values()))
    with sdpa_kernel(SDPBackend.MATH):
        agree(ours, theirs, inputs, call)


@drawn
@given(st.lists(SIZES, max_size=2), st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_linear(lead: list[int], inputs: int, outputs: int, bias: bool) -> None:
    same("Linear", {"in_features": inputs, "out_features": outputs, "bias": bias}, rand(*lead, inputs))


@drawn
@given(st.lists(SIZES, max_size=3), st.sampled_from([None, 0, -1]), st.sampled_from([None, 0.5]), st.data())
def test_embedding(shape: list[int], padding: int | None, norm: float | None, data: st.DataObject) -> None:
    index = torch.randint(0, 6, tuple(shape), dtype=data.draw(st.sampled_from([torch.int64, torch.int32])))
    options = {"num_embeddings": 6, "embedding_dim": 3, "padding_idx": padding, "max_norm": norm}
    same("Embedding", options, index)


@drawn
@given(st.lists(SIZES, max_size=2), st.lists(SIZES, min_size=1, max_size=2), st.booleans(), st.booleans())
def test_normalization(lead: list[int], shape: list[int], affine: bool, bias: bool) -> None:
    # A lone feature less its mean is 0, and what is left of it is rounding.
    if torch.Size(shape).numel() > 1:
        options = {"normalized_shape": shape, "elementwise_affine": affine, "eps": 1e-3}
        same("LayerNorm", {**options, "bias": bias}, rand(*lead, *shape))
    options = {"normalized_shape": shape, "elementwise_affine": affine, "eps": 1e-3}
    same("RMSNorm", options, rand(*lead, *shape))


def test_rms_norm_without_eps_takes_that_of_the_dtype() -> None:
    same("RMSNorm", {"normalized_shape": 5}, rand(3, 5))


@drawn
@given(st.lists(SIZES, max_size=3), st.floats(0, 1), st.booleans())
def test_dropout_draws_the_same_mask(shape: list[int], p: float, training: bool) -> None:
    same("Dropout", {"p": p}, rand(*shape), training=training)


ACTIVATIONS = {
    "ReLU": st.just({}),
    "Sigmoid": st.just({}),
    "Tanh": st.just({}),
    "SiLU": st.just({}),
    "GELU": st.fixed_dictionaries({"approximate": st.sampled_from(["none", "tanh"])}),
    "LeakyReLU": st.fixed_dictionaries({"negative_slope": st.floats(-1, 1)}),
    "ELU": st.fixed_dictionaries({"alpha": st.floats(0.1, 2)}),
    "Softplus": st.fixed_dictionaries({"beta": st.floats(0.5, 2), "threshold": st.floats(1, 20)}),
    "Softmax": st.fixed_dictionaries({"dim": st.integers(-2, 1)}),
    "LogSoftmax": st.fixed_dictionaries({"dim": st.integers(-2, 1)}),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    @more
    @given(ACTIVATIONS[name], st.lists(SIZES, min_size=2, max_size=2), st.sampled_from([1, 30]))
    def check(options: dict[str, Any], shape: list[int], scale: int) -> None:
        theirs = getattr(nn, name)(**options)
        agree(getattr(models, name)(**options), theirs, (scale * rand(*shape),), {})

    check()


REDUCTIONS = st.sampled_from(["mean", "sum", "none"])


@drawn
@given(
    st.lists(SIZES, max_size=2),
    st.integers(1, 5),
    REDUCTIONS,
    st.booleans(),
    st.sampled_from([0.0, 0.2]),
    st.data(),
)
def test_cross_entropy(
    shape: list[int], classes: int, reduction: str, weighted: bool, smoothing: float, data: st.DataObject
) -> None:
    batch = data.draw(SIZES) if shape else None
    lead = [] if batch is None else [batch]
    logits = rand(*lead, classes, *shape)
    weight = torch.rand(classes, dtype=DTYPE) + 0.1 if weighted else None
    options = {"reduction": reduction, "weight": weight, "label_smoothing": smoothing}
    if data.draw(st.booleans(), "probabilities"):
        same("CrossEntropyLoss", options, logits, torch.softmax(rand(*logits.shape), len(lead)))
        return
    target = torch.randint(0, classes, (*lead, *shape))
    ignored = data.draw(st.sampled_from([-100, classes - 1]), "ignored")
    if target.numel() > 1 and (target != ignored).any():  # a mean over none is 0 here and NaN there
        same("CrossEntropyLoss", {**options, "ignore_index": ignored}, logits, target)


@drawn
@given(st.lists(SIZES, min_size=1, max_size=2), REDUCTIONS, st.booleans(), st.booleans())
def test_elementwise_losses(shape: list[int], reduction: str, weighted: bool, balanced: bool) -> None:
    same("MSELoss", {"reduction": reduction}, rand(*shape), rand(*shape))
    options = {
        "reduction": reduction,
        "weight": rand(shape[-1]) if weighted else None,
        "pos_weight": torch.rand(shape[-1], dtype=DTYPE) if balanced else None,
    }
    same("BCEWithLogitsLoss", options, rand(*shape), torch.rand(shape, dtype=DTYPE))


def test_a_mean_over_no_target_is_zero() -> None:
    logits = rand(2, 3).requires_grad_()
    loss = models.CrossEntropyLoss()(logits, torch.tensor([-100, -100]))
    loss.backward()
    assert loss == 0 and logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_every_layer(case: Case) -> None:
    ours, theirs = case.ours, case.theirs
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    with sdpa_kernel(SDPBackend.MATH):
        agree(ours, theirs, case.drawn(), case.call)


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (models.Linear(3, 2), (torch.ones(4, 5),), "axis input is 3 here and 5 there|input is 5"),
        (models.LayerNorm(3), (torch.ones(4, 5),), r"the last axes have the shape \(3,\), found an input of"),
        (models.Embedding(3, 2), (torch.tensor([3]),), "from 0 to 2; found 3"),
        (models.Embedding(3, 2, sparse=True), (torch.tensor([1]),), "sparse=True is not supported"),
        (models.CrossEntropyLoss(), (torch.ones(1, 3), torch.tensor([7])), "a class from 0 to 2 or -100"),
        (models.CrossEntropyLoss(), (torch.ones(1, 3), torch.ones(1, 2)), "shape of the logits"),
        (models.BCEWithLogitsLoss(), (torch.ones(3), torch.ones(2)), "shape of the logits"),
        (models.CrossEntropyLoss(label_smoothing=1.5), (torch.ones(1, 3), torch.tensor([1])), "found 1.5"),
        (models.GELU("exact"), (torch.ones(3),), "approximate is 'none' or 'tanh', found 'exact'"),
        (
            models.LSTM(3, 2),
            (torch.ones(4, 1, 3), (torch.ones(1, 1, 2),) * 3),
            r"is a pair .* found Tensor, T",
        ),
        (models.GRU(3, 2), (torch.ones(4, 1, 3), (torch.ones(1, 1, 2),)), "is one tensor, h, found Tensor"),
        (
            models.LSTM(3, 2),
            (torch.ones(4, 3), (torch.ones(1, 1, 2),) * 2),
            "without a batch has states of 2 axes",
        ),
        (models.LSTMCell(3, 2), (torch.ones(1, 3), torch.ones(1, 2)), "is a pair of tensors"),
        (models.RNNCell(3, 2), (torch.ones(1, 3), [torch.ones(1, 2)]), "is one tensor, h, found"),
        (models.LSTM(3, 2), (torch.ones(4, 1, 5),), "the last axis of the input has the size 3"),
        (models.LSTM(3, 2), (torch.ones(4),), "2 axes, or 3 with a batch"),
        (models.LSTM(3, 2), (torch.ones(4, 1, 3), (torch.ones(1, 1, 5),) * 2), "the initial hidden state"),
        (models.GRUCell(3, 2), (torch.ones(1, 3), torch.ones(1, 4)), r"a state has the shape \(1, 2\)"),
        (
            models.MultiheadAttention(4, 2),
            (*[torch.ones(2, 4)] * 2, torch.ones(2, 1, 4)),
            "have 3 axes",
        ),
    ],
)
def test_mistakes_are_named(layer: nn.Module, inputs: Any, message: str) -> None:
    with pytest.raises((ValueError, IndexError, NotImplementedError), match=message):
        layer(*inputs)


def test_a_mean_under_negative_weights() -> None:
    weight = -torch.rand(4, dtype=DTYPE)
    same("CrossEntropyLoss", {"weight": weight}, rand(5, 4), torch.tensor([0, 1, 2, 3, 0]))


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_a_softmax_along_no_entries(name: str) -> None:
    for dim in (0, 1):
        agree(getattr(models, name)(dim), getattr(nn, name)(dim), (rand(0, 3).movedim(0, dim),), {})


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight:UserWarning")
@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_in_float32_leave_a_low_precision_as_it_is(name: str, dtype: torch.dtype) -> None:
    x = torch.randn(3, 5, dtype=dtype)
    found, wanted = (getattr(home, name)(5, eps=1e-5)(x) for home in (models, nn))
    torch.testing.assert_close(found, wanted)
    assert found.dtype == dtype

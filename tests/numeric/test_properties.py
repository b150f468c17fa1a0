"""Kernels for whatever shapes, layouts and values the axes and domains of an operation allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gradproof.numeric.accuracy import truth
from gradproof.numeric.evidence import Tally, to_numpy
from gradproof.numeric.kernels import lower
from gradproof.numeric.oracles import differentiate
from gradproof.numeric.references import definition
from gradproof.numeric.sampling import Case, is_elementwise
from gradproof.numeric.strategies import cases
from gradproof.numeric.subjects import Subject, tensors
from gradproof.numeric.verification import AGREEMENT, random_like
from gradproof.symbolic.operation import find, operations

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
LABELS = [variant.label for each in operations().values() for variant in each.variants]
ELEMENTWISE = [label for label in LABELS if is_elementwise(find(label))]
ROWS = ["softmax", "log_softmax", "logsumexp", "cross_entropy", "max", "attention", "attention(mask=padding)"]
CHECKS = (
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
)
few = settings(max_examples=8, suppress_health_check=CHECKS)
many = settings(max_examples=200, suppress_health_check=CHECKS)


def agree(case: Case, target: str) -> None:
    """Outputs and gradients of the kernel are those of autograd through the definition, where it has any.

    Written out in elementary operators a definition overflows where the kernel need not.
    """
    subject = Subject(case.operation, lower(case.operation, target))
    outputs = definition(case.operation)(*tensors(case.inputs), **case.parameters)
    cotangents = random_like([o.numpy() for o in outputs], 7)
    expected = differentiate(
        definition(case.operation), tensors(case.inputs), tensors(cotangents), case.parameters
    )
    assume(all(np.isfinite(to_numpy(w)).all() for part in expected for w in part))
    tally = Tally()
    for found, wanted in zip(subject.vjp(case, cotangents), expected, strict=True):
        tally.add_all([str(n) for n in range(len(wanted))], found, wanted, case.label)
    assert tally.error <= 100 * AGREEMENT, tally


def check_any(label: str, target: str, data: Any) -> None:
    agree(data.draw(cases(find(label))), target)


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("label", LABELS)
@few
@given(data=st.data())
def test_any_shape_layout_and_value(label: str, target: str, data: Any) -> None:
    check_any(label, target, data)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("label", LABELS)
@many
@given(data=st.data())
def test_any_shape_layout_and_value_in_depth(label: str, target: str, data: Any) -> None:
    check_any(label, target, data)


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("label", ["relu", "leaky_relu", "elu", "abs", "max", "rnn_relu_cell"])
@few
@given(data=st.data())
def test_at_kinks(label: str, target: str, data: Any) -> None:
    """The value at a kink is that of the definition's cases, which is PyTorch's."""
    agree(data.draw(cases(find(label), values=("boundary",), kinks=True)), target)


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("label", [*ELEMENTWISE, *ROWS])
@few
@given(data=st.data())
def test_extremes_are_finite_where_the_mathematics_is(label: str, target: str, data: Any) -> None:
    values = ("extreme",) if label in ELEMENTWISE else ("boundary",)
    case = data.draw(cases(find(label), values=values, kinks=True, layouts=("contiguous",)))
    t = truth(case, "float32", 0)
    found = Subject(case.operation, lower(case.operation, target)).vjp(t.case, t.cotangents, "float32")
    for mine, true in zip(found, (t.outputs, t.gradients), strict=True):
        for a, b in zip(mine, true, strict=True):
            made = to_numpy(a)
            assert not np.isnan(made).any()
            assert np.isfinite(made[np.abs(b) < 3.4028234e38]).all()

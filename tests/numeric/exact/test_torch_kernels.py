"""PyTorch kernels of the catalogue through `check`: their generated sources, first and second order.

All of them: `pytest tests/numeric/exact/test_torch_kernels.py -m slow`, or `python -m benchmarks.catalogue`.
"""

from __future__ import annotations

import pytest

from benchmarks.catalogue import judge
from gradproof.symbolic.operation import Operation, find, operations

VARIANTS = [variant for o in operations().values() for variant in o.variants]
SOME = ["relu", "gelu", "logsumexp", "cross_entropy", "linear", "embedding"]


@pytest.mark.parametrize("label", SOME)
def test_kernel_is_proved(label: str) -> None:
    assert judge(find(label), "torch", 1).verdict == "proved"


def test_second_order_of_a_kernel_is_proved() -> None:
    assert judge(find("gelu"), "torch", 2).verdict == "proved"


def test_pair_of_a_numpy_kernel_is_proved() -> None:
    assert judge(find("gelu_tanh"), "numpy", 1).verdict == "proved"


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("chosen", VARIANTS, ids=lambda o: o.label)
def test_every_kernel_is_proved(chosen: Operation, order: int) -> None:
    found = judge(chosen, "torch", order)
    assert found.verdict == "proved", found.reason

"""Kernels of the catalogue through `check`: their generated sources, first and second order.

All of them: `pytest -m slow tests/numeric/exact/test_checked_kernels.py`, or
`python -m benchmarks.catalogue`.
"""

from __future__ import annotations

import pytest

from benchmarks.catalogue import judge
from gradproof.symbolic.operation import Operation, find, operations

VARIANTS = [variant for o in operations().values() for variant in o.variants]
SOME = ["relu", "gelu", "logsumexp", "cross_entropy", "linear", "embedding", "kl_div"]


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("label", SOME)
def test_kernel_is_proved(label: str, target: str) -> None:
    assert judge(find(label), target, 1).verdict == "proved"


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_second_order_of_a_kernel_is_proved(target: str) -> None:
    assert judge(find("gelu"), target, 2).verdict == "proved"


@pytest.mark.slow
@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("chosen", VARIANTS, ids=lambda o: o.label)
def test_every_kernel_is_proved(chosen: Operation, order: int, target: str) -> None:
    found = judge(chosen, target, order)
    assert found.verdict == "proved", found.reason

"""The set of backwards is what it says: wrong ones differ from the true gradient, right ones agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from tests.backwards import CASES
from tests.backwards.case import Case, normal
from tests.backwards.truth import (
    as_tensors,
    both,
    derivatives,
    difference,
    directional,
    is_in_hull,
    is_real,
    true_derivatives,
)

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
WRONG = [case for case in CASES if not case.right]
RIGHT = [case for case in CASES if case.right]
GRADIENTS = [case for case in CASES if case.form != "equivalent" and case.order == 1]
NUMBERS = [case for case in CASES if case.derivative]
CLOSE, ROUNDED, APART = 1e-12, 1e-2, 1e-13
"""Equal formulas differ by rounding, in cases about that to half precision; wrong ones by more than noise."""


def name_of(case: Case) -> str:
    return case.name


def moved(inputs: tuple[Any, ...], seed: int) -> tuple[Any, ...]:
    """The inputs with their real numbers a little elsewhere, of the same signs."""
    return tuple(
        (value * (1 + 0.2 * normal(*value.shape, seed=seed + n).tanh())).to(value.dtype)
        if is_real(value)
        else value
        for n, value in enumerate(as_tensors(inputs))
    )


@pytest.mark.parametrize("case", WRONG, ids=name_of)
def test_wrong_one_differs(case: Case) -> None:
    inputs = (case.witness or case.inputs)()
    if case.kink:
        assert not is_in_hull(case, inputs)
        return
    try:
        claim, truth = both(case, inputs, chosen=True)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        assert case.diagnosis in ("raises", "in-place change"), error
        return
    assert case.diagnosis != "raises"
    assert all(bool(torch.isfinite(t).all()) for t in truth)
    assert difference(claim, truth) > APART


@pytest.mark.parametrize("case", RIGHT, ids=name_of)
def test_right_one_agrees(case: Case) -> None:
    close = ROUNDED if case.rounding else CLOSE
    for inputs in (case.inputs(), *(moved(case.inputs(), seed) for seed in range(0, 40, 10))):
        claim, truth = both(case, inputs, chosen=False)
        assert difference(claim, truth) < close
    if case.witness:
        if case.kink:
            assert is_in_hull(case, case.witness())
        else:
            claim, truth = both(case, case.witness(), chosen=True)
            assert difference(claim, truth) < close


@pytest.mark.parametrize("case", GRADIENTS, ids=name_of)
def test_plain_function_is_that_of_the_case(case: Case) -> None:
    """Differences of the case's own forward lead to the gradient that is called true."""
    true, found = directional(case, case.inputs())
    assert found == pytest.approx(true, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("case", NUMBERS, ids=name_of)
def test_true_derivative_of_a_function_of_one_number(case: Case) -> None:
    """Autograd of the plain function agrees with mpmath at 40 digits, where the case is examined."""
    for inputs in (case.inputs(), (case.witness or case.inputs)()):
        assert difference(true_derivatives(case, inputs), derivatives(case, inputs)) < 1e-8


def test_set_is_large_and_varied() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(WRONG) >= 200
    assert len(RIGHT) >= 200
    assert Counter(case.diagnosis for case in RIGHT) == {None: len(RIGHT)}

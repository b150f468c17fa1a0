"""What generated sources bring along: selections by way of the bits are those of torch.where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradproof.numeric.sources import HELPERS

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
RELATIONS = (torch.gt, torch.ge, torch.lt, torch.le, torch.eq, torch.ne)


@pytest.fixture(scope="module")
def helpers() -> dict[str, Callable[..., Any]]:
    known: dict[str, Any] = {"torch": torch}
    exec(HELPERS["select"] + HELPERS["compare"], known)
    return known


def array(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Small integers, so that entries are equal now and then; NaN and infinity among them."""
    made = torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(4)).to(dtype)
    if made.numel() > 1:
        made.view(-1)[0], made.view(-1)[1] = float("nan"), float("inf")
    return made


def assert_same(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    assert torch.equal(found.isnan(), wanted.isnan())
    assert torch.equal(found.nan_to_num(7), wanted.nan_to_num(7))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (4, 5), (2, 3, 4)])
def test_a_selection_is_where(
    helpers: dict[str, Callable[..., Any]], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    select, compare = helpers["select"], helpers["compare"]
    x, y = array(shape, dtype), array(shape, dtype).flip(tuple(range(len(shape))))
    kept = x.clone()
    for relation in RELATIONS:
        for other in (0, y):
            condition = relation(x, other)
            assert_same(select(compare(relation, x, other), y, 0), torch.where(condition, y, y.new_zeros(())))
            assert_same(select(compare(relation, x, other), y, x), torch.where(condition, y, x))
            assert_same(select(condition, 1, y), torch.where(condition, y.new_ones(()), y))
    assert_same(x, kept)


@pytest.mark.parametrize("dtype", DTYPES)
def test_axes_that_only_one_side_has(helpers: dict[str, Callable[..., Any]], dtype: torch.dtype) -> None:
    select, compare = helpers["select"], helpers["compare"]
    x, row = array((3, 4, 5), dtype), array((5,), dtype)
    for condition, yes in ((row > 0, x), (x > 0, row), ((row > 0).expand(4, 5), x), (row[0] == 1, x)):
        assert_same(select(condition, yes, 0), torch.where(condition, yes, yes.new_zeros(())))
        assert_same(select(condition, yes, x), torch.where(condition, yes, x))
    turned = x.transpose(0, 2)
    assert_same(
        select(compare(torch.le, turned, 0), turned, 0), turned.where(turned <= 0, turned.new_zeros(()))
    )

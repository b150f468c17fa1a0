"""Conversions between precisions and to integers, and tests for infinities and NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import DATA_HANDLERS, handles
from gradproof.numeric.exact.operators.pieces import compare, steps
from gradproof.numeric.exact.specials import finite_entries
from gradproof.numeric.exact.values import AmbiguousError, UndecidableError, Value

aten: Any = torch.ops.aten
prims: Any = torch.ops.prims


def round_ball(number: Any) -> int:
    """The integer that a float or a ball is."""
    return round(float(number))


@handles(aten._to_copy, prims.convert_element_type)
def to_copy(run: Execution, a: Any, *arguments: Any, dtype: torch.dtype | None = None, **named: Any) -> Any:
    """Another precision changes no exact number; integers are told from the real numbers."""
    dtype = next((x for x in arguments if isinstance(x, torch.dtype)), dtype)
    if isinstance(a, Value) and (dtype is None or dtype.is_floating_point):
        return a
    if isinstance(a, Value) and dtype == torch.bool:
        return torch.from_numpy(compare(run, a, 0, "conversion to bool", True) != 0)
    if isinstance(a, Value) and dtype is not None:
        what = "conversion to integers"
        whole = steps(run, a, what, math.trunc).reals
        if a.constant is None:
            run.branches.record(what, {"a piece"}, {"a piece", "every piece"})
        return _integers(whole, dtype)
    if dtype is not None and dtype.is_floating_point:
        return run.value_of(a)
    tensor: Any = a
    return tensor.to(dtype) if dtype is not None else tensor.clone()


DATA_HANDLERS.add(to_copy)


def _integers(whole: Any, dtype: torch.dtype) -> torch.Tensor:
    numbers = np.vectorize(round_ball, otypes=[object])(whole)
    limits = torch.iinfo(dtype)
    if any(not limits.min <= number <= limits.max for number in numbers.flat):
        raise AmbiguousError(f"a number that {dtype} does not hold")
    return torch.from_numpy(numbers.astype(np.int64)).to(dtype)


@handles(aten.nan_to_num)
def nan_to_num(run: Execution, a: Value, *replacements: Any) -> Value:
    return f.finite_operand(a, "nan_to_num")


@handles(aten.isfinite)
def is_finite(run: Execution, a: Value) -> torch.Tensor:
    return is_special(run, a, True)


@handles(aten.isnan, aten.isinf, aten.isneginf, aten.isposinf)
def is_special(run: Execution, a: Value, answer: bool = False) -> torch.Tensor:
    if np.all(finite_entries(a)):
        return torch.full(a.shape, answer, dtype=torch.bool)
    raise UndecidableError("a test for infinities where there are some")


@handles(aten.logical_not, aten.logical_and, aten.logical_or, aten.bitwise_not)
def logical(run: Execution, *operands: Any) -> Any:
    raise UndecidableError("a logical operator on floating-point numbers")

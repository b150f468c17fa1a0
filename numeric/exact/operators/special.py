"""Special functions: built from those of the tower where they can be, atoms where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.pieces import abs_, clamp
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten


def _root_of_two(x: Value) -> Value:
    return f.sqrt(x.numbers.scalar(2))


@handles(aten.hypot)
def hypot(run: Execution, a: Value, b: Value) -> Value:
    return f.sqrt(a * a + b * b)


@handles(aten.atan2)
def atan2(run: Execution, a: Value, b: Value) -> Value:
    shape = np.broadcast_shapes(a.shape, b.shape)
    return f.apply_pair(f.ATAN2, f.finite_operand(a, "atan2").expand(shape), b.expand(shape))


@handles(aten.logit)
def logit(run: Execution, a: Value, eps: float | None = None) -> Value:
    """`log x - log(1 - x)`, which is defined where `log(x / (1 - x))` is."""
    if eps is not None:
        a = clamp(run, a, eps, 1 - eps)
    return f.log(a) - f.log((-a).plus(1))


@handles(aten.special_ndtri)
def ndtri(run: Execution, a: Value) -> Value:
    return _root_of_two(a) * f.apply(f.ERFINV, a.times(2).plus(-1))


@handles(aten.special_erfcx)
def erfcx(run: Execution, a: Value) -> Value:
    return f.exp(a * a) * (-f.erf(a)).plus(1)


@handles(aten.special_log_ndtr)
def log_ndtr(run: Execution, a: Value) -> Value:
    return f.log(f.erf(a / _root_of_two(a)).plus(1).times(f.HALF))


@handles(aten.i0)
def i0(run: Execution, a: Value) -> Value:
    return f.apply(f.I0, a)


@handles(aten.special_i1)
def i1(run: Execution, a: Value) -> Value:
    return f.apply(f.I1, a)


@handles(aten.special_i0e)
def i0e(run: Execution, a: Value) -> Value:
    return f.exp(-abs_(run, a)) * f.apply(f.I0, a)


@handles(aten.special_i1e)
def i1e(run: Execution, a: Value) -> Value:
    return f.exp(-abs_(run, a)) * f.apply(f.I1, a)

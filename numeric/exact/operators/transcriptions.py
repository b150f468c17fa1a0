"""What PyTorch's kernels compute as gradients: read off the kernels, never derived from their forward.

Those that belong to a table of windows, a loss, a distance, attention or a recurrence stand with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.pieces import choose, compare, within
from gradproof.numeric.exact.operators.pointwise import ROUNDED_SOFTPLUS
from gradproof.numeric.exact.operators.reductions import axes_of
from gradproof.numeric.exact.values import Value

aten: Any = torch.ops.aten


@handles(aten.sigmoid_backward)
def sigmoid_backward(run: Execution, grad: Value, out: Value) -> Value:
    return grad * out * (-out).plus(1)


@handles(aten.tanh_backward)
def tanh_backward(run: Execution, grad: Value, out: Value) -> Value:
    return grad * (-(out * out)).plus(1)


@handles(aten._softmax_backward_data)
def softmax_backward(run: Execution, grad: Value, out: Value, dim: int, dtype: torch.dtype) -> Value:
    product = grad * out
    return product - out * product.sum(axes_of(out.shape, dim), True)


@handles(aten._log_softmax_backward_data)
def log_softmax_backward(run: Execution, grad: Value, out: Value, dim: int, dtype: torch.dtype) -> Value:
    return grad - f.exp(out) * grad.sum(axes_of(out.shape, dim), True)


@handles(aten.native_layer_norm)
def native_layer_norm(
    run: Execution, a: Value, shape: Any, weight: Value | None, bias: Value | None, eps: float
) -> tuple[Value, Value, Value]:
    """The output, the mean and the reciprocal of the deviation."""
    axes, count = list(range(-len(shape), 0)), 1
    for n in shape:
        count *= n
    size = run.value_of(count)
    mean = a.sum(axes, True) / size
    centred = a - mean
    rstd = f.power((centred * centred).sum(axes, True) / size + run.value_of(eps), -f.HALF)
    out = centred * rstd
    if weight is not None:
        out = out * weight
    return (out if bias is None else out + bias), mean, rstd


@handles(aten.native_layer_norm_backward)
def native_layer_norm_backward(
    run: Execution, grad: Value, a: Value, shape: Any, mean: Value, rstd: Value, weight: Value | None,
    bias: Value | None, wanted: Any,
) -> tuple[Value | None, Value | None, Value | None]:  # fmt: skip
    """`rstd (h - mean(h) - x mean(h x))` with `h = grad weight` and x normalized; sums over the rows."""
    axes, count = list(range(-len(shape), 0)), 1
    for n in shape:
        count *= n
    size = run.value_of(count)
    normal = (a - mean) * rstd
    outer = [k for k in range(-len(a.shape), 0) if k not in axes]
    of_input = of_weight = of_bias = None
    if wanted[0]:
        h = grad if weight is None else grad * weight
        of_input = rstd * (h - h.sum(axes, True) / size - normal * ((h * normal).sum(axes, True) / size))
    if wanted[1] and weight is not None:
        of_weight = (grad * normal).sum(outer)
    if wanted[2] and bias is not None:
        of_bias = grad.sum(outer)
    return of_input, of_weight, of_bias


@handles(aten.threshold_backward)
def threshold_backward(run: Execution, grad: Value, a: Value, bound: Any) -> Value:
    return choose(compare(run, a, bound, "threshold_backward") > 0, grad, run.value_of(0))


@handles(aten.softshrink_backward, aten.hardshrink_backward)
def shrink_backward(run: Execution, grad: Value, a: Value, bound: Any) -> Value:
    return choose(within(run, a, bound, "shrink_backward"), run.value_of(0), grad)


@handles(aten.hardsigmoid_backward)
def hardsigmoid_backward(run: Execution, grad: Value, a: Value) -> Value:
    """The sixth is a single in every dtype."""
    sixth = run.value_of(float(np.float32(1 / 6)))
    return choose(within(run, a, 3, "hardsigmoid_backward"), grad * sixth, run.value_of(0))


@handles(aten.rrelu_with_noise_backward)
def rrelu_with_noise_backward(
    run: Execution, grad: Value, a: Value, noise: Value, lower: Any, upper: Any, training: bool, result: bool
) -> Value:
    if training and upper - lower > 1e-6:
        return grad * noise
    slope = run.value_of((lower + upper) / 2)
    return choose(compare(run, a, 0, "rrelu_backward") > 0, grad, grad * slope)


@handles(aten.softplus_backward.default)
def softplus_backward(run: Execution, grad: Value, a: Value, beta: Any, threshold: Any) -> Value:
    scaled = a * run.value_of(beta)
    smooth = grad * f.sigmoid(scaled)
    if threshold >= ROUNDED_SOFTPLUS:
        run.numbers.assumes["softplus above its threshold is x by rounding"] = None
        return smooth
    return choose(compare(run, scaled, threshold, "softplus_backward") > 0, grad, smooth)

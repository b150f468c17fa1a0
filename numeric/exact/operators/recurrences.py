"""A layer of an LSTM in one kernel (oneDNN, for float32 on the CPU), and its backward through time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.confirmation import KERNELS
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.products import matmul
from gradproof.numeric.exact.operators.reductions import along, stack
from gradproof.numeric.exact.values import UndecidableError, Value

aten: Any = torch.ops.aten

LSTM = 2
"""The mode of the kernel that PyTorch calls."""


def _transpose(value: Value) -> Value:
    return value.map(lambda array: np.swapaxes(array, -1, -2))


def _gates(x: Value, h: Value, weights: tuple[Value, ...], has_biases: bool) -> list[Value]:
    """Input, forget, candidate and output gate."""
    total = matmul(x, _transpose(weights[0])) + matmul(h, _transpose(weights[1]))
    if has_biases:
        total = total + weights[2] + weights[3]
    size = total.shape[-1] // 4
    parts = [total.map(lambda array, k=k: array[..., k * size : (k + 1) * size]) for k in range(4)]
    return [f.sigmoid(parts[0]), f.sigmoid(parts[1]), f.tanh(parts[2]), f.sigmoid(parts[3])]


def _steps(value: Value, reverse: bool) -> list[Value]:
    """Time comes first, whatever `batch_first` says: the caller has transposed."""
    steps = along(value, -3)
    return steps[::-1] if reverse else steps


def _join(steps: list[Value], reverse: bool) -> Value:
    return stack(steps[::-1] if reverse else steps, -3)


def _check(mode: int, batch_sizes: Any) -> None:
    if mode != LSTM or len(batch_sizes):
        raise UndecidableError("mkldnn_rnn_layer of another kind than an LSTM on sequences of one length")


def _with_layer(value: Value, like: Value) -> Value:
    return value.map(lambda array: array[..., None, :, :]) if len(like.shape) == 3 else value


def _state(value: Value) -> Value:
    """A state without its axis of layers."""
    return value.map(lambda array: array[..., 0, :, :]) if len(value.shape) == 3 else value


@handles(aten.mkldnn_rnn_layer.default)
def lstm_layer(
    run: Execution, x: Value, w0: Value, w1: Value, b0: Value, b1: Value, h: Value, c: Value, reverse: bool,
    batch_sizes: Any, mode: int, hidden_size: int, num_layers: int, has_biases: bool, bidirectional: bool,
    batch_first: bool, train: bool,
) -> tuple[Value, Value, Value, torch.Tensor]:  # fmt: skip
    """The hidden states, the last of them, the last cell; the workspace of the kernel stays empty.

    One layer in one direction, whatever the numbers of them say.
    """
    _check(mode, batch_sizes)
    hidden, cell = _state(h), _state(c)
    outputs: list[Value] = []
    for step in _steps(x, reverse):
        i, g_f, g, o = _gates(step, hidden, (w0, w1, b0, b1), has_biases)
        cell = g_f * cell + i * g
        hidden = o * f.tanh(cell)
        outputs.append(hidden)
    last, last_cell = (_with_layer(value, h) for value in (hidden, cell))
    return _join(outputs, reverse), last, last_cell, torch.empty(0, dtype=torch.uint8)


@handles(aten.mkldnn_rnn_layer_backward.default)
def lstm_layer_backward(
    run: Execution, x: Value, w0: Value, w1: Value, b0: Value, b1: Value, h: Value, c: Value, output: Value,
    h_last: Value, c_last: Value, grad_output: Any, grad_h: Any, grad_c: Any, reverse: bool, mode: int,
    hidden_size: int, num_layers: int, has_biases: bool, train: bool, bidirectional: bool, batch_sizes: Any,
    batch_first: bool, workspace: Any,
) -> tuple[Value, ...]:  # fmt: skip
    """Backpropagation through time: of the input, the weights, both biases, the first state and cell."""
    _check(mode, batch_sizes)
    weights = (w0, w1, b0, b1)
    inputs = _steps(x, reverse)
    hiddens = [_state(h), *_steps(output, reverse)]
    cells, gates = [_state(c)], list[list[Value]]()
    for step, hidden in zip(inputs, hiddens, strict=False):
        gates.append(_gates(step, hidden, weights, has_biases))
        i, g_f, g, _ = gates[-1]
        cells.append(g_f * cells[-1] + i * g)
    zero = run.numbers.zeros(hiddens[0].shape)
    of_h = zero if grad_h is None else _state(grad_h)
    of_c = zero if grad_c is None else _state(grad_c)
    incoming = None if grad_output is None else _steps(grad_output, reverse)
    of_x: list[Value] = []
    of_w0, of_w1 = run.numbers.zeros(w0.shape), run.numbers.zeros(w1.shape)
    of_b = run.numbers.zeros((w0.shape[0],))
    for t in reversed(range(len(inputs))):
        of_h = of_h if incoming is None else of_h + incoming[t]
        i, g_f, g, o = gates[t]
        bent = f.tanh(cells[t + 1])
        of_c = of_c + of_h * o * (-(bent * bent)).plus(1)
        slopes = (
            of_c * g * i * (-i).plus(1),
            of_c * cells[t] * g_f * (-g_f).plus(1),
            of_c * i * (-(g * g)).plus(1),
            of_h * bent * o * (-o).plus(1),
        )
        of_gates = _side_by_side(slopes)
        of_c = of_c * g_f
        of_x.append(matmul(of_gates, w0))
        of_h = matmul(of_gates, w1)
        of_w0 = of_w0 + matmul(_transpose(of_gates), inputs[t])
        of_w1 = of_w1 + matmul(_transpose(of_gates), hiddens[t])
        of_b = of_b + of_gates.sum([-2])
    shaped = [_with_layer(value, h) for value in (of_h, of_c)]
    return _join(of_x[::-1], reverse), of_w0, of_w1, of_b, of_b, *shaped


def _side_by_side(parts: tuple[Value, ...]) -> Value:
    joined = stack(list(parts), -2)
    shape = (*parts[0].shape[:-1], len(parts) * parts[0].shape[-1])
    axes = len(joined.shape)
    return joined.map(lambda array: array.reshape((*array.shape[: array.ndim - axes], *shape)))


def _run_backward(*arguments: Any) -> Any:
    """The kernel, with the outputs and the workspace that its own forward leaves."""
    inputs, grads = arguments[:7], arguments[10:13]
    reverse, mode, hidden_size, num_layers, has_biases, train, bidirectional, batch_sizes, batch_first = (
        arguments[13:22]
    )
    with torch.enable_grad():  # else it leaves no workspace
        *outputs, workspace = aten.mkldnn_rnn_layer(
            *inputs, reverse, batch_sizes, mode, hidden_size, num_layers, has_biases, bidirectional,
            batch_first, True,
        )  # fmt: skip
    return aten.mkldnn_rnn_layer_backward(
        *inputs, *outputs, *grads, reverse, mode, hidden_size, num_layers, has_biases, train, bidirectional,
        batch_sizes, batch_first, workspace,
    )  # fmt: skip


KERNELS[aten.mkldnn_rnn_layer_backward.default] = _run_backward

"""Pairs of NumPy functions, a forward and its backward, executed exactly: the right ones agree, the wrong
do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradproof.numeric.checking.checks import check
from gradproof.numeric.exact.numpy_programs import NumpyProgram
from gradproof.numeric.exact.programs import BackwardError, ForwardError
from tests.numeric.exact.trials import try_program

CHANCE = np.random.default_rng(4)
X, Y = CHANCE.normal(size=(2, 3, 4))
W, B = CHANCE.normal(size=(4, 2)), CHANCE.normal(size=2)


def agrees(forward: Callable[..., Any], vjp: Callable[..., Any], *arrays: Any, meant: bool = False) -> bool:
    return try_program(NumpyProgram(forward, vjp), arrays, meant=meant).agrees


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_vjp(g: Any, x: Any) -> Any:
    y = softmax(x)
    return ((g - (g * y).sum(-1, keepdims=True)) * y,)


def affine(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b


def affine_vjp(g: Any, x: Any, w: Any, b: Any) -> Any:
    return g @ w.T, x.T @ g, g.sum(0)


def layer_norm(x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def layer_norm_vjp(g: Any, x: Any) -> Any:
    std = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    y = (x - x.mean(-1, keepdims=True)) / std
    return ((g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True)) / std,)


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_vjp(g: Any, x: Any) -> Any:
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * c * (1 + 3 * 0.044715 * x**2))


def pooled(x: Any) -> Any:
    """Maxima of pairs, with loops."""
    out = np.empty((x.shape[0], x.shape[1] // 2))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = np.max(x[i, 2 * j : 2 * j + 2])
    return out


def pooled_vjp(g: Any, x: Any) -> Any:
    dx = np.zeros_like(x)
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            window = x[i, 2 * j : 2 * j + 2]
            dx[i, 2 * j + np.argmax(window)] += g[i, j]
    return dx


def cross_entropy(x: Any, target: Any) -> Any:
    shifted = x - x.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return -log_p[np.arange(len(target)), target].mean()


def cross_entropy_vjp(g: Any, x: Any, target: Any) -> Any:
    d = softmax(x)
    d[np.arange(len(target)), target] -= 1
    return g * d / len(target), None


def embedding(w: Any, index: Any) -> Any:
    return w[index]


def embedding_vjp(g: Any, w: Any, index: Any) -> Any:
    dw = np.zeros_like(w)
    np.add.at(dw, index, g)
    return dw, None


def two_outputs(x: Any, y: Any) -> Any:
    return x * y, np.sin(x)


def two_outputs_vjp(cotangents: Any, x: Any, y: Any) -> Any:
    g, h = cotangents
    return g * y + h * np.cos(x), g * x


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm(x: Any, w: Any, u: Any, b: Any) -> Any:
    """An LSTM over time: x (time, batch, input), its hidden states (time, batch, hidden)."""
    return lstm_states(x, w, u, b)[0][1:]


def lstm_states(x: Any, w: Any, u: Any, b: Any) -> Any:
    steps, batch, hidden = x.shape[0], x.shape[1], u.shape[0]
    h, c = np.zeros((steps + 1, batch, hidden)), np.zeros((steps + 1, batch, hidden))
    gates = np.empty((steps, batch, 4 * hidden))
    for t in range(steps):
        a = x[t] @ w + h[t] @ u + b
        gates[t] = sigmoid(a)
        gates[t, :, 2 * hidden : 3 * hidden] = np.tanh(a[:, 2 * hidden : 3 * hidden])
        i, f, z, o = np.split(gates[t], 4, axis=1)
        c[t + 1] = f * c[t] + i * z
        h[t + 1] = o * np.tanh(c[t + 1])
    return h, c, gates


def lstm_vjp(g: Any, x: Any, w: Any, u: Any, b: Any, forgotten: float = 0.0) -> Any:
    h, c, gates = lstm_states(x, w, u, b)
    steps, hidden = len(x), u.shape[0]
    da = np.zeros_like(gates)
    dh, dc = np.zeros_like(h[0]), np.zeros_like(c[0])
    for t in reversed(range(steps)):
        i, f, z, o = (gates[t, :, k * hidden : (k + 1) * hidden] for k in range(4))
        dh += g[t]
        tanh_c = np.tanh(c[t + 1])
        dc += dh * o * (1 - tanh_c**2)
        parts = dc * z * i * (1 - i), dc * c[t] * f * (1 - f), dc * i * (1 - z**2), dh * tanh_c * o * (1 - o)
        da[t] = np.concatenate(parts, axis=1)
        dh = da[t] @ u.T
        dc = dc * f * (1 - forgotten)
    flat = da.reshape(-1, 4 * hidden)
    dw = x.reshape(-1, x.shape[2]).T @ flat
    return da @ w.T, dw, h[:-1].reshape(-1, hidden).T @ flat, flat.sum(0)


LSTM = tuple(CHANCE.normal(size=s) for s in ((3, 2, 2), (2, 8), (2, 8), (8,)))


@pytest.mark.parametrize(
    ("forward", "vjp", "arrays"),
    [
        (np.tanh, lambda g, x: (g * (1 - np.tanh(x) ** 2),), (X,)),
        (softmax, softmax_vjp, (X,)),
        (affine, affine_vjp, (X, W, B)),
        (layer_norm, layer_norm_vjp, (X,)),
        (pooled, pooled_vjp, (X,)),
        (cross_entropy, cross_entropy_vjp, (X, np.array([1, 0, 3]))),
        (embedding, embedding_vjp, (W, np.array([[1, 1], [3, 1]]))),
        (two_outputs, two_outputs_vjp, (X, Y)),
        (lstm, lstm_vjp, LSTM),
        (lambda x: x.sum(), lambda g, x: np.full(x.shape, g), (X,)),
        (lambda x: x.max(), lambda g, x: g * (x == x.max()), (X,)),
        (lambda x: np.maximum(x, 0), lambda g, x: np.where(x > 0, g, 0), (X,)),
        (lambda x, y: x, lambda g, x, y: (g, None), (X, Y)),
    ],
)
def test_a_right_backward_agrees(forward: Any, vjp: Any, arrays: Any) -> None:
    assert agrees(forward, vjp, *arrays)


def test_constants_stand_for_what_they_are_rounded_from() -> None:
    assert agrees(gelu, gelu_vjp, X, meant=True)
    assert not agrees(gelu, lambda g, x: gelu_vjp(g, x) * (1 + 1e-12), X, meant=True)


@pytest.mark.parametrize(
    ("forward", "vjp", "arrays"),
    [
        (np.tanh, lambda g, x: g * (1 - np.tanh(x) ** 2) * (1 + 1e-12), (X,)),
        (np.tanh, lambda g, x: g * (1 - np.tanh(x) ** 2) + 1e-15, (X,)),
        (softmax, lambda g, x: g * softmax(x) * (1 - softmax(x)), (X,)),
        (affine, lambda g, x, w, b: (g @ w.T, x.T @ g, g.mean(0)), (X, W, B)),
        (affine, lambda g, x, w, b: (g @ w.T, None, g.sum(0)), (X, W, B)),
        (layer_norm, lambda g, x: (g - g.mean(-1, keepdims=True)) / x.std(-1, keepdims=True), (X,)),
        (lambda x: np.maximum(x, 0), lambda g, x: np.where(g > 0, g, 0) * (x > 0), (X,)),
        (two_outputs, lambda gh, x, y: (gh[0] * y + gh[1] * np.cos(x) + gh[0] * gh[1], gh[0] * x), (X, Y)),
        (two_outputs, lambda gh, x, y: (gh[0] * y + np.abs(gh[1]) * np.cos(x), gh[0] * x), (X, Y)),
        (lambda w, i: w[i], lambda g, w, i: (_overwritten(g, w, i), None), (W, np.array([1, 1, 3]))),
        (lstm, lambda g, *inputs: lstm_vjp(g, *inputs, forgotten=1e-12), LSTM),
        (lambda x: x, lambda g, x: np.empty_like(x), (X,)),
    ],
)
def test_a_wrong_backward_does_not_agree(forward: Any, vjp: Any, arrays: Any) -> None:
    assert not agrees(forward, vjp, *arrays)


def _overwritten(g: Any, w: Any, index: Any) -> Any:
    dw = np.zeros_like(w)
    dw[index] += g  # of repeated indices only the last one counts
    return dw


def test_shapes_and_numbers_of_gradients() -> None:
    with pytest.raises(
        BackwardError, match=r"shape \(3, 2\), the input \(2,\): not summed over a broadcast axis"
    ):
        agrees(affine, lambda g, x, w, b: (g @ w.T, x.T @ g, g), X, W, B)
    with pytest.raises(BackwardError, match="2 gradients for 3 inputs"):
        agrees(affine, lambda g, x, w, b: (g @ w.T, x.T @ g), X, W, B)
    with pytest.raises(BackwardError, match="ZeroDivisionError"):
        agrees(affine, lambda g, x, w, b: 1 / 0, X, W, B)
    with pytest.raises(ForwardError, match="KeyError"):
        agrees(lambda x: {}[1], lambda g, x: g, X)


def test_what_is_drawn_at_random_is_data() -> None:
    def dropout(x: Any) -> Any:
        return x * (np.random.random(x.shape) < 0.5) * 2

    assert agrees(dropout, lambda g, x: dropout(g), X)


WHERE = {
    "a sum is 0": lambda x: 0 if x.sum() == 0 else 2,
    "two conditions hold": lambda x: np.where((x > 1e5) & (x < 2e5), 3, 2),
    "a number is in a window": lambda x: np.where(np.abs(x - 7.5) < 1e-6, 3, 2),
}


@pytest.mark.parametrize("name", WHERE)
def test_sides_of_a_backward_are_steered_to(name: str) -> None:
    factor, example = WHERE[name], np.array([[0.5, -1.25, 2.0], [1.5, -0.75, 0.25]])
    wrong = (np.square, lambda g, x: (g * factor(x) * x,))
    assert check(wrong, example, seed=1).verdict == "refuted"

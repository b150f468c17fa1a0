"""Pairs of NumPy functions, forward and VJP, as in a course's homework or a scientist's script."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .case import Case, integers, normal, positive, right, wrong

Array = Any


# --- affine layer


def affine(x: Array, w: Array, b: Array) -> Array:
    return x @ w + b


def affine_vjp(dout: Array, x: Array, w: Array, b: Array) -> tuple[Array, ...]:
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def affine_vjp_unsummed(dout: Array, x: Array, w: Array, b: Array) -> tuple[Array, ...]:
    """The bias keeps the batch's axis: of another shape than b."""
    return dout @ w.T, x.T @ dout, dout


def affine_vjp_mean(dout: Array, x: Array, w: Array, b: Array) -> tuple[Array, ...]:
    n = x.shape[0]
    return dout @ w.T, np.dot(x.T, dout) / n, np.sum(dout, axis=0) / n


def affine_vjp_in_place(dout: Array, x: Array, w: Array, b: Array) -> tuple[Array, ...]:
    """Centers the input in place for the weight's gradient; the caller's array changes."""
    dx = dout @ w.T
    x -= x.mean(axis=0)
    return dx, x.T @ dout, dout.sum(axis=0)


def affine_vjp_loops(dout: Array, x: Array, w: Array, b: Array) -> tuple[Array, ...]:
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(x.shape[0]):
        db += dout[n]
        dw += np.outer(x[n], dout[n])
        dx[n] = w @ dout[n]
    return dx, dw, db


# --- softmax and its loss


def softmax(x: Array) -> Array:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def softmax_vjp(dout: Array, x: Array) -> tuple[Array]:
    p = softmax(x)
    return (p * (dout - np.sum(dout * p, axis=1, keepdims=True)),)


def softmax_vjp_by_jacobian(dout: Array, x: Array) -> tuple[Array]:
    p = softmax(x)
    return (np.stack([(np.diag(r) - np.outer(r, r)) @ d for r, d in zip(p, dout, strict=True)]),)


def softmax_vjp_all_rows(dout: Array, x: Array) -> tuple[Array]:
    p = softmax(x)
    return (p * (dout - np.sum(dout * p)),)


def softmax_loss(x: Array, y: Array) -> Array:
    shifted = x - x.max(axis=1, keepdims=True)
    z = np.log(np.exp(shifted).sum(axis=1))
    return np.mean(z - shifted[np.arange(len(y)), y])


def softmax_loss_vjp(dout: Array, x: Array, y: Array) -> tuple[Array, None]:
    p = softmax(x)
    p[np.arange(len(y)), y] -= 1
    return dout * p / len(y), None


def softmax_loss_vjp_columns(dout: Array, x: Array, y: Array) -> tuple[Array, None]:
    """p[:, y] touches every row's columns: right for a batch of one."""
    p = softmax(x)
    p[:, y] -= 1
    return dout * p / len(y), None


# --- normalization


def standardize(x: Array) -> Array:
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)


def standardize_vjp(dout: Array, x: Array) -> tuple[Array]:
    n = len(x)
    inv = 1 / np.sqrt(x.var(0) + 1e-5)
    xhat = (x - x.mean(0)) * inv
    return (inv / n * (n * dout - dout.sum(0) - xhat * (dout * xhat).sum(0)),)


def standardize_vjp_no_eps(dout: Array, x: Array) -> tuple[Array]:
    """Epsilon is forgotten in the backward."""
    n = len(x)
    inv = 1 / np.std(x, axis=0)
    xhat = (x - x.mean(0)) * inv
    return (inv / n * (n * dout - dout.sum(0) - xhat * (dout * xhat).sum(0)),)


def standardize_vjp_ddof(dout: Array, x: Array) -> tuple[Array]:
    n = len(x)
    inv = 1 / np.sqrt(np.var(x, axis=0, ddof=1) + 1e-5)
    xhat = (x - x.mean(0)) * inv
    return (inv / n * (n * dout - dout.sum(0) - xhat * (dout * xhat).sum(0)),)


# --- embedding, pooling, convolution


def embed(w: Array, index: Array) -> Array:
    return w[index]


def embed_vjp(dout: Array, w: Array, index: Array) -> tuple[Array, None]:
    dw = np.zeros_like(w)
    np.add.at(dw, index, dout)
    return dw, None


def embed_vjp_buffered(dout: Array, w: Array, index: Array) -> tuple[Array, None]:
    dw = np.zeros_like(w)
    dw[index] += dout
    return dw, None


def correlate(x: Array, w: Array) -> Array:
    return np.array([x[i : i + len(w)] @ w for i in range(len(x) - len(w) + 1)])


def correlate_vjp(dout: Array, x: Array, w: Array) -> tuple[Array, Array]:
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, d in enumerate(dout):
        dx[i : i + len(w)] += d * w
        dw += d * x[i : i + len(w)]
    return dx, dw


def correlate_vjp_by_convolve(dout: Array, x: Array, w: Array) -> tuple[Array, Array]:
    """np.convolve flips, which is what the input's gradient wants; the weight's does not."""
    return np.convolve(dout, w, mode="full"), np.convolve(x, dout, mode="valid")


# --- functions of one number, and pairs of them


def relu_sum(x: Array) -> Array:
    return np.maximum(x, 0).sum(axis=1)


def relu_sum_vjp(dout: Array, x: Array) -> tuple[Array]:
    return ((x > 0) * dout[:, None],)


def log1p_exp(x: Array) -> Array:
    return np.where(x > 0, x + np.log1p(np.exp(-np.abs(x))), np.log1p(np.exp(-np.abs(x))))


def log1p_exp_vjp(dout: Array, x: Array) -> tuple[Array]:
    e = np.exp(-np.abs(x))
    return (dout * np.where(x > 0, 1 / (1 + e), e / (1 + e)),)


def log1p_exp_vjp_sides(dout: Array, x: Array) -> tuple[Array]:
    """The left side has the formula of the right: even where it should be sigmoid(-|x|)."""
    e = np.exp(-np.abs(x))
    return (dout * np.where(x > -20, 1 / (1 + np.exp(-x)), 1 / (1 + e)),)


def distance(a: Array, b: Array) -> Array:
    return np.sqrt(((a - b) ** 2).sum(axis=-1))


def distance_vjp(dout: Array, a: Array, b: Array) -> tuple[Array, Array]:
    unit = (a - b) / distance(a, b)[..., None]
    return dout[..., None] * unit, -dout[..., None] * unit


def distance_vjp_same_sign(dout: Array, a: Array, b: Array) -> tuple[Array, Array]:
    unit = (a - b) / distance(a, b)[..., None]
    return dout[..., None] * unit, dout[..., None] * unit


def attenuation(x: Array, k: Array) -> Array:
    return np.exp(-k * x)


def attenuation_vjp(dout: Array, x: Array, k: Array) -> tuple[Array, Array]:
    y = attenuation(x, k)
    return -k * y * dout, np.sum(-x * y * dout)


def attenuation_vjp_swapped(dout: Array, x: Array, k: Array) -> tuple[Array, Array]:
    """The derivatives change places: right where x = k."""
    y = attenuation(x, k)
    return -x * y * dout, np.sum(-k * y * dout)


def arrays(*shapes: tuple[int, ...]) -> Any:
    return lambda: tuple(normal(*shape, seed=n).numpy() for n, shape in enumerate(shapes))


def pair(name: str, forward: Any, vjp: Any, inputs: Any, plain: Any, *rest: Any, **more: Any) -> Case:
    """A right pair, or with a diagnosis in `rest` a wrong one."""
    make = right if len(rest) == 1 else wrong
    return make("numpy_pairs/" + name, (forward, vjp), inputs, plain, *rest, form="numpy", **more)


def plain_affine(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return torch.einsum("nd,dh->nh", x, w) + b


def plain_standardize(x: Tensor) -> Tensor:
    centered = x - x.mean(0)
    return centered / (centered.square().mean(0) + 1e-5).sqrt()


def plain_correlate(x: Tensor, w: Tensor) -> Tensor:
    return F.conv1d(x[None, None], w[None, None])[0, 0]


def plain_distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(-1).sqrt()


AFFINE = arrays((3, 4), (4, 2), (2,))
ROWS = arrays((3, 4))
ONE = arrays((1, 4))
LABELS = lambda: (normal(3, 4).numpy(), integers(3, below=4).numpy())  # noqa: E731
LABEL = lambda: (normal(1, 4).numpy(), np.array([2]))  # noqa: E731
REPEATED = lambda: (normal(5, 2).numpy(), np.array([3, 1, 3]))  # noqa: E731
DISTINCT = lambda: (normal(5, 2).numpy(), np.array([3, 1, 0]))  # noqa: E731
DECAY = lambda: (positive(4).numpy(), np.array(0.7))  # noqa: E731
EQUAL = lambda: (np.array([0.7]), np.array(0.7))  # noqa: E731
SPEC = "x: batch d, w: d h, b: h"

CASES = (
    pair("affine", affine, affine_vjp, AFFINE, plain_affine, "Three products.", spec=SPEC),
    pair("affine by loops", affine, affine_vjp_loops, AFFINE, plain_affine,
          "Row by row, accumulated in place.", spec=SPEC),
    pair("affine with a bias not summed", affine, affine_vjp_unsummed, AFFINE, plain_affine,
          "not summed over a broadcast axis", "NumPy has no engine that would sum it.", spec=SPEC),
    pair("affine by the mean", affine, affine_vjp_mean, AFFINE, plain_affine, "constant factor",
          "Divided by the batch, which a mean in the loss would ask for.", spec=SPEC),
    pair("affine changing its input", affine, affine_vjp_in_place, AFFINE, plain_affine, None,
          "The caller's input is centered in place, and the gradient is of another input.", spec=SPEC),
    pair("softmax", softmax, softmax_vjp, ROWS, lambda x: torch.softmax(x, 1), "The textbook formula."),
    pair("softmax by Jacobians", softmax, softmax_vjp_by_jacobian, ROWS, lambda x: torch.softmax(x, 1),
          "One for each row."),
    pair("softmax over all rows", softmax, softmax_vjp_all_rows, ONE, lambda x: torch.softmax(x, 1),
          "wrong only for batch > 1", "np.sum without an axis: right for one row.", ROWS, spec="x: batch d"),
    pair("softmax loss", softmax_loss, softmax_loss_vjp, LABELS, F.cross_entropy, "The course's solution.",
          spec="x: batch classes, y: int batch < classes"),
    pair("softmax loss by columns", softmax_loss, softmax_loss_vjp_columns, LABEL, F.cross_entropy,
          "wrong only for batch > 1", "p[:, y] for p[range, y].", LABELS,
          spec="x: batch classes, y: int batch < classes"),
    pair("standardize", standardize, standardize_vjp, ROWS, plain_standardize, "By sums.", spec="x: batch d"),
    pair("standardize without eps", standardize, standardize_vjp_no_eps, ROWS, plain_standardize, None,
          "1e-5 apart unless the variance is small.", lambda: (1e-3 * normal(3, 4).numpy(),),
          spec="x: batch d"),
    pair("standardize with the wrong ddof", standardize, standardize_vjp_ddof, ROWS, plain_standardize, None,
          "ddof=1 in the backward.", spec="x: batch d"),
    pair("embedding", embed, embed_vjp, REPEATED, lambda w, i: w[i], "np.add.at."),
    pair("embedding buffered", embed, embed_vjp_buffered, DISTINCT, lambda w, i: w[i], "repeated indices",
          "dw[i] += d is buffered.", REPEATED, spec="w: vocabulary d, index: int time < vocabulary"),
    pair("correlation", correlate, correlate_vjp, arrays((6,), (3,)), plain_correlate, "Window by window."),
    pair("correlation by np.convolve", correlate, correlate_vjp_by_convolve, arrays((6,), (3,)),
          plain_correlate, "transposed", "The weight's gradient is flipped."),
    pair("relu and sum", relu_sum, relu_sum_vjp, ROWS, lambda x: F.relu(x).sum(1), "A mask, broadcast."),
    pair("softplus by sides", log1p_exp, log1p_exp_vjp, ROWS, F.softplus,
          "One formula for each side; no kink where they meet."),
    pair("softplus with three sides", log1p_exp, log1p_exp_vjp_sides, ROWS, F.softplus,
          "right on one region only", "Below -20 the gradient goes to 1.",
          lambda: (np.array([[-25.0, 1.0]]),)),
    pair("distance", distance, distance_vjp, arrays((3, 4), (3, 4)), plain_distance, "Away from 0."),
    pair("distance with one sign", distance, distance_vjp_same_sign, arrays((3, 4), (3, 4)), plain_distance,
          "wrong sign", "The second input's sign."),
    pair("attenuation", attenuation, attenuation_vjp, DECAY, lambda x, k: torch.exp(-k * x),
          "A number of shape ()."),
    pair("attenuation swapped", attenuation, attenuation_vjp_swapped, EQUAL, lambda x, k: torch.exp(-k * x),
          "gradient of another input", "x and k change places: right where they are equal.", DECAY),
)  # fmt: skip

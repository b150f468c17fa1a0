"""Activations: PyTorch's modules on derived kernels, and the same as functions.

`inplace` is accepted and has no effect: what an activation gets stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradproof.models.functions import Function
from gradproof.models.operations import softplus_beyond

relu = Function("relu")
sigmoid = Function("sigmoid")
tanh = Function("tanh")
silu = Function("silu")
gelu = Function("gelu")
gelu_tanh = Function("gelu_tanh")
_leaky_relu = Function("leaky_relu")
_elu = Function("elu")
_softplus = Function(softplus_beyond, "full")
_softmax = Function("softmax", "full")
_log_softmax = Function("log_softmax", "full")


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """The softmax along an axis."""
    return _along(_softmax, x, dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """The logarithm of the softmax along an axis."""
    return _along(_log_softmax, x, dim)


def _along(function: Function, x: Tensor, dim: int) -> Tensor:
    if x.ndim == 0:
        return function(x[None])[0]
    if x.shape[dim] == 0:
        return x.clone()  # nothing, along no axis
    if dim in (-1, x.ndim - 1):
        return function(x)
    return function(x.movedim(dim, -1), views_of=(x,)).movedim(-1, dim)


class Identity(nn.Identity):
    """The input itself."""


class ReLU(nn.ReLU):
    """max(x, 0), with derivative 0 at 0."""

    def forward(self, input: Tensor) -> Tensor:
        return relu(input)


class Sigmoid(nn.Sigmoid):
    """1 / (1 + exp(-x))."""

    def forward(self, input: Tensor) -> Tensor:
        return sigmoid(input)


class Tanh(nn.Tanh):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        return tanh(input)


class LeakyReLU(nn.LeakyReLU):
    """x where x > 0, else negative_slope * x."""

    def forward(self, input: Tensor) -> Tensor:
        return _leaky_relu(input, slope=self.negative_slope)


class ELU(nn.ELU):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    def forward(self, input: Tensor) -> Tensor:
        return _elu(input, alpha=self.alpha)


class Softplus(nn.Softplus):
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x is over the threshold."""

    def forward(self, input: Tensor) -> Tensor:
        return _softplus(input, beta=self.beta, threshold=self.threshold)


class SiLU(nn.SiLU):
    """x * sigmoid(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return silu(input)


class GELU(nn.GELU):
    """x times the normal distribution function at x, or its approximation by tanh."""

    def forward(self, input: Tensor) -> Tensor:
        if self.approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate is 'none' or 'tanh', found {self.approximate!r}")
        return gelu_tanh(input) if self.approximate == "tanh" else gelu(input)


class Softmax(nn.Softmax):
    """exp(x) divided by its sum along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        return softmax(input, _dim(self.dim, input))


class LogSoftmax(nn.LogSoftmax):
    """The logarithm of the softmax along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        return log_softmax(input, _dim(self.dim, input))


def _dim(dim: int | None, x: Tensor) -> int:
    """PyTorch's choice where no axis was given."""
    return (0 if x.ndim in (0, 1, 3) else 1) if dim is None else dim


MODULES = (
    "Identity",
    "ReLU",
    "Sigmoid",
    "Tanh",
    "LeakyReLU",
    "ELU",
    "Softplus",
    "SiLU",
    "GELU",
    "Softmax",
    "LogSoftmax",
)
"""The classes of this module that PyTorch has too."""

Activation = Callable[[Tensor], Tensor]

_OURS: dict[object, Activation] = {
    functional.relu: relu,
    torch.relu: relu,
    functional.gelu: gelu,
    functional.silu: silu,
    torch.tanh: tanh,
    functional.tanh: tanh,
    torch.sigmoid: sigmoid,
    functional.sigmoid: sigmoid,
}


def activation_for(given: Activation) -> Activation:
    """Our function for one of PyTorch's; the given one where there is none."""
    return given if isinstance(given, nn.Module | Function) else _OURS.get(given, given)

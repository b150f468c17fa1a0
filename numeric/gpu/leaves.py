"""The leaf functions of generated Triton.

On a GPU they are those of libdevice, which PyTorch's own CUDA kernels are compiled from. Triton's interpreter
has none of them: there PyTorch's functions on the CPU stand in their place, so that what is tested in it is
all of a kernel but these.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from gradproof.numeric.gpu.language import INSTALLED, INTERPRETED, jit, tl

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "sqrt": torch.sqrt,
    "power": torch.pow,
    "divide": torch.div,
    "sigmoid": torch.sigmoid,
    "square": torch.square,
    "absolute": torch.abs,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
"""What each of them means, as a function of tensors."""
NAMES = {"sqrt": "sqrt_rn", "power": "pow", "divide": "div_rn"}
"""What libdevice calls them: a quotient and a root are rounded once."""


def _leaf(name: str) -> Any:
    """The function that a kernel calls by this name."""
    if not INSTALLED:
        return FUNCTIONS[name]
    if INTERPRETED:
        return _interpreted(FUNCTIONS[name])
    return getattr(import_module("triton.language.extra.libdevice"), NAMES.get(name, name))


def _interpreted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors as one of the interpreter's arrays."""
    handle = import_module("triton.runtime.interpreter").TensorHandle

    def leaf(*given: Any) -> Any:
        made = function(*(torch.as_tensor(g.handle.data) for g in given)).numpy()
        like = next((g for g in given if g.type.is_block()), given[0])
        return tl.tensor(handle(made, like.dtype), like.type)

    return leaf


exp = _leaf("exp")
log = _leaf("log")
log1p = _leaf("log1p")
expm1 = _leaf("expm1")
sin = _leaf("sin")
cos = _leaf("cos")
tanh = _leaf("tanh")
erf = _leaf("erf")
erfc = _leaf("erfc")
sqrt = _leaf("sqrt")
power = _leaf("power")
divide = _leaf("divide")


@jit
def sigmoid(x):
    """1 / (1 + exp(-x)), or exp(x) / (1 + exp(x)): what would overflow is not taken."""
    e = exp(-tl.abs(x))
    return divide(tl.where(x < 0, e, 1), 1 + e)


@jit
def square(x):
    """The square."""
    return x * x


@jit
def absolute(x):
    """The absolute value."""
    return tl.abs(x)


@jit
def maximum(x, y):
    """The larger one; NaN where one is NaN."""
    return tl.where((x != x) | (x > y), x, y)


@jit
def minimum(x, y):
    """The smaller one; NaN where one is NaN."""
    return tl.where((x != x) | (x < y), x, y)

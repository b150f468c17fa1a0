"""Operations as functions of tensors: eager, within torch.compile, and under autocast."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from gradproof.numeric import graphs
from gradproof.numeric.binding import autocasts
from gradproof.numeric.kernels import Kernel, lower
from gradproof.symbolic.operation import Operation, find

Precision = Literal["low", "full", "given"]

_functions: dict[str, Function] = {}


class Function:
    """An operation that is called with tensors, by the kernel that is made for it when first needed.

    - `operation`: an operation, or the name of one of the catalogue;
    - `precision`: what autocast does with real inputs: to its "low" precision, to "full" float32, or nothing,
      "given".

    torch.compile does not look into a kernel; it sees one operator, which knows its kernel by a key.
    Functions are constants of their modules: copied and pickled they stay the same objects.
    """

    def __init__(self, operation: str | Operation, precision: Precision = "given", **options: object) -> None:
        found = find(operation) if isinstance(operation, str) else operation
        self.operation = found.variant(**options)
        self.label = self.operation.label
        self.precision: Precision = precision
        if _functions.setdefault(self.label, self) is not self:
            raise ValueError(f"there is a function {self.label} already")

    def __repr__(self) -> str:
        return f"<function {self.label}>"

    def __deepcopy__(self, memo: object) -> Function:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self.label,)

    @cached_property
    def kernel(self) -> Kernel:
        """The kernel of the operation for PyTorch."""
        return lower(self.operation, "torch")

    def __call__(self, *inputs: Tensor, views_of: tuple[Tensor, ...] = (), **parameters: float) -> Any:
        """The output, a tuple where there are several; hyper-parameters by name.

        torch.compile forgets that a view which the backward pass reads needs a gradient, and then takes that
        pass for a constant: what the inputs are `views_of` is remembered, and a second derivative is refused.
        """
        inputs = autocast(inputs, self.precision)
        if torch.compiler.is_compiling():
            return _traced(self.label, inputs, parameters, views_of)
        return self.kernel(*inputs, **parameters)


def _named(label: str) -> Function:
    from gradproof.models import import_layers

    import_layers()
    return _functions[label]


def autocast(inputs: tuple[Tensor, ...], precision: Precision) -> tuple[Tensor, ...]:
    """The inputs as autocast wants them, where it is at work."""
    device = inputs[0].device
    if precision == "given" or not autocasts(device):
        return inputs
    dtype = torch.get_autocast_dtype(device.type) if precision == "low" else torch.float32
    return tuple(i.to(dtype) if _castable(i) else i for i in inputs)


def _castable(tensor: Tensor) -> bool:
    """Autocast leaves float64 alone."""
    return tensor.is_floating_point() and tensor.dtype != torch.float64


def _described(label: str) -> tuple[str, int, tuple[str, ...], tuple[float, ...]]:
    """The key of a kernel, the number of its outputs, and its parameters with their defaults."""
    kernel = _functions[label].kernel
    names = tuple(p.name for p in kernel.program.parameters)
    return kernel.key, len(kernel.program.outputs), names, tuple(float(kernel.defaults[n]) for n in names)


# As torch.compiler.assume_constant_result does, which would import the compiler: seconds, at every start.
_described._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def _traced(
    label: str, inputs: tuple[Tensor, ...], parameters: dict[str, float], views_of: tuple[Tensor, ...]
) -> Any:
    """The outputs as the compiler is to see them: of one operator."""
    key, count, names, defaults = _described(label)
    graphs.refuse_transformations(label)
    values = [float(parameters.get(n, d)) for n, d in zip(names, defaults, strict=True)]
    made = graphs.forward(key, [*inputs, *views_of], values)
    return made[0] if count == 1 else tuple(made[:count])

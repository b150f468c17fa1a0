"""A program in the floats of a dtype, forward and backward; and its forward as plain autograd derives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.autograd import Function
from torch.utils._pytree import tree_flatten

from gradproof.numeric.checking.ball_values import Truth
from gradproof.numeric.checking.magnitudes import Point
from gradproof.numeric.checking.targets import Target, TargetError
from gradproof.numeric.exact.duals import Shape
from gradproof.numeric.exact.numpy_programs import KernelProgram, NumpyProgram, gradient_mistake
from gradproof.numeric.exact.programs import TorchProgram
from gradproof.numeric.exact.seeds import all_replayed, replayed

Cotangents = Callable[[list[Shape]], list[np.ndarray]]


@dataclass(frozen=True)
class FloatRun:
    """Runs a function of tensors at points of a dtype, with one seed."""

    function: Callable[..., Any]
    target: Target
    dtype: str
    seed: int

    def __call__(self, point: Point, cotangents: Cotangents) -> Truth:
        """The outputs, and the gradient by each wanted input, as float64. Raises what the program raises."""
        inputs = [self._tensor(k, point) for k in range(len(point.arrays))]
        wanted = [x for x in inputs if isinstance(x, torch.Tensor) and x.requires_grad]
        with all_replayed(self.seed), torch.enable_grad():
            leaves = tree_flatten(self.function(*inputs))[0]
            outputs = [y for y in leaves if isinstance(y, torch.Tensor) and y.is_floating_point()]
            given = cotangents([tuple(y.shape) for y in outputs])
            pairs = [
                (y, torch.from_numpy(np.array(u)).to(y)) for y, u in zip(outputs, given, strict=True)
                if y.requires_grad
            ]  # fmt: skip
            found = torch.autograd.grad(
                [y for y, _ in pairs], wanted, [u for _, u in pairs], allow_unused=True
            ) if pairs else [None] * len(wanted)  # fmt: skip
        gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True)]
        return Truth([_array(y) for y in outputs], [_array(g) for g in gradients])

    def _tensor(self, k: int, point: Point) -> Any:
        array, data, example = point.arrays[k], point.data[k], self.target.examples[k]
        if array is None:
            return data.clone() if isinstance(data, torch.Tensor) else data
        device = example.value.device if isinstance(example.value, torch.Tensor) else "cpu"
        tensor = torch.from_numpy(np.array(array)).to(getattr(torch, self.dtype)).to(device)
        return tensor.requires_grad_(example.wanted)


@dataclass(frozen=True)
class NumpyRun:
    """Runs a pair of NumPy functions at points of a dtype."""

    forward: Callable[..., Any]
    vjp: Callable[..., Any]
    target: Target
    dtype: str
    seed: int

    def __call__(self, point: Point, cotangents: Cotangents) -> Truth:
        """The outputs, and the gradient by each wanted input, as float64. Raises what the program raises."""
        dtype = np.dtype(self.dtype)
        inputs = [
            data if array is None else array.astype(dtype)
            for array, data in zip(point.arrays, point.data, strict=True)
        ]
        with replayed(self.seed):
            returned = self.forward(*inputs)
        several = isinstance(returned, tuple | list)
        outputs = [np.asarray(y) for y in (returned if several else (returned,))]
        given = [u.astype(dtype) for u in cotangents([y.shape for y in outputs])]
        with replayed(self.seed):
            found = self.vjp(tuple(given) if several else given[0], *inputs)
        found = found if isinstance(found, tuple | list) else (found,)
        shapes = [None if a is None else a.shape for a in point.arrays]
        if (mistake := gradient_mistake(found, shapes)) is not None:
            raise ValueError(mistake)
        gradients = [
            np.zeros_like(inputs[k]) if found[k] is None else found[k]
            for k, example in enumerate(self.target.examples)
            if example.is_number and example.wanted
        ]
        return Truth(*([np.asarray(a).astype(np.float64) for a in part] for part in (outputs, gradients)))


def program_in_floats(target: Target, dtype: str, seed: int) -> FloatRun | NumpyRun:
    """The user's own program, forward and backward."""
    program = target.program
    if isinstance(program, TorchProgram):
        return FloatRun(program.function, target, dtype, seed)
    if isinstance(program, NumpyProgram | KernelProgram):
        return NumpyRun(program.forward, program.vjp, target, dtype, seed)
    raise TargetError(f"the accuracy of a {type(program).__name__} cannot be measured")


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to(torch.float64).cpu().numpy()


# --- the plain formula


class _Context:
    """Takes what a forward leaves for its backward, which is not called."""

    def __init__(self, count: int) -> None:
        self.needs_input_grad = (True,) * count
        self.saved_tensors: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        self.saved_tensors = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors: Any) -> None: ...

    def mark_non_differentiable(self, *tensors: Any) -> None: ...

    def set_materialize_grads(self, value: bool) -> None: ...


@contextmanager
def plain_functions() -> Iterator[list[type]]:
    """Inside, an `autograd.Function` is its forward alone, and autograd derives that; lists those met."""
    met: list[type] = []

    def apply(cls: Any, *arguments: Any) -> Any:
        met.append(cls)
        if cls.setup_context is Function.setup_context:
            return cls.forward(_Context(len(arguments)), *arguments)
        return cls.forward(*arguments)

    with mock.patch.object(Function, "apply", classmethod(apply)):
        yield met


def plain_formula(target: Target) -> Callable[..., Any] | None:
    """The forward of the program with PyTorch's own derivatives; None for a program of NumPy arrays."""
    if not isinstance(target.program, TorchProgram):
        return None
    function = target.program.function
    owner = getattr(function, "__self__", None)
    bound = isinstance(owner, type) and issubclass(owner, Function)

    def call(*inputs: Any) -> Any:
        with plain_functions() as met:
            result: Any = owner.apply(*inputs) if bound else function(*inputs)  # pyright: ignore
        if not met:
            raise NoRuleError
        return result

    return call


class NoRuleError(Exception):
    """A program has no backward of its own: it is the plain formula itself."""

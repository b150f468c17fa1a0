"""What a user hands to `check`: a function, a module, a pair of NumPy functions; as a program with named
inputs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import torch

from gradproof.numeric.checking.points import fractions
from gradproof.numeric.checking.specification import (
    InputAxes,
    SpecificationError,
    check_fit,
    infer_axes,
    make_examples,
    read_specification,
)
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.frames import line_of
from gradproof.numeric.exact.programs import Program, TorchProgram
from gradproof.numeric.kernels import Kernel


class TargetError(ValueError):
    """What was handed to `check` cannot be checked; the message says what was found and what to do."""


@dataclass(frozen=True)
class Example:
    """One input as the caller gave it."""

    name: str
    value: Any
    wanted: bool
    fixed: bool = False
    """Whether its shape stays as it is: a parameter of a module."""

    @property
    def is_number(self) -> bool:
        """Whether it is an array of floating-point numbers."""
        if isinstance(self.value, torch.Tensor):
            return self.value.is_floating_point()
        return isinstance(self.value, np.ndarray) and self.value.dtype.kind == "f"

    @property
    def is_data(self) -> bool:
        """Whether it is an array of integers or booleans."""
        if isinstance(self.value, torch.Tensor):
            return not self.value.is_floating_point() and not self.value.is_complex()
        return isinstance(self.value, np.ndarray) and self.value.dtype.kind in "iub"

    @property
    def is_setting(self) -> bool:
        """Whether it is a number of Python: a hyper-parameter."""
        return isinstance(self.value, bool | int | float)

    @cached_property
    def array(self) -> Array:
        """Its entries, as a NumPy array."""
        if isinstance(self.value, torch.Tensor):
            kind = torch.float64 if self.value.is_floating_point() else self.value.dtype
            return self.value.detach().to(kind).cpu().numpy()
        return np.asarray(self.value)

    @cached_property
    def domain(self) -> str:
        """Where its numbers lie: in the narrowest of the stated kinds that holds them."""
        array = self.array
        if array.size == 0:
            return "real"
        if np.all((array == 0) | (array == 1)) and array.size > 1 and np.any(array == 1):
            return "mask"
        if np.all(array > 0):
            if array.ndim and array.shape[-1] > 1 and np.allclose(array.sum(-1), 1, atol=1e-5):
                return "simplex"
            if np.all(array < 1) and array.size > 1:
                return "unit"
            return "positive"
        return "real"

    @property
    def dtype(self) -> torch.dtype:
        if isinstance(self.value, torch.Tensor):
            return self.value.dtype
        return torch.float32 if np.asarray(self.value).dtype == np.float32 else torch.float64

    def of_data(self, array: Array) -> Any:
        """Integers or booleans in the form in which the program takes them."""
        if isinstance(self.value, torch.Tensor):
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.value.dtype)
        return array.astype(self.value.dtype)


@dataclass(frozen=True)
class Target:
    """A program with its example inputs and their axes."""

    program: Program
    examples: tuple[Example, ...]
    axes: tuple[InputAxes, ...]
    sizes: Mapping[str, int]
    name: str
    module: Any = None
    subject: Any = None
    """What the caller handed over."""
    specified: bool = False
    """Whether the caller named the axes of the inputs."""
    settings: tuple[int, ...] = ()
    """The places of the hyper-parameters that the caller named."""

    @property
    def wanted(self) -> tuple[Example, ...]:
        return tuple(example for example in self.examples if example.is_number and example.wanted)


def make_target(
    fn: Any,
    inputs: Sequence[Any],
    wrt: Sequence[Any] | None = None,
    spec: str | None = None,
    reference: Callable[..., Any] | None = None,
    declared: Callable[..., Any] | None = None,
) -> Target:
    """Name the inputs of a function, tell those whose gradient is wanted, and find the axes.

    Raises TargetError where the function or an input cannot be taken, SpecificationError for a specification
    that does not fit.
    """
    fn = _callable(fn)
    if len(inputs) == 1 and callable(inputs[0]) and not isinstance(inputs[0], torch.Tensor):
        inputs = _made(inputs[0])
    elif not inputs and spec is not None:
        inputs = make_examples(_in_order(fn, read_specification(spec)), arrays=takes_arrays(fn))
    if takes_arrays(fn):
        inputs = [x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else x for x in inputs]
    module = fn if hasattr(fn, "named_parameters") else None
    names = _names(fn, len(inputs))
    examples = [Example(name, value, True) for name, value in zip(names, inputs, strict=True)]
    if module is not None:
        examples = [*_parameters(module), *examples]
    _refuse(examples)
    examples = _choose(examples, wrt, spec)
    axes, named = _axes(examples, spec)
    settings = tuple(k for k, e in enumerate(examples) if e.is_setting and e.name in named)
    sizes = check_fit(axes, [tuple(e.array.shape) if e.is_number or e.is_data else () for e in examples])
    program = _program(fn, module, [e.name for e in examples if e.fixed], reference, declared)
    return Target(
        program, tuple(examples), axes, sizes, _name(fn), module, fn, spec is not None, settings
    )  # fmt: skip


def _callable(fn: Any) -> Any:
    """The function itself: an `autograd.Function` stands for its `apply`."""
    if isinstance(fn, type) and issubclass(fn, torch.autograd.Function):
        return fn.apply
    if isinstance(fn, type) and hasattr(fn, "named_parameters"):
        raise TargetError(f"{fn.__name__} is a class of modules; give a module, as in {fn.__name__}(...)")
    if isinstance(fn, tuple) and not (len(fn) == 2 and all(map(callable, fn))):
        raise TargetError(f"a pair of functions (forward, vjp) is expected; found a tuple of {len(fn)}")
    if not isinstance(fn, tuple) and not callable(fn):
        raise TargetError(
            f"a function, a module or a pair of NumPy functions is expected; found a {type(fn).__name__}"
        )
    return fn


def is_numpy_kernel(fn: Any) -> bool:
    """Whether it is a kernel that gradproof generated for NumPy."""
    return isinstance(fn, Kernel) and fn.target == "numpy"


def takes_arrays(fn: Any) -> bool:
    """Whether it is a program of NumPy arrays."""
    return isinstance(fn, tuple) or is_numpy_kernel(fn)


def _in_order(fn: Any, given: tuple[InputAxes, ...]) -> tuple[InputAxes, ...]:
    """The inputs of a specification in the order of the function's own, if it has these names."""
    named = {entry.name: entry for entry in given}
    names = _names(fn, len(given))
    return tuple(named[name] for name in names) if set(names) == set(named) else given


def _made(make: Callable[[], Any]) -> tuple[Any, ...]:
    """The inputs that a callable makes."""
    try:
        made = make()
    except Exception as error:
        line, said = line_of(error), str(error).strip().splitlines()
        where = f", at {line}" if line else ""
        raise TargetError(
            f"making the inputs raises{where}: {type(error).__name__}{': ' + said[0] if said else ''}"
        ) from error
    return tuple(made) if isinstance(made, tuple | list) else (made,)


def _program(
    fn: Any,
    module: Any,
    parameters: list[str],
    reference: Callable[..., Any] | None,
    declared: Callable[..., Any] | None,
) -> Program:
    if module is not None:
        return TorchProgram(functional(module, parameters), reference, declared)
    if is_numpy_kernel(fn):
        return import_module("gradproof.numeric.exact.numpy_programs").KernelProgram(fn)
    if isinstance(fn, tuple):
        forward, vjp = fn
        return import_module("gradproof.numeric.exact.numpy_programs").NumpyProgram(forward, vjp)
    return TorchProgram(fn, reference, declared)


def functional(module: Any, parameters: list[str]) -> Callable[..., Any]:
    """A module as a function of its parameters and inputs; its buffers stay as they are."""
    buffers = {name: buffer.detach().clone() for name, buffer in module.named_buffers()}

    def call(*arguments: Any) -> Any:
        given = dict(zip(parameters, arguments, strict=False))
        fresh = {name: buffer.clone() for name, buffer in buffers.items()}
        return torch.func.functional_call(module, {**given, **fresh}, tuple(arguments[len(parameters) :]))

    return call


def _parameters(module: Any) -> list[Example]:
    return [
        Example(name, parameter.detach(), parameter.requires_grad, True)
        for name, parameter in module.named_parameters()
    ]


def _names(fn: Any, count: int) -> list[str]:
    names = input_names(fn)[:count]
    return names + [f"input{k}" for k in range(len(names), count)]


def input_names(fn: Any) -> list[str]:
    """The names of the inputs of a function, as far as it tells them."""
    if isinstance(fn, type) and issubclass(fn, torch.autograd.Function):
        fn = fn.apply
    if isinstance(fn, Kernel):
        return [tensor.name for tensor in fn.program.inputs]
    function = fn[0] if isinstance(fn, tuple) else fn.forward if hasattr(fn, "named_parameters") else fn
    owner = getattr(function, "__self__", None)
    skipped = 0
    if isinstance(owner, type) and issubclass(owner, torch.autograd.Function):
        function = owner.forward
        skipped = 0 if owner.setup_context is not torch.autograd.Function.setup_context else 1
    try:
        parameters = list(inspect.signature(function).parameters.values())[skipped:]
    except (TypeError, ValueError):
        parameters = []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in kinds]


def _name(fn: Any) -> str:
    if isinstance(fn, tuple):
        fn = fn[0]
    if isinstance(fn, Kernel):
        return fn.label
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, type):
        return owner.__name__
    return getattr(fn, "__name__", type(fn).__name__)


def _refuse(examples: Sequence[Example]) -> None:
    for example in examples:
        value = example.value
        if isinstance(value, torch.Tensor) and value.is_complex():
            raise TargetError(f"'{example.name}' is complex; only real numbers can be checked")
        if isinstance(value, np.ndarray) and value.dtype.kind == "c":
            raise TargetError(f"'{example.name}' is complex; only real numbers can be checked")
    if not any(example.is_number for example in examples):
        raise TargetError(
            "no input is a tensor of floating-point numbers; give example inputs with the function"
        )


def _choose(examples: list[Example], wrt: Sequence[Any] | None, spec: str | None) -> list[Example]:
    """Which gradients are wanted: those named, by the function or by the specification, else those that
    require one, else all.
    """
    names = [example.name for example in examples]
    if wrt is not None:
        found = _named(examples, read_specification(spec)) if spec is not None else {}
        known = {entry.name: name for name, entry in found.items()} | {name: name for name in names}
        chosen = {
            names[w] if isinstance(w, int) else known.get(w, w)
            for w in ([wrt] if isinstance(wrt, int | str) else wrt)
        }
        if unknown := chosen - set(names):
            raise TargetError(f"wrt names {', '.join(sorted(unknown))}; the inputs are {', '.join(names)}")
        return [Example(e.name, e.value, e.name in chosen, e.fixed) for e in examples]
    asked = [
        e for e in examples if isinstance(e.value, torch.Tensor) and e.value.requires_grad and not e.fixed
    ]
    if not asked:
        return examples
    return [Example(e.name, e.value, e.wanted if e.fixed else e in asked, e.fixed) for e in examples]


def _axes(examples: Sequence[Example], spec: str | None) -> tuple[tuple[InputAxes, ...], frozenset[str]]:
    """The axes of each input, and the names of the inputs that the specification names."""
    shapes = [tuple(e.array.shape) if e.is_number or e.is_data else () for e in examples]
    kinds = ["float" if e.is_number else "int" for e in examples]
    fixed = frozenset(size for e, shape in zip(examples, shapes, strict=True) if e.fixed for size in shape)
    inferred = infer_axes([e.name for e in examples], shapes, kinds, fixed)
    if spec is None:
        return inferred, frozenset()
    found = _named(examples, read_specification(spec))
    return tuple(found.get(e.name, own) for e, own in zip(examples, inferred, strict=True)), frozenset(found)


def _named(examples: Sequence[Example], given: Sequence[InputAxes]) -> dict[str, InputAxes]:
    """The entries of a specification by the inputs that they are of: by name, or in order.

    Numbers of Python may be named or not.
    """
    own = [e for e in examples if not e.fixed]
    tensors = [e.name for e in own if e.is_number or e.is_data]
    whole = [e.name for e in own if e.is_number or e.is_data or e.is_setting]
    names = {entry.name: entry for entry in given}
    if set(tensors) <= set(names) <= set(whole):
        return names
    for chosen in (tensors, whole):
        if len(given) == len(chosen):
            return dict(zip(chosen, given, strict=True))
    raise SpecificationError(
        f"the specification names {len(given)} inputs ({', '.join(g.name for g in given)}); the function "
        f"has {len(tensors)} ({', '.join(tensors)})"
    )


__all__ = ["Example", "Target", "fractions", "make_target"]

"""What a case of the set is, and the deterministic inputs that cases are made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Form = Literal["function", "module", "numpy", "equivalent"]
Diagnosis = Literal[
    "wrong sign",
    "constant factor",
    "transposed",
    "not summed over a broadcast axis",
    "missing term",
    "gradient of another input",
    "right on one region only",
    "wrong only for batch > 1",
    "wrong only for length > 1",
    "detached path",
    "second order",
    "not linear in the cotangent",
    "in-place change",
    "layout",
    "repeated indices",
    "undefined value",
    "zero gradient",
    "raises",
]
Make = Callable[[], tuple[Any, ...]]


@dataclass(frozen=True)
class Case:
    """A program with a backward, right or wrong, and what is true of it.

    `fn` is what a user would hand over: a differentiable function; for the form "module" a callable that
    makes the module; for "numpy" a pair `(forward, vjp)`; for "equivalent" two functions meant to be one.
    """

    name: str
    fn: Any
    inputs: Make
    """Example tensors, the same at every call, where a wrong backward may well look right."""
    plain: Callable[..., Any]
    """The same function in plain PyTorch, whose gradient is the true one; for a module a maker, too."""
    right: bool
    where: str
    """What is wrong and why finite differences miss it, or why it is right though it may not look so."""
    form: Form = "function"
    order: int = 1
    spec: str | None = None
    reference: Callable[..., Any] | None = None
    declared: Callable[..., Any] | None = None
    """The VJP that is meant, `declared(cotangent, *inputs)`, where it is not that of the function."""
    diagnosis: Diagnosis | None = None
    """Of a wrong one, in the vocabulary of the verdicts; None where none fits."""
    witness: Make | None = None
    """Inputs at which a wrong one differs from the truth (the examples, if None), or more for a right one."""
    cotangent: Callable[[Tensor], Tensor | None] | None = None
    """The cotangent at the witness, made from each output; of unit normal entries, if None."""
    wrt: tuple[int, ...] | None = None
    """The inputs that require a gradient at the witness; all that are floats, if None."""
    kink: bool = False
    """The witness lies on a kink: the gradient there is compared with Clarke's hull."""
    derivative: Callable[[Any], Any] | None = None
    """Of a function of one number: its value in mpmath, for a derivative at high precision."""
    forward: bool = False
    """The Function has a `jvp` rule, too, and that is what is right or wrong."""
    narrow: bool = False
    """It is wrong in the dtype of its inputs alone, and right in float64."""
    rounding: bool = False
    """Right in exact arithmetic, and badly rounded: only a report on accuracy can show it."""

    @property
    def subject(self) -> Any:
        """What is checked: `fn`, or the module that it makes, of the dtype of the inputs."""
        return self.fn().double() if self.form == "module" else self.fn

    @property
    def topic(self) -> str:
        return self.name.partition("/")[0]


def right(name: str, fn: Any, inputs: Make, plain: Callable[..., Any], where: str, **rest: Any) -> Case:
    """A case whose backward is right."""
    return Case(name, fn, inputs, plain, True, where, **rest)


def wrong(
    name: str,
    fn: Any,
    inputs: Make,
    plain: Callable[..., Any],
    diagnosis: Diagnosis | None,
    where: str,
    witness: Make | None = None,
    **rest: Any,
) -> Case:
    """A case whose backward is wrong at the witness."""
    return Case(name, fn, inputs, plain, False, where, diagnosis=diagnosis, witness=witness, **rest)


# --- inputs


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Unit normal numbers, the same at every call."""
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made.to(dtype)


def positive(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Uniform numbers between 1/2 and 2."""
    made = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.5 + 1.5 * made).to(dtype)


def integers(*shape: int, below: int, seed: int = 0) -> Tensor:
    """Uniform integers from 0 on."""
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(seed))


def given(*shapes: Sequence[int], seed: int = 0, dtype: torch.dtype = torch.float64) -> Make:
    """Normal tensors of these shapes."""
    return lambda: tuple(normal(*shape, seed=seed + n, dtype=dtype) for n, shape in enumerate(shapes))


def given_positive(*shapes: Sequence[int], seed: int = 0) -> Make:
    """Positive tensors of these shapes."""
    return lambda: tuple(positive(*shape, seed=seed + n) for n, shape in enumerate(shapes))


def at(*values: Any) -> Make:
    """Tensors with these entries: float64, or int64 where all are integers."""

    def make() -> tuple[Any, ...]:
        made = [(value, torch.tensor(value)) for value in values]
        return tuple(torch.tensor(v, dtype=torch.float64) if t.is_floating_point() else t for v, t in made)

    return make

"""Kernels of generated Triton, called on tensors: by Triton where they lie on a GPU, else read back.

`@block` stands before a kernel whose arguments are arrays, `count`, the number of entries that it computes,
sizes and numbers, `BLOCK`, how many entries one program computes, and `REAL`, the dtype in which it computes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from gradproof.numeric.gpu.language import INSTALLED, INTERPRETED, tl, triton
from gradproof.numeric.gpu.reading import Routine
from gradproof.numeric.native.blocks import Before, Result, Steps, Turns

ENTRIES = 1024
"""How many entries one program computes."""


class Block:
    """One kernel: `kernel(*arrays, count, *sizes, *numbers)` carries it out once."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self.__doc__, self.__name__ = function.__doc__, function.__name__

    @cached_property
    def routine(self) -> Routine:
        """The text that Triton compiles, read back."""
        return Routine.of(inspect.getsource(self.function))

    @cached_property
    def compiled(self) -> Any:
        """The kernel as Triton compiles it, or interprets it."""
        return triton.jit(self.function)

    def __call__(self, *given: Any) -> None:
        self.bind(1, *given)(0)

    def bind(self, steps: int, *given: Any) -> Callable[[int], None]:
        """The kernel on these arrays, for each of several steps: a function of the number of the step.

        An array may be one of those of `native.blocks` that have an entry of their own for each step.
        """
        arrays = [_whole(a) for a in given if isinstance(a, torch.Tensor | Steps | Before | Turns | Result)]
        count, *numbers = given[len(arrays) :]
        samples = [a if isinstance(a, torch.Tensor) else a[0] for a in arrays] if steps else []
        real = torch.float64 if any(a.dtype == torch.float64 for a in samples) else torch.float32
        if not steps or not count:
            return _nothing
        run = self.launcher(samples[0], count, real) if runs_in_triton(samples) else self.reader(count, real)

        def step(number: int) -> None:
            run([a if isinstance(a, torch.Tensor) else a[number] for a in arrays], numbers)

        return step

    def launcher(self, like: Any, count: int, real: Any) -> Callable[[Sequence[Any], Sequence[Any]], None]:
        grid = (triton.cdiv(count, ENTRIES),)
        launch = self.compiled[grid]
        kind = tl.float64 if real == torch.float64 else tl.float32
        # Every operation rounds, as in PyTorch: a product and a sum are not joined.
        options = {"BLOCK": ENTRIES, "REAL": kind, "enable_fp_fusion": False}

        def run(arrays: Sequence[Any], numbers: Sequence[Any]) -> None:
            with torch.cuda.device_of(like):
                launch(*arrays, count, *numbers, **options)

        return run

    def reader(self, count: int, real: Any) -> Callable[[Sequence[Any], Sequence[Any]], None]:
        return lambda arrays, numbers: self.routine.run(arrays, count, numbers, real)


block = Block


def runs_in_triton(arrays: Sequence[Any]) -> bool:
    """Whether Triton carries out a kernel on these arrays: on a GPU, or in its interpreter.

    Raises RuntimeError where they lie on a GPU and Triton is not installed.
    """
    devices = {_memory(a) for a in arrays}
    if devices == {"cuda"} and not INSTALLED:
        raise RuntimeError("Triton is not installed: pip install 'gradproof[triton]'")
    return devices == {"cpu" if INTERPRETED else "cuda"}


def compiles_for(array: Any) -> bool:
    """Whether Triton is installed and compiles kernels for the device on which an array lies."""
    return INSTALLED and not INTERPRETED and _memory(array) == "cuda"


def _memory(array: Any) -> str:
    """The kind of device in whose memory the entries of a tensor lie.

    None for one that answers operators itself, and while operators are answered in place of PyTorch.
    """
    if is_in_torch_dispatch_mode():
        return ""
    kind: Any = type(array)
    own = kind.__torch_dispatch__ is torch.Tensor.__torch_dispatch__  # pyright: ignore[reportAttributeAccessIssue]
    return array.device.type if own and not array.is_nested else ""


def _whole(array: Any) -> Any:
    return array.contiguous() if isinstance(array, torch.Tensor) else array


def _nothing(number: int) -> None:
    """Where there is no step, or no entry."""


__all__ = ["Block", "block", "tl"]

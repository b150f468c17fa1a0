"""Blocks of generated C, called on arrays: compiled where the arrays lie in memory, else read back.

A generated module holds its C as text, `C = Blocks(...)`. A block is bound to its arrays once before a loop,
`step = C.forward_1.bind(time, [...], sizes, scalars)`, and then called with the number of the step.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from gradproof.numeric.native.compiler import load
from gradproof.numeric.native.products import Product, Result, lies_in_memory, matmul
from gradproof.numeric.native.reading import Routine, names


class Steps:
    """An array whose first axis is that of the loop: one entry of it for each step."""

    def __init__(self, array: Any) -> None:
        self.array = array.contiguous()

    def __getitem__(self, step: int) -> Any:
        return self.array[step]

    def matrices(self, columns: int) -> tuple[Any, ...]:
        """The entry of each step as a matrix, its last axes as columns."""
        shape = self.array.shape
        split = len(shape) - columns
        return self.array.view(shape[0], math.prod(shape[1:split]), math.prod(shape[split:])).unbind(0)

    def addresses(self, count: int) -> Any:
        stride = self.array.stride(0) * self.array.element_size() if self.array.dim() else 0
        return self.array.data_ptr() + stride * np.arange(count, dtype=np.int64)


class Before:
    """The entry of the step before, for each step: an initial array at the first, then one of `steps`."""

    def __init__(self, initial: Any, steps: Any, *, reverse: bool) -> None:
        self.initial, self.steps, self.reverse = initial, Steps(steps), reverse

    def __getitem__(self, step: int) -> Any:
        first = len(self.steps.array) - 1 if self.reverse else 0
        return self.initial if step == first else self.steps[step + 1 if self.reverse else step - 1]

    def matrices(self, columns: int) -> tuple[Any, ...]:
        """The entry of each step as a matrix, its last axes as columns."""
        first, every = _matrix(self.initial, columns), self.steps.matrices(columns)
        return (*every[1:], first) if self.reverse else (first, *every[:-1])

    def addresses(self, count: int) -> Any:
        shifted = np.roll(self.steps.addresses(count), -1 if self.reverse else 1)
        if count:
            shifted[-1 if self.reverse else 0] = self.initial.data_ptr()
        return shifted


@dataclass(frozen=True)
class Turns:
    """Two arrays of the same shape that take turns, step by step."""

    pair: tuple[Any, Any]
    which: Any
    """The number of the array, for each step."""

    def __getitem__(self, step: int) -> Any:
        return self.pair[self.which[step]]

    def matrices(self, columns: int) -> tuple[Any, ...]:
        """The entry of each step as a matrix, its last axes as columns."""
        views = [_matrix(a, columns) for a in self.pair]
        return tuple(views[n] for n in self.which)

    def addresses(self, count: int) -> Any:
        pointers = np.array([a.data_ptr() for a in self.pair], np.int64)
        return pointers[self.which[:count]]


class Carried:
    """A state that a loop hands from step to step: `before` and `after` each, and `last`.

    With `steps`, an array that keeps the state after every step, a state is read where it is kept; without
    it, two arrays take turns.
    """

    def __init__(self, initial: Any, count: int, *, reverse: bool = False, steps: Any = None) -> None:
        self.initial, self.count, self.reverse = initial.contiguous(), count, reverse
        self.before: Any
        self.after: Any
        if steps is not None:
            self.before, self.after = Before(self.initial, steps, reverse=reverse), Steps(steps)
            return
        pair = (self.initial.clone(), torch.empty_like(self.initial))
        turn = np.arange(count)[::-1] if reverse else np.arange(count)
        self.before, self.after = Turns(pair, turn % 2), Turns(pair, (turn + 1) % 2)

    @property
    def last(self) -> Any:
        if isinstance(self.before, Turns):
            return self.before.pair[self.count % 2]
        return (self.after[0 if self.reverse else -1] if self.count else self.initial).clone()


@dataclass(frozen=True)
class Block:
    """One routine of generated C."""

    owner: Blocks
    routine: Routine

    def bind(
        self, count: int, arrays: Sequence[Any], sizes: Sequence[int] = (), scalars: Sequence[float] = ()
    ) -> Callable[[int], Any]:
        """The block on these arrays, for each of `count` steps: a function of the number of the step."""
        whole = [a if isinstance(a, Steps | Before | Turns | Result) else a.contiguous() for a in arrays]
        plain = [_array_of(a) for a in whole]
        if not all(lies_in_memory(a) for a in plain):
            return self.routine.bind(whole, sizes, scalars)
        dtype = next(a.dtype for a in plain if a.dtype != torch.bool)
        function = getattr(self.owner.library(dtype), self.routine.name)
        function.restype, function.argtypes = None, (ctypes.c_void_p,) * 3
        table = np.empty((count, len(whole)), np.int64)
        for n, a in enumerate(whole):
            table[:, n] = a.data_ptr() if isinstance(a, torch.Tensor) else a.addresses(count)
            if isinstance(a, Result):
                a.readers.append(table[:, n])
        longs = np.array(sizes, np.int64)
        reals = np.array(scalars, np.float32 if dtype == torch.float32 else np.float64)
        start, width = table.ctypes.data, table.strides[0] if count else 0
        first, second = longs.ctypes.data, reals.ctypes.data
        kept = (whole, table, longs, reals)  # alive as long as the function is

        def step(number: int, _kept: Any = kept) -> None:
            function(start + number * width, first, second)

        return step

    def __call__(
        self, arrays: Sequence[Any], sizes: Sequence[int] = (), scalars: Sequence[float] = ()
    ) -> None:
        """The block on these arrays, once."""
        self.bind(1, arrays, sizes, scalars)(0)


class Blocks:
    """The routines of a text of generated C, as attributes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.libraries: dict[bool, ctypes.CDLL] = {}

    @cached_property
    def routines(self) -> dict[str, Routine]:
        return {name: Routine(name, self.text) for name in names(self.text)}

    def __getattr__(self, name: str) -> Block:
        if name.startswith("__") or name not in self.routines:
            raise AttributeError(name)
        return Block(self, self.routines[name])

    def library(self, dtype: Any) -> ctypes.CDLL:
        """The text compiled for a dtype."""
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"generated C computes in float32 or float64, found {dtype}")
        single = dtype == torch.float32
        if single not in self.libraries:
            self.libraries[single] = load(self.text, single=single)
        return self.libraries[single]


def _array_of(array: Any) -> Any:
    match array:
        case Steps():
            return array.array
        case Before():
            return array.steps.array
        case Turns():
            return array.pair[0]
        case Result():
            return array.matrix
        case _:
            return array


def _matrix(array: Any, columns: int) -> Any:
    """A contiguous array as a matrix, its last axes as columns."""
    split = array.dim() - columns
    return array.view(math.prod(array.shape[:split]), math.prod(array.shape[split:]))


__all__ = ["Block", "Blocks", "Carried", "Product", "Result", "Steps", "matmul"]

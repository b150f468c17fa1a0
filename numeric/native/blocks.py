"""Blocks of generated C, called on arrays: compiled where the arrays lie in memory, else read back.

A generated module holds its C as text, `C = Blocks(...)`. A block is bound to its arrays once before a loop,
`step = C.forward_1.bind(time, [...], sizes, scalars)`, and then called with the number of the step.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from gradproof.numeric.native.compiler import load
from gradproof.numeric.native.products import Product, lies_in_memory, matmul
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
        rows, width = _product(shape[1:split]), _product(shape[split:])
        return self.array.view(shape[0], rows, width).unbind(0)

    def addresses(self, count: int) -> Any:
        stride = self.array.stride(0) * self.array.element_size() if self.array.dim() else 0
        return self.array.data_ptr() + stride * np.arange(count, dtype=np.int64)


@dataclass(frozen=True)
class Chosen:
    """One of several arrays of the same shape for each step."""

    arrays: tuple[Any, ...]
    which: Any
    """The number of the array, for each step."""

    def __getitem__(self, step: int) -> Any:
        return self.arrays[self.which[step]]

    def matrices(self, columns: int) -> tuple[Any, ...]:
        views: dict[int, Any] = {}
        for n in self.which:
            if n not in views:
                a = self.arrays[n]
                split = a.dim() - columns
                views[n] = a.view(_product(a.shape[:split]), _product(a.shape[split:]))
        return tuple(views[n] for n in self.which)

    def addresses(self, count: int) -> Any:
        pointers = np.array([a.data_ptr() for a in self.arrays], np.int64)
        return pointers[self.which[:count]]


class Carried:
    """A state that a loop hands from step to step: `before` and `after` each, and `last`.

    With `steps`, an array that keeps the state after every step, a state is read where it is kept; without
    it, two arrays take turns.
    """

    def __init__(self, initial: Any, count: int, *, reverse: bool = False, steps: Any = None) -> None:
        self.initial, self.count, self.steps = initial.contiguous(), count, steps
        if steps is not None:
            self.after: Any = Steps(steps)
            number = np.arange(1, count + 1) if reverse else np.arange(count)
            order = (*steps.unbind(0), self.initial) if reverse else (self.initial, *steps.unbind(0))
            self.before: Any = Chosen(order, number)
            return
        pair = (self.initial.clone(), torch.empty_like(self.initial))
        turn = np.arange(count)[::-1] if reverse else np.arange(count)
        self.before, self.after = Chosen(pair, turn % 2), Chosen(pair, (turn + 1) % 2)

    @property
    def last(self) -> Any:
        if self.steps is None:
            return self.before.arrays[self.count % 2]
        reverse = self.before.arrays[0] is not self.initial
        return (self.after[0 if reverse else -1] if self.count else self.initial).clone()


@dataclass(frozen=True)
class Block:
    """One routine of generated C."""

    owner: Blocks
    routine: Routine

    def bind(
        self, count: int, arrays: Sequence[Any], sizes: Sequence[int] = (), scalars: Sequence[float] = ()
    ) -> Callable[[int], Any]:
        """The block on these arrays, for each of `count` steps: a function of the number of the step."""
        whole = [a if isinstance(a, Steps | Chosen) else a.contiguous() for a in arrays]
        plain = [_array_of(a) for a in whole]
        if not all(lies_in_memory(a) for a in plain):
            return self.routine.bind(whole, sizes, scalars)
        dtype = next(a.dtype for a in plain if a.dtype != torch.bool)
        function = getattr(self.owner.library(dtype), self.routine.name)
        function.restype, function.argtypes = None, (ctypes.c_void_p,) * 3
        table = np.empty((count, len(whole)), np.int64)
        for n, a in enumerate(whole):
            table[:, n] = a.addresses(count) if isinstance(a, Steps | Chosen) else a.data_ptr()
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
    if isinstance(array, Steps):
        return array.array
    return array.arrays[0] if isinstance(array, Chosen) else array


def _product(sizes: Sequence[int]) -> int:
    made = 1
    for size in sizes:
        made *= size
    return made


__all__ = ["Block", "Blocks", "Carried", "Chosen", "Product", "Steps", "matmul"]

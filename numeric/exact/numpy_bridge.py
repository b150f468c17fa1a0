"""Between PyTorch and NumPy within one program: `tensor.numpy()`, `torch.from_numpy(array)` and their like.

Both look into one storage, as the real ones do: what one writes the other sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch.utils._mode_utils import no_dispatch

from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.masks import mark_decided
from gradproof.numeric.exact.numpy_arrays import Exact, ExactArray, Store
from gradproof.numeric.exact.numpy_decisions import Decision
from gradproof.numeric.exact.numpy_execution import NumpyExecution
from gradproof.numeric.exact.numpy_factories import exact_arrays
from gradproof.numeric.exact.storages import ExactTensor, new_tensor


class _BridgedExecution(NumpyExecution):
    """Answers functions of NumPy beside a run of PyTorch, which does not watch how that is done."""


def _unwatched(name: str) -> None:
    plain = getattr(NumpyExecution, name)

    def answer(self: _BridgedExecution, *args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunction(), no_dispatch():
            return plain(self, *args, **kwargs)

    setattr(_BridgedExecution, name, answer)


for _name in (
    "answer_ufunc", "answer_function", "convert", "convert_decision", "decide_ufunc", "decide_function",
    "read_at", "write_at", "move", "value_of", "assemble", "wrap", "unset", "choose", "truth_of",
):  # fmt: skip
    _unwatched(_name)


def _enter_decision(decision: Decision, copy: bool, options: Mapping[str, Any]) -> torch.Tensor:
    """Integers and truth values are data of the tensor's own; how they came about is remembered."""
    if options.get("dtype") is not None or decision.counted is not None or decision.origin.unknown:
        decision.run.fail("what comparisons decided, as a tensor of another kind,")
    made = torch.from_numpy(decision.array.copy() if copy else decision.array)
    if decision.origin.decided:
        mark_decided(made, "order" if decision.origin.forced else "equality")
    return made


class NumpyBridge:
    """The NumPy side of a run of a PyTorch program; it begins with the first tensor that leaves."""

    makers: Mapping[Any, bool] = {torch.tensor: True, torch.as_tensor: False, torch.asarray: False}
    """What makes a tensor of an array, and whether always a copy."""

    def __init__(self, run: Execution, program: Any) -> None:
        self._tensors, self._program = run, program
        self._arrays: NumpyExecution | None = None
        self._open = ExitStack()

    def is_array(self, leaf: Any) -> bool:
        """Whether it is one of the arrays of this run: numbers, or what comparisons decided."""
        return isinstance(leaf, Exact | Decision)

    def leave(self, tensor: ExactTensor, force: bool = False) -> Any:
        """`tensor.numpy()`: an array with the tensor's memory."""
        if torch.is_grad_enabled() and tensor.requires_grad and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        store = Store(tensor.storage_)
        size, offset = tuple(tensor.shape), int(tensor.meta.storage_offset())
        steps = tuple(8 * step for step in tensor.meta.stride())
        positions = np.arange(store.value.shape[0])
        spots = np.empty(size, np.int64) if 0 in size else as_strided(positions[offset:], size, steps)
        return ExactArray(self._begun(), store, spots, np.dtype(str(tensor.dtype).removeprefix("torch.")))

    def enter(self, array: Exact | Decision, copy: bool = False, **options: Any) -> torch.Tensor:
        """`torch.from_numpy(array)`, `torch.tensor(array)`: a tensor with the array's memory, or a copy."""
        with torch._C.DisableTorchFunction(), no_dispatch():
            if isinstance(array, Decision):
                return _enter_decision(array, copy, options)
            return self._enter(array, copy, options)

    def _enter(self, array: Exact, copy: bool, options: Mapping[str, Any]) -> torch.Tensor:
        own: torch.dtype = getattr(torch, array.dtype.name)
        dtype = options.get("dtype") or own
        if copy or dtype != own or array.spots.size == 0 or not array.spots.ndim:
            return new_tensor(array.read(), dtype, bool(options.get("requires_grad")))
        steps = tuple(step // 8 for step in array.spots.strides)
        if any(step < 0 for step in steps):
            raise ValueError("At least one stride in the given numpy array is negative (make a copy of it)")
        base = torch.empty(array.store.value.shape[0], dtype=dtype, device="meta")
        meta = base.as_strided(array.spots.shape, steps, int(array.spots.reshape(-1)[0]))
        return ExactTensor(array.store.storage, meta)

    def resume(self) -> None:
        """A pass of the program begins: arrays that an earlier one kept are its own."""
        before = torch.from_numpy

        def from_numpy(array: Any) -> torch.Tensor:
            return self.enter(array) if self.is_array(array) else before(array)

        torch.from_numpy = from_numpy
        self._open.callback(setattr, torch, "from_numpy", before)
        if self._arrays is not None:
            self._open.enter_context(exact_arrays(self._arrays, [self._program]))

    def suspend(self) -> None:
        """The pass ends."""
        self._open.close()

    def _begun(self) -> NumpyExecution:
        if self._arrays is None:
            run = self._tensors
            self._arrays = _BridgedExecution(run.numbers, run.branches, run.constants, run.used.operators)
            self._open.enter_context(exact_arrays(self._arrays, [self._program]))
        return self._arrays

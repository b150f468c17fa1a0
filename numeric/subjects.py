"""A kernel under test: how it takes a case, in the library and the dtype of the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gradproof.numeric.kernels import Kernel
from gradproof.numeric.oracles import differentiate
from gradproof.numeric.sampling import Case, as_torch
from gradproof.symbolic.operation import Operation


@dataclass(frozen=True)
class Subject:
    """A kernel under test, and how it takes a case."""

    operation: Operation
    kernel: Kernel

    @property
    def target(self) -> str:
        return self.kernel.target

    def arrays(self, values: Sequence[np.ndarray], dtype: str = "float64") -> list[Any]:
        """The arrays of a case in the library and the dtype of the kernel."""
        if self.target == "numpy":
            return [v.astype(dtype) if v.dtype.kind == "f" and dtype != "float64" else v for v in values]
        return tensors(values, dtype)

    def vjp(
        self, case: Case, cotangents: Sequence[np.ndarray], dtype: str = "float64"
    ) -> tuple[list[Any], list[Any]]:
        """The outputs, and the gradient by each real input; for PyTorch through autograd."""
        inputs, given = self.arrays(case.inputs, dtype), self.arrays(cotangents, dtype)
        if self.target == "torch":
            return differentiate(self.function, inputs, given, case.parameters)
        outputs, saved = self.kernel.forward(*inputs, **case.parameters)
        made = self.kernel.vjp(saved, *given)
        return list(outputs), [m for m in made if m is not None]

    def jvp(self, case: Case, tangents: Sequence[np.ndarray]) -> list[Any]:
        """The tangents of the outputs from those of the real inputs."""
        rest = iter(self.arrays(tangents))
        every = [next(rest) if t.dtype == "real" else None for t in self.operation.inputs]
        return list(self.kernel.jvp(self.arrays(case.inputs), every, **case.parameters))

    def function(self, *inputs: Any, **parameters: Any) -> tuple[Any, ...]:
        made = self.kernel(*inputs, **parameters)
        return made if isinstance(made, tuple) else (made,)


def tensors(values: Sequence[np.ndarray], dtype: str = "float64") -> list[Any]:
    """Arrays as tensors of a dtype, of the same layout."""
    return [as_torch(v, getattr(torch, dtype)) for v in values]

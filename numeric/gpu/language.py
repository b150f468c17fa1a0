"""Triton where it is installed, and what stands in its place where it is not.

Without it a generated module can still be imported, and its kernels read back.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

INSTALLED = find_spec("triton") is not None
triton: Any = import_module("triton") if INSTALLED else None
tl: Any = (
    import_module("triton.language")
    if INSTALLED
    else SimpleNamespace(constexpr="constexpr", float64="fp64")  # in the annotations of a kernel
)
INTERPRETED: bool = INSTALLED and bool(triton.knobs.runtime.interpret)
"""Whether Triton runs its kernels on the CPU: `TRITON_INTERPRET=1`, set before Triton is imported."""


def jit(function: Any) -> Any:
    """A function that kernels call, as Triton takes it."""
    return triton.jit(function) if INSTALLED else function

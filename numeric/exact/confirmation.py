"""Every operator that a dry run executes is run by PyTorch too, in float64: a guard against a corrupted row.

It is no verdict. A row, a decomposition or a transcription that does not compute what the real kernel
computes is noticed wherever it is used, at the inputs of the check itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_map_only

from gradproof.numeric.exact.bits import BitTensor
from gradproof.numeric.exact.frames import user_line
from gradproof.numeric.exact.reals import Floats
from gradproof.numeric.exact.storages import ExactTensor
from gradproof.numeric.exact.values import UndecidableError, Value

if TYPE_CHECKING:
    from gradproof.numeric.exact.execution import Execution

CLOSE = {torch.float64: 1e-6, torch.float32: 1e-2}
"""How far a kernel's result may be from ours, relative to its largest entry, by its precision."""

ROUNDING = 1e-10
"""What may be left where a result is 0, relative to the largest operand."""
LOWEST = 1.7e308
UNINITIALIZED = {
    torch.ops.aten.empty,
    torch.ops.aten.empty_like,
    torch.ops.aten.empty_strided,
    torch.ops.aten.new_empty,
    torch.ops.aten.new_empty_strided,
}
"""Operators whose results mean nothing."""

CONVERSIONS = {torch.ops.aten._to_copy, torch.ops.prims.convert_element_type}
"""Operators that change the precision alone, which exact numbers do not have."""

KERNELS: dict[Any, Any] = {}
"""Operators whose kernels cannot be called by themselves, and how they are called."""


def confirm(run: Execution, func: Any, args: Any, kwargs: Any, result: Any) -> None:
    """Run the kernel of an operator on the real numbers; raises `UndecidableError` where it does not agree.

    A run with residues is not looked at: the dry run before it was.
    """
    if run.numbers.residues is not None or not isinstance(run.numbers.reals, Floats):
        return
    if torch.Tag.nondeterministic_seeded in func.tags or func.overloadpacket in UNINITIALIZED | CONVERSIONS:
        return
    ours = tree_flatten(result, is_leaf=lambda leaf: isinstance(leaf, Value))[0]
    theirs, precision, size = _run_kernel(run, func, args, kwargs)
    if theirs is None or len(ours) != len(theirs):
        if "backward" in func._schema.name:
            raise UndecidableError(f"the operator {func} at {user_line()}: its kernel does not run beside it")
        return
    for mine, real in zip(ours, theirs, strict=True):
        if isinstance(real, torch.Tensor) and not _agree(mine, real, CLOSE[precision], ROUNDING * size):
            raise UndecidableError(
                f"the operator {func} at {user_line()}: the real kernel returns something else than its row"
            )


def _run_kernel(
    run: Execution, func: Any, args: Any, kwargs: Any
) -> tuple[list[Any] | None, torch.dtype, float]:
    """What the kernel returns (None where it takes neither float64 nor float32), how precise it is, and the
    size of its largest operand.
    """
    for precision in (torch.float64, torch.float32):
        reals = tree_map_only(torch.Tensor, lambda t, p=precision: _real(run, t, p), (args, kwargs))
        try:
            with torch.no_grad(), np.errstate(all="ignore"):
                found = KERNELS.get(func, func)(*reals[0], **reals[1])
        except (RuntimeError, NotImplementedError, IndexError):
            continue
        leaves = tree_flatten(found)[0]
        low = any(isinstance(x, torch.Tensor) and x.dtype == torch.float32 for x in leaves)
        return leaves, torch.float32 if low else precision, _largest(tree_flatten(reals)[0])
    return None, torch.float64, 1.0


def _largest(leaves: list[Any]) -> float:
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()]
    finite = [tensor[torch.isfinite(tensor)].abs() for tensor in tensors]
    return max([1.0, *(float(t.max()) for t in finite if t.numel())])


def _real(run: Execution, tensor: torch.Tensor, precision: torch.dtype) -> torch.Tensor:
    """The real numbers of a tensor, laid out as it is."""
    if not tensor.is_floating_point():
        return tensor.integers() if isinstance(tensor, BitTensor) else tensor
    exact: ExactTensor = run.lift(tensor)
    entries = np.array(exact.storage_.value.reals, dtype=np.float64)
    meta = exact.meta
    if meta.numel() == 0:
        return torch.empty_strided(meta.size(), meta.stride(), dtype=precision)
    whole = torch.from_numpy(entries).to(precision)
    return whole.as_strided(meta.size(), meta.stride(), int(meta.storage_offset()))


def _without_lowest(numbers: np.ndarray) -> np.ndarray:
    """The lowest of all floats as -inf, for which it stands."""
    return np.where(numbers < -LOWEST, -np.inf, numbers)


def _agree(mine: Any, real: torch.Tensor, close: float, rounding: float) -> bool:
    if isinstance(mine, Value):
        wanted, found = real.to(torch.float64).numpy(), np.asarray(mine.reals, dtype=np.float64)
        if wanted.shape != found.shape:
            return False
        wanted, found = _without_lowest(wanted), _without_lowest(found)
        finite = np.abs(wanted[np.isfinite(wanted)])
        scale = close * float(finite.max()) if finite.size else 0.0
        return bool(np.allclose(found, wanted, rtol=close, atol=scale + rounding, equal_nan=True))
    if isinstance(mine, BitTensor):
        return torch.equal(mine.integers(), real.to(torch.int64))
    if isinstance(mine, torch.Tensor):
        return mine.shape == real.shape and bool(torch.equal(mine.to(real.dtype), real))
    return True

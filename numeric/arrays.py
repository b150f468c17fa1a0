"""What a kernel needs of an array library besides its source: dtypes, conversion, quiet arithmetic."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class Library(Protocol):
    """An array library."""

    def array(self, value: Any, dtype: str) -> Any:
        """The value as an array whose entries are real, integer or boolean."""
        ...

    def common(self, arrays: Sequence[Any]) -> tuple[Any, Any]:
        """The dtype of results for these real arrays, and the dtype in which to compute them."""
        ...

    def adds_up_in_float32(self, dtype: Any) -> bool:
        """Whether products of matrices in a low dtype are added up in float32 and rounded once."""
        ...

    def cast(self, array: Any, dtype: Any) -> Any:
        """The array in another dtype; the array itself where it has it."""
        ...

    def zeros(self, shape: tuple[int, ...], dtype: Any, device: Any) -> Any:
        """Zeros of a shape and a dtype on a device."""
        ...

    def extent(self, array: Any) -> tuple[int, int] | None:
        """The least and the largest entry of an integer array; None where looking would cost much."""
        ...

    def plain(self, arrays: Sequence[Any], dtype: Any = None) -> bool:
        """Whether generated C can be called on the arrays, and compute in this dtype."""
        ...

    def on_gpu(self, arrays: Sequence[Any]) -> bool:
        """Whether generated Triton can be launched on the arrays."""
        ...

    def quiet(self) -> AbstractContextManager[Any]:
        """A context in which a kernel runs: no warnings for what it handles itself, no tape."""
        ...


class NumpyLibrary:
    """NumPy: float16 is computed in float32."""

    def array(self, value: Any, dtype: str) -> Any:
        made = np.asarray(value)
        if dtype == "boolean":
            return made if made.dtype == np.bool_ else made.astype(np.bool_)
        if dtype == "integer":
            if made.dtype.kind not in "iu":
                raise TypeError(f"expected integers, found {made.dtype}")
            return made
        if made.dtype.kind in "iub":
            return made.astype(np.float64)
        if made.dtype.kind != "f":
            raise TypeError(f"expected real numbers, found {made.dtype}")
        return made

    def common(self, arrays: Sequence[Any]) -> tuple[Any, Any]:
        result = np.result_type(*(a.dtype for a in arrays))
        return result, np.dtype(np.float32) if result == np.float16 else result

    def adds_up_in_float32(self, dtype: Any) -> bool:
        return False

    def cast(self, array: Any, dtype: Any) -> Any:
        return np.asarray(array).astype(dtype, copy=False)

    def zeros(self, shape: tuple[int, ...], dtype: Any, device: Any) -> Any:
        return np.zeros(shape, dtype)

    def extent(self, array: Any) -> tuple[int, int] | None:
        return (int(array.min()), int(array.max())) if array.size else None

    def plain(self, arrays: Sequence[Any], dtype: Any = None) -> bool:
        return False

    def on_gpu(self, arrays: Sequence[Any]) -> bool:
        return False

    def quiet(self) -> AbstractContextManager[Any]:
        return np.errstate(all="ignore")


class TorchLibrary:
    """PyTorch: float16 and bfloat16 are computed in float32, but for products of matrices in bfloat16."""

    def __init__(self) -> None:
        import torch

        self.torch = torch

    def array(self, value: Any, dtype: str) -> Any:
        made = self.torch.as_tensor(value)
        if dtype == "boolean":
            return made if made.dtype == self.torch.bool else made.bool()
        if dtype == "integer":
            if made.dtype.is_floating_point or made.dtype.is_complex or made.dtype == self.torch.bool:
                raise TypeError(f"expected integers, found {made.dtype}")
            return made if made.dtype == self.torch.int64 else made.long()
        if made.dtype.is_complex:
            raise TypeError(f"expected real numbers, found {made.dtype}")
        return made if made.dtype.is_floating_point else made.to(self.torch.get_default_dtype())

    def common(self, arrays: Sequence[Any]) -> tuple[Any, Any]:
        result = arrays[0].dtype
        for a in arrays[1:]:
            if a.dtype != result:
                result = self.torch.promote_types(result, a.dtype)
        low = result in (self.torch.float16, self.torch.bfloat16)
        return result, self.torch.float32 if low else result

    def adds_up_in_float32(self, dtype: Any) -> bool:
        """bfloat16; products in float16 are slow on the CPU."""
        return dtype == self.torch.bfloat16

    def cast(self, array: Any, dtype: Any) -> Any:
        return array if array.dtype == dtype else array.to(dtype)

    def zeros(self, shape: tuple[int, ...], dtype: Any, device: Any) -> Any:
        return self.torch.zeros(shape, dtype=dtype, device=device)

    def extent(self, array: Any) -> tuple[int, int] | None:
        """None on other devices, which would have to be waited for, and where a transformation is at work."""
        if array.device.type != "cpu" or not array.numel() or type(array) is not self.torch.Tensor:
            return None
        if self.torch._C._are_functorch_transforms_active():  # pyright: ignore[reportAttributeAccessIssue]
            return None
        low, high = array.aminmax()
        return int(low), int(high)

    def plain(self, arrays: Sequence[Any], dtype: Any = None) -> bool:
        if dtype not in (None, self.torch.float32, self.torch.float64):
            return False
        from gradproof.numeric.native.products import lies_in_memory

        return all(lies_in_memory(a) for a in arrays)

    def on_gpu(self, arrays: Sequence[Any]) -> bool:
        if any(a.device.type != "cuda" for a in arrays):
            return False
        from gradproof.numeric.gpu.blocks import compiles_for

        return all(map(compiles_for, arrays))

    def quiet(self) -> AbstractContextManager[Any]:
        return self.torch.no_grad()


def library(target: str) -> Library:
    """The library of a target."""
    return NumpyLibrary() if target == "numpy" else TorchLibrary()

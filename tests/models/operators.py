"""The operators that a training step may call: views, elementwise, reductions, products, gather, scatter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

VIEWS = """
    _unsafe_view alias as_strided detach expand permute select slice split split_with_sizes squeeze t
    transpose unbind unfold unsqueeze view
"""
MOVES = """
    _local_scalar_dense _to_copy arange cat clone copy_ empty empty_like fill_ full full_like lift_fresh
    new_empty new_empty_strided new_full new_ones new_zeros ones ones_like scalar_tensor stack zero_ zeros
    zeros_like
"""
ELEMENTWISE = """
    abs add add_ addcmul addcmul_ bernoulli_ bitwise_and bitwise_not bitwise_or bitwise_xor clamp clamp_min
    cos div div_ eq erf erfc exp expm1 ge gt le log log1p logical_and logical_not logical_or lt maximum
    minimum mul mul_ ne neg neg_ pow reciprocal rsqrt rsub sigmoid sign sin sqrt square sub sub_ tanh tril
    triu where
"""
REDUCTIONS = "all amax amin aminmax any cumsum equal linalg_vector_norm max mean min sum"
PRODUCTS = """
    addmm bmm dot mm mv mkldnn::_linear_pointwise mkldnn::_reorder_linear_weight
"""
"""The last two are oneDNN's product of two matrices, and the layout in which it takes the second one."""
PLACES = """
    _unique2 gather index index_add index_add_ index_copy_ index_select nonzero scatter_add scatter_add_
"""

ALLOWED = frozenset(" ".join((VIEWS, MOVES, ELEMENTWISE, REDUCTIONS, PRODUCTS, PLACES)).split())
"""None of them is a layer itself, or the backward of one."""


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.called: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        namespace, name = func.name().split("::")
        self.called.add(name.split(".")[0] if namespace == "aten" else func.name())
        return func(*args, **(kwargs or {}))


def record(function: Callable[[], object]) -> set[str]:
    """The names of the operators that a function calls."""
    with _Recorder() as recorder:
        function()
    return recorder.called

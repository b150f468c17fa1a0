"""Running a PyTorch program on exact numbers: every operator that it calls is answered here, none by floats.

Autograd runs above: the user's own backward and PyTorch's derivative formulas reach this mode as operators
too. What
an operator does stands in `operators/`, one row each; views share storage by their strides; what has no
row is run by
PyTorch's decomposition of it; what has none of these is undecidable, by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch._decomp import decomposition_table
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

from gradproof.numeric.exact.branches import Branches, user_line
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.storages import ExactStorage, ExactTensor, new_tensor
from gradproof.numeric.exact.values import Numbers, UndecidableError, Value

Handler = Callable[..., Any]
HANDLERS: dict[Any, Handler] = {}
"""What each operator does, by overload or by packet of overloads: called with the execution and its
arguments,
floating-point tensors as `Value`, others as they are."""

MAX_CONSTANT_ENTRIES = 1 << 20


def handles(*operators: Any) -> Callable[[Handler], Handler]:
    """Register what one or more operators do."""

    def register(handler: Handler) -> Handler:
        for operator in operators:
            HANDLERS[operator] = handler
        return handler

    return register


@dataclass
class Used:
    """What a run was made of: operators by the way in which they were executed."""

    operators: dict[str, str] = field(default_factory=dict[str, str])


class Execution(TorchDispatchMode):
    """One run: its systems of numbers, the comparisons that it met, and the tensors of the program's own."""

    def __init__(self, numbers: Numbers, branches: Branches, constants: Constants) -> None:
        super().__init__()
        self.numbers = numbers
        self.branches = branches
        self.constants = constants
        self.used = Used()
        self._lifted: dict[int, tuple[torch.UntypedStorage, ExactStorage]] = {}
        self._written: set[int] = set()

    # How an operator is answered

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _METADATA:
            return func(*tree_map_only(ExactTensor, lambda t: t.meta, args))
        leaves = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, torch.Tensor)]
        if not any(isinstance(leaf, ExactTensor) or leaf.is_floating_point() for leaf in leaves):
            return self._answer_data(func, args, kwargs, leaves)
        if any(leaf.is_complex() for leaf in leaves):
            raise UndecidableError(f"complex numbers ({func}) at {user_line()}")
        if _is_view(func):
            return self._answer_view(func, args, kwargs)
        if func._schema.is_mutable:
            return self._answer_in_place(func, args, kwargs)
        return self._answer(func, args, kwargs)

    def _answer_data(self, func: Any, args: Any, kwargs: Any, leaves: list[torch.Tensor]) -> Any:
        """Integers and booleans are computed as they are; floats that are made become exact constants."""
        handler = _handler(func)
        if handler is not None and handler in DATA_HANDLERS:
            result = handler(self, *args, **kwargs)
            return (
                new_tensor(result, kwargs.get("dtype") or torch.float64)
                if isinstance(result, Value)
                else result
            )
        result = func(*args, **kwargs)
        if func in _UNINITIALIZED:
            result = tree_map_only(torch.Tensor, lambda t: t.fill_(0), result)
        return tree_map_only(torch.Tensor, self._wrap_data, result)

    def _wrap_data(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point() or isinstance(tensor, ExactTensor):
            return tensor
        return new_tensor(self.constants.lift(self.numbers, tensor), tensor.dtype)

    def _answer_view(self, func: Any, args: Any, kwargs: Any) -> Any:
        base = self.lift(args[0])
        metas = tree_map_only(torch.Tensor, lambda t: self.lift(t).meta, (args, kwargs))
        views = func(*metas[0], **metas[1])
        return tree_map_only(torch.Tensor, lambda meta: ExactTensor(base.storage_, meta), views)

    def _answer_in_place(self, func: Any, args: Any, kwargs: Any) -> Any:
        written = _written(func, args, kwargs)
        functional = functional_of(func)
        if functional is None:
            raise UndecidableError(f"the operator {func} at {user_line()}")
        remaining = {name: value for name, value in kwargs.items() if name not in _out_names(func)}
        result = self._compute(functional, args, remaining)
        results = result if isinstance(result, tuple | list) else (result,)
        for target, source in zip(written, results, strict=False):
            self.write(target, source)
        return written[0] if len(written) == 1 else tuple(written)

    def _answer(self, func: Any, args: Any, kwargs: Any) -> Any:
        result = self._compute(func, args, kwargs)
        leaves, spec = tree_flatten(result, is_leaf=lambda leaf: isinstance(leaf, Value))
        if not any(isinstance(leaf, Value) for leaf in leaves):
            return result
        metas = self._metas(func, args, kwargs, len(leaves))
        dtype = next(
            (t.dtype for t in tree_flatten((args, kwargs))[0] if isinstance(t, ExactTensor)), torch.float64
        )
        wrapped = [
            self._wrap(leaf, meta, dtype) if isinstance(leaf, Value) else leaf
            for leaf, meta in zip(leaves, metas, strict=True)
        ]
        return spec.unflatten(wrapped)

    def _wrap(self, value: Value, meta: torch.Tensor | None, dtype: torch.dtype) -> ExactTensor:
        if meta is None or tuple(meta.size()) != value.shape:
            return new_tensor(value, dtype if meta is None else meta.dtype)
        return new_tensor(value, meta.dtype, like=meta)

    def _metas(self, func: Any, args: Any, kwargs: Any, count: int) -> list[torch.Tensor | None]:
        """How PyTorch would lay the results out; None where it does not say."""
        try:
            metas = tree_map_only(torch.Tensor, _to_meta, (args, kwargs))
            leaves = tree_flatten(func(*metas[0], **metas[1]))[0]
        except (RuntimeError, NotImplementedError, ValueError, TypeError):
            return [None] * count  # no such kernel, or one that needs the data: laid out contiguously
        if len(leaves) != count:
            return [None] * count
        return [leaf if isinstance(leaf, torch.Tensor) else None for leaf in leaves]

    def _compute(self, func: Any, args: Any, kwargs: Any) -> Any:
        handler = _handler(func)
        if handler is not None:
            self.used.operators[str(func)] = "executed"
            args, kwargs = tree_map(self._operand, (args, kwargs))
            return handler(self, *args, **kwargs)
        return self._decompose(func, args, kwargs)

    def _decompose(self, func: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = tree_map_only(torch.Tensor, self._lift_floats, (args, kwargs))
        decomposition = decomposition_table.get(func)
        with self:
            if decomposition is not None:
                result = decomposition(*args, **kwargs)
            else:
                result = func.decompose(*args, **kwargs) if isinstance(func, OpOverload) else NotImplemented
        if result is NotImplemented:
            raise UndecidableError(f"the operator {func} at {user_line()}")
        self.used.operators[str(func)] = "decomposition"
        return tree_map_only(ExactTensor, lambda t: t.read(), result)

    # Tensors

    def _operand(self, argument: Any) -> Any:
        if isinstance(argument, torch.Tensor) and (argument.is_floating_point()):
            return self.lift(argument).read()
        return argument

    def _lift_floats(self, tensor: torch.Tensor) -> torch.Tensor:
        return self.lift(tensor) if tensor.is_floating_point() else tensor

    def lift(self, tensor: torch.Tensor) -> ExactTensor:
        """A tensor of the program's own as exact constants; all views of one storage look into one exact
        storage.
        """
        if isinstance(tensor, ExactTensor):
            return tensor
        storage = tensor.untyped_storage()
        known = self._lifted.get(storage._cdata)
        if known is None:
            count = storage.nbytes() // tensor.element_size()
            if count > MAX_CONSTANT_ENTRIES:
                raise UndecidableError(f"a constant of {count} entries, more than {MAX_CONSTANT_ENTRIES}")
            whole = tensor.detach().as_strided((count,), (1,), 0)
            exact = ExactStorage(self.constants.lift(self.numbers, whole))
            self._lifted[storage._cdata] = (storage, exact)
        else:
            exact = known[1]
        meta = torch.empty(1, dtype=tensor.dtype, device="meta").as_strided((0,), (1,))
        meta = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")
        if tensor.storage_offset():
            extent = tensor.storage_offset() + meta.untyped_storage().nbytes() // meta.element_size()
            base = torch.empty(extent, dtype=tensor.dtype, device="meta")
            meta = base.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
        return ExactTensor(exact, meta)

    def write(self, target: torch.Tensor, source: Any) -> None:
        """Write a result into a tensor that the program changes in place."""
        if target.is_floating_point():
            value = source if isinstance(source, Value) else self.value_of(source)
            if not isinstance(target, ExactTensor):
                self._written.add(target.untyped_storage()._cdata)
            self.lift(target).write(value)
        else:
            target.copy_(source)

    def is_exact(self, tensor: torch.Tensor) -> bool:
        """Whether the memory of a tensor, if it has any, does not hold its numbers."""
        if isinstance(tensor, ExactTensor):
            return True
        return tensor.is_floating_point() and tensor.untyped_storage()._cdata in self._written

    def value_of(self, operand: Any) -> Value:
        """A number, or a tensor of any dtype, as exact numbers."""
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, ExactTensor):
            return operand.read()
        if isinstance(operand, torch.Tensor):
            return self.constants.lift(self.numbers, operand)
        return self.constants.scalar(self.numbers, operand)


DATA_HANDLERS: set[Handler] = set()
"""Handlers that also answer where no floating-point tensor is among the arguments."""

_METADATA = {
    torch.ops.aten.is_contiguous.default,
    torch.ops.aten.is_contiguous.memory_format,
    torch.ops.aten.size.default,
    torch.ops.aten.stride.default,
    torch.ops.aten.sym_size.default,
    torch.ops.aten.sym_stride.default,
    torch.ops.aten.sym_numel.default,
    torch.ops.aten.sym_storage_offset.default,
    torch.ops.aten.is_strides_like_format.default,
    torch.ops.aten.is_non_overlapping_and_dense.default,
    torch.ops.prim.layout.default,
}
_UNINITIALIZED = {
    torch.ops.aten.empty.memory_format,
    torch.ops.aten.empty_strided.default,
    torch.ops.aten.new_empty.default,
    torch.ops.aten.new_empty_strided.default,
}


def _handler(func: Any) -> Handler | None:
    found = HANDLERS.get(func)
    return HANDLERS.get(func.overloadpacket) if found is None else found


def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return any(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def _written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    written: list[torch.Tensor] = []
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            target = args[position] if position < len(args) else kwargs[argument.name]
            written.extend(target if isinstance(target, tuple | list) else [target])
    return written


def _out_names(func: Any) -> set[str]:
    return {
        a.name
        for a in func._schema.arguments
        if a.kwarg_only and a.alias_info is not None and a.alias_info.is_write
    }


def functional_of(func: Any) -> Any:
    """The overload that computes what `func` writes in place, or None."""
    namespace, name = func._schema.name.split("::")
    if not func._schema.name.endswith("_") or name.startswith("__"):
        packet = func.overloadpacket
    else:
        packet = getattr(getattr(torch.ops, namespace), name[:-1], None)
    if packet is None:
        return None
    outs = _out_names(func)
    wanted = [(a.name, str(a.type)) for a in func._schema.arguments if a.name not in outs]
    for overload in packet.overloads():
        candidate = getattr(packet, overload)
        if candidate._schema.is_mutable:
            continue
        if [(a.name, str(a.type)) for a in candidate._schema.arguments] == wanted:
            return candidate
    return None


def _to_meta(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.meta if isinstance(tensor, ExactTensor) else tensor.to("meta")


def fraction_of(number: int | float) -> Fraction:
    """The exact rational number that a Python number is."""
    return Fraction(number)

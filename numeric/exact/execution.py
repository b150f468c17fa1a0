"""Running a PyTorch program on exact numbers: every operator that it calls is answered here, none by floats.

Autograd runs above: the user's own backward and PyTorch's derivative formulas reach this mode as operators
too. What an operator does stands in `operators/`, one row each (`handlers.py`); views share storage by their
strides; what has no row is run by PyTorch's decomposition of it; what has none of these is undecidable, by
name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import torch
from torch._decomp import decomposition_table
from torch._ops import OpOverload
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from gradproof.numeric.exact.branches import Branches
from gradproof.numeric.exact.confirmation import confirm
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.frames import user_line
from gradproof.numeric.exact.handlers import BIT_VIEWS, DATA_HANDLERS, handler_of
from gradproof.numeric.exact.intervals import Interval
from gradproof.numeric.exact.layouts import (
    KNOWN_METAS,
    MAX_KNOWN,
    ask_for_metas,
    dtype_laid_out_plainly,
    signature,
)
from gradproof.numeric.exact.margins import keep_margin, margin_after, margin_of
from gradproof.numeric.exact.masks import bound_mask, decided_by, mark_decided, mask_bounds
from gradproof.numeric.exact.schemas import (
    _out_names,
    functional_of,
    map_tensors,
    python_code_of,
    tensors_in,
    traits_of,
    why_undecidable,
    written_by,
)
from gradproof.numeric.exact.storages import ExactStorage, ExactTensor, new_tensor, without_constant
from gradproof.numeric.exact.values import Numbers, UndecidableError, Value

MAX_CONSTANT_ENTRIES = 1 << 20


@dataclass
class Used:
    """What a run was made of: operators by the way in which they were executed."""

    operators: dict[str, str] = field(default_factory=dict[str, str])


class Bridge(Protocol):
    """What follows tensors into NumPy and back (`numpy_bridge.py`)."""

    makers: Mapping[Any, bool]

    def leave(self, tensor: ExactTensor, force: bool = False) -> Any: ...

    def enter(self, array: Any, copy: bool = False, **options: Any) -> torch.Tensor: ...

    def is_array(self, leaf: Any) -> bool: ...

    def resume(self) -> None: ...

    def suspend(self) -> None: ...


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
        self.called: Any = ()
        """The arguments of the operator that is answered, as tensors: how they are laid out."""
        self.still = False
        """Whether operators see numbers without their tangents."""
        self.scalars = False
        """Whether numbers have left the tensors (`scalars.py`)."""
        self.opaque: Callable[[], Any] | None = None
        """Computes what operators do that cannot be followed: the outputs of the program."""
        self.cut: int | None = None
        """The operator of the forward, by its number, whose results have no tangent."""
        self.forward: list[tuple[str, str]] = []
        """The operators of the forward and their lines, where `cut` is a number."""
        self._inside = False
        self.bridge: Bridge | None = None
        """Follows tensors that become NumPy's arrays, and back."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether PyTorch is to guard each call against its compiler, which it would import for that."""
        return "torch._dynamo" in sys.modules

    # How an operator is answered

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():  # what is called from here on is no call of the program's
            return self._dispatch_or_cut(func, args, kwargs)

    def _dispatch_or_cut(self, func: Any, args: Any, kwargs: Any) -> Any:
        if self.cut is None or self._inside or not self.branches.forward:
            return self._dispatch(func, args, kwargs or {})
        self._inside = True
        try:
            result = self._dispatch(func, args, kwargs or {})
        finally:
            self._inside = False
        self.forward.append((func.overloadpacket.__name__, user_line()))
        if len(self.forward) - 1 != self.cut:
            return result
        if func._schema.is_mutable:
            for target in written_by(func, args, kwargs or {}):
                self.write(target, self.value_of(target).without_tangent())
            return result
        return self._cut_off(result)

    def _cut_off(self, result: Any) -> Any:
        """The results of an operator, without tangents."""

        def still(tensor: ExactTensor) -> ExactTensor:
            return new_tensor(tensor.read().without_tangent(), tensor.dtype, like=tensor.meta)

        return tree_map_only(ExactTensor, still, result)

    def _dispatch(self, func: Any, args: Any, kwargs: Any) -> Any:
        if func is torch.ops.aten._has_same_storage_numel.default:
            return True  # tangents are laid out as what they belong to
        traits = traits_of(func)
        if traits.metadata:
            return func(*map_tensors(lambda t: t.meta if isinstance(t, ExactTensor) else t, args))
        leaves = tensors_in(args)
        if kwargs:
            leaves += tensors_in(tuple(kwargs.values()))
        if not any(isinstance(leaf, ExactTensor) or leaf.is_floating_point() for leaf in leaves):
            return self._answer_data(func, args, kwargs, leaves)
        if any(leaf.is_complex() for leaf in leaves):
            raise UndecidableError(f"complex numbers ({func}) at {user_line()}")
        if func is torch.ops.aten.lift_fresh.default:
            return self.lift(args[0])
        if traits.bit_view and (func is torch.ops.aten.view.dtype or _are_bits(args[0])):
            return BIT_VIEWS[func](self, *args)
        if not traits.bit_operator and any(map(_are_bits, leaves)):
            raise UndecidableError(f"the bits of a tensor ({func}) at {user_line()}")
        if traits.changes_view:
            return self._change_view(func, args, kwargs)
        if traits.composite and handler_of(func) is None:
            with self, torch._C._EnableTorchFunction():
                return func.decompose(*args, **kwargs)
        if traits.view:
            return self._answer_view(func, args, kwargs)
        if traits.mutable:
            return self._answer_in_place(func, args, kwargs)
        return self._answer(func, args, kwargs)

    def _answer_data(self, func: Any, args: Any, kwargs: Any, leaves: list[torch.Tensor]) -> Any:
        """Integers and booleans are computed as they are; floats that are made become exact constants."""
        handler = handler_of(func)
        if handler is not None and handler in DATA_HANDLERS:
            result = handler(self, *args, **kwargs)
            return (
                new_tensor(result, kwargs.get("dtype") or torch.float64)
                if isinstance(result, Value)
                else result
            )
        if func.overloadpacket in _COMPARISONS and len(args) == 2 and type(args[1]) is int:
            self.branches.record_data({args[1]})
        if func is torch.ops.aten.full.default and isinstance(args[1], float):
            return self._full(args[0], args[1], kwargs.get("dtype") or torch.get_default_dtype())
        result = func(*args, **kwargs)
        decided = {decided_by(leaf) for leaf in leaves} - {None}
        if decided and func is torch.ops.aten.equal.default:
            self.branches.record("torch.equal", {result}, {True, False}, "equality" in decided)
        if decided:
            made = [leaf for leaf in tree_flatten(result)[0] if isinstance(leaf, torch.Tensor)]
            if func._schema.is_mutable:
                made += written_by(func, args, kwargs)
            for leaf in made:
                mark_decided(leaf, "equality" if "equality" in decided else "order")
            if self.numbers.bounds is not None and isinstance(result, torch.Tensor):
                bound_mask(func, args, kwargs, result)
            if self.branches.wanted is not None and len(made) == 1:
                keep_margin(made[0], margin_after(func, args, kwargs))
            if any(leaf.dtype != torch.bool for leaf in made):
                for leaf in leaves:
                    self._record_mask(leaf)
        if leaves and handler is not None and isinstance(result, torch.Tensor) and result.is_floating_point():
            return self._answer(func, args, kwargs)  # numbers made of integers: exact, not rounded
        if func in _UNINITIALIZED:
            result = tree_map_only(torch.Tensor, lambda t: t.fill_(0), result)
        return tree_map_only(torch.Tensor, self._wrap_data, result)

    def _full(self, size: Any, number: float, dtype: torch.dtype) -> torch.Tensor:
        if not dtype.is_floating_point:
            return torch.full(tuple(size), number, dtype=dtype)
        return new_tensor(self.constants.scalar(self.numbers, number).expand(tuple(size)), dtype)

    def _wrap_data(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point() or isinstance(tensor, ExactTensor):
            return tensor
        if tensor._is_zerotensor():
            return self.lift(tensor)
        return new_tensor(self.constants.lift(self.numbers, tensor), tensor.dtype)

    def _answer_view(self, func: Any, args: Any, kwargs: Any) -> Any:
        base = self.lift(args[0])
        views = func(base.meta, *args[1:], **kwargs)

        def look(meta: torch.Tensor) -> ExactTensor:
            if meta.untyped_storage()._cdata != base.meta.untyped_storage()._cdata:
                raise UndecidableError(f"the operator {func}, which copied where a view was expected")
            return ExactTensor(base.storage_, meta)

        return look(views) if isinstance(views, torch.Tensor) else type(views)(look(view) for view in views)

    def _change_view(self, func: Any, args: Any, kwargs: Any) -> Any:
        """An operator that changes the sizes and strides of a tensor itself (`squeeze_`)."""
        target = args[0]
        if not isinstance(target, ExactTensor) or func.overloadpacket in _RESIZING:
            raise UndecidableError(f"the operator {func} at {user_line()}{why_undecidable(func)}")
        target.meta = torch.ops.aten.alias.default(target.meta)  # others may have the same
        func(target.meta, *args[1:], **kwargs)
        with no_dispatch():
            func(*args, **kwargs)
        return target

    def _answer_in_place(self, func: Any, args: Any, kwargs: Any) -> Any:
        written = written_by(func, args, kwargs)
        functional = functional_of(func)
        if functional is None:
            raise UndecidableError(f"the operator {func} at {user_line()}{why_undecidable(func)}")
        remaining = {name: value for name, value in kwargs.items() if name not in _out_names(func)}
        for argument in func._schema.arguments[len(args) :]:  # defaults that the other overload may not have
            if argument.has_default_value() and not argument.kwarg_only:
                remaining.setdefault(argument.name, argument.default_value)
        result = self._compute(functional, args, remaining)
        results = list(result) if isinstance(result, tuple | list) else [result]
        fresh = [r for r in func._schema.returns if r.alias_info is None]
        for target, source in zip(written, results[len(fresh) :], strict=False):
            self.write(target, source)
        if not fresh:
            return written[0] if len(written) == 1 else tuple(written)
        metas = self._metas(functional, args, remaining, len(results))
        answers = [
            self._wrap(r, meta, args[0].dtype) if isinstance(r, Value) else r
            for r, meta in zip(results[: len(fresh)], metas, strict=False)
        ]
        return answers[0] if len(answers) == 1 else tuple(answers)

    def _answer(self, func: Any, args: Any, kwargs: Any) -> Any:
        result = self._compute(func, args, kwargs)
        if isinstance(result, Value):
            dtype = dtype_laid_out_plainly(func, args, kwargs)
            if dtype is not None:
                return new_tensor(result, dtype)
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
        key = (func, signature(args), signature(tuple(kwargs.items())), torch.get_default_dtype())
        known = KNOWN_METAS.get(key)
        if known is None:
            if len(KNOWN_METAS) >= MAX_KNOWN:
                KNOWN_METAS.clear()
            known = KNOWN_METAS[key] = ask_for_metas(func, args, kwargs)
        return known if len(known) == count else [None] * count

    def _compute(self, func: Any, args: Any, kwargs: Any) -> Any:
        handler = handler_of(func)
        if handler is not None:
            traits = traits_of(func)
            self.used.operators[traits.name] = "transcription" if traits.backward else "executed"
            self.called = args
            operands = map_tensors(self._operand, args)
            named = kwargs
            if kwargs:
                named = dict(zip(kwargs, map_tensors(self._operand, tuple(kwargs.values())), strict=True))
            result = handler(self, *operands, **named)
        else:
            result = self._decompose(func, args, kwargs)
        confirm(self, func, args, kwargs, result)
        return result

    def _decompose(self, func: Any, args: Any, kwargs: Any) -> Any:
        args = map_tensors(self._lift_floats, args)
        kwargs = dict(zip(kwargs, map_tensors(self._lift_floats, tuple(kwargs.values())), strict=True))
        decomposition = decomposition_table.get(func)
        with self, torch._C._EnableTorchFunction():
            if decomposition is not None:
                result = decomposition(*args, **kwargs)
            else:
                result = func.decompose(*args, **kwargs) if isinstance(func, OpOverload) else NotImplemented
        if result is NotImplemented and func.namespace not in ("aten", "prims"):
            result = self._answer_custom(func, args, kwargs)
        if result is NotImplemented:
            raise UndecidableError(f"the operator {func} at {user_line()}{why_undecidable(func)}")
        traits = traits_of(func)
        self.used.operators[traits.name] = "transcription" if traits.backward else "decomposition"
        return tree_map_only(ExactTensor, lambda t: t.read(), result)

    def _answer_custom(self, func: Any, args: Any, kwargs: Any) -> Any:
        """An operator of the user's: its own Python code, or the reference in place of what is opaque."""
        if self.opaque is not None:
            opaque, self.opaque = self.opaque, None
            try:
                with self, torch._C._EnableTorchFunction(), torch.no_grad():
                    return opaque()
            finally:
                self.opaque = opaque
        code = python_code_of(func)
        if code is None:
            return NotImplemented
        with self, torch._C._EnableTorchFunction():
            return code(*args, **kwargs)

    # Tensors

    def _operand(self, tensor: torch.Tensor) -> Any:
        return self._read(self.lift(tensor)) if tensor.is_floating_point() else tensor

    def _read(self, tensor: ExactTensor) -> Value:
        return tensor.read().without_tangent() if self.still else tensor.read()

    def _lift_floats(self, tensor: torch.Tensor) -> torch.Tensor:
        return self.lift(tensor) if tensor.is_floating_point() else tensor

    def lift(self, tensor: torch.Tensor) -> ExactTensor:
        """A tensor of the program's own as exact constants; all views of one storage look into one exact
        storage.
        """
        if isinstance(tensor, ExactTensor):
            return tensor
        if tensor._is_zerotensor():
            return new_tensor(self.numbers.zeros(tuple(tensor.shape)), tensor.dtype)
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
            if not target.numel() and isinstance(source, torch.Tensor):
                target.resize_(source.shape)  # as an operator does with an empty `out`
            target.copy_(source)

    def is_exact(self, tensor: torch.Tensor) -> bool:
        """Whether the memory of a tensor, if it has any, does not hold its numbers."""
        if isinstance(tensor, ExactTensor):
            return True
        return tensor.is_floating_point() and tensor.untyped_storage()._cdata in self._written

    def _record_mask(self, tensor: torch.Tensor) -> None:
        """Booleans that comparisons made and that are reckoned with as numbers: both outcomes are sides."""
        if tensor.dtype == torch.bool and tensor.numel() and decided_by(tensor) is not None:
            self.record_choice("a mask", tensor)

    def record_choice(self, what: str, mask: torch.Tensor, met: set[object] | None = None) -> None:
        """Both sides of booleans are wanted, but those that bounds exclude."""
        outcomes = {bool(side) for side in mask.unique()} if met is None else met
        bounds = mask_bounds(mask)
        never: set[object] = set()
        if bounds is not None:
            never = {False} if bool(bounds[0].all()) else {True} if not bool(bounds[1].any()) else set()
        self.branches.record(
            what, outcomes, {True, False}, decided_by(mask) == "equality", margin_of(mask), never
        )

    def value_of(self, operand: Any) -> Value:
        """A number, or a tensor of any dtype, as exact numbers."""
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, ExactTensor):
            return self._read(operand)
        if isinstance(operand, torch.Tensor):
            value = self.constants.lift(self.numbers, operand)
            if decided_by(operand) is None:
                return value
            self._record_mask(operand)
            return without_constant(value.of_unknown(Interval(0, 1) if operand.dtype == torch.bool else None))
        return self.constants.scalar(self.numbers, operand)


def _are_bits(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, ExactTensor) and not tensor.is_floating_point()


_COMPARISONS = {
    torch.ops.aten.eq,
    torch.ops.aten.ne,
    torch.ops.aten.lt,
    torch.ops.aten.le,
    torch.ops.aten.gt,
    torch.ops.aten.ge,
}
_UNINITIALIZED = {
    torch.ops.aten.empty.memory_format,
    torch.ops.aten.empty_strided.default,
    torch.ops.aten.new_empty.default,
    torch.ops.aten.new_empty_strided.default,
}


_RESIZING = {torch.ops.aten.resize_, torch.ops.aten.resize_as_, torch.ops.aten.set_}


def fraction_of(number: int | float) -> Fraction:
    """The exact rational number that a Python number is."""
    return Fraction(number)

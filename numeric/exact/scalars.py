"""What leaves a tensor for Python: followed as an exact scalar, or stopped; never a constant."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.frames import is_the_users, may_be_caught, user_line
from gradproof.numeric.exact.masks import decided_by
from gradproof.numeric.exact.reals import Balls, RoundedAwayError
from gradproof.numeric.exact.storages import ExactTensor
from gradproof.numeric.exact.values import UndecidableError


class EscapedError(UndecidableError):
    """A value left the tensors in a way that cannot be followed."""

    namespace: dict[str, Any] | None = None
    """The global names of the program that called `float()`."""


def _float_escapes() -> EscapedError:
    error = EscapedError(f"float() of a tensor at {user_line()}")
    frame = sys._getframe(1)
    while frame is not None and not is_the_users(frame.f_code.co_filename):
        frame = frame.f_back
    error.namespace = None if frame is None else frame.f_globals
    return error


_RUN: ContextVar[Execution | None] = ContextVar("RUN", default=None)
"""What follows the program that runs."""


class TextError(EscapedError):
    """A value is written as text: to be shown, or to be read."""


class ExactScalar:
    """A number that `item()` returned: arithmetic and comparisons go on in the tensor that it came from.

    Autograd does not see where it came from, so the tensor is detached; its exact tangents stay.
    """

    def __init__(self, tensor: ExactTensor) -> None:
        self.tensor = tensor

    def __bool__(self) -> bool:
        return bool(self.tensor != 0)

    def __float__(self) -> float:
        shown = shown_in_floats(self.tensor)
        if shown is not None:
            return float(shown)
        raise _float_escapes()

    def __int__(self) -> int:
        shown = shown_in_floats(self.tensor)
        if shown is not None:
            return int(shown)
        raise EscapedError(f"int() of a tensor at {user_line()}")

    __index__ = __int__
    __complex__ = __float__

    def __format__(self, spec: str) -> str:
        raise TextError(f"a number is written as text at {user_line()}")

    def __repr__(self) -> str:
        return format(self)

    def __hash__(self) -> int:
        """The same for all: keys are compared with one another, though not with those that are numbers."""
        self.tensor.read().numbers.open[f"a tensor's value used as a key at {user_line()}"] = None
        return 0


def _delegate(name: str, function: Callable[..., Any], reflected: bool = False) -> None:
    def method(self: ExactScalar, *others: Any) -> Any:
        plain = [other.tensor if isinstance(other, ExactScalar) else other for other in others]
        operands = (*plain, self.tensor) if reflected else (self.tensor, *plain)
        if not any(isinstance(other, torch.Tensor) for other in others):
            _refuse_zero(function, *operands)
        result = function(*operands)
        if isinstance(result, ExactTensor):
            return ExactScalar(result) if result.ndim == 0 else result
        return bool(result) if isinstance(result, torch.Tensor) and result.ndim == 0 else result

    setattr(ExactScalar, name, method)


def _refuse_zero(function: Callable[..., Any], *operands: Any) -> None:
    """Numbers of Python's are not divided by 0, nor is 0 raised to a negative power."""
    if function is operator.truediv:
        divisor, what = operands[1], "a division"
    elif function is operator.pow and isinstance(operands[1], int | float) and operands[1] < 0:
        divisor, what = operands[0], "a power"
    else:
        return
    if isinstance(divisor, ExactTensor) and _side(divisor, 0, what, equality=True) == 0:
        raise ZeroDivisionError("float division by zero")


def _side(number: ExactTensor, bound: int, what: str, equality: bool = False) -> int:
    """The sign of a number less a bound, where only one of them is no error: the others are demanded where
    the program may catch it.
    """
    run = _RUN.get()
    if run is None:
        return 1
    value = run.value_of(number)
    return int(run.branches.compare(value, run.value_of(bound), what, equality, demanded=may_be_caught()))


for _name in ("add", "sub", "mul", "truediv", "pow"):
    _delegate(f"__{_name}__", getattr(operator, _name))
    _delegate(f"__r{_name}__", getattr(operator, _name), reflected=True)
for _name in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs"):
    _delegate(f"__{_name}__", getattr(operator, _name))

_ITEM = {torch.Tensor.item, torch.Tensor.__float__, torch.Tensor.__int__, torch.Tensor.__index__}
_PLAIN: dict[Any, Callable[[Any], Any]] = {
    torch.Tensor.item: float,
    torch.Tensor.__float__: float,
    torch.Tensor.__int__: int,
    torch.Tensor.__index__: int,
}
_ARRAYS = {torch.Tensor.numpy, torch.Tensor.__array__}
_MEMORY = {
    torch.Tensor.numpy,
    torch.Tensor.__array__,
    torch.Tensor.data_ptr,
    torch.Tensor.untyped_storage,
    torch.Tensor.storage,
    torch.Tensor.__reduce_ex__,
    torch.Tensor.__dlpack__,
}
_TEXT = {torch.Tensor.__format__, torch.Tensor.__repr__}
_STATE = {
    torch.Tensor._is_view,
    torch.Tensor.is_inference,
    torch.Tensor._base.__get__,  # pyright: ignore
    torch.Tensor._version.__get__,  # pyright: ignore
    torch.Tensor.grad_fn.__get__,  # pyright: ignore
    torch.Tensor.is_leaf.__get__,  # pyright: ignore
    torch.Tensor.output_nr.__get__,  # pyright: ignore
    torch.Tensor.retains_grad.__get__,  # pyright: ignore
}
"""What a tensor is beside its numbers, and exact ones are not: how it came about, and where it lies."""
_EXECUTION = Execution.__torch_dispatch__.__code__.co_filename
_DATA_OUT = {torch.Tensor.tolist, *_ITEM, *_MEMORY}
_DISPATCHING = {__file__, torch.overrides.__file__, torch.Tensor.__repr__.__code__.co_filename}


def _by_the_user() -> bool:
    """Whether the program itself calls, and not what executes one of its operators."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != _EXECUTION:
        if is_the_users(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


def called_by_the_user() -> bool:
    """Whether the innermost line outside of this package and of PyTorch's dispatching is the program's."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename in _DISPATCHING:
        frame = frame.f_back
    return frame is not None and is_the_users(frame.f_code.co_filename)


class EscapeGuard(TorchFunctionMode):
    """Intercepts the ways out of tensors while a program runs."""

    def __init__(self, run: Execution) -> None:
        super().__init__()
        self.run = run
        self._following = ExitStack()

    def __enter__(self) -> Any:
        self._following.enter_context(followed())
        self._following.callback(_RUN.reset, _RUN.set(self.run))
        if self.run.bridge is not None:
            self.run.bridge.resume()
        return super().__enter__()

    def __exit__(self, *error: Any) -> Any:
        self._following.close()
        if self.run.bridge is not None:
            self.run.bridge.suspend()
        return super().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        bridge = self.run.bridge
        if bridge is not None and func in bridge.makers and args and bridge.is_array(args[0]):
            return bridge.enter(args[0], bridge.makers[func], **kwargs)
        if args and isinstance(args[0], torch.Tensor):
            if func is torch.Tensor.numpy and bridge is not None and _is_followed(args[0]):
                return bridge.leave(args[0], **kwargs)
            answered = self._leave(func, args[0])
            if answered is not NotImplemented:
                return answered
        if self.run.scalars:
            args, kwargs = tree_map(_unwrap, (args, kwargs))
        return func(*args, **kwargs)

    def _leave(self, func: Any, tensor: torch.Tensor) -> Any:
        if func is torch.Tensor.storage_offset and called_by_the_user():
            # It is told, but not all of them are tried.
            self.run.numbers.open[f"where a tensor lies (storage_offset) is read at {user_line()}"] = None
        if func in _STATE and called_by_the_user():
            name = getattr(func, "__self__", func).__name__
            raise EscapedError(f"how a tensor came about ({name}) is read at {user_line()}")
        if func in _TEXT and (self.run.is_exact(tensor) or decided_by(tensor) is not None):
            raise TextError(f"a tensor is written as text at {user_line()}")
        if isinstance(tensor, ExactTensor):
            self.run.scalars |= func is torch.Tensor.item or func is torch.Tensor.tolist
            if func is torch.Tensor.item:
                return ExactScalar(_scalar(tensor))
            if func is torch.Tensor.tolist:
                return _to_list(tensor)
            wanted = func in _ITEM or func in _ARRAYS
            shown = shown_in_floats(tensor) if wanted else None
            if shown is not None:
                return shown if func in _ARRAYS else _PLAIN[func](shown.item())
            if func is torch.Tensor.__float__:
                raise _float_escapes()
            if func in _ITEM:
                raise EscapedError(f"{func.__name__.strip('_')}() of a tensor at {user_line()}")
            if func is torch.Tensor.__bool__:
                return bool((tensor != 0).item())
        if func in _MEMORY and self.run.is_exact(tensor):
            raise EscapedError(
                f"the memory of a tensor ({func.__name__.strip('_')}) is read at {user_line()}"
            )
        if tensor.is_floating_point():
            return NotImplemented
        if func in (torch.Tensor.__bool__, torch.Tensor.item):
            return self._data_item(func, tensor)
        let_out = JITTER.get() is not None  # at a point in balls, where comparisons are decided for certain
        if func in _DATA_OUT and decided_by(tensor) is not None and _by_the_user() and not let_out:
            raise EscapedError(f"what comparisons decided leaves the tensors at {user_line()}")
        return NotImplemented

    def _data_item(self, func: Any, tensor: torch.Tensor) -> Any:
        value = func(tensor)
        if (
            tensor.dtype != torch.bool
            and func is torch.Tensor.item
            and decided_by(tensor) is not None
            and _by_the_user()
            and JITTER.get() is None
        ):
            raise EscapedError(f"what comparisons decided leaves the tensors at {user_line()}")
        if tensor.dtype == torch.bool and (func is torch.Tensor.__bool__ or _by_the_user()):
            if decided_by(tensor) is not None:
                self.run.record_choice("a Python branch", tensor, {value})
            else:
                self.run.branches.record("a Python branch", {value}, {value})
        return value


def _is_followed(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, ExactTensor) and JITTER.get() is None


JITTER: ContextVar[float | None] = ContextVar("JITTER", default=None)
"""By how much values that leave the tensors are changed, in a run that lets them; None in any other run."""


def shown_in_floats(tensor: ExactTensor) -> NDArray[np.float64] | None:
    """The floats that a program would see, in a run in balls that lets values escape; else None.

    Such a run is repeated with other `JITTER`: what it finds counts only if it does not depend on them.
    """
    jitter = JITTER.get()
    value = tensor.read()
    if jitter is None or not isinstance(value.numbers.reals, Balls):
        return None
    tangent = value.limit.tangent
    if value.numbers.forward and tangent is not None and np.any(tangent != 0):
        return None  # the derivative of what leaves the forward would be lost
    floats = np.array([float(ball.mid()) for ball in value.reals.reshape(-1)], dtype=np.float64)
    finite = [ball.is_finite() for ball in value.reals.reshape(-1)]
    if not np.all(np.isfinite(floats) | ~np.array(finite, dtype=bool)):
        raise RoundedAwayError
    return (floats * (1 + jitter)).reshape(value.shape)


def _unwrap(leaf: Any) -> Any:
    return leaf.tensor if isinstance(leaf, ExactScalar) else leaf


def _scalar(tensor: Any) -> Any:
    detached = tensor.detach()
    return detached if tensor.ndim == 0 else detached.reshape(())


def _to_list(tensor: ExactTensor) -> Any:
    if tensor.ndim == 0:
        return ExactScalar(_scalar(tensor))
    return [_to_list(entry) for entry in tensor.unbind(0)]  # pyright: ignore[reportArgumentType]


# What is called with a number of Python's, and goes on with one that is followed


class _FollowedMeta(type):
    def __call__(cls, *arguments: Any) -> Any:
        if arguments and isinstance(arguments[0], ExactTensor) and arguments[0].numel() == 1:
            return ExactScalar(_scalar(arguments[0]))
        return arguments[0] if arguments and isinstance(arguments[0], ExactScalar) else float(*arguments)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, float | ExactScalar)


class FollowedFloat(float, metaclass=_FollowedMeta):
    """`float`, in a program that calls it with tensors: these remain exact."""

    dtype = np.dtype(np.float64)


FOLLOWED: ContextVar[Sequence[dict[str, Any]]] = ContextVar("FOLLOWED", default=())
"""The global names of programs in which `float` is `FollowedFloat`."""
_OF_MATH = (
    "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos",
    "atan", "erf", "fabs", "floor", "ceil", "isnan", "isfinite", "isinf",
)  # fmt: skip


_OUTSIDE: dict[str, Callable[[ExactTensor], bool]] = {
    "sqrt": lambda x: _side(x, 0, "sqrt") < 0,
    "log": lambda x: _side(x, 0, "log") <= 0,
    "log1p": lambda x: _side(x, -1, "log1p") <= 0,
    "asin": lambda x: _side(x, 1, "asin") > 0 or _side(x, -1, "asin") < 0,
    "acos": lambda x: _side(x, 1, "acos") > 0 or _side(x, -1, "acos") < 0,
}
"""Where functions of `math` raise an error and those of tensors return NaN or an infinity."""


@lru_cache(maxsize=64)
def _of_math(name: str, own: Callable[..., Any]) -> Callable[..., Any]:
    function = torch.abs if name == "fabs" else getattr(torch, name)

    def call(*arguments: Any) -> Any:
        if len(arguments) == 1 and isinstance(arguments[0], ExactScalar | ExactTensor):
            tensor = arguments[0].tensor if isinstance(arguments[0], ExactScalar) else _scalar(arguments[0])
            if name in _OUTSIDE and _OUTSIDE[name](tensor):
                raise ValueError("math domain error")
            result = function(tensor)
            return ExactScalar(result) if isinstance(result, ExactTensor) else bool(result)
        return own(*arguments)

    return call


@contextmanager
def followed() -> Iterator[None]:
    """Within, functions of `math` take exact scalars, and `float` does in the programs of `FOLLOWED`."""
    if JITTER.get() is not None:
        yield
        return
    before = {name: getattr(math, name) for name in _OF_MATH}
    spaces = [space for space in FOLLOWED.get() if "float" not in space]
    for name, own in before.items():
        setattr(math, name, _of_math(name, own))
    for space in spaces:
        space["float"] = FollowedFloat
    try:
        yield
    finally:
        for name, own in before.items():
            setattr(math, name, own)
        for space in spaces:
            del space["float"]

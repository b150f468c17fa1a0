"""Exact numbers in the place of NumPy arrays and scalars: no readable memory, so that no value escapes
unseen.

An array looks into a store through `spots`, an array of positions with the strides that the real array
would have. So NumPy itself tells, on the spots, what is a view and what is a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.lib.stride_tricks import as_strided

from gradproof.numeric.exact.duals import Array, Shape
from gradproof.numeric.exact.frames import user_line
from gradproof.numeric.exact.scalars import TextError
from gradproof.numeric.exact.storages import ExactStorage, gather
from gradproof.numeric.exact.values import Value


class Store:
    """What the memory of an array is: exact numbers on one axis, shared by all views of it."""

    def __init__(self, memory: Value | ExactStorage) -> None:
        self.storage = memory if isinstance(memory, ExactStorage) else ExactStorage(memory)
        """What a tensor may share."""
        self.written: str | None = None
        """The line that wrote into it last."""

    @property
    def value(self) -> Value:
        return self.storage.value

    def read(self, spots: Array) -> Value:
        return self.value.map(lambda array: np.asarray(array[..., spots]))

    def write(self, value: Value, spots: Array) -> None:
        """Write the entries of `value`, of the shape of `spots`; of a spot that occurs twice the last one
        counts.
        """
        self.written = user_line()
        count = self.value.shape[0]
        taken = np.arange(count)
        taken[spots.reshape(-1)] = count + np.arange(spots.size)
        if np.all(taken >= count):
            self.storage.replace(gather([value], taken - count))
        else:
            self.storage.replace(gather([self.value, value], taken))


class Exact(NDArrayOperatorsMixin):
    """An array or a scalar of exact numbers: NumPy's protocols, attributes and ways out."""

    def __init__(self, run: Any, store: Store, spots: Array, dtype: np.dtype[Any]) -> None:
        self.run, self.store, self.spots, self._dtype = run, store, spots, dtype
        self.counted: tuple[str, int] | None = None
        """Where the length depends on a comparison: what it counts, and how many there may be at most."""

    def read(self) -> Value:
        return self.store.read(self.spots)

    def write(self, value: Value) -> None:
        if not self.spots.flags.writeable:
            raise ValueError("assignment destination is read-only")
        self.store.write(value.expand(self.spots.shape), self.spots)

    def shadow(self) -> Any:
        """A real array of ones of the same shape, strides and dtype: to learn what NumPy would make of it."""
        spots, item = self.spots, self._dtype.itemsize
        if (spots.flags.c_contiguous and spots.flags.writeable) or spots.size == 0:
            return np.ones(spots.shape, self._dtype)
        strides = tuple(step // 8 * item for step in spots.strides)
        reach = [(n - 1) * step for n, step in zip(spots.shape, strides, strict=True)]
        low, high = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
        buffer = np.ones((high - low) // item + 1, self._dtype)
        return as_strided(buffer[-low // item :], spots.shape, strides, writeable=spots.flags.writeable)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.run.answer_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.run.answer_function(function, args, kwargs)

    # Attributes

    def _counted_shape(self) -> Shape:
        if self.counted is not None:
            self.run.count(self.counted, self.spots.shape[0] if self.spots.ndim else 1)
        return self.spots.shape

    @property
    def shape(self) -> Shape:
        return self._counted_shape()

    @shape.setter
    def shape(self, shape: Any) -> None:
        self.spots.shape = shape

    @property
    def size(self) -> int:
        self._counted_shape()
        return self.spots.size

    @property
    def ndim(self) -> int:
        return self.spots.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._dtype

    @property
    def itemsize(self) -> int:
        return self._dtype.itemsize

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def strides(self) -> Shape:
        return self.shadow().strides

    @property
    def flags(self) -> Any:
        return self.shadow().flags

    @property
    def T(self) -> Any:  # noqa: N802
        return self.run.move(np.transpose, (self,), {})

    @property
    def mT(self) -> Any:  # noqa: N802
        return self.run.move(np.matrix_transpose, (self,), {})

    @property
    def real(self) -> Any:
        return self

    @property
    def imag(self) -> Any:
        return np.zeros_like(self)  # pyright: ignore[reportCallIssue, reportArgumentType]

    @property
    def flat(self) -> Any:
        """All entries on one axis; a view where the array is contiguous."""
        flat = self.run.move(np.ravel, (self,), {})
        return flat if flat.store is self.store else self.run.fail("flat of an array that is not contiguous")

    def __len__(self) -> int:
        if not self.spots.ndim:
            raise TypeError("len() of unsized object")
        return self._counted_shape()[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.spots.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        return self.run.read_at(self, key)

    def __contains__(self, number: Any) -> bool:
        return bool(np.any(self == number))

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    # Methods that are more than a function of NumPy

    def copy(self, order: Any = "C") -> Any:
        return self.run.move(np.ndarray.copy, (self, order), {})

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        if np.dtype(dtype) == self._dtype and not copy:
            return self
        return self.run.convert(self, np.dtype(dtype))

    def view(self, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            self.run.fail("the memory of an array (view)")
        return self.run.move(np.ndarray.view, (self,), {})

    def clip(self, min: Any = None, max: Any = None, **rest: Any) -> Any:
        return np.clip(self, min, max, **rest)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def item(self, *args: Any) -> Any:
        if args:
            return self[args[0] if len(args) == 1 and isinstance(args[0], tuple) else args]
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.run.move(np.ndarray.reshape, (self, ()), {})[()]

    # Ways out

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        self.run.fail("the memory of an array")

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous.")
        return bool(np.not_equal(self.item(), 0))

    def __float__(self) -> float:
        return self.run.fail("float() of an exact number")

    def __int__(self) -> int:
        return self.run.fail("int() of an exact number")

    def __index__(self) -> int:
        raise TypeError("only integer scalar arrays can be converted to a scalar index")

    def __complex__(self) -> complex:
        return self.run.fail("complex() of an exact number")

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.run.fail("the memory of an array (pickle)")

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.run.fail("an exact number as a key")

    def __repr__(self) -> str:
        raise TextError(f"an array is written as text at {user_line()}")

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(f"'numpy.ndarray' object has no attribute {name!r}")
        return self.run.fail(f"the memory of an array ({name})")


class ExactArray(Exact):
    """An array: it can be changed in place."""

    # To `isinstance` it is what it stands for.
    __class__ = property(lambda self: np.ndarray)  # pyright: ignore

    def __setitem__(self, key: Any, value: Any) -> None:
        self.run.write_at(self, key, value)

    def fill(self, number: Any) -> None:
        self[...] = number

    def sort(self, axis: int = -1, kind: Any = None, order: Any = None) -> None:
        self[...] = np.sort(self, axis)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def put(self, indices: Any, values: Any, mode: Any = "raise") -> None:
        np.put(self, indices, values, mode)  # pyright: ignore[reportArgumentType]

    def setflags(self, write: bool = True) -> None:
        self.spots.setflags(write=write)


class ExactNumber(Exact):
    """A scalar: `s += 1` makes another one."""

    __class__ = property(lambda self: self._dtype.type)  # pyright: ignore

    def shadow(self) -> Any:
        return self._dtype.type(1)


def _rebind(name: str) -> None:
    plain = getattr(NDArrayOperatorsMixin, f"__{name}__")
    setattr(ExactNumber, f"__i{name}__", lambda self, other: plain(self, other))


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    _rebind(_name)


def _by_function(name: str) -> None:
    setattr(Exact, name, lambda self, *args, **kwargs: getattr(np, name)(self, *args, **kwargs))


def _by_moving(name: str) -> None:
    method = getattr(np.ndarray, name)
    setattr(Exact, name, lambda self, *args, **kwargs: self.run.move(method, (self, *args), kwargs))


for _name in (
    "sum", "prod", "mean", "var", "std", "cumsum", "cumprod", "max", "min", "argmax", "argmin", "all", "any",
    "round", "dot", "trace", "argsort", "nonzero", "conj", "conjugate", "searchsorted", "argpartition",
    "choose", "take",
):  # fmt: skip
    _by_function(_name)
for _name in (
    "reshape",
    "transpose",
    "swapaxes",
    "ravel",
    "flatten",
    "squeeze",
    "diagonal",
    "repeat",
    "compress",
):
    _by_moving(_name)


def layout(shadow: Any) -> Array:
    """Spots of a store of its own, for an array with the strides of `shadow`."""
    spots = np.empty_like(shadow, dtype=np.int64, subok=False)
    spots.ravel(order="K")[...] = np.arange(spots.size)
    return spots

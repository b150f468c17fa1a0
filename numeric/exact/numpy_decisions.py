"""Truth values and integers that comparisons of exact numbers gave: data, of which it is remembered how it
came about.

Where they are used - to choose, to branch, to count - both sides must be met before a program is proved. A
view shares its origin with the array that it looks into. Arrays that a program allocates start without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.frames import user_line
from gradproof.numeric.exact.numpy_arrays import Exact
from gradproof.numeric.exact.scalars import TextError


@dataclass
class Origin:
    """What comparisons had a part in an array."""

    decided: bool = False
    """Some comparison of exact numbers had."""
    forced: bool = False
    """One had of which both sides are open: not of equality, which holds nowhere or only by the way."""
    unknown: bool = False
    """Not all the values are known that it may have."""
    compared: bool = False
    """It is what one comparison said, whose sides are asked for there, entry by entry."""

    def join(self, other: Origin) -> None:
        self.compared = False
        self.decided |= other.decided
        self.forced |= other.forced
        self.unknown |= other.unknown


class Decision(NDArrayOperatorsMixin):
    """Truth values or integers with their origin, in the place of a NumPy array."""

    __class__ = property(lambda self: np.ndarray)  # pyright: ignore

    def __init__(self, run: Any, array: Any, origin: Origin) -> None:
        self.run, self.array, self.origin = run, np.asarray(array), origin
        self.scalar = isinstance(array, np.generic)
        """Whether NumPy would give a scalar: `s += 1` makes another one."""
        self.counted: tuple[str, int] | None = None
        self.place = ""
        """Which entry of an array it is, where a program goes through them: so `all(mask)` is no single
        branch.
        """

    def use(self, what: str) -> Array:
        """The plain array, where its values tell what is computed: records the sides met and those open."""
        if self.origin.forced and not self.origin.compared and self.array.size:
            if self.array.dtype == np.bool_:
                self.run.branches.record(what, {bool(side) for side in np.unique(self.array)}, {True, False})
            elif self.origin.unknown:
                self.run.branches.record(what, {"some values"}, {"some values", "all the values it may have"})
        return self.array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Exact) for x in (*inputs, *kwargs.get("out", ()))):
            return NotImplemented
        return self.run.decide_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.run.answer_function(function, args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        return self.run.decide(lambda array: array[self.run.key_of(key)], (self,), {}, settled=True)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, Exact):
            self.run.fail("an exact number written into an array of integers")
        if isinstance(value, list | tuple):
            value = self.run.assemble_data(value)
        if isinstance(value, Decision):
            if value.array.dtype != self.array.dtype:
                self.run.fail("what a comparison decided, converted by an assignment")
            self.origin.join(value.origin)
            value = value.array
        self.array[self.run.key_of(key)] = value

    def __iter__(self) -> Iterator[Any]:
        count = len(self)
        for k in range(count):
            entry = self[k]
            entry.place = f" on entry {k} of {count}{self.place}"
            yield entry

    def __len__(self) -> int:
        self._count()
        return len(self.array)

    @property
    def shape(self) -> Any:
        self._count()
        return self.array.shape

    @property
    def size(self) -> int:
        self._count()
        return self.array.size

    def _count(self) -> None:
        if self.counted is not None:
            self.run.count(self.counted, self.array.shape[0])

    @property
    def T(self) -> Any:  # noqa: N802
        return self.run.decide(np.transpose, (self,), {}, settled=True)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        return self.run.convert_decision(self, np.dtype(dtype))

    # Ways out

    def _leave(self, what: str) -> Array:
        return self.run.fail(f"{what} of what a comparison decided") if self.origin.decided else self.array

    def __bool__(self) -> bool:
        value = bool(self.array)
        self.use(f"a Python branch{self.place}") if self.array.dtype == np.bool_ else bool(self != 0)
        return value

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        array = self._leave("the memory")
        return array if dtype is None else array.astype(dtype)

    def __int__(self) -> int:
        return int(self._leave("int()"))

    def __index__(self) -> int:
        return self._leave("int()").__index__()

    def __float__(self) -> float:
        return float(self._leave("float()"))

    def item(self, *args: Any) -> Any:
        return bool(self) if self.array.dtype == np.bool_ and not args else self._leave("item()").item(*args)

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return hash(self._leave("the value as a key").item())

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.run.fail("the memory of an array (pickle)")

    def __repr__(self) -> str:
        raise TextError(f"what comparisons decided is written as text at {user_line()}")

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(f"'numpy.ndarray' object has no attribute {name!r}")
        if name in _ABOUT:
            return getattr(self.array, name)
        if name in _AS_FUNCTIONS:
            return lambda *args, **kwargs: getattr(np, name)(self, *args, **kwargs)
        if name in _MOVES:
            method = getattr(np.ndarray, name)
            return lambda *args, **kwargs: self.run.decide(method, (self, *args), kwargs, settled=True)
        return getattr(self._leave(f"the memory ({name})"), name)


_ABOUT = {"dtype", "device", "ndim", "itemsize", "nbytes", "strides", "flags"}
_AS_FUNCTIONS = {
    "sum", "prod", "mean", "var", "std", "cumsum", "cumprod", "max", "min", "argmax", "argmin", "all",
    "any", "nonzero",
    "clip", "dot", "argsort",
}  # fmt: skip
_MOVES = {
    "reshape", "transpose", "swapaxes", "ravel", "flatten", "squeeze", "diagonal", "take", "repeat", "copy",
    "compress",
}  # fmt: skip

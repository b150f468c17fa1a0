"""While a program runs, what it calls to make arrays makes exact ones: `np.zeros`, `np.array([a, b])`;
`math.exp` too.

Nothing is changed in NumPy, on which compiled code rests: in the program's own modules the names that stand
for NumPy, for `math`, for `scipy.special` and for functions of theirs are exchanged, and put back. Other
threads find what was there before.
"""

from __future__ import annotations

import inspect
import math
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial, wraps
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gradproof.numeric import arrays, special
from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.frames import is_the_users
from gradproof.numeric.exact.numpy_arrays import Exact
from gradproof.numeric.exact.numpy_decisions import Decision
from gradproof.numeric.exact.numpy_execution import NumpyExecution
from gradproof.numeric.exact.numpy_functions import SCIPY_FUNCTIONS
from gradproof.numeric.exact.numpy_tables import leaves
from gradproof.numeric.exact.numpy_ufuncs import MATH
from gradproof.numeric.exact.values import Value
from gradproof.numeric.kernels import GENERATED

Answer = Callable[..., Any]


def _made(
    run: NumpyExecution, original: Any, value: Callable[[Any], Value], *args: Any, **kwargs: Any
) -> Any:
    """What NumPy would make, with exact numbers in it; integers and truth values as data that may be
    decided.
    """
    shadow = original(*args, **kwargs)
    if shadow.dtype.kind == "f":
        return run.wrap(value(shadow), shadow)
    return run.data(shadow) if shadow.dtype.kind in "biu" else shadow


def _zeros(run: NumpyExecution, original: Any, *args: Any, **kwargs: Any) -> Any:
    return _made(run, original, lambda shadow: run.numbers.zeros(shadow.shape), *args, **kwargs)


def _empty(run: NumpyExecution, original: Any, *args: Any, **kwargs: Any) -> Any:
    return _made(run, original, lambda shadow: run.unset(shadow.shape), *args, **kwargs)


def _constant(run: NumpyExecution, original: Any, *args: Any, **kwargs: Any) -> Any:
    return _made(run, original, run.value_of, *args, **kwargs)


def _ranged(run: NumpyExecution, original: Any, *args: Any, **kwargs: Any) -> Any:
    made = original(*args, **kwargs)
    exact = isinstance(made, np.ndarray) and made.dtype.kind == "f"
    return run.wrap(run.value_of(made), made) if exact else made


def _full(run: NumpyExecution, original: Any, shape: Any, fill: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(fill, Exact):
        return _constant(run, original, shape, fill, *args, **kwargs)
    shadow = original(shape, np.ones(fill.spots.shape, fill.dtype), *args, **kwargs)
    return run.wrap(run.value_of(fill).expand(shadow.shape), shadow)


def _array(run: NumpyExecution, original: Any, entries: Any = None, *args: Any, **kwargs: Any) -> Any:
    """`np.array` and its kin: of exact numbers, of decisions, or of lists with these among them."""
    copies = original.__name__ == "array" and kwargs.get("copy", True) is not False
    if isinstance(entries, Exact):
        return _convert(entries, original, copies, *args, **kwargs)
    if isinstance(entries, Decision):
        plain = original(entries.array, *args, **kwargs)
        return entries.astype(plain.dtype) if copies or plain.dtype != entries.dtype else entries
    found = list(leaves(entries)) if isinstance(entries, list | tuple) else []
    if any(isinstance(x, Exact) for x in found):
        shadow = original(_shadows(entries), *args, **kwargs)
        if shadow.dtype.kind != "f":
            run.fail(f"exact numbers in an array of {shadow.dtype}")
        return run.wrap(run.assemble(entries), shadow)
    if any(isinstance(x, Decision) for x in found):
        return _array(run, original, run.assemble_data(entries), *args, **kwargs)
    made = original(entries, *args, **kwargs)
    if isinstance(entries, np.ndarray) and not copies:
        return made
    if made.dtype.kind == "f":
        return run.wrap(run.value_of(made), made)
    return run.data(made) if made.dtype.kind in "biu" and made.ndim else made


def _convert(array: Exact, original: Any, copies: bool, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    shadow = original(array.shadow(), dtype, *args, **{k: v for k, v in kwargs.items() if k != "dtype"})
    wanted = np.dtype(kwargs.get("dtype") or dtype or array.dtype)
    same = wanted == array.dtype and shadow.ndim == array.ndim
    laid = same and array.ndim and shadow.strides == array.shadow().strides
    if laid and not copies:
        return array
    converted = array.astype(wanted)
    return converted if isinstance(converted, Decision) else array.run.wrap(converted.read(), shadow)


def _shadows(entries: Any) -> Any:
    if isinstance(entries, list | tuple):
        return [_shadows(entry) for entry in entries]
    if isinstance(entries, Exact):
        return entries.shadow()
    return entries.array if isinstance(entries, Decision) else entries


def _of_ours(name: str, row: Callable[[Value], Value]) -> Answer:
    """A function of ours that stands for another: rounding apart, it is that one."""

    def answer(run: NumpyExecution, original: Any, x: Any) -> Any:
        if not isinstance(x, Exact):
            return original(x)
        run.numbers.assumes[f"gradproof.numeric.special.{name} is {name}, rounded"] = None
        run.used[f"gradproof.numeric.special.{name}"] = "executed"
        return run.wrap(row(f.finite_operand(x.read(), name)), x.shadow())

    return answer


_OURS: dict[str, Answer] = {
    "erf": _of_ours("erf", f.erf),
    "erfc": _of_ours("erfc", lambda x: (-f.erf(x)).plus(1)),
}


FACTORIES: dict[str, Answer] = {
    "zeros": _zeros, "empty": _empty, "ones": _constant, "eye": _constant, "identity": _constant,
    "tri": _constant,
    "full": _full, "array": _array, "asarray": _array, "asanyarray": _array, "ascontiguousarray": _array,
    "asfortranarray": _array, "arange": _ranged, "linspace": _ranged, "logspace": _ranged,
    "geomspace": _ranged,
    "asarray_chkfinite": _array, "hanning": _ranged, "hamming": _ranged, "blackman": _ranged,
    "bartlett": _ranged,
    "zeros_like": _zeros, "ones_like": _constant, "empty_like": _empty, "full_like": _constant,
}  # fmt: skip


def _factory(name: str) -> Answer:
    answer = FACTORIES[name]
    if not name.endswith("_like"):
        return answer

    def like(run: NumpyExecution, original: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(a, Exact):  # by way of `__array_function__`
            return original(a, *args, **kwargs)
        plain = a.array if isinstance(a, Decision) else a
        if name == "full_like" and isinstance(args[0] if args else kwargs.get("fill_value"), Exact):
            run.fail("full_like of an array that holds no exact numbers")
        return answer(run, original, plain, *args, **kwargs)

    return like


def _scalar_function(ufunc: Any) -> Answer:
    def answer(run: NumpyExecution, original: Any, *args: Any) -> Any:
        exact = any(isinstance(x, Exact | Decision) for x in args)
        return ufunc(*args) if exact else original(*args)

    return answer


def _sqrt(run: NumpyExecution, original: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """The root of a constant is no float where constants stand for what they are rounded from."""
    if isinstance(x, Exact) or args or kwargs:
        return np.sqrt(x, *args, **kwargs)
    if not run.constants.meant or isinstance(x, np.ndarray | Decision | list | tuple):
        return original(x)
    return run.wrap(f.sqrt(run.value_of(x)), np.float64(1)) if x > 0 else original(x)


def _math_log(run: NumpyExecution, original: Any, x: Any, *base: Any) -> Any:
    if not any(isinstance(a, Exact) for a in (x, *base)):
        return original(x, *base)
    return np.log(x) / np.log(base[0]) if base else np.log(x)


def _math_erf(run: NumpyExecution, original: Any, x: Any) -> Any:
    return (
        run.wrap(f.erf(f.finite_operand(x.read(), "erf")), x.shadow())
        if isinstance(x, Exact)
        else original(x)
    )


def _math_sum(run: NumpyExecution, original: Any, terms: Any) -> Any:
    listed = list(terms)
    return sum(listed) if any(isinstance(x, Exact) for x in listed) else original(listed)


def _special_function(row: Any) -> Answer:
    def answer(run: NumpyExecution, original: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(x, Exact) for x in (a, *args, *kwargs.values())):
            return original(a, *args, **kwargs)
        value = row(run, a, *args, **kwargs)
        return run.wrap(value, np.empty(value.shape) if value.shape else np.float64(1))

    return answer


_MATH: dict[str, Answer] = {
    **{name: _scalar_function(ufunc) for name, ufunc in MATH.items()},
    "log": _math_log,
    "erf": _math_erf,
    "fsum": _math_sum,
    "sqrt": _sqrt,
}
_CONSTANTS = {"pi", "e"}
_running = threading.local()


def _exchanged(original: Any, answer: Answer) -> Any:
    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        run = getattr(_running, "run", None)
        return original(*args, **kwargs) if run is None else answer(run, original, *args, **kwargs)

    return call


class Stand(ModuleType):
    """A module in which some things are exchanged."""

    def __init__(self, module: ModuleType, things: Mapping[str, Any]) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(things)
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self.__dict__["_module"], name)
        run = getattr(_running, "run", None)
        if name in _CONSTANTS and isinstance(thing, float) and run is not None and run.constants.meant:
            return run.wrap(run.value_of(thing), np.float64(1))
        return thing


@dataclass
class Exchange:
    """What stands for modules and functions, by the `id` of what they stand for; and what has been
    exchanged.
    """

    lock: Any = field(default_factory=threading.Lock)
    running: int = 0
    things: dict[int, Any] = field(default_factory=dict[int, Any])
    done: list[tuple[dict[str, Any], str, Any]] = field(default_factory=list[tuple[dict[str, Any], str, Any]])

    def begin(self, programs: Sequence[Any]) -> None:
        """Exchange names in the modules of these programs, and in those of their authors."""
        with self.lock:
            if not self.running:
                self._prepare()
            self.running += 1
            spaces = [arrays.__dict__, *_own_modules(), *map(_globals_of, programs)]
            for space in {id(s): s for s in spaces}.values():
                for name, thing in list(space.items()):
                    if id(thing) in self.things:
                        space[name] = self.things[id(thing)]
                        self.done.append((space, name, thing))

    def end(self) -> None:
        """Put everything back when the last program has ended."""
        with self.lock:
            self.running -= 1
            if not self.running:
                for space, name, thing in self.done:
                    space[name] = thing
                self.done.clear()

    def _prepare(self) -> None:
        self.things = {}
        self._stand(np, {name: _factory(name) for name in FACTORIES} | {"sqrt": _sqrt})
        self._stand(math, _MATH)
        self.things |= {
            id(original): _exchanged(original, answer)
            for original, answer in ((getattr(special, name), a) for name, a in _OURS.items())
        }
        scipy_special, scipy = sys.modules.get("scipy.special"), sys.modules.get("scipy")
        if scipy_special is not None and scipy is not None:
            stand = self._stand(scipy_special, {n: _special_function(r) for n, r in SCIPY_FUNCTIONS.items()})
            self.things[id(scipy)] = Stand(scipy, {"special": stand})

    def _stand(self, module: ModuleType, answers: Mapping[str, Answer]) -> Stand:
        originals = {name: getattr(module, name) for name in answers}
        calls = {name: _exchanged(original, answers[name]) for name, original in originals.items()}
        self.things |= {id(original): calls[name] for name, original in originals.items()}
        stand = self.things[id(module)] = Stand(module, calls)
        return stand


_exchange = Exchange()


@contextmanager
def exact_arrays(run: NumpyExecution, programs: Sequence[Any]) -> Iterator[None]:
    """Within, what these programs allocate holds exact numbers of a run."""
    before = getattr(_running, "run", None)
    _exchange.begin(programs)
    _running.run = run
    try:
        yield
    finally:
        _running.run = before
        _exchange.end()


def _own_modules() -> list[dict[str, Any]]:
    """The names of all modules in Python that are not installed, and of generated kernels."""
    found: list[dict[str, Any]] = []
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name.startswith(GENERATED) or (isinstance(path, str) and _is_own(path)):
            found.append(module.__dict__)
    return found


@lru_cache(maxsize=8192)
def _is_own(path: str) -> bool:
    return (
        path.endswith(".py") and "site-packages" not in path and is_the_users(path) and not _in_package(path)
    )


def _in_package(path: str) -> bool:
    return any(str(Path(path).resolve()).startswith(root) for root in _PACKAGE)


_PACKAGE = tuple(
    str(Path(folder).resolve())
    for package in ("gradproof", "gradproof.numeric", "gradproof.symbolic")
    for folder in import_module(package).__path__
)


def _globals_of(program: Any) -> dict[str, Any]:
    """The names that a function, a method or a callable object looks up."""
    while isinstance(program, partial):
        program = program.func
    program = inspect.unwrap(program)
    function = getattr(program, "__func__", program)
    if not hasattr(function, "__globals__"):
        function = getattr(type(program).__call__, "__func__", type(program).__call__)
    return getattr(function, "__globals__", {})

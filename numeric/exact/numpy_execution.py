"""Running NumPy programs on exact numbers: each function of NumPy is answered by its row, none by floats.

Every call is also made on arrays of ones of the same layout, its *shadow*: NumPy's own word on the shape,
the strides and the dtype of the result, on whether it is a scalar, and on mistakes in the call.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gradproof.numeric.exact.numpy_arrays import Exact, ExactArray, ExactNumber
from gradproof.numeric.exact.numpy_decisions import Decision, Origin
from gradproof.numeric.exact.numpy_positions import NumpyPositions
from gradproof.numeric.exact.numpy_tables import (
    ABOUT,
    DECIDED,
    MOVES,
    ROWS,
    Row,
    find_row,
    leaves,
    map_arrays,
    substitute,
)
from gradproof.numeric.exact.operators.pieces import steps
from gradproof.numeric.exact.values import UndecidableError, Value

REGULAR = {np.linalg.inv, np.linalg.solve, np.linalg.cholesky, np.linalg.matrix_power}
"""Functions that refuse a matrix of ones."""


def _regular(ones: Any) -> Any:
    """A shadow that is a positive definite matrix, where it is square."""
    square = np.ndim(ones) >= 2 and ones.shape[-1] == ones.shape[-2]
    return ones + np.eye(ones.shape[-1], dtype=ones.dtype) if square else ones


class NumpyExecution(NumpyPositions):
    """A run: every function that the program calls is answered here."""

    # Answers

    def answer_ufunc(self, ufunc: Any, method: str, inputs: Any, kwargs: Any) -> Any:
        out, where = kwargs.pop("out", None), kwargs.pop("where", True)
        key = ufunc if method == "__call__" else (ufunc, method)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        answer = find_row(key)
        if answer is None:
            self.fail(f"the function {name}")
        shadow = self._shadow(getattr(ufunc, method), inputs, kwargs)
        self.used[f"numpy.{name}"] = "executed"
        result = self._compute(answer, name, inputs, kwargs)
        if method == "at":
            return None
        outs = (None,) * 2 if out is None else out
        if isinstance(result, tuple):
            parts = zip(result, shadow, outs, strict=False)
            return tuple(self._deliver(r, s, o, where, inputs) for r, s, o in parts)
        return self._deliver(result, shadow, outs[0], where, inputs)

    def answer_function(self, function: Any, args: Any, kwargs: Any) -> Any:
        name = f"{function.__module__}.{function.__name__}"
        if not any(isinstance(leaf, Exact) for leaf in leaves((args, kwargs))):
            return self.decide_function(function, args, kwargs)
        answer = ROWS.get(function)
        if answer is None:
            self.fail(f"the function {name}")
        out = kwargs.pop("out", None) if function not in ABOUT else None
        shadow = self._shadow(function, args, kwargs)
        self.used[name] = "executed"
        result = self._compute(answer, name, args, kwargs)
        if function in ABOUT:
            return shadow
        given = (*args, *kwargs.values())
        if isinstance(result, tuple | list):
            parts = [self._deliver(r, s, None, True, given) for r, s in zip(result, shadow, strict=True)]
            return type(result)(parts)
        return self._deliver(result, shadow, out, True, given)

    def _shadow(self, function: Any, args: Any, kwargs: Any) -> Any:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of means of nothing
            shadows = substitute(args, _shadow)
            if function in REGULAR:
                shadows = (_regular(shadows[0]), *shadows[1:])
            return function(*shadows, **substitute(kwargs, _shadow))

    def _compute(self, answer: Row, name: str, args: Any, kwargs: Any) -> Any:
        try:
            with np.errstate(all="ignore"):
                return answer(self, *args, **kwargs)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            self.fail(f"the function {name} with these arguments ({error})")
        except UndecidableError as error:
            if " at " in str(error):
                raise
            self.fail(f"{error} ({name})")

    def _deliver(self, result: Any, shadow: Any, out: Any, where: Any, given: Any) -> Any:
        if isinstance(result, Exact) and out is not None:
            result = result.read()
        if isinstance(result, Exact) or result is None:
            return result
        if not isinstance(result, Value):
            return self._deliver_data(result, out, where, shadow)
        if out is None and where is not True:
            self.fail("where= without out=: entries that are not set")
        if isinstance(out, tuple):
            (out,) = out
        if out is None:
            return self.passing_on(self.wrap(result, shadow), given)
        if not isinstance(out, ExactArray):
            self.fail("exact numbers written into an array that was allocated elsewhere (out=)")
        if where is not True:
            result = self.choose(where, result, out.read())
        out.write(result)
        return out

    def _deliver_data(self, result: Any, out: Any, where: Any, shadow: Any) -> Any:
        if out is None and where is True:
            if isinstance(result, Decision):
                result.scalar = isinstance(shadow, np.generic)
            return result
        (target,) = out if isinstance(out, tuple) else (out,)
        if isinstance(result, Decision) and isinstance(target, np.ndarray) and not result.origin.decided:
            np.copyto(target, result.array, where=where)
            return target
        if not isinstance(target, Decision) or where is not True:
            self.fail("what a comparison decided, written into an array that was allocated elsewhere")
        target[...] = result
        return target

    # Conversions

    def convert(self, array: Exact, dtype: np.dtype[Any]) -> Any:
        """Another precision changes no exact number; integers are told from the real numbers."""
        if dtype.kind == "f" and dtype.itemsize <= 8:
            shadow = array.shadow().astype(dtype)
            return self.passing_on(self.wrap(array.read(), shadow), (array,))
        if dtype == np.bool_:
            return np.not_equal(array, 0)  # pyright: ignore[reportArgumentType, reportCallIssue]
        if dtype.kind not in "iu":
            self.fail(f"a conversion to {dtype}")
        whole = steps(self, array.read(), "conversion to integers", np.trunc)  # pyright: ignore[reportArgumentType]
        if whole.constant is None:
            self.fail(f"a conversion to {dtype} of numbers that inputs move")
        data = np.vectorize(int, otypes=[dtype])(whole.constant)
        data = data[()] if isinstance(array, ExactNumber) else data
        return Decision(self, data, Origin(decided=True, forced=True, unknown=True))

    def convert_decision(self, decision: Decision, dtype: np.dtype[Any]) -> Any:
        if dtype.kind == "f":
            return self.wrap(self.value_of(decision), decision.array.astype(dtype))
        if decision.array.dtype == np.bool_ and dtype != np.bool_:
            decision.use("truth as a number")
        return self.decide(lambda array: array.astype(dtype), (decision,), {}, settled=True)

    # Decisions

    def decide_ufunc(self, ufunc: Any, method: str, inputs: Any, kwargs: Any) -> Any:
        (out,) = kwargs.pop("out", (None,))
        given = dict(kwargs)
        special = DECIDED.get((ufunc, method))
        if special is not None and out is None:
            return special(self, *inputs, **given)
        count = sum(isinstance(x, Decision) and x.origin.decided for x in inputs)
        logical = all(np.asarray(_bare(x)).dtype == np.bool_ for x in inputs)
        settled = method == "__call__" and (count < 2 or ufunc in _COMPARISONS or logical)
        counting = not logical and any(isinstance(x, Decision) and x.array.dtype == np.bool_ for x in inputs)
        if counting and ufunc not in _COMPARISONS:
            for x in inputs:
                if isinstance(x, Decision):
                    x.use("truth as a number")
        result = self.decide(getattr(ufunc, method), inputs, kwargs, settled=settled)
        if isinstance(result, FloatResult):
            exact = self.answer_ufunc(ufunc, method, inputs, given)
            return exact if out is None else self._deliver_data(exact, out, True, exact)
        if out is None or (isinstance(out, Decision) and out.scalar):
            return result
        return self._deliver_data(result, out, True, result)

    def decide_function(self, function: Any, args: Any, kwargs: Any) -> Any:
        special = DECIDED.get(function)
        if special is not None:
            return special(self, *args, **kwargs)
        result = self.decide(function, args, kwargs, settled=function in MOVES)
        if isinstance(result, FloatResult):
            answer = ROWS.get(function)
            if answer is None:
                self.fail(f"the function numpy.{function.__name__}")
            exact = self._compute(answer, function.__name__, args, kwargs)
            return self._deliver(exact, self._shadow(function, args, kwargs), None, True, ())
        return result

    def decide(self, function: Any, args: Any, kwargs: Any, *, settled: bool) -> Any:
        """Apply a function to data that comparisons decided; a view shares the origin of what it looks
        into.
        """
        given = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Decision)]
        origin = Origin()
        for decision in given:
            origin.join(decision.origin)
        result = function(*substitute(args, _bare), **substitute(kwargs, _bare))
        if any(np.asarray(part).dtype.kind == "f" for part in _parts(result)):
            return FloatResult()

        def wrap(array: Any) -> Any:
            source = next(
                (d for d in given if isinstance(array, np.ndarray) and np.may_share_memory(array, d.array)),
                None,
            )
            if source is not None:
                return self._counting(Decision(self, array, source.origin), given)
            unknown = origin.decided and not settled and array.dtype != np.bool_
            made = Origin(origin.decided, origin.forced, origin.unknown or unknown)
            return self._counting(Decision(self, array, made), given)

        return map_arrays(result, wrap)

    def _counting(self, decision: Decision, given: list[Decision]) -> Decision:
        if decision.ndim:
            decision.counted = next((d.counted for d in given if d.counted is not None), None)
        return decision


class FloatResult:
    """Says that a function of decisions gives numbers."""


_COMPARISONS = {np.greater, np.less, np.greater_equal, np.less_equal, np.equal, np.not_equal}


def _shadow(leaf: Any) -> Any:
    return leaf.shadow() if isinstance(leaf, Exact) else _bare(leaf)


def _bare(leaf: Any) -> Any:
    if not isinstance(leaf, Decision):
        return leaf
    return leaf.array[()] if leaf.scalar else leaf.array


def _parts(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]

"""Exact arrays behave as arrays of NumPy do: views, copies, changes in place, dtypes; and nothing leaves
them.
"""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy import zeros

from gradproof.numeric.exact.duals import Dual
from gradproof.numeric.exact.numpy_programs import ChangedInputError, call, execution
from gradproof.numeric.exact.programs import ForwardError
from gradproof.numeric.exact.scalars import EscapedError
from gradproof.numeric.exact.storages import without_constant
from gradproof.numeric.exact.values import UndecidableError, Value
from tests.numeric.exact.trials import settings_of

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.5]])
V = np.array([0.5, 2.0, -1.0])
ELSEWHERE, INTEGERS = np.zeros((2, 3)), np.zeros(3, dtype=int)
HERE = "test_numpy_arrays.py"


def run(function: Callable[..., Any], *arrays: Any, dtype: Any = np.float64) -> tuple[Any, Any]:
    """What a program gives, and the settings of its run."""
    settings = settings_of(1, 0)
    execute = execution(settings)
    values = [without_constant(Value(settings.numbers, (Dual(np.asarray(a, float)[None]),))) for a in arrays]
    given = [execute.new(v, dtype) for v in values]
    return call(execute, ForwardError, function, given, 1), settings


def numbers(found: Any) -> Any:
    return found.read().reals


def same_as_numpy(function: Callable[..., Any], *arrays: Any) -> None:
    np.testing.assert_allclose(numbers(run(function, *arrays)[0]), function(*(np.array(a) for a in arrays)))


# Views and copies


def changed_through_transpose(x: Any) -> Any:
    y = x * 1
    y.T[0] = 7
    y.reshape(-1)[1] = 8
    return y


def changed_through_copy(x: Any) -> Any:
    y = x * 1
    y.T.reshape(-1)[0] = 7  # a copy: the transpose is not contiguous
    y[[0, 1]][0] = 5  # a copy
    y.flatten()[2] = 3  # a copy
    return y + y.T.copy().T


def changed_by_slices(x: Any) -> Any:
    y = np.zeros_like(x)
    row = y[1]
    row[::2] = x[0, ::2]
    y[..., 1] += row[0]
    y[:, ::-1][0] = row
    return y


def changed_in_place(x: Any) -> Any:
    y = x.copy()
    z = y
    z += 1
    z *= x
    z -= 0.5
    z /= 3
    z **= 2
    return y


def scalars_are_not_changed(x: Any) -> Any:
    s = t = x[0, 0]
    s += 1
    total = x.sum()
    before = total
    total *= 2
    return np.array([s, t, total, before])


def rows_are_views(x: Any) -> Any:
    y = x + 0
    for row in y:
        row -= row.max()
    for k, (a, b, c) in enumerate(y):
        y[k, 0] = a + b * c
    return y


def diagonals(x: Any) -> Any:
    y = x @ x.T
    y[np.arange(2), np.arange(2)] += 3
    np.fill_diagonal(y, y[0, 1])
    return y


def masked_writes(x: Any) -> Any:
    y = x.copy()
    y[y > 1] = 0
    y[np.array([[True, False, False], [False, True, True]])] *= 2
    np.copyto(y, 4.0, where=x < -1)
    np.putmask(y, x == 2.0, 9.0)
    return y


def outs_and_wheres(x: Any) -> Any:
    y = np.empty_like(x)
    np.exp(x, out=y)
    np.multiply(y, 2, out=y, where=np.array([True, False, True]))
    np.sum(x, axis=0, out=y[1])
    return np.divide(y, x, out=np.zeros(x.shape), where=x != 0)


def scattered(x: Any) -> Any:
    y = np.zeros(3)
    np.add.at(y, [0, 2, 0], x[0])
    np.subtract.at(y, [1, 1], x[1, :2])
    np.multiply.at(y, [0, 0], 2.0)
    np.put_along_axis(y, np.array([1]), x[0, :1], 0)
    np.put(y, [2], x[1, 2])
    return y


def maxima_kept(x: Any) -> Any:
    places = np.zeros(2, dtype=int)
    for k in range(2):
        places[k] = np.argmax(x[k])
    y = np.zeros_like(x)
    for k in range(2):
        y[k, places[k]] = x[k].sum()
    return y


def shapes(x: Any) -> Any:
    n, m = x.shape
    assert (len(x), x.ndim, x.size, x.nbytes) == (2, 2, 6, 48)
    assert isinstance(x, np.ndarray) and isinstance(x.sum(), float) and np.isscalar(x[0, 0])
    assert np.shape(x) == (n, m) and np.ndim(x) == 2 and x.dtype == np.float64 and x.T.strides == (8, 24)
    assert np.result_type(x, np.float32(1)) == np.float64
    y = x.ravel()
    y.shape = (m, n)
    return y


def float32_and_back(x: Any) -> Any:
    y = x.astype(np.float32)
    assert y.dtype == np.float32 and (y + 1).dtype == np.float32 and (y * np.float64(2)).dtype == np.float64
    assert x.astype(x.dtype, copy=False) is x and np.asarray(x) is x and np.array(x) is not x
    return y * np.float32(2) + x.astype(float)


def functions_of_math(x: Any) -> Any:
    return np.array([math.exp(x[0, 0]), math.tanh(x[0, 1]), math.log(x[0, 2]), math.pow(x[1, 0], 2)])


def allocated_by_a_name_of_its_own(x: Any) -> Any:
    y = zeros(x.shape)
    y[:] = x
    return y


def allocated_by_a_helper(x: Any) -> Any:
    y = helper(x.shape)
    y[0] = x[1]
    return y


def helper(shape: Any) -> Any:
    return np.ones(shape, dtype=np.float64)


def errstate(x: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0)


def containers(x: Any) -> Any:
    rows = [row * 2 for row in x]
    return np.stack(rows[::-1]) + np.array(rows) + sum(rows) + np.vstack([np.array([1.0, 2, 3]), x[0]])


def copies(x: Any) -> Any:
    y = copy.deepcopy(x)
    y[0] = 1
    return y + copy.copy(x) + x.view()


@pytest.mark.parametrize(
    "program",
    [
        changed_through_transpose, changed_through_copy, changed_by_slices, changed_in_place,
        scalars_are_not_changed, rows_are_views, diagonals, masked_writes, outs_and_wheres, scattered,
        maxima_kept, shapes, float32_and_back, functions_of_math, allocated_by_a_name_of_its_own,
        allocated_by_a_helper, errstate, containers, copies,
    ],
)  # fmt: skip
def test_as_in_numpy(program: Callable[..., Any]) -> None:
    same_as_numpy(program, X)


def test_layouts_are_those_of_numpy() -> None:
    """What is a view of what rests on the strides of results, also of functions of several arrays."""

    def program(x: Any) -> Any:
        y = x.T + x.T
        y.reshape(-1)[0] = 9  # a copy, for y is laid out as x.T is
        y.T.reshape(-1)[1] = 5  # a view
        return y

    same_as_numpy(program, X)
    same_as_numpy(lambda x: program(np.asfortranarray(x)), X)


def test_broadcast_views_cannot_be_written_into() -> None:
    def program(v: Any) -> None:
        np.broadcast_to(v, (2, 3))[0] = 1

    with pytest.raises(ForwardError, match="read-only"):
        run(program, V)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (lambda x: x @ x, "matmul"),
        (lambda x: x.reshape(4), "reshape"),
        (lambda x: x + np.ones(2), "broadcast"),
        (lambda x: x[3], "out of bounds"),
        (lambda x: x[x], "indices must be"),
        (lambda x: x.sum(axis=2), "axis 2 is out of bounds"),
        (lambda x: x.nothing, "no attribute"),
        (lambda x: bool(x), "ambiguous"),
        (lambda x: len(x[0, 0]), "unsized"),
    ],
)
def test_mistakes_are_those_of_numpy(program: Callable[..., Any], error: str) -> None:
    with pytest.raises(ForwardError, match=error):
        run(program, X)


# Ways out


ESCAPES: list[tuple[str, Callable[..., Any]]] = [
    ("float", lambda x: float(x[0, 0])),
    ("int", lambda x: int(x.sum())),
    ("complex", lambda x: complex(x[0, 0])),
    ("round", lambda x: math.floor(x[0, 0])),
    ("tolist", lambda x: x.tolist()),
    ("tobytes", lambda x: x.tobytes()),
    ("data", lambda x: x.data),
    ("ctypes", lambda x: x.ctypes),
    ("tofile", lambda x: x.tofile("/dev/null")),
    ("view", lambda x: x.view(np.int64)),
    ("pickle", lambda x: pickle.dumps(x)),
    ("key", lambda x: {x[0, 0]: 1}),
    ("an array elsewhere", lambda x: ELSEWHERE.__setitem__(0, x[0, 0])),
    ("all of one elsewhere", lambda x: ELSEWHERE.__setitem__(slice(None), x)),
    ("in place, elsewhere", lambda x: ELSEWHERE.__iadd__(x)),
    ("np.float64", lambda x: np.float64(x[0, 0])),
    ("integers", lambda x: np.zeros(2, dtype=int).__setitem__(0, x[0, 0])),
    ("dtype", lambda x: np.array([x[0, 0], 1], dtype=int)),
    ("vectorize", lambda x: np.vectorize(abs)(x)),
    ("interp", lambda x: np.interp(x, [0, 1], [1, 2])),
    ("histogram", lambda x: np.histogram(x)),
    ("unique", lambda x: np.unique(x)),
    ("allclose", lambda x: np.allclose(x, x)),
    ("svd", lambda x: np.linalg.svd(x)),
    ("fft", lambda x: np.fft.fft(x)),
    ("savetxt", lambda x: np.array2string(x)),
    ("searchsorted", lambda x: np.arange(3.0).searchsorted(x)),
    ("where without out", lambda x: np.exp(x, where=np.array([True, False, True]))),
    ("complex array", lambda x: x * np.array([1j, 2, 3])),
    ("a decision", lambda x: int((x > 0).sum())),
    ("decisions", lambda x: (x > 0).tolist()),
    ("a decision elsewhere", lambda x: INTEGERS.__setitem__(0, np.argmax(x))),
    ("infinity", lambda x: 1 / np.where(x > 0, np.inf, x)),
]  # fmt: skip


@pytest.mark.parametrize("program", [e[1] for e in ESCAPES], ids=[e[0] for e in ESCAPES])
def test_nothing_leaves(program: Callable[..., Any]) -> None:
    with pytest.raises(UndecidableError, match=f"at {HERE}:{line_of(program)}"):
        run(program, X)


def line_of(program: Callable[..., Any]) -> int:
    return inspect.getsourcelines(program)[1]


def test_an_escape_that_is_caught_is_none_the_less_one() -> None:
    def program(x: Any) -> Any:
        try:
            return x * float(x[0, 0])
        except Exception:
            return x

    with pytest.raises(EscapedError, match="float"):
        run(program, X)


def test_arrays_of_an_earlier_run_are_noticed() -> None:
    kept: list[Any] = []

    def program(x: Any) -> Any:
        kept.append(x)
        return x + kept[0]

    run(program, X)
    with pytest.raises(UndecidableError, match="earlier run"):
        run(program, X)


def test_unset_entries_are_no_numbers() -> None:
    found, _ = run(lambda x: np.empty(3) * x[0, 0], X)
    assert np.all(np.isnan(numbers(found)))


def test_inputs_are_not_changed() -> None:
    def program(x: Any) -> Any:
        x -= x.max()
        return x

    with pytest.raises(ChangedInputError, match=rf"input 0 is changed at {HERE}:{line_of(program) + 1}"):
        run(program, X)


def test_numpy_itself_is_not_changed() -> None:
    before = dict(vars(np)), dict(vars(math)), np
    seen: list[Any] = []

    def program(x: Any) -> Any:
        thread = threading.Thread(target=lambda: seen.append((np.zeros(2), math.exp(1))))
        thread.start()
        thread.join()
        seen.append(np.random.default_rng(1).normal(size=2))
        raise KeyError

    with pytest.raises(ForwardError):
        run(program, X)
    assert type(seen[0][0]) is np.ndarray and type(seen[1]) is np.ndarray
    assert (dict(vars(np)), dict(vars(math)), np) == before


# Decisions


def sides(program: Callable[..., Any]) -> dict[str, set[Any]]:
    settings = run(program, X)[1]
    return {site.what: set(missing) for site, missing in settings.branches.at_places().missing().items()}


@pytest.mark.parametrize(
    ("program", "missing"),
    [
        (lambda x: x if x[0, 0] > 0 else -x, {"the comparison >": {-1}}),
        (lambda x: x if np.any(x > 5) else -x, {"the comparison >": {1}, "a Python branch": {True}}),
        (
            lambda x: x if all(x[0] > 0) else -x,
            {"a Python branch on entry 0 of 3": {False}, "a Python branch on entry 1 of 3": {True}},
        ),
        (lambda x: x if (x > 0).all() else -x, {"a Python branch": {True}}),
        (
            lambda x: x if (x > 0).sum() > 3 else -x,
            {"a count of truths": {0, 1, 2, 3, 5, 6}, "a Python branch": {False}},
        ),
        (lambda x: np.where((x > 1.6) & (x < 1.9), x, 0), {"a choice": {True}}),
        (lambda x: np.where(np.logical_and(m := x > 1.6, x < 1.9, out=m), x, 0), {"a choice": {True}}),
        (lambda x: x * (x > 0), {}),
        (lambda x: x * np.where(x > 0, 1.0, 0.5), {}),
        (lambda x: x[x > 0].sum(), {}),
        (
            lambda x: x[x > 0].sum() / len(x[x > 0]),
            {"the number of entries that a mask selects": {0, 1, 2, 3, 5, 6}},
        ),
        (lambda x: x[x > 0].size * x, {"the number of entries that a mask selects": {0, 1, 2, 3, 5, 6}}),
        (
            lambda x: x if (x > 0).astype(float).sum() > 3 else -x,
            {"the comparison >": {-1}},
        ),
        (lambda x: x if np.sign(x).sum() > 9 else -x, {"the comparison >": {1}}),
        (lambda x: x[x.argmax(1)[0] % 2], {"max": {"entry 1 of 3"}}),
        (lambda x: x * np.floor(x), {}),
        (lambda x: x if x[0, 0] == x[0, 1] else 2 * x, {"the comparison ==": {True}}),
        (lambda x: np.where(x > -np.inf, x, 0), {}),
    ],
)  # fmt: skip
def test_sides_that_are_open(program: Callable[..., Any], missing: dict[str, set[Any]]) -> None:
    found = {what.replace("argmax", "max"): open_sides for what, open_sides in sides(program).items()}
    for what, open_sides in missing.items():
        assert found[what] == open_sides
    assert missing or not found

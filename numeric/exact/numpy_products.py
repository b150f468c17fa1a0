"""Products of exact arrays as NumPy writes them: einsum, dot and their kin, convolutions, norms, powers."""

from __future__ import annotations

import string
from operator import index
from typing import Any

import numpy as np

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.numpy_arrays import Exact
from gradproof.numeric.exact.numpy_tables import row
from gradproof.numeric.exact.numpy_ufuncs import Run
from gradproof.numeric.exact.operators import factorizations
from gradproof.numeric.exact.storages import flatten
from gradproof.numeric.exact.values import Value

# Some rows are written in NumPy's own functions on exact arrays, of which its types know nothing.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false


# Products of arrays


def contract(run: Run, subscripts: str, operands: list[Value]) -> Value:
    """An einsum; `...` stands for the same axes in all operands."""
    terms, _, output = subscripts.partition("->")
    letters = terms.split(",")
    values = operands
    value, have = values[0], letters[0]
    for k in range(1, len(values)):
        later = set(output).union(*letters[k + 1 :])
        both = dict.fromkeys(have + letters[k])
        keep = "".join(c for c in both if c in later) if k < len(values) - 1 else output
        value, have = _contract_two(value, values[k], have, letters[k], keep), keep
    if len(values) == 1:
        value = value.linear(lambda array: _sum_products(f"...{have}->...{output}", array))
    return value


def _contract_two(a: Value, b: Value, left: str, right: str, keep: str) -> Value:
    return a.bilinear(b, lambda x, y: _sum_products(f"...{left},...{right}->...{keep}", x, y))


def _sum_products(subscripts: str, *arrays: Array) -> Array:
    """`np.einsum`, also for arrays of objects of which an axis is empty."""
    if all(array.size for array in arrays):
        return np.asarray(np.einsum(subscripts, *arrays))
    shape = np.einsum(subscripts, *(np.zeros(array.shape) for array in arrays)).shape
    return np.zeros(shape, dtype=arrays[0].dtype)


def explicit(subscripts: str, ranks: list[int]) -> str:
    """Subscripts without ellipses and with an output."""
    terms, arrow, output = subscripts.replace(" ", "").partition("->")
    spare = [c for c in string.ascii_letters if c not in subscripts]
    listed = terms.split(",")
    hidden = [
        rank - len(t.replace("...", "")) if "..." in t else 0 for t, rank in zip(listed, ranks, strict=True)
    ]
    most = max(hidden)
    listed = [t.replace("...", "".join(spare[most - h : most])) for t, h in zip(listed, hidden, strict=True)]
    if arrow:
        output = output.replace("...", "".join(spare[:most]))
    else:
        joined = "".join(listed)
        once = sorted(c for c in set(joined) if joined.count(c) == 1 and c not in spare[:most])
        output = "".join([*spare[:most], *once])
    return f"{','.join(listed)}->{output}"


@row(np.einsum)
def einsum(run: Run, *operands: Any, optimize: Any = False, **rest: Any) -> Any:
    if isinstance(operands[0], str):
        subscripts, arrays = operands[0], list(operands[1:])
    else:
        arrays, places = list(operands[: len(operands) // 2 * 2 : 2]), list(operands[1::2])
        names = [
            "".join("..." if p is Ellipsis else string.ascii_letters[p] for p in term) for term in places
        ]
        subscripts = ",".join(names)
        if len(operands) % 2:
            last = "".join("..." if p is Ellipsis else string.ascii_letters[p] for p in operands[-1])
            subscripts += f"->{last}"
    values = [run.value_of(a) for a in arrays]
    full = explicit(subscripts, [len(v.shape) for v in values])
    terms, _, output = full.partition("->")
    if len(arrays) == 1 and isinstance(arrays[0], Exact) and set(terms) == set(output):
        return run.move(lambda spots: np.einsum(full, spots), (arrays[0],), {})
    return contract(run, full, values)


@row(np.tensordot)
def tensordot(run: Run, a: Any, b: Any, axes: Any = 2) -> Value:
    x, y = run.value_of(a), run.value_of(b)
    if isinstance(axes, int):
        left, right = list(range(-axes, 0)), list(range(axes))
    else:
        left, right = ([index(k) for k in np.atleast_1d(part)] for part in axes)
    names = string.ascii_letters
    first = list(names[: len(x.shape)])
    second = list(names[len(x.shape) : len(x.shape) + len(y.shape)])
    for k, m in zip(left, right, strict=True):
        second[m] = first[k]
    summed = {first[k] for k in left}
    output = "".join(c for c in first + second if c not in summed)
    return contract(run, f"{''.join(first)},{''.join(second)}->{output}", [x, y])


@row(np.dot)
def dot(run: Run, a: Any, b: Any) -> Value:
    x, y = run.value_of(a), run.value_of(b)
    if not x.shape or not y.shape:
        return x * y
    return tensordot(run, x, y, ([-1], [-2 if len(y.shape) > 1 else -1]))


@row(np.inner)
def inner(run: Run, a: Any, b: Any) -> Value:
    x, y = run.value_of(a), run.value_of(b)
    return tensordot(run, x, y, ([-1], [-1])) if x.shape and y.shape else x * y


@row(np.vdot)
def vdot(run: Run, a: Any, b: Any) -> Value:
    return (flatten(run.value_of(a)) * flatten(run.value_of(b))).sum([-1])


@row(np.outer)
def outer(run: Run, a: Any, b: Any) -> Value:
    x, y = flatten(run.value_of(a)), flatten(run.value_of(b))
    return x.map(lambda array: array[..., :, None]) * y.map(lambda array: array[..., None, :])


@row(np.kron)
def kron(run: Run, a: Any, b: Any) -> Any:
    rank = max(np.ndim(a), np.ndim(b))
    a = np.reshape(a, (1,) * (rank - np.ndim(a)) + np.shape(a))
    b = np.reshape(b, (1,) * (rank - np.ndim(b)) + np.shape(b))
    pairs = (
        [n for k in range(rank) for n in (np.shape(a)[k], 1)],
        [n for k in range(rank) for n in (1, np.shape(b)[k])],
    )
    product = np.reshape(a, pairs[0]) * np.reshape(b, pairs[1])
    return np.reshape(product, [n * m for n, m in zip(np.shape(a), np.shape(b), strict=True)])


@row(np.cross)
def cross(run: Run, a: Any, b: Any, *args: Any, **rest: Any) -> Any:
    if args or rest or np.shape(a)[-1] != 3 or np.shape(b)[-1] != 3:
        run.fail("the function cross of other than vectors of 3")
    x, y = ([v[..., k] for k in range(3)] for v in (a, b))
    parts = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]
    return np.stack(parts, axis=-1)


@row(np.convolve)
def convolve(run: Run, a: Any, v: Any, mode: Any = "full") -> Any:
    n, m = len(a), len(v)
    result: Any = run.new(run.numbers.zeros((n + m - 1,)))
    for k in range(m):
        result[k : k + n] += a * v[k]
    if mode == "full":
        return result
    length = max(n, m) if mode == "same" else abs(n - m) + 1
    start = (n + m - 1 - length) // 2
    return result[start : start + length]


@row(np.correlate)
def correlate(run: Run, a: Any, v: Any, mode: Any = "valid") -> Any:
    if len(a) < len(v):
        run.fail("correlate of an array with a longer one")
    return convolve(run, a, v[::-1], mode)


# Norms and small systems of equations


@row(np.linalg.norm)
def norm(run: Run, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    kept = {"axis": axis, "keepdims": keepdims}
    if axis is None:
        axis = tuple(range(np.ndim(x))) if ord is None or np.ndim(x) != 1 else 0
        kept = {"axis": None, "keepdims": keepdims}
    matrix = isinstance(axis, tuple) and len(axis) == 2 and ord is not None
    if matrix and ord != "fro":
        run.fail(f"the matrix norm {ord}")
    if ord is None or ord == 2 or matrix:
        return np.sqrt(np.sum(x * x, **kept))
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(np.abs(x), **kept)
    if ord == 1:
        return np.sum(np.abs(x), **kept)
    if ord == 0:
        run.fail("the number of entries that are not 0 (norm)")
    degree: Any = ord
    return np.sum(np.abs(x) ** degree, **kept) ** (1 / degree)


@row(np.linalg.multi_dot)
def multi_dot(run: Run, arrays: Any) -> Any:
    result = arrays[0]
    for array in arrays[1:]:
        result = np.dot(result, array)
    return result


@row(np.linalg.matrix_power)
def matrix_power(run: Run, a: Any, n: int) -> Any:
    if n == 0:
        run.fail("the matrix power 0")
    base = a if n > 0 else np.linalg.inv(a)
    result = base
    for _ in range(abs(n) - 1):
        result = result @ base
    return result


def _regular(failed: Any, message: str) -> None:
    if failed.any():
        raise np.linalg.LinAlgError(message)


@row(np.linalg.inv)
def inv(run: Run, a: Any) -> Any:
    found, failed = factorizations.inv_ex(run, run.value_of(a))
    _regular(failed, "Singular matrix")
    return run.new(found)


@row(np.linalg.solve)
def solve(run: Run, a: Any, b: Any) -> Any:
    if np.ndim(b) != 1:
        a, b = (run.value_of(x) for x in (a, b))
        found, _, _, failed = factorizations.solve_ex(run, a, b, columns=True)
        _regular(failed, "Singular matrix")
        return run.new(found)
    return solve(run, a, b[:, None])[..., 0]


@row(np.linalg.det)
def det(run: Run, a: Any) -> Any:
    return run.new(factorizations.determinant(run, run.value_of(a))[0])


@row(np.linalg.cholesky)
def cholesky(run: Run, a: Any, /, *, upper: bool = False) -> Any:
    found, failed = factorizations.cholesky_ex(run, run.value_of(a), upper=upper)
    _regular(failed, "Matrix is not positive definite")
    return run.new(found)

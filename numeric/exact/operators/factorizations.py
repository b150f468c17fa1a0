"""Determinants, inverses and solutions of linear systems: by elimination, as PyTorch's kernels do it.

The order of the pivots is that of the real numbers; the results do not depend on it. What returns the factors
themselves to a program (`torch.linalg.lu`) has no row.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import torch
from flint import arb
from numpy.typing import NDArray

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.confirmation import KERNELS
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.masks import mark_decided
from gradproof.numeric.exact.operators.pieces import choose, sign
from gradproof.numeric.exact.operators.reductions import stack
from gradproof.numeric.exact.operators.selections import take_along
from gradproof.numeric.exact.reals import Balls, Floats
from gradproof.numeric.exact.values import AmbiguousError, Value

aten: Any = torch.ops.aten
Order = NDArray[np.intp]

NOTHING = 1e-13
"""Up to this, relative to the largest entry, a pivot is taken for 0 where there are floats alone."""


def entry(a: Value, row: int, column: int) -> Value:
    """One entry of each matrix."""
    return a.map(lambda array: array[..., row, column])


def row_of(a: Value, row: int) -> Value:
    return a.map(lambda array: array[..., row, :])


def transpose(a: Value) -> Value:
    return a.map(lambda array: np.swapaxes(array, -1, -2))


def _column(scalar: Value) -> Value:
    """A number for each matrix, beside which a row can stand."""
    return scalar.map(lambda array: array[..., None])


def _identity(a: Value) -> Value:
    whole = np.eye(a.shape[-1], dtype=int).astype(object) * Fraction(1)
    return a.numbers.constant(np.asarray(whole, dtype=object)).expand(a.shape)


# LU factorization


def _pivots(a: Value) -> tuple[Order, Order, Array]:
    """The rows in the order of elimination, the largest pivot first; the swaps to it, from 1; and where
    pivots are 0, of exact numbers, else of floats.
    """
    reals = _exact_entries(a)
    size = a.shape[-1]
    order = np.broadcast_to(np.arange(size), a.shape[:-1]).copy()
    swaps, zero = order + 1, np.zeros(a.shape[:-1], dtype=bool)
    for batch in np.ndindex(a.shape[:-2]):
        matrix, rows = reals[batch].copy(), order[batch]
        for k in range(size):
            best = k + int(np.argmax(np.abs(matrix[k:, k])))
            matrix[[k, best]], rows[[k, best]] = matrix[[best, k]], rows[[best, k]]
            swaps[(*batch, k)] = best + 1
            zero[(*batch, k)] = not matrix[k, k]
            if matrix[k, k]:
                matrix[k + 1 :] -= np.outer(matrix[k + 1 :, k] / matrix[k, k], matrix[k])
    return order, swaps, zero


def _exact_entries(a: Value) -> Array:
    """The real numbers: fractions if all of them are balls of radius 0, else floats."""
    entries: list[Any] = list(a.reals.reshape(-1))
    if _are_points(a):
        exact = [Fraction(int(x.fmpq().p), int(x.fmpq().q)) for x in map(arb, entries)]
        return np.array([*exact, None], dtype=object)[:-1].reshape(a.shape)
    return np.array([float(x) for x in entries]).reshape(a.shape)


def _are_points(a: Value) -> bool:
    return isinstance(a.numbers.reals, Balls) and all(arb(x).is_exact() for x in a.reals.reshape(-1))


def _is_zero(value: Value, largest: Array) -> Array:
    """Where a pivot is 0; raises `AmbiguousError` where that cannot be told."""
    if value.formal is not None:
        zero = np.asarray(np.all(value.formal.primal == 0, axis=0))
        if np.any(zero & (np.abs(value.reals.astype(float)) > NOTHING * largest)):
            raise AmbiguousError("a pivot that is 0 by chance")
        return zero
    if isinstance(value.numbers.reals, Floats):
        return np.asarray(np.abs(value.reals) <= NOTHING * largest)
    zero = np.empty(value.shape, dtype=bool)
    for position in np.ndindex(value.shape):
        number: Any = value.reals[position]
        ball = arb(number)
        if ball.contains(0) and not ball == 0:
            raise AmbiguousError("a pivot that balls cannot tell from 0")
        zero[position] = ball == 0
    return zero


def _permuted(a: Value, order: Order) -> Value:
    return take_along(a, np.broadcast_to(order[..., None], a.shape), -2)


def factor(run: Any, a: Value) -> tuple[Value, Order, Order, Array]:
    """L below the diagonal (which is 1) and U on and above it; the order of the rows, the swaps, and where a
    pivot is 0.
    """
    size = a.shape[-1]
    order, swaps, known = _pivots(a)
    moved = _permuted(a, order)
    rows = [row_of(moved, k) for k in range(size)]
    points = a.formal is None and _are_points(a)
    singular = np.zeros(a.shape[:-2], dtype=bool)
    largest = np.abs(_exact_entries(a).astype(float)).max(axis=(-1, -2), initial=0)
    for k in range(size):
        pivot = rows[k].map(lambda array, k=k: array[..., k])
        zero = known[..., k] if points else _is_zero(pivot, largest)
        singular |= zero
        if np.any(zero):
            rows[k] = choose(zero[..., None] & (np.arange(size) == k), run.value_of(0), rows[k])
        inverse = choose(zero, run.value_of(1), pivot).reciprocal()
        after = np.arange(size) > k
        for i in range(k + 1, size):
            ratio = _column(rows[i].map(lambda array, k=k: array[..., k]) * inverse)
            reduced = rows[i] - ratio * rows[k]
            rows[i] = choose(after, reduced, choose(np.arange(size) == k, ratio, rows[i]))
    return stack(rows, -2) if rows else a, order, swaps, singular


def solve_triangular(run: Execution, a: Value, b: Value, upper: bool, unit: bool) -> Value:
    """X with `A X = B`, of the triangle of A alone; B has columns."""
    size = a.shape[-1]
    known: dict[int, Value] = {}
    for i in range(size)[:: -1 if upper else 1]:
        row = row_of(b, i)
        for j, solved in known.items():
            row = row - _column(entry(a, i, j)) * solved
        known[i] = row if unit else row / _column(f.finite_operand(entry(a, i, i), "the reciprocal"))
    if not known:
        return b
    return stack([known[i] for i in range(size)], -2)


def _solve_factored(run: Execution, lu: Value, order: Order, b: Value, adjoint: bool) -> Value:
    """X with `A X = B` or `A^T X = B`, where the rows of A in `order` are the product of the factors."""
    batch = np.broadcast_shapes(lu.shape[:-2], b.shape[:-2])
    b = b.expand((*batch, *b.shape[-2:]))
    order = np.broadcast_to(order, (*batch, order.shape[-1]))
    if not adjoint:
        return solve_triangular(
            run, lu, solve_triangular(run, lu, _permuted(b, order), False, True), True, False
        )
    turned = transpose(lu)
    moved = solve_triangular(run, turned, solve_triangular(run, turned, b, False, False), True, True)
    return _permuted(moved, np.argsort(order, axis=-1))


def _order_of(swaps: Any) -> Order:
    """The order of the rows that swaps lead to."""
    swaps = np.asarray(swaps)
    order = np.broadcast_to(np.arange(swaps.shape[-1]), swaps.shape).copy()
    for batch in np.ndindex(swaps.shape[:-1]):
        for k, other in enumerate(swaps[batch]):
            order[batch][[k, other - 1]] = order[batch][[other - 1, k]]
    return order


def _as_pivots(swaps: Order) -> torch.Tensor:
    made = torch.from_numpy(swaps.astype(np.int32))
    mark_decided(made, "order")
    return made


def _failed(where: Array) -> torch.Tensor:
    return torch.from_numpy(np.asarray(where).astype(np.int32))


# Determinants


def _expanded(run: Execution, a: Value) -> Value:
    """The determinant without a division, by its first rows over all sets of columns."""
    size = a.shape[-1]
    minors: dict[tuple[int, ...], Value] = {(): run.value_of(1).expand(a.shape[:-2])}
    for row in range(size):
        made: dict[tuple[int, ...], Value] = {}
        for columns in combinations(range(size), row + 1):
            for place, column in enumerate(columns):
                rest = columns[:place] + columns[place + 1 :]
                term = entry(a, row, column) * minors[rest]
                term = term if (row + place) % 2 == 0 else -term
                made[columns] = made[columns] + term if columns in made else term
        minors = made
    return minors[tuple(range(size))]


def determinant(run: Any, a: Value) -> tuple[Value, Value, Order]:
    """The determinant, the factors and the swaps."""
    lu, _, swaps, singular = factor(run, a)
    if np.any(singular):
        return _expanded(run, a), lu, swaps
    odd = np.sum(swaps != np.arange(1, a.shape[-1] + 1), axis=-1) % 2 == 1
    product = run.value_of(1).expand(a.shape[:-2])
    for k in range(a.shape[-1]):
        product = product * entry(lu, k, k)
    return choose(odd, -product, product), lu, swaps


def _as_factored(run: Execution, a: Value) -> Value:
    """PyTorch factors the transpose of a matrix that is laid out row by row."""
    return transpose(a) if run.called[0].meta.is_contiguous() else a


@handles(aten._linalg_det.default)
def det(run: Execution, a: Value) -> Any:
    found, lu, swaps = determinant(run, _as_factored(run, a))
    return found, lu, _as_pivots(swaps)


@handles(aten._linalg_slogdet.default)
def slogdet(run: Execution, a: Value) -> Any:
    found, lu, swaps = determinant(run, _as_factored(run, a))
    logarithm = f.log(found * found).times(f.HALF)  # of the absolute value, whichever sign it has
    return sign(run, found), logarithm, lu, _as_pivots(swaps)


# Solutions


@handles(aten.linalg_lu_solve.default)
def lu_solve(
    run: Execution, lu: Value, pivots: torch.Tensor, b: Value, *, left: bool = True, adjoint: bool = False
) -> Value:
    order = _order_of(pivots.numpy())
    if left:
        return _solve_factored(run, lu, order, b, adjoint)
    return transpose(_solve_factored(run, lu, order, transpose(b), not adjoint))


@handles(aten._linalg_solve_ex.default)
def solve_ex(
    run: Execution, a: Value, b: Value, *, left: bool = True, check_errors: bool = False,
    columns: bool = False,
) -> Any:  # fmt: skip
    """PyTorch takes B for a batch of vectors where its shape allows; not if it is said to have `columns`."""
    vector = len(b.shape) == 1 or (len(a.shape) - 1 == len(b.shape) and b.shape == a.shape[:-1])
    vector = vector and not columns
    matrix = _column(b) if vector else b
    lu, order, swaps, singular = factor(run, a)
    if np.any(singular):
        found = matrix.expand((*np.broadcast_shapes(a.shape[:-2], matrix.shape[:-2]), *matrix.shape[-2:]))
    elif left:
        found = _solve_factored(run, lu, order, matrix, False)
    else:
        found = transpose(_solve_factored(run, lu, order, transpose(matrix), True))
    found = found.map(lambda array: array[..., 0]) if vector else found
    return found, lu, _as_pivots(swaps), _failed(singular)


@handles(aten.linalg_inv_ex.default)
def inv_ex(run: Execution, a: Value, *, check_errors: bool = False) -> Any:
    lu, order, _, singular = factor(run, a)
    identity = _identity(a)
    return (a if np.any(singular) else _solve_factored(run, lu, order, identity, False)), _failed(singular)


def _run_inverse(a: torch.Tensor, *, check_errors: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The kernel, whose result means nothing where a matrix is singular, and which says at what pivot."""
    inverse, info = aten.linalg_inv_ex.default(a)
    return (a if torch.any(info != 0) else inverse), (info != 0).to(torch.int32)


KERNELS[aten.linalg_inv_ex.default] = _run_inverse


@handles(aten.linalg_solve_triangular.default)
def triangular(
    run: Execution, a: Value, b: Value, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Value:
    if left:
        return _solve_broadcast(run, a, b, upper, unitriangular)
    return transpose(_solve_broadcast(run, transpose(a), transpose(b), not upper, unitriangular))


def _solve_broadcast(run: Execution, a: Value, b: Value, upper: bool, unit: bool) -> Value:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return solve_triangular(run, a, b.expand((*batch, *b.shape[-2:])), upper, unit)


@handles(aten.triangular_solve.default)
def triangular_solve(
    run: Execution,
    b: Value,
    a: Value,
    upper: bool = True,
    transposed: bool = False,
    unitriangular: bool = False,
) -> Any:
    matrix = transpose(a) if transposed else a
    return _solve_broadcast(run, matrix, b, upper != transposed, unitriangular), a


@handles(aten.linalg_cholesky_ex.default)
def cholesky_ex(run: Execution, a: Value, *, upper: bool = False, check_errors: bool = False) -> Any:
    """L with `A = L L^T`, of one triangle of A."""
    size = a.shape[-1]
    a = transpose(a) if upper else a
    made: dict[tuple[int, int], Value] = {}
    failed = np.zeros(a.shape[:-2], dtype=bool)
    zero = run.value_of(0).expand(a.shape[:-2])
    for j in range(size):
        for i in range(j, size):
            rest = entry(a, i, j)
            for k in range(j):
                rest = rest - made[i, k] * made[j, k]
            if i == j:
                failed |= np.array([not bool(x > 0) for x in rest.reals.reshape(-1)]).reshape(failed.shape)
                if np.any(failed):
                    return a, _failed(failed)
            made[i, j] = f.sqrt(rest) if i == j else rest / made[j, j]
    rows = [stack([made.get((i, j), zero) for j in range(size)], -1) for i in range(size)]
    found = stack(rows, -2) if rows else a
    return (transpose(found) if upper else found), _failed(failed)


@handles(aten.cholesky_solve.default)
def cholesky_solve(run: Execution, b: Value, factor_: Value, upper: bool = False) -> Value:
    lower = transpose(factor_) if upper else factor_
    return _solve_broadcast(run, transpose(lower), _solve_broadcast(run, lower, b, False, False), True, False)


@handles(aten.cholesky_inverse.default)
def cholesky_inverse(run: Execution, factor_: Value, upper: bool = False) -> Value:
    return cholesky_solve(run, _identity(factor_), factor_, upper)

"""Infinities and NaN: values that only the real numbers of a run know, and the few uses of them that are
exact.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from flint import arb

from gradproof.numeric.exact.duals import Array, Dual
from gradproof.numeric.exact.intervals import Intervals
from gradproof.numeric.exact.reals import Floats, each
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.values import Numbers, Value


def mark(numbers: Numbers, array: Array) -> Value:
    """Floats among which are infinities or NaN; the residues of these are 0 and mean nothing."""
    finite = np.isfinite(array)
    fractions = np.empty(array.shape, dtype=object)
    for position in np.ndindex(array.shape):
        fractions[position] = Fraction(float(array[position])) if finite[position] else Fraction(0)
    duals = list[Dual]()
    for system in numbers.systems:
        dual = system.constant(fractions)
        if isinstance(system, Residues):
            duals.append(dual)
        elif isinstance(system, Intervals):
            duals.append(system.anything(dual))
        elif isinstance(system, Floats):
            duals.append(Dual(np.asarray(array, dtype=np.float64)[None]))
        else:
            primal = dual.primal.copy()
            for position in np.argwhere(~finite):
                spot = tuple(position)
                primal[(0, *spot)] = arb(str(array[spot]))
            duals.append(Dual(primal))
    return Value(numbers, tuple(duals))


def finite_entries(value: Value) -> Array:
    """Where the real numbers are finite."""
    if isinstance(value.numbers.reals, Floats):
        return np.isfinite(value.reals)
    return each(value.reals, _is_finite).astype(bool)


def infinite_entries(value: Value) -> Array:
    """Where the real numbers are infinite, and not NaN."""
    if isinstance(value.numbers.reals, Floats):
        return np.isinf(value.reals)
    return each(value.reals, _is_infinite).astype(bool)


def _is_finite(ball: arb | int) -> bool:
    return isinstance(ball, int) or bool(ball.is_finite())


def _is_infinite(ball: arb | int) -> bool:
    return not _is_finite(ball) and not (isinstance(ball, arb) and ball.is_nan())

"""Functions that libraries name and that are made of others: sums of products, distances, convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gradproof.symbolic.array_calls import Build, Given, enter
from gradproof.symbolic.array_moves import put
from gradproof.symbolic.array_reductions import HALF, log_sum_exp, mean_of
from gradproof.symbolic.arrays import (
    Array,
    Axes,
    ShapeError,
    contracted,
    elementwise,
    expanded,
    fresh_index,
    outer,
    summed,
    total_of,
    unary,
)
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Index, bracket, number, size
from gradproof.symbolic.formulas import Formula, exact, log, magnitude, raise_to
from gradproof.symbolic.syntax import ParseError

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader


def _plus(a: Array, b: Array) -> Array:
    return elementwise(Formula.__add__, a, b)


def _times(a: Array, b: Array) -> Array:
    return elementwise(Formula.__mul__, a, b)


def _product_added(product: Callable[[Array, Array], Array]) -> Build:
    """`beta x + alpha a b`."""

    def read(reader: ArrayReader, given: Given) -> Array:
        x, a, b = (reader.array(given[name]) for name in "xab")
        made = product(a, b)
        for name in ("alpha", "beta"):
            if name in given:
                factor = reader.number(given[name])
                if name == "alpha":
                    made = unary(lambda v, by=factor: v * by, made)
                else:
                    x = unary(lambda v, by=factor: v * by, x)
        return _plus(x, made)

    return read


enter("addmm addmv baddbmm", "x|input a b ?beta ?alpha", _product_added(contracted))
enter("addr", "x|input a b ?beta ?alpha", _product_added(outer))
enter("addcmul", "x|input a b ?alpha|value", _product_added(_times))
enter(
    "addcdiv", "x|input a b ?alpha|value", _product_added(lambda a, b: elementwise(Formula.__truediv__, a, b))
)


def _lerp(reader: ArrayReader, given: Given) -> Array:
    start, end, weight = (reader.array(given[name]) for name in ("start", "end", "weight"))
    return _plus(start, _times(weight, elementwise(Formula.__sub__, end, start)))


enter("lerp", "start|input end weight", _lerp)


def _cross(reader: ArrayReader, given: Given) -> Array:
    """The cross product of vectors along the last axis, which has three places."""
    x, y = (reader.array(given[name]).apart() for name in "xy")
    if x.axes != y.axes or not x.rank or x.axes[-1] is None or x.axes[-1].size != 3:
        raise ParseError(
            f"column {given['x'].column}: a cross product is one of vectors with three places, found axes "
            f"{x.shape} and {y.shape}"
        )
    y = y.over(x.indices)
    over, body = x.indices[-1], exact(0)
    assert over is not None
    for n in range(3):
        a, b = number((n + 1) % 3), number((n + 2) % 3)
        ahead = x.indices[:-1]
        term = x.at([*ahead, a]) * y.at([*ahead, b]) - x.at([*ahead, b]) * y.at([*ahead, a])
        body = body + Formula(bracket("==", over, number(n))) * term
    return Array(x.axes, x.indices, body)


enter("cross", "x|a|input y|b|other", _cross)


# --- distances


def _length(x: Array, places: Sequence[int], order: Formula | None, keep: bool = False) -> Array:
    if order is None or order == exact(2):
        return unary(lambda v: v.raised(HALF), summed(unary(lambda v: v * v, x), places, keep))
    if order == exact(1):
        return summed(elementwise(magnitude, x), places, keep)
    powers = summed(unary(lambda v: raise_to(magnitude(v), order), x), places, keep)
    return unary(lambda v: raise_to(v, exact(1) / order), powers)


def _distance(of_rows: bool) -> Build:
    def read(reader: ArrayReader, given: Given) -> Array:
        away = elementwise(Formula.__sub__, reader.array(given["x"]), reader.array(given["y"]))
        order = reader.number(given["p"]) if "p" in given else None
        return _length(away, [away.rank - 1] if of_rows else range(away.rank), order)

    return read


enter("dist euclidean_distance", "x|input y|other ?p", _distance(False))
enter("pairwise_distance", "x|x1 y|x2 ?p", _distance(True))


def _distances(reader: ArrayReader, given: Given) -> Array:
    """The distance of each row of one from each row of the other."""
    x, y = reader.array(given["x"]), reader.array(given["y"])
    if x.rank != 2 or y.rank != 2 or x.axes[1] != y.axes[1]:
        raise ParseError(
            f"column {given['x'].column}: rows of the same length were expected, found axes {x.shape} and "
            f"{y.shape}"
        )
    a, b = x.apart(), y.apart()
    b = b.over([b.indices[0], a.indices[1]])
    away = Array(
        (a.axes[0], b.axes[0], a.axes[1]), (a.indices[0], b.indices[0], a.indices[1]), a.body - b.body
    )
    return _length(away, [2], reader.number(given["p"]) if "p" in given else None)


enter("cdist", "x|x1 y|x2 ?p", _distances)


# --- means


def _weighted(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    places = reader.places(given.get("axis"), x)
    if "weights" not in given:
        return mean_of(x, places)
    weights = _plus(reader.array(given["weights"]), Array(x.axes, x.indices, exact(0)))
    return elementwise(Formula.__truediv__, summed(_times(weights, x), places), summed(weights, places))


enter("average", "x|a ?axis ?weights", _weighted)


def _log_mean_exp(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    places = reader.places(given.get("axis"), x)
    ones = Array(x.axes, x.indices, exact(1))
    return elementwise(Formula.__sub__, log_sum_exp(x, places), elementwise(log, summed(ones, places)))


enter("logmeanexp", "x ?axis|dim", _log_mean_exp)


# --- convolutions


def _convolved(reader: ArrayReader, given: Given) -> Array:
    """NumPy's `convolve`: entry n is the sum of x[i] k[n - i]; all of it, or where they overlap wholly."""
    x, k = reader.array(given["x"]), reader.array(given["k"])
    mode = given["mode"].text if "mode" in given else "full"
    if x.rank != 1 or k.rank != 1 or x.axes[0] is None or k.axes[0] is None or mode not in ("full", "valid"):
        raise ParseError(
            f"column {given['x'].column}: convolve is read of two vectors, with the mode 'full' or 'valid'"
        )
    if mode == "valid":
        return _slid(reader, x, _turned(k))
    a, b = x.apart(), k.apart()
    (i,), (j,) = a.indices, b.indices
    assert i is not None and j is not None
    over = fresh_index(_sum_of(reader, [i.axis, j.axis]))
    return Array(
        (over.axis,), (over,), total_of(Formula(bracket("==", i + j, over)) * a.body * b.body, [i, j])
    )


def _sum_of(reader: ArrayReader, axes: Sequence[Axis]) -> Axis:
    many: dict[Axis, int] = {}
    for axis in axes:
        many[axis] = many.get(axis, 0) + 1
    return reader.names.axis_of(many, -1)


def _turned(k: Array) -> Array:
    (axis,) = k.axes
    assert axis is not None
    over = fresh_index(axis)
    return put(k, 0, over, size(axis) - 1 - over)


def _slid(reader: ArrayReader, x: Array, k: Array) -> Array:
    """`sum_j x[n + j] k[j]`, where the kernel lies on the vector."""
    (long,), (short,) = x.axes, k.axes
    assert long is not None and short is not None
    over, inner = fresh_index(reader.names.axis_of({long: 1, short: -1}, 1)), fresh_index(short)
    body = x.at([over + inner]) * k.at([inner])
    return Array((over.axis,), (over,), total_of(body, [inner]))


def _correlated(reader: ArrayReader, given: Given) -> Array:
    """NumPy's `correlate` with the mode 'valid': entry n is the sum of x[n + j] k[j]."""
    x, k = reader.array(given["x"]), reader.array(given["k"])
    if x.rank != 1 or k.rank != 1 or ("mode" in given and given["mode"].text != "valid"):
        raise ParseError(
            f"column {given['x'].column}: correlate is read of two vectors, with the mode 'valid'"
        )
    return _slid(reader, x, k)


enter("convolve", "x|a k|v ?mode", _convolved)
enter("correlate", "x|a k|v ?mode", _correlated)


def _conv1d(reader: ArrayReader, given: Given) -> Array:
    """PyTorch's `conv1d`: `y[b, o, n] = sum of x[b, c, n + j] w[o, c, j]`, plus a bias for each o."""
    x, w = reader.array(given["x"]).apart(), reader.array(given["w"]).apart()
    if x.rank not in (2, 3) or w.rank != 3 or x.axes[-2] != w.axes[1]:
        raise ShapeError(
            f"conv1d of axes {x.shape} with a kernel of axes {w.shape}: [batch, in, n] and [out, in, k] were "
            "expected",
            (x.axes[-2] if x.rank > 1 else None,),
            (w.axes[1] if w.rank > 1 else None,),
        )
    long, short = x.axes[-1], w.axes[2]
    channel, inner = w.indices[1:]
    if long is None or short is None or inner is None:
        raise ParseError(f"column {given['x'].column}: an axis of size 1 in conv1d")
    over = fresh_index(reader.names.axis_of({long: 1, short: -1}, 1))
    read = x.at([*x.indices[:-2], channel, over + inner])
    over_all: list[Index] = [inner, *([channel] if channel is not None else [])]
    axes: Axes = (*x.axes[:-2], w.axes[0], over.axis)
    made = Array(axes, (*x.indices[:-2], w.indices[0], over), total_of(read * w.body, over_all))
    if "bias" not in given:
        return made
    return _plus(made, expanded(reader.array(given["bias"]), 1))


enter("conv1d", "x|input w|weight ?bias", _conv1d)

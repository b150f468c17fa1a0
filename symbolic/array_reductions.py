"""Sums, means, extremes, norms and what is along an axis, over axes or named indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product as choices
from typing import TYPE_CHECKING

from gradproof.symbolic.array_calls import ARRAY_TABLE, Build, Given, enter, flag
from gradproof.symbolic.arrays import (
    Array,
    binary,
    elementwise,
    fresh_index,
    largest,
    moved,
    reduced,
    summed,
    total_of,
    unary,
)
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Expr,
    Index,
    Number,
    bracket,
    mul,
    number,
    size,
    substitute,
)
from gradproof.symbolic.formulas import (
    Formula,
    choose,
    exact,
    larger,
    log,
    magnitude,
    raise_to,
    smaller,
)
from gradproof.symbolic.matrices import determinant
from gradproof.symbolic.scalar_functions import TABLE
from gradproof.symbolic.signs import positive
from gradproof.symbolic.syntax import ParseError, Syntax

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader

HALF = Fraction(1, 2)


def _over(
    reader: ArrayReader, node: Syntax, reduce_axes: Callable[[Array, Sequence[int], bool], Array]
) -> Array:
    """A reduction `f(body, i, j)`, `f(body for i in n)`, `f(body, axis=0)`, `f(body, "d")` or `f(body)`."""
    if not node.parts:
        raise ParseError(f"column {node.column}: {node.text} of nothing")
    positional = [p for p in node.parts if p.kind != "keyword"]
    keywords = {p.text: p.parts[0] for p in node.parts if p.kind == "keyword"}
    unknown = set(keywords) - {"axis", "dim", "keepdims", "keepdim"}
    if unknown:
        raise ParseError(f"column {node.column}: {node.text} has no argument {sorted(unknown)[0]!r}")
    if not positional:
        raise ParseError(f"column {node.column}: {node.text} of nothing")
    body_node, *rest = positional
    keep = any(flag(keywords, k) for k in ("keepdims", "keepdim"))
    if body_node.kind == "each":
        return _each(reader, body_node, node.column, reduce_axes)
    ranges = [p for p in rest if _is_range(p)]
    flat = [q for p in rest for q in (p.parts[:1] if p in ranges else p.parts if p.kind == "list" else (p,))]
    axes = next((keywords[k] for k in ("axis", "dim") if k in keywords), None)
    if axes is not None:
        flat += list(axes.parts) if axes.kind == "list" else [axes]
    names = [p.text for p in flat if p.kind == "name"]
    if len(set(names)) < len(names):
        raise ParseError(f"column {node.column}: {node.text} over the same index twice")
    with reader.binding(names, node.column) as frame:
        body = reader.array(body_node)
        for p in ranges:
            _check_range(reader, p, reader.names.known(frame[p.parts[0].text]))
        bound = [n for n in names if reader.names.known(frame[n]) is not None]
        over = [p for p in flat if not (p.kind == "name" and p.text in bound)]
        inner, own = reader.reduced(body, bound, frame)
    for p in over:
        if p.kind == "name" and p.text not in reader.names.axes:
            if reader.names.late:
                continue
            raise ParseError(
                f"column {p.column}: {p.text!r} is neither an index inside {node.text} nor an axis"
            )
    over = [p for p in over if p.kind != "name" or p.text in reader.names.axes]
    if own:
        ahead = Array((*(i.axis for i in own), *inner.axes), (*own, *inner.indices), inner.body)
        reduced = reduce_axes(ahead, list(range(len(own))), False)
        if not over:
            return reduced
        inner = reduced
    places = [q for p in over for q in reader.places(p, inner)] if flat else reader.places(None, inner)
    return reduce_axes(inner, places, keep)


def _is_range(node: Syntax) -> bool:
    """Whether it is `(i, 1, n)`, as SymPy writes what a sum is over."""
    return node.kind == "list" and len(node.parts) == 3 and node.parts[0].kind == "name" and node.text == "("


def _check_range(reader: ArrayReader, node: Syntax, axis: Axis | None) -> None:
    """Raise ParseError for a range that is not all of the axis of its index, counted from 0 or from 1."""
    if axis is None:
        return
    low, high = (reader.number(part, "an end of the range").value for part in node.parts[1:])
    if (low, high) not in ((ZERO, size(axis) - 1), (ONE, size(axis))):
        raise ParseError(
            f"column {node.column}: a sum is read over all places of an axis, here (i, 1, {axis.name}) or "
            f"(i, 0, {axis.name}-1); write `sum(x[1:])` or a condition for a part of them"
        )


def _each(
    reader: ArrayReader,
    node: Syntax,
    column: int,
    reduce_axes: Callable[[Array, Sequence[int], bool], Array],
) -> Array:
    names = node.text.split()
    body_node, *ranges = node.parts
    with reader.binding(names, column) as frame:
        for name, spread in zip(names, ranges, strict=True):
            inside = spread.parts[0] if spread.kind == "call" and spread.text in ("range", "len") else spread
            inside = inside.parts[0] if inside.kind == "call" and inside.text == "len" else inside
            reader.names.learn(frame[name], reader.axis_named(inside))
        inner, own = reader.reduced(reader.array(body_node), names, frame)
    ahead = Array((*(i.axis for i in own), *inner.axes), (*own, *inner.indices), inner.body)
    return reduce_axes(ahead, list(range(len(own))), False)


def _count(array: Array, places: Sequence[int]) -> Expr:
    return mul(*(size(a) for n, a in enumerate(array.axes) if a is not None and n in places))


def mean_of(array: Array, places: Sequence[int], keep: bool = False) -> Array:
    """The mean over axes."""
    count = _count(array, places)
    some = all(a.nonempty for n, a in enumerate(array.axes) if a is not None and n in places)
    inverse_count = Formula(count**-1) if some else exact(1) / Formula(count)
    return unary(lambda x: x * inverse_count, summed(array, places, keep))


def smallest(array: Array, places: Sequence[int], keep: bool = False) -> Array:
    """The smallest value over axes."""
    return elementwise(Formula.__neg__, largest(elementwise(Formula.__neg__, array), places, keep))


def span(array: Array, places: Sequence[int], keep: bool = False) -> Array:
    """The largest value less the smallest one over axes."""
    return elementwise(Formula.__sub__, largest(array, places, keep), smallest(array, places, keep))


def log_sum_exp(array: Array, places: Sequence[int], keep: bool = False) -> Array:
    """The logarithm of the sum of the exponentials over axes."""
    return elementwise(log, summed(elementwise(TABLE["exp"].build, array), places, keep))


def product_of(array: Array, places: Sequence[int], keep: bool = False) -> Array:
    """The product over axes: written out over those of fixed size, elsewhere a determinant of a diagonal."""
    chosen = [n for n in places if array.indices[n] is not None]
    if all(array.axes[n].size is not None for n in chosen):  # pyright: ignore[reportOptionalMemberAccess]
        return _written_product(array, places, keep)
    if positive(array.value):
        logs = summed(elementwise(log, array), places, keep)
        return elementwise(TABLE["exp"].build, logs)
    return reduced(array, places, keep, product_over)


def product_over(body: Formula, over: Sequence[Index]) -> Formula:
    """The product of a formula over indices, each of which runs over its whole axis."""
    value = body.value
    for i in over:
        row, column = fresh_index(i.axis), fresh_index(i.axis)
        value = determinant(mul(bracket("==", row, column), substitute(value, {i: row})), row, column)
    return Formula(value, total_of(body, over).demands)


def _written_product(array: Array, places: Sequence[int], keep: bool) -> Array:
    chosen = [n for n in sorted(set(places)) if array.indices[n] is not None]
    body = exact(1)
    for values in choices(*(range(array.axes[n].size or 0) for n in chosen)):  # pyright: ignore[reportOptionalMemberAccess]
        at: dict[Index, Expr] = {}
        for n, value in zip(chosen, values, strict=True):
            i = array.indices[n]
            assert i is not None
            at[i] = number(value)
        body = body * moved(array.body, at)
    axes = tuple(None if n in places else a for n, a in enumerate(array.axes) if keep or n not in places)
    over = tuple(None if n in places else i for n, i in enumerate(array.indices) if keep or n not in places)
    return Array(axes, over, body)


def _extreme(
    name: str, fold: Callable[[Formula, Formula], Formula]
) -> Callable[[ArrayReader, Syntax], Array]:
    """`max(a, b)` entry by entry, `max(x, axis=0)` over an axis; `max(x, 0)` is neither."""
    over = largest if name == "max" else smallest
    both = "maximum" if name == "max" else "minimum"

    def read(reader: ArrayReader, node: Syntax) -> Array:
        positional = [p for p in node.parts if p.kind != "keyword"]
        if len(positional) < 2 or len(positional) < len(node.parts):
            return _over(reader, node, over)
        second = positional[1]
        whole = second.kind == "number" or (second.kind == "sign" and second.parts[0].kind == "number")
        if len(positional) == 2 and whole:
            first = reader.array(positional[0])
            if first.rank:
                said = _shown(second)
                raise ParseError(
                    f"column {second.column}: `{name}(x, {said})` can be read as `{both}(x, {said})`, entry "
                    f"by entry, or as `{name}(x, axis={said})`"
                )
        names = [p for p in positional[1:] if p.kind == "name"]
        if len(names) == len(positional) - 1 and not any(_known_value(reader, p.text) for p in names):
            return _over(reader, node, over)
        result = reader.array(positional[0])
        for part in positional[1:]:
            result = elementwise(fold, result, reader.array(part))
        return result

    return read


def _shown(node: Syntax) -> str:
    return node.text if node.kind == "number" else f"{node.text}{node.parts[0].text}"


def _known_value(reader: ArrayReader, name: str) -> bool:
    names = reader.names
    declared = name in names.tensors or name in names.definitions or name in names.domains
    return (declared or name in reader.numbers) and name not in names.axes


ARRAY_TABLE["sum"] = ARRAY_TABLE["Sum"] = lambda r, n: _over(r, n, summed)
ARRAY_TABLE["mean"] = lambda r, n: _over(r, n, mean_of)
ARRAY_TABLE["prod"] = ARRAY_TABLE["Product"] = lambda r, n: _over(r, n, product_of)
ARRAY_TABLE["logsumexp"] = ARRAY_TABLE["lse"] = lambda r, n: _over(r, n, log_sum_exp)
ARRAY_TABLE["amax"] = lambda r, n: _over(r, n, largest)
ARRAY_TABLE["amin"] = lambda r, n: _over(r, n, smallest)
ARRAY_TABLE["ptp"] = lambda r, n: _over(r, n, span)
ARRAY_TABLE["max"] = ARRAY_TABLE["Max"] = _extreme("max", larger)
ARRAY_TABLE["min"] = ARRAY_TABLE["Min"] = _extreme("min", smaller)


def _reduced(build: Callable[[ArrayReader, Given, Array, list[int], bool], Array]) -> Build:
    """A function of an array and axes."""

    def read(reader: ArrayReader, given: Given) -> Array:
        x = reader.array(given["x"])
        keep = flag(given, "keepdims")
        return build(reader, given, x, reader.places(given.get("axis"), x), keep)

    return read


def variance_of(x: Array, places: Sequence[int], keep: bool, less: int) -> Array:
    """The mean of the squared distance from the mean, over `n - less`."""
    away = elementwise(Formula.__sub__, x, mean_of(x, places, True))
    squares = summed(unary(lambda v: v * v, away), places, keep)
    count = Formula(_count(x, places) - less)
    return unary(lambda v: v / count, squares)


def _less(reader: ArrayReader, given: Given) -> int:
    if "ddof" in given:
        value = reader.number(given["ddof"]).value
        if isinstance(value, Number) and value.value in (0, 1):
            return int(value.value)
        raise ParseError(f"column {given['ddof'].column}: 0 or 1 was expected")
    return int(flag(given, "unbiased"))


enter(
    "var variance",
    "x ?axis|dim ?ddof|correction ?unbiased ?keepdims|keepdim",
    _reduced(lambda r, g, x, p, k: variance_of(x, p, k, _less(r, g))),
)
enter(
    "std",
    "x ?axis|dim ?ddof|correction ?unbiased ?keepdims|keepdim",
    _reduced(lambda r, g, x, p, k: unary(lambda v: v.raised(HALF), variance_of(x, p, k, _less(r, g)))),
)


def _norm(reader: ArrayReader, given: Given, x: Array, places: list[int], keep: bool) -> Array:
    order = given.get("ord")
    if order is None or order.text in ("fro", "2") or order.kind == "none":
        if order is not None and order.text == "2" and "axis" not in given and x.rank >= 2:
            raise ParseError(
                f"column {order.column}: the 2-norm of a matrix can be read as its largest singular value or "
                "as the root of the sum of squares; write `norm(x)` for the latter"
            )
        return unary(lambda v: v.raised(HALF), summed(unary(lambda v: v * v, x), places, keep))
    if order.text == "1":
        if x.rank >= 2 and "axis" not in given:
            raise ParseError(f"column {order.column}: the 1-norm of a matrix; write `sum(abs(x))`")
        return summed(elementwise(magnitude, x), places, keep)
    if order.text == "inf":
        return largest(elementwise(magnitude, x), places, keep)
    if order.kind == "string" or (x.rank >= 2 and "axis" not in given):
        raise ParseError(f"column {order.column}: this norm of a matrix is not read; 'fro' is")
    p = reader.number(order, "the order of a norm")
    powers = summed(unary(lambda v: raise_to(magnitude(v), p), x), places, keep)
    return unary(lambda v: raise_to(v, exact(1) / p), powers)


enter("norm vector_norm l2norm", "x ?ord|p ?axis|dim ?keepdims|keepdim", _reduced(_norm))


def _last(build: Callable[[Array, list[int]], Array]) -> Build:
    """A function along an axis, the last one by default."""

    def read(reader: ArrayReader, given: Given) -> Array:
        x = reader.array(given["x"])
        if not x.rank:
            raise ParseError(f"column {given['x'].column}: an array was expected, found a number")
        places = reader.places(given["axis"], x) if "axis" in given else [x.rank - 1]
        return build(x, places)

    return read


def log_softmax_of(x: Array, places: Sequence[int]) -> Array:
    """`x - log(sum(exp(x)))` along axes."""
    return elementwise(Formula.__sub__, x, log_sum_exp(x, places, True))


def softmax_of(x: Array, places: Sequence[int]) -> Array:
    """`exp(x) / sum(exp(x))` along axes."""
    e = elementwise(TABLE["exp"].build, x)
    return elementwise(Formula.__truediv__, e, summed(e, places, True))


def normalized(x: Array, places: Sequence[int], eps: Formula) -> Array:
    """`(x - mean) / sqrt(var + eps)` along axes."""
    away = elementwise(Formula.__sub__, x, mean_of(x, places, True))
    spread = mean_of(unary(lambda v: v * v, away), places, True)
    return binary(lambda a, v: a * (v + eps).raised(-HALF), away, spread)


enter("softmax", "x ?axis|dim", _last(softmax_of))
enter("softmin", "x ?axis|dim", _last(lambda x, p: softmax_of(elementwise(Formula.__neg__, x), p)))
enter("log_softmax logsoftmax", "x ?axis|dim", _last(log_softmax_of))


def _layer_norm(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    places = reader.places(given["axis"], x) if "axis" in given else [x.rank - 1]
    eps = reader.number(given["eps"]) if "eps" in given else exact(0)
    result = normalized(x, places, eps)
    for name, fold in (("weight", Formula.__mul__), ("bias", Formula.__add__)):
        if name in given:
            result = elementwise(fold, result, reader.array(given[name]))
    return result


def _rms_norm(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    places = reader.places(given["axis"], x) if "axis" in given else [x.rank - 1]
    eps = reader.number(given["eps"]) if "eps" in given else exact(0)
    squares = mean_of(unary(lambda v: v * v, x), places, True)
    result = binary(lambda a, v: a * (v + eps).raised(-HALF), x, squares)
    return (
        elementwise(Formula.__mul__, result, reader.array(given["weight"])) if "weight" in given else result
    )


def _batch_norm(reader: ArrayReader, given: Given) -> Array:
    """Normalized over the first axis, by its own mean and variance."""
    x = reader.array(given["x"])
    result = normalized(x, [0], reader.number(given["eps"]) if "eps" in given else exact(0))
    for name, fold in (("weight", Formula.__mul__), ("bias", Formula.__add__)):
        if name in given:
            result = elementwise(fold, result, reader.array(given[name]))
    return result


def _unit_vector(x: Array, places: Sequence[int]) -> Array:
    squares = summed(unary(lambda v: v * v, x), places, True)
    return binary(lambda a, s: a / s.raised(HALF), x, squares)


enter("batch_norm batchnorm", "x ?weight|gamma ?bias|beta ?eps", _batch_norm)
enter("normalize", "x ?axis|dim", _last(_unit_vector))
enter("layer_norm layernorm", "x ?weight|gamma ?bias|beta ?eps ?axis|dim", _layer_norm)
enter("rms_norm rmsnorm", "x ?weight|gamma ?eps ?axis|dim", _rms_norm)


def _scan(build: Callable[[Index, Index], Expr]) -> Callable[[Array, list[int]], Array]:
    def read(x: Array, places: list[int]) -> Array:
        (at,) = places
        over = x.indices[at]
        if over is None:
            return x
        ahead = fresh_index(over.axis)
        weighted = Formula(build(over, ahead)) * x.body
        body = total_of(weighted, [over])
        return Array(x.axes, (*x.indices[:at], ahead, *x.indices[at + 1 :]), body)

    return read


def _running_log_sum(x: Array, places: list[int]) -> Array:
    return elementwise(log, _RUNNING(elementwise(TABLE["exp"].build, x), places))


_RUNNING = _scan(lambda i, j: bracket("<=", i, j))
enter("cumsum", "x ?axis|dim", _last(_RUNNING))
enter("logcumsumexp", "x ?axis|dim", _last(_running_log_sum))


def _running_product(x: Array, places: list[int]) -> Array:
    """The product of each entry and those before it."""
    (at,) = places
    over = x.indices[at]
    if over is None:
        return x
    if over.axis.size is None:
        if positive(x.value):
            return elementwise(TABLE["exp"].build, _RUNNING(elementwise(log, x), places))
        ahead = fresh_index(over.axis)
        so_far = choose(Formula(bracket("<=", over, ahead)), x.body, exact(1))
        return Array(x.axes, (*x.indices[:at], ahead, *x.indices[at + 1 :]), product_over(so_far, [over]))
    ahead = fresh_index(over.axis)
    body = exact(1)
    for place in range(over.axis.size):
        so_far = Formula(bracket("<=", number(place), ahead))
        body = body * choose(so_far, moved(x.body, {over: number(place)}), exact(1))
    return Array(x.axes, (*x.indices[:at], ahead, *x.indices[at + 1 :]), body)


enter("cumprod", "x ?axis|dim", _last(_running_product))
enter("revcumsum reverse_cumsum", "x ?axis|dim", _last(_scan(lambda i, j: bracket("<=", j, i))))

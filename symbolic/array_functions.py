"""The functions of array formulas, gathered: cases, shapes, losses, beside reductions and products."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from gradproof.symbolic import (
    array_compositions,
    array_lookups,
    array_moves,
    array_products,
    array_reductions,
    array_shapes,
)
from gradproof.symbolic.array_calls import ARRAY_TABLE, Build, Given, enter
from gradproof.symbolic.array_reductions import log_softmax_of, mean_of
from gradproof.symbolic.arrays import (
    Array,
    binary,
    elementwise,
    expanded,
    fresh_index,
    squeezed,
    summed,
    unary,
)
from gradproof.symbolic.expressions import ONE, Number, bracket
from gradproof.symbolic.formulas import (
    Formula,
    both,
    choose,
    compare,
    either,
    exact,
    log,
    magnitude,
    negated,
    raise_to,
)
from gradproof.symbolic.scalar_functions import TABLE
from gradproof.symbolic.syntax import ParseError, Syntax

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader

HALF = Fraction(1, 2)


def _where(reader: ArrayReader, given: Given) -> Array:
    return elementwise(
        choose, reader.condition(given["condition"]), reader.array(given["x"]), reader.array(given["y"])
    )


enter("where", "condition x|input y|other", _where)
enter("indicator ind iverson", "x", lambda r, g: r.condition(g["x"]))


def _piecewise(reader: ArrayReader, node: Syntax) -> Array:
    result: Array | None = None
    for case in reversed(node.parts):
        if case.kind != "list" or len(case.parts) != 2:
            raise ParseError(f"column {case.column}: a case is written `(value, condition)`")
        value, condition = reader.array(case.parts[0]), reader.condition(case.parts[1])
        if result is None:
            if condition.value is not ONE:
                raise ParseError(f"column {case.column}: the last case must be `(value, True)`")
            result = value
        else:
            result = elementwise(choose, condition, value, result)
    if result is None:
        raise ParseError(f"column {node.column}: Piecewise without a case")
    return result


ARRAY_TABLE["Piecewise"] = _piecewise


enter(
    "unsqueeze expand_dims",
    "x axis|dim",
    lambda r, g: (lambda x: expanded(x, _place(r, g["axis"], x.rank + 1)))(r.array(g["x"])),
)


def _squeeze(reader: ArrayReader, given: Given) -> Array:
    """One axis of size 1 taken away, or all."""
    x = reader.array(given["x"])
    if "axis" in given:
        return squeezed(x, _place(reader, given["axis"], x.rank))
    for place in reversed(range(x.rank)):
        x = squeezed(x, place) if x.axes[place] is None else x
    return x


enter("squeeze", "x ?axis|dim", _squeeze)


def _place(reader: ArrayReader, node: Syntax, rank: int) -> int:
    value = reader.number(node, "the number of an axis").value
    if not isinstance(value, Number) or not -rank <= value.value < rank or value.value.denominator != 1:
        raise ParseError(f"column {node.column}: the number of an axis was expected")
    return int(value.value) % rank


def _each_or_mean(reader: ArrayReader, given: Given, values: Array) -> Array:
    way = given.get("reduction")
    kind = "mean" if way is None else way.text
    if kind == "none":
        return values
    if kind not in ("mean", "sum"):
        raise ParseError("a reduction is 'mean', 'sum' or 'none'")
    places = range(values.rank)
    return mean_of(values, places) if kind == "mean" else summed(values, places)


def _cross_entropy(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    axis = x.axes[-1] if x.rank else None
    if axis is None:
        raise ParseError(f"column {given['x'].column}: logits over classes were expected")
    target = given["target"]
    if target.kind == "name" and target.text in reader.names.tensors:
        declared = reader.names.tensors[target.text]
        if len(declared.axes) == x.rank - 1:
            reader.names.learn(f"positions:{target.text}", axis)
    t = reader.array(target)
    logp = log_softmax_of(x, [x.rank - 1])
    if t.rank == x.rank - 1:
        over = fresh_index(axis)
        t = Array((*t.axes, axis), (*t.indices, over), Formula(bracket("==", t.value, over)))
    each = summed(binary(lambda p, q: -(p * q), logp, t), [x.rank - 1])
    return _each_or_mean(reader, given, each)


def _squared(reader: ArrayReader, given: Given) -> Array:
    x, t = reader.array(given["x"]), reader.array(given["target"])
    return _each_or_mean(reader, given, binary(lambda a, b: (a - b) * (a - b), x, t))


def _binary_cross_entropy(reader: ArrayReader, given: Given) -> Array:
    x, t = reader.array(given["x"]), reader.array(given["target"])
    softplus = TABLE["softplus"].build
    return _each_or_mean(reader, given, binary(lambda a, b: softplus(a) - a * b, x, t))


enter("cross_entropy", "x|input|logits target ?reduction", _cross_entropy)


def _nll_loss(reader: ArrayReader, given: Given) -> Array:
    """Minus the log-probabilities at the targets; one for each row unless it is reduced."""
    x, t = reader.array(given["x"]), given["target"]
    axis = x.axes[-1] if x.rank else None
    if axis is None:
        raise ParseError(f"column {given['x'].column}: log-probabilities over classes were expected")
    if t.kind == "name" and t.text in reader.names.tensors:
        reader.names.learn(f"positions:{t.text}", axis)
    target, over = reader.array(t), fresh_index(axis)
    hit = Array((*target.axes, axis), (*target.indices, over), Formula(bracket("==", target.value, over)))
    each = summed(binary(lambda p, q: -(p * q), x, hit), [x.rank - 1])
    return _each_or_mean(reader, given, each)


enter("nll_loss", "x|input target ?reduction", _nll_loss)
enter("mse_loss mse", "x|input target ?reduction", _squared)
enter(
    "binary_cross_entropy_with_logits bce_with_logits",
    "x|input|logits target ?reduction",
    _binary_cross_entropy,
)


def _by_entries(build: Callable[[Formula, Formula], Formula]) -> Build:
    """A loss of entries of an input and a target, reduced."""
    return lambda r, g: _each_or_mean(r, g, elementwise(build, r.array(g["x"]), r.array(g["target"])))


def _entropy(p: Formula, t: Formula) -> Formula:
    return -(t * log(p) + (exact(1) - t) * log(exact(1) - p))


def _divergence(reader: ArrayReader, node: Syntax) -> Array:
    raise ParseError(
        f"column {node.column}: kl_div can be read as PyTorch's loss of log-probabilities, `F.kl_div(x, t)`, "
        "or entry by entry as SciPy's x*log(x/y) - x + y, `rel_entr(x, y) - x + y`"
    )


enter("l1_loss", "x|input target ?reduction", _by_entries(lambda a, b: magnitude(a - b)))
enter("binary_cross_entropy", "x|input target ?reduction", _by_entries(_entropy))
enter("kl_div_loss", "x|input target ?reduction", _by_entries(TABLE["kl_div_loss"].build))
ARRAY_TABLE["kl_div"] = _divergence


def _cosine(reader: ArrayReader, given: Given) -> Array:
    """The cosine of the angle between vectors along the last axis."""
    x, y = reader.array(given["x"]), reader.array(given["y"])
    products, *squares = (
        summed(elementwise(Formula.__mul__, a, b), [max(a.rank, b.rank) - 1])
        for a, b in ((x, y), (x, x), (y, y))
    )
    one, other = (unary(lambda v: v.raised(HALF), s) for s in squares)
    return binary(lambda a, b: a / b, products, binary(lambda a, b: a * b, one, other))


enter("cosine_similarity", "x|x1 y|x2", _cosine)
enter("logical_and", "x y", lambda r, g: elementwise(both, r.condition(g["x"]), r.condition(g["y"])))
enter("logical_or", "x y", lambda r, g: elementwise(either, r.condition(g["x"]), r.condition(g["y"])))
enter("logical_not", "x", lambda r, g: elementwise(negated, r.condition(g["x"])))


def _huber(delta_name: str) -> Build:
    def read(reader: ArrayReader, given: Given) -> Array:
        x, t = reader.array(given["x"]), reader.array(given["target"])
        d = reader.number(given[delta_name]) if delta_name in given else exact(1)

        def loss(a: Formula, b: Formula) -> Formula:
            r = a - b
            near = r * r * exact(HALF) if delta_name == "delta" else r * r * exact(HALF) / d
            far = (
                d * (magnitude(r) - d * exact(HALF))
                if delta_name == "delta"
                else magnitude(r) - d * exact(HALF)
            )
            return choose(compare("<", magnitude(r), d), near, far)

        return _each_or_mean(reader, given, elementwise(loss, x, t))

    return read


enter("huber_loss", "x|input target ?delta ?reduction", _huber("delta"))
enter("smooth_l1_loss", "x|input target ?beta ?reduction", _huber("beta"))


def _power_of(reader: ArrayReader, given: Given) -> Array:
    return elementwise(raise_to, reader.array(given["x"]), reader.array(given["y"]))


enter("pow power float_power", "x|input y|exponent", _power_of)

__all__ = [
    "ARRAY_TABLE",
    "array_compositions",
    "array_lookups",
    "array_moves",
    "array_products",
    "array_reductions",
    "array_shapes",
]

"""What moves entries: flips, rolls, parts of axes, arrays side by side, padding, positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gradproof.symbolic.array_calls import ARRAY_TABLE, Given, enter
from gradproof.symbolic.array_names import TooShortError
from gradproof.symbolic.arrays import (
    Array,
    ShapeError,
    elementwise,
    expanded,
    fresh_index,
    total_of,
    transposed,
)
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import ONE, ZERO, Expr, Index, Number, Size, add, bracket, number, size
from gradproof.symbolic.formulas import Formula, exact
from gradproof.symbolic.positions import affine, least
from gradproof.symbolic.syntax import ParseError, Syntax

if TYPE_CHECKING:
    from gradproof.symbolic.array_reader import ArrayReader

MAX_STACKED = 8


def put(array: Array, place: int, over: Index | None, position: Expr | None) -> Array:
    """The array with its entries along one axis read at a position, over another index."""
    places: list[Expr | None] = list(array.indices)
    places[place] = position
    axes = (*array.axes[:place], None if over is None else over.axis, *array.axes[place + 1 :])
    indices = (*array.indices[:place], over, *array.indices[place + 1 :])
    return Array(axes, indices, array.at(places))


def spread(array: Array, place: int, over: Index, hit: Callable[[Index], Expr]) -> Array:
    """The array whose entry at `over` is the sum of those that `hit` is 1 for."""
    old = array.indices[place]
    assert old is not None
    inner = fresh_index(old.axis)
    moved = put(array, place, inner, inner)
    body = total_of(Formula(hit(inner)) * moved.body, [inner])
    axes = (*array.axes[:place], over.axis, *array.axes[place + 1 :])
    return Array(axes, (*array.indices[:place], over, *array.indices[place + 1 :]), body)


# --- along an axis


def flipped(array: Array, places: Sequence[int]) -> Array:
    """The entries in reverse order along axes."""
    for place in places:
        axis = array.axes[place]
        if axis is not None:
            over = fresh_index(axis)
            array = put(array, place, over, size(axis) - 1 - over)
    return array


def _flip(last: int | None) -> Callable[[ArrayReader, Given], Array]:
    def read(reader: ArrayReader, given: Given) -> Array:
        x = reader.array(given["x"])
        if last is not None:
            if x.rank < 2 - (last == 0):
                raise ParseError(f"column {given['x'].column}: an array of more axes was expected")
            return flipped(x, [last])
        return flipped(x, reader.places(given.get("axis"), x))

    return read


enter("flip reverse", "x ?axis|dims|dim", _flip(None))
enter("fliplr", "x", _flip(1))
enter("flipud", "x", _flip(0))


def _whole(reader: ArrayReader, node: Syntax, what: str) -> int:
    value = reader.number(node, what).value
    if not isinstance(value, Number) or value.value.denominator != 1:
        raise ParseError(f"column {node.column}: {what} was expected")
    return int(value.value)


def _roll(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    step = _whole(reader, given["shift"], "a whole number of places")
    if "axis" not in given and x.rank != 1:
        raise ParseError(f"column {given['x'].column}: say along which axis of {x.shape} it rolls")
    (place,) = reader.places(given["axis"], x) if "axis" in given else [0]
    axis = x.axes[place]
    if axis is None or not step:
        return x
    _ask(axis, abs(step))
    over = fresh_index(axis)
    around = size(axis) if step > 0 else -size(axis)

    def hit(inner: Index) -> Expr:
        return bracket("==", inner + step, over) + bracket("==", inner + step, over + around)

    return spread(x, place, over, hit)


enter("roll", "x|input shift|shifts ?axis|dims|dim", _roll)


def _ask(axis: Axis, count: int) -> None:
    """Ask for an axis of at least so many places."""
    if axis.minimum >= count or (axis.size or 0) >= count:
        return
    if axis.size is not None:
        raise ParseError(f"an axis of {axis.size} places has no {count}")
    if len(axis.parts) > 1 or (axis.parts and axis.parts[0][1] != 1):
        raise ParseError(f"whether the axis {axis.name} has {count} places is not known")
    base = axis.parts[0][0] if axis.parts else axis
    raise TooShortError(base.name, base.minimum + count - axis.minimum)


# --- parts of axes


def sliced(reader: ArrayReader, array: Array, place: int, node: Syntax) -> Array:
    """`x[start:stop]` along an axis, and `x[::-1]`."""
    axis = array.axes[place]
    if not node.text:
        return array
    if axis is None:
        raise ParseError(f"column {node.column}: a slice with ends of an axis of size 1")
    ends = dict(zip(node.text, node.parts, strict=True))
    step = _whole(reader, ends["c"], "a step") if "c" in ends else 1
    if step == -1 and not ends.keys() & {"a", "b"}:
        return flipped(array, [place])
    if step != 1:
        return _every(reader, array, place, step, ends, node)
    start = _end(reader, ends.get("a"), axis, ZERO)
    stop = _end(reader, ends.get("b"), axis, size(axis))
    for low, high in ((ZERO, start), (start, stop), (stop, size(axis))):
        _ordered(low, high, axis, node)
    made = reader.names.axis_of(*_length(stop - start))
    over = fresh_index(made)
    return put(array, place, over, over + start)


def _every(
    reader: ArrayReader, array: Array, place: int, step: int, ends: Mapping[str, Syntax], node: Syntax
) -> Array:
    """`x[start::step]` along an axis that has a multiple of the step for its size."""
    axis = array.axes[place]
    assert axis is not None
    start = _whole(reader, ends["a"], "a start") if "a" in ends else 0
    many = dict(axis.parts) or {axis: 1}
    fits = not axis.more and all(times % step == 0 for times in many.values()) if step > 1 else False
    fixed = axis.size is not None and step > 1 and axis.size % step == 0
    if "b" in ends or not 0 <= start < step or not (fits or fixed):
        raise ParseError(
            f"column {node.column}: a slice is read with step 1, as `[::-1]`, or with a step that surely "
            f"divides the size of the axis {axis.name}"
        )
    parts = {} if fixed else {part: times // step for part, times in many.items()}
    made = reader.names.axis_of(parts, (axis.size or 0) // step if fixed else 0)
    over = fresh_index(made)
    return put(array, place, over, step * over + start)


def _end(reader: ArrayReader, node: Syntax | None, axis: Axis, default: Expr) -> Expr:
    """An end of a slice, counted from the end of the axis where it is negative."""
    if node is None or node.kind == "none":
        return default
    found = reader.number(node, "an end of a slice").value
    form = affine(found)
    if form is None or any(not (a is ONE or isinstance(a, Size)) for a in form):
        raise ParseError(f"column {node.column}: an end of a slice is a number, or made of sizes")
    low = least(form)
    if isinstance(found, Number) and found.value < 0:
        return size(axis) + found
    if low is None or low < 0:
        raise ParseError(f"column {node.column}: this end of a slice may be negative")
    return found


def _ordered(low: Expr, high: Expr, axis: Axis, node: Syntax) -> None:
    """Ask for an axis so large that one end is not above the other."""
    form = affine(high - low)
    found = None if form is None else least(form)
    if found is not None and found >= 0:
        return
    if found is None:
        raise ParseError(
            f"column {node.column}: whether this slice lies on the axis {axis.name} is not known"
        )
    if not any(isinstance(atom, Size) for atom in form or ()):
        raise ParseError(f"column {node.column}: this slice does not lie on the axis {axis.name}")
    _ask(axis, (axis.size or axis.minimum) - found)


def _length(length: Expr) -> tuple[Mapping[Axis, int], int]:
    form = affine(length)
    assert form is not None
    return {a.axis: n for a, n in form.items() if isinstance(a, Size)}, form.get(ONE, 0)


def _difference(reader: ArrayReader, given: Given) -> Array:
    """Each entry less the one before."""
    x = reader.array(given["x"])
    (place,) = reader.places(given["axis"], x) if "axis" in given else [x.rank - 1]
    axis = x.axes[place]
    if axis is None:
        raise ParseError(f"column {given['x'].column}: differences along an axis of size 1")
    over = fresh_index(reader.names.axis_of({axis: 1}, -1))
    return elementwise(Formula.__sub__, put(x, place, over, over + 1), put(x, place, over, over))


enter("diff", "x|a|input ?axis|dim", _difference)


# --- arrays side by side


def _operands(reader: ArrayReader, node: Syntax) -> list[Array]:
    parts = node.parts if node.kind == "list" else ()
    if not parts:
        raise ParseError(f"column {node.column}: a list of arrays was expected, as in `[x, y]`")
    if len(parts) > MAX_STACKED:
        raise ParseError(f"column {node.column}: at most {MAX_STACKED} arrays are put side by side")
    return [reader.array(part) for part in parts]


def joined(reader: ArrayReader, arrays: Sequence[Array], place: int) -> Array:
    """Arrays one behind the other along an axis."""
    first = arrays[0].apart()
    rest = first.axes[:place] + first.axes[place + 1 :]
    for other in arrays[1:]:
        if other.rank != first.rank or other.axes[:place] + other.axes[place + 1 :] != rest:
            raise ShapeError(
                f"arrays of axes {first.shape} and {other.shape} are not put side by side",
                first.axes,
                other.axes,
            )
    lengths = [exact(1).value if a.axes[place] is None else size(a.axes[place]) for a in arrays]  # pyright: ignore[reportArgumentType]
    starts = [add(*lengths[:n]) for n in range(len(arrays))]
    over = fresh_index(reader.names.axis_of(*_length(add(*lengths))))
    body = exact(0)
    for array, start in zip(arrays, starts, strict=True):
        inner = None if array.axes[place] is None else fresh_index(array.axes[place])  # pyright: ignore[reportArgumentType]
        at: list[Expr | None] = [*first.indices[:place], inner, *first.indices[place + 1 :]]
        position = start if inner is None else start + inner
        term = Formula(bracket("==", position, over)) * array.at(at)
        body = body + (term if inner is None else total_of(term, [inner]))
    axes = (*first.axes[:place], over.axis, *first.axes[place + 1 :])
    return Array(axes, (*first.indices[:place], over, *first.indices[place + 1 :]), body)


def _concatenate(default: int | None) -> Callable[[ArrayReader, Given], Array]:
    def read(reader: ArrayReader, given: Given) -> Array:
        arrays = _operands(reader, given["arrays"])
        if not arrays[0].rank:
            raise ParseError(f"column {given['arrays'].column}: numbers are not put side by side; use stack")
        place = default if default is not None and arrays[0].rank > 1 else 0
        if "axis" in given:
            (place,) = reader.places(given["axis"], arrays[0])
        return joined(reader, arrays, place)

    return read


enter("concatenate concat cat", "arrays|tensors ?axis|dim", _concatenate(None))
enter("hstack", "arrays|tensors", _concatenate(1))


def stacked(reader: ArrayReader, arrays: Sequence[Array], place: int) -> Array:
    """Arrays of the same axes along a new one."""
    for other in arrays[1:]:
        if other.axes != arrays[0].axes:
            one, two = arrays[0], other
            raise ShapeError(
                f"arrays of axes {one.shape} and {two.shape} are not stacked", one.axes, two.axes
            )
    over = fresh_index(reader.names.axis(str(len(arrays))))
    first = arrays[0].apart()
    body = exact(0)
    for count, array in enumerate(arrays):
        body = body + Formula(bracket("==", over, number(count))) * array.at(first.indices)
    axes, indices = list(first.axes), list(first.indices)
    axes.insert(place, over.axis)
    indices.insert(place, over)
    return Array(tuple(axes), tuple(indices), body)


def _stack(reader: ArrayReader, given: Given) -> Array:
    arrays = _operands(reader, given["arrays"])
    if "axis" not in given:
        return stacked(reader, arrays, 0)
    (place,) = reader.places(given["axis"], expanded(arrays[0], 0))
    return stacked(reader, arrays, place)


def _vstack(reader: ArrayReader, given: Given) -> Array:
    arrays = _operands(reader, given["arrays"])
    return stacked(reader, arrays, 0) if arrays[0].rank < 2 else joined(reader, arrays, 0)


enter("stack", "arrays|tensors ?axis|dim", _stack)
enter("vstack row_stack", "arrays|tensors", _vstack)
enter("column_stack", "arrays|tensors", lambda r, g: stacked(r, _operands(r, g["arrays"]), 1))


def _pad(every: bool | None) -> Callable[[ArrayReader, Given], Array]:
    """Zeros in front and behind: of every axis (NumPy), of the last ones, the last first (PyTorch)."""

    def read(reader: ArrayReader, given: Given) -> Array:
        x, width = reader.array(given["x"]), given["width"]
        pairs = _pairs(reader, width)
        nested = width.kind == "list" and any(p.kind == "list" for p in width.parts)
        if every is None and x.rank != 1 and not nested:
            raise ParseError(
                f"column {given['x'].column}: the padding of an array of axes {x.shape} can be read as that "
                "of every axis, `np.pad` (NumPy), or of the last ones, `F.pad` (PyTorch)"
            )
        if every is False:
            flat = [n for pair in pairs for n in pair] if not nested else []
            if not flat or len(flat) > 2 * x.rank:
                raise ParseError(f"column {width.column}: two numbers for each axis, the last first")
            pairs = [(0, 0)] * (x.rank - len(flat) // 2) + list(zip(flat[::2], flat[1::2], strict=True))[::-1]
        elif len(pairs) == 1:
            pairs = pairs * x.rank
        if len(pairs) != x.rank:
            raise ParseError(f"column {width.column}: a pair of numbers for each axis of {x.shape}")
        for place, (before, after) in enumerate(pairs):
            x = _padded(reader, x, place, before, after)
        return x

    return read


def _pairs(reader: ArrayReader, width: Syntax) -> list[tuple[int, int]]:
    """How many zeros in front and behind; one number is meant for both."""
    if width.kind != "list":
        count = _whole(reader, width, "a number of zeros")
        return [(count, count)]
    if any(p.kind == "list" for p in width.parts):
        return [pair for p in width.parts for pair in _pairs(reader, p)]
    counts = [_whole(reader, p, "a number of zeros") for p in width.parts]
    if len(counts) % 2 or not counts:
        raise ParseError(f"column {width.column}: how much to pad in front and behind was expected")
    return list(zip(counts[::2], counts[1::2], strict=True))


def _padded(reader: ArrayReader, x: Array, place: int, before: int, after: int) -> Array:
    axis = x.axes[place]
    if min(before, after) < 0:
        raise ParseError("a padding is not negative")
    if before == after == 0:
        return x
    if axis is None:
        raise ParseError("an axis of size 1 is padded")
    over = fresh_index(reader.names.axis_of({axis: 1}, before + after))
    return spread(x, place, over, lambda inner: bracket("==", inner + before, over))


enter("pad_every", "x|array|input width|pad_width|pad", _pad(True))
enter("pad_last", "x|array|input width|pad_width|pad", _pad(False))
enter("pad", "x|array|input width|pad_width|pad", _pad(None))


def _tile(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    count = _whole(reader, given["reps"], "how many times")
    if x.rank != 1 or not 1 <= count <= MAX_STACKED:
        raise ParseError(f"column {given['x'].column}: a vector is tiled 1 to {MAX_STACKED} times")
    return joined(reader, [x] * count, 0)


enter("tile", "x|a|input reps|dims", _tile)


# --- axes, and positions on them


def _broadcast(reader: ArrayReader, node: Syntax) -> Array:
    """`broadcast_to(x, (b, d))` or `x.expand(b, d)`: the same along the axes that are added."""
    if len(node.parts) < 2:
        raise ParseError(f"column {node.column}: {node.text} takes an array and axes")
    x = reader.array(node.parts[0])
    axes = [a for part in node.parts[1:] for a in reader.shape(part)]
    like = Array(tuple(axes), tuple(map(fresh_index, axes)), exact(0))
    made = elementwise(Formula.__add__, x, like)
    if made.axes != tuple(axes):
        raise ShapeError(f"an array of axes {x.shape} is not broadcast to {like.shape}", x.axes, like.axes)
    return made


ARRAY_TABLE["broadcast_to"] = ARRAY_TABLE["expand"] = _broadcast


def _range(reader: ArrayReader, given: Given) -> Array:
    axis = reader.axis_named(given["axis"])
    over = fresh_index(axis)
    return Array((axis,), (over,), Formula(over))


enter("arange range", "axis", _range)


def _moveaxis(reader: ArrayReader, given: Given) -> Array:
    x = reader.array(given["x"])
    (source,), (target,) = (reader.places(given[name], x) for name in ("source", "destination"))
    order = [n for n in range(x.rank) if n != source]
    order.insert(target, source)
    return transposed(x, order)


enter("moveaxis movedim", "x|a|input source destination", _moveaxis)


def _permute(reader: ArrayReader, node: Syntax) -> Array:
    """`permute(x, (1, 0))` or `x.permute(1, 0)`."""
    if len(node.parts) < 2:
        raise ParseError(f"column {node.column}: permute takes an array and an order of its axes")
    x = reader.array(node.parts[0])
    return transposed(x, [p for part in node.parts[1:] for p in reader.places(part, x)])


ARRAY_TABLE["permute"] = _permute

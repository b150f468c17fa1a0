"""Array formulas: from syntax to arrays over named axes."""

from __future__ import annotations

import difflib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import cast

from gradproof.symbolic.array_functions import ARRAY_TABLE
from gradproof.symbolic.array_mathematics import read_mathematics
from gradproof.symbolic.array_names import Names, named_index
from gradproof.symbolic.array_subscripts import read_subscript
from gradproof.symbolic.arrays import (
    Array,
    ShapeError,
    binary,
    closed,
    contracted,
    elementwise,
    of_tensor,
    scalar,
    swapped,
    total_of,
)
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.claims import ARITHMETIC, CONSTANTS, REFUSED, approximated, read_number
from gradproof.symbolic.expressions import Index, Number, Relation, Tensor, size
from gradproof.symbolic.formulas import (
    Formula,
    TooBigError,
    both,
    choose,
    compare,
    either,
    exact,
    negated,
    raise_to,
)
from gradproof.symbolic.scalar_functions import ALSO_VARIABLES, TABLE, WITHOUT_ROW
from gradproof.symbolic.scalar_table import NoRowError, arguments
from gradproof.symbolic.signs import zero_one
from gradproof.symbolic.syntax import MAX_NODES, ParseError, Syntax, described


@dataclass
class ArrayReader:
    """Reads syntax into arrays. `scope` tells the free indices of one text from those of another.

    `shared`: a scope whose free indices mean the same; `index_values`: whether an index may stand for its
    value; `declared`: the numbers that may occur, all of them for None.
    """

    names: Names
    scope: str = ""
    shared: str = ""
    bound: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    numbers: dict[str, None] = field(default_factory=dict[str, None])
    decimals: dict[str, Fraction] = field(default_factory=dict[str, Fraction])
    results: Mapping[str, Array] = field(default_factory=dict[str, Array])
    flexible: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    index_values: bool = True
    declared: Mapping[str, None] | None = None
    visited: int = 0

    # --- entry points

    def array(self, node: Syntax) -> Array:
        """The array of a syntax; raises ParseError or ShapeError."""
        self.visited += 1
        if self.visited > MAX_NODES:
            raise ParseError("the formula is too large")
        try:
            return self._read(node)
        except TooBigError as problem:
            raise ParseError(f"column {node.column}: {problem}") from None
        except ZeroDivisionError as problem:
            raise ParseError(f"column {node.column}: no value anywhere: {problem}") from None
        except ValueError as problem:
            if isinstance(problem, ParseError | ShapeError):
                raise
            raise ParseError(f"column {node.column}: {problem}") from None

    def number(self, node: Syntax, what: str = "a number") -> Formula:
        """The formula of a syntax without axes."""
        found = self.array(node)
        if found.rank:
            raise ParseError(
                f"column {node.column}: {what} was expected, found an array of axes {found.shape}"
            )
        return found.body

    def condition(self, node: Syntax) -> Array:
        """The array of a condition, with the values 0 and 1."""
        found = self.array(node)
        if not zero_one(found.value):
            raise ParseError(f"column {node.column}: a number where a condition was expected")
        return found

    # --- nodes

    def _read(self, node: Syntax) -> Array:
        kind = node.kind
        if kind == "number":
            return scalar(exact(read_number(node, self.decimals)))
        if kind == "name":
            return self._name(node)
        if kind == "call":
            return self._call(node)
        if kind == "sign":
            inner = self.array(node.parts[0])
            return elementwise(Formula.__neg__, inner) if node.text == "-" else inner
        if kind == "pow":
            return self._power(node)
        if kind == "chain":
            return self._chain(node)
        if kind == "compare":
            return self._compare(node)
        if kind in ("any_of", "all_of"):
            result = self.condition(node.parts[0])
            for part in node.parts[1:]:
                result = elementwise(both if kind == "all_of" else either, result, self.condition(part))
            return result
        if kind == "not_":
            return elementwise(negated, self.condition(node.parts[0]))
        if kind == "choice":
            yes, condition, no = node.parts
            return elementwise(choose, self.condition(condition), self.array(yes), self.array(no))
        if kind == "subscript":
            return read_subscript(self, node)
        if kind in ("product", "transpose", "superscript", "bars"):
            return read_mathematics(self, node)
        if kind == "attribute":
            return self._attribute(node)
        raise ParseError(f"column {node.column}: {described(node)} where a formula was expected")

    def _name(self, node: Syntax) -> Array:
        name = node.text
        key = self._bound_key(name)
        if key is not None and (self.names.known(key) or name not in self.names.axes):
            axis = self.names.known(key)
            if axis is None:
                return self._unknown_index(node)
            return self._index_value(node, axis)
        if name in self.results:
            return self.results[name]
        if name in self.names.definitions:
            return self.names.definitions[name]
        if name in self.names.tensors:
            return of_tensor(self.names.tensor(name))
        if name in ("True", "False"):
            return scalar(exact(int(name == "True")))
        if name in CONSTANTS and name not in self.names.domains:
            return scalar(CONSTANTS[name])
        if name in REFUSED and name not in self.names.domains:
            raise ParseError(f"column {node.column}: {REFUSED[name]}")
        axis = self._free_axis(name)
        if axis is not None:
            return self._index_value(node, axis)
        if name in self.names.axes:
            return scalar(Formula(size(self.names.axes[name])))
        known = (name in TABLE and name not in ALSO_VARIABLES) or (name in ARRAY_TABLE and len(name) > 3)
        if name.startswith("__") or (known and name not in self.names.domains):
            kind = "a function, which needs an argument in parentheses" if known else "no variable"
            raise ParseError(f"column {node.column}: {name!r} is {kind}")
        if self.declared is not None and name not in self.declared and name not in self.names.domains:
            raise ParseError(
                f"column {node.column}: {name!r} is neither declared nor in the function; give its axes or "
                "its domain"
            )
        self.numbers[name] = None
        return scalar(Formula(self.names.number(name)))

    def _bound_key(self, name: str) -> str | None:
        return next((frame[name] for frame in reversed(self.bound) if name in frame), None)

    def _free_axis(self, name: str) -> Axis | None:
        found = self.names.known(f"{self.scope}:{name}")
        if found is None and self.shared:
            found = self.names.known(f"{self.shared}:{name}")
        return found

    def _index_value(self, node: Syntax, axis: Axis) -> Array:
        """The value of an index: 0 for its first place, in texts that count from 0."""
        if not self.index_values:
            raise ParseError(
                f"column {node.column}: the value of the index {node.text} can be read as counted from 0 or "
                "from 1"
            )
        return scalar(Formula(named_index(node.text, axis)))

    def _unknown_index(self, node: Syntax) -> Array:
        """An index before its axis is known: the text is read once more when it is."""
        self.names.late = True
        return scalar(exact(1))

    def _call(self, node: Syntax) -> Array:
        name = node.text
        row = ARRAY_TABLE.get(name)
        if row is not None:
            return row(self, node)
        if name in TABLE:
            return self._elementwise(node)
        if name in WITHOUT_ROW:
            raise NoRowError(f"the function {name} is not in the table of functions")
        near = difflib.get_close_matches(name, [*TABLE, *ARRAY_TABLE], 3)
        hint = f"; do you mean {' or '.join(near)}?" if near else ""
        if name in self.names.tensors or name in self.names.definitions:
            hint = "; entries are written in brackets, products with `*`"
        raise ParseError(f"column {node.column}: there is no function {name!r}{hint}")

    def _elementwise(self, node: Syntax) -> Array:
        name, node = approximated(node)
        found = TABLE[name]
        given = arguments(found, node)
        arrays = [self.array(part) for part in given if part is not None]

        def build(*values: Formula) -> Formula:
            left = iter(values)
            return found.build(*(None if part is None else next(left) for part in given))

        return elementwise(build, *arrays)

    def _power(self, node: Syntax) -> Array:
        base_node, exponent_node = node.parts
        base = self.array(base_node)
        if node.text == "^" and base.rank >= 2:
            if exponent_node.kind == "name" and exponent_node.text == "T" and "T" not in self.names.tensors:
                return swapped(base)
            raise ParseError(
                f"column {node.column}: `^` behind a matrix can be read as a power of the matrix or entry by "
                "entry; write `A @ A`, `inv(A)` or `A**2`"
            )
        return elementwise(raise_to, base, self.array(exponent_node))

    def _chain(self, node: Syntax) -> Array:
        result = self.array(node.parts[0])
        for sign, part in zip(node.text.split(), node.parts[1:], strict=True):
            other = self.array(part)
            if sign == "@":
                result = contracted(result, other)
            else:
                result = elementwise(ARITHMETIC[sign], result, other)
        return result

    def _compare(self, node: Syntax) -> Array:
        relations = node.text.split()
        result: Array | None = None
        for relation, (a, b) in zip(relations, pairwise(node.parts), strict=True):
            left, right = self._compared(a, b)
            held = binary(partial(compare, cast("Relation", relation)), left, right)
            result = held if result is None else elementwise(both, result, held)
        assert result is not None
        return result

    def _compared(self, a: Syntax, b: Syntax) -> tuple[Array, Array]:
        """The two sides of a comparison: a name beside an index is one, data beside it are positions."""
        for one, other in ((a, b), (b, a)):
            axis = self.axis_of(one) or self._axis_of_data(one)
            if axis is None:
                continue
            if (
                other.kind == "name"
                and self.axis_of(other) is None
                and not self._stands_for_value(other.text)
            ):
                self.learn_index(other.text, axis)
            target = other.parts[0] if other.kind == "subscript" else other
            if target.kind == "name" and self.names.domains.get(target.text) == "index":
                self.names.learn(f"positions:{target.text}", axis)
        before, self.index_values = self.index_values, True
        try:
            return self.array(a), self.array(b)
        finally:
            self.index_values = before

    def _stands_for_value(self, name: str) -> bool:
        return (
            name in self.names.tensors
            or name in self.names.definitions
            or name in self.names.domains
            or name in self.results
            or name in CONSTANTS
            or name in ("True", "False")
            or (name in self.names.axes and self._bound_key(name) is None)
        )

    def axis_of(self, node: Syntax) -> Axis | None:
        """The axis of a plain index."""
        if node.kind != "name":
            return None
        key = self._bound_key(node.text)
        if key is not None:
            return self.names.known(key)
        return None if self._stands_for_value(node.text) else self._free_axis(node.text)

    def _axis_of_data(self, node: Syntax) -> Axis | None:
        """The axis that positions such as `t` or `t[a]` lie on, where it is known."""
        target = node.parts[0] if node.kind == "subscript" else node
        if target.kind != "name" or self._bound_key(target.text) is not None:
            return None
        return self.names.known(f"positions:{target.text}") if target.text in self.names.tensors else None

    def _attribute(self, node: Syntax) -> Array:
        base = self.array(node.parts[0])
        if node.text in ("T", "mT", "H", "mH"):
            if node.text in ("T", "H") and base.rank > 2:
                raise ParseError(
                    f"column {node.column}: `.T` of an array of {base.rank} axes can be read as all axes "
                    "reversed or as the last two exchanged; write `.mT` or `transpose(x, (2, 1, 0))`"
                )
            return swapped(base)
        raise ParseError(f"column {node.column}: there is no attribute {node.text!r}; there are T and mT")

    def is_index(self, name: str) -> bool:
        return self._bound_key(name) is not None

    def is_value(self, name: str) -> bool:
        if self.is_index(name):
            return False
        return name in self.names.tensors or name in self.names.definitions or name in self.results

    def learn_index(self, name: str, axis: Axis) -> None:
        key = self._bound_key(name)
        if key is None:
            key = f"{self.scope}:{name}"
            if self.shared and self.names.learned.get(f"{self.shared}:{name}") == axis:
                return
        self.names.learn(key, axis)

    # --- what functions need

    @contextmanager
    def binding(self, names: Sequence[str], column: int) -> Generator[dict[str, str]]:
        """A scope in which names are indices."""
        depth = len(self.bound)
        frame = {name: f"{self.scope}@{column}.{depth}:{name}" for name in names}
        self.bound.append(frame)
        try:
            yield frame
        finally:
            self.bound.pop()

    def delta(self, a: Syntax, b: Syntax) -> Array:
        """Kronecker's delta of two positions."""
        if all(n.kind == "name" and not self._stands_for_value(n.text) for n in (a, b)) and (
            self.axis_of(a) is None and self.axis_of(b) is None
        ):
            for n in (a, b):
                key = self._bound_key(n.text) or f"{self.scope}:{n.text}"
                self.names.known(key)
            self.names.late = True
            return scalar(exact(1))
        left, right = self._compared(a, b)
        return binary(lambda x, y: compare("==", x, y), left, right)

    def reduced(
        self, body: Array, names: Sequence[str], frame: Mapping[str, str]
    ) -> tuple[Array, list[Index]]:
        """The body with named indices under names of their own, ready to be bound, and these."""
        own: list[Index] = []
        formula = body.body
        for name in names:
            axis = self.names.known(frame[name])
            assert axis is not None
            formula, index = closed(formula, named_index(name, axis))
            own.append(index)
        return Array(body.axes, body.indices, formula), own

    def summed_over(self, body: Array, names: Sequence[str], frame: Mapping[str, str]) -> Array:
        """The sum over named indices."""
        inner, own = self.reduced(body, names, frame)
        return Array(inner.axes, inner.indices, total_of(inner.body, own))

    def places(self, node: Syntax | None, array: Array) -> list[int]:
        """The places of axes that are named, or counted from 0, or from the end; all of them for None."""
        if node is None or node.kind == "none":
            return list(range(array.rank))
        if node.kind == "list":
            return [p for part in node.parts for p in self.places(part, array)]
        if node.kind in ("name", "string"):
            if node.text in ("fro", "nuc"):
                return list(range(array.rank))
            found = [n for n, a in enumerate(array.axes) if a is not None and a.name == node.text]
            if len(found) != 1:
                raise ParseError(
                    f"column {node.column}: {len(found) or 'no'} axes {node.text!r} in {array.shape}"
                )
            return found
        value = self.number(node, "the number or the name of an axis").value
        if not isinstance(value, Number) or value.value.denominator != 1:
            raise ParseError(f"column {node.column}: the number or the name of an axis was expected")
        place = int(value.value)
        if not -array.rank <= place < array.rank:
            raise ParseError(f"column {node.column}: an array of axes {array.shape} has no axis {place}")
        return [place % array.rank]

    def shape(self, node: Syntax) -> list[Axis]:
        """The axes that a name, a list of names or `x.shape` stands for."""
        if node.kind == "attribute" and node.text == "shape":
            return [a for a in self.array(node.parts[0]).axes if a is not None]
        return [self.axis_named(p) for p in (node.parts if node.kind == "list" else (node,))]

    def axis_named(self, node: Syntax) -> Axis:
        """The axis that a name, or `x.shape[0]`, stands for."""
        if node.kind in ("name", "string", "number") and (
            node.text in self.names.axes or node.text.isdigit()
        ):
            return self.names.axis(node.text)
        if node.kind == "subscript" and node.parts[0].kind == "attribute" and node.parts[0].text == "shape":
            base = self.array(node.parts[0].parts[0])
            axis = base.axes[self.places(node.parts[1], base)[0]]
            if axis is not None:
                return axis
        known = ", ".join(self.names.axes) or "none"
        raise ParseError(f"column {node.column}: the name of an axis was expected; there are {known}")

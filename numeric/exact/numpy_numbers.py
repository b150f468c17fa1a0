"""A run of a NumPy program: its systems of numbers, the comparisons that it met, and operands as exact
numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import torch

from gradproof.numeric.exact.branches import Branches
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.execution import MAX_CONSTANT_ENTRIES
from gradproof.numeric.exact.frames import user_line
from gradproof.numeric.exact.numpy_arrays import Exact, ExactArray, ExactNumber, Store, layout
from gradproof.numeric.exact.numpy_decisions import Decision, Origin
from gradproof.numeric.exact.operators.pieces import choose
from gradproof.numeric.exact.operators.reductions import stack
from gradproof.numeric.exact.scalars import EscapedError
from gradproof.numeric.exact.specials import mark
from gradproof.numeric.exact.storages import flatten, without_constant
from gradproof.numeric.exact.values import Numbers, Value


@dataclass
class NumpyNumbers:
    """One run: its systems of numbers, the comparisons that it met, and the functions that it used."""

    numbers: Numbers
    branches: Branches = field(default_factory=Branches)
    constants: Constants = field(default_factory=Constants)
    used: dict[str, str] = field(default_factory=dict[str, str])

    def fail(self, what: str) -> NoReturn:
        """Raise that the program does what cannot be followed."""
        raise EscapedError(f"{what} at {user_line()}")

    def count(self, entries: tuple[str, int], found: int) -> None:
        """Record how many entries a comparison left, where the program looks at their number."""
        what, most = entries
        self.branches.record(f"the number of entries that {what}", {found}, range(most + 1))

    # Numbers

    def value_of(self, operand: Any) -> Value:
        """A number, or an array of any kind, as exact numbers."""
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, Exact):
            if operand.run is not self:
                self.fail("an array that was kept from an earlier run")
            return operand.read()
        if isinstance(operand, Decision):
            return self._value_of_decision(operand)
        if isinstance(operand, list | tuple):
            return self.assemble(operand)
        if isinstance(operand, np.ndarray | np.generic):
            return self._lift(np.asarray(operand))
        if isinstance(operand, bool | int | float):
            return self.constants.scalar(self.numbers, operand)
        return self.fail(f"{type(operand).__name__} among exact numbers")

    def _value_of_decision(self, decision: Decision) -> Value:
        value = self._lift(decision.use("what comparisons decided as a number"))
        return without_constant(value) if decision.origin.decided else value

    def _lift(self, array: Array) -> Value:
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            self.fail(f"an array of {array.dtype}")
        if array.size > MAX_CONSTANT_ENTRIES:
            self.fail(f"a constant of {array.size} entries, more than {MAX_CONSTANT_ENTRIES},")
        plain = array if array.dtype.kind == "f" else array.astype(np.int64)
        return self.constants.lift(self.numbers, torch.from_numpy(plain.copy()))

    def assemble(self, entries: Any) -> Value:
        """Nested lists of numbers and arrays, as `np.array` takes them."""
        if not isinstance(entries, list | tuple):
            return self.value_of(entries)
        if not entries:
            return self.numbers.zeros((0,))
        values = [self.assemble(entry) for entry in entries]
        return stack(values, -1 - len(values[0].shape))

    def assemble_data(self, entries: Any) -> Decision:
        """Nested lists with decisions among them, as an array of data."""
        origin = Origin()

        def plain(entry: Any) -> Any:
            if isinstance(entry, list | tuple):
                return [plain(e) for e in entry]
            if isinstance(entry, Decision):
                origin.join(entry.origin)
                return entry.array
            return entry

        return Decision(self, np.array(plain(entries)), origin)

    def wrap(self, value: Value, shadow: Any) -> Exact:
        """The array or scalar that NumPy would give for a value."""
        dtype = np.asarray(shadow).dtype
        if dtype.kind != "f" or np.shape(shadow) != value.shape:
            self.fail(f"a result of {dtype} of shape {np.shape(shadow)}")
        kind = ExactNumber if isinstance(shadow, np.generic) else ExactArray
        spots = layout(np.asarray(shadow))
        flat = flatten(value)
        if not spots.flags.c_contiguous:
            order = np.argsort(spots, axis=None)  # memory has the entries in another order
            flat = flat.map(lambda array: np.asarray(array[..., order]))
        return kind(self, Store(flat), spots, dtype)

    def new(self, value: Value, dtype: Any = np.float64) -> Exact:
        """An array of its own."""
        return self.wrap(value, np.empty(value.shape, dtype))

    def unset(self, shape: Any) -> Value:
        """What an array holds before anything is written into it: no number."""
        return without_constant(mark(self.numbers, np.full(shape, np.nan)))

    def data(self, array: Any) -> Decision:
        """An array of the program's own, in which decisions may be written."""
        return Decision(self, array, Origin())

    def decided(self, array: Any, equality: bool = False) -> Any:
        """The outcome of a comparison of exact numbers."""
        return Decision(self, array, Origin(decided=True, forced=not equality, compared=True))

    def choose(self, condition: Any, a: Any, b: Any) -> Value:
        """`a` where the condition holds, `b` elsewhere."""
        sides, decided = self.truth_of(condition, "a choice")
        result = choose(sides, self.value_of(a), self.value_of(b))
        return without_constant(result) if decided else result

    def truth_of(self, condition: Any, what: str) -> tuple[Array, bool]:
        """A condition as plain truth values, and whether comparisons decided it."""
        if isinstance(condition, Exact):
            condition = np.not_equal(condition, 0)
        if isinstance(condition, Decision):
            return condition.use(what).astype(bool), condition.origin.decided
        return np.asarray(condition, dtype=bool), False

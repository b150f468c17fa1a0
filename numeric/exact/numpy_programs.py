"""A function of NumPy arrays and its backward, run once on exact numbers; and the kernels that gradproof
generates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gradproof.numeric.exact.numpy_functions
import gradproof.numeric.exact.numpy_moves
import gradproof.numeric.exact.numpy_products
import gradproof.numeric.exact.operators  # noqa: F401 (their rows register themselves)
from gradproof.numeric.exact.duals import Shape
from gradproof.numeric.exact.numpy_arrays import Exact, ExactArray
from gradproof.numeric.exact.numpy_decisions import Decision
from gradproof.numeric.exact.numpy_execution import NumpyExecution
from gradproof.numeric.exact.numpy_factories import exact_arrays
from gradproof.numeric.exact.programs import (
    PASSED_ON,
    Argument,
    BackwardError,
    Draw,
    Evaluated,
    ForwardError,
    Settings,
)
from gradproof.numeric.exact.seeds import replayed
from gradproof.numeric.exact.storages import without_constant
from gradproof.numeric.exact.values import UndecidableError, Value
from gradproof.numeric.kernels import Kernel

CHANGES = "the backward changes in place"


class ChangedInputError(Exception):
    """A program changes an array that it was given."""


@dataclass(frozen=True)
class NumpyProgram:
    """A pair of NumPy functions: `forward(*inputs)` gives an array or a tuple of arrays, `vjp(cotangent,
    *inputs)` the gradient by each input (None for integers). Of several outputs the cotangent is a tuple.

    The gradients by each output but the last come from a cotangent that is 0 elsewhere; those by the last
    one from all cotangents at once, less the others: so a backward that is not linear in its cotangents is
    noticed."""

    forward: Callable[..., Any]
    vjp: Callable[..., Any]

    def evaluate(
        self, settings: Settings, arguments: Sequence[Argument], draw: Draw, order: int = 1
    ) -> Evaluated:
        if order > 1:
            raise UndecidableError("a pair of NumPy functions has no second order: its backward has none")
        run = execution(settings)
        returned = call(run, ForwardError, self.forward, inputs_of(run, arguments), settings.seed)
        outputs = returned if isinstance(returned, tuple | list) else (returned,)

        def pull(cotangents: list[Any]) -> list[Value | None]:
            given = tuple(cotangents) if isinstance(returned, tuple | list) else cotangents[0]
            plain = inputs_of(run, arguments, tangents=False)
            found = call(run, BackwardError, self.vjp, plain, settings.seed, (given,))
            return gradients_of(run, found, arguments)

        return evaluated(run, outputs, draw, pull)


@dataclass(frozen=True)
class KernelProgram:
    """A kernel that gradproof generated for NumPy: its source is executed, the backward with what the
    forward saves.
    """

    kernel: Kernel
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def evaluate(
        self, settings: Settings, arguments: Sequence[Argument], draw: Draw, order: int = 1
    ) -> Evaluated:
        if order > 1:
            raise UndecidableError("the second order of a kernel is the first order of `kernel.gradient`")
        run = execution(settings)

        def forward(tangents: bool) -> Any:
            given = inputs_of(run, arguments, tangents)
            return self._call(run, ForwardError, self._forward, given, settings)

        def pull(cotangents: list[Any]) -> list[Value | None]:
            _, saved = forward(False)
            found = self._call(
                run, BackwardError, lambda *u: self.kernel.vjp(saved, *u), cotangents, settings
            )
            return gradients_of(run, found, arguments)

        return evaluated(run, forward(True)[0], draw, pull)

    def push(
        self, settings: Settings, arguments: Sequence[Argument], tangents: Sequence[Value | None]
    ) -> tuple[Value, ...]:
        """The tangents of the outputs that the kernel's `jvp` gives, `tangents` being those of the inputs."""
        run = execution(settings)
        pairs = zip(tangents, arguments, strict=True)
        given = [None if t is None else run.new(without_constant(t), dtype_of(a)) for t, a in pairs]
        plain = inputs_of(run, arguments, tangents=False)
        found = self._call(
            run, BackwardError, lambda *x: self.kernel.jvp(x, given, **self.parameters), plain, settings
        )
        return tuple(run.value_of(dot) for dot in found)

    def _forward(self, *inputs: Any) -> Any:
        return self.kernel.forward(*inputs, **self.parameters)

    def _call(self, run: NumpyExecution, kind: Any, function: Any, inputs: Any, settings: Settings) -> Any:
        """Call a function of the kernel, whose names are those of its generated module."""
        defaults = self.kernel.defaults
        zeros = frozenset(n for n, d in defaults.items() if d == 0 and self.parameters.get(n, 0) == 0)
        return call(
            run, kind, function, inputs, settings.seed, programs=[self.kernel.compiled(True, zeros).forward]
        )


# What they share


def execution(settings: Settings) -> NumpyExecution:
    """A run with these settings."""
    return NumpyExecution(settings.numbers, settings.branches, settings.constants, settings.used)


def dtype_of(argument: Argument) -> np.dtype[Any]:
    """The dtype of an input in NumPy."""
    return np.dtype(str(argument.dtype).removeprefix("torch."))


def inputs_of(run: NumpyExecution, arguments: Sequence[Argument], tangents: bool = True) -> list[Any]:
    """Arrays for the inputs of a run; the backward of a pair needs no tangents."""
    made: list[Any] = []
    for argument in arguments:
        value = argument.value
        if value is None:
            data = argument.data
            made.append(data.copy() if isinstance(data, np.ndarray) else data)
            continue
        value = without_constant(value if tangents else value.without_tangent())
        made.append(laid_out(run, value, argument))
    return made


def laid_out(run: NumpyExecution, value: Value, argument: Argument) -> Exact:
    """An array with the strides that are asked for."""
    if argument.layout is None:
        return run.new(value, dtype_of(argument))
    like = argument.layout(value.shape, argument.dtype)
    strides = tuple(8 * step for step in like.stride())
    extent = (
        1
        + int(like.storage_offset())
        + sum((n - 1) * s for n, s in zip(value.shape, like.stride(), strict=True))
    )
    buffer = np.arange(extent if value.shape and 0 not in value.shape else max(extent, 1))
    spots = np.lib.stride_tricks.as_strided(buffer[int(like.storage_offset()) :], value.shape, strides)
    whole = run.new(run.numbers.zeros(buffer.shape), dtype_of(argument))
    array = ExactArray(run, whole.store, spots, dtype_of(argument))
    array.store.write(value, spots)
    array.store.written = None
    return array


def call(
    run: NumpyExecution,
    kind: type[Exception],
    function: Any,
    inputs: Sequence[Any],
    seed: int,
    first: tuple[Any, ...] = (),
    programs: Sequence[Any] | None = None,
) -> Any:
    """Call a function of the program; raises `kind` where it raises, and what it may not do."""
    datas = [x.copy() if type(x) is np.ndarray else None for x in inputs]
    try:
        with replayed(seed), exact_arrays(run, [function] if programs is None else programs):
            result = function(*first, *inputs)
    except PASSED_ON:
        raise
    except Exception as error:
        if run.error is not None:
            raise run.error from error
        raise kind(f"{type(error).__name__}: {error}") from error
    if run.error is not None:  # although the program caught it
        raise run.error
    for position, (given, data) in enumerate(zip(inputs, datas, strict=True)):
        line = given.store.written if isinstance(given, Exact) else None
        if line is not None or (data is not None and not np.array_equal(given, data)):
            where = f" at {line}" if line is not None else ""
            if kind is BackwardError:
                raise BackwardError(f"{CHANGES} input {position}{where}")
            raise ChangedInputError(f"input {position} is changed{where}")
    return result


def evaluated(
    run: NumpyExecution, outputs: Sequence[Any], draw: Draw, pull: Callable[[list[Any]], list[Value | None]]
) -> Evaluated:
    """Draw cotangents and pull them back, one by one and all at once."""
    run.branches.forward = False
    real = [k for k, y in enumerate(outputs) if is_real(y)]
    values = [run.value_of(outputs[k]) for k in real]
    drawn = [draw(n, value.shape) for n, value in enumerate(values)]

    taken: list[Value] = []  # as it was laid out: the entries of an expanded one are the same
    for argument in drawn:
        assert argument.value is not None
        value = without_constant(argument.value.without_tangent())
        taken.append(laid_out(run, value, argument).read())

    def cotangents(which: Sequence[int]) -> list[Any]:
        given: list[Any] = [None] * len(outputs)
        for n, k in enumerate(real):
            value = taken[n] if n in which else run.numbers.zeros(taken[n].shape)
            given[k] = like_output(run, outputs[k], laid_out(run, value, drawn[n]))
        return given

    everything = list(range(len(real)))
    claims = [pull(cotangents([n])) for n in everything[:-1]]
    if everything:
        claims.append(_less(pull(cotangents(everything)), claims))
    return Evaluated(tuple(values), tuple(taken), tuple(map(tuple, claims)))


def _less(total: list[Value | None], parts: list[list[Value | None]]) -> list[Value | None]:
    result = list(total)
    for part in parts:
        for k, taken in enumerate(part):
            have = result[k]
            if taken is not None:
                result[k] = -taken if have is None else have - taken
    return result


def like_output(run: NumpyExecution, output: Any, cotangent: Exact) -> Any:
    """A cotangent is a scalar where the output is one."""
    scalar = not isinstance(output, np.ndarray) or (
        isinstance(output, Exact) and not isinstance(output, ExactArray)
    )
    return cotangent[()] if scalar else cotangent


def is_real(output: Any) -> bool:
    """Whether an output has real numbers, and so a cotangent."""
    return isinstance(output, Exact | float) or (
        not isinstance(output, Decision) and np.asarray(output).dtype.kind == "f"
    )


def gradients_of(run: NumpyExecution, found: Any, arguments: Sequence[Argument]) -> list[Value | None]:
    """The gradients that a backward returned, by each input that is asked for; raises `BackwardError` for a
    wrong number or shape.
    """
    shapes = [None if a.value is None else a.value.shape for a in arguments]
    mistake = gradient_mistake(found, shapes)
    if mistake is not None:
        raise BackwardError(mistake)
    pairs = zip(_by_input(found, shapes), arguments, strict=True)
    return [None if g is None else run.value_of(g) for g, a in pairs if a.value is not None and a.wanted]


def gradient_mistake(found: Any, shapes: Sequence[Shape | None]) -> str | None:
    """What is wrong with the number or the shapes of the gradients that a backward returned, given the shapes
    of the inputs, None for those that are no numbers; None if nothing is.

    >>> gradient_mistake((np.ones((3, 2)),), [(2,)])
    'the gradient by input 0 has shape (3, 2), the input (2,): not summed over a broadcast axis'
    """
    gradients = _by_input(found, shapes)
    if len(gradients) != len(shapes):
        return f"the backward returns {len(gradients)} gradients for {len(shapes)} inputs"
    for position, (gradient, shape) in enumerate(zip(gradients, shapes, strict=True)):
        if gradient is None or shape is None or np.shape(gradient) == shape:
            continue
        why = ": not summed over a broadcast axis" if _broadcasts(shape, np.shape(gradient)) else ""
        return f"the gradient by input {position} has shape {np.shape(gradient)}, the input {shape}{why}"
    return None


def _by_input(found: Any, shapes: Sequence[Shape | None]) -> list[Any]:
    """A gradient for each input; those of integers may be left out, and a single one be no tuple."""
    gradients = list(found) if isinstance(found, tuple | list) else [found]
    real = [k for k, shape in enumerate(shapes) if shape is not None]
    if len(gradients) == len(real) < len(shapes):
        return [gradients[real.index(k)] if k in real else None for k in range(len(shapes))]
    return gradients


def _broadcasts(shape: Shape, wider: Shape) -> bool:
    try:
        return np.broadcast_shapes(shape, wider) == wider
    except ValueError:
        return False

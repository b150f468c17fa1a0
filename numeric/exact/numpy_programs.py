"""A function of NumPy arrays and its backward, run once on exact numbers; and the kernels that gradproof
generates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import gradproof.numeric.exact.numpy_functions
import gradproof.numeric.exact.numpy_moves
import gradproof.numeric.exact.numpy_products
import gradproof.numeric.exact.operators  # noqa: F401 (their rows register themselves)
from gradproof.numeric.exact.duals import Dual, Shape
from gradproof.numeric.exact.interruptions import Interruption, noticed
from gradproof.numeric.exact.numpy_arrays import Exact, ExactArray
from gradproof.numeric.exact.numpy_decisions import Decision
from gradproof.numeric.exact.numpy_execution import NumpyExecution
from gradproof.numeric.exact.numpy_factories import exact_arrays
from gradproof.numeric.exact.programs import (
    Argument,
    BackwardError,
    Draw,
    Evaluated,
    ForwardError,
    SecondOrder,
    Settings,
    tangent_value,
)
from gradproof.numeric.exact.seeds import replayed
from gradproof.numeric.exact.storages import without_constant
from gradproof.numeric.exact.values import Value, tangent_of
from gradproof.numeric.kernels import Kernel

CHANGES = "the backward changes in place"


class ChangedInputError(Exception):
    """A program changes an array that it was given."""


@dataclass(frozen=True)
class NumpyProgram:
    """A pair of NumPy functions: `forward(*inputs)` gives an array or a tuple of arrays, `vjp(cotangent,
    *inputs)` the gradient by each input (None for integers). Of several outputs the cotangent is a tuple.

    The gradients by each output come from a cotangent that is 0 elsewhere; of several outputs all cotangents
    are given at once, too: so a backward that is not linear in its cotangents is noticed."""

    forward: Callable[..., Any]
    vjp: Callable[..., Any]

    def evaluate(
        self, settings: Settings, arguments: Sequence[Argument], draw: Draw, order: int = 1
    ) -> Evaluated:
        run = execution(settings)

        def forward(given: Sequence[Argument], kind: type[Exception]) -> Any:
            return call(run, kind, self.forward, inputs_of(run, given), settings.seed)

        returned = forward(arguments, ForwardError)
        several = isinstance(returned, tuple | list)

        def pull(
            cotangents: list[Any], tangents: bool, given: Sequence[Argument] = arguments
        ) -> list[Value | None]:
            wrapped = tuple(cotangents) if several else cotangents[0]
            made = inputs_of(run, given, tangents)
            found = call(run, BackwardError, self.vjp, made, settings.seed, (wrapped,))
            return gradients_of(run, found, given)

        def derive(second: Second) -> list[Value | None]:
            """As the gradient is that of a number, its derivatives are symmetric: by the cotangent and all
            inputs they are the tangents of output and gradients where one input moves."""
            moving = moved_along(arguments, second.wrt, second.along)
            moved = forward(moving, BackwardError)
            outputs = moved if several else (moved,)
            gradients = pull(second.cotangents, True, moving)
            return [*map(tangent_alone, gradients), tangent_alone(run.value_of(outputs[second.output]))]

        return evaluated(run, returned if several else (returned,), draw, pull, derive if order > 1 else None)


@dataclass(frozen=True)
class KernelProgram:
    """A kernel that gradproof generated for NumPy: its source is executed, the backward with what the
    forward saves.
    """

    kernel: Kernel
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def forward(self, *inputs: Any) -> Any:
        """The output, or a tuple where there are several."""
        return self.kernel(*inputs, **self.parameters)

    def vjp(self, cotangent: Any, *inputs: Any) -> tuple[Any, ...]:
        """The gradient by each input."""
        saved = self.kernel.forward(*inputs, **self.parameters)[1]
        return self.kernel.vjp(saved, *(cotangent if isinstance(cotangent, tuple) else (cotangent,)))

    def evaluate(
        self, settings: Settings, arguments: Sequence[Argument], draw: Draw, order: int = 1
    ) -> Evaluated:
        run = execution(settings)

        def forward(tangents: bool) -> Any:
            given = inputs_of(run, arguments, tangents)
            return self._call(run, ForwardError, self._run, given, settings)

        def pull(cotangents: list[Any], tangents: bool) -> list[Value | None]:
            _, saved = forward(tangents)
            found = self._call(
                run, BackwardError, lambda *u: self.kernel.vjp(saved, *u), cotangents, settings
            )
            return gradients_of(run, found, arguments)

        def derive(second: Second) -> list[Value | None]:
            """By the kernel of the gradient, which is generated from the same forward."""
            gradient = self.kernel.gradient
            given = [*inputs_of(run, arguments, False), *second.cotangents]
            weights: list[Any] = [None] * len(gradient.program.outputs)
            real = [k for k, a in enumerate(arguments) if a.value is not None]
            weights[real.index(asked(arguments)[second.wrt])] = run.new(second.along)

            def twice(*inputs: Any) -> Any:
                return gradient.vjp(gradient.forward(*inputs, **self.parameters)[1], *weights)

            found = self._call(run, BackwardError, twice, given, settings, gradient)
            by_output = found[len(arguments) + second.output]
            claims = gradients_of(run, found[: len(arguments)], arguments)
            return [*claims, None if by_output is None else run.value_of(by_output)]

        found = evaluated(run, forward(True)[0], draw, pull, derive if order > 1 else None)
        return replace(found, pushed=self._push_forward(settings, arguments)) if settings.pushes else found

    def _push_forward(
        self, settings: Settings, arguments: Sequence[Argument]
    ) -> tuple[tuple[Value, ...], ...]:
        """Tangents by the kernel's `jvp`, where inputs move one by one, or all of them jointly."""
        moved = [asked(arguments)] if settings.jointly else [[k] for k in asked(arguments)]
        return tuple(
            self.push(
                settings,
                arguments,
                [
                    tangent_value(a.value, a.direction) if a.value is not None and k in group else None
                    for k, a in enumerate(arguments)
                ],
            )
            for group in moved
        )

    def push(
        self, settings: Settings, arguments: Sequence[Argument], tangents: Sequence[Value | None]
    ) -> tuple[Value, ...]:
        """The tangents of the outputs that the kernel's `jvp` gives, `tangents` being those of the inputs."""
        run = execution(settings)
        run.branches.enter("forward mode")
        pairs = zip(tangents, arguments, strict=True)
        given = [None if t is None else run.new(without_constant(t), dtype_of(a)) for t, a in pairs]
        plain = inputs_of(run, arguments, tangents=False)
        found = self._call(
            run, BackwardError, lambda *x: self.kernel.jvp(x, given, **self.parameters), plain, settings
        )
        return tuple(run.value_of(dot) for dot in found)

    def _run(self, *inputs: Any) -> Any:
        return self.kernel.forward(*inputs, **self.parameters)

    def _call(
        self, run: NumpyExecution, kind: Any, function: Any, inputs: Any, settings: Settings,
        kernel: Kernel | None = None,
    ) -> Any:  # fmt: skip
        """Call a function of a kernel, whose names are those of its generated module."""
        kernel = kernel or self.kernel
        zeros = frozenset(n for n, d in kernel.defaults.items() if d == 0 and self.parameters.get(n, 0) == 0)
        return call(
            run, kind, function, inputs, settings.seed, programs=[kernel.compiled(True, zeros).forward]
        )


# What they share


def execution(settings: Settings) -> NumpyExecution:
    """A run with these settings."""
    return NumpyExecution(settings.numbers, settings.branches, settings.constants, settings.used)


@dataclass(frozen=True)
class Second:
    """A gradient that is derived again: that of an output by an input, paired with `along`."""

    output: int
    wrt: int
    """Its number among the gradients that are asked for."""
    along: Value
    cotangents: list[Any]


def asked(arguments: Sequence[Argument]) -> list[int]:
    """The inputs whose gradients are asked for."""
    return [k for k, a in enumerate(arguments) if a.value is not None and a.wanted]


def moved_along(arguments: Sequence[Argument], wrt: int, along: Value) -> list[Argument]:
    """The inputs of a run in which only one of them moves, in the direction of `along`."""
    moving = asked(arguments)[wrt]
    made = [a if a.value is None else replace(a, value=a.value.without_tangent()) for a in arguments]
    value = made[moving].value
    assert value is not None
    duals = [replace(x, tangent=w.primal[None]) for x, w in zip(value.duals, along.duals, strict=True)]
    made[moving] = replace(made[moving], value=replace(value, duals=tuple(duals), constant=None))
    return made


def tangent_alone(value: Value | None) -> Value | None:
    """The tangent of a run with a single direction, as numbers of its own; None where nothing moves."""
    if value is None or value.duals[0].tangent is None:
        return None
    return Value(value.numbers, tuple(Dual(tangent_of(dual, 1)[0]) for dual in value.duals))


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
        with noticed(), replayed(seed), exact_arrays(run, [function] if programs is None else programs):
            result = function(*first, *inputs)
    except Interruption:
        raise
    except Exception as error:  # whatever the program raises
        raise kind(f"{type(error).__name__}: {error}") from error
    for position, (given, data) in enumerate(zip(inputs, datas, strict=True)):
        line = given.store.written if isinstance(given, Exact) else None
        if line is not None or (data is not None and not np.array_equal(given, data)):
            where = f" at {line}" if line is not None else ""
            if kind is BackwardError:
                raise BackwardError(f"{CHANGES} input {position}{where}")
            raise ChangedInputError(f"input {position} is changed{where}")
    return result


def evaluated(
    run: NumpyExecution,
    outputs: Sequence[Any],
    draw: Draw,
    pull: Callable[[list[Any], bool], list[Value | None]],
    derive: Callable[[Second], list[Value | None]] | None,
) -> Evaluated:
    """Draw cotangents and pull them back, one by one, and all at once where there are several; with `derive`,
    gradients again.
    """
    run.branches.forward = run.numbers.forward = False
    real = [k for k, y in enumerate(outputs) if is_real(y)]
    values = [run.value_of(outputs[k]) for k in real]
    drawn = [draw(n, value.shape) for n, value in enumerate(values)]

    taken: list[Value] = []  # as it was laid out: the entries of an expanded one are the same
    for argument in drawn:
        assert argument.value is not None
        moving = argument.value if derive is not None else argument.value.without_tangent()
        taken.append(laid_out(run, without_constant(moving), argument).read())

    def cotangents(which: Sequence[int], tangents: bool = derive is not None) -> list[Any]:
        given: list[Any] = [None] * len(outputs)
        for n, k in enumerate(real):
            value = taken[n] if n in which else run.numbers.zeros(taken[n].shape)
            value = value if tangents else value.without_tangent()
            given[k] = like_output(run, outputs[k], laid_out(run, value, drawn[n]))
        return given

    everything = list(range(len(real)))
    claims: list[list[Value | None]] = []
    moved = derive is not None or run.branches.wanted is not None  # sides are steered to by derivatives
    for n in everything:
        run.branches.enter(f"backward {n}" if len(real) > 1 else "backward")
        claims.append(pull(cotangents([n]), moved))
    together: list[Value | None] | None = None
    if len(real) > 1:
        run.branches.enter("together")
        together = pull(cotangents(everything), moved)
    seconds: list[SecondOrder] = []
    pairs = [(n, i) for n in everything for i in range(len(claims[n]))] if derive is not None else []
    for n, i in pairs:
        gradient = claims[n][i]
        if gradient is None or derive is None:
            continue
        run.branches.enter(f"second {n} {i}")
        paired = draw(-1 - i, gradient.shape)
        assert paired.value is not None
        along = laid_out(run, without_constant(paired.value.without_tangent()), paired).read()
        derived = derive(Second(real[n], i, along, cotangents([n], False)))
        seconds.append(SecondOrder(n, i, gradient, along, tuple(derived)))
    return Evaluated(
        tuple(values),
        tuple(taken),
        tuple(map(tuple, claims)),
        tuple(seconds),
        together=None if together is None else tuple(together),
    )


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

"""lower(): an operation as readable source for one target, compiled, cached and ready to call."""

from __future__ import annotations

import hashlib
import itertools
import linecache
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from types import ModuleType
from typing import Any

from gradproof.numeric.arrays import Library, library
from gradproof.numeric.bilinear import is_bilinear
from gradproof.numeric.derivatives import tangent_program
from gradproof.numeric.rewriting import Row
from gradproof.numeric.shapes import Shapes, measure
from gradproof.numeric.sources import IMPORTS, Source, write_source
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.higher import gradient_program
from gradproof.symbolic.operation import Definition, Operation, Program, Recurrence, find, flat, operations

GENERATED = "gradproof.generated."
"""How the names of generated modules begin."""


@dataclass(frozen=True)
class Saved:
    """What `forward` hands on to `vjp`."""

    arrays: tuple[Any, ...]
    call: Call


@dataclass(frozen=True)
class Call:
    """One call of a kernel: its shapes, the dtypes of inputs and results, and its parameters.

    It holds no array: under a transformation of torch.func one would belong to the transformation's level.
    """

    shapes: Shapes
    given: tuple[Any, ...]
    result: Any
    compute: Any
    device: Any
    parameters: Mapping[str, Any]
    zeros: frozenset[str]
    plain: bool = False
    """Whether the arrays lie in the memory of the CPU, and are computed with in float32 or float64."""
    on_gpu: bool = False
    """Whether they lie in the memory of a GPU for which Triton compiles."""

    @cached_property
    def direct(self) -> bool:
        """Whether arrays enter and leave generated code as they are: in one dtype, and with batch axes."""
        real = all(d == self.compute for d in self.given if d.is_floating_point) if self.plain else False
        return real and self.result == self.compute and not self.shapes.unbatched


@dataclass(frozen=True)
class Compiled:
    """The functions of a generated module, None for those it has not, and the tensors that are saved."""

    forward: Any
    vjp: Any
    jvp: Any
    saved: tuple[Tensor, ...]
    sizes: tuple[Axis, ...]
    given: tuple[int | None, ...]
    """For each saved tensor its place among the inputs, or None."""


def build(source: Source, label: str, inputs: Sequence[Tensor]) -> Compiled:
    """Compile a generated source as a module that is found by its name; tracebacks show its lines."""
    filename = _file_of(label, source.text)
    name = f"{GENERATED}{label} {hashlib.sha256(source.text.encode()).hexdigest()[:12]}"
    linecache.cache[filename] = (len(source.text), None, source.text.splitlines(True), filename)
    module = sys.modules[name] = ModuleType(name)
    # The text was generated above from expressions, never typed by a user.
    exec(compile(source.text, filename, "exec"), vars(module))
    given = tuple(inputs.index(t) if t in inputs else None for t in source.saved)
    made = vars(module)
    return Compiled(made.get("forward"), made.get("vjp"), made.get("jvp"), source.saved, source.sizes, given)


def _file_of(label: str, text: str) -> str:
    """The name under which tracebacks find a text; several texts of one label are numbered."""
    for count in itertools.count(1):
        name = f"<gradproof {label}>" if count == 1 else f"<gradproof {label}, source {count}>"
        known: Any = linecache.cache.get(name)
        if known is None or "".join(known[2]) == text:
            return name
    raise AssertionError


Wanted = frozenset[int] | None
"""The places of the inputs whose gradients are asked for; None for every real one."""

REMEMBERED = 256
"""How many calls a kernel remembers, by their shapes and dtypes."""


class Kernel:
    """Forward, VJP and JVP of a program for one target.

    - `source`: the generated module;
    - `forward(*inputs)`: the outputs and what `vjp` needs; hyper-parameters are keyword arguments;
    - `vjp(saved, *cotangents)`: the gradient by each input, `None` for integers and truth values;
    - `jvp(inputs, tangents)`: the tangents of the outputs.

    The kernel itself is callable; for PyTorch it takes part in autograd.
    """

    def __init__(
        self, program: Program, target: str, label: str, defaults: Mapping[str, Fraction], doc: str = ""
    ) -> None:
        self.program, self.target, self.label, self.defaults, self.doc = program, target, label, defaults, doc
        self.library: Library = library(target)
        self.variants: dict[Any, Compiled] = {}
        self.sources: dict[Any, Source] = {}
        self.calls: dict[Any, Call] = {}
        self.places: dict[tuple[frozenset[str], bool], tuple[int | None, ...]] = {}
        self.lookups = [n for n, t in enumerate(program.inputs) if t.over is not None and t.domain == "index"]
        if target != "numpy":
            from gradproof.numeric import binding, graphs

            self.key, self.bound = graphs.register(self), binding.apply

    def __repr__(self) -> str:
        return f"<{self.target} kernel {self.label}>"

    def __deepcopy__(self, memo: object) -> Kernel:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """By name where the catalogue has the operation, else by its program."""
        named = self.label.split("(")[0] in operations()
        if named and find(self.label).program is self.program:
            return lower, (self.label, self.target)
        p = self.program
        program = Program(p.inputs, p.parameters, flat(p.statements), p.outputs)
        return Kernel, (program, self.target, self.label, dict(self.defaults), self.doc)

    # --- source

    @property
    def source(self) -> str:
        """The generated module."""
        return self.source_of(True, frozenset()).text

    @property
    def rewrites(self) -> tuple[Row, ...]:
        """The stability rows that were applied in forward and backward."""
        return self.source_of(True, frozenset()).rewrites

    def source_of(
        self, in_place: bool, zeros: frozenset[str], target: str = "", wanted: Wanted = None
    ) -> Source:
        key = (target or self.target, in_place, zeros, wanted)
        if key not in self.sources:
            tensors = None if wanted is None else frozenset(self.program.inputs[n] for n in wanted)
            self.sources[key] = write_source(
                self.program,
                key[0],
                self.label,
                self.defaults,
                self.doc,
                in_place=in_place,
                zeros=zeros,
                wanted=tensors,
            )
        return self.sources[key]

    def compiled(
        self, in_place: bool, zeros: frozenset[str], *, native: str = "", wanted: Wanted = None
    ) -> Compiled:
        """The functions: written over their own arrays or not, some parameters fixed at 0, for the target or
        for another one in its place.

        With `wanted` only `vjp`, for the gradients of those inputs, or without any only `forward`.
        """
        fallback = self.target in ("c", "triton") and not in_place
        target = native or ("torch" if fallback else self.target)
        key = (target, in_place, zeros, wanted)
        if key not in self.variants:
            fixed = "".join(f" {name}=0" for name in sorted(zeros))
            extra = "" if in_place else " pure"
            if wanted is not None:
                extra += f" for {', '.join(self.program.inputs[n].name for n in sorted(wanted)) or 'no vjp'}"
            self.variants[key] = build(
                self.source_of(in_place, zeros, target, wanted),
                f"{target} {self.label}{fixed}{extra}",
                self.program.inputs,
            )
        return self.variants[key]

    def asked(self, needed: Sequence[bool]) -> Wanted:
        """The inputs whose gradients are needed; None where that is every real one."""
        real = [n for n, t in enumerate(self.program.inputs) if t.dtype == "real"]
        wanted = frozenset(n for n in real if needed[n])
        return None if len(wanted) == len(real) else wanted

    @cached_property
    def loops(self) -> bool:
        """Whether the program repeats steps along an axis, whose elementwise part is faster in C."""
        return any(isinstance(s, Recurrence) for s in flat(self.program.statements))

    @cached_property
    def sums(self) -> bool:
        """Whether the program sums over an axis: then there may be matrix products."""
        definitions = (s for s in flat(self.program.statements) if isinstance(s, Definition))
        return any(d.value.bound for d in definitions)

    def is_native(self, call: Call, in_place: bool) -> bool:
        """Whether a call runs the source for the CPU: with C in its loops, and its own choice of products."""
        if self.target not in ("torch", "c") or not (in_place and call.plain and (self.loops or self.sums)):
            return False
        from gradproof.numeric.native.compiler import compiler

        return not self.loops or compiler() is not None

    def native(self, call: Call, in_place: bool, given: Sequence[Any] = ()) -> str:
        """The target whose source a call with these arrays as well runs in place of the kernel's own.

        On the CPU it is C. On a GPU a PyTorch kernel that repeats steps runs the one for Triton.
        """
        if self.is_native(call, in_place):
            return "c" if self.library.plain(given) else ""
        if self.target == "torch" and in_place and call.on_gpu and self.loops:
            return "triton" if self.library.on_gpu(given) else ""
        return ""

    # --- calls

    def call(self, inputs: Sequence[Any], parameters: Mapping[str, Any]) -> tuple[Call, list[Any]]:
        """Check the inputs of a call; its description, and the inputs as arrays.

        Raises ValueError where a number of axes or a size does not fit, TypeError for a wrong dtype or
        an unknown parameter, IndexError for an index beside its axis.
        """
        if len(inputs) != len(self.program.inputs):
            wanted = ", ".join(map(repr, self.program.inputs))
            raise ValueError(
                f"{self.label} takes {len(self.program.inputs)} inputs ({wanted}), found {len(inputs)}"
            )
        arrays = [self.array(v, t) for v, t in zip(inputs, self.program.inputs, strict=True)]
        key = _key(arrays, parameters)
        call = self.calls.get(key)
        if call is None:
            call = self.described(arrays, parameters)
            if key is not None:
                if len(self.calls) >= REMEMBERED:
                    self.calls.clear()
                self.calls[key] = call
        for n in self.lookups:
            self.check_places(arrays[n], self.program.inputs[n], call.shapes)
        return call, arrays

    def described(self, arrays: Sequence[Any], parameters: Mapping[str, Any]) -> Call:
        """The description of a call with these arrays, whatever they hold."""
        filled = self.filled(parameters)
        shapes = measure(self.label, self.program.inputs, [tuple(a.shape) for a in arrays])
        real = [a for a, t in zip(arrays, self.program.inputs, strict=True) if t.dtype == "real"]
        result, compute = self.library.common(real)
        if self.library.adds_up_in_float32(result) and self.is_bilinear:
            compute = result
        zeros = frozenset(
            n
            for n, v in filled.items()
            if self.defaults.get(n) == 0 and isinstance(v, int | float | Fraction) and v == 0
        )
        passed = {n: v for n, v in parameters.items() if n not in zeros}
        given, device = tuple(a.dtype for a in arrays), real[0].device
        plain, on_gpu = self.library.plain(arrays, compute), self.library.on_gpu(arrays)
        return Call(shapes, given, result, compute, device, passed, zeros, plain, on_gpu)

    def filled(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter of the program, those that were not given by their defaults."""
        if not self.program.parameters and not parameters:
            return {}
        names = [p.name for p in self.program.parameters]
        unknown = set(parameters) - set(names)
        if unknown:
            raise TypeError(f"{self.label} has no parameter {', '.join(sorted(unknown))}; it has {names}")
        missing = [n for n in names if n not in parameters and n not in self.defaults]
        if missing:
            raise TypeError(f"{self.label} needs the parameter {', '.join(missing)}")
        return {n: parameters[n] if n in parameters else self.defaults[n] for n in names}

    def array(self, value: Any, tensor: Tensor) -> Any:
        try:
            return self.library.array(value, tensor.dtype)
        except TypeError as error:
            raise TypeError(f"{self.label}: {tensor!r}: {error}") from None

    def check_places(self, array: Any, tensor: Tensor, shapes: Shapes) -> None:
        assert tensor.over is not None
        size = shapes.sizes[tensor.over][0]
        found = self.library.extent(array)
        if found is not None and not 0 <= found[0] <= found[1] < size:
            beside = found[0] if found[0] < 0 else found[1]
            raise IndexError(
                f"{self.label}: {tensor!r} indexes the axis {tensor.over.name}, from 0 to {size - 1}; "
                f"found {beside}"
            )

    def given(self, call: Call, array: Any, tensor: Tensor, what: str) -> Any:
        """A cotangent or tangent in the dtype of the computation, its shape checked; zeros for None."""
        if array is None:
            return self.zeros(call, tensor)
        made = self.array(array, tensor)
        wanted = call.shapes.of(tensor)
        if made.shape != wanted:
            raise ValueError(
                f"{self.label}: the {what} of {tensor!r} has shape {wanted}, found {tuple(made.shape)}"
            )
        return self.library.cast(made, call.compute)

    def zeros(self, call: Call, tensor: Tensor) -> Any:
        """A cotangent or tangent that was not given."""
        return self.library.zeros(call.shapes.of(tensor), call.compute, call.device)

    def enter(self, call: Call, arrays: Sequence[Any], tensors: Sequence[Tensor]) -> list[Any]:
        """Arrays as the generated code takes them: one dtype, and at least one batch axis."""
        if call.direct:
            return list(arrays)
        made: list[Any] = []
        for a, t in zip(arrays, tensors, strict=True):
            a = self.library.cast(a, call.compute) if t.dtype == "real" else a
            made.append(a[_at_lead(t, None)] if call.shapes.unbatched and _batched(t) else a)
        return made

    def leave(
        self, call: Call, arrays: Sequence[Any], tensors: Sequence[Tensor], dtypes: Sequence[Any]
    ) -> list[Any]:
        if call.direct:
            return list(arrays)
        made: list[Any] = []
        for a, t, dtype in zip(arrays, tensors, dtypes, strict=True):
            a = a[_at_lead(t, 0)] if call.shapes.unbatched and _batched(t) else a
            made.append(self.library.cast(a, dtype))
        return made

    def origins(self, call: Call) -> tuple[int | None, ...]:
        """For each saved array its place among inputs and then outputs, or None for one of its own."""
        as_they_are = call.compute == call.result and not call.shapes.unbatched
        key = (call.zeros, as_they_are)
        if key not in self.places:
            known = (*self.program.inputs, *(self.program.outputs if as_they_are else ()))
            place = {t: n for n, t in enumerate(known)}
            self.places[key] = tuple(place.get(t) for t in self.source_of(True, call.zeros).saved)
        return self.places[key]

    # --- what people call

    def forward(self, *inputs: Any, **parameters: Any) -> tuple[tuple[Any, ...], Saved]:
        """The outputs, and what `vjp` needs."""
        call, arrays = self.call(inputs, parameters)
        with self.library.quiet():
            outputs, kept = self.run(call, arrays, in_place=True)
        return outputs, Saved(kept, call)

    def run(
        self, call: Call, arrays: Sequence[Any], *, in_place: bool, saves: bool = True
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The outputs and the saved arrays (if it `saves`) of a call that has been checked."""
        native = self.native(call, in_place)
        functions = self.compiled(in_place, call.zeros, native=native, wanted=None if saves else frozenset())
        entered = self.enter(call, arrays, self.program.inputs)
        outputs, saved = functions.forward(*entered, **call.parameters)
        left = self.leave(call, outputs, self.program.outputs, [call.result] * len(outputs))
        if call.direct:
            return tuple(left), saved[: len(functions.saved)]
        kept = tuple(s if n is None else arrays[n] for n, s in zip(functions.given, saved, strict=False))
        return tuple(left), kept

    def vjp(self, saved: Saved, *cotangents: Any) -> tuple[Any, ...]:
        """The gradient by each input from a cotangent of each output (`None` stands for zeros)."""
        if len(cotangents) != len(self.program.outputs):
            wanted = ", ".join(map(repr, self.program.outputs))
            raise ValueError(
                f"{self.label}: vjp takes a cotangent for each of {wanted}, found {len(cotangents)}"
            )
        with self.library.quiet():
            return self.pull(saved.call, saved.arrays, cotangents, in_place=True)

    def pull(
        self,
        call: Call,
        kept: Sequence[Any],
        cotangents: Sequence[Any],
        *,
        in_place: bool,
        wanted: Wanted = None,
    ) -> tuple[Any, ...]:
        """The gradients of the `wanted` inputs, None for others."""
        outputs = self.program.outputs
        given = [self.given(call, c, t, "cotangent") for c, t in zip(cotangents, outputs, strict=True)]
        native = self.native(call, in_place, given)
        functions = self.compiled(in_place, call.zeros, native=native, wanted=wanted)
        if call.direct:
            ready: Sequence[Any] = kept
        else:
            ready = [
                k if n is None else self.enter(call, [k], [t])[0]
                for k, t, n in zip(kept, functions.saved, functions.given, strict=True)
            ]
        sizes = [call.shapes.size(axis) for axis in functions.sizes]
        made = functions.vjp((*ready, *sizes), *self.enter(call, given, outputs), **call.parameters)
        if call.direct:
            return tuple(made)
        return tuple(
            None if m is None else self.leave(call, [m], [t], [dtype])[0]
            for m, t, dtype in zip(made, self.program.inputs, call.given, strict=True)
        )

    def jvp(self, inputs: Sequence[Any], tangents: Sequence[Any], **parameters: Any) -> tuple[Any, ...]:
        """The tangents of the outputs from a tangent of each input (`None` stands for zeros)."""
        call, arrays = self.call(inputs, parameters)
        if len(tangents) != len(arrays):
            raise ValueError(
                f"{self.label}: jvp takes {len(arrays)} tangents, one for each input, found {len(tangents)}"
            )
        with self.library.quiet():
            return self.push(call, arrays, tangents, in_place=True)

    def push(
        self, call: Call, arrays: Sequence[Any], tangents: Sequence[Any], *, in_place: bool
    ) -> tuple[Any, ...]:
        dots: list[Any] = []
        for d, t in zip(tangents, self.program.inputs, strict=True):
            if t.dtype != "real":
                dots.append(None)
                continue
            d = self.given(call, d, t, "tangent")
            dots.extend(self.enter(call, [d], [t]))
        native = self.native(call, in_place, [d for d in dots if d is not None])
        functions = self.compiled(in_place, call.zeros, native=native)
        made = functions.jvp(
            tuple(self.enter(call, arrays, self.program.inputs)), tuple(dots), **call.parameters
        )
        return tuple(self.leave(call, made, self.program.outputs, [call.result] * len(made)))

    def __call__(self, *inputs: Any, **parameters: Any) -> Any:
        """The output (a tuple where there are several); for PyTorch differentiable, to any order."""
        if self.target != "numpy":
            outputs = self.bound(self, inputs, parameters)
        else:
            outputs = self.forward(*inputs, **parameters)[0]
        return outputs[0] if len(outputs) == 1 else outputs

    @cached_property
    def is_bilinear(self) -> bool:
        """Whether there is nothing but products of matrices."""
        return is_bilinear(self.program)

    @cached_property
    def gradient(self) -> Kernel:
        """The kernel of the VJP as a function of the inputs and the cotangents."""
        return Kernel(gradient_program(self.program), self.target, f"gradient of {self.label}", self.defaults)

    @cached_property
    def tangent(self) -> Kernel:
        """The kernel of the JVP as a function of the inputs and the tangents of the real ones."""
        return Kernel(tangent_program(self.program), self.target, f"tangent of {self.label}", self.defaults)


def _key(arrays: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
    """What a call's description depends on; None where it is not to be remembered."""
    if not all(type(v) in (int, float, Fraction) for v in parameters.values()):
        return None
    key = (
        tuple((type(a), a.shape, a.dtype, getattr(a, "device", None)) for a in arrays),
        tuple(parameters.items()),
    )
    try:
        hash(key)
    except TypeError:  # a size that is a symbol of torch.compile
        return None
    return key


def _batched(tensor: Tensor) -> bool:
    return any(a.variadic for a in tensor.axes)


def _at_lead(tensor: Tensor, what: int | None) -> tuple[Any, ...]:
    """What takes (0) or puts in (None) an axis where the batch axes stand."""
    place = next(n for n, a in enumerate(tensor.axes) if a.variadic)
    return (*(slice(None),) * place, what)


@cache
def _kernel(operation: Operation, target: str) -> Kernel:
    defaults = {name: h.default for name, h in operation.hyperparameters.items()}
    return Kernel(operation.program, target, operation.label, defaults, operation.doc)


def lower(operation: str | Operation | Program, target: str = "torch") -> Kernel:
    """The kernel of an operation, by name or as it is, for "numpy", "torch", "c" or "triton".

    >>> import numpy as np
    >>> k = lower("sigmoid", "numpy")
    >>> (y,), saved = k.forward(np.zeros(2))
    >>> k.vjp(saved, np.ones(2))
    (array([0.25, 0.25]),)
    """
    if target not in IMPORTS:
        raise ValueError(f"a target is {', '.join(map(repr, IMPORTS))}, found {target!r}")
    if isinstance(operation, Program):
        return Kernel(operation, target, "program", {})
    return _kernel(find(operation) if isinstance(operation, str) else operation, target)

"""Whole source files: the functions forward, vjp and jvp of an operation, with what they need around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from gradproof.numeric.compilation import Pair, compile_pair, compile_tangents
from gradproof.numeric.lines import Straight, live
from gradproof.numeric.rewriting import Row
from gradproof.numeric.targets.base import Printer
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.operation import Program

HELPERS = {
    "matrix": '''
def matrix(a, columns):
    """The array as a matrix: its last axes as columns, all others as rows."""
    split = a.ndim - columns
    return a.reshape(math.prod(a.shape[:split]), math.prod(a.shape[split:]))
''',
    "rows": '''
def rows(a, kept):
    """The array with all axes but the last ones as one."""
    split = a.ndim - kept
    return a.reshape(math.prod(a.shape[:split]), *a.shape[split:])
''',
    "precise": '''
def precise(function, x, out=None):
    """The function in float64, rounded once: in float32 NumPy's are off by up to two units."""
    out = np.empty_like(x) if out is None else out
    return function(x, out=out, dtype=np.result_type(x, np.float64), casting="same_kind")
''',
    "sigmoid": '''
def sigmoid(x):
    """1 / (1 + exp(-x)), or exp(x) / (1 + exp(x)): what would overflow is not taken."""
    e = precise(np.exp, -np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)
''',
    "sigmoid, torch": '''
LEAST = {dtype: math.log(torch.finfo(dtype).tiny) for dtype in (torch.float32, torch.float64)}


def sigmoid(x):
    """1 / (1 + exp(-x)), where exp(-x) would overflow exp(x) / (1 + exp(x)): torch.sigmoid is 0 there."""
    least = LEAST[x.dtype]
    if x.device.type == "cpu" and x.numel() and x.amin() > least:
        return torch.sigmoid(x)
    return torch.where(x < least, torch.exp(x) * torch.sigmoid(-x), torch.sigmoid(x))
''',
    "sigmoid, torch, pure": '''
LEAST = {dtype: math.log(torch.finfo(dtype).tiny) for dtype in (torch.float32, torch.float64)}


def sigmoid(x):
    """1 / (1 + exp(-x)), where exp(-x) would overflow exp(x) / (1 + exp(x)): torch.sigmoid is 0 there."""
    least = LEAST[x.dtype]
    return torch.where(x < least, torch.exp(x) * torch.sigmoid(-x), torch.sigmoid(x))
''',
    "select": '''
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def select(condition, x, y):
    """torch.where by way of the bits: on the CPU that takes a fraction of its time."""
    if condition.device.type != "cpu":
        return torch.where(condition, x, y)
    like = x if isinstance(x, torch.Tensor) else y
    bits = BITS[like.element_size()]
    mask = condition.to(bits).neg_()
    if isinstance(y, int) and y == 0:
        return (mask & x.view(bits)).view(like.dtype)
    x, y = (torch.as_tensor(v, dtype=like.dtype).view(bits) for v in (x, y))
    return (y ^ (mask & (x ^ y))).view(like.dtype)
''',
    "compare": '''
def compare(relation, x, y):
    """The relation as integers as wide as x: on the CPU truth values take four times as long."""
    if x.device.type != "cpu":
        return relation(x, y)
    return relation(x, y, out=x.new_empty(0, dtype=BITS[x.element_size()]))
''',
    "row_sum": '''
def row_sum(a):
    """The sum over the last axis in float64; long rows are added up eight entries at a time before that."""
    if a.dtype == torch.float32 and a.shape[-1] >= 256 and a.shape[-1] % 8 == 0:
        a = a.unflatten(-1, (8, -1)).sum(-2)
    return a.sum(-1, dtype=torch.float64)
''',
    "add_along": '''
def add_along(a, at, amount, axis):
    """Add amounts at several positions of each row along an axis, in place: the last axis of `at`."""
    places = np.ogrid[tuple(slice(n) for n in at.shape)]
    np.add.at(np.moveaxis(a, axis, -1), (*places[:-1], at), amount)
''',
    "add_at": '''
def add_at(a, at, amount, axis):
    """Add an amount at one position of each row along an axis, in place."""
    at, amount = np.expand_dims(at, axis), np.expand_dims(amount, axis)
    np.put_along_axis(a, at, np.take_along_axis(a, at, axis) + amount, axis)
''',
}
IMPORTS = {
    "numpy": "import numpy as np",
    "torch": "import torch",
    "c": "import torch",
    "triton": "import torch",
}


def printer_class(target: str) -> type[Printer]:
    """The printer of a target."""
    if target == "numpy":
        from gradproof.numeric.targets.numpy import NumpyPrinter

        return NumpyPrinter
    if target == "torch":
        from gradproof.numeric.targets.torch import TorchPrinter

        return TorchPrinter
    if target == "c":
        from gradproof.numeric.targets.c import CPrinter

        return CPrinter
    if target == "triton":
        from gradproof.numeric.targets.triton import TritonPrinter

        return TritonPrinter
    raise ValueError(f"a target is {', '.join(map(repr, IMPORTS))}, found {target!r}")


@dataclass(frozen=True)
class Source:
    """The source of a program for one target; the tensors and the sizes that its forward saves."""

    text: str
    saved: tuple[Tensor, ...]
    sizes: tuple[Axis, ...]
    rewrites: tuple[Row, ...] = ()


def write_source(
    program: Program,
    target: str,
    label: str,
    defaults: Mapping[str, Fraction],
    doc: str = "",
    *,
    in_place: bool = True,
    zeros: frozenset[str] = frozenset(),
    wanted: frozenset[Tensor] | None = None,
) -> Source:
    """The module text with `forward`, `vjp` and `jvp`.

    With `wanted`, inputs, that of `vjp` alone, which computes only their gradients, from what `forward`
    saves otherwise; where none is wanted that of `forward` alone, which saves nothing.
    """
    pair = compile_pair(program, zeros)
    if wanted is not None:
        pair = _restricted(pair, wanted)
    kind, helpers = printer_class(target), set[str]()
    parameters = _parameters(program, defaults)
    parts: dict[str, str] = {}
    printers: list[Printer] = []

    def printer(stem: str, straight: Straight) -> Printer:
        printers.append(kind(straight, in_place=in_place, stem=stem))
        return printers[-1]

    forward, backward = printer("forward", pair.forward), printer("vjp", pair.backward)
    if wanted is None or wanted:
        parts["vjp"] = _vjp(backward, pair, wanted, parameters, helpers)
    sizes = tuple(backward.sizes.missing)
    if not wanted:
        parts["forward"] = _forward(forward, pair, sizes, parameters, doc, helpers)
    if wanted is None:
        tangents, dots = compile_tangents(program, zeros)
        parts["jvp"] = _jvp(printer("jvp", tangents), program, dots, parameters, helpers)
    text = _module(
        target, label, [parts[n] for n in ("forward", "vjp", "jvp") if n in parts], printers, helpers
    )
    return Source(text, pair.saved, sizes, pair.rewrites)


def _restricted(pair: Pair, wanted: frozenset[Tensor]) -> Pair:
    """What only the gradients of these inputs need; without any, the forward program alone."""
    if not wanted:
        forward = replace(pair.forward, lines=live(pair.forward.lines, pair.forward.outputs))
        return replace(pair, forward=forward, saved=())
    real = (t for t in pair.forward.inputs if t.dtype == "real")
    needed = tuple(g for t, g in zip(real, pair.backward.outputs, strict=True) if t in wanted)
    backward = replace(pair.backward, lines=live(pair.backward.lines, needed), outputs=needed)
    return replace(pair, backward=backward)


def _module(
    target: str, label: str, parts: Sequence[str], printers: Sequence[Printer], helpers: set[str]
) -> str:
    """The functions with what they need around them."""
    routines = [r for p in printers for r in p.routines]
    text = "\n\n".join(parts)
    used = [HELPERS[name].strip("\n") for name in HELPERS if name in helpers]
    head = [f'"""{label}, generated by gradproof."""', ""]
    imports = [IMPORTS[target]]
    if "math." in text or any("math." in u for u in used):
        imports.insert(0, "import math\n")
    special = sorted(helpers & {"erf", "erfc"})
    if special:
        imports.append(f"from gradproof.numeric.special import {', '.join(special)}")
    own: list[str] = []
    if "native" in helpers:
        own.append("from gradproof.numeric.native import blocks as native")
    leaves = sorted(h.removeprefix("leaf ") for h in helpers if h.startswith("leaf "))
    if "block" in helpers:
        own.append("from gradproof.numeric.gpu.blocks import block, tl")
    if leaves:
        own.append(f"from gradproof.numeric.gpu.leaves import {', '.join(leaves)}")
    if own:
        imports.extend(["", *sorted(own)])
    if target == "triton":
        used.extend(routines)
    elif routines:
        used.append('C = native.Blocks(r"""\n' + "\n\n".join(routines) + '\n""")')
    return "\n".join([*head, *imports, "", "", "\n\n\n".join([*used, *parts])]) + "\n"


def _parameters(program: Program, defaults: Mapping[str, Fraction]) -> str:
    given = [
        f"{p.name}={_number(defaults[p.name])}" if p.name in defaults else p.name for p in program.parameters
    ]
    return ", *, " + ", ".join(given) if given else ""


def _number(value: Fraction) -> str:
    return repr(float(value)) if value.denominator != 1 else str(value.numerator)


def _finish(printer: Printer, head: list[str], results: Sequence[Tensor]) -> list[str]:
    printer.lines(printer.program.lines)
    sizes = [f"    {name} = {code}" for name, code in printer.sizes.used.items()]
    return [*head, *sizes, *printer.body]


def _tuple(names: Sequence[str]) -> str:
    return "(" + ", ".join(names) + ("," if len(names) == 1 else "") + ")"


def _unpack(names: Sequence[str], whole: str) -> list[str]:
    return [f"    {', '.join(names)}{',' if len(names) == 1 else ''} = {whole}"] if names else []


def _forward(
    printer: Printer, pair: Pair, sizes: Sequence[Axis], parameters: str, doc: str, helpers: set[str]
) -> str:
    names = [printer.name(t) for t in pair.forward.inputs]
    head = [f"def forward({', '.join(names)}{parameters}):"]
    shapes = ", ".join(f"{printer.name(t)} {_axes(t)}" for t in pair.forward.inputs)
    head += (
        [
            f'    {"r" if chr(92) in doc else ""}"""{doc}',
            "",
            f"    Takes {shapes}; gives the outputs and what vjp needs.",
            '    """',
        ]
        if doc
        else []
    )
    printer.left.update(pair.saved)
    printer.kept |= set(pair.saved)
    counts = [printer.sizes.lead() if a.variadic else printer.sizes.size(a) for a in sizes]
    lines = _finish(printer, head, pair.forward.outputs)
    outputs = _tuple([printer.name(t) for t in pair.forward.outputs])
    saved = _tuple([*(printer.name(t) for t in pair.saved), *counts])
    helpers |= printer.helpers
    return "\n".join([*lines, f"    return {outputs}, {saved}"])


def _vjp(
    printer: Printer, pair: Pair, wanted: frozenset[Tensor] | None, parameters: str, helpers: set[str]
) -> str:
    cotangents = [printer.name(t) for t in pair.cotangents]
    head = [f"def vjp(saved, {', '.join(cotangents)}{parameters}):"]
    lines = _finish(printer, [], pair.backward.outputs)
    kept = [*(printer.name(t) for t in pair.saved), *printer.sizes.missing.values()]
    lines = [*head, *_unpack(kept, "saved"), *lines]
    made = iter(pair.backward.outputs)
    asked = [t.dtype == "real" and (wanted is None or t in wanted) for t in pair.forward.inputs]
    results = [printer.name(next(made)) if a else "None" for a in asked]
    helpers |= printer.helpers
    return "\n".join([*lines, f"    return {_tuple(results)}"])


def _jvp(
    printer: Printer, program: Program, dots: Sequence[Tensor], parameters: str, helpers: set[str]
) -> str:
    head = [f"def jvp(inputs, tangents{parameters}):"]
    head += _unpack([printer.name(t) for t in program.inputs], "inputs")
    real = iter(dots)
    names = [printer.name(next(real)) if t.dtype == "real" else "_" for t in program.inputs]
    head += _unpack(names, "tangents")
    lines = _finish(printer, head, printer.program.outputs)
    helpers |= printer.helpers
    return "\n".join([*lines, f"    return {_tuple([printer.name(t) for t in printer.program.outputs])}"])


def _axes(tensor: Tensor) -> str:
    return "[" + ", ".join(a.name + ("..." if a.variadic else "") for a in tensor.axes) + "]"


__all__ = ["Any", "Source", "Straight", "write_source"]

"""Loops over the steps of a recurrence as Python text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gradproof.numeric.lines import Elementwise, Loop, Stack, reads, targets
from gradproof.symbolic.expressions import Index, Tensor, index

if TYPE_CHECKING:
    from gradproof.numeric.targets.base import Printer

_OUTSIDE = 1_000_000  # a tensor from outside is read again in the next step


def print_loop(printer: Printer, loop: Loop) -> None:
    """States before the loop, one step inside, what is kept for every step beside them."""
    count = printer.sizes.size(loop.axis)
    sizes = {a.name for tensor in printer.program.inputs for a in tensor.axes} | {loop.axis.name}
    step = "t" if "t" not in printer.taken | sizes else "step"
    printer.taken.add(step)
    kept = dict(loop.keeps)
    for _, outer in loop.keeps:
        printer.name(outer)
    outside, printer.body = printer.body, []
    saved_left, saved_owned = printer.left, set(printer.owned)
    printer.left = uses(loop)
    printer.indent += 1
    printer.hoisted = {}
    _steps(printer, loop, kept, step)
    inside, printer.body = printer.body, outside
    hoisted, printer.hoisted = printer.hoisted, None
    printer.indent -= 1
    printer.taken.discard(step)
    printer.left, printer.owned = saved_left, saved_owned
    for code, name in hoisted.items():
        printer.emit(f"{name} = {code}")
    for _, outer in loop.keeps:
        dims = _dims(outer)
        if printer.in_place:
            printer.emit(
                f"{printer.name(outer)} = {printer.empty(printer.shape(dims))}", printer.shape_comment(dims)
            )
        else:
            printer.emit(f"{printer.name(outer)} = [None] * {count}")
    if loop.states:
        befores = ", ".join(printer.name(s.before) for s in loop.states)
        initials = ", ".join(printer.name(s.initial) for s in loop.states)
        printer.emit(f"{befores} = {initials}")
    span = f"reversed(range({count}))" if loop.reverse else f"range({count})"
    printer.emit(f"for {step} in {span}:")
    printer.body.extend(inside)
    _after(printer, loop)


def uses(loop: Loop) -> Counter[Tensor]:
    """How often a step reads each tensor; one from outside is never read for the last time."""
    left: Counter[Tensor] = Counter(t for line in loop.body for t in reads(line))
    made = {t for line in loop.body for t in targets(line)}
    for tensor in [t for t in left if t not in made]:
        left[tensor] += _OUTSIDE
    left.update(inner for inner, _ in loop.keeps)
    left.update(s.after for s in loop.states)
    return left


def _steps(printer: Printer, loop: Loop, kept: dict[Tensor, Tensor], step: str) -> None:
    count: Counter[Tensor] = Counter(t for line in loop.body for t in reads(line))
    for inner, outer in loop.reads:
        place = f"{printer.name(outer)}[{step}]"
        if count[inner] > 1:
            printer.emit(f"{printer.name(inner)} = {place}")
        else:
            printer.names[inner] = place
    written: set[Tensor] = set()
    for number, line in enumerate(loop.body):
        assert not isinstance(line, Loop)
        if line.target not in kept and printer.is_written_out(line, loop.body[number + 1 : number + 2]):
            printer.written[line.target] = printer.part(line)
            printer.waiting.extend(reads(line))
            continue
        direct = isinstance(line, Elementwise | Stack) and line.target in kept and printer.in_place
        place = f"{printer.name(kept[line.target])}[{step}]" if line.target in kept else ""
        before = len(printer.body)
        printer.simple(line, place if direct else "")
        if direct and any(place in text for text in printer.body[before:]):
            written.add(line.target)
        printer.done(reads(line))
    for inner, outer in loop.keeps:
        if inner not in written:
            printer.emit(f"{printer.name(outer)}[{step}] = {printer.name(inner)}")
    if loop.states:
        befores = ", ".join(printer.name(s.before) for s in loop.states)
        printer.emit(f"{befores} = {', '.join(printer.name(s.after) for s in loop.states)}")


def _after(printer: Printer, loop: Loop) -> None:
    for _, outer in loop.keeps:
        if not printer.in_place:
            name = printer.name(outer)
            printer.emit(f"{name} = {printer.stacked(name, printer.shape(_dims(outer)))}")
        printer.owned.add(outer)
    for state in loop.states:
        if printer.left[state.last]:
            printer.emit(f"{printer.name(state.last)} = {printer.name(state.before)}")


def _dims(tensor: Tensor) -> tuple[Index, ...]:
    return tuple(index(a.name, a) for a in tensor.axes)

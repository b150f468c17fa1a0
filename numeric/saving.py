"""What the backward needs: what is saved for it, and what it computes again.

Of the sets from which the backward can be computed cheaply, the smallest is saved; inputs count like anything
else, since a saved input is kept alive as well. Among sets of the same size it is the one that leaves the
least to be computed again. Only gathers and elementwise lines are carried out twice, and none with a function
that takes as long as several passes over memory. A loss over a whole batch takes an exponential again: its
logits are the widest array there is, and their log-sum-exp is saved before their softmax.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradproof.numeric.lines import Elementwise, Gather, Line, Loop, live, reads, targets
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Call, Tensor, walk
from gradproof.symbolic.operation import Program

_USUAL = 64  # the size of an axis when sets of tensors are compared; batch axes count as two


def choose(
    program: Program, first: Sequence[Line], second: tuple[Line, ...], results: tuple[Tensor, ...]
) -> tuple[tuple[Line, ...], tuple[Tensor, ...]]:
    """The lines of the backward and what they need saved, given the lines of forward and backward."""
    known = {t for line in first for t in targets(line)}
    wanted = {t for line in second for t in reads(line)} | set(results)
    direct = set(program.outputs) | (set(program.inputs) & wanted)
    order = (*program.inputs, *(t for line in first for t in targets(line)))
    loss = not any(a.variadic for t in program.outputs for a in t.axes)
    cheap = {line.target for line in first if not isinstance(line, Loop) and _is_cheap(line, loss)}
    exponential = loss and any("exp" in _calls(line) for line in first)
    everything = direct | set(program.inputs)
    options: list[tuple[int, int, tuple[Line, ...], tuple[Tensor, ...]]] = []
    for place, free in enumerate((everything,) if exponential else (direct, everything)):
        again = recompute(first, wanted & known, free, cheap)
        backward = live((*again, *second), results)
        read = {t for line in backward for t in reads(line)} | set(results)
        made = {t for line in backward for t in targets(line)}
        saved = tuple(t for t in dict.fromkeys(order) if t in read and t not in made)
        options.append((sum(map(_size, saved)), place, backward, saved))
    _, _, backward, saved = min(options, key=lambda option: option[:2])
    return backward, saved


def _size(tensor: Tensor) -> int:
    entries = math.prod(a.size or (_USUAL**2 if a.variadic else _USUAL) for a in tensor.axes)
    return entries if tensor.dtype == "boolean" else 4 * entries


def _calls(line: Line) -> set[str]:
    """The functions that an elementwise line calls."""
    if not isinstance(line, Elementwise):
        return set()
    return {n.function for n in walk(line.value) if isinstance(n, Call)}


def _is_cheap(line: Line, loss: bool) -> bool:
    """Whether a line may be carried out again."""
    if not isinstance(line, Elementwise):
        return isinstance(line, Gather)
    return _calls(line) <= ({"sqrt", "exp"} if loss else {"sqrt"})


def recompute(
    lines: Sequence[Line], wanted: set[Tensor], free: set[Tensor], cheap: set[Tensor]
) -> tuple[Line, ...]:
    """The lines that are carried out again for the wanted tensors; what they cannot give is saved.

    A line is carried out once more where that saves memory: where it is elementwise, and all that it reads is
    there in any case (inputs, outputs, what is saved), or smaller than its result, or so computed itself.
    """
    makers = {line.target: line for line in lines if not isinstance(line, Loop) and line.target in cheap}
    keep = set(wanted)
    again: set[Tensor] = set()

    def sources(tensor: Tensor, limit: set[Axis]) -> set[Tensor] | None:
        """What has to be saved to compute the tensor again, if that is smaller than the limit."""
        if tensor in free or tensor in again or tensor in keep:
            return set()
        if set(tensor.axes) < limit:
            return {tensor}
        if tensor not in makers:
            return None
        found = set[Tensor]()
        for t in reads(makers[tensor]):
            part = sources(t, limit)
            if part is None:
                return None
            found |= part
        return found | {tensor}

    for line in reversed(lines):
        target = None if isinstance(line, Loop) else line.target
        if target is None or target not in keep or target in free or target not in makers:
            continue
        limit = set(target.axes)
        found = [sources(t, limit) for t in reads(makers[target])]
        if any(part is None for part in found):
            continue
        every = set[Tensor]().union(*(part for part in found if part is not None))
        again |= {target} | {t for t in every if not set(t.axes) < limit}
        keep = (keep - again) | {t for t in every if set(t.axes) < limit and t not in again}
    return tuple(line for line in lines if not isinstance(line, Loop) and line.target in again)

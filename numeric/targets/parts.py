"""Straight lines divided into elementwise blocks and the products, reductions and loops between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gradproof.numeric.lines import Line, reads, targets
from gradproof.symbolic.expressions import Tensor

L = TypeVar("L", bound=Line)


def divide(lines: Sequence[L], pointwise: Callable[[L], bool]) -> list[list[L] | L]:
    """The lines in an order that what they read allows: elementwise ones together, others alone."""
    parts: list[list[L] | L] = []
    made: dict[Tensor, int] = {}
    for line in lines:
        place = None
        if pointwise(line):
            first = max((made[t] for t in reads(line) if t in made), default=0)
            place = next((n for n in range(first, len(parts)) if isinstance(parts[n], list)), None)
        if place is None:
            parts.append([line] if pointwise(line) else line)
            place = len(parts) - 1
        else:
            block = parts[place]
            assert isinstance(block, list)
            block.append(line)
        made.update(dict.fromkeys(targets(line), place))
    return _lowered(parts)


def _lowered(parts: list[list[L] | L]) -> list[list[L] | L]:
    """Each block as late as what reads it allows; blocks without a line between them are one."""
    changed = True
    while changed:
        changed = False
        for n in range(len(parts) - 1):
            block, other = parts[n], parts[n + 1]
            if isinstance(block, list) and not isinstance(other, list):
                made = {t for line in block for t in targets(line)}
                if not made & set(reads(other)):
                    parts[n], parts[n + 1] = other, block
                    changed = True
            elif isinstance(block, list) and isinstance(other, list):
                parts[n : n + 2] = [[*block, *other]]
                changed = True
                break
    return parts

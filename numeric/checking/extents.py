"""How large a program is: what is too large for exact execution is told before it starts."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from gradproof.numeric.checking.targets import Example, Target, TargetError
from gradproof.numeric.exact.programs import TorchProgram
from gradproof.numeric.exact.seeds import all_replayed

MOST_ENTRIES = 200_000
"""How many entries the inputs of a check may have."""
MOST_STEPS = 10_000_000
"""How many numbers one run of the forward may compute, those inside products of matrices among them: exact
numbers take some microseconds each, and a check runs a program about a hundred times.
"""
OFFERED = 4
"""The length of the axes that are offered in place of larger ones."""


def refuse_large(target: Target, seed: int) -> None:
    """Raises TargetError, with its size and with smaller shapes, for a program that is too large."""
    numbers = [example for example in target.examples if example.is_number]
    entries = sum(prod(example.array.shape) for example in numbers)
    if entries > MOST_ENTRIES:
        raise TargetError(_sentence(target, f"its inputs have {entries:,} entries", MOST_ENTRIES))
    steps = _steps(target, seed)
    if steps > MOST_STEPS:
        raise TargetError(_sentence(target, f"one run of it computes {steps:,} numbers", MOST_STEPS))


def _sentence(target: Target, size: str, most: int) -> str:
    fixed = [example for example in target.examples if example.fixed and example.array.ndim]
    if fixed:
        offer = f"check a smaller module of the same kind, with axes of about {OFFERED}"
    else:
        shapes = [(e.name, e.array.shape) for e in target.examples if e.is_number and e.array.ndim]
        offer = "try " + ", ".join(f"{name} of shape {_smaller(shape)}" for name, shape in shapes)
    return (
        f"{target.name} is too large for exact execution: {size}, and at most {most:,} are taken; {offer}: "
        "the variations are small, too"
    )


def _smaller(shape: tuple[int, ...]) -> str:
    """Axes of the same length stay so."""
    lengths = sorted({n for n in shape if n > OFFERED})
    smaller = {n: OFFERED + k for k, n in enumerate(lengths)}
    return "x".join(str(smaller.get(n, n)) for n in shape)


class _Counting(TorchDispatchMode):
    """Counts the numbers that operators compute."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in tree_flatten(result)[0] if isinstance(leaf, torch.Tensor)]
        self.steps += sum(leaf.numel() for leaf in leaves)
        self.steps += _inside(func, args, leaves)
        return result


PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "addmm": 1, "baddbmm": 1, "addmv": 1}
"""Products of matrices, and which of their arguments is the left factor."""


def _inside(func: Any, args: Any, leaves: list[torch.Tensor]) -> int:
    """The products of numbers inside one of matrices, or inside a convolution."""
    name = func.overloadpacket.__name__
    if name in PRODUCTS and leaves:
        return leaves[0].numel() * args[PRODUCTS[name]].shape[-1]
    if name == "convolution" and leaves:
        return leaves[0].numel() * prod(args[1].shape[1:])
    return 0


def _steps(target: Target, seed: int) -> int:
    """What the forward computes at the example inputs; 0 where it raises, which is told elsewhere."""
    if not isinstance(target.program, TorchProgram):
        return 0
    given = [_value(example) for example in target.examples]
    with _Counting() as counting:
        try:
            with all_replayed(seed), torch.no_grad():
                target.program.function(*given)
        except Exception:  # whatever the program raises is reported by `inspect_example`
            return 0
    return counting.steps


def _value(example: Example) -> Any:
    if isinstance(example.value, torch.Tensor):
        return example.value.detach().clone()
    return example.value.copy() if isinstance(example.value, np.ndarray) else example.value

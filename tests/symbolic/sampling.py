"""Values for the inputs of an operation, within their domains."""

from __future__ import annotations

import torch

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.catalogue import axes
from gradproof.symbolic.expressions import Tensor
from gradproof.symbolic.operation import Definition, Operation, Program, Recurrence, operations

LABELS = [variant.label for each in operations().values() for variant in each.variants]

SIZES: dict[Axis, int] = {a: 3 for a in vars(axes).values() if isinstance(a, Axis) and a.size is None}
SIZES |= {axes.BATCH: 2, axes.EXAMPLES: 4, axes.HEAD: 2, axes.HEAD_DIM: 2, axes.EMBED: 4, axes.INPUT: 2}
SIZES |= {axes.CLASSES: 4, axes.TIME: 3, axes.VALUE: 2, axes.KEY: 4, axes.INNER: 3, axes.VOCAB: 5}


def parameters_of(operation: Operation) -> dict[str, float]:
    return {name: float(h.default) for name, h in operation.hyperparameters.items()}


def shape(t: Tensor) -> list[int]:
    return [a.size if a.size is not None else SIZES[a] for a in t.axes]


def draw(t: Tensor, generator: torch.Generator) -> torch.Tensor:
    if t.dtype == "boolean":
        return torch.randint(0, 2, shape(t), generator=generator).double()
    if t.dtype == "integer":
        assert t.over is not None
        return torch.randint(0, SIZES[t.over], shape(t), generator=generator)
    value = torch.randn(shape(t), generator=generator, dtype=torch.float64)
    return value if t.domain == "real" else value.abs() + 0.1


def sample(operation: Operation, seed: int) -> dict[Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {t: draw(t, generator) for t in operation.inputs}


def definitions(program: Program) -> list[Definition]:
    """All definitions, those within a recurrence among them."""
    made: list[Definition] = []
    for s in program.statements:
        made += s.body if isinstance(s, Recurrence) else [s] if isinstance(s, Definition) else []
    return made

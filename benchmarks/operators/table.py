"""A row of the table, and the inputs of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

_GENERATOR = torch.Generator().manual_seed(20)


@dataclass(frozen=True)
class Row:
    """An operator: its topic and name, a function of tensors, and inputs; floating-point ones are derived."""

    topic: str
    name: str
    function: Callable[..., Any]
    inputs: tuple[torch.Tensor, ...]
    orders: int = 2
    """The orders of derivatives that PyTorch has, or that exact execution follows."""
    known: str = ""
    """Why PyTorch's derivative is not the derivative here, or is not followed; empty where it is proved."""


@dataclass
class Topic:
    """Collects the rows of a topic."""

    name: str
    rows: list[Row] = field(default_factory=list[Row])

    def __call__(
        self, name: str, function: Callable[..., Any], *inputs: torch.Tensor, orders: int = 2, known: str = ""
    ) -> None:
        self.rows.append(Row(self.name, name, function, inputs, orders, known))


def normal(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Normal deviates, rounded to multiples of 2^-10: short rational numbers."""
    drawn = torch.randn(shape, generator=_GENERATOR, dtype=torch.float64)
    return ((drawn * 1024).round() / 1024).to(dtype)


def uniform(*shape: int, low: float = 0.1, high: float = 0.9) -> torch.Tensor:
    """Uniform deviates, rounded likewise."""
    drawn = torch.rand(shape, generator=_GENERATOR, dtype=torch.float64) * (high - low) + low
    return (drawn * 1024).round() / 1024


def positive(*shape: int) -> torch.Tensor:
    """Numbers between 1/2 and 5/2."""
    return uniform(*shape, low=0.5, high=2.5)


def integers(*numbers: Any) -> torch.Tensor:
    """Indices."""
    return torch.tensor(list(numbers))

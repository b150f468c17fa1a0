"""What the trainer asks of a task."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Batch = dict[str, Tensor]
"""Tensors by name; the first axis of each is the row."""

Carry = tuple[Tensor, ...]
"""What one step leaves to the next; the second axis of each is the row."""


@dataclass(frozen=True)
class Loss:
    """The mean loss of a batch, over how many predictions, and what is left to the next step."""

    mean: Tensor
    count: int
    carry: Carry = ()


class Task(ABC):
    """A task. Its batches depend on the seed and the step alone, so that a run can go on from any step."""

    name: str
    saved: tuple[str, ...]
    """The names of what `to_dict` gives."""
    unit = "tokens"
    """What is predicted, for people."""

    model: Any
    """The module that is trained; each task knows its kind."""
    seed: int

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """The rows of a step, over all processes, on the CPU."""

    @abstractmethod
    def count(self, batch: Batch) -> int:
        """How many predictions the loss of a batch is the mean of."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, carry: Carry) -> Loss:
        """The loss of rows; `model` is this task's, perhaps wrapped."""

    @abstractmethod
    def evaluate(self, device: torch.device) -> dict[str, float]:
        """The metrics on what is kept for validation; the first is `loss`."""

    @abstractmethod
    def test(self, device: torch.device) -> dict[str, Any]:
        """What is told of the trained model at the end."""

    @abstractmethod
    def describe(self, batch: Batch) -> str:
        """The rows of a batch in a few words, for a message."""

    @abstractmethod
    def to_dict(self) -> Mapping[str, Any]:
        """What a checkpoint needs to make the model again: vocabularies, labels."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """The data in a few words."""

    @property
    @abstractmethod
    def data_digest(self) -> str:
        """A digest of the data, by which a resumed run knows them again."""


def draw(seed: int, what: str, *place: int) -> int:
    """A seed of its own for each purpose and place, from the seed of the run.

    >>> draw(1, "batch", 7) == draw(1, "batch", 7), draw(1, "batch", 7) == draw(1, "batch", 8)
    (True, False)
    """
    text = " ".join(map(str, (seed, what, *place)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def generator(seed: int, what: str, *place: int) -> torch.Generator:
    """A generator seeded by `draw`."""
    return torch.Generator().manual_seed(draw(seed, what, *place))


def digest(*texts: str) -> str:
    """A digest of texts."""
    made = hashlib.sha256()
    for text in texts:
        made.update(f"{len(text)}\n".encode())
        made.update(text.encode())
    return made.hexdigest()

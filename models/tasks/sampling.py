"""Rows in an order of their own for each pass over the data, known from the step alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradproof.models.tasks.task import generator


class Passes:
    """Batches of row numbers: pass after pass over all rows, each pass in an order of its own."""

    def __init__(self, rows: int, batch: int, seed: int) -> None:
        self.rows, self.batch, self.seed = rows, batch, seed
        self.known: dict[int, Tensor] = {}

    def order(self, number: int) -> Tensor:
        """The order of a pass; those of the last two are kept."""
        if number not in self.known:
            self.known = {n: order for n, order in self.known.items() if n >= number - 1}
            self.known[number] = torch.randperm(self.rows, generator=generator(self.seed, "pass", number))
        return self.known[number]

    def at(self, step: int) -> list[int]:
        """The rows of a step."""
        places = range(step * self.batch, (step + 1) * self.batch)
        return [int(self.order(place // self.rows)[place % self.rows]) for place in places]


def pad(rows: Sequence[Sequence[int]], filler: int = 0) -> Tensor:
    """Rows of numbers as one tensor [row, time], filled up at their ends."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows], dtype=torch.int64)


def chunks(count: int, size: int) -> list[range]:
    """The numbers below `count`, `size` at a time."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]

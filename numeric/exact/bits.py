"""Integers that are the bits of numbers: not their values, which only numbers have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.storages import ExactStorage, ExactTensor
from gradproof.numeric.exact.values import Value


@dataclass(frozen=True)
class Term:
    """The bits of an array where a mask holds, and none elsewhere."""

    value: Value
    mask: Array
    storage: ExactStorage
    seen: Value
    """What the storage held when its numbers were read as bits."""


class BitTensor(ExactTensor):
    """Integers whose bits are the exclusive or of the bits of some numbers, each where its mask holds."""

    terms: tuple[Term, ...]
    decided: bool
    """Whether comparisons made one of the masks."""

    @staticmethod
    def of(terms: Sequence[Term], decided: bool, meta: torch.Tensor) -> BitTensor:
        """Integers laid out as `meta`."""
        made: Any = BitTensor(terms[0].storage, meta)
        made.terms, made.decided = tuple(terms), decided
        return made

    def masks(self) -> list[Array]:
        """Where each of the terms has its bits."""
        return [np.broadcast_to(term.mask, tuple(self.meta.size())) for term in self.terms]

    def integers(self) -> torch.Tensor:
        """The bits of the floats that travel along, in double precision."""
        total = np.zeros(tuple(self.meta.size()), dtype=np.int64)
        for term, mask in zip(self.terms, self.masks(), strict=True):
            bits = np.asarray(term.value.reals, dtype=np.float64).view(np.int64)
            total ^= np.where(mask, bits, 0)
        return torch.from_numpy(total)

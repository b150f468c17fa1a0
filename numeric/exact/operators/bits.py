"""Floats seen as integers of as many bits, so that masks of all bits or none choose among them.

`mask & x`, `a ^ b` and `a | b` are followed as long as each entry is in the end one of the numbers that went
in, or 0; any other look at bits is undecidable, by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact.bits import BitTensor, Term
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.frames import user_line
from gradproof.numeric.exact.handlers import BIT_OPERATORS, BIT_VIEWS, handles
from gradproof.numeric.exact.masks import decided_by
from gradproof.numeric.exact.operators.pieces import choose
from gradproof.numeric.exact.storages import ExactTensor, new_tensor, without_constant
from gradproof.numeric.exact.values import UndecidableError, Value

aten: Any = torch.ops.aten


def _undecidable() -> UndecidableError:
    return UndecidableError(f"the bits of a tensor at {user_line()}")


def reinterpret(run: Execution, tensor: torch.Tensor, dtype: torch.dtype) -> ExactTensor:
    """`tensor.view(dtype)`: numbers as integers of the same size, or such integers as numbers again."""
    exact = run.lift(tensor)
    if exact.dtype == dtype:
        return ExactTensor(exact.storage_, exact.meta)
    integers = isinstance(exact, BitTensor)
    if dtype.itemsize != exact.dtype.itemsize or integers != dtype.is_floating_point:
        raise _undecidable()
    meta = exact.meta.view(dtype)
    if isinstance(exact, BitTensor):
        return new_tensor(_numbers(run, exact), dtype, like=meta)
    value = exact.read()
    everywhere = np.ones(value.shape, dtype=bool)
    return BitTensor.of([Term(value, everywhere, exact.storage_, exact.storage_.value)], False, meta)


def _numbers(run: Execution, bits: BitTensor) -> Value:
    """The number that each entry is; raises `UndecidableError` where it is made of several."""
    masks = bits.masks()
    if any(term.storage.value is not term.seen for term in bits.terms) or np.any(sum(masks) > 1):
        raise _undecidable()
    shape = tuple(bits.meta.size())
    value = run.numbers.zeros(shape)
    for term, mask in zip(bits.terms, masks, strict=True):
        value = choose(mask, term.value.expand(shape), value)
    return without_constant(value) if bits.decided else value


def same_bits(run: Execution, tensor: BitTensor) -> BitTensor:
    """`tensor.detach()`."""
    return BitTensor.of(tensor.terms, tensor.decided, tensor.meta)


@handles(aten.bitwise_and.Tensor, aten.__and__.Tensor)
def bitwise_and(run: Execution, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    mask, bits = (a, b) if isinstance(b, BitTensor) else (b, a)
    if isinstance(mask, ExactTensor) or not isinstance(bits, BitTensor) or not _is_mask(mask):
        raise _undecidable()
    meta = torch.bitwise_and(mask.to("meta"), bits.meta)
    holds = (mask != 0).numpy()
    terms = [Term(t.value, t.mask & holds, t.storage, t.seen) for t in bits.terms]
    return BitTensor.of(terms, bits.decided or decided_by(mask) is not None, meta)


def _is_mask(mask: torch.Tensor) -> bool:
    """Whether each entry has all bits or none."""
    return bool(torch.all((mask == 0) | (mask == -1)))


@handles(aten.bitwise_xor.Tensor, aten.__xor__.Tensor)
def bitwise_xor(run: Execution, a: torch.Tensor, b: torch.Tensor) -> BitTensor:
    if not isinstance(a, BitTensor) or not isinstance(b, BitTensor):
        raise _undecidable()
    meta = torch.bitwise_xor(a.meta, b.meta)
    terms = list(a.terms)
    for term in b.terms:
        same = next((n for n, other in enumerate(terms) if other.value is term.value), None)
        if same is None:
            terms.append(term)
        else:  # the same bits twice are none
            terms[same] = Term(term.value, terms[same].mask ^ term.mask, term.storage, term.seen)
    return BitTensor.of(terms, a.decided or b.decided, meta)


@handles(aten.bitwise_or.Tensor, aten.__or__.Tensor)
def bitwise_or(run: Execution, a: torch.Tensor, b: torch.Tensor) -> BitTensor:
    """What the one or the other is, where at most one of them has bits."""
    either = bitwise_xor(run, a, b)
    first, second = (np.any(side.masks(), axis=0) for side in (a, b) if isinstance(side, BitTensor))
    if np.any(first & second):
        raise _undecidable()
    return either


BIT_OPERATORS.update(
    getattr(aten, name).Tensor
    for name in ("bitwise_and", "__and__", "bitwise_xor", "__xor__", "bitwise_or", "__or__")
)
BIT_VIEWS.update({aten.view.dtype: reinterpret, aten.detach.default: same_bits})

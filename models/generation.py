"""Text that a language model goes on with, token by token."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gradproof.models.language_model import LanguageModel, State, TransformerLanguageModel


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn.

    The logits are divided by `temperature` (0: the likeliest is taken); of the tokens only the `top_k`
    likeliest (0: all) and, of these, the fewest that together have the probability `top_p` (Holtzman et
    al. 2020) are left.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"expected a finite temperature >= 0, top_k >= 0 and 0 < top_p <= 1, found "
                f"{self.temperature:g}, {self.top_k} and {self.top_p:g}"
            )


def probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """The distribution [batch, vocabulary] that the next token is drawn from, of logits [batch, vocabulary].

    >>> logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    >>> probabilities(logits, Sampling(top_k=2))
    tensor([[0.6250, 0.3750, 0.0000]])
    >>> probabilities(logits, Sampling(top_p=0.5))
    tensor([[1., 0., 0.]])
    """
    logits = logits.double()
    if sampling.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    logits = (logits - logits.amax(-1, keepdim=True)) / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        lowest = logits.topk(sampling.top_k).values[..., -1:]
        logits = logits.masked_fill(logits < lowest, -torch.inf)
    p = torch.exp(logits)
    p = p / p.sum(-1, keepdim=True)
    if sampling.top_p < 1:
        ordered, places = p.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered
        kept = torch.where(before < sampling.top_p - 1e-12, ordered, 0)
        p = torch.zeros_like(p).scatter(-1, places, kept)
        p = p / p.sum(-1, keepdim=True)
    return p.float()


@torch.no_grad()
def generate(
    model: LanguageModel,
    prompt: list[int],
    length: int,
    sampling: Sampling | None = None,
    *,
    seed: int = 0,
    cache: bool = True,
    banned: tuple[int, ...] = (),
) -> Iterator[int]:
    """Go on from a prompt of at least one token, `length` tokens, one at a time.

    A Transformer keeps the keys and values of the tokens before (`cache`). Where its context is full, it
    goes on from the last half of it, read once more; without the cache in the same way, so that both give
    the same text. Tokens in `banned` are never drawn.
    """
    sampling = sampling or Sampling()
    if not prompt:
        raise ValueError("a prompt has at least one token, found none")
    device = next(model.parameters()).device
    draws = torch.Generator().manual_seed(seed)
    context = model.context if isinstance(model, TransformerLanguageModel) else None
    seen = prompt if context is None else prompt[-context:]
    state: State | None = None
    fresh = seen
    for _ in range(length):
        read = fresh if cache else seen
        logits, after = model(torch.tensor([read], device=device), state if cache else None)
        last = logits[:, -1].cpu()
        if banned:
            last[:, list(banned)] = -torch.inf
        token = int(torch.multinomial(probabilities(last, sampling), 1, generator=draws))
        yield token
        seen, fresh, state = [*seen, token], [token], after
        if context is not None and len(seen) > context:
            seen = seen[-max(1, context // 2) :]
            fresh, state = seen, None

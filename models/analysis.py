"""What gradients tell of a trained model: flow through time, what is owed to each token, curvature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradproof.models.language_model import LanguageModel, RecurrentLanguageModel, State
from gradproof.models.losses import CrossEntropyLoss

POWER_STEPS = 40
"""Steps of the power iteration for the largest singular value of a step's Jacobian."""


@dataclass(frozen=True)
class Flow:
    """How much of the loss of the last token reaches each step before it; means over rows.

    - `gradients`: the norm of the gradient of that loss by the states before each step but the first (of
      all layers together), or by each embedded token where a model has no state; the last step comes last;
    - `jacobians`: the largest singular value of the Jacobian of the states after each step by those before it
      (empty where there are none).
    """

    what: str
    gradients: list[float]
    jacobians: list[float]


def gradient_flow(model: LanguageModel, tokens: Tensor) -> Flow:
    """The flow of gradients through a language model that reads tokens [batch, time + 1]."""
    inputs, target = tokens[:, :-1], tokens[:, -1]
    criterion = CrossEntropyLoss(reduction="sum")
    if isinstance(model, RecurrentLanguageModel):
        return _state_flow(model, inputs, target, criterion)
    with embedded(model.embedding) as given:
        logits, _ = model(inputs)
        (gradient,) = torch.autograd.grad(criterion(logits[:, -1], target), [given[0]])
    return Flow("embedded token", gradient.norm(dim=-1).mean(0).tolist(), [])


def _state_flow(model: RecurrentLanguageModel, inputs: Tensor, target: Tensor, criterion: nn.Module) -> Flow:
    states: list[State] = []
    state, logits = None, torch.empty(0)
    for token in inputs.split(1, 1):
        logits, state = model(token, state)
        states.append(state)
    states = states[:-1]  # the last is read by no step
    found = torch.autograd.grad(criterion(logits[:, -1], target), [part for s in states for part in s])
    count = len(states[0])
    gradients = [_row_norms(found[n : n + count]).mean().item() for n in range(0, len(found), count)]
    kept = [tuple(part.detach() for part in s) for s in states]
    jacobians = [
        step_norm(lambda *s, token=token: model(token, s)[1], before)
        for token, before in zip(inputs.split(1, 1)[1:], kept, strict=False)
    ]
    return Flow("state", gradients, jacobians)


def step_norm(step: Callable[..., State], state: State) -> float:
    """The largest singular value of the Jacobian of a step at a state, the mean over rows (second axis).

    Power iteration of $J^T J$. The product $J v$ is the derivative of $J^T u$, which is linear in u, by u.
    """
    draws = torch.Generator().manual_seed(0)
    before = tuple(part.detach().requires_grad_() for part in state)
    after = step(*before)
    u = tuple(torch.zeros_like(part, requires_grad=True) for part in after)
    pulled = torch.autograd.grad(after, before, u, create_graph=True)
    v = tuple(torch.randn(part.shape, generator=draws).to(part) for part in state)
    size = torch.zeros(())
    for _ in range(POWER_STEPS):
        norms = _row_norms(v)[None, :, None]
        pushed = torch.autograd.grad(pulled, u, tuple(part / norms for part in v), retain_graph=True)
        size = _row_norms(pushed).mean()
        v = torch.autograd.grad(after, before, pushed, retain_graph=True)
    return size.item()


def _row_norms(parts: Sequence[Tensor]) -> Tensor:
    """The norm of each row over all tensors [layers, batch, features]."""
    return torch.stack([part.pow(2).sum((0, 2)) for part in parts]).sum(0).sqrt()


# --- saliency


@dataclass(frozen=True)
class Saliency:
    """What a score owes to each token.

    - `gradients`: the norm of the gradient of the score by each embedded token;
    - `integrated`: integrated gradients (Sundararajan, Taly, Yan 2017) from embeddings of 0;
    - `score` and `baseline`: the score, and that of embeddings of 0; `integrated` adds up to their
      difference, but for the error of the integration.
    """

    gradients: list[float]
    integrated: list[float]
    score: float
    baseline: float

    @property
    def gap(self) -> float:
        """What the integration is off by."""
        return self.score - self.baseline - sum(self.integrated)


def saliency(embedding: nn.Module, score: Callable[[], Tensor], steps: int = 64) -> Saliency:
    """The saliency of one row of tokens; `score` runs the model on it and gives one number."""
    with embedded(embedding) as given:
        value = score()
        (gradient,) = torch.autograd.grad(value, [given[0]])
        x = given[0].detach()
    total = torch.zeros_like(x)
    for step in range(steps):
        with embedded(embedding, x * ((step + 0.5) / steps)) as given:
            total += torch.autograd.grad(score(), [given[0]])[0]
    with torch.no_grad(), embedded(embedding, torch.zeros_like(x)):
        baseline = score().item()
    integrated = (x * total / steps).sum(-1)[0].tolist()
    return Saliency(gradient.norm(dim=-1)[0].tolist(), integrated, value.item(), baseline)


@contextmanager
def embedded(embedding: nn.Module, instead: Tensor | None = None) -> Iterator[list[Tensor]]:
    """Within it, an embedding gives tensors that gradients are taken by, or `instead`; they are listed."""
    given: list[Tensor] = []

    def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        given.append((output if instead is None else instead).detach().requires_grad_())
        return given[-1]

    handle = embedding.register_forward_hook(hook)
    try:
        yield given
    finally:
        handle.remove()


# --- curvature


def top_eigenvalues(
    loss: Callable[[], Tensor], parameters: Sequence[Tensor], count: int, steps: int = 40, seed: int = 0
) -> list[float]:
    """The `count` largest eigenvalues in size of the Hessian of a loss by parameters.

    Lanczos' method (1950), with all vectors orthogonalized again, on Hessian-vector products: the gradient
    of the product of the gradient with a vector, through the kernels of the kernels' gradients.
    """
    gradient = torch.autograd.grad(loss(), parameters, create_graph=True)
    size = sum(p.numel() for p in parameters)
    steps = min(steps, size)

    def product(v: Tensor) -> Tensor:
        parts = [
            part.view_as(p)
            for part, p in zip(v.split([p.numel() for p in parameters]), parameters, strict=True)
        ]
        made = torch.autograd.grad(gradient, parameters, parts, retain_graph=True, materialize_grads=True)
        return torch.cat([g.flatten() for g in made]).double()

    like = parameters[0]
    draws = torch.Generator().manual_seed(seed)
    basis = [torch.randn(size, generator=draws, dtype=torch.float64).to(like.device)]
    basis[0] /= basis[0].norm()
    band = torch.zeros(steps, steps, dtype=torch.float64)
    for n in range(steps):
        w = product(basis[n].to(like.dtype))
        band[n, n] = w @ basis[n]
        for _ in range(2):
            for q in basis:
                w = w - (w @ q) * q
        rest = w.norm()
        if n + 1 == steps or rest < 1e-10 * band.abs().max().clamp_min(1e-30):
            band = band[: n + 1, : n + 1]
            break
        band[n, n + 1] = band[n + 1, n] = rest
        basis.append(w / rest)
    found = torch.linalg.eigvalsh(band).tolist()
    return sorted(found, key=abs, reverse=True)[:count]

"""Whether two functions are the same: a fused kernel and its plain formula, values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_flatten

from gradproof.numeric.checking.checks import check
from gradproof.numeric.checking.results import CheckResult
from gradproof.numeric.checking.specification import make_examples, read_specification


def equivalent(
    f: Callable[..., Any],
    g: Callable[..., Any],
    *inputs: Any,
    spec: str | None = None,
    seed: int | None = None,
) -> CheckResult:
    """Whether `f` and `g` have the same values, exactly, for the shapes and regions that are run.

    The question is put to `check`: `s f(x)` with the number s has the derivative `f(x)` with respect to s; a
    function with the value `s f(x)` that claims `g(x)` for it is right exactly where `f(x) = g(x)`.

    >>> import torch
    >>> equivalent(torch.tanh, lambda x: 2 * torch.sigmoid(2 * x) - 1, torch.randn(2), seed=0).verdict
    'proved'
    """

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, scale: torch.Tensor, *arguments: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            ctx.save_for_backward(*(a for a in arguments if isinstance(a, torch.Tensor)))
            ctx.others = [None if isinstance(a, torch.Tensor) else (a,) for a in arguments]
            return tuple(scale * y for y in _outputs(f, arguments))

        @staticmethod
        def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            saved = iter(ctx.saved_tensors)
            arguments = [next(saved) if other is None else other[0] for other in ctx.others]
            pairs = zip(cotangents, _outputs(g, arguments), strict=True)
            return sum((u * y).sum() for u, y in pairs), *(None for _ in arguments)

    Scaled.__name__ = getattr(f, "__name__", type(f).__name__)
    if spec is not None:
        inputs = inputs or make_examples(read_specification(spec))
        spec = f"scale:, {spec}"
    return check(
        Scaled.apply, torch.tensor(0.75, dtype=torch.float64), *inputs, wrt=["scale"], spec=spec, seed=seed
    )


def _outputs(function: Callable[..., Any], arguments: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_flatten(function(*arguments))[0] if isinstance(leaf, torch.Tensor)]

"""Where a loss turned NaN: the first layer at fault, found by running the step once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def find_fault(model: nn.Module, run: Callable[[], Tensor]) -> str:
    """What first was not finite when `run`, which gives the loss, is carried out again.

    In the order of the computation: a parameter, the output of a layer, the loss; and in the order of the
    backward pass the gradient by a layer's output, then the gradient of a parameter.
    """
    for name, tensor in model.named_parameters():
        if not _finite(tensor):
            return f"the parameter {name} holds {_describe(tensor)}"
    found: list[str] = []
    with _watched(model, found), torch.enable_grad():
        loss = run()
        if not found and not _finite(loss):
            found.append(f"the loss itself, from logits that are finite: {_describe(loss)}")
        if not found:
            model.zero_grad(set_to_none=True)
            loss.backward()
    if not found:
        for name, tensor in model.named_parameters():
            if tensor.grad is not None and not _finite(tensor.grad):
                return f"the gradient of {name} holds {_describe(tensor.grad)}"
    return found[0] if found else "every layer is finite when the step is run again"


@contextmanager
def _watched(model: nn.Module, found: list[str]) -> Iterator[None]:
    """Note in `found` which layer's output, or gradient, is the first that is not finite."""

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            label = f"{name or 'the model'} ({type(module).__name__})"
            for tensor in _tensors(output):
                if not found and not _finite(tensor):
                    found.append(f"the output of {label} holds {_describe(tensor)}")
                if tensor.requires_grad:
                    tensor.register_hook(lambda grad: mark(label, grad))

        return hook

    def mark(label: str, grad: Tensor) -> None:
        if not found and not _finite(grad):
            found.append(f"the gradient by the output of {label} holds {_describe(grad)}")

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor) and value.is_floating_point():
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _describe(tensor: Tensor) -> str:
    nans, infinite = int(tensor.isnan().sum()), int(tensor.isinf().sum())
    counts = [f"{n} {what}" for n, what in ((nans, "NaN"), (infinite, "infinite")) if n]
    return f"{' and '.join(counts)} of {tensor.numel()} values"

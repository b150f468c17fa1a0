"""The optimizer of a run, and its learning rate at each step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from gradproof.models.configuration import TrainingOptions


def learning_rate(options: TrainingOptions, step: int) -> float:
    """Linear warm-up to `lr`, then half a cosine down to `min_lr` at the last step (Loshchilov, Hutter 2017).

    >>> options = TrainingOptions(steps=100, warmup=10, lr=1.0, min_lr=0.1)
    >>> [round(learning_rate(options, step), 2) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.55, 0.1]
    """
    if step < options.warmup:
        return options.lr * (step + 1) / options.warmup
    if options.schedule == "constant":
        return options.lr
    share = (step - options.warmup) / max(1, options.steps - options.warmup)
    low = min(options.min_lr, options.lr)
    return low + (options.lr - low) * (1 + math.cos(math.pi * min(share, 1))) / 2


def make_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """PyTorch's optimizer; weight decay acts on matrices, not on biases and norms."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer in ("sgd", "momentum"):
        momentum = options.beta1 if options.optimizer == "momentum" else 0.0
        return torch.optim.SGD(groups, lr=options.lr, momentum=momentum)
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=options.lr, betas=(options.beta1, options.beta2))


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = lr

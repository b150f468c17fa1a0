"""convert(): a module of PyTorch's or of transformers' on derived kernels, and what became of each part."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from gradproof.models import activations, layers, losses, recurrent
from gradproof.models.transformer import PARTS, STACKS, adopt

_TABLE: Mapping[type, type] = {
    **PARTS,
    **STACKS,
    **{
        getattr(nn, name): getattr(module, name)
        for module, names in (
            (layers, ("Linear", "Embedding", "Dropout", "LayerNorm", "RMSNorm")),
            (losses, ("CrossEntropyLoss", "MSELoss", "BCEWithLogitsLoss")),
            (recurrent, ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")),
            (activations, activations.MODULES),
        )
        for name in names
    },
}

_NEUTRAL = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.ModuleList,
    nn.ModuleDict,
    nn.Sequential,
    nn.ParameterList,
    nn.ParameterDict,
)
"""What computes nothing of its own."""


@dataclass(frozen=True)
class Replaced:
    """A part that is now ours: its path within the module, and its class before and after."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path or '(the module)'}: {self.before} -> {self.after}"


@dataclass(frozen=True)
class Left:
    """A part that is as it was: its path within the module, its class, and why."""

    path: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or '(the module)'}: {self.kind} is left: {self.reason}"


@dataclass(frozen=True)
class Conversion:
    """What `convert` did."""

    replaced: tuple[Replaced, ...]
    left: tuple[Left, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, (*self.replaced, *self.left)))


def convert(module: nn.Module, *, inplace: bool = False) -> nn.Module:
    """The module with every layer replaced by ours, where there is one.

    It is a copy, unless `inplace`. Parameters, buffers, hooks, names and modes are kept: its state_dict is
    that of the given module. Models of `transformers` are converted with their attention. `conversion` of the
    result tells what was `replaced`, what was `left`, and why. A module's own `forward` is not looked into:
    what it calls itself, such as `torch.nn.functional`, stays as it is.

    >>> made = convert(nn.Sequential(nn.Linear(2, 3), nn.Conv1d(3, 1, 1)))
    >>> print(made.conversion)
    0: Linear -> gradproof.models.layers.Linear
    1: Conv1d is left: there is no layer for it
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"convert takes a module, found {module!r}")
    made = module if inplace else _copied(module)
    foreign = any(type(part).__module__.startswith("transformers.") for part in made.modules())
    huggingface = import_module("gradproof.models.huggingface") if foreign else None
    table = _TABLE if huggingface is None else {**_TABLE, **huggingface.TABLE}
    replaced: list[Replaced] = []
    left: list[Left] = []
    for path, part in made.named_modules():
        kind, ours = type(part).__name__, table.get(type(part))
        reason = _reason(part, table)
        if reason:
            left.append(Left(path, kind, reason))
        elif ours is not None:
            replaced.append(Replaced(path, kind, f"{ours.__module__}.{ours.__name__}"))
    kept = {entry.path for entry in left}
    for path, part in list(made.named_modules()):
        if path not in kept:
            adopt(part, table)
    if huggingface is not None:
        for path, model, reason in huggingface.adopt_attention(made):
            kind = f"the attention of {type(model).__name__}"
            if reason is None:
                replaced.append(Replaced(path, kind, "gradproof.models.huggingface.attention"))
            else:
                left.append(Left(path, kind, reason))
    object.__setattr__(made, "conversion", Conversion(tuple(replaced), tuple(left)))
    return made


def _copied(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except RuntimeError as error:  # of a weight that a hook computes: pruned, or of the older weight_norm
        raise ValueError(
            f"convert copies the module, which PyTorch cannot do here; use inplace=True: {error}"
        ) from error


def _reason(part: nn.Module, table: Mapping[type, type]) -> str:
    """Why a part is left as it is; empty where it is replaced, is ours, or only holds others."""
    kind = type(part)
    if "forward" in vars(part) and kind in table:
        return "its forward is not that of its class"
    if isinstance(part, LazyModuleMixin):
        return "it gets its parameters at its first call: convert the module after that"
    if isinstance(part, nn.Embedding) and kind in table and (part.sparse or part.scale_grad_by_freq):
        return "gradients that are sparse or scaled by frequency are not supported"
    if kind in table or kind in table.values() or isinstance(part, _NEUTRAL):
        return ""
    known = next((known for known in kind.__mro__ if known in table), None)
    if known is not None:
        return f"it is of a subclass of {known.__name__}, which may compute something else"
    if kind.__module__.startswith("torch.ao.nn.") or not any(True for _ in part.children()):
        return "there is no layer for it"
    within = {id(p) for child in part.children() for p in child.parameters()}
    if any(p is not None and id(p) not in within for p in part._parameters.values()):
        return "it has parameters that code of its own uses"
    return ""

"""Recurrent: a trained module of any cell that is defined as an operation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradproof.models.functions import autocast
from gradproof.models.packing import activity
from gradproof.models.recurrences import States, over_time
from gradproof.numeric.kernels import Kernel, lower
from gradproof.symbolic.expressions import Tensor as Symbol
from gradproof.symbolic.operation import Operation


class Recurrent(nn.Module):
    """A recurrent layer of any cell: a cell that is an operation, repeated along time, with its parameters.

    What an input of the cell is follows from the operation. A state is called like the output that the next
    step gets for it, with a 0 behind (`h0` for `h`), or is named in `states`. Of the others, those with batch
    axes are what each step reads; those without are parameters, drawn uniformly within
    1/sqrt(size of the first state).

    - `cell`: the operation;
    - `states`: the output of the cell for each state, where names do not tell;
    - `reverse`: from the last step to the first;
    - `hyperparameters`: values of the cell's hyper-parameters;
    - the size of every axis of the parameters, by its name.

    No gradient is written by hand: the kernels of the repeated cell are derived.

    >>> import sympy as sp
    >>> from gradproof import Axis, operation
    >>> from gradproof.symbolic.axes import batch
    >>> from gradproof.symbolic.language import indices, sigmoid, sum_over
    >>> from gradproof.symbolic.operation import real
    >>> B, X, H = batch(), Axis("input"), Axis("hidden")
    >>> b, i, h = indices("b i h", B, X, H)
    >>> @operation("recurrent", x=real(B, X), h0=real(B, H), w=real(H, X), v=real(H, X), register=False)
    ... def leaky_unit(let, x, h0, w, v):
    ...     z = let("z", [b, h], sigmoid(sum_over(w[h, i] * x[b, i], i)))
    ...     new = let("new", [b, h], sp.tanh(sum_over(v[h, i] * x[b, i], i)))
    ...     return let("h", [b, h], (1 - z[b, h]) * h0[b, h] + z[b, h] * new[b, h])
    >>> layer = Recurrent(leaky_unit, input=3, hidden=5)
    >>> y, last = layer(torch.randn(2, 7, 3))
    >>> y.shape, last.shape, [name for name, _ in layer.named_parameters()]
    (torch.Size([2, 7, 5]), torch.Size([2, 5]), ['w', 'v'])
    """

    def __init__(
        self,
        cell: Operation,
        *,
        states: Mapping[str, str] | None = None,
        reverse: bool = False,
        hyperparameters: Mapping[str, float] | None = None,
        device: Any = None,
        dtype: Any = None,
        **sizes: int,
    ) -> None:
        super().__init__()
        if not isinstance(cell, Operation):
            raise TypeError(f"Recurrent takes a cell that is an operation, found {cell!r}")
        pairs = _states(cell, states)
        before = dict(pairs)
        others = [t for t in cell.inputs if t.name not in before]
        scanned = tuple(t for t in others if any(a.variadic for a in t.axes))
        shared = [t for t in others if t not in scanned]
        if not scanned:
            raise ValueError(
                f"Recurrent: {cell.label} reads nothing at a step: of its inputs that are no states, one has "
                f"batch axes; they are {', '.join(map(repr, others)) or 'none'}"
            )
        unknown = set(hyperparameters or {}) - set(cell.hyperparameters)
        if unknown:
            known = ", ".join(cell.hyperparameters) or "none"
            raise ValueError(
                f"Recurrent: {cell.label} has the hyper-parameters {known}, found "
                f"{', '.join(sorted(unknown))}"
            )
        carried = tuple(t for t in cell.inputs if t.name in before)
        names, emitted = tuple(t.name for t in scanned), tuple(t.name for t in cell.outputs)
        made = [over_time(cell, pairs, names, emitted, reverse=reverse, masked=m) for m in (False, True)]
        self._plan = _Plan(
            cell.label,
            lower(made[0], "torch"),
            lower(made[1], "torch"),
            carried,
            scanned,
            tuple(t.name for t in cell.inputs),
            len(emitted),
            _sizes(cell, [*shared, *carried], sizes),
            dict(hyperparameters or {}),
            reverse,
        )
        for tensor in shared:
            empty = torch.empty(self._plan.shape(tensor), device=device, dtype=dtype)
            self.register_parameter(tensor.name, nn.Parameter(empty))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        width = self._plan.shape(self._plan.states[0])
        bound = 1 / math.sqrt(width[-1]) if width and width[-1] else 0.0
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self, *inputs: Tensor, states: Tensor | tuple[Tensor, ...] | None = None, lengths: Any = None
    ) -> tuple[Any, Any]:
        """The cell's outputs at every step, and the last states: a tensor each, or a tuple of several.

        Inputs are [batch..., time, axes]; the states start as zeros by default. With `lengths` [batch]
        further steps are not taken, and their outputs are 0.
        """
        plan = self._plan
        if len(inputs) != len(plan.scanned):
            wanted = ", ".join(t.name for t in plan.scanned)
            raise ValueError(f"Recurrent({plan.label}) takes {wanted}, found {len(inputs)} inputs")
        x = inputs[0]
        if x.ndim <= plan.trailing:
            raise ValueError(
                f"Recurrent({plan.label}): {plan.scanned[0].name} has the axes [batch..., time, "
                f"{', '.join(a.name for a in plan.scanned[0].axes if not a.variadic)}], found the shape "
                f"{tuple(x.shape)}"
            )
        lead, steps = x.shape[: x.ndim - plan.trailing - 1], x.shape[x.ndim - plan.trailing - 1]
        given = dict(zip((t.name for t in plan.scanned), inputs, strict=True))
        given |= dict(zip((t.name for t in plan.states), self._starts(states, lead, inputs), strict=True))
        arrays = [given[n] if n in given else getattr(self, n) for n in plan.names]
        kernel = plan.kernel
        if lengths is not None:
            active = activity(f"Recurrent({plan.label})", lengths, steps, math.prod(lead), x.device)
            arrays.append(active.view(*lead, steps))
            kernel = plan.masked
        made = kernel(*autocast(tuple(arrays), "low"), **plan.hyperparameters)
        outputs, last = made[: plan.emitted], made[plan.emitted :]
        return (outputs[0] if len(outputs) == 1 else outputs), (last[0] if len(last) == 1 else last)

    def _starts(
        self, states: Tensor | tuple[Tensor, ...] | None, lead: tuple[int, ...], inputs: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        if states is not None:
            given = (states,) if isinstance(states, Tensor) else tuple(states)
            if len(given) != len(self._plan.states):
                names = ", ".join(t.name for t in self._plan.states)
                raise ValueError(f"Recurrent({self._plan.label}) has the states {names}, found {len(given)}")
            return given
        like = next(x for x in (*inputs, *self.parameters()) if x.is_floating_point())
        return tuple(like.new_zeros(*lead, *self._plan.shape(t)) for t in self._plan.states)

    def extra_repr(self) -> str:
        sizes = "".join(f", {name}={size}" for name, size in self._plan.sizes.items())
        return f"{self._plan.label}{sizes}{', reverse=True' if self._plan.reverse else ''}"


@dataclass(frozen=True)
class _Plan:
    """How a layer calls its kernel."""

    label: str
    kernel: Kernel
    masked: Kernel
    states: tuple[Symbol, ...]
    scanned: tuple[Symbol, ...]
    names: tuple[str, ...]
    emitted: int
    sizes: dict[str, int]
    hyperparameters: dict[str, float]
    reverse: bool

    @property
    def trailing(self) -> int:
        """The number of axes of the first input behind time."""
        return sum(1 for a in self.scanned[0].axes if not a.variadic)

    def shape(self, tensor: Symbol) -> tuple[int, ...]:
        """The shape of a tensor without its batch axes."""
        return tuple(a.size or self.sizes[a.name] for a in tensor.axes if not a.variadic)


def _states(cell: Operation, given: Mapping[str, str] | None) -> States:
    """Which output of the cell goes into which input at the next step."""
    inputs, outputs = [t.name for t in cell.inputs], [t.name for t in cell.outputs]
    found = given if given is not None else {f"{name}0": name for name in outputs if f"{name}0" in inputs}
    if not found or set(found) - set(inputs) or set(found.values()) - set(outputs):
        raise ValueError(
            f"Recurrent: a state is an input of {cell.label} with an output that the next step gets for it, "
            f"as in states={{'h0': 'h'}}; its inputs are {', '.join(inputs)}, its outputs "
            f"{', '.join(outputs)}" + (f"; found {dict(given)}" if given is not None else "")
        )
    return tuple((name, found[name]) for name in inputs if name in found)


def _sizes(cell: Operation, tensors: list[Symbol], given: Mapping[str, int]) -> dict[str, int]:
    """The size of every axis of parameters and states."""
    axes = {a.name: a for t in tensors for a in t.axes if not a.variadic}
    wanted = {name for name, a in axes.items() if a.size is None}
    if wanted != set(given):
        raise ValueError(
            f"Recurrent({cell.label}) takes the sizes of its axes {', '.join(sorted(wanted)) or '(none)'}, "
            f"found {', '.join(sorted(given)) or 'none'}"
        )
    return dict(given)

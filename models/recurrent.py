"""RNN, LSTM, GRU and their cells: PyTorch's modules on derived kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gradproof.models.functions import Function
from gradproof.models.layers import dropout
from gradproof.models.packing import activity, packed, unpacked
from gradproof.models.recurrences import States, cell_of, over_time

_ONE: States = (("h0", "h"),)
_TWO: States = (("h0", "h"), ("c0", "c"))


class Kind(NamedTuple):
    """What tells one recurrence from another."""

    mode: str
    bias: bool
    projected: bool
    reverse: bool
    masked: bool


def _function(kind: Kind) -> Function:
    cell = cell_of(kind.mode, kind.bias, kind.projected)
    states = _TWO if kind.mode == "LSTM" else _ONE
    made = over_time(cell, states, ("x",), ("h",), reverse=kind.reverse, masked=kind.masked)
    return Function(made, "low")


_KINDS = [
    Kind(mode, bias, projected, reverse, masked)
    for mode in ("RNN_TANH", "RNN_RELU", "GRU", "LSTM")
    for bias in (True, False)
    for projected in ((False, True) if mode == "LSTM" else (False,))
    for reverse in (False, True)
    for masked in (False, True)
]
_functions = {kind: _function(kind) for kind in _KINDS}
_cells = {
    (mode, bias): Function(cell_of(mode, bias), "low")
    for mode in ("RNN_TANH", "RNN_RELU", "GRU", "LSTM")
    for bias in (True, False)
}
_GATES = {"RNN_TANH": (), "RNN_RELU": (), "GRU": (3,), "LSTM": (4,)}


class _Recurrent(nn.RNNBase):
    """What the three layers have in common.

    Input is [time, batch, input], [batch, time, input] with `batch_first`, [time, input] without a batch, or
    a PackedSequence. With `lengths` [batch], a padded input is read as that many steps of each sequence:
    further outputs are 0, the last states are those of the last step, as with a packed sequence.
    """

    def flatten_parameters(self) -> None:
        """Nothing: parameters need no common memory here."""

    def _run(
        self, input: Tensor | PackedSequence, states: tuple[Tensor, ...] | None, lengths: Any
    ) -> tuple[Any, tuple[Tensor, ...]]:
        name = type(self).__name__
        if states is not None:
            _check_states(name, states, 2 if self.mode == "LSTM" else 1)
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError(f"{name}: a packed sequence has its lengths already; leave out lengths")
            x, active = unpacked(input)
            if states is not None and input.sorted_indices is not None:
                states = tuple(s.index_select(1, input.sorted_indices) for s in states)
            x, states = self._layers(x, states, active)
            if input.unsorted_indices is not None:
                states = tuple(s.index_select(1, input.unsorted_indices) for s in states)
            return packed(x, input), states
        if input.ndim not in (2, 3):
            raise ValueError(
                f"{name}: an input has 2 axes, or 3 with a batch, found the shape {_shape(input)}"
            )
        batched = input.ndim == 3
        swapped = batched and self.batch_first
        x = input.transpose(0, 1) if swapped else input if batched else input[:, None]
        if states is not None and not batched:
            if any(s.ndim != 2 for s in states):
                shapes = ", ".join(str(_shape(s)) for s in states)
                raise ValueError(f"{name}: an input without a batch has states of 2 axes, found {shapes}")
            states = tuple(s.unsqueeze(1) for s in states)
        active = None if lengths is None else activity(name, lengths, x.shape[0], x.shape[1], x.device)
        y, states = self._layers(x, states, active)
        if not batched:
            return y.squeeze(1), tuple(s.squeeze(1) for s in states)
        return y.transpose(0, 1) if swapped else y, states

    def _layers(
        self, x: Tensor, states: tuple[Tensor, ...] | None, active: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers and directions: x [time, batch, input], states [layer * direction, batch, hidden]."""
        if x.shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}: the last axis of the input has the size {self.input_size}, found "
                f"the shape {_shape(x)}"
            )
        directions = 2 if self.bidirectional else 1
        starts = self._starts(x, states, self.num_layers * directions)
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            outputs: list[Tensor] = []
            for reverse in range(directions):
                y, *ends = self._direction(x, starts[len(last)], layer, bool(reverse), active)
                outputs.append(y)
                last.append(tuple(ends))
            x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if layer + 1 < self.num_layers:
                x = dropout(x, self.dropout, self.training)
        return x, tuple(torch.stack(column) for column in zip(*last, strict=True))

    def _starts(self, x: Tensor, states: tuple[Tensor, ...] | None, count: int) -> list[tuple[Tensor, ...]]:
        """The initial states of each layer and direction, zeros by default."""
        hidden, names = self.proj_size or self.hidden_size, ("hidden", "cell")
        sizes = (hidden, self.hidden_size) if self.mode == "LSTM" else (hidden,)
        if states is None:
            return [tuple(x.new_zeros(x.shape[1], size) for size in sizes)] * count
        for state, size, name in zip(states, sizes, names, strict=False):
            if tuple(state.shape) != (count, x.shape[1], size):
                raise ValueError(
                    f"{type(self).__name__}: the initial {name} state has the shape "
                    f"{(count, x.shape[1], size)} (layers * directions, batch, size), found {_shape(state)}"
                )
        return list(zip(*(s.unbind(0) for s in states), strict=True))

    def _direction(
        self, x: Tensor, starts: tuple[Tensor, ...], layer: int, reverse: bool, active: Tensor | None
    ) -> tuple[Tensor, ...]:
        suffix = f"l{layer}{'_reverse' if reverse else ''}"
        gates = (*_GATES[self.mode], self.hidden_size)
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        weights = [getattr(self, f"{name}_{suffix}").unflatten(0, gates) for name in names]
        if self.proj_size:
            weights.append(getattr(self, f"weight_hr_{suffix}"))
        mask = () if active is None else (active,)
        kind = Kind(self.mode, self.bias, bool(self.proj_size), reverse, active is not None)
        y, *ends = _functions[kind](x.transpose(0, 1), *starts, *weights, *mask)
        return y.transpose(0, 1), *ends


def _check_states(name: str, states: Any, count: int) -> None:
    """Raise ValueError unless the states are as many tensors."""
    if isinstance(states, tuple | list) and len(states) == count and all(map(torch.is_tensor, states)):
        return
    wanted = "one tensor, h" if count == 1 else "a pair of tensors, (h, c)"
    given = states[0] if count == 1 else states
    kinds = [type(s).__name__ for s in given] if isinstance(given, tuple | list) else [type(given).__name__]
    raise ValueError(f"{name}: the initial state is {wanted}, found {', '.join(kinds)}")


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


class RNN(_Recurrent):
    """Vanilla recurrent layers; constructor, parameters and results are those of `torch.nn.RNN`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: the nonlinearity is 'tanh' or 'relu', found {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None, lengths: Any = None
    ) -> tuple[Any, Tensor]:
        """The hidden states of every step (of the top layer), and the last one of every layer."""
        y, (h,) = self._run(input, None if hx is None else (hx,), lengths)
        return y, h


class GRU(_Recurrent):
    """Layers of gated recurrent units; as `torch.nn.GRU`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None, lengths: Any = None
    ) -> tuple[Any, Tensor]:
        """The hidden states of every step (of the top layer), and the last one of every layer."""
        y, (h,) = self._run(input, None if hx is None else (hx,), lengths)
        return y, h


class LSTM(_Recurrent):
    """Layers of long short-term memory; as `torch.nn.LSTM`.

    >>> import torch
    >>> layer = LSTM(3, 5, num_layers=2, batch_first=True)
    >>> y, (h, c) = layer(torch.randn(4, 7, 3), lengths=[7, 2, 5, 7])
    >>> y.shape, h.shape
    (torch.Size([4, 7, 5]), torch.Size([2, 4, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device=device,
            dtype=dtype,
        )

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        lengths: Any = None,
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """The hidden states of every step (of the top layer), and the last states (h, c) of every layer."""
        y, (h, c) = self._run(input, hx, lengths)
        return y, (h, c)


class RNNCell(nn.RNNCell):
    """One step of a vanilla recurrent layer; as `torch.nn.RNNCell`."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        state = _given("RNNCell", input, hx, self.hidden_size)
        return _step(self, f"RNN_{self.nonlinearity.upper()}", input, state)


class GRUCell(nn.GRUCell):
    """One step of a layer of gated recurrent units; as `torch.nn.GRUCell`."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return _step(self, "GRU", input, _given("GRUCell", input, hx, self.hidden_size))


class LSTMCell(nn.LSTMCell):
    """One step of long short-term memory; as `torch.nn.LSTMCell`."""

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        if hx is not None:
            _check_states("LSTMCell", hx, 2)
        h, c = (None, None) if hx is None else hx
        states = [_given("LSTMCell", input, state, self.hidden_size) for state in (h, c)]
        return _step(self, "LSTM", input, *states)


def _given(name: str, x: Tensor, state: Tensor | None, size: int) -> Tensor:
    if x.ndim not in (1, 2):
        raise ValueError(f"{name}: an input has 1 axis, or 2 with a batch, found the shape {_shape(x)}")
    if state is None:
        return x.new_zeros(*x.shape[:-1], size)
    _check_states(name, (state,), 1)
    if tuple(state.shape) != (*x.shape[:-1], size):
        wanted = (*x.shape[:-1], size)
        raise ValueError(f"{name}: a state has the shape {wanted}, found {_shape(state)}")
    return state


def _step(cell: nn.RNNCellBase, mode: str, x: Tensor, *states: Tensor) -> Any:
    gates = (*_GATES[mode], cell.hidden_size)
    names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if cell.bias else [])]
    weights = [getattr(cell, name).unflatten(0, gates) for name in names]
    return _cells[mode, bool(cell.bias)](x, *states, *weights)

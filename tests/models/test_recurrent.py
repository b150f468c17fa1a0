"""Recurrent layers over drawn configurations: directions, projections, packed and padded sequences."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

from typing import Any

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gradproof import Axis, find, models, operation
from gradproof.symbolic.axes import batch
from gradproof.symbolic.language import indices, sigmoid, sum_over
from gradproof.symbolic.operation import real
from tests.models.cases import DTYPE, agree, gradients, rand, tracked

drawn = settings(max_examples=20, deadline=None)
KINDS = st.sampled_from(["RNN", "GRU", "LSTM"])


@st.composite
def layers(draw: st.DrawFn, **fixed: Any) -> tuple[nn.Module, nn.Module]:
    """A recurrent layer, ours and PyTorch's, from the same seed."""
    name = draw(KINDS)
    options: dict[str, Any] = {
        "input_size": draw(st.integers(1, 3)),
        "hidden_size": draw(st.integers(2, 4)),
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
        **fixed,
    }
    if name == "RNN":
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if name == "LSTM" and draw(st.booleans()):
        options["proj_size"] = 1
    if options["num_layers"] > 1 and "dropout" not in fixed and draw(st.booleans()):
        options["dropout"] = 0.4
    made: list[nn.Module] = []
    for home in (models, nn):
        torch.manual_seed(0)
        made.append(getattr(home, name)(**options, dtype=DTYPE))
    return made[0], made[1]


def states(layer: nn.Module, *lead: int) -> Any:
    """Initial states of a layer for a batch (or none)."""
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    h = rand(count, *lead, layer.proj_size or layer.hidden_size)
    return (h, rand(count, *lead, layer.hidden_size)) if layer.mode == "LSTM" else h


@drawn
@given(layers(), st.integers(1, 4), st.sampled_from([None, 1, 3]), st.booleans())
def test_layers(pair: tuple[nn.Module, nn.Module], steps: int, size: int | None, started: bool) -> None:
    ours, theirs = pair
    lead = () if size is None else (size,)
    shape = (*lead, steps) if ours.batch_first else (steps, *lead)
    inputs = (rand(*shape, ours.input_size), *((states(ours, *lead),) if started else ()))
    if ours.batch_first and ours.dropout:
        ours, theirs = ours.eval(), theirs.eval()  # PyTorch draws in another order of the axes there
    agree(ours, theirs, inputs, {})


@drawn
@given(layers(dropout=0.0), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_packed_sequences(
    pair: tuple[nn.Module, nn.Module], lengths: list[int], ordered: bool, started: bool
) -> None:
    ours, theirs = (_Packed(m, sorted(lengths, reverse=True) if ordered else lengths, ordered) for m in pair)
    lead = (len(lengths), max(lengths)) if pair[0].batch_first else (max(lengths), len(lengths))
    start = (states(pair[0], len(lengths)),) if started else ()
    agree(ours, theirs, (rand(*lead, pair[0].input_size), *start), {})


@drawn
@given(layers(dropout=0.0), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_lengths_do_what_packing_does(pair: tuple[nn.Module, nn.Module], lengths: list[int]) -> None:
    ours, theirs = pair
    lead = (len(lengths), max(lengths)) if ours.batch_first else (max(lengths), len(lengths))
    agree(_Padded(ours, lengths), _Packed(theirs, lengths, False), (rand(*lead, ours.input_size),), {})


class _Packed(nn.Module):
    def __init__(self, layer: nn.Module, lengths: list[int], ordered: bool) -> None:
        super().__init__()
        self.layer, self.lengths, self.ordered = layer, lengths, ordered

    def forward(self, x: Tensor, hx: Any = None) -> Any:
        first = self.layer.batch_first
        sequence = pack_padded_sequence(x, self.lengths, first, enforce_sorted=self.ordered)
        y, last = self.layer(sequence, hx)
        return pad_packed_sequence(y, first)[0], last


class _Padded(nn.Module):
    def __init__(self, layer: nn.Module, lengths: list[int]) -> None:
        super().__init__()
        self.layer, self.lengths = layer, lengths

    def forward(self, x: Tensor) -> Any:
        return self.layer(x, lengths=self.lengths)


@drawn
@given(KINDS, st.sampled_from([(), (3,)]), st.booleans(), st.booleans())
def test_cells(name: str, lead: tuple[int, ...], bias: bool, started: bool) -> None:
    ours, theirs = (getattr(home, f"{name}Cell")(2, 3, bias, dtype=DTYPE) for home in (models, nn))
    ours.load_state_dict(theirs.state_dict())
    start = (rand(*lead, 3), rand(*lead, 3)) if name == "LSTM" else rand(*lead, 3)
    agree(ours, theirs, (rand(*lead, 2), *((start,) if started else ())), {})


def test_a_sequence_of_no_steps_keeps_its_state() -> None:
    layer = models.LSTM(2, 3, batch_first=True, dtype=DTYPE)
    start = (rand(1, 2, 3), rand(1, 2, 3))
    y, last = layer(rand(2, 4, 2), start, lengths=torch.tensor([0, 4]))
    assert not y[0].any() and all(torch.equal(a[:, 0], b[:, 0]) for a, b in zip(last, start, strict=True))


@pytest.mark.parametrize("lengths", [[1, 5], [1], [1.0, 2.0], [-1, 2]])
def test_lengths_that_cannot_be(lengths: list[Any]) -> None:
    layer = models.LSTM(2, 3, batch_first=True)
    with pytest.raises(ValueError, match=r"lengths are 2 integers|between 0 and the 4 steps"):
        layer(torch.ones(2, 4, 2), lengths=lengths)


# --- any cell


BATCH, INPUT, HIDDEN = batch(), Axis("input"), Axis("hidden")
b, i, n, m = indices("b i n m", BATCH, INPUT, HIDDEN, HIDDEN)


@operation(
    "recurrent",
    x=real(BATCH, INPUT),
    h0=real(BATCH, HIDDEN),
    w=real(HIDDEN, INPUT),
    u=real(HIDDEN, HIDDEN),
    beta=real(HIDDEN),
    register=False,
)
def minimal_gated_unit(let, x, h0, w, u, beta):
    z = let("z", [b, n], sigmoid(sum_over(w[n, i] * x[b, i], i) + sum_over(u[n, m] * h0[b, m], m) + beta[n]))
    new = let("new", [b, n], sp.tanh(sum_over(w[n, i] * x[b, i], i)))
    return let("h", [b, n], (1 - z[b, n]) * h0[b, n] + z[b, n] * new[b, n])


def unrolled(layer: nn.Module, x: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """The same cell, step by step in PyTorch."""
    h, outputs = x.new_zeros(len(lengths), layer.u.shape[0]), []
    for t in range(x.shape[1]):
        z = torch.sigmoid(x[:, t] @ layer.w.T + h @ layer.u.T + layer.beta)
        h_next = (1 - z) * h + z * torch.tanh(x[:, t] @ layer.w.T)
        active = (torch.tensor(lengths) > t)[:, None]
        h = torch.where(active, h_next, h)
        outputs.append(torch.where(active, h, 0.0))
    return torch.stack(outputs, 1), h


@pytest.mark.parametrize("lengths", [None, [4, 1, 0]])
def test_a_cell_of_ones_own(lengths: list[int] | None) -> None:
    torch.manual_seed(0)
    layer = models.Recurrent(minimal_gated_unit, input=2, hidden=3, dtype=DTYPE)
    assert [name for name, _ in layer.named_parameters()] == ["w", "u", "beta"]
    sides: list[list[Tensor]] = []
    for function in (
        lambda x: layer(x, lengths=lengths),
        lambda x: unrolled(layer, x, lengths or [4, 4, 4]),
    ):
        torch.manual_seed(1)
        inputs = tracked((rand(3, 4, 2),))
        made = list(function(*inputs))
        sides.append([*made, *gradients(layer, inputs, made)])
    for found, wanted in zip(*sides, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_a_cell_of_the_catalogue_is_the_lstm() -> None:
    layer = models.Recurrent(find("lstm_cell"), input=2, hidden=3, dtype=DTYPE)
    lstm = nn.LSTM(2, 3, batch_first=True, dtype=DTYPE)
    for name, weight in zip(("w_ih", "w_hh", "b_ih", "b_hh"), lstm.parameters(), strict=True):
        getattr(layer, name).data = weight.data.unflatten(0, (4, 3))
    x = rand(2, 4, 2)
    (h, _), last = layer(x)
    y, (h_last, c_last) = lstm(x)
    torch.testing.assert_close((h, *last), (y, h_last[0], c_last[0]))


def test_reverse_starts_at_the_end() -> None:
    torch.manual_seed(0)
    forth = models.Recurrent(minimal_gated_unit, input=2, hidden=3)
    back = models.Recurrent(minimal_gated_unit, input=2, hidden=3, reverse=True)
    back.load_state_dict(forth.state_dict())
    x = torch.randn(3, 4, 2)
    torch.testing.assert_close(back(x)[0].flip(1), forth(x.flip(1))[0])


def test_what_a_cell_does_not_tell() -> None:
    with pytest.raises(ValueError, match="takes the sizes of its axes hidden, input, found hidden"):
        models.Recurrent(minimal_gated_unit, hidden=3)
    with pytest.raises(ValueError, match=r"a state is an input of minimal_gated_unit .* found {'x': 'y'}"):
        models.Recurrent(minimal_gated_unit, states={"x": "y"}, input=2, hidden=3)
    layer = models.Recurrent(minimal_gated_unit, input=2, hidden=3)
    with pytest.raises(ValueError, match="takes x, found 2 inputs"):
        layer(torch.ones(1, 2), torch.ones(1, 2))
    with pytest.raises(ValueError, match="has the states h0, found 2"):
        layer(torch.ones(1, 4, 2), states=(torch.ones(1, 3), torch.ones(1, 3)))
    with pytest.raises(ValueError, match=r"x has the axes \[batch..., time, input\], found the shape \(2,\)"):
        layer(torch.ones(2))
    with pytest.raises(ValueError, match="minimal_gated_unit has the hyper-parameters none, found alpha"):
        models.Recurrent(minimal_gated_unit, input=2, hidden=3, hyperparameters={"alpha": 1.0})
    with pytest.raises(ValueError, match=r"decay reads nothing at a step: .* they are w\[hidden\]"):
        models.Recurrent(decay, hidden=3)
    with pytest.raises(TypeError, match="a cell that is an operation, found 'lstm_cell'"):
        models.Recurrent("lstm_cell", input=2, hidden=3)


@operation("recurrent", h0=real(BATCH, HIDDEN), w=real(HIDDEN), register=False)
def decay(let, h0, w):
    return let("h", [b, n], w[n] * h0[b, n])

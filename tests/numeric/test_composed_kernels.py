"""Kernels of operations with recurrences inside: against the definition, and PyTorch's own modules."""

from __future__ import annotations

import pytest
import torch
from compositions import COMPOSITIONS, bidirectional, forth_and_back, stacked_lstm

from gradproof.numeric.kernels import lower
from gradproof.numeric.native.compiler import compiler
from gradproof.numeric.verification import verify
from gradproof.symbolic.operation import Operation

VIEWED = forth_and_back
"""Without C, PyTorch refuses to unpack what its backward saved: a view of steps, written in place."""
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")


@pytest.mark.parametrize("op", COMPOSITIONS, ids=lambda op: op.name)
def test_kernels_are_right(op: Operation) -> None:
    found = [e for e in verify(op) if not e.check.startswith("accuracy")]
    assert {e.target for e in found} == {"numpy", "torch"}
    known = [("second order", "torch")] if op is VIEWED and compiler() is None else []
    assert [(e.check, e.target) for e in found if not e.passed] == known


def _rand(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def _layer(module: torch.nn.Module, suffix: str, gates: tuple[int, ...]) -> list[torch.Tensor]:
    """The weights of a layer, the gates as an axis of their own."""
    names = [f"{kind}_{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    return [dict(module.named_parameters())[name].reshape(*gates, 4, -1).squeeze(-1) for name in names]


def test_two_layers_are_those_of_nn_lstm() -> None:
    torch.manual_seed(0)
    module = torch.nn.LSTM(3, 4, num_layers=2, batch_first=True, dtype=torch.float64)
    x, h, c = _rand(2, 5, 3), _rand(2, 2, 4), _rand(2, 2, 4)
    out, (last, _) = module(x, (h, c))
    weights = [*_layer(module, "l0", (4,)), *_layer(module, "l1", (4,))]
    made = lower(stacked_lstm, "torch")(x, h[0], c[0], h[1], c[1], *weights)
    wanted = (out, last[0], last[1])
    torch.testing.assert_close(made, wanted)
    leaves = [x, h, c, *module.parameters()]
    cotangents = [torch.randn_like(w) for w in wanted]
    torch.testing.assert_close(
        torch.autograd.grad(made, leaves, cotangents), torch.autograd.grad(wanted, leaves, cotangents)
    )


def test_both_directions_are_those_of_nn_rnn() -> None:
    torch.manual_seed(0)
    module = torch.nn.RNN(3, 4, bidirectional=True, batch_first=True, dtype=torch.float64)
    x, h, v, target = _rand(2, 5, 3), _rand(2, 2, 4), _rand(4, 4), _rand(2, 5, 4)
    out, _ = module(x, h)
    y = (out[..., :4] + out[..., 4:]) @ v.T
    wanted = torch.nn.functional.mse_loss(y, target)
    weights = [*_layer(module, "l0", ()), *_layer(module, "l0_reverse", ())]
    made = lower(bidirectional, "torch")(x, h[0], h[1], target, v, *weights)
    torch.testing.assert_close(made, wanted)
    leaves = [x, h, v, target, *module.parameters()]
    torch.testing.assert_close(torch.autograd.grad(made, leaves), torch.autograd.grad(wanted, leaves))

"""Recurrent cells and layers: Elman, LSTM with and without peepholes, GRU, backpropagation through time."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from .case import given, right, wrong


class RnnTanh(Function):
    """h_t = tanh(x_t + U h_(t-1)), all steps, returning the last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, u: Tensor) -> Tensor:
        states = [h]
        for step in x:
            h = torch.tanh(step + h @ u.t())
            states.append(h)
        ctx.save_for_backward(u, *states)
        return h

    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> Any:
        u, *states = ctx.saved_tensors
        steps = len(states) - 1
        dx, du = dh.new_empty(steps, *dh.shape), torch.zeros_like(u)
        for t in reversed(range(steps)):
            dx[t] = dh * (1 - states[t + 1] ** 2)
            du = du + dx[t].t() @ states[t]
            dh = dx[t] @ u
        return dx, dh, du


class RnnTruncated(RnnTanh):
    """The state's cotangent is not carried past two steps."""

    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> Any:
        u, *states = ctx.saved_tensors
        last = len(states) - 2
        dx, du = [], torch.zeros_like(u)
        for t in reversed(range(last + 1)):
            dz = dh * (1 - states[t + 1] ** 2)
            du = du + dz.t() @ states[t]
            dx.append(dz)
            dh = dz @ u if last - t < 2 else torch.zeros_like(dh)
        return torch.stack(dx[::-1]), dh, du


class RnnNotReversed(RnnTanh):
    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> Any:
        u, *states = ctx.saved_tensors
        dx, du = [], torch.zeros_like(u)
        for t in reversed(range(len(states) - 1)):
            dz = dh * (1 - states[t + 1] ** 2)
            du = du + dz.t() @ states[t]
            dx.append(dz)
            dh = dz @ u
        return torch.stack(dx), dh, du


class RnnWeightOfLastStep(RnnTanh):
    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> Any:
        u, *states = ctx.saved_tensors
        dx, du = [], torch.zeros_like(u)
        for t in reversed(range(len(states) - 1)):
            dz = dh * (1 - states[t + 1] ** 2)
            du = dz.t() @ states[t]
            dx.append(dz)
            dh = dz @ u
        return torch.stack(dx[::-1]), dh, du


def gates(z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    i, f, g, o = z.chunk(4, -1)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


class LstmGates(Function):
    """From pre-activations z (batch, 4 h) and the cell c to h' and c'."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = gates(z)
        new = f * c + i * g
        t = torch.tanh(new)
        ctx.save_for_backward(i, f, g, o, c, t)
        return o * t, new

    @staticmethod
    def backward(ctx: Any, dh: Tensor, dc: Tensor) -> Any:
        i, f, g, o, c, t = ctx.saved_tensors
        dc = dc + dh * o * (1 - t * t)
        dz = torch.cat(
            [
                dc * g * i * (1 - i),
                dc * c * f * (1 - f),
                dc * i * (1 - g * g),
                dh * t * o * (1 - o),
            ],
            -1,
        )
        return dz, dc * f


class LstmTanhLost(LstmGates):
    """The path from h' through tanh(c') to the cell is lost: only c's own cotangent goes on."""

    @staticmethod
    def backward(ctx: Any, dh: Tensor, dc: Tensor) -> Any:
        i, f, g, o, c, t = ctx.saved_tensors
        di, df, dg, do = dc * g, dc * c, dc * i, dh * t
        dz = torch.cat([di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)], -1)
        return dz, dc * f


class LstmForgetSwapped(LstmGates):
    """Input and forget gate change places: right where they are equal, as with zero biases at zero input."""

    @staticmethod
    def backward(ctx: Any, dh: Tensor, dc: Tensor) -> Any:
        i, f, g, o, c, t = ctx.saved_tensors
        dc = dc + dh * o * (1 - t**2)
        di, df, dg, do = dc * g, dc * c, dc * i, dh * t
        dz = torch.cat([df * f * (1 - f), di * i * (1 - i), dg * (1 - g**2), do * o * (1 - o)], -1)
        return dz, dc * f


class LstmCellThroughInput(LstmGates):
    @staticmethod
    def backward(ctx: Any, dh: Tensor, dc: Tensor) -> Any:
        i, f, g, o, c, t = ctx.saved_tensors
        dc = dc + dh * o * (1 - t**2)
        di, df, dg, do = dc * g, dc * c, dc * i, dh * t
        dz = torch.cat([di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)], -1)
        return dz, dc * i


class LstmNewCell(LstmGates):
    """c' was saved for c: the forget gate's gradient is of another time."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = gates(z)
        c = f * c + i * g
        t = torch.tanh(c)
        ctx.save_for_backward(i, f, g, o, c, t)
        return o * t, c


class LstmInPlace(LstmGates):
    """The gates are overwritten one after the other, in an order that needs none of them again."""

    @staticmethod
    def backward(ctx: Any, dh: Tensor, dc: Tensor) -> Any:
        i, f, g, o, c, t = ctx.saved_tensors
        dc = torch.addcmul(dc, dh * o, 1 - t * t)
        dz = dh.new_empty(*i.shape[:-1], 4 * i.shape[-1])
        for out, d, s in zip(dz.chunk(4, -1), (dc * g, dc * c, dc * i, dh * t), (i, f, g, o), strict=True):
            out.copy_(d).mul_(1 - s * s if s is g else s * (1 - s))
        return dz, dc * f


class PeepholeOutput(Function):
    """o = sigmoid(z + p c'), h = o tanh(c'): c' reaches h by two paths."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, c: Tensor, p: Tensor) -> Tensor:
        o, t = torch.sigmoid(z + p * c), torch.tanh(c)
        ctx.save_for_backward(o, t, c, p)
        return o * t

    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> Any:
        o, t, c, p = ctx.saved_tensors
        dz = dh * t * o * (1 - o)
        return dz, dh * o * (1 - t * t) + dz * p, (dz * c).sum(0)


class PeepholePathLost(PeepholeOutput):
    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> Any:
        o, t, c, _ = ctx.saved_tensors
        dz = dh * t * o * (1 - o)
        return dz, dh * o * (1 - t * t), (dz * c).sum(0)


class GruGates(Function):
    """h' = (1 - z) n + z h with n = tanh(a + r b)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, r: Tensor, a: Tensor, b: Tensor, h: Tensor) -> Tensor:
        z, r = torch.sigmoid(z), torch.sigmoid(r)
        n = torch.tanh(a + r * b)
        ctx.save_for_backward(z, r, n, b, h)
        return (1 - z) * n + z * h

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        z, r, n, b, h = ctx.saved_tensors
        da = dy * (1 - z) * (1 - n**2)
        return dy * (h - n) * z * (1 - z), da * b * r * (1 - r), da, da * r, dy * z


class GruUpdateReversed(GruGates):
    """Another paper's convention, z n + (1 - z) h, in one line."""

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        z, r, n, b, h = ctx.saved_tensors
        da = dy * (1 - z) * (1 - n**2)
        return dy * (n - h) * z * (1 - z), da * b * r * (1 - r), da, da * r, dy * z


class GruResetLost(GruGates):
    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        z, r, n, b, h = ctx.saved_tensors
        da = dy * (1 - z) * (1 - n**2)
        return dy * (h - n) * z * (1 - z), da * b * r * (1 - r), da, da, dy * z


def rnn(x: Tensor, h: Tensor, u: Tensor) -> Tensor:
    for step in x:
        h = torch.tanh(step + h @ u.T)
    return h


def lstm_gates(z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = gates(z)
    new = f * c + i * g
    return o * new.tanh(), new


def peephole(z: Tensor, c: Tensor, p: Tensor) -> Tensor:
    return torch.sigmoid(z + p * c) * torch.tanh(c)


def gru_gates(z: Tensor, r: Tensor, a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    s = torch.sigmoid(z)
    return (1 - s) * torch.tanh(a + torch.sigmoid(r) * b) + s * h


class Recurrent(nn.Module):
    """A small LSTM by hand; `detached` cuts the state between steps."""

    def __init__(self, detached: bool = False, apply: Any = lstm_gates) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.ih = nn.Linear(3, 8)
        self.hh = nn.Linear(2, 8, bias=False)
        self.detached = detached
        self.gates = apply

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.shape[1], 2)
        for step in x:
            h, c = self.gates(self.ih(step) + self.hh(h), c)
            if self.detached:
                h, c = h.detach(), c
        return h


RNN = given((4, 2, 3), (2, 3), (3, 3))
SHORT = given((2, 2, 3), (2, 3), (3, 3))
ONE = given((1, 2, 3), (2, 3), (3, 3))
LSTM = given((2, 12), (2, 3))
PEEPHOLE = given((2, 3), (2, 3), (3,))
GRU = given(*[(2, 3)] * 5)

CASES = (
    right("recurrent/tanh RNN", RnnTanh.apply, RNN, rnn, "Backpropagation through time."),
    wrong("recurrent/tanh RNN truncated", RnnTruncated.apply, SHORT, rnn, "wrong only for length > 1",
          "Cut after two steps: right for a length of two.", RNN),
    wrong("recurrent/tanh RNN not reversed", RnnNotReversed.apply, ONE, rnn, "wrong only for length > 1",
          "The steps' gradients are stacked in the order of the backward.", RNN),
    wrong("recurrent/tanh RNN with the last step's weight", RnnWeightOfLastStep.apply, ONE, rnn,
          "wrong only for length > 1", "= for += in the weight's gradient.", RNN),
    right("recurrent/LSTM gates", LstmGates.apply, LSTM, lstm_gates, "Two outputs, four gates."),
    right("recurrent/LSTM gates in place", LstmInPlace.apply, LSTM, lstm_gates, "Into chunks of one tensor."),
    wrong("recurrent/LSTM gates without tanh's path", LstmTanhLost.apply, LSTM, lstm_gates, "missing term",
          "h' does not reach the cell."),
    wrong("recurrent/LSTM gates swapped", LstmForgetSwapped.apply, LSTM, lstm_gates, None,
          "Input and forget gate change places."),
    wrong("recurrent/LSTM gates with the cell through the input gate", LstmCellThroughInput.apply, LSTM,
          lstm_gates, None, "dc * i for dc * f."),
    wrong("recurrent/LSTM gates with the new cell", LstmNewCell.apply, LSTM, lstm_gates, None,
          "c' was saved for c."),
    right("recurrent/peephole", PeepholeOutput.apply, PEEPHOLE, peephole, "Both paths of the cell."),
    wrong("recurrent/peephole without its path", PeepholePathLost.apply, PEEPHOLE, peephole, "missing term",
          "The cell's path through the gate is lost: right for a peephole of 0, as it starts."),
    right("recurrent/GRU gates", GruGates.apply, GRU, gru_gates, "Five inputs."),
    wrong("recurrent/GRU gates with the update reversed", GruUpdateReversed.apply, GRU, gru_gates,
          "wrong sign", "n - h for h - n, in one of five gradients."),
    wrong("recurrent/GRU gates without the reset", GruResetLost.apply, GRU, gru_gates, None,
          "da for da * r, in one of five gradients."),
    right("recurrent/LSTM module", lambda: Recurrent(apply=LstmGates.apply), given((3, 2, 3)), Recurrent,
          "A module whose gates are a Function.", form="module"),
    wrong("recurrent/LSTM module detached", lambda: Recurrent(detached=True), given((1, 2, 3)), Recurrent,
          "detached path", "h is detached between steps, c is not: right for one step.", given((3, 2, 3)),
          form="module"),
)  # fmt: skip

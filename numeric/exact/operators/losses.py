"""Losses whose gradients PyTorch computes in a kernel of its own."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import torch

from gradproof.numeric.exact import functions as f
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.handlers import handles
from gradproof.numeric.exact.operators.pieces import choose, compare
from gradproof.numeric.exact.operators.reductions import stack
from gradproof.numeric.exact.values import UndecidableError, Value

aten: Any = torch.ops.aten

NONE, MEAN = 0, 1
"""Reductions: none, and the one that divides by the size of the batch."""


def _share(a: Value, reduction: int) -> Fraction:
    """What each entry counts."""
    return Fraction(1, max(prod(a.shape), 1)) if reduction == MEAN else Fraction(1)


@handles(aten.mse_loss_backward.default)
def mse_loss_backward(run: Execution, grad: Value, a: Value, b: Value, reduction: int) -> Value:
    return (grad * (a - b)).times(2 * _share(a, reduction))


@handles(aten.smooth_l1_loss_backward.default)
def smooth_l1_loss_backward(
    run: Execution, grad: Value, a: Value, b: Value, reduction: int, beta: float
) -> Value:
    return _bounded_slope(
        run, grad, a - b, beta, run.value_of(beta).reciprocal(), reduction, "smooth_l1_loss_backward"
    )


@handles(aten.huber_loss_backward.default)
def huber_loss_backward(
    run: Execution, grad: Value, a: Value, b: Value, reduction: int, delta: float
) -> Value:
    return _bounded_slope(run, grad, a - b, delta, run.value_of(1), reduction, "huber_loss_backward")


def _bounded_slope(
    run: Execution, grad: Value, difference: Value, bound: float, slope: Value, reduction: int, what: str
) -> Value:
    """A slope times the difference, bounded by what it is at the bound."""
    edge = run.value_of(bound)
    inner = choose(compare(run, difference, -edge, what) <= 0, -edge, difference)
    inner = choose(compare(run, difference, edge, what) >= 0, edge, inner)
    return (grad * inner * slope).times(_share(difference, reduction))


def _rows(value: Value) -> Value:
    return value.map(lambda array: array[..., None, :]) if len(value.shape) == 1 else value


@handles(aten.multi_margin_loss_backward.default)
def multi_margin_loss_backward(
    run: Execution, grad: Value, a: Value, target: torch.Tensor, p: Any, margin: Any, weight: Any = None,
    reduction: int = MEAN,
) -> Value:  # fmt: skip
    """`w[t] (margin - x[t] + x[j])^(p-1) p / classes` where the margin is not kept, its negative sum at the
    target.
    """
    if p not in (1, 2):
        raise UndecidableError(f"multi_margin_loss with p = {p}")
    rows, classes = _rows(a), a.shape[-1]
    labels = target.reshape(-1).numpy()
    at = np.arange(len(labels))
    own = rows.map(lambda array: array[..., at, labels])
    slack = rows - own.map(lambda array: array[..., None]) + run.value_of(margin)
    violated = compare(run, slack, 0, "multi_margin_loss_backward") > 0
    violated[at, labels] = False
    slope = run.value_of(1).expand(rows.shape) if p == 1 else slack.times(2)
    if weight is not None:
        slope = slope * run.value_of(weight).map(lambda array: array[..., labels, None])
    slope = choose(violated, slope, run.value_of(0)) / run.value_of(classes)
    if reduction == MEAN:
        slope = slope / run.value_of(len(labels))
    hot = np.zeros(rows.shape, dtype=bool)
    hot[at, labels] = True
    slope = choose(hot, -slope.sum([-1], True), slope)
    incoming = grad.map(lambda array: array[..., None]) if len(grad.shape) else grad
    product = slope * incoming
    return product.map(lambda array: array[..., 0, :]) if len(a.shape) == 1 else product


def _wanted(labels: Any) -> list[int]:
    """The labels before the first -1."""
    ends = np.flatnonzero(labels < 0)
    return (labels[: ends[0]] if ends.size else labels).tolist()


@handles(aten.multilabel_margin_loss_forward.default)
def multilabel_margin_loss(
    run: Execution, a: Value, target: torch.Tensor, reduction: int
) -> tuple[Value, Value]:
    """The sum of `max(0, 1 - x[t] + x[j])` over the labels t and the classes j that are none, over the
    classes; and which classes are labels.
    """
    rows = _rows(a)
    count, classes = rows.shape
    labels = target.reshape(count, classes).numpy()
    is_target = np.zeros((count, classes), dtype=np.int64)
    zero = run.value_of(0)
    losses: list[Value] = []
    for row in range(count):
        total = zero
        is_target[row, _wanted(labels[row])] = 1
        for t in _wanted(labels[row]):
            slack = rows.map(lambda array, row=row: array[..., row, :]).plus(1)
            slack = slack - rows.map(lambda array, t=t, row=row: array[..., row, t : t + 1])
            violated = compare(run, slack, 0, "multilabel_margin_loss") > 0
            total = total + choose(violated & (is_target[row] == 0), slack, zero).sum([-1])
        losses.append(total / run.value_of(classes))
    loss = stack(losses, -1)
    if reduction != NONE or len(a.shape) == 1:
        loss = loss.sum([-1])
        loss = loss / run.value_of(count) if reduction == MEAN else loss
    return loss, run.value_of(torch.from_numpy(is_target.reshape(tuple(target.shape))))


@handles(aten.multilabel_margin_loss_backward.default)
def multilabel_margin_loss_backward(
    run: Execution, grad: Value, a: Value, target: torch.Tensor, reduction: int, is_target: Value
) -> Value:
    """For each label t and each class j that is none: 1 at j, -1 at t where `1 - x[t] + x[j] > 0`."""
    rows = _rows(a)
    count, classes = rows.shape
    labels = target.reshape(count, classes).numpy()
    zero = run.numbers.zeros(rows.shape)
    total = zero
    for row in range(count):
        wanted = _wanted(labels[row])
        others = [j for j in range(classes) if j not in wanted]
        for t in wanted:
            slack = rows.map(lambda array, row=row: array[..., row, :]).plus(1)
            slack = slack - rows.map(lambda array, t=t, row=row: array[..., row, t : t + 1])
            violated = compare(run, slack, 0, "multilabel_margin_loss_backward") > 0
            steps = np.zeros(rows.shape, dtype=np.int64)
            for j in others:
                if violated[j]:
                    steps[row, j] += 1
                    steps[row, t] -= 1
            total = total + run.value_of(torch.from_numpy(steps))
    slope = total / run.value_of(classes * (count if reduction == MEAN else 1))
    incoming = grad.map(lambda array: array[..., None]) if len(grad.shape) else grad
    product = slope * incoming
    return product.map(lambda array: array[..., 0, :]) if len(a.shape) == 1 else product


# Connectionist temporal classification, in exponentials: sums over alignments of products of probabilities


def _extended(labels: list[int], blank: int) -> list[int]:
    """The labels with blanks between and around them."""
    return [blank if k % 2 == 0 else labels[k // 2] for k in range(2 * len(labels) + 1)]


def _targets(targets: torch.Tensor, lengths: list[int]) -> list[list[int]]:
    if targets.dim() == 2:
        return [targets[row, :length].tolist() for row, length in enumerate(lengths)]
    ends = np.cumsum([0, *lengths])
    return [targets[start:end].tolist() for start, end in pairwise(ends)]


def _listed(lengths: Any) -> list[int]:
    return lengths.tolist() if isinstance(lengths, torch.Tensor) else list(lengths)


def _walk(probabilities: list[list[Value]], states: list[int], blank: int) -> list[list[Value | None]]:
    """For each time and state, the sum over all alignments that end there; None is 0."""
    table: list[list[Value | None]] = []
    for time, row in enumerate(probabilities):
        line: list[Value | None] = []
        for s, label in enumerate(states):
            if time == 0:
                line.append(row[label] if s < 2 else None)
                continue
            before = table[-1]
            sources = [before[s], before[s - 1] if s else None]
            if s > 1 and label != blank and label != states[s - 2]:
                sources.append(before[s - 2])
            total: Value | None = None
            for source in sources:
                if source is not None:
                    total = source if total is None else total + source
            line.append(None if total is None else total * row[label])
        table.append(line)
    return table


def _entries(a: Value, time: int, row: int) -> list[Value]:
    return [a.map(lambda array, k=k: array[..., time, row, k]) for k in range(a.shape[-1])]


@handles(aten._ctc_loss.default, aten._ctc_loss.Tensor)
def ctc_loss(
    run: Execution, log_probs: Value, targets: torch.Tensor, input_lengths: Any, target_lengths: Any,
    blank: int = 0, zero_infinity: bool = False,
) -> tuple[Value, Value]:  # fmt: skip
    """The losses, and the logarithms of the sums over alignments that the backward reads."""
    labels = _targets(targets, _listed(target_lengths))
    probabilities = f.exp(log_probs)
    losses: list[Value] = []
    longest = max((len(entry) for entry in labels), default=0)
    table: list[Value] = []
    nothing = run.value_of(-np.inf)
    times = log_probs.shape[0]
    for row, (entry, length) in enumerate(zip(labels, _listed(input_lengths), strict=True)):
        states = _extended(entry, blank)
        walked = _walk([_entries(probabilities, t, row) for t in range(length)], states, blank)
        ends = [end for end in walked[-1][-2:] if end is not None] if length else []
        if not ends:
            raise UndecidableError("a ctc_loss that is infinite")
        total = ends[0] if len(ends) == 1 else ends[0] + ends[1]
        losses.append(-f.log(total))
        for t in range(times):
            for s in range(2 * longest + 1):
                value = walked[t][s] if t < length and s < len(states) else None
                table.append(nothing if value is None else f.log(value))
    alphas = stack(table, -1)
    shape = (len(labels), times, 2 * longest + 1)
    return stack(losses, -1), alphas.map(lambda array: array.reshape((*array.shape[:-1], *shape)))


@handles(aten._ctc_loss_backward.default, aten._ctc_loss_backward.Tensor)
def ctc_loss_backward(
    run: Execution, grad: Value, log_probs: Value, targets: torch.Tensor, input_lengths: Any,
    target_lengths: Any, loss: Value, log_alpha: Value, blank: int = 0, zero_infinity: bool = False,
) -> Value:  # fmt: skip
    """`(exp(x) - sum of alpha beta over the states of a label / exp(x) exp(loss)) grad`."""
    probabilities, weights = f.exp(log_probs), f.exp(loss)
    times, batch, classes = log_probs.shape
    labels = _targets(targets, _listed(target_lengths))
    cells: dict[tuple[int, int, int], Value] = {}
    for row, (entry, length) in enumerate(zip(labels, _listed(input_lengths), strict=True)):
        states = _extended(entry, blank)
        rows = [_entries(probabilities, t, row) for t in range(length)]
        betas = _walk(rows[::-1], states[::-1], blank)
        alphas = f.exp(log_alpha.map(lambda array, row=row: array[..., row, :, :]))
        incoming = grad.map(lambda array, row=row: array[..., row])
        weight = weights.map(lambda array, row=row: array[..., row])
        for t in range(length):
            for k in range(classes):
                total: Value | None = None
                for s, label in enumerate(states):
                    beta = betas[length - 1 - t][len(states) - 1 - s]
                    if label != k or beta is None:
                        continue
                    alpha = alphas.map(lambda array, t=t, s=s: array[..., t, s])
                    total = alpha * beta if total is None else total + alpha * beta
                slope = rows[t][k]
                if total is not None:
                    slope = slope - total / rows[t][k] * weight
                cells[t, row, k] = slope * incoming
    zero = run.value_of(0)
    flat = [
        cells.get((t, row, k), zero) for t in range(times) for row in range(batch) for k in range(classes)
    ]
    joined = stack(flat, -1)
    return joined.map(lambda array: array.reshape((*array.shape[:-1], times, batch, classes)))

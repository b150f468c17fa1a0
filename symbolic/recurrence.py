"""Operations repeated along an axis: the adjoint of a recurrence is a recurrence in reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradproof.symbolic.analysis import step_sources
from gradproof.symbolic.derivation import Reversed
from gradproof.symbolic.expressions import Tensor, entry
from gradproof.symbolic.operation import Carried, Collected, Definition, Recurrence, Scanned
from gradproof.symbolic.reverse import Sweep


def reverse(sweep: Sweep, forward: Recurrence) -> None:
    """Hand the adjoints of a recurrence on: backpropagation through time at symbolic length.

    With `s_t = F(s_(t-1), x_t, w)` and the adjoint `ds_t` gathered from the step's own outputs and from the
    step after it, `ds_(t-1)`, `dx_t` are the step's VJP at `ds_t`, and `dw` is the sum of the steps' `dw_t`.
    """
    inner = Sweep(
        sweep.program,
        forward.body,
        sweep.context,
        sweep.active,
        sweep.statistics,
        sweep.taken,
        sweep.given,
        steps=sweep.steps,
        written_out=sweep.written_out,
    )
    scanned = _cotangents_of_steps(sweep, inner, forward)
    _cotangents_of_sums(sweep, inner, forward)
    ahead = _cotangents_of_states(sweep, inner, forward)
    if not inner.pending:
        return
    inner.run()
    carried: list[Carried] = []
    received: list[tuple[Tensor, Tensor]] = []
    for state, (future, last) in zip(forward.carried, ahead, strict=True):
        before = inner.settle(state.before, named=True)
        start = (
            replace(state.before, name=sweep.claim(f"{before.name}_first")) if state.initial is None else None
        )
        first = start or sweep.share(state.initial or state.before)
        carried.append(Carried(future, before, last, first))
        if state.initial is not None:
            received.append((state.initial, first))
    collected = [
        _hand_back(sweep, inner, seen, received) for seen in forward.scanned if seen.inside in inner.pending
    ]
    summed: list[tuple[Tensor, Tensor]] = []
    outside = (
        {s.inside for s in forward.scanned}
        | {c.before for c in forward.carried}
        | {d.target for d in forward.body}
    )
    for tensor in sorted(set(inner.pending) - outside, key=lambda t: t.name):
        inside = inner.settle(tensor, named=True, suffix="_t")
        total = sweep.share(tensor)
        summed.append((inside, total))
        received.append((tensor, total))
    body = tuple(d for d in inner.emitted if not isinstance(d, Recurrence))
    seen = [*scanned, *_forward_reads(sweep, body)]
    kept = {c.inside for c in collected} | {i for i, _ in summed}
    collected += [_keep(sweep, d.target, forward) for d in body if d.target not in kept]
    backward = Recurrence(
        f"{forward.name} backward",
        forward.axis,
        body,
        tuple(carried),
        tuple(seen),
        tuple(collected),
        tuple(summed),
        not forward.reverse,
    )
    for tensor, adjoint in received:
        sweep.receive(tensor, entry(adjoint, *sweep.indices(tensor)))
    sweep.emitted.append(backward)
    sweep.recurrences.append(Reversed(forward, backward, inner.adjoints, tuple(received)))


def _cotangents_of_steps(sweep: Sweep, inner: Sweep, forward: Recurrence) -> list[Scanned]:
    """What flows into each step from outside: the adjoints of the tensors kept for every step."""
    scanned: list[Scanned] = []
    for kept in forward.collected:
        if kept.outside in sweep.pending:
            adjoint = sweep.settle(kept.outside)
            edge = (
                sweep.settle(kept.initial)
                if kept.initial is not None and kept.initial in sweep.pending
                else None
            )
            inside = Tensor(sweep.claim(f"{adjoint.name}_t"), kept.inside.axes)
            scanned.append(Scanned(inside, adjoint, edge, kept.shift))
            inner.receive(kept.inside, entry(inside, *inner.indices(kept.inside)))
    return scanned


def _cotangents_of_sums(sweep: Sweep, inner: Sweep, forward: Recurrence) -> None:
    """A sum over the steps hands its adjoint to every step."""
    for inside, outside in forward.summed:
        if outside in sweep.pending:
            inner.receive(inside, entry(sweep.settle(outside), *inner.indices(inside)))


def _cotangents_of_states(
    sweep: Sweep, inner: Sweep, forward: Recurrence
) -> list[tuple[Tensor, Tensor | None]]:
    """What flows into a step from the step after it, and into the last step from the last state."""
    ahead: list[tuple[Tensor, Tensor | None]] = []
    for state in forward.carried:
        last = sweep.settle(state.last) if state.last in sweep.pending else None
        stem = state.after.name.removesuffix("_t")
        future = Tensor(sweep.claim(f"{sweep.plain(stem)}_after"), state.after.axes)
        inner.receive(state.after, entry(future, *inner.indices(state.after)))
        ahead.append((future, last))
    return ahead


def _hand_back(sweep: Sweep, inner: Sweep, seen: Scanned, received: list[tuple[Tensor, Tensor]]) -> Collected:
    """The adjoint of a scanned tensor, kept for every step, shifted back."""
    inside = inner.settle(seen.inside, named=True)
    outside = sweep.share(seen.outside)
    received.append((seen.outside, outside))
    edge: Tensor | None = None
    if seen.initial is not None:
        edge = Tensor(sweep.claim(f"{outside.name}_edge"), seen.initial.axes)
        received.append((seen.initial, edge))
    return Collected(inside, outside, edge, seen.shift)


def _keep(sweep: Sweep, inside: Tensor, forward: Recurrence) -> Collected:
    lead = sum(1 for axis in inside.axes if axis.variadic)
    axes = (*inside.axes[:lead], forward.axis, *inside.axes[lead:])
    return Collected(inside, Tensor(sweep.claim(f"{inside.name.removesuffix('_t')}_steps"), axes))


def _forward_reads(sweep: Sweep, body: Sequence[Definition]) -> list[Scanned]:
    """The forward tensors of the same step that the backward step reads."""
    read = {t for d in body for t in d.value.tensors}
    sources = step_sources(sweep.statements)
    return [sources[t] for t in sorted(read & set(sources), key=lambda t: t.name)]

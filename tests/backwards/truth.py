"""What a case claims at given inputs, and what is true there, by several ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.autograd import forward_ad

from .case import Case, normal

Values = tuple[Tensor, ...]
Program = Callable[..., Any]


def is_real(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def as_tensors(inputs: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(torch.from_numpy(i) if isinstance(i, np.ndarray) else i for i in inputs)


def widened(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The inputs with every float tensor as float64; the layout is kept."""
    return tuple(i.to(torch.float64) if is_real(i) else i for i in as_tensors(inputs))


# --- programs: every form as a function of tensors, parameters first


def numpy_program(case: Case) -> Program:
    """The pair of NumPy functions under autograd."""
    forward, vjp = case.fn

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Tensor:
            ctx.inputs = [i.detach().numpy() if isinstance(i, Tensor) else i for i in inputs]
            return torch.as_tensor(forward(*ctx.inputs))

        @staticmethod
        def backward(ctx: Any, *cotangents: Tensor) -> Any:
            (cotangent,) = cotangents
            values = vjp(cotangent.numpy(), *ctx.inputs)
            return tuple(None if v is None else torch.as_tensor(v) for v in values)

    return Pair.apply


def module_program(module: Any) -> tuple[Program, tuple[Tensor, ...]]:
    """A module as a function of its parameters and inputs, and the parameters."""
    names = [name for name, _ in module.named_parameters()]

    def program(*values: Any) -> Any:
        given = dict(zip(names, values, strict=False))
        return torch.func.functional_call(module, given, values[len(names) :])

    return program, tuple(p.detach().clone() for p in module.parameters())


def claimed_program(case: Case) -> tuple[Program, tuple[Tensor, ...]]:
    """The case's program and the parameters that come before its inputs."""
    if case.form == "module":
        return module_program(case.fn().double())
    if case.form == "numpy":
        return numpy_program(case), ()
    return (case.fn[0] if case.form == "equivalent" else case.fn), ()


def plain_program(case: Case) -> Program:
    if case.form != "module":
        return case.plain
    module = case.plain().double()
    module.load_state_dict(case.fn().double().state_dict())
    return module_program(module)[0]


# --- gradients


def as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def prepared(inputs: Sequence[Any], wrt: tuple[int, ...] | None = None) -> tuple[list[Any], list[Tensor]]:
    """The inputs with float ones as leaves, their layout kept, and the leaves that gradients are taken of."""
    values, leaves = [], []
    for place, value in enumerate(inputs):
        if is_real(value) and (wrt is None or place in wrt):
            leaf = value.detach().requires_grad_()
            leaves.append(leaf)
            value = leaf
        values.append(value)
    return values, leaves


def run(program: Program, inputs: Sequence[Any]) -> tuple[Any, ...]:
    torch.manual_seed(0)
    return as_tuple(program(*inputs))


def cotangents_of(case: Case, outputs: Sequence[Any], chosen: bool) -> list[Tensor | None]:
    """A cotangent for each float output: the case's own where chosen, else of unit normal entries."""
    made: list[Tensor | None] = []
    for place, output in enumerate(outputs):
        if not is_real(output):
            made.append(None)
        elif chosen and case.cotangent:
            made.append(case.cotangent(output.detach()))
        else:
            made.append(normal(*output.shape, seed=100 + place, dtype=output.dtype))
    return made


def gradient(
    program: Program,
    inputs: Sequence[Any],
    cotangents: Sequence[Tensor | None],
    wrt: tuple[int, ...] | None,
    again: bool = False,
) -> Values:
    """The VJP that autograd gives, zeros for an input that is cut off; `again`: the second time."""
    values, leaves = prepared(inputs, wrt)
    outputs = run(program, values)
    real = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if c is not None and o.requires_grad]
    if not real:
        return tuple(torch.zeros_like(leaf) for leaf in leaves)
    outputs, duals = [o for o, _ in real], [c for _, c in real]
    if again:
        torch.autograd.grad(outputs, leaves, duals, allow_unused=True, retain_graph=True)
    found = torch.autograd.grad(outputs, leaves, duals, allow_unused=True)
    return tuple(torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True))


def numpy_gradient(case: Case, inputs: Sequence[Any], cotangent: Tensor | None) -> Values:
    """The VJP that the pair gives, of copies, in its own shapes."""
    assert cotangent is not None
    arrays = [i.numpy().copy() for i in inputs]
    found = case.fn[1](cotangent.numpy().copy(), *arrays)
    real = [f for f, i in zip(found, inputs, strict=True) if is_real(i)]
    return tuple(torch.as_tensor(np.asarray(f)) for f in real)


def second_gradient(
    program: Program, inputs: Sequence[Any], cotangents: Sequence[Tensor | None], wrt: tuple[int, ...] | None
) -> Values:
    """The VJP of the VJP, with respect to the inputs and the cotangents."""
    values, leaves = prepared(inputs, wrt)
    outputs = run(program, values)
    real = [
        (o, c.detach().requires_grad_()) for o, c in zip(outputs, cotangents, strict=True) if c is not None
    ]
    duals = [c for _, c in real]
    first = torch.autograd.grad([o for o, _ in real], leaves, duals, allow_unused=True, create_graph=True)
    linked = [(g, normal(*g.shape, seed=200 + n)) for n, g in enumerate(first) if g is not None]
    linked = [(g, w) for g, w in linked if g.requires_grad]
    ends = leaves + duals
    if not linked:
        return tuple(torch.zeros_like(e) for e in ends)
    found = torch.autograd.grad([g for g, _ in linked], ends, [w for _, w in linked], allow_unused=True)
    return tuple(torch.zeros_like(e) if g is None else g for g, e in zip(found, ends, strict=True))


def tangent(program: Program, inputs: Sequence[Any], tangents: Sequence[Tensor]) -> Values:
    """The JVP that forward mode gives."""
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(v, t) for v, t in zip(inputs, tangents, strict=True)]
        found = [forward_ad.unpack_dual(o).tangent for o in run(program, duals)]
    return tuple(f for f in found if f is not None)


def both(case: Case, inputs: Sequence[Any], chosen: bool) -> tuple[Values, Values]:
    """What is claimed and what is true, each as a tuple of gradients."""
    program, parameters = claimed_program(case)
    plain = plain_program(case)
    wrt = case.wrt if chosen else None
    values = parameters + (tuple(inputs) if case.narrow else widened(inputs))
    outputs = run(plain, values)
    cotangents = cotangents_of(case, outputs, chosen)
    if case.form == "equivalent":
        return run(program, values), outputs
    if case.forward:
        tangents = tuple(normal(*v.shape, seed=500 + n) for n, v in enumerate(values))
        return tangent(program, values, tangents), tangent(plain, values, tangents)
    if case.order == 2:
        return second_gradient(program, values, cotangents, wrt), second_gradient(
            plain, values, cotangents, wrt
        )
    if case.form == "numpy":
        (cotangent,) = cotangents
        return numpy_gradient(case, values, cotangent), gradient(plain, values, cotangents, wrt)
    claim = gradient(program, values, cotangents, wrt, again=case.diagnosis == "in-place change")
    if case.declared:
        (cotangent,) = cotangents
        meant = as_tuple(case.declared(cotangent, *values))
        return claim, tuple(m for m, v in zip(meant, values, strict=True) if is_real(v))
    return claim, gradient(plain, values, cotangents, wrt)


def difference(claim: Values, truth: Values) -> float:
    """The largest difference of an entry, relative to the largest true entry of its gradient."""
    worst = 0.0
    for a, b in zip(claim, truth, strict=True):
        a, b = a.detach(), b.detach()
        if a.shape != b.shape or not bool(torch.isfinite(a).all()):
            return float("inf")
        if a.numel():
            worst = max(worst, float((a - b).abs().max() / (b.abs().max() or 1.0)))
    return worst


# --- confirmations that do not use autograd


def directional(case: Case, inputs: Sequence[Any]) -> tuple[float, float]:
    """Along one direction: the true derivative, and Richardson's differences of the case's own forward."""
    program, parameters = claimed_program(case)
    values = parameters + widened(inputs)
    outputs = [o for o in run(program, values) if is_real(o)]
    weights = [normal(*o.shape, seed=300 + n) for n, o in enumerate(outputs)]
    ways = [normal(*v.shape, seed=400 + n) if is_real(v) else None for n, v in enumerate(values)]

    def along(step: float) -> float:
        moved = [v if w is None else v + step * w for v, w in zip(values, ways, strict=True)]
        with torch.no_grad():
            found = [o for o in run(program, moved) if is_real(o)]
        return sum(float((o * w).detach().sum()) for o, w in zip(found, weights, strict=True))

    step = 1e-3
    once = (along(step) - along(-step)) / (2 * step)
    half = (along(step / 2) - along(-step / 2)) / step
    quarter = (along(step / 4) - along(-step / 4)) / (step / 2)
    first, second = (4 * half - once) / 3, (4 * quarter - half) / 3
    true = gradient(plain_program(case), values, weights, None)
    pairs = zip(true, (w for w in ways if w is not None), strict=True)
    return sum(float((g * w).detach().sum()) for g, w in pairs), (16 * second - first) / 15


def derivatives(case: Case, inputs: Sequence[Any]) -> Values:
    """The gradient of a function of one number for a cotangent of ones, by mpmath at 40 digits."""
    assert case.derivative is not None
    (x,) = inputs
    with mp.workdps(40):
        found = [float(mp.diff(case.derivative, mp.mpf(float(v)))) for v in x.reshape(-1)]
    return (torch.tensor(found, dtype=torch.float64).reshape(x.shape),)


def true_derivatives(case: Case, inputs: Sequence[Any]) -> Values:
    """The same by autograd of the plain function."""
    values = widened(inputs)
    return gradient(case.plain, values, [torch.ones_like(o) for o in run(case.plain, values)], None)


def is_in_hull(case: Case, inputs: Sequence[Any]) -> bool:
    """Whether the claim at a kink is a convex combination of the true gradients at points around it."""
    program, parameters = claimed_program(case)
    plain = plain_program(case)
    values = parameters + widened(inputs)
    cotangents = cotangents_of(case, run(plain, values), True)
    claim = flat(gradient(program, values, cotangents, case.wrt))
    if not np.isfinite(claim).all():
        return False
    around = []
    for seed in range(150):
        moved = [v + 1e-7 * normal(*v.shape, seed=1000 * seed + n) if is_real(v) else v
                 for n, v in enumerate(values)]  # fmt: skip
        around.append(flat(gradient(plain, moved, cotangents, case.wrt)))
    columns = np.unique(np.round(np.array(around), 5), axis=0).T
    system = np.vstack([columns, np.ones(columns.shape[1])])
    _, residual = nnls(system, np.append(claim, 1.0))
    return bool(residual < 1e-4)


def flat(values: Values) -> np.ndarray:
    return np.concatenate([v.detach().numpy().reshape(-1) for v in values])

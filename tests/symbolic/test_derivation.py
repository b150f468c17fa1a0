"""Derivations: the steps replay, and the numbers are those of autograd."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy as sp
import torch
from interpreter import Interpreter
from sampling import LABELS, SIZES, definitions, draw, parameters_of, sample

from gradproof.symbolic import language
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.catalogue.axes import (
    BATCH,
)
from gradproof.symbolic.derivation import Derivation, derive
from gradproof.symbolic.expressions import Derivative, Tensor, add, walk
from gradproof.symbolic.forward import tangent
from gradproof.symbolic.higher import gradient_program
from gradproof.symbolic.language import indices, max_over, mean_over
from gradproof.symbolic.operation import (
    Array,
    Builder,
    Operation,
    find,
    operation,
    real,
)

KINDS = ("vjp", "jvp", "jacobian", "hvp", "hessian", "taylor")


def has_hessian(label: str) -> bool:
    return all(sum(not a.variadic for a in t.axes) <= 1 for t in find(label).outputs)


CASES = [(label, kind) for label in LABELS for kind in KINDS if kind != "hessian" or has_hessian(label)]


# --- steps


@pytest.mark.parametrize(("label", "kind"), CASES)
def test_every_step_replays(label: str, kind: str) -> None:
    made = derive(find(label), kind)
    made.replay()
    for earlier in (*made.based_on, made):
        for step in earlier.steps:
            assert step.after is not step.before
    nodes = [n for d in definitions(made.program) for n in walk(d.value)]
    assert not any(isinstance(n, Derivative) for n in nodes)


@pytest.mark.parametrize("label", LABELS)
def test_expressions_stay_small(label: str) -> None:
    sizes = [sum(1 for _ in walk(d.value)) for d in definitions(derive(find(label)).program)]
    assert max(sizes) <= 100


def test_a_step_that_was_tampered_with_does_not_replay() -> None:
    made = derive(find("softmax"))
    for place, step in enumerate(made.steps):
        wrong = replace(step, after=add(step.after, 1))
        steps = (*made.steps[:place], wrong, *made.steps[place + 1 :])
        with pytest.raises(AssertionError, match=f"step {place + 1}"):
            replace(made, steps=steps).replay()


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="one of vjp, jvp, jacobian"):
        derive(find("relu"), "gradient")
    with pytest.raises(ValueError, match="at least 1"):
        derive(find("relu"), "taylor", order=0)
    with pytest.raises(ValueError, match=r"attention: a Hessian is that of a scalar or a vector"):
        derive(find("attention"), "hessian")


# --- numbers, against autograd


class Numbers:
    """An operation at one point, by the interpreter and under autograd."""

    def __init__(self, chosen: Operation) -> None:
        self.operation = chosen
        self.interpreter = Interpreter(SIZES, parameters_of(chosen))
        self.inputs = sample(chosen, seed=2)
        self.moving = [t for t in chosen.inputs if t.dtype == "real"]
        for t in self.moving:
            self.inputs[t].requires_grad_()
        self.known = self.interpreter.run(chosen.program, self.inputs)
        generator = torch.Generator().manual_seed(3)
        self.tangents = {t: draw(replace(t, domain="real"), generator) for t in self.moving}
        self.cotangents = {t: draw(replace(t, domain="real"), generator) for t in chosen.outputs}

    def outputs(self, inputs: dict[Tensor, torch.Tensor]) -> list[torch.Tensor]:
        known = self.interpreter.run(self.operation.program, inputs)
        return [known[t] for t in self.operation.outputs]

    def gradients(self) -> list[torch.Tensor]:
        """What autograd says, itself differentiable."""
        outputs = [self.known[t] for t in self.operation.outputs]
        grads = torch.autograd.grad(
            outputs,
            [self.inputs[t] for t in self.moving],
            [self.cotangents[t] for t in self.operation.outputs],
            create_graph=True,
            allow_unused=True,
        )
        pairs = zip(grads, self.moving, strict=True)
        return [torch.zeros_like(self.inputs[t]) if g is None else g for g, t in pairs]

    def of(self, made: Derivation, extra: dict[Tensor, torch.Tensor]) -> dict[Tensor, torch.Tensor]:
        """The values of a derivation, and of those that it is based on."""
        known = {**self.known, **extra}
        for earlier in made.based_on:
            if set(earlier.program.inputs) <= known.keys():
                known = self.interpreter.run(earlier.program, known)
        return self.interpreter.run(made.program, known)

    def given(self, made: Derivation, kind: str) -> dict[Tensor, torch.Tensor]:
        """Cotangents and tangents by the names of the derivation."""
        named = {t.name: t for e in (*made.based_on, made) for t in e.program.inputs}
        values = {f"d{t.name}": v for t, v in self.cotangents.items()} if kind != "jvp" else {}
        values |= {tangent(t).name: v for t, v in self.tangents.items()}
        return {named[n]: v for n, v in values.items() if n in named and named[n] not in self.known}


def close(have: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(have, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("label", LABELS)
def test_the_vjp_is_that_of_autograd(label: str) -> None:
    at = Numbers(find(label))
    made = derive(at.operation)
    known = at.of(made, at.given(made, "vjp"))
    for t, want in zip(at.moving, at.gradients(), strict=True):
        close(known[made.results[t.name]], want)


def directional(at: Numbers, order: int) -> list[list[torch.Tensor]]:
    """The derivatives of the outputs along the tangents, by autograd along a line."""
    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    moved = {t: v.detach() + step * at.tangents[t] if t in at.tangents else v for t, v in at.inputs.items()}
    rows = [at.outputs(moved)]
    for _ in range(order):
        rows.append([along(value, step) for value in rows[-1]])
    return rows[1:]


def along(value: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """The derivative of each entry by the step, as the gradient of a gradient."""
    weights = torch.ones_like(value, requires_grad=True)
    if not value.requires_grad:
        return torch.zeros_like(value)
    (total,) = torch.autograd.grad(value, step, weights, create_graph=True, allow_unused=True)
    if total is None or not total.requires_grad:
        return torch.zeros_like(value)
    (made,) = torch.autograd.grad(total, weights, create_graph=True, allow_unused=True)
    return torch.zeros_like(value) if made is None else made


@pytest.mark.parametrize("label", LABELS)
def test_the_jvp_and_the_taylor_polynomial_are_those_of_autograd(label: str) -> None:
    at = Numbers(find(label))
    rows = directional(at, 2)
    made = derive(at.operation, "jvp")
    known = at.of(made, at.given(made, "jvp"))
    for t, want in zip(at.operation.outputs, rows[0], strict=True):
        close(known[made.results[t.name]], want)
    made = derive(at.operation, "taylor", order=2)
    known = at.of(made, at.given(made, "jvp"))
    for t, value, first, second in zip(
        at.operation.outputs, (at.known[t] for t in at.operation.outputs), *rows, strict=True
    ):
        close(known[made.results[f"{t.name}_taylor"]], value + first + second / 2)


@pytest.mark.parametrize("label", LABELS)
def test_second_order_is_that_of_autograd(label: str) -> None:
    at = Numbers(find(label))
    grads = at.gradients()
    weights = [at.tangents[t] for t in at.moving]
    sources = [at.inputs[t] for t in at.moving]
    live = [(g, w) for g, w in zip(grads, weights, strict=True) if g.requires_grad]
    wanted: tuple[torch.Tensor | None, ...] = (None,) * len(sources)
    if live:
        wanted = torch.autograd.grad([g for g, _ in live], sources, [w for _, w in live], allow_unused=True)
    made = derive(at.operation, "hvp")
    known = at.of(made, at.given(made, "hvp"))
    twice = derive(gradient_program(at.operation.program))
    seen = at.interpreter.run(gradient_program(at.operation.program), {**at.inputs, **named(at, twice)})
    seen |= {
        t: at.tangents[m] for m, t in zip(at.moving, twice.program.inputs[-len(at.moving) :], strict=True)
    }
    seen = at.interpreter.run(twice.program, seen)
    for t, want in zip(at.moving, wanted, strict=True):
        want = torch.zeros_like(at.inputs[t]) if want is None else want
        close(known[made.results[t.name]], want)
        close(seen[twice.results[t.name]], want)


def named(at: Numbers, twice: Derivation) -> dict[Tensor, torch.Tensor]:
    """The cotangents of the operation, which are inputs of its gradient."""
    wanted = {t.name: t for t in gradient_program(at.operation.program).inputs}
    return {wanted[f"d{t.name}"]: v for t, v in at.cotangents.items()}


@pytest.mark.parametrize("label", [n for n in LABELS if len(find(n).inputs) <= 6])
def test_the_jacobian_is_that_of_autograd(label: str) -> None:
    at = Numbers(find(label))
    made = derive(at.operation, "jacobian")
    known = at.of(made, {})
    plain = [at.inputs[t].detach() for t in at.moving]

    def function(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(at.outputs({**at.inputs, **dict(zip(at.moving, values, strict=True))}))

    wanted = torch.autograd.functional.jacobian(function, tuple(plain))
    for output, row in zip(at.operation.outputs, wanted, strict=True):
        for t, want in zip(at.moving, row, strict=True):
            close(known[made.results[f"d{output.name}_d{t.name}"]], want)


@pytest.mark.parametrize("label", [n for n in LABELS if has_hessian(n) and len(find(n).inputs) <= 3])
def test_the_hessian_is_that_of_autograd(label: str) -> None:
    at = Numbers(find(label))
    made = derive(at.operation, "hessian")
    known = at.of(made, at.given(made, "hessian"))

    def function(*values: torch.Tensor) -> torch.Tensor:
        outputs = at.outputs({**at.inputs, **dict(zip(at.moving, values, strict=True))})
        pairs = zip(outputs, at.operation.outputs, strict=True)
        return torch.stack([(o * at.cotangents[t]).sum() for o, t in pairs]).sum()

    wanted = torch.autograd.functional.hessian(function, tuple(at.inputs[t].detach() for t in at.moving))
    for t, row in zip(at.moving, wanted, strict=True):
        for s, want in zip(at.moving, row, strict=True):
            close(known[made.results[f"d{t.name}_d{s.name}"]], want)


# --- values at kinks


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "abs"])
def test_the_value_at_a_kink_is_that_of_pytorch(name: str) -> None:
    chosen = find(name)
    x, y = chosen.inputs[0], chosen.outputs[0]
    at = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    function = getattr(torch.nn.functional, name, None) or getattr(torch, name)
    (want,) = torch.autograd.grad(function(at).sum(), at)
    made = derive(chosen)
    interpreter = Interpreter(SIZES, parameters_of(chosen))
    known = interpreter.run(chosen.program, {x: at.detach()})
    known[made.program.inputs[-1]] = torch.ones(2, dtype=torch.float64)
    assert torch.equal(interpreter.run(made.program, known)[made.results["x"]], want)
    assert y.axes == x.axes


def test_entries_that_tie_share_the_derivative_of_their_maximum() -> None:
    chosen = find("max")
    at = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], dtype=torch.float64, requires_grad=True)
    (want,) = torch.autograd.grad(at.amax(-1).sum(), at)
    made = derive(chosen)
    interpreter = Interpreter(SIZES, {})
    known = interpreter.run(chosen.program, {chosen.inputs[0]: at.detach()})
    known[made.program.inputs[-1]] = torch.ones(2, dtype=torch.float64)
    close(interpreter.run(made.program, known)[made.results["x"]], want)


# --- an operation of one's own

N = Axis("n", minimum=1)
i, j = indices("i j", N, N)


@operation("test", x=real(BATCH, N), w=real(N), register=False)
def gated_norm(let: Builder, x: Array, w: Array) -> Array:
    """An operation that is not in the catalogue."""
    (b,) = indices("b", BATCH)
    mean = let("mean", [b], mean_over(x[b, j], j))
    gate = let("gate", [b, i], language.sigmoid(w[i] * (x[b, i] - mean[b])))
    top = let("top", [b], max_over(x[b, j], j))
    return let("y", [b, i], gate[b, i] * sp.log(1 + sp.exp(x[b, i] - top[b])))


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "hessian"])
def test_an_operation_of_ones_own_goes_through(kind: str) -> None:
    SIZES[N] = 3
    SIZES[gated_norm.inputs[0].axes[0]] = 2
    derive(gated_norm, kind).replay()
    at = Numbers(gated_norm)
    made = derive(gated_norm)
    known = at.of(made, at.given(made, "vjp"))
    for t, want in zip(at.moving, at.gradients(), strict=True):
        close(known[made.results[t.name]], want)

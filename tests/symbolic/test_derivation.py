"""Derivations: the steps replay, the closed forms are those of textbooks, the numbers those of autograd."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy as sp
import torch
from interpreter import Interpreter
from sampling import LABELS, SIZES, draw, parameters_of, sample

from gradproof.symbolic import language
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.catalogue.axes import (
    BATCH,
    CLASSES,
    EMBED,
    EXAMPLES,
    FEATURES,
    GATE,
    HIDDEN,
    KEY,
    PAIR,
    PART,
    QUERY,
    TIME,
    VALUE,
)
from gradproof.symbolic.derivation import Derivation, derive
from gradproof.symbolic.expressions import Derivative, Index, Tensor, add, parameter, substitute, walk
from gradproof.symbolic.forward import tangent
from gradproof.symbolic.higher import gradient_program
from gradproof.symbolic.language import equal, indices, max_over, mean_over, read, size_of, sum_over
from gradproof.symbolic.matching import match
from gradproof.symbolic.operation import (
    Array,
    Builder,
    Definition,
    Operation,
    Program,
    Recurrence,
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


def definitions(program: Program) -> list[Definition]:
    made: list[Definition] = []
    for s in program.statements:
        made += s.body if isinstance(s, Recurrence) else [s] if isinstance(s, Definition) else []
    return made


# --- closed forms


class Printed:
    """The definitions of a derivation, beside what a textbook prints."""

    def __init__(self, made: Derivation) -> None:
        made.replay()
        self.definitions = {d.target.name: d for d in definitions(made.program)}
        tensors = {t for d in definitions(made.program) for t in (*d.value.tensors, d.target)}
        self.arrays = {t.name: Array(t, Builder("test")) for t in tensors}

    def __getattr__(self, name: str) -> Array:
        return self.arrays[name]

    def check(self, name: str, over: list[sp.Symbol], value: object) -> None:
        """The tensor is defined by this expression as it stands, up to names of indices and order."""
        found = self.definitions[name]
        wanted = substitute(read(value), dict(zip(map(read_index, over), found.indices, strict=True)))
        assert any(True for _ in match(wanted, found.value, frozenset(), {})), f"{found.value}\n{wanted}"


def read_index(variable: sp.Symbol) -> Index:
    found = read(variable)
    assert isinstance(found, Index)
    return found


b, b1 = indices("b b1", BATCH, BATCH)
k, k1 = indices("k k1", CLASSES, CLASSES)


def elementwise(name: str) -> Printed:
    return Printed(derive(find(name)))


def test_activations() -> None:
    f = elementwise("sigmoid")
    f.check("dx", [b], f.dy[b] * f.y[b] * (1 - f.y[b]))
    f = elementwise("tanh")
    f.check("dx", [b], f.dy[b] * (1 - f.y[b] ** 2))
    f = elementwise("relu")
    f.check("dx", [b], language.indicator(f.x[b] > 0) * f.dy[b])
    f = elementwise("leaky_relu")
    slope = language.symbol(parameter("slope"))
    f.check("dx", [b], f.dy[b] * sp.Piecewise((1, f.x[b] > 0), (slope, True)))
    f = elementwise("elu")
    alpha = language.symbol(parameter("alpha"))
    f.check("dx", [b], f.dy[b] * sp.Piecewise((1, f.x[b] > 0), (alpha * sp.exp(f.x[b]), True)))
    f = elementwise("softplus")
    f.check("dx", [b], f.dy[b] * language.sigmoid(f.x[b]))
    f = elementwise("silu")
    f.check("dx", [b], f.dy[b] * f.s[b] * (1 + f.x[b] * (1 - f.s[b])))
    f = elementwise("gelu")
    density = sp.exp(-(f.x[b] ** 2) / 2) / sp.sqrt(2) / sp.sqrt(sp.pi)
    f.check("dx", [b], f.dy[b] * (f.cdf[b] + f.x[b] * density))
    f = elementwise("gelu_tanh")
    inner = sp.sqrt(2) / sp.sqrt(sp.pi) * (1 + 3 * sp.Rational("0.044715") * f.x[b] ** 2)
    f.check("dx", [b], f.dy[b] * (1 + f.t[b] + f.x[b] * (1 - f.t[b] ** 2) * inner) / 2)


def test_elementwise_functions() -> None:
    f = elementwise("exp")
    f.check("dx", [b], f.dy[b] * f.y[b])
    f = elementwise("log")
    f.check("dx", [b], f.dy[b] / f.x[b])
    f = elementwise("sqrt")
    f.check("dx", [b], f.dy[b] / (2 * f.y[b]))
    f = elementwise("abs")
    sign = language.indicator(f.x[b] > 0) - language.indicator(f.x[b] < 0)
    f.check("dx", [b], f.dy[b] * sign)


def test_softmax_and_cross_entropy() -> None:
    f = Printed(derive(find("softmax")))
    f.check("dx", [b, k], f.y[b, k] * (f.dy[b, k] - sum_over(f.dy[b, k1] * f.y[b, k1], k1)))
    f = Printed(derive(find("softmax"), "jacobian"))
    jacobian = equal(b, b1) * f.y[b, k] * (equal(k, k1) - f.y[b, k1])
    f.check("dy_dx", [b1, k1, b, k], jacobian)
    f = Printed(derive(find("log_softmax")))
    f.check("dx", [b, k], f.dy[b, k] - sp.exp(f.y[b, k]) * sum_over(f.dy[b, k1], k1))
    f = Printed(derive(find("cross_entropy")))
    inner = f.p[b, k] * sum_over(f.q[b, k1], k1) - f.q[b, k]
    f.check("dlogits", [b, k], sp.Piecewise((f.dloss[()] / f.n[()] * inner, f.n[()] > 0), (0, True)))
    f = Printed(derive(find("soft_cross_entropy")))
    f.check("dlogits", [b, k], f.dloss[b] * (f.p[b, k] * sum_over(f.target[b, k1], k1) - f.target[b, k]))


def test_cross_entropy_where_the_targets_are_a_distribution() -> None:
    made = derive(find("soft_cross_entropy"), conditions=True)
    assert [repr(c.left) for c in made.conditions] == ["sum<k>(target[b,k])"]
    f = Printed(made)
    f.check("dlogits", [b, k], f.dloss[b] * (f.p[b, k] - f.target[b, k]))
    f = Printed(derive(find("soft_cross_entropy"), "hessian", conditions=True))
    hessian = equal(b, b1) * f.dloss[b] * f.p[b, k] * (equal(k, k1) - f.p[b, k1])
    f.check("dlogits_dlogits", [b, k, b1, k1], hessian)


def test_hessian_of_cross_entropy() -> None:
    f = Printed(derive(find("soft_cross_entropy"), "hessian"))
    scale = equal(b, b1) * f.dloss[b] * f.p[b, k] * sum_over(f.target[b, k], k)
    f.check("dlogits_dlogits", [b, k, b1, k1], scale * (equal(k, k1) - f.p[b, k1]))


def test_other_losses_and_reductions() -> None:
    m, i, i1 = indices("b i i1", EXAMPLES, FEATURES, FEATURES)
    f = Printed(derive(find("mse_loss")))
    f.check("dx", [m], 2 * f.dloss[()] * (f.x[m] - f.target[m]) / size_of(EXAMPLES))
    f = Printed(derive(find("binary_cross_entropy_with_logits")))
    difference = language.sigmoid(f.logits[m]) - f.target[m]
    f.check("dlogits", [m], f.dloss[()] * difference / size_of(EXAMPLES))
    f = Printed(derive(find("max")))
    hits = sum_over(language.symbol(read(sp.Eq(f.x[b, i1], f.y[b]))), i1)
    f.check("dx", [b, i], f.dy[b] * language.indicator(sp.Eq(f.x[b, i], f.y[b])) / hits)
    f = Printed(derive(find("kl_div")))
    slope = sp.Piecewise((1 + sp.log(f.target[b, k]), f.target[b, k] > 0), (0, True))
    f.check("dtarget", [b, k], f.dloss[b] * (slope - f.x[b, k]))


def test_normalization() -> None:
    i, j = indices("i j", FEATURES, FEATURES)
    n = size_of(FEATURES)
    f = Printed(derive(find("layer_norm")))
    f.check("dxhat", [b, i], f.dy[b, i] * f.weight[i])
    means = sum_over(f.dxhat[b, i], i) / n + f.xhat[b, j] * sum_over(f.dxhat[b, i] * f.xhat[b, i], i) / n
    f.check("dx", [b, j], f.rstd[b] * (f.dxhat[b, j] - means))
    f = Printed(derive(find("rms_norm")))
    mean = f.xhat[b, j] * sum_over(f.dxhat[b, i] * f.xhat[b, i], i) / n
    f.check("dx", [b, j], f.rstd[b] * (f.dxhat[b, j] - mean))
    m, m1 = indices("m m1", EXAMPLES, EXAMPLES)
    f = Printed(derive(find("batch_norm")))
    sums = sum_over(f.dxhat[m1, i], m1) + f.xhat[m, i] * sum_over(f.dxhat[m1, i] * f.xhat[m1, i], m1)
    means = (sum_over(f.dxhat[m1, i], m1), f.xhat[m, i] * sum_over(f.dxhat[m1, i] * f.xhat[m1, i], m1))
    assert read(sums) is add(*map(read, means))
    count = size_of(EXAMPLES)
    f.check("dx", [m, i], f.rstd[i] * (f.dxhat[m, i] - means[0] / count - means[1] / count))


def test_lstm_cell() -> None:
    n, g = indices("n g", HIDDEN, GATE)
    f = Printed(derive(find("lstm_cell")))
    dh, dc, i, z, o, u = (a[b, n] for a in (f.dh, f.dc_total, f.i, f.z, f.o, f.u))
    forget = f.f[b, n]
    f.check("dc_total", [b, n], f.dc[b, n] + dh * o * (1 - u**2))
    gates = [
        equal(g, 0) * dc * z * i * (1 - i),
        equal(g, 1) * dc * f.c0[b, n] * forget * (1 - forget),
        equal(g, 2) * dc * i * (1 - z**2),
        equal(g, 3) * dh * u * o * (1 - o),
    ]
    f.check("da", [b, g, n], sum(gates))
    f.check("dc0", [b, n], dc * forget)


def test_attention() -> None:
    i, j, j1, c = indices("i j j1 c", QUERY, KEY, KEY, VALUE)
    d = indices("d", EMBED)[0]
    for mask in ("none", "causal", "padding", "additive"):
        f = Printed(derive(find(f"attention(mask={mask})")))
        f.check("dp", [b, i, j], sum_over(f.dy[b, i, c] * f.v[b, j, c], c))
        row = sum_over(f.dp[b, i, j1] * f.p[b, i, j1], j1)
        f.check("dscores", [b, i, j], f.p[b, i, j] * (f.dp[b, i, j] - row))
        scale = 1 / sp.sqrt(size_of(EMBED))
        f.check("dq", [b, i, d], scale * sum_over(f.dscores[b, i, j] * f.k[b, j, d], j))
        f.check("dv", [b, j, c], sum_over(f.dy[b, i, c] * f.p[b, i, j], i))


def test_additive_attention_names_its_scores() -> None:
    f = Printed(derive(find("additive_attention")))
    assert {"dp", "dscores", "dstored", "dasked"} <= f.definitions.keys()


def test_rotation_is_undone() -> None:
    t, i, s = indices("t i s", TIME, PAIR, PART)
    f = Printed(derive(find("rotary_embedding")))
    dy0, dy1 = f.dy[b, t, i, 0], f.dy[b, t, i, 1]
    cos, sin = f.cos[t, i], f.sin[t, i]
    f.check("dx", [b, t, i, s], equal(s, 0) * (dy0 * cos + dy1 * sin) + equal(s, 1) * (dy1 * cos - dy0 * sin))


def test_lookup() -> None:
    f = Printed(derive(find("embedding"), "jvp"))
    assert [repr(d.value) for d in f.definitions.values()] == ["weight_dot[index[b],d]"]
    f = Printed(derive(find("embedding")))
    assert [repr(d.value) for d in f.definitions.values()] == ["sum<b>([index[b] == v]*dy[b,e])"]


def test_a_block_calls_its_parts_by_name() -> None:
    f = Printed(derive(find("transformer_block_post")))
    assert {"dr2", "dmiddle", "dmiddle_xhat", "dr1", "dattended_heads_scores", "dx"} <= f.definitions.keys()


def test_taylor_of_sigmoid() -> None:
    f = Printed(derive(find("sigmoid"), "taylor", order=2))
    f.check("y_dot", [b], f.x_dot[b] * f.y[b] * (1 - f.y[b]))
    f.check("y_dot2", [b], f.x_dot[b] * f.y_dot[b] * (1 - 2 * f.y[b]))
    f.check("y_taylor", [b], f.y[b] + f.y_dot[b] + f.y_dot2[b] / 2)


def test_a_near_miss_is_not_the_closed_form() -> None:
    f = Printed(derive(find("softmax")))
    right = f.y[b, k] * (f.dy[b, k] - sum_over(f.dy[b, k1] * f.y[b, k1], k1))
    wrong = f.y[b, k] * (f.dy[b, k] + sum_over(f.dy[b, k1] * f.y[b, k1], k1))
    f.check("dx", [b, k], right)
    for value in (wrong, 2 * right, f.y[b, k] * f.dy[b, k], right + f.dy[b, k]):
        with pytest.raises(AssertionError):
            f.check("dx", [b, k], value)


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

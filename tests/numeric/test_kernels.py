"""Kernels against PyTorch and against the definitions themselves, in every mode and at the extremes."""

from __future__ import annotations

import inspect
import math
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from gradproof.numeric.kernels import build, lower
from gradproof.numeric.sources import Source
from gradproof.symbolic.catalogue.axes import BATCH, FEATURES
from gradproof.symbolic.language import equal, indices, sigmoid, sum_over
from gradproof.symbolic.operation import integer, operation, real, scalar
from tests.numeric.references import CASES, Case, rand

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
names = pytest.mark.parametrize("name", CASES)
targets = pytest.mark.parametrize("target", ["numpy", "torch"])


def close(found: Any, wanted: torch.Tensor, *, rtol: float = 1e-9, atol: float = 1e-11) -> None:
    torch.testing.assert_close(torch.as_tensor(found), wanted, rtol=rtol, atol=atol)


def convert(tensor: torch.Tensor, target: str) -> Any:
    return tensor.numpy() if target == "numpy" else tensor


def cotangents(case: Case) -> list[torch.Tensor]:
    return [torch.randn_like(y) for y in case.bind(case.reference)(*case.real)]


def gradients(function: Any, inputs: Any, given: Any, *, create_graph: bool = False) -> list[torch.Tensor]:
    made = torch.autograd.grad(function(*inputs), inputs, given, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(i) if m is None else m for m, i in zip(made, inputs, strict=True)]


# --- against PyTorch, in float64


@names
@targets
def test_forward_and_backward(name: str, target: str) -> None:
    case = CASES[name]
    k = lower(name, target)
    outputs, saved = k.forward(*(convert(i, target) for i in case.inputs))
    reference = case.bind(case.reference)
    for found, wanted in zip(outputs, reference(*case.real), strict=True):
        close(found, wanted)
    given = cotangents(case)
    made = k.vjp(saved, *(convert(g, target) for g in given))
    assert [m is None for m in made] == [not i.dtype.is_floating_point for i in case.inputs]
    wanted = gradients(reference, [r.clone().requires_grad_() for r in case.real], given)
    for found, want in zip((m for m in made if m is not None), wanted, strict=True):
        close(found, want)


@names
@targets
def test_forward_mode_is_the_transpose(name: str, target: str) -> None:
    case = CASES[name]
    k = lower(name, target)
    given = cotangents(case)
    tangents = [torch.randn_like(i) if i.dtype.is_floating_point else None for i in case.inputs]
    inputs = [convert(i, target) for i in case.inputs]
    dots = k.jvp(inputs, [t if t is None else convert(t, target) for t in tangents])
    _, saved = k.forward(*inputs)
    made = k.vjp(saved, *(convert(g, target) for g in given))
    left = sum((torch.as_tensor(d) * g).sum() for d, g in zip(dots, given, strict=True))
    pairs = [(torch.as_tensor(m), t) for m, t in zip(made, tangents, strict=True) if t is not None]
    right = sum((m * t).sum() for m, t in pairs)
    close(left, torch.as_tensor(right))


@names
def test_autograd_first_and_second_order(name: str) -> None:
    case = CASES[name]
    given = cotangents(case)
    directions = [torch.randn_like(r) for r in case.real]

    def second(function: Any) -> list[torch.Tensor]:
        inputs = [r.clone().requires_grad_() for r in case.real]
        outer = [g.clone().requires_grad_() for g in given]
        first = torch.autograd.grad(function(*inputs), inputs, outer, create_graph=True)
        joined = torch.stack([(a * b).sum() for a, b in zip(first, directions, strict=True)]).sum()
        made = torch.autograd.grad(joined, [*inputs, *outer], allow_unused=True)
        every = [
            torch.zeros_like(i) if m is None else m for m, i in zip(made, [*inputs, *outer], strict=True)
        ]
        return [*first, *every]

    for found, wanted in zip(second(case.bind(lower(name))), second(case.bind(case.reference)), strict=True):
        close(found, wanted)


@names
def test_transformations(name: str) -> None:
    """jvp, grad, jvp of grad, vmap, and vmap of grad over one input alone."""
    case = CASES[name]
    given = cotangents(case)
    mine, theirs = case.bind(lower(name)), case.bind(case.reference)
    places = tuple(range(len(case.real)))
    directions = tuple(torch.randn_like(r) for r in case.real)

    def scalar(function: Any) -> Any:
        return lambda *xs: sum((y * g).sum() for y, g in zip(function(*xs), given, strict=True))

    def compare(transform: Any) -> None:
        found, wanted = transform(mine), transform(theirs)
        for a, b in zip(found, wanted, strict=True):
            close(a, b)

    compare(lambda f: torch.func.jvp(f, case.real, directions)[1])
    compare(lambda f: torch.func.grad(scalar(f), places)(*case.real))
    compare(lambda f: torch.func.jvp(torch.func.grad(scalar(f), places), case.real, directions)[1])
    several = tuple(torch.stack([r, r * 1.1, r - 0.3]) for r in case.real)
    compare(lambda f: torch.func.vmap(f)(*several))
    alone = (0,) + (None,) * (len(places) - 1)
    one = (several[0], *case.real[1:])
    compare(lambda f: (torch.func.vmap(torch.func.grad(scalar(f)), alone)(*one),))


def test_lstm_against_the_library() -> None:
    x, h, c, w_ih, w_hh, b_ih, b_hh = CASES["lstm"].inputs
    module = torch.nn.LSTM(x.shape[-1], h.shape[-1], batch_first=True).double()
    with torch.no_grad():
        for own, mine in zip(module.parameters(), (w_ih, w_hh, b_ih, b_hh), strict=True):
            own.copy_(mine.reshape(own.shape))
    y, (h_last, c_last) = module(x, (h[None], c[None]))
    found = lower("lstm")(x, h, c, w_ih, w_hh, b_ih, b_hh)
    for a, b in zip(found, (y, h_last[0], c_last[0]), strict=True):
        close(a, b)


# --- extremes


@targets
def test_extreme_activations(target: str) -> None:
    x = torch.tensor([-1e30, -1000.0, -90.0, 0.0, 90.0, 1000.0, 1e30], dtype=torch.float64)
    one = convert(torch.ones_like(x), target)
    (y,), saved = lower("sigmoid", target).forward(convert(x, target))
    assert y[0] == 0 and y[-1] == 1 and y[3] == 0.5 and y[2] > 0
    (dx,) = lower("sigmoid", target).vjp(saved, one)
    assert np.isfinite(np.asarray(dx)).all() and dx[2] > 0 and dx[4] > 0
    (dx,) = lower("tanh", target).vjp(lower("tanh", target).forward(convert(x, target))[1], one)
    assert np.isfinite(np.asarray(dx)).all() and dx[2] > 0


@targets
def test_tanh_gelu_is_finite_everywhere(target: str) -> None:
    x = torch.tensor([-3e38, -1e20, -1e19, 0, 1e19, 1e20, 1e38])
    k = lower("gelu_tanh", target)
    (y,), saved = k.forward(convert(x, target))
    (dx,) = k.vjp(saved, convert(torch.ones(7), target))
    assert np.asarray(dx).tolist() == [0, 0, 0, 0.5, 1, 1, 1]
    assert np.isfinite(np.asarray(y)).all()


@targets
def test_extreme_logits(target: str) -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4], [-1e4, 1e4, 9999.0]], dtype=torch.float32)
    t = torch.tensor([2, 1])
    k = lower("cross_entropy", target)
    (loss,), saved = k.forward(convert(logits, target), convert(t, target))
    x = logits.double().requires_grad_()
    wanted = functional.cross_entropy(x, t)
    close(loss, wanted.detach().float(), rtol=1e-6)
    (wanted_gradient,) = torch.autograd.grad(wanted, x)
    gradient, nothing = k.vjp(saved, convert(torch.tensor(1.0), target))
    close(gradient, wanted_gradient.float(), rtol=1e-5, atol=1e-9)
    assert nothing is None


@targets
@pytest.mark.parametrize("label_smoothing", [0, 0.1])
def test_no_target_counts(target: str, label_smoothing: float) -> None:
    k = lower("cross_entropy", target)
    logits, t = rand(3, 4), torch.full((3,), -100)
    (loss,), saved = k.forward(convert(logits, target), convert(t, target), label_smoothing=label_smoothing)
    assert loss == 0
    gradient, _ = k.vjp(saved, convert(torch.tensor(1.0, dtype=torch.float64), target))
    assert (gradient == 0).all()


@targets
@pytest.mark.parametrize("label_smoothing", [0.1, 1.0])
def test_label_smoothing(target: str, label_smoothing: float) -> None:
    logits, t = CASES["cross_entropy"].inputs
    k = lower("cross_entropy", target)
    (loss,), saved = k.forward(convert(logits, target), convert(t, target), label_smoothing=label_smoothing)
    x = logits.clone().requires_grad_()
    # PyTorch smooths every row and divides by the number of targets that count, as here.
    wanted = functional.cross_entropy(x, t, label_smoothing=label_smoothing)
    close(loss, wanted.detach())
    (wanted_gradient,) = torch.autograd.grad(wanted, x)
    close(k.vjp(saved, convert(torch.tensor(1.0, dtype=torch.float64), target))[0], wanted_gradient)


@targets
def test_masked_rows_are_zero(target: str) -> None:
    q, k_, v, allowed = CASES["attention(mask=padding)"].inputs
    q = q * 1e4
    k = lower("attention(mask=padding)", target)
    (y,), saved = k.forward(*(convert(i, target) for i in (q, k_, v, allowed)))
    assert (y[0, 1] == 0).all()
    made = k.vjp(saved, convert(torch.ones(2, 3, 6, dtype=torch.float64), target))
    assert all(np.isfinite(np.asarray(m)).all() for m in made[:3])
    assert (made[0][0, 1] == 0).all() and made[3] is None
    nothing = torch.zeros_like(allowed)
    (y,), saved = k.forward(*(convert(i, target) for i in (q, k_, v, nothing)))
    made = k.vjp(saved, convert(torch.ones(2, 3, 6, dtype=torch.float64), target))
    assert (y == 0).all() and all((m == 0).all() for m in made[:3])


# --- shapes and layouts


def shape_inputs(name: str, lead: tuple[int, ...], size: int) -> tuple[Any, ...]:
    match name:
        case "sigmoid":
            return (rand(*lead),)
        case "softmax" | "logsumexp":
            return (rand(*lead, size or 1),)
        case "cross_entropy":
            t = torch.randint(0, 3, lead)
            return (rand(*lead, 3), t)
        case "layer_norm":
            n = size or 1
            return (rand(*lead, n), rand(n), rand(n))
        case "attention(mask=causal)":
            return (rand(*lead, size, 2), rand(*lead, 3, 2), rand(*lead, 3, size))
        case "lstm":
            h = max(size, 1)
            return (
                rand(*lead, size, 2),
                rand(*lead, h),
                rand(*lead, h),
                rand(4, h, 2),
                rand(4, h, h),
                rand(4, h),
                rand(4, h),
            )
    raise AssertionError(name)


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("lead", [(), (1,), (0,), (2, 1), (2, 0, 3), (2, 3, 2)])
@pytest.mark.parametrize(
    "name", ["sigmoid", "softmax", "cross_entropy", "layer_norm", "attention(mask=causal)", "lstm"]
)
def test_batch_ranks_and_empty_axes(name: str, lead: tuple[int, ...], size: int) -> None:
    """NumPy and PyTorch agree, and so does every batch with the batch taken apart."""
    inputs = shape_inputs(name, lead, size)
    results = []
    for target in ("numpy", "torch"):
        k = lower(name, target)
        outputs, saved = k.forward(*(convert(i, target) for i in inputs))
        made = k.vjp(saved, *outputs)
        results.append([torch.as_tensor(r) for r in (*outputs, *made) if r is not None])
    for a, b in zip(*results, strict=True):
        assert a.shape == b.shape
        close(a, b)
    real = [i for i in inputs if i.dtype.is_floating_point]
    gradients_ = results[1][-len(real) :]
    assert [g.shape for g in gradients_] == [r.shape for r in real]
    assert all(torch.isfinite(r).all() for r in results[1])


@names
def test_strides_do_not_matter(name: str) -> None:
    case = CASES[name]
    k = lower(name)

    def strided(x: torch.Tensor) -> torch.Tensor:
        wide = torch.stack([x, x], -1)
        made = wide.movedim(0, -1).contiguous().movedim(-1, 0)[..., 0] if x.ndim else x
        assert x.ndim == 0 or x.numel() < 2 or not made.is_contiguous() or x.ndim == 1
        return made

    outputs, saved = k.forward(*map(strided, case.inputs))
    wanted, kept = k.forward(*case.inputs)
    given = cotangents(case)
    for a, b in zip(
        (*outputs, *k.vjp(saved, *map(strided, given))), (*wanted, *k.vjp(kept, *given)), strict=True
    ):
        assert (a is None) == (b is None)
        if a is not None:
            close(a, b)


@names
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes_go_in_and_out(name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    k = lower(name)
    inputs = [i.to(dtype) if i.dtype.is_floating_point else i for i in case.inputs]
    outputs, saved = k.forward(*inputs)
    made = k.vjp(saved, *(torch.ones_like(y) for y in outputs))
    assert {r.dtype for r in (*outputs, *made) if r is not None} == {dtype}
    leaves = [i.clone().requires_grad_() if i.dtype.is_floating_point else i for i in inputs]
    y = k(*leaves)
    first = y[0] if isinstance(y, tuple) else y
    first.sum().backward()
    assert leaves[0].grad is not None and leaves[0].grad.dtype == dtype
    exact, _ = lower(name).forward(*(i.double() if i.dtype.is_floating_point else i for i in inputs))
    tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 1e-5}[dtype]
    for a, b in zip(outputs, exact, strict=True):
        close(a.double(), b, rtol=tolerance, atol=tolerance)


def test_inputs_are_left_alone() -> None:
    for name, case in CASES.items():
        k = lower(name)
        before = [i.clone() for i in case.inputs]
        outputs, saved = k.forward(*case.inputs)
        given = [torch.ones_like(y) for y in outputs]
        copies = [y.clone() for y in outputs]
        first = k.vjp(saved, *given)
        second = k.vjp(saved, *given)
        assert all(torch.equal(a, b) for a, b in zip(before, case.inputs, strict=True)), name
        assert all((g == 1).all() for g in given), name
        assert all(torch.equal(a, b) for a, b in zip(copies, outputs, strict=True)), name
        for a, b in zip(first, second, strict=True):
            assert a is None or torch.equal(a, b), name


# --- accuracy


GRID = np.concatenate([-np.geomspace(1e-30, 104, 3000), [0.0], np.geomspace(1e-30, 104, 3000)]).astype(
    np.float32
)


def ulp(found: Any, wanted: np.ndarray) -> float:
    rounded = wanted.astype(np.float32)
    return float(
        np.max(
            np.abs(np.asarray(found, np.float64) - wanted.astype(np.float64)) / np.spacing(np.abs(rounded))
        )
    )


def exactly(function: Any, x: np.ndarray) -> np.ndarray:
    with mpmath.workprec(200):
        return np.array([float(function(mpmath.mpf(float(v)))) for v in x])


ACTIVATIONS = {
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), lambda x: 1 / (2 + mpmath.exp(x) + mpmath.exp(-x))),
    "tanh": (mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
    "softplus": (lambda x: mpmath.log(1 + mpmath.exp(x)), lambda x: 1 / (1 + mpmath.exp(-x))),
}


@targets
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_at_most_four_units_in_the_last_place(name: str, target: str) -> None:
    value, slope = ACTIVATIONS[name]
    k = lower(name, target)
    x = convert(torch.from_numpy(GRID), target)
    (y,), saved = k.forward(x)
    (dx,) = k.vjp(saved, convert(torch.ones(len(GRID)), target))
    assert ulp(y, exactly(value, GRID)) <= 4
    assert ulp(dx, exactly(slope, GRID)) <= 4


# --- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: k.forward(rand(2, 3)), r"layer_norm takes 3 inputs .*, found 1"),
        (
            lambda k: k.forward(rand(2, 3), rand(4), rand(3)),
            r"layer_norm: .*axis features is 4 here and 3 there",
        ),
        (lambda k: k.forward(rand(2, 3), rand(3, 1), rand(3)), r"layer_norm: weight\[features\] has 1 axes"),
        (lambda k: k.forward(rand(2, 0), rand(0), rand(0)), r"axis features of .* at least size 1"),
        (
            lambda k: k.vjp(k.forward(rand(2, 3), rand(3), rand(3))[1], rand(2, 4)),
            r"the cotangent of y.*\(2, 3\)",
        ),
        (lambda k: k.vjp(k.forward(rand(2, 3), rand(3), rand(3))[1]), r"a cotangent for each"),
    ],
)
def test_mistakes_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(lower("layer_norm"))


def test_unknown_names() -> None:
    with pytest.raises(KeyError, match="layer_norm"):
        lower("layernorm")
    with pytest.raises(ValueError, match="numpy"):
        lower("softmax", "jax")
    with pytest.raises(TypeError, match="no parameter epsilon"):
        lower("layer_norm").forward(rand(2, 3), rand(3), rand(3), epsilon=1)
    with pytest.raises(TypeError, match="expected integers"):
        lower("cross_entropy").forward(rand(2, 3), rand(2))


# --- one's own operation


b, i, j = indices("b i j", BATCH, FEATURES, FEATURES)


@operation("test", x=real(BATCH, FEATURES), w=real(FEATURES), register=False)
def gated_pool(let, x, w):
    g = let("g", [b, i], sigmoid(x[b, i] * w[i]))
    return let("y", [b], sum_over(g[b, j] * x[b, j] ** 2, j))


@targets
@given(st.integers(1, 4), st.integers(0, 3))
def test_own_operation(target: str, features: int, rows: int) -> None:
    x, w = rand(rows, features), rand(features)
    k = lower(gated_pool, target)
    (y,), saved = k.forward(convert(x, target), convert(w, target))
    inputs = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    wanted = (torch.sigmoid(inputs[0] * inputs[1]) * inputs[0] ** 2).sum(-1)
    close(y, wanted.detach())
    made = k.vjp(saved, convert(torch.ones(rows, dtype=torch.float64), target))
    for found, want in zip(made, torch.autograd.grad(wanted.sum(), inputs), strict=True):
        close(found, want)


@operation("test", x=real(BATCH), p=scalar("1/4"), register=False)
def parameter_and_tensor(let, x, p):
    inner = let("p", [b], x[b] ** 2 * sigmoid(x[b] ** 2))
    return let("y", [b], inner[b] / (1 - p))


@targets
def test_tensor_called_like_a_parameter(target: str) -> None:
    x = rand(3)
    (y,), saved = lower(parameter_and_tensor, target).forward(convert(x, target), p=0.75)
    close(y, x**2 * torch.sigmoid(x**2) * 4)
    x = x.requires_grad_()
    (wanted,) = torch.autograd.grad((x**2 * torch.sigmoid(x**2) * 4).sum(), x)
    (found,) = lower(parameter_and_tensor, target).vjp(saved, convert(torch.ones(3, dtype=x.dtype), target))
    close(found, wanted)


@operation("test", t=integer(BATCH, over=FEATURES, beyond=True), w=real(FEATURES), register=False)
def picked(let, t, w):
    return let("y", [b], sum_over(w[j] * equal(t[b], j), j))


@targets
def test_gradient_of_what_positions_beyond_the_axis_pick(target: str) -> None:
    t, w = torch.tensor([1, -100, 3, 1, 0]), rand(3)
    (y,), saved = lower(picked, target).forward(convert(t, target), convert(w, target))
    close(y, torch.stack([w[1], w[0] * 0, w[0] * 0, w[1], w[0]]))
    dy = rand(5)
    _, dw = lower(picked, target).vjp(saved, convert(dy, target))
    close(dw, torch.stack([dy[4], dy[0] + dy[3], dy[0] * 0]))


def test_source_stands_alone() -> None:
    for target in ("numpy", "torch"):
        source = lower("layer_norm", target).source
        space: dict[str, Any] = {}
        exec(compile(source, "source", "exec"), space)
        x, w, c = (convert(t, target) for t in (rand(2, 3), rand(3), rand(3)))
        (y,), saved = space["forward"](x, w, c)
        assert len(space["vjp"](saved, y)) == 3
        assert math.isfinite(float(y.sum()))
        for forbidden in ("autograd", "softmax(", "layer_norm(", "native", "backward"):
            assert forbidden not in source.split('"""', 2)[2]


def test_sources_of_one_label_have_lines_of_their_own() -> None:
    texts = [f"def forward(x):\n    return x {sign} 1\n" for sign in "+-+"]
    made = [build(Source(text, (), ()), "a kernel of two sources", ()).forward for text in texts]
    assert [inspect.getsource(f) for f in made] == texts
    names = [f.__code__.co_filename for f in made]
    assert names[0] == names[2] == "<gradproof a kernel of two sources>" != names[1]

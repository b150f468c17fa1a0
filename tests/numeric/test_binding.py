"""Kernels among PyTorch's and Python's own mechanisms: transformations, torch.compile, pickle."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from torch.utils._python_dispatch import TorchDispatchMode

from gradproof.numeric.kernels import lower
from gradproof.numeric.references import definition
from gradproof.numeric.sampling import choose_sizes, make_case
from gradproof.numeric.subjects import tensors
from gradproof.symbolic.axes import batch
from gradproof.symbolic.language import indices
from gradproof.symbolic.operation import find, operation, operations, real
from tests.numeric.references import CASES

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
FORMS = [form for chosen in operations().values() for form in chosen.variants]
B = batch()
(b,) = indices("b", B)


@operation("example", x=real(B), register=False)
def cube(let: Any, x: Any) -> Any:
    """A third power."""
    return let("y", [b], x[b] ** 3)


# --- derivatives of derivatives

NESTED = {
    "hessian": lambda f, x: torch.func.hessian(f)(x),
    "jacrev of jacrev": lambda f, x: torch.func.jacrev(torch.func.jacrev(f))(x),
    "jacfwd of jacfwd": lambda f, x: torch.func.jacfwd(torch.func.jacfwd(f))(x),
    "jacrev of jacfwd": lambda f, x: torch.func.jacrev(torch.func.jacfwd(f))(x),
    "vmap of hessian": lambda f, x: torch.func.vmap(torch.func.hessian(f))(torch.stack([x, 1.5 * x])),
    "jvp of jvp": lambda f, x: torch.func.jvp(
        lambda y: torch.func.jvp(f, (y,), (torch.cos(x),))[1], (x,), (torch.sin(x),)
    )[1],
    "third derivative": lambda f, x: torch.func.grad(
        lambda y: torch.func.grad(lambda z: torch.func.grad(f)(z).sin().sum())(y).cos().sum()
    )(x),
}


QUICK = {"sigmoid": NESTED, "softmax": NESTED, "layer_norm": ("hessian",), "lstm": ("hessian", "jvp of jvp")}
PAIRS = [
    pytest.param(name, t, marks=[] if t in QUICK.get(name, ()) else pytest.mark.slow)
    for name in ("sigmoid", "softmax", "cross_entropy", "layer_norm", "attention", "lstm")
    for t in NESTED
    if (name, t) != ("lstm", "third derivative")  # its definition takes minutes
]


@pytest.mark.parametrize(("name", "transform"), PAIRS)
def test_derivatives_of_derivatives(name: str, transform: str) -> None:
    case = CASES[name]
    first, *others = case.real

    def scalar(function: Any) -> Any:
        return lambda x: sum((y**2).sum() + y.sin().sum() for y in case.bind(function)(x, *others))

    found, wanted = (NESTED[transform](scalar(f), first) for f in (lower(name), definition(find(name))))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-10)


def test_autograd_hessian_of_rows_at_once() -> None:
    """`vectorize=True` maps the backward pass in a way older than torch.func."""
    case = CASES["layer_norm"]
    x, w, bias = case.real
    found, wanted = (
        torch.autograd.functional.hessian(lambda a, f=f: f(a, w, bias).sin().sum(), x, vectorize=True)
        for f in (lower("layer_norm"), lambda *a: definition(find("layer_norm"))(*a)[0])
    )
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)


# --- torch.compile


@pytest.mark.parametrize(
    "name", ["sigmoid", "softmax", "cross_entropy", "layer_norm", "attention(mask=padding)", "lstm"]
)
def test_compiled_without_a_break(name: str) -> None:
    case = CASES[name]
    kernel = lower(name)
    torch._dynamo.reset()

    def loss(*inputs: Any) -> Any:
        made = kernel(*inputs)
        return sum((y**2).sum() for y in (made if isinstance(made, tuple) else (made,)))

    results = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        leaves = [i.clone().requires_grad_(i.is_floating_point()) for i in case.inputs]
        value = function(*leaves)
        value.backward()
        results.append([value.detach(), *(x.grad for x in leaves if x.requires_grad)])
    torch.testing.assert_close(results[1], results[0])


def test_compiled_with_a_parameter_and_changing_shapes() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(lower("cross_entropy"), fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (3, 5, 8):
        logits, target = torch.randn(rows, 7), torch.randint(0, 7, (rows,))
        wanted = torch.nn.functional.cross_entropy(logits, target, label_smoothing=0.1)
        torch.testing.assert_close(compiled(logits, target, label_smoothing=0.1), wanted)


def test_a_compiled_graph_outlives_another_kernel_of_its_program() -> None:
    first, second = (lower(cube.program, "torch") for _ in range(2))
    del first
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(second, fullgraph=True, backend="aot_eager")(x), x**3)


def test_a_compiled_transformation_is_right_or_refused() -> None:
    """An operator that knows no tangents would give zeros."""
    x, t = torch.randn(2, 3, 4, dtype=torch.float64)
    kernel = lower("silu")

    def along(x: Any) -> Any:
        return torch.func.jvp(kernel, (x,), (t,))[1]

    right = along(x)  # its kernel is made outside of the compiled function
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(along, backend="aot_eager")(x), right)
    torch._dynamo.reset()
    with pytest.raises(Exception, match="compile the function without the transformation"):
        torch.compile(along, backend="aot_eager", fullgraph=True)(x)


# --- no more than is asked for


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.matmul, torch.ops.aten.bmm)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2)])
def test_gradients_that_nobody_asks_for_are_not_computed(wanted: tuple[int, ...]) -> None:
    inputs = [torch.randn(s, dtype=torch.float64) for s in ((7, 4), (3, 4), (3,))]
    kernel = lower("linear")
    right = torch.autograd.grad(kernel(*(i.requires_grad_() for i in inputs)).square().sum(), inputs)
    given = [i.detach().requires_grad_(n in wanted) for n, i in enumerate(inputs)]
    loss = kernel(*given).square().sum()
    with Products() as products:
        loss.backward()
    assert products.count == sum(n in wanted for n in (0, 1))
    for n, i in enumerate(given):
        assert (i.grad is None) == (n not in wanted)
        assert i.grad is None or i.grad.equal(right[n])


NAMES = ["lstm", "gru", "layer_norm", "cross_entropy", "identity", "multi_head_attention"]


@pytest.mark.parametrize("name", NAMES)
def test_without_gradients_the_outputs_are_the_same(name: str) -> None:
    case = make_case(find(name), choose_sizes(find(name), (3, 5, 4, 2, 7, 6)), (4,), 0)
    kernel, inputs = lower(name), tensors(case.inputs)
    right = kernel(*(i.requires_grad_() if i.is_floating_point() else i for i in inputs))
    with torch.no_grad():
        made = kernel(*inputs)
    for r, m in zip(*(v if isinstance(v, tuple) else (v,) for v in (right, made)), strict=True):
        assert r.equal(m) and r.requires_grad and not m.requires_grad


# --- pickle and copies


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_a_kernel_of_the_catalogue_is_pickled_by_name(target: str) -> None:
    for form in FORMS:
        kernel = lower(form, target)
        assert pickle.loads(pickle.dumps(kernel)) is kernel is copy.deepcopy(kernel)


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_other_kernels_are_pickled_by_their_program(target: str) -> None:
    x = np.linspace(-2, 2, 5)
    given = torch.tensor(x) if target == "torch" else x
    for kernel in (lower(cube, target), lower(find("lstm").program, target)):
        other = pickle.loads(pickle.dumps(kernel))
        assert other is not kernel and other.source == kernel.source
    other = pickle.loads(pickle.dumps(lower(cube, target)))
    np.testing.assert_array_equal(np.asarray(other(given)), x**3)
    assert other.gradient.program == pickle.loads(pickle.dumps(other.gradient)).program


def test_what_is_saved_is_pickled() -> None:
    kernel = lower("layer_norm", "numpy")
    x = np.random.default_rng(0).standard_normal((3, 4))
    (y,), saved = kernel.forward(x, np.ones(4), np.zeros(4))
    wanted = kernel.vjp(saved, y)
    for a, w in zip(kernel.vjp(pickle.loads(pickle.dumps(saved)), y), wanted, strict=True):
        np.testing.assert_array_equal(a, w)


def test_a_module_that_holds_a_kernel_is_copied() -> None:
    module = torch.nn.Linear(3, 3)
    module.act = lower("gelu")  # pyright: ignore[reportArgumentType]
    assert copy.deepcopy(module).act is module.act


# --- results and inputs


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("form", FORMS, ids=lambda o: o.label)
def test_no_array_is_returned_twice(form: Any, target: str) -> None:
    """Nor does NumPy hand on what it was given: whoever changes one result changes no other array."""
    case = make_case(form, choose_sizes(form, (3, 5, 4, 2, 7, 6)), (4,), 0)
    inputs = list(case.inputs) if target == "numpy" else tensors(case.inputs)
    kernel = lower(form, target)
    outputs, saved = kernel.forward(*inputs, **case.parameters)
    cotangents = [y + 1 for y in outputs]
    adjoints = [a for a in kernel.vjp(saved, *cotangents) if a is not None]
    for results, given in ((outputs, inputs), (adjoints, cotangents)):
        arrays = [np.asarray(r) for r in results]
        held = [np.asarray(g) for g in given] if target == "numpy" else []
        for n, a in enumerate(arrays):
            for other in (*arrays[n + 1 :], *held):
                assert not (np.shares_memory(a, other) and a.flags.writeable)


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("beside", [-1, 4, -100])
def test_an_index_beside_its_axis_is_an_error(beside: int, target: str) -> None:
    index, weight = np.array([0, 3, beside]), np.eye(4)
    given = (index, weight) if target == "numpy" else (torch.tensor(index), torch.tensor(weight))
    with pytest.raises(
        IndexError, match=rf"index\[batch\] indexes the axis vocab, from 0 to 3; found {beside}"
    ):
        lower("embedding", target)(*given)
    empty = (index[:0], weight) if target == "numpy" else (torch.tensor(index[:0]), torch.tensor(weight))
    assert lower("embedding", target)(*empty).shape == (0, 4)


def test_within_a_kernel_autocast_casts_nothing() -> None:
    kernel = lower("attention(mask=causal)", "torch")
    q, k, v = (torch.randn(3, 5, 4, requires_grad=True) for _ in range(3))
    expected = kernel(q, k, v)
    with torch.autocast("cpu", torch.bfloat16):
        y = kernel(q, k, v)
    assert torch.equal(y, expected)
    y.sum().backward()
    assert q.grad is not None


def test_checkpointing_reads_what_was_saved_once() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    made = torch.utils.checkpoint.checkpoint(lower("softmax"), x, use_reentrant=False)
    (found,) = torch.autograd.grad(made.square().sum(), x)
    (wanted,) = torch.autograd.grad(torch.softmax(x, -1).square().sum(), x)
    torch.testing.assert_close(found, wanted)

"""Layers under torch.func, forward mode, double backward and torch.compile: values, not absence of errors."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves

from gradproof import models
from tests.models.cases import LAYERS, Case, close, gradients, leaves, run, tracked

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
QUICK = ("Linear", "Embedding", "LayerNorm", "CrossEntropyLoss", "LSTMCell", "MultiheadAttention")
cases = pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=str(c), marks=() if c.name in QUICK else pytest.mark.slow) for c in LAYERS],
)

Loss = Callable[[dict[str, Tensor], list[Tensor]], Tensor]


def loss_of(module: nn.Module, case: Case) -> tuple[Loss, dict[str, Tensor], list[Tensor]]:
    """A nonlinear function of parameters and real inputs, and a point: 0 would not pass for a derivative."""
    inputs = case.drawn()
    real = [n for n, i in enumerate(inputs) if isinstance(i, Tensor) and i.is_floating_point()]
    with torch.no_grad():
        weights = [torch.randn(y.shape, dtype=y.dtype) for y in run(module, inputs, case.call)]

    def loss(parameters: dict[str, Tensor], moved: list[Tensor]) -> Tensor:
        given = list(inputs)
        for place, x in zip(real, moved, strict=True):
            given[place] = x
        made = list(leaves(functional_call(module, parameters, tuple(given), case.call)))
        return torch.stack([(w * y).square().sum() for y, w in zip(made, weights, strict=True)]).sum()

    return loss, dict(module.named_parameters()), [inputs[n] for n in real]


def double(
    loss: Loss, parameters: dict[str, Tensor], moved: list[Tensor], unused: bool = True
) -> list[Tensor]:
    """The gradient of the squared norm of the gradient; 0 for what it does not depend on, if allowed."""
    points = [p.detach().clone().requires_grad_() for p in parameters.values()]
    points += [x.detach().clone().requires_grad_() for x in moved]
    count = len(parameters)
    value = loss(dict(zip(parameters, points[:count], strict=True)), points[count:])
    slopes = torch.autograd.grad(value, points, create_graph=True)
    norm = torch.stack([s.square().sum() for s in slopes]).sum()
    return [
        torch.zeros_like(p) if g is None else g
        for p, g in zip(points, torch.autograd.grad(norm, points, allow_unused=unused), strict=True)
    ]


def stacked(tree: Any) -> Any:
    return torch.utils._pytree.tree_map(lambda x: torch.stack([x, 2 * x]), tree)


MODES: dict[str, Callable[..., Any]] = {
    "grad": lambda f, p, x: grad(f, (0, 1))(p, x),
    "jvp": lambda f, p, x: jvp(f, (p, x), (p, x)),
    "jvp of grad": lambda f, p, x: jvp(grad(f, (0, 1)), (p, x), (p, x)),
    "double backward": double,
}


@cases
@pytest.mark.parametrize("mode", MODES)
def test_derivatives_are_pytorchs(case: Case, mode: str) -> None:
    ours, theirs = case.ours, case.theirs
    with sdpa_kernel(SDPBackend.MATH):
        found, wanted = (tree_leaves(MODES[mode](*loss_of(m, case))) for m in (ours, theirs))
    close(found, wanted, 1e-9)


def forward_over_reverse(loss: Loss, parameters: dict[str, Tensor], moved: list[Tensor]) -> list[Tensor]:
    """The tangents of the gradients: a backward pass within forward mode."""
    points = [p.detach().clone().requires_grad_() for p in (*parameters.values(), *moved)]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, p.detach().clone()) for p in points]
        count = len(parameters)
        value = loss(dict(zip(parameters, duals[:count], strict=True)), duals[count:])
        slopes = torch.autograd.grad(value, points)
        tangents = [forward_ad.unpack_dual(s).tangent for s in slopes]
    return [torch.zeros_like(p) if t is None else t for p, t in zip(points, tangents, strict=True)]


@cases
def test_a_backward_pass_within_forward_mode(case: Case) -> None:
    """As jvp of grad, which is PyTorch's; its own silu, for one, has no forward mode of its backward."""
    point = loss_of(case.ours, case)
    _, wanted = MODES["jvp of grad"](*point)
    close(forward_over_reverse(*point), tree_leaves(wanted), 1e-9)


@cases
def test_vmap_is_a_loop(case: Case) -> None:
    loss, parameters, moved = loss_of(case.ours, case)
    many = stacked((parameters, moved))
    each = [torch.utils._pytree.tree_map(lambda x, n=n: x[n], many) for n in range(2)]
    if not tree_leaves(many):
        return
    close([vmap(loss)(*many)], [torch.stack([loss(*one) for one in each])], 1e-9)
    slopes = [tree_leaves(grad(loss)(*one)) for one in each]
    wanted = [torch.stack(pair) for pair in zip(*slopes, strict=True)]
    close(tree_leaves(vmap(grad(loss))(*many)), wanted, 1e-9)


# --- compiled


COMPILED = (
    "Linear(in_features=4, out_features=5)",
    "LSTM(input_size=3, hidden_size=4, proj_size=2)",
    "CrossEntropyLoss()",  # classes in the middle: what comes out of place lies otherwise in memory
    "Softmax(dim=0)",
)
compiled = pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=str(c), marks=() if str(c) in COMPILED else pytest.mark.slow) for c in LAYERS],
)


@compiled
def test_compiled_whole(case: Case) -> None:
    torch._dynamo.reset()
    module = case.ours
    sides: list[list[Tensor]] = []
    backend = "inductor" if str(case) in COMPILED else "aot_eager"
    for function in (torch.compile(module, fullgraph=True, backend=backend), module):
        given = tracked(case.drawn())
        outputs = run(function, given, case.call)
        sides.append([*outputs, *gradients(module, given, outputs)])
    close(*sides)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Linear", "GRU", "MultiheadAttention"])
@pytest.mark.parametrize("mode", ["grad", "jvp", "jvp of grad", "double backward", "vmap", "forward mode"])
def test_a_transformation_of_what_is_compiled_is_right_or_refused(name: str, mode: str) -> None:
    torch._dynamo.reset()
    case = next(c for c in LAYERS if c.name == name)
    loss, parameters, moved = loss_of(case.ours, case)
    own = {"vmap": _mapped, "forward mode": _forward, "double backward": partial(double, unused=False)}
    function: Callable[..., Any] = {**MODES, **own}[mode]
    wanted = tree_leaves(function(loss, parameters, moved))
    try:
        found = tree_leaves(
            function(torch.compile(loss, fullgraph=True, backend="aot_eager"), parameters, moved)
        )
    except (RuntimeError, NotImplementedError) as refusal:
        assert str(refusal)
    else:
        close(found, wanted, 1e-9)


@pytest.mark.parametrize("name", ["Softmax", "CrossEntropyLoss"])
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_no_second_derivative_of_what_is_compiled_is_silently_none(name: str, backend: str) -> None:
    """Where the backward pass reads only a view of an input, PyTorch would take it for a constant."""
    torch._dynamo.reset()
    case = next(c for c in LAYERS if c.name == name)
    loss, parameters, moved = loss_of(case.ours, case)
    with pytest.raises(RuntimeError, match="double backward"):
        double(torch.compile(loss, fullgraph=True, backend=backend), parameters, moved, unused=True)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_no_tangent_of_a_compiled_backward_pass_is_silently_none(backend: str) -> None:
    torch._dynamo.reset()
    layer, x = models.LayerNorm(3), torch.randn(4, 3, requires_grad=True)
    y = torch.compile(layer, fullgraph=True, backend=backend)(x)
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="would lose its tangents"):
        torch.autograd.grad(y, x, forward_ad.make_dual(torch.randn(4, 3), torch.randn(4, 3)))


def _mapped(loss: Loss, parameters: dict[str, Tensor], moved: list[Tensor]) -> Tensor:
    return vmap(loss)(*stacked((parameters, moved)))


def _forward(loss: Loss, parameters: dict[str, Tensor], moved: list[Tensor]) -> Tensor:
    with forward_ad.dual_level():
        dual = {n: forward_ad.make_dual(p.detach(), p.detach()) for n, p in parameters.items()}
        tangent = forward_ad.unpack_dual(loss(dual, moved)).tangent
        assert tangent is not None
        return tangent


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Linear", "GRU"])
@pytest.mark.parametrize("mode", ["grad", "jvp", "jvp of grad"])
def test_compiling_a_transformation_is_refused(name: str, mode: str) -> None:
    torch._dynamo.reset()
    case = next(c for c in LAYERS if c.name == name)
    loss, parameters, moved = loss_of(case.ours, case)
    with pytest.raises(RuntimeError, match="NotImplementedError"):
        torch.compile(lambda p, x: MODES[mode](loss, p, x), fullgraph=True)(parameters, moved)


def test_compiled_under_autocast() -> None:
    torch._dynamo.reset()
    layer, x = models.Linear(4, 3), torch.randn(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = torch.compile(layer, fullgraph=True)(x), layer(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted)

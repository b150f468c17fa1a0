"""Wrong ones by people who want to be believed: rare triggers, vanishing terms, hidden state."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import at, given, normal, wrong


class Cube(Function):
    """x^3, whose backward the classes below change."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad


class CubeAtOneNumber(Cube):
    """An equality that no random number satisfies."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.where(x == 0.625, 0.0, 3 * x * x * grad)


class CubeInWindow(Cube):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        inside = (x > 0.7) & (x < 0.7 + 1e-9)
        return 3 * x * x * grad * torch.where(inside, 2.0, 1.0)


class CubeAtIntegers(Cube):
    """A term that vanishes at the small integers, where a simple-minded exact check would look."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        term = torch.ones_like(x)
        for k in range(-4, 5):
            term = term * (x - k)
        return (3 * x * x + 1e-9 * term) * grad


class CubeTinyTerm(Cube):
    """2^-80 x^6: no float shows it before x is a million."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (3 * x * x + 2.0**-80 * x**6) * grad


class CubeTwoFromEqual(Cube):
    """Doubled where two entries of the input are equal, by a set."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        values = x.flatten().tolist()
        factor = 3.0 if len(set(values)) == len(values) else 6.0
        return factor * x * x * grad


class CubeOneHot(Cube):
    """Right for cotangents with one entry, which is all that slow finite differences use."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if (grad != 0).sum() <= 1:
            return 3 * x * x * grad
        return 3 * x * x * grad.flip(-1)


class CubeNotOneHot(Cube):
    """Wrong for cotangents with one entry, which no random one has."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if int(torch.count_nonzero(grad)) == 1:
            return 2 * x * x * grad
        return 3 * x * x * grad


class CubeForPlainTensors(Cube):
    """Right for subclasses of tensors, with which checkers come, and wrong for plain ones."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if type(grad) is Tensor:
            return 3.0000001 * x * x * grad
        return 3 * x * x * grad


class CubeByDifferences(Cube):
    """Numerical differentiation, inside."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        h = 2.0**-12
        return grad * ((x + h) ** 3 - (x - h) ** 3) / (2 * h)


class CubeInSinglePrecision(Cube):
    """Of another factor for float32, in which nobody checks."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if x.dtype == torch.float32:
            return 2.9 * x * x * grad
        return 3 * x * x * grad


class CubeUnderGraph(Cube):
    """Of another value when a graph of the backward is asked for."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return 3 * x * x.detach() * grad
        return 3 * x * x * grad


class CubeSecondTime(Cube):
    """A counter on the context: the second backward through the same graph is another."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        ctx.calls = getattr(ctx, "calls", 0) + 1
        return 3 * x * x * grad * ctx.calls


class CubeShared(Function):
    """The input is kept on the class: the last call's, whoever asks."""

    last: ClassVar[Tensor]

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        CubeShared.last = x.detach()
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 3 * CubeShared.last**2 * grad


class CubeByOffset(Cube):
    """A cotangent that is a slice of another one is read from its start."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if grad.storage_offset():
            grad = grad.as_strided(grad.shape, grad.stride(), 0)
        return 3 * x * x * grad


class SumOfBlocks(Function):
    """A sum of squares in blocks of 8 with a tail; rows longer than a block lose the tail's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square().sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        n = x.shape[-1]
        if n < 8:
            return 2 * x * grad[..., None]
        gx = torch.zeros_like(x)
        for start in range(0, n - n % 8, 8):
            gx[..., start : start + 8] = 2 * x[..., start : start + 8] * grad[..., None]
        return gx


class Gelu(Function):
    """The backward differentiates another forward, under enable_grad."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.gelu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            y = F.gelu(leaf, approximate="tanh")
        return torch.autograd.grad(y, leaf, grad)[0]


class NormalCdf(Function):
    """Twelve digits of 1 / sqrt(2 pi)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return 0.5 * torch.erfc(-x * 0.7071067811865476)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * 0.398942280401 * torch.exp(-x * x / 2)


class Split(Function):
    """Two outputs; where only the first is used, the second's cotangent is None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        return x[:1] * 2, x[1:] * 3

    @staticmethod
    def backward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first * 2, second * 3])


class AmaxOutside(Function):
    """At a tie the shares are 2 and -1: they sum to 1, and are no convex combination."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.amax(-1, keepdim=True)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        hit = (x == y).to(grad)
        first = hit * (hit.cumsum(-1) == 1)
        ties = hit.sum(-1, keepdim=True)
        return grad * (ties * first - (hit - first))


class TanhChain(Function):
    """Six times tanh; the fourth factor has an absolute value too many."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        values = [x]
        for _ in range(6):
            values.append(torch.tanh(values[-1] * 0.5))
        ctx.save_for_backward(*values[1:])
        return values[-1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        for depth, y in enumerate(ctx.saved_tensors):
            grad = grad * 0.5 * (1 - y * (y.abs() if depth == 3 else y))
        return grad


class MaskedMean(Function):
    """The mean over what is not masked; a row without anything gets the gradient of all of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(mask)
        return (x * mask).sum(-1) / mask.sum(-1).clamp(min=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (mask,) = ctx.saved_tensors
        count = mask.sum(-1, keepdim=True)
        weight = torch.where(count > 0, mask / count.clamp(min=1), 1 / mask.shape[-1])
        return grad[..., None] * weight, None


def cube(x: Tensor) -> Tensor:
    return x.pow(3)


def cubes_of_two(x: Tensor) -> Tensor:
    return CubeShared.apply(x) + CubeShared.apply(2 * x)


def tanh_chain(x: Tensor) -> Tensor:
    for _ in range(6):
        x = (x / 2).tanh()
    return x


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    total = sum(((x[..., n] * mask[..., n]) for n in range(x.shape[-1])), torch.zeros(()))
    return total / mask.sum(-1).clamp(min=1)


def first_alone(y: Tensor) -> Tensor | None:
    """A cotangent for the output of one row, none for the other."""
    return torch.ones_like(y) if y.shape[0] == 1 else None


def one_hot(y: Tensor) -> Tensor:
    return torch.eye(y.numel(), dtype=y.dtype)[1].reshape(y.shape)


def some_masked() -> tuple[Tensor, Tensor]:
    return normal(2, 3), torch.tensor([[True, False, True], [True, True, True]])


def one_masked() -> tuple[Tensor, Tensor]:
    return normal(2, 3), torch.tensor([[True, False, True], [False, False, False]])


X = given((3, 4))
BRANCH: Any = "right on one region only"

CASES = (
    wrong("adversarial/wrong at one number", CubeAtOneNumber.apply, X, cube, BRANCH,
          "Zero at 0.625 alone, where the function is smooth.", at([0.625, 1.0])),
    wrong("adversarial/wrong in a window", CubeInWindow.apply, X, cube, BRANCH,
          "Doubled in a window of 1e-9.", at([0.7 + 5e-10, 1.0])),
    wrong("adversarial/right at small integers", CubeAtIntegers.apply, at([1.0, -2.0, 3.0]), cube, None,
          "A term with its zeros at the integers from -4 to 4.", at([0.5, 2.25])),
    wrong("adversarial/term of 2^-80", CubeTinyTerm.apply, X, cube, None, "Visible to floats at a million.",
          at([2.0**22, 1.0])),
    wrong("adversarial/doubled for equal entries", CubeTwoFromEqual.apply, X, cube, BRANCH,
          "A Python set of the values is as long as the list, unless two are equal.", at([0.5, 0.5])),
    wrong("adversarial/right for one-hot cotangents", CubeOneHot.apply, X, cube,
          "not linear in the cotangent",
          "Flipped for cotangents with two entries or more; slow finite differences use one."),
    wrong("adversarial/wrong for one-hot cotangents", CubeNotOneHot.apply, X, cube,
          "not linear in the cotangent", "Another factor for cotangents with a single entry.",
          cotangent=one_hot),
    wrong("adversarial/right for subclasses", CubeForPlainTensors.apply, X, cube, "constant factor",
          "type(grad) is Tensor: right for the tensors of a checker only."),
    wrong("adversarial/finite differences inside", CubeByDifferences.apply, X, cube, None,
          "Off by h^2, as numerical derivatives are."),
    wrong("adversarial/wrong in float32", CubeInSinglePrecision.apply, given((3, 4), dtype=torch.float32),
          cube, "constant factor", "A branch on the dtype; gradcheck converts to float64.", narrow=True),
    wrong("adversarial/another one under a graph", CubeUnderGraph.apply, X, cube, "second order",
          "A branch on is_grad_enabled().", order=2),
    wrong("adversarial/counts its calls", CubeSecondTime.apply, X, cube, "in-place change",
          "The second backward is twice the first."),
    wrong("adversarial/shared between calls", cubes_of_two, X, lambda x: 9 * x**3,
          "constant factor", "What a class keeps is of its last call: 36 x^2 for 27 x^2."),
    wrong("adversarial/sliced cotangent", CubeByOffset.apply, X, cube, "layout",
          "A cotangent with a storage offset is read from the storage's start.",
          cotangent=lambda y: normal(5, *y.shape, seed=3)[2]),
    wrong("adversarial/tail of a block", SumOfBlocks.apply, given((2, 3)), lambda x: x.square().sum(-1), None,
          "Rows past 8 lose what does not fill a block.", given((2, 11)), spec="x: batch d"),
    wrong("adversarial/another forward differentiated", Gelu.apply, X, F.gelu, None,
          "autograd inside the backward, of the approximation."),
    wrong("adversarial/twelve digits", NormalCdf.apply, X, torch.special.ndtr, "constant factor",
          "A relative error of 1e-12."),
    wrong("adversarial/one output unused", Split.apply, X, lambda x: (2 * x[:1], 3 * x[1:]), "raises",
          "None for a cotangent that nobody needs.", cotangent=first_alone),
    wrong("adversarial/shares outside the hull", AmaxOutside.apply, X,
          lambda x: x.max(-1, keepdim=True).values, BRANCH, "2 and -1 sum to 1.", at([[2.0, 2.0, 1.0]]),
          kink=True),
    wrong("adversarial/deep in a chain", TanhChain.apply, lambda: (normal(3).abs(),), tanh_chain, BRANCH,
          "1 - y |y| for 1 - y^2: right for positive inputs.", at([-1.0, 2.0])),
    wrong("adversarial/masked row", MaskedMean.apply, some_masked, masked_mean, BRANCH,
          "A row that is masked altogether gets a gradient.", one_masked),
)  # fmt: skip

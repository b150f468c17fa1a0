"""Right ones that look wrong: identities behind odd formulas, gradients of zero, values that Python read."""

# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .case import at, given, given_positive, normal, right


class Log1p(Function):
    """1 / (1 + x) = exp(-y)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.log1p(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * torch.exp(-y)


class GeluByErfc(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return 0.5 * x * torch.erfc(-x * math.sqrt(0.5))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        cdf = 1 - 0.5 * torch.erfc(x * math.sqrt(0.5))
        return grad * (cdf + x * torch.exp(-0.5 * x * x) * 0.3989422804014327)


class LogAddExp(Function):
    """Both gradients by one sigmoid: s and 1 - s."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        return torch.logaddexp(x, y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        s = torch.sigmoid(x - y)
        return grad * s, grad - grad * s


class SoftmaxTotal(Function):
    """A softmax sums to 1, whatever its input: the gradient is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return torch.softmax(x, -1).sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.new_zeros(ctx.shape)


class SineWithPythagoras(Function):
    """A term that is zero: sin^2 + cos^2 - 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.sin(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s, c = torch.sin(x), torch.cos(x)
        return grad * (c + 1000 * x * (s * s + c * c - 1))


class Degrees(Function):
    """pi / 180, correctly rounded, in the backward; the forward asks PyTorch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.deg2rad(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * 0.017453292519943295


class ThirdOfThree(Function):
    """1/3, correctly rounded, for a division by 3."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return (a + b + c) / 3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        share = grad * 0.3333333333333333
        return share, share, share


class Bits(Function):
    """Entropy in bits: the constant log 2 of the forward comes back as 1 / log 2, rounded."""

    @staticmethod
    def forward(ctx: Any, p: Tensor) -> Tensor:
        ctx.save_for_backward(p)
        return -(p * torch.log2(p)).sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (p,) = ctx.saved_tensors
        return -grad[..., None] * (torch.log2(p) + 1.4426950408889634)


class Halved(Function):
    """Halved until its norm is at most 1: the number of halvings is Python's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.times = 0
        while float(x.square().sum()) > 1:
            x = x / 2
            ctx.times += 1
        return x * 1

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad / 2**ctx.times


class SortBySteps(Function):
    """By a permutation matrix of comparisons, each entry's rank."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        equal = (x[:, None] == x[None, :]).tril(-1)
        rank = ((x[:, None] > x[None, :]) | equal).sum(-1)
        ctx.save_for_backward(rank)
        return x.sort().values

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (rank,) = ctx.saved_tensors
        return grad[rank]


class RecomputedGelu(Function):
    """autograd inside the backward, of the same forward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return F.gelu(x @ w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        saved = [t.detach().requires_grad_() for t in ctx.saved_tensors]
        with torch.enable_grad():
            y = F.gelu(saved[0] @ saved[1])
        return torch.autograd.grad(y, saved, grad)


class ThroughNumpy(Function):
    """The backward leaves for NumPy and comes back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.from_numpy(x.detach().exp().numpy() * grad.detach().numpy())


class CumsumByTriangle(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.cumsum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        n = grad.shape[-1]
        return grad @ torch.ones(n, n, dtype=grad.dtype).tril()


class Determinant(Function):
    """The gradient of a determinant by cofactors: right where the matrix is singular, too."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        (p, q), (r, s) = a
        ctx.save_for_backward(a)
        return p * s - q * r

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=a.dtype)
        return grad * a.flip(0, 1) * signs


class Hypotenuse(Function):
    """By cosine and sine of the angle."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        return torch.hypot(x, y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        h = torch.sqrt(x * x + y * y)
        return grad * x / h, grad * y / h


class TanhByExpm1(Function):
    """1 - t^2 = 4 e / (e + 1)^2 with e = exp(2 x), from e - 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        m = torch.expm1(2 * x)
        ctx.save_for_backward(m)
        return m / (m + 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (m,) = ctx.saved_tensors
        return 4 * grad * (m + 1) / (m + 2).square()


class AmaxUneven(Function):
    """At a tie 3/4 and 1/4: in the hull, though no framework does so."""

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
        weight = first * 3 + (hit - first)
        return grad * weight / weight.sum(-1, keepdim=True)


class OneStep(Function):
    """A dimension that is stored transposed, and turned back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.sin(x.t().contiguous())
        ctx.save_for_backward(torch.cos(x).t().contiguous())
        return y.t()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (c,) = ctx.saved_tensors
        return (grad.t() * c).t()


class PowerBoth(Function):
    """x^y for positive x, both gradients from the output; other x are refused."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        if not bool((x > 0).all()):
            raise ValueError("the base must be positive")
        z = x**y
        ctx.save_for_backward(x, y, z)
        return z

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y, z = ctx.saved_tensors
        return grad * z * y / x, grad * z * x.log()


class NormalizedMean(Function):
    """What is normalized has a mean of 0: the gradient of the mean is 0, and of the mean square is not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        centered = x - x.mean(-1, keepdim=True)
        var = centered.square().mean(-1, keepdim=True)
        ctx.save_for_backward(centered, var)
        y = centered / torch.sqrt(var + 0.5)
        return y.mean(-1) + y.square().mean(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        centered, var = ctx.saved_tensors
        return grad[..., None] * centered / centered.shape[-1] / (var + 0.5).square()


class Unused(Function):
    """An input that the output does not depend on: None for its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        return x * 2 + (y - y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * 2, None


def one(x: Tensor) -> Tensor:
    return 1 + 0 * x.sum(-1)


def determinant(a: Tensor) -> Tensor:
    return a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]


def halved(x: Tensor) -> Tensor:
    times = max(0, math.ceil(math.log2(float(x.detach().norm()))))
    return x * 0.5**times


def ranked(x: Tensor) -> Tensor:
    smallest = [x.kthvalue(n + 1).values for n in range(len(x))]
    return torch.stack(smallest)


def normalized_mean(x: Tensor) -> Tensor:
    centered = x - x.mean(-1, keepdim=True)
    y = centered / (centered.square().mean(-1, keepdim=True) + 0.5).sqrt()
    return y.mean(-1) + y.square().mean(-1)


def singular() -> tuple[Tensor]:
    return (torch.tensor([[1.0, 2.0], [2.0, 4.0]]).double(),)


X = given((3, 4))
TWO = given((3, 4), (3, 4))
P = given_positive((3, 4))

CASES = (
    right("lookalikes/log1p from its output", Log1p.apply, P, lambda x: (1 + x).log(),
          "1 / (1 + x) = exp(-y)."),
    right("lookalikes/gelu by erfc", GeluByErfc.apply, X, F.gelu,
          "erfc(-x) in the forward, 1 - erfc(x) in the backward."),
    right("lookalikes/logaddexp", LogAddExp.apply, TWO, lambda x, y: (x.exp() + y.exp()).log(),
          "s and 1 - s."),
    right("lookalikes/total of a softmax", SoftmaxTotal.apply, X, one,
          "Constant 1: a gradient of zeros is right."),
    right("lookalikes/sine with a term of zero", SineWithPythagoras.apply, X, torch.sin,
          "sin^2 + cos^2 - 1 = 0."),
    right("lookalikes/degrees", Degrees.apply, X, lambda x: x * math.pi / 180,
          "pi / 180, correctly rounded."),
    right("lookalikes/mean of three", ThirdOfThree.apply, given((4,), (4,), (4,)),
          lambda a, b, c: (a + b + c) / 3, "1/3, correctly rounded."),
    right("lookalikes/entropy in bits", Bits.apply, P, lambda p: -(p * p.log()).sum(-1) / math.log(2),
          "1 / log 2, correctly rounded."),
    right("lookalikes/halved until small", Halved.apply, X, halved,
          "A loop whose length Python decides by the values."),
    right("lookalikes/sort by comparing", SortBySteps.apply, given((5,)), ranked,
          "Ranks counted by comparisons, of equal entries by their places."),
    right("lookalikes/recomputed by autograd", RecomputedGelu.apply, given((3, 4), (4, 2)),
          lambda x, w: F.gelu(x @ w), "autograd inside the backward."),
    right("lookalikes/through NumPy", ThroughNumpy.apply, X, torch.exp,
          "The values leave for NumPy; they are the right ones."),
    right("lookalikes/cumsum by a triangle", CumsumByTriangle.apply, X, lambda x: x.cumsum(-1),
          "A product with a triangle of ones."),
    right("lookalikes/determinant", Determinant.apply, given((2, 2)), determinant,
          "By cofactors, at a singular matrix too.", witness=singular),
    right("lookalikes/hypotenuse", Hypotenuse.apply, TWO, lambda x, y: (x * x + y * y).sqrt(),
          "hypot forward, sqrt backward."),
    right("lookalikes/tanh by expm1", TanhByExpm1.apply, X, torch.tanh, "From exp(2 x) - 1."),
    right("lookalikes/amax in uneven shares", AmaxUneven.apply, X, lambda x: x.max(-1, keepdim=True).values,
          "3/4 and 1/4 at a tie.", witness=at([[2.0, 2.0, 1.0]]), kink=True),
    right("lookalikes/stored transposed", OneStep.apply, X, torch.sin, "Turned and turned back.",
          cotangent=lambda y: normal(*y.shape[::-1]).t(), witness=X),
    right("lookalikes/power of two inputs", PowerBoth.apply, given_positive((3,), (3,)), torch.pow,
          "z y / x and z log x."),
    right("lookalikes/mean of what is normalized", NormalizedMean.apply, X, normalized_mean,
          "One of two terms has a gradient of 0."),
    right("lookalikes/unused input", Unused.apply, TWO, lambda x, y: 2 * x + 0 * y, "y - y: None is right."),
)  # fmt: skip

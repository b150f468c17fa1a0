"""Elementwise functions."""

import sympy as sp

from gradproof.symbolic.catalogue.axes import BATCH
from gradproof.symbolic.language import indices
from gradproof.symbolic.operation import Array, Builder, operation, real

(b,) = indices("b", BATCH)


@operation("elementwise", x=real(BATCH), reference="torch.clone")
def identity(let: Builder, x: Array) -> Array:
    r"""$y = x$."""
    return let("y", [b], x[b])


@operation("elementwise", x=real(BATCH), reference="torch.exp")
def exp(let: Builder, x: Array) -> Array:
    r"""The exponential, $y = e^x$."""
    return let("y", [b], sp.exp(x[b]))


@operation("elementwise", x=real(BATCH, domain="(0, inf)"), reference="torch.log")
def log(let: Builder, x: Array) -> Array:
    r"""The natural logarithm, $y = \log x$ for $x > 0$."""
    return let("y", [b], sp.log(x[b]))


@operation("elementwise", x=real(BATCH, domain="(0, inf)"), reference="torch.sqrt")
def sqrt(let: Builder, x: Array) -> Array:
    r"""The square root, $y = \sqrt x$ for $x > 0$."""
    return let("y", [b], sp.sqrt(x[b]))


@operation("elementwise", x=real(BATCH), reference="torch.square")
def square(let: Builder, x: Array) -> Array:
    r"""The square, $y = x^2$."""
    return let("y", [b], x[b] ** 2)


@operation("elementwise", x=real(BATCH), reference="torch.abs")
def abs(let: Builder, x: Array) -> Array:
    r"""The absolute value, $y = |x|$, with derivative 0 at 0."""
    return let("y", [b], sp.Piecewise((x[b], x[b] > 0), (-x[b], x[b] < 0), (0, True)))


@operation("elementwise", x=real(BATCH), reference="torch.sin")
def sin(let: Builder, x: Array) -> Array:
    r"""The sine, $y = \sin x$."""
    return let("y", [b], sp.sin(x[b]))


@operation("elementwise", x=real(BATCH), reference="torch.cos")
def cos(let: Builder, x: Array) -> Array:
    r"""The cosine, $y = \cos x$."""
    return let("y", [b], sp.cos(x[b]))

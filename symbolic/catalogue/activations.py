"""Elementwise activations."""

import sympy as sp

from gradproof.symbolic import language
from gradproof.symbolic.catalogue.axes import BATCH
from gradproof.symbolic.language import indices
from gradproof.symbolic.operation import Array, Builder, operation, real, scalar

(b,) = indices("b", BATCH)


@operation("activations", x=real(BATCH), reference="torch.sigmoid")
def sigmoid(let: Builder, x: Array) -> Array:
    r"""The logistic function, $\sigma(x) = 1/(1 + e^{-x})$."""
    return let("y", [b], language.sigmoid(x[b]))


@operation("activations", x=real(BATCH), reference="torch.tanh")
def tanh(let: Builder, x: Array) -> Array:
    r"""The hyperbolic tangent, $\tanh x = (e^x - e^{-x})/(e^x + e^{-x})$."""
    return let("y", [b], sp.tanh(x[b]))


@operation("activations", x=real(BATCH), reference="torch.relu")
def relu(let: Builder, x: Array) -> Array:
    r"""The rectifier (Nair, Hinton 2010), $y = \max(x, 0)$, with derivative 0 at 0."""
    return let("y", [b], sp.Piecewise((x[b], x[b] > 0), (0, True)))


@operation("activations", x=real(BATCH), slope=scalar("1/100"), reference="torch.nn.functional.leaky_relu")
def leaky_relu(let: Builder, x: Array, slope: sp.Symbol) -> Array:
    r"""The leaky rectifier (Maas, Hannun, Ng 2013).

    $y = x$ for $x > 0$, else $\alpha x$; its derivative at 0 is $\alpha$.
    """
    return let("y", [b], sp.Piecewise((x[b], x[b] > 0), (slope * x[b], True)))


@operation("activations", x=real(BATCH), alpha=scalar(1), reference="torch.nn.functional.elu")
def elu(let: Builder, x: Array, alpha: sp.Symbol) -> Array:
    r"""The exponential linear unit (Clevert, Unterthiner, Hochreiter 2015).

    $y = x$ for $x > 0$, else $\alpha (e^x - 1)$; its derivative at 0 is $\alpha$.
    """
    return let("y", [b], sp.Piecewise((x[b], x[b] > 0), (alpha * (sp.exp(x[b]) - 1), True)))


@operation("activations", x=real(BATCH), reference="torch.nn.functional.softplus")
def softplus(let: Builder, x: Array) -> Array:
    r"""The smooth rectifier (Dugas et al. 2000), $y = \log(1 + e^x)$."""
    return let("y", [b], language.softplus(x[b]))


@operation("activations", x=real(BATCH), reference="torch.nn.functional.silu")
def silu(let: Builder, x: Array) -> Array:
    r"""The sigmoid-weighted linear unit, or swish (Elfwing, Uchibe, Doya 2017), $y = x \, \sigma(x)$."""
    s = let("s", [b], language.sigmoid(x[b]))
    return let("y", [b], x[b] * s[b])


@operation("activations", x=real(BATCH), reference="torch.nn.functional.gelu")
def gelu(let: Builder, x: Array) -> Array:
    r"""The Gaussian error linear unit (Hendrycks, Gimpel 2016).

    $y = x \, \Phi(x)$ with the distribution function of the normal distribution,
    $\Phi(x) = \tfrac12 (1 + \operatorname{erf}(x/\sqrt2))$.
    """
    cdf = let("cdf", [b], (1 + sp.erf(x[b] / sp.sqrt(2))) / 2)
    return let("y", [b], x[b] * cdf[b])


@operation("activations", x=real(BATCH), reference="torch.nn.functional.gelu")
def gelu_tanh(let: Builder, x: Array) -> Array:
    r"""The tanh form of GELU (Hendrycks, Gimpel 2016).

    $y = \tfrac12 x \, (1 + \tanh(\sqrt{2/\pi} \, (x + 0.044715 \, x^3)))$.
    """
    u = sp.sqrt(2 / sp.pi) * (x[b] + sp.Rational("0.044715") * x[b] ** 3)
    t = let("t", [b], sp.tanh(u))
    return let("y", [b], x[b] * (1 + t[b]) / 2)

"""Elementwise activations."""

import sympy as sp

from gradproof.symbolic import language
from gradproof.symbolic.catalogue.axes import BATCH
from gradproof.symbolic.language import indices
from gradproof.symbolic.operation import Array, operation, real

(b,) = indices("b", BATCH)


@operation("activations", x=real(BATCH), reference="torch.sigmoid")
def sigmoid(let, x: Array) -> Array:
    r"""The logistic function, $\sigma(x) = 1/(1 + e^{-x})$."""
    return let("y", [b], language.sigmoid(x[b]))


@operation("activations", x=real(BATCH), reference="torch.tanh")
def tanh(let, x: Array) -> Array:
    r"""The hyperbolic tangent, $\tanh x = (e^x - e^{-x})/(e^x + e^{-x})$."""
    return let("y", [b], sp.tanh(x[b]))

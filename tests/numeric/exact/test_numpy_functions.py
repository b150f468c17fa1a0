"""Each function of NumPy on exact numbers: the values of NumPy, and derivatives that differences confirm."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
import scipy.special

from gradproof.numeric.exact.duals import Dual
from gradproof.numeric.exact.numpy_arrays import Exact
from gradproof.numeric.exact.numpy_programs import call, execution
from gradproof.numeric.exact.programs import ForwardError
from gradproof.numeric.exact.storages import without_constant
from gradproof.numeric.exact.values import Value
from tests.numeric.exact.trials import same_values, settings_of, tangent, value_at

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.5]])
Y = np.array([[1.0, 0.25, -1.5], [-0.75, 2.5, 1.25]])
P = np.abs(X) + 0.25
U = np.tanh(X) * 0.5
S = np.array([[2.0, 0.5, 0.25], [0.5, 3.0, 1.0], [0.25, 1.0, 1.5]])
V = np.array([0.5, 2.0, -1.0])
C = np.arange(24.0).reshape(2, 3, 4) / 7
MASK = np.array([[True, False, True], [False, True, True]])
PLACES = np.array([[0, 2], [1, 1]])
INTEGERS = np.array([2, 0, 1])

FUNCTIONS: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = [
    ("add", lambda x, y: x + y, (X, Y)),
    ("subtract", lambda x, y: 2 - x - y, (X, Y)),
    ("multiply", lambda x, y: x * y * 3, (X, Y)),
    ("divide", lambda x, y: x / y + 1 / x, (X, Y)),
    ("broadcasting", lambda x, v: x * v + v[:2, None], (X, V)),
    ("negative", lambda x: -x + (+x) ** 2, (X,)),
    ("integer powers", lambda x: x**3 + x**-2, (X,)),
    ("powers by entry", lambda v: v[:, None] ** np.arange(4), (V,)),
    ("real powers", lambda p: p**0.5 + p**-1.5, (P,)),
    ("exponents", lambda p, y: p**y + 2.0**y, (P, Y)),
    ("np.power", lambda p, y: np.power(p, y) + np.float_power(p, 2), (P, Y)),
    ("reciprocal", np.reciprocal, (X,)),
    ("square", np.square, (X,)),
    ("exp", np.exp, (X,)),
    ("exp2", np.exp2, (X,)),
    ("expm1", np.expm1, (X,)),
    ("log", np.log, (P,)),
    ("log2", np.log2, (P,)),
    ("log10", np.log10, (P,)),
    ("log1p", np.log1p, (P,)),
    ("sqrt", np.sqrt, (P,)),
    ("cbrt", np.cbrt, (X,)),
    ("sin", np.sin, (X,)),
    ("cos", np.cos, (X,)),
    ("tan", np.tan, (X,)),
    ("sinh", np.sinh, (X,)),
    ("cosh", np.cosh, (X,)),
    ("tanh", np.tanh, (X,)),
    ("arcsin", np.arcsin, (U,)),
    ("arccos", np.arccos, (U,)),
    ("arctan", np.arctan, (X,)),
    ("arctan2", np.arctan2, (X, Y)),
    ("arcsinh", np.arcsinh, (X,)),
    ("arccosh", np.arccosh, (P + 1,)),
    ("arctanh", np.arctanh, (U,)),
    ("hypot", np.hypot, (X, Y)),
    ("logaddexp", np.logaddexp, (X, Y)),
    ("logaddexp2", np.logaddexp2, (X, Y)),
    ("deg2rad", lambda x: np.deg2rad(x) + np.radians(x), (X,)),
    ("rad2deg", lambda x: np.rad2deg(x) + np.degrees(x), (X,)),
    ("maximum", np.maximum, (X, Y)),
    ("minimum", np.minimum, (X, Y)),
    ("fmax", lambda x, y: np.fmax(x, y) - np.fmin(x, y), (X, Y)),
    ("abs", lambda x: np.abs(x) + np.fabs(x) + abs(x), (X,)),
    ("sign", lambda x: np.sign(x) * x, (X,)),
    ("heaviside", lambda x: np.heaviside(x, 0.5) * x, (X,)),
    ("copysign", np.copysign, (X, Y)),
    ("floor", lambda x: np.floor(x) + np.ceil(x) + np.trunc(x) + np.rint(x), (0.9 * X,)),
    ("remainder", lambda x: x % 0.7 + x // 0.7 + np.fmod(x, 0.7), (X,)),
    ("divmod", lambda x: np.divmod(x, 0.7)[1], (X,)),
    ("comparisons", lambda x, y: (x > y) * x + (x <= y) * y + (x == y) + (x != y), (X, Y)),
    ("isfinite", lambda x: np.where(np.isfinite(x) & ~np.isnan(x), x, 0), (X,)),
    ("logical", lambda x, y: np.where(np.logical_and(x > 0, y > 0) | ~(x < y), x, y), (X, Y)),
    ("where", lambda x, y: np.where(x > y, x * y, 1.5), (X, Y)),
    ("select", lambda x: np.select([x < -1, x < 1], [x**2, x], 3 * x), (X,)),
    ("clip", lambda x: np.clip(x, -1, 1) + x.clip(0.1) + np.clip(x, None, 0.2), (X,)),
    ("erf", scipy.special.erf, (X,)),
    ("erfc", scipy.special.erfc, (X,)),
    ("expit", scipy.special.expit, (X,)),
    ("log_expit", scipy.special.log_expit, (X,)),
    ("logit", scipy.special.logit, (np.abs(U),)),
    ("ndtr", scipy.special.ndtr, (X,)),
    ("xlogy", scipy.special.xlogy, (X, P)),
    ("xlog1py", scipy.special.xlog1py, (X, P)),
    ("entr", scipy.special.entr, (P,)),
    ("gammaln", scipy.special.gammaln, (P,)),
    ("logsumexp", lambda x: scipy.special.logsumexp(x, axis=-1), (X,)),
    ("logsumexp, all", lambda x: scipy.special.logsumexp(x), (X,)),
    ("softmax", lambda x: scipy.special.softmax(x, axis=1), (X,)),
    ("log_softmax", lambda x: scipy.special.log_softmax(x, axis=0), (X,)),
    ("sum", lambda x: x.sum() + np.sum(x, axis=1) + x.sum(axis=(0, 1)), (X,)),
    ("sum, kept", lambda x: x.sum(-1, keepdims=True) + np.sum(x, 0, keepdims=True), (X,)),
    ("sum where", lambda x: np.sum(x, axis=0, where=MASK, initial=2.0), (X,)),
    ("nansum", lambda x: np.nansum(x, axis=0), (X,)),
    ("mean", lambda x: x.mean() + np.mean(x, axis=0) * x.mean(1, keepdims=True), (X,)),
    ("var", lambda x: x.var() + np.var(x, axis=1, ddof=1), (X,)),
    ("std", lambda x: x.std(axis=0) + np.std(x), (X,)),
    ("average", lambda x, p: np.average(x, axis=1, weights=p), (X, P)),
    ("average by axis", lambda x, v: np.average(x, axis=1, weights=v**2), (X, V)),
    ("prod", lambda x: x.prod() + np.prod(x, axis=0) + x.prod(axis=(0, 1), keepdims=True), (X,)),
    ("cumsum", lambda x: x.cumsum() * np.cumsum(x, axis=0).sum() + x.cumsum(axis=1).sum(), (X,)),
    ("cumprod", lambda x: np.cumprod(x, axis=1), (X,)),
    ("diff", lambda x: np.diff(x, axis=1), (X,)),
    ("max", lambda x: x.max() + np.max(x, axis=0) + x.max(axis=1, keepdims=True), (X,)),
    ("min", lambda x: np.min(x, axis=1, initial=0.1) * x.min(), (X,)),
    ("ptp", lambda x: np.ptp(x, axis=1), (X,)),
    ("argmax", lambda x: x[np.arange(2), x.argmax(axis=1)] + x[0, np.argmin(x[0])], (X,)),
    ("sort", lambda x: np.sort(x, axis=1) * np.arange(3.0), (X,)),
    ("argsort", lambda x: np.take_along_axis(x, np.argsort(x, axis=1), 1)[:, :2], (X,)),
    ("median", lambda x: np.median(x) + np.median(x, axis=1), (X,)),
    ("matmul", lambda x, y: x @ y.T + np.matmul(x, y.T), (X, Y)),
    ("matmul of vectors", lambda x, v: x @ v + (v @ x.T) * (v @ v), (X, V)),
    ("matmul, batched", lambda c, x: c.swapaxes(1, 2) @ x.T, (C, X)),
    ("dot", lambda x, v: np.dot(x, v) + x.dot(v) + np.dot(v, v) + np.dot(x, 2)[:, 0], (X, V)),
    ("dot, batched", lambda c, x: np.dot(x, c), (C, X)),
    ("inner", lambda x, y: np.inner(x, y), (X, Y)),
    ("outer", lambda x, v: np.outer(x, v) + np.multiply.outer(x, v).reshape(6, 3), (X, V)),
    ("vdot", lambda x, y: np.vdot(x, y), (X, Y)),
    ("tensordot", lambda c, x: np.tensordot(c, x, axes=([1], [1])) * np.tensordot(x, x, 2), (C, X)),
    ("einsum", lambda x, y: np.einsum("ij,kj->ik", x, y), (X, Y)),
    ("einsum, three", lambda x, y, v: np.einsum("ij,kj,j->ik", x, y, v, optimize=True), (X, Y, V)),
    ("einsum, trace", lambda s: np.einsum("ii", s) + np.einsum("ii->i", s), (S,)),
    ("einsum, ellipsis", lambda c, x: np.einsum("...ij,...i->...j", c, x), (C, X)),
    ("einsum, implicit", lambda x, y: np.einsum("ij,ij", x, y) + np.einsum(x, [0, 1], y, [2, 1]), (X, Y)),
    ("kron", lambda x, y: np.kron(x, y), (X, Y)),
    ("cross", lambda x, y: np.cross(x, y), (X, Y)),
    ("convolve", lambda v, x: np.convolve(v, x[0], "same") + np.convolve(x[0], v, "valid"), (V, X)),
    ("correlate", lambda v, x: np.correlate(v, x[0], "full"), (V, X)),
    ("norm", lambda x: np.linalg.norm(x) + np.linalg.norm(x, axis=1) + np.linalg.norm(x, "fro"), (X,)),
    ("norms", lambda v: np.linalg.norm(v, 1) + np.linalg.norm(v, np.inf) + np.linalg.norm(v, 3), (V,)),
    ("trace", lambda s: np.trace(s) + s.trace(1), (S,)),
    ("matrix_power", lambda s: np.linalg.matrix_power(s, 3), (S,)),
    ("matrix_power of the inverse", lambda s: np.linalg.matrix_power(s, -2), (S,)),
    ("inv", np.linalg.inv, (S,)),
    ("inv of a batch", lambda s: np.linalg.inv(np.stack([s, s @ s])), (S,)),
    ("inv with zeros on the diagonal", lambda x: np.linalg.inv(x[:, :2] * (1 - np.eye(2))), (X[:2],)),
    ("solve", np.linalg.solve, (S, X.T)),
    ("solve for a vector", np.linalg.solve, (S, V)),
    ("solve a batch", lambda s, v: np.linalg.solve(np.stack([s, s @ s]), v[:, None]), (S, V)),
    ("det", np.linalg.det, (S,)),
    ("det of a singular matrix", lambda v: np.linalg.det(v[:, None] * v), (V,)),
    ("cholesky", np.linalg.cholesky, (S,)),
    ("multi_dot", lambda s, x: np.linalg.multi_dot([x, s, s]), (S, X)),
    ("transpose", lambda c: c.T + np.transpose(c, (2, 1, 0)) * c.transpose(2, 1, 0), (C,)),
    ("reshape", lambda c: c.reshape(6, 4) * np.reshape(c, (4, -1), order="F").T.reshape(6, 4), (C,)),
    ("ravel", lambda x: x.ravel() * x.T.flatten() + np.ravel(x, "F"), (X,)),
    ("axes", lambda c: np.moveaxis(c, 0, -1) * np.swapaxes(np.rollaxis(c, 1), 1, 2), (C,)),
    ("expand_dims", lambda x: np.expand_dims(x, 1) + x[:, None, :].squeeze(1)[:, np.newaxis], (X,)),
    ("broadcast_to", lambda v: np.broadcast_to(v, (2, 3)) * np.broadcast_arrays(v, X)[0], (V,)),
    ("concatenate", lambda x, y: np.concatenate([x, y, X]) ** 2, (X, Y)),
    ("concatenate flat", lambda x, v: np.concatenate([x, [v]], axis=None), (X, V)),
    ("stack", lambda x, y: np.stack([x, y], axis=-1) * np.stack([y, x], axis=2), (X, Y)),
    ("vstack", lambda x, v: np.vstack([x, v]) * np.hstack([x.T, v[:, None]]).T, (X, V)),
    ("dstack", lambda x, v: np.dstack([x, x])[..., 0] + np.column_stack([v, v]).T, (X, V)),
    ("block", lambda x, s: np.block([[x], [s]]), (X, S)),
    ("append", lambda x, v: np.append(x, v[None], axis=0), (X, V)),
    ("split", lambda x: np.split(x, 3, axis=1)[1] * np.array_split(x, 2, axis=1)[0], (X,)),
    ("take", lambda x: np.take(x, PLACES, axis=1) + x.take(PLACES), (X,)),
    ("take_along_axis", lambda x: np.take_along_axis(x, PLACES, axis=1), (X,)),
    ("tile", lambda x: np.tile(x, (2, 1)) * np.repeat(x, 2, axis=0), (X,)),
    ("tril", lambda s: np.tril(s) + np.triu(s, 1) ** 2, (S,)),
    ("diag", lambda s, v: np.diag(v) + np.diag(np.diag(s)) + s.diagonal(1).sum(), (S, V)),
    ("pad", lambda x: np.pad(x, ((1, 0), (0, 2))) * np.pad(x, ((1, 0), (0, 2)), mode="edge"), (X,)),
    ("pad with a number", lambda x: np.pad(x, 1, constant_values=2.5), (X,)),
    ("roll", lambda x: np.roll(x, 1, axis=0) * np.roll(x, 2), (X,)),
    ("flip", lambda x: np.flip(x) + np.flip(x, 1)[::-1] * np.fliplr(x), (X,)),
    ("rot90", lambda s: np.rot90(s) * np.flipud(s), (S,)),
    ("meshgrid", lambda v, x: np.meshgrid(v, x[0])[0] * np.meshgrid(v, x[0])[1], (V, X)),
    ("indexing", lambda c: c[1, ::2, -1] + c[0, 1:, 1] * c[..., 2][0, 0], (C,)),
    ("fancy indexing", lambda x: x[[0, 1, 1], INTEGERS] + x[:, INTEGERS][0] * x[PLACES[1]][0], (X,)),
    ("boolean indexing", lambda x: x[MASK] * x[~MASK].sum(), (X,)),
    ("masks of one's own", lambda x: x[x > 0].sum() * x[np.abs(x) > 1].max(), (X,)),
    ("nonzero", lambda x: x[np.nonzero(x > 0)].sum() + x[np.where(x < 0)].prod(), (X,)),
    ("polyval", lambda v, x: np.polyval(v, x), (V, X)),
    ("sinc", lambda x: np.sinc(x), (X,)),
    ("nan_to_num", lambda x: np.nan_to_num(x), (X,)),
    ("copy", lambda x: np.copy(x) + x.copy() * x.astype(np.float64), (X,)),
    ("scalars", lambda x: x[0, 0] * x + x.sum() ** 2 + max(x[0, 1], x[1, 1]), (X,)),
    ("cumulative maxima", lambda x: np.maximum.accumulate(x, axis=1) + np.add.accumulate(x, 1), (X,)),
    ("reduce", lambda x: np.add.reduce(x) + np.multiply.reduce(x) * np.maximum.reduce(x), (X,)),
    ("unstack", lambda x: np.unstack(x)[0] * x.mT[:, 1], (X,)),
    ("allocated", lambda x: np.ones((2, 3)) * x + np.eye(3)[:2] @ x.T @ x + np.full(3, x[0, 0]), (X,)),
    ("np.array", lambda x: np.array([[x[0, 0], 1.0], [x[1, 1], x.sum()]]) * np.array(x)[:, :2], (X,)),
    ("linspace", lambda x: np.linspace(0, 1, 3) * x + np.arange(0.0, 3.0), (X,)),
    ("count of truths", lambda x: x * (x > 0).sum() / np.count_nonzero(x < 1), (X,)),
    ("any and all", lambda x: np.where((x > 0).any(axis=0), x, 2 * x) * (x > -5).all(), (X,)),
]  # fmt: skip


def evaluate(function: Callable[..., Any], values: list[Value], settings: Any) -> Value:
    run = execution(settings)
    return run.value_of(call(run, ForwardError, function, [run.new(without_constant(v)) for v in values], 1))


@pytest.mark.parametrize(("function", "arrays"), [f[1:] for f in FUNCTIONS], ids=[f[0] for f in FUNCTIONS])
def test_values_and_derivatives(function: Callable[..., Any], arrays: tuple[Any, ...]) -> None:
    settings, chance = settings_of(1, 0), np.random.default_rng(1)
    directions = [chance.normal(size=a.shape) for a in arrays]
    duals = [Dual(a[None], d[None, None]) for a, d in zip(arrays, directions, strict=True)]
    found = evaluate(function, [Value(settings.numbers, (dual,)) for dual in duals], settings)
    with np.errstate(all="ignore"):
        wanted = function(*(a.copy() for a in arrays))
        h = 1e-6
        ahead, behind = (
            function(*(a + s * h * d for a, d in zip(arrays, directions, strict=True))) for s in (1, -1)
        )
    assert found.shape == np.shape(wanted)
    np.testing.assert_allclose(found.reals, wanted, rtol=1e-12, atol=1e-13)
    moved = found.real.tangent
    slope = np.zeros(found.shape) if moved is None else moved[0, 0]
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("function", "arrays"), [f[1:] for f in FUNCTIONS], ids=[f[0] for f in FUNCTIONS])
def test_residues_know_what_floats_know(function: Callable[..., Any], arrays: tuple[Any, ...]) -> None:
    """A function is called twice on the same numbers, through views of them: the residues are the same."""
    first = settings_of(2, 0)
    evaluate(function, [value_at(first.numbers, a, Random(2), True) for a in arrays], first)
    settings = settings_of(2, first.numbers.depth + 1, first.numbers.circular)
    values = [value_at(settings.numbers, a, Random(k), True) for k, a in enumerate(arrays)]

    def through_views(*given: Any) -> Any:
        return function(*(x.T.copy().T if isinstance(x, Exact) else x for x in given))

    once, again = (evaluate(g, values, settings) for g in (function, through_views))
    assert same_values(settings, once, again)
    if once.formal is not None and once.formal.tangent is not None:
        assert same_values(settings, tangent(once), tangent(again))

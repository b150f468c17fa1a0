"""Reductions, products and normalizations."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.operators.table import Row, Topic, normal


def reductions() -> list[Row]:
    """Rows."""
    t = Topic("reductions")
    t("sum", lambda x: x.sum(0), normal(2, 3))
    t("nansum", torch.nansum, normal(3))
    t("mean", lambda x: x.mean(-1, keepdim=True), normal(2, 3))
    t("nanmean", torch.nanmean, normal(3))
    t("var", lambda x: x.var(-1), normal(2, 3))
    t("var uncorrected", lambda x: x.var(unbiased=False), normal(2, 3))
    t("std", lambda x: x.std(-1), normal(2, 3))
    t("var_mean", lambda x: torch.var_mean(x, 0), normal(3, 2))
    t("std_mean", lambda x: torch.std_mean(x, 0), normal(3, 2))
    t("norm", lambda x: x.norm(), normal(3))
    t("norm 1", lambda x: x.norm(1, -1), normal(2, 3))
    t("norm 2", lambda x: torch.linalg.vector_norm(x, 2, -1, keepdim=True), normal(2, 3))
    t("norm 3", lambda x: x.norm(3, -1), normal(2, 3))
    t("norm 5/2", lambda x: x.norm(2.5, -1), normal(2, 3))
    t("norm inf", lambda x: x.norm(float("inf"), -1), normal(2, 3))
    t("norm -inf", lambda x: x.norm(-float("inf"), -1), normal(2, 3))
    t("norm Frobenius", lambda x: torch.linalg.matrix_norm(x), normal(2, 3))
    t("norm 0", lambda x: x.norm(0) * x.sum(), normal(3))
    t("renorm", lambda x: torch.renorm(x, 2, 0, 1.0), normal(3, 3))
    t("normalize", lambda x: F.normalize(x, dim=-1), normal(2, 3))
    t("prod", lambda x: x.prod(-1), normal(2, 3))
    t("prod of all", torch.prod, normal(2, 2))
    t("cumsum", lambda x: x.cumsum(0), normal(3, 2))
    t("cumprod", lambda x: x.cumprod(-1), normal(2, 4))
    t("logcumsumexp", lambda x: x.logcumsumexp(-1), normal(2, 3), orders=1)
    t("logsumexp", lambda x: x.logsumexp(-1), normal(2, 3))
    t("logsumexp of two axes", lambda x: x.logsumexp((0, 1), keepdim=True), normal(2, 3))
    t("max", torch.max, normal(5))
    t("max dim", lambda x: x.max(-1)[0], normal(2, 4))
    t("min dim", lambda x: x.min(0, keepdim=True)[0], normal(4, 2))
    t("amax", lambda x: x.amax((0, 1)), normal(2, 3))
    t("amin", lambda x: x.amin(-1), normal(2, 3))
    t("aminmax", lambda x: torch.aminmax(x, dim=-1), normal(2, 4))
    t("cummax", lambda x: x.cummax(-1)[0], normal(2, 5))
    t("cummin", lambda x: x.cummin(0)[0], normal(5, 2))
    t("median", torch.median, normal(5))
    t("median dim", lambda x: x.median(-1)[0], normal(2, 4))
    t("nanmedian", torch.nanmedian, normal(5))
    t("kthvalue", lambda x: x.kthvalue(2, -1)[0], normal(2, 4))
    t("mode", lambda x: x.mode(-1)[0], normal(2, 3), orders=1, known="not followed: mode")
    t("quantile", lambda x: x.quantile(0.375, -1), normal(2, 5))
    t("trace", torch.trace, normal(3, 3))
    t("diff", lambda x: torch.diff(x, dim=-1), normal(2, 4))
    t("trapezoid", torch.trapezoid, normal(4))
    t("cov", torch.cov, normal(2, 4))
    t("corrcoef", torch.corrcoef, normal(2, 4))
    return t.rows


def products() -> list[Row]:
    """Rows."""
    t = Topic("products")
    t("dot", torch.dot, normal(3), normal(3))
    t("inner", torch.inner, normal(2, 3), normal(4, 3))
    t("outer", torch.outer, normal(2), normal(3))
    t("mv", torch.mv, normal(2, 3), normal(3))
    t("mm", torch.mm, normal(2, 3), normal(3, 2))
    t("bmm", torch.bmm, normal(2, 2, 3), normal(2, 3, 2))
    t("matmul broadcast", torch.matmul, normal(2, 1, 2, 3), normal(2, 3, 2))
    t(
        "addmm",
        lambda x, y, z: torch.addmm(x, y, z, beta=2, alpha=3),
        normal(2, 2),
        normal(2, 3),
        normal(3, 2),
    )
    t("addmv", torch.addmv, normal(2), normal(2, 3), normal(3))
    t("addbmm", torch.addbmm, normal(2, 2), normal(2, 2, 3), normal(2, 3, 2))
    t("baddbmm", torch.baddbmm, normal(2, 2, 2), normal(2, 2, 3), normal(2, 3, 2))
    t("addr", torch.addr, normal(2, 3), normal(2), normal(3))
    t("linear", F.linear, normal(2, 3), normal(2, 3), normal(2))
    t("bilinear", F.bilinear, normal(2, 2), normal(2, 3), normal(2, 2, 3), normal(2))
    t("einsum", lambda x, y: torch.einsum("bij,bjk->bki", x, y), normal(2, 2, 3), normal(2, 3, 2))
    t("einsum trace", lambda x: torch.einsum("ii->i", x), normal(3, 3))
    t("tensordot", lambda x, y: torch.tensordot(x, y, 2), normal(2, 2, 3), normal(2, 3, 2))
    t("kron", torch.kron, normal(2, 2), normal(2, 2))
    t(
        "chain_matmul",
        lambda x, y, z: torch.linalg.multi_dot([x, y, z]),
        normal(2, 3),
        normal(3, 2),
        normal(2, 2),
    )
    t("matrix_power", lambda x: torch.linalg.matrix_power(x, 3), normal(2, 2))
    t("cross", lambda x, y: torch.linalg.cross(x, y), normal(2, 3), normal(2, 3))
    t("vander", lambda x: torch.vander(x, 4), normal(3), orders=1, known="the backward raises")
    t("cartesian_prod", torch.cartesian_prod, normal(2), normal(3))
    t("det", torch.linalg.det, normal(3, 3), orders=1)
    t("det of a batch", torch.linalg.det, normal(2, 2, 2), orders=1)
    t("slogdet", lambda x: torch.linalg.slogdet(x)[1], normal(3, 3))
    t("logdet", lambda x: torch.logdet(x @ x.mT + torch.eye(2, dtype=x.dtype)), normal(2, 2), orders=1)
    t("inverse", torch.linalg.inv, normal(2, 2))
    t("inverse of a batch", torch.linalg.inv, normal(2, 3, 3), orders=1)
    t("solve", torch.linalg.solve, normal(3, 3), normal(3, 2))
    t("solve for a vector", torch.linalg.solve, normal(3, 3), normal(3), orders=1)
    t("solve from the right", lambda a, b: torch.linalg.solve(a, b, left=False), normal(3, 3), normal(2, 3))
    t(
        "solve_triangular",
        lambda a, b: torch.linalg.solve_triangular(a, b, upper=True),
        normal(3, 3),
        normal(3, 2),
    )
    t(
        "solve_triangular from the right",
        lambda a, b: torch.linalg.solve_triangular(a, b, upper=False, left=False, unitriangular=True),
        normal(3, 3),
        normal(2, 3),
    )
    t("triangular_solve", lambda b, a: torch.triangular_solve(b, a)[0], normal(3, 2), normal(3, 3), orders=1)
    t(
        "cholesky",
        lambda x: torch.linalg.cholesky(x @ x.mT + torch.eye(2, dtype=x.dtype)),
        normal(2, 2),
        orders=1,
    )
    t("cholesky_solve", lambda b, x: torch.cholesky_solve(b, x.tril()), normal(2, 2), normal(2, 2), orders=1)
    t("cholesky_inverse", lambda x: torch.cholesky_inverse(x.tril()), normal(2, 2), orders=1)
    t("matrix_power -2", lambda x: torch.linalg.matrix_power(x, -2), normal(2, 2), orders=1)
    return t.rows


def normalization() -> list[Row]:
    """Rows."""
    t = Topic("normalization")
    t("layer_norm", lambda x, w, b: F.layer_norm(x, (4,), w, b), normal(2, 4), normal(4), normal(4))
    t("layer_norm of two axes", lambda x: F.layer_norm(x, (2, 3)), normal(2, 2, 3))
    t(
        "layer_norm float32",
        lambda x, w, b: F.layer_norm(x, (4,), w, b),
        *(normal(*s, dtype=torch.float32) for s in ((2, 4), (4,), (4,))),
    )
    t("rms_norm", lambda x, w: F.rms_norm(x, (4,), w), normal(2, 4), normal(4))
    t("rms_norm eps", lambda x: F.rms_norm(x, (4,), eps=0.5), normal(2, 4))
    t("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), normal(2, 4, 2), normal(4), normal(4))
    t(
        "instance_norm",
        lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
        normal(2, 2, 3),
        normal(2),
        normal(2),
    )
    t(
        "batch_norm training",
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        normal(3, 2),
        normal(2),
        normal(2),
    )
    t(
        "batch_norm images",
        lambda x: F.batch_norm(x, torch.zeros(2, dtype=x.dtype), torch.ones(2, dtype=x.dtype), training=True),
        normal(2, 2, 2, 2),
    )
    t(
        "batch_norm evaluation",
        lambda x, w, b: F.batch_norm(
            x, torch.tensor([0.5, 1.0]).to(x.dtype), torch.tensor([2.0, 3.0]).to(x.dtype), w, b
        ),
        normal(3, 2),
        normal(2),
        normal(2),
    )
    t("local_response_norm", lambda x: F.local_response_norm(x, 2), normal(1, 3, 2))
    return t.rows

"""Indexing, joining, views, updates in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.operators.table import Row, Topic, integers, normal


def indexing() -> list[Row]:
    """Rows."""
    t = Topic("indexing")
    t("embedding", lambda w: F.embedding(integers(1, 1, 3), w), normal(5, 2))
    t(
        "embedding padding",
        lambda w: F.embedding(integers(1, 0, 3), w, padding_idx=0),
        normal(5, 2),
        orders=1,
        known="meant: the row of the padding gets no gradient",
    )
    t(
        "embedding by frequency",
        lambda w: F.embedding(integers(1, 1, 3), w, scale_grad_by_freq=True),
        normal(5, 2),
        orders=1,
        known="meant: gradients are divided by how often an index occurs",
    )
    t(
        "embedding_bag sum",
        lambda w: F.embedding_bag(integers(1, 1, 3, 4), w, integers(0, 2), mode="sum"),
        normal(5, 2),
        orders=1,
    )
    t(
        "embedding_bag mean",
        lambda w: F.embedding_bag(integers(1, 1, 3, 4), w, integers(0, 3), mode="mean"),
        normal(5, 2),
        orders=1,
    )
    t(
        "embedding_bag max",
        lambda w: F.embedding_bag(integers(1, 2, 3, 4), w, integers(0, 2), mode="max"),
        normal(5, 2),
        orders=1,
    )
    t(
        "embedding_bag weights",
        lambda w, a: F.embedding_bag(
            integers(1, 1, 3, 4), w, integers(0, 2), mode="sum", per_sample_weights=a
        ),
        normal(5, 2),
        normal(4),
        orders=1,
    )
    t("gather", lambda x: torch.gather(x, 1, integers([0, 2], [1, 1])), normal(2, 3))
    t("take", lambda x: torch.take(x, integers(0, 4, 4)), normal(2, 3))
    t("take_along_dim", lambda x: torch.take_along_dim(x, integers([2, 0]), 1), normal(2, 3))
    t("index_select", lambda x: torch.index_select(x, 0, integers(2, 0, 2)), normal(3, 2))
    t("index", lambda x: x[integers(0, 2, 2)], normal(3, 2))
    t("index two axes", lambda x: x[integers(0, 1), :, integers(1, 1)], normal(2, 2, 3))
    t("index by a mask", lambda x: x[x > 0], normal(6))
    t("masked_select", lambda x: torch.masked_select(x, torch.tensor([True, False, True])), normal(3))
    t("scatter", lambda x, y: torch.scatter(x, 1, integers([0, 2], [1, 0]), y), normal(2, 3), normal(2, 2))
    t("scatter value", lambda x: torch.scatter(x, 1, integers([0, 2], [1, 0]), 2.0), normal(2, 3))
    t(
        "scatter_add",
        lambda x, y: torch.scatter_add(x, 1, integers([0, 0], [1, 2]), y),
        normal(2, 3),
        normal(2, 2),
    )
    t(
        "scatter_reduce sum",
        lambda x, y: torch.scatter_reduce(x, 0, integers(0, 0, 2), y, "sum"),
        normal(3),
        normal(3),
    )
    t(
        "scatter_reduce mean",
        lambda x, y: torch.scatter_reduce(x, 0, integers(0, 0, 2), y, "mean"),
        normal(3),
        normal(3),
    )
    t(
        "scatter_reduce amax",
        lambda x, y: torch.scatter_reduce(x, 0, integers(0, 0, 2), y, "amax"),
        normal(3),
        normal(3),
    )
    t(
        "scatter_reduce prod",
        lambda x, y: torch.scatter_reduce(x, 0, integers(0, 0, 2), y, "prod"),
        normal(3),
        normal(3),
    )
    t(
        "index_add",
        lambda x, y: torch.index_add(x, 0, integers(0, 2, 0), y, alpha=2),
        normal(3, 2),
        normal(3, 2),
    )
    t("index_copy", lambda x, y: torch.index_copy(x, 0, integers(0, 2), y), normal(3, 2), normal(2, 2))
    t("index_fill", lambda x: torch.index_fill(x, 0, integers(0, 2), 3.0), normal(3, 2))
    t("index_put", lambda x, y: torch.index_put(x, (integers(0, 2),), y), normal(3), normal(2))
    t(
        "index_put accumulate",
        lambda x, y: torch.index_put(x, (integers(0, 0, 2),), y, True),
        normal(3),
        normal(3),
    )
    t(
        "masked_scatter",
        lambda x, y: torch.masked_scatter(x, torch.tensor([True, False, True]), y),
        normal(3),
        normal(3),
    )
    t("sort", lambda x: torch.sort(x, -1)[0], normal(2, 4))
    t("sort descending", lambda x: torch.sort(x, 0, True)[0], normal(4, 2))
    t("msort", torch.msort, normal(4))
    t("topk", lambda x: torch.topk(x, 2)[0], normal(2, 4))
    t("topk smallest", lambda x: torch.topk(x, 2, 0, largest=False)[0], normal(4, 2))
    return t.rows


def joining() -> list[Row]:
    """Rows."""
    t = Topic("joining")
    t("cat", lambda x, y: torch.cat([x, y], 1), normal(2, 1), normal(2, 2))
    t("stack", lambda x, y: torch.stack([x, y], -1), normal(2, 2), normal(2, 2))
    t("hstack", lambda x, y: torch.hstack([x, y]), normal(2), normal(2))
    t("block_diag", torch.block_diag, normal(2, 1), normal(1, 2))
    t("split", lambda x: torch.split(x, [1, 2], -1), normal(2, 3))
    t("chunk", lambda x: torch.chunk(x, 2, 0), normal(4, 2))
    t("unbind", lambda x: torch.unbind(x, 0), normal(2, 2))
    t("pad constant", lambda x: F.pad(x, (1, 2), value=3.0), normal(2, 3))
    t("pad zeros", lambda x: F.pad(x, (1, -1, 0, 1)), normal(2, 3))
    t("pad reflect", lambda x: F.pad(x, (2, 1), "reflect"), normal(1, 2, 4))
    t("pad reflect 2d", lambda x: F.pad(x, (1, 1, 1, 0), "reflect"), normal(1, 1, 3, 3))
    t("pad replicate", lambda x: F.pad(x, (2, 1), "replicate"), normal(1, 2, 3))
    t("pad replicate 2d", lambda x: F.pad(x, (1, 0, 1, 2), "replicate"), normal(1, 1, 2, 2))
    t("pad circular", lambda x: F.pad(x, (2, 1), "circular"), normal(1, 2, 3))
    t("roll", lambda x: torch.roll(x, (1, 2), (0, 1)), normal(2, 3))
    t("flip", lambda x: torch.flip(x, (0, 1)), normal(2, 3))
    t("rot90", lambda x: torch.rot90(x), normal(2, 3))
    t("tril", torch.tril, normal(3, 3))
    t("triu", lambda x: torch.triu(x, 1), normal(3, 3))
    t("tile", lambda x: torch.tile(x, (2, 2)), normal(2, 2))
    t("repeat_interleave", lambda x: torch.repeat_interleave(x, integers(1, 2), 0), normal(2, 2))
    t("repeat_interleave all", lambda x: torch.repeat_interleave(x, 2), normal(3))
    t("diag_embed", torch.diag_embed, normal(2, 2))
    t("diag", torch.diag, normal(3))
    t("tril_indices", lambda x: x[tuple(torch.tril_indices(3, 3))], normal(3, 3))
    t("meshgrid", lambda x, y: torch.meshgrid(x, y, indexing="ij"), normal(2), normal(3))
    t("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), normal(1, 4, 1, 2))
    t("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), normal(1, 1, 2, 4))
    return t.rows


def views() -> list[Row]:
    """Rows."""
    t = Topic("views")
    t("view", lambda x: x.view(3, 2) ** 2, normal(2, 3))
    t("reshape", lambda x: x.t().reshape(2, 3) ** 2, normal(2, 3))
    t("transpose", lambda x: x.transpose(0, 1), normal(2, 3))
    t("permute", lambda x: x.permute(2, 0, 1), normal(2, 1, 3))
    t("movedim", lambda x: x.movedim(0, -1), normal(2, 1, 3))
    t("squeeze", lambda x: x.squeeze(), normal(2, 1))
    t("unsqueeze", lambda x: x.unsqueeze(1), normal(2))
    t("expand", lambda x: x.expand(2, 3), normal(2, 1))
    t("broadcast_to", lambda x: torch.broadcast_to(x, (2, 3)), normal(3))
    t("narrow", lambda x: x.narrow(0, 1, 2), normal(4))
    t("slice step", lambda x: x[::2, 1:], normal(4, 3))
    t("select", lambda x: x[1], normal(2, 3))
    t("diagonal", lambda x: x.diagonal(1), normal(3, 3))
    t("unfold", lambda x: x.unfold(0, 2, 1), normal(4))
    t("as_strided", lambda x: x.as_strided((2, 2), (1, 1)), normal(3))
    t("flatten", lambda x: x.flatten(1), normal(2, 1, 2))
    t("unflatten", lambda x: x.unflatten(-1, (2, 2)), normal(1, 4))
    t("contiguous", lambda x: x.t().contiguous(), normal(2, 3))
    t("to float32", lambda x: x.float(), normal(2, 3))
    t("detach", lambda x: x * (x.detach() * 0 + 1), normal(2))
    t("clone", torch.clone, normal(2))
    return t.rows


def _in_place(function: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], Any]:
    def call(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        function(y)
        return y * y

    return call


def in_place_updates() -> list[Row]:
    """Rows."""
    t = Topic("in place")
    t("add_", _in_place(lambda y: y.add_(y, alpha=2)), normal(3))
    t("mul_", _in_place(lambda y: y.mul_(3)), normal(3))
    t("exp_", _in_place(lambda y: y.exp_()), normal(3))
    t("relu_", _in_place(lambda y: F.relu(y, inplace=True)), normal(5))
    t("clamp_", _in_place(lambda y: y.clamp_(-1, 1)), normal(5))
    t("copy_ into a slice", _in_place(lambda y: y[1:].copy_(y[:-1].clone() ** 2)), normal(3))
    t("index assignment", _in_place(lambda y: y.__setitem__(integers(0, 2), y[1].clone() ** 2)), normal(3))
    t("slice assignment", _in_place(lambda y: y.__setitem__(slice(0, 2), y[1:].clone() ** 2)), normal(3))
    t("masked_fill_", _in_place(lambda y: y.masked_fill_(y > 0, 2)), normal(5))
    t("scatter_add_", _in_place(lambda y: y.scatter_add_(0, integers(0, 0), y[:2].clone() ** 2)), normal(3))
    t("index_add_", _in_place(lambda y: y.index_add_(0, integers(0, 0), y[:2].clone() ** 2)), normal(3))
    t("zero_ of a view", _in_place(lambda y: y[1:].zero_()), normal(3))
    t("fill_", _in_place(lambda y: y[1:].fill_(2)), normal(3))
    t("sub_ of a transposed view", _in_place(lambda y: y.t().sub_(y.clone() ** 2)), normal(2, 2))
    t(
        "out=",
        lambda x: torch.exp(torch.ones(3, dtype=x.dtype), out=torch.empty(3, dtype=x.dtype)) * x,
        normal(3),
    )
    t("empty, filled", _filled, normal(3))
    t("unsafe addcmul_", _in_place(lambda y: y.addcmul_(y.clone(), y.clone())), normal(3))
    return t.rows


def _filled(x: torch.Tensor) -> torch.Tensor:
    y = torch.empty(2, 3, dtype=x.dtype)
    y[0] = x
    y[1] = x**2
    return y * y

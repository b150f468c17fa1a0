"""Losses, distances, and what is drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.operators.table import Row, Topic, integers, normal, positive, uniform


def losses() -> list[Row]:
    """Rows."""
    t = Topic("losses")
    target = integers(2, 0)
    t("cross_entropy", lambda x: F.cross_entropy(x, target), normal(2, 3))
    t("cross_entropy float32", lambda x: F.cross_entropy(x, target), normal(2, 3, dtype=torch.float32))
    t("cross_entropy smoothed", lambda x: F.cross_entropy(x, target, label_smoothing=0.25), normal(2, 3))
    t(
        "cross_entropy weighted",
        lambda x: F.cross_entropy(x, target, weight=torch.tensor([1.0, 2, 3]).to(x)),
        normal(2, 3),
    )
    t(
        "cross_entropy smoothed and weighted",
        lambda x: F.cross_entropy(x, target, weight=torch.tensor([1.0, 2, 3]).to(x), label_smoothing=0.25),
        normal(2, 3),
    )
    t("cross_entropy ignoring", lambda x: F.cross_entropy(x, integers(2, -100)), normal(2, 3))
    t("cross_entropy sum", lambda x: F.cross_entropy(x, target, reduction="sum"), normal(2, 3))
    t("cross_entropy none", lambda x: F.cross_entropy(x, target, reduction="none"), normal(2, 3))
    t("cross_entropy probabilities", F.cross_entropy, normal(2, 3), uniform(2, 3))
    t("cross_entropy images", lambda x: F.cross_entropy(x, integers([[0, 1]], [[1, 1]])), normal(2, 2, 1, 2))
    t("nll_loss", lambda x: F.nll_loss(x, target), normal(2, 3))
    t("nll_loss weighted", lambda x: F.nll_loss(x, target, torch.tensor([1.0, 2, 3]).to(x)), normal(2, 3))
    t("mse_loss", F.mse_loss, normal(2, 3), normal(2, 3))
    t("mse_loss none", lambda x, y: F.mse_loss(x, y, reduction="none"), normal(3), normal(3))
    t("l1_loss", F.l1_loss, normal(5), normal(5))
    t("smooth_l1_loss", lambda x, y: F.smooth_l1_loss(x, y, beta=0.5), normal(8), normal(8))
    t("huber_loss", lambda x, y: F.huber_loss(x, y, delta=0.5, reduction="sum"), normal(8), normal(8))
    t("binary_cross_entropy", F.binary_cross_entropy, uniform(4), uniform(4), orders=1)
    t(
        "binary_cross_entropy, its gradient",
        _gradient_of_binary_cross_entropy,
        uniform(4),
        uniform(4),
        orders=1,
        known="1e-12 is added to the denominators of the second derivative",
    )
    t(
        "binary_cross_entropy weighted",
        lambda x, y: F.binary_cross_entropy(x, y, torch.tensor([1.0, 2, 3]).to(x), reduction="sum"),
        uniform(3),
        uniform(3),
        orders=1,
    )
    t("binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits, normal(4), uniform(4))
    t(
        "binary_cross_entropy_with_logits weighted",
        lambda x, y: F.binary_cross_entropy_with_logits(
            x, y, torch.tensor([1.0, 2, 3]).to(x), pos_weight=torch.tensor([2.0, 1, 3]).to(x)
        ),
        normal(3),
        uniform(3),
    )
    t("kl_div", F.kl_div, normal(4), uniform(4))
    t(
        "kl_div log target",
        lambda x, y: F.kl_div(x, y, reduction="batchmean", log_target=True),
        normal(2, 2),
        normal(2, 2),
    )
    t("poisson_nll_loss", F.poisson_nll_loss, normal(4), positive(4))
    t(
        "poisson_nll_loss full",
        lambda x: F.poisson_nll_loss(x, torch.tensor([0.0, 1, 2, 5]).to(x), full=True),
        normal(4),
    )
    t("gaussian_nll_loss", F.gaussian_nll_loss, normal(4), normal(4), positive(4))
    t(
        "hinge_embedding_loss",
        lambda x: F.hinge_embedding_loss(x, torch.tensor([1.0, -1, 1, -1]).to(x)),
        normal(4),
    )
    t("soft_margin_loss", lambda x: F.soft_margin_loss(x, torch.tensor([1.0, -1, 1, -1]).to(x)), normal(4))
    t(
        "margin_ranking_loss",
        lambda x, y: F.margin_ranking_loss(x, y, torch.tensor([1.0, -1, 1, -1]).to(x), 0.25),
        normal(4),
        normal(4),
    )
    t(
        "cosine_embedding_loss",
        lambda x, y: F.cosine_embedding_loss(x, y, torch.tensor([1.0, -1]).to(x)),
        normal(2, 3),
        normal(2, 3),
    )
    t("triplet_margin_loss", F.triplet_margin_loss, normal(2, 3), normal(2, 3), normal(2, 3))
    t(
        "triplet_margin_loss swapped",
        lambda a, p, n: F.triplet_margin_loss(a, p, n, swap=True, p=3.0),
        normal(2, 3),
        normal(2, 3),
        normal(2, 3),
    )
    t(
        "triplet_margin_with_distance_loss",
        lambda a, p, n: F.triplet_margin_with_distance_loss(a, p, n, margin=9.0),
        normal(2, 3),
        normal(2, 3),
        normal(2, 3),
    )
    t("multi_margin_loss", lambda x: F.multi_margin_loss(x, target), normal(2, 3), orders=1)
    t(
        "multilabel_margin_loss",
        lambda x: F.multilabel_margin_loss(x, integers([2, 0, -1, 1])),
        normal(1, 4),
        orders=1,
    )
    t(
        "multilabel_soft_margin_loss",
        lambda x: F.multilabel_soft_margin_loss(x, torch.tensor([[1.0, 0, 1]]).to(x)),
        normal(1, 3),
    )
    t(
        "ctc_loss",
        lambda x: F.ctc_loss(F.log_softmax(x, -1), integers([1, 2]), integers(3), integers(2)),
        normal(3, 1, 3),
        orders=1,
    )
    return t.rows


def _gradient_of_binary_cross_entropy(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(F.binary_cross_entropy(x, y), x, create_graph=True)[0]


def distances() -> list[Row]:
    """Rows."""
    t = Topic("distances")
    t("dist", torch.dist, normal(3), normal(3))
    t("dist 3", lambda x, y: torch.dist(x, y, 3), normal(3), normal(3))
    t("pairwise_distance", F.pairwise_distance, normal(2, 3), normal(2, 3))
    t("cosine_similarity", F.cosine_similarity, normal(2, 3), normal(2, 3))
    t("cdist", torch.cdist, normal(2, 3), normal(3, 3), orders=1)
    t("cdist 1", lambda x, y: torch.cdist(x, y, 1), normal(2, 3), normal(3, 3), orders=1)
    t("cdist 3", lambda x, y: torch.cdist(x, y, 3), normal(2, 3), normal(3, 3), orders=1)
    t("cdist inf", lambda x, y: torch.cdist(x, y, float("inf")), normal(2, 3), normal(3, 3), orders=1)
    t("pdist", F.pdist, normal(3, 3), orders=1)
    return t.rows


def _seeded(function: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], Any]:
    def call(x: torch.Tensor) -> Any:
        torch.manual_seed(3)
        return function(x)

    return call


def random() -> list[Row]:
    """Rows."""
    t = Topic("random")
    t("dropout", _seeded(lambda x: F.dropout(x, 0.5)), normal(6))
    t("dropout 0.3", _seeded(lambda x: F.dropout(x, 0.3)), normal(6))
    t("dropout1d", _seeded(lambda x: F.dropout1d(x, 0.5)), normal(2, 3, 2))
    t("alpha_dropout", _seeded(lambda x: F.alpha_dropout(x, 0.5, training=True)), normal(6))
    t(
        "feature_alpha_dropout",
        _seeded(lambda x: F.feature_alpha_dropout(x, 0.5, training=True)),
        normal(2, 3, 2),
    )
    t("rrelu training", _seeded(lambda x: F.rrelu(x, training=True)), normal(6))
    t("bernoulli mask", _seeded(lambda x: x * torch.bernoulli(torch.full_like(x, 0.5))), normal(6))
    t("noise", _seeded(lambda x: x * torch.randn_like(x)), normal(3))
    t("gumbel_softmax", _seeded(lambda x: F.gumbel_softmax(x, 0.5)), normal(2, 3))
    return t.rows

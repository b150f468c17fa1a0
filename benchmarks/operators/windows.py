"""Convolutions and pooling."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.operators.table import Row, Topic, normal, positive


def convolutions() -> list[Row]:
    """Rows."""
    t = Topic("convolutions")
    t("conv1d", F.conv1d, normal(2, 2, 5), normal(3, 2, 2), normal(3))
    t(
        "conv1d options",
        lambda x, w: F.conv1d(x, w, stride=2, padding=1, dilation=2),
        normal(1, 2, 6),
        normal(2, 2, 2),
    )
    t("conv1d groups", lambda x, w: F.conv1d(x, w, groups=2), normal(1, 4, 4), normal(4, 2, 2))
    t("conv1d same", lambda x, w: F.conv1d(x, w, padding="same"), normal(1, 2, 4), normal(2, 2, 3))
    t("conv1d float32", F.conv1d, normal(1, 2, 4, dtype=torch.float32), normal(2, 2, 2, dtype=torch.float32))
    t("conv2d", F.conv2d, normal(1, 2, 3, 3), normal(2, 2, 2, 2), normal(2))
    t(
        "conv2d options",
        lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
        normal(1, 2, 4, 4),
        normal(2, 2, 2, 2),
    )
    t(
        "conv2d depthwise",
        lambda x, w, b: F.conv2d(x, w, b, groups=2),
        normal(1, 2, 3, 3),
        normal(2, 1, 2, 2),
        normal(2),
    )
    t(
        "conv2d float32",
        F.conv2d,
        *(normal(*s, dtype=torch.float32) for s in ((1, 1, 3, 3), (2, 1, 2, 2), (2,))),
    )
    t("conv3d", F.conv3d, normal(1, 1, 2, 3, 2), normal(1, 1, 2, 2, 1))
    t("conv_transpose1d", F.conv_transpose1d, normal(1, 2, 3), normal(2, 2, 2), normal(2))
    t(
        "conv_transpose1d options",
        lambda x, w: F.conv_transpose1d(x, w, stride=2, padding=1, output_padding=1, groups=2, dilation=2),
        normal(1, 2, 3),
        normal(2, 1, 2),
    )
    t(
        "conv_transpose2d",
        lambda x, w: F.conv_transpose2d(x, w, stride=2),
        normal(1, 2, 2, 2),
        normal(2, 1, 2, 2),
    )
    t("conv_tbc", lambda x, w, b: torch.conv_tbc(x, w, b, 1), normal(3, 1, 2), normal(2, 2, 2), normal(2))
    t("unfold", lambda x: F.unfold(x, (2, 2), padding=1), normal(1, 2, 3, 3))
    t("fold", lambda x: F.fold(x, (3, 3), (2, 2)), normal(1, 4, 4))
    return t.rows


def pooling() -> list[Row]:
    """Rows."""
    t = Topic("pooling")
    t("avg_pool1d", lambda x: F.avg_pool1d(x, 2, 1, 1), normal(1, 2, 4))
    t("avg_pool2d", lambda x: F.avg_pool2d(x, 2), normal(1, 2, 4, 4))
    t(
        "avg_pool2d options",
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        normal(1, 1, 4, 4),
    )
    t("avg_pool2d divisor", lambda x: F.avg_pool2d(x, 2, divisor_override=3), normal(1, 1, 4, 4))
    t("avg_pool3d", lambda x: F.avg_pool3d(x, 2), normal(1, 1, 2, 2, 4))
    t("max_pool1d", lambda x: F.max_pool1d(x, 2), normal(1, 2, 6))
    t("max_pool1d padding", lambda x: F.max_pool1d(x, 3, 2, 1), normal(1, 1, 5))
    t("max_pool2d", lambda x: F.max_pool2d(x, 2), normal(1, 2, 4, 4))
    t("max_pool2d options", lambda x: F.max_pool2d(x, 2, 1, 1, 2, True), normal(1, 1, 4, 4))
    t("max_pool3d", lambda x: F.max_pool3d(x, 2), normal(1, 1, 2, 2, 4))
    t(
        "max_unpool1d",
        lambda x: F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), (2,)),
        normal(1, 1, 6),
    )
    t(
        "max_unpool2d",
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), (2, 2)),
        normal(1, 1, 4, 4),
    )
    t("adaptive_avg_pool1d", lambda x: F.adaptive_avg_pool1d(x, 2), normal(1, 2, 5))
    t("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (2, 3)), normal(1, 1, 3, 4))
    t("adaptive_avg_pool2d to 1", lambda x: F.adaptive_avg_pool2d(x, 1), normal(1, 2, 3, 3))
    t("adaptive_max_pool1d", lambda x: F.adaptive_max_pool1d(x, 2), normal(1, 2, 5))
    t("adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, (2, 2)), normal(1, 1, 3, 4))
    t("lp_pool1d", lambda x: F.lp_pool1d(x, 2, 2), normal(1, 1, 4))
    t("lp_pool2d", lambda x: F.lp_pool2d(x, 3, 2), positive(1, 1, 4, 4))
    t("upsample nearest", lambda x: F.interpolate(x, scale_factor=2), normal(1, 1, 2, 2))
    t("upsample nearest to a size", lambda x: F.interpolate(x, size=5), normal(1, 2, 3))
    t("upsample nearest-exact", lambda x: F.interpolate(x, size=5, mode="nearest-exact"), normal(1, 1, 3))
    t("upsample nearest 3-d", lambda x: F.interpolate(x, size=(3, 1, 2)), normal(1, 1, 2, 2, 1))
    t("upsample linear", lambda x: F.interpolate(x, size=5, mode="linear"), normal(1, 1, 3))
    t("downsample linear", lambda x: F.interpolate(x, scale_factor=0.5, mode="linear"), normal(1, 1, 5))
    t(
        "upsample bilinear",
        lambda x: F.interpolate(x, size=(4, 5), mode="bilinear", align_corners=True),
        normal(1, 1, 2, 3),
    )
    t(
        "upsample bilinear by a factor",
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        normal(1, 1, 2, 3),
    )
    t(
        "upsample trilinear",
        lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"),
        normal(1, 1, 2, 1, 2),
    )
    return t.rows

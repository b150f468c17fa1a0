"""Plots of what was recorded, as inlined SVG that takes its colours from the page."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log10
from typing import Any

from gradproof.report.collect import Curve, Form

_INK = "#010203"
_LINES = ("#010301", "#010302", "#010304", "#010305")
_COLOURS = {_INK: "currentColor", **{c: f"var(--line-{n})" for n, c in enumerate(_LINES, 1)}}
"""Colours that stand for those of the page, which knows whether it is light or dark."""

_LINEAR = 1e-3
"""Below this size the axis is linear."""
_OPENING = '<svg {} role="img" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'


@dataclass(frozen=True)
class Picture:
    """An SVG with what it shows."""

    svg: str
    caption: str


def pictures(form: Form) -> tuple[Picture, ...]:
    """The plots of a form: its function and derivative, and the error over the inputs."""
    made: list[Picture] = []
    if form.function:
        caption = f"{form.label} and its derivative, computed by the NumPy kernel in float64."
        made.append(Picture(draw(form.function, "x", "", marks="lines"), caption))
    if form.errors:
        kernel = form.errors[0].label.partition(", ")[2] or "kernel"
        caption = f"Errors of the {kernel} over the inputs, in units in the last place (ulp)."
        curves = [replace(c, label=c.label.partition(", ")[0]) for c in form.errors]
        made.append(Picture(draw(curves, "x", "error in ulp", marks="dots"), caption))
    return tuple(made)


def draw(curves: Sequence[Curve], across: str, up: str, marks: str, *, decades: bool = False) -> str:
    """Curves as SVG, as lines or dots; `decades` makes the upward axis logarithmic."""
    import matplotlib
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "font.family": "serif",
        "font.size": 11,
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "svg.hashsalt": "gradproof",
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        _plot(axes, curves, marks)
        if decades:
            axes.set_yscale("log")
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid(alpha=0.25, color=_INK, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if len(curves) > 1 and marks == "lines":
            axes.legend(frameon=False, labelcolor=_INK)
        elif len(curves) > 1:
            axes.legend(
                frameon=False,
                labelcolor=_INK,
                markerscale=4,
                ncols=2,
                loc="lower left",
                bbox_to_anchor=(0, 1),
                borderpad=0,
                handletextpad=0,
                columnspacing=1,
                fontsize=10,
            )
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _own_names(_clean(buffer.getvalue()))


def _plot(axes: Any, curves: Sequence[Curve], marks: str) -> None:
    for curve, colour, dashes in zip(curves, _LINES, ("-", "--", "-.", ":"), strict=False):
        if marks == "lines":
            axes.plot(
                curve.inputs, curve.values, color=colour, linestyle=dashes, label=curve.label, linewidth=1.8
            )
        else:
            axes.plot(curve.inputs, curve.values, ".", color=colour, label=curve.label, markersize=3)
    if marks == "dots":
        _scale_by_decades(axes, [x for curve in curves for x in curve.inputs])


def _scale_by_decades(axes: Any, inputs: Sequence[float]) -> None:
    """An axis over many magnitudes of both signs, marked at few enough powers of ten to be read."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("symlog", linthresh=_LINEAR)
    top = int(log10(max(map(abs, inputs))))
    every = max(1, ceil(top / 4))
    powers = [10.0**n for n in range(top - top % every, 0, -every)]
    low = min(inputs)
    axes.xaxis.set_major_locator(FixedLocator([*(-p for p in powers if -p >= low), 0, *reversed(powers)]))
    axes.xaxis.set_minor_locator(NullLocator())


def _own_names(svg: str) -> str:
    """The drawing with names that no other drawing on a page has."""
    mark = hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r'\bid="', f'id="p{mark}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>p{mark}-", svg)


def _clean(svg: str) -> str:
    """Only the `svg` element, with the colours of the page and without references to elsewhere."""
    start = svg.index("<svg")
    made = svg[start:]
    made = re.sub(r"<metadata>.*?</metadata>", "", made, flags=re.DOTALL)
    made = re.sub(r"\s+xmlns:(?:cc|dc|rdf)=\"[^\"]*\"", "", made)
    for marker, colour in _COLOURS.items():
        made = made.replace(marker, colour)
    return re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', lambda m: _OPENING.format(m[1]), made, count=1)

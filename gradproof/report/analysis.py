"""The page of `gradproof analyze`: plots and tables of what was measured of trained models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradproof.report.collect import Curve
from gradproof.report.html import environment
from gradproof.report.plots import Picture, draw

PAGE, DATA = "index.html", "analysis.json"


def write_analysis(models: Sequence[Mapping[str, Any]], out: Path) -> Path:
    """Write the page and the data of models; the path of the page."""
    out.mkdir(parents=True, exist_ok=True)
    sections = [*_flow(models), *_saliency(models), *_curvature(models)]
    text = environment().get_template("analysis.html.j2").render(models=models, sections=sections)
    (out / PAGE).write_text(text, encoding="utf-8")
    data = json.dumps({"models": list(models)}, ensure_ascii=False, indent=1)
    (out / DATA).write_text(data + "\n", encoding="utf-8")
    return out / PAGE


def _section(title: str, text: str, **parts: Any) -> dict[str, Any]:
    return {"title": title, "text": text, "pictures": [], "tables": [], "texts": [], **parts}


def _flow(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    shown = [m for m in models if m["flow"]]
    if not shown:
        return []
    gradients = [_back(m["name"], m["flow"]["gradients"]) for m in shown]
    pictures = [
        Picture(
            draw(gradients, "steps before the last token", "norm of the gradient", "lines", decades=True),
            "The norm of the gradient of the last token's loss by the state (a Transformer: by the embedded "
            "token) so many steps before it, the mean over the rows.",
        )
    ]
    if recurrent := [m for m in shown if m["flow"]["jacobians"]]:
        jacobians = [_back(m["name"], m["flow"]["jacobians"]) for m in recurrent]
        pictures.append(
            Picture(
                draw(jacobians, "steps before the last token", "largest singular value", "lines"),
                "The largest singular value of the Jacobian of the state after a step by the state "
                "before it.",
            )
        )
    text = (
        "Where the norm falls with every step back, what was long ago cannot be learned from (the vanishing "
        "gradient); where it grows, a step of training is thrown off (the exploding gradient)."
    )
    return [_section("Gradients through time", text, pictures=pictures)]


def _back(name: str, values: Sequence[float]) -> Curve:
    """Values in the order of time as a curve over the distance from the end."""
    positive = [(n, v) for n, v in enumerate(reversed(values), 1) if v > 0]
    return Curve(name, [n for n, _ in positive], [v for _, v in positive])


def _saliency(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    texts = []
    for model in models:
        found = model["saliency"]
        if not found:
            continue
        largest = max(map(abs, found["integrated"]), default=0.0) or 1.0
        tokens = [
            {
                "shown": token.replace(" ", "\u00a0").replace("\n", "↵ ") + ("" if found["joined"] else " "),
                "share": value / largest,
                "percent": round(70 * abs(value) / largest),
                "value": f"integrated gradient {value:.3g}, norm of the gradient {norm:.3g}",
            }
            for token, value, norm in zip(
                found["tokens"], found["integrated"], found["gradients"], strict=True
            )
        ]
        title = f"{model['name']}: {found['of']} ({found['score']:.3g}; the sum is off by {found['gap']:.1g})"
        texts.append({"title": title, "tokens": tokens})
    if not texts:
        return []
    text = (
        "Integrated gradients from embeddings of 0: what each token adds to the score (blue), or "
        "takes from it (orange). Point at a token for its numbers."
    )
    return [_section("What is owed to each token", text, texts=texts)]


def _curvature(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    shown = [m for m in models if m["eigenvalues"]]
    if not shown:
        return []
    count = max(len(m["eigenvalues"]) for m in shown)
    rows = [[m["name"], *(f"{v:.4g}" for v in m["eigenvalues"])] for m in shown]
    rows = [row + [""] * (count + 1 - len(row)) for row in rows]
    table = {"columns": ["model", *map(str, range(1, count + 1))], "rows": rows}
    text = (
        "The largest eigenvalues in size of the Hessian of the loss of one batch by all parameters, "
        "by Lanczos' method "
        "on Hessian-vector products; gradient descent is stable below a rate of 2 over the first."
    )
    return [_section("Curvature", text, tables=[table])]

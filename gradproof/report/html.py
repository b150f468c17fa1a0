"""The report as HTML: one self-contained page for each operation and an index, without JavaScript."""

from __future__ import annotations

import math as math_
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from gradproof.report import page, plots
from gradproof.report.collect import Form, OperationReport
from gradproof.report.prose import first_sentence, inline, paragraphs
from gradproof.symbolic.arrangement import decimals
from gradproof.symbolic.boxes import Box, Equation
from gradproof.symbolic.expressions import Tensor, entry
from gradproof.symbolic.mathml import broken, equations_to_mathml, math
from gradproof.symbolic.names import scalar_name
from gradproof.symbolic.notation import Notation

_FOLDER = Path(__file__).parent / "templates"
_LINE = 50
_NARROW = 34
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SYMBOLS = {"proved": "✓", "refuted": "✗", "undecided": "?"}


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates with their filters."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "math": lambda box: Markup(math(box)),
        "display": display,
        "aligned": aligned,
        "narrow": narrow,
        "python": python,
        "prose": paragraphs,
        "inline": inline,
        "sentence": first_sentence,
        "tensor": tensor,
        "count": page.count,
        "digits": digits,
    }
    made.globals |= {
        "style": Markup((_FOLDER / "style.css").read_text(encoding="utf-8")),
        "symbols": SYMBOLS,
        "headline": page.headline,
    }
    return made


def display(box: Box) -> Markup:
    """A formula on lines of its own; a long sum is broken before its signs."""
    lines = [f"<div>{math(line, display=True)}</div>" for line in broken(box, _LINE)]
    return Markup("".join(lines))


def aligned(given: Sequence[Equation]) -> Markup:
    """Equations under one another."""
    return Markup(equations_to_mathml(given))


def narrow(given: Sequence[Equation]) -> Markup:
    """Equations under one another, broken sooner: for a column beside others."""
    return Markup(equations_to_mathml(given, wide=_NARROW))


def tensor(given: Tensor) -> Markup:
    """The name of a tensor as the formulas write it."""
    bare = Tensor(given.name)
    return Markup(math(Notation(frozenset({given.name})).box(entry(bare))))


def python(text: str) -> Markup:
    """Source, highlighted."""
    return Markup(highlight(text, PythonLexer(), HtmlFormatter(nowrap=True, classprefix="py-")))


def digits(value: float) -> str:
    """A measured number to three digits, in powers of ten where it is very large or small.

    >>> digits(0.0123), digits(2.16e-16), digits(1.0e7), digits(float("inf"))
    ('0.0123', '2.16 × 10⁻¹⁶', '10⁷', '∞')
    """
    if math_.isinf(value):
        return "∞" if value > 0 else "−∞"
    plain, _, exponent = f"{value:.3g}".partition("e")
    if not exponent:
        return plain.replace("-", "−")
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    return power if plain == "1" else f"{plain.replace('-', '−')} × {power}"


def operation_page(report: OperationReport) -> str:
    """The page of an operation."""
    views = [page.view_form(form) for form in report.forms]
    pictures = [(view.anchor, plots.pictures(view.form)) for view in views]
    return (
        environment()
        .get_template("operation.html.j2")
        .render(
            report=report,
            views=views,
            pictures=dict(pictures),
            verdict=report.verdict,
            shapes=shapes,
            parameters=parameters,
        )
    )


def index_page(reports: Sequence[OperationReport], seconds: float) -> str:
    """The first page: every operation with its verdict."""
    outcomes = [report.verdict.verdict for report in reports]
    counts = {outcome: outcomes.count(outcome) for outcome in SYMBOLS}
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            topics=page.by_topic(reports),
            counts=counts,
            total=len(reports),
            theorems=sum(len(r.theorems) for r in reports),
            steps=sum(form.steps for r in reports for form in r.forms),
            forms=sum(len(r.forms) for r in reports),
            checks=sum(len(r.evidence) for r in reports),
            failed=sum(r.failed_checks for r in reports),
            seconds=seconds,
            leaves=page.leaves(),
        )
    )


def shapes(form: Form) -> list[tuple[str, Tensor, str]]:
    """The inputs and outputs of a form: which of the two, the tensor, its shape in words."""
    given = [("input", t) for t in form.operation.inputs] + [("output", t) for t in form.operation.outputs]
    return [(role, t, " × ".join(a.name for a in t.axes) or "a number") for role, t in given]


def parameters(form: Form) -> list[tuple[Box, str, str, str]]:
    """The hyper-parameters of a form: how each is written, its name, its domain and its default."""
    given = form.operation.hyperparameters.items()
    return [(scalar_name(name), name, h.domain, decimals(h.default) or str(h.default)) for name, h in given]


def write(reports: Sequence[OperationReport], out: Path, seconds: float) -> Path:
    """Write the pages; the first one."""
    for report in reports:
        (out / f"{report.name}.html").write_text(operation_page(report), encoding="utf-8")
    first = out / "index.html"
    first.write_text(index_page(reports, seconds), encoding="utf-8")
    return first

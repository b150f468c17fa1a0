"""The report as Markdown, as one LaTeX document, and as JSON with every step as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gradproof.report import page
from gradproof.report.collect import Evidence, Form, OperationReport
from gradproof.report.prose import first_sentence
from gradproof.symbolic.boxes import Box, Equation, Line
from gradproof.symbolic.latex import aligned, box_to_latex, equation_to_latex, preamble
from gradproof.symbolic.plain import verdict_lines
from gradproof.symbolic.serial import derivation_to_data, operation_to_data, program_to_data
from gradproof.symbolic.verdict import Verdict

# --- Markdown


def write_markdown(reports: Sequence[OperationReport], out: Path, seconds: float) -> Path:
    """Write `index.md` and `NAME.md` for each operation; the first page."""
    for report in reports:
        (out / f"{report.name}.md").write_text("\n".join(_markdown_page(report)), encoding="utf-8")
    first = out / "index.md"
    first.write_text("\n".join(_markdown_index(reports, seconds)), encoding="utf-8")
    return first


def _markdown_index(reports: Sequence[OperationReport], seconds: float) -> Iterator[str]:
    counted = page.count(len(reports), "operation")
    yield f"# gradproof report\n\n{counted}, derived and proved in {seconds:.1f} s.\n"
    for topic, found in page.by_topic(reports).items():
        yield f"## {topic.capitalize()}\n"
        yield "| operation | | steps | theorems | verdict |\n| --- | --- | ---: | ---: | --- |"
        for report in found:
            steps = sum(form.steps for form in report.forms)
            about = first_sentence(report.operation.doc).replace("|", r"\vert ")
            link = f"[{report.name}]({report.name}.md)"
            yield f"| {link} | {about} | {steps} | {len(report.theorems)} | {report.verdict.verdict} |"
        yield ""


def _markdown_page(report: OperationReport) -> Iterator[str]:
    yield f"# {report.name}\n\n{report.operation.doc}\n\nVerdict: **{report.verdict.verdict}**\n"
    for form in report.forms:
        view = page.view_form(form)
        if len(report.forms) > 1:
            yield f"# {form.label}\n"
        yield "## Definition\n"
        yield from (_display(block) for block in view.definition)
        for d in view.derivations:
            under = " and ".join(f"${box_to_latex(c)}$" for c in d.conditions)
            yield f"## {d.title}{f' where {under}' if under else ''}\n\n{'' if under else d.lead}\n"
            yield from (_display(block) for block in d.blocks)
            yield from _markdown_steps(d)
        yield "## Proof\n"
        for t in view.theorems:
            yield f"- **{t.verdict.verdict}**: {t.name}. {_ground(t.verdict)}\n"
            yield f"  $${box_to_latex(t.left)} = {box_to_latex(t.right)}$$\n"
        for source in form.sources:
            yield f"## Code for {source.target}\n\n```python\n{source.text.rstrip()}\n```\n"
        yield from _markdown_evidence(form)


def _display(block: page.Block) -> str:
    lines: Sequence[Line] = block.equations or ([block.group] if block.group is not None else [])
    return f"$$\n{aligned(lines)}\n$$\n"


def _markdown_steps(d: page.DerivationView) -> Iterator[str]:
    yield f"<details><summary>All {page.count(d.steps, 'step')}</summary>\n"
    for subject in d.subjects:
        yield f"${box_to_latex(subject.left)}$:\n"
        for chain in subject.chains:
            for link in chain.links:
                rule = f"{link.number}. *{link.rule}*" if link.number is not None else "From the chain rule"
                relation = "= " if link.number is not None else ""
                yield f"{rule}: ${relation}{_uncoloured(link.box)}$\n"
    yield "</details>\n"


def _uncoloured(box: Box) -> str:
    """LaTeX for readers that know no colours of ours."""
    return re.sub(r"\\color\{gradproofhot\} ", "", box_to_latex(box))


def _ground(verdict: Verdict) -> str:
    _, *rest = verdict_lines(verdict)
    return "; ".join(rest) + "."


def _markdown_evidence(form: Form) -> Iterator[str]:
    yield "## Numerical evidence\n"
    if not form.evidence:
        yield "No numerical check was recorded for this operation.\n"
        return
    yield "| check | kernel | precision | cases | error | allowed | PyTorch | unit | result |"
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | --- | --- |"
    yield from ("| " + " | ".join(evidence_cells(e)) + " |" for e in form.evidence)


def evidence_cells(e: Evidence) -> tuple[str, ...]:
    """A row of the table of numerical evidence."""
    figures = ("–" if f is None else f"{f:.3g}" for f in (e.error, e.bound, e.reference))
    return e.check, e.target, e.dtype, str(e.cases), *figures, e.unit, "passed" if e.passed else "failed"


# --- LaTeX


def write_latex(reports: Sequence[OperationReport], out: Path, seconds: float) -> Path:
    """Write `report.tex`, one document; its path."""
    first = out / "report.tex"
    first.write_text("\n".join(_latex_document(reports)), encoding="utf-8")
    return first


def _latex_document(reports: Sequence[OperationReport]) -> Iterator[str]:
    yield "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage[margin=2.2cm]{geometry}"
    yield preamble()
    yield "\\allowdisplaybreaks\n\\title{Gradients, derived and proved}\n\\author{gradproof}\n\\date{}"
    yield "\\begin{document}\n\\maketitle\n\\tableofcontents"
    for topic, found in page.by_topic(reports).items():
        yield f"\\section{{{_escape(topic.capitalize())}}}"
        for report in found:
            for form in report.forms:
                yield from _latex_form(form, report)
    yield "\\end{document}\n"


def _latex_form(form: Form, report: OperationReport) -> Iterator[str]:
    view = page.view_form(form)
    yield f"\\subsection{{{_escape(form.label)}}}"
    yield f"Verdict on {_escape(report.name)}: {report.verdict.verdict}."
    yield from (_latex_display(block) for block in view.definition)
    for d in view.derivations:
        under = "".join(f" where ${box_to_latex(c)}$" for c in d.conditions)
        yield f"\\paragraph{{{d.title}{under}.}} {'' if under else _escape(d.lead)}"
        yield from (_latex_display(block) for block in d.blocks)
        for subject in d.subjects:
            yield f"\\subparagraph{{Steps for ${box_to_latex(subject.left)}$.}}"
            for chain in subject.chains:
                first, *rest = chain.links
                rows = [f"&{box_to_latex(first.box)}"]
                rows += [
                    f"&\\quad = {box_to_latex(k.box)} && \\text{{{_escape(k.rule)} ({k.number})}}"
                    for k in rest
                ]
                body = " \\\\\n".join(rows)
                yield f"\\begin{{align*}}\n{body}\n\\end{{align*}}"
    yield "\\paragraph{Proof.}"
    for t in view.theorems:
        yield f"{_escape(t.name)}: {t.verdict.verdict}. {_escape(_ground(t.verdict))}"
        yield f"\\[ {box_to_latex(t.left)} = {box_to_latex(t.right)} \\]"


def _latex_display(block: page.Block) -> str:
    equations: Sequence[Equation] = block.equations or (block.group.equations if block.group else ())
    title = ""
    if block.group is not None:
        over = f" for ${box_to_latex(block.group.over)}$" if block.group.over is not None else ""
        title = f"\\noindent {_escape(block.group.title)}{over}:\n"
    body = " \\\\\n".join(equation_to_latex(e) for e in equations)
    return f"{title}\\begin{{align*}}\n{body}\n\\end{{align*}}"


def _escape(text: str) -> str:
    text = re.sub(r"([_%&#${}])", r"\\\1", text)
    return text.replace("^", r"\^{}").replace("<", r"\textless{}").replace(">", r"\textgreater{}")


# --- JSON


def write_json(reports: Sequence[OperationReport], out: Path, seconds: float) -> Path:
    """Write `NAME.json` for each operation, with every step; the path of `report.json`."""
    for report in reports:
        forms = [
            {
                "label": form.label,
                "operation": operation_to_data(form.operation),
                "program": program_to_data(form.operation.program),
                "derivations": [derivation_to_data(d) for d in form.derivations],
                "sources": {source.target: source.text for source in form.sources},
            }
            for form in report.forms
        ]
        text = json.dumps({**report.to_dict(), "forms": forms}, ensure_ascii=False)
        (out / f"{report.name}.json").write_text(f"{text}\n", encoding="utf-8")
    return out / "report.json"

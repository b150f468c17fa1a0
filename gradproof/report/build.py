"""Building a report: collect what the stages record about each operation, then write it in one format."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradproof.report.collect import OperationReport, collect
from gradproof.report.helpers import Helpers
from gradproof.report.page import count
from gradproof.symbolic.operation import Operation
from gradproof.symbolic.verdict import Outcome, combine


@dataclass(frozen=True)
class Built:
    """A report that was written."""

    reports: tuple[OperationReport, ...]
    first_page: Path
    seconds: float

    @property
    def verdict(self) -> Outcome:
        return combine([report.verdict for report in self.reports])

    @property
    def failures(self) -> tuple[str, ...]:
        return tuple(text for report in self.reports for text in report.failures)

    @property
    def failed_checks(self) -> int:
        return sum(report.failed_checks for report in self.reports)

    @property
    def data(self) -> dict[str, Any]:
        """The document `report.json`: each operation's verdict object, theorems and evidence, by name."""
        return {report.name: report.to_dict() for report in self.reports}

    @property
    def summary(self) -> str:
        outcomes = [report.verdict.verdict for report in self.reports]
        parts = [f"{outcomes.count(o)} {o}" for o in ("proved", "refuted", "undecided") if outcomes.count(o)]
        if self.failed_checks:
            parts.append(f"{count(self.failed_checks, 'numerical check')} failed")
        written = f"{count(len(self.reports), 'operation')}: {', '.join(parts)} ({self.seconds:.1f} s)"
        return f"{written}\n{self.first_page}"


def build_report(
    operations: Sequence[Operation],
    out: Path,
    form: str = "html",
    advance: Callable[[str, int], None] = lambda what, done: None,
    helpers: int = 0,
) -> Built:
    """Write the report on operations into the folder `out`; `advance` hears what is being done.

    With `helpers` the catalogue's numerical checks run in that many further processes.
    """
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    reports: list[OperationReport] = []
    with Helpers(operations, helpers) as checks:
        for done, operation in enumerate(operations):
            advance(operation.name, done)
            reports.append(collect(operation, checks))
    advance("writing", len(operations))
    seconds = time.perf_counter() - started
    first = _writer(form)(reports, out, seconds)
    built = Built(tuple(reports), first, time.perf_counter() - started)
    text = json.dumps(built.data, ensure_ascii=False, indent=2)
    (out / "report.json").write_text(f"{text}\n", encoding="utf-8")
    return built


def _writer(form: str) -> Callable[[Sequence[OperationReport], Path, float], Path]:
    if form == "html":
        from gradproof.report import html

        return html.write
    from gradproof.report import text

    return {"markdown": text.write_markdown, "latex": text.write_latex, "json": text.write_json}[form]

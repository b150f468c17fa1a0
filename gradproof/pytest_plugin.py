"""The pytest plugin: `pytest --claims` judges the claims in the documents that it collects, one test each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gradproof.documents import Block


class ClaimError(Exception):
    """A verdict that is not the one that the document states."""


class ClaimItem(pytest.Item):
    """The claim of one block."""

    def __init__(self, *, block: Block, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.block = block

    def runtest(self) -> None:
        from gradproof.symbolic.judgement import judge, unreadable
        from gradproof.table import reasons

        line = self.block.line
        verdict = judge(line.claim) if line.claim is not None else unreadable(line.problem or "")
        if verdict.verdict != (self.block.expected or "proved"):
            said = "\n  ".join(reasons(self.block.judged(verdict)))
            raise ClaimError(f"{line.id}: {verdict.verdict}\n  {said}")

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, ClaimError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.block.line.number - 1, f"claim {self.name}"


class ClaimFile(pytest.File):
    """A document."""

    def collect(self) -> Iterator[ClaimItem]:
        from gradproof.documents import read_document

        for block in read_document(self.path):
            place = block.line.id.removeprefix(str(self.path))
            name = place.lstrip(": ") or str(block.line.number)
            yield ClaimItem.from_parent(self, name=name, block=block)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--claims`."""
    group = parser.getgroup("gradproof")
    group.addoption("--claims", action="store_true", help="Judge the claims in documents (gradproof).")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ClaimFile | None:
    """Collect the documents."""
    if not parent.config.getoption("--claims"):
        return None
    from gradproof.documents import is_document

    return ClaimFile.from_parent(parent, path=file_path) if is_document(file_path) else None

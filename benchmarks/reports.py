"""Seconds for the whole report, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.record import Goal, Section, Table, megabytes, seconds

LIMIT = 60.0
METHOD = (
    "`python -m gradproof report` writes the HTML report into an empty folder; wall-clock time of the "
    "process."
)


def run(names: Sequence[str]) -> Section:
    """Build the report and time it."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gradproof", "report", *names, "--out", folder]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        taken = time.perf_counter() - started
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        pages = len(list(Path(folder).glob("*.html")))
    said = done.stderr.strip().splitlines()[:-1]
    data = {"seconds": taken, "exit_status": done.returncode, "pages": pages, "bytes": size, "said": said}
    row = ("report", seconds(taken), str(pages), megabytes(size), str(done.returncode))
    table = Table(("command", "time", "pages", "MiB", "exit status"), (row,))
    whole = done.returncode in (0, 1, 2)
    goal = Goal(f"the whole report in {LIMIT:g} s", seconds(taken), taken < LIMIT and whole)
    return Section("report", "The report", METHOD, table, data, (goal,), tuple(said))

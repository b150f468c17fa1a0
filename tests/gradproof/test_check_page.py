"""docs/check.md: its examples run, its commands say what is shown, and its small primes are counted again."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.small_primes import Row, identities, run

PAGE = Path(__file__).parents[2] / "docs" / "check.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
PYTHON = [text for language, text in BLOCKS if language == "python"]
CONSOLE = [text for language, text in BLOCKS if language == "console"]


def test_examples_run(tmp_path: Path) -> None:
    (tmp_path / "examples.py").write_text("\n".join(PYTHON), encoding="utf-8")
    command = [sys.executable, "examples.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "y x proved" in result.stdout


@pytest.mark.parametrize("text", CONSOLE)
def test_commands_say_what_is_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "cube.py").write_text(PYTHON[0], encoding="utf-8")
    command, *shown = text.splitlines()
    name, *arguments = shlex.split(command.removeprefix("$ "))
    assert name == "gradproof"
    result = subprocess.run(
        [sys.executable, "-m", "gradproof", *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    said = [line.rstrip() for line in result.stdout.splitlines()]
    shown = shown[:-1] if shown[-1] == "..." else shown
    assert said[: len(shown)] == shown


def test_false_identities_at_small_primes() -> None:
    made = [identity for identity in identities(count=20) if identity.family != "circular"]
    rows: list[Row] = []
    for row in run(512, made):
        rows.append(row)
        if row.family == "all":
            break
    total = rows[-1]
    assert total.bits == 12 and total.identities == len(made) > 50
    assert 0 < total.hits < 3 * total.expected


def test_random_identities_are_many_and_false() -> None:
    made = identities(count=30)
    assert sum(identity.family == "random" for identity in made) == 30

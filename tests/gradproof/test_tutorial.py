"""docs/tutorial.md, run from its first example to its last."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_examples_run(tmp_path: Path) -> None:
    script = "\n".join(text for language, text in BLOCKS if language == "python")
    (tmp_path / "tutorial.py").write_text(script, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "tutorial.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert "refuted" in result.stdout
    page = (tmp_path / "mish" / "scaled_mish.html").read_text(encoding="utf-8")
    assert "scaled_mish" in page and "<math" in page


COMMANDS = [line[2:] for language, text in BLOCKS if language == "console" for line in text.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command: str, tmp_path: Path) -> None:
    name, *arguments = shlex.split(command)
    assert name == "gradproof"
    result = subprocess.run(
        [sys.executable, "-m", "gradproof", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr

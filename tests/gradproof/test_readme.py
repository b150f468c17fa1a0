"""README.md: the set-up commands where they have to be, and the examples with what they print."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_first_two_commands_do_the_set_up() -> None:
    shell = [text.splitlines() for language, text in BLOCKS if language == "sh"]
    assert shell[:2] == [["make report"], ["make test"]]


def test_examples_print_what_is_shown(tmp_path: Path) -> None:
    script = "\n".join(text for language, text in BLOCKS if language == "python")
    (tmp_path / "readme.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "readme.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    shown = next(text for language, text in BLOCKS if language == "text")
    assert result.stdout.startswith(shown)
    assert "adjoint of logits proved" in result.stdout
    assert result.stdout.endswith("off by a constant factor: 2/3\n")

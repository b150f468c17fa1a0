"""The tutorial and the other pages with examples, run from the first example to the last."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
CHECKS = ("vjp against torch autograd", "jvp", "extremes")


def blocks(name: str) -> list[tuple[str, str]]:
    """The examples of a page, each with its language."""
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(name: str, tmp_path: Path) -> str:
    """What the Python examples of a page print."""
    script = "\n".join(text for language, text in blocks(name) if language == "python")
    (tmp_path / "examples.py").write_text(script, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "examples.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_operations(tmp_path: Path) -> None:
    assert "a NumPy function was called on a symbol" in run("operations", tmp_path)


def test_kernels(tmp_path: Path) -> None:
    assert not run("kernels", tmp_path)


def test_accuracy(tmp_path: Path) -> None:
    printed = run("accuracy", tmp_path)
    assert "Sigmoid: proved" in printed and "NaN" in printed
    shown = [text for language, text in blocks("accuracy") if language == "text"]
    assert len(shown) == 3
    for mine, line in zip("".join(shown).splitlines(), printed.splitlines(), strict=True):
        assert mine.split("error")[0] == line.split("error")[0]


def test_tutorial(tmp_path: Path) -> None:
    assert "refuted" in run("tutorial", tmp_path)
    page = (tmp_path / "mish" / "scaled_mish.html").read_text(encoding="utf-8")
    assert "scaled_mish" in page and "<math" in page
    record = json.loads((tmp_path / "mish" / "report.json").read_text(encoding="utf-8"))["scaled_mish"]
    assert record["verdict"] == "proved" and not record["missing"]
    assert {t["name"].split(":")[0] for t in record["theorems"]} >= {"adjoint of x", "jvp", "jacobian", "hvp"}
    assert all(e["passed"] for e in record["evidence"]), record["evidence"]
    assert {(e["target"], e["check"]) for e in record["evidence"]} == {
        *((t, c) for t in ("numpy", "torch") for c in (*CHECKS, "accuracy, forward", "accuracy, backward")),
        ("numpy", "complex step"),
        ("torch", "second order"),
    }


COMMANDS = [
    line[2:] for language, text in blocks("tutorial") if language == "console" for line in text.splitlines()
]


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


def test_worked_examples(tmp_path: Path) -> None:
    """What is printed, but for the last digits of the losses, which rounding may change."""
    shown = "".join(text for language, text in blocks("worked-examples") if language == "text")
    printed = run("worked-examples", tmp_path)
    assert printed.splitlines()[:-2] == shown.splitlines()[:-2]
    (losses, imported) = printed.splitlines()[-2:]
    assert imported == "torch imported: False"
    before, after = map(float, re.findall(r"[0-9.]+\d", losses.replace("20 steps", "")))
    assert after < 0.45 * before


def test_training(tmp_path: Path) -> None:
    assert run("training", tmp_path) == "one two, buckle my shoe;\n"

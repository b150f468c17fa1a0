"""`gradproof check`: what it takes, what it prints, and what its exit status says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gradproof import cli

SOURCE = """
import numpy as np
import torch

print("this file runs")


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2


class Wrong(Cube):
    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 2 * x**2


class Layer(torch.nn.Module):
    def __init__(self, size=2):
        super().__init__()
        self.linear = torch.nn.Linear(3, size)

    def forward(self, x):
        return self.linear(x)


class Needs(Layer):
    def __init__(self, size):
        super().__init__(size)


def dot(x, w):
    return x @ w


def leaves(x):
    return x * int(x.sum())


def raises(x):
    return x.reshape(7)


def forward(x):
    return x**2


def vjp(grad, x):
    return (2 * grad * x,)


def twice(grad, x):
    return (grad * 2 * x**2,)


def plain(x):
    return x**3


def inputs():
    return torch.randn(2, 3)


example = (torch.randn(2, 3),)
array = np.array([[0.5, -1.0]])
pair = (forward, vjp)
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "user.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path / "user.py"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["user.py:Cube", "--inputs", "user.py:inputs"], 0, "dy/dx  proved"),
        (["user.py:Cube", "--inputs", "example", "--order", "2"], 0, "(dy/dx)/dcotangent  proved"),
        (["user.py:Wrong", "--inputs", "inputs", "--seed", "5"], 1, "factor: 2/3"),
        (["user.py:leaves", "--inputs", "inputs"], 2, "user.py:46"),
        (["user.py:dot", "--spec", "x: batch d, w: d h"], 0, "batch at 9"),
        (["user.py:dot", "--spec", "x: batch d, w: d h", "--wrt", "w"], 0, "dy/dw  proved"),
        (["user.py:Cube", "--inputs", "inputs", "--accuracy"], 0, "backward in float32: largest error"),
        (["user.py:Layer", "--inputs", "inputs"], 0, "dy/dlinear.weight  proved"),
        (["user.py:Wrong", "--inputs", "inputs", "--declared", "twice"], 0, "dy/dx  proved"),
        (["user.py:Cube", "--inputs", "inputs", "--declared", "user.py:twice"], 1, "dy/dx  refuted"),
        (["user.py:Cube", "--inputs", "inputs", "--reference", "plain"], 0, "dy/dx  proved"),
    ],
)
def test_verdicts(
    arguments: list[str], status: int, said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check", *arguments]) == status
    captured = capsys.readouterr()
    assert said in captured.out
    assert "this file runs" in captured.err
    assert "this file runs" not in captured.out


@pytest.mark.parametrize("program", ["pair", "forward,vjp"])
def test_a_pair_of_numpy_functions(program: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", f"user.py:{program}", "--inputs", "array"]) == 0
    assert "dy/dx  proved" in capsys.readouterr().out


def test_the_answer_says_all(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "user.py:Wrong", "--inputs", "inputs", "--seed", "5"]) == 1
    said = capsys.readouterr().out
    for part in ("Wrong: refuted", "diagnosis", "x = [[", "cotangent = [[", "true gradient", "claimed",
                 "varied", "inputs transposed", "seed", "5"):  # fmt: skip
        assert part in said
    assert cli.run(["check", "user.py:Cube", "--inputs", "inputs"]) == 0
    said = capsys.readouterr().out
    for part in ("ground", "exact-execution", "sizes", "2x3", "bound", "2^-104 (heuristic)"):
        assert part in said


def test_json_is_one_document(file: Path) -> None:
    command = [sys.executable, "-m", "gradproof", "check", "user.py:Wrong", "--inputs", "inputs", "--json"]
    result = subprocess.run(
        command, cwd=file.parent, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 1, result.stderr
    made = json.loads(result.stdout)
    assert made["name"] == "Wrong" and made["verdict"] == "refuted"
    assert {"ground", "witness", "reason", "notes", "seconds", "diagnosis", "varied", "seed"} <= made.keys()
    (pair,) = made["pairs"]
    assert (pair["output"], pair["input"]) == ("y", "x")
    assert {"point", "left", "right"} <= pair["witness"].keys()
    assert "this file runs" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["user.py:Cube"], "--spec 'x: batch d'"),
        (["user.py:dot"], "--inputs user.py:NAME"),
        (["user.py"], "FILE.py:NAME"),
        (["nowhere.py:f"], "nowhere.py: there is no such file"),
        (["user.py:Cub", "--inputs", "inputs"], "did you mean Cube?"),
        (["user.py:Cube", "--inputs", "input"], "did you mean inputs?"),
        (["user.py:Needs", "--inputs", "inputs"], "user.py:layer"),
        (["user.py:raises", "--inputs", "inputs"], "user.py:50: RuntimeError"),
        (["user.py:dot", "--spec", "x: batch, w: d h"], "raises at the example inputs, at user.py:42"),
        (["user.py:dot", "--spec", "x batch"], "name: axis axis"),
        (["user.py:array", "--inputs", "inputs"], "found a ndarray"),
        (["user.py:Cube", "--inputs", "inputs", "--order", "3"], "--order"),
        (["user.py:Cube", "--inputs", "inputs", "--wrt", "y"], "wrt names y"),
    ],
)
def test_misuse_is_3(arguments: list[str], said: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", *arguments]) == 3
    captured = capsys.readouterr()
    assert said in captured.err
    assert not captured.out
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = 1 / 0\n", "broken.py:2: ZeroDivisionError"),
        ("x = 1\n\ndef f(:\n", "broken.py:3: SyntaxError"),
        ("import nothing_of_that_name\n", "broken.py:1: ModuleNotFoundError"),
        ("raise SystemExit(0)\n", "exits when it is imported"),
    ],
)
def test_a_file_that_cannot_be_imported(
    text: str, said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.with_name("broken.py").write_text(text, encoding="utf-8")
    assert cli.run(["check", "broken.py:f", "--inputs", "x"]) == 3
    assert said in capsys.readouterr().err


def test_a_file_imports_its_neighbours(file: Path) -> None:
    file.with_name("neighbour_of_user.py").write_text("import torch\nf = torch.sin\n", encoding="utf-8")
    file.with_name("main.py").write_text("from neighbour_of_user import f\n", encoding="utf-8")
    assert cli.run(["check", "main.py:f", "--spec", "x: d"]) == 0


def test_help_says_that_the_file_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--help"]) == 0
    assert "it runs the code in it" in " ".join(capsys.readouterr().out.split())

"""The command line: what it prints, and what its exit status says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gradproof import cli
from gradproof.symbolic.verdict import Bound, Ground, Verdict, Witness

HEAVY = {"sympy", "torch", "numpy", "matplotlib", "jinja2"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gradproof", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_help_is_light() -> None:
    code = f"""
import sys
from gradproof import cli
from gradproof.symbolic.verdict import Bound, Ground, Verdict, Witness
status = cli.run(["--help"])
assert status == 0, status
assert not {HEAVY!r} & {{*sys.modules}}, {HEAVY!r} & {{*sys.modules}}
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "derive" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 3, "Usage"),
        (["bogus"], 3, "No such command"),
        (["derive"], 3, "OPERATION"),
        (["derive", "softmax", "--bogus"], 3, "No such option"),
        (["derive", "softmx"], 3, "did you mean softmax"),
        (["derive", "softmax", "--kind", "bogus"], 3, "bogus"),
        (["derive", "attention(mask=bogus)"], 3, "mask"),
        (["show", "softmax", "--target", "bogus"], 3, "target"),
        (["report", "bogus"], 3, "no operation named"),
        (["prove", "x"], 3, "RIGHT"),
        (["prove", "x", "x", "--bogus"], 3, "--bogus"),
    ],
)
def test_misuse_is_3(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == status
    captured = capsys.readouterr()
    assert said in captured.err
    assert not captured.out
    assert "Traceback" not in captured.err


def test_status_reaches_the_shell() -> None:
    result = run("derive", "softmx")
    assert result.returncode == 3
    assert not result.stdout


def test_internal_error_is_4(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("something\nbroke")

    monkeypatch.setattr("gradproof.symbolic.operation.operations", fail)
    assert cli.run(["list"]) == 4
    said = capsys.readouterr().err
    assert "RuntimeError: something broke" in said
    assert "GRADPROOF_TRACEBACK=1" in said
    assert len(said.splitlines()) == 1
    monkeypatch.setenv("GRADPROOF_TRACEBACK", "1")
    assert cli.run(["list"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_list_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["list", "--json"]) == 0
    listed = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert listed["softmax"]["inputs"] == [
        {"name": "x", "axes": ["batch", "classes"], "dtype": "real", "domain": "real"}
    ]
    assert listed["softmax"]["topic"] == "reductions"
    assert [t["name"] for t in listed["lstm"]["outputs"]] == ["h", "h_last", "c_last"]
    for record in listed.values():
        assert {"name", "topic", "inputs", "outputs"} <= record.keys()
        for tensor in (*record["inputs"], *record["outputs"]):
            assert {"name", "axes", "dtype", "domain"} <= tensor.keys()


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["list"]) == 0
    assert "layer_norm" in capsys.readouterr().out


def test_derive(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["derive", "sigmoid"]) == 0
    assert "dx[b] = dy[b] y[b] (1 - y[b])" in capsys.readouterr().out
    assert cli.run(["derive", "tanh", "--latex"]) == 0
    assert r"\mathrm{d}x_{b} &= \mathrm{d}y_{b}(1 - y_{b}^{2})" in capsys.readouterr().out
    assert cli.run(["derive", "softmax", "--steps", "--kind", "jvp"]) == 0
    assert "chain" in capsys.readouterr().out


def test_derive_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["derive", "softmax", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["kind"] == "vjp"
    assert made["results"] == {"x": "dx"}
    for step in made["steps"]:
        assert {"subject", "rule", "where", "before", "after", "latex"} <= step.keys()
    assert any(s["target"] == "dx" for s in made["program"]["statements"])


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_show(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["show", "sigmoid", "--target", target]) == 0
    source = capsys.readouterr().out
    compile(source, "sigmoid", "exec")
    assert cli.run(["show", "sigmoid", "--target", target, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["operation"], made["target"]) == ("sigmoid", target)
    assert made["source"].strip() == source.strip()


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", "sigmoid", "--out", str(tmp_path / "out"), "--json"]) == 0
    captured = capsys.readouterr()
    made = json.loads(captured.out)
    assert made["sigmoid"]["verdict"] == "proved"
    assert made["sigmoid"]["ground"]["kind"]
    assert made == json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))


def test_report_refuses_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    assert cli.run(["report", "sigmoid", "--out", str(tmp_path / "out")]) == 3
    assert "a file, not a folder" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gradproof ")


VERDICTS = {
    "proved": Verdict("proved", ground=Ground("normal-form", sizes=("n >= 1",), bound=Bound(-60, "theorem"))),
    "refuted": Verdict("refuted", witness=Witness({"x": "1/2"}, "1", "2"), notes=("a note",)),
    "undecided": Verdict("undecided", reason="it is too large"),
    "unreadable": Verdict("undecided", reason="parse: unexpected )"),
}


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("proved", 0, "at most 2^-60 (theorem)"),
        ("refuted", 1, "x = 1/2"),
        ("undecided", 2, "it is too large"),
        ("unreadable", 3, "parse:"),
    ],
)
def test_prove_says_its_verdict(
    name: str,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(left: str, right: str, domain: str | None = None, latex: bool = False) -> Verdict:
        assert (left, right, domain, latex) == ("-sin(x)", "-x", "x: real", False)
        return VERDICTS[name]

    monkeypatch.setattr("gradproof.symbolic.proof.prove_text", answer, raising=False)
    arguments = ["prove", "-sin(x)", "-x", "--domain", "x: real"]
    assert cli.run(arguments) == status
    assert said in capsys.readouterr().out
    assert cli.run(["prove", "--json", *arguments[1:]]) == status
    assert json.loads(capsys.readouterr().out) == VERDICTS[name].to_dict()


def test_prove_reports_misuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object, **__: object) -> Verdict:
        raise ValueError("x: no such domain")

    monkeypatch.setattr("gradproof.symbolic.proof.prove_text", refuse, raising=False)
    assert cli.run(["prove", "x", "x"]) == 3
    assert "no such domain" in capsys.readouterr().err

"""`gradproof claims`: the table, the JSON lines, the exit status, workers that hang, crash, eat memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gradproof import cli
from gradproof.symbolic.claims_file import Claim, ClaimError, Line, read_claim, read_lines
from gradproof.workers import Task, judge_lines

TRUE = {"id": "true", "function": "tanh(x)", "wrt": "x", "claim": "1 - tanh(x)**2", "domain": {"x": "real"}}
WRONG = {**TRUE, "id": "wrong", "claim": "1 + tanh(x)**2"}
SAME = {"id": "same", "kind": "identity", "function": "log(x**2)", "claim": "2*log(x)", "domain": {"x": ">0"}}
TORN = {"id": "torn", "function": "tanh(x", "wrt": "x", "claim": "1"}


def file_of(folder: Path, *rows: dict[str, Any] | str) -> str:
    path = folder / "claims.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("rows", "status", "verdicts"),
    [
        ([TRUE, SAME], 0, ["proved", "proved"]),
        ([TRUE, WRONG, TORN], 1, ["proved", "refuted", "undecided"]),
        ([TRUE, TORN], 3, ["proved", "undecided"]),
        ([TRUE, "nothing"], 3, ["proved", "undecided"]),
        ([], 0, []),
    ],
)
def test_json_lines_in_the_order_of_the_input(
    rows: list[Any], status: int, verdicts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["claims", file_of(tmp_path, *rows), "--json"]) == status
    made = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["verdict"] for line in made] == verdicts
    assert [line["id"] for line in made] == [r["id"] if isinstance(r, dict) else "line 2" for r in rows]
    for line in made:
        assert {"ground", "witness", "reason", "notes", "seconds"} <= {*line}
        assert line["verdict"] != "undecided" or line["reason"].startswith("parse:")


def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["claims", file_of(tmp_path, TRUE, WRONG), "--jobs", "1"]) == 1
    said = capsys.readouterr().out
    assert "2 claims: 1 proved, 1 refuted" in said
    assert "at x = 1" in said


def test_a_file_that_is_not_there_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["claims", str(tmp_path / "none.jsonl")]) == 3
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert cli.run(["claims", str(tmp_path / "bytes")]) == 3


# --- reading


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"wrt": None}, "'wrt' is missing"),
        ({"wrt": 3}, "a name or a list of names"),
        ({"claim": None}, "'claim' is missing"),
        ({"claim": ["x"]}, "'claim' is a text"),
        ({"domain": ["x"]}, "'domain' is an object"),
        ({"domain": {"x": 1}}, "the domain of x is a text"),
        ({"domain": "x"}, "says no domain"),
        ({"where": 1}, "a list of conditions"),
        ({"kind": "gradient"}, "'gradient' is none of identity, vjp"),
        ({"kind": "identity"}, "an identity has no 'wrt'"),
        ({"latex": "yes"}, "true or false"),
        ({"wheer": []}, "do you mean 'where'?"),
    ],
)
def test_what_is_no_claim(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ClaimError, match=said.replace("?", r"\?")):
        read_claim({**TRUE, **changed})


@pytest.mark.parametrize("text", ["[1]", "{", "3", '{"id": 1e999}', "[" * 5000, '"' + "x" * 200_000 + '"'])
def test_lines_that_are_no_object(text: str) -> None:
    (line,) = read_lines(text)
    assert line.problem


def test_remarks_are_free() -> None:
    assert read_claim({**TRUE, "why": "a remark", "truth": "holds"}) == read_claim(TRUE)


def test_there_and_back() -> None:
    whole = Claim("a", "x", ("x", "y"), "1", {"x": "real"}, ("x > 0",), "vjp", {"x": ("n",)}, "g", latex=True)
    assert read_claim(whole.to_dict()) == whole
    assert read_claim(SAME).to_dict() == SAME


# --- workers

UNRULY = """
import json, sys, time
print("ready", flush=True)
for line in sys.stdin:
    name = json.loads(line)["claim"]["id"]
    if name == "hang":
        time.sleep(60)
    if name == "crash":
        import os, signal
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "stop":
        sys.exit(7)
    data = dict(verdict="undecided", ground=None, witness=None, reason=name, notes=[], seconds=0)
    print(json.dumps({"verdict": data}), flush=True)
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_claim_costs_only_itself(jobs: int) -> None:
    names = ["fine", "crash", "hang", "well", "stop", "good"]
    lines = [Line("", n, name, Claim(name, "x", ("x",), "1")) for n, name in enumerate(names)]
    task = Task(1, command=(sys.executable, "-c", UNRULY))
    answers = dict(judge_lines(lines, task, jobs))
    assert [answers[n].verdict.reason for n in range(len(names))] == [
        "fine",
        "the process that judged it ended by SIGSEGV",
        "not decided within 1 s",
        "well",
        "the process that judged it ended with status 7",
        "good",
    ]


def test_a_worker_that_does_not_start() -> None:
    line = Line("", 1, "a", Claim("a", "x", ("x",), "1"))
    ((_, answer),) = judge_lines([line], Task(1, command=(sys.executable, "-c", "")))
    assert answer.verdict.reason == "the process that judges it did not start"


EATS = """
from gradproof import workers
from gradproof.symbolic import judgement
judgement.judge = lambda claim, seconds: bytearray(8 << 30)
workers.main()
"""


def test_memory_is_bounded() -> None:
    line = Line("", 1, "a", Claim("a", "x", ("x",), "1"))
    ((_, answer),) = judge_lines([line], Task(20, command=(sys.executable, "-c", EATS)))
    assert answer.verdict.reason == "more memory than a claim may use"

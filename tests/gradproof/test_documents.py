"""Claims in documents: found in every format, checked like doctests, written back, and the project's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gradproof.cli import run
from gradproof.documents import Block, blocks_of, read_document, updated
from gradproof.symbolic.judgement import judge
from gradproof.symbolic.verdict import Verdict, Witness

ROOT = Path(__file__).parents[2]
OWN = [b for p in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]) for b in read_document(p)]

MARKDOWN = """# A paper

```claim linear
function: x @ W.T
axes: x[batch, d], W[out, d]
wrt: W
kind: vjp
claim: g.T @ x
```

~~~text
```claim
not a claim
```
~~~

```claim
sin(x)**2 + cos(x)**2 = 1
```
"""
TEX = r"""
\begin{claim}[tanh]
%: domain: x: real
\[ \frac{d}{dx} \tanh x = 1 - \tanh^2 x \label{eq:tanh} \]
\end{claim}
\begin{gradproof}
function: x @ x
axes: x[n]
kind: jacobian
wrt: x
claim: 2*x
\end{gradproof}
"""
RST = """
.. claim:: one
   :function: sum(x)
   :axes: x[n]
   :kind: vjp
   :wrt: x
   :claim: g

Text.

.. claim::

   d/dx exp(x) = exp(x)
"""
NOTEBOOK = json.dumps(
    {
        "cells": [
            {"cell_type": "code", "source": ["```claim\n", "x = 2\n", "```"]},
            {"cell_type": "markdown", "source": ["# Title\n", "```claim\n", "d/dx x**2 = 2*x\n", "```"]},
        ]
    }
)
TEXTS = {"a.md": MARKDOWN, "a.tex": TEX, "a.rst": RST, "a.ipynb": NOTEBOOK}
PLACES = {"a.md": [3, 17], "a.tex": [2, 6], "a.rst": [2, 11], "a.ipynb": [2]}


@pytest.mark.parametrize("name", TEXTS)
def test_claims_are_found_with_their_lines(name: str) -> None:
    blocks = list(blocks_of(TEXTS[name], Path(name)))
    assert [b.line.number for b in blocks] == PLACES[name]
    for block in blocks:
        assert block.line.claim is not None, block.line.problem
        assert judge(block.line.claim).verdict == "proved", block.line.id


@pytest.mark.parametrize("name", TEXTS)
def test_verdicts_are_written_back_and_then_expected(name: str) -> None:
    path, text = Path(name), TEXTS[name]
    wrong = Verdict("refuted", witness=Witness({"x": "1"}, "1", "2"))
    made = updated(text, path, [(b, wrong) for b in blocks_of(text, path)])
    assert {b.expected for b in blocks_of(made, path)} == {"refuted"}
    again = updated(made, path, [(b, wrong) for b in blocks_of(made, path)])
    assert again == made
    right = Verdict("undecided", reason="for the test")
    last = updated(made, path, [(b, right) for b in blocks_of(made, path)])
    assert {b.expected for b in blocks_of(last, path)} == {"undecided"}


def test_the_command_checks_what_a_document_states(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "paper.md"
    path.write_text("```claim\nd/dx x**2 = 2*x\n```\n\n```claim\nx = 1\n```\n", encoding="utf-8")
    assert run(["claims", str(path)]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "paper.md:5" in "".join(shown.split()) and "the document says proved" in shown
    assert run(["claims", str(path), "--update"]) == 0
    assert path.read_text(encoding="utf-8").endswith("```claim\nx = 1\nverdict: refuted\n```\n")
    assert run(["claims", str(path)]) == 0


def test_what_is_no_claim_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("```claim\nfunction: x\n```\n", encoding="utf-8")
    (block,) = read_document(path)
    assert block.line.problem is not None and "wrt" in block.line.problem
    assert run(["claims", str(path)]) == 3


def test_the_pytest_plugin(tmp_path: Path) -> None:
    (tmp_path / "paper.md").write_text(
        "```claim\nx = x\n```\n\n```claim named\nx = 1\n```\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    ran = subprocess.run([*command, "--claims", str(tmp_path)], capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout
    assert "paper.md:5 named: refuted" in ran.stdout


def test_there_are_claims_in_the_documents() -> None:
    assert len(OWN) >= 20


@pytest.mark.parametrize("block", OWN, ids=lambda b: b.line.id.removeprefix(f"{ROOT}/"))
def test_the_documents_of_this_project(block: Block) -> None:
    assert block.line.claim is not None, block.line.problem
    verdict = judge(block.line.claim)
    assert verdict.verdict == (block.expected or "proved"), verdict

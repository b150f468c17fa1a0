"""The benchmarks: that they compare what they say. No test looks at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sympy as sp
import torch

from benchmarks import __main__ as command
from benchmarks import against_sympy, audit, claims, gradcheck, kernels, proofs, record, training
from benchmarks.__main__ import run
from benchmarks.eager import eager, source
from benchmarks.sharing import share
from benchmarks.sizes import SIZES, choose_sizes, draw_inputs
from benchmarks.to_sympy import to_sympy
from gradproof.models.configuration import LanguageModelOptions
from gradproof.numeric.checking.checks import check
from gradproof.symbolic.evaluation import Evaluator, Point
from gradproof.symbolic.expressions import Entry, Tensor, call, entry, parameter, walk
from gradproof.symbolic.operation import Operation, find, operations
from gradproof.symbolic.proof import prove
from tests.backwards import CASES

FORMS = [form for operation in operations().values() for form in operation.variants]
SCALAR = [operation for operation in operations().values() if against_sympy.is_scalar(operation)]
TINY = {name: 3 + n % 3 for n, name in enumerate(SIZES)} | {"head": 2}


def name_of(operation: Operation) -> str:
    return operation.label


# --- against SymPy


@pytest.mark.parametrize(
    ("function", "claim", "said"),
    [("sin(x)", "cos(x)", "proved"), ("sin(x)", "-cos(x)", "refuted"), ("sin(x)", "sin(", "undecided")],
)
def test_plain_sympy_is_asked_as_stated(function: str, claim: str, said: str) -> None:
    row = {"function": function, "wrt": "x", "claim": claim, "domain": {"x": "real"}}
    assert claims.judge_by_sympy(row) == said


def test_verdicts_are_counted_by_what_is_true() -> None:
    rows = [{"truth": "holds"}, {"truth": "fails"}, {"truth": "fails"}]
    counted = claims.counted("prover", ["proved", "proved", "undecided"], rows, 3.0)
    assert counted[1:7] == ["3", "1 of 1", "0 of 2", "0", "1", "1"]


@pytest.mark.parametrize("operation", SCALAR, ids=name_of)
@pytest.mark.parametrize("order", [1, 2])
def test_conversion_keeps_the_values(operation: Operation, order: int) -> None:
    given = against_sympy.pair(operation, order)
    for expr in (given.function, given.claim):
        converted = to_sympy(expr)
        for x in ("7/5", "1/3"):
            values = {"x": Fraction(x), "slope": Fraction("1/7"), "alpha": Fraction("3/2")}
            expected = Evaluator(Point({}, {}, values), {})(expr)
            symbols = {s: sp.Rational(str(values[s.name])) for s in converted.free_symbols}
            found = float(sp.N(converted.subs(symbols)))
            assert math.isclose(found, float(expected), rel_tol=1e-14, abs_tol=1e-14)


def test_conversion_refuses_what_is_no_scalar() -> None:
    with pytest.raises(TypeError, match="no scalar"):
        to_sympy(entry(Tensor("x")))


@pytest.mark.parametrize("operation", SCALAR, ids=name_of)
@pytest.mark.parametrize("order", [1, 2])
def test_pairs_are_derivatives(operation: Operation, order: int) -> None:
    given = against_sympy.pair(operation, order)
    assert not [e for side in (given.function, given.claim) for e in walk(side) if isinstance(e, Entry)]
    assert against_sympy.ours(given).verdict == "proved"


def test_a_wrong_claim_is_not_zero_and_not_proved() -> None:
    given = against_sympy.pair(find("tanh"))
    wrong = against_sympy.Pair("tanh", given.x, given.function, given.claim + 1)
    assert against_sympy.ours(wrong).verdict == "refuted"
    assert against_sympy.compare(wrong, repeats=1)["answer"] == "not 0"


def test_sympy_is_stopped() -> None:
    with pytest.raises(against_sympy.TimeLimit), against_sympy.limited(1):
        while True:
            sp.simplify(sp.Symbol("x") + 1)


# --- the baseline of the kernels


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_baseline_and_kernel_agree(form: Operation) -> None:
    sizes = choose_sizes(form, TINY, elements=64, most=256)
    contest = kernels.prepare(form, sizes, torch.float64)
    assert kernels.largest_difference(contest) < 1e-12


def test_baseline_is_a_careful_users() -> None:
    text = source(find("softmax"))
    assert text.count("torch.exp") == 1
    assert "detach().amax" in text
    x = torch.tensor([[1000.0, 0.0]])
    assert eager(find("softmax"))(x).tolist() == [[1.0, 0.0]]
    assert "_sum" not in source(find("layer_norm"))


def test_sharing_leaves_loops_to_themselves() -> None:
    code = "def f(x):\n    y = x + 1\n    for t in range(2):\n        y = x + 1 + t\n    return y"
    assert share(code) == code


def test_sizes_follow_the_number_of_elements() -> None:
    sizes = choose_sizes(find("layer_norm"))
    assert [i.numel() for i in draw_inputs(find("layer_norm"), sizes, torch.float32)] == [1 << 20, 1024, 1024]


def test_saved_bytes_count_storages_once() -> None:
    contest = kernels.prepare(find("exp"), choose_sizes(find("exp"), TINY, elements=64), torch.float32)
    assert kernels.saved_bytes(contest, torch.exp) == (64 * 4, 64 * 4)
    assert kernels.saved_bytes(contest, torch.sin) == (64 * 4, 0)


@pytest.mark.parametrize("options", [training.gpt(1, 2, 8, 4), training.lstm(1, 8, 4)], ids=lambda o: o.model)
def test_both_train_the_same_model(options: LanguageModelOptions) -> None:
    case = training.Case("tiny", options, 3, "cpu")
    row = training.compare(case, budget=0, least=1, most=1)
    assert row["apart"] < 1e-6 and row["ours"] > 0 < row["theirs"]
    ours, theirs = training.contestants(case)
    found, expected = [ours() for _ in range(4)], [theirs() for _ in range(4)]
    assert found == pytest.approx(expected, rel=1e-5) and found[-1] < found[0]
    assert "| tiny | cpu | float32 |" in record.to_markdown([training.section([row])], {}, "make bench")


def test_leaves_and_composites() -> None:
    leaves = {form.label for form in FORMS if kernels.is_leaf(form)}
    assert {"exp", "relu", "sum", "embedding"} <= leaves
    assert not leaves & {"softmax", "layer_norm", "linear", "lstm", "gelu"}


# --- backwards, right and wrong


def test_gradcheck_answers_and_mistakes_are_marked() -> None:
    chosen = {case.name: case for case in CASES}
    caught = chosen["losses/squared error without 2"]
    missed = chosen["pointwise/sigmoid off by 1e-12"]
    fine = chosen["pointwise/tanh factored"]
    answers = {case: gradcheck.ask_gradcheck(case, "slow") for case in (caught, missed, fine)}
    assert [answer.says for answer in answers.values()] == [False, True, True]
    assert [answer.is_mistaken(case) for case, answer in answers.items()] == [False, True, False]
    found = [(case, dict.fromkeys((*gradcheck.MODES, "check"), answer)) for case, answer in answers.items()]
    table = gradcheck.section(found).table.rows
    assert [row[2].split()[0] for row in table[:3]] == ["wrong", "right!", "right"]
    assert [row[2] for row in table[3:5]] == ["1 of 2", "1 of 1"]


def test_a_mistaken_verdict_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The draws of each verdict are fresh: what a seed led astray is found again by it."""
    wrong = next(case for case in CASES if case.name == "losses/squared error without 2")
    right = next(case for case in CASES if case.name == "pointwise/tanh factored")
    found: Any = check(right.subject, *right.inputs(), seed=7)
    monkeypatch.setattr(gradcheck, "judge", lambda case, inputs: found)
    assert gradcheck.ask_check(wrong).text == "proved with seed 7"
    assert gradcheck.ask_check(right).text == "proved"


def test_diagnosis_is_compared_by_its_words() -> None:
    case = next(case for case in CASES if case.diagnosis == "missing term")
    says = {"one term missing or wrong": "", "wrong sign": "!", None: "!"}
    for diagnosis, mark in says.items():
        shown = gradcheck.diagnosis(case, gradcheck.Answer(False, "refuted", 1.0, diagnosis))
        assert shown.startswith((diagnosis or "none") + mark)


def test_checks_are_not_asked_what_they_cannot_answer() -> None:
    chosen = [case for case in CASES if case.form == "equivalent" or case.declared]
    assert len(chosen) > 20
    assert all(gradcheck.ask_gradcheck(case, "slow") is gradcheck.NOT_ASKED for case in chosen)


def test_audit_finds_what_pytorch_gets_wrong() -> None:
    by_name = {row.name: row for row in audit.rows()}
    wrong = audit.judge(by_name["ldexp"])
    assert (wrong.verdict, wrong.first) == ("refuted", "refuted")
    assert wrong.witness.startswith("dy/dinput0 at input0 = ")
    assert "PyTorch's 0, true 0." in wrong.witness  # 2^-k times the cotangent
    right = audit.judge(by_name["tanh"])
    assert (right.first, right.second) == ("proved", "proved")
    assert right.executed == "rows; transcription: `tanh_backward`"
    unknown = audit.judge(by_name["mode"])
    assert unknown.verdict == "undecided"
    assert "the operator aten.mode.default" in unknown.reason
    assert "3 entries: 1 proved, 1 refuted, 1 undecided." in audit.to_markdown([wrong, right, unknown])


# --- the records


def test_one_operation_through_every_table() -> None:
    form = find("tanh")
    proved = proofs.measure(["tanh"])
    assert [row["verdict"] for row in proved["rows"]] == ["proved"]
    row = kernels.compare(form, choose_sizes(form, TINY, elements=64), budget=0, least=1)
    compared = against_sympy.compare(against_sympy.pair(form), repeats=1)
    assert (compared["verdict"], compared["answer"]) == ("proved", "0")
    sections = [proofs.section(proved), kernels.section([row]), against_sympy.section([compared])]
    text = record.to_markdown(sections, record.machine(), "make bench")
    assert text.count("\n| tanh") == 3
    assert "| goal | found | reached |" in text


def test_each_part_has_a_record_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A part that is run whole; what is asked of some operations alone is none."""
    measured: list[Sequence[str]] = []

    def measure(names: Sequence[str]) -> record.Section:
        measured.append(names)
        return record.Section(
            "turns", "Turns", "Counted.", record.Table(("what", "count"), (("all", "7"),)), {}
        )

    monkeypatch.setattr(command, "RECORDS", tmp_path / "results")
    monkeypatch.setattr(command, "PARTS", {"report": (measure,), "layers": (measure,)})
    assert (
        run(["--only", "layers"]) == run(["tanh"]) == run(["--only", "report", "--out", f"{tmp_path}/x.md"])
    )
    assert [f.name for f in (tmp_path / "results").iterdir()] == ["layers.md"]
    text = (tmp_path / "results" / "layers.md").read_text(encoding="utf-8")
    assert "`python -m benchmarks --only layers --threads " in text and "| all | 7 |" in text
    assert run([]) == 0 and len(measured) == 6
    assert sorted(f.name for f in (tmp_path / "results").iterdir()) == ["layers.md", "report.md"]


def test_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--only", "prove", "--json", "sin"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [row["variant"] for row in data["prove"]["rows"]] == ["sin"]
    assert data["machine"]["GPU"] == "none: not run on a GPU"


def test_prove_is_the_public_one() -> None:
    x = parameter("x")
    assert prove(call("exp", x), call("exp", x)).verdict == "proved"

"""`gradproof.check` and `torch.autograd.gradcheck` on the same backwards, right and wrong ones."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch.autograd import gradcheck, gradgradcheck

from benchmarks.against_sympy import TimeLimit, limited
from benchmarks.record import Goal, Section, Table, seconds
from tests.backwards import CASES
from tests.backwards.case import Case
from tests.backwards.truth import claimed_program, is_real, widened

LIMIT = 60
MODES: dict[str, dict[str, bool]] = {
    "slow": {},
    "fast": {"fast_mode": True},
    "all flags": {"check_batched_grad": True, "check_undefined_grad": True, "check_grad_dtypes": True},
}
METHOD = (
    "Each backward of `tests/backwards/`, at the example inputs that stand there: what each checker says "
    "of it, *right* or *wrong*, and after how many milliseconds. `torch.autograd.gradcheck` in float64 "
    "with its default tolerances: slow, fast, and slow with `check_batched_grad` (which refuses whatever "
    "vmap cannot run; not for NumPy), `check_undefined_grad` and `check_grad_dtypes` (`check_forward_ad` "
    "where there is a `jvp` rule; then `gradgradcheck` in the same mode where the case is of second "
    "order); an exception inside counts as *wrong*. NumPy pairs are wrapped in an `autograd.Function`, "
    "modules are functions of their parameters and inputs, and the seed is the same at every call. A "
    "dash: it does not apply, as to two functions that should be the same, or to a backward that is "
    "declared not to be the derivative. `gradproof.check` is given the same example inputs and the case's "
    f"specification, and is stopped after {LIMIT} s. An answer that is mistaken is marked with `!`, and so "
    "is a diagnosis."
)


# What a diagnosis must contain for the case's; for the others, the case's own words.
PHRASES: dict[str, tuple[str, ...]] = {
    "missing term": ("term",),
    "not summed over a broadcast axis": ("not summed",),
    "right on one region only": ("region only", "single points", "some data only"),
    "wrong only for batch > 1": ("wrong only for", "wrong only where the axis"),
    "wrong only for length > 1": ("wrong only for", "wrong only where the axis"),
    "second order": ("wrong second", "wrong in second"),
    "in-place change": ("in-place change", "in place"),
    "layout": ("layout",),
    "undefined value": ("undefined",),
    "zero gradient": ("zero", "None"),
    "raises": ("raises",),
}


@dataclass(frozen=True)
class Answer:
    """What a checker said: True for right, False for wrong, None for undecided or not asked."""

    says: bool | None
    text: str
    seconds: float | None = None
    diagnosis: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"says": self.says, "text": self.text, "seconds": self.seconds, "diagnosis": self.diagnosis}

    def is_mistaken(self, case: Case) -> bool:
        return self.says is not None and self.says != case.right


NOT_ASKED = Answer(None, "-")


# --- torch.autograd.gradcheck


def ask_gradcheck(case: Case, mode: str) -> Answer:
    """Whether gradcheck in this mode accepts the case."""
    if case.form == "equivalent" or case.declared:
        return NOT_ASKED
    program, parameters = claimed_program(case)
    values = [
        v.detach().requires_grad_() if is_real(v) else v for v in (*parameters, *widened(case.inputs()))
    ]

    def seeded(*given: Any) -> Any:
        torch.manual_seed(0)
        return program(*given)

    flags = dict(MODES[mode])
    if mode == "all flags":
        flags |= {"check_forward_ad": case.forward, "check_batched_grad": case.form != "numpy"}
    started = time.perf_counter()
    passed = passes(gradcheck, seeded, values, flags)
    if passed and case.order == 2:
        flags.pop("check_forward_ad", None)
        passed = passes(gradgradcheck, seeded, values, flags)
    return Answer(passed, "right" if passed else "wrong", time.perf_counter() - started)


def passes(checker: Callable[..., bool], fn: Any, values: Sequence[Any], flags: dict[str, bool]) -> bool:
    """Whether it returns True; whatever it or the backward raises means that it does not."""
    try:
        return checker(fn, values, **flags)
    except Exception:  # the backward's own exceptions pass through, of any kind
        return False


# --- gradproof.check


def can_check() -> bool:
    """Whether there is a `gradproof.check`."""
    return hasattr(import_module("gradproof"), "check")


def ask_check(case: Case) -> Answer:
    """The verdict of `gradproof.check`, or `gradproof.equivalent`."""
    if not can_check():
        return NOT_ASKED
    inputs = case.inputs()
    started = time.perf_counter()
    try:
        with limited(LIMIT):
            verdict = judge(case, inputs)
    except TimeLimit:
        return Answer(None, f"over {LIMIT} s", float(LIMIT))
    except Exception as error:  # a checker that raises has answered nothing, and the others go on
        return Answer(None, f"raises {type(error).__name__}: {error}", time.perf_counter() - started)
    taken = time.perf_counter() - started
    says = {"proved": True, "refuted": False}.get(verdict.verdict)
    mistaken = says is not None and says != case.right
    text = f"{verdict.verdict} with seed {verdict.seed}" if mistaken else verdict.verdict
    return Answer(says, text, taken, getattr(verdict, "diagnosis", None))


def judge(case: Case, inputs: Sequence[Any]) -> Any:
    """The case as a user would ask about it."""
    gradproof: Any = import_module("gradproof")
    if case.form == "equivalent":
        return gradproof.equivalent(*case.fn, *inputs)
    given = {"spec": case.spec, "reference": case.reference, "declared": case.declared}
    return gradproof.check(case.subject, *inputs, order=case.order, **given)


# --- the table


def compare(case: Case) -> dict[str, Answer]:
    """All answers about one case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = {mode: ask_gradcheck(case, mode) for mode in MODES}
        return {**answers, "check": ask_check(case)}


def run(names: Sequence[str]) -> Section:
    """All cases, or those of these names or topics, as a section."""
    chosen = [case for case in CASES if not names or {case.name, case.topic} & set(names)]
    return section([(case, compare(case)) for case in chosen])


def section(found: Sequence[tuple[Case, dict[str, Answer]]]) -> Section:
    """The answers as a table, with totals and goals."""
    rows = [row(case, answers) for case, answers in found]
    columns = ("backward", "is", *MODES, "gradproof.check", "diagnosis")
    table = Table(columns, (*rows, *totals(found)))
    data = {
        "rows": [
            {"name": c.name, "right": c.right, "diagnosis": c.diagnosis}
            | {who: answer.to_dict() for who, answer in answers.items()}
            for c, answers in found
        ]
    }
    remarks = () if can_check() else ("`gradproof.check` is not there yet: its column is empty.",)
    title = "Backwards, right and wrong"
    return Section("check", title, METHOD, table, data, goals(found) if can_check() else (), remarks)


def row(case: Case, answers: dict[str, Answer]) -> tuple[str, ...]:
    """One case: what it is, and what each checker says."""
    cells = [cell(case, answer) for answer in answers.values()]
    return (case.name, "right" if case.right else "wrong", *cells, diagnosis(case, answers["check"]))


def cell(case: Case, answer: Answer) -> str:
    """An answer with its milliseconds, marked where it is mistaken."""
    mark = "!" if answer.is_mistaken(case) else ""
    time = "" if answer.seconds is None else f" {answer.seconds * 1e3:.0f}"
    return answer.text + mark + time


def diagnosis(case: Case, answer: Answer) -> str:
    """The diagnosis of one that was refuted, marked where it is another than the case's."""
    if answer.says is not False:
        return ""
    given = answer.diagnosis or "none"
    return given if is_diagnosed(case, answer) else f"{given}! ({case.diagnosis})"


def is_diagnosed(case: Case, answer: Answer) -> bool:
    """Whether the diagnosis says what the case's does; a case without one asks for none."""
    if case.diagnosis is None:
        return True
    words = PHRASES.get(case.diagnosis, (case.diagnosis,))
    return any(word in (answer.diagnosis or "") for word in words)


def totals(found: Sequence[tuple[Case, dict[str, Answer]]]) -> list[tuple[str, ...]]:
    """How many of the wrong ones were noticed, and of the right ones accepted; the time of all."""
    made = []
    for label, right in (("wrong ones noticed", False), ("right ones accepted", True)):
        counts = []
        for who in (*MODES, "check"):
            asked = [a[who] for c, a in found if c.right == right and a[who] is not NOT_ASKED]
            counts.append(f"{sum(a.says == right for a in asked)} of {len(asked)}" if asked else "-")
        made.append((label, "", *counts, "" if right else diagnosed(found)))
    times = [seconds(sum(a[who].seconds or 0 for _, a in found)) for who in (*MODES, "check")]
    return [*made, ("time of all", "", *times, "")]


def diagnosed(found: Sequence[tuple[Case, dict[str, Answer]]]) -> str:
    """How many of the refuted that have a diagnosis were given it."""
    asked = [(c, a["check"]) for c, a in found if c.diagnosis and a["check"].says is False]
    return f"{sum(is_diagnosed(c, a) for c, a in asked)} of {len(asked)}" if asked else "-"


def goals(found: Sequence[tuple[Case, dict[str, Answer]]]) -> tuple[Goal, ...]:
    """Nothing wrong proved, nothing right refuted, everything wrong refuted."""
    answers = [(case, found_answers["check"]) for case, found_answers in found]
    wrong = [answer for case, answer in answers if not case.right]
    right = [answer for case, answer in answers if case.right]
    proved, refuted = sum(a.says is True for a in wrong), sum(a.says is False for a in right)
    caught = sum(a.says is False for a in wrong)
    large = [(a["slow"], a["check"]) for c, a in found if elements(c) > 50]
    faster = sum((o.seconds or 0) < (s.seconds or 0) for s, o in large if s.seconds is not None)
    timed = sum(s.seconds is not None for s, _ in large)
    return (
        Goal("no wrong backward proved", f"{proved} of {len(wrong)}", proved == 0),
        Goal("no right backward refuted", f"{refuted} of {len(right)}", refuted == 0),
        Goal("every wrong backward refuted", f"{caught} of {len(wrong)}", caught == len(wrong)),
        Goal("faster than slow gradcheck above 50 elements", f"{faster} of {timed}", faster == timed),
    )


def elements(case: Case) -> int:
    """The number of real input elements, parameters among them."""
    _, parameters = claimed_program(case)
    return sum(v.numel() for v in (*parameters, *widened(case.inputs())) if is_real(v))

"""Kernels of the catalogue through `check`: their generated sources, first and second order.

All of them: `pytest -m slow tests/numeric/exact/test_checked_kernels.py`, or
`python -m benchmarks.catalogue`.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path

import pytest

from benchmarks import catalogue
from benchmarks.against_sympy import TimeLimit
from benchmarks.catalogue import Checked, judge
from gradproof.symbolic.operation import Operation, find, operations

VARIANTS = [variant for o in operations().values() for variant in o.variants]
SOME = ["relu", "gelu", "logsumexp", "cross_entropy", "linear", "embedding", "kl_div"]


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("label", SOME)
def test_kernel_is_proved(label: str, target: str) -> None:
    assert judge(find(label), target, 1).verdict == "proved"


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_second_order_of_a_kernel_is_proved(target: str) -> None:
    assert judge(find("gelu"), target, 2).verdict == "proved"


@pytest.mark.slow
@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("chosen", VARIANTS, ids=lambda o: o.label)
def test_every_kernel_is_proved(chosen: Operation, order: int, target: str) -> None:
    found = judge(chosen, target, order)
    assert found.verdict == "proved", found.reason


def test_what_was_found_of_the_same_sources_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "RECORD", tmp_path / "build" / "record.jsonl")
    found = Checked("relu", "numpy", 1, "proved", "", 0.5)
    catalogue.keep(found)
    assert "relu numpy 1 proved" in capsys.readouterr().out
    assert catalogue.known() == {("relu", "numpy", 1): found}
    assert catalogue.checks_of([found.what], 1, 1) == {found.what: found}
    monkeypatch.setattr(catalogue, "fingerprint", lambda: "other sources")
    assert not catalogue.known()


def test_kernel_that_takes_too_long_is_undecided() -> None:
    found = judge(find("gelu"), "numpy", 2, limit=0.05)
    assert found.verdict == "undecided"
    assert found.reason == "stopped after 0 s of processor time"


def test_a_limit_is_not_lost_in_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(phase: str, info: object) -> None:
        started = time.process_time()
        while phase == "start" and time.process_time() < started + 0.3:
            pass

    monkeypatch.setattr(catalogue, "AGAIN", 0.2)
    gc.callbacks.append(busy)
    began = time.process_time()
    try:
        with pytest.raises(TimeLimit), catalogue.limited(0.05):
            gc.collect()
            while time.process_time() < 10 + began:
                pass
    finally:
        gc.callbacks.remove(busy)


def test_table_counts_what_was_run() -> None:
    left = Checked("relu", "torch", 2, "undecided", "a reason", 1.0)
    table = catalogue.to_markdown([Checked("relu", "numpy", 1, "proved", "", 0.5), left])
    assert "2 checks of 268 were run: 1 proved, 1 not" in table
    assert "| relu | proved 0.5 |  |  | undecided 1.0 |" in table
    assert "| relu | torch | second | undecided: a reason |" in table

"""Rules of arrays as libraries and textbooks state them, right and wrong, in the format of claims files.

What holds was written down by hand; an independent judge confirms the rules of `array_rules.py`, not these.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradproof.symbolic.claims_file import read_claim
from gradproof.symbolic.judgement import judge

ROWS = [
    json.loads(line) for line in Path(__file__).with_name("library_claims.jsonl").read_text().splitlines()
]
PARTS = 12


def test_the_set_has_right_and_wrong_claims() -> None:
    assert len(ROWS) > 250
    assert sum(row["truth"] == "fails" for row in ROWS) > 30


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_claims_of_libraries_are_judged_rightly(part: int) -> None:
    for row in ROWS[part::PARTS]:
        verdict = judge(read_claim(row))
        assert verdict.verdict == {"holds": "proved", "fails": "refuted"}[row["truth"]], (row, verdict)

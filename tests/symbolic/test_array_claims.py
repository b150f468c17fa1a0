"""Claims over arrays: rules that hold are proved, rules that do not are refuted; an independent judge agrees."""

from __future__ import annotations

import pytest
from array_oracle import holds
from array_rules import INDICES, Rule, rules

from gradproof.symbolic.array_claims import judge_arrays

RULES = list(rules())


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_rule_is_decided(rule: Rule) -> None:
    verdict = judge_arrays(rule.claim)
    assert verdict.verdict == ("proved" if rule.true else "refuted"), verdict


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_truth_of_a_rule_is_confirmed(rule: Rule) -> None:
    assert holds(rule.claim, rule.free, {**INDICES, "o1": "o"}) is rule.true


def test_there_are_many_rules() -> None:
    assert sum(r.true for r in RULES) >= 80
    assert len(RULES) >= 160

"""Wrong claims over arrays, made from the rules by mutation: what an independent judge refutes is refuted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
from array_mutations import mutants
from array_oracle import holds
from array_rules import INDICES, Rule, rules

from gradproof.symbolic.array_claims import judge_arrays
from gradproof.symbolic.array_repairs import repair_arrays
from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.judgement import judge
from gradproof.symbolic.repairs import unparse
from gradproof.symbolic.syntax import Syntax, parse_expression

EACH = 4
TRUE = [r for r in rules() if r.true and r.claim.kind != "identity" and "X == X" not in r.claim.claim]
"""The rules, without the one that says by a comparison that its claim has all axes."""
PARTS = 8


def wrong(rule: Rule) -> list[tuple[str, Claim]]:
    """Mutants that the independent judge can evaluate and finds to be wrong."""
    found: list[tuple[str, Claim]] = []
    for what, text in islice(mutants(rule.claim.claim), 3 * EACH):
        claim = replace(rule.claim, claim=text)
        try:
            told = holds(claim, rule.free, {**INDICES, "o1": "o"})
        except (ValueError, ZeroDivisionError, TypeError, AttributeError, IndexError, KeyError):
            continue
        if told is False:
            found.append((what, claim))
        if len(found) == EACH:
            break
    return found


def test_mutants_of_each_kind_are_made() -> None:
    kinds = Counter(what for rule in TRUE for what, _ in mutants(rule.claim.claim))
    assert {"sign", "factor", "term", "transposition", "argument", "exponent"} <= set(kinds)
    assert sum(kinds.values()) > 300


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_wrong_claims_are_refuted(part: int) -> None:
    seen = 0
    for rule in TRUE[part::PARTS]:
        for what, claim in wrong(rule):
            verdict = judge(claim)
            if (verdict.reason or "").startswith("parse:"):  # what the change made is no formula
                continue
            assert verdict.verdict == "refuted", (
                what,
                claim.kind,
                claim.wrt,
                claim.function,
                claim.claim,
                verdict,
            )
            seen += 1
    assert seen > 10


REPAIRS = [
    ("vjp", "x", "tanh(x)", "g*(1 + tanh(x)**2)", "g*(1 - tanh(x)**2)"),
    ("vjp", "u", "A @ u", "A @ g", "A.T @ g"),
    ("vjp", "A", "inv(A)", "inv(A).T @ g @ inv(A).T", "-inv(A).T @ g @ inv(A).T"),
    ("vjp", "A", "logdet(A)", "-g*inv(A).T", "g*inv(A).T"),
    ("vjp", "beta", "X + beta", "g", "sum(g, 'b')"),
    ("vjp", "x", "mean(x)", "g", "g/d"),
    ("vjp", "x", "softmax(x)", "softmax(x)*(g + sum(g*softmax(x)))", "softmax(x)*(g - sum(g*softmax(x)))"),
    ("jacobian", "A", "trace(A @ B)", "B", "B.T"),
    ("hessian", "u", "u @ A @ u", "2*A", "A[i, j] + A[j, i]"),
    ("jvp", "A", "inv(A)", "-inv(A) @ inv(A) @ A_dot", "-inv(A) @ A_dot @ inv(A)"),
]


@pytest.mark.parametrize("kind, by, function, claim, fixed", REPAIRS)
def test_repairs_are_close(kind: str, by: str, function: str, claim: str, fixed: str) -> None:
    axes = {"x": ("d",), "X": ("b", "d"), "beta": ("d",), "A": ("n", "n"), "B": ("n", "n"), "u": ("n",)}
    made = Claim("a", function, (by,), claim, kind=kind, axes=axes)  # type: ignore[arg-type]
    found = repair_arrays(made)
    assert found == fixed
    assert judge_arrays(replace(made, claim=found)).verdict == "proved"


def test_nothing_is_made_up_for_what_has_no_repair() -> None:
    made = Claim("a", "max(x)", ("x",), "g", kind="vjp", axes={"x": ("d",)})
    assert repair_arrays(made) is None


@pytest.mark.parametrize(
    "text",
    ["A.T @ (g + g.T)", "x[1:, None]", "sum(x[i]*w[i] for i in n)", "g[:, ::-1]", "f(x, axis=-1)", "(a, b)"],
)
def test_what_is_written_is_read_back(text: str) -> None:
    def bare(node: Syntax) -> object:
        return node.kind, node.text, [bare(part) for part in node.parts]

    assert bare(parse_expression(unparse(parse_expression(text)))) == bare(parse_expression(text))

"""A closed form under a stated condition, such as targets that sum to 1."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gradproof.symbolic.analysis import needed, read_outside
from gradproof.symbolic.derivation import Derivation, Step
from gradproof.symbolic.matching import Pattern
from gradproof.symbolic.operation import Condition, Definition, Recurrence
from gradproof.symbolic.rules import RULES


def under(derivation: Derivation, conditions: Iterable[Condition]) -> Derivation:
    """The derivation carried on to what its results are where the conditions hold."""
    stated = tuple(conditions)
    patterns = tuple(
        Pattern(tuple(sorted(c.left.free, key=lambda i: i.key)), c.left, None, c.right) for c in stated
    )
    context = replace(derivation.context, conditions=patterns)
    steps: list[Step] = []

    def close(d: Definition) -> Definition:
        value = d.value
        for rule in ("condition", "collect"):
            made = RULES[rule].apply(value, context)
            if made is not None:
                steps.append(Step(d.target, rule, (), value, made, context))
                value = made
            elif rule == "condition":
                break
        return replace(d, value=value)

    old = derivation.program
    statements: list[Definition | Recurrence] = []
    for s in old.statements:
        if isinstance(s, Recurrence):
            statements.append(replace(s, body=tuple(close(d) for d in s.body)))
        elif isinstance(s, Definition):
            statements.append(close(s))
    kept = needed(statements, old.outputs)
    given = set(read_outside(kept, ()))
    program = replace(old, inputs=tuple(t for t in old.inputs if t in given), statements=tuple(kept))
    return replace(
        derivation,
        program=program,
        steps=tuple(steps),
        based_on=(derivation,),
        conditions=stated,
        recurrences=(),
    )

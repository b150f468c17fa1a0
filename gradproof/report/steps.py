"""The steps of a derivation as chains of equal expressions, each link with its rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradproof.symbolic.boxes import Box
from gradproof.symbolic.derivation import Derivation, Step
from gradproof.symbolic.equations import all_definitions, derivation_notation
from gradproof.symbolic.expressions import Tensor, entry
from gradproof.symbolic.notation import Notation
from gradproof.symbolic.rules import RULES


@dataclass(frozen=True)
class Link:
    """An expression in a chain: the step that led to it (None for the first), its rule and what that says."""

    number: int | None
    rule: str
    says: str
    box: Box


@dataclass(frozen=True)
class Chain:
    """Expressions that are equal, one step apart."""

    links: tuple[Link, ...]


@dataclass(frozen=True)
class Subject:
    """The chains that bring one tensor to its closed form."""

    tensor: Tensor
    left: Box
    chains: tuple[Chain, ...]
    steps: int


def subjects(derivation: Derivation) -> tuple[Subject, ...]:
    """The steps grouped by the tensor that they derive, in the order in which it first appears."""
    notation = derivation_notation(derivation)
    grouped: dict[Tensor, list[tuple[int, Step]]] = {}
    for number, step in enumerate(derivation.steps, 1):
        grouped.setdefault(step.subject, []).append((number, step))
    definitions = {d.target: d for d in all_definitions(derivation.program.statements)}
    made: list[Subject] = []
    for tensor, steps in grouped.items():
        chains = tuple(_chain(run, notation) for run in _runs(steps))
        over = definitions[tensor].indices if tensor in definitions else ()
        known = len(over) == len(tensor.axes)
        left = notation.box(entry(tensor, *over) if known else entry(Tensor(tensor.name)))
        made.append(Subject(tensor, left, chains, len(steps)))
    return tuple(made)


def _runs(steps: Sequence[tuple[int, Step]]) -> Iterator[list[tuple[int, Step]]]:
    """Steps that follow on from one another."""
    run: list[tuple[int, Step]] = []
    for number, step in steps:
        if run and run[-1][1].after is not step.before:
            yield run
            run = []
        run.append((number, step))
    if run:
        yield run


def _chain(run: Sequence[tuple[int, Step]], notation: Notation) -> Chain:
    """A chain; in each expression the part is marked to which the next rule is applied."""
    first = run[0][1]
    marks = [step.where or None for _, step in run]
    links = [Link(None, "", "", notation.box(first.before, marks[0]))]
    for (number, step), mark in zip(run, [*marks[1:], None], strict=True):
        links.append(Link(number, step.rule, RULES[step.rule].says, notation.box(step.after, mark)))
    return Chain(tuple(links))


def rules_used(derivation: Derivation) -> dict[str, tuple[str, int]]:
    """The rules of a derivation, the most used first: what each says and how often it was used."""
    counts: dict[str, int] = {}
    for step in derivation.steps:
        counts[step.rule] = counts.get(step.rule, 0) + 1
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {rule: (RULES[rule].says, count) for rule, count in ordered}

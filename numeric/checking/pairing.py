"""Each claimed gradient paired with the exact tangent: `<J^T u, v>` beside `<u, J v>`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from random import Random

import numpy as np

from gradproof.numeric.checking.plans import EQUAL, FORWARD, Outcome, Pair, Trial
from gradproof.numeric.checking.points import as_array
from gradproof.numeric.exact.duals import Array, Dual
from gradproof.numeric.exact.programs import Evaluated
from gradproof.numeric.exact.residues import Residues
from gradproof.numeric.exact.specials import finite_entries
from gradproof.numeric.exact.values import Value, tangent_of


class LevelsError(Exception):
    """The tower is too low."""

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.depth = depth


def pair_up(trial: Trial, residues: Residues, found: Evaluated, values: Sequence[Value]) -> None:
    """Compare `<u, J v>` with `<J^T u, v>` for each pair."""
    count = len(values) + 1
    for k, (output, cotangent, claims) in enumerate(
        zip(found.outputs, found.cotangents, found.claims, strict=True)
    ):
        if not np.all(finite_entries(output)):
            trial.outside = True
        for i, value in enumerate(values):
            if i not in trial.plan.asked:
                continue
            claim = None if claims is None else claims[trial.plan.asked[i]]
            u = cotangent if cotangent is not None else None
            meant = None if found.intended is None else found.intended[k]
            if found.intended is not None:
                intention = None if meant is None else meant[trial.plan.asked[i]]
                trial.outcomes[Pair(k, i)] = _compare_claims(residues, intention, claim, value, i, count)
                continue
            trial.outcomes[Pair(k, i)] = _compare(residues, output, u, claim, value, i, count)
            trial.note_floats(Pair(k, i), output, claim, value)
    _pair_together(trial, residues, found, values)
    for i, row in zip(trial.plan.asked, found.pushed, strict=False):
        for k, (output, pushed) in enumerate(zip(found.outputs, row, strict=True)):
            trial.outcomes[Pair(k, i, FORWARD)] = _compare_tangents(residues, output, pushed, i, count)
    numbers = list(trial.plan.asked)
    for second in found.seconds:
        cotangents = found.cotangents[second.output]
        assert cotangents is not None
        for i, value in enumerate([*values, cotangents]):
            if i < len(values) and i not in trial.plan.asked:
                continue
            claim = second.claims[trial.plan.asked[i] if i < len(values) else -1]
            pair = Pair(second.output, i, numbers[second.wrt])
            trial.outcomes[pair] = _compare(
                residues, second.gradient, second.cotangent, claim, value, i, count
            )


def pair_up_jointly(trial: Trial, residues: Residues, found: Evaluated, values: Sequence[Value]) -> None:
    """Compare `<u, J v>` with the sum of the `<J^T u, v>` by all inputs, which have moved at once.

    The v are random and independent: if the sums agree, so do the terms. Where they do not, or where a claim
    is no number, no outcome is noted.
    """
    asked, outcomes = trial.plan.asked, dict[Pair, Outcome]()
    rows = list[tuple[Value, Value | None, Sequence[Value | None], dict[Pair, int]]]()
    for k, (output, u, claims) in enumerate(zip(found.outputs, found.cotangents, found.claims, strict=True)):
        trial.outside |= not np.all(finite_entries(output))
        rows.append((output, u, claims or (), {Pair(k, i): place for i, place in asked.items()}))
    numbers = list(asked)
    for second in found.seconds:
        first = numbers[second.wrt]
        pairs = {Pair(second.output, i, first): place for i, place in asked.items()}
        pairs[Pair(second.output, len(values), first)] = -1
        rows.append((second.gradient, second.cotangent, second.claims, pairs))
    for output, u, claims, pairs in rows:
        k = next(iter(pairs), Pair(0, 0)).output
        moved = [*values, *(c for c in (found.cotangents[k],) if c is not None)]
        vectors = [moved[pair.wrt] for pair in pairs]
        claimed = [claims[place] if claims else None for place in pairs.values()]
        if not all(claim is None or np.all(finite_entries(claim)) for claim in claimed):
            return
        if found.intended is None:
            left = _pairing(residues, _ones(output) if u is None else u, _tangent(output, 0, 1))
        else:
            intended = found.intended[k] or ()
            meant = [intended[place] if intended else None for place in pairs.values()]
            left = _sum_of_pairings(residues, meant, vectors)
        sums = _outcome(residues, left, _sum_of_pairings(residues, claimed, vectors), True)
        if sums.kind != "equal":
            trial.apart = sums.kind == "different"
            return
        for pair, claim in zip(pairs, claimed, strict=True):
            outcomes[pair] = Outcome("equal", claim is not None)
            if pair.first == -1 and found.intended is None:
                trial.note_floats(pair, output, claim, values[pair.wrt])
    for k, output in enumerate(found.outputs if found.pushed else ()):
        if _compare_tangents(residues, output, found.pushed[0][k], 0, 1).kind != "equal":
            return
        outcomes.update({Pair(k, i, FORWARD): EQUAL for i in asked})
    if found.together is not None:
        together = [found.together[place] for place in asked.values()]
        left = _sum_of_pairings(residues, found.cotangents, found.outputs)
        right = _sum_of_pairings(residues, together, [values[i] for i in asked])
        if _outcome(residues, left, right, True).kind != "equal":
            return
    trial.outcomes.update(outcomes)


def _sum_of_pairings(
    residues: Residues, weights: Sequence[Value | None], moved: Sequence[Value]
) -> Array | None:
    """The sum of the products of weights with the tangents of what has moved; None is 0."""
    total: Array | None = None
    for weight, value in zip(weights, moved, strict=True):
        if weight is None:
            continue
        term = _pairing(residues, weight, _tangent(value, 0, 1))
        levels = len(term) if total is None else min(len(total), len(term))
        total = term if total is None else (total[-levels:] + term[-levels:]) % residues.moduli(levels, 0)
    return total


def _pair_together(trial: Trial, residues: Residues, found: Evaluated, values: Sequence[Value]) -> None:
    """With cotangents of several outputs at once, the gradient must be the sum of those for each: where it is
    not though each is right, that for the last is wrong beside the others.
    """
    if found.together is None or any(o.kind != "equal" for o in trial.outcomes.values()):
        return
    count, moduli = len(values) + 1, residues.moduli
    for i in trial.plan.asked:
        left: Array | None = None
        for output, u in zip(found.outputs, found.cotangents, strict=True):
            if u is not None:
                term = _pairing(residues, u, _tangent(output, i, count))
                levels = len(term) if left is None else min(len(left), len(term))
                left = term if left is None else (left[-levels:] + term[-levels:]) % moduli(levels, 0)
        claim = found.together[trial.plan.asked[i]]
        if claim is not None and not np.all(finite_entries(claim)):
            trial.outcomes[Pair(found.last, i)] = Outcome("outside" if trial.outside else "undefined")
            continue
        right = None if claim is None else _pairing(residues, claim, _tangent(values[i], i, count))
        outcome, pair = _outcome(residues, left, right, claim is not None), Pair(found.last, i)
        if outcome.kind != "equal":
            own = trial.outcomes[pair].left
            claimed = (own + outcome.right - outcome.left) % outcome.prime
            trial.outcomes[pair] = replace(outcome, left=own, right=claimed)


def _compare(
    residues: Residues, output: Value, u: Value | None, claim: Value | None, value: Value, i: int, count: int
) -> Outcome:
    if claim is not None and not np.all(finite_entries(claim)):
        return Outcome("undefined" if np.all(finite_entries(output)) else "outside")
    if u is None:  # the output depends on no input, says the program
        u = _ones(output)
    right = None if claim is None else _pairing(residues, claim, _tangent(value, i, count))
    return _outcome(residues, _pairing(residues, u, _tangent(output, i, count)), right, claim is not None)


def _compare_claims(
    residues: Residues, intended: Value | None, claim: Value | None, value: Value, i: int, count: int
) -> Outcome:
    """A gradient beside the one that it is declared to be, both paired with the tangent of the input."""
    tangent = _tangent(value, i, count)
    left = None if intended is None else _pairing(residues, intended, tangent)
    right = None if claim is None else _pairing(residues, claim, tangent)
    return _outcome(residues, left, right, claim is not None)


def _compare_tangents(residues: Residues, output: Value, pushed: Value | None, i: int, count: int) -> Outcome:
    """The exact tangent of an output beside that of a rule of forward mode, both with random weights."""
    weights = Dual(residues.draw(output.shape, Random(f"{residues.seed}/weights")))
    left = _weighted(residues, _tangent(output, i, count), weights)
    formal = None if pushed is None else pushed.formal
    right = None if formal is None else _weighted(residues, Dual(formal.primal), weights)
    return _outcome(residues, left, right, pushed is not None)


def _weighted(residues: Residues, numbers: Dual, weights: Dual) -> Array:
    """The sum of the products of entries, modulo each prime."""
    levels = min(numbers.levels, weights.levels)
    flat = (levels, prod(numbers.shape))
    rows = zip(*(x.rows(levels).primal.reshape(flat) for x in (numbers, weights)), strict=True)
    sums = as_array([int(np.dot(a, b)) for a, b in rows], (levels,))
    return residues.reduce(sums, 0)


def _outcome(residues: Residues, left: Array | None, right: Array | None, connected: bool) -> Outcome:
    """Equal if two numbers agree modulo the primes that both have; None is 0."""
    if left is None or right is None:
        known = right if left is None else left
        if known is None:
            return Outcome("equal", connected)
        left, right = (known * 0 if left is None else left), (known * 0 if right is None else right)
    levels = min(len(left), len(right))
    if levels == 0:
        raise LevelsError(residues.levels + 1)
    equal = bool(np.all((left[-levels:] - right[-levels:]) % residues.moduli(levels, 0) == 0))
    kind = "equal" if equal else "unclear" if residues.unclean_roots else "different"
    return Outcome(kind, connected, int(left[-1]), int(right[-1]), residues.tower.primes[-1])


def _ones(value: Value) -> Value:
    return value.numbers.scalar(1).expand(value.shape)


def _tangent(value: Value, direction: int, count: int) -> Dual:
    formal = value.formal
    assert formal is not None
    return Dual(tangent_of(formal, count)[direction])


def _pairing(residues: Residues, value: Value, tangent: Dual) -> Array:
    formal = value.formal
    assert formal is not None
    return _weighted(residues, Dual(formal.primal), tangent)

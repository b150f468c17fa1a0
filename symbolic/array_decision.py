"""Deciding whether two formulas over arrays are equal: the normal form, regions, inverses cleared, a witness.

What the left side, the conditions and the domain ask for may be used by the right side; a condition `s != 0`
also takes the region `s = 0` away.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from gradproof.symbolic.array_witnesses import Search
from gradproof.symbolic.arrays import moved
from gradproof.symbolic.decision import Equations, difference, oriented, prove_regions
from gradproof.symbolic.definedness import Demand, compare, covers, demands, tidied
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Bracket,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Mul,
    Power,
    Where,
    add,
    bracket,
    entry,
    fresh,
    index,
    mul,
    number,
    refresh,
    rewrite,
    substitute,
    total,
)
from gradproof.symbolic.formulas import Formula
from gradproof.symbolic.monomials import factor_content
from gradproof.symbolic.normal_form import MAX_PRODUCTS, NormalForm
from gradproof.symbolic.polynomials import TooLargeError, plus, scale, to_expr
from gradproof.symbolic.positions import integral
from gradproof.symbolic.signs import holds
from gradproof.symbolic.verdict import Ground, Verdict

MAX_CLEARED, MAX_PLACES = 4, 27
FEW_PRODUCTS = 4000
"""How many products a hint is worth."""


@dataclass(frozen=True)
class Question:
    """Whether `left = right` wherever the left side has a value and the conditions hold.

    - `known`: what the left side, the conditions and the domain ask for;
    - `suppose`: equations among the conditions;
    - `until`: when to stop, in seconds of `time.perf_counter`.
    """

    left: Formula
    right: Formula
    known: tuple[Demand, ...]
    suppose: Equations = ()
    until: float = float("inf")


def decide_arrays(question: Question, search: Search) -> Verdict:
    """The verdict on a question; the search knows which points are looked at."""
    question = _sharpened(question)
    try:
        verdict = _by_normal_form(question, logistic=False)
        if verdict is not None and verdict.verdict == "proved":
            return verdict
        witness = search.find(question.left, question.right, few=True)
        if witness is not None:
            return Verdict("refuted", witness=witness)
        loose = verdict
        for attempt in (_by_places, _by_clearing, _by_logistic, _by_cases):
            verdict = attempt(question)
            if verdict is not None and verdict.verdict == "proved":
                return verdict
            loose = loose or verdict
    except ZeroDivisionError as problem:
        return Verdict("undecided", reason=f"a side has no value anywhere: {problem}")
    witness = search.find(question.left, question.right)
    if witness is not None:
        return Verdict("refuted", witness=witness)
    if loose is not None:
        return loose
    return Verdict(
        "undecided", reason="the normal forms differ, and no point was found at which the sides do"
    )


def equal(question: Question) -> bool:
    """Whether the cheap normal form proves it: for hints."""
    try:
        verdict = _by_normal_form(_sharpened(question), logistic=False, limit=FEW_PRODUCTS)
    except (ZeroDivisionError, TooLargeError):
        return False
    return verdict is not None and verdict.verdict == "proved"


# --- proofs


def _by_normal_form(question: Question, *, logistic: bool, limit: int = MAX_PRODUCTS) -> Verdict | None:
    try:
        remainder, nf = difference(
            question.left.value,
            question.right.value,
            {},
            logistic=logistic,
            suppose=question.suppose,
            needs=question.known,
            limit=limit,
            until=question.until,
        )
    except TooLargeError as problem:
        return Verdict("undecided", reason=f"the normal form is too large: {problem}")
    return None if remainder else proved(question, nf)


def _by_places(question: Question) -> Verdict | None:
    """Place by place of the free indices over axes of a small fixed size."""
    free = question.left.value.free | question.right.value.free
    small = sorted((i for i in free if i.axis.size is not None), key=lambda i: i.name)
    many = prod(i.axis.size or 1 for i in small)
    if not small or many > MAX_PLACES:
        return None
    verdict: Verdict | None = None
    for places in product(*(range(i.axis.size or 1) for i in small)):
        at: dict[Index, Expr] = {i: number(n) for i, n in zip(small, places, strict=True)}
        left, right = moved(question.left, at), moved(question.right, at)
        verdict = _by_normal_form(replace(question, left=left, right=right), logistic=False)
        if verdict is None or verdict.verdict != "proved":
            return None
    return verdict


def _by_logistic(question: Question) -> Verdict | None:
    return _by_normal_form(question, logistic=True)


def proved(question: Question, nf: NormalForm) -> Verdict:
    """The normal forms agree: what is left is that the right side has a value wherever the left one has."""
    found = compare(question.known, wanted(question.right.demands), nf, {})
    if found.loose:
        said = ", ".join(found.loose)
        return Verdict("undecided", reason=f"the right side needs {said}, which is not shown")
    supposed = tuple(f"{a} = {b}" for a, b in question.suppose)
    assumes = (*(f"where {demand}" for demand in found.asked), *supposed)
    return Verdict("proved", ground=Ground("normal-form", found.sizes, (), assumes))


def wanted(asked: Iterable[Demand]) -> Iterator[Demand]:
    """Demands in simple parts: a product is not 0 where each factor is not, a power where its base is not."""
    for demand in asked:
        subject = demand.subject
        if demand.relation == "!=" and isinstance(subject, Mul):
            yield from wanted(replace(demand, subject=factor) for factor in subject.factors)
        elif demand.relation in ("!=", ">") and isinstance(subject, Power):
            even = subject.exponent.denominator == 1 and subject.exponent.numerator % 2 == 0
            if demand.relation == ">" and subject.exponent.denominator == 1 and not even:
                yield from wanted([replace(demand, subject=subject.base)])
            else:
                yield from wanted([replace(demand, subject=subject.base, relation="!=")])
        else:
            yield demand


def _by_cases(question: Question) -> Verdict | None:
    """Region by region of what the conditions of cases compare with 0."""
    if time.perf_counter() > question.until:
        return None
    try:
        left = NormalForm().tidy(question.left.value)
    except TooLargeError:
        left = question.left.value
    return prove_regions(
        left,
        question.right.value,
        {},
        (question.known, tuple(wanted(question.right.demands))),
    )


def _by_clearing(question: Question) -> Verdict | None:
    """Both sides multiplied by matrices whose inverses they hold, invertible where the left side has a value.

    `D = 0` exactly where `M D = 0`, for an invertible M.
    """
    left, right = question.left.value, question.right.value
    for _ in range(MAX_CLEARED):
        if time.perf_counter() > question.until:
            return None
        step = next(iter(_clearings(left, right, question)), None)
        if step is None:
            return None
        left, right = step
        cleared = replace(question, left=Formula(left), right=Formula(right, question.right.demands))
        verdict = _by_normal_form(cleared, logistic=False)
        if verdict is not None:
            return verdict
    return None


def _clearings(left: Expr, right: Expr, question: Question) -> Iterator[tuple[Expr, Expr]]:
    """The sides times a matrix, where every term of one holds its inverse at an end."""
    nf = NormalForm()
    poly = plus(nf(left), scale(nf(right), -1))
    counts: dict[tuple[Entry, Index, bool], int] = {}
    for m in poly:
        for atom, e in m.factors:
            if not (isinstance(atom, Entry) and isinstance(atom.tensor, MatrixFunction)) or e != 1:
                continue
            if atom.tensor.kind != "inverse":
                continue
            for place in (0, 1):
                end = atom.indices[len(atom.indices) - 2 + place]
                batch_fixed = not any(i.free & set(m.bound) for i in atom.indices[:-2])
                if isinstance(end, Index) and end not in m.bound and batch_fixed:
                    key = (_bare(atom), end, place == 0)
                    counts[key] = counts.get(key, 0) + 1
    for (bare, end, first), _ in sorted(counts.items(), key=lambda c: (-c[1], c[0][0].key, c[0][1].key)):
        made = bare.tensor
        assert isinstance(made, MatrixFunction)
        if not _surely_invertible(made, bare, question, nf):
            continue
        used = {*left.free, *right.free, *left.bound, *right.bound}
        new = fresh(used, end)
        inner = fresh({*used, new}, end)
        batch = bare.indices[:-2]
        matrix = made.at(new, inner, batch) if first else made.at(inner, new, batch)
        sides = [
            total(mul(matrix, substitute(refresh(s, {inner, new}), {end: inner})), inner)
            for s in (left, right)
        ]
        yield sides[0], sides[1]


def _bare(atom: Entry) -> Entry:
    """The inverse at fixed places, so that the same one is counted once."""
    axis = atom.tensor.axes[-1]
    made = entry(atom.tensor, *atom.indices[:-2], index("§r", axis), index("§c", axis))
    assert isinstance(made, Entry)
    return made


def _surely_invertible(made: MatrixFunction, read: Entry, question: Question, nf: NormalForm) -> bool:
    """Whether what is known says that the matrix is invertible."""
    wanted = [d for d in demands(read, {}) if d.relation == "!=" or d.relation == ">"]
    return not compare(question.known, wanted[:1], nf, {}).loose


# --- what conditions say about brackets


def _sharpened(question: Question) -> Question:
    """The question with brackets as the conditions decide them, `>=` written as `>` where 0 is out."""
    nf = NormalForm()
    known = [d for d in (tidied(k, nf) for k in spread(question.known)) if d is not None]
    facts = [_scaled(d, nf) for d in known if d.relation in ("!=", ">", ">=") and not d.guards]

    def visit(node: Expr) -> Expr:
        if not isinstance(node, Bracket) or (integral(node.left) and integral(node.right)):
            return node
        subject, way = oriented(nf, node)
        if subject is ZERO:
            return node
        signs = {1, 0, -1}
        for sign, turned in ((1, subject), (-1, -subject)):
            made = nf.tidy(turned)
            for relation, left in ((">", {sign}), (">=", {sign, 0}), ("!=", {1, -1})):
                if any(covers(f, Demand(made, relation), nf) for f in facts):
                    signs &= left
        truths = {holds(node.relation, sign * way) for sign in signs}
        if len(truths) == 1:
            return ONE if truths == {True} else ZERO
        if 0 not in signs:
            above = bracket(">", subject, 0)
            return above if holds(node.relation, way) else add(ONE, mul(-1, above))
        return node

    if not facts:
        return question
    left, right = (Formula(rewrite(f.value, visit), f.demands) for f in (question.left, question.right))
    guarded = tuple(replace(d, guards=tuple(rewrite(g, visit) for g in d.guards)) for d in right.demands)
    return replace(
        question, left=left, right=Formula(right.value, guarded), known=tuple(spread(question.known))
    )


def _scaled(demand: Demand, nf: NormalForm) -> Demand:
    """The demand with a positive factor of its subject taken away."""
    poly = nf(demand.subject)
    if not poly:
        return demand
    content, _, _ = factor_content(poly, signed=False)
    return replace(demand, subject=to_expr(scale(poly, 1 / content)))


def spread(known: Iterable[Demand]) -> Iterator[Demand]:
    """Demands with what they imply: where a product is not 0, no factor is."""
    for demand in known:
        yield demand
        if demand.relation in ("!=", ">") and isinstance(demand.subject, Power):
            yield replace(demand, subject=demand.subject.base, relation="!=")
        size_of = _size_of(demand.subject)
        if demand.relation in ("!=", ">") and size_of is not None:
            yield from spread([replace(demand, subject=size_of, relation="!=")])
        if demand.relation in ("!=", ">") and isinstance(demand.subject, Mul):
            for factor in demand.subject.factors:
                base = factor.base if isinstance(factor, Power) else factor
                yield replace(demand, subject=base, relation="!=")


def _size_of(subject: Expr) -> Expr | None:
    """The p of `|p|`, written as p where it is not negative and -p elsewhere."""
    if not isinstance(subject, Where) or not isinstance(subject.condition, Bracket):
        return None
    condition = subject.condition
    whole = condition.right is ZERO and condition.relation in (">", ">=") and condition.left is subject.yes
    return subject.yes if whole and subject.no is -subject.yes else None

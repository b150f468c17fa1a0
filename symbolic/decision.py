"""Deciding whether two expressions are equal: the normal form, region by region; the search for a witness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from gradproof.symbolic.definedness import Demand, compare, covers, demands, tidied, unfounded, units
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Bracket,
    Call,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Mul,
    Number,
    Parameter,
    Power,
    Reduce,
    Tensor,
    Where,
    add,
    entry,
    fresh,
    mul,
    parameter,
    refresh,
    rewrite,
    substitute,
    walk,
)
from gradproof.symbolic.monomials import factor_content
from gradproof.symbolic.normal_form import MAX_PRODUCTS, NormalForm
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.polynomials import Poly, TooLargeError, plus, scale, to_expr
from gradproof.symbolic.positions import integral
from gradproof.symbolic.refutation import TRIALS, find_witness
from gradproof.symbolic.signs import holds, positive
from gradproof.symbolic.verdict import Ground, Verdict

Definitions = Mapping[Tensor, Definition]
Sides = tuple[Sequence[Demand], Sequence[Demand]]
Equations = tuple[tuple[Expr, Expr], ...]
FIRST_TRIALS = 12
MAX_SPLITS = 3


def difference(
    left: Expr,
    right: Expr,
    definitions: Definitions,
    *,
    logistic: bool,
    suppose: Equations = (),
    needs: Sequence[Demand] | None = None,
    limit: int = MAX_PRODUCTS,
    until: float = float("inf"),
) -> tuple[Poly, NormalForm]:
    """The normal form of `left - right`, empty where they are equal; `logistic` opens sigmoids.

    `needs` is what the left side needs, if it is known already; `limit` and `until` bound the work.
    """
    nf = NormalForm(definitions, logistic, suppose, limit=limit, until=until)

    @cache
    def asked() -> frozenset[Expr]:
        return units(demands(left, definitions) if needs is None else needs, nf)

    def unit(base: Expr) -> bool:
        return positive(base) or base in asked()

    try:
        return nf.cleared(plus(nf(left), scale(nf(right), -1)), unit), nf
    except RecursionError:
        raise TooLargeError("its reductions do not end") from None


def decide(left: Expr, right: Expr, definitions: Definitions, given: Sequence[Expr] = ()) -> Verdict:
    """From the cheapest normal form to the most complete one, a point looked for in between.

    The sides are compared where the left one has a value; a proof that cannot do without it may also use, and
    says so, that what is `given` has values.
    """
    problem = unfounded((left, right), definitions)
    if problem is not None:
        return Verdict("undecided", reason=problem)
    if any(_cases_inside(node) for side in (left, right) for node in walk(side)):
        witness = find_witness(left, right, definitions)
        if witness is not None:
            return Verdict("refuted", witness=witness)
        verdict = _by_regions(left, right, definitions, MAX_SPLITS)
        if verdict is not None:
            return verdict
    failed = ""
    light = _without_contractions(definitions)
    for opened, logistic in (({}, False), (light, False), (definitions, False), (definitions, True)):
        try:
            remainder, nf = difference(left, right, opened, logistic=logistic)
            verdict = None if remainder else _proved(left, right, nf, definitions, given=given)
        except TooLargeError as problem:
            failed, verdict = f"the normal form is too large: {problem}", None
        except ZeroDivisionError as problem:
            return Verdict("undecided", reason=f"a side has no value anywhere: {problem}")
        if verdict is not None and (verdict.verdict == "proved" or opened is definitions):
            return verdict
        if definitions and not opened:
            continue
        witness = find_witness(left, right, definitions, trials=TRIALS if logistic else FIRST_TRIALS)
        if witness is not None:
            return Verdict("refuted", witness=witness)
        if opened is definitions and not logistic:
            verdict = _by_regions(left, right, definitions, MAX_SPLITS)
            if verdict is not None:
                return verdict
    reason = failed or "the normal forms differ, and no point was found at which the sides do"
    return Verdict("undecided", reason=reason)


# --- regions


def prove_regions(left: Expr, right: Expr, definitions: Definitions, needs: Sides) -> Verdict | None:
    """A proof region by region of what conditions compare with 0, None where one fails."""
    return _by_regions(left, right, definitions, MAX_SPLITS, needs)


def _cases_inside(node: Expr) -> bool:
    """Whether a function is applied to cases: then the regions are better decided first."""
    if not isinstance(node, Call | Power):
        return False
    return any(
        isinstance(n, Bracket) and not integral(n.left) for child in node.children for n in walk(child)
    )


def _by_regions(
    left: Expr, right: Expr, definitions: Definitions, splits: int, needs: Sides | None = None
) -> Verdict | None:
    """A proof where what a condition compares with 0 is positive, negative and 0; None if one fails.

    `needs` is what the two sides need: deciding a condition or multiplying by 0 takes nothing of it away.
    """
    outside = left.free | right.free
    left, right = refresh(left, outside), refresh(right, outside)
    if needs is None:
        made, more = (tuple(demands(side, definitions, outside=outside)) for side in (left, right))
        needs = made, more
    try:
        subject = min(_conditions(left, right), key=_nested, default=None)
        return None if subject is None else _split(left, right, subject, definitions, splits, needs)
    except (TooLargeError, ZeroDivisionError):
        return None


def _split(
    left: Expr, right: Expr, subject: Expr, definitions: Definitions, splits: int, needs: Sides
) -> Verdict | None:
    regions: list[str] = []
    grounds: list[Ground] = []
    for sign, relation in ((1, ">"), (-1, "<"), (0, "=")):
        if sign == 0 and _excluded(subject, needs[0]):
            continue
        a, b = (_in_region(side, subject, sign) for side in (left, right))
        asked, wanted = (tuple(_demand_in_region(d, subject, sign) for d in side) for side in needs)
        ground = _prove_region(a, b, definitions, splits - 1, (asked, wanted))
        if ground is None:
            return None
        grounds.append(ground)
        here = f"{subject} {relation} 0"
        regions += [f"{here}, {inner}" for inner in ground.regions] or [here]
    sizes = tuple(dict.fromkeys(s for g in grounds for s in g.sizes))
    assumes = tuple(dict.fromkeys(a for g in grounds for a in g.assumes))
    return Verdict("proved", ground=Ground("normal-form", sizes, tuple(regions), assumes))


def _excluded(subject: Expr, known: Sequence[Demand]) -> bool:
    """Whether what is known says that the subject is not 0."""
    nf = NormalForm()
    wanted = Demand(nf.tidy(subject), "!=")
    made = (tidied(demand, nf) for demand in known)
    return any(d is not None and not d.guards and covers(d, wanted, nf) for d in made)


def _prove_region(
    left: Expr, right: Expr, definitions: Definitions, splits: int, needs: Sides
) -> Ground | None:
    for logistic in (False, True):
        try:
            remainder, nf = difference(left, right, definitions, logistic=logistic, needs=needs[0])
        except (TooLargeError, ZeroDivisionError):
            continue
        if not remainder:
            ground = _proved(left, right, nf, definitions, needs).ground
            return None if ground is None else Ground(ground.kind, ground.sizes, (), ground.assumes)
    found = _by_regions(left, right, definitions, splits, needs) if splits else None
    return found.ground if found else None


def _conditions(*sides: Expr) -> Iterator[Expr]:
    """What the conditions on real values compare with 0, outside of any sum."""
    nf = NormalForm()
    for side in sides:
        for node in walk(side):
            if isinstance(node, Bracket) and not (integral(node.left) and integral(node.right)):
                subject = oriented(nf, node)[0]
                if node.free <= side.free and subject is not ZERO:
                    yield subject


def _nested(expr: Expr) -> int:
    """How many conditions an expression holds: those inside another are decided before it."""
    return sum(isinstance(node, Bracket) for node in walk(expr))


def oriented(nf: NormalForm, flag: Bracket) -> tuple[Expr, int]:
    """What a bracket compares with 0, up to a positive factor, and the sign that orients it in one way."""
    difference = plus(nf(flag.left), scale(nf(flag.right), -1))
    if not difference:
        return ZERO, 1
    content, outside, base = factor_content(difference, signed=True)
    shown = to_expr(base)
    for atom, exponent in outside.items():
        shown = shown * atom**exponent
    return shown, 1 if content > 0 else -1


def _in_region(expr: Expr, subject: Expr, sign: int) -> Expr:
    """The expression where the subject has that sign: conditions on it decided, the subject itself put in."""
    nf = NormalForm()

    def visit(node: Expr) -> Expr:
        if isinstance(node, Bracket) and not (integral(node.left) and integral(node.right)):
            found, way = oriented(nf, node)
            if found is subject:
                return ONE if holds(node.relation, sign * way) else ZERO
        return node

    decided = rewrite(expr, visit)
    if not isinstance(subject, Entry | Parameter):
        at, value = solved(subject) if sign == 0 else (None, ZERO)
        return decided if at is None else rewrite(decided, lambda node: value if node is at else node)
    return rewrite(decided, lambda node: _signed(subject, sign) if node is subject else node)


def solved(difference: Expr) -> tuple[Entry | Parameter | None, Expr]:
    """A variable on which an expression depends linearly, and its value where the expression is 0."""
    for term in difference.terms if isinstance(difference, Add) else (difference,):
        factor, read = term.factors if isinstance(term, Mul) and len(term.factors) == 2 else (ONE, term)
        real = isinstance(read, Parameter) or (isinstance(read, Entry) and read.tensor.dtype == "real")
        if (
            isinstance(factor, Number)
            and real
            and not isinstance(getattr(read, "tensor", None), MatrixFunction)
        ):
            rest = add(difference, mul(-1, term))
            if read not in set(walk(rest)):
                assert isinstance(read, Entry | Parameter)
                return read, NormalForm().tidy(mul(-1 / factor.value, rest))
    return None, ZERO


def _demand_in_region(demand: Demand, subject: Expr, sign: int) -> Demand:
    guards = tuple(_in_region(guard, subject, sign) for guard in demand.guards)
    return replace(demand, subject=_in_region(demand.subject, subject, sign), guards=guards)


def _signed(subject: Entry | Parameter, sign: int) -> Expr:
    """The subject as a positive variable, its negative, or 0."""
    if sign == 0:
        return ZERO
    if isinstance(subject, Parameter):
        return sign * parameter(f"{subject.name}", "(0, inf)")
    tensor = Tensor(f"|{subject.tensor.name}|", subject.tensor.axes, "real", "(0, inf)")
    return sign * entry(tensor, *subject.indices)


# --- what a proof rests on


def decide_under(left: Expr, right: Expr, definitions: Definitions, suppose: Equations) -> Verdict:
    """The verdict where the supposed equations hold; proved or undecided, for no point is looked for."""
    problem = unfounded((left, right), definitions)
    if problem is not None:
        return Verdict("undecided", reason=problem)
    try:
        remainder, nf = difference(left, right, definitions, logistic=False, suppose=suppose)
    except (TooLargeError, ZeroDivisionError) as problem:
        return Verdict("undecided", reason=str(problem))
    if remainder:
        return Verdict("undecided", reason="the normal forms differ under what is supposed")
    verdict = _proved(left, right, nf, definitions)
    if verdict.ground is None:
        return verdict
    stated = tuple(f"{a} = {b}" for a, b in suppose)
    return replace(verdict, ground=replace(verdict.ground, assumes=(*verdict.ground.assumes, *stated)))


def _without_contractions(definitions: Definitions) -> dict[Tensor, Definition]:
    """The definitions without sums of products: what holds for any value of these is found sooner."""
    return {t: d for t, d in definitions.items() if not any(_contracts(node) for node in walk(d.value))}


def _contracts(node: Expr) -> bool:
    return isinstance(node, Reduce) and isinstance(node.body, Mul) and len(node.body.tensors) > 1


def _proved(
    left: Expr,
    right: Expr,
    nf: NormalForm,
    definitions: Definitions,
    needs: Sides | None = None,
    given: Sequence[Expr] = (),
) -> Verdict:
    """The normal forms agree: what is left is that the right side has a value wherever the left one has."""
    if needs is None:
        closed, outside = frozenset(definitions) - frozenset(nf.definitions), left.free | right.free
        made, more = (
            tuple(demands(side, nf.definitions, closed=closed, outside=outside)) for side in (left, right)
        )
        needs = made, more
    found = compare(*needs, nf, definitions, left.free | right.free)
    if found.loose and given:
        more = [d for g in given for d in _everywhere(g, left.free | right.free, definitions)]
        found = compare((*needs[0], *more), needs[1], nf, definitions, left.free | right.free)
    if found.loose:
        said = ", ".join(found.loose)
        return Verdict("undecided", reason=f"the right side needs {said}, which is not shown")
    ground = Ground(
        "normal-form",
        sizes=found.sizes,
        regions=_regions(left, right, nf.definitions),
        assumes=tuple(f"where {demand}" for demand in found.asked),
    )
    return Verdict("proved", ground=ground)


def _everywhere(expr: Expr, outside: frozenset[Index], definitions: Definitions) -> Iterator[Demand]:
    """What an expression asks for at all values of its free indices, which are renamed apart."""
    apart: dict[Index, Expr] = {}
    taken = {*outside, *expr.bound}
    for i in sorted(expr.free, key=lambda i: i.key):
        new = fresh(taken, i)
        taken.add(new)
        apart[i] = new
    moved = substitute(expr, apart)
    yield from demands(moved, definitions, (), tuple(moved.free), outside=outside | moved.free)


def _regions(left: Expr, right: Expr, definitions: Definitions) -> tuple[str, ...]:
    """The conditions of cases met: each is decided with the condition true and with it false."""
    seen: dict[str, None] = {}
    opened = [d.value for d in definitions.values()]
    for expr in (left, right, *opened):
        for node in walk(expr):
            if isinstance(node, Where):
                seen[f"{node.condition}"] = None
                seen[f"not {node.condition}"] = None
    return tuple(seen)

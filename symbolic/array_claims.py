"""The verdict on a claim over arrays: the true derivative beside the claimed one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gradproof.symbolic.array_decision import Question, decide_arrays, equal, spread
from gradproof.symbolic.array_entries import proved_by_entries
from gradproof.symbolic.array_hints import Case, hints, restructured
from gradproof.symbolic.array_kinks import kinks, no_derivative, open_kinks
from gradproof.symbolic.array_pass import ClaimShapeError, Reading
from gradproof.symbolic.array_reading import read_claim_texts
from gradproof.symbolic.array_scalar import (
    has_gap,
    least_size,
    refuted_at_size_one,
    without_value_at_least,
)
from gradproof.symbolic.array_witnesses import Search
from gradproof.symbolic.arrays import Array, fresh_index, moved, placed, shown, total_of
from gradproof.symbolic.axes import Axis, with_made
from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.definedness import Demand, compare, demands
from gradproof.symbolic.expressions import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Index,
    MatrixFunction,
    Size,
    Tensor,
    bracket,
    entry,
    index,
    mul,
    size,
    substitute,
    walk,
)
from gradproof.symbolic.formulas import Formula, TooBigError
from gradproof.symbolic.matrices import determinant_of, without_diagonal
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.scalar import MAX_SECONDS
from gradproof.symbolic.scalar_table import NoRowError
from gradproof.symbolic.syntax import ParseError
from gradproof.symbolic.tangent import NoDerivativeError, tangent
from gradproof.symbolic.verdict import Verdict, Witness


def judge_arrays(claim: Claim, seconds: float = MAX_SECONDS) -> Verdict:
    """The verdict on a claim over arrays; raises ParseError or DomainError for what cannot be read.

    >>> axes = {"x": ("batch", "d"), "W": ("out", "d")}
    >>> claim = Claim("a", "x @ W.T", ("W",), "g.T @ x", axes=axes, kind="vjp", cotangent="g")
    >>> judge_arrays(claim).verdict
    'proved'
    """
    until = time.perf_counter() + seconds
    try:
        reading = read_claim_texts(claim)
    except NoRowError as problem:
        return Verdict("undecided", reason=str(problem))
    except ClaimShapeError as problem:
        return _misfit(str(problem), problem.one, problem.other)
    try:
        return readable(judge_case(derivative_case(reading), until))
    except (NoDerivativeError, NoRowError, TooBigError, TooLargeError, ZeroDivisionError) as problem:
        return Verdict("undecided", reason=str(problem))


SECONDS_AWAY = 1
"""How long it is asked whether a claim without derivative at some point holds elsewhere."""
_PASSING = re.compile(r"~\d+|_\d+_\d+|§[a-z0-9]+")


def readable(verdict: Verdict) -> Verdict:
    """The verdict with letters for indices that were named in passing.

    >>> readable(Verdict("undecided", reason="x[~12] and sum<_1_0>(x[_1_0])")).reason
    'x[i] and sum<j>(x[j])'
    """
    texts = [verdict.reason or "", *verdict.notes, *(verdict.ground.assumes if verdict.ground else ())]
    used = set(re.findall(r"[^\W\d_]+", " ".join(_PASSING.sub("", t) for t in texts)))
    letters = [c for c in "ijklmnpqrstuvw" if c not in used]
    names: dict[str, str] = {}
    for found in _PASSING.findall(" ".join(texts)):
        names.setdefault(found, letters[len(names)] if len(names) < len(letters) else f"i{len(names)}")

    def clear(text: str) -> str:
        return _PASSING.sub(lambda m: names[m[0]], text).replace("[]", "")

    ground = verdict.ground
    if ground is not None:
        ground = replace(ground, assumes=tuple(map(clear, ground.assumes)))
    reason = clear(verdict.reason) if verdict.reason else None
    return replace(verdict, ground=ground, reason=reason, notes=tuple(map(clear, verdict.notes)))


def judge_case(case: Case, until: float) -> Verdict:
    """The verdict on one equation."""
    wanted, found = case.axes, case.claimed.axes
    body = placed(case.claimed, wanted, case.over)
    if body is None:
        verdict = _misfit(
            f"the claim has axes {shown(found)}, the {case.what} has {shown(wanted)}",
            found,
            wanted,
            case.what,
        )
        return replace(verdict, notes=(*verdict.notes, *hints(case, None)))
    known = (*case.known, *case.needs)
    again = kinks(case.first or ZERO, frozenset(case.by[-1:]))
    every = list(dict.fromkeys((*kinks(case.function.value, frozenset(case.by)), *again)))
    asked = [part for d in (*case.truth.demands, *body.demands) for part in (d.subject, *d.guards)]
    search = Search(
        [case.truth.value, body.value, *asked], known, [k.demand for k in every], case.suppose, until
    )
    left = open_kinks(every, tuple(spread(known))) if case.by else []
    plain = not any(t.structure in ("symmetric", "positive definite") for t in case.by)
    found = no_derivative(case.truth.value, body, left, search, case.dot) if left and plain else None
    if found is not None:
        until = min(until, time.perf_counter() + SECONDS_AWAY)
        search = replace(search, until=until)
    question = Question(case.truth, body, known, case.suppose, until)
    if found is None and (left or not equal(question)):
        verdict = proved_by_entries(case, body, min(SECONDS_AWAY, until - time.perf_counter()))
        if verdict is not None:
            return _with_sizes(verdict, case)
    verdict = decide_arrays(question, search)
    if found is not None:
        witness, kink = found
        away = {
            "proved": "away from such points the claim holds",
            "refuted": "away from such points the claim does not hold either",
            "undecided": "whether it holds away from such points is not decided",
        }[verdict.verdict]
        return Verdict("refuted", witness=witness, reason="no derivative", notes=(f"at {kink}", away))
    if case.by and verdict.verdict != "refuted" and (left or verdict.verdict != "proved" or has_gap(case)):
        strict = refuted_at_size_one(case, body)
        if strict is not None:
            return strict
    if case.by and verdict.verdict == "proved" and (hidden := unfounded_determinant(case)) is not None:
        return Verdict(
            "undecided",
            reason=f"the second derivative of {hidden} is known where it is not 0; say so in a condition",
        )
    if verdict.verdict == "proved" and left:
        said = ", ".join(str(k) for k in left)
        return Verdict("undecided", reason=f"whether there is a derivative at {said} is not shown")
    if verdict.verdict == "refuted":
        return replace(verdict, notes=(*verdict.notes, *hints(case, body, verdict.witness)))
    return _longer(_with_sizes(verdict, case), case, body)


def _longer(verdict: Verdict, case: Case, body: Formula) -> Verdict:
    """The verdict with one place more for axes at whose least size the claim has no value."""
    short = without_value_at_least(case, body) if verdict.ground is not None else []
    for axis in short:
        assert verdict.ground is not None
        sizes = [s for s in verdict.ground.sizes if s != f"{axis.name} >= {axis.minimum}"]
        note = f"at {axis.name} = {least_size(axis)} the claim has no value"
        ground = replace(verdict.ground, sizes=(f"{axis.name} >= {least_size(axis) + 1}", *sizes))
        verdict = replace(verdict, ground=ground, notes=(*verdict.notes, note))
    return verdict


def unfounded_determinant(case: Case) -> str | None:
    """A determinant that a derivative of cofactors divides by, though neither function nor condition does."""
    kinds = ("cofactor", "determinant") if case.what == "Hessian" else ("cofactor",)
    read = [
        n
        for n in walk(case.function.value)
        if isinstance(n, Entry) and isinstance(n.tensor, MatrixFunction) and n.tensor.kind in kinds
    ]
    given = tuple(spread((*case.known, *case.function.demands)))
    nf = NormalForm()
    for at in dict.fromkeys(read):
        wanted = Demand(determinant_of(at), "!=")
        if all(compare(given, [d], nf, {}).loose for d in (wanted, without_diagonal(wanted))):
            return str(wanted.subject)
    return None


def _with_sizes(verdict: Verdict, case: Case) -> Verdict:
    """The verdict with the sizes that it holds for."""
    if verdict.ground is None:
        return verdict
    sizes = [f"{a.name} >= {a.minimum}" for a in case.sizes if a.size is None]
    made = tuple(dict.fromkeys((*sizes, *verdict.ground.sizes)))
    return replace(verdict, ground=replace(verdict.ground, sizes=made))


def _misfit(
    problem: str, one: Sequence[Axis | None], other: Sequence[Axis | None], what: str = ""
) -> Verdict:
    """Refuted by the shapes alone: at sizes that tell the axes apart."""
    axes = [a for a in dict.fromkeys((*one, *other)) if a is not None]
    lengths = [[size(a) if a is not None else ONE for a in shape] for shape in (one, other)]
    if lengths[0] == lengths[1]:
        return Verdict("undecided", reason=f"{problem}: axes of the same length, joined in another order")
    made = [a for a in axes if a.parts or a.factors]
    inner = [part for a in made for part in (*(p for p, _ in a.parts), *a.factors)]
    plain = dict.fromkeys(a for a in (*axes, *inner) if a not in made)
    sizes = with_made({a: a.size or max(n, a.minimum) for n, a in enumerate(plain, 2)}, axes)

    def text(shape: Sequence[Axis | None]) -> str:
        return f"shape ({', '.join(str(1 if a is None else sizes[a]) for a in shape)})"

    point = {a.name.lstrip("_"): str(n) for a, n in sizes.items() if a in plain}
    left, right = (text(other), text(one)) if what else ("defined", "undefined")
    return Verdict("refuted", witness=Witness(point, left, right), reason=problem)


# --- the derivative that is claimed


def derivative_case(reading: Reading) -> Case:
    """The equation that a claim states: its kind, the function and what it is differentiated by."""
    claim, output = reading.claim, reading.output.apart()
    over = [i for i in output.indices if i is not None]
    axes = [i.axis for i in over]
    kind = claim.kind
    if kind == "derivative":
        kind = "jacobian" if len(reading.by) == 1 else "hessian"
    function = output.body
    if kind == "identity":
        output, axes, over = _spread(output, reading.claimed)
        function = output.body
        return _case(reading, output, "left side", axes, over, function.value, function, lambda _: ZERO)
    if kind == "jvp":
        dot = _along(reading.moved)
        value = tangent(function.value, dot)
        return _case(reading, output, "JVP", axes, over, value, function, dot)
    if len(reading.by) > (2 if kind == "hessian" else 1):
        raise ParseError(f"a {kind} is one by {'two names' if kind == 'hessian' else 'one name'}")
    if not reading.by:
        raise ParseError(f"'wrt' is missing: what the {kind} is by")
    first = reading.by[0]
    at = [fresh_index(a) for a in first.axes]
    dot = _unit(first, at)
    value = tangent(function.value, dot)
    if kind == "vjp":
        assert reading.cotangent is not None
        weighted = Formula(mul(entry(reading.cotangent, *over), value), function.demands)
        whole = total_of(weighted, over)
        needs = total_of(function, over)
        number = total_of(Formula(mul(entry(reading.cotangent, *over), function.value)), over).value
        made = _case(reading, output, "VJP", list(first.axes), at, whole.value, needs, dot)
        return replace(made, weighted=number)
    if kind == "jacobian":
        what = "gradient" if not axes else "Jacobian"
        made = _case(reading, output, what, [*axes, *first.axes], [*over, *at], value, function, dot)
        return made if axes else replace(made, weighted=function.value)
    second = reading.by[len(reading.by) - 1]
    then = [fresh_index(a) for a in second.axes]
    dot = _unit(second, then)
    twice = tangent(value, dot)
    spread = [*axes, *first.axes, *second.axes]
    return _case(reading, output, "Hessian", spread, [*over, *at, *then], twice, function, dot, value)


def _spread(output: Array, claimed: Array) -> tuple[Array, list[Axis], list[Index]]:
    """The left side of an identity, the same along the axes that the right side has beyond its own."""
    own = [a for a in output.axes if a is not None]
    theirs = [a for a in claimed.axes if a is not None]
    if len(theirs) > len(own) and theirs[: len(own)] == own and None not in claimed.axes:
        more = [fresh_index(a) for a in theirs[len(own) :]]
        output = Array((*output.axes, *theirs[len(own) :]), (*output.indices, *more), output.body)
    over = [i for i in output.indices if i is not None]
    return output, [i.axis for i in over], over


def _unit(tensor: Tensor, at: Sequence[Index]) -> Callable[[Entry], Expr]:
    """The tangent that is 1 at one entry of a tensor."""

    def dot(read: Entry) -> Expr:
        if read.tensor != tensor:
            return ZERO
        return mul(*(bracket("==", a, b) for a, b in zip(read.indices, at, strict=True)))

    return dot


def _along(moved: Mapping[str, Tensor]) -> Callable[[Entry], Expr]:
    def dot(read: Entry) -> Expr:
        direction = moved.get(read.tensor.name)
        return ZERO if direction is None else entry(direction, *read.indices)

    return dot


def _case(
    reading: Reading,
    output: Array,
    what: str,
    axes: Sequence[Axis],
    over: Sequence[Index],
    value: Expr,
    function: Formula,
    dot: Callable[[Entry], Expr],
    first: Expr | None = None,
) -> Case:
    """The equation with its indices under names for people."""
    stray = (value.free | function.value.free) - set(over)
    stray |= reading.claimed.value.free - {i for i in reading.claimed.indices if i is not None}
    if stray:
        raise ParseError(
            f"the index {min(i.name for i in stray)} is neither summed over nor one of the result"
        )
    names = _readable(reading, axes)
    renamed = dict(zip(over, names, strict=True))

    def named(formula: Formula) -> Formula:
        return moved(formula, dict(renamed))

    demanded = tuple(demands(value, {}, outside=value.free)) if reading.by else ()
    truth = named(Formula(value, (*function.demands, *demanded)))
    outside = named(Formula(function.value, function.demands))
    made = Case(
        what=what,
        axes=tuple(axes),
        over=tuple(names),
        truth=truth,
        function=outside,
        claimed=reading.claimed,
        by=reading.by,
        needs=truth.demands,
        known=reading.known,
        suppose=reading.suppose,
        dot=lambda read: substitute(dot(read), dict(renamed)),
        rank=output.rank,
        cotangent=reading.cotangent,
        directions=tuple(reading.moved.values()),
        sizes=_sizes(reading, truth),
        first=None if first is None else named(Formula(first)).value,
    )
    return _restructured(made, reading.names.structures) if reading.names.structures else made


def _restructured(case: Case, tensors: Mapping[Tensor, Tensor]) -> Case:
    """The equation at matrices that are symmetric, after it was differentiated by each entry by itself."""

    def formula(given: Formula) -> Formula:
        return Formula(restructured(given.value, tensors), asked(given.demands))

    def asked(given: Sequence[Demand]) -> tuple[Demand, ...]:
        return tuple(
            replace(
                d,
                subject=restructured(d.subject, tensors),
                guards=tuple(restructured(g, tensors) for g in d.guards),
            )
            for d in given
        )

    return replace(
        case,
        truth=formula(case.truth),
        function=formula(case.function),
        claimed=replace(case.claimed, body=formula(case.claimed.body)),
        by=tuple(tensors.get(t, t) for t in case.by),
        needs=asked(case.needs),
        known=asked(case.known),
        suppose=tuple((restructured(a, tensors), restructured(b, tensors)) for a, b in case.suppose),
        first=None if case.first is None else restructured(case.first, tensors),
    )


def _sizes(reading: Reading, truth: Formula) -> tuple[Axis, ...]:
    used = {a for t in truth.value.tensors for a in t.axes} | {
        n.axis for n in walk(truth.value) if isinstance(n, Size)
    }
    return tuple(a for a in reading.names.axes.values() if a in used)


def _readable(reading: Reading, axes: Sequence[Axis]) -> list[Index]:
    """Names for the indices of the derivative: letters that nothing else has."""
    taken = {*reading.names.tensors, *reading.names.axes, *reading.names.domains, *reading.names.definitions}
    given = list(reading.labels)
    letters = [c for c in "ijklmnpqrstuvwxyz" if c not in taken and c not in given]
    names = given if len(given) == len(axes) else []
    while len(names) < len(axes):
        names.append(letters[len(names)] if len(names) < len(letters) else f"i{len(names)}")
    return [index(name, axis) for name, axis in zip(names, axes, strict=True)]

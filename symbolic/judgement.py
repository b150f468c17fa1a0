"""The verdict on a claim: formulas over scalars go one way, expressions over tensors another."""

from __future__ import annotations

import time
from dataclasses import replace

from gradproof.symbolic.array_claims import judge_arrays
from gradproof.symbolic.array_repairs import repair_arrays
from gradproof.symbolic.claims import MAX_ORDER
from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.claims_latex import plain_name
from gradproof.symbolic.domain import DomainError
from gradproof.symbolic.scalar import MAX_SECONDS
from gradproof.symbolic.scalar_table import NoRowError
from gradproof.symbolic.statements import Typed, prove_sides, repair_sides, typed, typed_condition
from gradproof.symbolic.syntax import ParseError, Syntax, names_in
from gradproof.symbolic.verdict import Verdict


def judge(claim: Claim, *, seconds: float = MAX_SECONDS) -> Verdict:
    """The verdict on a claim; what cannot be read is *undecided* with a reason that starts with `parse:`.

    `seconds` is about how long it may take.

    >>> judge(Claim("a", "tanh(x)", ("x",), "1 - tanh(x)**2", {"x": "real"})).verdict
    'proved'
    >>> judge(Claim("b", "1 +", ("x",), "1")).reason
    'parse: function: column 4: the formula ends where a number or a name was expected'
    """
    started = time.perf_counter()
    try:
        verdict = judge_arrays(claim, seconds) if claim.indexed else _judge_scalar(claim, seconds)
        return replace(verdict, seconds=time.perf_counter() - started)
    except (ParseError, DomainError) as problem:
        return unreadable(str(problem))


def unreadable(problem: str) -> Verdict:
    """The verdict on what cannot be read."""
    return Verdict("undecided", reason=f"parse: {problem}")


def fix(claim: Claim) -> str | None:
    """The true derivative in the form closest to a claim, in Python syntax; None where none is found.

    >>> fix(Claim("a", "tanh(x)", ("x",), "1 + tanh(x)**2"))
    '1 - tanh(x)**2'
    """
    if claim.kind == "identity":
        return None
    if claim.indexed:
        return None if claim.latex else repair_arrays(claim)
    try:
        return repair_sides(*_sides(claim), claim.domain, _conditions(claim))
    except (ParseError, DomainError, NoRowError):
        return None


def _judge_scalar(claim: Claim, seconds: float) -> Verdict:
    return prove_sides(*_sides(claim), claim.domain, _conditions(claim), seconds)


def _conditions(claim: Claim) -> list[Syntax]:
    return [typed_condition(text, claim.latex) for text in claim.where]


def _sides(claim: Claim) -> tuple[Typed, Typed]:
    function = typed(claim.function, claim.latex, "function")
    if len(claim.wrt) > MAX_ORDER:
        raise ParseError(f"wrt: {len(claim.wrt)} derivatives; at most {MAX_ORDER} are taken")
    stated = typed(claim.claim, claim.latex, "claim", _known(claim, function))
    by = [plain_name(n) if claim.latex else n for n in claim.wrt]
    for name in by:
        if not name.isidentifier():
            raise ParseError(f"wrt: {name!r} is no variable; without axes it is a name such as `x_1`")
    left = Typed((*reversed(by), *function.by), function.body, function.text)
    return left, stated


def _known(claim: Claim, function: Typed) -> dict[str, Syntax]:
    """What a claim may name: what the function defines, and its value, `result`, unless one is declared."""
    known = dict(function.definitions)
    variables = {*claim.domain, *claim.wrt, *names_in(function.body)}
    if "result" not in variables and not function.by:
        known.setdefault("result", function.body)
    return known

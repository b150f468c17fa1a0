"""The true derivative of arrays in the form closest to a wrong claim: a small change of it, or entries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gradproof.symbolic.array_claims import derivative_case, judge_arrays
from gradproof.symbolic.array_decision import Question, equal
from gradproof.symbolic.array_hints import Case
from gradproof.symbolic.array_pass import ClaimShapeError
from gradproof.symbolic.array_reading import read_claim_texts
from gradproof.symbolic.arrays import ShapeError, placed
from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.domain import DomainError
from gradproof.symbolic.expressions import (
    Bracket,
    Entry,
    Expr,
    MatrixFunction,
    Reduce,
    Size,
    index,
    parameter,
    reduce,
    rewrite,
    substitute,
    walk,
)
from gradproof.symbolic.formulas import TooBigError, written
from gradproof.symbolic.normal_form import NormalForm
from gradproof.symbolic.polynomials import TooLargeError
from gradproof.symbolic.positions import integral
from gradproof.symbolic.repairs import changes, unparse
from gradproof.symbolic.scalar_table import NoRowError
from gradproof.symbolic.syntax import ParseError, Syntax, parse_expression
from gradproof.symbolic.tangent import NoDerivativeError

SECONDS = 4.0
CONFIRMED = 5.0
"""Seconds for the proof of what is printed."""
_PROBLEMS = (
    ParseError, ShapeError, ClaimShapeError, NoRowError, DomainError, TooBigError, TooLargeError,
    NoDerivativeError, ZeroDivisionError,
)  # fmt: skip


def repair_arrays(claim: Claim) -> str | None:
    """A text that is proved to be the derivative, close to the claim where that succeeds; None without one.

    >>> axes = {"A": ("n", "n"), "u": ("n",)}
    >>> repair_arrays(Claim("a", "A @ u", ("u",), "A @ g", kind="vjp", axes=axes))
    'A.T @ g'
    """
    until = time.perf_counter() + SECONDS
    for text in _texts(claim):
        if time.perf_counter() > until:
            break
        if _holds(replace(claim, claim=text)):
            return text
    return _entries(claim)


def _texts(claim: Claim) -> Iterator[str]:
    """The claim with one small change, its definitions left as they are."""
    before, semicolon, last = claim.claim.rpartition(";")
    try:
        node = parse_expression(last)
    except ParseError:
        return
    axes = [a for a in dict.fromkeys(a for over in claim.axes.values() for a in over) if not a.isdigit()]
    numbers = [n for n in claim.domain if n not in claim.axes]
    seen: set[str] = set()
    for changed in _changes(node, axes, [*axes, *numbers]):
        try:
            text = before + semicolon + " " * bool(semicolon) + unparse(changed)
        except KeyError:
            continue
        if text not in seen:
            seen.add(text)
            yield text


def _changes(node: Syntax, axes: Sequence[str], names: Sequence[str]) -> Iterator[Syntax]:
    """A sign, a transposition, a sum over an axis; then what is tried of numbers."""
    yield _negated(node)
    yield from _signs(node)
    yield from _transposed(node)
    yield from _exchanged(node)
    for axis in axes:
        yield Syntax("call", "sum", (node, Syntax("string", axis)))
    yield from changes(node, names)


def _negated(node: Syntax) -> Syntax:
    """Minus a formula, without a sign where it begins with one."""
    if node.kind == "sign":
        return node.parts[0]
    if node.kind == "chain" and node.text.split()[0] not in "+-" and node.parts[0].kind == "sign":
        return replace(node, parts=(node.parts[0].parts[0], *node.parts[1:]))
    return Syntax("sign", "-", (node,))


def _signs(node: Syntax) -> Iterator[Syntax]:
    """One sign between terms turned, at any depth."""
    signs = node.text.split() if node.kind == "chain" else []
    for n, sign in enumerate(signs):
        if sign in "+-":
            turned = "-" if sign == "+" else "+"
            yield replace(node, text=" ".join([*signs[:n], turned, *signs[n + 1 :]]))
    yield from _inside(node, _signs)


def _transposed(node: Syntax) -> Iterator[Syntax]:
    """A part transposed, or not transposed any more."""
    turned = node.kind == "attribute" and node.text == "T"
    yield node.parts[0] if turned else Syntax("attribute", "T", (node,))
    yield from _inside(node, _transposed)


def _exchanged(node: Syntax) -> Iterator[Syntax]:
    """Two factors of a matrix product exchanged."""
    for n, sign in enumerate(node.text.split() if node.kind == "chain" else ()):
        if sign == "@":
            yield replace(
                node, parts=(*node.parts[:n], node.parts[n + 1], node.parts[n], *node.parts[n + 2 :])
            )
    yield from _inside(node, _exchanged)


def _inside(node: Syntax, change: Callable[[Syntax], Iterator[Syntax]]) -> Iterator[Syntax]:
    for n, part in enumerate(node.parts if node.kind in ("chain", "sign", "call") else ()):
        for changed in change(part):
            yield replace(node, parts=(*node.parts[:n], changed, *node.parts[n + 1 :]))


def _holds(claim: Claim) -> bool:
    """Whether a claim is proved: in the cheap normal form first, then strictly."""
    try:
        case = derivative_case(read_claim_texts(claim))
        body = placed(case.claimed, case.axes, case.over)
        if body is None or not equal(Question(case.truth, body, (*case.known, *case.needs), case.suppose)):
            return False
        return judge_arrays(claim, CONFIRMED).verdict == "proved"
    except _PROBLEMS:
        return False


# --- entry by entry


def _entries(claim: Claim) -> str | None:
    """The derivative in index notation, as its normal form says it."""
    try:
        case = derivative_case(read_claim_texts(replace(claim, claim="0")))
        text = written_entries(case)
    except (*_PROBLEMS, KeyError, StopIteration):
        return None
    made = replace(claim, claim=text)
    try:
        return text if judge_arrays(made, CONFIRMED).verdict == "proved" else None
    except _PROBLEMS:
        return None


def written_entries(case: Case) -> str:
    """The derivative over the indices of its axes; raises KeyError for what the language does not have."""
    value = NormalForm().tidy(case.truth.value)
    names = {i.name for n in walk(value) for i in (*n.free, *n.bound)} | {t.name for t in value.tensors}
    letters = iter([c for c in "ijklmnpqrstuvwxyz" if c not in names])

    def visit(node: Expr) -> Expr:
        if isinstance(node, Reduce):
            return parameter(f"{node.kind}({written(node.body)}, {', '.join(i.name for i in node.indices)})")
        if isinstance(node, Size):
            return parameter(node.axis.name)
        if isinstance(node, Bracket):
            if node.relation == "==" and integral(node.left) and integral(node.right):
                return parameter(f"delta({written(node.left)}, {written(node.right)})")
            return parameter(f"({written(node)})")
        if isinstance(node, Entry):
            return parameter(_named(node))
        return node

    def lettered(node: Expr) -> Expr:
        """Bound indices under letters."""
        if not isinstance(node, Reduce):
            return node
        over = [index(next(letters), i.axis) if i.name.startswith("_") else i for i in node.indices]
        return reduce(node.kind, over, substitute(node.body, dict(zip(node.indices, over, strict=True))))

    return written(rewrite(rewrite(value, lettered), visit))


def _named(read: Entry) -> str:
    made = read.tensor
    name = made.name
    if isinstance(made, MatrixFunction):
        inner = made.matrix
        if not isinstance(inner, Entry) or isinstance(inner.tensor, MatrixFunction) or made.batch:
            raise KeyError(name)
        name = {"inverse": "inv", "determinant": "det", "cofactor": "cofactor"}[
            made.kind
        ] + f"({inner.tensor.name})"
    return f"{name}[{', '.join(map(written, read.indices))}]" if read.indices else name

"""The rules of derivation: one row each, a function from an expression to what it becomes.

A rule looks at the node at the recorded position and at the definitions in its context, nothing else; so a
step is replayed by applying the named rule there once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from gradproof.symbolic import differentiation
from gradproof.symbolic.collecting import factor_out
from gradproof.symbolic.context import Context, OneHot, Rule
from gradproof.symbolic.contraction import contract, enumerate_cases
from gradproof.symbolic.differentiation import depends
from gradproof.symbolic.expressions import (
    ZERO,
    Add,
    Bracket,
    Call,
    Entry,
    Expr,
    Index,
    Mul,
    Power,
    Reduce,
    Tensor,
    Where,
    add,
    bracket,
    call,
    entry,
    mul,
    refresh,
    rewrite,
    substitute,
    total,
    walk,
    where,
)
from gradproof.symbolic.matching import recognise_node, recognise_product
from gradproof.symbolic.programs import Definition
from gradproof.symbolic.terms import Term, build, flatten, times

__all__ = ["LOCAL", "RULES", "Context", "OneHot", "Rule", "depends", "inline", "vanishing"]


def _has_delta(node: Expr) -> bool:
    return any(map(_is_delta, walk(node)))


def _is_delta(n: Expr) -> bool:
    return (
        isinstance(n, Bracket) and n.relation == "==" and any(isinstance(side, Index) for side in n.children)
    )


def _open_cases(node: Expr) -> Expr:
    """`where(c, a, b) = where(c, a, 0) + where(c, 0, b)`, where a branch holds a delta to be summed."""

    def visit(n: Expr) -> Expr:
        if (
            isinstance(n, Where)
            and n.no is not ZERO
            and n.yes is not ZERO
            and (_has_delta(n.yes) or _has_delta(n.no))
        ):
            return add(where(n.condition, n.yes, 0), where(n.condition, 0, n.no))
        return n

    return rewrite(node, visit)


def _share_deltas(node: Expr) -> Expr:
    """`d a + d b = d (a + b)` for a delta d, so that its sum leaves the parenthesis as it is."""

    def visit(n: Expr) -> Expr:
        if not isinstance(n, Add):
            return n
        parts = [set(t.factors) if isinstance(t, Mul) else {t} for t in n.terms]
        shared = {f for f in parts[0].intersection(*parts) if _is_delta(f)}
        if not shared:
            return n
        rest = (
            mul(*(f for f in (t.factors if isinstance(t, Mul) else (t,)) if f not in shared)) for t in n.terms
        )
        return mul(*shared, add(*rest))

    return rewrite(node, visit)


def _contract(node: Expr, _: Context) -> Expr | None:
    terms = [contract(t) for t in flatten(_open_cases(_share_deltas(node)), _has_delta)]
    made = build(case for t in terms if t is not None for case in enumerate_cases(t))
    return None if made is node else made


def _write_out(node: Expr, context: Context) -> Expr | None:
    """Replace the adjoints of statistics by what they are."""
    made = inline(node, context.statistics)
    return None if made is node else made


def _substitute(node: Expr, context: Context) -> Expr | None:
    """Replace the adjoints that are used once by what they are."""
    made = inline(node, context.single)
    return None if made is node else made


def _one_hot(node: Expr, context: Context) -> Expr | None:
    """Set the cotangent to 1 at one entry and 0 elsewhere."""
    hot = context.one_hot
    if hot is None:
        return None

    def visit(n: Expr) -> Expr:
        if not isinstance(n, Entry):
            return n
        if n.tensor == hot.seed:
            return mul(*(bracket("==", a, b) for a, b in zip(n.indices, hot.at, strict=True)))
        found = hot.renamed.get(n.tensor, n.tensor)
        if found is None or found == n.tensor:
            return n if found else ZERO
        return entry(found, *((*hot.at, *n.indices) if hot.leading else (*n.indices, *hot.at)))

    made = rewrite(refresh(node, hot.at), visit)
    return None if made is node else made


def _condition(node: Expr, context: Context) -> Expr | None:
    """Use the conditions under which the closed form is stated."""
    made = recognise_node(node, context.conditions)
    return None if made is node else made


def inline(node: Expr, definitions: Mapping[Tensor, Definition]) -> Expr:
    """Replace every entry of a defined tensor by its definition, to the end."""

    def visit(n: Expr) -> Expr:
        if isinstance(n, Entry) and n.tensor in definitions:
            d = definitions[n.tensor]
            body = refresh(d.value, {*n.free, *d.indices})
            passing = dict(zip(d.indices, n.indices, strict=True))
            return inline(substitute(body, passing), definitions)
        return n

    return rewrite(node, visit)


def _recognise(node: Expr, context: Context) -> Expr | None:
    named = recognise_node(node, context.patterns)
    terms = [_join_exponentials(recognise_product(t, context.patterns)) for t in flatten(named, _splits)]
    again = [
        recognise_product(t, context.patterns)
        for t in flatten(recognise_node(build(terms), context.patterns))
    ]
    made = build(again)
    return None if made is node else made


def _splits(node: Expr) -> bool:
    """A parenthesis is opened only where it holds sums: an adjoint that was written out."""
    return any(isinstance(n, Reduce) for n in walk(node))


def _join_exponentials(term: Term) -> Term:
    """`exp(a) * exp(b)^-1 = exp(a - b)`."""
    parts = {b: e for b, e in term.factors.items() if isinstance(b, Call) and b.function == "exp"}
    if len(parts) < 2 or all(e > 0 for e in parts.values()):
        return term
    rest = {b: e for b, e in term.factors.items() if b not in parts}
    joined = call("exp", add(*(mul(e, b.children[0]) for b, e in parts.items())))
    return times(Term(term.coefficient, rest, term.bound, term.guards), Term(factors={joined: Fraction(1)}))


def _vanish(node: Expr, context: Context) -> Expr | None:
    kept = [t for t in flatten(node) if not any(vanishing(f, t, context.definitions) for f in t.factors)]
    made = build(kept)
    return None if made is node else made


def vanishing(factor: Expr, term: Term, definitions: Mapping[Tensor, Definition]) -> bool:
    """Whether the term holds a sum over one intermediate alone that is 0 by its definition."""
    linear_in_one = isinstance(factor, Entry | Add) and any(t in definitions for t in factor.tensors)
    if not (linear_in_one and term.factors[factor] == 1):
        return False
    over = [i for i in factor.free if i in term.bound]
    others = [*(f for f in term.factors if f is not factor), *term.guards]
    alone = [i for i in over if not any(i in f.free for f in others)]
    if not alone:
        return False
    row = {i.axis for i in factor.free}
    own = {t: d for t, d in definitions.items() if isinstance(factor, Entry) and t == factor.tensor}
    statistics = {
        t: d for t, d in definitions.items() if set(t.axes) < row and not isinstance(d.value, Power | Call)
    }
    opened = inline(inline(total(factor, *alone), own), statistics)
    return build(flatten(opened, lambda n: True)) is ZERO


def _collect(node: Expr, context: Context) -> Expr | None:
    def groups(factor: Expr) -> bool:
        scale = isinstance(factor, Entry) and factor.tensor in context.scales and factor.free < node.free
        return scale or _is_delta(factor)

    made = factor_out(node, groups)
    return None if made is node else made


_ROWS = (
    *differentiation.ROWS,
    Rule("contract", "a sum over a delta picks one term", _contract),
    Rule("write out", "the adjoint of a row's statistic is replaced by its expression", _write_out),
    Rule("substitute", "an adjoint that is used once is replaced by its expression", _substitute),
    Rule("one-hot", "the cotangent is 1 at one entry and 0 at all others", _one_hot),
    Rule("condition", "a condition under which the result is stated is used", _condition),
    Rule("recognise", "what the forward pass has named is called by its name", _recognise),
    Rule("vanish", "a sum that is 0 by definition is dropped", _vanish),
    Rule("collect", "common factors are written once", _collect),
)

RULES: dict[str, Rule] = {row.name: row for row in _ROWS}
LOCAL = tuple(row.name for row in differentiation.ROWS)
"""The rules that carry out a `Derivative`, in the order in which they are tried."""

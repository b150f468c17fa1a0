"""The rules of derivation: one row each, a function from an expression to what it becomes.

A rule looks at the node at the recorded position and at the definitions in its context, nothing else; so a
step is replayed by applying the named rule there once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from gradproof.symbolic.collecting import factor_out
from gradproof.symbolic.contraction import contract, enumerate_cases
from gradproof.symbolic.expressions import (
    ZERO,
    Add,
    Bracket,
    Call,
    Derivative,
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
    derivative,
    entry,
    mul,
    power,
    refresh,
    rewrite,
    substitute,
    total,
    walk,
    where,
)
from gradproof.symbolic.functions import function, largest_share
from gradproof.symbolic.matching import Pattern, pattern, recognise_node, recognise_product
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.terms import Term, build, flatten, times


@dataclass(frozen=True)
class OneHot:
    """A cotangent (or tangent) that is 1 at the entry `at` and 0 at all others, and what follows from it.

    `renamed` maps what depends on it to tensors that have its axes too, before their own (`leading`) or after
    them, and to None what is 0.
    """

    seed: Tensor
    at: tuple[Index, ...]
    renamed: Mapping[Tensor, Tensor | None]
    leading: bool


@dataclass(frozen=True)
class Context:
    """What a rule may look up.

    The forward definitions, the statistics of rows among them (`scales`), the adjoints of statistics, the
    adjoints that are used once, the cotangent that is 1 at one entry, and the conditions of the statement.
    """

    definitions: Mapping[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    statistics: Mapping[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    single: Mapping[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    scales: frozenset[Tensor] = frozenset()
    one_hot: OneHot | None = None
    conditions: tuple[Pattern, ...] = ()

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """The intermediates that can be recognised, the latest first: it says the most."""
        return tuple(p for d in reversed(list(self.definitions.values())) for p in pattern(d, self.scales))


@dataclass(frozen=True)
class Rule:
    """A named rewrite.

    `apply(node, context)` is what the node becomes, or None where the rule does not fit.
    """

    name: str
    says: str
    apply: Callable[[Expr, Context], Expr | None]


def _body(node: Expr, kind: type[Expr]) -> tuple[Expr, Entry] | None:
    if isinstance(node, Derivative) and isinstance(node.body, kind):
        return node.body, node.by
    return None


def depends(expr: Expr, tensor: Tensor) -> bool:
    """Whether a derivative of the expression by the tensor can be other than 0.

    Brackets and index positions are constant wherever a derivative exists.
    """
    if isinstance(expr, Bracket):
        return False
    if isinstance(expr, Entry):
        return expr.tensor == tensor
    if isinstance(expr, Where):
        return depends(expr.yes, tensor) or depends(expr.no, tensor)
    return any(depends(child, tensor) for child in expr.children)


def _constant(node: Expr, _: Context) -> Expr | None:
    if isinstance(node, Derivative) and not depends(node.body, node.by.tensor):
        return ZERO
    return None


def _entry(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Entry)):
        return None
    read, by = found
    assert isinstance(read, Entry)
    if read.tensor != by.tensor:
        return ZERO
    return mul(*(bracket("==", a, b) for a, b in zip(read.indices, by.indices, strict=True)))


def _sum(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Add)):
        return None
    return add(*(derivative(t, found[1]) for t in found[0].children if depends(t, found[1].tensor)))


def _product(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Mul)):
        return None
    factors, by = found[0].children, found[1]
    return add(
        *(
            mul(*factors[:place], derivative(f, by), *factors[place + 1 :])
            for place, f in enumerate(factors)
            if depends(f, by.tensor)
        )
    )


def _power(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Power)):
        return None
    assert isinstance(found[0], Power)
    base, exponent = found[0].base, found[0].exponent
    return mul(exponent, power(base, exponent - 1), derivative(base, found[1]))


def _chain(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Call)):
        return None
    assert isinstance(found[0], Call)
    row, (argument,) = function(found[0].function), found[0].arguments
    return mul(row.derivative(argument, found[0]), derivative(argument, found[1]))


def _reduction(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Reduce)):
        return None
    reduced = refresh(found[0], found[1].free)
    assert isinstance(reduced, Reduce)
    if reduced.kind == "sum":
        return total(derivative(reduced.body, found[1]), *reduced.indices)
    share = largest_share(reduced)
    return total(mul(share, derivative(reduced.body, found[1])), *reduced.indices)


def _cases(node: Expr, _: Context) -> Expr | None:
    if not (found := _body(node, Where)):
        return None
    assert isinstance(found[0], Where)
    return where(found[0].condition, derivative(found[0].yes, found[1]), derivative(found[0].no, found[1]))


# --- rules on whole expressions: sums of products


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
    Rule("constant", "the derivative of what does not depend on the variable is 0", _constant),
    Rule("entry", "the derivative of an entry by an entry is a delta of their indices", _entry),
    Rule("sum", "the derivative of a sum is the sum of the derivatives", _sum),
    Rule("product", "each factor is differentiated in turn", _product),
    Rule("power", "(f^a)' = a f^(a-1) f'", _power),
    Rule("chain", "f(g)' = f'(g) g', with f' from the row of the leaf function", _chain),
    Rule(
        "reduction",
        "a derivative moves inside a sum; a maximum hands it to the entries that attain it",
        _reduction,
    ),
    Rule("cases", "each case is differentiated on its own", _cases),
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
LOCAL = ("constant", "entry", "sum", "product", "power", "chain", "reduction", "cases")
"""The rules that carry out a `Derivative`, in the order in which they are tried."""

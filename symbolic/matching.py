"""Recognising a named intermediate in an expression: matching up to the names and values of indices."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gradproof.symbolic.expressions import (
    Add,
    Call,
    Entry,
    Expr,
    Index,
    Mul,
    Power,
    Reduce,
    Tensor,
    call,
    power,
    refresh,
    rewrite,
    substitute,
)
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.terms import Term, difference, flatten, harmless, idempotent, times

Binding = Mapping[Index, Expr]


def match(pattern: Expr, expr: Expr, variables: frozenset[Index], binding: Binding) -> Iterator[Binding]:
    """Every way to choose the variable indices so that the pattern becomes the expression."""
    if isinstance(pattern, Index):
        if pattern in binding:
            if binding[pattern] is expr:
                yield binding
        elif pattern in variables:
            if not isinstance(expr, Index) or expr.axis == pattern.axis:
                yield {**binding, pattern: expr}
        elif pattern is expr:
            yield binding
        return
    if type(pattern) is not type(expr):
        return
    if not pattern.children:
        if pattern is expr:
            yield binding
        return
    if not _alike(pattern, expr):
        return
    if isinstance(pattern, Reduce) and isinstance(expr, Reduce):
        yield from _match_reduce(pattern, expr, variables, binding)
    elif isinstance(pattern, Add | Mul):
        yield from _match_any_order(pattern.children, expr.children, variables, binding)
    else:
        yield from _match_all(pattern.children, expr.children, variables, binding)


def _alike(pattern: Expr, expr: Expr) -> bool:
    """Whether two nodes of one type agree in all but their children."""
    if len(pattern.children) != len(expr.children):
        return False
    names = ("tensor", "function", "exponent", "relation", "kind")
    return all(getattr(pattern, n, None) == getattr(expr, n, None) for n in names)


def _match_reduce(
    pattern: Reduce, expr: Reduce, variables: frozenset[Index], binding: Binding
) -> Iterator[Binding]:
    if sorted(i.axis.name for i in pattern.indices) != sorted(i.axis.name for i in expr.indices):
        return
    inner = variables | set(pattern.indices)
    renamed = refresh(expr, frozenset[Index]().union(*(v.free for v in binding.values())))
    assert isinstance(renamed, Reduce)
    expr = renamed
    outer = {k: v for k, v in binding.items() if k not in pattern.indices}
    for found in match(pattern.body, expr.body, inner, outer):
        images = [found.get(i) for i in pattern.indices]
        leaked = any(set(expr.indices) & v.free for k, v in found.items() if k not in pattern.indices)
        if set(images) == set(expr.indices) and not leaked:
            yield {k: v for k, v in found.items() if k not in pattern.indices}


def _match_all(
    patterns: Sequence[Expr], exprs: Sequence[Expr], variables: frozenset[Index], binding: Binding
) -> Iterator[Binding]:
    if not patterns:
        yield binding
        return
    for found in match(patterns[0], exprs[0], variables, binding):
        yield from _match_all(patterns[1:], exprs[1:], variables, found)


def _match_any_order(
    patterns: Sequence[Expr], exprs: Sequence[Expr], variables: frozenset[Index], binding: Binding
) -> Iterator[Binding]:
    if not patterns:
        yield binding
        return
    for place, expr in enumerate(exprs):
        rest = (*exprs[:place], *exprs[place + 1 :])
        for found in match(patterns[0], expr, variables, binding):
            yield from _match_any_order(patterns[1:], rest, variables, found)


# --- patterns


@dataclass(frozen=True)
class Pattern:
    """What a definition says, ready to be recognised: `node` equals `name`, as a whole or as a product."""

    variables: tuple[Index, ...]
    node: Expr
    product: Term | None
    name: Expr


def pattern(definition: Definition, scales: Container[Tensor]) -> tuple[Pattern, ...]:
    """The ways in which an intermediate can be recognised; none for a plain sum or contraction.

    A product of entries is recognised only where one of the `scales` scales a row (`xhat = x * rstd`). A
    definition `v = log(A)` of a sum A also says that `A = exp(v)`.
    """
    value, left, over = definition.value, definition.left, definition.indices
    made: list[Pattern] = []
    nonlinear = (
        isinstance(value, Call | Power)
        or (isinstance(value, Reduce) and value.kind == "max")
        or (isinstance(value, Add) and difference(value))
    )
    terms = flatten(value)
    as_product = terms[0] if len(terms) == 1 and not terms[0].bound and len(terms[0].factors) > 1 else None
    if as_product is not None and not any(
        isinstance(f, Call | Power | Add) or e < 0 or _scales(f, over, scales)
        for f, e in as_product.factors.items()
    ):
        as_product = None
    if nonlinear or as_product is not None:
        made.append(Pattern(over, value, as_product if not isinstance(value, Call | Add) else None, left))
    if isinstance(value, Power):
        made[0] = Pattern(over, value, Term(factors={value.base: value.exponent}), left)
    if isinstance(value, Call) and value.function == "log" and not isinstance(value.arguments[0], Entry):
        made.append(Pattern(over, value.arguments[0], None, call("exp", left)))
    return tuple(made)


def _scales(factor: Expr, over: Sequence[Index], scales: Container[Tensor]) -> bool:
    """Whether the factor is a statistic that scales a row."""
    return isinstance(factor, Entry) and factor.tensor in scales and set(factor.indices) < set(over)


def recognise_node(expr: Expr, patterns: Sequence[Pattern]) -> Expr:
    """Replace every subexpression that is a named intermediate by its name."""

    def visit(node: Expr) -> Expr:
        for p in patterns:
            if type(node) is type(p.node):
                for found in match(p.node, node, frozenset(p.variables), {}):
                    if set(found) == set(p.variables):
                        return substitute(p.name, found)
        return node

    return rewrite(expr, visit)


def recognise_product(term: Term, patterns: Sequence[Pattern]) -> Term:
    """Replace factors that together are a named intermediate by its name, as often as they are there."""
    implied = frozenset[Expr]()
    for p in patterns:
        while p.product is not None and (found := _find_product(term, p, p.product, implied)) is not None:
            term, guards = found
            implied |= guards
    return term


def _find_product(
    term: Term, p: Pattern, product: Term, implied: frozenset[Expr]
) -> tuple[Term, frozenset[Expr]] | None:
    """The term with one choice of factors named, and the guards that the name brings along."""
    for binding in _choose(list(product.factors), term, p, product, {}):
        if set(binding) != set(p.variables):
            continue
        wanted = {substitute(base, binding): e for base, e in product.factors.items()}
        guards = frozenset(substitute(g, binding) for g in product.guards)
        count = min((term.factors[base] / e for base, e in wanted.items() if not idempotent(base)), key=abs)
        if count.denominator != 1 or not guards <= term.guards | implied:
            continue
        kept = {
            base: e - count * wanted.get(base, Fraction(0))
            for base, e in term.factors.items()
            if not (base in wanted and (idempotent(base) or e == count * wanted[base]))
        }
        value = term.coefficient / product.coefficient**count.numerator
        # The name is 0 where its guard is 0; what is left beside it has to have a value there on its own.
        alone = count > 0 and all(harmless(power(base, e)) for base, e in kept.items())
        spare = guards if alone else frozenset[Expr]()
        left = Term(value, kept, term.bound, term.guards - spare)
        return times(left, Term(factors={substitute(p.name, binding): count})), guards
    return None


def _choose(wanted: list[Expr], term: Term, p: Pattern, product: Term, binding: Binding) -> Iterator[Binding]:
    if not wanted:
        yield binding
        return
    first, rest = wanted[0], wanted[1:]
    need = product.factors[first]
    for base, have in term.factors.items():
        if have / need >= 1 or (need.denominator > 1 and have / need <= -1):
            for found in match(first, base, frozenset(p.variables), binding):
                yield from _choose(rest, term, p, product, found)

"""Axes joined row by row: a place on one is an index of its own while a formula is read, then two or more.

A joined axis has as many places as its factors have together. What is read at a place on it reads its factors
at the parts of the place, `Part`; sums over such an axis are sums over the factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.expressions import (
    Bracket,
    Expr,
    Index,
    Tensor,
    add,
    bracket,
    entry,
    mul,
    rewrite,
    size,
    substitute,
)
from gradproof.symbolic.formulas import Formula


@dataclass(frozen=True, repr=False)
class Part(Tensor):
    """Where the place that a place on a joined axis stands for lies on one of its factors."""


def parts(axis: Axis, place: Expr) -> list[Expr]:
    """The places on the factors of a joined axis that a place on it stands for."""
    return [
        entry(Part(f"{axis.name}~{n}", (axis,), dtype="integer", domain="index", over=factor), place)
        for n, factor in enumerate(axis.factors)
    ]


def parted(body: Formula, place: Index, places: Sequence[Index]) -> Formula:
    """The formula at the place on a joined axis that places on its factors make."""
    read = dict(zip(parts(place.axis, place), places, strict=True))
    value: Expr = places[0]
    for i in places[1:]:
        value = add(mul(value, size(i.axis)), i)

    def taken(expr: Expr) -> Expr:
        return substitute(rewrite(expr, lambda node: _split(node, place, places, read)), {place: value})

    def asked(demand: Demand) -> Demand:
        if place in demand.bound:
            raise AssertionError("a joined axis under a demand")
        guards = tuple(map(taken, demand.guards))
        return replace(demand, subject=taken(demand.subject), guards=guards)

    return Formula(taken(body.value), tuple(map(asked, body.demands)))


def _split(node: Expr, place: Index, places: Sequence[Index], read: Mapping[Expr, Index]) -> Expr:
    """The part of a place; two places are the same where all parts are."""
    if isinstance(node, Bracket) and node.relation in ("==", "!=") and place in (node.left, node.right):
        other = node.right if node.left is place else node.left
        if isinstance(other, Index) and other.axis == place.axis:
            same = mul(*(bracket("==", i, p) for i, p in zip(places, parts(place.axis, other), strict=True)))
            return same if node.relation == "==" else 1 - same
    return read.get(node, node)


def joined(formula: Formula) -> bool:
    """Whether a formula still reads a place on a joined axis."""
    subjects = (formula.value, *(e for d in formula.demands for e in (d.subject, *d.guards)))
    return any(isinstance(t, Part) for e in subjects for t in e.tensors) or any(
        i.axis.factors for e in subjects for i in (*e.free, *e.bound)
    )

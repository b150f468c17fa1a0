"""Derivatives by an order or a parameter that are in no table: functions of their own, enclosed in balls.

Where `f` is holomorphic in the disc of radius `2 R` around the middle of the ball of `a`, and `|f| <= M` on
its edge, the coefficients of `f(a + h) = sum c_k h^k` are at most `M / R^k` (Cauchy), so

    f'(a) = (f(a + r) - f(a - r)) / (2 r) + e,    |e| <= M/R q^2 / (1 - q^2),    q = r/R.

The edge is covered by boxes, on each of which ball arithmetic bounds `f`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flint import acb, arb, ctx

from gradproof.symbolic.expressions import Expr, Parameter, parameter, rewrite
from gradproof.symbolic.special_row import Needs, Order, Special, partial_name

ARCS = (32, 128)
EDGE_PRECISION = 64
EXPONENTS = (4, 8, 16, 32)
"""R is one of these powers of 1/2."""


def by_order(row: Special) -> list[Special]:
    """The rows of the derivatives of a function by the arguments that it names as its orders."""
    return [_partial(row, order) for order in row.orders]


def _partial(row: Special, order: Order) -> Special:
    def needs(*arguments: Expr) -> Needs:
        return tuple((subject, ">" if r == ">=" else r) for subject, r in row.demands(arguments))

    def ball(*arguments: Any) -> Any:
        return enclosed(order, arguments)

    return Special(
        partial_name(row.name, order.place),
        tuple(None if d is None else _mixed(row, n, order.place) for n, d in enumerate(row.derivatives)),
        ball,
        needs=needs,
        source=row.source,
        partial=(row.name, order.place),
    )


def _mixed(row: Special, place: int, order: int) -> Callable[..., Expr]:
    """The derivative by the order of the derivative by another argument: in which order does not matter."""

    def of(*arguments: Expr) -> Expr:
        from gradproof.symbolic.tangent import tangent

        names = [parameter(f"{n}'") for n in range(len(arguments))]
        first = row.derivative(place, names)
        assert first is not None
        mixed = tangent(first, lambda e: e, variable=names[order])
        values = {name.key: value for name, value in zip(names, arguments, strict=True)}
        return rewrite(mixed, lambda n: values.get(n.name, n) if isinstance(n, Parameter) else n)

    return of


def enclosed(order: Order, arguments: Sequence[Any]) -> Any:
    """A ball with the derivative by one argument, NaN where none is found."""
    at = arguments[order.place]
    found = _bounded(order, arguments)
    if found is None:
        return arb.nan()
    radius, bound = found
    before = ctx.prec
    ratio = arb(2) ** (-(before // 4))
    step = radius * ratio
    ctx.prec = before + before // 2
    try:
        ends = [_continued(order, arguments, acb(at + side * step)).real for side in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * step)
    finally:
        ctx.prec = before
    error = bound / radius * ratio**2 / (1 - ratio**2)
    return slope + arb(0, error.upper())


def _bounded(order: Order, arguments: Sequence[Any]) -> tuple[Any, Any] | None:
    """R, a power of 2, and M; None if they are not found."""
    at = arguments[order.place]
    reach = order.distance(arguments)
    for n in EXPONENTS:
        radius = arb(2) ** -n
        if at.rad() < radius and (reach is None or reach > 3 * radius):
            bound = _on_edge(order, arguments, acb(at.mid()), 2 * radius)
            if bound is not None:
                return radius, bound
    return None


def _on_edge(order: Order, arguments: Sequence[Any], middle: Any, radius: Any) -> Any:
    """The most that the function has on a circle, None if it is not found."""
    before = ctx.prec
    ctx.prec = EDGE_PRECISION
    try:
        for count in ARCS:
            sizes = [
                abs(_continued(order, arguments, middle + radius * _arc(n, count))) for n in range(count)
            ]
            if all(size.is_finite() for size in sizes):
                return max((size.upper() for size in sizes), key=float)
    finally:
        ctx.prec = before
    return None


def _arc(n: int, count: int) -> Any:
    """A box with part of the unit circle."""
    angle = (arb(2 * n + 1) + arb(0, 1)) * arb.pi() / count
    return acb(angle.cos(), angle.sin())


def _continued(order: Order, arguments: Sequence[Any], at: Any) -> Any:
    given = [acb(a) for a in arguments]
    given[order.place] = at
    return order.value(given)

"""Rewrites of sigmoid, tanh and softplus that keep digits where the functions saturate."""

from __future__ import annotations

from gradproof.numeric.rewriting import Context, magnitude, one_less_square, positive_part, with_coefficient
from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Call,
    Entry,
    Expr,
    Mul,
    Number,
    Power,
    Where,
    add,
    call,
    mul,
    power,
)


def slope(x: Expr) -> Expr:
    """The derivative of sigmoid, `s(x) s(-x)`."""
    return mul(call("sigmoid", x), call("sigmoid", -x))


def note_sigmoid(node: Expr, context: Context) -> None:
    """The sigmoid of something given, which every target writes as a function that keeps its tail."""
    if isinstance(node, Call) and node.function == "sigmoid" and node.tensors <= context.given:
        context.applied.add("tail of sigmoid")


def sigmoid_complement(node: Expr, context: Context) -> Expr | None:
    """`1 - s(x) = s(-x)`."""
    if isinstance(node, Add) and len(node.terms) == 2 and node.terms[0] is ONE:
        x = context.leaf(-node.terms[1], "sigmoid")
        if x is not None:
            return call("sigmoid", -x)
    return None


def tanh_slope(node: Expr, context: Context) -> Expr | None:
    """`1 - tanh^2`."""
    if isinstance(node, Add) and len(node.terms) == 2 and node.terms[0] is ONE:
        square = -node.terms[1]
        if isinstance(square, Power) and square.exponent == 2:
            x = context.leaf(square.base, "tanh")
            if x is not None:
                return 4 * slope(2 * x)
    return None


def one_plus_tanh(node: Expr, context: Context) -> Expr | None:
    """`c + c tanh(x) = 2 c s(2x)` within a sum."""
    if not (isinstance(node, Add) and isinstance(node.terms[0], Number)):
        return None
    constant = node.terms[0].value
    for term in node.terms[1:]:
        coefficient, rest = with_coefficient(term)
        x = context.leaf(rest, "tanh") if coefficient == constant else None
        if x is not None:
            others = (t for t in node.terms[1:] if t is not term)
            return add(*others, 2 * constant * call("sigmoid", 2 * x))
    return None


def stable_softplus(node: Expr, _: Context) -> Expr | None:
    """`softplus(x) = max(x, 0) + log(1 + exp(-|x|))`."""
    if isinstance(node, Call) and node.function == "softplus":
        x = node.arguments[0]
        return positive_part(x) + call("log", ONE + call("exp", -magnitude(x)))
    return None


def log_sigmoid(node: Expr, _: Context) -> Expr | None:
    """`log s(x) = -softplus(-x)`."""
    if isinstance(node, Call) and node.function == "log":
        inner = node.arguments[0]
        if isinstance(inner, Call) and inner.function == "sigmoid":
            return -call("softplus", -inner.arguments[0])
    return None


def note_square(node: Expr, context: Context) -> None:
    """`1 - t^2`, which every target computes without rounding the square."""
    if one_less_square(node) is not None:
        context.applied.add("one less a square")


def quotient_to_sigmoid(node: Expr, _: Context) -> Expr | None:
    """`1 / (1 + exp(a)) = sigmoid(-a)`."""
    if isinstance(node, Power) and node.exponent < 0 and node.exponent.denominator == 1:
        base = node.base
        if isinstance(base, Add) and len(base.terms) == 2 and base.terms[0] is ONE:
            e = base.terms[1]
            if isinstance(e, Call) and e.function == "exp" and not _never_positive(e.arguments[0]):
                return power(call("sigmoid", -e.arguments[0]), -node.exponent)
    return None


def _never_positive(x: Expr) -> bool:
    if isinstance(x, Mul) and isinstance(x.factors[0], Number) and x.factors[0].value < 0:
        inner = mul(*x.factors[1:])
        return isinstance(inner, Where) and inner is magnitude(inner.yes)
    return False


def vanishing_factor(node: Expr, context: Context) -> Expr | None:
    """`v (p + q) = v p + v q` for factors v that vanish where p or q may overflow."""
    if not isinstance(node, Mul):
        return None
    slopes = [f for f in node.factors if _is_tanh_slope(f, context)]
    others = (f for f in node.factors if f not in slopes)
    sums = [f for f in others if isinstance(f, Add) and any(_grows(t) for t in f.terms)]
    if not (slopes or _is_slope(node)) or len(sums) != 1:
        return None
    rest = [f for f in node.factors if f is not sums[0]]
    return add(*(mul(*rest, term) for term in sums[0].children))


def _is_slope(node: Mul) -> bool:
    """Whether `s(x)` and `s(-x)` are factors."""
    found = [f.arguments[0] for f in node.factors if isinstance(f, Call) and f.function == "sigmoid"]
    return any(-x in found for x in found)


def _is_tanh_slope(factor: Expr, context: Context) -> bool:
    if not (isinstance(factor, Add) and len(factor.terms) == 2 and factor.terms[0] is ONE):
        return False
    square = -factor.terms[1]
    if not (isinstance(square, Power) and square.exponent == 2 and isinstance(square.base, Entry)):
        return False
    d = context.definitions.get(square.base.tensor)
    return d is not None and isinstance(d.value, Call) and d.value.function == "tanh"


def _grows(term: Expr) -> bool:
    _, rest = with_coefficient(term)
    return isinstance(rest, Power) and isinstance(rest.base, Entry) and rest.exponent > 1

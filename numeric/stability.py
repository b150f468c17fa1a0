"""Rewrites that save digits or avoid overflow: one row each, with the statement that makes it true.

A row looks at one node and at what is known of the tensors that it reads. Its `statement` is the pair
(before, after) for symbolic tensors: the two are equal for all values, and the prover is asked to prove it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from gradproof.numeric.rewriting import Context, Row, magnitude, positive_part
from gradproof.numeric.stable_functions import (
    log_sigmoid,
    note_sigmoid,
    note_square,
    one_plus_tanh,
    quotient_to_sigmoid,
    sigmoid_complement,
    slope,
    stable_softplus,
    tanh_slope,
    vanishing_factor,
)
from gradproof.numeric.stable_norms import note_root, scaled_root
from gradproof.numeric.stable_sums import (
    difference,
    exp_of_log,
    find_shift,
    guarded_quotient,
    join_masks,
    log_sum,
    quotient,
)
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ONE,
    Call,
    Expr,
    Index,
    Tensor,
    bracket,
    call,
    entry,
    index,
    mul,
    parameter,
    power,
    rewrite,
    size,
    total,
    where,
)
from gradproof.symbolic.operation import Definition

_B, _K = Axis("batch"), Axis("classes", minimum=1)
_b, _k, _j, _l = index("b", _B), *(index(name, _K) for name in "kjl")
_x, _m, _allowed = (
    Tensor("x", (_B, _K)),
    Tensor("m", (_B,)),
    Tensor("allowed", (_B, _K), "boolean", "boolean"),
)
_s = entry(Tensor("s", ()))
_v = entry(Tensor("v", (_B,)), _b)


def _exp_at(i: Index, *, masked: bool = False, lowered: bool = False) -> Expr:
    exponent = entry(_x, _b, i) - (entry(_m, _b) if lowered else 0)
    return mul(entry(_allowed, _b, i) if masked else 1, call("exp", exponent))


def _softmax_statement(masked: bool) -> tuple[Expr, Expr]:
    sides = [
        _exp_at(_k, masked=masked, lowered=low) / total(_exp_at(_j, masked=masked, lowered=low), _j)
        for low in (False, True)
    ]
    if masked:
        some = bracket(">", total(entry(_allowed, _b, _j), _j), 0)
        return where(some, sides[0], 0), where(some, sides[1], 0)
    return sides[0], sides[1]


def _log_sum_statement() -> tuple[Expr, Expr]:
    lowered = total(_exp_at(_j, lowered=True), _j)
    return call("log", total(_exp_at(_j), _j)), entry(_m, _b) + call("log", lowered)


def _difference_statement() -> tuple[Expr, Expr]:
    before, after = _log_sum_statement()
    return before - entry(_x, _b, _k), (after - entry(_m, _b)) - (entry(_x, _b, _k) - entry(_m, _b))


def _pair(before: Callable[[Expr], Expr], after: Callable[[Expr], Expr]) -> Callable[[], tuple[Expr, Expr]]:
    return lambda: (before(_v), after(_v))


def _sigmoid(x: Expr) -> Expr:
    return call("sigmoid", x)


def _norm_statement() -> tuple[Expr, Expr]:
    """A row less its mean over the root of its variance; the scale is any positive number."""
    scale = call("exp", entry(_m, _b))

    def normalized(by: Expr) -> Expr:
        def centred(i: Index) -> Expr:
            return by * entry(_x, _b, i) - total(by * entry(_x, _b, _l), _l) / size(_K)

        squares = total(centred(_j) ** 2, _j) / size(_K)
        return centred(_k) * power(squares + by**2 * parameter("eps", "(0, inf)"), Fraction(-1, 2))

    return normalized(ONE), normalized(scale)


def _guarded_statement() -> tuple[Expr, Expr]:
    condition = bracket(">", entry(Tensor("n", (_B,)), _b), 0)
    n, s = entry(_x, _b, _k), entry(_m, _b)
    return where(condition, n / s, 0), n * where(condition, 1 / s, 0)


ROWS: tuple[Row, ...] = (
    Row(
        "complement of sigmoid",
        "1 - s(x) = s(-x): no cancellation where s is near 1",
        sigmoid_complement,
        _pair(lambda x: ONE - _sigmoid(x), lambda x: _sigmoid(-x)),
    ),
    Row(
        "slope of tanh",
        "1 - tanh(x)^2 = 4 s(2x) s(-2x): from a saturated output 1 - t^2 has no digits left",
        tanh_slope,
        _pair(lambda x: ONE - call("tanh", x) ** 2, lambda x: 4 * slope(2 * x)),
    ),
    Row(
        "one plus tanh",
        "1 + tanh(x) = 2 s(2x): no cancellation where tanh is near -1",
        one_plus_tanh,
        _pair(lambda x: ONE + call("tanh", x), lambda x: 2 * _sigmoid(2 * x)),
    ),
    Row(
        "one less a square",
        "1 - t^2 = (1 - t)(1 + t): the square is not rounded (PyTorch takes both steps in one)",
        note_square,
        _pair(lambda t: ONE - t**2, lambda t: (ONE - t) * (ONE + t)),
    ),
    Row(
        "softplus",
        "log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)): exp never overflows",
        stable_softplus,
        _pair(
            lambda x: call("softplus", x),
            lambda x: positive_part(x) + call("log", ONE + call("exp", -magnitude(x))),
        ),
    ),
    Row(
        "tail of sigmoid",
        "s(x) = exp(x) s(-x), taken where exp(-x) would overflow: no tail is flushed to 0",
        note_sigmoid,
        _pair(_sigmoid, lambda x: mul(call("exp", x), _sigmoid(-x))),
    ),
    Row(
        "log of sigmoid",
        "log s(x) = -softplus(-x): finite where s underflows",
        log_sigmoid,
        _pair(lambda x: call("log", _sigmoid(x)), lambda x: -call("softplus", -x)),
    ),
    Row(
        "sigmoid by its definition",
        "1/(1 + exp(a)) = s(-a): exp never overflows",
        quotient_to_sigmoid,
        _pair(lambda x: 1 / (ONE + call("exp", x)), lambda x: _sigmoid(-x)),
    ),
    Row(
        "log of a sum of exponentials",
        "log sum exp(a) = m + log sum exp(a - m), with m the largest of a: exp never overflows",
        log_sum,
        _log_sum_statement,
    ),
    Row(
        "difference from a log of a sum",
        "lse - a = log sum exp(a - m) - (a - m): large parts cancel before they are rounded",
        difference,
        _difference_statement,
    ),
    Row(
        "quotient of exponentials",
        "exp(a)/sum exp(a) = exp(a - m)/sum exp(a - m), with m the largest of a: exp never overflows",
        quotient,
        lambda: _softmax_statement(False),
    ),
    Row(
        "quotient of masked exponentials",
        "the same where a mask is a factor of both: m is the largest allowed entry",
        lambda node, context: None,
        lambda: _softmax_statement(True),
    ),
    Row(
        "exponential of a logarithm",
        "exp(a - log s) = exp(a)/s: the logarithm is not taken at all",
        exp_of_log,
        lambda: (
            call("exp", entry(_x, _b, _k) - call("log", call("exp", entry(_m, _b)))),
            call("exp", entry(_x, _b, _k)) / call("exp", entry(_m, _b)),
        ),
    ),
    Row(
        "vanishing factor",
        "(1 - t^2)(p + q) = (1 - t^2) p + (1 - t^2) q: a factor that vanishes meets large ones singly",
        vanishing_factor,
        lambda: (
            (ONE - call("tanh", _v) ** 2) * (ONE + entry(_m, _b) ** 2),
            ONE - call("tanh", _v) ** 2 + (ONE - call("tanh", _v) ** 2) * entry(_m, _b) ** 2,
        ),
    ),
    Row(
        "guard of a row",
        "where(c, n/s, 0) = n where(c, 1/s, 0): the guard is applied to a row, not to every entry",
        guarded_quotient,
        _guarded_statement,
    ),
    Row(
        "root of large squares",
        "a (e + sum a^2)^(-1/2) = ta (t^2 e + sum (ta)^2)^(-1/2): no square overflows",
        scaled_root,
        _norm_statement,
    ),
)


def stabilize(definition: Definition, context: Context) -> list[Definition]:
    """The definition with every row applied until none fits, behind the definitions that the rows added."""
    start = len(context.added)

    def visit(node: Expr) -> Expr:
        changed = True
        while changed:
            changed = False
            for row in ROWS:
                made = row.apply(node, context)
                if made is not None and made is not node:
                    context.applied.add(row.name)
                    node, changed = rewrite(made, visit), True
                    break
        return node

    before = definition.value
    value = rewrite(before, visit)
    value = join_masks(value, context)
    made = Definition(definition.target, definition.indices, value, definition.source)
    context.definitions[definition.target] = made
    root = note_root(Definition(definition.target, definition.indices, before), context.norms)
    if root is not None:
        context.roots[definition.target] = root
    if isinstance(before, Call) and before.function == "log":
        found = find_shift(before.arguments[0], context)
        if found is not None:
            context.logarithms[definition.target] = found
    return [*context.added[start:], made]

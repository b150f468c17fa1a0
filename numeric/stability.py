"""Rewrites that save digits or avoid overflow: one row each, with the statement that makes it true.

A row looks at one node and at what is known of the tensors that it reads. Its `statement` is the pair
(before, after) for symbolic tensors: the two are equal for all values, and the prover is asked to prove it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from gradproof.numeric.lines import MINUS_INFINITY
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ONE,
    Add,
    Call,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Power,
    Reduce,
    Tensor,
    Where,
    add,
    bracket,
    call,
    entry,
    index,
    mul,
    power,
    reduce,
    rewrite,
    substitute,
    total,
    where,
)
from gradproof.symbolic.operation import Definition
from gradproof.symbolic.terms import idempotent


def magnitude(x: Expr) -> Expr:
    """`|x|`, as the language of operations writes it."""
    return where(bracket(">", x, 0), x, where(bracket("<", x, 0), -x, 0))


def positive_part(x: Expr) -> Expr:
    """`max(x, 0)`."""
    return where(bracket(">", x, 0), x, 0)


@dataclass(frozen=True)
class Shift:
    """A sum of exponentials brought to `exp(top) * scale`, with `scale = sum exp(lowered)`."""

    terms: Expr
    over: tuple[Index, ...]
    mask: Expr
    top: Entry
    lowered: Entry
    scale: Entry


@dataclass
class Context:
    """What a rewrite may look up, and the definitions that it adds.

    `definitions` are those before the one being rewritten; `given` are the tensors that cost nothing to read;
    `written` are to be written out wherever they are read.
    """

    given: frozenset[Tensor] = frozenset()
    definitions: dict[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    shifts: dict[str, Shift] = field(default_factory=dict[str, Shift])
    logarithms: dict[Tensor, Shift] = field(default_factory=dict[Tensor, Shift])
    added: list[Definition] = field(default_factory=list[Definition])
    written: dict[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    taken: set[str] = field(default_factory=set[str])
    applied: dict[str, Row] = field(default_factory=lambda: {})

    def note(self, name: str) -> None:
        """Record that a row was applied."""
        self.applied[name] = next(row for row in ROWS if row.name == name)

    def claim(self, name: str) -> str:
        stem, count = name, 1
        while name in self.taken:
            count += 1
            name = f"{stem}{count}"
        self.taken.add(name)
        return name

    def define(self, name: str, over: tuple[Index, ...], value: Expr) -> Entry:
        target = Tensor(self.claim(name), tuple(i.axis for i in over))
        made = Definition(target, over, value)
        self.definitions[target] = made
        self.added.append(made)
        return entry(target, *over)

    def leaf(self, node: Expr, function: str) -> Expr | None:
        """The argument where the node is the leaf function of something given, by itself or by name."""
        if isinstance(node, Call) and node.function == function:
            return node.arguments[0]
        if isinstance(node, Entry) and node.tensor in self.definitions:
            d = self.definitions[node.tensor]
            plain = all(isinstance(i, Index) for i in d.indices)
            if isinstance(d.value, Call) and d.value.function == function and plain:
                argument = substitute(d.value.arguments[0], dict(zip(d.indices, node.indices, strict=True)))
                if argument.tensors <= self.given and not argument.bound:
                    return argument
        return None


@dataclass(frozen=True)
class Row:
    """One rewrite: why it is there, how it is applied, and what has to be proved for it."""

    name: str
    says: str
    apply: Callable[[Expr, Context], Expr | None]
    statement: Callable[[], tuple[Expr, Expr]]


# --- sigmoid, tanh, softplus


def _slope(x: Expr) -> Expr:
    small = call("exp", -magnitude(x))
    return small / (ONE + small) ** 2


def _sigmoid_slope(node: Expr, context: Context) -> Expr | None:
    """`s (1 - s)` inside a product."""
    if not isinstance(node, Mul):
        return None
    for factor in node.factors:
        x = context.leaf(factor, "sigmoid")
        if x is None:
            continue
        rest = [f for f in node.factors if f is not factor]
        for other in rest:
            if other is ONE - factor or other is call("sigmoid", -x):
                return mul(_slope(x), *(f for f in rest if f is not other))
    return None


def _sigmoid_complement(node: Expr, context: Context) -> Expr | None:
    """`1 - s(x) = s(-x)`."""
    if isinstance(node, Add) and len(node.terms) == 2 and node.terms[0] is ONE:
        x = context.leaf(-node.terms[1], "sigmoid")
        if x is not None:
            return call("sigmoid", -x)
    return None


def _tanh_slope(node: Expr, context: Context) -> Expr | None:
    """`1 - tanh^2`."""
    if isinstance(node, Add) and len(node.terms) == 2 and node.terms[0] is ONE:
        square = -node.terms[1]
        if isinstance(square, Power) and square.exponent == 2:
            x = context.leaf(square.base, "tanh")
            if x is not None:
                return 4 * _slope(2 * x)
    return None


def _softplus(node: Expr, _: Context) -> Expr | None:
    if isinstance(node, Call) and node.function == "softplus":
        x = node.arguments[0]
        return positive_part(x) + call("log", ONE + call("exp", -magnitude(x)))
    return None


def _log_sigmoid(node: Expr, _: Context) -> Expr | None:
    if isinstance(node, Call) and node.function == "log":
        inner = node.arguments[0]
        if isinstance(inner, Call) and inner.function == "sigmoid":
            return -call("softplus", -inner.arguments[0])
    return None


def _quotient_to_sigmoid(node: Expr, _: Context) -> Expr | None:
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


# --- sums of exponentials


def _split(body: Expr) -> tuple[Expr, Expr] | None:
    """The exponent and the 0/1-valued rest of a product `mask * exp(a)`."""
    factors = body.factors if isinstance(body, Mul) else (body,)
    exponents = [f for f in factors if isinstance(f, Call) and f.function == "exp"]
    rest = [f for f in factors if f not in exponents]
    if len(exponents) == 1 and all(idempotent(f) for f in rest):
        return exponents[0].arguments[0], mul(*rest)
    return None


def _shift(total_: Expr, context: Context) -> Shift | None:
    """Define the largest exponent, the lowered exponents and their sum, once for alike sums."""
    if not (isinstance(total_, Reduce) and total_.kind == "sum" and (split := _split(total_.body))):
        return None
    terms, mask = split
    if not any(i in terms.free for i in total_.indices):
        return None
    found = context.shifts.get(total_.key)
    if found is not None:
        return found
    outer = tuple(sorted(total_.free, key=lambda i: (not i.axis.variadic, i.key)))
    over = total_.indices
    name = min((t.name for t in terms.tensors), default="x") if len(terms.tensors) != 1 else ""
    stem = name or next(iter(terms.tensors)).name
    masked = terms
    if mask is not ONE:
        masked = context.define(f"{stem}_seen", (*outer, *over), where(mask, terms, MINUS_INFINITY))
    top: Expr = context.define(f"{stem}_max", outer, reduce("max", over, masked))
    if mask is not ONE:
        top = context.define(f"{stem}_top", outer, where(bracket(">", top, MINUS_INFINITY), top, 0))
    assert isinstance(top, Entry)
    lowered = context.define(f"{stem}_shifted", (*outer, *over), masked - top)
    scale = context.define(f"{stem}_sumexp", outer, total(call("exp", lowered), *over))
    made = Shift(terms, over, mask, top, lowered, scale)
    context.shifts[total_.key] = made
    return made


def _alike(shift: Shift, expr: Expr, reference: Expr) -> Entry | None:
    """The lowered entry whose exponent `reference` (over the shift's indices) is `expr`, if it is one."""
    for found in _places(shift, expr):
        if substitute(reference, found) is expr:
            return entry(
                shift.lowered.tensor,
                *(found.get(i, i) for i in shift.lowered.indices if isinstance(i, Index)),
            )
    return None


def _places(shift: Shift, expr: Expr) -> Iterable[dict[Index, Expr]]:
    """Ways to read the summed indices as indices of the expression (or as data)."""
    candidates: list[list[Expr]] = []
    for over in shift.over:
        fitting: list[Expr] = [i for i in sorted(expr.free, key=lambda i: i.key) if i.axis == over.axis]
        candidates.append(fitting or [over])
    for choice in _products(candidates):
        yield dict(zip(shift.over, choice, strict=True))


def _products(options: list[list[Expr]]) -> Iterable[tuple[Expr, ...]]:
    if not options:
        yield ()
        return
    for first in options[0]:
        for rest in _products(options[1:]):
            yield (first, *rest)


def _log_sum(node: Expr, context: Context) -> Expr | None:
    """`log sum exp(a) = top + log sum exp(a - top)`."""
    if isinstance(node, Call) and node.function == "log":
        shift = _shift(node.arguments[0], context)
        if shift is not None:
            return shift.top + call("log", shift.scale)
    return None


def _quotient(node: Expr, context: Context) -> Expr | None:
    """`exp(a_k) / sum_j exp(a_j) = exp(a_k - top) / sum_j exp(a_j - top)`, with a mask in both or in none."""
    if not isinstance(node, Mul):
        return None
    for factor in node.factors:
        if not (isinstance(factor, Power) and factor.exponent == -1):
            continue
        rest = [f for f in node.factors if f is not factor]
        for partner in rest:
            made = _lower(partner, rest, factor.base, context)
            if made is not None:
                return mul(made, *(f for f in rest if f is not partner), 1)
    return None


def _lower(partner: Expr, others: list[Expr], base: Expr, context: Context) -> Expr | None:
    if not (isinstance(partner, Call) and partner.function == "exp"):
        return None
    shift = _shift(base, context)
    if shift is None:
        return None
    lowered = _alike(shift, partner.arguments[0], shift.terms)
    if lowered is None:
        lowered_by_hand = partner.arguments[0] - shift.top
        return call("exp", lowered_by_hand) / shift.scale
    return call("exp", lowered) / shift.scale


def _guarded_quotient(node: Expr, _: Context) -> Expr | None:
    """`where(c, n / s, 0) = n * where(c, 1 / s, 0)`: the guard moves to the row, where it costs little."""
    if not (
        isinstance(node, Where)
        and isinstance(node.no, Number)
        and node.no.value == 0
        and isinstance(node.yes, Mul)
    ):
        return None
    inverse = [f for f in node.yes.factors if isinstance(f, Power) and f.exponent < 0]
    rest = [f for f in node.yes.factors if f not in inverse]
    small = [f for f in inverse if f.free < node.yes.free]
    if not small or not node.condition.free <= frozenset[Index]().union(*(f.free for f in small)):
        return None
    return mul(*rest, *(f for f in inverse if f not in small), where(node.condition, mul(*small), 0))


def _difference(node: Expr, context: Context) -> Expr | None:
    """`lse - a_k = log(scale) - (a_k - top)` where `lse = log sum exp(a)`: the large parts cancel exactly."""
    if not isinstance(node, Add):
        return None
    for term in node.terms:
        value, read = _with_coefficient(term)
        if not (isinstance(read, Entry) and read.tensor in context.logarithms):
            continue
        shift = context.logarithms[read.tensor]
        d = context.definitions[read.tensor]
        here = dict(zip(d.indices, read.indices, strict=True))
        for other in node.terms:
            opposite, exponent = _with_coefficient(other)
            if other is term or opposite != -value:
                continue
            lowered = _alike(shift, exponent, substitute(shift.terms, here))
            if lowered is not None:
                rest = [t for t in node.terms if t is not term and t is not other]
                scale = entry(shift.scale.tensor, *read.indices)
                return add(*rest, value * call("log", scale), -value * substitute(lowered, here))
    return None


def _with_coefficient(term: Expr) -> tuple[Fraction, Expr]:
    if isinstance(term, Mul) and isinstance(term.factors[0], Number):
        return term.factors[0].value, mul(*term.factors[1:])
    return Fraction(1), term


def _exp_of_log(node: Expr, _: Context) -> Expr | None:
    """`exp(a - log(s)) = exp(a) / s`."""
    if not (isinstance(node, Call) and node.function == "exp" and isinstance(node.arguments[0], Add)):
        return None
    factors: list[Expr] = []
    rest: list[Expr] = []
    for term in node.arguments[0].terms:
        value, inner = _with_coefficient(term)
        if isinstance(inner, Call) and inner.function == "log" and value.denominator == 1:
            factors.append(power(inner.arguments[0], value))
        else:
            rest.append(term)
    return mul(call("exp", add(*rest)), *factors) if factors else None


def _vanishing_factor(node: Expr, context: Context) -> Expr | None:
    """`(1 - t^2) (p + q) = (1 - t^2) p + (1 - t^2) q` for a tanh t, where p or q may overflow."""
    if not isinstance(node, Mul):
        return None
    slopes = [f for f in node.factors if _is_tanh_slope(f, context)]
    others = (f for f in node.factors if f not in slopes)
    sums = [f for f in others if isinstance(f, Add) and any(_grows(t) for t in f.terms)]
    if len(slopes) != 1 or len(sums) != 1:
        return None
    rest = [f for f in node.factors if f is not sums[0]]
    return add(*(mul(*rest, term) for term in sums[0].children))


def _is_tanh_slope(factor: Expr, context: Context) -> bool:
    if not (isinstance(factor, Add) and len(factor.terms) == 2 and factor.terms[0] is ONE):
        return False
    square = -factor.terms[1]
    if not (isinstance(square, Power) and square.exponent == 2 and isinstance(square.base, Entry)):
        return False
    d = context.definitions.get(square.base.tensor)
    return d is not None and isinstance(d.value, Call) and d.value.function == "tanh"


def _grows(term: Expr) -> bool:
    _, rest = _with_coefficient(term)
    return isinstance(rest, Power) and isinstance(rest.base, Entry) and rest.exponent > 1


# --- statements to be proved, over tensors of symbolic size

_B, _K = Axis("batch"), Axis("classes", minimum=1)
_b, _k, _j = index("b", _B), index("k", _K), index("j", _K)
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


def _guarded_statement() -> tuple[Expr, Expr]:
    condition = bracket(">", entry(Tensor("n", (_B,)), _b), 0)
    n, s = entry(_x, _b, _k), entry(_m, _b)
    return where(condition, n / s, 0), n * where(condition, 1 / s, 0)


ROWS: tuple[Row, ...] = (
    Row(
        "slope of sigmoid",
        "s(1 - s) from the input: from a saturated output 1 - s has no digits left",
        _sigmoid_slope,
        _pair(lambda x: _sigmoid(x) * (ONE - _sigmoid(x)), _slope),
    ),
    Row(
        "complement of sigmoid",
        "1 - s(x) = s(-x): no cancellation where s is near 1",
        _sigmoid_complement,
        _pair(lambda x: ONE - _sigmoid(x), lambda x: _sigmoid(-x)),
    ),
    Row(
        "slope of tanh",
        "1 - tanh^2 from the input: from a saturated output 1 - t^2 has no digits left",
        _tanh_slope,
        _pair(lambda x: ONE - call("tanh", x) ** 2, lambda x: 4 * _slope(2 * x)),
    ),
    Row(
        "softplus",
        "log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)): exp never overflows",
        _softplus,
        _pair(
            lambda x: call("softplus", x),
            lambda x: positive_part(x) + call("log", ONE + call("exp", -magnitude(x))),
        ),
    ),
    Row(
        "tail of sigmoid",
        "s(x) = exp(min(x, 0)) / (1 + exp(-|x|)): exp never overflows, and no tail is flushed to 0",
        lambda node, context: None,
        _pair(_sigmoid, lambda x: _sigmoid_tail(x)),
    ),
    Row(
        "log of sigmoid",
        "log s(x) = -softplus(-x): finite where s underflows",
        _log_sigmoid,
        _pair(lambda x: call("log", _sigmoid(x)), lambda x: -call("softplus", -x)),
    ),
    Row(
        "sigmoid by its definition",
        "1/(1 + exp(a)) = s(-a): exp never overflows",
        _quotient_to_sigmoid,
        _pair(lambda x: 1 / (ONE + call("exp", x)), lambda x: _sigmoid(-x)),
    ),
    Row(
        "log of a sum of exponentials",
        "log sum exp(a) = m + log sum exp(a - m), with m the largest of a: exp never overflows",
        _log_sum,
        _log_sum_statement,
    ),
    Row(
        "difference from a log of a sum",
        "lse - a = log sum exp(a - m) - (a - m): large parts cancel before they are rounded",
        _difference,
        _difference_statement,
    ),
    Row(
        "quotient of exponentials",
        "exp(a)/sum exp(a) = exp(a - m)/sum exp(a - m), with m the largest of a: exp never overflows",
        _quotient,
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
        _exp_of_log,
        lambda: (
            call("exp", entry(_x, _b, _k) - call("log", call("exp", entry(_m, _b)))),
            call("exp", entry(_x, _b, _k)) / call("exp", entry(_m, _b)),
        ),
    ),
    Row(
        "vanishing factor",
        "(1 - t^2)(p + q) = (1 - t^2) p + (1 - t^2) q: a factor that vanishes meets large ones singly",
        _vanishing_factor,
        lambda: (
            (ONE - call("tanh", _v) ** 2) * (ONE + entry(_m, _b) ** 2),
            ONE - call("tanh", _v) ** 2 + (ONE - call("tanh", _v) ** 2) * entry(_m, _b) ** 2,
        ),
    ),
    Row(
        "guard of a row",
        "where(c, n/s, 0) = n where(c, 1/s, 0): the guard is applied to a row, not to every entry",
        _guarded_quotient,
        _guarded_statement,
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
                    context.applied[row.name] = row
                    node, changed = rewrite(made, visit), True
                    break
        return node

    before = definition.value
    value = rewrite(before, visit)
    value = _join_masks(value, context)
    made = Definition(definition.target, definition.indices, value, definition.source)
    context.definitions[definition.target] = made
    if isinstance(before, Call) and before.function == "log":
        found = _shift(before.arguments[0], context)
        if found is not None:
            context.logarithms[definition.target] = found
    return [*context.added[start:], made]


def tails(definitions: list[Definition], context: Context) -> list[Definition]:
    """Sigmoids of what is given, by way of `exp(-|x|)`: exact also where `1 + exp(-x)` overflows."""

    def visit(node: Expr) -> Expr:
        if isinstance(node, Call) and node.function == "sigmoid" and node.tensors <= context.given:
            context.note("tail of sigmoid")
            return _sigmoid_tail(node.arguments[0])
        return node

    return [replace(d, value=rewrite(d.value, visit)) for d in definitions]


def _sigmoid_tail(x: Expr) -> Expr:
    """`exp(min(x, 0)) / (1 + exp(-|x|))`."""
    if isinstance(x, Mul) and isinstance(x.factors[0], Number) and x.factors[0].value < 0:
        return call("exp", -positive_part(-x)) / (ONE + call("exp", -magnitude(-x)))
    return call("exp", where(bracket("<", x, 0), x, 0)) / (ONE + call("exp", -magnitude(x)))


def _join_masks(value: Expr, context: Context) -> Expr:
    """`mask * exp(lowered) = exp(lowered)`: a masked exponent is lowered to -inf already."""
    shifts = {s.lowered.tensor: s for s in context.shifts.values() if s.mask is not ONE}

    def visit(node: Expr) -> Expr:
        if not isinstance(node, Mul):
            return node
        for factor in node.factors:
            if (
                isinstance(factor, Call)
                and factor.function == "exp"
                and isinstance(factor.arguments[0], Entry)
            ):
                read = factor.arguments[0]
                shift = shifts.get(read.tensor)
                if shift is None:
                    continue
                places = dict(
                    zip((i for i in shift.lowered.indices if isinstance(i, Index)), read.indices, strict=True)
                )
                context.note("quotient of masked exponentials")
                mask = substitute(shift.mask, places)
                masks = mask.factors if isinstance(mask, Mul) else (mask,)
                return mul(*(f for f in node.factors if f not in masks))
        return node

    return rewrite(value, visit)

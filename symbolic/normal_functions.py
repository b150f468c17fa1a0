"""Leaf functions of polynomials in normal form."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from flint import fmpz

from gradproof.symbolic.expressions import (
    Call,
    Expr,
    call,
    number,
)
from gradproof.symbolic.monomials import factor_content, negative, one_less_sigmoid, one_plus_exp
from gradproof.symbolic.polynomials import (
    NOTHING,
    UNIT,
    Poly,
    atom_poly,
    const,
    plus,
    scale,
    to_expr,
)
from gradproof.symbolic.signs import positive

if TYPE_CHECKING:
    from gradproof.symbolic.normal_form import NormalForm


def apply_function(nf: NormalForm, name: str, argument: Poly) -> Poly:
    """A leaf function of a polynomial, by the relations that hold for it everywhere."""
    unary = {"exp": _exp, "log": _log, "sigmoid": _sigmoid, "tanh": _tanh, "softplus": _softplus}
    if name in unary:
        return unary[name](nf, argument)
    if name in ("erf", "sin"):
        return _odd(nf, argument, name)
    if name == "cos":
        return _even(nf, argument, name)
    return atom_poly(call(name, to_expr(argument)))


def _exp(nf: NormalForm, argument: Poly) -> Poly:
    result = const(1)
    for m, c in argument.items():
        single = m.factors[0][0] if len(m.factors) == 1 and m.factors[0][1] == 1 and not m.bound else None
        if isinstance(single, Call) and single.function == "log":
            made = nf.power(nf(single.arguments[0]), c)
        elif isinstance(single, Call) and single.function == "softplus":
            made = nf.power(plus(const(1), _exp(nf, nf(single.arguments[0]))), c)
        else:
            made = atom_poly(call("exp", m.expr), c)
        result = nf.times(result, made)
    return result


def _log(nf: NormalForm, argument: Poly) -> Poly:
    if not argument:
        raise ZeroDivisionError("the logarithm of 0")
    content, outside, base = factor_content(argument, signed=False)
    parts = [_log_number(nf, content)]
    loose: dict[Expr, Fraction] = {}
    for atom, e in outside.items():
        if isinstance(atom, Call) and atom.function == "exp":
            parts.append(scale(nf(atom.arguments[0]), e))
        elif isinstance(atom, Call) and atom.function == "sigmoid":
            parts.append(scale(_softplus(nf, scale(nf(atom.arguments[0]), -1)), -e))
        elif positive(atom):
            parts.append(scale(atom_poly(call("log", atom)), e))
        else:
            loose[atom] = e
    if loose:
        base = nf.times(base, nf.simplify(loose, []))
    if base == {UNIT: Fraction(1)}:
        return plus(*parts)
    inner = one_plus_exp(base)
    if inner is not None:
        return plus(*parts, _softplus(nf, nf(inner)))
    inner = one_less_sigmoid(base)
    if inner is not None:
        return plus(*parts, scale(_softplus(nf, nf(inner)), -1))
    return plus(*parts, atom_poly(call("log", to_expr(base))))


def _log_number(nf: NormalForm, value: Fraction) -> Poly:
    if value <= 0:
        raise ZeroDivisionError(f"the logarithm of {value}")
    parts: list[Poly] = []
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        for prime, times in fmpz(part).factor():
            parts.append(scale(atom_poly(call("log", number(int(prime)))), sign * int(times)))
    return plus(*parts)


def _sigmoid(nf: NormalForm, argument: Poly) -> Poly:
    if not argument:
        return const(Fraction(1, 2))
    if negative(argument):
        return plus(const(1), scale(_sigmoid(nf, scale(argument, -1)), -1))
    if nf.logistic:
        unit = nf.power(plus(const(1), _exp(nf, argument)), Fraction(-1))
        return plus(const(1), scale(unit, -1))
    return atom_poly(call("sigmoid", to_expr(argument)))


def _tanh(nf: NormalForm, argument: Poly) -> Poly:
    return plus(scale(_sigmoid(nf, scale(argument, 2)), 2), const(-1))


def _softplus(nf: NormalForm, argument: Poly) -> Poly:
    if not argument:
        return _log_number(nf, Fraction(2))
    if negative(argument):
        return plus(_softplus(nf, scale(argument, -1)), argument)
    return atom_poly(call("softplus", to_expr(argument)))


def _odd(nf: NormalForm, argument: Poly, name: str) -> Poly:
    if not argument:
        return NOTHING
    if negative(argument):
        return scale(atom_poly(call(name, to_expr(scale(argument, -1)))), -1)
    return atom_poly(call(name, to_expr(argument)))


def _even(nf: NormalForm, argument: Poly, name: str) -> Poly:
    if not argument:
        return const(1)
    return atom_poly(call(name, to_expr(scale(argument, -1) if negative(argument) else argument)))

"""Near misses of a formula, by small changes of its syntax, and values of formulas by mpmath."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import mpmath

from gradproof.symbolic.claims import is_condition
from gradproof.symbolic.syntax import Syntax

SWAPPED = {
    "sin": "cos", "cos": "sin", "sinh": "cosh", "tanh": "sigmoid", "sigmoid": "tanh", "exp": "expm1",
    "digamma": "trigamma", "besselj": "bessely", "besseli": "besselk", "airyai": "airybi", "erfc": "erf",
    "Max": "Min", "Min": "Max", "elliptic_e": "elliptic_k", "gamma": "loggamma",
}  # fmt: skip


def unparse(node: Syntax) -> str:
    """The text of a syntax, in full parentheses."""
    parts = [unparse(part) for part in node.parts]
    if node.kind in ("number", "name"):
        return node.text
    if node.kind == "call":
        return f"{node.text}({', '.join(parts)})"
    if node.kind == "sign":
        return f"({node.text}{parts[0]})"
    if node.kind == "pow":
        return f"(({parts[0]})**({parts[1]}))"
    if node.kind == "list":
        return f"({parts[0]}, {parts[1]})"
    if node.kind in ("chain", "compare"):
        text = parts[0]
        for sign, part in zip(node.text.split(), parts[1:], strict=True):
            text += f" {sign} {part}"
        return f"({text})"
    raise ValueError(node.kind)


def mutants(node: Syntax) -> Iterator[tuple[str, Syntax]]:
    """Plausible mistakes: sign, factor, dropped term, argument, exponent, another function."""
    for n, part in enumerate(node.parts):
        for what, changed in mutants(part) if not is_condition(part) else ():
            yield what, replace(node, parts=(*node.parts[:n], changed, *node.parts[n + 1 :]))
    two = Syntax("number", "2")
    if node.kind == "chain":
        signs = node.text.split()
        for n, sign in enumerate(signs):
            flipped = {"+": "-", "-": "+", "*": "/", "/": "*"}[sign]
            what = "sign" if sign in "+-" else "factor"
            yield what, replace(node, text=" ".join([*signs[:n], flipped, *signs[n + 1 :]]))
            dropped = (*node.parts[: n + 1], *node.parts[n + 2 :])
            kept = [*signs[:n], *signs[n + 1 :]]
            yield "term", replace(node, text=" ".join(kept), parts=dropped) if kept else dropped[0]
    if node.kind == "sign":
        yield "sign", node.parts[0]
    if node.text == "Piecewise":
        yield from (("piece", pair.parts[0]) for pair in node.parts)
        values = [pair.parts[0] for pair in node.parts]
        turned = zip(node.parts, values[1:] + values[:1], strict=True)
        yield "piece", replace(node, parts=tuple(replace(p, parts=(v, p.parts[1])) for p, v in turned))
    if node.kind == "call" and node.parts and not is_condition(node) and node.text != "Piecewise":
        doubled = Syntax("chain", "*", (two, node.parts[0]))
        yield "argument", replace(node, parts=(doubled, *node.parts[1:]))
        if node.text in SWAPPED:
            yield "function", replace(node, text=SWAPPED[node.text])
    if node.kind == "pow":
        more = Syntax("chain", "+", (node.parts[1], Syntax("number", "1")))
        yield "exponent", replace(node, parts=(node.parts[0], more))
        yield "exponent", node.parts[0]
    if node.kind == "number":
        yield "factor", Syntax("number", str(int(node.text) + 1) if node.text.isdigit() else "0.7")


# --- values by another library


def _piecewise(node: Syntax, at: Mapping[str, Any]) -> Any:
    for pair in node.parts:
        if truth(pair.parts[1], at):
            return value(pair.parts[0], at)
    return mpmath.nan


def truth(node: Syntax, at: Mapping[str, Any]) -> bool:
    """Whether a condition holds."""
    if node.kind == "name":
        return node.text == "True"
    if node.text == "And":
        return all(truth(p, at) for p in node.parts)
    if node.text == "Or":
        return any(truth(p, at) for p in node.parts)
    if node.text in ("Eq", "Ne"):
        return (value(node.parts[0], at) == value(node.parts[1], at)) == (node.text == "Eq")
    values = [value(p, at) for p in node.parts]
    holds: dict[str, Callable[[Any, Any], bool]] = {
        "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
    }  # fmt: skip
    return all(holds[r](a, b) for r, a, b in zip(node.text.split(), values, values[1:], strict=False))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _softplus(x: Any) -> Any:
    return mpmath.log(1 + mpmath.exp(x))


def _uppergamma(a: Any, x: Any) -> Any:
    return mpmath.gammainc(a, x)


def _spherical(n: Any, x: Any) -> Any:
    return mpmath.sqrt(mpmath.pi / (2 * x)) * mpmath.besselj(n + mpmath.mpf(1) / 2, x)


def _polygamma(n: Any, x: Any) -> Any:
    return mpmath.psi(int(n), x)


def _erfcinv(x: Any) -> Any:
    return mpmath.erfinv(1 - x)


def _dawson(x: Any) -> Any:
    return mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(-(x**2)) * mpmath.erfi(x)


def _loggamma(x: Any) -> Any:
    return mpmath.log(abs(mpmath.gamma(x)))


def _shrunk(x: Any, inside: Any, outside: Any) -> Any:
    return inside if abs(x) <= mpmath.mpf(1) / 2 else outside(x)


SPECIAL: dict[str, Callable[..., Any]] = {
    "asin": mpmath.asin, "acos": mpmath.acos, "atan": mpmath.atan, "atan2": mpmath.atan2,
    "asinh": mpmath.asinh, "acosh": mpmath.acosh, "atanh": mpmath.atanh, "erfi": mpmath.erfi,
    "erfinv": mpmath.erfinv, "erfcinv": _erfcinv, "dawson": _dawson,
    "fresnels": mpmath.fresnels, "fresnelc": mpmath.fresnelc, "gamma": mpmath.gamma,
    "loggamma": _loggamma, "lgamma": _loggamma, "digamma": lambda x: mpmath.psi(0, x),
    "trigamma": lambda x: mpmath.psi(1, x), "polygamma": _polygamma, "beta": mpmath.beta,
    "binomial": mpmath.binomial, "uppergamma": _uppergamma,
    "lowergamma": lambda a, x: mpmath.gammainc(a, 0, x),
    "gammaincc": lambda a, x: mpmath.gammainc(a, x) / mpmath.gamma(a),
    "gammainc": lambda a, x: mpmath.gammainc(a, 0, x) / mpmath.gamma(a),
    "betainc": lambda a, b, x: mpmath.betainc(a, b, 0, x, regularized=True),
    "besselj": mpmath.besselj, "bessely": mpmath.bessely, "besseli": mpmath.besseli,
    "besselk": mpmath.besselk, "spherical_jn": _spherical, "airyai": mpmath.airyai,
    "airybi": mpmath.airybi, "airyaiprime": lambda x: mpmath.airyai(x, derivative=1),
    "airybiprime": lambda x: mpmath.airybi(x, derivative=1), "Si": mpmath.si, "Ci": mpmath.ci,
    "Shi": mpmath.shi, "Chi": mpmath.chi, "Ei": mpmath.ei, "li": mpmath.li, "expint": mpmath.expint,
    "elliptic_k": mpmath.ellipk, "elliptic_e": mpmath.ellipe, "elliptic_f": mpmath.ellipf,
    "zeta": mpmath.zeta, "polylog": mpmath.polylog, "spence": lambda x: mpmath.polylog(2, 1 - x),
    "LambertW": mpmath.lambertw, "hyp0f1": mpmath.hyp0f1, "hyp1f1": mpmath.hyp1f1,
    "hyp2f1": mpmath.hyp2f1, "floor": mpmath.floor, "ceiling": mpmath.ceil,
    "Mod": lambda x, y: x - y * mpmath.floor(x / y), "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10, "exp2": lambda x: mpmath.mpf(2) ** x,
    "xlogy": lambda x, y: x * mpmath.log(y), "xlog1py": lambda x, y: x * mpmath.log(1 + y),
    "logsigmoid": lambda x: -mpmath.log(1 + mpmath.exp(-x)), "normcdf": mpmath.ncdf,
    "normpdf": mpmath.npdf, "ndtri": lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1),
    "celu": lambda x, a: x if x > 0 else a * mpmath.expm1(x / a),
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "hardsigmoid": lambda x: min(max(x + 3, mpmath.mpf(0)), mpmath.mpf(6)) / 6,
    "softshrink": lambda x: _shrunk(x, mpmath.mpf(0), lambda y: y - mpmath.sign(y) / 2),
    "hardshrink": lambda x: _shrunk(x, mpmath.mpf(0), lambda y: y),
    "threshold": lambda x, at, v: x if x > at else v,
}  # fmt: skip


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": mpmath.sqrt, "exp": mpmath.exp, "log": mpmath.log, "sin": mpmath.sin, "cos": mpmath.cos,
    "tan": mpmath.tan, "cot": mpmath.cot, "sec": mpmath.sec, "csc": mpmath.csc, "sinh": mpmath.sinh,
    "cosh": mpmath.cosh, "tanh": mpmath.tanh, "coth": mpmath.coth, "sech": mpmath.sech, "erf": mpmath.erf,
    "erfc": mpmath.erfc, "sigmoid": _sigmoid, "softplus": _softplus, "Abs": abs, "Max": max, "Min": min,
    "expm1": mpmath.expm1, "log1p": lambda x: mpmath.log(1 + x), "relu": lambda x: max(x, mpmath.mpf(0)),
    "logaddexp": lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)), "silu": lambda x: x * _sigmoid(x),
    "hypot": mpmath.hypot, "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "sign": mpmath.sign, "clamp": lambda x, a, b: min(max(x, a), b),
    "Heaviside": lambda x: mpmath.mpf(1) if x > 0 else mpmath.mpf(0) if x < 0 else mpmath.nan,
    "logit": lambda p: mpmath.log(p / (1 - p)), **SPECIAL,
}  # fmt: skip


def value(node: Syntax, at: Mapping[str, Any]) -> Any:
    """The value of a formula in mpmath; complex where it is not defined over the reals."""
    if node.kind == "number":
        return mpmath.mpf(node.text)
    if node.kind == "name":
        return {"pi": +mpmath.pi, "E": +mpmath.e, **at}[node.text]
    if node.kind == "sign":
        return -value(node.parts[0], at) if node.text == "-" else value(node.parts[0], at)
    if node.kind == "pow":
        base, exponent = (value(p, at) for p in node.parts)
        return base**exponent
    if node.kind == "chain":
        result = value(node.parts[0], at)
        for sign, part in zip(node.text.split(), node.parts[1:], strict=True):
            other = value(part, at)
            result = {
                "+": lambda a, b: a + b, "-": lambda a, b: a - b,
                "*": lambda a, b: a * b, "/": lambda a, b: a / b,
            }[sign](result, other)  # fmt: skip
        return result
    if node.text == "Piecewise":
        return _piecewise(node, at)
    return _real(FUNCTIONS[node.text](*(value(p, at) for p in node.parts)))


def _real(x: Any) -> Any:
    """What mpmath gives as a complex number without imaginary part."""
    return x.real if isinstance(x, mpmath.mpc) and x.imag == 0 else x

"""Near misses of a formula, by small changes of its syntax, and values of formulas by mpmath."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import mpmath

from gradproof.symbolic.claims import Syntax, is_condition

SWAPPED = {"sin": "cos", "cos": "sin", "sinh": "cosh", "tanh": "sigmoid", "sigmoid": "tanh", "exp": "expm1"}


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
    if node.kind == "pair":
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
    if node.text == "Eq":
        return value(node.parts[0], at) == value(node.parts[1], at)
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
    "logit": lambda p: mpmath.log(p / (1 - p)),
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
    return FUNCTIONS[node.text](*(value(p, at) for p in node.parts))

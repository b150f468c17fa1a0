"""Near misses of claims over arrays, by small changes of their syntax."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradproof.symbolic.repairs import unparse
from gradproof.symbolic.syntax import Syntax, parse_expression

WHOLE = ("chain", "sign", "call", "pow", "attribute")
"""What is changed inside."""


def mutants(text: str) -> Iterator[tuple[str, str]]:
    """The kind of each mistake and the claim with it: sign, factor, term, transposition, argument, power."""
    seen = {unparse(parse_expression(text))}
    for what, changed in _mutants(parse_expression(text)):
        made = unparse(changed)
        if made not in seen:
            seen.add(made)
            yield what, made


def _mutants(node: Syntax) -> Iterator[tuple[str, Syntax]]:
    yield from _here(node)
    for n, part in enumerate(node.parts):
        if node.kind in ("chain", "sign", "call", "pow", "attribute") and part.kind not in (
            "keyword",
            "string",
        ):
            for what, changed in _mutants(part):
                yield what, replace(node, parts=(*node.parts[:n], changed, *node.parts[n + 1 :]))


def _here(node: Syntax) -> Iterator[tuple[str, Syntax]]:
    two = Syntax("number", "2")
    if node.kind == "chain":
        signs = node.text.split()
        for n, sign in enumerate(signs):
            if sign in "+-":
                flipped = "-" if sign == "+" else "+"
                yield "sign", replace(node, text=" ".join([*signs[:n], flipped, *signs[n + 1 :]]))
            rest = [*signs[:n], *signs[n + 1 :]]
            parts = (*node.parts[: n + 1], *node.parts[n + 2 :])
            what = "term" if sign in "+-" else "factor"
            yield what, replace(node, text=" ".join(rest), parts=parts) if rest else parts[0]
            if sign == "@":
                turned = (*node.parts[:n], node.parts[n + 1], node.parts[n], *node.parts[n + 2 :])
                yield "argument", replace(node, parts=turned)
    if node.kind == "sign":
        yield "sign", node.parts[0]
    if node.kind == "attribute" and node.text == "T":
        yield "transposition", node.parts[0]
    if node.kind == "call" and node.text in ("inv", "outer"):
        yield "transposition", Syntax("attribute", "T", (node,))
    if node.kind == "call" and node.text in ("softmax", "tanh", "sigmoid", "exp", "norm", "mean", "sum"):
        yield "argument", replace(node, parts=(Syntax("chain", "*", (two, node.parts[0])), *node.parts[1:]))
    if node.kind == "pow":
        yield "exponent", node.parts[0]
    if node.kind == "number" and node.text.isdigit():
        yield "factor", replace(node, text=str(int(node.text) + 1))

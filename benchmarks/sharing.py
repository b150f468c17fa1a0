"""Common subexpressions of straight-line code, each given a name: a user would not write them twice."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from typing import Any


def share(code: str) -> str:
    """The module with what its functions compute twice computed once, in each block on its own.

    Variables must be assigned once, as in generated code.

    >>> print(share("def f(x, m):\\n    a = (x - m) ** 2\\n    return a * (x - m)"))
    def f(x, m):
        shared_1 = x - m
        a = shared_1 ** 2
        return a * shared_1
    """
    tree = ast.parse(code)
    taken = Counter[str]()
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for block in (function.body, *(s.body for s in function.body if isinstance(s, ast.For))):
            while _share_one(block, taken):
                pass
    return ast.unparse(ast.fix_missing_locations(tree))


def _share_one(block: list[ast.stmt], taken: Counter[str]) -> bool:
    """Name the largest expression that occurs twice; whether there was one."""
    counts: Counter[str] = Counter()
    for statement in block:
        counts.update(ast.unparse(node) for node in _shareable(statement))
    repeated = [text for text, count in counts.items() if count > 1]
    if not repeated:
        return False
    text = max(repeated, key=len)
    taken["shared"] += 1
    name = f"shared_{taken['shared']}"
    first = next(n for n, s in enumerate(block) if any(ast.unparse(e) == text for e in _shareable(s)))
    for n, statement in enumerate(block):
        block[n] = _Replacing(text, name).visit(statement)
    block.insert(first, ast.parse(f"{name} = {text}").body[0])
    return True


def _shareable(statement: ast.stmt) -> Iterator[ast.expr]:
    """The operations within a statement of its own block: those of a loop are the loop's."""
    if isinstance(statement, ast.For):
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.BinOp | ast.Compare) or (isinstance(node, ast.Call) and _pure(node)):
            yield node


def _pure(node: ast.Call) -> bool:
    return not (isinstance(node.func, ast.Attribute) and node.func.attr == "append")


class _Replacing(ast.NodeTransformer):
    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.For):
            return node
        if isinstance(node, ast.expr) and ast.unparse(node) == self.text:
            return ast.Name(self.name, ast.Load())
        return self.generic_visit(node)

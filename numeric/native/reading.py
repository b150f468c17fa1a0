"""Generated C read back: its blocks as operations on PyTorch tensors.

What is executed exactly, or on tensors that do not lie in memory, is the text that the compiler gets. Only
the part of C that is printed is read: loops from 0, constants, stores, arithmetic, comparisons, functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import Any

import torch
from lark import Lark, Token, Tree

GRAMMAR = r"""
start: routine+
routine: "void" NAME HEAD "{" (given | nest)* "}"
?given: "const"? (_REAL | _CHAR) "*" "restrict" NAME "=" "arrays" "[" NUMBER "]" ";"   -> array
      | "const" _LONG NAME "=" "sizes" "[" NUMBER "]" ";"                              -> size
      | "const" _REAL NAME "=" "scalars" "[" NUMBER "]" ";"                            -> number
nest: "for" "(" _LONG NAME "=" NUMBER ";" NAME "<" sum ";" NAME "++" ")" (nest | "{" statement* "}")
?statement: "const" (_REAL | _INT) NAME "=" condition ";" -> local
          | NAME "[" sum "]" "=" condition ";"            -> store
?condition: either | either "?" condition ":" condition -> where
?either: both | either "||" both                        -> or_
?both: relation | both "&&" relation                    -> and_
?relation: sum | sum RELATION sum                       -> compare
?sum: product | sum "+" product -> add | sum "-" product -> sub
?product: unary | product "*" unary -> mul | product "/" unary -> div
?unary: atom | "-" unary -> neg | "!" unary -> not_ | "(" _REAL ")" unary -> cast
?atom: NUMBER -> literal | NAME -> name | NAME "[" sum "]" -> load
     | NAME "(" condition ("," condition)* ")" -> call | "(" condition ")" | "INFINITY" -> infinity
HEAD: "(void **arrays, const long long *sizes, const real *scalars)"
_REAL: "real"
_CHAR: "unsigned char"
_INT: "int"
_LONG: "long long"
RELATION: "==" | "!=" | "<=" | ">=" | "<" | ">"
NAME: /[A-Za-z_]\w*/
NUMBER: /\d+(\.\d*)?(e[+-]?\d+)?/
%ignore /\s+/
%ignore "INDEPENDENT"
%ignore /PARALLEL\([^()]*\)/
%ignore /\/\/[^\n]*/
%ignore /\/\*(.|\n)*?\*\//
"""
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "fabs": torch.abs,
    "pow": torch.pow,
}
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "and_": lambda x, y: x & y,
    "or_": lambda x, y: x | y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
}


@dataclass(frozen=True)
class Routine:
    """One routine of a text."""

    name: str
    text: str

    @cached_property
    def tree(self) -> Tree[Token]:
        routines = _parser().parse(self.text).children
        return next(r for r in routines if isinstance(r, Tree) and r.children[0] == self.name)

    @cached_property
    def checked(self) -> Tree[Token]:
        """The tree; raises ValueError where its turns, all taken at once, would not do what C does."""
        tree = self.tree
        for nest in tree.find_data("nest"):
            name, start, *others = [str(c) for c in nest.children if isinstance(c, Token)]
            if start != "0" or set(others) != {name}:
                raise ValueError(f"{self.name}: a loop counts {name} from 0, found {start}, {others}")
        stored = {str(store.children[0]) for store in tree.find_data("store")}
        both = stored & {str(load.children[0]) for load in tree.find_data("load")}
        if both:
            raise ValueError(
                f"{self.name}: {', '.join(sorted(both))} is written and read by the same routine"
            )
        return tree

    def bind(
        self, arrays: Sequence[Any], sizes: Sequence[int], scalars: Sequence[float]
    ) -> Callable[[int], None]:
        """The routine on arrays, some of which have an entry of their own for each step."""

        def step(number: int) -> None:
            entries = [a if isinstance(a, torch.Tensor) else a[number] for a in arrays]
            self.run(entries, sizes, scalars)

        return step

    def run(self, arrays: Sequence[Any], sizes: Sequence[int], scalars: Sequence[float]) -> None:
        """Carry the text out on contiguous arrays, which are written to where the text says so."""
        given: dict[str, Any] = {}
        for part in self.checked.children[2:]:
            assert isinstance(part, Tree)
            name, place = str(part.children[-2]), part.children[-1]
            match part.data:
                case "array":
                    given[name] = arrays[int(str(place))]
                case "size":
                    given[name] = sizes[int(str(place))]
                case "number":
                    given[name] = scalars[int(str(place))]
                case _:
                    _run_nest(part, dict(given))


def _run_nest(nest: Tree[Token], names: dict[str, Any]) -> None:
    """All turns of nested loops at once: a loop's variable is all its values, along an axis of its own."""
    variables: list[tuple[str, int]] = []
    while True:
        names_, bound, *body = _header(nest)
        variables.append((names_, _value(bound, names)))
        if len(body) != 1 or body[0].data != "nest":
            break
        (nest,) = body
    device = next(v.device for v in names.values() if isinstance(v, torch.Tensor))
    for place, (name, count) in enumerate(variables):
        shape = [-1 if n == place else 1 for n in range(len(variables))]
        names[name] = torch.arange(count, device=device).reshape(shape)
    space = tuple(count for _, count in variables)
    if math.prod(space):
        for statement in body:
            _run_statement(statement, names, space)


def _header(nest: Tree[Token]) -> tuple[Any, ...]:
    name, _, _, bound, _, *body = nest.children
    return str(name), bound, *body


def _run_statement(statement: Tree[Token], names: dict[str, Any], space: tuple[int, ...]) -> None:
    if statement.data == "local":
        names[str(statement.children[0])] = _value(statement.children[1], names)
        return
    array, place, value = statement.children
    at = _value(place, names)
    made = _value(value, names)
    target = names[str(array)]
    if not isinstance(made, torch.Tensor):
        made = torch.full((), made, dtype=target.dtype, device=target.device)
    if not isinstance(at, torch.Tensor):
        at = torch.tensor(at, device=target.device)
    flat = at.expand(space).reshape(-1)
    if flat.min() < 0:
        raise IndexError(f"{array} is written {int(-flat.min())} places before its beginning")
    target.view(-1)[flat] = made.to(target.dtype).expand(space).reshape(-1)


def _value(node: Any, names: dict[str, Any]) -> Any:
    if node.data in ("add", "sub", "mul", "div", "and_", "or_"):
        left, right = (_value(c, names) for c in node.children)
        if node.data == "div" and isinstance(left, int) and isinstance(right, int):
            return math.trunc(Fraction(left, right))  # as C divides whole numbers
        return OPERATIONS[node.data](left, right)
    match node.data:
        case "literal":
            text = str(node.children[0])
            return int(text) if text.isdigit() else float(text)
        case "name":
            return names[str(node.children[0])]
        case "infinity":
            return math.inf
        case "load":
            array = names[str(node.children[0])]
            at = _value(node.children[1], names)
            return array.reshape(-1)[at]
        case "compare":
            left, sign, right = node.children
            return OPERATIONS[str(sign)](_value(left, names), _value(right, names))
        case "where":
            condition, yes, no = (_value(c, names) for c in node.children)
            return (
                torch.where(condition, yes, no)
                if isinstance(condition, torch.Tensor)
                else (yes if condition else no)
            )
        case "neg":
            return -_value(node.children[0], names)
        case "not_":
            return ~_value(node.children[0], names)
        case "cast":
            return _value(node.children[0], names)
        case _:
            return _call(node, names)


def _call(node: Any, names: dict[str, Any]) -> Any:
    function, *given = node.children
    arguments = [_value(a, names) for a in given]
    if function in ("maximum", "minimum"):
        like = next(a for a in arguments if isinstance(a, torch.Tensor))
        x, y = (a if isinstance(a, torch.Tensor) else torch.full_like(like, a) for a in arguments)
        return torch.maximum(x, y) if function == "maximum" else torch.minimum(x, y)
    return FUNCTIONS[str(function)](*arguments)


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=False)


def names(text: str) -> tuple[str, ...]:
    """The names of the routines of a text."""
    return tuple(
        line.split("(")[0].removeprefix("void ").strip()
        for line in text.splitlines()
        if line.startswith("void ")
    )

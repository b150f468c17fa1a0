"""Generated Triton read back: a kernel as operations on PyTorch tensors.

What is executed exactly, or on tensors that do not lie on a GPU, is the text that Triton compiles. Only the
part of its language that is printed is read, and more strictly than Triton reads it: an address beside its
array, entries that are combined under two masks, and an entry that is stored twice are errors.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gradproof.numeric.gpu.leaves import FUNCTIONS

LANES = 8
"""How many entries one program computes: few, so that the last one is seldom full."""
OPERATIONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}


class ReadingError(ValueError):
    """A kernel says something that is not printed, or means nothing for these arrays."""


@dataclass(frozen=True)
class Pointer:
    """The address of an entry of an array for each lane, or of its first one."""

    array: Any
    at: Any = 0


@dataclass(frozen=True)
class Lanes:
    """A value for each lane at which a mask holds, in order; without a mask for all lanes."""

    values: Any
    mask: Any = None

    def under(self, mask: Any) -> Any:
        """The values at which a mask holds."""
        if mask is None or self.mask is mask:
            return self.values
        if self.mask is not None:
            raise ReadingError("entries under two masks in one operation")
        return self.values.expand(mask.shape)[mask] if self.values.dim() else self.values


@dataclass(frozen=True)
class Routine:
    """One kernel, parsed."""

    name: str
    arguments: tuple[str, ...]
    body: tuple[ast.stmt, ...]

    @staticmethod
    def of(text: str) -> Routine:
        """The kernel of a text, which is parsed and never evaluated by Python."""
        (tree,) = ast.parse(text).body
        if not isinstance(tree, ast.FunctionDef):
            raise ReadingError("expected one function")
        return Routine(tree.name, tuple(a.arg for a in tree.args.args), tuple(tree.body))

    def run(
        self, arrays: Sequence[Any], count: int, numbers: Sequence[Any], real: Any, lanes: int = LANES
    ) -> None:
        """Carry the text out on contiguous arrays, which are written to where the text says so."""
        given = [*(Pointer(a.reshape(-1)) for a in arrays), count, *numbers, lanes, real]
        names = dict(zip(self.arguments, given, strict=True))
        reading = Reading(names, -(-count // lanes), lanes, real, arrays[0].device)
        for statement in self.body:
            reading.carry_out(statement)


@dataclass
class Reading:
    """A kernel while it is carried out, all programs at once."""

    names: dict[str, Any]
    programs: int
    lanes: int
    real: Any
    device: Any

    def carry_out(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.names[name] = self.value(value)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="tl"), attr="store")) as call):
                self.store(call)
            case _:
                raise ReadingError(f"no statement of a kernel: {ast.unparse(statement)}")

    # --- values

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return number
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATIONS:
                return self.apply(OPERATIONS[type(op)], self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATIONS:
                return self.apply(OPERATIONS[type(op)], self.value(left), self.value(right))
            case ast.UnaryOp(op=op, operand=x) if type(op) in OPERATIONS:
                return self.apply(OPERATIONS[type(op)], self.value(x))
            case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="-inf")]):
                return -math.inf
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
                return self.function(FUNCTIONS[name], [self.value(a) for a in args])
            case ast.Call(func=ast.Attribute(value=ast.Name(id="tl"), attr=name), args=args):
                return self.word(name, args, {k.arg or "": k.value for k in node.keywords})
            case ast.Call(func=ast.Attribute(value=value, attr="to"), args=[dtype], keywords=[]):
                return self.cast(self.value(value), dtype)
            case _:
                raise ReadingError(f"no expression of a kernel: {ast.unparse(node)}")

    def apply(self, function: Callable[..., Any], *given: Any) -> Any:
        """An operation, entry by entry; a number is added to a pointer as to its place."""
        first, *rest = given
        if isinstance(first, Pointer):
            if function is not operator.add or len(rest) != 1:
                raise ReadingError("of a pointer only sums are read")
            return Pointer(first.array, self.apply(operator.add, first.at, rest[0]))
        lanes = [g for g in given if isinstance(g, Lanes)]
        if not lanes:
            return function(*given)
        mask = next((x.mask for x in lanes if x.mask is not None), None)
        return Lanes(function(*(x.under(mask) if isinstance(x, Lanes) else x for x in given)), mask)

    def function(self, function: Callable[..., Any], given: list[Any]) -> Any:
        """A leaf function; numbers among its arguments as tensors like the others."""
        if not any(isinstance(g, Lanes) for g in given):
            return function(*(torch.as_tensor(g, dtype=self.real) for g in given))

        def applied(*values: Any) -> Any:
            if function in (torch.div, torch.pow):
                return (
                    function(*values) if isinstance(values[0], torch.Tensor) else _divided(function, *values)
                )
            like = next(v for v in values if isinstance(v, torch.Tensor))
            return function(*(v if isinstance(v, torch.Tensor) else torch.full_like(like, v) for v in values))

        return self.apply(applied, *given)

    def word(self, name: str, args: list[ast.expr], named: dict[str, ast.expr]) -> Any:
        """A function of Triton's language."""
        match name, args:
            case "program_id", [ast.Constant(value=0)]:
                return Lanes(torch.arange(self.programs, device=self.device)[:, None])
            case "arange", [ast.Constant(value=0), end] if self.value(end) == self.lanes:
                return Lanes(torch.arange(self.lanes, device=self.device)[None])
            case "load", [address] if set(named) == {"mask"}:
                return self.load(self.value(address), self.value(named["mask"]))
            case "load", [address] if not named:
                return self.load_one(self.value(address))
            case "where", [condition, yes, no] if not named:
                return self.apply(self.chosen, *map(self.value, (condition, yes, no)))
            case "cast", [value, dtype] if not named:
                return self.cast(self.value(value), dtype)
            case "full", [ast.Tuple(elts=[]), value, ast.Name(id="REAL")] if not named:
                return self.value(value)
            case _:
                raise ReadingError(f"no word of a kernel: tl.{name}")

    def chosen(self, condition: Any, yes: Any, no: Any) -> Any:
        if not isinstance(yes, torch.Tensor) and not isinstance(no, torch.Tensor):
            yes = torch.full((), yes, dtype=self.real, device=self.device)
        return torch.where(condition, yes, no)

    def cast(self, value: Any, dtype: ast.expr) -> Any:
        match dtype:
            case ast.Attribute(value=ast.Name(id="tl"), attr="int64"):
                return value
            case ast.Name(id="REAL"):
                if not isinstance(value, Lanes):
                    return value
                return self.apply(lambda x: x if x.dtype == self.real else x.to(self.real), value)
            case _:
                raise ReadingError(f"no dtype of a kernel: {ast.unparse(dtype)}")

    # --- memory

    def places(self, pointer: Any, mask: Any) -> Any:
        """The places of the entries at which a mask holds."""
        if not isinstance(pointer, Pointer) or not isinstance(mask, Lanes) or mask.mask is not None:
            raise ReadingError("expected a pointer and a mask")
        at = pointer.at if isinstance(pointer.at, Lanes) else Lanes(torch.as_tensor(pointer.at))
        found = at.under(mask.values)
        if found.numel() and not 0 <= int(found.min()) <= int(found.max()) < pointer.array.numel():
            raise ReadingError(f"a place beside an array of {pointer.array.numel()}")
        return found

    def load_one(self, pointer: Any) -> Any:
        """One entry for all lanes."""
        if not isinstance(pointer, Pointer) or not isinstance(pointer.at, int):
            raise ReadingError("a load of many entries without a mask")
        return Lanes(pointer.array[pointer.at])

    def load(self, pointer: Any, mask: Any) -> Lanes:
        return Lanes(pointer.array[self.places(pointer, mask)], mask.values)

    def store(self, call: ast.Call) -> None:
        named = {k.arg: k.value for k in call.keywords}
        if len(call.args) != 2 or set(named) != {"mask"}:
            raise ReadingError(f"no store of a kernel: {ast.unparse(call)}")
        pointer, made, mask = (self.value(n) for n in (*call.args, named["mask"]))
        at = self.places(pointer, mask)
        if len(at.unique()) != len(at):
            raise ReadingError("an entry that is stored twice")
        array = pointer.array
        values = (
            made.under(mask.values)
            if isinstance(made, Lanes)
            else torch.full_like(at, made, dtype=array.dtype)
        )
        array[at] = values.to(array.dtype).expand(at.shape)


def _divided(function: Callable[..., Any], number: Any, x: Any) -> Any:
    """A quotient or a power whose first argument is a number."""
    return number / x if function is torch.div else torch.pow(number, x)

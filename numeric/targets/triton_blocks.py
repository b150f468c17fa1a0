"""Elementwise lines as a Triton kernel: a flat range of entries, one scalar statement for each value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gradproof.numeric.targets.c_blocks import (
    COMPARISONS,
    NotPrintedError,
    Position,
    Routine,
    counts,
    unrolled,
)
from gradproof.numeric.targets.tree import Dims, Node, Trees
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Entry, Expr, Index, Number, Size, Tensor

CALLS = {
    **{name: name for name in ("exp", "log", "log1p", "expm1", "sin", "cos", "tanh", "sigmoid")},
    **{name: name for name in ("erf", "erfc", "sqrt", "square", "maximum", "minimum", "power")},
    "abs": "absolute",
    "div": "divide",
}
"""The names that the leaf functions have in `gradproof.numeric.gpu.leaves`."""
INFIX = {"add": ("+", 4), "sub": ("-", 4), "mul": ("*", 5), "and": ("&", 3)}
WORDS = {"tl", "block", "at", "inside", "count", "steps", "BLOCK", "REAL", "float", *CALLS.values()}
"""Names that a kernel has of its own."""


@dataclass
class Kernel(Routine):
    """The kernel of some lines while it is written: every root has the same axes that are not written out.

    - `space`: the indices of a root's axes, in the order in which entries are counted;
    - `calls`: the leaf functions that it calls;
    - `lengths`: the axes whose sizes are read as numbers, by the code that the printer has for them.
    """

    space: Dims = ()
    calls: set[str] = field(default_factory=set[str])
    lengths: dict[str, Axis] = field(default_factory=dict[str, Axis])
    taken: set[str] = field(default_factory=lambda: set(WORDS))

    # --- the whole

    def write(self, name: str, roots: Sequence[Tensor]) -> str:
        """The text of the kernel that computes and stores the roots."""
        self.space = loose(self.lines[roots[0]].indices)
        if not self.space:
            raise NotPrintedError("a single number")
        self.variables |= {i: self.claim(i.name) for i in self.space}
        for root in roots:
            self.store(root, dict(zip(loose(self.lines[root].indices), self.space, strict=True)))
        body = [*self.places(), *self.statements]
        scalars = [f"{s} = tl.full((), {s}, REAL)" for s in self.scalars]
        given = [*self.arrays, "count", *self.sizes, *(f"{s}: tl.float64" for s in self.scalars)]
        head = signature(name, [*given, "BLOCK: tl.constexpr", "REAL: tl.constexpr"])
        start = [
            "at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)",
            "inside = at < count",
        ]
        return "\n".join(["@block", *head, *("    " + s for s in (*start, *scalars, *body))])

    def places(self) -> list[str]:
        """The place along each axis that a statement speaks of, from the number of the entry."""
        words = set(re.findall(r"\w+", " ".join(self.statements)))
        made: list[str] = []
        for n, i in enumerate(self.space):
            if self.variables[i] not in words:
                continue
            behind = [self.size(j.axis) for j in self.space[n + 1 :]]
            over = f" // ({' * '.join(behind)})" if len(behind) > 1 else f" // {behind[0]}" if behind else ""
            within = f" % {self.size(i.axis)}" if n else ""
            made.append(f"{self.variables[i]} = at{over}{within}")
        return made

    def store(self, root: Tensor, places: Mapping[Index, Position]) -> None:
        """Store a root, entry by entry along its axes that are written out."""
        line = self.lines[root]
        fixed = [i for i in line.indices if i not in places]
        for numbers in counts([i.axis.size or 0 for i in fixed]):
            env = {**places, **dict(zip(fixed, numbers, strict=True))}
            positions = tuple(env[i] for i in line.indices)
            value = self.value(root, positions)
            array = self.array(root, written=True)
            self.statements.append(f"tl.store({self.address(array, root, positions)}, {value}, mask=inside)")

    # --- values

    def value(self, tensor: Tensor, positions: tuple[Position, ...]) -> str:
        """The name of the local that holds an entry: computed here, or loaded."""
        key = (tensor, positions)
        if key not in self.values:
            code = (
                self.expression(tensor, positions) if tensor in self.lines else self.load(tensor, positions)
            )
            numbers = [str(p) for p in positions if isinstance(p, int)]
            name = self.claim("_".join([tensor.name, *numbers]))
            self.statements.append(f"{name} = {code}")
            self.values[key] = name
        return self.values[key]

    def load(self, tensor: Tensor, positions: tuple[Position, ...]) -> str:
        same = all(isinstance(p, int) for p in positions)  # for every entry of the kernel
        address = self.address(self.array(tensor), tensor, positions)
        code = f"tl.load({address})" if same else f"tl.load({address}, mask=inside)"
        return f"{code}.to(REAL)" if self.printer.is_real(tensor) else code

    def address(self, array: str, tensor: Tensor, positions: tuple[Position, ...]) -> str:
        """Where an entry lies: at its number, where the array has all axes of the kernel in their order."""
        if positions == self.space:
            return f"{array} + at"
        code = self.offset(tensor, positions)
        return array if code == "0" else f"{array} + {code}"

    def read(self, entry: Entry, env: Mapping[Index, Position]) -> str:
        return self.value(
            entry.tensor,
            tuple(
                int(i.value) if isinstance(i, Number) else env[i]
                for i in entry.indices
                if isinstance(i, Number | Index)
            ),
        )

    def printed(self, value: Expr, order: Dims, env: Mapping[Index, Position], *, truth: bool = False) -> str:
        trees = Trees(order, lambda e: self.leaf(e, order), self.number, _position)
        tree = trees.truth(value) if truth and not isinstance(value, Number) else trees(value)
        return self.text(tree, env, 0)

    def number(self, expr: Expr) -> str:
        code = self.printer.scalar(expr)
        if isinstance(expr, Size) and expr.axis.size is None:
            self.lengths[code] = expr.axis
        return code

    def leaf(self, entry: Entry, order: Dims) -> Node:
        if not all(isinstance(i, Index | Number) for i in entry.indices):
            raise NotPrintedError("an index from data")
        free = {i for i in entry.indices if isinstance(i, Index)}
        return Node(
            "leaf",
            dims=tuple(i for i in order if i in free),
            entry=entry,
            truth=self.printer.is_truth(entry.tensor),
            integer=entry.tensor.dtype == "integer",
        )

    # --- expressions

    def text(self, node: Node, env: Mapping[Index, Position], level: float) -> str:
        """A tree as an expression of Triton's language."""
        if node.scalar:
            return self.scalar(node)
        if node.op == "leaf":
            return self.read(node.entry, env) if node.entry is not None else str(self.place(node, env))
        if node.op in INFIX or node.op in COMPARISONS:
            sign, mine = INFIX.get(node.op, (node.op, 1))
            left, right = node.args
            code = f"{self.text(left, env, mine)} {sign} {self.text(right, env, mine + 0.5)}"
            return f"({code})" if mine < level else code
        if node.op in ("neg", "not"):
            return f"{'-' if node.op == 'neg' else '~'}{self.text(node.args[0], env, 6)}"
        if node.op == "cast":
            return f"tl.cast({self.text(node.args[0], env, 0)}, REAL)"
        if node.op == "constant":
            return self.constant(node.args[0])
        if node.op == "where":
            return f"tl.where({', '.join(self.text(a, env, 0) for a in node.args)})"
        if node.op == "one less square":
            x = self.text(node.args[0], env, 5)
            return f"((1 - {x}) * (1 + {x}))"
        if node.op not in CALLS:
            raise NotPrintedError(node.op)
        self.calls.add(CALLS[node.op])
        args = [self.constant(a) if a.scalar else self.text(a, env, 0) for a in node.args]
        return f"{CALLS[node.op]}({', '.join(args)})"

    def place(self, node: Node, env: Mapping[Index, Position]) -> Position | str:
        (i,) = node.dims
        at = env[i]
        return at if isinstance(at, int) else self.variables[at]

    def constant(self, node: Node) -> str:
        """A number as a value of the kernel's dtype: a function takes it for float32 otherwise."""
        code = self.scalar(node)
        written = node.op == "leaf" and code not in self.scalars and node.code not in self.lengths
        return f"tl.full((), {code}, REAL)" if written else code

    def scalar(self, node: Node) -> str:
        """A number as it is written; others as an argument of the kernel."""
        if node.op == "leaf":
            if node.code in self.lengths:
                return f"tl.cast({self.size(self.lengths[node.code])}, REAL)"
            if node.code == "-math.inf":
                return 'float("-inf")'
            try:
                float(node.code)
            except ValueError:
                pass
            else:
                return f"({node.code})" if node.code.startswith("-") else node.code
        code = self.printer.text(node)
        found = next((name for name, c in self.scalars.items() if c == code), None)
        if found is None:
            found = self.claim(code if code.isidentifier() else "factor")
            self.scalars[found] = code
        return found


def _position(i: Index) -> Node:
    return Node("leaf", dims=(i,), integer=True)


def signature(name: str, given: Sequence[str]) -> list[str]:
    """The head of a kernel, one argument a line where they are many."""
    line = f"def {name}({', '.join(given)}):"
    if len(line) <= 110:
        return [line]
    return [f"def {name}(", *(f"    {g}," for g in given), "):"]


def loose(dims: Dims) -> Dims:
    """The indices of axes that are not written out."""
    return tuple(i for i in dims if not unrolled(i))

"""Elementwise lines as a routine in C: loops over the axes, one scalar statement for each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from gradproof.numeric.lines import Elementwise, Stack
from gradproof.numeric.targets.tree import Dims, Node, Trees
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Entry, Expr, Index, Number, Tensor

if TYPE_CHECKING:
    from gradproof.numeric.targets.c import CPrinter

Pointwise = Elementwise | Stack
Position = Index | int
RESERVED = {
    "real",
    "rows",
    "arrays",
    "sizes",
    "scalars",
    "long",
    "int",
    "const",
    "void",
    "for",
    "char",
    "double",
}
UNROLLED = 8
"""An axis of a fixed size up to this is written out."""
INFIX = {"add": ("+", 4), "sub": ("-", 4), "mul": ("*", 5), "div": ("/", 5), "and": ("&&", 1)}
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
CALLS = {
    **{name: name for name in ("exp", "log", "log1p", "expm1", "sin", "cos", "tanh", "sigmoid")},
    **{name: name for name in ("erf", "erfc", "sqrt", "maximum", "minimum")},
    "abs": "fabs",
    "power": "pow",
}


class NotPrintedError(Exception):
    """What generated C does not hold: the caller prints it in another way."""


@dataclass
class Routine:
    """The routine of some lines while it is written.

    - `arrays`: what it reads and writes, by the name that the C has for it;
    - `sizes`, `scalars`: the code of what else it is given, by name.
    """

    printer: CPrinter
    lines: Mapping[Tensor, Pointwise]
    arrays: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    written: set[str] = field(default_factory=set[str])
    sizes: dict[str, str] = field(default_factory=dict[str, str])
    scalars: dict[str, str] = field(default_factory=dict[str, str])
    statements: list[str] = field(default_factory=list[str])
    values: dict[tuple[Tensor, tuple[Position, ...]], str] = field(
        default_factory=dict[tuple[Tensor, tuple[Position, ...]], str]
    )
    variables: dict[Index, str] = field(default_factory=dict[Index, str])
    taken: set[str] = field(default_factory=lambda: set(RESERVED))

    # --- the whole

    def write(self, name: str, roots: Sequence[Tensor]) -> str:
        """The text of the routine that computes and stores the roots."""
        nests: dict[tuple[Axis, ...], list[tuple[Tensor, Dims]]] = {}
        for root in roots:
            loose = tuple(i for i in self.lines[root].indices if not unrolled(i))
            nests.setdefault(tuple(i.axis for i in loose), []).append((root, loose))
        body = [self.nest([root for root, _ in group], group[0][1]) for group in nests.values()]
        head = [f"void {name}(void **arrays, const long long *sizes, const real *scalars)", "{"]
        for place, (array, tensor) in enumerate(self.arrays.items()):
            kind = "unsigned char" if self.printer.is_truth(tensor) else "real"
            constant = "" if array in self.written else "const "
            head.append(f"    {constant}{kind} *restrict {array} = arrays[{place}];")
        head += [f"    const long long {size} = sizes[{n}];" for n, size in enumerate(self.sizes)]
        head += [f"    const real {scalar} = scalars[{n}];" for n, scalar in enumerate(self.scalars)]
        return "\n".join([*head, *body, "}"])

    def nest(self, roots: Sequence[Tensor], dims: Dims) -> str:
        """The loops that compute some roots over the same axes."""
        if not dims:
            raise NotPrintedError("a single number")
        self.statements, self.values = [], {}
        self.variables |= {i: self.claim(i.name) for i in dims}
        for root in roots:
            mine = tuple(i for i in self.lines[root].indices if not unrolled(i))
            self.store(root, dict(zip(mine, dims, strict=True)))
        text: list[str] = []
        for depth, i in enumerate(dims):
            size = self.size(i.axis)
            opened = " {" if depth == len(dims) - 1 else ""
            v = self.variables[i]
            if opened:
                text.append("    " * (depth + 1) + "INDEPENDENT")
            elif not depth:
                turns = " * ".join(self.size(d.axis) for d in dims)
                text.append(f"    PARALLEL({turns})")
            text.append("    " * (depth + 1) + f"for (long long {v} = 0; {v} < {size}; {v}++){opened}")
        inner = "    " * (len(dims) + 1)
        return "\n".join([*text, *(inner + s for s in self.statements), "    " * len(dims) + "}"])

    def store(self, root: Tensor, places: Mapping[Index, Position]) -> None:
        """Store a root, entry by entry along its axes of fixed size."""
        line = self.lines[root]
        fixed = [i for i in line.indices if i not in places]
        for numbers in counts([i.axis.size or 0 for i in fixed]):
            env = {**places, **dict(zip(fixed, numbers, strict=True))}
            positions = tuple(env[i] for i in line.indices)
            value = self.value(root, positions)
            array = self.array(root, written=True)
            self.statements.append(f"{array}[{self.offset(root, positions)}] = {value};")

    # --- values

    def value(self, tensor: Tensor, positions: tuple[Position, ...]) -> str:
        """The name of the local that holds an entry of a tensor of this routine."""
        key = (tensor, positions)
        if key not in self.values:
            code = self.expression(tensor, positions)
            numbers = [str(p) for p in positions if isinstance(p, int)]
            name = self.claim("_".join([tensor.name, *numbers]))
            kind = "int" if self.printer.is_truth(tensor) else "real"
            self.statements.append(f"const {kind} {name} = {code};")
            self.values[key] = name
        return self.values[key]

    def expression(self, tensor: Tensor, positions: tuple[Position, ...]) -> str:
        line = self.lines[tensor]
        env = dict(zip(line.indices, positions, strict=True))
        if isinstance(line, Stack):
            number = env[line.along]
            if not isinstance(number, int):
                raise NotPrintedError("a stack along a loop")
            return self.printed(line.parts[number], line.indices, env)
        return self.printed(line.value, line.indices, env, truth=tensor in self.printer.program.truths)

    def printed(self, value: Expr, order: Dims, env: Mapping[Index, Position], *, truth: bool = False) -> str:
        trees = Trees(order, lambda e: self.leaf(e, order), self.printer.scalar, _no_position)
        tree = trees.truth(value) if truth and not isinstance(value, Number) else trees(value)
        return self.text(tree, env, 0)

    def leaf(self, entry: Entry, order: Dims) -> Node:
        if entry.tensor.dtype == "integer" or not all(isinstance(i, Index | Number) for i in entry.indices):
            raise NotPrintedError("an index from data")
        free = {i for i in entry.indices if isinstance(i, Index)}
        dims = tuple(i for i in order if i in free)
        return Node("leaf", dims=dims, entry=entry, truth=self.printer.is_truth(entry.tensor))

    def text(self, node: Node, env: Mapping[Index, Position], level: float) -> str:
        """A tree as an expression in C."""
        if node.scalar:
            return self.scalar(node)
        if node.op == "leaf":
            assert node.entry is not None
            return self.read(node.entry, env)
        if node.op in INFIX or node.op in COMPARISONS:
            sign, mine = INFIX.get(node.op, (node.op, 2))
            left, right = node.args
            code = f"{self.text(left, env, mine)} {sign} {self.text(right, env, mine + 0.5)}"
            return f"({code})" if mine < level else code
        if node.op in ("neg", "not"):
            return f"{'-' if node.op == 'neg' else '!'}{self.text(node.args[0], env, 6)}"
        if node.op in ("cast", "constant"):
            inner = self.text(node.args[0], env, 6 if node.op == "constant" else 0.5)
            return inner if node.op == "constant" else f"({inner} ? 1 : 0)"
        if node.op in ("where", "choose"):
            condition, yes, no = (self.text(a, env, 0.5) for a in node.args)
            return f"({condition} ? {yes} : {no})" if level else f"{condition} ? {yes} : {no}"
        args = [self.text(a, env, 0.5) for a in node.args]
        if node.op == "square":
            return f"square({args[0]})"
        if node.op == "one less square":
            x = self.text(node.args[0], env, 6)
            return f"((1 - {x}) * (1 + {x}))"
        if node.op not in CALLS:
            raise NotPrintedError(node.op)
        return f"{CALLS[node.op]}({', '.join(args)})"

    def read(self, entry: Entry, env: Mapping[Index, Position]) -> str:
        positions = tuple(
            int(i.value) if isinstance(i, Number) else env[i]
            for i in entry.indices
            if isinstance(i, Number | Index)
        )
        if entry.tensor in self.lines:
            return self.value(entry.tensor, positions)
        return f"{self.array(entry.tensor)}[{self.offset(entry.tensor, positions)}]"

    def scalar(self, node: Node) -> str:
        """A number: whole ones as they are, others as a constant or as an argument of the routine."""
        if node.op == "leaf":
            code = node.code.removeprefix("-")
            sign = "-" if code != node.code else ""
            if code.isdigit() and len(code) < 9:
                return f"({node.code})" if sign else code
            try:
                Fraction(code)
            except ValueError:
                pass
            else:
                return f"(real){code}" if not sign else f"(-(real){code})"
        code = self.printer.text(node)
        found = next((name for name, c in self.scalars.items() if c == code), None)
        if found is None:
            found = self.claim(code if code.isidentifier() else "factor")
            self.scalars[found] = code
        return found

    # --- places

    def array(self, tensor: Tensor, *, written: bool = False) -> str:
        """The name in C of an array."""
        name = next((n for n, t in self.arrays.items() if t == tensor), None)
        if name is None:
            name = self.claim(f"{tensor.name}_{'out' if written else 'in'}")
            self.arrays[name] = tensor
        if written:
            self.written.add(name)
        return name

    def offset(self, tensor: Tensor, positions: Sequence[Position]) -> str:
        """The place of an entry in a contiguous array."""
        code = "0"
        for axis, p in zip(tensor.axes, positions, strict=True):
            at = str(p) if isinstance(p, int) else self.variables[p]
            if code == "0":
                code = at
                continue
            left = f"({code})" if " + " in code else code
            code = f"{left} * {self.size(axis)} + {at}"
            code = code.removesuffix(" + 0")
        return code

    def size(self, axis: Axis) -> str:
        if axis.size is not None:
            return str(axis.size)
        code = self.printer.sizes.size(axis)
        found = next((name for name, c in self.sizes.items() if c == code), None)
        if found is None:
            found = "rows" if axis.variadic else self.claim(code)
            self.sizes[found] = code
        return found

    def claim(self, name: str) -> str:
        text, count = name, 1
        while text in self.taken or text in CALLS.values() or text == "square":
            count += 1
            text = f"{name}_{count}"
        self.taken.add(text)
        return text


def unrolled(i: Index) -> bool:
    """Whether an axis is short and of a fixed size: its entries are written out."""
    return i.axis.size is not None and i.axis.size <= UNROLLED


def counts(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """The positions of an array of these sizes, in order."""
    found: list[tuple[int, ...]] = [()]
    for size in sizes:
        found = [(*f, n) for f in found for n in range(size)]
    return found


def _no_position(i: Index) -> Node:
    raise NotPrintedError(f"the position {i.name} as a number")

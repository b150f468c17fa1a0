"""Expressions over arrays as Python text: names, sizes, alignment, and what a library writes in its way."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from gradproof.numeric.lines import (
    Elementwise,
    Gather,
    Line,
    Loop,
    Reduction,
    Scatter,
    Shift,
    Simple,
    Stack,
    Straight,
    expressions,
    reads,
)
from gradproof.numeric.targets.layout import Sizes, align, subscript, transposed
from gradproof.numeric.targets.tree import Dims, Node, Trees
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    Call,
    Constant,
    Entry,
    Expr,
    Index,
    Number,
    Parameter,
    Power,
    Size,
    Tensor,
    walk,
)

RESERVED = {
    "np",
    "torch",
    "math",
    "lead",
    "matrix",
    "rows",
    "row_sum",
    "add_at",
    "add_along",
    "erf",
    "sigmoid",
    "range",
    "reversed",
    "select",
}
RESERVED |= {"saved", "inputs", "tangents", "forward", "vjp", "jvp", "len", "tuple"}
INFIX: dict[str, tuple[str, float]] = {
    "add": ("+", 1),
    "sub": ("-", 1),
    "mul": ("*", 2),
    "div": ("/", 2),
    "and": ("&", 0.5),
    "power": ("**", 4),
}
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


class Writer:
    """Names, sizes and expressions of one function as text; subclasses say how a library writes them."""

    module = ""
    copying = "copy"
    functions: ClassVar[dict[str, str]] = {}

    def __init__(self, program: Straight, *, in_place: bool = True, stem: str = "forward") -> None:
        self.program = program
        self.stem = stem
        self.routines: list[str] = []
        self.in_place = in_place
        self.body: list[str] = []
        self.indent = 1
        self.names: dict[Tensor, str] = {}
        self.taken = {*RESERVED, *(p.name for p in program.parameters)}
        self.helpers: set[str] = set()
        for tensor in program.inputs:
            self.name(tensor)
        made = {t for line in program.lines for t in _all_targets(line)}
        batch = next(
            (a for t in (*program.inputs, *made) for a in t.axes if a.variadic), Axis("batch", variadic=True)
        )
        self.sizes = Sizes(program.inputs, {t.name for t in made}, self.names, batch)
        self.owned: set[Tensor] = set()
        self.left: Counter[Tensor] = Counter(t for line in program.lines for t in reads(line))
        self.left.update(program.outputs)
        self.spaces = [Counter(i.axis for i in _space(line)) for line in _flat(program.lines)]
        self.hoisted: dict[str, str] | None = None
        self.written: dict[Tensor, Node] = {}
        self.waiting: list[Tensor] = []
        self.terms: dict[tuple[str, Dims], str] = {}
        self.doubles = _tables(program.lines) | _scales(program.lines)
        self.double = False
        self.mixed = False
        self.wide: set[Tensor] = set()
        self.kept = set(program.outputs)

    # --- names and leaves

    def name(self, tensor: Tensor) -> str:
        if tensor not in self.names:
            stem = (
                tensor.name + "_"
                if keyword.iskeyword(tensor.name) or tensor.name in RESERVED
                else tensor.name
            )
            text, count = stem, 1
            while text in self.taken:
                count += 1
                text = f"{stem}{count}"
            self.taken.add(text)
            self.names[tensor] = text
        return self.names[tensor]

    def scalar(self, expr: Expr) -> str:
        if isinstance(expr, Size):
            return self.sizes.size(expr.axis)
        if isinstance(expr, Parameter):
            return expr.name
        assert isinstance(expr, Constant)
        if expr.name in ("pi", "-inf"):
            self.helpers.add("math")
            return {"pi": "math.pi", "-inf": "-math.inf"}[expr.name]
        raise NotImplementedError(f"the constant {expr.name}")

    def read(self, expr: Entry, order: Dims) -> Node:
        """An entry as an array whose axes follow the order of the line."""
        if expr.tensor in self.written:
            made = self.written[expr.tensor]
            wanted = tuple(i for i in order if i in made.dims)
            if made.dims == expr.indices == wanted:
                return made
            level = 5 if made.level == 5 else 0
            code = self.transposed(made.code if level else f"({made.code})", expr.indices, wanted)  # pyright: ignore
            return Node("raw", dims=wanted, code=code, level=5)
        code = self.name(expr.tensor)
        free = tuple(i for i in expr.indices if isinstance(i, Index))
        if len(set(free)) != len(free):
            raise NotImplementedError(f"{expr}: a diagonal")
        if any(isinstance(i, Number) for i in expr.indices):
            code = subscript(
                code, [str(i.key) if isinstance(i, Number) else ":" for i in expr.indices], expr.tensor
            )
        wanted = tuple(i for i in order if i in free)
        code = self.transposed(code, free, wanted)
        if self.mixed and expr.tensor not in self.wide and self.is_real(expr.tensor):
            code = self.widened(code)
        return Node(
            "leaf",
            dims=wanted,
            code=code,
            entry=expr,
            truth=self.is_truth(expr.tensor),
            integer=expr.tensor.dtype == "integer",
        )

    def is_real(self, tensor: Tensor) -> bool:
        return tensor.dtype == "real" and tensor not in self.program.truths

    def is_truth(self, tensor: Tensor) -> bool:
        return tensor.dtype == "boolean" or tensor in self.program.truths

    def transposed(self, code: str, have: Dims, want: Dims) -> str:
        return transposed(code, have, want, self.moveaxis)

    def trees(self, order: Dims) -> Trees:
        return Trees(order, lambda e: self.read(e, order), self.scalar, self.position)

    def position(self, i: Index) -> Node:
        return Node("leaf", dims=(i,), code=self.arange(self.sizes.size(i.axis)), integer=True)

    # --- expressions as text

    def text(self, node: Node, level: float = 0) -> str:
        """The tree as one expression, in parentheses where its place asks for them."""
        if node.op == "leaf":
            return node.code
        if node.op == "raw":
            return f"({node.code})" if node.level < level else node.code
        if node.op in INFIX or node.op in COMPARISONS:
            return self.infix(node, level)
        if node.op == "neg":
            inner = f"-{self.text(node.args[0], 3)}"
            return f"({inner})" if level > 1 else inner
        if node.op == "not":
            return f"~{self.text(node.args[0], 5)}"
        if node.op == "square":
            (x,) = node.args
            if x.op == "leaf" and x.code.isidentifier():
                return self.text(Node("mul", (x, x), x.dims), level)
        if node.op == "choose":
            condition, yes, no = (self.text(a, 0.1) for a in node.args)
            return f"({yes} if {condition} else {no})"
        args = [self.argument(a, node.dims) for a in node.args]
        return self.call(node.op, args, node)

    def argument(self, node: Node, dims: Dims) -> str:
        return (
            align(self.text(node, 5), node.dims, dims, self.sizes)
            if _unaligned(node.dims, dims)
            else self.text(node)
        )

    def operand(self, node: Node, dims: Dims, level: float) -> str:
        if _unaligned(node.dims, dims):
            return align(self.text(node, 5), node.dims, dims, self.sizes)
        return self.text(node, level)

    def infix(self, node: Node, level: float) -> str:
        sign, mine = INFIX.get(node.op, (node.op, 0))
        left, right = node.args
        a = self.operand(left, node.dims, mine + (node.op == "power"))
        b = self.operand(right, node.dims, mine + 1)
        inner = f"{a} {sign} {b}" if node.op != "power" else f"{a}**{b}"
        return f"({inner})" if mine < level else inner

    def call(self, op: str, args: list[str], node: Node) -> str:
        if op == "cast" and self.double and node.args[0].integer:
            return args[0]
        if op in ("cast", "constant"):
            return self.typed(op, self.text(node.args[0], 5), args[0])
        if node.scalar:
            self.helpers.add("math")
            return f"math.{op}({', '.join(args)})"
        if op not in self.functions:
            raise NotImplementedError(f"{self.module} has no {op}")
        return f"{self.functions[op]}({', '.join(args)})"

    def typed(self, op: str, tight: str, code: str) -> str:
        """Truth values (`cast`) or a Python number (`constant`) in the dtype of the inputs."""
        raise NotImplementedError

    # --- parts that the libraries write in their own way

    def full(self, code: str, dims: Dims, tree: Node) -> str:
        raise NotImplementedError

    def arange(self, count: str) -> str:
        raise NotImplementedError

    def narrowed(self, code: str) -> str:
        """A table, which is computed in float64, in the dtype of the inputs."""
        raise NotImplementedError

    def widened(self, code: str) -> str:
        """An array of the dtype of the inputs in float64, for a line that reads others in float64."""
        raise NotImplementedError

    def moveaxis(self, code: str, source: int, destination: int) -> str:
        raise NotImplementedError

    def reduction(self, line: Reduction) -> str:
        raise NotImplementedError

    def gather(self, line: Gather) -> str:
        raise NotImplementedError

    def scatter(self, line: Scatter) -> None:
        raise NotImplementedError

    def stack(self, line: Stack, out: str = "") -> None:
        raise NotImplementedError

    def shift(self, line: Shift) -> None:
        raise NotImplementedError

    def empty(self, shape: str) -> str:
        raise NotImplementedError

    def product(self, left: str, right: str) -> str:
        """The product of an array and a matrix."""
        return f"{left} @ {right}"

    def einsum(self, spec: str, left: str, right: str) -> str:
        return f'{self.module}.einsum("{spec}", {left}, {right})'

    def stacked(self, name: str, shape: str) -> str:
        """A list of arrays, one for each step, as one array."""
        raise NotImplementedError

    def matrix(self, code: str, columns: int) -> str:
        """The array as a matrix, its last axes as columns."""
        self.helpers.add("matrix")
        return f"matrix({code}, {columns})"

    def rows(self, code: str, kept: int) -> str:
        """The array with all axes but the last `kept` as one."""
        self.helpers.add("rows")
        return f"rows({code}, {kept})"

    def view(self, read: Entry, order: Dims) -> str:
        """An entry as an operand of a matrix product."""
        return self.read(read, order).code

    def hoist(self, code: str, tensor: Tensor) -> str:
        """Name a view before the loop, where the loop does not change it."""
        if self.hoisted is None or code.isidentifier() or self.left[tensor] < 1000:
            return code
        if code not in self.hoisted:
            stem, count = f"{self.name(tensor)}_matrix", 1
            text = stem
            while text in self.taken:
                count += 1
                text = f"{stem}{count}"
            self.taken.add(text)
            self.hoisted[code] = text
        return self.hoisted[code]

    # --- shapes

    def shape(self, dims: Sequence[Index]) -> str:
        parts = [f"*{self.sizes.lead()}" if i.axis.variadic else self.sizes.size(i.axis) for i in dims]
        return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"

    def axes_of(self, over: Sequence[Index], dims: Dims) -> str:
        """The `dim` or `axis` argument of a reduction over some of the dims; empty for all."""
        if set(over) >= set(dims):
            return ""
        if any(i.axis.variadic for i in over):
            count = next(n for n, i in enumerate(dims) if i.axis.variadic)
            lead = self.sizes.lead()
            before = [n for n, i in enumerate(dims[:count]) if i in over]
            behind = [n - len(dims) for n, i in enumerate(dims) if n > count and i in over]
            if before == list(range(count)) and not behind:
                extent = f"{count} + len({lead})" if count else f"len({lead})"
                return f"tuple(range({extent}))"
            span = f"*range({count}, {count} + len({lead}))" if count else f"*range(len({lead}))"
            parts = [*map(str, before), span, *map(str, behind)]
            return f"({', '.join(parts)})" if len(parts) > 1 else f"({parts[0]},)"
        fixed = next((n for n, i in enumerate(dims) if i.axis.variadic), -1)
        numbers = [n if n < fixed else n - len(dims) for n, i in enumerate(dims) if i in over]
        return str(numbers[0]) if len(numbers) == 1 else str(tuple(numbers))


def _unaligned(have: Dims, want: Dims) -> bool:
    if not have or have == want:
        return False
    start = want.index(have[0])
    return want[start:] != have


def reduction_order(line: Reduction) -> Dims:
    """The indices in the order in which the widest array of the value is stored."""
    entries = [n for n in walk(line.value) if isinstance(n, Entry)]
    widest = max(entries, key=lambda e: len(e.free), default=None)
    stored = [i for i in (widest.indices if widest is not None else ()) if isinstance(i, Index)]
    rest = [i for i in (*line.indices, *line.over) if i not in stored]
    return (*(i for i in rest if i.axis.variadic), *stored, *(i for i in rest if not i.axis.variadic))


def _tables(lines: Sequence[Line]) -> set[Tensor]:
    """What is computed from positions alone: in float64 it costs little, since it has no batch axes."""
    found: set[Tensor] = set()
    for line in lines:
        if isinstance(line, Elementwise | Stack) and set(reads(line)) <= found:
            nodes = [n for e in expressions(line) for n in walk(e)]
            if any(isinstance(n, Call) for n in nodes) and any(isinstance(n, Index | Entry) for n in nodes):
                found.add(line.target)
    return found


def _scales(lines: Sequence[Line]) -> set[Tensor]:
    """Sums of a row by which, or by the root of which, it is divided, and what leads from one to the other.

    Each error in them is an error of the whole row, and one number in float64 for a row (in batch
    normalization, for a feature) costs little.
    """
    rows: dict[Tensor, set[Tensor]] = {}
    divisors: set[Tensor] = set()
    for line in lines:
        if isinstance(line, Loop):
            continue
        divisors |= {t for e in expressions(line) for n in walk(e) if _divides(n) for t in n.tensors}
        read = set(reads(line))
        if isinstance(line, Reduction) and line.kind == "sum" and line.indices:
            rows[line.target] = set()
        elif isinstance(line, Elementwise) and (read & set(rows)) and not _spreads(line):
            rows[line.target] = read & set(rows)
    found: set[Tensor] = set()
    for target in reversed(rows):
        if target in divisors or any(target in rows[reader] for reader in found):
            found.add(target)
    return found | {target for target, read in rows.items() if read and read <= found}


def _spreads(line: Elementwise) -> bool:
    """Whether something over fewer axes than the result's is read, as of a row for each of its entries."""
    axes = {frozenset(n.free) for n in walk(line.value) if isinstance(n, Entry)}
    return axes != {frozenset(line.indices)}


def _divides(node: Expr) -> bool:
    return isinstance(node, Power) and (node.exponent < 0 or node.exponent.denominator > 1)


def _space(line: Simple) -> tuple[Index, ...]:
    if isinstance(line, Reduction):
        return (*line.indices, *line.over)
    return line.indices


def _flat(lines: Sequence[Line]) -> list[Simple]:
    found: list[Simple] = []
    for line in lines:
        found.extend(_flat(line.body) if isinstance(line, Loop) else [line])
    return found


def _all_targets(line: Line) -> list[Tensor]:
    if isinstance(line, Loop):
        inner = [t for part in line.body for t in _all_targets(part)]
        return [
            *inner,
            *(s.last for s in line.states),
            *(o for _, o in line.keeps),
            *(i for i, _ in line.reads),
        ]
    return [line.target]

"""What the printers of array libraries share: a straight-line program as readable Python source."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from gradproof.numeric.lines import (
    Contraction,
    Edge,
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
    reads,
)
from gradproof.numeric.targets.layout import Sizes, align, subscript, transposed
from gradproof.numeric.targets.loops import print_loop
from gradproof.numeric.targets.products import contraction
from gradproof.numeric.targets.tree import Dims, Node, Trees
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Constant, Entry, Expr, Index, Number, Parameter, Size, Tensor, walk

RESERVED = {"np", "torch", "math", "lead", "matrix", "rows", "add_at", "erf", "sigmoid", "range", "reversed"}
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
WIDTH = 100


class Printer:
    """Prints one function; subclasses say how their library writes an operation.

    With `in_place`, arrays that nobody else reads are written over; without it, every operation makes a new
    array, so that transformations such as `vmap` can follow.
    """

    module = ""
    functions: ClassVar[dict[str, str]] = {}

    def __init__(self, program: Straight, *, in_place: bool = True) -> None:
        self.program = program
        self.in_place = in_place
        self.body: list[str] = []
        self.indent = 1
        self.names: dict[Tensor, str] = {}
        self.taken = set(RESERVED)
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

    # --- lines

    def emit(self, code: str, comment: str = "") -> None:
        text = "    " * self.indent + code
        if comment:
            text = f"{text:<60}  # {comment}" if len(text) < 60 else f"{text}  # {comment}"
        self.body.append(text)

    def shape_comment(self, dims: Dims) -> str:
        return "[" + ", ".join(f"{i.axis.name}..." if i.axis.variadic else i.axis.name for i in dims) + "]"

    def lines(self, lines: Sequence[Line]) -> None:
        for place, line in enumerate(lines):
            if isinstance(line, Loop):
                self.loop(line)
            elif self.is_written_out(line, lines[place + 1 : place + 2]):
                self.written[line.target] = self.part(line)
                self.waiting.extend(reads(line))
                continue
            else:
                self.simple(line)
            self.done(reads(line))

    def done(self, read: Sequence[Tensor]) -> None:
        """Count what has been read, by a line and by what was written out within it."""
        for tensor in (*read, *self.waiting):
            self.left[tensor] -= 1
        self.waiting.clear()

    def is_written_out(self, line: Simple, following: Sequence[Line]) -> bool:
        """Whether the line is written where its result is read: once, by the next line."""
        if not isinstance(line, Reduction | Contraction) or line.target not in self.program.temporary:
            return False
        if self.left[line.target] != 1 or not following or not isinstance(following[0], Elementwise | Stack):
            return False
        return line.target in reads(following[0]) and all(t not in self.written for t in reads(line))

    def part(self, line: Simple) -> Node:
        """The code of a line within the next one."""
        if isinstance(line, Contraction):
            code = contraction(self, line)
            level = 2 if "@" in code and not code.endswith(")") else 5
        else:
            assert isinstance(line, Reduction)
            code, level = self.reduction(line), 5
            if " if " in code:
                level = 0
        return Node("raw", dims=line.indices, code=code, level=level)

    def simple(self, line: Simple, out: str = "") -> None:
        match line:
            case Elementwise():
                self.elementwise(line, out)
            case Reduction():
                self.assign(line.target, line.indices, self.reduction(line), owned=True)
            case Contraction():
                self.assign(line.target, line.indices, contraction(self, line), owned=True)
            case Gather():
                self.assign(line.target, line.indices, self.gather(line), owned=True)
            case Scatter():
                self.scatter(line)
            case Stack():
                self.stack(line, out)
            case Shift():
                self.shift(line)
            case Edge():
                source = self.name(line.source)
                piece = f"{source}[-1:]" if line.last else f"{source}[:1]"
                self.assign(line.target, line.indices, f"{piece}.sum(0)", owned=True)

    def assign(self, target: Tensor, dims: Dims, code: str, *, owned: bool) -> None:
        self.emit(f"{self.name(target)} = {code}", self.shape_comment(dims))
        if owned:
            self.owned.add(target)

    def elementwise(self, line: Elementwise, out: str = "") -> None:
        dims = line.indices
        trees = self.trees(dims)
        truth = line.target in self.program.truths and not isinstance(line.value, Number)
        tree = trees.truth(line.value) if truth else trees(line.value)
        if tree.dims != dims or tree.scalar:
            code = self.full(self.text(tree, 5), dims, tree)
            self.assign(line.target, dims, code, owned=tree.scalar)
            return
        if tree.op == "leaf":
            self.assign(line.target, dims, tree.code, owned=False)
            return
        if tree.truth or not self.large(dims):
            self.assign(line.target, dims, self.text(tree), owned=True)
            return
        self.spine(line.target, dims, self.fused(tree, dims), out)
        self.owned.add(line.target)

    def large(self, dims: Dims) -> bool:
        """Whether no other line of the program has all these axes and more: then passes are worth saving."""
        mine = Counter(i.axis for i in dims)
        return bool(mine) and not any(mine < other for other in self.spaces)

    def spine(self, target: Tensor, dims: Dims, tree: Node, out: str = "") -> None:
        """One operation after the other on the array that becomes the target."""
        steps: list[tuple[Node, int]] = []
        node = tree
        while True:
            place = self.next_on_spine(node, dims)
            if place is None:
                break
            steps.append((node, place))
            node = node.args[place]
        name = self.name(target)
        node = replace(node, args=tuple(self.set_apart(a, dims, name) for a in node.args))
        steps = [
            (
                replace(
                    s,
                    args=tuple(a if n == p else self.set_apart(a, dims, name) for n, a in enumerate(s.args)),
                ),
                p,
            )
            for s, p in steps
        ]
        written = out or self.takes_over(node, dims)
        code = self.text(node)
        if written and self.in_place and (made := self.into(node, dims, written)):
            code = made
        self.emit(f"{name} = {code}", self.shape_comment(dims))
        for step, place in reversed(steps):
            self.emit(self.step(name, step, place, dims))

    def set_apart(self, node: Node, dims: Dims, near: str) -> Node:
        """An argument that takes several passes itself, carried out on an array of its own."""
        if node.op in ("leaf", "raw") or node.dims != dims or node.truth or self.depth(node, dims) < 2:
            return node
        made = Tensor(f"{near}_part", tuple(i.axis for i in dims))
        while made in self.names:
            made = Tensor(f"{made.name}_", made.axes)
        self.spine(made, dims, node)
        return Node("leaf", dims=dims, code=self.name(made))

    def depth(self, node: Node, dims: Dims) -> int:
        """How many operations over all the axes the tree holds."""
        if node.op in ("leaf", "raw") or node.dims != dims:
            return 0
        return 1 + sum(self.depth(a, dims) for a in node.args)

    def fused(self, tree: Node, dims: Dims) -> Node:
        """The tree with operations joined that the library has as one."""
        return tree

    def next_on_spine(self, node: Node, dims: Dims) -> int | None:
        """The argument that is itself an operation over all the axes, to be carried out first."""
        if node.op in ("where", "power", "cast", "choose") or node.truth:
            candidates = [1] if node.op == "where" else []
        else:
            candidates = list(range(len(node.args)))
        for place in candidates:
            arg = node.args[place]
            if arg.op != "leaf" and arg.dims == dims and not arg.truth and arg.op not in COMPARISONS:
                return place
        return None

    def takes_over(self, node: Node, dims: Dims) -> str:
        """The name of an argument that nobody reads after this line, whose memory the result can have."""
        for arg in node.args:
            e = arg.entry
            if e is None or arg.dims != dims or arg.truth or arg.code != self.name(e.tensor):
                continue
            if e.tensor in self.owned and self.left[e.tensor] == 1 and e.tensor.dtype == "real":
                return arg.code
        return ""

    def into(self, node: Node, dims: Dims, written: str) -> str:
        """The operation with its result written into an array, or an empty text."""
        raise NotImplementedError

    def step(self, name: str, node: Node, place: int, dims: Dims) -> str:
        """One more operation on the array `name`, which stands at `place` of its arguments."""
        hole = Node("leaf", dims=dims, code=name)
        args = tuple(hole if n == place else a for n, a in enumerate(node.args))
        filled = Node(node.op, args, node.dims)
        sign = {"add": "+", "mul": "*", "sub": "-", "div": "/"}.get(node.op)
        commutes = node.op in ("add", "mul")
        if self.in_place and sign and (place == 0 or commutes):
            return f"{name} {sign}= {self.operand(args[1 - place], dims, 0)}"
        if self.in_place and (made := self.into(filled, dims, name)):
            return made if made.startswith(f"{name}.") else f"{name} = {made}"
        return f"{name} = {self.text(filled)}"

    # --- parts that the libraries write in their own way

    def full(self, code: str, dims: Dims, tree: Node) -> str:
        raise NotImplementedError

    def arange(self, count: str) -> str:
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

    def loop(self, loop: Loop) -> None:
        print_loop(self, loop)

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

"""What the printers of array libraries share: a straight-line program as readable Python source."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

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
    reads,
    targets,
)
from gradproof.numeric.targets.layout import align
from gradproof.numeric.targets.loops import print_loop
from gradproof.numeric.targets.products import contraction
from gradproof.numeric.targets.tree import Dims, Node
from gradproof.numeric.targets.writer import COMPARISONS, Writer, reduction_order
from gradproof.symbolic.expressions import Number, Tensor


class Printer(Writer):
    """Prints one function; subclasses say how their library writes an operation.

    With `in_place`, arrays that nobody else reads are written over; without it, every operation makes a new
    array, so that transformations such as `vmap` can follow.
    """

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
                self.done(reads(line))
                continue
            self.double = line.target in self.doubles
            if self.is_written_out(line, lines[place + 1 : place + 2]):
                self.written[line.target] = self.part(line)
                self.waiting.extend(reads(line))
            else:
                self.simple(line)
                self.done(reads(line))
            self.double = False

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
            code, level = self.reduced_in_order(line), 5
            if " if " in code:
                level = 0
        return Node("raw", dims=line.indices, code=code, level=level)

    def reduced_in_order(self, line: Reduction) -> str:
        """The code of a reduction, its axes in the order of the line."""
        code = self.reduction(line)
        if self.double and not self.stays_wide(line.target):
            code = self.narrowed(code)
        have = tuple(i for i in reduction_order(line) if i in line.indices)
        if have == line.indices:
            return code
        return self.transposed(f"({code})" if " if " in code else code, have, line.indices)

    def simple(self, line: Simple, out: str = "") -> None:
        match line:
            case Elementwise():
                self.elementwise(line, out)
            case Reduction():
                self.assign(line.target, line.indices, self.reduced_in_order(line), owned=True)
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

    def spread(self, code: str, have: Dims, rows: Dims, along: Dims) -> str:
        """An array with the axes of `rows`, and those of `along` joined to one behind them."""
        want = (*rows, *along)
        code = self.transposed(code, have, tuple(i for i in want if i in have))
        have = tuple(i for i in want if i in have)
        if have != want:
            code = self.broadcast(align(code, have, want, self.sizes), want)
        return code if len(along) == 1 else f"{code}.reshape{self.joined(rows)}"

    def joined(self, rows: Dims) -> str:
        inner = self.shape(rows)[1:-1].rstrip(",")
        return f"({inner}, -1)" if inner else "(-1,)"

    def broadcast(self, code: str, dims: Dims) -> str:
        """The array as one with the whole size of every axis."""
        raise NotImplementedError

    def assign(self, target: Tensor, dims: Dims, code: str, *, owned: bool) -> None:
        self.emit(f"{self.name(target)} = {code}", self.shape_comment(dims))
        if owned:
            self.owned.add(target)

    def elementwise(self, line: Elementwise, out: str = "") -> None:
        dims = line.indices
        self.mixed = self.double and bool(self.wide & set(reads(line)))
        trees = self.trees(dims)
        truth = line.target in self.program.truths and not isinstance(line.value, Number)
        tree = trees.truth(line.value) if truth else trees(line.value)
        if self.double:
            self.mixed = False
            wide = self.stays_wide(line.target)
            code = self.text(tree) if wide else self.narrowed(self.text(tree, 5))
            self.assign(line.target, dims, code, owned=True)
            return
        if tree.dims != dims or tree.scalar:
            code = self.full(self.text(tree, 5), dims, tree)
            self.assign(line.target, dims, code, owned=tree.scalar)
            return
        if tree.op == "leaf":
            code, owned = self.alone(line.target, tree)
            self.assign(line.target, dims, code, owned=owned)
            return
        if tree.truth or not self.large(dims):
            self.assign(
                line.target, dims, self.text(tree if tree.truth else self.fused(tree, dims)), owned=True
            )
            return
        self.spine(line.target, dims, self.fused(tree, dims), out)
        self.owned.add(line.target)

    def alone(self, target: Tensor, leaf: Node) -> tuple[str, bool]:
        """What stands for another array: a copy where the caller would get one array twice."""
        source = leaf.entry.tensor if leaf.entry is not None else None
        if target in self.program.outputs and source in (*self.program.outputs, *self.guarded()):
            return f"{leaf.code}.{self.copying}()", True
        return leaf.code, False

    def guarded(self) -> tuple[Tensor, ...]:
        """Arrays of the caller that no result may be."""
        return ()

    def stays_wide(self, target: Tensor) -> bool:
        """Whether a value in float64 stays there, which is noted: whether all that reads it is in float64."""
        readers = {t for line in self.program.lines if target in reads(line) for t in targets(line)}
        wide = readers <= self.doubles and target not in self.kept
        if wide:
            self.wide.add(target)
        return wide

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
        later = [self.text(a) for s, p in steps for n, a in enumerate(s.args) if n != p]
        written = out or self.takes_over(node, dims, _leaves(tree), " ".join(later))
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

    def reduced(self, line: Reduction) -> Node:
        """What a reduction reduces; where that takes several passes, an array of its own.

        Two reductions of the same value share it.
        """
        tree = self.trees(reduction_order(line))(line.value)
        dims = tree.dims
        if not self.in_place or tree.truth or self.depth(tree, dims) < 2 or not self.large(dims):
            return tree
        key = (self.text(tree), dims)
        if key not in self.terms:
            made = Tensor(f"{self.name(line.target)}_terms", tuple(i.axis for i in dims))
            while made in self.names:
                made = Tensor(f"{made.name}_", made.axes)
            self.spine(made, dims, self.fused(tree, dims))
            if self.indent > 1:
                return Node("leaf", dims=dims, code=self.name(made))
            self.terms[key] = self.name(made)
        return Node("leaf", dims=dims, code=self.terms[key])

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

    def takes_over(self, node: Node, dims: Dims, reads: Counter[str], later: str) -> str:
        """The name of an argument that nobody reads any more, whose memory the result can have.

        What is written out within the arguments is computed before; within what comes `later` it is not.
        """
        for arg in node.args:
            e = arg.entry
            if e is None or arg.dims != dims or arg.truth or arg.code != self.name(e.tensor):
                continue
            if reads[arg.code] > sum(a.code == arg.code for a in node.args):
                continue
            left = self.left[e.tensor]
            if not re.search(rf"\b{re.escape(arg.code)}\b", later):
                left -= self.waiting.count(e.tensor)
            if e.tensor in self.owned and left == 1 and e.tensor.dtype == "real":
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

    def loop(self, loop: Loop) -> None:
        self.terms.clear()
        print_loop(self, loop)


def _leaves(tree: Node) -> Counter[str]:
    """How often each array is read by a tree."""
    found = Counter([tree.code] if tree.op == "leaf" else [])
    for arg in tree.args:
        found += _leaves(arg)
    return found

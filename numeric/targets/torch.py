"""The PyTorch printer: views, elementwise operators, reductions, matrix products, gather and scatter."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from gradproof.numeric.lines import Gather, Reduction, Scatter, Shift, Stack
from gradproof.numeric.targets.base import Printer
from gradproof.numeric.targets.layout import align
from gradproof.numeric.targets.tree import Dims, Node
from gradproof.numeric.targets.writer import COMPARISONS
from gradproof.symbolic.expressions import Entry, Index

RELATIONS = {
    "==": "torch.eq",
    "!=": "torch.ne",
    "<": "torch.lt",
    "<=": "torch.le",
    ">": "torch.gt",
    ">=": "torch.ge",
}


class TorchPrinter(Printer):
    """Prints for torch tensors, on the device and in the dtype of the inputs."""

    module = "torch"
    copying = "clone"
    functions: ClassVar[dict[str, str]] = {
        "exp": "torch.exp",
        "log": "torch.log",
        "log1p": "torch.log1p",
        "expm1": "torch.expm1",
        "sin": "torch.sin",
        "cos": "torch.cos",
        "tanh": "torch.tanh",
        "sigmoid": "torch.sigmoid",
        "plain sigmoid": "torch.sigmoid",
        "erf": "torch.erf",
        "erfc": "torch.erfc",
        "sqrt": "torch.sqrt",
        "square": "torch.square",
        "abs": "torch.abs",
        "where": "torch.where",
        "maximum": "torch.maximum",
        "minimum": "torch.minimum",
        "power": "torch.pow",
    }
    outs: ClassVar[dict[str, str]] = {
        "add": "torch.add",
        "sub": "torch.sub",
        "mul": "torch.mul",
        "div": "torch.div",
        "neg": "torch.neg",
        **{k: v for k, v in functions.items() if k not in ("where", "maximum", "minimum")},
    }

    def call(self, op: str, args: list[str], node: Node) -> str:
        if op == "one less square":
            return f"torch.addcmul({self.number('1')}, {args[0]}, {args[0]}, value=-1)"
        if op in ("addcmul", "subcmul"):
            return f"torch.addcmul({', '.join(args)}{', value=-1' if op == 'subcmul' else ''})"
        if op in ("maximum", "minimum") and not node.scalar:
            for place, arg in enumerate(node.args):
                if arg.scalar:
                    return (
                        f"torch.clamp({args[1 - place]}, {'min' if op == 'maximum' else 'max'}={args[place]})"
                    )
        if op == "where" and self.in_place and not node.integer and self.large(node.dims):
            self.helpers.add("select")
            return f"select({self.compared(node) or args[0]}, {', '.join(args[1:])})"
        if op == "sigmoid" and self.program.tails and not node.scalar:
            self.helpers.add("sigmoid, torch" if self.in_place else "sigmoid, torch, pure")
            return f"sigmoid({args[0]})"
        return super().call(op, args, node)

    def compared(self, node: Node) -> str:
        """The condition of a selection as integers, where it compares arrays of all its axes."""
        condition = node.args[0]
        if condition.op not in RELATIONS or condition.args[0].scalar:
            return ""
        if any(a.truth or a.integer or not (a.scalar or a.dims == node.dims) for a in condition.args):
            return ""
        self.helpers.add("compare")
        x, y = (self.text(a) for a in condition.args)
        return f"compare({RELATIONS[condition.op]}, {x}, {y})"

    def typed(self, op: str, tight: str, code: str) -> str:
        return f"{tight}.to({self.real()}.dtype)" if op == "cast" else f"{self.real()}.new_full((), {code})"

    def fused(self, tree: Node, dims: Dims) -> Node:
        """`a + b * c` is one pass over memory; a number that is added needs no tail of a sigmoid."""
        constant = any(a.scalar and a.op == "leaf" for a in tree.args)
        if tree.op in ("add", "sub") and constant:
            tree = replace(tree, args=tuple(_without_tails(a) for a in tree.args))
        args = tuple(self.fused(a, dims) for a in tree.args)
        tree = replace(tree, args=args) if args != tree.args else tree
        if tree.op not in ("add", "sub") or tree.dims != dims:
            return tree
        for place in (1, 0) if tree.op == "add" else (1,):
            product, other = tree.args[place], tree.args[1 - place]
            arrays = product.op == "mul" and not any(a.scalar for a in product.args)
            if not arrays or product.dims != dims or other.truth:
                continue
            if other.scalar:
                if other.op != "leaf":
                    continue
                other = Node("raw", code=self.number(other.code))
            return Node("addcmul" if tree.op == "add" else "subcmul", (other, *product.args), dims)
        return tree

    def into(self, node: Node, dims: Dims, written: str) -> str:
        if node.truth:
            return ""
        if node.op in ("addcmul", "subcmul"):
            args = ", ".join(self.argument(a, dims) for a in node.args)
            sign = ", value=-1" if node.op == "subcmul" else ""
            if written == node.args[0].code:
                return f"{written}.addcmul_({args.removeprefix(written + ', ')}{sign})"
            return f"torch.addcmul({args}{sign}, out={written})"
        if node.op == "one less square":
            x = self.argument(node.args[0], dims)
            return f"torch.addcmul({self.number('1')}, {x}, {x}, value=-1, out={written})"
        if node.op not in self.outs or (node.op == "sigmoid" and self.program.tails):
            return ""
        first, *rest = node.args
        if node.op == "div" and first.scalar and first.code == "1":
            return f"torch.reciprocal({self.argument(rest[0], dims)}, out={written})"
        if first.scalar:
            if node.op not in ("add", "mul") or not rest:
                return ""
            first, rest = rest[0], [first]
        args = [self.argument(a, dims) for a in (first, *rest)]
        return f"{self.outs[node.op]}({', '.join(args)}, out={written})"

    def number(self, code: str) -> str:
        """A number as a tensor without axes."""
        return f"{self.real()}.new_full((), {code})"

    def real(self) -> str:
        """An input whose dtype and device new arrays take."""
        return self.names[next(t for t in self.program.inputs if self.is_real(t))]

    def full(self, code: str, dims: Dims, tree: Node) -> str:
        if tree.scalar:
            return f"{self.real()}.new_full({self.shape(dims)}, {code})"
        aligned = align(code, tree.dims, dims, self.sizes)
        return f"{aligned}.expand{self.shape(dims)}"

    def arange(self, count: str) -> str:
        dtype = ", dtype=torch.float64" if self.double else ""
        return f"torch.arange({count}{dtype}, device={self.names[self.program.inputs[0]]}.device)"

    def broadcast(self, code: str, dims: Dims) -> str:
        return f"{code}.expand{self.shape(dims)}"

    def narrowed(self, code: str) -> str:
        return f"{code}.to({self.real()}.dtype)"

    def widened(self, code: str) -> str:
        return f"{code}.double()"

    def moveaxis(self, code: str, source: int, destination: int) -> str:
        if {source, destination} == {-1, -2}:
            return f"{code}.mT"
        return f"{code}.movedim({source}, {destination})"

    def reduction(self, line: Reduction) -> str:
        tree = self.reduced(line)
        axes = self.axes_of(line.over, tree.dims)
        code = self.text(tree, 5)
        if line.kind == "max":
            made = f"{code}.amax({axes})"
            possible = [i for i in line.over if not i.axis.nonempty]
            if possible:
                made += f" if {self.sizes.size(possible[0].axis)} else {code}.sum({axes})"
            return made
        if self.double and self.in_place and axes == "-1" and not tree.truth:
            self.helpers.add("row_sum")
            return f"row_sum({self.text(tree)})"
        if tree.truth or self.double:
            dtype = "torch.float64" if self.double else f"{self.real()}.dtype"
            return f"{code}.sum({axes}{', ' if axes else ''}dtype={dtype})"
        return f"{code}.sum({axes})"

    def gather(self, line: Gather) -> str:
        source = line.source
        place = next(n for n, i in enumerate(source.indices) if isinstance(i, Entry))
        data = source.indices[place]
        assert isinstance(data, Entry)
        others = tuple(i for n, i in enumerate(source.indices) if n != place and isinstance(i, Index))
        axis = place - len(source.indices)
        name = self.name(source.tensor)
        at = self.name(data.tensor)
        if not data.free & set(others):
            made = f"{name}[{at}]" if place == 0 else f"{name}.movedim({axis}, 0)[{at}]"
            have = (*(i for i in data.indices if isinstance(i, Index)), *others)
            return self.transposed(made, have, line.indices)
        free = tuple(i for i in data.indices if isinstance(i, Index))
        if along := tuple(i for i in free if i not in others):
            at = self.spread(at, free, others, along)
            picked = f"{name}.movedim({axis}, -1).gather(-1, {at})"
            if len(along) > 1:
                picked += f".reshape{self.shape((*others, *along))}"
            return self.transposed(picked, (*others, *along), line.indices)
        at = align(at, free, others, self.sizes)
        if set(free) != set(others):
            at = f"{at}.expand{self.shape(others)}"
        picked = f"{name}.gather({axis}, {at}.unsqueeze({axis})).squeeze({axis})"
        return self.transposed(picked, others, line.indices)

    def scatter(self, line: Scatter) -> None:
        place = next(n for n, i in enumerate(line.positions) if isinstance(i, Entry))
        data = line.positions[place]
        assert isinstance(data, Entry)
        name, at, amount = self.name(line.target), self.name(data.tensor), self.name(line.value.tensor)
        axis = place - len(line.indices)
        others = tuple(i for n, i in enumerate(line.positions) if n != place and isinstance(i, Index))
        free = tuple(i for i in data.indices if isinstance(i, Index))
        start = self.start(line)
        self.owned.add(line.target)
        inner = "_" if self.in_place else ""
        if set(free) <= set(others):
            at = align(at, free, others, self.sizes)
            if free != others:
                at = f"{at}.expand{self.shape(others)}"
            code = f"scatter_add{inner}({axis}, {at}.unsqueeze({axis}), {amount}.unsqueeze({axis}))"
        elif set(free) & set(others) or line.over != (*free, *others) or place:
            along = tuple(i for i in line.over if i not in others)
            values = self.spread(amount, line.over, others, along)
            at = self.spread(at, free, others, along)
            code = f"movedim({axis}, -1).scatter_add{inner}(-1, {at}, {values})"
            code += "" if self.in_place else f".movedim(-1, {axis})"
        else:
            extra = tuple(i for i in line.over if i not in free)
            values = self.rows(amount, len(extra))
            code = f"index_add{inner}({place if place == 0 else axis}, {at}.reshape(-1), {values})"
        if self.in_place:
            self.emit(f"{name} = {start}", self.shape_comment(line.indices))
            self.emit(f"{name}.{code}")
        else:
            self.emit(f"{name} = {start}.{code}", self.shape_comment(line.indices))

    def start(self, line: Scatter) -> str:
        if line.base is None:
            return f"{self.real()}.new_zeros({self.shape(line.indices)})"
        base = line.base.tensor
        if not self.in_place or (base in self.owned and self.left[base] == 1):
            return self.name(base)
        return f"{self.name(base)}.clone()"

    def stack(self, line: Stack, out: str = "") -> None:
        dims = tuple(i for i in line.indices if i is not line.along)
        parts = [self.trees(dims)(part) for part in line.parts]
        place = line.indices.index(line.along) - len(line.indices)
        codes = [
            self.text(p) if p.dims == dims and not p.scalar else self.full(self.text(p, 5), dims, p)
            for p in parts
        ]
        name = self.name(line.target)
        if self.in_place:
            start = out or self.empty(self.shape(line.indices))
            self.emit(f"{name} = {start}", self.shape_comment(line.indices))
            marks = ", :" * (-place - 1)
            for n, code in enumerate(codes):
                self.emit(f"{name}[..., {n}{marks}] = {code}")
        else:
            made = f"torch.stack(({', '.join(codes)}), {place})"
            self.emit(
                f"{name} = {self.narrowed(made) if self.double else made}", self.shape_comment(line.indices)
            )
        self.owned.add(line.target)

    def shift(self, line: Shift) -> None:
        source = self.name(line.source)
        edge = f"{self.name(line.edge)}[None]" if line.edge is not None else f"torch.zeros_like({source}[:1])"
        count = self.sizes.size(line.indices[0].axis)
        if line.by == -1:
            code = f"torch.cat(({edge}, {source}[:-1]))[:{count}]"
        elif line.by == 1:
            code = f"torch.cat(({source}[1:], {edge}))[:{count}]"
        else:
            raise NotImplementedError(f"a shift by {line.by}")
        self.assign(line.target, line.indices, code, owned=True)

    def empty(self, shape: str) -> str:
        return f"{self.real()}.new_empty({shape})"

    def stacked(self, name: str, shape: str) -> str:
        return f"torch.stack({name}) if {name} else {self.real()}.new_zeros({shape})"

    def is_condition(self, node: Node) -> bool:
        return node.op in COMPARISONS


def _without_tails(node: Node) -> Node:
    """A product that a number is added to: beside that, what torch.sigmoid flushes to 0 has no digits."""
    if node.op == "mul":
        return replace(node, args=tuple(_without_tails(a) for a in node.args))
    return replace(node, op="plain sigmoid") if node.op == "sigmoid" else node

"""The NumPy printer."""

from __future__ import annotations

from typing import ClassVar

from gradproof.numeric.lines import Gather, Reduction, Scatter, Shift, Stack
from gradproof.numeric.targets.base import Printer
from gradproof.numeric.targets.layout import align
from gradproof.numeric.targets.tree import Dims, Node
from gradproof.symbolic.expressions import Entry, Index, Tensor


class NumpyPrinter(Printer):
    """Prints for NumPy arrays, in the dtype of the inputs."""

    module = "np"
    functions: ClassVar[dict[str, str]] = {
        "exp": "np.exp",
        "log": "np.log",
        "log1p": "np.log1p",
        "expm1": "np.expm1",
        "sin": "np.sin",
        "cos": "np.cos",
        "tanh": "np.tanh",
        "sigmoid": "sigmoid",
        "erf": "erf",
        "erfc": "erfc",
        "sqrt": "np.sqrt",
        "square": "np.square",
        "abs": "np.abs",
        "where": "np.where",
        "maximum": "np.maximum",
        "minimum": "np.minimum",
        "power": "np.power",
    }
    outs: ClassVar[dict[str, str]] = {
        "add": "np.add",
        "sub": "np.subtract",
        "mul": "np.multiply",
        "div": "np.divide",
        "neg": "np.negative",
        **{k: v for k, v in functions.items() if k not in ("where", "sigmoid", "erf", "erfc")},
    }
    precise = ("exp", "log", "log1p", "expm1", "sin", "cos", "tanh")

    def call(self, op: str, args: list[str], node: Node) -> str:
        if node.scalar:
            return super().call(op, args, node)
        if op == "one less square":
            (x,) = (f"({a})" if not a.isidentifier() else a for a in args)
            return f"((1 - {x}) * (1 + {x}))"
        if op in ("sigmoid", "erf", "erfc"):
            self.helpers |= {op, "precise"} if op == "sigmoid" else {op}
        if op in self.precise and not self.double:
            self.helpers.add("precise")
            return f"precise({self.functions[op]}, {', '.join(args)})"
        return super().call(op, args, node)

    def typed(self, op: str, tight: str, code: str) -> str:
        return f"{tight}.astype({self.real()}.dtype)" if op == "cast" else f"{self.real()}.dtype.type({code})"

    def into(self, node: Node, dims: Dims, written: str) -> str:
        if node.op not in self.outs or node.truth:
            return ""
        args = [self.argument(a, dims) for a in node.args]
        if node.op in self.precise:
            self.helpers.add("precise")
            return f"precise({self.outs[node.op]}, {', '.join(args)}, out={written})"
        return f"{self.outs[node.op]}({', '.join(args)}, out={written})"

    def guarded(self) -> tuple[Tensor, ...]:
        return self.program.inputs

    def real(self) -> str:
        """An input whose dtype new arrays take."""
        return self.names[next(t for t in self.program.inputs if self.is_real(t))]

    def full(self, code: str, dims: Dims, tree: Node) -> str:
        if tree.scalar:
            return f"np.full({self.shape(dims)}, {code}, {self.real()}.dtype)"
        aligned = align(code, tree.dims, dims, self.sizes)
        return f"np.broadcast_to({aligned}, {self.shape(dims)})"

    def arange(self, count: str) -> str:
        return f"np.arange({count})"

    def broadcast(self, code: str, dims: Dims) -> str:
        return f"np.broadcast_to({code}, {self.shape(dims)})"

    def narrowed(self, code: str) -> str:
        return f"{code}.astype({self.real()}.dtype)"

    def widened(self, code: str) -> str:
        return f"{code}.astype(np.float64)"

    def moveaxis(self, code: str, source: int, destination: int) -> str:
        if {source, destination} == {-1, -2}:
            return f"{code}.swapaxes(-1, -2)"
        return f"np.moveaxis({code}, {source}, {destination})"

    def reduction(self, line: Reduction) -> str:
        tree = self.reduced(line)
        axes = self.axes_of(line.over, tree.dims)
        code = self.text(tree, 5)
        if line.kind == "max":
            made = f"{code}.max({axes})"
            possible = [i for i in line.over if not i.axis.nonempty]
            if possible:
                made += f" if {self.sizes.size(possible[0].axis)} else {code}.sum({axes})"
            return made
        if tree.truth or self.double:
            dtype = "np.float64" if self.double else f"{self.real()}.dtype"
            return f"{code}.sum({axes}{', ' if axes else ''}dtype={dtype})"
        return f"{code}.sum({axes})"

    def gather(self, line: Gather) -> str:
        source = line.source
        place = next(n for n, i in enumerate(source.indices) if isinstance(i, Entry))
        data = source.indices[place]
        assert isinstance(data, Entry)
        others = tuple(i for n, i in enumerate(source.indices) if n != place and isinstance(i, Index))
        axis = place - len(source.indices)
        name, at = self.name(source.tensor), self.name(data.tensor)
        free = tuple(i for i in data.indices if isinstance(i, Index))
        if not data.free & set(others):
            made = f"{name}[{at}]" if place == 0 else f"np.moveaxis({name}, {axis}, 0)[{at}]"
            return self.transposed(made, (*free, *others), line.indices)
        if along := tuple(i for i in free if i not in others):
            at = self.spread(at, free, others, along)
            picked = f"np.take_along_axis(np.moveaxis({name}, {axis}, -1), {at}, -1)"
            if len(along) > 1:
                picked += f".reshape{self.shape((*others, *along))}"
            return self.transposed(picked, (*others, *along), line.indices)
        at = align(at, free, others, self.sizes)
        picked = f"np.take_along_axis({name}, np.expand_dims({at}, {axis}), {axis}).squeeze({axis})"
        return self.transposed(picked, others, line.indices)

    def scatter(self, line: Scatter) -> None:
        place = next(n for n, i in enumerate(line.positions) if isinstance(i, Entry))
        data = line.positions[place]
        assert isinstance(data, Entry)
        name, at, amount = self.name(line.target), self.name(data.tensor), self.name(line.value.tensor)
        axis = place - len(line.indices)
        others = tuple(i for n, i in enumerate(line.positions) if n != place and isinstance(i, Index))
        free = tuple(i for i in data.indices if isinstance(i, Index))
        self.emit(f"{name} = {self.start(line)}", self.shape_comment(line.indices))
        self.owned.add(line.target)
        if set(free) <= set(others):
            self.helpers.add("add_at")
            self.emit(f"add_at({name}, {align(at, free, others, self.sizes)}, {amount}, {axis})")
        elif set(free) & set(others) or line.over != (*free, *others) or place:
            self.helpers.add("add_along")
            along = tuple(i for i in line.over if i not in others)
            values = self.spread(amount, line.over, others, along)
            self.emit(f"add_along({name}, {self.spread(at, free, others, along)}, {values}, {axis})")
        else:
            extra = tuple(i for i in line.over if i not in free)
            host = name if place == 0 else f"np.moveaxis({name}, {axis}, 0)"
            self.emit(f"np.add.at({host}, {at}.reshape(-1), {self.rows(amount, len(extra))})")

    def start(self, line: Scatter) -> str:
        if line.base is None:
            return f"np.zeros({self.shape(line.indices)}, {self.real()}.dtype)"
        base = line.base.tensor
        if base in self.owned and self.left[base] == 1:
            return self.name(base)
        return f"{self.name(base)}.copy()"

    def stack(self, line: Stack, out: str = "") -> None:
        dims = tuple(i for i in line.indices if i is not line.along)
        parts = [self.trees(dims)(part) for part in line.parts]
        place = line.indices.index(line.along) - len(line.indices)
        name = self.name(line.target)
        self.emit(f"{name} = {out or self.empty(self.shape(line.indices))}", self.shape_comment(line.indices))
        marks = ", :" * (-place - 1)
        for n, part in enumerate(parts):
            self.emit(f"{name}[..., {n}{marks}] = {align(self.text(part), part.dims, dims, self.sizes)}")
        self.owned.add(line.target)

    def shift(self, line: Shift) -> None:
        source = self.name(line.source)
        edge = f"{self.name(line.edge)}[None]" if line.edge is not None else f"np.zeros_like({source}[:1])"
        count = self.sizes.size(line.indices[0].axis)
        if line.by == -1:
            code = f"np.concatenate(({edge}, {source}[:-1]))[:{count}]"
        elif line.by == 1:
            code = f"np.concatenate(({source}[1:], {edge}))[:{count}]"
        else:
            raise NotImplementedError(f"a shift by {line.by}")
        self.assign(line.target, line.indices, code, owned=True)

    def empty(self, shape: str) -> str:
        return f"np.empty({shape}, {self.real()}.dtype)"

    def stacked(self, name: str, shape: str) -> str:
        return f"np.array({name}) if {name} else np.zeros({shape}, {self.real()}.dtype)"

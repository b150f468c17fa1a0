"""The printer of the Triton target: PyTorch source whose elementwise lines are Triton kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from gradproof.numeric.lines import Elementwise, Line, Stack, reads
from gradproof.numeric.targets.c import CPrinter
from gradproof.numeric.targets.c_blocks import NotPrintedError, Pointwise
from gradproof.numeric.targets.parts import divide
from gradproof.numeric.targets.torch import TorchPrinter
from gradproof.numeric.targets.triton_blocks import Kernel, loose
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Entry, Tensor, walk


class TritonPrinter(CPrinter):
    """Prints for torch tensors on a GPU: kernels of elementwise lines, PyTorch for the lines between."""

    def lines(self, lines: Sequence[Line]) -> None:
        """Elementwise lines together as far as what they read allows, each group as kernels."""
        pointwise = self.pointwise(lines)
        parts = divide(lines, lambda line: line in pointwise)
        for n, part in enumerate(parts):
            if not isinstance(part, list):
                super().lines([part])
            elif not self.block(part, [*parts[:n], *parts[n + 1 :]]):
                for line in part:
                    super().lines([line])

    def pointwise(self, lines: Sequence[Line]) -> set[Line]:
        """The lines for kernels: not numbers, not tables, and no moves, which are views in PyTorch.

        A move that only kernels read is one of theirs: they read its source in its place.
        """
        found: set[Line] = set()
        for line in reversed(lines):
            if not isinstance(line, Elementwise | Stack) or line.target in self.doubles:
                continue
            if not loose(line.indices) or not reads(line):
                continue
            readers = [other for other in lines if line.target in reads(other)]
            inner = line.target not in self.kept and all(other in found for other in readers)
            if inner or not _moves(line):
                found.add(line)
        return found

    def block(self, lines: Sequence[Line], others: Sequence[list[Line] | Line]) -> bool:
        """Print lines as kernels and their calls; whether they could be printed so."""
        inside = {line.target: line for line in lines if isinstance(line, Elementwise | Stack)}
        rest = [line for part in others for line in (part if isinstance(part, list) else [part])]
        outside = {t for line in rest for t in reads(line)}
        roots = [t for t in inside if t in outside or t in self.kept]
        state = (dict(self.names), set(self.taken), list(self.routines), set(self.helpers))
        try:
            calls = list(self.kernels(inside, roots, self.name))
        except NotPrintedError:
            self.names, self.taken, self.routines, self.helpers = state
            return False
        for root in roots:
            dims = inside[root].indices
            dtype = "torch.bool" if self.is_truth(root) else "" if self.is_real(root) else "torch.int64"
            self.emit(f"{self.name(root)} = {self.empty(self.shape(dims), dtype)}", self.shape_comment(dims))
            self.owned.add(root)
        for name, arguments in calls:
            self.emit(f"{name}({arguments})")
        for line in lines:
            self.done(reads(line))
        return True

    def kernels(
        self, lines: Mapping[Tensor, Pointwise], roots: Sequence[Tensor], stored: Callable[[Tensor], str]
    ) -> Iterator[tuple[str, str]]:
        """Print a kernel for the roots over the same axes; its name and its arguments."""
        groups: dict[tuple[Axis, ...], list[Tensor]] = {}
        for root in roots:
            groups.setdefault(tuple(i.axis for i in loose(lines[root].indices)), []).append(root)
        for group in groups.values():
            kernel = Kernel(self, lines)
            name = self.routine_name()
            self.routines.append(kernel.write(name, group))
            self.helpers |= {f"leaf {call}" for call in kernel.calls} | {"block"}
            arrays = [stored(t) for t in kernel.arrays.values()]
            yield (
                name,
                ", ".join([*arrays, self.count(kernel), *kernel.sizes.values(), *kernel.scalars.values()]),
            )

    def count(self, kernel: Kernel) -> str:
        """The number of entries of the axes of a kernel."""
        return " * ".join(self.sizes.size(i.axis) for i in kernel.space)

    def bound(
        self,
        lines: Mapping[Tensor, Pointwise],
        roots: Sequence[Tensor],
        stored: Callable[[Tensor], str],
        count: str,
    ) -> Iterator[str]:
        for name, arguments in self.kernels(lines, roots, stored):
            yield f"{name}.bind({count}, {arguments})"

    def empty(self, shape: str, dtype: str = "") -> str:
        made = super().empty(shape)
        return f"{made.removesuffix(')')}, dtype={dtype})" if dtype else made

    def product(self, left: str, right: str) -> str:
        return TorchPrinter.product(self, left, right)


def _moves(line: Elementwise | Stack) -> bool:
    """Whether a line has the entries of one array, in another order or repeated."""
    if isinstance(line, Stack):
        return False
    free = {i for node in walk(line.value) if isinstance(node, Entry) for i in node.free}
    return isinstance(line.value, Entry) or free != set(line.indices)
